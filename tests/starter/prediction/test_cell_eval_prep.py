"""Season 2025 beside `cell-eval prep` 0.8.2, run live: what it takes and writes, `starter pack` does too."""

import argparse
import io
import re
import tarfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import zstandard
from cell_eval._cli import _prep
from commands import run

from starter.data.preprocess import log_expression
from starter.errors import FindingsError, InputError
from starter.prediction.check import check_prediction
from starter.prediction.content import Naming
from starter.prediction.pack import pack
from starter.prediction.requirements import Requirements, requirements_of_lists
from starter.prediction.season import SEASON_2025
from starter.schema import CONTROL

GENES = [f"G{i:02}" for i in range(30)]
LABELS = [CONTROL] * 40 + ["G00"] * 15 + ["G01"] * 15


@pytest.fixture
def counts() -> anndata.AnnData:
    """A prediction without fault, but that it holds counts."""
    x = np.random.default_rng(0).poisson(np.linspace(0.1, 9, 30), (70, 30)).astype(np.float32)
    obs = pd.DataFrame({"target_gene": LABELS}, index=[f"cell{i}" for i in range(70)])
    return anndata.AnnData(scipy.sparse.csr_matrix(x), obs, pd.DataFrame(index=GENES))


@pytest.fixture
def logs(counts: anndata.AnnData) -> anndata.AnnData:
    counts.X = log_expression(counts.X, counts.X.sum(axis=1).A1, 200)
    return counts


@pytest.fixture
def lists(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "gene_names.csv").write_text("\n".join(GENES))
    (tmp_path / "perts.csv").write_text("G00\nG01\n")
    return tmp_path / "gene_names.csv", tmp_path / "perts.csv"


@pytest.fixture
def due(lists: tuple[Path, Path]) -> Requirements:
    return requirements_of_lists(*lists)


def write(adata: anndata.AnnData, folder: Path, name: str = "pred.h5ad") -> Path:
    adata.write_h5ad(folder / name)
    return folder / name


def prep(path: Path, *options: object) -> Path:
    """Run the challenge's own tool (it needs the programs zstd and tar)."""
    parser = argparse.ArgumentParser()
    _prep.parse_args_prep(parser)
    out = path.with_name("theirs.vcc")
    out.unlink(missing_ok=True)
    command = ["-i", path, "-g", path.with_name("gene_names.csv"), "-o", out, *options]
    _prep.run_prep(parser.parse_args([str(part) for part in command]))
    return out


def inside(path: Path) -> tuple[list[str], bytes, dict[str, tuple]]:
    """Give the names in an archive, its watermark, and what its `.h5ad` holds: shape, type and attributes by name."""
    with tarfile.open(path, "r:") as archive:
        names = archive.getnames()
        watermark = archive.extractfile("watermark.txt").read()
        packed = archive.extractfile("pred.h5ad.zst").read()
    assert zstandard.get_frame_parameters(packed).has_checksum
    elements = {}
    with h5py.File(io.BytesIO(zstandard.ZstdDecompressor().decompress(packed))) as file:

        def note(name: str, element: h5py.Group | h5py.Dataset) -> None:
            stored = element[()] if isinstance(element, h5py.Dataset) and element.shape is not None else None
            attributes = {key: np.asarray(value).tolist() for key, value in element.attrs.items()}
            elements[name] = (getattr(element, "dtype", None), attributes, np.asarray(stored).tolist())

        file.visititems(note)
    return names, watermark, elements


def assert_same(ours: Path, theirs: Path) -> None:
    assert inside(ours) == inside(theirs)


KINDS: dict[str, Callable] = {
    "float32": lambda x: x,
    "dense": lambda x: x.toarray(),
    "dense float64": lambda x: x.toarray().astype(np.float64),
    "float64": lambda x: x.astype(np.float64),
    "by columns of memory": lambda x: np.asfortranarray(x.toarray()),
}


