import re
from dataclasses import replace
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from uploads import in_upload

from starter.data import h5ad
from starter.errors import InputError
from starter.prediction import check, pack
from starter.prediction.check import check_prediction
from starter.prediction.requirements import Requirements
from starter.prediction.season import SEASON_2025
from starter.schema import CONTROL


def errors(path: Path, due: Requirements | None) -> list[str]:
    return [str(finding) for finding in check_prediction(path, due) if finding.level == "error"]


def test_a_good_prediction_has_no_findings(good: Path, due: Requirements):
    assert check_prediction(good, due) == []
    assert check_prediction(good) == []


def write(adata: anndata.AnnData, tmp_path: Path) -> Path:
    adata.write_h5ad(tmp_path / "bad.h5ad")
    return tmp_path / "bad.h5ad"


def test_genes_missing_extra_and_out_of_order(adata: anndata.AnnData, due: Requirements, tmp_path: Path):
    found = errors(write(adata[:, 3:].copy(), tmp_path), due)
    assert found == ["genes missing: 3 (SIM00001, SIM00002, SIM00003); predict every gene"]
    adata.var_names = ["ACTB", *adata.var_names[1:]]
    found = errors(write(adata, tmp_path), due)
    assert found[0].startswith("genes missing: 1 (SIM00001)")
    assert found[1].startswith("genes that are not due: 1 (ACTB)")
    shuffled = anndata.read_h5ad(tmp_path / "bad.h5ad")[:, ::-1].copy()
    shuffled.var_names = list(due.genes)[::-1]
    found = errors(write(shuffled, tmp_path), due)
    assert found == [
        "the genes are those due, but in another order; starter pack reorders them; or index with the genes due"
    ]


def test_genes_that_occur_twice(adata: anndata.AnnData, due: Requirements, tmp_path: Path):
    adata.var_names = ["SIM00002", *adata.var_names[1:]]
    found = errors(write(adata, tmp_path), due)
    assert found[0].startswith("genes occur twice: SIM00002")


def test_perturbations_missing_and_extra_and_the_control(adata: anndata.AnnData, due: Requirements, tmp_path: Path):
    names = sorted(due.n_cells)
    labels = adata.obs["target_gene"].astype(str).replace({names[0]: "STAT1", CONTROL: "ctrl"})
    adata.obs["target_gene"] = labels.astype("category")
    found = errors(write(adata, tmp_path), due)
    assert found == [
        "no cell is labelled 'non-targeting'; add the control cells as they are (starter pack --controls FILE does), "
        "or give the name they have with --ntc-name",
        f"perturbations missing: 1 ({names[0]}); predict all of them",
        "perturbations that are not due: 2 (STAT1, ctrl); leave them out",
        f"'ctrl' ({(labels == 'ctrl').sum():,} cells) looks like the control, whose label is 'non-targeting'; "
        "adata.obs['target_gene'] = "
        "adata.obs['target_gene'].astype(str).replace({'ctrl': 'non-targeting'}).astype('category')",
    ]


def test_a_wrong_column(adata: anndata.AnnData, due: Requirements, tmp_path: Path):
    adata.obs = adata.obs.rename(columns={"target_gene": "gene"})
    found = errors(write(adata, tmp_path), due)
    assert found == [
        "obs has no column 'target_gene'; its columns are gene; name the column of perturbations 'target_gene', "
        "or give its name with --pert-col"
    ]


def test_cells_per_perturbation(adata: anndata.AnnData, due: Requirements, tmp_path: Path):
    name = sorted(due.n_cells)[0]
    of_name = np.flatnonzero(adata.obs["target_gene"] == name)
    findings = check_prediction(write(adata[np.delete(np.arange(adata.n_obs), of_name[4:])].copy(), tmp_path), due)
    measured = f"perturbations with another number of cells than measured: 1 ({name} has 4, measured {len(of_name)})"
    assert [(finding.level, finding.what) for finding in findings] == [
        ("note", measured),
        ("warning", f"perturbations with fewer than 10 cells: 1 ({name} has 4)"),
    ]


def test_nan_inf_and_negative_are_all_reported(adata: anndata.AnnData, due: Requirements, tmp_path: Path):
    adata.X.data[:3] = [np.nan, np.inf, -1]
    found = errors(write(adata, tmp_path), due)
    assert found[0].startswith("NaN in X: 1; infinite values: 1; write finite numbers")
    assert found[1].startswith("negative values in X: 1 (lowest -1); expression is never below 0")


def test_counts_are_told_from_logs_and_it_says_how(adata: anndata.AnnData, due: Requirements, tmp_path: Path):
    adata.X.data = np.rint(np.expm1(adata.X.data)).astype(np.float32)
    found = errors(write(adata, tmp_path), due)
    assert len(found) == 1
    assert found[0].startswith("X looks like counts: all ")
    assert "stored values are whole numbers" in found[0]
    assert "on a screen of few genes is another quantity" in found[0]


def test_scaled_counts_without_log(adata: anndata.AnnData, due: Requirements, tmp_path: Path):
    adata.X.data = np.expm1(adata.X.data)
    found = errors(write(adata, tmp_path), due)
    assert found[0].startswith("X holds fractions and values up to")
    assert found[0].endswith("take log1p once, of counts scaled to target_sum")


