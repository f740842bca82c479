"""`starter cells`: from a profile table to an upload of either season, which the challenges' own tools accept."""

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from commands import run
from uploads import in_upload
from vcc.prep import run_prep
from vcc.vccfile import contexts_from_vcc, validate_vcc

from starter.data import pseudobulk
from starter.data.preprocess import expression
from starter.errors import InputError
from starter.files import sha256
from starter.prediction import upload
from starter.prediction.cells import make_counts
from starter.prediction.check import check_prediction
from starter.prediction.controls import read_controls
from starter.prediction.requirements import Requirements, requirements_of_lists
from starter.prediction.write import write_prediction
from starter.schema import CONTROL

DUE = 5


@pytest.fixture
def screen(small_screen: anndata.AnnData) -> anndata.AnnData:
    """A screen as the challenge's training file: no `n_umis`, no `uns`."""
    return anndata.AnnData(small_screen.X, small_screen.obs[["target_gene", "guide_id", "batch"]], small_screen.var)


@pytest.fixture
def names(screen: anndata.AnnData) -> list[str]:
    return sorted(set(screen.obs["target_gene"]) - {CONTROL})[:DUE]


@pytest.fixture
def folder(screen: anndata.AnnData, names: list[str], tmp_path: Path) -> Path:
    """Everything that a challenger of 2025 has: training file, lists, a profile table."""
    screen.write_h5ad(tmp_path / "train.h5ad")
    (tmp_path / "gene_names.csv").write_text("\n".join(screen.var_names))
    rows = [f"{name},{20 + i}" for i, name in enumerate(names)]
    (tmp_path / "pert_counts.csv").write_text("\n".join(["target_gene,n_cells", *rows]))
    table = pseudobulk.profiles(screen)
    table.astype("float32").to_parquet(tmp_path / "table.parquet")
    return tmp_path


def made(folder: Path, *options: object, out: str = "pred.vcc", **kwargs: object) -> subprocess.CompletedProcess:
    given = ("--controls", folder / "train.h5ad", "--perts", folder / "pert_counts.csv")
    return run("starter", "cells", folder / "table.parquet", "-o", folder / out, *given, *options, **kwargs)


def assert_thinned(cells: anndata.AnnData, row: np.ndarray, scales: np.ndarray) -> None:
    """The mean of each gene is the predicted one, to half of the largest step of one UMI in one cell."""
    mean = np.asarray(cells.X.mean(axis=0)).ravel()
    assert np.abs(mean - row).max() <= np.log1p(scales.max()) / cells.n_obs / 2 + 1e-5


def test_of_2025(folder: Path, screen: anndata.AnnData, names: list[str]):
    done = made(folder)
    assert (done.returncode, done.stderr) == (0, "")
    control = (screen.obs["target_gene"] == CONTROL).to_numpy()
    sizes = np.asarray(screen.X.sum(axis=1)).ravel()[control]
    assert f"cells are scaled to {np.median(sizes):,.10g} UMIs" in done.stdout
    upload = in_upload(folder / "pred.vcc")
    labels = upload.obs["target_gene"].astype(str)
    assert labels.value_counts().to_dict() == {CONTROL: 300} | {name: 20 + i for i, name in enumerate(names)}
    assert (expression(screen)[control] != upload[labels == CONTROL].X).nnz == 0
    table = pd.read_parquet(folder / "table.parquet")
    for name in names:
        row = table.loc[("one context", name)].to_numpy()
        assert_thinned(upload[labels == name], row, np.median(sizes) / sizes)
    due = requirements_of_lists(folder / "gene_names.csv", folder / "pert_counts.csv")
    found = check_prediction(folder / "pred.vcc", due)
    assert [finding.what for finding in found] == ["the target_sum was not judged"]
    assert sorted(path.name for path in folder.iterdir()) == [
        "gene_names.csv", "pert_counts.csv", "pred.vcc", "table.parquet", "train.h5ad",
    ]  # fmt: skip


