"""A part of a screen whose values lie dense in one place of a file on the web, without the rest of the file."""

import hashlib
import json
import shutil
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import scanpy
import scipy.sparse

from data_scripts.adoption.cells import text_of
from data_scripts.adoption.genes import harmonise_genes, names_at_hand
from data_scripts.adoption.labels import read_labels
from data_scripts.adoption.layout import Layout, read_layout
from data_scripts.catalogue import DataSet
from data_scripts.download import at_hand
from data_scripts.lineage import write_lineage
from data_scripts.subset.cells import Part, choose
from data_scripts.subset.remote import Remote
from starter.data.h5ad import csr_of, read_frame
from starter.data.write import write_h5ad
from starter.errors import InputError
from starter.files import check_room
from starter.progress import bar

ROWS = 64
"""Cells that are saved at a time; a process that is killed loses no more."""


def cut(entry: DataSet, folder: str | Path, part: Part, downloads: str | Path) -> Path:
    """Write a part of a screen as an `.h5ad` in the screen's own labels.

    Only what describes cells and genes and the rows of the chosen cells are read. Run again after it was killed, it
    goes on where it was.

    Parameters
    ----------
    entry
        A data set whose first file holds its values dense and contiguous, with a layout.
    folder
        Receives `<name>.<part>.h5ad` and its lineage; a part that is there already is not cut again.
    part
        How much to take.
    downloads
        Where the whole file is looked for, since it need not be read over the web then.

    Returns
    -------
    The path of the file: raw counts (CSR), and of `obs` the columns that the layout names.

    Raises
    ------
    InputError
        If the file cannot be read in pieces, or has too few cells.
    """
    folder, file, layout = Path(folder), entry.files[0], read_layout(entry.layout)
    path = folder / f"{entry.name}.{part}.h5ad"
    if path.is_file():
        return path
    names, _ = names_at_hand(downloads)
    whole_file = at_hand(file, downloads)
    source: Any = Remote(file) if whole_file is None else whole_file.open("rb")
    try:
        with source, h5py.File(source, "r") as content:
            x = content["X"]
            _refuse_scattered(x, entry)
            obs = _columns(content["obs"], layout)
            var = read_frame(content, "var")
            genes = harmonise_genes(var, layout, names)
            meanings = read_labels(text_of(obs[layout.target]).unique(), layout, genes)
            cells = choose(text_of(obs[layout.target]), meanings, set(genes.symbols), part)
            targets = {gene for label in obs[layout.target].iloc[cells].unique()
                       for gene in (meanings[str(label)].target or "").split("+")}  # fmt: skip
            check_room(folder, 2 * len(cells) * x.shape[1])
            version = source.version if isinstance(source, Remote) else {}
            kept = folder / f".{path.stem}.{hashlib.sha256(json.dumps(version).encode()).hexdigest()[:8]}"
            counts = _rows(source, x, cells, kept)
            obs = obs.iloc[cells].set_index(_names(content["obs"], cells))
    except (OSError, KeyError) as error:  # what HDF5 makes of a damaged file
        msg = f"{file.name} cannot be read ({error}); see whether the file has changed, or take all of it"
        raise InputError(msg) from error
    for column in obs.select_dtypes("category"):
        obs[column] = obs[column].cat.remove_unused_categories()
    taken = variable_genes(counts, part.genes) | np.isin(genes.symbols, list(targets))
    write_h5ad(path, [counts[:, taken]], obs, var[taken], compression="gzip")
    parameters = {**asdict(part), "file": file.name, "version": version, "cells": len(cells), "genes": int(taken.sum())}
    write_lineage(path, [whole_file] if whole_file else [], [entry], parameters, __file__)
    shutil.rmtree(kept)
    return path


