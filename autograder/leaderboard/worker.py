"""Scoring workers: they take entries from the queue, score them, and keep the boards; at the end they reveal.

A worker holds a lock for as long as it lives. What it held when it died goes back into the queue as soon as another
worker, or itself anew, finds the lock free. The row of a model of the kit takes minutes, so it is made in a process
beside, which gives way to entries, and stands in the board once it is made.
"""

import functools
import multiprocessing
import os
import shutil
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from multiprocessing.process import BaseProcess
from pathlib import Path

import filelock
from sqlalchemy import Engine, delete, func, select
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from autograder.course import Course, read_course
from autograder.folders import ENTRIES, PICTURES
from autograder.grading.batch import cluster
from autograder.grading.predictions import OPENING, Refusal
from autograder.grading.rubric import check_rubric
from autograder.leaderboard import fixed_rows, standings, store
from autograder.leaderboard.board import Board, board_of
from autograder.leaderboard.entry_score import (
    OPENED,
    EntryScore,
    halves_of,
    score_entry,
    write_score,
)
from autograder.leaderboard.tables import (
    PUBLIC,
    QUEUED,
    REFUSED,
    SCORED,
    SCORING,
    Entry,
    Fact,
    FixedRow,
    Standing,
)
from autograder.sandbox import contents
from autograder.sandbox.ready import check_hidden, check_sandbox
from autograder.sandbox.zygotes import zygotes
from starter.errors import InputError

IDLE_SECONDS = 1.0
POLITE = 10
"""How far the process that makes the kit's row stands back (nice)."""
LONGEST_PAUSE = 60.0
"""Between tries of what fails by a fault of ours."""
GIVEN_UP = 5
"""Tries after which the end no longer waits for an entry."""
LEFT_SECONDS = 3600
"""After which nobody works in a folder any more: opening a file is limited to minutes."""
Score = Callable[[Board, Path, Path], EntryScore | Refusal]
Remark = Callable[[str], None]


def run_workers(
    course: Course, stop: threading.Event, jobs: int = 2, dask: str | None = None, remark: Remark = print
) -> None:
    """Score entries until told to stop.

    Parameters
    ----------
    stop
        Set it, and each worker ends after the entry that it scores.
    jobs
        Entries at the same time; files are opened side by side, and scored one after the other, by all cores.
    dask
        Address of a Dask scheduler whose workers score instead; they must see the course's folder.
    remark
        Called with what the instructor may want to know.

    Raises
    ------
    NoSandboxError
        If this machine cannot open students' files safely.
    InputError
        If there is no leaderboard, no truth, or no database.
    """
    board = board_of(course)
    check_ready(board)
    engine = store.open_board(board.url)
    with ExitStack() as stack:
        stack.callback(engine.dispose)
        executor = stack.enter_context(cluster(dask, course)) if dask is not None else None
        warm = stack.enter_context(zygotes(board.work, OPENING))

        def score(board: Board, file: Path, pictures: Path) -> EntryScore | Refusal:
            if executor is None:
                return score_entry(board, file, pictures, warm.start)
            return executor.submit(score_entry, board, file, pictures).result()

        _tidy(board.work)
        prepare(board, engine)
        beside = multiprocessing.get_context("spawn").Process(target=_make_kit_row, args=(course.root,))
        beside.start()
        stack.callback(beside.terminate)
        threading.Thread(target=say_if_it_dies, args=(beside, stop, remark), daemon=True).start()
        with ThreadPoolExecutor(jobs) as threads:
            work = functools.partial(run_worker, board, engine, stop, score, remark)
            for ended in [threads.submit(work) for _ in range(jobs)]:
                ended.result()


def _tidy(work: Path) -> None:
    """Remove what workers that were killed left of the entries that they were opening."""
    for folder in work.glob(f"{OPENED}*"):
        if time.time() - folder.stat().st_mtime > LEFT_SECONDS:
            shutil.rmtree(folder, ignore_errors=True)


