"""Grading: normalise submissions, ask in the sandbox, judge outside, write results.

Results are one JSON file a student and stage; a batch that was stopped goes on where it stopped.
"""

import functools
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from autograder.course import Course
from autograder.folders import ASSIGNMENTS, QUESTIONS, SOLUTIONS, WORK
from autograder.grading import batch, predictions
from autograder.grading.asking import ask_questions, question_result
from autograder.grading.lock import hold
from autograder.grading.notebooks import drop_output
from autograder.grading.results import QuestionResult, Result, current_result
from autograder.grading.rubric import check_rubric
from autograder.grading.rules import hash_rules
from autograder.handed_in.submissions import (
    Submission,
    choose_students,
    hash_submission,
    normalise,
    prediction_of,
)
from autograder.questions.points import released_points
from autograder.questions.question import PREDICTION, questions_of
from autograder.sandbox import contents, run
from autograder.sandbox.ready import check_hidden, check_sandbox
from autograder.sandbox.zygotes import imports_of, zygotes
from autograder.settings import Prediction
from autograder.text import printable
from starter.errors import InputError
from starter.files import reason_of, whole

WORTH_CACHES = 8
"""Submissions from which on it pays to fill libraries' caches first, which takes half a minute."""
SLOWER = "every submission imported the libraries anew, since no process could do it for all: slower, as safe"


def grade_stage(
    course: Course,
    stage: str,
    students: Sequence[str] | None = None,
    report: Callable[[str], None] = lambda student: None,
    jobs: int = 1,
    dask: str | None = None,
    remark: Callable[[str], None] = lambda text: None,
) -> tuple[list[Result], dict[str, str]]:
    """Grade submissions of a stage.

    Parameters
    ----------
    students
        Whom to grade; default: all who submitted.
    report
        Called with each student who is done.
    jobs
        Submissions that are graded at the same time on this machine.
    dask
        Address of a Dask scheduler whose workers grade instead; they must see the course's folder.
    remark
        Called with what the instructor may want to know of all.

    Returns
    -------
    One result a student, and student to reason for those who have none: they handed in nothing, or the grader itself
    failed, and the batch goes on without them. A submission that was graded before, by the same rules, is not run
    again.

    Raises
    ------
    NoSandboxError
        If this machine cannot run students' code safely.
    InputError
        If the stage is unknown or was not released, there is nothing to grade, or it is being graded already.
    """
    course.check_stage(stage)
    check_sandbox()
    own = (course.grading, course.root / SOLUTIONS, course.root / QUESTIONS, course.root / course.data.screen)
    check_hidden(*own)
    released_points(course, stage)
    if not (released := course.root / ASSIGNMENTS / stage / f"{stage}.ipynb").is_file():
        msg = f"{stage} was not released: there is no {released}; run: autograder release"
        raise InputError(msg)
    check_rubric(course, stage)
    chosen, failed = choose_students(course, stage, students)
    with _alone(course, stage):
        rules = hash_rules(course, stage)
        due = [Submission(course, stage, student) for student in chosen]
        results = {submission.student: result for submission in due if (result := current_result(submission, rules))}
        for student in results:
            report(student)
        waiting = [submission for submission in due if submission.student not in results]
        for without in {(), *(question.without for question in questions_of(course, stage))}:
            contents.kit(course, without)  # before several want the same
        if len(waiting) >= WORTH_CACHES:
            contents.fill_caches(course)
        with zygotes(course.grading / WORK / stage, imports_of(released)) as warm:
            start = warm.start if dask is None else run.from_scratch
            work = functools.partial(grade_submission, rules=rules, start=start)
            for submission, outcome in batch.for_each(work, waiting, jobs, dask):
                if isinstance(outcome, Result):
                    results[submission.student] = outcome
                else:
                    failed[submission.student] = f"not graded: {_why(outcome)}"
                report(submission.student)
            if warm.refusal:
                remark(f"{SLOWER} ({warm.refusal})")
    return [results[submission.student] for submission in due if submission.student in results], failed


def _why(error: Exception) -> str:
    if isinstance(error, InputError):
        return str(error)
    return f"{type(error).__name__}: {reason_of(error) if isinstance(error, OSError) else error}"


@contextmanager
def _alone(course: Course, stage: str) -> Iterator[None]:
    """Hold a stage for the block, and empty its work folder, where a killed batch may have left something."""
    work = course.grading / WORK / stage
    with hold(course, stage):
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        work.chmod(0o755)  # seen from sandboxes, whose user may be another
        try:
            yield
        finally:
            shutil.rmtree(work, ignore_errors=True)


def grade_submission(submission: Submission, rules: str, start: run.Start = run.from_scratch) -> Result:
    """Grade one submission and write its result.

    Parameters
    ----------
    submission
        As it was handed in.
    rules
        What `hash_rules` gave for its stage.
    start
        How the sandbox of its notebook is started.

    Returns
    -------
    The result, which is also in the file `submission.result`.
    """
    course, stage, student = submission.course, submission.stage, submission.student
    points = released_points(course, stage)
    digest = hash_submission(submission)
    place = course.grading / WORK / stage
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{student}-", dir=place) as folder:
        files = Path(folder) / "files"
        files.mkdir()
        fault, notes = normalise(submission, files, drop_output)
        run.open_to_all(Path(folder))
        answered = {name: QuestionResult(name, 0.0, most, printable(fault or ""), 0.0) for name, most in points.items()}
        if not fault:
            asked, more = ask_questions(submission, digest, files, points, start)
            answered |= asked
            notes += more
        if PREDICTION in answered and (due := course.stages[stage].prediction):
            answered[PREDICTION] = _score(submission, due, Path(folder), points[PREDICTION])
    result = Result(
        student,
        stage,
        digest,
        rules,
        [answered[name] for name in points],
        [printable(note) for note in notes],
    )
    with whole(submission.result) as part:
        part.write_text(json.dumps(asdict(result), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return result


def _score(submission: Submission, due: Prediction, folder: Path, most: float) -> QuestionResult:
    start = time.monotonic()
    shutil.rmtree(submission.scorecard, ignore_errors=True)  # of an earlier one
    given = prediction_of(submission)
    if given is None:
        missing = f"there is no {due.file} in the submission"
        return QuestionResult(PREDICTION, 0.0, most, missing, 0.0, cause=missing)
    name, handed_in = given
    file = folder / Path(name).name
    with handed_in.open() as content, file.open("xb") as copy:
        shutil.copyfileobj(content, copy)
    file.chmod(0o644)
    work = folder / "prediction"
    work.mkdir()
    scored = predictions.score_file(submission, file, work)
    return question_result(PREDICTION, scored.verdict, most, time.monotonic() - start, scored.held)
