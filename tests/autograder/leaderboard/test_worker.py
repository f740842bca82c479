import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import anndata
import filelock
import numpy as np
import pytest
from entering import NOON, enter
from handing_in import RIGHT, grade_one, submit
from sqlalchemy import select

from autograder.leaderboard import choice, handover, store, worker
from autograder.leaderboard.accounts import make_tokens
from autograder.leaderboard.board import Board
from autograder.leaderboard.tables import PRIVATE, REFUSED, SCORED, SCORING, Entry, Fact, FixedRow, Standing
from starter.scoring.scorecard import score_prediction
from starter.scoring.truth.opened import open_truth


@pytest.mark.slow
def test_an_entry_goes_from_upload_to_grade(board: Board, train_mean: Path, tmp_path: Path) -> None:
    engine = store.open_board(board.url)
    make_tokens(engine, ["ada"], "team")
    worker.prepare(board, engine)
    nan = anndata.read_h5ad(train_mean)
    nan.X.data[5] = np.nan
    other = anndata.read_h5ad(train_mean)[:, ::-1].copy()
    for name, adata in (("nan.h5ad", nan), ("genes.h5ad", other)):
        adata.write_h5ad(tmp_path / name)
    (tmp_path / "damaged.h5ad").write_bytes(train_mean.read_bytes()[:5000])
    (tmp_path / "bomb.vcc").write_bytes(b"\x28\xb5\x2f\xfd" + bytes(100))
    files = [train_mean, *(tmp_path / name for name in ("nan.h5ad", "genes.h5ad", "damaged.h5ad", "bomb.vcc"))]
    for number, file in enumerate(files):
        enter(board, engine, file, number)
    while worker.score_next(board, engine, "w"):
        pass
    with store.session(engine) as now:
        scored, *refused = now.scalars(select(Entry).order_by(Entry.id)).all()
        assert [entry.state for entry in refused] == [REFUSED] * 4
        assert "NaN" in refused[0].reason
        assert "genes" in refused[1].reason
        assert all(len(entry.reason) > 20 for entry in refused)
        assert (scored.state, scored.moved, scored.private) == (SCORED, True, None)
        rows = {row.name: row for row in now.scalars(select(FixedRow))}
        assert rows.keys() == {"baseline", "replicate"}
        assert rows["baseline"].public["overall"] == pytest.approx(0)
        assert rows["replicate"].public["overall"] == pytest.approx(1)
        assert all(row.private is None for row in rows.values())
        assert now.get_one(Fact, "n_private").value["is"] == 3
        choice.choose(now, scored)
        now.commit()
    card = score_prediction(train_mean, open_truth(board.course.hidden_folder / "truth"), "course")
    assert card.overall is not None
    kept = json.loads((board.private / "scores" / f"{scored.id}.json").read_text())
    assert kept["overall"] == pytest.approx(card.overall, rel=1e-6)
    # all metrics of this screen are plain means, so both halves together are the whole
    both = np.mean(kept["public"]["values"] + kept["private"]["values"])
    parts = [kept[half]["row"]["overall"] for half in ("public", "private")]
    assert both == pytest.approx(np.mean(parts))
    assert (board.web / "pictures" / str(scored.id) / "scores.svg").stat().st_size > 1000
    assert kept["private"]["row"]["overall"] is not None
    for path in board.web.rglob("*"):
        if path.is_file() and "board.db" in path.name:
            assert str(kept["private"]["row"]["overall"]).encode() not in path.read_bytes()
    submit(board.course, "ada", RIGHT)
    assert handover.hand_over(board.course, engine) == ["ada"]
    assert handover.hand_over(board.course, engine) == []
    question = {question.name: question for question in grade_one(board.course).questions}["prediction"]
    assert question.points == pytest.approx(5 * min(max(card.overall / 0.6, 0), 1), abs=0.005)
    settings = board.settings.model_copy(update={"ends": NOON})
    worker.see_to_board(Board(board.course, settings), engine)
    with store.session(engine) as now:
        assert now.get_one(Entry, scored.id).private == kept["private"]["row"]
        assert now.scalars(select(Standing.rank).where(Standing.board == PRIVATE)).all() == [1]
        assert all(row.private for row in now.scalars(select(FixedRow)))


