"""A course's data as a student has it: training cells, the split, what is known of genes."""

import os
import tomllib
from dataclasses import dataclass
from pathlib import Path

import anndata

from starter.data.dataset import read_screen
from starter.data.split import Split, read_split
from starter.errors import InputError, NotThereError, listed
from starter.schema import COURSE_VARIABLE

TRAIN_FILE, SPLIT_FILE, PRIORS_FOLDER = "train.h5ad", "split.json", "priors"
"""What a course's data folder holds."""


@dataclass(frozen=True)
class CourseData:
    """A course's data as a student has it."""

    folder: Path
    """Holds `train.h5ad`, `split.json` and `priors/`."""

    @property
    def train_path(self) -> Path:
        """Where the cells are that `train` opens, for what reads them block by block."""
        return self.folder / TRAIN_FILE

    def train(self) -> anndata.AnnData:
        """Open the training cells, the public validation cells and the controls (raw counts)."""
        return read_screen(self.train_path)

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
        NotThereError
            If there is none.
        InputError
            If there are several.
        """
        folder = self.folder / PRIORS_FOLDER
        found = sorted(folder.glob(pattern))
        if not found:
            msg = f"this course's data have no table {pattern} of what is known of genes"
            raise NotThereError(msg)
        if len(found) > 1:
            names = listed([file.name for file in found])
            msg = f"{folder} should have one file {pattern}; it has {names}"
            raise InputError(msg)
        return found[0]


def open_course(folder: str | Path | None = None) -> CourseData:
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
    return CourseData(folder)


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
