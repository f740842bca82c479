"""From a profile table to cells, to a prediction file, to the challenge's upload, and the check of each season."""
