"""The six metrics of VCC 2026, and how their values become scores.

They are cell-eval2's (0.20.0, preset `vcc2026`). Four have names that begin with `de_wilcoxon_` there: they look at DE
tables that are NaN where a gene is outside of the side's gate (too little expression in its control cells). Every
metric leaves a perturbation's own gene out, since its knock-down is no prediction.
"""

import math
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd

from starter.errors import InputError, listed
from starter.scoring.screens.summary import Summary, needed

ALPHA = 0.05
"""False discovery rate below which a gene is significant (float64, strict)."""
PURITY = 0.9
"""Share of right signs that `direction_reach` asks for."""
MIN_GENES = 10
"""Significant genes that a perturbation needs for an error of fold changes."""


class Scale(NamedTuple):
    """How a metric's value becomes a score: 0 for the baseline, 1 for the replicate."""

    direction: Literal["higher", "lower"]
    """Which way is better."""
    low: float = -math.inf
    high: float = math.inf
    """No score is outside of [low, high]."""


SCALES = {
    "de_wilcoxon_lfc_nmae": Scale("lower", low=-6.0),
    "expr_mse_unbiased_capped_norm": Scale("lower", low=0.0, high=1.0),
    "de_wilcoxon_direction_fidelity_yield_raw": Scale("higher"),
    "de_wilcoxon_direction_reach_raw": Scale("higher"),
    "de_wilcoxon_sig_jaccard": Scale("higher"),
    "pds_cosine": Scale("higher"),
}
"""Scale of each metric by the reference tool's name, in the order in which it takes the mean of the six."""


def pds_cosine(truth: Summary, prediction: Summary) -> np.ndarray:
    """Perturbation discrimination score of VCC 2026, by cosine: 1 - midrank / (P - 1).

    The predicted effect is compared with every measured one, distance 1 - cosine (1 where an effect is 0), and midrank
    is the number of perturbations that are nearer than the right one, ties counted half. The target genes of all
    perturbations are left out everywhere.

    Parameters
    ----------
    truth, prediction
        Summaries of the same P perturbations and genes.

    Returns
    -------
    One value a perturbation in [0, 1], 1 best; 1 if there is one perturbation only.

    Raises
    ------
    InputError
        If no perturbation's target gene is measured, or nothing else is.
    """
    distances = cosine_distances(truth, prediction)
    right = np.diag(distances)[:, None]
    midranks = (distances < right).sum(axis=1) + ((distances == right).sum(axis=1) - 1) / 2
    return 1 - midranks / max(len(right) - 1, 1)


def cosine_distances(truth: Summary, prediction: Summary) -> np.ndarray:
    """Distance of every predicted effect from every measured one, by cosine over all but the target genes.

    Returns
    -------
    P x P in [0, 2], a row a prediction; 1 where an effect is 0.

    Raises
    ------
    InputError
        As `pds_cosine`.
    """
    _, own = _own_genes(truth)
    others = np.ones(len(truth.genes), dtype=bool)
    others[own] = False
    if not others.any():
        msg = "every gene is a target gene, and pds_cosine leaves them all out; score on more genes"
        raise InputError(msg)
    # near-ties depend on the last bit of the products, and that on the layout: the reference tool's has genes first
    predicted, measured = (np.asfortranarray(side.effects()[:, others]) for side in (prediction, truth))
    norms = [np.sqrt(np.einsum("pg,pg->p", effects, effects)) for effects in (predicted, measured)]
    products, norms = predicted @ measured.T, norms[0][:, None] * norms[1]
    cosines = np.divide(products, norms, out=np.zeros_like(products), where=norms != 0)
    return np.clip(1 - cosines, 0, 2)


def mse_terms(truth: Summary, prediction: Summary) -> np.ndarray:
    """Numerator and denominator of the normalised mean squared error, expr_mse_unbiased_capped_norm.

    N_p = (|b^ - b|^2 - rho min(C^, C) - C) / G_p and D_p = (|b - b_control|^2 - C - C_control) / G_p, with profiles b,
    their noise C, ^ for the prediction, over the G_p genes that are not p's own. The panel's value is
    sum N_p / sum D_p, about 1 for a prediction of the control profile.

    rho = min(1, B / sum_p min(C^, C) / G_p) lets a prediction subtract no more noise than its own profiles differ: B is
    their squared deviation, weighted by 1 / G_p, from their weighted mean, each gene over the perturbations of which it
    is not the own one, summed over the genes.

    Parameters
    ----------
    truth, prediction
        Summaries of the same P perturbations and genes, with noise. The whole panel, since rho depends on all.

    Returns
    -------
    P x 2, N_p and D_p, in squared log1p expression; either may be negative. NaN where p's own gene is the only one.

    Raises
    ------
    InputError
        If no perturbation's target gene is measured.
    """
    rows, own = _own_genes(truth)
    n_perturbations, n_genes = truth.profiles.shape
    n_others = np.full(n_perturbations, float(n_genes))
    n_others[rows] -= 1
    weights = np.divide(1, n_others, out=np.zeros(n_perturbations), where=n_others > 0)
    of_truth = needed(truth.noise, "noise")
    noise = np.minimum(needed(prediction.noise, "noise"), of_truth)
    if (claimed := noise @ weights) > 0:
        noise = noise * min(1.0, _spread(prediction.profiles, weights, rows, own) / claimed)
    error, effect = prediction.profiles - truth.profiles, truth.effects()
    error[rows, own] = effect[rows, own] = 0
    terms = np.stack(
        [
            np.einsum("pg,pg->p", error, error) - noise - of_truth,
            np.einsum("pg,pg->p", effect, effect) - of_truth - truth.control_noise,
        ],
        axis=1,
    )
    return np.divide(terms, n_others[:, None], out=np.full_like(terms, np.nan), where=n_others[:, None] > 0)


