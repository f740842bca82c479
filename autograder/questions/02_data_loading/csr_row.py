"""Question `csr_row`: the counts of one cell, from the three arrays of a CSR matrix."""

import numpy as np
import scipy.sparse

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _csr_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    """Ask for a cell in the middle, for the last one, and for one near a cell without counts."""
    cases = []
    for n_cells, n_genes, cell in ((5, 12, 2), (4, 11, 3), (6, 14, 1)):
        counts = rng.poisson(0.8, (n_cells, n_genes)) + 2 * (rng.random((n_cells, n_genes)) < 0.15)
        counts[:, 0] += 1
        counts[:, 1], counts[cell, -1] = 0, 2  # a zero before the last count, so that places are not genes
        if cell == 1:
            counts[3] = 0
        x = scipy.sparse.csr_matrix(counts, dtype=np.float32)
        cases.append({"data": x.data, "indices": x.indices, "indptr": x.indptr, "cell": cell, "n_genes": n_genes})
    return cases


def _csr_row(data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, cell: int | slice, n_genes: int) -> np.ndarray:
    x = scipy.sparse.csr_matrix((data, indices, indptr), shape=(len(indptr) - 1, n_genes))
    return x.toarray()[cell]


def _stored_only(data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, cell: int, n_genes: int) -> np.ndarray:
    del indices, n_genes
    return data[indptr[cell] : indptr[cell + 1]]


def _one_cell_late(data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, cell: int, n_genes: int) -> np.ndarray:
    x = _csr_row(data, indices, indptr, slice(None), n_genes)
    return x[cell + 1] if cell + 1 < len(x) else np.zeros(n_genes, data.dtype)


def _last_left_out(data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, cell: int, n_genes: int) -> np.ndarray:
    row = np.zeros(n_genes, data.dtype)
    for place in range(indptr[cell], indptr[cell + 1] - 1):
        row[indices[place]] = data[place]
    return row


def _packed_left(data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, cell: int, n_genes: int) -> np.ndarray:
    stored = _stored_only(data, indices, indptr, cell, n_genes)
    return np.append(stored, np.zeros(n_genes - len(stored), data.dtype))


def _seen(data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, cell: int, n_genes: int) -> np.ndarray:
    return _csr_row(np.ones_like(data), indices, indptr, cell, n_genes)


def _gene_numbers(data: np.ndarray, indices: np.ndarray, indptr: np.ndarray, cell: int, n_genes: int) -> np.ndarray:
    del data, n_genes
    return indices[indptr[cell] : indptr[cell + 1]]


QUESTION = Question(
    name="csr_row",
    asks=Function("csr_row"),
    inputs=_csr_cases,
    due=_csr_row,
    hints=(
        "CSR stores what is not zero, row by row; indptr says where each row begins and where the next one does.",
        "cell i has the places indptr[i] up to indptr[i + 1] of data and indices",
        "a row of n_genes zeros; some places of it (from indices) get the values at the same places of data",
    ),
    mistakes=(
        Mistake("only the stored counts came; put them into an array with a zero for every other gene", _stored_only),
        Mistake("this is the next cell; cell i stands from indptr[i] on, and cells count from 0", _one_cell_late),
        Mistake(
            "the cell's last count is missing; the end of a slice is left out anyway, so do not take 1 away",
            _last_left_out,
        ),
        Mistake("the counts stand in the first columns; indices says to which gene each belongs", _packed_left),
        Mistake("these are ones where a gene was seen; put its counts there, from data", _seen),
        Mistake("these are the numbers of the genes; put data into a row of zeros at these places", _gene_numbers),
    ),
    without=WITHOUT,
)