@pytest.mark.parametrize("kind", [*KINDS, "dense float16"])
def test_logs_become_what_prep_makes_of_them(
    logs: anndata.AnnData, due: Requirements, lists: object, tmp_path: Path, kind: str
):
    kinds = {**KINDS, "dense float16": lambda x: x.toarray().astype(np.float16)}
    path = write(anndata.AnnData(kinds[kind](logs.X), logs.obs, logs.var), tmp_path)
    assert [finding for finding in pack(path, tmp_path / "ours.vcc", due) if finding.level != "note"] == []
    assert_same(tmp_path / "ours.vcc", prep(path))


@pytest.mark.parametrize("kind", [*KINDS, "int64", "dense uint8", "int32 with an empty cell", "near whole numbers"])
def test_counts_become_what_prep_makes_of_them(
    counts: anndata.AnnData, due: Requirements, lists: object, tmp_path: Path, kind: str
):
    def with_empty(x: scipy.sparse.csr_matrix) -> scipy.sparse.csr_matrix:
        return scipy.sparse.vstack([x[:41], x[41:42] * 0, x[42:]], format="csr").astype(np.int32)

    def near(x: scipy.sparse.csr_matrix) -> scipy.sparse.csr_matrix:
        x.data += np.random.default_rng(1).uniform(0, 9e-4, x.nnz).astype(np.float32)
        return x

    kinds = {
        **KINDS,
        "int64": lambda x: x.astype(np.int64),
        "dense uint8": lambda x: x.toarray().astype(np.uint8),
        "int32 with an empty cell": with_empty,
        "near whole numbers": near,
    }
    x = kinds[kind](counts.X)
    if scipy.sparse.issparse(x):
        x.eliminate_zeros()
    path = write(anndata.AnnData(x, counts.obs, counts.var), tmp_path)
    findings = pack(path, tmp_path / "ours.vcc", due, normalise=True)
    median = np.median(np.asarray(x.sum(axis=1), np.float32))
    said = f"counts were scaled to their median total, {median:,.10g}, then log1p"
    assert [(finding.level, finding.what) for finding in findings][-1] == ("note", said)
    assert_same(tmp_path / "ours.vcc", prep(path))


def test_genes_out_of_order_and_what_is_left_out(
    counts: anndata.AnnData, due: Requirements, lists: object, tmp_path: Path
):
    shuffled = counts[:, np.random.default_rng(0).permutation(30)].copy()
    shuffled.var["symbol"] = "x"
    shuffled.obs["batch"] = 1
    shuffled.layers["raw"] = shuffled.X.copy()
    shuffled.uns["colours"] = ["a"]
    path = write(shuffled, tmp_path)
    findings = pack(path, tmp_path / "ours.vcc", due, normalise=True)
    assert "obs.batch, var.symbol, layers will not be scored" in str(findings)
    assert_same(tmp_path / "ours.vcc", prep(path))


def test_a_matrix_by_genes_has_the_same_values(logs: anndata.AnnData, due: Requirements, lists: object, tmp_path: Path):
    """prep leaves CSC as it is; an upload of ours is CSR."""
    from uploads import in_upload

    path = write(anndata.AnnData(logs.X.tocsc(), logs.obs, logs.var), tmp_path)
    pack(path, tmp_path / "ours.vcc", due)
    ours, theirs = in_upload(tmp_path / "ours.vcc"), in_upload(prep(path))
    assert (ours.X != theirs.X).nnz == 0
    assert ours.X.dtype == theirs.X.dtype == np.float32


