"""Release a course: cut the screen into what students get and what stays hidden, and make their notebooks."""

import shutil
from collections.abc import Callable
from pathlib import Path

import nbformat

from autograder.course import Course
from autograder.folders import ASSIGNMENTS, KEPT
from autograder.gradebook import book
from autograder.questions.points import released_points
from autograder.questions.question import questions_of
from autograder.release.asked import stage_asked
from autograder.release.data import release_data
from autograder.release.glossary import FILE as GLOSSARY_FILE
from autograder.release.glossary import link_words, read_glossary
from autograder.release.head import add_head
from autograder.release.leftovers import leftovers
from autograder.release.minutes import section_minutes
from autograder.release.papers import FILE as PAPERS_FILE
from autograder.release.papers import link_papers, quoted_papers, read_papers
from starter.answers import values
from starter.assignment.stage import FILE, encode_stage
from starter.blanks.kept import FOLDER as VALUES
from starter.check import FOLDER
from starter.errors import InputError
from starter.files import whole

GLOSSARY = Path(__file__).parents[2] / "docs" / GLOSSARY_FILE
"""Explains words; a copy lies beside the stages' folders, where notebooks link to it."""
PAPERS = GLOSSARY.with_name(PAPERS_FILE)


def release(
    course: Course,
    report: Callable[[str], None] = lambda step: None,
    *,
    allow: bool = False,
    rehearse: Callable[[], None] = lambda: None,
) -> None:
    """Release a course.

    Data that were released before stay as they are. The students' notebooks are made anew.

    Parameters
    ----------
    report
        Called with a sentence for each step that is done.
    allow
        Whether labels of one gene may stand in several parts of the split.
    rehearse
        Called when the data are there, before notebooks are given out; raises where they should not be.

    Raises
    ------
    InputError
        If the screen cannot be used, its split leaks, the questions and notebooks do not fit, or other data were
        released before.
    """
    for stage in course.stages:
        released_points(course, stage)
    for sentence in leftovers(course):
        report(f"note: {sentence}")
    release_data(course, report, allow=allow)
    rehearse()
    release_notebooks(course, report)
    if book.write_settings(course):
        report(f"wrote {book.SETTINGS_FILE}, by which formgrader finds the course")


def release_notebooks(course: Course, report: Callable[[str], None] = lambda step: None) -> None:
    """Make all the students' notebooks, refusing those that do not fit their questions."""
    for stage in course.stages:
        released_points(course, stage)
        folder = release_notebook(course, stage)
        report(f"made the students' notebook {folder.relative_to(course.root)}/{stage}.ipynb")


def release_notebook(course: Course, stage: str) -> Path:
    """Make the students' notebook of a stage, with the public cases of its questions beside it.

    Values to go on with lie there too, if the stage was rehearsed.

    Returns
    -------
    The folder to hand out.

    Raises
    ------
    InputError
        If nbgrader refuses, or something else lies in that folder; what was there stays.
    """
    made = book.generate_notebook(course, stage)
    notebook = nbformat.read(made / f"{stage}.ipynb", as_version=nbformat.NO_CONVERT)
    asked, papers = stage_asked(course, stage, notebook), read_papers(PAPERS)
    minutes, quoted = section_minutes(notebook), quoted_papers(notebook, papers)  # before links add to the text
    link_papers(notebook, papers)
    link_words(notebook, read_glossary(GLOSSARY))
    stages = {name: settings.title for name, settings in course.stages.items()}
    add_head(notebook, asked, stages, minutes, quoted)
    nbformat.write(notebook, made / f"{stage}.ipynb")
    checks = made / FOLDER
    checks.mkdir(exist_ok=True)
    with whole(checks / FILE) as part:
        part.write_text(encode_stage(asked), encoding="utf-8")
    shutil.rmtree(checks / VALUES, ignore_errors=True)
    if (kept := course.grading / KEPT / stage).is_dir():
        shutil.copytree(kept, checks / VALUES)
    folder = course.root / ASSIGNMENTS / stage
    for question in questions_of(course, stage):
        name = f"{question.name}.npz"
        with whole(checks / name) as part:
            part.write_bytes(_unless_alike(folder / FOLDER / name, question.public(course.public_folder)))
    with whole(folder.with_name(GLOSSARY.name)) as part:
        shutil.copyfile(GLOSSARY, part)
    names = [f"{stage}.ipynb", *(path.name for path in made.iterdir()), ".ipynb_checkpoints"]
    with whole(folder, replaces=names) as part:
        shutil.copytree(made, part)
    return folder


def _unless_alike(path: Path, public: dict[str, object]) -> bytes:
    """Encode a question's public cases, or keep the file that differs by another processor's rounding alone."""
    made = values.encode(public)
    try:
        there = path.read_bytes()
        return there if values.alike(there, made) else made
    except (OSError, InputError):  # none is there, or a damaged one
        return made
