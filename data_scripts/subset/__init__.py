"""A part of a screen that lies on the web: some cells and genes, had by byte ranges of the file."""
