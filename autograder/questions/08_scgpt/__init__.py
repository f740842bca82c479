"""Notebook 08: what a foundation model reads, learns and predicts."""

from . import (
    affine_decoder,
    batch_entropy,
    bin_values,
    correlations,
    masked_error,
    perturbation_flags,
    tokenise,
    without_knowledge,
)

QUESTIONS = (
    tokenise.QUESTION,
    bin_values.QUESTION,
    masked_error.QUESTION,
    batch_entropy.QUESTION,
    perturbation_flags.QUESTION,
    affine_decoder.QUESTION,
    correlations.QUESTION,
    without_knowledge.QUESTION,
)
