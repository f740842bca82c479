"""Question `CellSets`: a data set of control cells, perturbation and perturbed cells."""

from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.sparse

from autograder.questions.question import Mistake, Question
from starter.answers.comparators import Same
from starter.answers.kinds import Object

from .shared import WITHOUT, expression_of_cells


def _set_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    cases = []
    for n_cells, n_genes, n_sets, size, asked in ((13, 6, 4, 3, 2), (17, 9, 5, 2, 0), (11, 7, 3, 4, 2)):
        build = {
            "expression": expression_of_cells(rng, n_cells, n_genes),
            "control": rng.integers(n_cells, size=(n_sets, size)),
            "perturbation": rng.permutation(n_sets + 3)[:n_sets] + 3,
            "perturbed": rng.integers(n_cells, size=(n_sets, size)),
        }
        cases.append({"build": build, "calls": [["__len__", {}], ["__getitem__", {"index": asked}]]})
    return cases


def _sets(build: dict[str, Any], calls: list) -> list:
    index = calls[1][1]["index"]
    dense = build["expression"].toarray()
    control, perturbed = dense[build["control"][index]], dense[build["perturbed"][index]]
    return [len(build["control"]), [control, int(build["perturbation"][index]), perturbed]]


def _changed(
    build: dict[str, Any], calls: list, *, n: int | None = None, item: Callable[[list], list] | None = None
) -> list:
    due = _sets(build, calls)
    return [due[0] if n is None else n, due[1] if item is None else item(due[1])]


def _cells_counted(build: dict[str, Any], calls: list) -> list:
    return _changed(build, calls, n=build["expression"].shape[0])


def _all_of_a_set_counted(build: dict[str, Any], calls: list) -> list:
    return _changed(build, calls, n=build["control"].size)


def _reversed_parts(build: dict[str, Any], calls: list) -> list:
    return _changed(build, calls, item=lambda parts: [parts[2], parts[1], parts[0]])


def _index_as_perturbation(build: dict[str, Any], calls: list) -> list:
    return _changed(build, calls, item=lambda parts: [parts[0], calls[1][1]["index"], parts[2]])


def _rows_only(build: dict[str, Any], calls: list) -> list:
    index = calls[1][1]["index"]
    return _changed(build, calls, item=lambda parts: [build["control"][index], parts[1], build["perturbed"][index]])


def _means_of_sets(build: dict[str, Any], calls: list) -> list:
    return _changed(
        build,
        calls,
        item=lambda parts: [parts[0].mean(axis=0, dtype=float), parts[1], parts[2].mean(axis=0, dtype=float)],
    )


def _sparse_sets(build: dict[str, Any], calls: list) -> list:
    return _changed(
        build,
        calls,
        item=lambda parts: [scipy.sparse.csr_matrix(parts[0]), parts[1], scipy.sparse.csr_matrix(parts[2])],
    )


QUESTION = Question(
    name="CellSets",
    asks=Object("CellSets"),
    inputs=_set_cases,
    due=_sets,
    hints=(
        (
            "A set is an example: control cells, which perturbation, perturbed cells. Rows are looked up when "
            "they are asked."
        ),
        "set i = expression of the rows control[i], the number perturbation[i], expression of the rows perturbed[i]",
        (
            "control[i]: rows of one set; these rows of expression, dense: cells of the set x genes; the length "
            "is that of perturbation"
        ),
    ),
    mistakes=(
        Mistake("the length is the number of sets, not of the screen's cells", _cells_counted),
        Mistake("the length is the number of sets, not of the cells in them", _all_of_a_set_counted),
        Mistake("control and perturbed cells are exchanged; the control set comes first", _reversed_parts),
        Mistake("the index came as the perturbation; look it up in self.perturbation", _index_as_perturbation),
        Mistake("row numbers came; take these rows of self.expression", _rows_only),
        Mistake("the mean of each set came; give every cell of it", _means_of_sets),
        Mistake("the cells are still sparse, and a network needs dense numbers; add .toarray()", _sparse_sets),
    ),
    comparator=Same(),
    without=WITHOUT,
)