def check_ready(board: Board) -> None:
    """Refuse to score where files cannot be opened safely, or by a rubric that cannot be met.

    Raises
    ------
    NoSandboxError
        If this machine cannot open students' files safely.
    InputError
        If there is no truth, or the rubric is wrong.
    """
    check_sandbox()
    check_hidden(board.course.grading)
    check_rubric(board.course, board.stage)
    contents.kit(board.course, ())


def score_waiting(board: Board, engine: Engine, report: Callable[[], object]) -> None:
    """Score all that wait, and see to the board.

    Parameters
    ----------
    report
        Called after each.

    Raises
    ------
    InputError, OSError
        If something of ours fails. The entry is in the queue again then.
    """
    with _alive(board) as name, zygotes(board.work, OPENING) as warm:
        score = functools.partial(score_entry, start=warm.start)
        while score_next(board, engine, name, score):
            report()


def run_worker(board: Board, engine: Engine, stop: threading.Event, score: Score, remark: Remark) -> None:
    """Score one entry after the other until told to stop."""
    with _alive(board) as name:
        pause = IDLE_SECONDS
        while not stop.is_set():
            try:
                if score_next(board, engine, name, score):
                    pause = IDLE_SECONDS
                    continue
                wait = IDLE_SECONDS
            except (InputError, OSError, SQLAlchemyError) as error:
                what = str(error).partition("\n")[0]
                remark(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} UTC: {what}; tried again in {pause:.0f} s")
                wait, pause = pause, min(2 * pause, LONGEST_PAUSE)
            stop.wait(wait)


def score_next(board: Board, engine: Engine, name: str, score: Score = score_entry) -> bool:
    """See to the board, then score the next entry, and say whether there was one.

    Raises
    ------
    InputError, OSError
        If something of ours fails. The entry is in the queue again then.
    """
    give_back_of_dead(board, engine)
    see_to_board(board, engine)
    entry = store.claim(engine, name)
    if entry is None:
        return False
    try:
        file = board.web / ENTRIES / str(entry.id) / entry.file
        outcome = score(board, file, board.web / PICTURES / str(entry.id))
        record(board, engine, entry, name, outcome)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}"
        store.keep_trying(engine, lambda now: store.give_back(now, name, reason))
        if isinstance(error, (InputError, OSError)):
            raise
        msg = f"entry {entry.id} was not scored ({reason})"
        raise InputError(msg) from error
    return True


def record(board: Board, engine: Engine, entry: Entry, name: str, outcome: EntryScore | Refusal) -> None:
    """Keep what came of an entry: its scores on the private half where only workers read, then all else in the board.

    What was withdrawn meanwhile, or is another worker's, stays as it is.
    """
    if isinstance(outcome, EntryScore):
        write_score(standings.score_file(board, entry.id), outcome)

    def work(now: Session) -> None:
        standings.alone(now)
        mine = store.held_by(now, entry.id, name)
        if mine is None:
            return
        mine.ended = datetime.now(UTC)
        if isinstance(outcome, Refusal):
            mine.state, mine.reason = REFUSED, outcome.reason
            return
        mine.state, mine.reason, mine.public, mine.flags = SCORED, "", outcome.public.row, list(outcome.flags)
        now.flush()
        standings.stand(now, board, mine.account)
        standings.rank(now, board, PUBLIC)
        if store.read_fact(now, "revealed"):
            standings.reveal(now, board)

    store.keep_trying(engine, work)


def give_back_of_dead(board: Board, engine: Engine) -> list[int]:
    """Put into the queue again what workers held that live no more."""
    with store.session(engine) as now:
        names = now.scalars(select(Entry.worker).where(Entry.state == SCORING).distinct()).all()
    given = []
    for name in names:
        lock = filelock.FileLock(_workers(board) / f"{name}.lock", timeout=0, is_singleton=False)
        try:
            lock.acquire()
        except filelock.Timeout:
            continue
        try:
            ended = functools.partial(store.give_back, worker=str(name), reason="its worker was stopped")
            given += store.keep_trying(engine, ended)
        finally:
            lock.release()
            Path(lock.lock_file).unlink(missing_ok=True)
    return given


