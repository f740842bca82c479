"""A board in trouble: entries withdrawn, hostile files, a full disk, a database that goes away, another truth."""

import os
import re
import shutil
import subprocess
import tarfile
import threading
import time
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import anndata
import numpy as np
import pytest
import zstandard
from entering import NOON, enter, scored, standings
from fastapi.testclient import TestClient
from handing_in import RIGHT, STAGE, submit
from sqlalchemy import Engine, create_engine, select, text

from autograder.grading.grade import grade_stage
from autograder.grading.predictions import OPENING, Refusal
from autograder.leaderboard import choice, handover, store, worker
from autograder.leaderboard.accounts import make_tokens
from autograder.leaderboard.board import Board
from autograder.leaderboard.entry_score import EntryScore, score_entry
from autograder.leaderboard.tables import INSTRUCTOR, QUEUED, REFUSED, SCORED, TEAM, Entry, Fact, Table
from autograder.leaderboard.web import uploads
from autograder.leaderboard.web.app import make_app
from autograder.leaderboard.web.site import Site
from autograder.sandbox.zygotes import zygotes
from starter.prediction.pack import pack
from starter.prediction.requirements import requirements_of_course

H5AD = b"\x89HDF\r\n\x1a\n" + bytes(3 << 20)
FAR = 0.1
"""Between the means of entries whose perturbations all differ alike, so that no noise is between them."""


@pytest.fixture
def engine(board: Board) -> Iterator[Engine]:
    """The board's own database, with three teams."""
    engine = store.open_board(board.url)
    make_tokens(engine, ["ada", "bob", "cyd"], TEAM)
    yield engine
    engine.dispose()


def score_all(board: Board, engine: Engine, outcome: object) -> int:
    """Score what waits: by a function of the entry's number."""
    done = 0
    while worker.score_next(board, engine, "w", lambda board, file, pictures: outcome(int(file.parent.name))):
        done += 1
    return done


def entries(engine: Engine) -> list[Entry]:
    with store.session(engine) as now:
        return list(now.scalars(select(Entry).order_by(Entry.id)))


def test_a_withdrawn_entry_gives_way_to_an_earlier_one_and_others_move_up(
    board: Board, engine: Engine, tmp_path: Path
) -> None:
    (file := tmp_path / "p.h5ad").write_bytes(H5AD)
    means = {1: 0.2, 2: 0.4, 3: 0.6, 4: 0.1}
    for number, team in enumerate(("ada", "bob", "ada", "cyd"), start=1):
        enter(board, engine, file, number, team)
    score_all(board, engine, lambda number: scored([means[number]] * 3))
    assert standings(engine) == {"ada": (3, 1), "bob": (2, 2), "cyd": (4, 3)}
    teacher = make_tokens(engine, ["teacher"], INSTRUCTOR)["teacher"]
    site = Site(engine, board.web, "A board", 5, 64 << 20)
    with TestClient(make_app(site), follow_redirects=False) as client:
        client.post("/login", data={"token": teacher})
        csrf = re.search('data-csrf="([^"]+)"', client.get("/", headers={"Accept": "text/html"}).text)[1]

        def correct(entry: int, action: str) -> None:
            about = {"csrf": csrf, "reason": "copied"}
            assert client.post(f"/instructor/entries/{entry}/{action}", data=about).status_code == 303

        correct(3, "withdraw")
        worker.see_to_board(board, engine)
        assert standings(engine) == {"bob": (2, 1), "ada": (1, 2), "cyd": (4, 3)}
        correct(1, "withdraw")
        worker.see_to_board(board, engine)
        assert standings(engine) == {"bob": (2, 1), "cyd": (4, 2)}
        correct(3, "requeue")
        score_all(board, engine, lambda number: scored([means[number]] * 3))
        assert standings(engine) == {"ada": (3, 1), "bob": (2, 2), "cyd": (4, 3)}


def bomb(path: Path) -> Path:
    """Write an upload of 100 kB that unpacks to 3 GiB and does not say so."""
    compressor = zstandard.ZstdCompressor(level=19).compressobj()
    packed = b"".join(compressor.compress(bytes(64 << 20)) for _ in range(48)) + compressor.flush()
    with tarfile.open(path, "w") as archive:
        for name, content in (("pred.h5ad.zst", packed), ("watermark.txt", b"vcc-prep")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, BytesIO(content))
    assert path.stat().st_size < 1 << 20
    return path


