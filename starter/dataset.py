"""Course data sets: open a screen, take its controls and perturbations, split it by perturbation."""

import json
import os
import tomllib
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import anndata
import numpy as np
import pandas as pd
import scipy.sparse

from starter.blocks import check_sparse, open_h5ad, unreadable, write_h5ad
from starter.files import check_file, whole
from starter.pseudobulk import PAIR, pairs
from starter.schema import (
    CONTEXT,
    CONTROL,
    COURSE,
    COURSE_KEYS,
    COURSE_VARIABLE,
    ONE_CONTEXT,
    PERTURBATION,
    TARGET_GENE,
    FindingsError,
    InputError,
    check_screen,
    some,
)

Part = Literal["train", "public", "hidden"]
PARTS: tuple[Part, ...] = ("train", "public", "hidden")
"""Training, public validation, hidden."""
TRAIN_FILE, SPLIT_FILE, PRIORS_FOLDER = "train.h5ad", "split.json", "priors"
"""What a course's data folder holds."""


def read_screen(path: str | Path) -> anndata.AnnData:
    """Open a course data set and check it against the rules of `starter.schema`.

    Returns
    -------
    Cells x genes raw counts, in memory.

    Raises
    ------
    FindingsError
        If it breaks rules; the message lists all of them with the way out.
    InputError
        If the file cannot be read at all.
    """
    with open_h5ad(path):
        pass  # says in one sentence what AnnData would say in a traceback
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*not unique")  # the check says it, with the way out
            adata = anndata.read_h5ad(path)
    except Exception as error:  # whatever is in somebody's file
        raise unreadable(str(path), error) from error
    try:
        check_sparse(adata.X)
    except InputError as error:
        msg = f"{path}: {error}; write it again with AnnData.write_h5ad"
        raise InputError(msg) from error
    findings = check_screen(adata)
    if any(finding.level == "error" for finding in findings):
        raise FindingsError(str(path), findings)
    return adata


def write_screen(
    path: str | Path,
    blocks: Iterable[scipy.sparse.csr_matrix],
    obs: pd.DataFrame,
    var: pd.DataFrame,
    course: Mapping[str, object],
    compression: str | None = "gzip",
) -> None:
    """Write a course data set, taking its cells a block at a time.

    Parameters
    ----------
    path
        The `.h5ad` to write.
    blocks
        Raw counts (cells x genes, CSR) in the order of `obs`.
    obs, var
        Cells and genes, with the columns of `starter.schema`.
    course
        What the screen is: the keys of `COURSE_KEYS`.
    compression
        An HDF5 filter, or None.

    Raises
    ------
    AssertionError
        If a key is missing.
    """
    if missing := set(COURSE_KEYS) - set(course):
        msg = f"the screen's description lacks {sorted(missing)}"
        raise AssertionError(msg)
    write_h5ad(path, blocks, obs, var, uns={COURSE: dict(course)}, compression=compression)


def perturbations(adata: anndata.AnnData) -> list[str]:
    """List a screen's perturbations, sorted, without the control."""
    return sorted(set(adata.obs[TARGET_GENE].astype(str)) - {CONTROL})


@dataclass(frozen=True)
class Split:
    """Which (context, perturbation) pair is in which part. The unit is the pair, never the cell."""

    table: pd.DataFrame
    """Index context and perturbation; columns part (train, public or hidden) and n_cells."""

    def pairs(self, part: Part) -> pd.MultiIndex:
        """Give the pairs of a part, sorted."""
        return self.table.index[self.table["part"] == part].sort_values()

    def n_cells(self, part: Part) -> dict[str, int]:
        """Give the measured number of cells of each perturbation of a part.

        Raises
        ------
        InputError
            If the part has more than one context.
        """
        chosen = self.table[self.table["part"] == part]
        if len(set(chosen.index.get_level_values(CONTEXT))) > 1:
            msg = f"the {part} part has several contexts; choose one"
            raise InputError(msg)
        return chosen["n_cells"].droplevel(CONTEXT).astype(int).sort_index().to_dict()

    def select(self, obs: pd.DataFrame, *parts: Part) -> np.ndarray:
        """Tell which cells of a screen belong to the pairs of some parts, or are controls.

        Parameters
        ----------
        obs
            What describes the screen's cells.
        parts
            The parts wanted.

        Returns
        -------
        One boolean a cell.

        Raises
        ------
        InputError
            If a pair of these parts has no cell in the screen.
        """
        of_cell = pairs(obs)
        due = self.table.index[self.table["part"].isin(parts)]
        if len(missing := due.difference(of_cell)):
            names = [f"{perturbation} ({context})" for context, perturbation in missing]
            msg = f"the screen has no cells of {some(names)}, which the split puts in {' and '.join(parts)}"
            raise InputError(msg)
        return of_cell.isin(due) | (obs[TARGET_GENE] == CONTROL).to_numpy()

    def write(self, path: str | Path) -> None:
        """Write `split.json`."""
        rows = self.table.sort_index().reset_index().to_dict("records")
        with whole(path) as part:
            part.write_text(json.dumps({"pairs": rows}, indent=1) + "\n", encoding="utf-8")