def direction_fidelity(truth: Summary, prediction: Summary) -> np.ndarray:
    """Share of right directions among the called genes, lowered if fewer are called than measured.

    de_wilcoxon_direction_fidelity_yield_raw: right / max(called, measured). Called are the genes that are significant
    in the prediction and have a measured fold change other than 0, right those of them whose predicted one has its
    sign, and measured all that are significant in the truth.

    Returns
    -------
    One value a perturbation in [0, 1], 1 best; NaN where nothing is called and nothing measured.

    Raises
    ------
    InputError
        If no perturbation's target gene is in the truth's gate.
    """
    called, right, measured = called_directions(truth, prediction)
    n = np.maximum(called, measured)
    return np.divide(right, n, out=np.full(len(n), np.nan), where=n > 0)


def called_directions(truth: Summary, prediction: Summary) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count what `direction_fidelity` is made of.

    Returns
    -------
    Of each perturbation: called genes, those of them with the right direction, measured significant genes.

    Raises
    ------
    InputError
        If no perturbation's target gene is in the truth's gate.
    """
    up_or_down, right = _directions(truth, prediction)
    called = _significant(truth, prediction) & up_or_down
    return called.sum(axis=1), (called & right).sum(axis=1), _significant(truth, truth).sum(axis=1)


def direction_reach(truth: Summary, prediction: Summary) -> np.ndarray:
    """How far down the prediction's list of the measured DE genes at least 90 % of the directions are right.

    de_wilcoxon_direction_reach_raw: k / n. n is the number of genes that are significant in the truth; those that the
    prediction's table holds are ordered by its adjusted p, its p, its absolute fold change (largest first) and their
    name; k is the largest number of them, from the top and without those of measured fold change 0, of which 90 % have
    the measured sign.

    Returns
    -------
    One value a perturbation in [0, 1], 1 best; NaN where no measured gene is significant.

    Raises
    ------
    InputError
        If no perturbation's target gene is in the truth's gate.
    """
    up_or_down, right = _directions(truth, prediction)
    measured = _significant(truth, truth)
    listed = measured & up_or_down & ~np.isnan(prediction.de.fdr)
    by_name = np.argsort(np.argsort(truth.genes))
    n, values = measured.sum(axis=1), np.full(len(measured), np.nan)
    for row in np.flatnonzero(n):
        genes = np.flatnonzero(listed[row])
        p_value, fdr, change = (column[row, genes] for column in prediction.de)
        # the rule puts called genes first, which the adjusted p does
        order = np.lexsort((by_name[genes], -np.abs(change), p_value, fdr))
        pure = np.cumsum(right[row, genes[order]]) / np.arange(1, len(genes) + 1) >= PURITY
        values[row] = (np.flatnonzero(pure).max(initial=-1) + 1) / n[row]
    return values


def significant_jaccard(truth: Summary, prediction: Summary) -> np.ndarray:
    """Genes significant on both sides over those significant on either, de_wilcoxon_sig_jaccard.

    A gene outside of one side's gate is not significant there.

    Returns
    -------
    One value a perturbation in [0, 1], 1 best and where nothing is significant.

    Raises
    ------
    InputError
        If no perturbation's target gene is in the truth's gate.
    """
    measured, called = _significant(truth, truth), _significant(truth, prediction)
    union = (measured | called).sum(axis=1)
    return np.divide((measured & called).sum(axis=1), union, out=np.ones(len(union)), where=union > 0)


def lfc_nmae(truth: Summary, prediction: Summary) -> np.ndarray:
    """Error of the log2 fold changes of the measured DE genes over their size, de_wilcoxon_lfc_nmae.

    sum |predicted - measured| / sum |measured| over the genes that are significant in the truth. A gene outside of the
    prediction's gate counts as predicted not to change.

    Returns
    -------
    One value a perturbation, 0 (perfect) or more, 1 for no change; NaN where fewer than 10 genes count or none of them
    has a fold change other than 0.

    Raises
    ------
    InputError
        If no perturbation's target gene is in the truth's gate.
    """
    return lfc_nmae_of_halves(truth, truth, prediction)


def lfc_nmae_of_halves(full: Summary, first: Summary, second: Summary) -> np.ndarray:
    """`lfc_nmae` of a replicate, with genes and size from the whole screen (full_gate_raw).

    sum |first - second| / sum |full| over the genes that are significant in the whole screen: half of the cells find
    fewer genes, and other ones. A gene outside of a half's gate has the fold change 0 there.

    Parameters
    ----------
    full
        All cells, against all control cells.
    first, second
        Each half, against its own half of the control cells; the same perturbations and genes.

    Returns
    -------
    One value a perturbation, 0 or more; NaN as in `lfc_nmae`.

    Raises
    ------
    InputError
        If no perturbation's target gene is in the whole screen's gate.
    """
    changes = full.de.log2_fold_change
    counted = _significant(full, full) & np.isfinite(changes)
    error = np.abs(_finite_or_zero(first.de.log2_fold_change) - _finite_or_zero(second.de.log2_fold_change))
    size = np.abs(changes).sum(axis=1, where=counted)
    defined = (counted.sum(axis=1) >= MIN_GENES) & (size > 0)
    return np.divide(error.sum(axis=1, where=counted), size, out=np.full(len(size), np.nan), where=defined)


def score(metric_name: str, value: float, baseline: float, replicate: float) -> float:
    """Put a metric's panel value on the scale on which the baseline is 0 and the replicate 1.

    Parameters
    ----------
    metric_name
        A key of `SCALES`.
    value, baseline, replicate
        Panel values of the prediction, the baseline and the replicate.

    Returns
    -------
    The score, within the metric's limits. A value that is NaN or infinite scores the lower limit, and where there is
    none what the value 0 does.

    Raises
    ------
    InputError
        If baseline and replicate make no scale.
    """
    direction, low, high = SCALES[metric_name]
    gap = replicate - baseline if direction == "higher" else baseline - replicate
    if not (math.isfinite(gap) and gap > 0):
        msg = (
            f"{metric_name} has no scale: its replicate is {replicate:.6g}, which is not better than its baseline of "
            f"{baseline:.6g}; score on a screen with more cells of each perturbation"
        )
        raise InputError(msg)
    if direction == "higher" and replicate <= 0:
        msg = (
            f"{metric_name} has no scale: its replicate is {replicate:.6g}, which is not above 0; "
            "score on a screen with more cells of each perturbation"
        )
        raise InputError(msg)

    def share(x: float) -> float:
        # two forms that differ in the last bit, as the reference tool has them
        return (x - baseline) / gap if direction == "higher" else 1 - (x - replicate) / gap

    scaled = share(value)
    if not math.isfinite(scaled):
        return low if math.isfinite(low) else share(0.0)
    return min(max(low, scaled), high)


def _own_genes(reference: Summary, *, gated: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the perturbations whose target gene is measured, or also in the DE table, and that gene's position."""
    own = pd.Index(reference.genes).get_indexer(reference.perturbations)
    rows = np.flatnonzero(own >= 0)
    if gated:
        rows = rows[~np.isnan(reference.de.fdr[rows, own[rows]])]
    if len(rows):
        return rows, own[rows]
    names = listed(reference.perturbations)
    if gated:
        msg = (
            f"the control cells express no target gene ({names}) enough for a DE test, so that none can be left out; "
            "name perturbations by the genes' symbols, or score on a screen whose control cells express a target"
        )
    else:
        msg = f"no target gene is measured ({names}), so that none can be left out; name perturbations by gene symbols"
    raise InputError(msg)


