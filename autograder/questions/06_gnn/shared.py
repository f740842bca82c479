"""What several questions of notebook 06 share."""

from starter.answers.comparators import Same

WITHOUT = ("starter.models", "starter.priors")
"""Rooms of the kit that would answer for the student. The same for every question, so that the notebook runs once."""
SINGLE = Same(rtol=1e-4)
"""Torch modules compute in single precision."""
