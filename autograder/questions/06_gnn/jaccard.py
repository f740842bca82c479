"""Question `jaccard`: how alike the annotations of every two genes are."""

import numpy as np
import scipy.sparse
from scipy.spatial.distance import cdist

from autograder.questions.question import Mistake, Question
from starter.answers.comparators import Same
from starter.answers.kinds import Function

from .shared import WITHOUT


def _annotated(rng: np.random.Generator) -> list[dict[str, object]]:
    """Three matrices of genes x terms, of unlike numbers of terms, each gene with one at least."""
    cases = []
    for n_genes, n_terms in ((5, 9), (8, 6), (7, 13)):
        has = rng.random((n_genes, n_terms)) < rng.uniform(0.2, 0.7, (n_genes, 1))
        has[np.arange(n_genes), rng.integers(n_terms, size=n_genes)] = True
        has[0, :3] = has[1, 1:4] = True  # some terms are shared
        cases.append({"annotated": scipy.sparse.csr_matrix(has.astype(float))})
    return cases


def _shared(annotated: scipy.sparse.csr_matrix) -> tuple[np.ndarray, np.ndarray]:
    has = annotated.toarray()
    return has @ has.T, has.sum(axis=1)


def _jaccard(annotated: scipy.sparse.csr_matrix) -> np.ndarray:
    has = annotated.toarray().astype(bool)
    return 1 - cdist(has, has, "jaccard")


def _shared_only(annotated: scipy.sparse.csr_matrix) -> np.ndarray:
    return _shared(annotated)[0]


def _of_sum(annotated: scipy.sparse.csr_matrix) -> np.ndarray:
    shared, n = _shared(annotated)
    return shared / np.add.outer(n, n)


def _cosine(annotated: scipy.sparse.csr_matrix) -> np.ndarray:
    shared, n = _shared(annotated)
    return shared / np.sqrt(np.outer(n, n))


def _of_smaller(annotated: scipy.sparse.csr_matrix) -> np.ndarray:
    shared, n = _shared(annotated)
    return shared / np.minimum.outer(n, n)


def _of_all_terms(annotated: scipy.sparse.csr_matrix) -> np.ndarray:
    return _shared(annotated)[0] / annotated.shape[1]


def _between_terms(annotated: scipy.sparse.csr_matrix) -> np.ndarray:
    has = annotated.toarray().astype(bool).T
    return 1 - cdist(has, has, "jaccard")


def _sparse(annotated: scipy.sparse.csr_matrix) -> scipy.sparse.csr_matrix:
    return scipy.sparse.csr_matrix(_jaccard(annotated))


QUESTION = Question(
    name="jaccard",
    asks=Function("jaccard"),
    inputs=_annotated,
    due=_jaccard,
    hints=(
        "Two genes are alike if most of the terms that either has are shared.",
        "shared / (terms of one + terms of the other - shared)",
        "annotated: genes x terms; times its transpose: shared terms, genes x genes; its diagonal: terms of each gene",
    ),
    mistakes=(
        Mistake("these are numbers of shared terms; divide by the terms that either gene has", _shared_only),
        Mistake("shared terms are counted twice below the line; subtract them once", _of_sum),
        Mistake("this is a cosine; divide by the number of terms that either gene has", _cosine),
        Mistake("this divides by the gene with fewer terms; divide by the terms that either has", _of_smaller),
        Mistake("this divides by all terms there are; divide by those that either gene has", _of_all_terms),
        Mistake("this compares terms; a gene is a row of `annotated`", _between_terms),
        Mistake("the numbers are right, but an array is due; add .toarray()", _sparse, credit=0.5),
    ),
    comparator=Same(),
    without=WITHOUT,
)
