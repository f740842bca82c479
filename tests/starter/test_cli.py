import ast
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import typer
from commands import run

from starter import console
from starter.errors import InputError
from starter.scoring.metrics.rule_sets import RULE_SETS

BIN = Path(sys.executable).parent
PROGRAMS = ("starter", "autograder")
OF_TYPER = {"typer", "click", "annotated_doc", "shellingham", "typing_extensions", "colorama"}


@pytest.fixture(scope="module")
def scored(small_path: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a truth, a prediction (the truth's own logs) and its scores, all made by the commands."""
    from starter.data import dataset, preprocess

    folder = tmp_path_factory.mktemp("cli")
    screen = dataset.read_screen(small_path)
    logs = anndata.AnnData(preprocess.expression(screen), screen.obs[["target_gene"]], screen.var)
    logs.write_h5ad(folder / "copy.h5ad")
    (folder / "genes.csv").write_text("\n".join(screen.var_names))
    (folder / "perts.csv").write_text("target_gene\n" + "\n".join(dataset.perturbations(screen)))
    built = run("starter", "truth", "build", small_path, "--out", folder / "truth")
    assert (built.returncode, built.stderr) == (0, "")
    assert "24 perturbations x 200 genes, for course, vcc2025, vcc2025-final" in built.stdout
    return folder


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_suffices(program: str):
    answer = run(program, "--help")
    assert answer.returncode == 0
    for command in {
        "starter": ("check", "pack", "score", "truth", "try", "bench"),
        "autograder": ("release", "grade", "student-kit"),
    }[program]:
        assert command in answer.stdout
        page = run(program, command, "--help")
        assert page.returncode == 0
        assert len(page.stdout) > 300


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_loads_the_command_line_and_nothing_else(program: str):
    """Of packages that have to be installed it takes typer and what typer itself needs."""
    code = f"""
import sys
before = set(sys.modules)
from {program}.cli import app
try:
    app(["--help"], standalone_mode=False)
finally:
    print(sorted({{name.split(".")[0] for name in set(sys.modules) - before}} - set(sys.stdlib_module_names)))
"""
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert set(ast.literal_eval(said.splitlines()[-1])) <= {"starter", "autograder", *OF_TYPER}


@pytest.mark.parametrize(("program", "group"), [("starter", ()), ("starter", ("truth",)), ("autograder", ())])
def test_the_list_of_commands_is_not_cut_off(program: str, group: tuple, monkeypatch: pytest.MonkeyPatch):
    """Where a terminal is narrow, a longer sentence would end in dots."""
    monkeypatch.setenv("COLUMNS", "80")
    assert "..." not in run(program, *group, "--help").stdout.partition("Commands:")[2]


@pytest.mark.parametrize("profile", ["course", "vcc2025", "vcc2025-final"])
def test_score_writes_what_other_tools_read(scored: Path, profile: str):
    out = scored / profile
    answer = run(
        *("starter", "score", scored / "copy.h5ad", "--truth", scored / "truth", "--profile", profile, "--out", out),
        "--de-tables",
    )
    assert answer.returncode == 0, answer.stderr
    of_genes = pd.read_parquet(out / "copy" / "de_tables.parquet")
    np.testing.assert_array_equal(of_genes["measured_fdr"], of_genes["predicted_fdr"])  # of a copy
    card = json.loads((out / "copy" / "scorecard.json").read_text())
    assert card["profile"] == profile
    assert card["metrics"]["mae"]["value"] == pytest.approx(0, abs=1e-7)
    assert card["metrics"]["pearson_delta"]["value"] == pytest.approx(1, abs=1e-6)
    assert card["metrics"]["discrimination_score_l1"]["value"] == 1
    table = pd.read_parquet(out / "copy" / "per_perturbation.parquet")
    assert set(table["metric"]) == set(card["metrics"])
    assert "scorecard.html" in answer.stdout
    for word in ("copy", "baseline", "replicate", "Baseline: mean of the profiles"):
        assert word in answer.stdout


def test_metrics_lists_every_metric_with_direction_range_and_source():
    answer = run("starter", "metrics", env=os.environ | {"COLUMNS": "250"})
    assert answer.returncode == 0, answer.stderr
    for profile in RULE_SETS.values():
        assert f"{profile.name}: {profile.title}" in answer.stdout
        for metric in profile.metrics:
            row = next(line for line in answer.stdout.splitlines() if line.split()[:1] == [metric.name])
            assert metric.direction in row
    row = next(line for line in answer.stdout.splitlines() if line.strip().startswith("pds_cosine"))
    assert re.search(r"higher +0 to 1 +yes +cell-eval2 0.20.0, Arc Institute", row)


def test_check_finds_no_error_in_a_good_file(scored: Path):
    due = ("--genes", scored / "genes.csv", "--perts", scored / "perts.csv")
    answer = run("starter", "check", scored / "copy.h5ad", *due)
    assert (answer.returncode, answer.stderr) == (0, "")
    assert answer.stdout.splitlines()[-1] == f"{scored}/copy.h5ad has no error"
    assert "the target_sum was not judged" in answer.stdout


def test_check_prints_every_finding_and_ends_with_2(scored: Path, tmp_path: Path):
    bad = anndata.read_h5ad(scored / "copy.h5ad")[:, 1:].copy()
    bad.X.data[0] = np.nan
    bad.write_h5ad(tmp_path / "bad.h5ad")
    answer = run(
        "starter", "check", tmp_path / "bad.h5ad", "--genes", scored / "genes.csv", "--perts", scored / "perts.csv"
    )
    assert answer.returncode == 2
    assert answer.stdout.splitlines()[0] == "  error  genes missing: 1 (SIM00001); predict every gene"
    assert "NaN in X: 1" in answer.stdout
    assert answer.stderr == f"{tmp_path}/bad.h5ad has 2 errors; scoring would refuse or misjudge it\n"


def test_pack_writes_an_upload_that_checks_and_scores(scored: Path, tmp_path: Path):
    due = ("--genes", scored / "genes.csv", "--perts", scored / "perts.csv")
    answer = run("starter", "pack", scored / "copy.h5ad", "-o", tmp_path / "x.vcc", *due)
    assert answer.returncode == 0, answer.stderr
    assert re.fullmatch(rf"wrote {tmp_path}/x.vcc \(\d+\.\d MB\)", answer.stdout.splitlines()[-1])
    assert run("starter", "check", tmp_path / "x.vcc", *due).returncode == 0


def test_one_bad_prediction_does_not_hide_the_others_scores(scored: Path, tmp_path: Path):
    bad = anndata.read_h5ad(scored / "copy.h5ad")[:, 1:].copy()
    bad.write_h5ad(tmp_path / "bad.h5ad")
    options = ("--truth", scored / "truth", "--profile", "course", "--out", tmp_path / "out")
    answer = run("starter", "score", tmp_path / "bad.h5ad", scored / "copy.h5ad", *options)
    assert answer.returncode == 2
    assert re.search(r"^ ?MAE ↓ +0\.0000 ", answer.stdout, re.MULTILINE)
    assert answer.stderr.startswith("error: the genes of bad.h5ad are not the truth's: missing 1 (SIM00001)")
    assert len(answer.stderr.splitlines()) == 1


def test_a_courses_folder_says_what_is_due(released, scored: Path):
    answer = run("starter", "check", scored / "copy.h5ad", "--course", released.public_folder)
    assert answer.returncode == 2
    assert "perturbations that are not due: 18" in answer.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("check", "nothing.h5ad"), "error: cannot read nothing.h5ad: No such file or directory\n"),
        (("check", "copy.h5ad", "--genes", "genes.csv"), "error: --genes and --perts go together: give both lists\n"),
        (
            ("check", "copy.h5ad", "--genes", "genes.csv", "--perts", "perts.csv", "--course", "."),
            "error: give one of --course, --truth, or --genes and --perts together\n",
        ),
        (
            ("score", "copy.h5ad", "x/copy.vcc", "--truth", "truth", "--profile", "course", "--out", "o"),
            "error: several predictions are named copy, and would get the same folder in o; rename them\n",
        ),
        (
            ("score", "copy.h5ad", "--truth", ".", "--profile", "course", "--out", "o"),
            "error: . holds no prepared truth ([Errno 2] No such file or directory: 'truth.json'); make one with: "
            "starter truth build REAL.h5ad --out TRUTH\n",
        ),
        (
            ("truth", "build", "genes.csv", "--out", "t"),
            "error: genes.csv is not an .h5ad file (HDF5): it starts with b'SIM00001'; download or write it again\n",
        ),
        (
            ("truth", "build", "copy.h5ad", "--out", "genes.csv/t"),
            "error: cannot write genes.csv/t: File exists; choose another folder\n",
        ),
        (
            ("score", "copy.h5ad", "--truth", "truth", "--profile", "vcc", "--out", "o"),
            "error: there is no profile 'vcc'; the profiles are course, vcc2025, vcc2025-final, vcc2026\n",
        ),
        (
            ("truth", "build", "copy.h5ad", "--out", "t", "--split", "s.json", "--part", "train"),
            "error: --part is hidden or public, not 'train'\n",
        ),
        (("score", "copy.h5ad"), "error: Missing option '--truth'. (--help explains)\n"),
        (("chek",), "error: No such command 'chek'. Did you mean 'check'? (--help explains)\n"),
    ],
)
def test_a_mistake_is_one_sentence_and_status_2(scored: Path, arguments: tuple, said: str):
    answer = run("starter", *arguments, cwd=scored)
    assert (answer.returncode, answer.stderr) == (2, said)