def say_if_it_dies(beside: BaseProcess, stop: threading.Event, remark: Remark) -> None:
    """Wait for the process that makes the kit's row, and tell of it if it was killed, as one that wants memory is."""
    beside.join()
    if beside.exitcode and not stop.is_set():
        remark(f"no row of a model of the kit: its process ended ({beside.exitcode}); it is made at the next start")


def _make_kit_row(course: Path) -> None:
    os.nice(POLITE)
    fixed_rows.make_kit_row(board_of(read_course(course)), lambda text: print(text, flush=True))


def prepare(board: Board, engine: Engine) -> None:
    """Write what holds of the whole board, and its fixed rows so far. Of another truth all entries are scored again."""
    with filelock.FileLock(board.private / "prepare.lock"):
        sizes = halves_of(board).sizes
        facts = {
            **{"stage": board.stage, "title": board.title, "n_public": sizes[0], "n_private": sizes[1]},
            **{"ends": board.ends.astimezone(UTC).isoformat() if board.ends else None, "truth": board.measure},
        }
        rows = fixed_rows.rows_so_far(board)

        def work(now: Session) -> None:
            standings.alone(now)
            before = store.read_fact(now, "truth")
            if before not in (None, facts["truth"]):
                standings.score_again(now)
            shown = bool(store.read_fact(now, "revealed"))
            for name, value in {"revealed": shown, **facts}.items():
                now.merge(Fact(name=name, value={"is": value}))
            _put(now, rows, shown=shown)

        store.keep_trying(engine, work)


def see_to_board(board: Board, engine: Engine) -> None:
    """Drop the standings of withdrawn entries, take in the kit's row, and reveal the private half when it is time.

    It is time when the board has ended and nothing waits.
    """
    with store.session(engine) as now:
        gone = select(Standing.account).join(Entry, Entry.id == Standing.entry)
        withdrawn = now.scalars(gone.where(Standing.board == PUBLIC, Entry.state != SCORED)).all()
        due = not store.read_fact(now, "revealed") and board.ends is not None and datetime.now(UTC) >= board.ends
        waiting = select(func.count()).select_from(Entry).where(Entry.state.in_((QUEUED, SCORING)))
        due = due and not now.scalar(waiting.where(Entry.tries < GIVEN_UP))
        shown = set(now.scalars(select(FixedRow.name)))
    more = shown.issubset(fixed_rows.REFERENCES) and fixed_rows.kit_file(board).is_file()
    if not withdrawn and not due and not more:
        return
    rows = fixed_rows.rows_so_far(board) if more or due else {}

    def work(now: Session) -> None:
        standings.alone(now)
        for account in withdrawn:
            standings.stand(now, board, account)
        standings.rank(now, board, PUBLIC)
        if due:
            standings.reveal(now, board)
        if rows:
            _put(now, rows, shown=bool(store.read_fact(now, "revealed")))

    store.keep_trying(engine, work)


def _put(now: Session, rows: fixed_rows.Rows, *, shown: bool) -> None:
    """Put fixed rows in the place of those before."""
    now.execute(delete(FixedRow))
    for name, (public, private) in rows.items():
        now.add(FixedRow(name=name, public=public, private=private if shown else None))


def _workers(board: Board) -> Path:
    return board.private / "workers"


@contextmanager
def _alive(board: Board) -> Iterator[str]:
    """Give a worker a name, and hold its lock for as long as the process lives."""
    name = uuid.uuid4().hex
    _workers(board).mkdir(parents=True, exist_ok=True)
    lock = filelock.FileLock(_workers(board) / f"{name}.lock", is_singleton=False)
    with lock:
        yield name
    Path(lock.lock_file).unlink(missing_ok=True)
