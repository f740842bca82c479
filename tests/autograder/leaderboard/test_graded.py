"""A board without a server: what was graded is ranked as uploads are, each once."""

import re
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anndata
import numpy as np
import pytest
import scipy.sparse
from handing_in import RIGHT, STAGE, grade_one, put_result, submit
from six_answers import QUESTION
from sqlalchemy import select
from typer.testing import CliRunner

from autograder.cli import app
from autograder.course import Course, read_course
from autograder.handed_in.attempts import collect
from autograder.leaderboard import graded, halves, store
from autograder.leaderboard.accounts import make_tokens
from autograder.leaderboard.board import Board, board_of
from autograder.leaderboard.entry_score import read_score
from autograder.leaderboard.tables import PRIVATE, PUBLIC, TEAM, Entry, Standing
from starter.scoring.scorecard import score_prediction
from starter.scoring.truth.opened import open_truth


@pytest.fixture
def course(course: Course, sandbox_here: None) -> Course:
    """A course whose board has two halves, and a team of two beside students who are alone."""
    path = course.root / "course.toml"
    roster = "".join(f'\n[[roster.students]]\nid = "{name}"\n{team}' for name, team in (
        ("ada", 'team = "helix"\n'), ("bob", ""), ("cyd", ""), ("dan", ""), ("fay", 'team = "helix"\n'))
    )  # fmt: skip
    path.write_text(f'{path.read_text()}{roster}\n[leaderboard]\nstage = "{STAGE}"\n')
    return read_course(course.root)


def hand_in(course: Course, student: str, prediction: Path | None) -> Path:
    """Place a notebook and a prediction by hand, graded by a result that nobody reads."""
    shutil.rmtree(course.grading / "submitted" / student, ignore_errors=True)
    folder = submit(course, student, RIGHT)
    if prediction is not None:
        shutil.copyfile(prediction, folder / "prediction.h5ad")
    put_result(course, student, [QUESTION])
    return folder


def board_command(course: Course, folder: Path) -> str:
    done = CliRunner().invoke(app, ["board", str(folder), "--course", str(course.root)])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def entries(board: Board) -> list[Entry]:
    with store.session(store.open_board(board.url)) as now:
        return list(now.scalars(select(Entry).order_by(Entry.id)))


@pytest.mark.slow
def test_what_was_graded_is_ranked_once_and_as_it_was_graded(
    course: Course, train_mean: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(halves, "FEWEST", 3)
    shrunk, nan = anndata.read_h5ad(train_mean), tmp_path / "damaged.h5ad"
    cells = np.asarray(shrunk.obs["target_gene"] != "non-targeting")
    shrunk.X = (scipy.sparse.diags(np.where(cells, 0.97, 1.0)) @ shrunk.X).astype("float32").tocsr()
    shrunk.write_h5ad(tmp_path / "shrunk.h5ad")
    nan.write_bytes(train_mean.read_bytes()[:5000])
    for student, file in (("ada", train_mean), ("fay", train_mean), ("bob", tmp_path / "shrunk.h5ad"), ("dan", None)):
        hand_in(course, student, file)
    hand_in(course, "cyd", nan)
    hand_in(course, "eve", train_mean)  # who is not in the roster
    said = board_command(course, tmp_path / "ranking")
    assert "left out: eve is not in the roster" in said
    assert re.search(r"left out: cyd: .*prediction.* cannot be read", said), said
    board = board_of(course, served=False)
    assert [(entry.account, entry.state, entry.chosen) for entry in entries(board)] == [
        ("helix", "scored", True), ("bob", "scored", True), ("cyd", "refused", True)
    ]  # fmt: skip
    page = (tmp_path / "ranking" / "index.html").read_text()
    assert set(re.findall(r'<th scope="row">(?:<[^>]+>)?(\w+)', page)) >= {"helix", "bob"}
    assert not {"ada", "fay", "cyd", "eve"} & set(re.findall(r"\w+", page))
    # as the engine scores the file by itself, and as it is graded
    card = score_prediction(train_mean, open_truth(course.hidden_folder / "truth"), "course")
    kept = read_score(board.private / "scores" / "1.json")
    assert kept.overall == pytest.approx(card.overall, rel=1e-6)
    (course.grading / "results" / STAGE / "ada.json").unlink()
    question = {question.name: question for question in grade_one(course).questions}["prediction"]
    assert kept.overall is not None
    assert question.points == pytest.approx(5 * min(max(kept.overall / 0.6, 0), 1), abs=0.005)

    board_command(course, tmp_path / "ranking")
    assert [entry.tries for entry in entries(board)] == [1, 1, 1], "nothing is scored again"
    hand_in(course, "bob", train_mean)
    board_command(course, tmp_path / "ranking")
    assert [(entry.account, entry.chosen) for entry in entries(board)] == [
        ("helix", True), ("bob", False), ("cyd", True), ("bob", True)
    ]  # fmt: skip
    hand_in(course, "bob", tmp_path / "shrunk.h5ad")
    path = course.root / "course.toml"
    path.write_text(path.read_text().replace("[leaderboard]\n", "[leaderboard]\nends = 2026-10-01T12:00:00Z\n"))
    board_command(read_course(course.root), tmp_path / "ranking")
    assert [entry.chosen for entry in entries(board)] == [True, True, True, False], "what is graded now counts"
    with store.session(store.open_board(board.url)) as now:
        final = {row.account: row.entry for row in now.scalars(select(Standing).where(Standing.board == PRIVATE))}
        assert final == {"helix": 1, "bob": 2}
        assert len(now.scalars(select(Standing).where(Standing.board == PUBLIC)).all()) == 2
    assert (tmp_path / "ranking" / "public.html").is_file()


@pytest.mark.slow
def test_a_board_that_is_served_is_shown_as_it_is(course: Course, train_mean: Path, tmp_path: Path):
    hand_in(course, "ada", train_mean)
    make_tokens(store.open_board(board_of(course).url), ["helix"], TEAM)
    board_command(course, tmp_path / "ranking")
    assert entries(board_of(course)) == []
    assert "No team is ranked yet" in (tmp_path / "ranking" / "index.html").read_text()
    assert not (course.grading / "leaderboard" / "graded").exists()


def test_what_cannot_be_ranked_is_said(course: Course, train_mean: Path, tmp_path: Path):
    board = board_of(course, served=False)
    engine = store.open_board(board.url)
    hand_in(course, "ada", train_mean)
    (course.grading / "submitted" / "ada" / STAGE / "more.txt").write_text("new")
    assert graded.bring_in(board, engine) == [f"ada handed in anew since; run: autograder grade {STAGE}"]
    (course.grading / "submitted" / "ada" / STAGE / "more.txt").unlink()
    assert graded.bring_in(board, engine) == []
    (entry,) = entries(board)
    assert (entry.account, entry.state) == ("helix", "queued")
    assert (datetime.now(UTC) - entry.received).total_seconds() < 60
    assert (board.web / "entries" / "1" / entry.file).read_bytes() == train_mean.read_bytes()
    assert list((board.web / "arriving").iterdir()) == []
    download = tmp_path / "download"
    for student in ("bob", "cyd"):
        shutil.move(hand_in(course, student, train_mean).parent, download / student)
    ends = datetime(2026, 10, 1, 12, tzinfo=UTC)
    collect(course, STAGE, download, ends + timedelta(minutes=1))
    closed = Board(course, board.settings.model_copy(update={"ends": ends}), served=False)
    late = [f"{name} handed in after the board's end, 2026-10-01 12:00 UTC" for name in ("bob", "cyd")]
    assert graded.bring_in(closed, engine) == late
    assert len(entries(board)) == 1
