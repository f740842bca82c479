"""Whether predicted and measured effects go the same way."""

from functools import partial
from typing import Literal

import numpy as np
import scipy.stats

from starter.scoring.screens.summary import Reference, Summary, needed

ROUNDING = 3e-5
"""Spread of an effect, in log1p expression, that float32 rounding alone can make (a mean of 2,000 profiles)."""
TOP = 20
"""Genes of the correlations over the most changed genes."""
LOGFC_OFFSET = 0.1
"""PerturBench's, added to a mean of log1p expression before its logarithm."""
MASKED_FDR, MASKED_LOG2_FOLD_CHANGE, MASKED_GENES = 1e-4, 1.0, 10
"""cz-benchmarks' filter: a gene counts below this FDR, from this fold change; a perturbation from so many genes."""


def pearson_delta(truth: Summary, prediction: Summary) -> np.ndarray:
    """Pearson correlation over all genes of predicted and measured effect, each against its own control.

    Returns
    -------
    One value a perturbation in [-1, 1]; NaN where an effect is the same for every gene.
    """
    measured, predicted = (_centred(side.effects()) for side in (truth, prediction))
    length = np.sqrt((measured**2).sum(axis=1) * (predicted**2).sum(axis=1))
    return np.divide((measured * predicted).sum(axis=1), length, out=np.full(len(length), np.nan), where=length > 0)


def pearson_delta_or_zero(truth: Summary, prediction: Summary) -> np.ndarray:
    """`pearson_delta`, with 0 where an effect is the same for every gene: it tells nothing.

    Returns
    -------
    One value a perturbation in [-1, 1].
    """
    constant = np.any([np.ptp(side.effects(), axis=1) <= ROUNDING for side in (truth, prediction)], axis=0)
    return np.where(constant, 0.0, pearson_delta(truth, prediction))


def pearson_delta_train_mean(truth: Reference, prediction: Summary) -> np.ndarray:
    """Pearson correlation over all genes of predicted and measured profile, each minus the train mean.

    What all perturbations share is taken away, which is all that the train mean predicts. The Pearson delta of Systema
    with the perturbed reference, Viñas Torné et al. (2025), Nature Biotechnology.

    Parameters
    ----------
    truth, prediction
        Summaries of the same perturbations and genes; truth has the train mean.

    Returns
    -------
    One value a perturbation in [-1, 1]; 0 where a difference is the same for every gene but for rounding, as that of
    the train mean itself is.
    """
    everything = np.ones(truth.profiles.shape, dtype=bool)
    return _pearson(*_shifts(truth, prediction, needed(truth.train_mean, "the train mean")), everything)


def weighted_r2(truth: Reference, prediction: Summary) -> np.ndarray:
    """Share of the measured difference from the train mean that the prediction explains, by gene weight.

    1 - sum_g w_g (D_g - Dh_g)^2 / sum_g w_g (D_g - mean_w D)^2, where D and Dh are measured and predicted profile minus
    the train mean and w are the truth's weights: sklearn's r2_score with sample_weight. Mejia et al. (2025), "Diversity
    by design", arXiv:2506.22641.

    Parameters
    ----------
    truth, prediction
        Summaries of the same perturbations and genes; truth has the train mean and weights.

    Returns
    -------
    One value a perturbation, at most 1 and without lower bound; 0 or less for the train mean. Where the measured
    difference is the same for every gene that has weight there is nothing to explain: 1 for the right prediction, else
    0, as sklearn has it.
    """
    measured, predicted = _shifts(truth, prediction, needed(truth.train_mean, "the train mean"))
    weights = np.asarray(truth.weights, dtype=float)
    residual = (weights * (measured - predicted) ** 2).sum(axis=1)
    centre = (weights * measured).sum(axis=1, keepdims=True)
    spread = (weights * (measured - centre) ** 2).sum(axis=1)
    unexplained = np.where(residual <= ROUNDING**2, 0.0, 1.0)
    return 1 - np.divide(residual, spread, out=unexplained, where=~(spread <= ROUNDING**2))


def pearson_over(
    truth: Reference,
    prediction: Summary,
    *,
    minus_control: bool,
    top: Literal["t_test", "wilcoxon"] | None = None,
    with_target: bool = True,
) -> np.ndarray:
    """Pearson correlation of predicted and measured profile, or effect, over all genes or the most changed ones.

    The metrics of Csendes et al. (2025), BMC Genomics 26:393, after scGPT: "Pearson", "Pearson delta", "Pearson delta
    DE" and "Pearson delta without target genes" (as in their code, the target is dropped first, and 20 genes are taken
    of the rest). Both effects are taken against the measured control profile, as there.

    Parameters
    ----------
    truth, prediction
        Summaries of the same perturbations and genes; truth has t scores if they are asked for.
    minus_control
        Correlate effects, not profiles.
    top
        Only the 20 genes that change most by this test of the measured cells, in either direction; default: all. By
        Welch's t score, or by the Wilcoxon p of the DE table (corrected for ties, which scanpy's default is not; where
        p is equal, as 0 is, the larger effect comes first).
    with_target
        Keep the perturbation's own target, or both targets of A+B.

    Returns
    -------
    One value a perturbation in [-1, 1]; 0 where a side is the same for every gene, or fewer than two genes are left.
    """
    genes = np.ones(truth.profiles.shape, dtype=bool)
    if not with_target:
        genes = ~truth.own_targets()
    if top == "t_test":
        genes = _first(truth.genes_by_t_score, genes)
    elif top == "wilcoxon":
        genes = _first(truth.genes_by_p_value, genes)
    return _pearson(*_shifts(truth, prediction, truth.control if minus_control else 0.0), genes)


