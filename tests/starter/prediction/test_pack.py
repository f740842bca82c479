import subprocess
import sys
import tarfile
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from uploads import in_upload

from starter.data import dataset
from starter.errors import FindingsError, InputError
from starter.files import sha256
from starter.prediction import pack, vcc
from starter.prediction.check import check_prediction
from starter.prediction.requirements import Requirements
from starter.prediction.write import write_prediction
from starter.schema import CONTROL


def write(adata: anndata.AnnData, tmp_path: Path) -> Path:
    adata.write_h5ad(tmp_path / "bad.h5ad")
    return tmp_path / "bad.h5ad"


def test_an_upload_comes_back_as_it_was(good: Path, due: Requirements, tmp_path: Path):
    assert pack.pack(good, tmp_path / "x.vcc", due) == []
    assert check_prediction(tmp_path / "x.vcc", due) == []
    packed, given = in_upload(tmp_path / "x.vcc"), anndata.read_h5ad(good)
    assert (packed.X != given.X).nnz == 0
    assert list(packed.obs.columns) == ["target_gene"]
    assert packed.obs["target_gene"].tolist() == given.obs["target_gene"].tolist()
    with tarfile.open(tmp_path / "x.vcc", "r:") as archive:
        assert archive.getnames() == ["pred.h5ad.zst", "watermark.txt"]
        assert archive.extractfile("watermark.txt").read() == b"vcc-prep"


def test_the_kits_own_file_is_packed_as_it_is(good: Path, due: Requirements, tmp_path: Path):
    adata = anndata.read_h5ad(good)
    own, other = tmp_path / "own.h5ad", tmp_path / "other.h5ad"
    labels = adata.obs["target_gene"].astype(str).to_numpy()
    write_prediction(own, [(label, adata.X[labels == label]) for label in dict.fromkeys(labels)], adata.var_names)
    before = own.read_bytes()
    assert pack.pack(own, tmp_path / "own.vcc", due) == []
    assert in_archive(tmp_path / "own.vcc") == before == own.read_bytes()
    # what an upload does not hold is left out: the file is written anew
    extra = anndata.read_h5ad(own)
    extra.obs["secret"] = "x"
    extra.write_h5ad(other)
    pack.pack(other, tmp_path / "other.vcc", due)
    packed = in_upload(tmp_path / "other.vcc")
    assert list(packed.obs.columns) == ["target_gene"]
    assert (packed.X != extra.X).nnz == 0


def in_archive(upload: Path) -> bytes:
    with vcc.unpacked(upload) as plain:
        return plain.read_bytes()


def test_the_same_prediction_gives_the_same_upload(good: Path, due: Requirements, tmp_path: Path):
    for name in ("a.vcc", "b.vcc"):
        pack.pack(good, tmp_path / name, due)
    assert sha256(tmp_path / "a.vcc") == sha256(tmp_path / "b.vcc")


def test_packing_reorders_genes_and_says_so(adata: anndata.AnnData, due: Requirements, tmp_path: Path):
    path = write(adata[:, ::-1].copy(), tmp_path)
    assert [str(finding) for finding in pack.pack(path, tmp_path / "x.vcc", due)] == [
        "the genes were put in the order of the list"
    ]
    packed = in_upload(tmp_path / "x.vcc")
    assert list(packed.var_names) == list(due.genes)
    assert (packed.X != adata.X).nnz == 0


def test_packing_refuses_errors_and_leaves_what_was_there(adata: anndata.AnnData, due: Requirements, tmp_path: Path):
    (tmp_path / "x.vcc").write_text("old")
    adata.X.data[0] = np.nan
    with pytest.raises(FindingsError, match="bad.h5ad has 1 fault:\n  - NaN in X: 1"):
        pack.pack(write(adata, tmp_path), tmp_path / "x.vcc", due)
    assert (tmp_path / "x.vcc").read_text() == "old"


