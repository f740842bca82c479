"""`.h5ad` files read by blocks of cells, so that memory does not grow with the file; Zarr stores too."""

import importlib
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse

from starter.data.foreign import foreign_layout, kind_of
from starter.data.zarr_store import is_array, is_group, is_store, open_store
from starter.errors import Finding, InputError
from starter.files import check_file

FILTERS = {307: "bzip2", 32001: "blosc", 32004: "lz4", 32008: "bitshuffle", 32013: "zfp", 32015: "zstd", 32017: "sz",
           32018: "fcidecomp", 32024: "sz3", 32026: "blosc2", 32028: "sperr"}  # fmt: skip
"""Filters that hdf5plugin brings along, by their registered numbers."""
CELLS_PER_BLOCK = 1024
LOCKING = False
"""HDF5's locks pass to processes that start meanwhile and keep others out; files are written aside, then renamed."""
GAP = 1 << 14
"""Values between two cells that are read along with them: to read on is quicker than to begin anew."""
MAX_CSC = 1_000_000_000
"""Values that can be turned from columns to rows in memory."""
HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


@contextmanager
def open_h5ad(path: str | Path) -> Iterator[h5py.File]:
    """Open an `.h5ad` file, or a Zarr store, for reading; whatever is unreadable in it is an InputError.

    Yields
    ------
    The open file; of a Zarr store its group, which reads alike.

    Raises
    ------
    InputError
        If the file is missing, is not HDF5, is truncated, or holds no AnnData object.
    """
    path = Path(path)
    if is_store(path):
        store = open_store(path)
        _refuse_incomplete(store, path)
        yield store
        return
    check_file(path)
    with path.open("rb") as file:
        start = file.read(512)
    if not start.startswith(HDF5_MAGIC):
        what, way_out = kind_of(start, path.name)
        msg = f"{path} is not an .h5ad file (HDF5): {what}; {way_out}"
        raise InputError(msg)
    try:
        with h5py.File(path, "r", locking=LOCKING) as file:
            try:
                _refuse_incomplete(file, path)
            except RuntimeError as error:  # what h5py makes of damaged metadata
                raise unreadable(str(path), error) from error
            _refuse_links(file, [file[key] for key in ("X", "obs", "var", "uns") if key in file])
            _check_filters(file)
            yield file
    except OSError as error:
        reason = "it is truncated" if "truncated" in str(error) else str(error)
        msg = f"{path} cannot be read: {reason}; download or write it again"
        raise InputError(msg) from error


def _refuse_incomplete(file: h5py.File, path: Path) -> None:
    """Refuse what holds no AnnData object."""
    if missing := [key for key in ("X", "obs", "var") if key not in file]:
        foreign = foreign_layout(file) if isinstance(file, h5py.File) else None
        msg = f"{path} is no AnnData file: {foreign or 'it has no ' + ', '.join(missing)}"
        raise InputError(msg)


def name_of(element: h5py.Group | h5py.Dataset) -> str:
    """Give the path of the file or store in which an element is."""
    return str(element.file.filename if hasattr(element, "file") else element.store.root)


def check_matrix(x: h5py.Group | h5py.Dataset, shape: tuple[int, int]) -> Finding | None:
    """Compare what a stored matrix says of itself with what describes it, before anything is read.

    Parameters
    ----------
    x
        The element `X` of an open `.h5ad`.
    shape
        Cells and genes that `obs` and `var` describe.

    Returns
    -------
    What is wrong, if anything is.
    """
    values = x.get("data") if is_group(x) else x
    stored = shape_of(x)
    n_cells, n_genes = shape
    if not is_array(values) or stored != shape:
        what = f"X is {' x '.join(map(str, stored)) or 'without shape'}, and obs and var describe {n_cells} x {n_genes}"
        return Finding("error", what, "write it again with AnnData.write_h5ad")
    if values.dtype.kind not in "biuf":
        return Finding("error", f"X holds {values.dtype}, not numbers", "write numbers")
    if values.size > n_cells * n_genes:
        what = f"X stores {values.size:,} values for {n_cells:,} cells x {n_genes:,} genes"
        return Finding("error", what, "write it again; a cell has at most one value a gene")
    if layout_of(x) == "csc_matrix" and values.size > MAX_CSC:
        what = f"X is stored by genes (CSC) with {values.size:,} values, too many to turn around in memory"
        return Finding("error", what, "store it by cells: X.tocsr()")
    return None


