"""A stage rehearsed on the course's own screen: solved, untouched, and with every usual mistake.

All of it happens in a scratch course, so that no result, attempt or grade is touched. Cells run in the sandbox, with
the students' data and without any answer; the grader's own path gives the points.
"""

import hashlib
import json
import shutil
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import zip_longest
from pathlib import Path

import nbformat

from autograder.course import Course
from autograder.folders import CACHE, QUESTIONS, RECORD, REHEARSALS, SOLUTIONS, SUBMITTED
from autograder.grading.asking import ask_questions, hidden_cases
from autograder.grading.grade import grade_stage
from autograder.grading.judge import judge
from autograder.grading.results import QuestionResult
from autograder.grading.rules import hash_questions
from autograder.handed_in.submissions import Submission
from autograder.questions.points import released_points
from autograder.questions.question import PREDICTION, Mistake, Question, questions_of
from autograder.release.kept_values import what_to_keep, write_kept
from autograder.release.notebooks import release_notebook
from autograder.release.student_kit import answers_of
from autograder.sandbox import contents, run
from autograder.sandbox.notebook_run import NotebookRun, run_notebook
from autograder.sandbox.ready import check_sandbox
from starter.answers import values
from starter.answers.comparators import as_plain
from starter.answers.kinds import KINDS, File
from starter.data.course import TRAIN_FILE
from starter.errors import InputError
from starter.files import sha256, whole, workspace
from starter.progress import bar

SEEDS = range(5)
"""Of the cases on which a mistake must be told from what is due."""
SOLVED, UNTOUCHED = "solved", "untouched"
"""The students of a rehearsal, besides those who make mistakes."""
WITH_MISTAKES = """from pathlib import Path

from starter.answers import values


def function(answers):
    left = iter(answers)
    return lambda **inputs: next(left)


def an_object(answers):
    left = iter(answers)

    class Made:
        def __init__(self, **build):
            self.gives = iter(next(left))

        def __getattr__(self, method):
            return lambda **inputs: next(self.gives)

    return Made


make = {"function": function, "object": an_object, "variable": lambda answers: answers[0]}
for name, kind, answers in values.decode(Path("mistakes.npz").read_bytes()):
    globals()[name] = make[kind](answers)
"""
"""The cell of a student who makes mistakes: what it defines gives the mistakes' values, case by case."""


@dataclass(frozen=True)
class Rehearsal:
    """How a stage went."""

    stage: str
    n_questions: int
    points: float
    """Of the solved notebook, in its questions."""
    most: float
    n_mistakes: int
    """Usual mistakes that were made."""
    prediction: str
    """What the solved notebook's prediction earns, and why; empty where none is asked for."""
    run: NotebookRun
    """All cells of the solved notebook."""
    faults: list[str]
    """A sentence each: where, what, and what to do."""


def rehearse(course: Course, stages: Sequence[str]) -> list[Rehearsal]:
    """Rehearse stages, and keep in `grading/` how they went.

    Parameters
    ----------
    course
        The course; its data were cut.
    stages
        Which.

    Raises
    ------
    NoSandboxError
        If this machine cannot run notebooks safely.
    InputError
        If there are no data yet, a stage is unknown, or its notebook and questions do not fit.
    """
    for stage in stages:
        course.check_stage(stage)
        released_points(course, stage)
    check_sandbox()
    if not (course.public_folder / TRAIN_FILE).is_file():
        msg = f"there are no data to rehearse on in {course.public_folder}; run: autograder release"
        raise InputError(msg)
    contents.fill_caches(course)
    with bar("rehearse", sum(_n_steps(course, stage) for stage in stages)) as advance:
        return [_rehearse_stage(course, stage, lambda stage=stage: advance(stage)) for stage in stages]


def changed_stages(course: Course) -> list[str]:
    """List the stages whose notebook, questions, data or rubric changed since a rehearsal without fault."""
    return [stage for stage in course.stages if not _is_rehearsed(course, stage)]


def _n_steps(course: Course, stage: str) -> int:
    cells = nbformat.read(course.root / SOLUTIONS / stage / f"{stage}.ipynb", as_version=4).cells
    return sum(cell.cell_type == "code" for cell in cells) + 1 + len(_rounds(questions_of(course, stage)))


