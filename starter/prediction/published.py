"""Predictions as published models write them: the label of each row, the genes, and the values, a block at a time."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Literal, NamedTuple

import h5py
import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import scipy.sparse

from starter.data.blocks import Cells, float_csr
from starter.data.h5ad import CELLS_PER_BLOCK, check_matrix, open_h5ad, read_blocks, read_frame
from starter.data.targets import symbol_column
from starter.data.zarr_store import is_group
from starter.errors import InputError, counted, listed
from starter.files import check_file
from starter.prediction.lists import read_list
from starter.prediction.requirements import GENE_HEADERS
from starter.schema import CONTEXT, PERTURBATION, TARGET_GENE

GENES = "genes"
"""The entry of a dictionary of arrays that names the genes."""
DELTA = "delta_p_pred"
"""PIE's column of predicted differences from the control profile, mean log1p expression."""
PICKLES = (".pkl", ".pickle", ".pt", ".pth", ".joblib", ".npy")
"""How files are named that are read by running what is in them; of `.npy`, those with a dictionary."""
AS_ARRAYS = "numpy.savez('prediction.npz', genes=numpy.array(GENES, dtype=str), **PREDICTION)"
"""How a dictionary of arrays is written so that nothing in it can be run."""
CONTEXTS = ("cell_type", "cell_line", CONTEXT, "celltype", "cell_name")


class Layout(NamedTuple):
    """Where a format keeps what is needed."""

    what: str
    kind: Literal["anndata", "arrays", "pie"] = "anndata"
    perturbation: tuple[str, ...] = ()
    """Columns of obs that may hold the perturbations, the likeliest first."""
    context: tuple[str, ...] = CONTEXTS
    """The same of cell lines or conditions."""
    element: str = "X"
    """The element with the predictions: X, layers/NAME or obsm/NAME."""


FORMATS = {
    "anndata": Layout(
        "AnnData of cells or means, obs.condition as in GEARS and scPerturb (also scGen, CellOT, PRNet)",
        perturbation=("condition", PERTURBATION, TARGET_GENE, "gene"),
    ),
    "arrays": Layout("dictionary of arrays, .npz or .json: GEARS.predict, CellFlow.predict, GenePert", "arrays"),
    "cpa": Layout(
        "AnnData of CPA.predict (cpa-tools), obsm CPA_pred",
        perturbation=("condition", "cond_harm", PERTURBATION, TARGET_GENE),
        element="obsm/CPA_pred",
    ),
    "perturbench": Layout(
        "prediction_chunk_*.h5ad of PerturbBench, all of them", perturbation=("condition", PERTURBATION, TARGET_GENE)
    ),
    "pie": Layout("parquet of pie infer (arc-pie)", "pie"),
    "state": Layout(
        "AnnData of state tx infer, or adata_pred.h5ad of state tx predict (arc-state)",
        perturbation=(TARGET_GENE, "gene", PERTURBATION, "condition"),
    ),
}
"""What can be read, by the name that --from takes."""


@dataclass(frozen=True)
class Written:
    """What a model wrote."""

    rows: pd.DataFrame
    """Of each row: `perturbation` as it is written there, and `context`, None where the file has none."""
    genes: pd.Index | None
    """None where the file does not name them."""
    var: pd.DataFrame
    """What else is said of the genes; its index are their names."""
    cells: Cells
    """Rows x genes; valid while the file is open."""
    n_blocks: int
    """In how many blocks they come."""
    effects: bool = False
    """Whether values are differences from the control profile."""

    @property
    def means(self) -> bool:
        """Tell whether each label has one row, its mean."""
        return not self.rows.duplicated().any()