def test_other_names_become_those_that_the_scorer_looks_for(
    logs: anndata.AnnData, due: Requirements, lists: object, tmp_path: Path
):
    """prep renames the column and leaves the label of the controls, which the challenge's scorer then misses."""
    expected = prep(write(logs, tmp_path))
    other = logs.copy()
    other.obs["gene"] = other.obs["target_gene"].astype(str).replace(CONTROL, "ctrl")
    other.obs["target_gene"] = "something else"
    path = write(other, tmp_path, "other.h5ad")
    naming = Naming("gene", "ctrl")
    assert [finding for finding in check_prediction(path, due, naming=naming) if finding.level == "error"] == []
    findings = pack(path, tmp_path / "ours.vcc", due, naming=naming)
    assert "obs.target_gene will not be scored" in str(findings)
    assert_same(tmp_path / "ours.vcc", expected)
    theirs = inside(prep(path, "-p", "gene", "-n", "ctrl"))[2]
    assert theirs["obs/target_gene/categories"][2] == [b"G00", b"G01", b"ctrl"]
    assert theirs["X/data"] == inside(expected)[2]["X/data"]


@pytest.mark.parametrize(
    ("naming", "said"),
    [
        (Naming("gen"), r"has no column 'gen' \(--pert-col\); its columns are target_gene, batch"),
        (Naming(control="ctrl"), r"is labelled 'ctrl' \(--ntc-name\); its labels are G00, G01, non-targeting"),
        (Naming("batch", "G00"), r"no cell of .* is labelled 'G00' \(--ntc-name\); its labels are 1"),
        (Naming(control="G00"), "are labelled 'G00' .* and others 'non-targeting'; keep one name"),
    ],
)
def test_names_that_are_not_there(
    logs: anndata.AnnData, due: Requirements, lists: object, tmp_path: Path, naming: Naming, said: str
):
    logs.obs["batch"] = "1"
    path = write(logs, tmp_path)
    with pytest.raises(InputError, match=said):
        pack(path, tmp_path / "ours.vcc", due, naming=naming)
    (found,) = [finding for finding in check_prediction(path, due, naming=naming) if finding.level == "error"]
    assert re.search(said, str(found))
    assert not (tmp_path / "ours.vcc").exists()