@pytest.mark.slow
def test_entries_are_scored_while_the_kits_row_is_made(board: Board, train_mean: Path) -> None:
    engine = store.open_board(board.url)
    make_tokens(engine, ["ada", "bob"], "team")
    enter(board, engine, train_mean, 1)
    stop = threading.Event()

    def standings() -> dict[str, int]:
        with store.session(engine) as now:
            return {standing.account: standing.rank for standing in now.scalars(select(Standing))}

    def fixed() -> set[str]:
        with store.session(engine) as now:
            return set(now.scalars(select(FixedRow.name)))

    with ThreadPoolExecutor(1) as threads:
        with filelock.FileLock(board.private / "kit.lock"):  # as if the kit's row took long
            ended = threads.submit(worker.run_workers, board.course, stop)
            wait_until(lambda: ended.done() or standings() == {"ada": 1})
            assert fixed() == {"baseline", "replicate"}
        enter(board, engine, train_mean, 2, "bob")
        wait_until(lambda: ended.done() or (len(fixed()) == 3 and len(standings()) == 2))
        stop.set()
        ended.result(60)
    assert standings() == {"ada": 1, "bob": 1}
    worker.prepare(board, engine)
    assert len(fixed()) == 3, "it is kept, and there at once when the board starts again"


def wait_until(true: Callable[[], bool], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end
        time.sleep(0.2)


KILLED = """
import sys, time
from pathlib import Path
from autograder.course import read_course
from autograder.leaderboard import store, worker
from autograder.leaderboard.board import board_of
board = board_of(read_course(sys.argv[1]))
engine = store.open_board(board.url)
with worker._alive(board) as name:
    store.claim(engine, name)
    print("claimed", flush=True)
    time.sleep(600)
"""


def test_what_a_killed_worker_held_is_given_back_once(board: Board, tmp_path: Path) -> None:
    engine = store.open_board(board.url)
    make_tokens(engine, ["ada"], "team")
    file = tmp_path / "p.h5ad"
    file.write_bytes(b"cells")
    entry = enter(board, engine, file, 1)
    process = subprocess.Popen([sys.executable, "-c", KILLED, board.course.root], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "claimed\n"
    assert worker.give_back_of_dead(board, engine) == []
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    with store.session(engine) as now:
        assert now.get_one(Entry, entry.id).state == SCORING
    assert worker.give_back_of_dead(board, engine) == [entry.id]
    assert worker.give_back_of_dead(board, engine) == []
    claimed = store.claim(engine, "another")
    assert claimed is not None
    assert (claimed.id, claimed.tries) == (entry.id, 2)


@pytest.mark.slow
def test_a_fault_of_ours_leaves_the_entry_in_the_queue(board: Board, train_mean: Path) -> None:
    engine = store.open_board(board.url)
    make_tokens(engine, ["ada"], "team")
    entry = enter(board, engine, train_mean, 1)

    def full(*_: object) -> NoReturn:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        worker.score_next(board, engine, "w", full)
    with store.session(engine) as now:
        kept = now.get_one(Entry, entry.id)
        assert (kept.state, kept.worker) == ("queued", None)
        assert "No space" in kept.reason


def test_a_row_of_the_kit_whose_process_is_killed_is_told_of():
    said: list[str] = []
    for target in (os.abort, os.getpid):
        beside = multiprocessing.get_context("spawn").Process(target=target)
        beside.start()
        worker.say_if_it_dies(beside, threading.Event(), said.append)
    assert said == ["no row of a model of the kit: its process ended (-6); it is made at the next start"]
