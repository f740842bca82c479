"""Question `bin_values`: expression as numbers of bins, by each cell's own quantiles."""

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Function

from .shared import WITHOUT


def _values(rng: np.random.Generator) -> list[dict[str, object]]:
    """Cells of unequal depth with many zeros and no ties, so that no rule for ties decides."""
    cases = []
    for n_cells, n_genes, n_bins in ((4, 17, 5), (3, 23, 6), (5, 13, 4)):
        values = rng.gamma(1.5, 1.0, (n_cells, n_genes)) * rng.uniform(0.3, 3.0, (n_cells, 1))
        values[rng.random(values.shape) < 0.35] = 0
        values[:, :4] += 0.05
        cases.append({"values": values, "n_bins": n_bins})
    return cases


def _edges(values: np.ndarray, n_bins: int) -> np.ndarray:
    return np.quantile(values, np.linspace(0, 1, n_bins - 1))


def _bin_values(values: np.ndarray, n_bins: int) -> np.ndarray:
    """Count the edges that are not above each value, one by one."""
    binned = np.zeros(values.shape)
    for cell, row in enumerate(values):
        edges = _edges(row[row > 0], n_bins)
        for gene, value in enumerate(row):
            binned[cell, gene] = sum(edge <= value for edge in edges) if value > 0 else 0
    return binned


def _edges_with_zeros(values: np.ndarray, n_bins: int) -> np.ndarray:
    return np.array([np.digitize(row, _edges(row, n_bins)) * (row > 0) for row in values])


def _edges_of_all_cells(values: np.ndarray, n_bins: int) -> np.ndarray:
    return np.digitize(values, _edges(values[values > 0], n_bins)) * (values > 0)


def _equal_widths(values: np.ndarray, n_bins: int) -> np.ndarray:
    rows = [np.digitize(row, np.linspace(row[row > 0].min(), row.max(), n_bins - 1)) * (row > 0) for row in values]
    return np.array(rows)


def _edge_below(values: np.ndarray, n_bins: int) -> np.ndarray:
    rows = [np.digitize(row, _edges(row[row > 0], n_bins), right=True) * (row > 0) for row in values]
    return np.array(rows)


def _one_bin_more(values: np.ndarray, n_bins: int) -> np.ndarray:
    return _bin_values(values, n_bins + 1)


QUESTION = Question(
    name="bin_values",
    asks=Function("bin_values"),
    inputs=_values,
    due=_bin_values,
    hints=(
        "Depth differs from cell to cell, so give each value its place among the cell's own values.",
        (
            "edges = n_bins - 1 quantiles, from 0 to 1, of the cell's values above 0; a value's bin counts the "
            "edges up to it"
        ),
        "row by row: values above 0; n_bins - 1 edges; whole numbers 1 to n_bins - 1, and 0 where there was 0",
    ),
    mistakes=(
        Mistake("zeros shifted the quantiles; take the edges from the values above 0", _edges_with_zeros),
        Mistake("all cells share these edges; take each cell's own", _edges_of_all_cells),
        Mistake("these bins are equally wide; take quantiles, so that each holds as many values", _equal_widths),
        Mistake("a value on an edge belongs to the bin above; leave out right=True", _edge_below),
        Mistake("there is one edge too many; take n_bins - 1 edges, since 0 is a bin of its own", _one_bin_more),
    ),
    without=WITHOUT,
    held_back=("starter.models.scgpt.masked_values",),
)