def test_another_target_sum_is_estimated(adata: anndata.AnnData, due: Requirements, tmp_path: Path):
    adata.X.data = np.log1p(np.expm1(adata.X.data) * 1e4 / due.target_sum)
    found = errors(write(adata, tmp_path), due)
    assert len(found) == 1
    assert f"they look scaled to target_sum 10,000, not {due.target_sum:,.0f}" in found[0]


def test_what_is_not_scored_is_noted(adata: anndata.AnnData, due: Requirements, tmp_path: Path):
    adata.obs["batch"] = "a"
    adata.layers["counts"] = adata.X.copy()
    findings = check_prediction(write(adata, tmp_path), due)
    assert [str(finding) for finding in findings] == [
        "obs.batch, layers will not be scored; starter pack leaves them out"
    ]


def test_everything_is_reported_at_once(adata: anndata.AnnData, due: Requirements, tmp_path: Path):
    adata = adata[adata.obs["target_gene"] != CONTROL, 1:].copy()
    adata.X.data[0] = np.nan
    found = errors(write(adata, tmp_path), due)
    assert [message.split(";")[0] for message in found] == [
        "genes missing: 1 (SIM00001)",
        "no cell is labelled 'non-targeting'",
        "NaN in X: 1",
    ]


@pytest.mark.parametrize("factor", [1.04, 0.96, 5])
def test_a_slightly_other_target_sum_is_found_too(
    adata: anndata.AnnData, due: Requirements, tmp_path: Path, factor: float
):
    adata.X.data = np.log1p(np.expm1(adata.X.data) * factor)
    found = errors(write(adata, tmp_path), due)
    assert len(found) == 1
    said = float(re.search(r"they look scaled to target_sum ([\d,]+),", found[0])[1].replace(",", ""))
    assert said == pytest.approx(due.target_sum * factor, rel=1e-4)


def test_a_sample_of_the_courses_controls_is_fine(adata: anndata.AnnData, due: Requirements, tmp_path: Path):
    control = np.flatnonzero(adata.obs["target_gene"] == CONTROL)
    shallow = control[np.argsort(np.asarray(adata.X[control].sum(axis=1)).ravel())[:30]]
    kept = np.setdiff1d(np.arange(adata.n_obs), np.setdiff1d(control, shallow))
    assert errors(write(adata[kept].copy(), tmp_path), due) == []


def test_nothing_but_zeros(adata: anndata.AnnData, due: Requirements, tmp_path: Path):
    empty = anndata.AnnData(scipy.sparse.csr_matrix(adata.shape, dtype=np.float32), adata.obs, adata.var)
    assert errors(write(empty, tmp_path), due)[-1] == "X holds no value other than 0; write the predicted expression"


def test_a_perturbation_of_empty_cells(adata: anndata.AnnData, due: Requirements, tmp_path: Path):
    name = sorted(due.n_cells)[0]
    x = adata.X.tolil()
    x[np.flatnonzero(adata.obs["target_gene"] == name)] = 0
    found = errors(write(anndata.AnnData(x.tocsr(), adata.obs, adata.var), tmp_path), due)
    assert found == [f"labels with empty cells only: 1 ({name}); write the predicted expression of each"]


def test_too_many_cells(adata: anndata.AnnData, due: Requirements, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(check, "SEASON_2025", replace(SEASON_2025, max_cells=100))
    adata.X.data[0] = np.nan
    found = errors(write(adata, tmp_path), due)
    said = f"it has {adata.n_obs} cells; the limit is 100; write fewer cells of each label"
    assert found[0] == said
    assert found[1].startswith("NaN in X: 1")


@pytest.mark.parametrize("kind", ["csc", "dense", "float64", "float16"])
def test_other_layouts_are_checked_too(adata: anndata.AnnData, due: Requirements, tmp_path: Path, kind: str):
    x = {
        "csc": adata.X.tocsc(),
        "dense": adata.X.toarray(),
        "float64": adata.X.astype(np.float64),
        "float16": adata.X.toarray().astype(np.float16),
    }[kind]
    path = write(anndata.AnnData(x, adata.obs, adata.var), tmp_path)
    assert errors(path, due) == []
    pack.pack(path, tmp_path / "x.vcc", due)
    assert in_upload(tmp_path / "x.vcc").X.dtype == np.float32


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "it is empty; download or write it again"),
        (b"\x1f\x8b12", "it is compressed with gzip; unpack it with: gunzip x.vcc"),
        (b"PK\x03\x04", "it is a zip archive; unpack it with: unzip x.vcc, and give the file in it"),
        (b"PAR1", "it is a profile table (parquet); starter.prediction.cells makes cells of it"),
        (b"abc", "it starts with b'abc'; download or write it again"),
    ],
)
def test_a_foreign_file(tmp_path: Path, content: bytes, kind: str):
    path = tmp_path / "x.vcc"
    path.write_bytes(content)
    assert errors(path, None) == [f"it is neither an .h5ad (HDF5) nor a .vcc (tar): {kind}"]


