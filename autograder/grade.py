"""Grading: normalise submissions, ask in the sandbox, judge outside, write results.

Results are one JSON file a student and stage; a batch that was stopped goes on where it stopped.
"""

import functools
import json
import math
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import filelock

import autograder
from autograder import batch, inside, predictions, sandbox
from autograder.course import FILE, Course
from autograder.frames import read_frames
from autograder.judge import REASON, Verdict, judge
from autograder.questions import FOLDER, PREDICTION, Question, questions_of
from autograder.results import QuestionResult, Result, current_result, hash_rules, released_points, result_path
from autograder.submissions import choose_students, hash_submission, normalise, prediction_of, printable
from starter import values
from starter.answers import KINDS
from starter.check import as_plain
from starter.files import whole
from starter.schema import InputError

WORK = "work"
"""Folder below grading/ for what a batch needs while it runs."""
WORTH_CACHES = 8
"""Submissions from which on it pays to fill libraries' caches first, which takes half a minute."""
START_SECONDS = 15
"""For the interpreter and the copy of a submission, besides its own limits."""
MAX_ERRORS = 1 << 20
"""Bytes in which a run tells of errors in cells; in memory they take fifty times as much."""
ANSWERED_TWICE = "more than one answer came for this question; only the kit may send one"


def grade_stage(
    course: Course,
    stage: str,
    students: Sequence[str] | None = None,
    report: Callable[[str], None] = lambda student: None,
    jobs: int = 1,
    dask: str | None = None,
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
    jobs
        Submissions that are graded at the same time on this machine.
    dask
        Address of a Dask scheduler whose workers grade instead; they must see the course's folder.

    Returns
    -------
    One result a student, and student to reason for those whom the grader itself failed: they have no result, and the
    batch goes on without them. A submission that was graded before, by the same rules, is not run again.

    Raises
    ------
    NoSandboxError
        If this machine cannot run students' code safely.
    InputError
        If the stage is unknown or was not released, there is nothing to grade, or it is being graded already.
    """
    course.check_stage(stage)
    sandbox.check_sandbox()
    own = (course.grading, course.root / "solutions", course.root / FOLDER, course.root / course.data.screen)
    sandbox.check_hidden(*own)
    released_points(course, stage)
    if not (released := course.root / "assignments" / stage / f"{stage}.ipynb").is_file():
        msg = f"{stage} was not released: there is no {released}; run: autograder release"
        raise InputError(msg)
    if course.stages[stage].prediction:
        predictions.check_rubric(course, stage)
    chosen = choose_students(course, stage, students)
    failed = {}
    with _alone(course, stage):
        due = {student: current_result(course, stage, student) for student in chosen}
        results = {student: result for student, result in due.items() if result}
        for student in results:
            report(student)
        waiting = [student for student in due if student not in results]
        for without in {(), *(question.without for question in questions_of(course, stage))}:
            inside.kit(course, without)  # before several want the same
        if len(waiting) >= WORTH_CACHES:
            inside.caches(course)
        work = functools.partial(grade_submission, course, stage)
        for student, outcome in batch.each(work, waiting, jobs, dask):
            if isinstance(outcome, Result):
                results[student] = outcome
            else:
                failed[student] = f"not graded: {type(outcome).__name__}: {outcome}"
            report(student)
    return [results[student] for student in due if student in results], failed


@contextmanager
def _alone(course: Course, stage: str) -> Iterator[None]:
    """Hold a stage for the block, and empty its work folder, where a killed batch may have left something."""
    work = course.grading / WORK / stage
    work.mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(work.with_name(f"{stage}.lock"), timeout=0)
    try:
        lock.acquire()
    except filelock.Timeout as error:
        msg = f"{stage} is being graded already; wait until that ends (it holds {lock.lock_file})"
        raise InputError(msg) from error
    try:
        shutil.rmtree(work)
        work.mkdir()
        yield
    finally:
        shutil.rmtree(work, ignore_errors=True)
        lock.release()


def grade_submission(course: Course, stage: str, student: str) -> Result:
    """Grade one submission and write its result.

    Parameters
    ----------
    course
        The course.
    stage
        Such as `04_baselines`.
    student
        Whose submission.

    Returns
    -------
    The result, which is also in `result_path`.
    """
    points = released_points(course, stage)
    digest = hash_submission(course, stage, student)
    place = course.grading / WORK / stage
    place.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{student}-", dir=place) as folder:
        files = Path(folder) / "files"
        files.mkdir()
        fault, notes = normalise(course, stage, student, files)
        sandbox.open_to_all(Path(folder))
        answered = {name: QuestionResult(name, 0.0, most, fault or "", 0.0) for name, most in points.items()}
        if not fault:
            asked, more = _ask(course, stage, student, digest, files, points)
            answered |= asked
            notes += more
        if PREDICTION in answered and course.stages[stage].prediction:
            answered[PREDICTION] = _score(course, stage, student, Path(folder), points[PREDICTION])
    result = Result(
        student,
        stage,
        digest,
        hash_rules(course, stage),
        [answered[name] for name in points],
        [printable(note) for note in notes],
    )
    with whole(result_path(course, stage, student)) as part:
        part.write_text(json.dumps(asdict(result), indent=1, allow_nan=False) + "\n", encoding="utf-8")
    return result


def _score(course: Course, stage: str, student: str, folder: Path, most: float) -> QuestionResult:
    start = time.monotonic()
    shutil.rmtree(predictions.scorecard_folder(course, stage, student), ignore_errors=True)  # of an earlier one
    given = prediction_of(course, stage, student)
    if given is None:
        name = course.stages[stage].prediction.file
        return QuestionResult(PREDICTION, 0.0, most, f"there is no {name} in the submission", 0.0)
    file = folder / given.name
    shutil.copyfile(given, file)
    file.chmod(0o644)
    work = folder / "prediction"
    work.mkdir()
    scored = predictions.score_file(course, stage, student, file, work)
    return _result(PREDICTION, scored.verdict, most, time.monotonic() - start, scored.held)


def _result(name: str, verdict: Verdict, most: float, seconds: float, held: str) -> QuestionResult:
    earned = min(max(round(verdict.share * most, 2), 0.0), most)
    texts = (printable(text) for text in (verdict.reason, held, verdict.called, verdict.came, verdict.due))
    reason, held, called, came, due = texts
    return QuestionResult(name, earned, most, reason, round(seconds, 2), held, called, came, due)


def _ask(
    course: Course, stage: str, student: str, digest: str, files: Path, points: dict[str, float]
) -> tuple[dict[str, QuestionResult], list[str]]:
    """Ask all questions, those that leave out the same modules in one process."""
    questions = questions_of(course, stage)
    results: dict[str, QuestionResult] = {}
    notes: list[str] = []
    limits = course.limits
    for without in dict.fromkeys(question.without for question in questions):
        group = [question for question in questions if question.without == without]
        seeds = {question.name: course.derived_seed("question", student, digest, question.name) for question in group}
        cases = {question.name: question.cases(seeds[question.name], course.public_folder) for question in group}
        with tempfile.TemporaryDirectory(prefix="job-", dir=files.parent) as folder:
            job = Path(folder)
            _write_job(job, course, stage, group, cases)
            given = {
                sandbox.KIT: inside.kit(course, without),
                "/job": job,
                "/submission": files,
                f"{sandbox.COURSE_ROOT}/{FILE}": job / FILE,
                f"{sandbox.COURSE_ROOT}/data/{course.name}": course.public_folder,
            }
            if filled := inside.filled_caches(course):
                given["/caches"] = filled
            outcome = sandbox.run(
                ["/job/ask.py", "/job"],
                read_only=given,
                seconds=limits.seconds + sum(question.seconds for question in group) + START_SECONDS,
                memory_gib=limits.memory_gib,
                processes=limits.processes,
                devices=sandbox.gpu_devices() if limits.gpu else (),
                workdir=f"{sandbox.COURSE_ROOT}/assignments/{stage}",
            )
        frames, repeated = read_frames(outcome.output)
        if "start" not in frames:
            msg = (
                f"the sandbox did not start ({sandbox.last_line(outcome.errors)}); nobody gets 0 points for that, "
                "so nothing was graded"
            )
            raise sandbox.NoSandboxError(msg)
        for question in group:
            verdict = _verdict(question, cases[question.name], frames, outcome, course)
            held = ANSWERED_TWICE if question.name in repeated else ""
            seconds = _seconds(frames, question.name, outcome.seconds)
            results[question.name] = _result(question.name, verdict, points[question.name], seconds, held)
        if stopped := frames.get("stopped"):
            notes.append(stopped[:REASON].decode(errors="replace"))
        if "end" not in frames:
            notes.append(f"the run did not reach its end ({outcome.status}, exit status {outcome.returncode})")
    return results, notes


def _seconds(frames: dict[str, bytes], name: str, most: float) -> float:
    """Read how long a question took, as the run says; it can be forged, and nothing depends on it."""
    try:
        seconds = float(frames.get(f"seconds of {name}", b"0"))
    except ValueError:
        return most
    return min(max(seconds, 0.0), most) if math.isfinite(seconds) else most


def _write_job(job: Path, course: Course, stage: str, group: list[Question], cases: dict[str, list]) -> None:
    for script in ("ask.py", "frames.py"):
        shutil.copyfile(Path(autograder.__file__).with_name(script), job / script)
    asked = []
    for question in group:
        asked.append({"name": question.name, "asks": as_plain(question.asks, KINDS), "seconds": question.seconds})
        inputs = [case.inputs for case in cases[question.name]]
        (job / f"{question.name}.npz").write_bytes(values.encode(inputs))
    content = {
        "notebook": f"{stage}.ipynb",
        "submission": "/submission",
        "seconds": course.limits.seconds,
        "questions": asked,
    }
    (job / "job.json").write_text(json.dumps(content), encoding="utf-8")
    (job / FILE).write_text(f'[course]\nname = "{course.name}"\n', encoding="utf-8")
    sandbox.open_to_all(job)


def _verdict(
    question: Question, cases: list, frames: dict[str, bytes], outcome: sandbox.Outcome, course: Course
) -> Verdict:
    limits = course.limits
    if question.name in frames:
        verdict = judge(question, cases, frames[question.name])
    else:
        reasons = {
            "time": f"the notebook was stopped after {outcome.seconds:.0f} s, before this question was reached",
            "output": "the notebook wrote too much, and was stopped",
            "memory": f"the notebook took more than {limits.memory_gib:g} GiB of memory, and was stopped",
            "ended": "the notebook ended its own process, so this question was not reached",
        }
        verdict = Verdict(0.0, reasons[outcome.status])
    errors = _cell_errors(frames)
    if verdict.share < 1 and errors:
        return replace(verdict, reason=f"{verdict.reason}; first error when the notebook ran: {errors[0]}")
    return verdict


def _cell_errors(frames: dict[str, bytes]) -> list[str]:
    said = frames.get("cells", b"[]")
    if len(said) > MAX_ERRORS:
        return []  # forged
    try:
        errors = json.loads(said)
    except (ValueError, RecursionError):
        return []
    return [str(error)[:300] for error in errors[:20]] if isinstance(errors, list) else []
