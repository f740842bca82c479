"""What students handed in, made safe to work with: regular files only, and notebooks that nobody can break on."""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from autograder.course import Course
from autograder.folders import ASSIGNMENTS, ATTEMPTS, AUTOGRADED, FEEDBACK, NORMALISED, RESULTS, SCORECARDS, SUBMITTED
from autograder.handed_in.files import File, regular_files
from autograder.handed_in.notebook import rebuild_notebook
from autograder.handed_in.recognised import recognise
from autograder.settings import STUDENT_NAME
from starter.assignment.files import Sizes, prediction_names, taken_files
from starter.errors import InputError, listed
from starter.files import sha256, whole

LARGE_NOTEBOOK = 4 << 20
"""Bytes of a notebook above which it is opened in the sandbox alone: in memory it may take forty times as much."""


@dataclass(frozen=True)
class Submission:
    """A student's submission of a stage, and where all that belongs to it lies."""

    course: Course
    stage: str
    """Such as `04_baselines`."""
    student: str

    @property
    def notebook(self) -> str:
        """The notebook's name, in every folder that holds it."""
        return f"{self.stage}.ipynb"

    @property
    def attempts(self) -> Path:
        """The folder of all the student handed in, see `autograder.handed_in.attempts`."""
        return self.course.grading / ATTEMPTS / self.stage / self.student

    @property
    def submitted(self) -> Path:
        """The folder of the attempt that counts, as it was handed in."""
        return self.course.grading / SUBMITTED / self.student / self.stage

    @property
    def normalised(self) -> Path:
        """The folder of the notebook that is graded and shown."""
        return self.course.grading / NORMALISED / self.student / self.stage

    @property
    def result(self) -> Path:
        """The file of what the grader found."""
        return self.course.grading / RESULTS / self.stage / f"{self.student}.json"

    @property
    def scorecard(self) -> Path:
        """The folder of the prediction's scorecard."""
        return self.course.grading / SCORECARDS / self.stage / self.student

    @property
    def autograded(self) -> Path:
        """The folder of the notebook with its points, as nbgrader wrote it."""
        return self.course.grading / AUTOGRADED / self.student / self.stage

    @property
    def feedback(self) -> Path:
        """The folder of the page that the student gets."""
        return self.course.grading / FEEDBACK / self.student / self.stage

    @property
    def due(self) -> datetime | None:
        """Until when the student may hand in without being late, not counting the grace hours."""
        stage = self.course.stages[self.stage]
        if stage.deadline is None:
            return None
        return stage.deadline + timedelta(hours=stage.extensions.get(self.student, 0.0))

    @property
    def team(self) -> "list[Submission]":
        """The submissions of all who hand in together, this one among them."""
        return [replace(self, student=mate) for mate in self.course.team_of(self.student)]


def students_of(course: Course, stage: str) -> tuple[list[str], list[str]]:
    """List the students who submitted a stage.

    Returns
    -------
    Students, and the names of folders that cannot be a student's.

    Raises
    ------
    InputError
        If there is no submission.
    """
    folder = course.grading / SUBMITTED
    names = sorted(path.parent.name for path in folder.glob(f"*/{stage}") if path.is_dir() and not path.is_symlink())
    students = [name for name in names if STUDENT_NAME.fullmatch(name)]
    if not students:
        msg = f"no submissions: put them at {folder}/<student>/{stage}/{stage}.ipynb"
        raise InputError(msg)
    return students, [name for name in names if name not in students]


def choose_students(course: Course, stage: str, students: Sequence[str] | None) -> tuple[Sequence[str], dict[str, str]]:
    """Take the students who are named, or all who submitted a stage.

    Returns
    -------
    Students who submitted, and student to reason for those who are named and did not.

    Raises
    ------
    InputError
        If there is no submission, or none of any student who is named.
    """
    known, _ = students_of(course, stage)
    unknown = [student for student in dict.fromkeys(students or ()) if student not in known]
    if students and len(unknown) == len(set(students)):
        msg = f"{', '.join(unknown)} submitted nothing for {stage}; there are submissions of {listed(known)}"
        raise InputError(msg)
    chosen = [student for student in dict.fromkeys(students or known) if student in known]
    return chosen, dict.fromkeys(unknown, f"submitted nothing for {stage}")


