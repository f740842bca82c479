"""Write cells as a prediction file."""

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

import pandas as pd
import scipy.sparse

from starter.data.write import write_h5ad
from starter.schema import CONTEXT, TARGET_GENE


def write_prediction(
    path: str | Path,
    cells: Iterable[tuple[str, scipy.sparse.csr_matrix] | tuple[tuple[str, str], scipy.sparse.csr_matrix]],
    genes: Iterable[str],
) -> Path:
    """Write a prediction file, a perturbation at a time.

    Parameters
    ----------
    path
        The `.h5ad` to write.
    cells
        Label and cells (cells x genes, log1p expression), the control cells among them, as
        `starter.prediction.cells.make_cells` gives them; or (context, perturbation) and cells, as `make_counts` does.
    genes
        The course's genes, in order.

    Returns
    -------
    The file.
    """
    targets: list[str] = []
    contexts: list[str] = []

    def blocks() -> Iterator[scipy.sparse.csr_matrix]:
        for label, block in cells:
            target = label
            if isinstance(label, tuple):
                context, target = label
                contexts.extend([context] * block.shape[0])
            targets.extend([str(target)] * block.shape[0])
            yield block

    def labels() -> pd.DataFrame:
        return labels_of_cells({TARGET_GENE: targets} | ({CONTEXT: contexts} if contexts else {}))

    write_h5ad(path, blocks(), labels, pd.DataFrame(index=pd.Index(genes)))
    return Path(path)


def labels_of_cells(labels: Mapping[str, Iterable[str]]) -> pd.DataFrame:
    """Make `obs` of the labels of each cell, as categories."""
    columns = {name: pd.Categorical(list(values)) for name, values in labels.items()}
    n_cells = len(next(iter(columns.values())))
    return pd.DataFrame(columns, index=pd.RangeIndex(n_cells).astype(str))