@contextmanager
def open_written(
    paths: Sequence[Path],
    layout: Layout,
    genes: Path | None = None,
    perturbation_column: str | None = None,
    context_column: str | None = None,
) -> Iterator[Written]:
    """Open what a model wrote.

    Parameters
    ----------
    paths
        The file; of AnnData several with the same genes, which count as one.
    layout
        One of `FORMATS`.
    genes
        Names of the genes in the model's order, where the file has none: a list, or an `.h5ad` with them.
    perturbation_column, context_column
        The columns of obs, if they are named otherwise than the layout says.

    Yields
    ------
    The predictions, to be read within the block.

    Raises
    ------
    InputError
        If a file cannot be read, or is of another layout.
    """
    for path in paths:
        check_file(path)
        _refuse_pickle(path)
    if layout.kind != "anndata" and (len(paths) > 1 or perturbation_column or context_column):
        msg = f"a {layout.what} is one file without columns; give one, without --pert-col and --context-col"
        raise InputError(msg)
    names = None if genes is None else _read_genes(genes)
    if layout.kind == "arrays":
        yield _of_arrays(paths[0], names)
        return
    if layout.kind == "pie":
        yield _of_pie(paths[0])
        return
    with ExitStack() as stack:
        files = [stack.enter_context(open_h5ad(path)) for path in paths]
        parts = [
            _of_anndata(file, path, layout, names, perturbation_column, context_column)
            for file, path in zip(files, paths, strict=True)
        ]
        for path, part in zip(paths, parts, strict=True):
            if not part.var.index.equals(parts[0].var.index):
                msg = f"the genes of {path} are not those of {paths[0]}; give files of one model"
                raise InputError(msg)
        first = parts[0]
        rows = pd.concat([part.rows for part in parts], ignore_index=True)
        shape = (len(rows), first.cells.shape[1])

        def read(keep: np.ndarray) -> Iterator[scipy.sparse.csr_matrix]:
            ends = np.cumsum([0, *(part.cells.shape[0] for part in parts)])
            return chain.from_iterable(
                part.cells.read(keep[start:end]) for part, start, end in zip(parts, ends[:-1], ends[1:], strict=True)
            )

        yield Written(rows, first.genes, first.var, Cells(shape, read), sum(part.n_blocks for part in parts))


def _refuse_pickle(path: Path) -> None:
    with path.open("rb") as file:
        start = file.read(2)
    if path.suffix.lower() in PICKLES or (start[:1] == b"\x80" and start[1:] in (b"\x02", b"\x03", b"\x04", b"\x05")):
        msg = f"{path} may be a pickle, which runs code when it is read; write the dictionary as arrays: {AS_ARRAYS}"
        raise InputError(msg)


def _read_genes(path: Path) -> pd.Index:
    """Read names of genes, in order."""
    if path.suffix == ".h5ad":
        with open_h5ad(path) as file:
            names = read_frame(file, "var").index.astype(str)
    else:
        names = pd.Index(read_list(path, GENE_HEADERS, "gene").names)
    if not names.is_unique:
        msg = f"{path} holds genes twice: {listed(names[names.duplicated()].unique())}; each is one column"
        raise InputError(msg)
    return names


