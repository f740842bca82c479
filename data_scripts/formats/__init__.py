"""Files as publishers pack them: gzip, zip, R's data files."""
