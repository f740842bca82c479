"""The student kit: everything that students get, in one archive, and nothing else."""

import zipfile
from collections.abc import Collection, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import tomlkit

from autograder.course import FILE, Course
from autograder.folders import GENERATED
from autograder.questions.question import questions_of
from autograder.release.notebooks import GLOSSARY
from autograder.settings import Stage
from starter.data.course import PRIORS_FOLDER, SPLIT_FILE, TRAIN_FILE
from starter.errors import InputError
from starter.files import whole

OF_PROJECT = ("constraints.txt", "LICENSE", "docs/install.md", "docs/metrics.md")
"""Files of the project that students get as they are."""
CONDA = "environment.yml"
INSTRUCTORS_EXTRAS = "[student,instructor,data]"
"""What the conda environment installs beside what students need."""
README = "docs/student.md"
"""Becomes the kit's README.md."""
INSTRUCTORS_COMMAND = 'autograder = "autograder.cli:main"\n'
"""Line of pyproject.toml for a command that students do not have."""


def answers_of(course: Course, revealed: Collection[str] = (), now: datetime | None = None) -> dict[str, list[str]]:
    """List the modules of `starter` that answer questions which students still work on.

    Parameters
    ----------
    course
        The course.
    revealed
        Stages whose answers students may have whatever the time is.
    now
        The time, by which a stage whose deadline and extensions are over may have them, too. Default: now.

    Returns
    -------
    Stage to modules, such as `starter.models.cvae`. A stage without a deadline is never over.

    Raises
    ------
    InputError
        If there is no such stage, or its questions cannot be loaded.
    """
    for stage in revealed:
        course.check_stage(stage)
    now = now or datetime.now(UTC)
    return {
        name: sorted({module for question in questions_of(course, name) for module in question.held_back})
        for name, stage in course.stages.items()
        if name not in revealed and not ((end := last_moment(stage)) and end < now)
    }


def last_moment(stage: Stage) -> datetime | None:
    """Give the time at which the last student's deadline is over; None if there is none."""
    return stage.deadline and stage.deadline + timedelta(hours=max(stage.extensions.values(), default=0))


def write_kit(course: Course, project: Path, out: Path, held_back: Collection[str] = ()) -> list[str]:
    """Pack a released course for students.

    Parameters
    ----------
    course
        The course; its data and notebooks were released.
    project
        The project's folder, which holds `starter`.
    out
        The `.zip` to write.
    held_back
        Modules of `starter` that students do not get, as `answers_of` lists them.

    Returns
    -------
    The names in the archive: notebooks, the students' data, `starter`, and their own `course.toml`.

    Raises
    ------
    InputError
        If the course was not released, or the kit has no module that is to be held back.
    """
    if out.suffix != ".zip":
        msg = f"the kit is a .zip, and {out} is named otherwise"
        raise InputError(msg)
    due = [course.public_folder / TRAIN_FILE, course.public_folder / SPLIT_FILE]
    due += [course.grading / GENERATED / stage / f"{stage}.ipynb" for stage in course.stages]
    if missing := [path for path in due if not path.is_file()]:
        msg = f"there is no {missing[0]} yet; run: autograder release"
        raise InputError(msg)
    files = dict(_files(course, project))
    places = {module: module.replace(".", "/") + ".py" for module in held_back}
    if unknown := [module for module, place in places.items() if place not in files]:
        msg = f"starter has no module {', '.join(unknown)} to hold back; mend the questions' `held_back`"
        raise InputError(msg)
    for place in places.values():
        del files[place]
    with whole(out) as part, zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path in files.items():
            archive.write(path, name)
        archive.writestr("README.md", _readme(project))
        pyproject = (project / "pyproject.toml").read_text(encoding="utf-8")
        archive.writestr(CONDA, (project / CONDA).read_text(encoding="utf-8").replace(INSTRUCTORS_EXTRAS, "[student]"))
        archive.writestr("pyproject.toml", pyproject.replace(INSTRUCTORS_COMMAND, ""))
        archive.writestr(FILE, students_settings(course))
        return sorted(archive.namelist())


def _readme(project: Path) -> str:
    """Give the students' page as it reads one folder up, where the pages that it links to are in docs/."""
    text = (project / README).read_text(encoding="utf-8")
    for page in (Path(name) for name in OF_PROJECT if name.startswith("docs/")):
        text = text.replace(f"]({page.name}", f"]({page.as_posix()}")
    return text


def students_settings(course: Course) -> str:
    """Write the `course.toml` of students: names, where to hand in, how much, by when; no roster, rubric or seed."""
    limits = course.limits.model_dump(include={"submission_mib", "prediction_mib"})
    stages = {
        name: {"title": stage.title} | ({"deadline": stage.deadline} if stage.deadline else {})
        for name, stage in course.stages.items()
    }
    about = {"name": course.name, "title": course.settings.course.title}
    hand_in = course.settings.hand_in.model_dump(exclude_none=True)
    return tomlkit.dumps({"course": about, "hand_in": hand_in, "limits": limits, "stages": stages})


def _files(course: Course, project: Path) -> Iterator[tuple[str, Path]]:
    for stage in course.stages:
        # not from assignments/, where somebody may have worked
        yield from _of_folder(course.grading / GENERATED / stage, f"assignments/{stage}")
    yield f"assignments/{GLOSSARY.name}", GLOSSARY
    for name in (TRAIN_FILE, SPLIT_FILE):
        yield f"data/{course.name}/{name}", course.public_folder / name
    yield from _of_folder(course.public_folder / PRIORS_FOLDER, f"data/{course.name}/{PRIORS_FOLDER}")
    yield from _of_folder(project / "starter", "starter")
    for name in OF_PROJECT:
        yield name, project / name


def _of_folder(folder: Path, inside: str) -> Iterator[tuple[str, Path]]:
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts and ".ipynb_checkpoints" not in path.parts:
            yield f"{inside}/{path.relative_to(folder)}", path