def _significant(reference: Summary, side: Summary) -> np.ndarray:
    """Tell which genes are significant, without the own ones that the reference's table holds; P x G, boolean."""
    significant = side.de.fdr < ALPHA
    significant[_own_genes(reference, gated=True)] = False
    return significant


def _directions(truth: Summary, prediction: Summary) -> tuple[np.ndarray, np.ndarray]:
    """Tell which genes go up or down in the truth, and which of them do so in the prediction; P x G, boolean."""
    measured, predicted = (np.sign(side.de.log2_fold_change) for side in (truth, prediction))
    up_or_down = np.abs(measured) == 1  # not 0, not NaN
    return up_or_down, up_or_down & (measured == predicted)


def _spread(profiles: np.ndarray, weights: np.ndarray, rows: np.ndarray, own: np.ndarray) -> float:
    """Weighted squared deviation of P x G profiles from their weighted mean, own genes out, summed over the genes."""
    kept = np.ones(profiles.shape, dtype=bool)
    kept[rows, own] = False
    total, n = weights @ np.where(kept, profiles, 0), weights @ kept
    mean = np.divide(total, n, out=np.zeros_like(total), where=n > 0)
    deviation = np.where(kept, profiles - mean, 0)
    return float((weights @ deviation**2).sum())


def _finite_or_zero(x: np.ndarray) -> np.ndarray:
    return np.where(np.isfinite(x), x, 0)