@pytest.mark.slow
def test_hostile_files_are_refused_as_grading_refuses_them_and_the_next_is_scored(
    board: Board, engine: Engine, sandbox_here: None, train_mean: Path, tmp_path: Path
) -> None:
    files = {name: tmp_path / name / f"prediction{ending}" for name, ending in (
        ("bomb", ".vcc"), ("short", ".vcc"), ("genes", ".h5ad"), ("nan", ".h5ad"), ("negative", ".h5ad"))}  # fmt: skip
    for file in files.values():
        file.parent.mkdir()
    bomb(files["bomb"])
    pack(train_mean, tmp_path / "whole.vcc", requirements_of_course(board.course.public_folder))
    whole = (tmp_path / "whole.vcc").read_bytes()
    files["short"].write_bytes(whole[: len(whole) // 2])
    adata = anndata.read_h5ad(train_mean)
    adata[:, ::-1].copy().write_h5ad(files["genes"])
    for name, value in (("nan", np.nan), ("negative", -1.0)):
        wrong = adata.copy()
        wrong.X.data[5] = value
        wrong.write_h5ad(files[name])
    for number, file in enumerate([*files.values(), tmp_path / "whole.vcc"]):
        enter(board, engine, file, number, "ada")
    with zygotes(board.work, OPENING) as warm:
        for _ in range(6):
            assert worker.score_next(board, engine, "w", lambda *parts: score_entry(*parts, warm.start))
        assert not warm.refusal
    *refused, last = entries(engine)
    assert last.state == SCORED
    assert {entry.state for entry in refused} == {REFUSED}
    reasons = dict(zip(files, (entry.reason for entry in refused), strict=True))
    for name, word in {
        "bomb": "unpack",
        "short": "end",
        "genes": "genes",
        "nan": "NaN",
        "negative": "negative",
    }.items():
        assert word in reasons[name]
    for name, file in files.items():
        shutil.copyfile(file, submit(board.course, name, RIGHT) / file.name)
    results, failed = grade_stage(board.course, STAGE, list(files), jobs=2)
    assert failed == {}
    graded = {result.student: question for result in results for question in result.questions}
    assert {name: graded[name].name for name in files} == dict.fromkeys(files, "prediction")
    assert {name: graded[name].reason for name in files} == reasons


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a real disk of 16 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a small disk cannot be mounted here: this needs root and its powers")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_really_full_refuses_and_goes_on_when_there_is_room(
    small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = store.open_board(f"sqlite:///{small_disk}/board.db")
    token = make_tokens(engine, ["ada"], TEAM)["ada"]
    who = {"Authorization": f"Bearer {token}", "Tus-Resumable": "1.0.0"}
    part = {"Content-Type": "application/offset+octet-stream", "Upload-Offset": "0"}
    about = {"Upload-Length": str(len(H5AD)), "Upload-Metadata": "filename YS5oNWFk"}
    ballast = small_disk / "ballast"

    def fill(free: int) -> None:
        ballast.write_bytes(bytes(shutil.disk_usage(small_disk).free - free))

    with TestClient(make_app(Site(engine, small_disk, "A board", 5, 64 << 20))) as client:

        def begin() -> str:
            answer = client.post("/uploads", headers=who | about)
            if answer.status_code == 201:
                return answer.headers["location"]
            assert answer.status_code == 507
            assert "disk is full" in answer.json()["reason"]
            return ""

        def send(place: str) -> int:
            answer = client.patch(place, headers=who | part, content=H5AD)
            if answer.status_code == 507:
                assert "disk is full" in answer.json()["reason"]
            return answer.status_code

        assert not begin(), "a disk with less than the reserve is refused before anything is sent"
        monkeypatch.setattr(uploads, "SPARE", 0)
        assert send(begin()) == 204
        place = begin()
        fill(1 << 20)
        assert send(place) == 507, "the file does not fit"
        ballast.unlink()
        assert send(place) == 204
        place = begin()
        assert place
        fill(0)
        assert shutil.disk_usage(small_disk).free == 0
        assert not begin(), "not even the row of an upload fits"
        assert client.get("/team", headers=who | {"Accept": "text/html"}).status_code == 200
        ballast.unlink()
        assert send(place) == 204
    for entry in (found := entries(engine)):
        assert (small_disk / "entries" / str(entry.id) / "a.h5ad").read_bytes() == H5AD
    assert [entry.id for entry in found] == [1, 2, 3]


def test_a_database_whose_connections_are_ended_while_entries_are_scored_loses_nothing(
    board: Board, cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker, "IDLE_SECONDS", 0.05)
    engine = store.open_board(cluster)
    said: list[str] = []
    try:
        make_tokens(engine, ["ada", "bob"], TEAM)
        (file := tmp_path / "p.h5ad").write_bytes(H5AD[:100])
        for number in range(30):
            enter(board, engine, file, number, ("ada", "bob")[number % 2])
        stop, other = threading.Event(), create_engine(cluster, isolation_level="AUTOCOMMIT")
        times: dict[int, int] = {}

        def score(board: Board, file: Path, pictures: Path) -> EntryScore | Refusal:
            number = int(file.parent.name)
            times[number] = times.get(number, 0) + 1
            time.sleep(0.02)
            return scored([number * FAR] * 3)

        work = (board, engine, stop, score, said.append)
        working = threading.Thread(target=worker.run_worker, args=work, daemon=True)
        working.start()
        end_all = "select count(pg_terminate_backend(pid)) from pg_stat_activity where pid <> pg_backend_pid()"
        ended = 0
        for pause in np.random.default_rng(0).uniform(0.02, 0.3, 20):
            with other.connect() as now:
                ended += now.scalar(text(f"{end_all} and backend_type = 'client backend'")) or 0
            time.sleep(pause)
        until = time.monotonic() + 60
        while {entry.state for entry in entries(other)} != {SCORED}:
            assert working.is_alive(), said
            assert time.monotonic() < until, said
            time.sleep(0.05)
        stop.set()
        working.join(30)
        assert ended > 10
        assert set(times) == set(range(1, 31))
        assert [entry.public["overall"] for entry in entries(other)] == pytest.approx([FAR * n for n in range(1, 31)])
        assert standings(other) == {"bob": (30, 1), "ada": (29, 2)}
        other.dispose()
    finally:
        Table.metadata.drop_all(engine)
        engine.dispose()


def test_another_truth_scores_all_entries_again(board: Board, engine: Engine, tmp_path: Path) -> None:
    worker.prepare(board, engine)
    (file := tmp_path / "p.h5ad").write_bytes(H5AD[:100])
    for number, team in enumerate(("ada", "bob"), start=1):
        enter(board, engine, file, number, team)
    score_all(board, engine, lambda number: scored([FAR * number] * 3))
    before = standings(engine)
    assert before == {"bob": (2, 1), "ada": (1, 2)}
    worker.prepare(board, engine)
    assert standings(engine) == before, "the same truth changes nothing"
    truth = board.course.hidden_folder / "truth" / "truth.json"
    truth.write_text(truth.read_text() + "\n")
    os.utime(truth, ns=(0, truth.stat().st_mtime_ns + 1))
    worker.prepare(board, engine)
    assert standings(engine) == {}
    assert {entry.state for entry in entries(engine)} == {QUEUED}
    assert score_all(board, engine, lambda number: scored([-FAR * number] * 3)) == 2
    assert standings(engine) == {"ada": (1, 1), "bob": (2, 2)}


def test_with_few_hidden_perturbations_there_is_one_board_and_it_says_so(
    board: Board, engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.undo()  # six hidden perturbations are too few for two halves
    (file := tmp_path / "p.h5ad").write_bytes(H5AD[:100])
    values = {1: [0.0, 0.2, 0.4, 0.6, 0.8, 1.0], 2: [1.1, 0.7, 0.5, 0.3, 0.1, 0.6], 3: [0.5] * 6}
    for number, team in enumerate(("ada", "bob", "cyd"), start=1):
        enter(board, engine, file, number, team)
    score_all(board, engine, lambda number: scored(values[number]))
    # the means are .5, .55 and .5; no interval makes .55 and .5 share a rank, and equal means do
    assert standings(engine) == {"bob": (2, 1), "ada": (1, 2), "cyd": (3, 2)}
    with store.writing(engine) as now:
        now.add_all([Fact(name="n_public", value={"is": 6}), Fact(name="n_private", value={"is": 0})])
    token = make_tokens(engine, ["teacher"], INSTRUCTOR)["teacher"]
    with TestClient(make_app(Site(engine, board.web, "A board", 5, 64 << 20))) as client:
        shown = client.get("/", headers={"Authorization": f"Bearer {token}", "Accept": "text/html"}).text
    assert "one board" in shown
    settings = board.settings.model_copy(update={"ends": NOON})
    worker.see_to_board(Board(board.course, settings), engine)
    with store.session(engine) as now:
        assert store.read_fact(now, "revealed")
    assert all(entry.private is None for entry in entries(engine))


@pytest.mark.slow
def test_the_chosen_entry_is_graded_and_not_the_best(
    board: Board, engine: Engine, sandbox_here: None, train_mean: Path, tmp_path: Path
) -> None:
    adata = anndata.read_h5ad(train_mean)
    worse = adata.copy()
    worse.X.data = np.maximum(worse.X.data + np.random.default_rng(0).normal(0, 1, worse.X.data.shape), 0)
    worse.X = worse.X.astype(adata.X.dtype)
    controls = (adata.obs["target_gene"] == "non-targeting").to_numpy()
    worse.X[controls] = adata.X[controls]
    worse.write_h5ad(tmp_path / "worse.h5ad")
    for number, file in enumerate((train_mean, tmp_path / "worse.h5ad")):
        enter(board, engine, file, number)
    while worker.score_next(board, engine, "w"):
        pass
    best, chosen = entries(engine)
    assert standings(engine)["ada"] == (best.id, 1)
    with store.writing(engine) as now:
        choice.choose(now, now.get_one(Entry, chosen.id))
    submit(board.course, "ada", RIGHT)
    assert handover.hand_over(board.course, engine) == ["ada"]
    shutil.copyfile(tmp_path / "worse.h5ad", submit(board.course, "bob", RIGHT) / "prediction.h5ad")
    shutil.copyfile(train_mean, submit(board.course, "cyd", RIGHT) / "prediction.h5ad")
    results, failed = grade_stage(board.course, STAGE, ["ada", "bob", "cyd"])
    assert failed == {}
    points = {result.student: next(q.points for q in result.questions if q.name == "prediction") for result in results}
    assert points["ada"] == points["bob"] != points["cyd"]


@pytest.mark.slow
def test_a_dask_cluster_scores_what_one_machine_does(
    board: Board, engine: Engine, sandbox_here: None, train_mean: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from distributed import LocalCluster

    monkeypatch.undo()  # which would not reach the cluster's processes
    said: list[str] = []
    first = enter(board, engine, train_mean, 1)
    assert worker.score_next(board, engine, "w")
    second = enter(board, engine, train_mean, 2, "bob")
    stop = threading.Event()
    with LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=None) as dask:
        options = {"dask": dask.scheduler_address, "remark": said.append}
        working = threading.Thread(target=worker.run_workers, args=(board.course, stop), kwargs=options, daemon=True)
        working.start()
        end = time.monotonic() + 200
        while entries(engine)[-1].state != SCORED:
            assert working.is_alive()
            assert said == []
            assert time.monotonic() < end
            time.sleep(0.3)
        stop.set()
        working.join(60)
    here, there = entries(engine)
    assert (here.id, there.id) == (first.id, second.id)
    assert there.public == here.public
    assert {rank for _, rank in standings(engine).values()} == {1}


def test_what_a_killed_worker_left_on_the_disk_goes_when_nobody_can_need_it(board: Board) -> None:
    for name in ("entry-old", "entry-new", "kit-old"):
        (board.work / name / "prediction").mkdir(parents=True)
    for name in ("entry-old", "kit-old"):
        os.utime(board.work / name, (0, time.time() - 2 * worker.LEFT_SECONDS))
    worker._tidy(board.work)
    assert {path.name for path in board.work.iterdir()} == {"entry-new", "kit-old"}
