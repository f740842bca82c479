"""`python -m benchmarks.leaderboard`: a class at its leaderboard: uploads, pages while they are scored, memory.

`autograder serve` runs as an instructor starts it, on a course of demo size (a simulated screen, 48 hidden
perturbations x 1,500 genes). Teams upload by `starter submit`'s protocol, several at a time, and have pages open
meanwhile, which follow the queue as the pages' own script does. In the end each upload must be there once and scored
once, and the ranks must be those that a plain reading of the Ladder and SciPy's paired t test give.
"""

import os
import random
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import scipy.stats
import typer
from sqlalchemy import Engine, func, select

from autograder.course import FILE, Course, read_course
from autograder.leaderboard.accounts import make_tokens
from autograder.leaderboard.board import ENTRIES, Board, board_of
from autograder.leaderboard.entry_score import score_card
from autograder.leaderboard.store import open_board, session
from autograder.leaderboard.tables import INSTRUCTOR, QUEUED, SCORED, SCORING, TEAM, Entry, Fact, Standing
from autograder.release.notebooks import release
from benchmarks.memory import Memory
from benchmarks.visitors import Sent, View, Visitors, visitors
from benchmarks.watch import machine
from starter.console import run
from starter.data import pseudobulk
from starter.data.course import open_course
from starter.data.dataset import PAIR, contexts
from starter.errors import InputError
from starter.files import sha256
from starter.prediction import cells, pack
from starter.prediction.controls import controls_of
from starter.prediction.requirements import requirements_of_course
from starter.prediction.write import write_prediction
from starter.priors import graphs
from starter.progress import bar, spinner
from starter.schema import CONTROL
from starter.scoring.scorecard import score_prediction
from starter.scoring.truth.opened import open_truth

