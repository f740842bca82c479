"""Blanks of a notebook that are still empty: which they are, and what waits for them."""
