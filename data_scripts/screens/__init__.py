"""Screens of the catalogue as course data sets."""
