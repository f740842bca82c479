import csv
import shutil
import warnings
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from handing_in import RIGHT, STAGE, put_result, submit
from nbgrader.api import Gradebook
from six_answers import ANSWERS, CAUSE, QUESTION
from typer.testing import CliRunner

from autograder.cli import app
from autograder.course import Course, read_course
from autograder.gradebook import book
from autograder.gradebook.stats import UNKNOWN, discrimination, question_table, read_stats, write_stats
from autograder.grading.judge import EMPTY
from autograder.handed_in.attempts import collect
from starter.errors import InputError

# points of the questions a, b and c, of 2, 4 and 10
POINTS = pd.DataFrame(
    {
        "a": [2.0, 2, 0, 1, 2, 0],
        "b": [4.0, 3, 1, 2, 4, 0],
        "c": [10.0, 7, 3, 8, 9, 2],
    },
    index=list("uvwxyz"),
)
MOST = pd.Series({"a": 2.0, "b": 4.0, "c": 10.0})


def test_facility_and_discrimination_are_those_of_a_calculation_by_hand():
    table = question_table(POINTS, MOST)
    assert table["facility"].to_dict() == pytest.approx({"a": 7 / 12, "b": 14 / 24, "c": 39 / 60})
    assert table["full"].to_dict() == pytest.approx({"a": 3 / 6, "b": 2 / 6, "c": 1 / 6})
    assert table["none"].to_dict() == pytest.approx({"a": 2 / 6, "b": 1 / 6, "c": 0})
    # of a: the others' sums are 14, 10, 4, 10, 13, 2, with mean 53/6; a has mean 7/6
    item, rest = [2, 2, 0, 1, 2, 0], [14, 10, 4, 10, 13, 2]
    products = sum(x * y for x, y in zip(item, rest, strict=True)) - 6 * (7 / 6) * (53 / 6)
    squares = (sum(x * x for x in item) - 6 * (7 / 6) ** 2) * (sum(y * y for y in rest) - 6 * (53 / 6) ** 2)
    assert table["discrimination"]["a"] == pytest.approx(products / squares**0.5)
    for name in "bc":
        others = POINTS.drop(columns=name).sum(axis=1)
        assert table["discrimination"][name] == pytest.approx(scipy.stats.pearsonr(POINTS[name], others).statistic)
    assert list(table["n"]) == [6, 6, 6]


def test_what_is_not_settled_counts_in_nothing():
    points = POINTS.copy()
    points.loc["u", "c"] = points.loc["v", "b"] = np.nan
    table = question_table(points, MOST)
    assert list(table["n"]) == [6, 5, 5]
    assert table["facility"]["c"] == pytest.approx(29 / 50)
    # the rest is the share of the points that are settled
    rest = [4 / 4, 7 / 10, 4 / 14, 10 / 14, 13 / 14, 2 / 14]
    assert table["discrimination"]["a"] == pytest.approx(np.corrcoef([2, 2, 0, 1, 2, 0], rest)[0, 1])


def test_a_question_that_is_right_for_the_weak_has_a_negative_discrimination():
    points = POINTS.assign(a=2 - POINTS["a"])
    assert question_table(points, MOST)["discrimination"]["a"] < -0.8
    # with itself among the total it would look better
    assert np.corrcoef(points["a"], points.sum(axis=1))[0, 1] > question_table(points, MOST)["discrimination"]["a"]


@pytest.mark.parametrize(
    "points",
    [
        POINTS.iloc[:4],
        POINTS.assign(a=1.0),
        POINTS.assign(b=4.0, c=10.0),
        POINTS[["a"]],
        POINTS.assign(b=np.nan, c=np.nan),
    ],
)
def test_there_is_no_discrimination_of_few_or_of_the_same(points: pd.DataFrame):
    assert np.isnan(discrimination(points, MOST[list(points)], "a"))


def test_a_stage_in_numbers(recorded: Course):
    stats = read_stats(recorded, STAGE)
    row = stats.questions.loc["train_mean"]
    # ada and fay are one hand-in; cyd waits
    assert (row["max"], row["n"], row["waiting"]) == (5, 4, 1)
    assert row["facility"] == pytest.approx((1 + 0.4 + 0 + 0) / 4)
    assert (row["seconds_median"], row["seconds_longest"]) == (1.0, 9.0)
    assert np.isnan(row["discrimination"])
    mistakes = stats.mistakes[stats.mistakes["question"] == "train_mean"].set_index("cause")
    assert mistakes["n"].to_dict() == {CAUSE: 2, EMPTY: 1, UNKNOWN: 1, "right": 1}
    assert mistakes["share"].sum() == pytest.approx(1)
    assert list(stats.answers.loc["train_mean"]) == pytest.approx([0.2, 0.4, 0.2, 0.2, 0])
    assert stats.students["state"].to_dict() == {
        **dict.fromkeys(ANSWERS, "graded"), "gus": "nothing handed in", "zoe": "not graded"
    }  # fmt: skip
    assert stats.students["held"].to_dict()["cyd"] == 1
    assert "not in the roster: bob, cyd, dan, eve, zoe" in stats.notes


