"""Which model, with which settings: tested on perturbations that it has not seen, never on cells of those that it has.

A fold is a set of perturbations. A model learns from the others and predicts the fold's; every measured perturbation is
predicted once. Scores are those of the course's profile that need no single cells.
"""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold
from threadpoolctl import threadpool_limits

from starter import progress
from starter.data.dataset import PAIR
from starter.errors import InputError, difference
from starter.models.baselines import Model
from starter.models.contract import Contract, predict
from starter.models.training_data import TrainingData
from starter.schema import CONTEXT, CONTROL, PERTURBATION
from starter.scoring.metrics.rule_sets import get_rule_set
from starter.scoring.screens.summary import Reference
from starter.statistics.de import DETable
from starter.statistics.intervals import interval

METRICS = ("pearson_delta", "discrimination_score_l1", "pearson_delta_train_mean", "mae")
"""Metrics of the course's profile that are computed from profiles alone."""
FOLDS = 5
"""How many folds there are, if nothing else is said."""


def folds(perturbations: Sequence[str], n_folds: int = FOLDS, seed: int = 0) -> dict[str, int]:
    """Deal perturbations out to folds at random.

    Parameters
    ----------
    perturbations
        Measured perturbations; the control, if it is among them, is in no fold.
    n_folds
        How many folds; their sizes differ by one at most.
    seed
        Fixes who is where.

    Returns
    -------
    The fold of each perturbation, 0 to n_folds - 1.

    Raises
    ------
    InputError
        If there are fewer perturbations than folds, or fewer than two folds.
    """
    names = np.array(sorted(set(perturbations) - {CONTROL}))
    if not 2 <= n_folds <= len(names):
        msg = f"{len(names)} perturbations cannot be dealt out to {n_folds} folds; take 2 to {len(names)} folds"
        raise InputError(msg)
    parts = KFold(n_folds, shuffle=True, random_state=seed).split(names)
    return {str(names[row]): fold for fold, (_, held_out) in enumerate(parts) for row in held_out}


def unseen_perturbations(pairs: pd.MultiIndex, n_folds: int = FOLDS, seed: int = 0) -> list[pd.MultiIndex]:
    """Deal pairs out to folds by perturbation: one is held out in every context at once.

    Parameters
    ----------
    pairs
        Measured (context, perturbation) pairs.
    n_folds, seed
        Of `folds`.

    Returns
    -------
    The pairs of each fold.
    """
    names = pairs.get_level_values(PERTURBATION)
    fold = names.map(folds(list(names), n_folds, seed))
    return [pairs[fold == number] for number in range(n_folds)]


def unseen_contexts(pairs: pd.MultiIndex, shown: int = 0, seed: int = 0) -> list[pd.MultiIndex]:
    """Hold out one context after the other: all its pairs (zero-shot), or all but a few that are shown (few-shot).

    Parameters
    ----------
    pairs
        Measured (context, perturbation) pairs.
    shown
        Pairs of the context that are not held out, drawn by the seed; the more are drawn, the first stay among them.
    seed
        Fixes which.

    Raises
    ------
    InputError
        If there is one context only, or one has no more pairs than are shown.
    """
    names = pairs.get_level_values(CONTEXT)
    sizes = names.value_counts()
    if len(sizes) < 2 or sizes.min() <= shown:
        measured = ", ".join(f"{n:,} in {context}" for context, n in sizes.sort_index().items())
        msg = (
            f"to hold out a context but for {shown} pairs takes two contexts with more pairs each; there are {measured}"
        )
        raise InputError(msg)
    drawn = [np.random.default_rng(seed).permutation(np.flatnonzero(names == name)) for name in sorted(sizes.index)]
    return [pairs[np.sort(places[shown:])] for places in drawn]


def profile_scores(measured: pd.DataFrame, predicted: pd.DataFrame, training: pd.DataFrame) -> pd.DataFrame:
    """Score predicted profiles by the course's metrics that need no single cells.

    Parameters
    ----------
    measured, predicted
        Profiles of the same perturbations and genes, mean log1p expression; PDS ranks among these perturbations.
    training
        The profiles from which was learned, the control's among them: control profile and train mean come from here.

    Returns
    -------
    Perturbations x `METRICS`.

    Raises
    ------
    InputError
        If the tables do not hold the same perturbations and genes.
    """
    for what, due, came in (
        ("perturbations", measured.index, predicted.index),
        ("genes", measured.columns, predicted.columns),
        ("genes of the training profiles", measured.columns, training.columns),
    ):
        if set(due) != set(came):
            msg = f"the {what} are not those that were measured: {difference(due, came)}"
            raise InputError(msg)
    predicted, training = predicted.loc[measured.index, measured.columns], training[measured.columns]
    mean = training.drop(index=CONTROL).mean()
    truth, prediction = (
        Reference(
            perturbations=measured.index.to_numpy(str),
            genes=measured.columns.to_numpy(str),
            n_cells=np.zeros(len(measured), int),
            profiles=table.to_numpy(np.float32),
            control=training.loc[CONTROL].to_numpy(np.float32),
            de=DETable(*np.full((3, *measured.shape), np.nan)),  # no cells, no test
            train_mean=mean.to_numpy(np.float32),
        )
        for table in (measured, predicted)
    )
    metrics = {metric.name: metric for metric in get_rule_set("course").metrics}
    return pd.DataFrame({name: metrics[name].compute(truth, prediction) for name in METRICS}, index=measured.index)


