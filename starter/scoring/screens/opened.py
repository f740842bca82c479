"""An `.h5ad` of labelled cells opened for scoring: labels and genes at once, values a block of cells at a time."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse

from starter.data.blocks import Cells, held_cells, stored_cells
from starter.data.h5ad import CELLS_PER_BLOCK, check_matrix, open_h5ad, read_frame, unreadable
from starter.data.rules import check_description
from starter.data.zarr_store import is_group
from starter.errors import Finding, FindingsError, InputError
from starter.schema import CONTEXT, COURSE, ONE_CONTEXT, TARGET_GENE

LOOKED_AT = 100_000
"""Values of a layer that are looked at."""
FEW_ROWS = 10
"""Of one that is stored with its zeros, cells."""


class Layer(NamedTuple):
    """Other values of a screen's cells and genes."""

    name: str
    way: str
    """How to take them in the place of X."""
    x: Any


@dataclass(frozen=True)
class Screen:
    """Labelled cells of which the values stay in the file."""

    name: str
    """What to call the file in a message."""
    obs: pd.DataFrame
    var: pd.DataFrame
    """What describes the genes; its index names them."""
    course: Mapping
    """What `uns["course"]` says, if anything."""
    cells: Cells
    """Stored values, float64 or float32; valid while the file is open."""
    n_bytes: int
    """What they take without compression."""
    other_counts: Callable[[], str]
    """Says where else in the file there are counts, and how to take them; nothing if nowhere. While it is open."""

    @cached_property
    def genes(self) -> np.ndarray:
        """Names of the genes."""
        return self.var.index.astype(str).to_numpy(str)

    @cached_property
    def labels(self) -> np.ndarray:
        """Perturbation of each cell, or the control label."""
        return self.obs[TARGET_GENE].astype(str).to_numpy(str)

    @cached_property
    def contexts(self) -> np.ndarray:
        """Context of each cell."""
        if CONTEXT not in self.obs:
            return np.full(len(self.obs), ONE_CONTEXT)
        return self.obs[CONTEXT].astype(str).to_numpy(str)

    @property
    def n_blocks(self) -> int:
        """How many blocks one reading of the cells takes."""
        return -(-len(self.obs) // CELLS_PER_BLOCK)

    def watched(self, advance: Callable[[], None]) -> "Screen":
        """Call a function for every block that is read."""

        def see(block: scipy.sparse.csr_matrix, start: int) -> scipy.sparse.csr_matrix:
            del start
            advance()
            return block

        return replace(self, cells=self.cells.mapped(see))


@contextmanager
def open_screen(
    path: str | Path, name: str | None = None, *, controls: bool = True, predicted: bool = False
) -> Iterator[Screen]:
    """Open labelled cells, which may be counts or log1p expression, in any layout that AnnData writes.

    Parameters
    ----------
    path
        The `.h5ad`.
    name
        What to call it in a message; default: its path.
    controls
        Whether there must be control cells.
    predicted
        Whether it is a prediction, which has some of a screen's perturbations.

    Yields
    ------
    The screen, which must not be used after the block.

    Raises
    ------
    FindingsError
        If labels or genes cannot be used; the message lists all faults.
    InputError
        If the file cannot be read at all.
    """
    name = name or str(path)
    try:
        with open_h5ad(path) as file:
            yield _screen(file, name, controls=controls, predicted=predicted)
    except InputError as error:
        if isinstance(error, FindingsError) or name == str(path):
            raise
        raise InputError(str(error).replace(str(path), name)) from error


def screen_of(adata: anndata.AnnData, name: str, *, controls: bool = True) -> Screen:
    """Take predicted cells that are in memory, as `open_screen` takes those of the file that AnnData writes of them.

    Parameters
    ----------
    adata
        The cells, counts or log1p expression, CSR, CSC or dense.
    name, controls
        As `open_screen` takes them.

    Raises
    ------
    FindingsError, InputError
        As `open_screen` does.
    """
    x = adata.X
    if adata.isbacked or not (isinstance(x, np.ndarray) or getattr(x, "format", None) in ("csr", "csc")):
        kind = "backed by a file" if adata.isbacked else f"{type(x).__name__} in X"
        msg = f"{name} is not in memory as CSR, CSC or dense ({kind}); give its path, or adata.to_memory()"
        raise InputError(msg)
    if x.dtype.kind not in "biuf":
        raise FindingsError(name, [Finding("error", f"X holds {x.dtype}, not numbers", "write numbers")])
    n_bytes = x.nbytes if isinstance(x, np.ndarray) else x.data.nbytes + x.indices.nbytes + x.indptr.nbytes
    course = adata.uns.get(COURSE, {})
    _check(adata.obs.copy(), adata.var.copy(), course, None, name, controls=controls, predicted=True)
    return Screen(
        name=name,
        obs=adata.obs,
        var=adata.var,
        course=course,
        cells=held_cells(x),
        n_bytes=n_bytes,
        other_counts=lambda: _say_counts(
            Layer(f"layers[{key!r}]", f"adata.X = adata.layers[{key!r}]", layer) for key, layer in adata.layers.items()
        ),
    )


def _screen(file: h5py.File, name: str, *, controls: bool, predicted: bool) -> Screen:
    obs, var = read_frame(file, "obs"), read_frame(file, "var")
    try:
        course = anndata.io.read_elem(file["uns"][COURSE]) if COURSE in file.get("uns", ()) else {}
    except Exception as error:  # whatever is in somebody's file
        what = f"{name}: uns[{COURSE!r}]"
        raise unreadable(what, error) from error
    x, shape = file["X"], (len(obs), len(var))
    _check(obs, var, course, check_matrix(x, shape), name, controls=controls, predicted=predicted)
    return Screen(
        name=name,
        obs=obs,
        var=var,
        course=course,
        cells=stored_cells(x, shape),
        n_bytes=sum(part.nbytes for part in ([x[key] for key in x] if is_group(x) else [x])),
        other_counts=lambda: _say_counts(_layers_of(file)),
    )


def _check(
    obs: pd.DataFrame,
    var: pd.DataFrame,
    course: Mapping,
    fault: Finding | None,
    name: str,
    *,
    controls: bool,
    predicted: bool,
) -> None:
    """Refuse what describes cells and genes if it cannot be used; `fault` is what is wrong with X, if known."""
    described = anndata.AnnData(obs=obs, var=var, uns={COURSE: course} if course else {})
    findings = check_description(described, controls=controls, predicted=predicted)
    if fault:
        findings.append(fault)
    if 0 in described.shape:
        what = f"X has {described.n_obs:,} cells x {described.n_vars:,} genes"
        findings.append(Finding("error", what, "write the cells that there are"))
    if any(finding.level == "error" for finding in findings):
        raise FindingsError(name, findings)


def _layers_of(file: h5py.File) -> Iterator[Layer]:
    """Give the layers of an open file, and what stands in `raw`."""
    for key in file.get("layers", ()):
        yield Layer(f"layers[{key!r}]", f"adata.X = adata.layers[{key!r}]", file["layers"][key])
    if "raw" in file and "X" in file["raw"]:
        yield Layer("raw", "adata = adata.raw.to_adata()", file["raw"]["X"])


def _say_counts(layers: Iterable[Layer]) -> str:
    """Say which layers begin with whole numbers, and how to take them."""
    ways = []
    for layer in layers:
        x = layer.x
        values = x.get("data") if is_group(x) else x.data if scipy.sparse.issparse(x) else x
        if values is None or values.dtype.kind not in "biuf":
            continue
        first = np.asarray(values[: LOOKED_AT if values.ndim == 1 else FEW_ROWS])
        if first.size and (first == np.rint(first)).all() and first.min() >= 0 and first.any():
            ways.append(f"{layer.name} holds whole numbers, as counts are: {layer.way}")
    return " or ".join(ways)
