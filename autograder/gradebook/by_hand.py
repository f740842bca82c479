"""What was given by hand holds for the answer that it was given to: when all is graded anew, and for a whole team.

nbgrader's gradebook gets a table of its own for that: the hash of the answer beside each grade and comment.
"""

import hashlib
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeAlias

import sqlalchemy as sa
from nbconvert.exporters.exporter import ResourcesDict
from nbformat import NotebookNode
from nbgrader.api import Comment, Grade, MissingEntry, SubmittedAssignment, SubmittedNotebook
from nbgrader.preprocessors import SaveAutoGrades
from nbgrader.utils import determine_grade, is_grade, is_solution
from sqlalchemy import event
from sqlalchemy.orm import Mapper, Session, object_session

from autograder.course import read_course
from autograder.gradebook.plugins import ResultReader, earned
from autograder.grading.results import QuestionResult
from autograder.handed_in.submissions import Submission, prediction_of
from autograder.questions.question import PREDICTION
from starter.errors import InputError

ANSWERS = sa.Table(
    "answer", sa.MetaData(), sa.Column("id", sa.String(32), primary_key=True), sa.Column("sha256", sa.String(64))
)
"""Grade or comment, by its id, to the answer that stood beside it when it was recorded last."""
Given: TypeAlias = Grade | Comment
BY_HAND = {Grade: ("manual_score", "extra_credit", "needs_manual_grade"), Comment: ("manual_comment",)}
"""What an instructor gives in formgrader."""
RECORDING = "recording"
"""Set in sessions of the grader, whose changes are none by hand."""


class SaveGrades(SaveAutoGrades, ResultReader):
    """Records points as nbgrader does, but leaves closed what was graded by hand while its answer is the same.

    A question waits for the instructor if it is held, answered in words, or was graded by hand and answered otherwise
    since. Where a team mate's same answer was graded by hand, it is graded.
    """

    def preprocess(self, nb: NotebookNode, resources: ResourcesDict) -> tuple[NotebookNode, ResourcesDict]:
        """Record every cell of a notebook."""
        about = resources["nbgrader"]
        course = read_course(self.course_file)
        questions = {question.name: question for question in self.results(resources)}
        self.held = {name for name, question in questions.items() if question.held}
        self.answers = hash_answers(nb, questions, Submission(course, about["assignment"], about["student"]))
        self.mates = [mate for mate in course.team_of(about["student"]) if mate != about["student"]]
        return super().preprocess(nb, resources)

    def _add_score(self, cell: NotebookNode, resources: ResourcesDict) -> None:
        name, session = cell.metadata.nbgrader["grade_id"], self._session()
        grade = self.gradebook.find_grade(name, self.notebook_id, self.assignment_id, self.student_id)
        answer = self.answers[name]
        was_graded = grade.manual_score is not None or grade.auto_score is not None
        closed = was_graded and not grade.needs_manual_grade and _answer(session, grade.id) == answer
        grade.auto_score, _ = determine_grade(cell, self.log)
        unsure = name in self.held or grade.auto_score is None or grade.manual_score is not None
        grade.needs_manual_grade = unsure and not closed
        _set_answer(session, grade.id, answer)
        if grade.needs_manual_grade:
            self._take_over(grade, self.gradebook.find_grade, name)
        session.commit()

    def _add_comment(self, cell: NotebookNode, resources: ResourcesDict) -> None:
        super()._add_comment(cell, resources)
        name, session = cell.metadata.nbgrader["grade_id"], self._session()
        comment = self.gradebook.find_comment(name, self.notebook_id, self.assignment_id, self.student_id)
        _set_answer(session, comment.id, self.answers[name])
        if not comment.manual_comment:
            self._take_over(comment, self.gradebook.find_comment, name)
        session.commit()

    def _take_over(self, mine: Given, find: Callable[..., Given], name: str) -> None:
        """Take what a team mate got by hand for the same answer."""
        for mate in self.mates:
            with suppress(MissingEntry):
                theirs = find(name, self.notebook_id, self.assignment_id, mate)
                if self._by_hand(theirs, name) and _answer(self._session(), theirs.id) == self.answers[name]:
                    for value in BY_HAND[type(theirs)]:
                        setattr(mine, value, getattr(theirs, value))
                    return

    def _by_hand(self, given: Given, name: str) -> bool:
        """Tell whether a person gave it: the grader closes questions too, and would undo what another one got."""
        if isinstance(given, Comment):
            return bool(given.manual_comment)
        return not given.needs_manual_grade and (given.manual_score is not None or name in self.held)

    def _session(self) -> Session:
        session = self.gradebook.db()
        session.info[RECORDING] = True
        ANSWERS.create(session.connection(), checkfirst=True)
        return session


