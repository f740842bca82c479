"""Differential expression of every condition against its matched control cells, by scanpy as in cz-benchmarks."""

import warnings
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import scanpy as sc

from starter.data.benchmark import CONDITION, DE_COLUMNS, DE_TABLES
from starter.files import whole

MIN_CELLS_OF_CONDITION, MIN_GENES_OF_CELL, MIN_CELLS_OF_GENE = 50, 1_000, 10
"""A condition with fewer cells is not tested; a cell with fewer genes, and then a gene seen in fewer cells, is left
out."""
TARGET_SUM = 1e4
METHODS = {"wilcoxon": "wilcoxon", "t_test": "t-test"}
"""Test to its name in scanpy; the rank-sum test is scanpy's, without correction for ties."""
SMD = "standardized_mean_diff"
"""In the table of the t-test only: t x sqrt(4 / n) with n the cells of both sides, as in the first release."""


def compare(treated: np.ndarray, controls: np.ndarray, genes: pd.Index) -> dict[str, pd.DataFrame]:
    """Test one condition against its matched control cells.

    Parameters
    ----------
    treated, controls
        Raw counts, cells x genes.
    genes
        Ensembl IDs.

    Returns
    -------
    Test to table, genes by falling score, columns of `DE_COLUMNS` without the condition; nothing if fewer than two
    cells of a side, or no gene, pass the filters.
    """
    cells = anndata.AnnData(np.concatenate([treated, controls]), var=pd.DataFrame(index=genes))
    cells.obs["side"] = pd.Categorical(np.repeat(["treated", "control"], [len(treated), len(controls)]))
    sc.pp.filter_cells(cells, min_genes=MIN_GENES_OF_CELL)
    sc.pp.filter_genes(cells, min_cells=MIN_CELLS_OF_GENE)
    if cells.obs["side"].value_counts().reindex(["treated", "control"], fill_value=0).min() < 2 or not cells.n_vars:
        return {}
    sc.pp.normalize_total(cells, target_sum=TARGET_SUM)
    sc.pp.log1p(cells)
    tables = {}
    for test, method in METHODS.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a gene without spread, and of a fragmented table
            sc.tl.rank_genes_groups(cells, "side", groups=["treated"], reference="control", method=method)
        table = sc.get.rank_genes_groups_df(cells, group="treated")
        table.columns = list(DE_COLUMNS[:-1])
        tables[test] = table
    tables["t_test"][SMD] = tables["t_test"]["score"] * np.sqrt(4 / cells.n_obs)
    return tables


def write_de_tables(folder: Path, conditions: Iterator[tuple[str, Mapping[str, pd.DataFrame]]]) -> int:
    """Write the long tables of all conditions, one condition in memory at a time.

    Parameters
    ----------
    folder
        Receives `de_wilcoxon.parquet` and `de_t_test.parquet`.
    conditions
        Condition, and what `compare` gave of it.

    Returns
    -------
    How many conditions have a table.
    """
    written = 0
    with ExitStack() as open_files:
        writers = {}
        for test, name in DE_TABLES.items():
            part = open_files.enter_context(whole(folder / name))
            writers[test] = open_files.enter_context(pyarrow.parquet.ParquetWriter(part, _schema(test)))
        for condition, tables in conditions:
            for test, table in tables.items():
                schema = _schema(test)
                columns = table.assign(**{CONDITION: condition})[schema.names]
                writers[test].write_table(pa.Table.from_pandas(columns, schema, preserve_index=False))
            written += bool(tables)
    return written


def _schema(test: str) -> pa.Schema:
    text, single, double = pa.dictionary(pa.int32(), pa.string()), pa.float32(), pa.float64()
    types = dict(zip(DE_COLUMNS, (text, single, single, double, double, text), strict=True))
    return pa.schema([*types.items(), *([(SMD, single)] if test == "t_test" else [])])
