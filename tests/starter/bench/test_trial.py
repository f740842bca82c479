import importlib.resources
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import run as command

from starter.bench import trial
from starter.bench.arms import arm_of
from starter.bench.ground import ground_of_course
from starter.bench.panels import deal
from starter.bench.trial import EXAMPLE, QUICK, best_of_kit, write_upload
from starter.data.course import open_course
from starter.data.dataset import PAIR
from starter.data.pseudobulk import read_profile_table
from starter.errors import InputError
from starter.models.contract import Contract, predict, read_model
from starter.models.kit import KIT
from starter.models.training_data import TrainingData
from starter.prediction.check import check_prediction
from starter.prediction.requirements import requirements_of_course


def test_from_nothing_to_a_line(released, tmp_path: Path):
    """The two commands of the documents, in an empty folder."""
    assert "wrote my_model.py" in command("starter", "try", "--example", cwd=tmp_path).stdout
    answer = command("starter", "try", "my_model.py", "--course", released.public_folder, cwd=tmp_path)
    assert answer.returncode == 0, answer.stderr
    (line,) = answer.stdout.strip().splitlines()[-1:]
    assert line.startswith("my_model is ")
    assert "the train mean (" in line
    assert "the best of the kit here (" in line
    assert line.endswith("scaled scores of 12 held-out perturbations")
    folder = tmp_path / "try_my_model"
    assert "intervals predicted by train mean: share of measured means inside, of nominally 50%" in " ".join(
        answer.stdout.split()
    )
    assert {path.name for path in folder.iterdir()} == {"profiles.parquet", "prediction.h5ad", "scorecard", "folds"}
    split = json.loads((released.public_folder / "split.json").read_text())["pairs"]
    hidden = {(line["context"], line["perturbation"]) for line in split if line["part"] == "hidden"}
    assert set(read_profile_table(folder / "profiles.parquet").index) == hidden
    required = requirements_of_course(released.public_folder)
    assert not [found for found in check_prediction(folder / "prediction.h5ad", required) if found.level == "error"]
    card = json.loads((folder / "scorecard" / "scorecard.json").read_text())
    assert card["profile"] == "course"
    assert "4 perturbations" in card["notes"][0]
    bench = json.loads((folder / "folds" / "bench.json").read_text())
    assert {"my_model", "train mean", "neighbour mean"} <= set(bench["ranks"])
    assert {name for name in bench["ranks"]} - {"my_model", "train mean", "neighbour mean"} <= set(QUICK)
    again = command("starter", "try", "--example", cwd=tmp_path)
    assert again.returncode == 2
    assert "my_model.py is there already" in again.stderr


def test_a_spread_is_kept_beside_the_table(released, tmp_path: Path):
    course = open_course(released.public_folder)
    ground = ground_of_course(course, "course")
    write_upload(arm_of(KIT["kNN"]), ground, course, course.split(), tmp_path)
    table, spread = (pd.read_parquet(tmp_path / f"{name}.parquet") for name in ("profiles", "spread"))
    assert list(table.index) == list(spread.index) == list(course.split().pairs("hidden"))
    assert list(spread.columns) == list(table.columns) == list(ground.data.profiles.columns)
    assert (spread >= 0).all(axis=None)