def layout_of(x: h5py.Group | h5py.Dataset) -> str:
    """Tell how a matrix is stored, `csr_matrix`, `csc_matrix` or `array`; AnnData up to 0.6 said it otherwise."""
    if (old := x.attrs.get("h5sparse_format")) is not None:
        return f"{_text(old)}_matrix"
    return _text(x.attrs.get("encoding-type", "array" if is_array(x) else "group"))


def shape_of(x: h5py.Group | h5py.Dataset) -> tuple[int, ...]:
    """Give the shape that a stored matrix states; empty if it states none."""
    if is_array(x):
        return tuple(int(size) for size in x.shape)
    stated = x.attrs.get("shape", x.attrs.get("h5sparse_shape", ()))
    return tuple(int(size) for size in stated)


def _text(value: object) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else str(value)


def _check_filters(file: h5py.File) -> None:
    """Refuse values compressed by a filter that HDF5 does not bring along, and name it."""
    lacking: dict[int, str] = {}

    for key in ("X", "obs", "var"):
        for dataset in _data_sets(file[key]):
            made = dataset.id.get_create_plist()
            for number in range(made.get_nfilters()):
                code, _, _, name = made.get_filter(number)
                if not h5py.h5z.filter_avail(code):
                    lacking[code] = FILTERS.get(code) or _text(name) or "unknown"
    if lacking:
        with suppress(ImportError):
            importlib.import_module("hdf5plugin")  # which brings them along
        lacking = {code: name for code, name in lacking.items() if not h5py.h5z.filter_avail(code)}
    if lacking:
        named = ", ".join(f"{name} (HDF5 filter {code})" for code, name in lacking.items())
        msg = (
            f"{file.filename} is compressed with {named}, which HDF5 does not bring along; pip install hdf5plugin, or "
            "write it again with compression='gzip'"
        )
        raise InputError(msg)


def _refuse_links(file: h5py.File, elements: list[h5py.Group | h5py.Dataset]) -> None:
    """Refuse a file that takes its content from other files: whoever opens it may see more than who made it."""
    if outside := [key for key in file if isinstance(file.get(key, getlink=True), h5py.ExternalLink)]:
        msg = f"{file.filename} takes {', '.join(outside)} from another file; write all of it into one"
        raise InputError(msg)
    while elements:
        element = elements.pop()
        if isinstance(element, h5py.Dataset):
            if element.external or element.is_virtual:
                msg = f"{file.filename} takes {element.name} from another file; write all of it into one"
                raise InputError(msg)
            continue
        for key in element:
            if isinstance(element.get(key, getlink=True), h5py.ExternalLink):
                msg = f"{file.filename} takes {element.name}/{key} from another file; write all of it into one"
                raise InputError(msg)
            elements.append(element[key])


def _data_sets(element: h5py.Group | h5py.Dataset, depth: int = 3) -> Iterator[h5py.Dataset]:
    """Give the data sets of a matrix or a table, whose columns may be groups of their own."""
    if isinstance(element, h5py.Dataset):
        yield element
    elif depth:
        for value in element.values():
            yield from _data_sets(value, depth - 1)


def read_frame(file: h5py.File, key: str) -> pd.DataFrame:
    """Read `obs` or `var`, also as AnnData up to 0.6 wrote them.

    Raises
    ------
    InputError
        If the element is not a data frame as AnnData writes it.
    """
    try:
        element = file[key]
        if isinstance(element, h5py.Dataset) and element.dtype.names:
            return _read_table(file, element)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", anndata.OldFormatWarning)  # one a column, and nothing to do about it
            frame = anndata.io.read_elem(element)
    except Exception as error:  # whatever is in somebody's file
        what = f"{name_of(file)}: {key}"
        raise unreadable(what, error) from error
    if not isinstance(frame, pd.DataFrame):
        msg = f"{name_of(file)}: {key} is {type(frame).__name__}, not a data frame"
        raise InputError(msg)
    return frame


def _read_table(file: h5py.File, table: h5py.Dataset) -> pd.DataFrame:
    """Read a compound data set, in which AnnData up to 0.6 kept a table; levels of categories stand in `uns`."""
    values, names = table[:], list(table.dtype.names)
    columns: dict[str, Any] = {}
    for name in names:
        column = values[name]
        if column.dtype.kind in "SO":
            column = np.array([_text(value) for value in column], dtype=object)
        if (levels := file.get(f"uns/{name}_categories")) is not None and column.dtype.kind in "iu":
            found = [_text(level) for level in np.atleast_1d(levels[()])]
            column = pd.Categorical.from_codes(column.astype(int), found)
        columns[name] = column
    index = next((name for name in ("index", "_index", "cell_names", "gene_names") if name in columns), names[0])
    return pd.DataFrame(columns, index=pd.Index(columns.pop(index), dtype=object))


