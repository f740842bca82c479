"""Question `shared_genes`: how many genes the lists of every two perturbations have in common."""

from collections.abc import Callable

import numpy as np
from sklearn.preprocessing import MultiLabelBinarizer

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _lists(rng: np.random.Generator) -> list[dict[str, object]]:
    """Draw lists of two lines, unlike in number; those of the same perturbation share most genes."""
    cases = []
    for n_first, n_second, n_genes, length in ((4, 6, 15, 7), (5, 3, 12, 5), (6, 4, 20, 9)):
        genes = np.array([f"GENE{number}" for number in rng.permutation(3 * n_genes)[:n_genes]])
        first, second = (
            np.array([rng.choice(genes, length, replace=False) for _ in range(n)]) for n in (n_first, n_second)
        )
        for row in range(min(n_first, n_second)):  # all but one gene, the first at its own place
            kept, other = first[row, 1:], np.setdiff1d(genes, first[row])[:1]
            second[row] = np.concatenate([kept[:1], other, kept[1:]])
        cases.append({"first": first, "second": second})
    return cases


def _of_sets(value: Callable[[set, set], float]) -> Callable[..., np.ndarray]:
    def table(first: np.ndarray, second: np.ndarray) -> np.ndarray:
        return np.array([[value(set(one), set(other)) for other in second.tolist()] for one in first.tolist()])

    return table


def _same_place(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return (first[:, None] == second[None]).sum(axis=2)


def _shared_genes(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Multiply tables of zeros and ones, perturbations x genes."""
    genes = MultiLabelBinarizer().fit([*first.tolist(), *second.tolist()])
    return genes.transform(first.tolist()) @ genes.transform(second.tolist()).T


QUESTION = Question(
    name="shared_genes",
    asks=Function("shared_genes"),
    inputs=_lists,
    due=_shared_genes,
    hints=(
        "A list names genes; compare what is in both, wherever it stands.",
        "size of the intersection of two lists",
        "a set per row; every row of first with every row of second: a table of whole numbers",
    ),
    mistakes=(
        Mistake("only genes at the same place of both lists count here; the place must not matter", _same_place),
        Mistake("this is a share of the list; give the number of genes", _of_sets(lambda a, b: len(a & b) / len(a))),
        Mistake("these are the genes of either list; count those of both", _of_sets(lambda a, b: len(a | b))),
        Mistake(
            "this is the Jaccard similarity; count the shared genes", _of_sets(lambda a, b: len(a & b) / len(a | b))
        ),
        Mistake(
            "rows and columns are swapped: a row is a list of `first`",
            lambda first, second: _shared_genes(second, first),
        ),
        Mistake(
            "these are the genes that only one of them has; count those of both", _of_sets(lambda a, b: len(a ^ b))
        ),
    ),
    without=WITHOUT,
)
