"""What a file seems to hold, column by column, for a person to look at before it is converted."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from data_scripts.adoption import columns
from data_scripts.adoption.cells import ROUNDING, check_columns, chosen_by, contexts_in, text_of, totals_of
from data_scripts.adoption.columns import Column
from data_scripts.adoption.counts import find_matrix
from data_scripts.adoption.genes import NO_NAMES, Genes, harmonise_genes, names_at_hand
from data_scripts.adoption.layout import INDEX, Layout
from data_scripts.adoption.matrices import Matrix, choose_matrix, looked_at
from data_scripts.priors.gene_symbols import GeneSymbols
from starter.data.h5ad import open_h5ad, read_frame
from starter.data.targets import are_ensembl, symbol_column
from starter.errors import InputError, counted, listed
from starter.schema import CONTROL

LIKELY = 1.5
"""Score of a column that may be taken for the perturbations."""
CLEARLY = 0.3
"""By so much the best column must be better than another one that says something else."""
LOOKS_LIKE_GENES = 0.5
"""A column of which so many labels are genes is no context."""
FEW_KNOWN = 0.1
"""Perturbations of which at most so many are genes may be compounds."""
SAID = "as you said"
NONE = "none"


class Row(NamedTuple):
    """One thing that a course data set needs, and where the file seems to have it."""

    what: str
    found: str
    example: str = ""
    why: str = ""


class Proposal(NamedTuple):
    """How a file seems to be laid out."""

    layout: Layout
    rows: tuple[Row, ...]


def propose(path: str | Path, said: Mapping[str, Any], downloads: str | Path = "downloads") -> Proposal:
    """Look at a file and propose how to read it.

    Parameters
    ----------
    path
        An `.h5ad` or a Zarr store.
    said
        Fields of the layout that are known; None where the file has none.
    downloads
        Where tables of gene names are looked for, beside `VCC_DATA`.

    Raises
    ------
    InputError
        If something that is needed cannot be told; the message names the option, and what it may be.
    """
    names, _ = names_at_hand(downloads)
    with open_h5ad(path) as file:
        whole_obs = read_frame(file, "obs")
        if not len(whole_obs.columns):
            msg = f"{path}: obs has no columns, so nothing says what was done to a cell; add the labels first"
            raise InputError(msg)
        layout = Layout(**{"target": str(whole_obs.columns[0]), **said})
        check_columns(whole_obs, layout)
        keep = chosen_by(whole_obs, layout)
        obs, seen = whole_obs[keep], looked_at(keep)
        totals = [said["n_umis"]] if said.get("n_umis") else [] if "n_umis" in said else columns.totals_in(whole_obs)
        stated = {name: values for name in totals if (values := totals_of(whole_obs, name)) is not None}
        if said.get("n_umis") and not stated:
            msg = f"obs[{said['n_umis']!r}] is not a positive number in every cell; name another column with --n-umis"
            raise InputError(msg)
        matrix = choose_matrix(file, seen, said.get("counts"), stated, whole_obs)
        layout = replace(layout, counts=matrix.name, logs=matrix.kind == "logs")
        _, var = find_matrix(file, matrix.name, len(whole_obs))
    rows = [_cells(whole_obs, obs, layout, len(var)), _counts(matrix, layout, said)]
    layout, genes, row = _genes(var, layout, said, names)
    rows.append(row)
    column, others = _target(obs, layout, said, genes)
    column, more = _labels(column, obs, said, genes)
    layout = column.layout
    rows += more
    target = text_of(obs[layout.target]).map({label: meaning.target for label, meaning in column.meanings.items()})
    layout, more = _of_cells(obs, layout, said, target, others)
    rows += more
    layout, more = _numbers(obs, layout, said, matrix, {name: values[seen] for name, values in stated.items()}, genes)
    return Proposal(layout, (*rows, *more))


def _cells(whole: pd.DataFrame, obs: pd.DataFrame, layout: Layout, n_genes: int) -> Row:
    if layout.keep:
        return Row("cells", f"{len(obs):,} of {len(whole):,} x {n_genes:,} genes", ", ".join(layout.keep), SAID)
    marks = {str(name): int(whole[name].sum()) for name in whole if whole[name].dtype.kind == "b"}
    hints = [f"{name} is true in {n:,}: --keep {name} takes these" for name, n in marks.items() if 0 < n < len(whole)]
    return Row("cells", f"all {len(whole):,} x {n_genes:,} genes", why="; ".join(hints))


def _counts(matrix: Matrix, layout: Layout, said: Mapping[str, Any]) -> Row:
    found = layout.counts + (", logs undone" if layout.logs else "")
    return Row("counts", found, matrix.what, SAID if "counts" in said else "")


def _genes(var: pd.DataFrame, layout: Layout, said: Mapping[str, Any], names: GeneSymbols) -> tuple[Layout, Genes, Row]:
    """Find symbols and ids of the genes."""
    index = [str(name) for name in var.index]
    symbols, ensembl = layout.symbols, layout.ensembl
    ids_in_index = are_ensembl(index)
    if "ensembl" not in said:
        of_ids = [str(name) for name in var if var[name].dtype.kind not in "biufc" and are_ensembl(text_of(var[name]))]
        ensembl = INDEX if ids_in_index else of_ids[0] if of_ids else None
    if "symbols" not in said:
        is_named = not ids_in_index and not all(name.isdigit() for name in index)
        symbols = INDEX if is_named else symbol_column(var)
        if symbols is None and (ensembl is None or names is NO_NAMES):
            what = "genes are named by Ensembl ids" if ids_in_index else "genes have no names in the index of var"
            there = ", ".join(map(str, var.columns)) or "none"
            msg = f"{what}, and no column of var holds symbols ({there}); name one with --symbols"
            raise InputError(msg)
    layout = replace(layout, symbols=symbols, ensembl=ensembl)
    genes = harmonise_genes(var, layout, names)
    found = f"symbols: {symbols or 'by a table of names'}; ids: {ensembl or NONE}"
    why = [f"{counted(len(genes.renamed), 'symbol')} stood there twice"] if genes.renamed else []
    why += [f"{counted(len(genes.unresolved), 'id')} without a symbol"] if genes.unresolved else []
    return layout, genes, Row("genes", found, listed(list(genes.symbols[:3])), "; ".join(why))


def _target(
    obs: pd.DataFrame, layout: Layout, said: Mapping[str, Any], genes: Genes
) -> tuple[Column, tuple[Column, ...]]:
    """Find the column of perturbations; give all columns that could be read so, too."""
    found = columns.read_targets(obs, layout, genes)
    if "target" in said:
        return columns.read_target(layout.target, text_of(obs[layout.target]).value_counts(), layout, genes), tuple(
            found
        )
    likely = [column for column in found if column.score >= LIKELY]
    if not likely:
        there = ", ".join(column.name for column in found) or ", ".join(map(str, obs.columns)) or "none"
        msg = f"no column of obs clearly holds the perturbations; name it with --target, one of {there}"
        raise InputError(msg)
    best = likely[0]
    rivals = [
        column.name for column in likely[1:] if column.score > best.score - CLEARLY and _differ(obs, best, column)
    ]
    if rivals:
        msg = f"several columns may hold the perturbations; name it with --target, {' or '.join([best.name, *rivals])}"
        raise InputError(msg)
    return best, tuple(found)


def _differ(obs: pd.DataFrame, one: Column, other: Column) -> bool:
    def read(column: Column) -> pd.Series:
        return text_of(obs[column.name]).map({label: meaning.target for label, meaning in column.meanings.items()})

    return not read(one).equals(read(other))


def _labels(column: Column, obs: pd.DataFrame, said: Mapping[str, Any], genes: Genes) -> tuple[Column, list[Row]]:
    """Tell controls, doubles, compounds and labels that are left out."""
    layout = column.layout
    if "kind" not in said and column.known <= FEW_KNOWN:
        by_name = column.name in columns.named(obs, columns.COMPOUNDS)
        if by_name or columns.dose_of(obs) is not None:
            layout = replace(layout, kind="compound", separator=None)
    if "drop" not in said:
        layout = replace(layout, drop=columns.left_out_of(column, genes))
    column = columns.read_target(column.name, pd.Series(column.cells), layout, genes)
    why = SAID if "control" in said else "spelled so elsewhere"
    if not any(meaning.target == CONTROL for meaning in column.meanings.values()):
        layout = replace(column.layout, control=columns.control_of(column, genes))
        column = columns.read_target(column.name, pd.Series(column.cells), layout, genes)
        why = "looks like it"
    control = [label for label, meaning in column.meanings.items() if meaning.target == CONTROL]
    if not control:
        largest = [f"{label} ({counted(n, 'cell')})" for label, n in column.cells.items()]
        msg = f"no label of {column.name} is known for controls; name it with --control, such as {listed(largest)}"
        raise InputError(msg)
    layout = column.layout
    others = [label for label in column.cells if label not in control and column.meanings[label].target is not None]
    targets = {column.meanings[label].target for label in others}
    what = "compound" if layout.kind == "compound" else "perturbation"
    known = "" if layout.kind == "compound" else f"{100 * column.known:.3g} % are known genes"
    rows = [
        Row("target", layout.target, listed(others[:3]), f"{counted(len(targets), what)}; {known}".strip("; ")),
        Row("control", counted(len(control), "label"), listed(control), why),
    ]
    doubles = [label for label in others if "+" in str(column.meanings[label].target)]
    if doubles and layout.kind == "gene":
        by = f"separated by {layout.separator!r}" if layout.separator else "separated by '+'"
        rows.append(Row("doubles", f"{len(doubles):,}", listed(doubles[:3]), by))
    left_out = {label: n for label, n in column.cells.items() if column.meanings[label].target is None}
    if left_out:
        why = SAID if "drop" in said else "no perturbation is told"
        rows.append(Row("left out", counted(sum(left_out.values()), "cell"), listed(list(left_out)), why))
    return column, rows


def _of_cells(
    obs: pd.DataFrame, layout: Layout, said: Mapping[str, Any], target: pd.Series, others: tuple[Column, ...]
) -> tuple[Layout, list[Row]]:
    """Find guides, contexts and batches."""
    labelled = target.notna().to_numpy()
    obs, target = obs[labelled], target[labelled]
    if "guide" not in said and layout.kind == "gene":
        layout = replace(layout, guide=columns.guide_of(obs, target))
    like_genes = [column.name for column in others if column.known > LOOKS_LIKE_GENES]
    taken = [layout.target, *like_genes, *([layout.guide] if layout.guide else [])]
    if "context" not in said:
        layout = replace(
            layout, context=columns.contexts_of(obs, target, taken, [entry.partition("=")[0] for entry in layout.keep])
        )
    if "batch" not in said:
        layout = replace(layout, batch=columns.batch_of(obs, [*taken, *layout.context]))
    why = {key: SAID if key in said else "" for key in ("guide", "context", "batch")}
    guide = _row("guide", obs, layout.guide, why["guide"])
    if layout.guide is None and (with_guide := _labels_with_guide(obs, layout, others)):
        guide = Row("guide", f"in {layout.target}", listed(with_guide[:3]), "labels tell guides of one gene apart")
    context = Row("context", NONE, "", "one context")
    if layout.context:
        texts = contexts_in(obs, layout)
        found = texts.value_counts()
        without = [name for name in found.index if not (target[texts == name] == CONTROL).any()]
        no_control = f"no controls in {listed(without)}: leave it out with --keep" if without else ""
        note = "; ".join(filter(None, (why["context"], no_control)))
        context = Row("context", ", ".join(layout.context), f"{len(found)}: {listed(list(found.index))}", note)
    return layout, [guide, context, _row("batch", obs, layout.batch, why["batch"])]


def _labels_with_guide(obs: pd.DataFrame, layout: Layout, others: tuple[Column, ...]) -> list[str]:
    read = next((column.meanings for column in others if column.name == layout.target), {})
    return [label for label, meaning in read.items() if meaning.of_guide]


def _numbers(
    obs: pd.DataFrame,
    layout: Layout,
    said: Mapping[str, Any],
    matrix: Matrix,
    totals: Mapping[str, np.ndarray],
    genes: Genes,
) -> tuple[Layout, list[Row]]:
    """Find each cell's total, its mitochondrial share, its dose."""
    why = SAID
    if "n_umis" not in said:
        sums = matrix.sums
        fitting = [name for name, of_cell in totals.items() if sums is None or (of_cell * (1 + ROUNDING) >= sums).all()]
        best = max(fitting, key=lambda name: float(np.median(totals[name])), default=None)
        layout = replace(layout, n_umis=matrix.agrees if matrix.kind == "logs" else best)
        why = "at least the sum of the counts in each cell" if layout.n_umis else "the sum of a cell's counts is taken"
        why = "agrees with the logs" if layout.n_umis and matrix.kind == "logs" else why
        too_low = [name for name in totals if name not in fitting]
        why += f"; {listed(too_low)} is less than that" if too_low else ""
    rows = [_row("total UMIs", obs, layout.n_umis, why)]
    if "percent_mito" not in said:
        layout = replace(layout, percent_mito=columns.mito_of(obs))
    n_mito = sum(symbol.upper().startswith("MT-") for symbol in genes.symbols)
    otherwise = f"taken from {counted(n_mito, 'gene')} named MT-... on release" if n_mito else "no gene is named MT-..."
    rows.append(_row("mitochondrial", obs, layout.percent_mito, "" if layout.percent_mito else otherwise))
    if layout.kind == "compound" and "dose" not in said:
        dose = columns.dose_of(obs)
        if dose is None:
            msg = f"no column of doses is known; name it with --dose, one of {', '.join(map(str, obs.columns))}"
            raise InputError(msg)
        layout = replace(layout, dose=dose[0], dose_unit=said.get("dose_unit", dose[1]))
    if layout.dose:
        n_doses = text_of(obs[layout.dose]).nunique()
        pooled = f"{counted(n_doses, 'dose')} of one compound become one perturbation: take one with --keep"
        rows.append(_row(f"dose, in {layout.dose_unit}", obs, layout.dose, pooled if n_doses > 2 else ""))
    return layout, rows


def _row(what: str, obs: pd.DataFrame, name: str | None, why: str) -> Row:
    """Describe a column by its first values."""
    if name is None:
        return Row(what, NONE, "", why)
    first = obs[name].head(200)
    values = list(
        dict.fromkeys(f"{value:.4g}" for value in first) if first.dtype.kind == "f" else text_of(first).unique()
    )
    return Row(what, name, listed(values[:3]), why)