pearson = partial(pearson_over, minus_control=False)
"""Profiles, all genes."""
pearson_without_target = partial(pearson_over, minus_control=False, with_target=False)
pearson_top20_t_test = partial(pearson_over, minus_control=False, top="t_test")
pearson_top20_t_test_without_target = partial(pearson_over, minus_control=False, top="t_test", with_target=False)
pearson_top20_wilcoxon = partial(pearson_over, minus_control=False, top="wilcoxon")
pearson_top20_wilcoxon_without_target = partial(pearson_over, minus_control=False, top="wilcoxon", with_target=False)

pearson_delta_without_target = partial(pearson_over, minus_control=True, with_target=False)
"""Effects, all genes; with the target it is `pearson_delta_or_zero`."""
pearson_delta_top20_t_test = partial(pearson_over, minus_control=True, top="t_test")
pearson_delta_top20_t_test_without_target = partial(pearson_over, minus_control=True, top="t_test", with_target=False)
pearson_delta_top20_wilcoxon = partial(pearson_over, minus_control=True, top="wilcoxon")
pearson_delta_top20_wilcoxon_without_target = partial(
    pearson_over, minus_control=True, top="wilcoxon", with_target=False
)


def cosine_logfc(truth: Reference, prediction: Summary) -> np.ndarray:
    """Cosine of predicted and measured log2 fold changes over all genes.

    A fold change is log2(mean + 0.1) - log2(control mean + 0.1) of means of log1p expression, against the measured
    control profile; the cosine also sees a shift that all genes share, which a correlation does not. PerturBench, Wu et
    al. (2024), arXiv:2408.10609.

    Returns
    -------
    One value a perturbation in [-1, 1]; 0 where a side does not differ from the control profile.
    """
    control = truth.control.astype(float)
    measured, predicted = (
        np.where(_unchanged(side, truth), 0.0, np.log2((side.profiles + LOGFC_OFFSET) / (control + LOGFC_OFFSET)))
        for side in (truth, prediction)
    )
    length = np.sqrt((measured**2).sum(axis=1) * (predicted**2).sum(axis=1))
    return np.divide((measured * predicted).sum(axis=1), length, out=np.zeros(len(length)), where=length != 0)


def masked_spearman(truth: Reference, prediction: Summary) -> np.ndarray:
    """Spearman correlation of predicted and measured fold changes over the clearly differentially expressed genes.

    The masked-gene score of cz-benchmarks 0.15 (Chan Zuckerberg Initiative): genes with FDR < 1e-4 and |log2 fold
    change| >= 1 in the measured DE table, if there are 10 or more. cz-benchmarks hides a random half of them from a
    model that sees the cell's other genes; here the whole perturbation is hidden, so all of them count. Fold changes on
    both sides are its "ratio", log((mean + 1e-8) / (control mean + 1e-8)), of expm1(mean log1p expression) as in the DE
    table, against the measured control profile, so that a perfect prediction scores 1.

    Returns
    -------
    One value a perturbation in [-1, 1]; NaN where fewer than 10 genes pass; 0 where all predicted changes are equal, as
    those of the control profile are.
    """
    genes = (truth.de.fdr < MASKED_FDR) & (np.abs(truth.de.log2_fold_change) >= MASKED_LOG2_FOLD_CHANGE)
    natural = np.expm1(truth.control.astype(float)) + 1e-8
    measured, predicted = (
        np.where(_unchanged(side, truth), 0.0, np.log((np.expm1(side.profiles.astype(float)) + 1e-8) / natural))
        for side in (truth, prediction)
    )
    values = np.full(len(genes), np.nan)
    for row in np.flatnonzero(genes.sum(axis=1) >= MASKED_GENES):
        pair = np.stack([side[row, genes[row]] for side in (measured, predicted)])
        constant = np.ptp(pair, axis=1).min() <= ROUNDING
        values[row] = 0.0 if constant else scipy.stats.spearmanr(*pair).statistic
    return values


def _unchanged(side: Summary, truth: Summary) -> np.ndarray:
    return np.abs(side.profiles.astype(float) - truth.control) <= ROUNDING


def _shifts(truth: Summary, prediction: Summary, reference: np.ndarray | float) -> tuple[np.ndarray, np.ndarray]:
    return truth.profiles.astype(float) - reference, prediction.profiles.astype(float) - reference


def _first(order: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Mark the first 20 genes of each row's order that are among some, in a boolean array."""
    genes = np.zeros(order.shape, dtype=bool)
    for row, (of_row, allowed) in enumerate(zip(order, among, strict=True)):
        genes[row, of_row[allowed[of_row]][:TOP]] = True
    return genes


def _pearson(measured: np.ndarray, predicted: np.ndarray, genes: np.ndarray) -> np.ndarray:
    """Correlate row by row over the marked genes; 0 where a row tells nothing."""
    values = np.zeros(len(genes))
    for row, kept in enumerate(genes):
        pair = np.stack([measured[row, kept], predicted[row, kept]])
        if pair.shape[1] > 1 and not np.ptp(pair, axis=1).min() <= ROUNDING:  # NaN is not constant
            values[row] = np.corrcoef(pair)[0, 1]
    return values


def _centred(effects: np.ndarray) -> np.ndarray:
    centred = effects - effects.mean(axis=1, keepdims=True, dtype=float)
    centred[np.ptp(effects, axis=1) == 0] = 0
    return centred
