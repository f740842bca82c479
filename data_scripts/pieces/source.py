"""The screens of which pieces are cut: one file, or several with the same genes, such as the plates of an atlas."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
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

    obs: pd.DataFrame
    """Of all cells; an index of unique names."""
    var: pd.DataFrame
    course: Mapping[str, Any]
    """What the screen is, as `starter.schema.COURSE_KEYS`; without `target_sum` it is found when all is written."""
    read: Callable[[int, int], scipy.sparse.csr_matrix]
    """Gives the counts of the cells from the first number up to the second."""
    inputs: tuple[Path, ...] = ()
    """Files, for the lineage."""


@contextmanager
def open_source(paths: Sequence[str | Path]) -> Iterator[Source]:
    """Open course data sets (`.h5ad` or Zarr stores), to be read one after the other.

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
        tables = [(read_frame(file, "obs"), read_frame(file, "var")) for file in files]
        courses = [_course(file) for file in files]
        readers = []
        for path, file, (obs, var), course in zip(paths, files, tables, courses, strict=True):
            if finding := check_matrix(file["X"], (len(obs), len(var))):
                msg = f"{path}: {finding}"
                raise InputError(msg)
            findings = check_description(
                anndata.AnnData(obs=obs, var=var, uns={COURSE: course} if course else {}), controls=False
            )
            if any(finding.level == "error" for finding in findings):
                raise FindingsError(str(path), findings)
            if not var.index.equals(tables[0][1].index):
                what = difference(tables[0][1].index, var.index) or "their order differs"
                msg = f"{path} has other genes than {paths[0]}: {what}; give files with the same genes"
                raise InputError(msg)
            readers.append(row_reader(file["X"], path))
        starts = np.cumsum([0, *(len(obs) for obs, _ in tables)])
        obs, course = _joined([obs for obs, _ in tables]), dict(courses[0])
        if len({each.get("target_sum") for each in courses}) > 1:
            course.pop("target_sum", None)
            if N_UMIS in obs and (controls := obs.loc[obs[TARGET_GENE] == CONTROL, N_UMIS]).size:
                course["target_sum"] = float(controls.median())
        yield Source(
            obs=obs,
            var=tables[0][1],
            course=course,
            read=_reading(readers, starts),
            inputs=tuple(Path(path) for path in paths),
        )


def _course(file: Any) -> dict:
    found = anndata.io.read_elem(file["uns"][COURSE]) if COURSE in file.get("uns", ()) else {}
    return found if isinstance(found, dict) else {}


def _joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    if len(tables) == 1:
        return tables[0]
    columns = [name for name in tables[0] if all(name in table for table in tables)]
    names = pd.Index(np.concatenate([table.index.astype(str) for table in tables]))
    if not names.is_unique:
        names = pd.Index(
            np.concatenate([table.index.astype(str) + f"-{number}" for number, table in enumerate(tables, start=1)])
        )
    joined = pd.concat([table[columns].astype(_plain(table[columns])) for table in tables])
    joined.index = names
    return joined.astype({name: "category" for name, dtype in joined.dtypes.items() if dtype.kind == "O"})


def _plain(table: pd.DataFrame) -> dict[str, type]:
    """Name the columns of categories, which two tables may number otherwise."""
    return {name: object for name in table if isinstance(table[name].dtype, pd.CategoricalDtype)}


def _reading(readers: list[Callable], starts: np.ndarray) -> Callable[[int, int], scipy.sparse.csr_matrix]:
    def read(start: int, stop: int) -> scipy.sparse.csr_matrix:
        parts = []
        for reader, first, end in zip(readers, starts[:-1], starts[1:], strict=True):
            low, high = max(start, first), min(stop, end)
            if low < high:
                block = reader(np.arange(low - first, high - first))
                parts.append(csr_of(block) if isinstance(block, np.ndarray) else scipy.sparse.csr_matrix(block))
        return parts[0] if len(parts) == 1 else scipy.sparse.vstack(parts, format="csr")

    return read
