"""Measured cells: open, check and read a screen in blocks; course data, splits, pseudobulk, matching, sets of cells."""
