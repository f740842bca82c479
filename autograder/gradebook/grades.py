"""What the gradebook says in the end: points of every question, by the grader or by hand, comments and what is late."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from nbgrader.api import Gradebook, MissingEntry, SubmittedAssignment

from autograder.course import Course
from autograder.folders import GRADEBOOK


@dataclass(frozen=True)
class QuestionGrade:
    """One question of one student in the gradebook."""

    name: str
    points: float
    """As graded by hand where it was, else by the grader; with extra credit."""
    max: float
    open: bool
    """Whether it waits for the instructor: held, or graded by hand and not yet looked at."""
    comment: str
    """The instructor's."""


@dataclass(frozen=True)
class Grade:
    """One student's grade of one stage."""

    student: str
    stage: str
    questions: Sequence[QuestionGrade]
    late: float
    """Points taken off for being late."""
    comments: Mapping[str, str] = field(default_factory=dict)
    """The instructor's, on cells without points of their own, by cell name: a function's comment stands there."""

    @property
    def points(self) -> float:
        """What counts: the sum over questions without what is taken off, at least 0."""
        return max(0.0, sum(question.points for question in self.questions) - self.late)

    @property
    def max(self) -> float:
        """Sum of the points that can be had."""
        return sum(question.max for question in self.questions)

    @property
    def open(self) -> bool:
        """Whether a question waits for the instructor, so that the points may change."""
        return any(question.open for question in self.questions)


def read_grades(course: Course, stage: str) -> list[Grade]:
    """Read the grades of all students who are in the gradebook for a stage.

    Returns
    -------
    One grade a student, in the order of their ids; none if nobody was graded.
    """
    path = course.grading / GRADEBOOK
    if not path.is_file():
        return []
    with Gradebook(f"sqlite:///{path}") as book:
        try:
            submissions = book.assignment_submissions(stage)
        except MissingEntry:
            return []
        return sorted((_grade(stage, submission) for submission in submissions), key=lambda grade: grade.student)


def _grade(stage: str, submission: SubmittedAssignment) -> Grade:
    questions, late, others = [], 0.0, {}
    for notebook in submission.notebooks:
        late += notebook.late_submission_penalty or 0.0
        comments = {comment.name: comment.comment or "" for comment in notebook.comments}
        questions += [
            QuestionGrade(
                grade.name,
                float(grade.score or 0.0),
                float(grade.max_score),
                bool(grade.needs_manual_grade),
                comments.pop(grade.name, ""),
            )
            for grade in sorted(notebook.grades, key=lambda grade: grade.name)
        ]
        others |= {name: comment for name, comment in comments.items() if comment}
    return Grade(submission.student.id, stage, questions, late, others)