def _of_anndata(
    file: h5py.File,
    path: Path,
    layout: Layout,
    names: pd.Index | None,
    perturbation_column: str | None,
    context_column: str | None,
) -> Written:
    obs, var = read_frame(file, "obs"), read_frame(file, "var")
    values = file.get(layout.element)
    if values is None:
        there = ["X", *(f"{key}/{name}" for key in ("layers", "obsm") if is_group(file.get(key)) for name in file[key])]
        msg = f"{path} has no {layout.element}; name the element with the predictions by --values: {listed(there)}"
        raise InputError(msg)
    shape = _shape(values, path, layout.element, len(obs))
    # obs and var describe X; what stands elsewhere may have other genes
    if names is None and layout.element.startswith("obsm/") and shape[1] == len(var):
        names = var.index.astype(str)
    if fault := check_matrix(values, shape):
        msg = f"{path}: {str(fault).replace('X ', f'{layout.element} ', 1)}"
        raise InputError(msg)
    if names is not None:
        if len(names) != shape[1]:
            msg = f"{path}: {layout.element} has {counted(shape[1], 'gene')}, and --genes names {len(names):,}"
            raise InputError(msg)
        var = var.set_axis(names) if len(var) == len(names) else pd.DataFrame(index=names)
    named = len(var) == shape[1] and not _are_numbers(var.index.astype(str))
    rows = pd.DataFrame(
        {
            PERTURBATION: _column(obs, path, layout.perturbation, perturbation_column, "--pert-col", "perturbations"),
            CONTEXT: _column(obs, path, layout.context, context_column, "--context-col", "contexts", needed=False),
        }
    )
    cells = Cells(shape, lambda keep: map(float_csr, read_blocks(values, keep=keep)))
    genes = var.index.astype(str) if named else None
    return Written(rows, genes, var, cells, -(-shape[0] // CELLS_PER_BLOCK))


def _shape(values: h5py.Group | h5py.Dataset, path: Path, name: str, n_rows: int) -> tuple[int, int]:
    """Give the shape of an element with predictions."""
    stated = values.attrs.get("shape", ()) if is_group(values) else values.shape
    if len(stated) != 2 or stated[0] != n_rows:
        msg = f"{path}: {name} is no matrix with a row for each of the {n_rows:,} cells; write it as an array"
        raise InputError(msg)
    return int(stated[0]), int(stated[1])


def _column(
    obs: pd.DataFrame,
    path: Path,
    likely: Iterable[str],
    given: str | None,
    option: str,
    holds: str,
    *,
    needed: bool = True,
) -> np.ndarray:
    """Take the column of obs that was named, or the likeliest."""
    name = given or next((column for column in likely if column in obs), None)
    if name is None and not needed:
        return np.full(len(obs), None, dtype=object)
    if name not in obs:
        msg = (
            f"obs of {path} has no column {given or ' or '.join(likely)}; name the column of {holds} by {option}: "
            f"{listed(obs.columns) or 'it has none'}"
        )
        raise InputError(msg)
    if missing := int(obs[name].isna().sum()):
        msg = f"{path}: rows without a value in obs.{name}: {missing:,}; label every row"
        raise InputError(msg)
    return obs[name].astype(str).to_numpy(object)


def _are_numbers(names: pd.Index) -> bool:
    """Tell whether genes are merely numbered, as AnnData does where nobody names them."""
    return bool(len(names)) and list(names) == [str(number) for number in range(len(names))]


def _of_arrays(path: Path, names: pd.Index | None) -> Written:
    """Read a dictionary of arrays, each the mean of a perturbation or its cells x genes."""
    load = _json(path) if path.suffix.lower() == ".json" else _npz(path)
    listing = load(GENES) if GENES in load.keys else None
    if listing is not None and names is None:
        names = pd.Index(np.asarray(listing).astype(str).ravel())
    labels = [key for key in load.keys if key != GENES]
    if not labels:
        msg = f"{path} holds no prediction; write a dictionary of arrays: {AS_ARRAYS}"
        raise InputError(msg)
    n_genes, sizes = None, []
    for label in labels:
        array = _matrix(load(label), label, path)
        if n_genes is not None and array.shape[1] != n_genes:
            msg = f"{path}: {label} has {array.shape[1]:,} genes, and {labels[0]} {n_genes:,}; all have the same"
            raise InputError(msg)
        n_genes = array.shape[1]
        sizes.append(array.shape[0])
    if names is not None and len(names) != n_genes:
        msg = f"{path}: its arrays have {n_genes:,} genes, and {len(names):,} are named; name each, in the same order"
        raise InputError(msg)
    rows = pd.DataFrame({PERTURBATION: np.repeat(np.array(labels, dtype=object), sizes), CONTEXT: None})

    def read(keep: np.ndarray) -> Iterator[scipy.sparse.csr_matrix]:
        del keep
        return (float_csr(_matrix(load(label), label, path)) for label in labels)

    var = pd.DataFrame(index=pd.RangeIndex(n_genes) if names is None else names)
    return Written(rows, names, var, Cells((len(rows), int(n_genes or 0)), read), len(labels))


class _Arrays(NamedTuple):
    """A dictionary in a file."""

    keys: list[str]
    get: Callable[[str], object]

    def __call__(self, key: str) -> object:
        return self.get(key)


def _npz(path: Path) -> _Arrays:
    try:
        file = np.load(path, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            msg = "it is a single array"
            raise ValueError(msg)
        keys = list(file.keys())
    except Exception as error:  # whatever is in somebody's file
        msg = f"{path} is no dictionary of arrays ({_first(error)}); write one: {AS_ARRAYS}"
        raise InputError(msg) from error

    def get(key: str) -> object:
        try:
            return file[key]
        except Exception as error:  # objects, which only a pickle holds, or a damaged member
            msg = f"{path}: {key} cannot be read ({_first(error)}); write it as numbers: {AS_ARRAYS}"
            raise InputError(msg) from error

    return _Arrays(keys, get)


def _json(path: Path) -> _Arrays:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        msg = f"{path} cannot be read as JSON ({_first(error)}); write a dictionary of lists of numbers"
        raise InputError(msg) from error
    if not isinstance(content, Mapping):
        msg = f"{path} holds no dictionary; write {{'genes': [...], 'GENE': [...], ...}}, a list of numbers each"
        raise InputError(msg)
    return _Arrays(list(content), content.__getitem__)


def _matrix(values: object, label: str, path: Path) -> np.ndarray:
    """Take an array as rows x genes."""
    try:
        array = np.asarray(values, dtype=np.float64 if isinstance(values, list) else None)
        if array.dtype.kind not in "biuf" or array.ndim not in (1, 2) or not array.size:
            msg = f"it is {array.dtype} of shape {array.shape}"
            raise ValueError(msg)
    except (ValueError, TypeError) as error:
        msg = f"{path}: {label} is no array of numbers, a mean for each gene or cells x genes ({_first(error)})"
        raise InputError(msg) from error
    return np.atleast_2d(array)


def _of_pie(path: Path) -> Written:
    """Read the table that `pie infer` writes: a row a pair, a list of predicted differences in it."""
    needed = [PERTURBATION, CONTEXT, DELTA]
    try:
        table = pyarrow.parquet.read_table(path)
        about = json.loads((table.schema.metadata or {}).get(b"pie", b"{}"))
        if missing := [name for name in needed if name not in table.column_names]:
            msg = f"it has no column {', '.join(missing)}"
            raise ValueError(msg)
        datasets = list(about["genes"])
    except Exception as error:  # whatever is in somebody's file
        msg = f"{path} is no table of pie infer ({_first(error)}); give the parquet that it wrote"
        raise InputError(msg) from error
    if len(datasets) != 1:
        msg = f"{path} holds {len(datasets)} data sets ({listed(datasets)}); run pie infer on one"
        raise InputError(msg)
    genes = pd.Index([str(name) for name in about["genes"][datasets[0]]])
    lists = table.column(DELTA).combine_chunks()
    sizes = np.diff(lists.offsets.to_numpy())
    if (sizes != len(genes)).any() or lists.null_count:
        msg = f"{path}: a row has not one value for each of its {len(genes):,} genes; run pie infer again"
        raise InputError(msg)
    values = lists.flatten().to_numpy(zero_copy_only=False).reshape(len(table), len(genes))
    rows = pd.DataFrame({name: np.array(table.column(name).to_pylist(), dtype=object) for name in needed[:2]})

    def read(keep: np.ndarray) -> Iterator[scipy.sparse.csr_matrix]:
        del keep
        yield float_csr(values)

    return Written(rows, genes, pd.DataFrame(index=genes), Cells(values.shape, read), 1, effects=True)


def genes_by_symbol(written: Written, due: Sequence[str]) -> pd.Index:
    """Give the genes of a prediction under the names that are due, from a column of `var` where its index has others.

    Raises
    ------
    InputError
        If the file does not name its genes, or one name comes twice.
    """
    if written.genes is None:
        msg = (
            f"the file does not name its {counted(written.cells.shape[1], 'gene')}; give them in the model's order by "
            "--genes: a list, or the .h5ad that it was trained on"
        )
        raise InputError(msg)
    names = written.genes
    if len(names.intersection(pd.Index(due))) < len(names) / 2:
        column = symbol_column(written.var, set(due) - set(names))
        names = names if column is None else pd.Index(written.var[column].astype(str))
    if not names.is_unique:
        msg = f"genes occur twice in the prediction: {listed(names[names.duplicated()].unique())}; each is one column"
        raise InputError(msg)
    return names


def _first(error: Exception) -> str:
    """Take the first line of an error's message."""
    lines = str(error).strip().splitlines()
    return lines[0][:200] if lines else type(error).__name__
