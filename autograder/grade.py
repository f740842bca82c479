"""The batch: normalise submissions, ask in the sandbox, judge outside, write results.

Results are one JSON file a student and stage; a batch that was stopped goes on where it stopped.
"""

import hashlib
import json
import math
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import nbformat
from pydantic import TypeAdapter

import autograder
import starter
from autograder import sandbox
from autograder.course import FILE, Course
from autograder.judge import Verdict, judge, read_frames
from autograder.questions import Question, questions_of
from autograder.submissions import hash_submission, normalise, printable, students_of
from starter import values
from starter.files import whole
from starter.schema import InputError

RESULTS = "results"
"""Folder below grading/: RESULTS/<stage>/<student>.json."""
JUDGES = ("ask.py", "judge.py", "sandbox.py", "submissions.py", "questions/__init__.py")
"""Modules of the grader on which points depend, besides a stage's questions."""
COMPARES = ("check.py", "values.py")
"""Modules of `starter` on which points depend."""
ANSWERED_TWICE = "more than one answer came for this question; only the kit may send one"


@dataclass(frozen=True)
class QuestionResult:
    """A question's points and why."""

    name: str
    points: float
    max: float
    reason: str
    seconds: float
    held: str = ""
    """Why the instructor should look before the points count; they are shown, and nothing is deducted."""
    called: str = ""
    """What was called where it is not right, with its arguments described."""
    came: str = ""
    """What came back from it."""
    due: str = ""
    """What was due."""


@dataclass(frozen=True)
class Result:
    """A submission's grade."""

    student: str
    stage: str
    submission_sha256: str
    rules_sha256: str
    """Of all else that the points depend on, see `hash_rules`."""
    questions: list[QuestionResult]
    notes: list[str] = field(default_factory=list)
    """What the instructor may want to know."""

    @property
    def points(self) -> float:
        """Sum over the questions."""
        return sum(question.points for question in self.questions)

    @property
    def max(self) -> float:
        """Sum of the points that can be had."""
        return sum(question.max for question in self.questions)


def result_path(course: Course, stage: str, student: str) -> Path:
    """Say where a result is."""
    return course.grading / RESULTS / stage / f"{student}.json"


def read_result(path: Path) -> Result:
    """Read a result that `grade_stage` wrote.

    Raises
    ------
    InputError
        If there is none, or the file is damaged.
    """
    try:
        return TypeAdapter(Result).validate_json(path.read_bytes())
    except (OSError, ValueError) as error:
        msg = f"{path} is missing or damaged ({type(error).__name__}); grade the submission again"
        raise InputError(msg) from error


def current_result(course: Course, stage: str, student: str) -> Result | None:
    """Read a student's result, if it is of the submission and the rules as they are now."""
    try:
        result = read_result(result_path(course, stage, student))
    except InputError:
        return None  # it is made anew
    now = (hash_submission(course, stage, student), hash_rules(course, stage))
    return result if (result.submission_sha256, result.rules_sha256) == now else None


