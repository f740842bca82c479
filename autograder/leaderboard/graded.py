"""The board of a course without a server: what was graded becomes entries, scored and ranked as uploads are."""

import hashlib
import shutil
import uuid
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine, func, select, update
from sqlalchemy.orm import Session

from autograder.folders import ARRIVING, RESULTS
from autograder.grading.results import read_result
from autograder.handed_in.attempts import received_at
from autograder.handed_in.files import File
from autograder.handed_in.submissions import Submission, hash_submission, prediction_of
from autograder.leaderboard import fixed_rows, store, worker
from autograder.leaderboard.accounts import make_tokens
from autograder.leaderboard.board import Board
from autograder.leaderboard.tables import QUEUED, REFUSED, TEAM, Account, Entry, Fact, Upload
from starter import progress
from starter.errors import InputError

NO_LIMIT = 1 << 30
"""Entries a day: what was handed in elsewhere is bounded there."""


def rank_graded(board: Board, engine: Engine, remark: worker.Remark) -> list[str]:
    """Rank what was graded of a board's stage; what was ranked before is not scored again.

    Returns
    -------
    Who is left out and why, a sentence each.

    Raises
    ------
    NoSandboxError
        If this machine cannot open students' files safely.
    InputError
        If there is no truth, or something of ours fails.
    """
    worker.check_ready(board)
    with progress.spinner("prepare the board"):
        fixed_rows.make_kit_row(board, remark)
        worker.prepare(board, engine)
    left_out = bring_in(board, engine)
    with store.session(engine) as now:
        waiting = now.scalar(select(func.count()).select_from(Entry).where(Entry.state == QUEUED)) or 0
    with progress.bar("score predictions", waiting) as advance:
        worker.score_waiting(board, engine, advance)
    with store.session(engine) as now:
        refused = now.scalars(select(Entry).where(Entry.chosen, Entry.state == REFUSED).order_by(Entry.account)).all()
    return left_out + [f"{entry.account}: {entry.reason}" for entry in refused]


def bring_in(board: Board, engine: Engine) -> list[str]:
    """Make an entry of each team's prediction as it was graded, and make it the team's submission.

    Returns
    -------
    Who is left out and why, a sentence each; who handed in no prediction is not named.
    """
    course, stage = board.course, board.stage
    seen: set[str] = set()
    left_out = []
    for path in sorted((course.grading / RESULTS / stage).glob("*.json")):
        submission = Submission(course, stage, path.stem)
        student = course.students.get(submission.student)
        account = (student.team or student.id) if student else submission.student
        if account in seen or (given := prediction_of(submission)) is None:
            continue
        received = received_at(submission) or datetime.now(UTC)  # placed by hand: it counts as in time
        if course.students and student is None:
            left_out.append(f"{account} is not in the roster")
        elif read_result(path).submission_sha256 != hash_submission(submission):
            left_out.append(f"{submission.student} handed in anew since; run: autograder grade {stage}")
        elif board.ends is not None and received > board.ends and received_at(submission):
            left_out.append(f"{account} handed in after the board's end, {board.ends:%Y-%m-%d %H:%M %Z}")
        else:
            seen.add(account)
            name, file = given
            _enter(board, engine, account, Path(name).name, file, min(received, board.ends or received))
    return left_out


def _enter(board: Board, engine: Engine, account: str, name: str, file: File, received: datetime) -> None:
    with file.open() as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()  # pyright: ignore[reportArgumentType] (has readinto)
    with store.session(engine) as now:
        known = now.get(Account, account) is not None
        entry = now.scalar(select(Entry).where(Entry.account == account, Entry.sha256 == sha256))
    if not known:
        make_tokens(engine, [account], TEAM)  # an account has one; nobody is told it, since nothing is served
    if entry is None:
        upload = Upload(id=uuid.uuid4().hex, account=account, file=name, size=file.size, begun=datetime.now(UTC))
        try:
            with file.open() as content, (board.web / ARRIVING / upload.id).open("xb") as copy:
                shutil.copyfileobj(content, copy)
        except OSError as error:
            msg = f"{account}'s {name} cannot be copied to {board.web}: {error.strerror}"
            raise InputError(msg) from error
        with store.writing(engine) as now:
            now.add(upload)
        entry = store.accept(engine, board.web, upload, received, NO_LIMIT)
    if not entry.chosen:
        store.keep_trying(engine, lambda now: _choose(now, entry))


def _choose(now: Session, entry: Entry) -> None:
    now.execute(update(Entry).where(Entry.account == entry.account).values(chosen=False))
    now.execute(update(Entry).where(Entry.id == entry.id).values(chosen=True))
    now.merge(Fact(name="revealed", value={"is": False}))  # at the end all is revealed by what is chosen now
