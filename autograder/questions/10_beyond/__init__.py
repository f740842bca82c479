"""Notebook 10: other cell lines, two genes at once, the way back. What is due is computed by other formulas."""

from . import (
    count_seen,
    evidence,
    few_shot,
    interaction,
    retrieval,
    shared_genes,
    shrink_factor,
    small_pie,
    sum_of_parts,
    true_ranks,
)

QUESTIONS = (
    shared_genes.QUESTION,
    shrink_factor.QUESTION,
    few_shot.QUESTION,
    interaction.QUESTION,
    count_seen.QUESTION,
    sum_of_parts.QUESTION,
    true_ranks.QUESTION,
    retrieval.QUESTION,
    evidence.QUESTION,
    small_pie.QUESTION,
)