def test_the_example_is_short_and_does_what_it_says():
    """By hand on two targets: the weights are exp(12 cosine), of unit rows."""
    source = importlib.resources.files("starter.bench").joinpath(EXAMPLE)
    with importlib.resources.as_file(source) as path:
        assert len(path.read_text().splitlines()) <= 30
        model = read_model(path)
    rows = [("A", "non-targeting"), ("A", "P"), ("A", "Q")]
    table = pd.DataFrame([[1.0, 1.0], [2.0, 1.0], [1.0, 3.0]], pd.MultiIndex.from_tuples(rows, names=PAIR), ["g", "h"])
    features = pd.DataFrame([[3.0, 0.0], [0.0, 5.0], [1.0, 0.0]], ["P", "Q", "R"])
    data = TrainingData(table, pd.Series(10, table.index), {"known": features})
    wanted = pd.MultiIndex.from_tuples([("A", "R"), ("A", "S")], names=PAIR)
    found = predict(model, model.fit(data), wanted, table.columns)
    weight = np.exp([12, 0]) / np.exp([12, 0]).sum()
    np.testing.assert_allclose(found.loc[("A", "R")], [1 + weight[0], 1 + 2 * weight[1]])
    np.testing.assert_allclose(found.loc[("A", "S")], [1.5, 2.0])  # of which nothing is known: the train mean


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "name your model's file"),
        (["gone.py"], "cannot read gone.py"),
    ],
)
def test_what_cannot_be_tried_is_said(arguments: list[str], said: str, released, tmp_path: Path):
    answer = command("starter", "try", *arguments, "--course", released.public_folder, cwd=tmp_path)
    assert answer.returncode == 2
    assert said in answer.stderr
    assert not list(tmp_path.iterdir())


def test_a_model_that_fails_is_said_before_anything_is_scored(released, tmp_path: Path):
    bad = "def fit(data):\n    return data.nothing\n\ndef predict(model, pairs):\n    pass\n"
    (tmp_path / "bad.py").write_text(bad)
    answer = command("starter", "try", "bad.py", "--course", released.public_folder, cwd=tmp_path)
    assert answer.returncode == 2
    said = "bad failed in bad.py, line 2 (AttributeError: 'TrainingData' object has no attribute 'nothing')"
    assert said in answer.stderr
    assert len(answer.stderr.splitlines()) == 1


def test_the_best_of_the_kit_has_the_lowest_mean_rank(ground, monkeypatch: pytest.MonkeyPatch):
    """By hand: ridge is first in two metrics and second in the others, kNN first in two and third in the others."""
    scores = {"ridge": [0.5, 0.7, 0.2, 0.03], "kNN": [0.6, 0.8, 0.0, 0.05], "bilinear": [0.4, 0.6, 0.1, 0.04]}

    def on_profiles(contract: Contract, *_: object) -> pd.DataFrame:
        if contract.name not in scores:
            msg = "nothing is known"
            raise InputError(msg)
        columns = ["pearson_delta", "discrimination_score_l1", "pearson_delta_train_mean", "mae"]
        return pd.DataFrame([scores[contract.name]], columns=columns)

    monkeypatch.setattr(trial, "cross_validate_pairs", on_profiles)
    panels = deal(ground.data.pairs, folds=2)
    assert best_of_kit(ground, panels) == "ridge"
    scores.clear()
    assert best_of_kit(ground, panels) == "train mean"


@pytest.mark.parametrize("of_kNN", [{"mae": np.nan, "pearson_delta": 0.9}, {"mae": 0.3, "pearson_delta": np.nan}])
def test_a_model_without_a_value_does_not_win_by_it(of_kNN: dict, monkeypatch: pytest.MonkeyPatch):
    """Nor does a metric that no model has a value of, as where there is no train mean, make the choice impossible."""
    scores = {"kNN": of_kNN, "ridge": {"mae": 0.1, "pearson_delta": 0.2, "discrimination_score_l1": 0.6}}
    empty = dict.fromkeys(trial.METRICS, np.nan)

    def cross_validated(contract: Contract, data: object, held_out: object) -> pd.DataFrame:
        del data, held_out
        return pd.DataFrame([{**empty, "discrimination_score_l1": 0.5, **scores[contract.name]}])

    class Nothing:
        data, hidden = None, None

    monkeypatch.setattr(trial, "QUICK", tuple(scores))
    monkeypatch.setattr(trial, "cross_validate_pairs", cross_validated)
    assert best_of_kit(Nothing, [Nothing]) == "ridge"
