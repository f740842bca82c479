"""How a stage went: which questions were easy, which tell strong from weak work, what went wrong, who is missing."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from autograder.course import Course
from autograder.folders import RESULTS, SUBMITTED
from autograder.gradebook.exports import harmless
from autograder.gradebook.grades import Grade, read_grades
from autograder.gradebook.late import days_late
from autograder.gradebook.requests import Request, read_requests
from autograder.gradebook.stats_figure import stats_figure
from autograder.grading.judge import EMPTY
from autograder.grading.results import QuestionResult, Result, read_result
from autograder.handed_in.attempts import received_at
from autograder.handed_in.submissions import Submission, hash_submission
from autograder.questions.question import PREDICTION
from autograder.settings import STUDENT_NAME, Student
from starter import progress
from starter.errors import InputError, counted, listed
from starter.files import whole

FEWEST = 5
"""Hand-ins below which a correlation over them says nothing."""
ROUNDING = 1e-12
"""Shares of points that differ by less are the same."""
RIGHT, UNKNOWN, BY_RUBRIC = "right", "no cause recognised", "less than all, by the rubric"
"""What else than a likely cause may be said of an answer."""
KINDS = (RIGHT, "likely cause recognised", "blank left empty", UNKNOWN, BY_RUBRIC)
"""Of answers, as the figure shows them."""
NOTHING, NOT_GRADED, CHANGED, GRADED = "nothing handed in", "not graded", "changed since it was graded", "graded"
"""Where a student stands."""
HANDED_IN, LATE, HELD, WAITING, ASKING = (
    "handed in", "late", "held by the grader", "waiting for you", "asking for another look"
)  # fmt: skip
"""What else is counted of students."""
SLOWEST = 5
"""Hand-ins that are named as the slowest."""
COLUMNS = ("name", "state", "days_late", "points", "max", "score", "held", "waiting")
"""Of what is said of students."""
BINS = 10
"""Of the distribution of points."""


@dataclass(frozen=True)
class Stats:
    """A stage in numbers."""

    stage: str
    hand_ins: pd.DataFrame
    """A row a hand-in and question, the questions in the notebook's order: `student`, `question`, `points` (those of an
    answer that waits may change), `max`, `waiting` (for the instructor), and of what the grader found `held` (why, or
    nothing), `cause` (as in `mistakes`) and `seconds`, NaN where it found nothing."""
    questions: pd.DataFrame
    """A row a question, in the notebook's order; index its name. `max`: points that can be had; `n`: hand-ins whose
    points are settled; `facility`: their mean share of the points, 0 to 1; `discrimination`: see the function, -1 to 1
    or NaN; `full`, `none`: shares of them with all points and with none; `seconds_median`, `seconds_longest`: that the
    grader took, NaN where no code runs; `waiting`: hand-ins that wait for the instructor."""
    mistakes: pd.DataFrame
    """A row a question and what the grader said of its answers, most frequent first: `question`, `cause` (`right`, a
    likely cause, that none was recognised, or of a prediction that the rubric gave less than all), `n`, and `share` of
    the answers to it."""
    students: pd.DataFrame
    """A row a student who is in the roster, handed in or was graded; index the id. `name`; `state`; `days_late`;
    `points`, less what is off for lateness, and `max`, NaN where not graded; `score`: the prediction's overall score, 0
    for the baseline, NaN where none was scored; `held`: questions that the grader held;
    `waiting`: questions that wait for the instructor."""
    requests: Sequence[Request]
    """Students' requests to look at a grade again."""
    notes: Sequence[str]
    """What the numbers leave out, a sentence each."""

    @property
    def groups(self) -> dict[str, list[str]]:
        """Who handed in, is graded, late or missing: what is said of students, and of whom."""
        state = self.students["state"]
        asking = {request.student for request in self.requests if request.answered is None}
        chosen = {
            HANDED_IN: state != NOTHING,
            **{name: state == name for name in (GRADED, NOT_GRADED, CHANGED, NOTHING)},
            LATE: self.students["days_late"] > 0,
            HELD: self.students["held"] > 0,
            WAITING: self.students["waiting"] > 0,
            ASKING: state.index.isin(asking),
        }
        return {name: list(state.index[keep]) for name, keep in chosen.items()}

    @property
    def slowest(self) -> pd.DataFrame:
        """Give the hand-ins that took longest: `seconds` in all, and the slowest `question`; index `student`."""
        timed = self.hand_ins[self.hand_ins["seconds"] > 0].sort_values("seconds", ascending=False, kind="stable")
        found = timed.groupby("student", sort=False).agg(seconds=("seconds", "sum"), question=("question", "first"))
        return found.sort_values("seconds", ascending=False, kind="stable").head(SLOWEST)

    @property
    def edges(self) -> np.ndarray:
        """Give the edges of `BINS` bins of points, from 0 to all; extra credit widens them."""
        return np.linspace(0, max(self.questions["max"].sum(), self.totals.max(initial=0.0)), BINS + 1)

    @property
    def score_edges(self) -> np.ndarray:
        """Give the edges of `BINS` bins of predictions' scores, among them baseline (0) and full score (1)."""
        scores = self.students["score"].dropna()
        return np.linspace(min([0.0, *scores]), max([1.0, *scores]), BINS + 1)

    @property
    def totals(self) -> np.ndarray:
        """Points of those whose grade is settled."""
        settled = self.students["points"].notna() & (self.students["waiting"] == 0)
        return self.students.loc[settled, "points"].to_numpy(dtype=float)

    @property
    def answers(self) -> pd.DataFrame:
        """Shares of `KINDS` among the answers: questions x kinds."""
        kind = self.mistakes["cause"].map(
            lambda cause: {RIGHT: RIGHT, EMPTY: KINDS[2], UNKNOWN: UNKNOWN, BY_RUBRIC: BY_RUBRIC}.get(cause, KINDS[1])
        )
        shares = self.mistakes.assign(kind=kind).pivot_table(
            index="question", columns="kind", values="share", aggfunc="sum"
        )
        return shares.reindex(index=self.questions.index, columns=list(KINDS)).fillna(0.0)


