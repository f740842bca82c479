"""What handing in late costs, by `course.toml`, in nbgrader's gradebook."""

import math
from datetime import UTC, datetime, timedelta

from nbgrader.api import Gradebook
from nbgrader.plugins import LateSubmissionPlugin
from traitlets import Float

from autograder.course import Course
from autograder.handed_in.attempts import received_at
from autograder.handed_in.submissions import Submission

DAY = 24 * 3600


class PointsPerDay(LateSubmissionPlugin):
    """Takes points off for every day that has begun, where nbgrader itself records a grade."""

    points_per_day = Float(0.0, help="Points for every day that has begun").tag(config=True)
    grace_hours = Float(0.0, help="Hours after the deadline before the first day begins").tag(config=True)

    def late_submission_penalty(self, student_id: str, score: float, total_seconds_late: float) -> float:
        """Say how many points are taken off."""
        return self.points_per_day * days_begun(total_seconds_late, self.grace_hours)


def days_begun(seconds_late: float, grace_hours: float) -> int:
    """Count the days that have begun when the grace hours are over.

    >>> days_begun(3600, grace_hours=1), days_begun(3601, grace_hours=1), days_begun(86401, grace_hours=0)
    (0, 1, 2)
    """
    return max(0, math.ceil((seconds_late - grace_hours * 3600) / DAY))


def days_late(submission: Submission, received: datetime | None) -> int:
    """Count the days that a student is late, beyond extension and grace; 0 without a deadline or a known time."""
    due = submission.due
    if due is None or received is None:
        return 0
    return days_begun((received - due).total_seconds(), submission.course.late.grace_hours)


def update_penalties(course: Course, stage: str, book: Gradebook) -> None:
    """Write the deadline, extensions, times of receipt and what is taken off for all students who are in the gradebook.

    Points and comments stay. The whole penalty is written even where the score is less, since points that the
    instructor gives later would escape it otherwise; no grade goes below 0.
    """
    settings = course.stages[stage]
    assignment = book.find_assignment(stage)
    assignment.duedate = _naive(settings.deadline)
    for submission in assignment.submissions:
        student = submission.student.id
        handed_in = Submission(course, stage, student)
        received = received_at(handed_in)
        hours = settings.extensions.get(student) if settings.deadline else None
        points = course.late.points_per_day * days_late(handed_in, received)
        submission.timestamp = _naive(received)
        submission.extension = None if hours is None else timedelta(hours=hours)
        for notebook in submission.notebooks:
            notebook.late_submission_penalty = points or None
    book.db.commit()


def _naive(time: datetime | None) -> datetime | None:
    """Give a time as nbgrader's database holds it: UTC without saying so."""
    return None if time is None else time.astimezone(UTC).replace(tzinfo=None)