def test_debug_shows_the_traceback(scored: Path):
    with pytest.raises(InputError, match=r"cannot read nothing\.h5ad") as caught:
        run("starter", "check", "nothing.h5ad", "--debug", cwd=scored)
    assert isinstance(caught.value.__cause__, FileNotFoundError)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "torch.nn",
            "error: this needs torch.nn, which is not installed here; run: python -m pip install .*.student.",
        ),
        (
            "starter.lost",
            "fault of the kit .ModuleNotFoundError: No module named 'starter.lost'.; run again with",
        ),
    ],
)
def test_what_is_not_installed_is_named_with_the_way_out(
    name: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
):
    app = typer.Typer()

    @app.command()
    def learn() -> None:
        msg = f"No module named {name!r}"
        raise ModuleNotFoundError(msg, name=name)

    monkeypatch.setattr(sys, "argv", ["starter"])
    with pytest.raises(SystemExit, match="2"):
        console.run(app)
    assert re.match(said, capsys.readouterr().err)


def test_the_commands_are_installed():
    for program in PROGRAMS:
        assert subprocess.run([BIN / program, "--help"], capture_output=True, check=True).stdout


def test_what_was_not_compared_is_said(good: Path, released, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("VCC_COURSE", raising=False)
    said = f"{good} has no error; genes and perturbations were not compared with those due: give --course, --truth, or"
    assert run("starter", "check", good).stdout.startswith(said)
    monkeypatch.setenv("VCC_COURSE", str(released.public_folder))
    assert run("starter", "check", good).stdout == f"{good} has no error\n"


@pytest.mark.parametrize("arguments", [(), ("truth",)])
def test_a_command_alone_shows_its_help(arguments: tuple):
    answer = run("starter", *arguments)
    assert answer.returncode == 2
    assert answer.stderr.startswith("Usage: ")
    assert "--help explains" not in answer.stderr
    assert "--help explains" not in answer.stderr


MODEL = """
import pandas as pd

def fit(data):
    return data.controls

def predict(model, pairs):
    return pd.DataFrame(model.loc[pairs.get_level_values("context")].to_numpy(), pairs, model.columns)
"""


def test_predict_writes_what_the_model_predicts(small_path: Path, scored: Path, tmp_path: Path):
    from starter.data import dataset, pseudobulk

    profiles = pseudobulk.profiles(dataset.read_screen(small_path)).droplevel("context")
    ends = ("--train", small_path, "--perts", scored / "perts.csv", "-o")
    answer = run(
        "starter", "predict", "train mean", *ends, tmp_path / "mean.parquet", "--spread", tmp_path / "sd.parquet"
    )
    assert (answer.returncode, answer.stderr) == (0, "")
    assert "24 profiles x 200 genes, by train mean" in answer.stdout
    table, doubt = (pd.read_parquet(tmp_path / name) for name in ("mean.parquet", "sd.parquet"))
    training = profiles.drop(index="non-targeting")
    np.testing.assert_allclose(table, [training.mean()] * 24, rtol=1e-5)
    np.testing.assert_allclose(doubt, [training.std() * (1 + 1 / 24) ** 0.5] * 24, rtol=1e-5)
    (tmp_path / "my_model.py").write_text(MODEL)
    answer = run("starter", "predict", tmp_path / "my_model.py", *ends, tmp_path / "mine.parquet")
    assert "by my_model" in answer.stdout
    np.testing.assert_allclose(
        pd.read_parquet(tmp_path / "mine.parquet"), [profiles.loc["non-targeting"]] * 24, rtol=1e-5
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["no such", "--train", "SCREEN", "--perts", "PERTS"], "there is no model 'no such'; give a file"),
        (["ridge", "--train", "SCREEN"], "give --train and --perts together, or --course"),
        (["ridge", "--train", "SCREEN", "--perts", "PERTS", "--spread", "x"], "ridge does not say how sure it is"),
        (["ridge", "--course", ".", "--train", "SCREEN"], "--course tells what to learn from and what is due"),
        (["neighbour mean", "--train", "SCREEN", "--perts", "PERTS"], "needs a gene graph, and none is known"),
        (["ridge with other lines", "--train", "SCREEN", "--perts", "PERTS"], "there is no other context"),
    ],
)
def test_a_prediction_that_cannot_be_made_is_refused(
    small_path: Path, scored: Path, tmp_path: Path, options: list[str], said: str
):
    paths = {"SCREEN": small_path, "PERTS": scored / "perts.csv"}
    answer = run("starter", "predict", *[paths.get(word, word) for word in options], "-o", tmp_path / "table.parquet")
    assert answer.returncode == 2
    assert said in " ".join(answer.stderr.split())
    assert not (tmp_path / "table.parquet").exists()
