"""What several questions of notebook 10 share."""

WITHOUT = ("starter.models", "starter.priors", "starter.scoring", "starter.statistics", "starter.simulation")
"""Rooms of the kit that would answer for the student. The same for every question, so that the notebook runs once."""
