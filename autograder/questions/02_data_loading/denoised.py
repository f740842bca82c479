"""Question `denoised`: an open task, to take noise out of measured effects."""

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.comparators import NearEnough
from starter.answers.kinds import Function

from .shared import WITHOUT

SCREENS = (
    (40, 80, 30, 1.0, 0.6, 1.6, (0.3, 3.0), 0.65),
    (60, 100, 3, 1.2, 1.5, 0.4, (0.3, 3.0), 0.3),
    (60, 100, 3, 1.0, 1.0, 0.5, (0.05, 10.0), 0.13),
)
"""Of each case: perturbations, genes, programmes; how large errors, programmes and the common response are; few and
many cells, as shares of the usual number; and what may be left of the measured effects' squared error.

Over 200 draws, half of every effect left .63 to 2.06, .47 to .73 and .30 to .42 of it in the three cases; one shrinkage
towards the mean .32 to .78, .38 to .62 and .11 to .30; three components .37 to .54, .11 to .18 and .19 to .48; four
components weighed by the errors .29 to .43, .09 to .13 and .05 to .13.
"""


def _screens(rng: np.random.Generator) -> list[dict[str, object]]:
    """Effects of a common response and of programmes, measured in few cells or many."""
    cases = []
    for n, n_genes, n_programmes, size, own_size, common_size, (few, many), share in SCREENS:
        common = common_size * rng.normal(size=n_genes)
        own = rng.normal(size=(n, n_programmes)) @ rng.normal(size=(n_programmes, n_genes)) / np.sqrt(n_programmes)
        truth = rng.gamma(2.0, 0.5, (n, 1)) * common + own_size * own
        cells = np.exp(rng.uniform(np.log(few), np.log(many), (n, 1)))
        errors = size / np.sqrt(cells) * rng.uniform(0.7, 1.3, n_genes)
        effects = truth + errors * rng.normal(size=(n, n_genes))
        drawn = {"effects": effects, "errors": errors, "truth": truth}
        # single precision halves the file that students get
        cases.append({name: values.astype(np.float32) for name, values in drawn.items()} | {"share": share})
    return cases


def _near_enough(effects: np.ndarray, errors: np.ndarray, truth: np.ndarray, share: float) -> dict[str, object]:
    del errors
    return {"truth": truth, "most": share * float(np.mean((effects - truth) ** 2))}


def _mean_effect(effects: np.ndarray, errors: np.ndarray, truth: np.ndarray, share: float) -> np.ndarray:
    del errors, truth, share
    return np.repeat(effects.mean(axis=0)[None], len(effects), axis=0)


def _zeros(effects: np.ndarray, errors: np.ndarray, truth: np.ndarray, share: float) -> np.ndarray:
    del errors, truth, share
    return np.zeros_like(effects)


def _less_its_error(effects: np.ndarray, errors: np.ndarray, truth: np.ndarray, share: float) -> np.ndarray:
    del truth, share
    return np.sign(effects) * np.maximum(np.abs(effects) - errors, 0)


def _divided(effects: np.ndarray, errors: np.ndarray, truth: np.ndarray, share: float) -> np.ndarray:
    del truth, share
    return effects / errors


QUESTION = Question(
    name="denoised",
    asks=Function("denoised"),
    inputs=_screens,
    not_given=("truth", "share"),
    due=_near_enough,
    hints=(
        "What many perturbations share is seen often. Move each effect towards what the others say, the further the "
        "larger its error is.",
        "estimate = mean + w x (effect - mean), w = v / (v + squared error), v the variance of true effects; or the "
        "first components of (effects - mean) / errors",
        "effects and errors: perturbations x genes; mean: a number a gene; components: perturbations x a few, times "
        "a few x genes; v: one number",
    ),
    mistakes=(
        Mistake("this is the mean effect for all; keep what is a perturbation's own", _mean_effect),
        Mistake("zero for all has no noise, and no effect either", _zeros),
        Mistake(
            "every entry loses its error; small true effects vanish, move towards the mean instead", _less_its_error
        ),
        Mistake("divided by its error an effect has no units of expression; multiply again at the end", _divided),
    ),
    comparator=NearEnough(),
    without=WITHOUT,
    seconds=30.0,
)
