"""Notebook 04: what a model must beat."""

import numpy as np
import pandas as pd
import scipy.sparse
import scipy.stats
from sklearn.linear_model import Ridge
from sklearn.neighbors import KNeighborsRegressor

from autograder.questions import Mistake, Question
from starter.answers import Function
from starter.schema import CONTROL

HIDDEN = (
    "starter.anchors",
    "starter.baselines",
    "starter.features",
    "starter.graphs",
    "starter.heterogeneity",
    "starter.intervals",
    "starter.tuning",
)
"""What would answer for the student. The same for every question, so that the notebook runs once."""


# one answer for all


def _screens(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three small screens: sparse, with unequal numbers of cells, the control among the labels in any order."""
    cases = []
    for n_genes, names in ((7, "ABC"), (11, "PQRST"), (5, "XY")):
        labels = [CONTROL] * int(rng.integers(9, 15))
        for name in names:
            labels += [f"GENE{name}"] * int(rng.integers(2, 9))
        target_gene = rng.permutation(np.array(labels))
        level = {label: rng.gamma(2.0, 1.0, n_genes) for label in sorted(set(labels))}
        mean = np.array([level[label] for label in target_gene])
        expression = np.log1p(rng.poisson(mean)).astype(np.float32)
        cases.append({"expression": scipy.sparse.csr_matrix(expression), "target_gene": target_gene})
    return cases


def _profiles(expression: scipy.sparse.csr_matrix, target_gene: np.ndarray) -> dict[str, np.ndarray]:
    labels = np.asarray(target_gene)
    return {str(label): np.asarray(expression[labels == label].mean(axis=0)).ravel() for label in np.unique(labels)}


def _train_mean(expression: scipy.sparse.csr_matrix, target_gene: np.ndarray) -> np.ndarray:
    profiles = _profiles(expression, target_gene)
    return np.mean([profile for label, profile in profiles.items() if label != CONTROL], axis=0)


def _with_control(expression: scipy.sparse.csr_matrix, target_gene: np.ndarray) -> np.ndarray:
    return np.mean(list(_profiles(expression, target_gene).values()), axis=0)


def _over_cells(expression: scipy.sparse.csr_matrix, target_gene: np.ndarray) -> np.ndarray:
    return np.asarray(expression[np.asarray(target_gene) != CONTROL].mean(axis=0)).ravel()


def _over_all_cells(expression: scipy.sparse.csr_matrix, target_gene: np.ndarray) -> np.ndarray:
    del target_gene
    return np.asarray(expression.mean(axis=0)).ravel()


def _control_mean(expression: scipy.sparse.csr_matrix, target_gene: np.ndarray) -> np.ndarray:
    return _profiles(expression, target_gene)[CONTROL]


def _effect(expression: scipy.sparse.csr_matrix, target_gene: np.ndarray) -> np.ndarray:
    return _train_mean(expression, target_gene) - _control_mean(expression, target_gene)


def _as_matrix(expression: scipy.sparse.csr_matrix, target_gene: np.ndarray) -> np.ndarray:
    return _train_mean(expression, target_gene)[None]


# how alike effects are


def _effects(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three tables of effects with a shared part, an offset that a cosine would see, and strengths of their own."""
    cases = []
    for n, n_genes in ((6, 17), (9, 23), (5, 31)):
        common = rng.normal(size=n_genes)
        values = (
            rng.uniform(0.2, 1.6, (n, 1)) * common + rng.gamma(1.0, 1.0, (n, n_genes)) + rng.uniform(0, 1.5, (n, 1))
        )
        names = [f"GENE{letter}" for letter in "ABCDEFGHI"[:n]]
        genes = [f"G{number}" for number in range(n_genes)]
        cases.append({"effects": pd.DataFrame(values, index=names, columns=genes)})
    return cases


def _pairs(effects: pd.DataFrame) -> list[float]:
    rows = effects.to_numpy()
    return [scipy.stats.pearsonr(rows[i], rows[j])[0] for i in range(len(rows)) for j in range(i)]


def _heterogeneity(effects: pd.DataFrame) -> float:
    return float(np.median(_pairs(effects)))


def _cosines(effects: pd.DataFrame) -> float:
    unit = effects.to_numpy() / np.linalg.norm(effects, axis=1, keepdims=True)
    return float(np.median((unit @ unit.T)[np.triu_indices(len(unit), 1)]))


# folds


def _dealt(rng: np.random.Generator) -> list[dict[str, object]]:
    """Effects with folds of unequal sizes, in mixed order; a fold's number is not its place."""
    cases = []
    for sizes, n_genes in (((3, 1, 2), 5), ((2, 4), 7), ((1, 3, 2, 5), 4)):
        fold = rng.permutation(np.repeat(np.arange(len(sizes))[::-1], sizes))
        cases.append({"effects": rng.normal(0.2, 1.0, (len(fold), n_genes)), "fold": fold})
    return cases


def _mean_where(effects: np.ndarray, learned: np.ndarray) -> np.ndarray:
    """Average for each perturbation the effects that are learned from, perturbations x perturbations."""
    return learned @ effects / learned.sum(axis=1, keepdims=True)


def _out_of_fold(effects: np.ndarray, fold: np.ndarray) -> np.ndarray:
    return _mean_where(effects, np.not_equal.outer(fold, fold).astype(float))


def _in_sample(effects: np.ndarray, fold: np.ndarray) -> np.ndarray:
    return _mean_where(effects, np.ones((len(fold), len(fold))))


def _own_fold(effects: np.ndarray, fold: np.ndarray) -> np.ndarray:
    return _mean_where(effects, np.equal.outer(fold, fold).astype(float))


def _all_but_itself(effects: np.ndarray, fold: np.ndarray) -> np.ndarray:
    return _mean_where(effects, 1 - np.eye(len(fold)))


def _mean_of_folds(effects: np.ndarray, fold: np.ndarray) -> np.ndarray:
    means = pd.DataFrame(effects).groupby(np.asarray(fold)).mean()
    return np.array([means.drop(index=own).mean() for own in fold])


# features to effects


def _regressions(rng: np.random.Generator, setting: str, values: tuple[float, ...]) -> list[dict[str, object]]:
    """Three small regressions with features of unequal lengths that do not centre at 0."""
    cases = []
    for (n, m, n_features, n_genes), value in zip(((9, 4, 3, 5), (14, 3, 5, 7), (8, 5, 2, 4)), values, strict=True):
        features = rng.normal(0.7, 1.0, (n, n_features)) * rng.uniform(0.5, 3.0, (n, 1))
        effects = features @ rng.normal(size=(n_features, n_genes)) + rng.normal(0.4, 0.5, (n, n_genes))
        wanted = rng.normal(0.7, 1.0, (m, n_features))
        cases.append({"features": features, "effects": effects, "wanted": wanted, setting: value})
    return cases


def _neighbourhoods(rng: np.random.Generator) -> list[dict[str, object]]:
    return _regressions(rng, "k", (3, 4, 2))


def _knn(features: np.ndarray, effects: np.ndarray, wanted: np.ndarray, k: int, metric: str = "cosine") -> np.ndarray:
    return KNeighborsRegressor(k, metric=metric).fit(features, effects).predict(wanted)


def _euclidean(features: np.ndarray, effects: np.ndarray, wanted: np.ndarray, k: int) -> np.ndarray:
    return _knn(features, effects, wanted, k, "euclidean")


def _longest(features: np.ndarray, effects: np.ndarray, wanted: np.ndarray, k: int) -> np.ndarray:
    return np.array([effects[np.argsort(-(features @ row))[:k]].mean(axis=0) for row in wanted])


def _farthest(features: np.ndarray, effects: np.ndarray, wanted: np.ndarray, k: int) -> np.ndarray:
    return _knn(-features, effects, wanted, k)


def _one_more(features: np.ndarray, effects: np.ndarray, wanted: np.ndarray, k: int) -> np.ndarray:
    return _knn(features, effects, wanted, k + 1)


def _sum_of_nearest(features: np.ndarray, effects: np.ndarray, wanted: np.ndarray, k: int) -> np.ndarray:
    return k * _knn(features, effects, wanted, k)


def _penalties(rng: np.random.Generator) -> list[dict[str, object]]:
    return _regressions(rng, "penalty", (0.7, 3.0, 12.5))


def _ridge(features: np.ndarray, effects: np.ndarray, wanted: np.ndarray, penalty: float) -> np.ndarray:
    return Ridge(alpha=penalty).fit(features, effects).predict(wanted)


def _not_centred(features: np.ndarray, effects: np.ndarray, wanted: np.ndarray, penalty: float) -> np.ndarray:
    return Ridge(alpha=penalty, fit_intercept=False).fit(features, effects).predict(wanted)


def _unpenalised(features: np.ndarray, effects: np.ndarray, wanted: np.ndarray, penalty: float) -> np.ndarray:
    return _ridge(features, effects, wanted, 0.0)


def _penalty_everywhere(features: np.ndarray, effects: np.ndarray, wanted: np.ndarray, penalty: float) -> np.ndarray:
    x, mean = features - features.mean(axis=0), effects.mean(axis=0)
    return mean + (wanted - features.mean(axis=0)) @ np.linalg.solve(x.T @ x + penalty, x.T @ (effects - mean))


def _without_mean(features: np.ndarray, effects: np.ndarray, wanted: np.ndarray, penalty: float) -> np.ndarray:
    return _ridge(features, effects, wanted, penalty) - effects.mean(axis=0)


def _wanted_not_centred(features: np.ndarray, effects: np.ndarray, wanted: np.ndarray, penalty: float) -> np.ndarray:
    return Ridge(alpha=penalty).fit(features - features.mean(axis=0), effects).predict(wanted)


def _wanted_by_itself(features: np.ndarray, effects: np.ndarray, wanted: np.ndarray, penalty: float) -> np.ndarray:
    fitted = Ridge(alpha=penalty).fit(features - features.mean(axis=0), effects)
    return fitted.predict(wanted - wanted.mean(axis=0))


# features on both sides


def _bilinear_inputs(rng: np.random.Generator) -> list[dict[str, object]]:
    cases = _regressions(rng, "penalty", (0.3, 1.5, 0.1))
    for case, n in zip(cases, (2, 4, 3), strict=True):
        case["genes"] = rng.normal(0.3, 1.0, (case["effects"].shape[1], n))
    order = ("features", "effects", "genes", "wanted", "penalty")
    return [{name: case[name] for name in order} for case in cases]


def _bilinear(
    features: np.ndarray, effects: np.ndarray, genes: np.ndarray, wanted: np.ndarray, penalty: float
) -> np.ndarray:
    """Solve the formula of Ahlmann-Eltze et al. (2025) as one linear system: vec(W) by Kronecker products."""
    p, g, b = features, genes, effects.mean(axis=0)
    left = p.T @ p + penalty * np.eye(p.shape[1])
    right = g.T @ g + penalty * np.eye(g.shape[1])
    w = np.linalg.solve(np.kron(left, right), (p.T @ (effects - b) @ g).ravel()).reshape(p.shape[1], -1)
    return b + wanted @ w @ g.T


def _one_side(
    features: np.ndarray, effects: np.ndarray, genes: np.ndarray, wanted: np.ndarray, penalty: float
) -> np.ndarray:
    return effects.mean(axis=0) + _without_mean_both(features, effects, np.eye(len(genes)), wanted, penalty, 0.0)


def _without_mean_both(
    features: np.ndarray,
    effects: np.ndarray,
    genes: np.ndarray,
    wanted: np.ndarray,
    penalty: float,
    penalty_of_genes: float | None = None,
) -> np.ndarray:
    of_genes = penalty if penalty_of_genes is None else penalty_of_genes
    rest = effects - effects.mean(axis=0)
    w = np.linalg.inv(features.T @ features + penalty * np.eye(features.shape[1])) @ features.T @ rest
    return wanted @ w @ genes @ np.linalg.inv(genes.T @ genes + of_genes * np.eye(genes.shape[1])) @ genes.T


def _penalty_on_targets_only(
    features: np.ndarray, effects: np.ndarray, genes: np.ndarray, wanted: np.ndarray, penalty: float
) -> np.ndarray:
    return effects.mean(axis=0) + _without_mean_both(features, effects, genes, wanted, penalty, 0.0)


def _effects_not_centred(
    features: np.ndarray, effects: np.ndarray, genes: np.ndarray, wanted: np.ndarray, penalty: float
) -> np.ndarray:
    p, g = features, genes
    w = np.linalg.inv(p.T @ p + penalty * np.eye(p.shape[1])) @ p.T @ effects @ g
    return effects.mean(axis=0) + wanted @ w @ np.linalg.inv(g.T @ g + penalty * np.eye(g.shape[1])) @ g.T


def _features_centred(
    features: np.ndarray, effects: np.ndarray, genes: np.ndarray, wanted: np.ndarray, penalty: float
) -> np.ndarray:
    mean = features.mean(axis=0)
    return _bilinear(features - mean, effects, genes, wanted - mean, penalty)


# what features know


def _embeddings(rng: np.random.Generator) -> list[dict[str, object]]:
    """Features with a pathway in them and a common part that also genes outside have; orders to shuffle genes."""
    cases = []
    for n, n_features, k, n_orders in ((11, 6, 4, 3), (17, 8, 5, 6), (9, 12, 3, 2)):
        members = np.sort(rng.choice(n, k, replace=False))
        features = rng.normal(size=(n, n_features)) + 0.8 * rng.normal(size=n_features)
        features[members] += 1.2 * rng.normal(size=n_features)
        orders = np.array([rng.permutation(n) for _ in range(n_orders)])
        cases.append({"features": features, "members": members, "orders": orders})
    return cases


def _mean_pair(rows: np.ndarray) -> float:
    return float(np.mean([scipy.stats.pearsonr(rows[i], rows[j])[0] for i in range(len(rows)) for j in range(i)]))


def _pathway_gain(features: np.ndarray, members: np.ndarray, orders: np.ndarray) -> float:
    return _mean_pair(features[members]) - float(np.mean([_mean_pair(features[order[members]]) for order in orders]))


def _without_chance(features: np.ndarray, members: np.ndarray, orders: np.ndarray) -> float:
    return _mean_pair(features[members])


def _with_itself(features: np.ndarray, members: np.ndarray, orders: np.ndarray) -> float:
    by_chance = [np.corrcoef(features[order[members]]).mean() for order in orders]
    return float(np.corrcoef(features[members]).mean() - np.mean(by_chance))


def _one_order(features: np.ndarray, members: np.ndarray, orders: np.ndarray) -> float:
    return _pathway_gain(features, members, orders[:1])


def _between_columns(features: np.ndarray, members: np.ndarray, orders: np.ndarray) -> float:
    by_chance = [_mean_pair(features[order[members]].T) for order in orders]
    return _mean_pair(features[members].T) - float(np.mean(by_chance))


def _chance_less_pathway(features: np.ndarray, members: np.ndarray, orders: np.ndarray) -> float:
    return -_pathway_gain(features, members, orders)


# how sure a difference is


def _scores(rng: np.random.Generator) -> list[dict[str, object]]:
    """Scores of two models that go up and down together, and numbers of perturbations to draw."""
    cases = []
    for n, n_draws in ((12, 40), (15, 61), (11, 83)):
        hard = rng.uniform(0, 0.6, n)
        baseline = hard + rng.normal(0, 0.05, n)
        model = hard + rng.gamma(1.0, 0.08, n)
        draws = rng.integers(0, n, (n_draws, n))
        cases.append({"model": model, "baseline": baseline, "draws": draws})
    return cases


def _difference(model: np.ndarray, baseline: np.ndarray, draws: np.ndarray) -> np.ndarray:
    means = sorted(float(np.mean([model[i] - baseline[i] for i in draw])) for draw in draws)
    low, high = np.quantile(means, (0.025, 0.975))
    return np.array([np.mean(model) - np.mean(baseline), low, high])


def _unpaired(model: np.ndarray, baseline: np.ndarray, draws: np.ndarray) -> np.ndarray:
    means = model[draws].mean(axis=1) - baseline[draws[::-1]].mean(axis=1)
    return np.array([model.mean() - baseline.mean(), *np.percentile(means, [2.5, 97.5])])


def _mean_of_draws(model: np.ndarray, baseline: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return np.array([(model - baseline)[draws].mean(), *_difference(model, baseline, draws)[1:]])


def _ends_apart(model: np.ndarray, baseline: np.ndarray, draws: np.ndarray) -> np.ndarray:
    ends = [np.percentile(scores[draws].mean(axis=1), [2.5, 97.5]) for scores in (model, baseline)]
    return np.array([model.mean() - baseline.mean(), *(ends[0] - ends[1])])


def _spread(model: np.ndarray, baseline: np.ndarray, draws: np.ndarray) -> np.ndarray:
    gain = model - baseline
    return np.array([gain.mean(), *np.percentile(gain, [2.5, 97.5])])


def _ninety(model: np.ndarray, baseline: np.ndarray, draws: np.ndarray) -> np.ndarray:
    gain = model - baseline
    return np.array([gain.mean(), *np.percentile(gain[draws].mean(axis=1), [5, 95])])


def _wrong_way(model: np.ndarray, baseline: np.ndarray, draws: np.ndarray) -> np.ndarray:
    return _difference(baseline, model, draws)


QUESTIONS = (
    Question(
        name="train_mean",
        asks=Function("train_mean"),
        inputs=_screens,
        due=_train_mean,
        mistakes=(
            Mistake("the control cells count as a perturbation; leave 'non-targeting' out", _with_control),
            Mistake(
                "this is the mean over cells, so large perturbations weigh more; average the profiles", _over_cells
            ),
            Mistake(
                "this is the mean over all cells, controls included; average the perturbations' profiles",
                _over_all_cells,
            ),
            Mistake("this is the mean of the control cells", _control_mean),
            Mistake("this is an effect; do not subtract the control", _effect),
            Mistake(
                "the mean of a sparse matrix has two dimensions; make it flat with np.asarray(...).ravel()",
                _as_matrix,
                credit=0.5,
            ),
        ),
        without=HIDDEN,
    ),
    Question(
        name="heterogeneity",
        asks=Function("heterogeneity"),
        inputs=_effects,
        due=_heterogeneity,
        mistakes=(
            Mistake(
                "every effect is compared with itself too, which gives 1; take each pair once, np.triu_indices(n, k=1)",
                lambda effects: float(np.median(np.corrcoef(effects))),
            ),
            Mistake(
                "this is the mean of the correlations; take the median", lambda effects: float(np.mean(_pairs(effects)))
            ),
            Mistake(
                "these are correlations of genes; the rows of the table are what you compare",
                lambda effects: _heterogeneity(effects.T),
            ),
            Mistake("this is a cosine; Pearson's correlation takes each effect's mean off first", _cosines),
        ),
        without=HIDDEN,
    ),
    Question(
        name="out_of_fold",
        asks=Function("out_of_fold"),
        inputs=_dealt,
        due=_out_of_fold,
        mistakes=(
            Mistake("the hidden fold is in the mean; learn from the other folds alone", _in_sample),
            Mistake("this is the mean of the fold itself; learn from the other folds", _own_fold),
            Mistake("only the perturbation itself is left out; leave its whole fold out", _all_but_itself),
            Mistake("this averages the folds' means; let each perturbation count once", _mean_of_folds),
        ),
        without=HIDDEN,
    ),
    Question(
        name="knn",
        asks=Function("knn"),
        inputs=_neighbourhoods,
        due=_knn,
        mistakes=(
            Mistake("these are the nearest by Euclidean distance; compare directions (cosine)", _euclidean),
            Mistake("long rows win here; divide each row of features by its length first", _longest),
            Mistake("these are the k least alike; sort from the most alike", _farthest),
            Mistake("this is the mean of k + 1 effects; take k", _one_more),
            Mistake("this is the sum of the effects; take their mean", _sum_of_nearest),
        ),
        without=HIDDEN,
    ),
    Question(
        name="ridge",
        asks=Function("ridge"),
        inputs=_penalties,
        due=_ridge,
        mistakes=(
            Mistake("take the means of features and effects off before you solve", _not_centred),
            Mistake("the penalty is missing: add it to the diagonal of X'X", _unpenalised),
            Mistake(
                "the penalty is added to every entry of X'X; only its diagonal gets it (np.eye)", _penalty_everywhere
            ),
            Mistake("the mean effect is missing; add it back at the end", _without_mean),
            Mistake("take the mean of the training features off `wanted` too", _wanted_not_centred),
            Mistake("`wanted` was centred by its own mean; use that of the training features", _wanted_by_itself),
        ),
        without=HIDDEN,
    ),
    Question(
        name="bilinear",
        asks=Function("bilinear"),
        inputs=_bilinear_inputs,
        due=_bilinear,
        mistakes=(
            Mistake("the mean effect b is missing; add it back at the end", _without_mean_both),
            Mistake("only the targets have features here; map through the genes' features too", _one_side),
            Mistake("the penalty is missing on the genes' side", _penalty_on_targets_only),
            Mistake("take the mean effect b off the effects before you solve", _effects_not_centred),
            Mistake("this model does not centre the features; take off the mean effect only", _features_centred),
        ),
        without=HIDDEN,
    ),
    Question(
        name="pathway_gain",
        asks=Function("pathway_gain"),
        inputs=_embeddings,
        due=_pathway_gain,
        mistakes=(
            Mistake("chance is missing: subtract what shuffled genes give", _without_chance),
            Mistake("every gene is compared with itself too, which gives 1; take each pair once", _with_itself),
            Mistake("only one order was tried; average over all of `orders`", _one_order),
            Mistake("these are correlations of columns; a gene is a row", _between_columns),
            Mistake("the sign is turned round: the pathway's correlation less that of chance", _chance_less_pathway),
        ),
        without=HIDDEN,
    ),
    Question(
        name="difference",
        asks=Function("difference"),
        inputs=_scores,
        due=_difference,
        mistakes=(
            Mistake(
                "model and baseline were drawn apart; draw their differences, so that pairs stay together", _unpaired
            ),
            Mistake("this subtracts the ends of two intervals; bootstrap the differences themselves", _ends_apart),
            Mistake("this is the spread of single perturbations; take the mean of each draw first", _spread),
            Mistake("this is a 90 % interval; cut 2.5 % off at each end", _ninety),
            Mistake(
                "the first number is the mean of the draws; give that of the differences themselves", _mean_of_draws
            ),
            Mistake("the sign is turned round: model less baseline", _wrong_way),
        ),
        without=HIDDEN,
    ),
)