def test_cell_eval_prep_packs_the_same_of_it(folder: Path):
    """The challenge's tool, run live on the prediction file, gives what is in our upload."""
    assert made(folder).returncode == made(folder, out="pred.h5ad").returncode == 0
    command = [sys.executable, "-m", "cell_eval", "prep", "-i", "pred.h5ad", "-g", "gene_names.csv", "-o", "theirs.vcc"]
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    ours, theirs = in_upload(folder / "pred.vcc"), in_upload(folder / "theirs.vcc")
    assert (ours.X != theirs.X).nnz == 0
    assert ours.obs["target_gene"].tolist() == theirs.obs["target_gene"].tolist()


def test_the_same_files_and_seed_give_the_same_upload(folder: Path):
    for name, options in (("a.vcc", ()), ("b.vcc", ()), ("c.vcc", ("--seed", 1))):
        assert made(folder, *options, out=name).returncode == 0
    assert sha256(folder / "a.vcc") == sha256(folder / "b.vcc") != sha256(folder / "c.vcc")


def test_genes_in_another_order_are_put_in_order(folder: Path, screen: anndata.AnnData):
    genes = list(screen.var_names[::-1])
    (folder / "gene_names.csv").write_text("\n".join(genes))
    done = made(folder, "--genes", folder / "gene_names.csv")
    assert "the genes of the profile table were put in the order due" in done.stdout
    turned = in_upload(folder / "pred.vcc")
    assert list(turned.var_names) == genes
    made(folder, out="straight.vcc")
    assert (turned[:, screen.var_names].X != in_upload(folder / "straight.vcc").X).nnz == 0


