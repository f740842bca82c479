"""Write a screen as pieces: each whole or not at all, so that work that was killed goes on where it stopped."""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse
from filelock import FileLock, Timeout

from data_scripts.catalogue import DataSet
from data_scripts.content import describe
from data_scripts.lineage import write_lineage
from data_scripts.pieces.folder import COMPLETE, PLAN, piece_names, read_plan
from data_scripts.pieces.sharded import write_sharded
from data_scripts.pieces.source import Source
from starter import progress
from starter.data.h5ad import open_h5ad, read_frame
from starter.data.write import write_h5ad
from starter.errors import InputError
from starter.files import reason_of, whole
from starter.schema import CONTROL, COURSE, N_UMIS, TARGET_GENE

KINDS = ("zarr", "h5ad")
CELLS = 100_000
"""Cells of a piece: what is done again at most after the work was killed."""
BLOCK = 4_096
"""Cells that are read at once."""
COMPRESSION = "gzip"
"""Of h5ad pieces, which any tool shall read."""


def write_pieces(
    source: Source, folder: str | Path, cells: int = CELLS, kind: str = "zarr", data_sets: tuple[DataSet, ...] = ()
) -> Path:
    """Write a screen as pieces, or the rest of them if some are there already.

    Parameters
    ----------
    source
        The cells.
    folder
        Receives `piece-00000.zarr` and so on, and when all are there `pieces.json`, which lists them, and its lineage.
    cells
        Cells of a piece.
    kind
        Sharded Zarr, or `.h5ad`.
    data_sets
        The catalogue's entries that the cells belong to, for the lineage.

    Returns
    -------
    The folder.

    Raises
    ------
    InputError
        If it holds something else, a count is negative, broken or missing, or it cannot be written.
    """
    folder = Path(folder)
    if kind not in KINDS:
        msg = f"pieces are written as {' or '.join(KINDS)}, not as {kind!r}; choose one"
        raise InputError(msg)
    plan = {
        "n_cells": source.n_cells,
        "cells": cells,
        "kind": kind,
        "genes": list(source.var.index),
        "course": _plain(source.course),
    }
    with _alone(folder):
        _begin(folder, plan, source.inputs)
        names = piece_names(plan)
        listed = []
        with progress.bar("write pieces", len(names)) as advance:
            for number, name in enumerate(names):
                path, first, end = folder / name, number * cells, min((number + 1) * cells, source.n_cells)
                if not path.exists():
                    _write_piece(source, path, first, end)
                content = describe(path)
                listed.append(
                    {"name": name, "cells": end - first, "bytes": content["bytes"], "sha256": content["sha256"]}
                )
                advance()
        course = {"target_sum": _target_sum([folder / name for name in names]), **_plain(source.course)}
        with whole(folder / COMPLETE) as part:
            part.write_text(json.dumps({"pieces": listed, "course": course}, indent=1) + "\n", encoding="utf-8")
        write_lineage(folder / COMPLETE, source.inputs, data_sets, {"cells": cells, "kind": kind}, __file__)
    return folder


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Refuse to write where another process does: two would take each other's unfinished pieces away."""
    lock = FileLock(folder.with_name(f".{folder.name}.lock"))
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire(timeout=0)
    except Timeout as error:
        msg = f"another process writes {folder}; wait until it is done, or choose another folder"
        raise InputError(msg) from error
    except OSError as error:
        msg = f"cannot write {folder}: {reason_of(error)}; choose another folder"
        raise InputError(msg) from error
    try:
        yield
    finally:
        lock.release()


def _begin(folder: Path, plan: dict, inputs: Sequence[Path]) -> None:
    """Write down what is to be written; if it stands there already, it must be the same."""
    stands = read_plan(folder)
    if not stands and folder.is_dir() and any(folder.iterdir()):
        msg = f"{folder} holds something else than pieces; choose another folder"
        raise InputError(msg)
    described = [describe(each, stands.get("inputs", ())) for each in inputs]
    if stands:
        unlike = [key for key in plan if plan[key] != stands.get(key)]
        unlike += ["inputs"] if _hashes(described) != _hashes(stands.get("inputs", ())) else []
        if unlike:
            msg = f"{folder} holds pieces of other {' and '.join(unlike)}; choose another folder"
            raise InputError(msg)
    else:
        with whole(folder / PLAN) as part:
            part.write_text(json.dumps({**plan, "inputs": described}) + "\n", encoding="utf-8")
    for left in folder.glob(".piece-*.part"):  # of work that was killed
        shutil.rmtree(left) if left.is_dir() else left.unlink()


def _hashes(described: Iterable[Mapping]) -> list[object]:
    return [each["sha256"] for each in described]


def _write_piece(source: Source, path: Path, first: int, end: int) -> None:
    obs, totals = source.obs(first, end), []

    def blocks() -> Iterator[scipy.sparse.csr_matrix]:
        for start in range(first, end, BLOCK):
            block = source.counts(start, min(start + BLOCK, end))
            _check(block, obs.index[start - first :], source.var.index)
            totals.append(np.asarray(block.sum(axis=1, dtype=np.float64)).ravel())
            yield block

    def described() -> pd.DataFrame:
        n_umis = np.concatenate(totals)
        return obs if N_UMIS in obs else obs.assign(**{N_UMIS: n_umis})

    uns = {COURSE: _plain(source.course)} if "target_sum" in source.course else {}
    if path.suffix == ".zarr":
        with whole(path) as part:
            write_sharded(part, blocks(), described, source.var, uns)
    else:
        write_h5ad(path, blocks(), described, source.var, uns, compression=COMPRESSION)


def _check(block: scipy.sparse.csr_matrix, cells: pd.Index, genes: pd.Index) -> None:
    """Refuse what are no counts."""
    wrong = ~np.isfinite(block.data) | (block.data < 0) | (block.data != np.rint(block.data))
    if wrong.any():
        place = int(np.flatnonzero(wrong)[0])
        cell = cells[int(np.searchsorted(block.indptr, place, side="right")) - 1]
        where = f"{cell}, {genes[block.indices[place]]}"
        msg = f"{where}: {block.data[place]:g} is no count; give a screen whose X holds raw UMI counts"
        raise InputError(msg)


def _target_sum(paths: list[Path]) -> float | None:
    """Give the median UMIs of the control cells; None without such cells."""
    found = []
    for path in paths:
        with open_h5ad(path) as file:
            obs = read_frame(file, "obs")
        found.append(obs.loc[obs[TARGET_GENE] == CONTROL, N_UMIS].to_numpy(float))
    totals = np.concatenate(found)
    return float(np.median(totals)) if len(totals) else None


def _plain(course: Mapping) -> dict:
    """Give Python's numbers for NumPy's, which JSON does not know."""
    return {key: getattr(value, "item", lambda value=value: value)() for key, value in course.items()}