def bad(adata: anndata.AnnData, how: str) -> anndata.AnnData:
    if how == "no control":
        adata.obs["target_gene"] = adata.obs["target_gene"].astype(str).replace(CONTROL, "ctrl")
    elif how == "no column":
        adata.obs = adata.obs.rename(columns={"target_gene": "gene"})
    elif how == "a gene too few":
        adata = adata[:, 1:].copy()
    elif how == "a gene too many":
        adata.var_names = ["ACTB", *adata.var_names[1:]]
    elif how == "a gene twice":
        adata = adata[:, [0, *range(30)]].copy()
    elif how == "a negative value":
        adata.X.data[3] = -1
    elif how == "expression without log":
        adata.X.data = np.expm1(adata.X.data)
    elif how == "infinite":
        adata.X.data[3] = np.inf
    return adata


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("no control", "no cell is labelled 'non-targeting'; .*--controls FILE.*--ntc-name"),
        ("no column", "obs has no column 'target_gene'; its columns are gene; .*--pert-col"),
        ("a gene too few", r"genes missing: 1 \(G00\); predict every gene"),
        ("a gene too many", r"genes that are not due: 1 \(ACTB\); leave them out"),
        ("a gene twice", "genes occur twice: G00; each gene is one column"),
        ("a negative value", r"negative values in X: 1 \(lowest -1\); .*clip there"),
        ("expression without log", "X holds fractions and values up to .*take log1p once"),
        ("infinite", "infinite values: 1; write finite numbers"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*not unique")
def test_what_prep_refuses_is_refused_with_a_reason(
    logs: anndata.AnnData, due: Requirements, lists: object, tmp_path: Path, how: str, said: str
):
    path = write(bad(logs, how), tmp_path)
    with pytest.raises((ValueError, pd.errors.InvalidIndexError)):
        prep(path)
    (tmp_path / "ours.vcc").write_text("as it was")
    for normalise in (False, True):
        with pytest.raises(FindingsError, match=said):
            pack(path, tmp_path / "ours.vcc", due, normalise=normalise)
    assert re.search(said, " ".join(map(str, check_prediction(path, due))))
    assert (tmp_path / "ours.vcc").read_text() == "as it was"
    assert not [entry for entry in tmp_path.iterdir() if "ours" in entry.name and entry.name != "ours.vcc"]


@pytest.mark.parametrize("value", [np.nan, -3])
def test_what_prep_lets_pass_and_scoring_refuses(
    logs: anndata.AnnData, counts: anndata.AnnData, due: Requirements, lists: object, tmp_path: Path, value: float
):
    """prep takes a NaN among logs and negative counts; `cell-eval run` stops at the first and misjudges the second."""
    if value < 0:
        logs.X.data = np.rint(np.expm1(logs.X.data))
    logs.X.data[0] = value
    path = write(logs, tmp_path)
    prep(path)
    with pytest.raises(FindingsError, match="NaN in X: 1|negative values in X: 1"):
        pack(path, tmp_path / "ours.vcc", due, normalise=True)


def many(n_cells: int, tmp_path: Path) -> Path:
    x = scipy.sparse.csr_matrix(np.full((n_cells, 1), 1.5, np.float32), shape=(n_cells, 30))
    labels = pd.Categorical.from_codes(np.arange(n_cells) % 3, [CONTROL, "G00", "G01"])
    obs = pd.DataFrame({"target_gene": labels}, index=pd.RangeIndex(n_cells).astype(str))
    return write(anndata.AnnData(x, obs, pd.DataFrame(index=GENES)), tmp_path)


@pytest.mark.slow
def test_as_many_cells_as_prep_takes(lists: object, due: Requirements, tmp_path: Path):
    path = many(200_000, tmp_path)
    findings = pack(path, tmp_path / "ours.vcc", due)
    assert "200,000 cells, more than the 100,000 that cell-eval prep took up to version 0.6.2" in str(findings)
    assert [finding for finding in check_prediction(tmp_path / "ours.vcc", due) if finding.level == "error"] == []
    assert inside(tmp_path / "ours.vcc")[2]["X/data"] == inside(prep(path))[2]["X/data"]


@pytest.mark.slow
def test_a_cell_more_than_prep_takes(lists: object, due: Requirements, tmp_path: Path):
    path = many(200_001, tmp_path)
    with pytest.raises(ValueError, match="200001 exceeds maximum cell dimension: 200000"):
        prep(path)
    with pytest.raises(FindingsError, match="it has 200,001 cells; the limit is 200,000; write fewer cells"):
        pack(path, tmp_path / "ours.vcc", due)


def test_a_course_stays_with_its_own_limit_and_its_own_scale(
    counts: anndata.AnnData, due: Requirements, tmp_path: Path
):
    of_course = replace(due, of_course=True, target_sum=200.0)
    assert SEASON_2025.max_cells == _prep.MAX_CELL_DIM == 200_000
    with pytest.raises(FindingsError, match="it has 100,001 cells; the limit is 100,000"):
        pack(many(100_001, tmp_path), tmp_path / "ours.vcc", of_course)
    path = write(counts, tmp_path)
    with pytest.raises(InputError, match="a course has its own target_sum; leave it out, and write log1p"):
        pack(path, tmp_path / "ours.vcc", of_course, normalise=True)
    with pytest.raises(FindingsError, match="X looks like counts: all .* write log1p.* target_sum, 200"):
        pack(path, tmp_path / "ours.vcc", of_course)


def test_counts_are_normalised_only_when_asked(counts: anndata.AnnData, due: Requirements, tmp_path: Path):
    path = write(counts, tmp_path)
    (found,) = check_prediction(path, due)
    assert (found.level, found.way_out) == (
        "warning",
        "starter pack --normalise does the same now, as cell-eval prep does",
    )
    with pytest.raises(FindingsError, match="has 1 fault:\n  - X holds counts; give --normalise, which scales them"):
        pack(path, tmp_path / "ours.vcc", due)


def test_a_median_that_is_not_the_truths_target_sum_is_said(counts: anndata.AnnData, due: Requirements, tmp_path: Path):
    path, median = write(counts, tmp_path), float(np.median(counts.X.sum(axis=1).A1))
    for target_sum, said in ((1.01 * median, "note"), (2 * median, "warning")):
        findings = pack(path, tmp_path / "ours.vcc", replace(due, target_sum=target_sum), normalise=True)
        assert findings[-1].level == said
    assert findings[-1].what.startswith(f"the truth's target_sum is {2 * median:,.10g}, so that the upload")


def test_logs_have_nothing_to_normalise(logs: anndata.AnnData, lists: object, due: Requirements, tmp_path: Path):
    path = write(logs, tmp_path)
    findings = pack(path, tmp_path / "ours.vcc", due, normalise=True)
    assert findings[-1].what == "X is log1p expression already, so nothing was normalised"
    assert_same(tmp_path / "ours.vcc", prep(path))


def test_cells_of_zeros_have_no_median(counts: anndata.AnnData, due: Requirements, tmp_path: Path):
    counts.X = scipy.sparse.vstack([counts.X[:10], 0 * counts.X[10:]], format="csr")
    with pytest.raises(InputError, match="half of the cells hold no count, so there is no median total"):
        pack(write(counts, tmp_path), tmp_path / "ours.vcc", due, normalise=True)


def split_off(adata: anndata.AnnData) -> tuple[anndata.AnnData, anndata.AnnData]:
    """Give a prediction without controls, and a screen that has them among others, its genes in another order."""
    control = (adata.obs["target_gene"] == CONTROL).to_numpy()
    screen = anndata.concat([adata[~control][:5], adata[control]])
    return adata[~control].copy(), screen[:, ::-1].copy()


def test_controls_are_added_behind_the_prediction(
    counts: anndata.AnnData, lists: object, due: Requirements, tmp_path: Path
):
    """prep of both files joined is the measure."""
    predicted, screen = split_off(counts)
    path, controls = write(predicted, tmp_path), write(screen, tmp_path, "screen.h5ad")
    findings = pack(path, tmp_path / "ours.vcc", due, controls=controls, normalise=True)
    assert "control cells added from screen.h5ad: 40" in str(findings)
    control = counts.obs["target_gene"] == CONTROL
    joined = anndata.concat([counts[~control], counts[control]])
    assert_same(tmp_path / "ours.vcc", prep(write(joined, tmp_path, "joined.h5ad")))


def test_controls_in_counts_are_brought_to_logs_beside_logs(
    counts: anndata.AnnData, lists: object, due: Requirements, tmp_path: Path
):
    """log1p(target_sum x count / n_umis), target_sum being their median n_umis, or what the screen says."""
    predicted, screen = split_off(counts)
    predicted.X = log_expression(predicted.X, predicted.X.sum(axis=1).A1, 200)
    screen.obs["n_umis"] = np.asarray(screen.X.sum(axis=1)).ravel() * 2 + np.arange(screen.n_obs)
    path = write(predicted, tmp_path)
    controls = screen[screen.obs["target_gene"] == CONTROL, GENES]
    n_umis = controls.obs["n_umis"].to_numpy(float)
    for target_sum in (None, 200.0):
        if target_sum:
            screen.uns["course"] = {"target_sum": target_sum}
        findings = pack(path, tmp_path / "ours.vcc", due, controls=write(screen, tmp_path, "screen.h5ad"))
        target = target_sum or np.median(n_umis)
        assert f"they were counts, and became log1p({target:,.0f} x count / n), n being its n_umis" in str(findings)
        data = np.log1p(controls.X.toarray() * target / n_umis[:, None])
        rows = scipy.sparse.vstack([predicted.X, scipy.sparse.csr_matrix(data.astype(np.float32))])
        obs = pd.DataFrame({"target_gene": [*predicted.obs["target_gene"], *[CONTROL] * 40]}, index=map(str, range(70)))
        theirs = inside(prep(write(anndata.AnnData(rows.tocsr(), obs, predicted.var), tmp_path, "joined.h5ad")))[2]
        ours = inside(tmp_path / "ours.vcc")[2]
        np.testing.assert_allclose(ours.pop("X/data")[2], theirs.pop("X/data")[2], rtol=1e-6)
        assert ours == theirs


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("own", "the prediction has 40 control cells of its own; leave out --controls, or these cells"),
        ("none", r"no cell of .*screen.h5ad is labelled 'non-targeting' in obs.target_gene; name a file with"),
        ("no column", r"no cell of .*screen.h5ad is labelled 'non-targeting' in obs.target_gene"),
        ("genes", r"the genes of .*screen.h5ad are not the prediction's: missing 1 \(G00\), extra 1 \(ACTB\); give"),
        ("logs", r"the prediction holds counts, and .*screen.h5ad log1p expression; give counts of the control"),
        ("truncated", r"screen.h5ad cannot be read: it is truncated; download or write it again"),
        ("missing", "cannot read .*screen.h5ad: No such file"),
        ("NaN", "NaN in X: 1"),
    ],
)
def test_controls_that_cannot_be_added(counts: anndata.AnnData, due: Requirements, tmp_path: Path, how: str, said: str):
    predicted, screen = split_off(counts)
    if how == "none":
        screen = screen[screen.obs["target_gene"] != CONTROL].copy()
    if how == "no column":
        del screen.obs["target_gene"]
    if how == "genes":
        screen.var_names = [*GENES[:0:-1], "ACTB"]
    if how == "logs":
        screen.X.data = np.log1p(screen.X.data)
    if how == "NaN":
        screen.X.data[-1] = np.nan
    path, controls = write(counts if how == "own" else predicted, tmp_path), write(screen, tmp_path, "screen.h5ad")
    if how == "truncated":
        controls.write_bytes(controls.read_bytes()[:-100])
    if how == "missing":
        controls.unlink()
    with pytest.raises(InputError, match=said):
        pack(path, tmp_path / "ours.vcc", due, controls=controls, normalise=True)
    assert not [entry for entry in tmp_path.iterdir() if "ours" in entry.name]


