"""Run what a student made where it can do no harm and see no answer."""
