"""What several questions of notebook 03 share."""

WITHOUT = ("starter.scoring", "starter.prediction", "starter.statistics")
"""Rooms of the kit that would answer for the student. The same for every question, so that the notebook runs once."""
STEP = 1 / 64
"""Inputs of scores with ties are multiples of it, so that sums are exact in any order."""