def unreadable(what: str, error: Exception) -> Exception:
    """Make an error of a reading library a fault of the file, in one sentence.

    Parameters
    ----------
    what
        What was read.
    error
        What the library raised. It may be anything, since files may hold anything.

    Returns
    -------
    The exception to raise: an InputError, or `error` itself if the memory did not suffice.
    """
    if isinstance(error, MemoryError):
        return error
    lines = str(error).strip().splitlines()
    reason = f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
    msg = f"{what} cannot be read ({reason[:200]}); write it again with AnnData.write_h5ad"
    return InputError(msg)


def read_blocks(
    x: h5py.Group | h5py.Dataset,
    cells: int = CELLS_PER_BLOCK,
    keep: np.ndarray | None = None,
    *,
    checked: bool = True,
) -> Iterator[scipy.sparse.csr_matrix]:
    """Give the cells of a stored matrix in order, a block at a time.

    Parameters
    ----------
    x
        The element `X` of an open `.h5ad`: CSR, CSC (which is read at once) or dense.
    cells
        Cells per block.
    keep
        Which cells are needed, boolean; the others may come empty, and most of them are not read.
    checked
        Whether every column index is compared with the number of genes; who leaves that out must do it himself.

    Yields
    ------
    CSR matrices (cells x genes) of the stored dtype (float16 widened); zeros that are stored stay stored.

    Raises
    ------
    InputError
        If the matrix is of another kind or its parts do not fit together.
    """
    kind = layout_of(x)
    if kind == "array" and is_array(x) and x.ndim == 2:
        for start in range(0, x.shape[0], cells):
            if keep is not None and not keep[start : start + cells].any():
                shape = (min(cells, x.shape[0] - start), x.shape[1])
                yield scipy.sparse.csr_matrix(shape, dtype=_at_least_float32(np.empty(0, x.dtype)).dtype)
            else:
                yield csr_of(_at_least_float32(taken(x, slice(start, start + cells))))
        return
    if kind not in ("csr_matrix", "csc_matrix"):
        msg = f"{name_of(x)}: X is stored as {kind!r}, not as csr_matrix, csc_matrix or a dense array"
        raise InputError(msg)
    missing = [key for key in ("data", "indices", "indptr") if key not in x]
    if missing or len(shape_of(x)) != 2:
        msg = f"{name_of(x)}: X is damaged (it lacks {', '.join(missing) or 'its shape'})"
        raise InputError(msg)
    n_cells, n_genes = shape_of(x)
    if any(x[key].ndim != 1 or x[key].dtype.kind not in "iu" for key in ("indices", "indptr")):
        msg = f"{name_of(x)}: X is damaged (its indices are no whole numbers)"
        raise InputError(msg)
    indptr = read_pointers(x)
    if kind == "csc_matrix":
        matrix = _compressed(
            x, [slice(None)], indptr, (n_cells, n_genes), scipy.sparse.csc_matrix, checked=True
        ).tocsr()
        for start in range(0, n_cells, cells):
            yield matrix[start : start + cells]
        return
    gap = max(GAP, _unit_of_reading(x["data"]), _unit_of_reading(x["indices"]))
    for start in range(0, n_cells, cells):
        pointers = indptr[start : start + cells + 1]
        shape = (len(pointers) - 1, n_genes)
        spans, local = [slice(int(pointers[0]), int(pointers[-1]))], pointers - pointers[0]
        if keep is not None:
            spans, local = _spans(pointers, keep[start : start + cells], gap)
        if spans:
            yield _compressed(x, spans, local, shape, scipy.sparse.csr_matrix, checked=checked)
        else:
            yield scipy.sparse.csr_matrix(shape, dtype=_at_least_float32(np.empty(0, x["data"].dtype)).dtype)