def cross_validate(
    model: Model,
    profiles: pd.DataFrame,
    known: object,
    fold_of: Mapping[str, int],
    **settings: float,
) -> pd.DataFrame:
    """Score a model on every measured perturbation, each predicted by what was learned from the other folds.

    Parameters
    ----------
    model
        A function of `starter.models.baselines`.
    profiles
        Measured profiles of one context: index perturbation with the control, columns genes.
    known
        What the model takes: features, a graph, or None.
    fold_of
        What `folds` gave.
    settings
        Of the model.

    Returns
    -------
    Perturbations x `METRICS`, in the order of `profiles`. PDS ranks among the perturbations of a fold, and the train
    mean is that of the other folds.
    """
    parts, numbers = [], sorted(set(fold_of.values()))
    with progress.bar("learn from the other folds", len(numbers)) as advance:
        for fold in numbers:
            held_out = [name for name in profiles.index if fold_of.get(name) == fold]
            training = profiles.drop(index=held_out)
            with threadpool_limits(1, user_api="blas"):  # on matrices this small, threads wait for each other
                predicted = model(training, known, held_out, **settings)
            parts.append(profile_scores(profiles.loc[held_out], predicted, training))
            advance()
    return pd.concat(parts).reindex(profiles.index.drop(CONTROL)).rename_axis(PERTURBATION)


def cross_validate_pairs(contract: Contract, data: TrainingData, held_out: Sequence[pd.MultiIndex]) -> pd.DataFrame:
    """Score a model by the contract on pairs that it has not seen, each predicted by what was learned from the others.

    Parameters
    ----------
    contract
        The model.
    data
        All that was measured.
    held_out
        The pairs to hold out, fold by fold: `unseen_perturbations`, `unseen_contexts`.

    Returns
    -------
    Pairs x `METRICS`. PDS ranks among the pairs of one fold and context; the train mean is that of the fold's training
    pairs in the same context, and what is measured against it is NaN where there are none.
    """
    parts = []
    with progress.bar(f"hold out, learn, predict: {contract.name}", len(held_out)) as advance:
        for fold in held_out:
            training = data.without(fold)
            with threadpool_limits(1, user_api="blas"):
                predicted = predict(contract, contract.fit(training), fold, data.profiles.columns)
            for context in dict.fromkeys(fold.get_level_values(CONTEXT)):
                measured, came, known = (
                    table.xs(context, level=CONTEXT)
                    for table in (data.profiles.loc[fold], predicted, training.profiles)
                )
                parts.append(pd.concat({context: profile_scores(measured, came, known)}))
            advance()
    return pd.concat(parts).rename_axis(PAIR)


def compare(scores: pd.DataFrame, baseline: pd.DataFrame, seed: int = 0) -> pd.DataFrame:
    """Compare a model with a baseline, perturbation by perturbation.

    Parameters
    ----------
    scores, baseline
        Perturbations x metrics, of the same perturbations.
    seed
        Fixes the draws.

    Returns
    -------
    One row a metric: value, difference (means over perturbations), low and high (95 % bootstrap interval of the paired
    difference; NaN below `starter.statistics.intervals.FEWEST` perturbations).
    """
    gain = scores - baseline.loc[scores.index]
    rows = {}
    for metric, values in gain.items():
        low, high = interval([values.to_numpy()], np.mean, seed)
        rows[metric] = (scores[metric].mean(), values.mean(), low, high)
    return pd.DataFrame.from_dict(rows, orient="index", columns=["value", "difference", "low", "high"]).astype(float)


def verdict(what: str, compared: pd.Series) -> str:
    """Say whether a part of a model is seen to add anything, from the model with it less the model without it.

    Parameters
    ----------
    what
        The part that was taken out, as a singular: "attention".
    compared
        A row of `compare`: its name is a metric of the course's; difference, low and high are in its units.

    Returns
    -------
    One sentence with the metric, the difference and its interval: the part helps or harms where the whole interval lies
    on that side of 0, by the metric's direction; else it is not seen to add anything.

    Raises
    ------
    InputError
        If the course has no such metric, or there is no difference.
    """
    metrics = {metric.name: metric for metric in get_rule_set("course").metrics}
    if compared.name not in metrics:
        msg = f"a verdict takes one row of `compare`, named as a metric of the course; {compared.name!r} is none"
        raise InputError(msg)
    metric = metrics[str(compared.name)]
    difference, low, high = (float(compared[part]) for part in ("difference", "low", "high"))
    if np.isnan(difference):
        msg = f"{metric.title} is undefined for a perturbation in one of the two tables, so they cannot be compared"
        raise InputError(msg)
    numbers = f"{metric.title} {_signed(difference)}"
    if np.isnan(low):
        return f"too few perturbations to say whether {what} adds anything here: {numbers}"
    gain, loss = (low > 0, high < 0) if metric.direction == "higher" else (high < 0, low > 0)
    said = "helps here" if gain else "harms here" if loss else "is not seen to add anything here"
    return f"{what} {said}: {numbers} [{_signed(low)}, {_signed(high)}]"


def _signed(value: float) -> str:
    return f"{value:+.3f}".replace("0.", ".", 1) if abs(value) < 1 else f"{value:+.3f}"
