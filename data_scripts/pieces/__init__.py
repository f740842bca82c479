"""A screen that is too large for one file, as a folder of pieces: written, summed up, and read in batches."""
