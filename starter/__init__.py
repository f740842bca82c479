"""What the course's notebooks import: data sets, scoring, making cells, writing prediction files."""