def read_pointers(x: h5py.Group) -> np.ndarray:
    """Read where each cell of a CSR matrix (of CSC: each gene) begins among its values, and the last one ends.

    Raises
    ------
    InputError
        If they do not fit the matrix.
    """
    pointers = taken(x["indptr"], slice(None)).astype(np.int64)
    n_cells, n_genes = shape_of(x)
    n_lines = n_genes if layout_of(x) == "csc_matrix" else n_cells
    fits = len(pointers) == n_lines + 1 and pointers[0] == 0 and pointers[-1] == x["data"].size
    if not fits or (np.diff(pointers) < 0).any():
        msg = f"{name_of(x)}: X is damaged (its pointers do not fit its {n_cells:,} cells x {n_genes:,} genes)"
        raise InputError(msg)
    return pointers


def _unit_of_reading(x: h5py.Dataset) -> int:
    """Tell how many values must be read together: those of a compressed chunk."""
    return x.chunks[0] if x.chunks and (not isinstance(x, h5py.Dataset) or x.compression) else 1


def _spans(pointers: np.ndarray, keep: np.ndarray, gap: int) -> tuple[list[slice], np.ndarray]:
    """Say which values some cells need, those of small gaps too, and where each cell then begins among them."""
    cells = np.flatnonzero(keep)
    first, last = pointers[cells], pointers[cells + 1]
    apart = np.flatnonzero(first[1:] - last[:-1] > gap)
    begin, end = cells[np.append(0, apart + 1)[: len(cells)]], cells[np.append(apart, -1)[: len(cells)]] + 1
    read = np.zeros(len(keep) + 1, np.int64)
    read[begin] += 1
    read[end] -= 1
    sizes = np.diff(pointers) * np.cumsum(read[:-1])
    return [slice(int(pointers[a]), int(pointers[b])) for a, b in zip(begin, end, strict=True)], np.append(
        0, np.cumsum(sizes)
    )


def csr_of(x: np.ndarray) -> scipy.sparse.csr_matrix:
    """Make a CSR matrix of a dense one, ten times as fast as SciPy."""
    stored = x != 0
    pointers = np.concatenate([[0], np.cumsum(np.count_nonzero(stored, axis=1))])
    indices = np.concatenate([np.empty(0, np.int32), *(np.flatnonzero(row).astype(np.int32) for row in stored)])
    return scipy.sparse.csr_matrix((x[stored], indices, pointers), shape=x.shape)


def _at_least_float32(values: np.ndarray) -> np.ndarray:
    """Widen float16, which SciPy's matrices do not hold."""
    return values.astype(np.float32) if values.dtype == np.float16 else values


def taken(x: h5py.Dataset, span: slice) -> np.ndarray:
    """Read some of an element's values; those of a Zarr store may raise anything where they are damaged."""
    try:
        return np.asarray(x[span])
    except Exception as error:  # whatever is in somebody's file
        if isinstance(x, h5py.Dataset):
            raise  # to `open_h5ad`, which knows these
        what = f"{name_of(x)}: {x.name}"
        raise unreadable(what, error) from error


def _compressed(
    x: h5py.Group, spans: list[slice], indptr: np.ndarray, shape: tuple[int, int], kind: Callable, *, checked: bool
) -> scipy.sparse.csr_matrix | scipy.sparse.csc_matrix:
    try:
        indices = _together(x["indices"], spans)
        narrow = np.int32 if indptr[-1] <= np.iinfo(np.int32).max and indices.itemsize <= 4 else np.int64
        # columns may be stored as any whole numbers; SciPy wants both index arrays of one type
        arrays = (
            _at_least_float32(_together(x["data"], spans)),
            indices.astype(narrow, copy=False),
            indptr.astype(narrow),
        )
        matrix = kind(arrays, shape=shape)
        matrix.check_format(full_check=checked)
    except (ValueError, KeyError) as error:
        msg = f"{name_of(x)}: X is damaged ({error})"
        raise InputError(msg) from error
    return matrix


def _together(x: h5py.Dataset, spans: list[slice]) -> np.ndarray:
    parts = [taken(x, span) for span in spans]
    return parts[0] if len(parts) == 1 else np.concatenate(parts)


def check_sparse(x: Any) -> None:
    """Refuse a compressed sparse matrix whose parts do not fit together.

    Raises
    ------
    InputError
        With what is wrong.
    """
    if isinstance(x, scipy.sparse.spmatrix | scipy.sparse.sparray) and x.format in ("csr", "csc"):
        try:
            x.check_format(full_check=True)
        except ValueError as error:
            msg = f"X is damaged ({error})"
            raise InputError(msg) from error