def _rehearse_stage(course: Course, stage: str, advance: Callable[..., None]) -> Rehearsal:
    digest = _digest(course, stage)
    with workspace(course.grading / REHEARSALS / stage) as root:
        scratch = _scratch_course(course, stage, root)
        untouched = release_notebook(scratch, stage)
        folder = root / SOLVED / stage
        shutil.copytree(untouched, folder)
        shutil.copyfile(root / SOLUTIONS / stage / f"{stage}.ipynb", folder / f"{stage}.ipynb")
        asked = course.stages[stage].prediction
        held_back = sorted({module for modules in answers_of(course).values() for module in modules})
        files = [asked.file] if asked else []
        notebooks = folder / f"{stage}.ipynb", untouched / f"{stage}.ipynb"
        plan = what_to_keep(scratch, stage, *notebooks)
        ran = run_notebook(scratch, stage, folder, files, root / "written", held_back, advance, plan)
        write_kept(course, stage, notebooks[0], plan, root / "written" / "kept")
        for student, notebook in ((SOLVED, folder), (UNTOUCHED, untouched)):
            place = scratch.grading / SUBMITTED / student / stage
            place.mkdir(parents=True)
            shutil.copyfile(notebook / f"{stage}.ipynb", place / f"{stage}.ipynb")
        if asked and (written := root / "written" / asked.file).is_file():
            place = scratch.grading / SUBMITTED / SOLVED / stage / asked.file
            place.parent.mkdir(parents=True, exist_ok=True)
            written.rename(place)
        results, failed = grade_stage(scratch, stage)
        advance()
        graded = {result.student: {question.name: question for question in result.questions} for result in results}
        solved, blank = graded.get(SOLVED, {}), graded.get(UNTOUCHED, {})
        faults = [*_cell_faults(folder / f"{stage}.ipynb", ran), *failed.values()]
        faults += _point_faults(stage, solved, blank)
        if asked and not (Submission(scratch, stage, SOLVED).scorecard / "scorecard.json").is_file():
            reason = solved[PREDICTION].reason if PREDICTION in solved else "it was not graded"
            faults.append(f"the solved notebook's {asked.file} is not scored: {reason}; mend the cell that writes it")
        questions = questions_of(scratch, stage)
        faults += [fault for question in questions for fault in _uncaught(question, scratch)]
        for number, made in enumerate(_rounds(questions), start=1):
            faults += _unnamed(Submission(scratch, stage, f"mistake-{number}"), made)
            advance()
        faults = [fault.replace(str(root), str(course.root)) for fault in dict.fromkeys(faults)]
    of_questions = [question for name, question in solved.items() if name != PREDICTION]
    rehearsal = Rehearsal(
        stage,
        len(questions),
        sum(question.points for question in of_questions),
        sum(question.max for question in of_questions),
        sum(len(question.mistakes) for question in questions),
        _of_prediction(solved.get(PREDICTION)),
        ran,
        faults,
    )
    with whole(_record(course, stage)) as part:
        part.write_text(json.dumps({"sha256": digest, **asdict(rehearsal)}, indent=1) + "\n", encoding="utf-8")
    return rehearsal


def _scratch_course(course: Course, stage: str, root: Path) -> Course:
    """Lay out a course of one stage whose data are those of the course, and whose grades are its own."""
    shutil.copytree(course.root / SOLUTIONS / stage, root / SOLUTIONS / stage)
    if (own := course.root / QUESTIONS).is_dir():
        shutil.copytree(own, root / QUESTIONS)
    only = {"stages": {stage: course.stages[stage]}}
    scratch = Course(root, course.settings.model_copy(update=only))
    scratch.grading.mkdir()
    (course.grading / CACHE).mkdir(exist_ok=True)
    scratch.public_folder.parent.mkdir()
    for link in (lambda a: a.public_folder, lambda a: a.hidden_folder, lambda a: a.grading / CACHE):
        link(scratch).symlink_to(link(course).resolve(), target_is_directory=True)
    return scratch


def _cell_faults(notebook: Path, ran: NotebookRun) -> list[str]:
    """Say which cells of the solved notebook failed, by their section."""
    sections, section = {}, "beginning"
    for number, cell in enumerate(nbformat.read(notebook, as_version=4).cells, start=1):
        headings = [line.lstrip("# ") for line in cell.source.splitlines() if line.startswith("#")]
        if cell.cell_type == "markdown" and headings:
            section = headings[0]
        sections[number] = section
    mend = f"mend it in {SOLUTIONS}/{notebook.name.removesuffix('.ipynb')}/{notebook.name}"
    faults = [
        f"cell {cell.number} (section {sections[cell.number]!r}) of the solved notebook raises {cell.error}; {mend}"
        for cell in ran.cells
        if cell.error
    ]
    if ran.stopped:
        last = ran.cells[-1].number if ran.cells else 0
        faults.append(f"the solved notebook did not come to its end after cell {last}: {ran.stopped}; {mend}")
    return faults


