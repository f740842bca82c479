import io
import re
import subprocess
import sys
import tarfile
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
import zstandard

from starter import cells, dataset, pseudobulk, submission, submission_check, vcc
from starter.dataset import open_course
from starter.due import Due, due_in_course, due_in_lists
from starter.files import sha256
from starter.schema import CONTROL, FindingsError, InputError
from starter.submission_check import check_prediction


@pytest.fixture(scope="session")
def due(released) -> Due:
    return due_in_course(released.public_folder)


@pytest.fixture(scope="session")
def good(released, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A prediction without fault: the mean of the training profiles for every hidden perturbation."""
    course = open_course(released.public_folder)
    train, n_cells = course.train(), course.split().n_cells("hidden")
    profiles = pseudobulk.profiles(train)
    index = pd.MultiIndex.from_product([["one context"], list(n_cells)], names=pseudobulk.PAIR)
    table = pd.DataFrame([profiles.mean()] * len(index), index=index)
    path = tmp_path_factory.mktemp("good") / "good.h5ad"
    submission.write_prediction(path, cells.make_cells(table, cells.controls_of(train), n_cells), train.var_names)
    return path


@pytest.fixture
def adata(good: Path) -> anndata.AnnData:
    return anndata.read_h5ad(good)


def errors(path: Path, due: Due | None) -> list[str]:
    return [str(finding) for finding in check_prediction(path, due) if finding.level == "error"]


def test_a_good_prediction_has_no_findings(good: Path, due: Due):
    assert check_prediction(good, due) == []
    assert check_prediction(good) == []


def write(adata: anndata.AnnData, tmp_path: Path) -> Path:
    adata.write_h5ad(tmp_path / "bad.h5ad")
    return tmp_path / "bad.h5ad"


def test_genes_missing_extra_and_out_of_order(adata: anndata.AnnData, due: Due, tmp_path: Path):
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
        "the genes are those due, but in another order; starter pack reorders them; or index with the course's genes"
    ]


def test_genes_that_occur_twice(adata: anndata.AnnData, due: Due, tmp_path: Path):
    adata.var_names = ["SIM00002", *adata.var_names[1:]]
    found = errors(write(adata, tmp_path), due)
    assert found[0].startswith("genes occur twice: SIM00002")


def test_perturbations_missing_and_extra_and_the_control(adata: anndata.AnnData, due: Due, tmp_path: Path):
    names = sorted(due.n_cells)
    labels = adata.obs["target_gene"].astype(str).replace({names[0]: "STAT1", CONTROL: "ctrl"})
    adata.obs["target_gene"] = labels.astype("category")
    found = errors(write(adata, tmp_path), due)
    assert found == [
        "no cell is labelled 'non-targeting'; add the course's control cells as they are",
        f"perturbations missing: 1 ({names[0]}); predict all of them",
        "perturbations that are not due: 2 (STAT1, ctrl); leave them out",
    ]


def test_a_wrong_column(adata: anndata.AnnData, due: Due, tmp_path: Path):
    adata.obs = adata.obs.rename(columns={"target_gene": "gene"})
    found = errors(write(adata, tmp_path), due)
    assert found == [
        "obs has no column 'target_gene'; its columns are gene; name the column of perturbations 'target_gene'"
    ]


def test_cells_per_perturbation(adata: anndata.AnnData, due: Due, tmp_path: Path):
    name = sorted(due.n_cells)[0]
    of_name = np.flatnonzero(adata.obs["target_gene"] == name)
    findings = check_prediction(write(adata[np.delete(np.arange(adata.n_obs), of_name[4:])].copy(), tmp_path), due)
    measured = f"perturbations with another number of cells than measured: 1 ({name} has 4, measured {len(of_name)})"
    assert [(finding.level, finding.what) for finding in findings] == [
        ("note", measured),
        ("warning", f"perturbations with fewer than 10 cells: 1 ({name} has 4)"),
    ]


def test_nan_inf_and_negative_are_all_reported(adata: anndata.AnnData, due: Due, tmp_path: Path):
    adata.X.data[:3] = [np.nan, np.inf, -1]
    found = errors(write(adata, tmp_path), due)
    assert found[0].startswith("NaN in X: 1; infinite values: 1; write finite numbers")
    assert found[1].startswith("negative values in X: 1 (lowest -1); expression is never below 0")


def test_counts_are_told_from_logs_and_it_says_how(adata: anndata.AnnData, due: Due, tmp_path: Path):
    adata.X.data = np.rint(np.expm1(adata.X.data)).astype(np.float32)
    found = errors(write(adata, tmp_path), due)
    assert len(found) == 1
    assert found[0].startswith("X looks like counts: all ")
    assert "stored values are whole numbers" in found[0]
    assert "on a screen of few genes is another quantity" in found[0]


def test_scaled_counts_without_log(adata: anndata.AnnData, due: Due, tmp_path: Path):
    adata.X.data = np.expm1(adata.X.data)
    found = errors(write(adata, tmp_path), due)
    assert found[0].startswith("X holds fractions and values up to")
    assert found[0].endswith("take log1p once, of counts scaled to target_sum")


def test_another_target_sum_is_estimated(adata: anndata.AnnData, due: Due, tmp_path: Path):
    adata.X.data = np.log1p(np.expm1(adata.X.data) * 1e4 / due.target_sum)
    found = errors(write(adata, tmp_path), due)
    assert len(found) == 1
    assert f"they look scaled to target_sum 10,000, not {due.target_sum:,.0f}" in found[0]


def test_what_is_not_scored_is_noted(adata: anndata.AnnData, due: Due, tmp_path: Path):
    adata.obs["batch"] = "a"
    adata.layers["counts"] = adata.X.copy()
    findings = check_prediction(write(adata, tmp_path), due)
    assert [str(finding) for finding in findings] == [
        "obs.batch, layers will not be scored; starter pack leaves them out"
    ]


def test_everything_is_reported_at_once(adata: anndata.AnnData, due: Due, tmp_path: Path):
    adata = adata[adata.obs["target_gene"] != CONTROL, 1:].copy()
    adata.X.data[0] = np.nan
    found = errors(write(adata, tmp_path), due)
    assert [message.split(";")[0] for message in found] == [
        "genes missing: 1 (SIM00001)",
        "no cell is labelled 'non-targeting'",
        "NaN in X: 1",
    ]


@pytest.mark.parametrize("factor", [1.04, 0.96, 5])
def test_a_slightly_other_target_sum_is_found_too(adata: anndata.AnnData, due: Due, tmp_path: Path, factor: float):
    adata.X.data = np.log1p(np.expm1(adata.X.data) * factor)
    found = errors(write(adata, tmp_path), due)
    assert len(found) == 1
    said = float(re.search(r"they look scaled to target_sum ([\d,]+),", found[0])[1].replace(",", ""))
    assert said == pytest.approx(due.target_sum * factor, rel=1e-4)


def test_a_sample_of_the_courses_controls_is_fine(adata: anndata.AnnData, due: Due, tmp_path: Path):
    control = np.flatnonzero(adata.obs["target_gene"] == CONTROL)
    shallow = control[np.argsort(np.asarray(adata.X[control].sum(axis=1)).ravel())[:30]]
    kept = np.setdiff1d(np.arange(adata.n_obs), np.setdiff1d(control, shallow))
    assert errors(write(adata[kept].copy(), tmp_path), due) == []


def test_nothing_but_zeros(adata: anndata.AnnData, due: Due, tmp_path: Path):
    empty = anndata.AnnData(scipy.sparse.csr_matrix(adata.shape, dtype=np.float32), adata.obs, adata.var)
    assert errors(write(empty, tmp_path), due)[-1] == "X holds no value other than 0; write the predicted expression"


def test_a_perturbation_of_empty_cells(adata: anndata.AnnData, due: Due, tmp_path: Path):
    name = sorted(due.n_cells)[0]
    x = adata.X.tolil()
    x[np.flatnonzero(adata.obs["target_gene"] == name)] = 0
    found = errors(write(anndata.AnnData(x.tocsr(), adata.obs, adata.var), tmp_path), due)
    assert found == [f"labels with empty cells only: 1 ({name}); write the predicted expression of each"]


def test_too_many_cells(adata: anndata.AnnData, due: Due, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(submission_check, "MAX_CELLS", 100)
    adata.X.data[0] = np.nan
    found = errors(write(adata, tmp_path), due)
    said = f"it has {adata.n_obs} cells; the limit is 100; write fewer cells a perturbation, or fewer control cells"
    assert found[0] == said
    assert found[1].startswith("NaN in X: 1")


@pytest.mark.parametrize("kind", ["csc", "dense", "float64", "float16"])
def test_other_layouts_are_checked_too(adata: anndata.AnnData, due: Due, tmp_path: Path, kind: str):
    x = {
        "csc": adata.X.tocsc(),
        "dense": adata.X.toarray(),
        "float64": adata.X.astype(np.float64),
        "float16": adata.X.toarray().astype(np.float16),
    }[kind]
    path = write(anndata.AnnData(x, adata.obs, adata.var), tmp_path)
    assert errors(path, due) == []
    submission.pack(path, tmp_path / "x.vcc", due)
    assert submission.read_prediction(tmp_path / "x.vcc").X.dtype == np.float32


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"", "empty"),
        (b"\x1f\x8b12", "gzip"),
        (b"PK\x03\x04", "zip"),
        (b"<!DOCTYPE html>", "HTML or XML"),
        (b"PAR1", "a profile table (parquet), of which starter.cells makes cells"),
        (b"abc", "unknown"),
    ],
)
def test_a_foreign_file(tmp_path: Path, content: bytes, kind: str):
    path = tmp_path / "x.vcc"
    path.write_bytes(content)
    assert errors(path, None) == [
        f"it is neither an .h5ad (HDF5) nor a .vcc (tar); its content is {kind}; "
        "write it with starter.submission, or pack it with: starter pack"
    ]


def test_a_missing_file(tmp_path: Path):
    with pytest.raises(InputError, match="cannot read .*x.vcc: No such file"):
        check_prediction(tmp_path / "x.vcc")


def test_a_truncated_prediction(good: Path, tmp_path: Path):
    path = tmp_path / "x.h5ad"
    path.write_bytes(good.read_bytes()[:-1000])
    assert errors(path, None) == [f"{path} cannot be read: it is truncated; download or write it again"]


def test_an_upload_comes_back_as_it_was(good: Path, due: Due, tmp_path: Path):
    assert submission.pack(good, tmp_path / "x.vcc", due) == []
    assert check_prediction(tmp_path / "x.vcc", due) == []
    packed, given = submission.read_prediction(tmp_path / "x.vcc"), anndata.read_h5ad(good)
    assert (packed.X != given.X).nnz == 0
    assert list(packed.obs.columns) == ["target_gene"]
    assert packed.obs["target_gene"].tolist() == given.obs["target_gene"].tolist()
    with tarfile.open(tmp_path / "x.vcc", "r:") as archive:
        assert archive.getnames() == ["pred.h5ad.zst", "watermark.txt"]
        assert archive.extractfile("watermark.txt").read() == b"vcc-prep"


def test_the_same_prediction_gives_the_same_upload(good: Path, due: Due, tmp_path: Path):
    for name in ("a.vcc", "b.vcc"):
        submission.pack(good, tmp_path / name, due)
    assert sha256(tmp_path / "a.vcc") == sha256(tmp_path / "b.vcc")


def test_packing_reorders_genes_and_says_so(adata: anndata.AnnData, due: Due, tmp_path: Path):
    path = write(adata[:, ::-1].copy(), tmp_path)
    assert [str(finding) for finding in submission.pack(path, tmp_path / "x.vcc", due)] == [
        "the genes were put in the order of the list"
    ]
    packed = submission.read_prediction(tmp_path / "x.vcc")
    assert list(packed.var_names) == list(due.genes)
    assert (packed.X != adata.X).nnz == 0


def test_packing_refuses_errors_and_leaves_what_was_there(adata: anndata.AnnData, due: Due, tmp_path: Path):
    (tmp_path / "x.vcc").write_text("old")
    adata.X.data[0] = np.nan
    with pytest.raises(FindingsError, match="bad.h5ad has 1 fault:\n  - NaN in X: 1"):
        submission.pack(write(adata, tmp_path), tmp_path / "x.vcc", due)
    assert (tmp_path / "x.vcc").read_text() == "old"


def test_a_packed_file_is_not_packed_again(good: Path, tmp_path: Path):
    submission.pack(good, tmp_path / "x.vcc")
    with pytest.raises(InputError, match="is packed already; give the .h5ad"):
        submission.pack(tmp_path / "x.vcc", tmp_path / "y.vcc")


def test_an_upload_is_named_so_and_never_replaces_its_own_input(good: Path, tmp_path: Path):
    copy = tmp_path / "p.h5ad"
    copy.write_bytes(good.read_bytes())
    for out in (copy, tmp_path / "upload.tar"):
        with pytest.raises(InputError, match="an upload is named like prediction.vcc, not .*; name it so with --out"):
            submission.pack(copy, out)
    assert copy.read_bytes() == good.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["p.h5ad"]


def test_a_prediction_file_under_an_uploads_name(good: Path, tmp_path: Path):
    (tmp_path / "x.vcc").write_bytes(good.read_bytes())
    said = ["it is an .h5ad (HDF5) under the name of an upload; pack it with: starter pack"]
    assert errors(tmp_path / "x.vcc", None) == said


@pytest.mark.parametrize(
    ("transform", "level", "said"),
    [
        (lambda logs: logs, "note", "the cells look scaled to target_sum 5,000"),
        (np.log1p, "warning", "so they were not scaled to one total before log1p, or log1p was taken twice"),
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
    findings = check_prediction(tmp_path / "p.h5ad", Due(tuple(genes), {"G1": None}))
    assert [finding.level for finding in findings] == [level]
    assert said in findings[0].what


def test_without_controls_of_the_course_a_small_panels_scale_is_not_judged(good: Path, due: Due):
    findings = check_prediction(good, Due(due.genes, due.n_cells))
    assert [str(finding) for finding in findings] == [
        "the target_sum was not judged; that needs the course's control cells: --course"
    ]


def archive(path: Path, members: dict[str, bytes | tarfile.TarInfo]) -> Path:
    with tarfile.open(path, "w") as tar:
        for name, content in members.items():
            if isinstance(content, tarfile.TarInfo):
                tar.addfile(content)
            else:
                info = tarfile.TarInfo(name)
                info.size = len(content)
                tar.addfile(info, io.BytesIO(content))
    return path


def link(name: str, target: str) -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = tarfile.SYMTYPE, target
    return info


ZST = zstandard.compress(b"x" * 1000)


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"pred.h5ad.zst": ZST}, "the archive has no watermark.txt"),
        ({"watermark.txt": b"vcc-prep"}, "the archive has no pred.h5ad.zst"),
        (
            {"../../pred.h5ad.zst": ZST, "pred.h5ad.zst": ZST, "watermark.txt": b"vcc-prep"},
            "the archive holds '../../pred.h5ad.zst', and should hold only pred.h5ad.zst and watermark.txt",
        ),
        ({"/etc/passwd": b"x", "pred.h5ad.zst": ZST, "watermark.txt": b"vcc-prep"}, "the archive holds '/etc/passwd'"),
        (
            {"pred.h5ad.zst": link("pred.h5ad.zst", "/etc/passwd"), "watermark.txt": b"vcc-prep"},
            "the archive holds 'pred.h5ad.zst', and should hold only",
        ),
        ({"pred.h5ad.zst": b"not zstandard", "watermark.txt": b"vcc-prep"}, "pred.h5ad.zst is truncated or damaged"),
        (
            {"pred.h5ad.zst": ZST[:-5], "watermark.txt": b"vcc-prep"},
            "is truncated: 0 of 1,000 bytes came out",
        ),
        ({"pred.h5ad.zst": ZST, "watermark.txt": b"vcc-prep"}, None),
    ],
)
def test_a_bad_archive(tmp_path: Path, members: dict, said: str | None):
    found = errors(archive(tmp_path / "x.vcc", members), None)
    assert len([message for message in found if said is None or said in message]) == 1
    if said is None:
        assert found[0].endswith("is not an .h5ad file (HDF5): it starts with b'xxxxxxxx'; download or write it again")
    with pytest.raises(InputError):
        submission.read_prediction(tmp_path / "x.vcc")


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_truncated_upload(good: Path, tmp_path: Path, keep: float):
    submission.pack(good, tmp_path / "x.vcc")
    content = (tmp_path / "x.vcc").read_bytes()
    (tmp_path / "x.vcc").write_bytes(content[: int(len(content) * keep)])
    found = errors(tmp_path / "x.vcc", None)
    assert len(found) == 1
    assert found[0].startswith("the archive is truncated or damaged (unexpected end of data)")


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, due: Due):
    bomb = zstandard.compress(bytes(600 << 20))
    assert len(bomb) < 100_000
    found = errors(archive(tmp_path / "x.vcc", {"pred.h5ad.zst": bomb, "watermark.txt": b"vcc-prep"}), due)
    assert len(found) == 1
    assert found[0].startswith("pred.h5ad.zst grows beyond 0.3 GB when unpacked, more than a prediction needs")


def test_a_bomb_that_hides_its_size_is_stopped(tmp_path: Path, due: Due):
    compressor = zstandard.ZstdCompressor(write_content_size=False).compressobj()
    bomb = b"".join(compressor.compress(bytes(1 << 20)) for _ in range(600)) + compressor.flush()
    found = errors(archive(tmp_path / "x.vcc", {"pred.h5ad.zst": bomb, "watermark.txt": b"vcc-prep"}), due)
    assert "grows beyond 0.3 GB when unpacked" in found[0]


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


def test_the_courses_due(due: Due, released):
    split = dataset.read_split(released.public_folder / "split.json")
    assert due.n_cells == split.n_cells("hidden")
    assert len(due.genes) == 200
    assert due.target_sum == open_course(released.public_folder).train().uns["course"]["target_sum"]


def test_the_challenges_lists(vcc_data: Path):
    due = due_in_lists(vcc_data / "vcc2025" / "gene_names.csv", vcc_data / "vcc2025" / "pert_counts_Validation.csv")
    assert len(due.genes) == 18_080
    assert due.genes[0] == "SAMD11"
    assert len(due.n_cells) == 50
    assert sum(due.n_cells.values()) == 60_751


def test_plain_lists(tmp_path: Path):
    (tmp_path / "genes.csv").write_text("A\nB\n")
    (tmp_path / "perts.csv").write_text("A\nnon-targeting\n")
    assert due_in_lists(tmp_path / "genes.csv", tmp_path / "perts.csv") == Due(("A", "B"), {"A": None})


@pytest.mark.parametrize(
    ("genes", "perts", "said"),
    [
        ("", "A", "the list .*genes.csv is empty"),
        ("A\nA", "A", "genes.csv holds a gene twice"),
        ("A", "A\nA", "perts.csv lists A twice"),
        ("A", "target_gene,n_cells\nA,many", "'A,many' is no perturbation with its number of cells"),
        ("A", "non-targeting", "perts.csv names no perturbation"),
        ("A", "target_gene,n_cells\nA,-1", "perts.csv: A has -1 cells"),
        ("A", "A,12", "perts.csv has several columns and no header with target_gene"),
        ("A", b"\xff\xfe\x00", "cannot read the list .*perts.csv"),
    ],
)
def test_bad_lists(tmp_path: Path, genes: str, perts: str | bytes, said: str):
    (tmp_path / "genes.csv").write_text(genes)
    (tmp_path / "perts.csv").write_bytes(perts if isinstance(perts, bytes) else perts.encode())
    with pytest.raises(InputError, match=said):
        due_in_lists(tmp_path / "genes.csv", tmp_path / "perts.csv")


def test_what_cell_eval_prep_writes_is_read(good: Path, due: Due, tmp_path: Path):
    """The reference tool's own command, run live (it needs the programs zstd and tar)."""
    (tmp_path / "genes.csv").write_text("\n".join(due.genes))
    command = [sys.executable, "-m", "cell_eval", "prep", "-i", str(good), "-g", str(tmp_path / "genes.csv")]
    subprocess.run([*command, "-o", str(tmp_path / "theirs.vcc")], check=True, capture_output=True)
    assert check_prediction(tmp_path / "theirs.vcc", due) == []
    theirs = submission.read_prediction(tmp_path / "theirs.vcc")
    assert (theirs.X != anndata.read_h5ad(good).X).nnz == 0


def test_cell_eval_runs_on_what_we_pack(good: Path, due: Due, released, tmp_path: Path):
    """`cell-eval run` on the `pred.h5ad` inside of our upload, live."""
    submission.pack(good, tmp_path / "ours.vcc", due)
    with vcc.unpacked(tmp_path / "ours.vcc", submission_check.size_limit(len(due.genes))) as inner:
        hidden = dataset.read_screen(released.hidden_folder / "hidden.h5ad")
        from starter.preprocess import expression

        real = anndata.AnnData(expression(hidden), hidden.obs[["target_gene"]], hidden.var)
        real.write_h5ad(tmp_path / "real.h5ad")
        command = [sys.executable, "-m", "cell_eval", "run", "-ap", str(inner), "-ar", str(tmp_path / "real.h5ad")]
        options = ["--pert-col", "target_gene", "--profile", "vcc", "-o", str(tmp_path / "out")]
        subprocess.run([*command, *options], check=True, capture_output=True)
    results = pd.read_csv(tmp_path / "out" / "results.csv")
    assert sorted(results["perturbation"]) == sorted(due.n_cells)
    assert results["mae"].between(0.001, 1).all()


def test_an_unwritable_place_is_refused(good: Path, tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write|free"):
        submission.pack(good, tmp_path / "file" / "x.vcc")


def test_a_model_that_fails_leaves_no_half_file(tmp_path: Path):
    def broken():
        yield CONTROL, scipy.sparse.csr_matrix(np.ones((3, 2), dtype=np.float32))
        raise RuntimeError("model diverged")

    with pytest.raises(RuntimeError, match="diverged"):
        submission.write_prediction(tmp_path / "x.h5ad", broken(), ["A", "B"])
    assert list(tmp_path.iterdir()) == []


def test_entries_stored_twice_are_refused(good: Path, due: Due, tmp_path: Path):
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


def test_text_instead_of_numbers(good: Path, tmp_path: Path):
    path = tmp_path / "x.h5ad"
    path.write_bytes(good.read_bytes())
    with h5py.File(path, "r+") as file:
        size = file["X"]["data"].size
        del file["X"]["data"]
        file["X"].create_dataset("data", data=np.full(size, b"1"))
    assert errors(path, None) == ["X holds |S1, not numbers; write log1p expression"]


def test_a_sparse_member_is_refused(good: Path, tmp_path: Path):
    """GNU tar's sparse members state any size in a few bytes."""
    (tmp_path / "pred.h5ad.zst").write_bytes(b"")
    with (tmp_path / "pred.h5ad.zst").open("r+b") as file:
        file.truncate(1 << 30)
    (tmp_path / "watermark.txt").write_text("vcc-prep")
    command = ["tar", "--sparse", "-cf", tmp_path / "x.vcc", "-C", tmp_path, "pred.h5ad.zst", "watermark.txt"]
    subprocess.run(command, check=True)
    assert (tmp_path / "x.vcc").stat().st_size < 100_000
    assert "the archive holds 'pred.h5ad.zst', and should hold only" in errors(tmp_path / "x.vcc", None)[0]


def test_a_flipped_byte_in_an_upload_is_found(good: Path, tmp_path: Path):
    submission.pack(good, tmp_path / "x.vcc")
    content = bytearray((tmp_path / "x.vcc").read_bytes())
    content[len(content) // 2] ^= 0xFF
    (tmp_path / "x.vcc").write_bytes(content)
    assert "pred.h5ad.zst is truncated or damaged" in errors(tmp_path / "x.vcc", None)[0]


def test_lists_of_a_spreadsheet(tmp_path: Path):
    (tmp_path / "genes.csv").write_bytes('\ufeff"A"\r\n"B"\r\n\r\n'.encode())
    (tmp_path / "perts.csv").write_bytes('\ufeff"n_cells","target_gene"\r\n"12","A"\r\n'.encode())
    assert due_in_lists(tmp_path / "genes.csv", tmp_path / "perts.csv") == Due(("A", "B"), {"A": 12})
