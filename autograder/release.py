"""Release a course: cut the screen into what students get and what stays hidden, and make their notebooks."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np

from autograder import gradebook
from autograder.course import FILE, SIMULATED, Course
from autograder.grade import released_points
from autograder.questions import questions_of
from starter import simulate, truth, values
from starter.check import FOLDER
from starter.dataset import Split, make_split, perturbations, read_screen
from starter.files import sha256, whole
from starter.schema import InputError

RECORD = "release.json"
"""In the hidden folder: from what the released data were made."""


def release(course: Course, report: Callable[[str], None] = lambda step: None) -> None:
    """Release a course.

    Data that were released before stay as they are. The students' notebooks are made anew.

    Parameters
    ----------
    course
        The course.
    report
        Called with a sentence for each step that is done.

    Raises
    ------
    InputError
        If the screen cannot be used, the questions and notebooks do not fit, or other data were released before.
    """
    for stage in course.stages:
        released_points(course, stage)
    release_data(course, report)
    release_notebooks(course, report)


def release_data(course: Course, report: Callable[[str], None]) -> None:
    """Cut the screen; prepare the truth of its hidden part."""
    made_of = _made_of(course)
    record = course.hidden_folder / RECORD
    if record.is_file():
        earlier = json.loads(record.read_text())
        if earlier != made_of:
            changed = ", ".join(key for key in made_of if earlier.get(key) != made_of[key])
            msg = (
                f"{course.name} was released with other settings ({changed}); students have that data, so either "
                f"restore the settings, or move {course.public_folder} and {course.hidden_folder} away to start anew"
            )
            raise InputError(msg)
        report(f"kept the data in {course.public_folder.relative_to(course.root)}, which were released before")
        return
    course.hidden_folder.mkdir(parents=True, exist_ok=True)
    screen, priors = _screen(course, report)
    adata = read_screen(screen)
    split = _split(course, adata)
    _write_part(adata, split.select(adata, "hidden"), course.hidden_folder / "hidden.h5ad")
    split.write(course.public_folder / "split.json")
    if priors is not None:
        shutil.copytree(priors, course.public_folder / "priors", dirs_exist_ok=True)
    _write_part(adata, split.select(adata, "train", "public"), course.public_folder / "train.h5ad")
    counts = {part: len(split.pairs(part)) for part in ("train", "public", "hidden")}
    report(
        f"cut {adata.n_obs:,} cells x {adata.n_vars:,} genes: {counts['train']} training, {counts['public']} public "
        f"and {counts['hidden']} hidden perturbations"
    )
    truth.build_truth(
        course.hidden_folder / "hidden.h5ad",
        course.hidden_folder / "truth",
        split=course.public_folder / "split.json",
        part="hidden",
        train=course.public_folder / "train.h5ad",
    )
    report("prepared the hidden truth")
    with whole(record) as part:
        part.write_text(json.dumps(made_of, indent=1) + "\n")


def release_notebooks(course: Course, report: Callable[[str], None] = lambda step: None) -> None:
    """Make all the students' notebooks, refusing those that do not fit their questions."""
    for stage in course.stages:
        released_points(course, stage)
        folder = release_notebook(course, stage)
        report(f"made the students' notebook {folder.relative_to(course.root)}/{stage}.ipynb")


def release_notebook(course: Course, stage: str) -> Path:
    """Make the students' notebook of a stage, with the public cases of its questions beside it.

    Returns
    -------
    The folder to hand out.
    """
    folder = gradebook.generate(course, stage)
    checks = folder / FOLDER
    checks.mkdir(exist_ok=True)
    for question in questions_of(stage):
        with whole(checks / f"{question.name}.npz") as part:
            part.write_bytes(values.encode(question.public()))
    return folder


def _made_of(course: Course) -> dict:
    settings = course.data.model_dump()
    if course.data.screen == SIMULATED:
        seed = course.data.seed if course.data.seed is not None else course.derived_seed("screen")
        return settings | {"seed": hashlib.sha256(str(seed).encode()).hexdigest()}
    path = course.root / course.data.screen
    if not path.is_file():
        msg = f"{course.root / FILE}: [data] screen = {course.data.screen!r}: there is no such file"
        raise InputError(msg)
    return settings | {"sha256": sha256(path)}


def _screen(course: Course, report: Callable[[str], None]) -> tuple[Path, Path | None]:
    """Give the screen's path and the folder of its priors, making a simulated one."""
    if course.data.screen != SIMULATED:
        return (
            course.root / course.data.screen,
            course.root / course.data.priors if course.data.priors else None,
        )
    seed = course.data.seed if course.data.seed is not None else course.derived_seed("screen")
    folder = course.hidden_folder / "screen"
    path = simulate.write(simulate.draw(course.data.preset, seed), folder)
    report(f"simulated a screen ({course.data.preset} preset)")
    return path, folder / "priors"


def _split(course: Course, adata: anndata.AnnData) -> Split:
    hidden, public = course.data.hidden, course.data.public
    names = perturbations(adata)
    wanted = sum(part if isinstance(part, int) else len(part) for part in (hidden, public))
    if wanted >= len(names):
        msg = (
            f"{course.root / FILE}: [data] hides and publishes {wanted} perturbations, and the screen has {len(names)}"
        )
        raise InputError(msg)
    named = {name for part in (hidden, public) if isinstance(part, list) for name in part}
    rng = np.random.default_rng(course.data.seed if course.data.seed is not None else course.derived_seed("split"))
    free = list(rng.permutation([name for name in names if name not in named]))
    parts = []
    for part in (hidden, public):
        parts.append(part if isinstance(part, list) else [str(free.pop()) for _ in range(part)])
    return make_split(adata, *parts)


def _write_part(adata: anndata.AnnData, cells: np.ndarray, path: Path) -> None:
    part = adata[cells].copy()
    for column in part.obs.select_dtypes("category"):
        part.obs[column] = part.obs[column].cat.remove_unused_categories()
    with whole(path) as new:
        part.write_h5ad(new, compression="gzip")
