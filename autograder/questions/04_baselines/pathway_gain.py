"""Question `pathway_gain`: how much more alike genes of a pathway are than shuffled genes."""

import numpy as np
import scipy.stats

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _embeddings(rng: np.random.Generator) -> list[dict[str, object]]:
    """Features with a pathway in them and a common part that also genes outside have; orders to shuffle genes."""
    cases = []
    for n, n_features, k, n_orders in ((11, 6, 4, 3), (17, 8, 5, 6), (13, 12, 3, 4)):
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


def _ratio(features: np.ndarray, members: np.ndarray, orders: np.ndarray) -> float:
    return _mean_pair(features[members]) / float(np.mean([_mean_pair(features[order[members]]) for order in orders]))


QUESTION = Question(
    name="pathway_gain",
    asks=Function("pathway_gain"),
    inputs=_embeddings,
    due=_pathway_gain,
    hints=(
        "Genes of a pathway should have alike features; how alike would any genes be?",
        "mean correlation of every two members - the mean of the same over shuffled genes",
        (
            "features of the members: members x features; correlations: members x members; each pair once; one "
            "number per shuffle"
        ),
    ),
    mistakes=(
        Mistake("chance is missing: subtract what shuffled genes give", _without_chance),
        Mistake("every gene is compared with itself too, which gives 1; take each pair once", _with_itself),
        Mistake("only one order was tried; average over all of `orders`", _one_order),
        Mistake("these are correlations of columns; a gene is a row", _between_columns),
        Mistake("the sign is turned round: the pathway's correlation less that of chance", _chance_less_pathway),
        Mistake("this is a ratio; subtract what chance gives", _ratio),
    ),
    without=WITHOUT,
)
