"""Whether a file is what it should be: as recorded, as the rules ask, and as another that should hold the same."""
