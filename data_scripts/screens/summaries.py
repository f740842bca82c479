"""Public screens in brief, for notebook 10: the genes that rise most in two cell lines, and profiles of doubles.

They are no screens of a course: there are no cells, or too few. They go to a course's `priors/`, whatever its screen.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import anndata
import pandas as pd

from data_scripts.download import obtain
from data_scripts.lineage import write_lineage
from starter.data.pseudobulk import group_means
from starter.errors import InputError
from starter.files import whole
from starter.schema import CONTEXT, CONTROL, PERTURBATION

TOP_GENE = [CONTEXT, PERTURBATION, "rank", "gene"]
LENGTH = 100
"""Columns of the table of top genes, and genes of a list."""
LINES = ("K562", "RPE1")
"""Of the ranked genes, in the order of the catalogue's files."""
CELL_TYPE, CONTROL_LABEL = "k562", "control"
"""Of the fixture's cells those of Norman et al., and how it names their controls."""


def build(name: str, folder: str | Path, downloads: str | Path) -> tuple[Path, pd.DataFrame]:
    """Write a summary of a public screen.

    Parameters
    ----------
    name
        Of `SUMMARIES`.
    folder
        Receives the table and its lineage; a course's `priors/`.
    downloads
        Where downloads go.

    Returns
    -------
    The path and the table.

    Raises
    ------
    InputError
        If its files cannot be had, or have another layout.
    """
    file, read = SUMMARIES[name]
    entry, paths = obtain(name, downloads)
    try:
        table = read(paths)
    except (KeyError, ValueError, OSError) as error:
        msg = f"{paths[0]} has another layout than {name} should ({type(error).__name__}: {str(error)[:200]})"
        raise InputError(msg) from error
    path = Path(folder) / file
    with whole(path) as part:
        table.to_parquet(part)
    write_lineage(path, paths, [entry], {}, __file__)
    return path, table


def read_top_genes(paths: Sequence[Path]) -> pd.DataFrame:
    """Read of each knock-down the first `LENGTH` genes of its list in each line."""
    tables = [pd.read_parquet(path).assign(**{CONTEXT: line}) for path, line in zip(paths, LINES, strict=True)]
    table = pd.concat(tables).rename(columns={"pert": PERTURBATION})
    table = table.loc[table["rank"].between(1, LENGTH), TOP_GENE]
    return table.sort_values(TOP_GENE[:3], ignore_index=True)


def read_doubles(paths: Sequence[Path]) -> pd.DataFrame:
    """Read the profiles of the control, singles and doubles, mean log1p of counts per 10,000."""
    cells = anndata.read_h5ad(paths[0])
    cells = cells[cells.obs["cell_type"] == CELL_TYPE]
    codes, labels = pd.factorize(cells.obs["condition"].astype(str), sort=True)
    names = pd.Index([CONTROL if label == CONTROL_LABEL else label for label in labels], name=PERTURBATION)
    return pd.DataFrame(group_means(cells.X, codes, len(names)), names, cells.var_names).sort_index()


SUMMARIES: dict[str, tuple[str, Callable[[Sequence[Path]], pd.DataFrame]]] = {
    "replogle_ranks": ("replogle_top_genes.parquet", read_top_genes),
    "norman_k562": ("norman_doubles.parquet", read_doubles),
}
"""Name in the catalogue -> the file, by whose ending notebooks find it, and how it is read."""
