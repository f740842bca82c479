"""What several questions of notebook 08 share."""

WITHOUT = ("starter.models",)
"""Rooms of the kit that would answer for the student. The same for every question, so that the notebook runs once."""
