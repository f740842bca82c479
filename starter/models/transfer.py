"""Models that carry effects from one context to another: from cell lines that were measured to one that hardly was.

An effect is split into what all perturbations of a context have in common, its mean effect, and what is a target's own,
its deviation. The mean effect is learned in the context itself as far as it was measured there (few-shot), else it is
that of the other contexts (zero-shot). A target's deviation is taken from the contexts in which it was measured, times
the share of it that was seen to carry over.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.preprocessing import normalize

from starter.data.dataset import PAIR
from starter.data.pseudobulk import effects
from starter.errors import InputError, listed
from starter.models.contract import Contract
from starter.models.training_data import TrainingData
from starter.priors.conditions import side_by_side
from starter.priors.features import of_targets
from starter.schema import CONTEXT, PERTURBATION


class Lines(NamedTuple):
    """What was measured in several contexts, contexts of earlier screens among them."""

    controls: pd.DataFrame
    """Control profiles of the contexts that can be asked, contexts x genes."""
    means: pd.DataFrame
    """Mean effect of each context in which something was perturbed, contexts x genes."""
    deviations: pd.DataFrame
    """Effects less the mean effect of their context, pairs x genes; 0 where a gene was not measured."""


def lines_of(data: TrainingData) -> Lines:
    """Split what was measured into mean effects and deviations.

    Raises
    ------
    InputError
        If nothing was perturbed in any context.
    """
    measured = data.effects
    if data.elsewhere is not None:
        measured = pd.concat([measured, effects(data.elsewhere)])
    if measured.empty:
        msg = "there is no perturbation to learn from in any context, only controls; give training perturbations"
        raise InputError(msg)
    means = measured.groupby(level=CONTEXT).mean()
    deviations = measured - means.loc[measured.index.get_level_values(CONTEXT)].to_numpy()
    return Lines(data.controls, means.fillna(0.0), deviations.fillna(0.0))


def deviations_elsewhere(lines: Lines, context: str) -> pd.DataFrame:
    """Average each target's deviation over the contexts other than one, targets x genes."""
    others = lines.deviations.index.get_level_values(CONTEXT) != context
    return lines.deviations[others].groupby(level=PERTURBATION).mean()


def mean_effect(lines: Lines, context: str) -> pd.Series:
    """Estimate the mean effect of a context from what was measured there and in the others.

    The mean of n effects is off by v / n, v being the variance of effects about the mean of their context (all as mean
    squares over genes). Where it is a from the other contexts' mean, 1 - v / (n a) of that distance is kept, or none:
    James & Stein (1961), "Estimation with quadratic loss".
    """
    n = int((lines.deviations.index.get_level_values(CONTEXT) == context).sum())
    others = lines.means.drop(index=context, errors="ignore")
    if n == 0:
        return others.mean()
    own = lines.means.loc[context]
    if others.empty:
        return own
    free = len(lines.deviations) - len(lines.means)
    variance = float((lines.deviations.to_numpy() ** 2).sum(axis=0).mean()) / max(free, 1)
    apart = float(((own - others.mean()) ** 2).mean())
    kept = max(0.0, 1 - variance / (n * apart)) if apart > 0 else 1.0
    return others.mean() + kept * (own - others.mean())


def share_carried(lines: Lines, context: str) -> float:
    """Estimate which share of a target's deviation elsewhere is seen in a context, by least squares, from 0 to 1.

    Where no target was measured both there and elsewhere, it is the mean share over the contexts in which that can be
    seen; where it cannot be seen at all, 1: the effect is carried over as it is.
    """
    seen = {}
    for name in lines.means.index:
        there, elsewhere = lines.deviations.xs(name, level=CONTEXT), deviations_elsewhere(lines, name)
        both = there.index.intersection(elsewhere.index)
        square = float((elsewhere.loc[both].to_numpy() ** 2).sum())
        if square > 0:
            product = float((there.loc[both].to_numpy() * elsewhere.loc[both].to_numpy()).sum())
            seen[name] = float(np.clip(product / square, 0, 1))
    return seen.get(context, float(np.mean(list(seen.values()))) if seen else 1.0)


def _assemble(lines: Lines, pairs: pd.MultiIndex, deviations: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Add control profile, mean effect and deviation of each pair; a target without one has the mean effect alone."""
    parts = []
    for context in dict.fromkeys(pairs.get_level_values(CONTEXT)):
        targets = pairs[pairs.get_level_values(CONTEXT) == context].get_level_values(PERTURBATION)
        base = lines.controls.loc[context] + mean_effect(lines, context)
        parts.append(pd.concat({context: deviations[context].reindex(targets).fillna(0.0) + base}))
    return pd.concat(parts).clip(lower=0).rename_axis(PAIR).loc[pairs]


def _refuse_unmeasured(name: str, lines: Lines, pairs: pd.MultiIndex) -> None:
    if missing := sorted(set(pairs.get_level_values(CONTEXT)) - set(lines.controls.index)):
        msg = (
            f"{name} needs the control cells of every context that it is asked of; there are none of {listed(missing)}"
        )
        raise InputError(msg)


def same_target() -> Contract:
    """Predict what the same target did in the other contexts, times the share that carries over.

    What the winners of the challenge of 2025 used where it was measured. A target that was measured nowhere else has
    the context's mean effect.
    """
    name = "same target in other lines"

    def predict(lines: Lines, pairs: pd.MultiIndex) -> pd.DataFrame:
        _refuse_unmeasured(name, lines, pairs)
        contexts = dict.fromkeys(pairs.get_level_values(CONTEXT))
        carried = {
            context: share_carried(lines, context) * deviations_elsewhere(lines, context) for context in contexts
        }
        return _assemble(lines, pairs, carried)

    return Contract(name, lines_of, predict)


class Pooled(NamedTuple):
    """A ridge regression that has learned from all contexts."""

    lines: Lines
    features: pd.DataFrame
    regression: Ridge


def ridge_over_lines(penalty: float = 1.0) -> Contract:
    """Learn deviations from features of the target in all contexts together, and add the context's own mean effect.

    Every pair of every context is one example, so that a target measured in three lines counts three times. It can
    be asked of targets that were never perturbed and of contexts in which nothing was.
    """
    name = "ridge over all lines"

    def fit(data: TrainingData) -> Pooled:
        if not data.features:
            msg = (
                f"{name} needs features of genes, and none are known; add files such as *features.parquet to the priors"
            )
            raise InputError(msg)
        lines, features = lines_of(data), side_by_side(list(data.features.values()))
        targets = lines.deviations.index.get_level_values(PERTURBATION)
        known = of_targets(features, list(dict.fromkeys(targets)))
        able = targets.isin(known.index)
        if not able.any():
            msg = f"{name} needs features of the training perturbations, and none of them is known"
            raise InputError(msg)
        x = normalize(known.loc[targets[able]].to_numpy())
        return Pooled(lines, features, Ridge(alpha=penalty).fit(x, lines.deviations[able].to_numpy()))

    def predict(model: Pooled, pairs: pd.MultiIndex) -> pd.DataFrame:
        _refuse_unmeasured(name, model.lines, pairs)
        known = of_targets(model.features, list(dict.fromkeys(pairs.get_level_values(PERTURBATION))))
        genes = model.lines.controls.columns
        values = model.regression.predict(normalize(known.to_numpy())) if len(known) else np.empty((0, len(genes)))
        deviations = pd.DataFrame(values, known.index, genes)
        return _assemble(model.lines, pairs, dict.fromkeys(pairs.get_level_values(CONTEXT), deviations))

    return Contract(name, fit, predict)