def test_controls_and_scale_are_no_matter_of_2026(counts: anndata.AnnData, tmp_path: Path):
    path = write(counts, tmp_path)
    with pytest.raises(InputError, match="an upload of season 2026 holds raw counts; leave out --normalise"):
        pack(path, tmp_path / "ours.vcc", year=2026, normalise=True)
    with pytest.raises(InputError, match="an upload of season 2026 holds no control cells; leave out --controls"):
        pack(path, tmp_path / "ours.vcc", year=2026, controls=path)


def test_an_upload_never_replaces_the_controls(counts: anndata.AnnData, tmp_path: Path):
    path = write(counts, tmp_path)
    (tmp_path / "controls.vcc").write_bytes(path.read_bytes())
    with pytest.raises(InputError, match="an upload is named like prediction.vcc"):
        pack(path, tmp_path / "controls.vcc", controls=tmp_path / "controls.vcc")


def test_the_command(counts: anndata.AnnData, lists: tuple[Path, Path], tmp_path: Path):
    predicted, screen = split_off(counts)
    predicted.obs["gene"] = predicted.obs.pop("target_gene")
    screen.obs["gene"] = screen.obs.pop("target_gene").astype(str).replace(CONTROL, "ctrl")
    path, controls = write(predicted, tmp_path), write(screen, tmp_path, "screen.h5ad")
    due = ("--genes", lists[0], "--perts", lists[1])
    options = ("--pert-col", "gene", "--ntc-name", "ctrl", "--controls", controls, "--normalise")
    done = run("starter", "pack", path, "-o", tmp_path / "ours.vcc", *due, *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert "note: control cells added from screen.h5ad: 40" in done.stdout
    done = run("starter", "check", tmp_path / "ours.vcc", *due)
    assert (done.returncode, done.stderr) == (0, "")
    done = run("starter", "check", path, *due, "--pert-col", "gene", "--ntc-name", "ctrl")
    assert "is labelled 'ctrl' (--ntc-name)" in done.stdout
    assert done.returncode == 2