def variable_genes(counts: scipy.sparse.csr_matrix, n: int) -> np.ndarray:
    """Tell the most variable genes by dispersion (Seurat's, by scanpy); all of them if there are no more than `n`.

    Parameters
    ----------
    counts
        Cells x genes.
    n
        How many to take.

    Returns
    -------
    One boolean a gene.
    """
    if counts.shape[1] <= n:
        return np.ones(counts.shape[1], dtype=bool)
    adata = anndata.AnnData(counts.astype(np.float32))
    scanpy.pp.normalize_total(adata, target_sum=1e4)
    scanpy.pp.log1p(adata)
    scanpy.pp.highly_variable_genes(adata, n_top_genes=n, flavor="seurat")
    return adata.var["highly_variable"].to_numpy()


def _refuse_scattered(x: Any, entry: DataSet) -> None:
    """Refuse a matrix of which single rows cannot be had by their place in the file."""
    if not isinstance(x, h5py.Dataset) or x.ndim != 2 or x.id.get_offset() is None or x.dtype.kind != "f":
        msg = f"{entry.files[0].name} holds no dense matrix in one place, so no part of it can be had; take all of it"
        raise InputError(msg)


def _columns(obs: h5py.Group, layout: Layout) -> pd.DataFrame:
    """Read the columns that a layout names, and no other: a table of 2 million cells has many."""
    named = [layout.target, layout.guide, layout.batch, layout.n_umis, layout.percent_mito, *layout.context]
    table = {}
    for name in dict.fromkeys(name for name in named if name):
        if name not in obs:
            msg = f"{obs.file.filename}: obs has no column {name!r}, which the catalogue names; report this"
            raise InputError(msg)
        column = obs[name]
        levels = obs.get(f"__categories/{name}")
        if isinstance(column, h5py.Dataset) and levels is not None:  # as AnnData 0.7 kept categories
            table[name] = pd.Categorical.from_codes(column[:], levels.asstr()[:])
        elif isinstance(column, h5py.Dataset):
            table[name] = column.asstr()[:] if h5py.check_string_dtype(column.dtype) else column[:]
        else:
            table[name] = anndata.io.read_elem(column)
    return pd.DataFrame(table)


def _names(obs: h5py.Group, cells: np.ndarray) -> pd.Index:
    """Read the names of some cells."""
    index = obs[str(obs.attrs.get("_index", "index"))]
    return pd.Index(index.asstr()[cells], dtype=object)


def _rows(source: Any, x: h5py.Dataset, cells: np.ndarray, kept: Path) -> scipy.sparse.csr_matrix:
    """Read the rows of some cells, by their place in the file; those that an earlier run has read are taken from it."""
    kept.mkdir(parents=True, exist_ok=True)
    start, length = x.id.get_offset(), x.shape[1] * x.dtype.itemsize
    blocks = []
    batches = np.array_split(cells, -(-len(cells) // ROWS))
    with bar(f"read {len(cells):,} cells, {len(cells) * length / 1e6:,.0f} MB", len(batches)) as advance:
        for number, batch in enumerate(batches):
            saved = kept / f"{number:05d}.npz"
            if not saved.is_file():
                spans = [(start + int(cell) * length, start + (int(cell) + 1) * length) for cell in batch]
                rows = np.frombuffer(b"".join(_pieces(source, spans)), x.dtype).reshape(len(batch), -1)
                half = saved.with_suffix(".half")
                with half.open("wb") as file:
                    scipy.sparse.save_npz(file, csr_of(rows.astype(np.float32)))
                half.replace(saved)
            blocks.append(scipy.sparse.csr_matrix(scipy.sparse.load_npz(saved)))
            advance()
    return scipy.sparse.csr_matrix(scipy.sparse.vstack(blocks, format="csr"))


def _pieces(source: Any, spans: list[tuple[int, int]]) -> Iterator[bytes]:
    if isinstance(source, Remote):
        yield from source.pieces(spans)
        return
    for begin, end in spans:
        source.seek(begin)
        yield source.read(end - begin)