def read_stats(course: Course, stage: str) -> Stats:
    """Read how a stage went, from the gradebook, the results and what was handed in.

    Points are the gradebook's, by the grader or by hand. Team mates who handed in the same files are one hand-in. Where
    nobody was graded yet there are no questions, and a note says so.

    Raises
    ------
    InputError
        If the stage is unknown.
    """
    course.check_stage(stage)
    grades = {grade.student: grade for grade in read_grades(course, stage)}
    results, notes = _results(course, stage, grades)
    asked = dict.fromkeys(question.name for one in (*results.values(), *grades.values()) for question in one.questions)
    hand_ins = _hand_ins(course, grades, results, list(asked))
    names = list(dict.fromkeys(hand_ins["question"]))
    points = hand_ins.set_index(["student", "question"])["points"].where(~hand_ins["waiting"].to_numpy())
    points = points.unstack("question")[names]  # noqa: PD010 - nothing is aggregated
    by_question = hand_ins.groupby("question")
    questions = question_table(points, by_question["max"].first()[names])
    questions["seconds_median"] = by_question["seconds"].median()[names]
    questions["seconds_longest"] = by_question["seconds"].max()[names]
    questions["waiting"] = by_question["waiting"].sum()[names].astype(int)
    students = _students(course, stage, grades, results)
    mistakes = hand_ins.groupby(["question", "cause"]).size().rename("n").reset_index()
    mistakes["share"] = mistakes["n"] / mistakes.groupby("question")["n"].transform("sum")
    mistakes["question"] = pd.Categorical(mistakes["question"], names)
    mistakes = mistakes.sort_values(["question", "n", "cause"], ascending=[True, False, True], ignore_index=True)
    mistakes["question"] = mistakes["question"].astype(str)
    if grades:
        notes += _notes(questions, len(points))
    else:
        notes.append(f"nobody was graded for {stage} yet; run: autograder grade {stage}")
    notes += _unknown(course, students)
    return Stats(stage, hand_ins, questions, mistakes, students, read_requests(course, stage), notes)


