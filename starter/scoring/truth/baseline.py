"""The baseline (scaled score 0): cells that hold the train mean."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import scipy.sparse

from starter.data.blocks import Cells, float_csr
from starter.data.scan import scan_cells
from starter.errors import InputError
from starter.prediction.cells import shift, thin
from starter.prediction.controls import Controls
from starter.scoring.screens.summary import Summary
from starter.statistics.de import CELL_EVAL_082, expm1, sum_of_copies
from starter.statistics.ranksum import RankSum, p_values, rank_sum
from starter.statistics.sorted_controls import SortedControls

IN_MEMORY = 1 << 30
"""Bytes of made cells that are kept; more are made anew whenever they are read."""


def train_mean(profiles: np.ndarray) -> np.ndarray:
    """Unweighted mean of training profiles (Csendes et al. 2025, BMC Genomics 26:393).

    Parameters
    ----------
    profiles
        Training perturbations x genes, without the control.

    Returns
    -------
    One value a gene.
    """
    return profiles.mean(axis=0)


def constant_cells(mean: np.ndarray, controls: scipy.sparse.csr_matrix, n_cells: np.ndarray) -> Cells:
    """Make control cells as they are, then cells of each perturbation that all equal the mean.

    Parameters
    ----------
    mean
        log1p expression of each gene.
    controls
        Control cells x genes, log1p expression.
    n_cells
        Cells of each perturbation.
    """
    row = float_csr(mean.astype(np.float32)[None])

    def make(perturbation: int) -> scipy.sparse.csr_matrix:
        return row[np.zeros(n_cells[perturbation], int)]

    return _made(controls, n_cells, make)


def constant_summary(
    mean: np.ndarray, truth: Summary, sorted_controls: SortedControls, control_natural: np.ndarray
) -> Summary:
    """Summarise what `constant_cells` makes by the rules of cell-eval 0.8.2, without making the cells.

    Equal cells are one tie: against the same controls, n of them have n times the U of one.

    Parameters
    ----------
    mean
        log1p expression of each gene.
    truth
        Labels, numbers of cells and control profile.
    sorted_controls
        The control cells.
    control_natural
        Their mean on the natural scale, as the rule takes it.
    """
    value = mean.astype(np.float32)
    # one cell, and a group without cells, whose ties are those among the controls
    one = rank_sum(value[None], np.array([1]), 3, sorted_controls)
    among_controls = one.ties[1]
    # one cell more in a run of c controls adds (c + 1)^3 - (c + 1) - (c^3 - c) = 3 c^2 + 3 c
    equal = np.rint((np.sqrt(9 + 12 * (one.ties[0] - among_controls)) - 3) / 6)
    n = truth.n_cells[:, None].astype(float)
    ties = among_controls - (equal**3 - equal) + ((equal + n) ** 3 - (equal + n))
    ranks = RankSum(n * one.u[0], ties, truth.n_cells, sorted_controls.n_cells)
    natural = np.vstack([control_natural, expm1(sum_of_copies(value, truth.n_cells)).astype(float)])
    p = np.nan_to_num(p_values(ranks), nan=1.0)
    profiles = np.broadcast_to(value, truth.profiles.shape)
    return replace(
        truth, profiles=profiles, de=CELL_EVAL_082.table(p, natural), spread=np.zeros(len(truth.n_cells)), points=None
    )


def thinned_cells(
    mean: np.ndarray, controls: scipy.sparse.csr_matrix, counts: Controls | None, n_cells: np.ndarray, seed: int
) -> tuple[Cells, str]:
    """Make control cells as they are, then cells of each perturbation with the predicted mean.

    Parameters
    ----------
    mean, controls, n_cells
        As for `constant_cells`.
    counts
        The control cells as counts, of which cells are made by thinning; None where counts are not known.
    seed
        Fixes the cells.

    Returns
    -------
    The cells, and how.
    """
    way = thin if counts else shift
    # with one UMI for each unit of expression, `shift` gets back the logs that there are
    source = counts or Controls(
        np.expm1(scipy.sparse.csr_matrix(controls, dtype=np.float64)), np.ones(controls.shape[0])
    )

    def make(perturbation: int) -> scipy.sparse.csr_matrix:
        return way(mean, source, n_cells[perturbation], np.random.default_rng([seed, perturbation]))

    how = (
        "cells by thinning control cells"
        if counts
        else "control cells plus the effect, since raw counts could not be recovered"
    )
    return _made(controls, n_cells, make), how


def _made(
    controls: scipy.sparse.csr_matrix, n_cells: np.ndarray, make: Callable[[int], scipy.sparse.csr_matrix]
) -> Cells:
    def read(keep: np.ndarray) -> Iterator[scipy.sparse.csr_matrix]:
        del keep
        yield float_csr(controls)
        for perturbation in range(len(n_cells)):
            yield float_csr(make(perturbation))

    return Cells((controls.shape[0] + int(n_cells.sum()), controls.shape[1]), read).kept(IN_MEMORY)


def baseline_groups(n_control: int, n_cells: np.ndarray) -> np.ndarray:
    """Give the group of each cell that `constant_cells` and `thinned_cells` make."""
    return np.repeat(np.arange(len(n_cells) + 1), np.concatenate([[n_control], n_cells]))


def resampled_cells(controls: scipy.sparse.csr_matrix, truth: Summary, means: np.ndarray) -> tuple[Cells, np.ndarray]:
    """Make the cells of cell-eval2's baseline: control cells drawn at random, each gene scaled to the mean response.

    The mean response is the mean over perturbations of their mean counts, equally weighted; a perturbation plays no
    part in the mean of its own gene. Values are fractional.

    Parameters
    ----------
    controls
        Control cells x genes, counts.
    truth
        Labels, genes and numbers of cells.
    means
        Mean counts of each group of measured cells, control first; P + 1 x genes.

    Returns
    -------
    The cells, perturbation after perturbation in the order of `truth`, and the total of each.
    """
    total, count = means[1:].sum(axis=0), np.full(means.shape[1], float(len(truth.perturbations)))
    place = {gene: column for column, gene in enumerate(truth.genes)}
    for row, label in enumerate(truth.perturbations):
        if (column := place.get(label)) is not None:
            total[column] -= means[row + 1, column]
            count[column] -= 1
    if not count.all():
        msg = (
            f"the mean response of {truth.genes[count == 0][0]} cannot be taken: only its own perturbation is measured"
        )
        raise InputError(msg)
    scale = np.divide(total / count, means[0], out=np.zeros(len(total)), where=means[0] > 0)
    rng = np.random.default_rng(0)
    drawn = [rng.integers(0, controls.shape[0], size=int(n)) for n in truth.n_cells]

    def make(perturbation: int) -> scipy.sparse.csr_matrix:
        block = controls[drawn[perturbation]].astype(np.float64)
        block.data = (block.data * scale[block.indices]).astype(np.float32)
        block.eliminate_zeros()
        return block

    made = _made(controls[:0], truth.n_cells, make)
    return made, scan_cells(made, np.ones(made.shape[0], bool)).totals