def hash_rules(course: Course, stage: str) -> str:
    """Hash all that points depend on besides the submission; when it changes, submissions are graded again.

    Returns
    -------
    SHA-256 of the stage's questions, points, limits, released notebook and the code that asks and compares.
    """
    grader, kit = Path(autograder.__file__).parent, Path(starter.__file__).parent
    files = [
        grader / "questions" / f"{stage}.py",
        *(grader / name for name in JUDGES),
        *(kit / name for name in COMPARES),
        course.root / "assignments" / stage / f"{stage}.ipynb",
    ]
    digest = hashlib.sha256(json.dumps([released_points(course, stage), course.limits.model_dump()]).encode())
    for path in files:
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def grade_stage(
    course: Course,
    stage: str,
    students: Sequence[str] | None = None,
    report: Callable[[str], None] = lambda student: None,
) -> tuple[list[Result], dict[str, str]]:
    """Grade submissions of a stage.

    Parameters
    ----------
    course
        The course.
    stage
        Such as `04_baselines`.
    students
        Whom to grade; default: all who submitted.
    report
        Called with each student who is done.

    Returns
    -------
    One result a student, and student to reason for those whom the grader itself failed: they have no result, and the
    batch goes on without them. A submission that was graded before, by the same rules, is not run again.

    Raises
    ------
    NoSandboxError
        If this machine cannot run students' code safely.
    InputError
        If the stage is unknown or was not released, or there is nothing to grade.
    """
    course.check_stage(stage)
    sandbox.check_sandbox()
    sandbox.check_hidden(course.grading, course.root / "solutions", course.root / course.data.screen)
    points = released_points(course, stage)
    if not (released := course.root / "assignments" / stage / f"{stage}.ipynb").is_file():
        msg = f"{stage} was not released: there is no {released}; run: autograder release"
        raise InputError(msg)
    known, _ = students_of(course, stage)
    if unknown := sorted(set(students or ()) - set(known)):
        msg = f"{', '.join(unknown)} submitted nothing for {stage}; there are submissions of {', '.join(known)}"
        raise InputError(msg)
    results, failed = [], {}
    for student in students or known:
        try:
            results.append(current_result(course, stage, student) or grade_submission(course, stage, student, points))
        except sandbox.NoSandboxError:
            raise
        except Exception as error:  # noqa: BLE001  (one student's files must not end the batch)
            failed[student] = f"not graded: {type(error).__name__}: {error}"
        report(student)
    return results, failed


def grade_submission(course: Course, stage: str, student: str, points: dict[str, float]) -> Result:
    """Grade one submission and write its result.

    Parameters
    ----------
    course
        The course.
    stage
        Such as `04_baselines`.
    student
        Whose submission.
    points
        Question to points, as the instructor's notebook has them.

    Returns
    -------
    The result, which is also in `result_path`.
    """
    digest = hash_submission(course, stage, student)
    with tempfile.TemporaryDirectory(prefix="submission-") as folder:
        files = Path(folder)
        fault, notes = normalise(course, stage, student, files)
        sandbox.open_to_all(files)
        if fault:
            questions = [QuestionResult(name, 0.0, most, fault, 0.0) for name, most in points.items()]
        else:
            questions, more = _ask(course, stage, student, digest, files, points)
            notes += more
    result = Result(student, stage, digest, hash_rules(course, stage), questions, [printable(note) for note in notes])
    with whole(result_path(course, stage, student)) as part:
        part.write_text(json.dumps(asdict(result), indent=1) + "\n", encoding="utf-8")
    return result


def released_points(course: Course, stage: str) -> dict[str, float]:
    """Read the points of each question from the instructor's notebook.

    Raises
    ------
    InputError
        If there is no notebook, or its graded cells are not the stage's questions.
    """
    notebook = course.root / "solutions" / stage / f"{stage}.ipynb"
    try:
        cells = nbformat.read(notebook, as_version=4)["cells"]
    except FileNotFoundError as error:
        msg = f"there is no {notebook}; copy the kit's solutions/ beside {FILE}, or write your own notebook there"
        raise InputError(msg) from error
    except Exception as error:  # whatever is in the file
        msg = f"cannot read the instructor's notebook {notebook} ({error}); mend it in JupyterLab"
        raise InputError(msg) from error
    points: dict[str, float] = {}
    for cell in cells:
        grader = cell["metadata"].get("nbgrader", {})
        if cell["cell_type"] == "code" and grader.get("grade") and not grader.get("solution"):
            if grader["grade_id"] in points:
                msg = f"{notebook}: two cells have the grade_id {grader['grade_id']!r}"
                raise InputError(msg)
            most = grader.get("points")
            if isinstance(most, bool) or not isinstance(most, int | float) or not 0 <= most < math.inf:
                msg = f"{notebook}: the question {grader['grade_id']!r} has {most!r} points, not a number from 0"
                raise InputError(msg)
            points[grader["grade_id"]] = float(most)
    names = [question.name for question in questions_of(stage)]
    if set(names) != set(points):
        only_cells, only_questions = sorted(set(points) - set(names)), sorted(set(names) - set(points))
        faults = [
            f"{', '.join(some)} {'is' if len(some) == 1 else 'are'} only in {where}"
            for some, where in (
                (only_cells, "the notebook"),
                (only_questions, f"autograder/questions/{stage}.py"),
            )
            if some
        ]
        msg = f"{notebook} and the questions of {stage} do not fit: {'; '.join(faults)}"
        raise InputError(msg)
    return points


