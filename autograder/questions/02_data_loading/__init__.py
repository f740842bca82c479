"""Notebook 02: from a file of cells to what a model reads."""

from . import (
    assign_folds,
    block_order,
    cell_sets,
    csr_row,
    denoised,
    guide_test,
    match_controls,
    pseudobulk,
    rank_sum_z,
)

QUESTIONS = (
    csr_row.QUESTION,
    pseudobulk.QUESTION,
    rank_sum_z.QUESTION,
    guide_test.QUESTION,
    assign_folds.QUESTION,
    match_controls.QUESTION,
    cell_sets.QUESTION,
    block_order.QUESTION,
    denoised.QUESTION,
)
