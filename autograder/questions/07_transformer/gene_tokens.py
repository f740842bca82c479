"""Question `gene_tokens`: a gene's responses as principal components, beside its other features."""

import numpy as np
import scipy.linalg
import scipy.spatial.distance

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _screens(rng: np.random.Generator) -> list[dict[str, object]]:
    """Effects with a few strong directions and a mean that is not 0; other features on scales of their own."""
    cases = []
    for n, n_genes, n_more, keep in ((9, 14, 3, 4), (12, 8, 2, 3), (7, 23, 4, 5)):
        strength = 2.0 ** -np.arange(6)
        effects = rng.normal(size=(n, 6)) * strength @ rng.normal(size=(6, n_genes)) + rng.normal(0.3, 0.1, n_genes)
        effects += 0.05 * rng.normal(size=(n, n_genes))
        more = rng.gamma(2.0, 1.0, (n_genes, n_more)) * rng.uniform(0.5, 20, n_more)
        cases.append({"effects": effects, "more": more, "n": keep})
    return cases


def _components(effects: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Give loadings (genes x n; the largest of each component is positive) and variances, by the covariance matrix."""
    variance, loadings = scipy.linalg.eigh(np.cov(effects, rowvar=False))
    variance, loadings = variance[::-1][:n], loadings[:, ::-1][:, :n]
    largest = np.abs(loadings).argmax(axis=0)
    return loadings * np.sign(loadings[largest, np.arange(n)]), variance


def _standard(more: np.ndarray) -> np.ndarray:
    return (more - more.mean(axis=0)) / more.std(axis=0)


def _tokens(effects: np.ndarray, more: np.ndarray, n: int) -> np.ndarray:
    loadings, variance = _components(effects, n)
    responses = loadings * np.sqrt(variance)
    return np.hstack([responses / np.sqrt((responses**2).mean()), _standard(more)])


def _equal_components(effects: np.ndarray, more: np.ndarray, n: int) -> np.ndarray:
    loadings, _ = _components(effects, n)
    return np.hstack([loadings / np.sqrt((loadings**2).mean()), _standard(more)])


def _unscaled(effects: np.ndarray, more: np.ndarray, n: int) -> np.ndarray:
    loadings, variance = _components(effects, n)
    return np.hstack([loadings * np.sqrt(variance), _standard(more)])


def _by_variance(effects: np.ndarray, more: np.ndarray, n: int) -> np.ndarray:
    loadings, variance = _components(effects, n)
    responses = loadings * variance
    return np.hstack([responses / np.sqrt((responses**2).mean()), _standard(more)])


def _raw_features(effects: np.ndarray, more: np.ndarray, n: int) -> np.ndarray:
    return np.hstack([_tokens(effects, more, n)[:, :n], more])


def _standard_by_gene(effects: np.ndarray, more: np.ndarray, n: int) -> np.ndarray:
    return np.hstack([_tokens(effects, more, n)[:, :n], _standard(more.T).T])


def _responses_only(effects: np.ndarray, more: np.ndarray, n: int) -> np.ndarray:
    return _tokens(effects, more, n)[:, :n]


def _not_centred(effects: np.ndarray, more: np.ndarray, n: int) -> np.ndarray:
    return np.hstack([_tokens(effects, more, n)[:, :n], more / more.std(axis=0)])


def _centred_only(effects: np.ndarray, more: np.ndarray, n: int) -> np.ndarray:
    return np.hstack([_tokens(effects, more, n)[:, :n], more - more.mean(axis=0)])


QUESTION = Question(
    name="gene_tokens",
    asks=Function("gene_tokens"),
    inputs=_screens,
    due=_tokens,
    hints=(
        "Genes that respond alike are alike: describe each by a few components, beside what else is known.",
        (
            "loadings x root of the variance, all divided by their root mean square; features minus mean, divided "
            "by deviation"
        ),
        (
            "components_ turned round: genes x n; one number scales all of it; features: genes x f by column; "
            "beside each other"
        ),
    ),
    mistakes=(
        Mistake(
            "every component counts the same here; multiply loadings by the square root of the variance",
            _equal_components,
        ),
        Mistake("the responses are not scaled; divide all of them by one root mean square", _unscaled),
        Mistake("loadings were multiplied by the variance; take its square root", _by_variance),
        Mistake("the other features are as they came; standardise each column", _raw_features),
        Mistake("features were standardised gene by gene; standardise each column", _standard_by_gene),
        Mistake("the other features are missing; put them beside the responses", _responses_only, credit=0.5),
        Mistake("the mean of each feature is still in it; subtract it before you divide", _not_centred),
        Mistake("the features are centred only; divide each by its standard deviation, too", _centred_only),
    ),
    without=WITHOUT,
    held_back=("starter.models.transformer",),
)