def test_of_a_course(released, folder: Path, due: Requirements):
    table = pd.read_parquet(folder / "table.parquet")
    index = pd.MultiIndex.from_product([["one context"], list(due.n_cells)], names=table.index.names)
    pd.DataFrame([table.mean()] * len(index), index).to_parquet(folder / "table.parquet")
    out = folder / "pred.h5ad"
    done = run("starter", "cells", folder / "table.parquet", "-o", out, "--course", released.public_folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert [finding.level for finding in check_prediction(out, due)] == []


def test_effects_that_the_model_is_unsure_of_are_drawn_towards_none(folder: Path, names: list[str]):
    """Sure of all perturbations but one, which gets the control profile, to a UMI; or of none: left as predicted."""
    table = pd.read_parquet(folder / "table.parquet")
    made(folder, out="without.vcc")
    spread = pd.DataFrame(0.0, table.index, table.columns)
    spread.loc[("one context", names[0])] = 0.2
    spread.to_parquet(folder / "spread.parquet")
    done = made(folder, "--spread", folder / "spread.parquet", out="unsure.vcc")
    assert "note: uncertain effects were drawn towards none" in done.stdout
    without, unsure = (in_upload(folder / name) for name in ("without.vcc", "unsure.vcc"))
    last = unsure.obs["target_gene"] == names[2]
    assert (unsure[last].X != without[without.obs["target_gene"] == names[2]].X).nnz == 0
    control = np.asarray(unsure[unsure.obs["target_gene"] == CONTROL].X.mean(axis=0)).ravel()
    mean = np.asarray(unsure[unsure.obs["target_gene"] == names[0]].X.mean(axis=0)).ravel()
    effect = table.loc[("one context", names[0])].to_numpy() - control
    kept = effect**2 / (effect**2 + 0.2**2)
    np.testing.assert_allclose(mean, control + effect * kept, atol=0.05)  # a UMI of 20 cells
    (spread + 9).to_parquet(folder / "spread.parquet")
    assert "note: effects were left as predicted" in made(folder, "--spread", folder / "spread.parquet").stdout
    table.iloc[:, 1:].to_parquet(folder / "spread.parquet")
    done = made(folder, "--spread", folder / "spread.parquet")
    assert "the table of standard deviations (--spread): the profile table's columns are not" in done.stderr


@pytest.fixture
def contexts(folder: Path, screen: anndata.AnnData, names: list[str]) -> Path:
    """Everything that a challenger of 2026 has: control cells of three contexts, lists, a profile table."""
    control = screen[screen.obs["target_gene"] == CONTROL].copy()
    control.obs["target_gene"] = control.obs["target_gene"].cat.remove_unused_categories()
    control.obs["context"] = pd.Categorical(np.array(list("ABC"))[np.arange(control.n_obs) % 3])
    control.write_h5ad(folder / "controls.h5ad")
    for name in "ABC":
        control[control.obs["context"] == name].write_h5ad(folder / f"controls_{name}.h5ad")
    (folder / "gene_names.csv").write_text("\n".join(["gene_name", *screen.var_names]))  # as its list is headed
    own = pseudobulk.profiles(control).droplevel("perturbation")
    effect = pseudobulk.effects(pseudobulk.profiles(screen)).droplevel("context").loc[names]
    index = pd.MultiIndex.from_product([list("ABC"), names], names=["context", "perturbation"])
    rows = [np.maximum(own.loc[context] + effect.loc[name], 0) for context, name in index]
    pd.DataFrame(np.array(rows), index, screen.var_names).to_parquet(folder / "table.parquet")
    (folder / "pert_counts.csv").write_text("\n".join(["target_gene,n_cells", *(f"{name},100" for name in names)]))
    (folder / "manifest.json").write_text(json.dumps({"panel_id": "small", "contexts": ["A", "B", "C"]}))
    return folder


def cells_2026(folder: Path, *controls: str, out: str = "pred.vcc") -> subprocess.CompletedProcess:
    options = [option for name in controls for option in ("--controls", folder / name)]
    due = ("--counts", folder / "pert_counts.csv", "--genes", folder / "gene_names.csv", "--season", 2026)
    return run("starter", "cells", folder / "table.parquet", "-o", folder / out, *options, *due)


def test_of_2026(contexts: Path, names: list[str]):
    """Counts of each context's own control cells, which are not among them; accepted by the challenge's own tool."""
    done = cells_2026(contexts, "controls.h5ad")
    assert (done.returncode, done.stderr) == (0, "")
    validate_vcc(contexts / "pred.vcc")
    assert contexts_from_vcc(contexts / "pred.vcc") == ("A", "B", "C")
    upload = in_upload(contexts / "pred.vcc")
    assert upload.obs.groupby(["context", "target_gene"], observed=True).size().to_dict() == {
        (context, name): 100 for context in "ABC" for name in names
    }
    assert (upload.X.data == np.rint(upload.X.data)).all()
    controls = anndata.read_h5ad(contexts / "controls.h5ad")
    sizes = np.asarray(controls.X.sum(axis=1)).ravel()
    table = pd.read_parquet(contexts / "table.parquet")
    for context in "ABC":
        # as many cells as there are controls are made of every one of them, in order
        scale = np.median(sizes) / sizes[controls.obs["context"] == context]
        cells = upload[(upload.obs["context"] == context) & (upload.obs["target_gene"] == names[0])]
        mean = np.log1p(cells.X.toarray() * scale[:, None]).mean(axis=0)
        step = np.log1p(scale.max()) / len(scale)
        assert np.abs(mean - table.loc[(context, names[0])].to_numpy()).max() <= step / 2 + 1e-5


def test_in_python_step_by_step_it_is_the_same(contexts: Path):
    """Read, make counts, write: what `starter cells` puts into its file."""
    assert cells_2026(contexts, "controls.h5ad", out="command.h5ad").returncode == 0
    due = requirements_of_lists(contexts / "gene_names.csv", contexts / "pert_counts.csv")
    controls, _ = read_controls(contexts / "controls.h5ad")
    table = pd.read_parquet(contexts / "table.parquet")
    write_prediction(contexts / "python.h5ad", make_counts(table, controls, due.n_cells), due.genes)
    ours, of_command = (anndata.read_h5ad(contexts / name) for name in ("python.h5ad", "command.h5ad"))
    assert (ours.X != of_command.X).nnz == 0
    pd.testing.assert_frame_equal(ours.obs, of_command.obs)
    with pytest.raises(InputError, match="there are no control cells of the context C; they are of A, B"):
        make_counts(table, {name: controls[name] for name in "AB"}, due.n_cells)


def test_vcc_prep_accepts_it(contexts: Path, names: list[str]):
    assert cells_2026(contexts, "controls.h5ad", out="pred.h5ad").returncode == 0
    files = {"genes_path": str(contexts / "gene_names.csv"), "perts_path": str(contexts / "pert_counts.csv")}
    result = run_prep(
        input_path=str(contexts / "pred.h5ad"), **files, required_contexts=("A", "B", "C"), expected_gene_dim=None,
        dry_run=True,
    )  # fmt: skip
    assert (result.n_cells, result.normalization, result.reordered_genes) == (
        3 * 100 * len(names),
        "counts-preserved",
        False,
    )


def test_control_cells_in_several_files_are_the_same(contexts: Path):
    cells_2026(contexts, "controls.h5ad", out="one.vcc")
    cells_2026(contexts, "controls_C.h5ad", "controls_A.h5ad", "controls_B.h5ad", out="three.vcc")
    assert sha256(contexts / "one.vcc") == sha256(contexts / "three.vcc")


def test_each_context_is_made_of_its_own_control_cells(contexts: Path, names: list[str]):
    """Ten times the UMIs in the control cells of B: ten times as many in the cells made of them, and nowhere else."""
    controls = anndata.read_h5ad(contexts / "controls.h5ad")
    rows = np.repeat((controls.obs["context"] == "B").to_numpy(), np.diff(controls.X.indptr))
    controls.X.data[rows] *= 10
    controls.write_h5ad(contexts / "controls.h5ad")
    cells_2026(contexts, "controls.h5ad")
    upload = in_upload(contexts / "pred.vcc")
    totals = pd.Series(np.asarray(upload.X.sum(axis=1)).ravel()).groupby(upload.obs["context"].to_numpy()).mean()
    assert totals["B"] > 5 * max(totals["A"], totals["C"])


def lacking(column: str) -> Callable:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        return table.drop(columns=column)

    return change


def with_value(value: float) -> Callable:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        table.iloc[3, 3] = value
        return table

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (with_value(np.nan), "NaN or infinite values in the profile table: 1"),
        (with_value(-1), "negative values in the profile table: 1; expression is never below 0"),
        (with_value(99), "values of the profile that are no mean log1p expression"),
        (lambda table: table.iloc[:, 1:], "the profile table's genes are not those due: missing 1"),
        (lambda table: table.iloc[2:], "the profile table lacks 2 rows due ("),
        (lambda table: table.droplevel("context"), "a profile table is indexed by context and perturbation"),
        (lambda table: pd.concat([table, table]), "rows that occur twice in the profile table"),
        (
            lambda table: pd.concat([table, table.rename(index={"one context": "K562"})]),
            "an upload of season 2025 has one context; the profile table has K562, one context",
        ),
    ],
)
def test_a_table_that_is_wrong_is_refused_and_nothing_changed(folder: Path, change: Callable, said: str):
    (folder / "pred.vcc").write_text("old")
    change(pd.read_parquet(folder / "table.parquet")).to_parquet(folder / "table.parquet")
    before = sorted(folder.iterdir())
    done = made(folder)
    assert done.returncode == 2
    assert said in done.stderr
    assert (folder / "pred.vcc").read_text() == "old"
    assert sorted(folder.iterdir()) == before


