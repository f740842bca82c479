import dataclasses
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from commands import run as command

from starter.bench import run
from starter.bench.arms import arm_of, predicted, read_arm, read_arms
from starter.bench.bench import Dealt, bench
from starter.bench.ground import ground_of_screen
from starter.bench.panels import deal, split_of
from starter.bench.results import read_kept
from starter.bench.standings import standings
from starter.data import dataset
from starter.data.course import PRIORS_FOLDER
from starter.errors import InputError
from starter.models.kit import KIT
from starter.prediction.cells import make_cells
from starter.prediction.controls import controls_of
from starter.prediction.write import write_prediction
from starter.scoring.metrics.rule_sets import get_rule_set
from starter.scoring.scorecard import score_prediction
from starter.scoring.truth.opened import open_truth
from starter.scoring.truth.requirements import requirements_of_truth
from starter.simulation import biology
from starter.simulation.setup import Size
from starter.simulation.write import write


@pytest.fixture
def table(ground) -> pd.DataFrame:
    """What the neighbour mean predicts in the first panel."""
    (panel,) = deal(ground.data.pairs, folds=1)
    return predicted(arm_of(KIT["neighbour mean"]), ground.data.without(panel.hidden), panel.hidden).table


@pytest.mark.parametrize("profile", ["vcc2025", "course"])
def test_an_arm_scores_what_starter_score_says_of_its_file(
    ground, small_path, small_screen, table, tmp_path: Path, profile: str
):
    """The file is made by other calls, from the screen in memory; truth and score are made by the commands."""
    ground = dataclasses.replace(ground, rules=get_rule_set(profile))
    panels = deal(ground.data.pairs, folds=1)
    (result,) = run.run_arms([arm_of(KIT["neighbour mean"])], panels, ground, tmp_path / "bench").results
    split_of(panels[0], ground.data.n_cells[ground.data.pairs]).write(tmp_path / "split.json")
    n_cells = small_screen.obs["target_gene"].value_counts().to_dict()
    cells = make_cells(table, controls_of(small_screen), n_cells)
    write_prediction(tmp_path / "same.h5ad", cells, small_screen.var_names)
    options = ("--split", tmp_path / "split.json", "--part", "hidden", "--train", small_path)
    built = command("starter", "truth", "build", small_path, "--out", tmp_path / "truth", *options)
    assert built.stderr == ""
    scored = command(
        "starter", "score", tmp_path / "same.h5ad", "--truth", tmp_path / "truth", "--profile", profile,
        "--out", tmp_path / "scores",
    )  # fmt: skip
    assert scored.stderr == ""
    card = json.loads((tmp_path / "scores" / "same" / "scorecard.json").read_text())
    assert result.overall == card["overall"]
    assert set(result.metrics) == set(card["metrics"])
    for name, row in card["metrics"].items():
        assert {key: result.metrics[name][key] for key in row} == row
    each = pd.read_parquet(tmp_path / "scores" / "same" / "per_perturbation.parquet")
    both = each.merge(result.scores, on=["perturbation", "metric"], suffixes=("", "_bench"))
    assert len(both) == len(each) == len(result.scores)
    np.testing.assert_array_equal(both["value"], both["value_bench"])


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A screen of two cell lines, counts of the whole transcriptome, as season 2026 has it."""
    path = write(
        biology.draw("default", 3, Size(targets=24, genes=150, controls=100, min_cells=30, contexts=2, depth=9_000)),
        tmp_path_factory.mktemp("lines"),
    )
    screen = dataset.read_screen(path)
    screen.obs = screen.obs.drop(columns="n_umis")
    del screen.uns["course"]
    screen.write_h5ad(path)
    return path


@pytest.mark.parametrize("profile", ["vcc2025", "vcc2026"])
def test_a_screen_of_several_contexts(lines: Path, tmp_path: Path, profile: str):
    """A perturbation is hidden in both, each context is predicted on its own, and scored as `starter score` does."""
    ground = ground_of_screen(lines, profile)
    panels = deal(ground.data.pairs, hide=10, folds=1)
    assert len(panels[0].hidden) == 20
    arms = [arm_of(KIT[name]) for name in ("train mean", "kNN")]
    came = run.run_arms(arms, panels, ground, tmp_path / "bench")
    assert not came.faults
    table = predicted(arms[1], ground.data.without(panels[0].hidden), panels[0].hidden).table
    split_of(panels[0], ground.data.n_cells[ground.data.pairs]).write(tmp_path / "split.json")
    table.to_parquet(tmp_path / "table.parquet")
    options = ("--split", tmp_path / "split.json", "--part", "hidden", "--train", lines)
    command("starter", "truth", "build", lines, "--out", tmp_path / "truth", *options, "--profile", profile)
    file = tmp_path / "same.h5ad"
    truth = open_truth(tmp_path / "truth")
    if profile == "vcc2026":
        (tmp_path / "manifest.json").write_text(json.dumps({"contexts": ground.data.contexts}))
        (tmp_path / "counts.csv").write_text("target_gene\n" + "\n".join(sorted(set(table.index.droplevel(0)))))
        made = command(
            "starter", "cells", tmp_path / "table.parquet", "-o", file, "--controls", lines, "--season", 2026,
            "--counts", tmp_path / "counts.csv",
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
    else:
        run.write_prediction(table, file, ground, requirements_of_truth(truth))
    card = score_prediction(file, truth, profile)
    (result,) = [result for result in came.results if result.arm == "kNN"]
    assert result.overall == card.overall
    assert result.metrics == card.metrics
    found = standings(came.results, ground.rules, "train mean")
    assert found.n_perturbations == 10
    per_context = card.per_perturbation.query("metric == 'pearson_delta' or metric == 'pds_cosine'")
    name = str(per_context["metric"].iloc[0])
    assert found.metrics.loc[("kNN", name), "value"] == pytest.approx(card.metrics[name]["value"])


def test_an_upload_and_a_table_are_arms(ground, small_screen, table, tmp_path: Path):
    """The same prediction as a model, a profile table, a file and an upload: four arms, one score."""
    n_cells = small_screen.obs["target_gene"].value_counts().to_dict()
    file = tmp_path / "as_file.h5ad"
    write_prediction(file, make_cells(table, controls_of(small_screen), n_cells), small_screen.var_names)
    table.to_parquet(tmp_path / "as_table.parquet")
    assert command("starter", "pack", file, "-o", tmp_path / "as_upload.vcc").returncode == 0
    files = [tmp_path / name for name in ("as_table.parquet", "as_file.h5ad", "as_upload.vcc")]
    came = bench(read_arms(["neighbour mean", *map(str, files)]), ground, tmp_path / "bench")
    values = came.standings.metrics["value"].unstack("metric")
    assert came.standings.n_perturbations == len(table)
    for arm in ("as_table", "as_file", "as_upload"):
        pd.testing.assert_series_equal(values.loc[arm], values.loc["neighbour mean"], check_names=False, rtol=1e-6)
        assert came.standings.metrics.loc[(arm, "overall"), "difference"] == pytest.approx(
            came.standings.metrics.loc[("neighbour mean", "overall"), "difference"], rel=1e-6
        )
    with pytest.raises(InputError, match="fixes who is hidden; leave out"):
        bench(read_arms([str(file)]), ground, tmp_path / "bench", Dealt(folds=2))
    other = table.rename(index={name: "UNKNOWN" for name in [table.index[0][1]]}, level="perturbation")
    other.to_parquet(tmp_path / "other.parquet")
    with pytest.raises(InputError, match="UNKNOWN in the context 'one context', which was not measured"):
        bench(read_arms([str(tmp_path / "other.parquet")]), ground, tmp_path / "bench")


def test_a_killed_bench_goes_on(ground, write_model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    arms, panels = read_arms([str(write_model()), "train mean"]), deal(ground.data.pairs, folds=2)
    asked, score = [], run.run_arm

    def counted(arm, panel, *rest):
        asked.append((arm.name, panel.fold))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return score(arm, panel, *rest)

    monkeypatch.setattr(run, "run_arm", counted)
    with pytest.raises(KeyboardInterrupt):
        run.run_arms(arms, panels, ground, tmp_path / "bench")
    kept = sorted((tmp_path / "bench" / run.KEPT).iterdir())
    assert len(kept) == 2
    kept[0].write_text(kept[0].read_text()[:100])  # a disk that lost the rest
    (tmp_path / "bench" / ".prediction.h5ad.abc.part").write_text("half")  # what kill -9 leaves
    (tmp_path / "bench" / ".truth.abc.part").mkdir()
    asked.extend([("", 0)] * 10)
    del asked[: len(asked) - 10]
    came = run.run_arms(arms, panels, ground, tmp_path / "bench")
    assert len(asked) - 10 == 4 - 1
    assert sorted((result.arm, result.fold) for result in came.results) == [
        (arm, fold) for arm in ("mine", "train mean") for fold in range(2)
    ]
    assert [path.name for path in (tmp_path / "bench").iterdir()] == [run.KEPT]
    again = run.run_arms(arms, panels, ground, tmp_path / "bench")
    assert len(asked) - 10 == 4 - 1
    for one, two in zip(came.results, again.results, strict=True):
        assert (one.overall, one.metrics) == (two.overall, two.metrics)
        pd.testing.assert_frame_equal(one.scores, two.scores)
    write_model(write_model().read_text().replace("0.9", "0.8"))
    run.run_arms(read_arms([str(tmp_path / "mine.py"), "train mean"]), panels, ground, tmp_path / "bench")
    assert len(asked) - 10 == 4 - 1 + 2  # the changed model alone


def test_what_is_kept_depends_on_the_screen_the_panel_and_the_rules(ground, tmp_path: Path):
    one, two = deal(ground.data.pairs, folds=2)
    arm, other = arm_of(KIT["train mean"]), arm_of(KIT["control mean"])
    keys = {
        run._key(base, panel, data, of)
        for base, panel, data, of in (
            (["a"], one, ground.data, arm),
            (["b"], one, ground.data, arm),
            (["a"], two, ground.data, arm),
            (["a"], one._replace(seed=1), ground.data, arm),
            (["a"], one, ground.data.without(two.hidden), arm),
            (["a"], one, ground.data, other),
        )
    }
    assert len(keys) == 6
    assert read_kept(tmp_path / "nothing.json") is None


FIT = "def fit(data):\n    return data\n\n"
FAULTS = {
    "raises.py": (
        "def fit(data):\n    return 1 / 0\n\ndef predict(model, pairs):\n    pass\n",
        "raises failed in raises.py, line 2 (ZeroDivisionError: division by zero); mend it",
    ),
    "nan.py": (
        f"import pandas as pd\n\n{FIT}"
        "def predict(data, pairs):\n    return pd.DataFrame(float('nan'), pairs, data.profiles.columns)\n",
        "NaN or infinite values in the profile table: 1,200",
    ),
    "few.py": (
        f"{FIT}def predict(data, pairs):\n    return data.profiles.iloc[:2]\n",
        "predict of few should give one row for each pair asked",
    ),
}


def test_a_model_that_fails_is_named_and_the_others_go_on(ground, write_model, tmp_path: Path):
    files = [str(write_model(text, name)) for name, (text, _) in FAULTS.items()]
    came = bench(read_arms([*files, str(write_model())]), ground, tmp_path / "bench", Dealt(folds=2))
    assert set(came.standings.ranks.index) == {"train mean", "mine"}
    assert came.ran.faults.keys() == {"raises", "nan", "few"}
    for name, (_, said) in FAULTS.items():
        assert said in came.ran.faults[name.removesuffix(".py")]
    assert {line["arm"] for line in json.loads((tmp_path / "bench" / "bench.json").read_text())["panels"]} == {
        "train mean",
        "mine",
    }


def test_the_command_prints_a_table_and_names_what_failed(small_path, write_model, tmp_path: Path):
    failing, out = write_model(FAULTS["raises.py"][0], "raises.py"), tmp_path / "bench"
    answer = command(
        "starter",
        "bench",
        write_model(),
        failing,
        "--screen",
        small_path,
        "--hide",
        12,
        "--folds",
        2,
        "--seeds",
        2,
        "-o",
        out,
    )
    assert answer.returncode == 2
    assert "raises failed in raises.py, line 2" in answer.stderr
    assert "24 perturbations hidden in 4 panels" in answer.stdout
    assert {path.name for path in out.iterdir()} == {
        "kept", "bench.json", "bench.parquet", "perturbations.parquet", "bench.png"
    }  # fmt: skip
    content = json.loads((out / "bench.json").read_text())
    assert content["dealt"] == {"hide": 12, "folds": 2, "seeds": 2, "context": None}
    lines = pd.read_parquet(out / "bench.parquet").set_index(["arm", "metric"])
    each = pd.read_parquet(out / "perturbations.parquet")
    of_mine = each[(each["arm"] == "mine") & (each["metric"] == "mae")]
    assert len(of_mine) == 2 * 24
    mean = of_mine.groupby("perturbation")["value"].mean().mean()
    assert lines.loc[("mine", "mae"), "value"] == pytest.approx(mean)
    official = np.mean([line["overall"] for line in content["panels"] if line["arm"] == "mine"])
    assert lines.loc[("mine", "overall"), "official"] == pytest.approx(official)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nothing"], "'nothing' is neither a model of the kit nor a file"),
        (["gone.h5ad"], "there is no file gone.h5ad"),
        (["gone.py"], "cannot read gone.py"),
        (["train mean", "train mean"], "several arms are named train mean"),
    ],
)
def test_what_is_no_arm_is_refused(arguments: list[str], said: str):
    with pytest.raises(InputError, match=said):
        read_arms(arguments)


def test_a_table_that_is_none_is_refused(tmp_path: Path):
    pd.DataFrame({"a": [1.0]}).to_parquet(tmp_path / "odd.parquet")
    with pytest.raises(InputError, match=r"odd.parquet: a profile table is indexed by context and perturbation"):
        read_arm(str(tmp_path / "odd.parquet"))
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    with pytest.raises(InputError, match="cannot be read as parquet"):
        read_arm(str(tmp_path / "torn.parquet"))


def test_knowledge_is_part_of_what_is_kept(ground):
    assert ground.knowledge.name == PRIORS_FOLDER
    assert ground.knowledge.is_dir()
