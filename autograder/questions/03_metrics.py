"""Notebook 03: the four scores of the challenge, how sure they are, and what gives a trick away."""

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd
import scipy.spatial.distance
import scipy.stats

from autograder.questions import Mistake, Question
from starter.answers import Function
from starter.check import Close

WITHOUT = ("starter.metrics",)
"""What the students write here is there."""
STEP = 1 / 64
"""Inputs of scores with ties are multiples of it, so that sums are exact in any order."""
TARGETS = ("GENEA", "GENEB", "GENEC", "GENED", "GENEE", "GENEF", "GENEG", "GENEH")


def _profiles(rng: np.random.Generator) -> list[dict[str, object]]:
    """Give measured and predicted profiles, errors of either sign."""
    cases = []
    for n_perturbations, n_genes in ((4, 7), (3, 11), (6, 5)):
        measured = rng.gamma(2.0, 0.6, (n_perturbations, n_genes))
        predicted = np.maximum(measured + rng.normal(0, 0.4, measured.shape), 0)
        cases.append({"measured": measured, "predicted": predicted})
    return cases


def _mae(measured: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    n_genes = measured.shape[1]
    return scipy.spatial.distance.cdist(predicted, measured, "cityblock").diagonal() / n_genes


def _beyond(rng: np.random.Generator) -> list[dict[str, object]]:
    """Give profiles with one reference for all, or one each; one prediction differs from it by a constant."""
    cases = []
    for n_perturbations, n_genes, of_each in ((4, 9, False), (5, 6, True), (3, 13, True)):
        shape = (n_perturbations, n_genes)
        measured, predicted, reference = (np.rint(rng.gamma(3.0, 0.5, shape) / STEP) * STEP for _ in range(3))
        reference = reference if of_each else reference[0]
        constant = int(rng.integers(n_perturbations))
        predicted[constant] = (reference[constant] if of_each else reference) + 4 * STEP
        cases.append({"measured": measured, "predicted": predicted, "reference": reference})
    return cases


def _correlations(measured: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    pairs = zip(measured, predicted, strict=True)
    return np.array([0.0 if np.ptp(y) == 0 else scipy.stats.pearsonr(x, y).statistic for x, y in pairs])


def _pearson_delta(measured: np.ndarray, predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    return _correlations(measured - reference, predicted - reference)


def _of_profiles(measured: np.ndarray, predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    del reference
    return _correlations(measured, predicted)


def _cosines(measured: np.ndarray, predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    pairs = zip(measured - reference, predicted - reference, strict=True)
    return np.array([1 - scipy.spatial.distance.cosine(x, y) for x, y in pairs])


def _undefined(measured: np.ndarray, predicted: np.ndarray, reference: np.ndarray) -> np.ndarray:
    values = _pearson_delta(measured, predicted, reference)
    return np.where(np.ptp(predicted - reference, axis=1) == 0, np.nan, values)


def _effects(rng: np.random.Generator) -> list[dict[str, object]]:
    """Give tables of effects in which own genes are far off, two measured effects are equal, one target is no gene."""
    cases = []
    for n_targets, n_genes in ((6, 9), (5, 7), (8, 12)):
        targets = list(rng.permutation(TARGETS)[:n_targets])
        genes = [*targets[:-1], *(f"GENE{number}" for number in range(n_genes - n_targets + 1))]
        genes = list(rng.permutation(genes))
        measured = rng.normal(0, 0.5, (n_targets, n_genes))
        predicted = measured + rng.normal(0, 1.0, measured.shape)
        tables = [pd.DataFrame(np.rint(x / STEP) * STEP, index=targets, columns=genes) for x in (measured, predicted)]
        for target in targets[:-1]:
            # nobody's prediction of the own gene comes near the measured one
            tables[0].loc[target, target] = -STEP * rng.integers(128, 256)
            tables[1].loc[target, target] = STEP * rng.integers(128, 256)
        first, second = rng.choice(targets, 2, replace=False)
        tables[0].loc[second] = tables[0].loc[first]
        cases.append({"measured": tables[0], "predicted": tables[1]})
    return cases


def _distances(measured: pd.DataFrame, predicted: pd.DataFrame, metric: str = "cityblock") -> np.ndarray:
    rows = []
    for target in measured.index:
        genes = measured.columns.drop(target, errors="ignore")
        rows.append(scipy.spatial.distance.cdist(predicted.loc[[target], genes], measured[genes], metric)[0])
    return np.array(rows)


def _scores(distances: np.ndarray) -> np.ndarray:
    """Rank the right one, whose distance is on the diagonal; equal ones share their rank."""
    ranks = scipy.stats.rankdata(distances, axis=1).diagonal()
    return 1 - (ranks - 1) / (len(distances) - 1)


def _pds(measured: pd.DataFrame, predicted: pd.DataFrame) -> np.ndarray:
    return _scores(_distances(measured, predicted))


def _pds_own_gene(measured: pd.DataFrame, predicted: pd.DataFrame) -> np.ndarray:
    return _scores(scipy.spatial.distance.cdist(predicted, measured, "cityblock"))


def _pds_no_targets(measured: pd.DataFrame, predicted: pd.DataFrame) -> np.ndarray:
    genes = measured.columns.difference(measured.index)
    return _scores(scipy.spatial.distance.cdist(predicted[genes], measured[genes], "cityblock"))


def _pds_without_ties(measured: pd.DataFrame, predicted: pd.DataFrame) -> np.ndarray:
    ranks = scipy.stats.rankdata(_distances(measured, predicted), method="min", axis=1).diagonal()
    return 1 - (ranks - 1) / (len(measured) - 1)


def _pds_over_all(measured: pd.DataFrame, predicted: pd.DataFrame) -> np.ndarray:
    return 1 - (1 - _pds(measured, predicted)) * (len(measured) - 1) / len(measured)


def _pds_squared(measured: pd.DataFrame, predicted: pd.DataFrame) -> np.ndarray:
    return _scores(_distances(measured, predicted, "euclidean"))


def _pds_other_way(measured: pd.DataFrame, predicted: pd.DataFrame) -> np.ndarray:
    return _pds(predicted, measured)


def _pds_as_rank(measured: pd.DataFrame, predicted: pd.DataFrame) -> np.ndarray:
    return 1 - _pds(measured, predicted)


def _de_tables(rng: np.random.Generator) -> list[dict[str, object]]:
    """Give DE tables in which more, fewer or no genes are called than measured, and none where none is measured."""
    cases = []
    for n_genes, n_called in (
        (9, [(4, 7), (5, 2), (3, 0), (0, 4)]),
        (14, [(8, 8), (6, 11), (0, 0), (7, 3), (2, 9)]),
        (11, [(1, 6), (5, 9), (9, 4)]),
    ):
        inputs = {}
        for side, name in enumerate(("measured", "predicted")):
            fdr = rng.uniform(0.06, 1, (len(n_called), n_genes))
            for row, called in enumerate(n_called):
                genes = rng.choice(n_genes, called[side], replace=False)
                fdr[row, genes] = rng.uniform(0.0001, 0.045, len(genes))
            inputs[f"{name}_fdr"] = fdr
            inputs[f"{name}_fold"] = rng.normal(0, 1.5, fdr.shape)
        cases.append(inputs)
    return cases


def _overlap(
    sides: Iterable[np.ndarray],
    *,
    size: Callable[[float], float] = abs,
    below: float = 0.05,
    cut: bool = True,
    none: float = np.nan,
) -> np.ndarray:
    """Compare lists of called genes, in the right or a wrong way."""
    scores = []
    for fdr, _, predicted_fdr, predicted_fold in zip(*sides, strict=True):
        due = set(np.flatnonzero(fdr < 0.05))
        order = sorted(range(len(fdr)), key=[-size(fold) for fold in predicted_fold].__getitem__)
        called = [gene for gene in order if predicted_fdr[gene] < below]
        scores.append(len(due.intersection(called[: len(due)] if cut else called)) / len(due) if due else none)
    return np.array(scores)


def _des(**tables: np.ndarray) -> np.ndarray:
    return _overlap(tables.values())


def _des_signed(**tables: np.ndarray) -> np.ndarray:
    return _overlap(tables.values(), size=float)


def _des_whole_list(**tables: np.ndarray) -> np.ndarray:
    return _overlap(tables.values(), cut=False)


def _des_zero(**tables: np.ndarray) -> np.ndarray:
    return _overlap(tables.values(), none=0.0)


def _des_all_genes(**tables: np.ndarray) -> np.ndarray:
    return _overlap(tables.values(), below=np.inf)


def _des_shorter(**tables: np.ndarray) -> np.ndarray:
    n_called = [(tables[f"{side}_fdr"] < 0.05).sum(axis=1) for side in ("measured", "predicted")]
    with np.errstate(invalid="ignore", divide="ignore"):
        return _des(**tables) * n_called[0] / np.minimum(*n_called)


def _des_swapped(**tables: np.ndarray) -> np.ndarray:
    measured_fdr, measured_fold, predicted_fdr, predicted_fold = tables.values()
    return _overlap((predicted_fdr, predicted_fold, measured_fdr, measured_fold))


def _control_cells(rng: np.random.Generator) -> list[dict[str, object]]:
    """Give control cells with zeros, and profiles with genes up, down and off."""
    cases = []
    for n_cells, n_genes in ((6, 5), (9, 4), (4, 8)):
        counts = rng.poisson(rng.gamma(1.0, 2.0, n_genes), (n_cells, n_genes))
        cells = np.log1p(counts * rng.uniform(0.5, 2, (n_cells, 1)))
        cells[0, :2], cells[1, :2] = 0, rng.uniform(1, 2, 2)
        mean = cells.mean(axis=0)
        profile = np.maximum(mean + rng.normal(0, 0.5, n_genes), 0)
        profile[:2] = mean[0] / 4, mean[1] + 0.6  # one gene down and one up, each with a cell at 0
        cases.append({"profile": profile, "control_cells": cells})
    return cases


def _shifted(profile: np.ndarray, control_cells: np.ndarray) -> np.ndarray:
    return (control_cells + profile - control_cells.mean(axis=0)).clip(min=0)


def _not_clipped(profile: np.ndarray, control_cells: np.ndarray) -> np.ndarray:
    return control_cells + profile - control_cells.mean(axis=0)


def _profile_added(profile: np.ndarray, control_cells: np.ndarray) -> np.ndarray:
    return control_cells + profile


def _over_genes(profile: np.ndarray, control_cells: np.ndarray) -> np.ndarray:
    return (control_cells + profile - control_cells.mean(axis=1, keepdims=True)).clip(min=0)


def _zeros_kept(profile: np.ndarray, control_cells: np.ndarray) -> np.ndarray:
    return np.where(control_cells > 0, _shifted(profile, control_cells), 0)


def _draws(rng: np.random.Generator) -> list[dict[str, object]]:
    """Give skewed scores, and draws of them."""
    cases = []
    for n_perturbations, n_draws in ((7, 53), (12, 90), (25, 64)):
        values = rng.beta(4, 1.5, n_perturbations)
        cases.append({"values": values, "draws": rng.integers(0, n_perturbations, (n_draws, n_perturbations))})
    return cases


def _means(values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return np.array([values[list(draw)].sum() / len(draw) for draw in draws])


def _interval(values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return np.quantile(_means(values, draws), (0.025, 0.975))


def _ninety(values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return np.quantile(_means(values, draws), (0.05, 0.95))


def _of_a_hundred(values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return np.percentile(_means(values, draws), (0.025, 0.975))


def _of_values(values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return np.quantile(values[draws], (0.025, 0.975))


def _normal(values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return values.mean() + 1.96 * np.array([-1, 1]) * _means(values, draws).std()


def _of_columns(values: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return np.quantile(values[draws].mean(axis=0), (0.025, 0.975))


def _ranges(rng: np.random.Generator) -> list[dict[str, object]]:
    """Give scores of which more or less is better, with a baseline that is perfect once and a bad replicate."""
    cases = []
    for n_perturbations, best, higher in ((5, 1.0, True), (8, 0.0, False), (7, 0.0, False), (4, 1.0, True)):
        baseline = rng.uniform(0.2, 0.7, n_perturbations)
        replicate = baseline + (best - baseline) * rng.uniform(0.1, 0.9, n_perturbations)
        replicate[0] = baseline[0] - 2.5 * (best - baseline[0])  # far worse than the baseline
        baseline[1] = best
        cases.append({"baseline": baseline, "replicate": replicate, "best": best, "higher_is_better": higher})
    return cases


def _shares(baseline: np.ndarray, replicate: np.ndarray, best: float, *, higher_is_better: bool) -> np.ndarray:
    errors = [x if not higher_is_better else np.negative(x) for x in (baseline, replicate, best)]
    return (errors[0] - errors[1]) / (errors[0] - errors[2] + 1e-6)


def _dynamic_range(**scores: object) -> float:
    return float(np.quantile(np.minimum(np.maximum(_shares(**scores), -1), 1), 0.5))


def _mean_range(**scores: object) -> float:
    return float(_shares(**scores).clip(-1, 1).mean())


def _mean_not_clipped(**scores: object) -> float:
    return float(_shares(**scores).mean())


def _clipped_last(**scores: object) -> float:
    return float(np.clip(np.median(_shares(**scores)), -1, 1))


def _room_turned(**scores: object) -> float:
    return float(np.median(-_shares(**scores).clip(-1, 1)))


def _always_higher(**scores: object) -> float:
    room = np.abs(scores["best"] - scores["baseline"])
    return float(np.median(((scores["replicate"] - scores["baseline"]) / (room + 1e-6)).clip(-1, 1)))


def _of_means(**scores: object) -> float:
    means = {name: scores[name].mean() for name in ("baseline", "replicate")}
    return float(_shares(**{**scores, **means}).clip(-1, 1))


def _cells(rng: np.random.Generator) -> list[dict[str, object]]:
    """Give cells of several perturbations, numbers of cells unequal, predicted ones less or more varied."""
    cases = []
    for n_genes, width in ((5, 0.4), (8, 1.7), (3, 0.9)):
        n_cells = rng.integers(3, 9, (2, 4))
        level = rng.gamma(2.0, 0.5, (4, n_genes))
        measured = [mean + rng.normal(0, 0.6, (n, n_genes)) for mean, n in zip(level, n_cells[0], strict=True)]
        predicted = [mean + rng.normal(0, 0.6 * width, (n, n_genes)) for mean, n in zip(level, n_cells[1], strict=True)]
        cases.append({"measured": measured, "predicted": predicted})
    return cases


def _spreads(side: list[np.ndarray]) -> np.ndarray:
    return np.array([pd.DataFrame(cells).var().mean() for cells in side])


def _spread_ratio(measured: list[np.ndarray], predicted: list[np.ndarray]) -> float:
    return float(np.median(_spreads(predicted) / _spreads(measured)))


def _ratio_upside_down(measured: list[np.ndarray], predicted: list[np.ndarray]) -> float:
    return _spread_ratio(predicted, measured)


def _deviation_ratio(measured: list[np.ndarray], predicted: list[np.ndarray]) -> float:
    return float(np.median(np.sqrt(_spreads(predicted) / _spreads(measured))))


def _over_n(measured: list[np.ndarray], predicted: list[np.ndarray]) -> float:
    sides = [np.array([cells.var(axis=0).mean() for cells in side]) for side in (predicted, measured)]
    return float(np.median(sides[0] / sides[1]))


def _over_everything(measured: list[np.ndarray], predicted: list[np.ndarray]) -> float:
    sides = [np.array([cells.var(ddof=1) for cells in side]) for side in (predicted, measured)]
    return float(np.median(sides[0] / sides[1]))


def _mean_ratio(measured: list[np.ndarray], predicted: list[np.ndarray]) -> float:
    return float(np.mean(_spreads(predicted) / _spreads(measured)))


QUESTIONS = (
    Question(
        name="mae",
        asks=Function("mae"),
        inputs=_profiles,
        due=_mae,
        mistakes=(
            Mistake("this is one number; average over the genes only (axis=1)", lambda **x: _mae(**x).mean()),
            Mistake(
                "this is one number a gene; average over the genes (axis=1), not over the perturbations",
                lambda measured, predicted: np.abs(predicted - measured).mean(axis=0),
            ),
            Mistake(
                "errors of different sign cancel; take the absolute difference before the mean",
                lambda measured, predicted: np.abs((predicted - measured).mean(axis=1)),
            ),
            Mistake(
                "this is the squared error; take the absolute difference",
                lambda measured, predicted: ((predicted - measured) ** 2).mean(axis=1),
            ),
            Mistake(
                "this is the root of the mean squared error; take the mean of absolute differences",
                lambda measured, predicted: np.sqrt(((predicted - measured) ** 2).mean(axis=1)),
            ),
            Mistake(
                "this is the sum over the genes; take the mean",
                lambda measured, predicted: np.abs(predicted - measured).sum(axis=1),
            ),
        ),
        without=WITHOUT,
    ),
    Question(
        name="pearson_delta",
        asks=Function("pearson_delta"),
        inputs=_beyond,
        due=_pearson_delta,
        mistakes=(
            Mistake(
                "this correlates profiles; subtract the reference from both sides (one of one row: a number a gene)",
                _of_profiles,
            ),
            Mistake("this is a cosine; subtract each row's mean over the genes before you multiply", _cosines),
            Mistake("a difference that is the same for every gene gives nan here; it is to give 0", _undefined),
            Mistake(
                "only the prediction has the reference subtracted; subtract it from the measured side, too",
                lambda measured, predicted, reference: _correlations(measured, predicted - reference),
            ),
        ),
        comparator=Close(rtol=1e-6, atol=1e-9),
        without=WITHOUT,
    ),
    Question(
        name="pds",
        asks=Function("pds"),
        inputs=_effects,
        due=_pds,
        mistakes=(
            Mistake("the target's own gene is in the distances; leave out its column", _pds_own_gene),
            Mistake("all targets' genes are left out; leave out only the own one of each prediction", _pds_no_targets),
            Mistake("effects exactly as far as the right one count half; here they do not count", _pds_without_ties),
            Mistake("the count is divided by all perturbations; divide by the number of the others", _pds_over_all),
            Mistake("this is the Euclidean distance; sum the absolute differences", _pds_squared),
            Mistake(
                "here the predictions are ranked for each measured effect; rank the measured effects for each "
                "prediction",
                _pds_other_way,
            ),
            Mistake("this is the share that is nearer; the score is 1 minus it", _pds_as_rank),
        ),
        without=WITHOUT,
    ),
    Question(
        name="des",
        asks=Function("des"),
        inputs=_de_tables,
        due=_des,
        mistakes=(
            Mistake("genes are ordered by signed fold change; order them by its size", _des_signed),
            Mistake("the predicted list is not cut; only its first n genes count", _des_whole_list),
            Mistake("without a measured gene the score is np.nan; here it is 0", _des_zero),
            Mistake(
                "predicted genes that are not called are in the list; keep those with FDR below .05", _des_all_genes
            ),
            Mistake("this divides by the shorter list; divide by the number of measured genes", _des_shorter),
            Mistake("measured and predicted are swapped; n is the number of measured genes", _des_swapped),
        ),
        without=WITHOUT,
    ),
    Question(
        name="shifted_cells",
        asks=Function("shifted_cells"),
        inputs=_control_cells,
        due=_shifted,
        mistakes=(
            Mistake("some values are below 0; clip them at 0", _not_clipped),
            Mistake(
                "the whole profile is added; add the effect, profile minus mean of the control cells", _profile_added
            ),
            Mistake("the mean is one number a cell; take it over the cells (axis=0)", _over_genes),
            Mistake("zeros of the control cells stayed 0; add the effect to them, too", _zeros_kept),
        ),
        without=WITHOUT,
    ),
    Question(
        name="bootstrap_interval",
        asks=Function("bootstrap_interval"),
        inputs=_draws,
        due=_interval,
        mistakes=(
            Mistake("this is a 90 % interval; 2.5 % of the means lie below it and 2.5 % above", _ninety),
            Mistake("percentiles are out of 100: 2.5 and 97.5 (np.quantile takes .025 and .975)", _of_a_hundred),
            Mistake("this is the spread of the scores; take the mean of each draw first", _of_values),
            Mistake("this is mean and standard deviation; take percentiles of the draws' means", _normal),
            Mistake("the mean is over the draws; take it over the perturbations of each draw (axis=1)", _of_columns),
        ),
        without=WITHOUT,
    ),
    Question(
        name="dynamic_range",
        asks=Function("dynamic_range"),
        inputs=_ranges,
        due=_dynamic_range,
        mistakes=(
            Mistake("this is the mean; take the median over the perturbations", _mean_range),
            Mistake(
                "this is the mean of shares that are not clipped; clip to [-1, 1], take the median", _mean_not_clipped
            ),
            Mistake("clip each perturbation's share to [-1, 1] before you take the median", _clipped_last),
            Mistake("gain and room have different signs; perfection is better than the baseline", _room_turned),
            Mistake("where lower is better, the gain is baseline minus replicate", _always_higher),
            Mistake("take the share of each perturbation first, then the median; not that of the means", _of_means),
        ),
        without=WITHOUT,
    ),
    Question(
        name="spread_ratio",
        asks=Function("spread_ratio"),
        inputs=_cells,
        due=_spread_ratio,
        mistakes=(
            Mistake("the ratio is upside down; divide predicted by measured variance", _ratio_upside_down),
            Mistake("this compares standard deviations; take variances", _deviation_ratio),
            Mistake("the variance divides by n here; divide by n - 1 (ddof=1)", _over_n),
            Mistake("differences between genes are in the variance; take it over the cells (axis=0)", _over_everything),
            Mistake("this is the mean over perturbations; take the median", _mean_ratio),
        ),
        without=WITHOUT,
    ),
)
