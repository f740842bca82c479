"""The K562 essential benchmark as a folder: cells, the matched control of each, and DE tables."""

from pathlib import Path

import pandas as pd

from starter.errors import InputError
from starter.files import check_file

CELLS = "k562_essential.h5ad"
CONTROL_MAP = "control_map.parquet"
DE_TABLES = {"wilcoxon": "de_wilcoxon.parquet", "t_test": "de_t_test.parquet"}
"""Test to file."""
CONDITION = "condition"
"""The Ensembl ID of the perturbed gene, in `obs` and in every table."""
CONTROL_MAP_COLUMNS = (CONDITION, "treated", "control")
"""Barcodes of a perturbed cell and of the control cell that belongs to it."""
DE_COLUMNS = ("gene_id", "score", "logfoldchange", "pval", "pval_adj", CONDITION)
"""Gene (Ensembl ID), test score, log2 fold change, p, and Benjamini-Hochberg adjusted p within the condition."""


def read_table(
    folder: str | Path, name: str, columns: tuple[str, ...], rows: list[tuple[str, str, float]] | None = None
) -> pd.DataFrame:
    """Read a table of the benchmark.

    Parameters
    ----------
    folder
        What `python -m data_scripts k562-benchmark` wrote.
    name
        The file's name.
    columns
        Those wanted.
    rows
        Those wanted, as (column, comparison, value); default: all.

    Raises
    ------
    InputError
        If the file is missing, is no table, or lacks one of them.
    """
    path = Path(folder) / name
    check_file(path)
    try:
        return pd.read_parquet(path, columns=list(columns), filters=rows)
    except Exception as error:  # whatever is in somebody's file
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        msg = f"{path} has not the columns {', '.join(columns)} ({reason[:200]}); write it again with k562-benchmark"
        raise InputError(msg) from error
