"""Notebook 04: what a model must beat, as the kit asks it."""

import importlib

QUESTIONS = (importlib.import_module("autograder.questions.04_baselines.train_mean").QUESTION,)