def question_table(points: pd.DataFrame, most: pd.Series) -> pd.DataFrame:
    """Say of each question how many had it, how much of it they had, and whether it tells strong from weak work.

    Parameters
    ----------
    points
        Hand-ins x questions; NaN where they are not settled.
    most
        Points that can be had, by question.

    Returns
    -------
    Questions x `max`, `n`, `facility`, `discrimination`, `full`, `none`, as in `Stats`.
    """
    shares = points / most.where(most > 0)
    settled = shares.notna()
    table = {
        "max": most,
        "n": settled.sum(),
        "facility": shares.mean(),
        "discrimination": pd.Series({name: discrimination(points, most, name) for name in points}),
        "full": (shares >= 1).where(settled).mean(),
        "none": (shares <= 0).where(settled).mean(),
    }
    return pd.DataFrame(table, index=points.columns).rename_axis("question")


def discrimination(points: pd.DataFrame, most: pd.Series, name: str) -> float:
    """Correlate a question with all the others: the corrected item-total correlation.

    It is Pearson's correlation over hand-ins, between the points of a question and the share of points in the others
    that are settled; where all are settled, that is the correlation with their sum. The question is not among them,
    since it would correlate with itself (Henrysson 1963, Psychometrika 28, 211).

    Parameters
    ----------
    points
        Hand-ins x questions; NaN where they are not settled.
    most
        Points that can be had, by question.
    name
        The question.

    Returns
    -------
    From -1 to 1; NaN for fewer than `FEWEST` hand-ins, and where all have the same in it, or in the others.
    """
    others = points.drop(columns=name)
    reachable = others.notna().astype(float) @ most[others.columns]
    rest = others.sum(axis=1) / reachable.where(reachable > 0)
    settled = points[name].notna() & rest.notna()
    item, rest = points.loc[settled, name].to_numpy(), rest[settled].to_numpy()
    if len(item) < FEWEST or min(np.ptp(item), np.ptp(rest)) < ROUNDING:
        return np.nan
    return float(np.corrcoef(item, rest)[0, 1])


def write_stats(stats: Stats, folder: Path) -> list[Path]:
    """Write a stage's numbers as `STAGE.questions.csv`, `STAGE.mistakes.csv` and `STAGE.students.csv`, and a figure.

    Returns
    -------
    The files, the figure (.png) last.

    Raises
    ------
    InputError
        If the folder cannot be written.
    """
    tables = {
        "questions": stats.questions.reset_index(),
        "mistakes": stats.mistakes,
        "students": stats.students.reset_index(),
    }
    paths = []
    for name, table in tables.items():
        paths.append(folder / f"{stats.stage}.{name}.csv")
        with whole(paths[-1]) as part:  # spreadsheet programs take a file for UTF-8 by its mark
            table.map(harmless).to_csv(part, index=False, encoding="utf-8-sig", float_format="%.4g")
    figure = stats_figure(
        stats.stage, stats.questions, stats.answers, stats.totals, stats.edges, stats.students["state"]
    )
    paths.append(folder / f"{stats.stage}.png")
    with whole(paths[-1]) as part:
        figure.savefig(part, format="png", dpi=200)
    return paths


def _results(course: Course, stage: str, students: Iterable[str]) -> tuple[dict[str, Result], list[str]]:
    """Read the results that there are, and say which are damaged."""
    results, notes = {}, []
    for student in students:
        path = course.grading / RESULTS / stage / f"{student}.json"
        if path.exists():
            try:
                results[student] = read_result(path)
            except InputError as error:
                notes.append(str(error))
    return results, notes