def _ask(
    course: Course, stage: str, student: str, digest: str, files: Path, points: dict[str, float]
) -> tuple[list[QuestionResult], list[str]]:
    """Ask all questions, those that leave out the same modules in one process."""
    questions = questions_of(stage)
    results: dict[str, QuestionResult] = {}
    notes: list[str] = []
    for without in dict.fromkeys(question.without for question in questions):
        group = [question for question in questions if question.without == without]
        seeds = {question.name: course.derived_seed("question", student, digest, question.name) for question in group}
        cases = {question.name: question.cases(seeds[question.name]) for question in group}
        start = time.monotonic()
        with tempfile.TemporaryDirectory(prefix="job-") as folder:
            job = Path(folder)
            _write_job(job, course.name, stage, group, cases)
            outcome = sandbox.run(
                ["/job/ask.py", "/job"],
                read_only={
                    "/job": job,
                    "/submission": files,
                    f"{sandbox.COURSE_ROOT}/{FILE}": job / FILE,
                    f"{sandbox.COURSE_ROOT}/data/{course.name}": course.public_folder,
                },
                without=without,
                seconds=course.limits.seconds,
                memory_gib=course.limits.memory_gib,
                workdir=f"{sandbox.COURSE_ROOT}/assignments/{stage}",
            )
        frames, repeated = read_frames(outcome.output)
        if "start" not in frames:
            reason = (outcome.errors.strip().splitlines() or ["no message"])[-1]
            msg = f"the sandbox did not start ({reason}); nobody gets 0 points for that, so nothing was graded"
            raise sandbox.NoSandboxError(msg)
        seconds = (time.monotonic() - start) / len(group)
        for question in group:
            verdict = _verdict(question, cases[question.name], frames, outcome, course.limits.seconds)
            most = points[question.name]
            earned = min(max(round(verdict.share * most, 2), 0.0), most)
            held = ANSWERED_TWICE if question.name in repeated else ""
            results[question.name] = QuestionResult(
                question.name, earned, most, printable(verdict.reason), round(seconds, 2), held
            )
        if "end" not in frames:
            notes.append(f"the run did not reach its end ({outcome.status}, exit status {outcome.returncode})")
    return [results[name] for name in points], notes


def _write_job(job: Path, course_name: str, stage: str, group: list[Question], cases: dict[str, list]) -> None:
    shutil.copyfile(Path(autograder.__file__).parent / "ask.py", job / "ask.py")
    asked = []
    for question in group:
        asked.append({"name": question.name, "asks": question.asks, "seconds": question.seconds})
        inputs = [case.inputs for case in cases[question.name]]
        (job / f"{question.name}.npz").write_bytes(values.encode(inputs))
    content = {"notebook": f"{stage}.ipynb", "submission": "/submission", "questions": asked}
    (job / "job.json").write_text(json.dumps(content), encoding="utf-8")
    (job / FILE).write_text(f'[course]\nname = "{course_name}"\n', encoding="utf-8")
    sandbox.open_to_all(job)


def _verdict(
    question: Question, cases: list, frames: dict[str, bytes], outcome: sandbox.Outcome, limit: float
) -> Verdict:
    if question.name in frames:
        verdict = judge(question, cases, frames[question.name])
    elif outcome.status == "time":
        verdict = Verdict(0.0, f"the notebook was stopped after {limit:g} s, before this question was reached")
    elif outcome.status == "output":
        verdict = Verdict(0.0, "the notebook wrote too much, and was stopped")
    else:
        verdict = Verdict(0.0, "the notebook ended its own process, so this question was not reached")
    errors = _cell_errors(frames)
    if verdict.share < 1 and errors:
        return Verdict(verdict.share, f"{verdict.reason}; first error when the notebook ran: {errors[0]}")
    return verdict


def _cell_errors(frames: dict[str, bytes]) -> list[str]:
    try:
        errors = json.loads(frames.get("cells", b"[]"))
    except (ValueError, RecursionError):
        return []
    return [str(error)[:300] for error in errors[:20]] if isinstance(errors, list) else []
