"""Question `correlations`: Pearson of expression and of effects, averaged over perturbations."""

import numpy as np
import scipy.stats

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _predictions(rng: np.random.Generator) -> list[dict[str, object]]:
    """Expression that differs between genes far more than between perturbations."""
    cases = []
    for n, n_genes in ((4, 23), (6, 17), (3, 31)):
        control = 2 + rng.gamma(1.0, 1.5, n_genes)
        effects = rng.normal(0.05, 0.3, (n, n_genes)) * rng.uniform(0.3, 2.0, (n, 1))
        measured = np.maximum(control + effects, 0)
        predicted = np.maximum(control + 0.5 * effects + rng.normal(-0.03, 0.2, (n, n_genes)), 0)
        cases.append({"predicted": predicted, "measured": measured, "control": control})
    return cases


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean([scipy.stats.pearsonr(one, other)[0] for one, other in zip(a, b, strict=True)]))


def _correlations(predicted: np.ndarray, measured: np.ndarray, control: np.ndarray) -> np.ndarray:
    return np.array([_pearson(predicted, measured), _pearson(predicted - control, measured - control)])


def _whole_table(predicted: np.ndarray, measured: np.ndarray, control: np.ndarray) -> np.ndarray:
    pairs = ((predicted, measured), (predicted - control, measured - control))
    return np.array([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs])


def _over_perturbations(predicted: np.ndarray, measured: np.ndarray, control: np.ndarray) -> np.ndarray:
    return np.array([_pearson(predicted.T, measured.T), _pearson((predicted - control).T, (measured - control).T)])


def _one_side(predicted: np.ndarray, measured: np.ndarray, control: np.ndarray) -> np.ndarray:
    return np.array([_pearson(predicted, measured), _pearson(predicted - control, measured)])


def _own_mean(predicted: np.ndarray, measured: np.ndarray, control: np.ndarray) -> np.ndarray:
    parts = (predicted - predicted.mean(axis=0), measured - measured.mean(axis=0))
    return np.array([_pearson(predicted, measured), _pearson(*parts)])


def _other_order(predicted: np.ndarray, measured: np.ndarray, control: np.ndarray) -> np.ndarray:
    return _correlations(predicted, measured, control)[::-1]


QUESTION = Question(
    name="correlations",
    asks=Function("correlations"),
    inputs=_predictions,
    due=_correlations,
    hints=(
        "Expression correlates highly for any prediction, since genes differ so much; effects do not.",
        "mean over perturbations of Pearson(predicted, measured), and of the same minus control",
        "row by row: one correlation each; two means, of expression first",
    ),
    mistakes=(
        Mistake("the tables were flattened; correlate each row, then take the mean", _whole_table),
        Mistake("these correlate perturbations of each gene; correlate genes of each row", _over_perturbations),
        Mistake("take the control off the measured expression too", _one_side),
        Mistake("effects are differences from the control, not from the mean of the table", _own_mean),
        Mistake("the order is turned round: first of expression, then of effects", _other_order, credit=0.5),
    ),
    without=WITHOUT,
)