def hash_submission(submission: Submission) -> str:
    """Hash the names and contents of a submission's regular files.

    Returns
    -------
    SHA-256 as 64 hexadecimal digits.
    """
    files = _regular_files(submission, [])
    return hash_files((str(name), bytes.fromhex(sha256(path))) for name, path in files)


def hash_files(files: Iterable[tuple[str, bytes]]) -> str:
    """Hash names with the SHA-256 of what each holds, in the order given, to 64 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, content in files:
        encoded = name.encode(errors="surrogateescape")
        digest.update(len(encoded).to_bytes(8, "big") + encoded + content)
    return digest.hexdigest()


def prediction_of(submission: Submission) -> tuple[str, File] | None:
    """Find the prediction file that a stage asks for in a submission, as `.h5ad` or as `.vcc`.

    Returns
    -------
    Its name and the file as it was handed in, or None.
    """
    found = _taken(submission, [])
    return next(((str(name), found[str(name)]) for name in _prediction_names(submission) if str(name) in found), None)


def _prediction_names(submission: Submission) -> list[Path]:
    """Name the files that may be the prediction, the one in `course.toml` first."""
    settings = submission.course.stages[submission.stage].prediction
    return prediction_names(settings.file) if settings else []


def normalise(
    submission: Submission, folder: Path, drop_output: Callable[[Path], str | None]
) -> tuple[str | None, list[str]]:
    """Copy a submission to the folder that is graded, with a notebook that holds every question.

    The student's cells are taken over with their text and pictures alone, question cells keep the released cell's
    settings, and question cells that are missing are added as they were released. Of all files nbgrader gets this
    notebook alone, since it would show the others to the instructor as they are.

    Parameters
    ----------
    submission
        As it was handed in.
    folder
        An empty folder for all files that students' code may use: all but the prediction.
    drop_output
        Replaces a large notebook by itself without its output, or says what is wrong with it.

    Returns
    -------
    Why the student's notebook cannot be used, in which case the released one stands in for it; and what else was left
    out or added.
    """
    notes: list[str] = []
    name = submission.notebook
    released = json.loads((submission.course.root / ASSIGNMENTS / submission.stage / name).read_text(encoding="utf-8"))
    predictions = [str(name) for name in _prediction_names(submission)]
    for due, file in _taken(submission, notes).items():
        if due in predictions:
            continue
        (folder / due).parent.mkdir(parents=True, exist_ok=True)
        with file.open() as content, (folder / due).open("xb") as copy:
            shutil.copyfileobj(content, copy)
    given = folder / name
    fault = drop_output(given) if given.is_file() and given.stat().st_size > LARGE_NOTEBOOK else None
    notebook, fault = (released, fault) if fault else rebuild_notebook(given, released, notes)
    if (folder / name).is_dir():
        shutil.rmtree(folder / name)
    if submission.normalised.exists():
        shutil.rmtree(submission.normalised)
    for path in (folder / name, submission.normalised / name):
        with whole(path) as part:
            part.write_text(json.dumps(notebook, indent=1) + "\n", encoding="utf-8")
    return fault, notes


def _taken(submission: Submission, notes: list[str]) -> dict[str, File]:
    """Give the files that are taken, under the names that are due; note what is left out or was named otherwise."""
    there = regular_files(submission.submitted)
    names = [name.as_posix() for name, _ in _regular_files(submission, notes)]
    files = {name: there[name] for name in names if name in there}
    recognised = recognise(submission.course, submission.stage, files)
    if recognised.fault:
        notes += [recognised.fault] if files else []
        return files
    notes += recognised.notes
    return {due: files[name] for due, name in recognised.names.items()}


def _regular_files(submission: Submission, notes: list[str]) -> Iterator[tuple[Path, Path]]:
    """Give the files that are taken, as name and path, in order; note what is left out."""
    limits = submission.course.limits
    sizes = Sizes(limits.submission_mib << 20, limits.prediction_mib << 20)
    return taken_files(submission.submitted, _prediction_names(submission), sizes, notes)