def hash_answers(nb: NotebookNode, questions: dict[str, QuestionResult], submission: Submission) -> dict[str, str]:
    """Hash what an instructor grades, cell by cell: of a text it is the text, of code the code and what it earned.

    Parameters
    ----------
    nb
        The notebook as it is shown.
    questions
        What the grader found.
    submission
        Whose it is; a prediction is its file.

    Returns
    -------
    Name of a graded or commented cell -> SHA-256.
    """
    code = [cell.source for cell in nb.cells if cell.cell_type == "code" and not is_grade(cell)]
    answers = {}
    for cell in nb.cells:
        if not (is_grade(cell) or is_solution(cell)):
            continue
        about = cell.metadata.nbgrader
        name, points = about["grade_id"], about.get("points")
        content: list[object] = [cell.source, points]
        if (question := questions.get(name)) is not None and not is_solution(cell):
            given = prediction_of(submission) if name == PREDICTION else None
            if given is None:
                asked = code
            else:
                with given[1].open() as file:
                    asked = hashlib.file_digest(file, "sha256").hexdigest()  # pyright: ignore[reportArgumentType]
            content = [asked, points, earned(question), question.held]
        answers[name] = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return answers


@event.listens_for(Grade, "after_update")
@event.listens_for(Comment, "after_update")
def _share(mapper: Mapper, connection: sa.Connection, given: Given) -> None:
    """Give all of a team what was just given by hand to one of them, where their answer is the same."""
    del mapper
    kind = type(given)
    session = object_session(given)
    changed = any(sa.inspect(given).attrs[name].history.has_changes() for name in BY_HAND[kind])
    if session is None or session.info.get(RECORDING) or not changed or getattr(given, "needs_manual_grade", False):
        return
    mates = _mates(connection, given)
    if not mates or not sa.inspect(connection).has_table(ANSWERS.name):
        return
    answer = sa.select(ANSWERS.c.sha256).where(ANSWERS.c.id == given.id).scalar_subquery()
    same = (
        _students(kind)
        .with_only_columns(kind.id)
        .join(ANSWERS, ANSWERS.c.id == kind.id)
        .where(kind.cell_id == given.cell_id, SubmittedAssignment.student_id.in_(mates), ANSWERS.c.sha256 == answer)
    )
    values = {name: getattr(given, name) for name in BY_HAND[kind]}
    table = kind.__table__
    connection.execute(sa.update(table).where(table.c.id.in_(same)).values(values))


def _mates(connection: sa.Connection, given: Given) -> list[str]:
    """List a student's team mates, by the `course.toml` to whose gradebook a grade or a comment belongs."""
    student = connection.execute(_students(type(given)).where(type(given).id == given.id)).scalar_one()
    try:
        course = read_course(Path(connection.engine.url.database or "").resolve().parents[1])
    except InputError:
        return []  # the file is being edited: what was given counts, and the others still wait in formgrader
    return [mate for mate in course.team_of(student) if mate != student]


def _students(kind: type[Given]) -> sa.Select:
    """Select the students of grades or comments."""
    return (
        sa.select(SubmittedAssignment.student_id)
        .join(SubmittedNotebook, SubmittedNotebook.assignment_id == SubmittedAssignment.id)
        .join(kind, kind.notebook_id == SubmittedNotebook.id)
    )


def _answer(session: Session, id_: str) -> str | None:
    return session.execute(sa.select(ANSWERS.c.sha256).where(ANSWERS.c.id == id_)).scalar()


def _set_answer(session: Session, id_: str, answer: str) -> None:
    session.execute(sa.delete(ANSWERS).where(ANSWERS.c.id == id_))
    session.execute(sa.insert(ANSWERS).values(id=id_, sha256=answer))