def test_files_that_are_wrong(folder: Path, screen: anndata.AnnData):
    def said(*arguments: object) -> str:
        done = run("starter", "cells", *arguments)
        assert done.returncode == 2
        return done.stderr

    table, out = folder / "table.parquet", ("-o", folder / "pred.vcc")
    controls, perts = ("--controls", folder / "train.h5ad"), ("--perts", folder / "pert_counts.csv")
    assert "give a profile table (parquet), or --baseline" in said(*out, *controls, *perts)
    assert "give the file that has them with --controls" in said(table, *out, *perts)
    assert "give the list of the perturbations due and their cells with --perts" in said(table, *out, *controls)
    assert "cannot be read as parquet" in said(folder / "train.h5ad", *out, *controls, *perts)
    assert "No such file" in said(folder / "nothing", *out, *controls, *perts)
    assert "no way 'magic'" in said(table, *out, *controls, *perts, "--way", "magic")
    assert "no season 2027" in said(table, *out, *controls, *perts, "--season", 2027)
    assert "is neither an upload (.vcc) nor a prediction file (.h5ad)" in said(
        table, "-o", folder / "pred.zip", *controls, *perts
    )
    assert "the genes of the control cells are not those due: extra 195" in said(
        table, *out, *controls, *perts, "--genes", perts[1]
    )
    (folder / "names.csv").write_text("\n".join(sorted(set(screen.obs["target_gene"]) - {CONTROL})))
    assert "how many cells are due is not said for" in said(table, *out, *controls, "--perts", folder / "names.csv")
    (folder / "file").touch()
    assert "cannot write" in said(table, "-o", folder / "file" / "x.vcc", *controls, *perts)
    uncontrolled = screen[screen.obs["target_gene"] != CONTROL].copy()
    uncontrolled.write_h5ad(folder / "train.h5ad")
    assert "non-targeting" in said(table, *out, *controls, *perts)
    whole = (folder / "train.h5ad").read_bytes()
    (folder / "train.h5ad").write_bytes(whole[: len(whole) // 2])
    assert "it is truncated" in said(table, *out, *controls, *perts)
    assert not (folder / "pred.vcc").exists()


def test_of_2026_what_does_not_go_together(contexts: Path):
    done = cells_2026(contexts, "controls_A.h5ad", "controls_B.h5ad")
    assert "there are no control cells of context C; those given are of A, B" in done.stderr
    due = ("--counts", contexts / "pert_counts.csv", "--season", 2026, "-o", contexts / "pred.vcc")
    table, controls = contexts / "table.parquet", ("--controls", contexts / "controls.h5ad")
    done = run("starter", "cells", table, *due, *controls, "--way", "shift")
    assert "the way 'shift' makes log1p expression and no counts; ways that make counts are thin" in done.stderr
    done = run("starter", "cells", "--baseline", "replicate", "--train", contexts / "train.h5ad", *due)
    assert "the contexts of season 2026 are not measured" in done.stderr
    assert not (contexts / "pred.vcc").exists()


def test_a_disk_without_room_is_seen_before_any_work(folder: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10**9, 10**9, 10_000))
    monkeypatch.setattr(upload, "writing_h5ad", lambda *_, **__: pytest.fail("began to write"))
    done = made(folder)
    assert done.returncode == 2
    assert "GB free, and this needs" in done.stderr


PROCESS = "import sys; from starter.cli import main; sys.argv = ['starter', *sys.argv[1:]]; main()"


def command(folder: Path) -> list[str]:
    files = ["--controls", "train.h5ad", "--perts", "pert_counts.csv"]
    return [sys.executable, "-c", PROCESS, "cells", "table.parquet", "-o", "pred.vcc", *files]


def test_a_disk_that_fills_up_leaves_nothing(folder: Path):
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))

    before = sorted(folder.iterdir())
    done = subprocess.run(command(folder), cwd=folder, preexec_fn=limit, capture_output=True, text=True, check=False)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: cannot write ")
    assert sorted(folder.iterdir()) == before


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_killed_half_way_it_leaves_nothing_behind(folder: Path, end: signal.Signals):
    (folder / "pred.vcc").write_text("old")
    before = sorted(folder.iterdir())
    counts = [line.split(",")[0] for line in (folder / "pert_counts.csv").read_text().splitlines()[1:]]
    (folder / "pert_counts.csv").write_text("\n".join(["target_gene,n_cells", *(f"{name},15000" for name in counts)]))
    process = subprocess.Popen(command(folder), cwd=folder, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while sorted(folder.iterdir()) == before and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    assert sorted(folder.iterdir()) != before, process.communicate()[1]
    process.send_signal(end)
    process.wait()
    while sorted(folder.iterdir()) != before and time.monotonic() < deadline:
        time.sleep(0.05)  # until the process that tidies up has done so
    assert sorted(folder.iterdir()) == before
    assert (folder / "pred.vcc").read_text() == "old"


def test_the_train_mean(folder: Path, screen: anndata.AnnData, names: list[str]):
    given = ("--train", folder / "train.h5ad", "--perts", folder / "pert_counts.csv")
    done = run("starter", "cells", "--baseline", "train-mean", "-o", folder / "mean.vcc", *given)
    assert (done.returncode, done.stderr) == (0, "")
    made = in_upload(folder / "mean.vcc")
    table = pseudobulk.profiles(screen)
    mean = table[table.index.get_level_values("perturbation") != CONTROL].mean().to_numpy()
    sizes = np.asarray(screen.X.sum(axis=1)).ravel()[screen.obs["target_gene"] == CONTROL]
    for name in names:
        assert_thinned(made[made.obs["target_gene"] == name], mean, np.median(sizes) / sizes)


def test_the_train_mean_of_other_contexts(contexts: Path, screen: anndata.AnnData):
    """Nothing is perturbed in A, B and C: each has its own control profile and the mean training effect."""
    given = ("--train", contexts / "train.h5ad", "--controls", contexts / "controls.h5ad", "--season", 2026)
    done = run(
        "starter", "cells", "--baseline", "train-mean", "-o", contexts / "mean.vcc", *given, "--counts",
        contexts / "pert_counts.csv", "--genes", contexts / "gene_names.csv",
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "nothing was perturbed in B, so it gets the mean effect of one context on top of its own" in done.stdout
    validate_vcc(contexts / "mean.vcc")


def test_a_replicate_is_half_of_the_real_cells(folder: Path, screen: anndata.AnnData):
    given = ("--train", folder / "train.h5ad", "--measured", folder / "other.h5ad")
    done = run("starter", "cells", "--baseline", "replicate", "-o", folder / "replicate.vcc", *given)
    assert (done.returncode, done.stderr) == (0, "")
    half, other = in_upload(folder / "replicate.vcc"), anndata.read_h5ad(folder / "other.h5ad")
    logs, labels = expression(screen).toarray(), screen.obs["target_gene"].astype(str)
    sizes = labels.value_counts()
    assert half.obs["target_gene"].value_counts().to_dict() == {
        label: n if label == CONTROL else n // 2 for label, n in sizes.items()
    }
    label = sizes.index[-1]
    ours = half[half.obs["target_gene"] == label].X.toarray()
    real = logs[labels == label]
    rest = screen[other.obs_names[other.obs["target_gene"] == label]]
    assert len(ours) + rest.n_obs == len(real)
    both = np.vstack([ours, logs[screen.obs_names.isin(rest.obs_names)]])
    np.testing.assert_array_equal(both[np.lexsort(both.T)], real[np.lexsort(real.T)])
    assert (other.X != screen[other.obs_names].X).nnz == 0


def test_the_help_says_what_is_needed():
    done = subprocess.run(
        [sys.executable, "-c", PROCESS, "cells", "--help"], capture_output=True, text=True, check=True,
        env={**os.environ, "COLUMNS": "200", "NO_COLOR": "1"},
    )  # fmt: skip
    for word in ("--controls", "--perts", "--counts", "--season", "--way", "--baseline", "pert_counts.csv", "Example:"):
        assert word in done.stdout