def _point_faults(stage: str, solved: dict[str, QuestionResult], blank: dict[str, QuestionResult]) -> list[str]:
    faults = [
        f"question {question.name!r}: the solved notebook earns {question.points:g} of {question.max:g} points "
        f"({question.reason}); mend its solution in {SOLUTIONS}/{stage}/{stage}.ipynb, or what the question says is due"
        for name, question in solved.items()
        if name != PREDICTION and question.points < question.max
    ]
    faults += [
        f"question {question.name!r}: the untouched notebook earns {question.points:g} points; take the answer out of "
        "the given cells, between ### BEGIN SOLUTION and ### END SOLUTION"
        for question in blank.values()
        if question.points
    ]
    return faults


def _of_prediction(result: QuestionResult | None) -> str:
    if result is None:
        return ""
    held = f"; held: {result.held}" if result.held else ""
    return f"{result.points:g} of {result.max:g} points; {result.reason}{held}"


def _uncaught(question: Question, course: Course) -> list[str]:
    """Say which usual mistakes pass for right, or go by the name of another, in cases of several seeds."""
    faults = []
    for seed in SEEDS:
        try:
            cases = question.cases(seed, course.public_folder)
        except Exception as error:  # noqa: BLE001  (whatever a question's functions raise on this screen)
            found = f"{type(error).__name__}: {error}"
            return [f"question {question.name!r}: its cases cannot be made on this screen ({found}); mend the question"]
        for mistake in question.mistakes:
            made = [case.mistakes[mistake.meaning] for case in cases]
            if not any(question.comparator.fault(value, case.due) for value, case in zip(made, cases, strict=True)):
                faults.append(
                    f"question {question.name!r}: the mistake {mistake.meaning!r} passes for right on this screen; "
                    "make its cases differ, or leave the mistake out"
                )
                continue
            answer = values.encode([{"value": value} for value in made])
            faults += _other_name(question, mistake, judge(question, cases, answer).reason)
        if question.inputs is None:
            break
    return faults


def _other_name(question: Question, mistake: Mistake, reason: str) -> list[str]:
    if mistake.meaning in reason:
        return []
    return [
        f"question {question.name!r}: who makes the mistake {mistake.meaning!r} reads {reason!r}; make its cases tell "
        "it from the others"
    ]


def _rounds(questions: Iterable[Question]) -> list[list[tuple[Question, Mistake]]]:
    """Deal the mistakes out into rounds, at most one of each question in a round; files are judged outside alone."""
    of_each = [
        [(question, mistake) for mistake in question.mistakes]
        for question in questions
        if not isinstance(question.asks, File)
    ]
    return [[pair for pair in together if pair] for together in zip_longest(*of_each)]


def _unnamed(submission: Submission, made: list[tuple[Question, Mistake]]) -> list[str]:
    """Hand in a notebook that makes a mistake in each question, and say which are not caught or not named."""
    course, stage = submission.course, submission.stage
    files = course.root / submission.student
    files.mkdir()
    digest = "0" * 64
    answers = []
    for question, mistake in made:
        cases = hidden_cases(submission, digest, question)
        kind = as_plain(question.asks, KINDS)["kind"]
        answers.append([question.asks.name, kind, [case.mistakes[mistake.meaning] for case in cases]])
    (files / "mistakes.npz").write_bytes(values.encode(answers))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(WITH_MISTAKES)])
    nbformat.write(notebook, files / f"{stage}.ipynb")
    run.open_to_all(files)
    results, _ = ask_questions(submission, digest, files, released_points(course, stage))
    faults = []
    for question, mistake in made:
        result = results[question.name]
        if result.points > mistake.credit * result.max:
            faults.append(
                f"question {question.name!r}: a notebook with the mistake {mistake.meaning!r} earns {result.points:g} "
                f"of {result.max:g} points; mend the question"
            )
        else:
            faults += _other_name(question, mistake, result.reason)
    return faults


def _record(course: Course, stage: str) -> Path:
    return course.grading / REHEARSALS / f"{stage}.json"


def _is_rehearsed(course: Course, stage: str) -> bool:
    try:
        record = json.loads(_record(course, stage).read_text(encoding="utf-8"))
        return record["sha256"] == _digest(course, stage) and not record["faults"]
    except (OSError, ValueError, TypeError, KeyError):
        return False  # none, or a damaged one


def _digest(course: Course, stage: str) -> str:
    """Hash what a rehearsal depends on: notebook, questions, data, limits, rubric."""
    prediction, data = course.stages[stage].prediction, course.hidden_folder / RECORD
    facts = [
        sha256(course.root / SOLUTIONS / stage / f"{stage}.ipynb"),
        hash_questions(course, stage),
        sha256(data) if data.is_file() else None,
        course.limits.model_dump(),
        prediction.model_dump() if prediction else None,
    ]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()