def read_split(path: str | Path) -> Split:
    """Read `split.json`.

    Raises
    ------
    InputError
        If it is missing, not JSON, or names no or unknown parts.
    """
    path = Path(path)
    check_file(path)
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["pairs"]
        table = pd.DataFrame(rows, columns=[*PAIR, "part", "n_cells"]).set_index(PAIR)
        if not all(isinstance(name, str) and name for pair in table.index for name in pair):
            msg = "a context or perturbation is not a name"
            raise ValueError(msg)
        if not all(isinstance(n, int) and 0 <= n < 2**31 for n in table["n_cells"].tolist()):
            msg = "n_cells is not a whole number"
            raise ValueError(msg)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        msg = f"{path} is not a split: it needs {{'pairs': [{{context, perturbation, part, n_cells}}, ...]}} ({error})"
        raise InputError(msg) from error
    if odd := sorted(set(table["part"].astype(str)) - set(PARTS)):
        msg = f"{path} has the parts {some(odd)}; a pair is in {', '.join(PARTS)}"
        raise InputError(msg)
    if table.index.has_duplicates:
        twice = table.index[table.index.duplicated()].get_level_values(PERTURBATION)
        msg = f"{path} lists {some(twice)} twice; a pair is in one part only"
        raise InputError(msg)
    return Split(table)


def make_split(adata: anndata.AnnData, hidden: Iterable[str], public: Iterable[str]) -> Split:
    """Split a screen by perturbation; a perturbation is in the same part in every context.

    Parameters
    ----------
    adata
        A course data set.
    hidden, public
        Perturbations to predict, and those for public validation. All others are for training.

    Raises
    ------
    InputError
        If a name is not a perturbation of the screen, is in both, or none is left for training.
    """
    hidden, public = set(hidden), set(public)
    known = set(perturbations(adata))
    if unknown := sorted((hidden | public) - known):
        msg = f"the screen has no perturbation {some(unknown)}; it has {some(sorted(known))}"
        raise InputError(msg)
    if both := sorted(hidden & public):
        msg = f"{some(both)} cannot be both hidden and public"
        raise InputError(msg)
    if not known - hidden - public:
        msg = "no perturbation is left for training; hide fewer"
        raise InputError(msg)
    of_cell = pairs(adata.obs)
    n_cells = of_cell[of_cell.get_level_values(PERTURBATION) != CONTROL].value_counts().rename("n_cells")
    n_cells.index = n_cells.index.set_names(PAIR)
    table = n_cells.to_frame()
    names = table.index.get_level_values(PERTURBATION)
    table["part"] = np.where(names.isin(hidden), "hidden", np.where(names.isin(public), "public", "train"))
    return Split(table.sort_index()[["part", "n_cells"]])


@dataclass(frozen=True)
class Course:
    """A course's data as a student has it."""

    folder: Path
    """Holds `train.h5ad`, `split.json` and `priors/`."""

    def train(self) -> anndata.AnnData:
        """Open the training cells, the public validation cells and the controls (raw counts)."""
        return read_screen(self.folder / TRAIN_FILE)

    def split(self) -> Split:
        """Read which pair is in which part."""
        return read_split(self.folder / SPLIT_FILE)

    def has_prior(self, pattern: str) -> bool:
        """Tell whether there is a prior-knowledge file whose name matches a pattern such as `*graph.tsv`."""
        return any((self.folder / PRIORS_FOLDER).glob(pattern))

    def priors(self, pattern: str) -> Path:
        """Find the prior-knowledge file whose name matches a pattern such as `*graph.tsv`.

        Raises
        ------
        InputError
            If there is not exactly one.
        """
        folder = self.folder / PRIORS_FOLDER
        found = sorted(folder.glob(pattern))
        if len(found) != 1:
            names = some(sorted(file.name for file in folder.glob("*"))) or "no file"
            msg = f"{folder} should have one file {pattern}; it has {names}"
            raise InputError(msg)
        return found[0]


def open_course(folder: str | Path | None = None) -> Course:
    """Find a course's data.

    Parameters
    ----------
    folder
        Its folder. If not given, the environment variable `VCC_COURSE` names it, or it is `data/<name>` beside the
        nearest `course.toml` in this folder or one above.

    Raises
    ------
    InputError
        If there is no such folder, or a file in it is missing.
    """
    folder = Path(folder or os.environ.get(COURSE_VARIABLE) or _nearest_course())
    if missing := [name for name in (TRAIN_FILE, SPLIT_FILE) if not (folder / name).is_file()]:
        msg = (
            f"{folder} is not a course's data folder: it has no {' and no '.join(missing)}; "
            f"unpack the course's data there, or name the folder that has it (--course, or {COURSE_VARIABLE})"
        )
        raise InputError(msg)
    return Course(folder)


def _nearest_course() -> Path:
    here = Path.cwd()
    for folder in (here, *here.parents):
        file = folder / "course.toml"
        if file.is_file():
            try:
                name = tomllib.loads(file.read_text(encoding="utf-8"))["course"]["name"]
            except (OSError, ValueError, KeyError, TypeError) as error:
                msg = f"{file} does not say [course] name = ... ({error})"
                raise InputError(msg) from error
            return folder / "data" / str(name)
    msg = f"no course.toml in {here} or above; work in the course's folder, or set {COURSE_VARIABLE} to its data folder"
    raise InputError(msg)


def contexts(adata: anndata.AnnData) -> list[str]:
    """List a screen's contexts, sorted."""
    return sorted(set(adata.obs[CONTEXT].astype(str))) if CONTEXT in adata.obs else [ONE_CONTEXT]
