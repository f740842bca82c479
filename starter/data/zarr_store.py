"""AnnData's Zarr stores: folders that are read as an `.h5ad` is."""

import os
from pathlib import Path
from typing import Any

import h5py
import zarr

from starter.errors import InputError, listed

MARKS = ("zarr.json", ".zgroup")
"""What the folder of a group holds, in version 3 and 2 of the format."""
ALWAYS_FILLED = ("data", "indices")
"""Parts of a sparse matrix no chunk of which can be zero throughout, and be left out when it is written."""


def is_store(path: str | Path) -> bool:
    """Tell a Zarr store from any other folder or file."""
    return any(os.path.isfile(os.path.join(path, mark)) for mark in MARKS)  # false whatever the path is


def is_group(element: Any) -> bool:
    """Tell an element that holds others, in an `.h5ad` or a Zarr store."""
    return isinstance(element, h5py.Group | zarr.Group)


def is_array(element: Any) -> bool:
    """Tell an element that holds values, in an `.h5ad` or a Zarr store."""
    return isinstance(element, h5py.Dataset | zarr.Array)


def open_store(path: str | Path) -> Any:
    """Open a Zarr store for reading.

    Parameters
    ----------
    path
        The folder, of version 2 or 3 of the format.

    Returns
    -------
    Its group, which reads as an open `.h5ad` does.

    Raises
    ------
    InputError
        If it cannot be read, parts of it are missing, lie elsewhere, or hold Python objects.
    """
    try:
        store = zarr.open_group(Path(path), mode="r", use_consolidated=False)  # which may be older than its parts
        arrays = {name: array for name, array in store.members(max_depth=None) if isinstance(array, zarr.Array)}
    except Exception as error:  # whatever is in somebody's folder
        if isinstance(error, MemoryError):
            raise
        msg = f"{path} cannot be read as a Zarr store ({type(error).__name__}: {str(error)[:200]}); write it again"
        raise InputError(msg) from error
    if elsewhere := _outward_links(Path(path)):
        msg = f"{path} takes {listed(elsewhere)} from another place; copy all of it into one folder"
        raise InputError(msg)
    # reading these runs whatever is in them
    if pickled := [name for name, array in arrays.items() if "pickle" in str(array.metadata.to_dict()).lower()]:
        msg = f"{path} holds Python objects in {listed(pickled)}, which are not read; write it with AnnData.write_zarr"
        raise InputError(msg)
    for part in ALWAYS_FILLED:
        array = arrays.get(f"X/{part}")
        if array is not None and (missing := array.nchunks - array.nchunks_initialized) > 0:
            msg = f"{path} lacks {missing:,} of the {array.nchunks:,} chunks of X/{part}; copy or write it again"
            raise InputError(msg)
    return store


def _outward_links(folder: Path) -> list[str]:
    """List the symbolic links, at any depth of a folder, that lead out of it."""
    entries = [Path(where, name) for where, folders, files in os.walk(folder) for name in (*folders, *files)]
    links = [entry for entry in entries if entry.is_symlink()]
    return [str(link.relative_to(folder)) for link in links if not link.resolve().is_relative_to(folder.resolve())]