def test_a_missing_file(tmp_path: Path):
    with pytest.raises(InputError, match="cannot read .*x.vcc: No such file"):
        check_prediction(tmp_path / "x.vcc")


def test_a_truncated_prediction(good: Path, tmp_path: Path):
    path = tmp_path / "x.h5ad"
    path.write_bytes(good.read_bytes()[:-1000])
    assert errors(path, None) == [f"{path} cannot be read: it is truncated; download or write it again"]


@pytest.mark.parametrize(
    ("transform", "level", "said"),
    [
        (lambda logs: logs, "note", "the 30 control cells look scaled to target_sum 5,000"),
        (np.log1p, "error", "30 of 30 control cells looked at hold log1p taken twice"),
        (
            lambda logs: logs * np.linspace(0.9, 1.1, len(logs)),
            "warning",
            "so they were not scaled to",
        ),
    ],
)
def test_a_whole_transcriptomes_scale_is_judged_without_a_course(
    tmp_path: Path, transform: object, level: str, said: str
):
    rng = np.random.default_rng(0)
    counts = rng.poisson(rng.gamma(0.3, 1.0, 12_000) * rng.uniform(0.5, 2, (60, 1))).astype(np.float32)
    x = scipy.sparse.csr_matrix(np.log1p(counts * 5_000 / counts.sum(axis=1, keepdims=True)))
    x.data = transform(x.data)
    genes = [f"G{i}" for i in range(12_000)]
    obs = pd.DataFrame({"target_gene": [CONTROL] * 30 + ["G1"] * 30}, index=[f"c{i}" for i in range(60)])
    anndata.AnnData(x, obs, pd.DataFrame(index=genes)).write_h5ad(tmp_path / "p.h5ad")
    findings = check_prediction(tmp_path / "p.h5ad", Requirements(tuple(genes), {"G1": None}))
    assert level in {finding.level for finding in findings}
    assert any(said in finding.what for finding in findings)


def test_without_controls_of_the_course_a_small_panels_scale_is_not_judged(good: Path, due: Requirements):
    findings = check_prediction(good, Requirements(due.genes, due.n_cells))
    assert [str(finding) for finding in findings] == [
        "the target_sum was not judged; that needs the control cells: give --course or --truth"
    ]


def test_a_matrix_that_claims_more_values_than_it_can_have(good: Path, tmp_path: Path):
    path = tmp_path / "x.h5ad"
    path.write_bytes(good.read_bytes())
    with h5py.File(path, "r+") as file:
        del file["X"]["data"]
        file["X"].create_dataset("data", (10**10,), np.float32, chunks=(1 << 20,), compression="gzip")
    assert path.stat().st_size < 2 * good.stat().st_size
    found = errors(path, None)
    assert len(found) == 1
    assert found[0].startswith("X stores 10,000,000,000 values for ")


def test_entries_stored_twice_are_refused(good: Path, due: Requirements, tmp_path: Path):
    path = tmp_path / "x.h5ad"
    path.write_bytes(good.read_bytes())
    with h5py.File(path, "r+") as file:
        file["X"]["indices"][1] = file["X"]["indices"][0]
    found = errors(path, due)
    assert len(found) == 1
    assert found[0].startswith("X stores entries of one cell and gene more than once; call X.sum_duplicates()")


@pytest.mark.parametrize("shape", [(10, 200), (5, 7)])
def test_a_matrix_whose_shape_is_not_its_tables(good: Path, tmp_path: Path, shape: tuple[int, int]):
    path = tmp_path / "x.h5ad"
    path.write_bytes(good.read_bytes())
    with h5py.File(path, "r+") as file:
        file["X"].attrs["shape"] = shape
    found = errors(path, None)
    assert found[0].startswith(f"X is {shape[0]} x {shape[1]}, and obs and var describe")


def test_more_columns_than_memory_can_turn_around(
    adata: anndata.AnnData, due: Requirements, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(h5ad, "MAX_CSC", 1000)
    path = write(anndata.AnnData(adata.X.tocsc(), adata.obs, adata.var), tmp_path)
    assert errors(path, due) == [
        f"X is stored by genes (CSC) with {adata.X.nnz:,} values, too many to turn around in memory; "
        "store it by cells: X.tocsr()"
    ]


def test_zeros_that_are_stored_do_not_fill_a_cell(adata: anndata.AnnData, due: Requirements, tmp_path: Path):
    name = sorted(due.n_cells)[0]
    rows = np.repeat(adata.obs["target_gene"].to_numpy() == name, np.diff(adata.X.indptr))
    adata.X.data[rows] = 0
    found = errors(write(adata, tmp_path), due)
    assert found == [f"labels with empty cells only: 1 ({name}); write the predicted expression of each"]


def test_text_instead_of_numbers(good: Path, tmp_path: Path):
    path = tmp_path / "x.h5ad"
    path.write_bytes(good.read_bytes())
    with h5py.File(path, "r+") as file:
        size = file["X"]["data"].size
        del file["X"]["data"]
        file["X"].create_dataset("data", data=np.full(size, b"1"))
    assert errors(path, None) == ["X holds |S1, not numbers; write numbers"]