SOLUTIONS = Path(__file__).parents[1] / "solutions"
STAGE = "04_baselines"
COURSE = """[course]
name = "class"
[data]
screen = "simulated"
seed = 2
hidden = 48
public = 24
[stages.{stage}]
[stages.{stage}.prediction]
[leaderboard]
stage = "{stage}"
per_day = {per_day}
"""
DIFFERENT = 24
"""Predictions that differ, at least; each team uploads some of them, none twice, which the board would notice."""
NOISE = (0.02, 0.2)
"""Deviation of the noise on log1p expression that makes some predictions worse than others, from least to most."""
SAMPLE = 5.0
"""Seconds between two looks at memory and queue."""
STUCK = 600.0
"""Seconds without any entry scored, after which it is given up."""
ROLES = {
    "web process": r"^\S*python\S* -m autograder\.leaderboard\.web\.process",
    "scoring process": r"-m autograder\.leaderboard\.scoring",
    "beside: the kit's row, the stages": r"multiprocessing\.spawn",
    "sandboxes and their zygote": r"^\S*python\S* /inside/",
    "autograder serve": r" serve --port",
}
VERSIONS = ("virtual-cell-course", "fastapi", "uvicorn", "sqlalchemy", "numpy")
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def leaderboard(
    teams: Annotated[int, typer.Option(min=1, help="Teams, each with a page open.")] = 200,
    uploads: Annotated[int, typer.Option(min=1, help="Files that they upload, all together.")] = 1000,
    minutes: Annotated[float, typer.Option(min=0, help="Spread the uploads over so many; 0: as fast as they go.")] = 0,
    at_most: Annotated[float, typer.Option(min=0, help="Minutes, after which it ends with what is scored.")] = 600,
    clients: Annotated[int, typer.Option(min=1, help="Uploads at the same time.")] = 8,
    files: Annotated[Path | None, typer.Option(help="Keeps the course here, for a look.")] = None,
) -> None:
    """Serve a board to a class, check that nothing is lost, print tables.

    Example: python -m benchmarks.leaderboard --teams 20 --uploads 40
    """
    with tempfile.TemporaryDirectory(prefix="class-") as folder:
        root = files or Path(folder)
        with spinner("lay out the course"):
            board = _lay_out(root / "course", -(-uploads // teams))
        each = -(-uploads // teams)
        predictions = _predict(board.course, root / "predictions", max(DIFFERENT, each))
        engine = open_board(board.url)
        names = [f"team{number:03d}" for number in range(teams)]
        tokens = make_tokens(engine, names, TEAM) | make_tokens(engine, [INSTRUCTOR], INSTRUCTOR)
        files_of = {name: random.Random(name).sample(predictions, each) for name in names}
        work = [(names[number % teams], files_of[names[number % teams]][number // teams]) for number in range(uploads)]
        memory = Memory(ROLES)
        with _served(board, root / "serve.log") as (url, process):
            with spinner("the board is made ready"):
                _until_ready(engine, process)
            start = time.monotonic()
            with visitors(url, tokens, work, clients, minutes) as teams_here:
                _follow(engine, process, teams_here, memory, uploads, start + 60 * at_most)
                sent, views = teams_here.end()
            scored = _check(board, engine, sent, uploads)
        print(f"{machine(VERSIONS)}\n")
        size = sum(file.stat().st_size for file in predictions) / len(predictions) / 2**20
        print(f"{teams} teams, {uploads:,} uploads of {size:.1f} MiB, {clients} at a time; {scored:,} scored:\n")
        print("\n".join([*_times(engine, sent), "", *_views(views, sent), "", *memory.table()]))


def _lay_out(root: Path, per_day: int) -> Board:
    shutil.copytree(SOLUTIONS / STAGE, root / "solutions" / STAGE)
    (root / FILE).write_text(COURSE.format(stage=STAGE, per_day=per_day), encoding="utf-8")
    course = read_course(root)
    release(course)
    return board_of(read_course(root))


def _predict(course: Course, folder: Path, n: int) -> list[Path]:
    """Write uploads of demo size: the neighbour mean, noisier from one to the next."""
    folder.mkdir()
    data, rng = open_course(course.public_folder), np.random.default_rng(7)
    train, n_cells = data.train(), data.split().n_cells("hidden")
    controls, required = controls_of(train), requirements_of_course(course.public_folder)
    profiles = pseudobulk.profiles(train).droplevel("context").drop(index=CONTROL)
    best = graphs.neighbour_mean(profiles, graphs.read_graph(data.priors("*graph.tsv")), list(n_cells))
    made = []
    with bar("write predictions", n) as advance:
        for number, noise in enumerate(np.geomspace(*NOISE, n)):
            noisy = np.maximum(best + rng.normal(0, noise, best.shape), 0)
            table = pd.concat({contexts(train)[0]: noisy}, names=PAIR)
            file = folder / f"prediction{number:02d}.h5ad"
            write_prediction(file, cells.make_cells(table, controls, n_cells), train.var_names)
            made.append(file.with_suffix(".vcc"))
            pack.pack(file, made[-1], required)
            file.unlink()
            advance()
    return made


@contextmanager
def _served(board: Board, log: Path) -> Iterator[tuple[str, subprocess.Popen]]:
    """Start `autograder serve`, and end it after the block."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = found.getsockname()[1]
    command = [sys.executable, "-c", "from autograder.cli import main; main()", "serve", "--port", str(port)]
    with log.open("w") as out:
        process = subprocess.Popen(
            [*command, "--course", str(board.course.root)],
            stdout=out, stderr=subprocess.STDOUT, env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        try:
            yield f"http://127.0.0.1:{port}", process
        finally:
            process.terminate()
            process.wait()


def _until_ready(engine: Engine, process: subprocess.Popen) -> None:
    """Wait for the rows of the board itself, which a class finds there too."""
    while process.poll() is None:
        with session(engine) as now:
            if now.scalar(select(Fact.value).where(Fact.name == "n_public")):
                return
        time.sleep(1)
    msg = "autograder serve ended; its log says why (keep it with --files)"
    raise InputError(msg)


def _follow(
    engine: Engine, process: subprocess.Popen, here: Visitors, memory: Memory, uploads: int, end: float
) -> None:
    """Look at memory and queue until all is scored, or the time is over and all is sent."""
    done, moved = 0, time.monotonic()
    with bar("score entries", uploads) as advance:
        while here.sending() or (done < uploads and time.monotonic() < end):
            time.sleep(SAMPLE)
            memory.sample(process.pid)
            with session(engine) as now:
                scored = now.scalar(select(func.count()).where(Entry.state == SCORED)) or 0
            for _ in range(scored - done):
                advance()
            moved, done = (time.monotonic(), scored) if scored > done else (moved, done)
            if time.monotonic() > moved + STUCK or process.poll() is not None:
                msg = f"{done:,} of {uploads:,} uploads were scored, and then no more for {STUCK:.0f} s"
                raise InputError(msg)


def _check(board: Board, engine: Engine, sent: Sequence[Sent], uploads: int) -> int:
    """Refuse a board on which an upload is missing, twice there, scored twice, or wrongly ranked; count the scored."""
    with session(engine) as now:
        entries = list(now.scalars(select(Entry).order_by(Entry.id)))
        standings = {row.account: (row.entry, row.rank) for row in now.scalars(select(Standing))}
    scored = [entry for entry in entries if entry.state == SCORED]
    digests = {file: sha256(file) for file in {one.file for one in sent}}
    for what, found, due in (
        ("files", Counter((entry.id, entry.account, entry.sha256) for entry in entries),
         Counter((one.entry, one.team, digests[one.file]) for one in sent)),
        ("number of uploads", len(entries), uploads),
        ("states", {entry.state for entry in entries} - {QUEUED, SCORING}, {SCORED}),
        ("times that each was scored", {entry.tries for entry in scored}, {1}),
        ("files kept", {entry.id for entry in entries if sha256(
            board.web / ENTRIES / str(entry.id) / entry.file) == entry.sha256}, {entry.id for entry in entries}),
    ):  # fmt: skip
        if found != due:
            msg = f"the board lost something: its {what} are not those that were uploaded"
            raise InputError(msg)
    truth = open_truth(board.course.hidden_folder / "truth")
    values = {}
    with bar("score the predictions again, without the board", len(digests)) as advance:
        for file, digest in digests.items():
            values[digest] = score_card(board, score_prediction(file, truth, board.prediction.profile)).public.array()
            advance()
    due = _ranked(scored, values)
    if standings != due:
        wrong = [name for name in due if standings.get(name) != due[name]]
        msg = f"{len(wrong)} of {len(due)} teams stand elsewhere than their scores say, such as {wrong[:1]}"
        raise InputError(msg)
    return len(scored)


def _ranked(entries: Sequence[Entry], values: dict[str, np.ndarray]) -> dict[str, tuple[int, int]]:
    """Rank teams: Blum & Hardt (2015), algorithm 2, and paired t tests. Gives team to entry and rank."""
    best: dict[str, Entry] = {}
    for entry in entries:
        before = best.get(entry.account)
        gain = values[entry.sha256] - (0 if before is None else values[before.sha256])
        if before is None or gain.mean() > scipy.stats.sem(gain):
            best[entry.account] = entry
    order = sorted(best.values(), key=lambda entry: (-values[entry.sha256].mean(), entry.id))
    ranks, first, rank = {}, order[0], 1
    for place, entry in enumerate(order, start=1):
        test = scipy.stats.ttest_rel(values[first.sha256], values[entry.sha256])
        if test.confidence_interval(0.95).low > 0:
            first, rank = entry, place
        ranks[entry.account] = (entry.id, rank)
    return ranks


def _times(engine: Engine, sent: Sequence[Sent]) -> list[str]:
    with session(engine) as now:
        scored = [(entry.begun, entry.ended) for entry in now.scalars(select(Entry)) if entry.begun and entry.ended]
    each = [(ended - begun).total_seconds() for begun, ended in scored]
    took = (max(ended for _, ended in scored) - min(begun for begun, _ in scored)).total_seconds()
    sending = max(one.ended for one in sent) - min(one.ended - one.seconds for one in sent)
    return [
        "| | n | median, s | 95 %, s | at most, s | all together, s | one, s |",
        "|---|---|---|---|---|---|---|",
        f"| uploads | {_spread([one.seconds for one in sent], 2)} | {sending:,.0f} | {sending / len(sent):.2f} |",
        f"| entries, from claim to rank | {_spread(each, 2)} | {took:,.0f} | {took / len(each):.2f} |",
    ]


def _views(views: Sequence[View], sent: Sequence[Sent]) -> list[str]:
    uploaded = max(one.ended for one in sent)
    kinds = defaultdict(list)
    for view in views:
        when = "all, while files are sent" if view.at < uploaded else "all, afterwards"
        for kind in (view.kind, when):
            kinds[kind].append(view)
    lines = ["| pages | n | median, ms | 95 %, ms | at most, ms | not answered |", "|---|---|---|---|---|---|"]
    for kind, of_kind in sorted(kinds.items()):
        failed = sum(view.status != 200 for view in of_kind)
        lines.append(f"| {kind} | {_spread([1000 * view.seconds for view in of_kind], 0)} | {failed} |")
    seconds = max(view.at for view in views) - min(view.at for view in views)
    return [*lines, "", f"{len(views) / seconds:.1f} answers a second."]


def _spread(values: Sequence[float], digits: int) -> str:
    """Write how many, the median, the 95 % quantile and the largest."""
    shown = (statistics.median(values), np.quantile(values, 0.95), max(values))
    return " | ".join([f"{len(values):,}", *(f"{value:,.{digits}f}" for value in shown)])


if __name__ == "__main__":
    run(app)