def test_points_by_hand_count_and_files_handed_in_since_are_told(recorded: Course):
    with warnings.catch_warnings(), Gradebook(f"sqlite:///{recorded.grading / 'gradebook.db'}") as gradebook:
        warnings.simplefilter("ignore")  # nbgrader's own queries
        grade = gradebook.find_grade("train_mean", STAGE, STAGE, "cyd")
        grade.manual_score, grade.needs_manual_grade = 5.0, False
        gradebook.db.commit()
    (recorded.grading / "submitted" / "bob" / STAGE / "more.txt").write_text("new")
    stats = read_stats(recorded, STAGE)
    assert stats.questions.loc["train_mean", "facility"] == pytest.approx((1 + 0.4 + 1 + 0 + 0) / 5)
    assert stats.students.loc["bob", "state"] == "changed since it was graded"


def test_a_damaged_result_is_told_and_leaves_the_others(recorded: Course):
    (recorded.grading / "results" / STAGE / "bob.json").write_text("{")
    stats = read_stats(recorded, STAGE)
    assert "bob.json is missing or damaged" in stats.notes[0]
    assert stats.questions.loc["train_mean", "n"] == 4


def test_who_was_late_is_told(written: Course, tmp_path: Path):
    path = written.root / "course.toml"
    path.write_text(f"{path.read_text()}deadline = 2020-10-01T12:00:00+02:00\n")
    course = read_course(written.root)
    for student in ("ada", "bob"):
        (tmp_path / "in" / student).mkdir(parents=True)
        shutil.copy(course.root / "assignments" / STAGE / f"{STAGE}.ipynb", tmp_path / "in" / student)
    shutil.rmtree(tmp_path / "in" / "bob")
    collect(course, STAGE, tmp_path / "in", datetime.fromisoformat("2020-10-03T11:00:00+02:00"))
    put_result(course, "ada", [QUESTION])
    book.record_results(course, STAGE, ["ada"])
    assert read_stats(course, STAGE).students["days_late"].to_dict() == {"ada": 2}


def test_the_command_writes_tables_and_a_figure(recorded: Course):
    done = CliRunner().invoke(app, ["stats", STAGE, "--course", str(recorded.root)])
    assert done.exit_code == 0, done.output
    for text in (
        "35%",
        "nothing handed in: 1 (gus)",
        "not graded: 1 (zoe)",
        "held by the grader: 1 (cyd)",
        "handed in: 7 (ada, bob, cyd, dan, eve and 2 more)",
        "slowest: eve 9.0 s (train_mean), bob 2.0 s (train_mean), cyd 1.0 s (train_mean), ada 0.5 s",
    ):
        assert text in done.output
    folder = recorded.grading / "stats"
    rows = list(csv.DictReader((folder / f"{STAGE}.students.csv").open(encoding="utf-8-sig")))
    assert [row["student"] for row in rows] == [*ANSWERS, "gus", "zoe"]
    assert rows[0]["name"] == "'=Ada"
    assert pd.read_csv(folder / f"{STAGE}.questions.csv")["facility"][0] == 0.35
    assert set(pd.read_csv(folder / f"{STAGE}.mistakes.csv")["cause"]) >= {CAUSE, EMPTY, UNKNOWN, "right"}
    assert (folder / f"{STAGE}.png").read_bytes().startswith(b"\x89PNG")


def test_what_was_not_graded_has_no_numbers(written: Course):
    submit(written, "ada", RIGHT)
    stats = read_stats(written, STAGE)
    assert "nobody was graded for 04_baselines yet; run: autograder grade 04_baselines" in stats.notes
    assert (stats.groups["handed in"], stats.groups["graded"], len(stats.questions)) == (["ada"], [], 0)
    done = CliRunner().invoke(app, ["stats", STAGE, "--course", str(written.root)])
    assert (done.exit_code, "handed in: 1 (ada)" in done.output, "nobody was graded" in done.output) == (0, True, True)
    with pytest.raises(InputError, match="has no stage"):
        read_stats(written, "99_nothing")


def test_a_folder_that_cannot_be_written_is_told(recorded: Course, tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot write"):
        write_stats(read_stats(recorded, STAGE), tmp_path / "file" / "stats")
