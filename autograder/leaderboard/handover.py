"""The entry that a team chose, as the submission that `autograder grade` grades."""

from pathlib import PurePosixPath

from sqlalchemy import Engine, select

from autograder.course import Course
from autograder.folders import ENTRIES
from autograder.handed_in.attempts import add_attempt, attempt_folder, counting_attempt, hash_handed_in, place_attempts
from autograder.handed_in.files import regular_files
from autograder.handed_in.found import Found
from autograder.handed_in.submissions import Submission
from autograder.leaderboard.board import Board, board_of
from autograder.leaderboard.choice import chosen_entries
from autograder.leaderboard.store import session
from autograder.leaderboard.tables import Account, Entry
from starter.assignment.files import prediction_names


def hand_over(course: Course, engine: Engine) -> list[str]:
    """Make attempts of the teams' chosen entries, so that `autograder grade` grades them.

    An attempt is what the team handed in last, with the entry's file as its prediction, received when the later of the
    two was. Doing it again adds nothing.

    Returns
    -------
    Students under whose name an attempt was added.
    """
    board = board_of(course)
    with session(engine) as now:
        chosen = chosen_entries(now)
        accounts = set(now.scalars(select(Account.name)))
    return [student for name in sorted(chosen.keys() & accounts) if (student := _hand_over(board, chosen[name]))]


def _hand_over(board: Board, entry: Entry) -> str | None:
    course = board.course
    mates = [student.id for student in course.students.values() if student.team == entry.account] or [entry.account]
    submission = Submission(course, board.stage, mates[0])
    if counting_attempt(submission) is None:  # what was placed by hand is an attempt too, or it would stay in place
        for mate in submission.team:
            if placed := regular_files(mate.submitted):
                add_attempt(course, board.stage, Found(mate.student, placed, received=None))
    last = counting_attempt(submission)
    files = {} if last is None else regular_files(attempt_folder(submission, last))
    due = PurePosixPath(board.prediction.file)
    for name in prediction_names(board.prediction.file):
        files.pop(name.as_posix(), None)
    files[due.with_suffix(PurePosixPath(entry.file).suffix).as_posix()] = regular_files(
        board.web / ENTRIES / str(entry.id)
    )[entry.file]
    received = max(entry.received, last.received) if last and last.received else entry.received
    student = mates[0] if last is None else last.student
    if last is not None and last.sha256 == hash_handed_in(files):
        return None
    added = add_attempt(course, board.stage, Found(student, files, received, f"leaderboard entry {entry.id}"))
    place_attempts(course, board.stage, mates)
    return student if added else None