def _hand_ins(
    course: Course, grades: Mapping[str, Grade], results: Mapping[str, Result], names: Sequence[str]
) -> pd.DataFrame:
    """Set what each hand-in got and what the grader said of it, as `Stats.hand_ins` has it.

    Of a team whose members handed in the same files one is taken.
    """
    first: dict[tuple[str, str], str] = {}
    for student in grades:
        files = results[student].submission_sha256 if student in results else student
        first.setdefault((course.team_of(student)[0], files), student)
    rows = []
    for student in first.values():
        found = {question.name: question for question in results[student].questions} if student in results else {}
        graded = {question.name: question for question in grades[student].questions}
        for name in (name for name in names if name in graded):
            given, said = graded[name], found.get(name)
            row = {
                "student": student,
                "question": name,
                "points": given.points,
                "max": given.max,
                "waiting": given.open,
            }
            row |= {"held": said.held if said else "", "cause": _said_of(said) if said else None}
            rows.append(row | {"seconds": said.seconds if said else np.nan})
    columns = {"student": str, "question": str, "points": float, "max": float, "waiting": bool}
    columns |= {"held": str, "cause": object, "seconds": float}
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)


def _said_of(question: QuestionResult) -> str:
    if question.points >= question.max:
        return RIGHT
    return question.cause or (BY_RUBRIC if question.name == PREDICTION else UNKNOWN)


def _students(course: Course, stage: str, grades: Mapping[str, Grade], results: Mapping[str, Result]) -> pd.DataFrame:
    folders = (course.grading / SUBMITTED).glob(f"*/{stage}")
    handed_in = {path.parent.name for path in folders if path.is_dir() and STUDENT_NAME.fullmatch(path.parent.name)}
    rows = []
    known = sorted({*course.students, *handed_in, *grades})
    with progress.bar(f"read {stage}", len(known)) as advance:
        for student in known:
            submission, grade, result = Submission(course, stage, student), grades.get(student), results.get(student)
            state = NOTHING if student not in handed_in else NOT_GRADED
            if grade is not None:
                same = result is not None and result.submission_sha256 == hash_submission(submission)
                state = GRADED if same else CHANGED
            rows.append(
                {
                    "student": student,
                    "name": course.students.get(student, Student(id=student)).name,
                    "state": state,
                    "days_late": days_late(submission, received_at(submission)) if student in handed_in else 0,
                    "points": grade.points if grade else np.nan,
                    "max": grade.max if grade else np.nan,
                    "score": _score(submission, result) if result else np.nan,
                    "held": sum(bool(question.held) for question in result.questions) if result else 0,
                    "waiting": sum(question.open for question in grade.questions) if grade else 0,
                }
            )
            advance()
    return pd.DataFrame(rows, columns=["student", *COLUMNS]).set_index("student")


def _score(submission: Submission, result: Result) -> float:
    # another attempt's scorecard may lie there still
    scored = any(question.name == PREDICTION and question.came for question in result.questions)
    path = submission.scorecard / "scorecard.json"
    if not scored or not path.is_file():
        return np.nan
    try:
        overall = json.loads(path.read_text(encoding="utf-8"))["overall"]
    except (ValueError, KeyError) as error:
        msg = f"{path} is damaged ({type(error).__name__}); grade the submission again"
        raise InputError(msg) from error
    return np.nan if overall is None else float(overall)


def _notes(questions: pd.DataFrame, n: int) -> list[str]:
    """Say what the numbers leave out."""
    notes = []
    if n < FEWEST:
        notes.append(f"no discrimination: {counted(n, 'hand-in')}, and a correlation needs {FEWEST}")
    elif same := list(questions.index[questions["discrimination"].isna()]):
        notes.append(
            f"no discrimination for {listed(same)}: fewer than {FEWEST} are settled, or all have the same points in it"
            " or in the others"
        )
    if waiting := int(questions["waiting"].sum()):
        wait = counted(waiting, "answer waits", "answers wait")
        notes.append(f"{wait} for you in formgrader, and count in no points here")
    return notes


def _unknown(course: Course, students: pd.DataFrame) -> list[str]:
    """Say of whom nothing can be said, or who is not known."""
    if not course.students:
        return ["course.toml has no roster, so who handed in nothing is not known"]
    strangers = [student for student in students.index if student not in course.students]
    return [f"not in the roster: {listed(strangers)}"] if strangers else []
