"""Ask a submission's questions inside the sandbox, and judge what comes out."""

import json
import math
import tempfile
from dataclasses import replace
from pathlib import Path

from autograder.course import FILE, Course
from autograder.grading.judge import REASON, Verdict, judge
from autograder.grading.results import QuestionResult
from autograder.handed_in.submissions import Submission
from autograder.questions.question import Case, Question, questions_of
from autograder.sandbox import contents, run
from autograder.sandbox.bubblewrap import COURSE_ROOT, KIT
from autograder.sandbox.inside.frames import read_frames
from autograder.sandbox.ready import MachineError, NoSandboxError, gpu_devices, last_line
from autograder.text import printable
from starter.answers import values
from starter.answers.comparators import as_plain
from starter.answers.kinds import KINDS

START_SECONDS = 15
"""For the interpreter and the copy of a submission, besides its own limits."""
MAX_ANSWERS = 64 << 20
"""Bytes that may come out of a run; in memory they take three times as much, and honest answers take kilobytes."""
MAX_ERRORS = 1 << 20
"""Bytes in which a run tells of errors in cells; in memory they take fifty times as much."""
ANSWERED_TWICE = "more than one answer came for this question; only the kit may send one"
ENDED_EARLY = "the answers ended before this question was asked, which only a forged end does"


def question_result(name: str, verdict: Verdict, most: float, seconds: float, held: str) -> QuestionResult:
    """Put a verdict and its texts into a question's result, points within what can be had."""
    earned = min(max(round(verdict.share * most, 2), 0.0), most)
    reason, held, called, cause = map(printable, (verdict.reason, held, verdict.called, verdict.cause))
    came, due = ("\n".join(map(printable, text.splitlines())) for text in (verdict.came, verdict.due))
    return QuestionResult(name, earned, most, reason, round(seconds, 2), held, called, came, due, cause)


def hidden_cases(submission: Submission, digest: str, question: Question) -> list[Case]:
    """Make the cases of a question that a submission with this hash is asked; the same ones each time."""
    course = submission.course
    seed = course.derived_seed("question", submission.student, digest, question.name)
    return question.cases(seed, course.public_folder)


def ask_questions(
    submission: Submission,
    digest: str,
    files: Path,
    points: dict[str, float],
    start: run.Start = run.from_scratch,
) -> tuple[dict[str, QuestionResult], list[str]]:
    """Ask a stage's questions, those that leave out the same rooms of the kit in one process.

    Parameters
    ----------
    submission
        Whose notebook is asked.
    digest
        The submission's hash, on which hidden inputs depend.
    files
        The folder with the normalised notebook and what its code may use.
    points
        Question to the points that can be had.
    start
        How runs are started.

    Returns
    -------
    Question to its result, and what the instructor may want to know.

    Raises
    ------
    NoSandboxError
        If the sandbox did not start.
    MachineError
        If it was killed, or did not come to the student's code.
    """
    course, stage = submission.course, submission.stage
    questions = questions_of(course, stage)
    results: dict[str, QuestionResult] = {}
    notes: list[str] = []
    limits = course.limits
    for without in dict.fromkeys(question.without for question in questions):
        group = [question for question in questions if question.without == without]
        cases = {question.name: hidden_cases(submission, digest, question) for question in group}
        limit = limits.seconds + sum(question.seconds for question in group) + START_SECONDS
        with tempfile.TemporaryDirectory(prefix="job-", dir=files.parent) as folder:
            job = Path(folder)
            _write_job(job, course, stage, group, cases)
            given = {
                KIT: contents.kit(course, without),
                "/job": job,
                "/submission": files,
                f"{COURSE_ROOT}/{FILE}": job / FILE,
                f"{COURSE_ROOT}/data/{course.name}": course.public_folder,
            }
            if filled := contents.filled_caches(course):
                given["/caches"] = filled
            outcome = run.run(
                [f"{run.INSIDE}/ask.py", "/job"],
                read_only=given,
                seconds=limit,
                memory_gib=limits.memory_gib,
                processes=limits.processes,
                devices=gpu_devices() if limits.gpu else (),
                workdir=f"{COURSE_ROOT}/assignments/{stage}",
                max_output=MAX_ANSWERS,
                start=start,
            )
        frames, repeated = read_frames(outcome.output)
        if "start" not in frames:
            msg = (
                f"the sandbox did not start ({last_line(outcome.errors)}); nobody gets 0 points for that, "
                "so nothing was graded"
            )
            raise NoSandboxError(msg)
        outcome.check_machine()
        if "ready" not in frames:
            how = f"took longer than {limit:.0f} s" if outcome.status == "time" else last_line(outcome.errors)
            msg = f"the sandbox did not come to the notebook ({how}); grade again"
            raise MachineError(msg)
        for question in group:
            verdict = _verdict(question, cases[question.name], frames, outcome.status, course, limit)
            held = ANSWERED_TWICE if question.name in repeated else ""
            if question.name not in frames and outcome.status == "ended" and "end" in frames:
                held = ENDED_EARLY
            seconds = _seconds(frames, question.name, outcome.seconds)
            results[question.name] = question_result(question.name, verdict, points[question.name], seconds, held)
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
    run.open_to_all(job)


def _verdict(
    question: Question, cases: list, frames: dict[str, bytes], status: run.Status, course: Course, limit: float
) -> Verdict:
    limits = course.limits
    if question.name in frames:
        verdict = judge(question, cases, frames[question.name])
    else:
        reasons = {
            "time": f"the notebook was stopped after {limit:.0f} s, before this question was reached",
            "output": "the notebook wrote too much, and was stopped",
            "memory": f"the notebook took more than {limits.memory_gib:g} GiB of memory, and was stopped",
            "ended": "the notebook ended its own process, so this question was not reached",
        }
        verdict = Verdict(0.0, reasons[status])
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
