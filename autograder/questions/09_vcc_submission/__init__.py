"""Notebook 09: several models, one upload, and what its score is worth."""

from . import cells_lacking, challenge_score, gain_over_best, shrinkage, stack_weights, to_counts

QUESTIONS = (
    challenge_score.QUESTION,
    shrinkage.QUESTION,
    stack_weights.QUESTION,
    gain_over_best.QUESTION,
    to_counts.QUESTION,
    cells_lacking.QUESTION,
)
