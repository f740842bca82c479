"""Read tables of what is known of genes: annotations, pathways, regulons, features, another context's effects."""

from pathlib import Path

import numpy as np
import pandas as pd

from starter.errors import InputError, listed
from starter.schema import CONTEXT, CONTROL, PERTURBATION

GENE = "gene"
"""Index name of a feature table."""
ANNOTATION = ["gene", "term"]
PATHWAY = ["pathway", "gene"]
REGULON = ["regulator", "target", "sign"]
"""Columns of prior-knowledge files (tab-separated); sign is 1 where the regulator activates the target, else -1."""
TOP_GENE = [CONTEXT, PERTURBATION, "rank", GENE]
"""Columns of the genes that perturbations raise most, rank 1 first."""


def read_annotations(path: str | Path) -> pd.DataFrame:
    """Read which gene has which annotation term (`*annotations.tsv`): columns gene and term, each pair once."""
    return _read_pairs(path, ANNOTATION, "an annotation file")


def read_pathways(path: str | Path) -> pd.DataFrame:
    """Read which gene is in which pathway (`*pathways.tsv`): columns pathway and gene, each pair once."""
    return _read_pairs(path, PATHWAY, "a pathway file")


def read_regulons(path: str | Path) -> pd.DataFrame:
    """Read which gene regulates which (`*regulons.tsv`): columns regulator, target and sign.

    Raises
    ------
    InputError
        If the file is none, or a sign is not 1 or -1.
    """
    table = _read_pairs(path, REGULON, "a regulon file")
    sign = pd.to_numeric(table["sign"], errors="coerce")
    if bad := int((~sign.isin([-1, 1])).sum()):
        msg = f"{path}: rows whose sign is not 1 or -1: {bad:,}; a regulator activates (1) or represses (-1)"
        raise InputError(msg)
    return table.assign(sign=sign.astype(int))


def read_features(path: str | Path) -> pd.DataFrame:
    """Read a feature table (`*features.parquet`): index gene, columns numbers.

    Raises
    ------
    InputError
        If it cannot be read, a gene comes twice, or a value is no finite number.
    """
    return _check_numbers(_read_parquet(path, "a feature table"), path).rename_axis(GENE)


def read_other_context(path: str | Path) -> pd.DataFrame:
    """Read profiles measured in another context (`*other_context.parquet`).

    Returns
    -------
    Index perturbation with the control, columns genes, mean log1p expression.

    Raises
    ------
    InputError
        If it cannot be read, has no control row, a perturbation comes twice, or a value is no expression.
    """
    table = _check_numbers(_read_parquet(path, "a profile table"), path).rename_axis(PERTURBATION)
    if CONTROL not in table.index:
        msg = f"{path} has no row {CONTROL!r}, so the effects of its perturbations are unknown; add the control profile"
        raise InputError(msg)
    if negative := int((table < 0).sum().sum()):
        msg = f"{path}: negative values: {negative:,}; give profiles (mean log1p expression), not effects"
        raise InputError(msg)
    return table


def read_top_genes(path: str | Path) -> dict[str, pd.DataFrame]:
    """Read the genes that rise most in each perturbation, in two lines or more (`*top_genes.parquet`).

    Returns
    -------
    Line to a table, perturbations x ranks, of gene names; the perturbations are the same in every line, in one order.

    Raises
    ------
    InputError
        If it cannot be read, has other columns, or a list is incomplete.
    """
    table = _read_parquet(path, "a table of top genes")
    if missing := [column for column in TOP_GENE if column not in table]:
        msg = f"{path} has no column {', '.join(missing)}; a table of top genes has {', '.join(TOP_GENE)}"
        raise InputError(msg)
    if table.duplicated(TOP_GENE[:3]).any():
        msg = f"{path}: a rank comes twice in one list; keep one gene a rank"
        raise InputError(msg)
    lists = table.pivot_table(GENE, TOP_GENE[:2], "rank", "first")
    lines = {str(line): lists.loc[line] for line in lists.index.unique(CONTEXT)}
    alike = all(list(of_line.index) == list(next(iter(lines.values())).index) for of_line in lines.values())
    if len(lines) < 2 or not alike or lists.isna().to_numpy().any():
        msg = f"{path}: each of two lines or more needs a list of the same length for the same perturbations"
        raise InputError(msg)
    return lines


def _read_pairs(path: str | Path, columns: list[str], what: str) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, sep="\t", usecols=columns, dtype=str, na_filter=False)[columns]
    except (OSError, ValueError) as error:
        msg = f"{path} is not {what} with the tab-separated columns {', '.join(columns)} ({error})"
        raise InputError(msg) from error
    if table.empty:
        msg = f"{path} lists nothing; it is {what} with the columns {', '.join(columns)}"
        raise InputError(msg)
    if empty := int((table == "").any(axis=1).sum()):
        msg = f"{path}: rows with an empty {' or '.join(columns)}: {empty:,}; fill or remove them"
        raise InputError(msg)
    return table.drop_duplicates(ignore_index=True)


def _read_parquet(path: str | Path, what: str) -> pd.DataFrame:
    try:
        return pd.read_parquet(path)
    except Exception as error:  # whatever is in somebody's file
        msg = f"{path} is not {what} as parquet ({error})"
        raise InputError(msg) from error


def _check_numbers(table: pd.DataFrame, path: str | Path) -> pd.DataFrame:
    """Refuse a table that is not labels x finite numbers."""
    if table.empty or not all(isinstance(label, str) for label in table.index):
        msg = f"{path}: a table of {table.shape[0]} x {table.shape[1]} that is empty or whose index holds no names"
        raise InputError(msg)
    if table.index.has_duplicates:
        twice = table.index[table.index.duplicated()].unique()
        msg = f"{path}: names that come twice: {listed(twice)}; keep one row each"
        raise InputError(msg)
    if text := [column for column, kind in table.dtypes.items() if kind.kind not in "biuf"]:
        msg = f"{path}: columns that hold no numbers: {listed([str(column) for column in text])}; leave them out"
        raise InputError(msg)
    if odd := int((~np.isfinite(table.to_numpy(float))).sum()):
        msg = f"{path}: NaN or infinite values: {odd:,}; leave a gene out rather than filling it in"
        raise InputError(msg)
    return table