def test_a_packed_file_is_not_packed_again(good: Path, tmp_path: Path):
    pack.pack(good, tmp_path / "x.vcc")
    with pytest.raises(InputError, match="is packed already; give the .h5ad"):
        pack.pack(tmp_path / "x.vcc", tmp_path / "y.vcc")


def test_an_upload_is_named_so_and_never_replaces_its_own_input(good: Path, tmp_path: Path):
    copy = tmp_path / "p.h5ad"
    copy.write_bytes(good.read_bytes())
    for out in (copy, tmp_path / "upload.tar"):
        with pytest.raises(InputError, match="an upload is named like prediction.vcc, not .*; name it so with --out"):
            pack.pack(copy, out)
    assert copy.read_bytes() == good.read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["p.h5ad"]


def test_what_cell_eval_prep_writes_is_read(good: Path, due: Requirements, tmp_path: Path):
    """The reference tool's own command, run live (it needs the programs zstd and tar)."""
    (tmp_path / "genes.csv").write_text("\n".join(due.genes))
    command = [sys.executable, "-m", "cell_eval", "prep", "-i", str(good), "-g", str(tmp_path / "genes.csv")]
    subprocess.run([*command, "-o", str(tmp_path / "theirs.vcc")], check=True, capture_output=True)
    assert check_prediction(tmp_path / "theirs.vcc", due) == []
    theirs = in_upload(tmp_path / "theirs.vcc")
    assert (theirs.X != anndata.read_h5ad(good).X).nnz == 0


def test_cell_eval_runs_on_what_we_pack(good: Path, due: Requirements, released, tmp_path: Path):
    """`cell-eval run` on the `pred.h5ad` inside of our upload, live."""
    pack.pack(good, tmp_path / "ours.vcc", due)
    with vcc.unpacked(tmp_path / "ours.vcc", len(due.genes)) as inner:
        hidden = dataset.read_screen(released.hidden_folder / "hidden.h5ad")
        from starter.data.preprocess import expression

        real = anndata.AnnData(expression(hidden), hidden.obs[["target_gene"]], hidden.var)
        real.write_h5ad(tmp_path / "real.h5ad")
        command = [sys.executable, "-m", "cell_eval", "run", "-ap", str(inner), "-ar", str(tmp_path / "real.h5ad")]
        options = ["--pert-col", "target_gene", "--profile", "vcc", "-o", str(tmp_path / "out")]
        subprocess.run([*command, *options], check=True, capture_output=True)
    results = pd.read_csv(tmp_path / "out" / "results.csv")
    assert sorted(results["perturbation"]) == sorted(due.n_cells)
    assert results["mae"].between(0.001, 1).all()


def test_the_courses_controls_are_added_at_the_courses_scale(
    adata: anndata.AnnData, due: Requirements, released, tmp_path: Path
):
    """Raw counts of the training file become what the course's own controls are, to the last bit."""
    path = write(adata[adata.obs["target_gene"] != CONTROL].copy(), tmp_path)
    findings = pack.pack(path, tmp_path / "x.vcc", due, controls=released.public_folder / "train.h5ad")
    assert [finding.level for finding in findings] == ["note", "note"]
    assert f"became log1p({due.target_sum:,.0f} x count / n), n being its n_umis" in str(findings[1])
    packed = in_upload(tmp_path / "x.vcc")
    ours, given = (screen.X[screen.obs["target_gene"].to_numpy() == CONTROL] for screen in (packed, adata))
    assert ours.shape == given.shape
    assert (ours != given).nnz == 0


def test_an_unwritable_place_is_refused(good: Path, tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write|free"):
        pack.pack(good, tmp_path / "file" / "x.vcc")


def test_a_model_that_fails_leaves_no_half_file(tmp_path: Path):
    def broken():
        yield CONTROL, scipy.sparse.csr_matrix(np.ones((3, 2), dtype=np.float32))
        raise RuntimeError("model diverged")

    with pytest.raises(RuntimeError, match="diverged"):
        write_prediction(tmp_path / "x.h5ad", broken(), ["A", "B"])
    assert list(tmp_path.iterdir()) == []
