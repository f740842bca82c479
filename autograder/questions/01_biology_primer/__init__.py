"""Notebook 01: zeros, quality control, normalisation, knock-down, differential expression, escaped cells."""

from . import (
    expected_zeros,
    normalise,
    perturbed_probability,
    qc_mask,
    residual_expression,
    share_of_zeros,
    volcano_table,
)

QUESTIONS = (
    share_of_zeros.QUESTION,
    expected_zeros.QUESTION,
    qc_mask.QUESTION,
    normalise.QUESTION,
    residual_expression.QUESTION,
    volcano_table.QUESTION,
    perturbed_probability.QUESTION,
)
