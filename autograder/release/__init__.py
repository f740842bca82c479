"""What an instructor gives out: data, notebooks, the student kit."""
