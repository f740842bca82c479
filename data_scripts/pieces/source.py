"""The screens of which pieces are cut: one file, or several with the same genes, such as the plates of an atlas."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import anndata
import numpy as np
import pandas as pd
import scipy.sparse

from data_scripts.rows import row_reader
from starter.data.h5ad import check_matrix, csr_of, open_h5ad, read_frame
from starter.data.rules import check_description
from starter.errors import FindingsError, InputError, difference
from starter.schema import CONTROL, COURSE, N_UMIS, TARGET_GENE


@dataclass(frozen=True)
class Source:
    """Cells x genes counts that can be read from any cell on."""

    n_cells: int
    obs: Callable[[int, int], pd.DataFrame]
    """Describes the cells from the first number up to the second, by unique names."""
    counts: Callable[[int, int], scipy.sparse.csr_matrix]
    """Gives their counts."""
    var: pd.DataFrame
    course: Mapping[str, Any]
    """What the screen is, as `starter.schema.COURSE_KEYS`; without `target_sum` it is found when all is written."""
    inputs: tuple[Path, ...] = ()
    """Files, for the lineage."""


@contextmanager
def open_source(paths: Sequence[str | Path]) -> Iterator[Source]:
    """Open course data sets (`.h5ad` or Zarr stores), to be read one after the other.

    What describes the cells of one file at a time is held in memory, and 8 bytes a cell of all.

    Parameters
    ----------
    paths
        Files with the same genes in the same order. Where cells of two have the same name, "-1", "-2" and so on are
        added to all. Of `obs` the columns are kept that all have.

    Yields
    ------
    The cells of all.

    Raises
    ------
    InputError
        If one cannot be read or is no course data set, or the genes differ.
    """
    with ExitStack() as stack:
        files = [stack.enter_context(open_h5ad(path)) for path in paths]
        var = read_frame(files[0], "var")
        sizes, columns, courses, totals, names = [], [], [], [], []
        for path, file in zip(paths, files, strict=True):
            obs, course = _checked(file, path, var, paths[0])
            sizes.append(len(obs))
            columns.append(list(obs))
            courses.append(course)
            names.append(pd.util.hash_array(obs.index.astype(str).to_numpy(object)))
            if N_UMIS in obs:
                totals.append(obs.loc[obs[TARGET_GENE] == CONTROL, N_UMIS].to_numpy(float))
        several, repeated = len(paths) > 1, not pd.Index(np.concatenate(names)).is_unique
        course = dict(courses[0])
        if len({each.get("target_sum") for each in courses}) > 1:
            course.pop("target_sum", None)
            if len(totals) == len(paths) and len(controls := np.concatenate(totals)):
                course["target_sum"] = float(np.median(controls))
        common = [name for name in columns[0] if all(name in others for others in columns)]

        @functools.lru_cache(maxsize=1)
        def table(number: int) -> pd.DataFrame:
            obs = read_frame(files[number], "obs")[common]
            if several and repeated:
                obs.index = obs.index.astype(str) + f"-{number + 1}"
            return obs

        readers = [row_reader(file["X"], path) for file, path in zip(files, paths, strict=True)]
        spans = _spans(sizes)
        yield Source(
            n_cells=sum(sizes),
            obs=lambda start, stop: _joined([table(n).iloc[low:high] for n, low, high in spans(start, stop)]),
            counts=lambda start, stop: _stacked(
                [readers[n](np.arange(low, high)) for n, low, high in spans(start, stop)]
            ),
            var=var,
            course=course,
            inputs=tuple(Path(path) for path in paths),
        )


def _checked(file: Any, path: str | Path, var: pd.DataFrame, first: str | Path) -> tuple[pd.DataFrame, dict]:
    """Read what describes the cells and the screen of a file, and check it."""
    obs, own = read_frame(file, "obs"), read_frame(file, "var")
    course = anndata.io.read_elem(file["uns"][COURSE]) if COURSE in file.get("uns", ()) else {}
    course = course if isinstance(course, dict) else {}
    if finding := check_matrix(file["X"], (len(obs), len(own))):
        msg = f"{path}: {finding}"
        raise InputError(msg)
    described = anndata.AnnData(obs=obs, var=own, uns={COURSE: course} if course else {})
    findings = check_description(described, controls=False)
    if any(finding.level == "error" for finding in findings):
        raise FindingsError(str(path), findings)
    if not own.index.equals(var.index):
        what = difference(var.index, own.index) or "their order differs"
        msg = f"{path} has other genes than {first}: {what}; give files with the same genes"
        raise InputError(msg)
    return obs, course


def _spans(sizes: Sequence[int]) -> Callable[[int, int], list[tuple[int, int, int]]]:
    """Give a function that says of which files, from which cell to which, a range of all cells is."""
    starts = np.cumsum([0, *sizes])

    def spans(start: int, stop: int) -> list[tuple[int, int, int]]:
        return [
            (number, int(max(start, first) - first), int(min(stop, end) - first))
            for number, (first, end) in enumerate(pairwise(starts))
            if max(start, first) < min(stop, end)
        ]

    return spans


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """Put tables below each other; categories of one column may differ."""
    if len(tables) == 1:
        return tables[0]
    categories = [name for name, dtype in tables[0].dtypes.items() if isinstance(dtype, pd.CategoricalDtype)]
    joined = pd.concat([table.astype(dict.fromkeys(categories, object)) for table in tables])
    return joined.astype(dict.fromkeys(categories, "category"))


def _stacked(blocks: list[Any]) -> scipy.sparse.csr_matrix:
    rows = [csr_of(block) if isinstance(block, np.ndarray) else scipy.sparse.csr_matrix(block) for block in blocks]
    return rows[0] if len(rows) == 1 else scipy.sparse.vstack(rows, format="csr")
