"""What is handed in of a stage: the notebook and its files, looked at as the grader looks at them."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from starter.assignment.files import MAX_NOTEBOOK, Sizes, prediction_names, taken_files
from starter.assignment.notebook import read_cells
from starter.assignment.progress import prediction_file
from starter.assignment.stage import Stage, StageQuestion, read_stage
from starter.errors import InputError, listed
from starter.files import check_room

REQUESTS = ("regrade.md", "regrade.txt")
"""In which a student asks for another look at a grade."""


@dataclass(frozen=True)
class Bundle:
    """The files of one attempt."""

    stage: Stage
    files: dict[str, Path]
    """Name in the attempt to the file; the notebook is the first."""
    notes: list[str] = field(default_factory=list)
    """What will cost points, a sentence each."""

    @property
    def size(self) -> int:
        """All its bytes."""
        return sum(path.stat().st_size for path in self.files.values())


def bundle_of(folder: Path, sizes: Sizes, more: Sequence[Path] = ()) -> Bundle:
    """Put together what a stage asks for, and check it.

    Parameters
    ----------
    folder
        The stage's folder.
    sizes
        How large files may be.
    more
        Further files below that folder that the notebook reads.

    Raises
    ------
    InputError
        If the notebook is missing, damaged or of an old format, a further file is missing or lies elsewhere, or files
        are too large.
    """
    stage = read_stage(folder)
    notebook = folder / stage.notebook
    if not notebook.is_file():
        msg = f"there is no {stage.notebook} in {folder}; give your notebook this name, and save it"
        raise InputError(msg)
    marks = {mark for _, mark in read_cells(notebook)}
    bundle = Bundle(stage, {stage.notebook: notebook})
    if lost := [question.name for question in stage.questions if question.name not in marks]:
        bundle.notes.append(
            f"no cell is marked as {listed(lost)} any more; the grader looks for them by text and place"
        )
    for question in stage.questions:
        _add_file(bundle, question, folder)
    for path in [*(folder / name for name in REQUESTS if (folder / name).is_file()), *more]:
        bundle.files[_inside(path, folder)] = path
    _check_sizes(bundle, sizes)
    return bundle


def copy_bundle(bundle: Bundle, folder: Path, sizes: Sizes) -> None:
    """Copy a bundle into a new folder, and see that a grader would take every file of it.

    Raises
    ------
    InputError
        If the disk is too small, or something would be left out.
    """
    check_room(folder.parent, bundle.size)
    folder.mkdir()
    for name, path in bundle.files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, folder / name)
    notes: list[str] = []
    taken = {name.as_posix() for name, _ in taken_files(folder, _predictions(bundle.stage), sizes, notes)}
    if taken != set(bundle.files):
        msg = f"the grader would not take all of it: {'; '.join(notes)}"
        raise InputError(msg)


def _add_file(bundle: Bundle, question: StageQuestion, folder: Path) -> None:
    if question.kind == "prediction":
        path = prediction_file(folder, question.answer)
        name = path.name if path else question.answer
        if path is not None:
            name = path.relative_to(folder).as_posix()
            bundle.notes.extend(_faults(path))
    elif question.kind == "file":
        name, path = question.answer, folder / question.answer
    else:
        return
    if path is None or not path.is_file():
        bundle.notes.append(
            f"there is no {name}, for which the question {question.name} has {question.points:g} points"
        )
    else:
        bundle.files[name] = path


def _faults(path: Path) -> list[str]:
    """Check a prediction as `starter check` does."""
    from starter.data.course import open_course
    from starter.prediction.check import check_prediction
    from starter.prediction.requirements import requirements_of_course

    try:
        findings = check_prediction(path, requirements_of_course(open_course().folder))
    except InputError as error:
        return [f"{path.name} would earn nothing: {error}"]
    return [f"{path.name} would earn nothing: {found}" for found in findings if found.level == "error"]


def _check_sizes(bundle: Bundle, sizes: Sizes) -> None:
    """Refuse what is too large before anything is copied."""
    predictions = {name.as_posix() for name in _predictions(bundle.stage)}
    others = 0
    for name, path in bundle.files.items():
        size = path.stat().st_size
        most = MAX_NOTEBOOK if name == bundle.stage.notebook else sizes.prediction if name in predictions else None
        others += size if most is None else 0
        if most is not None and size > most:
            way_out = "clear its outputs" if name == bundle.stage.notebook else "pack it with: starter pack"
            msg = f"{name} has {size >> 20:,} MiB, and at most {most >> 20:,} may be handed in; {way_out}"
            raise InputError(msg)
    if others > sizes.files:
        msg = f"the further files have {others >> 20:,} MiB, and at most {sizes.files >> 20:,} may be handed in"
        raise InputError(msg)


def _predictions(stage: Stage) -> list[Path]:
    return [name for asked in stage.questions if asked.kind == "prediction" for name in prediction_names(asked.answer)]


def _inside(path: Path, folder: Path) -> str:
    """Name a file from the stage's folder."""
    place, root = path.absolute(), folder.absolute()
    if not path.is_file() or not place.resolve().is_relative_to(root.resolve()):
        msg = f"{path} is no file in {folder}; what the notebook reads is handed in from beside it"
        raise InputError(msg)
    return place.resolve().relative_to(root.resolve()).as_posix()
