import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from starter.data import h5ad
from starter.data.write import write_h5ad
from starter.errors import InputError
from starter.files import check_room, sha256, whole

RNG = np.random.default_rng(0)
MATRIX = scipy.sparse.random(50, 7, density=0.3, format="csr", dtype=np.float32, rng=RNG)
OBS = pd.DataFrame({"target_gene": pd.Categorical(["A", "B"] * 25)}, index=[f"c{i}" for i in range(50)])
VAR = pd.DataFrame(index=list("STUVWXY"))


def pieces(n: int = 11) -> list[scipy.sparse.csr_matrix]:
    return [MATRIX[start : start + n] for start in range(0, 50, n)]


def test_what_is_written_in_blocks_anndata_reads(tmp_path: Path):
    write_h5ad(tmp_path / "a.h5ad", pieces(), OBS, VAR, uns={"course": {"name": "x"}})
    adata = anndata.read_h5ad(tmp_path / "a.h5ad")
    assert (adata.X != MATRIX).nnz == 0
    assert adata.X.dtype == np.float32
    assert adata.X.has_canonical_format
    pd.testing.assert_frame_equal(adata.obs, OBS)
    assert list(adata.var_names) == list("STUVWXY")
    assert adata.uns == {"course": {"name": "x"}}


def test_stored_zeros_and_unsorted_columns_are_put_right(tmp_path: Path):
    messy = scipy.sparse.csr_matrix(
        (np.array([5, 0, 3], dtype=np.float64), np.array([2, 1, 0]), np.array([0, 3])), shape=(1, 7)
    )
    write_h5ad(tmp_path / "a.h5ad", [messy], OBS[:1], VAR)
    x = anndata.read_h5ad(tmp_path / "a.h5ad").X
    assert x.indices.tolist() == [0, 2]
    assert x.data.tolist() == [3, 5]


@pytest.mark.parametrize("kind", ["csr", "csc", "dense"])
@pytest.mark.parametrize("n", [1, 7, 50, 1000])
def test_blocks_add_up_whatever_the_layout(tmp_path: Path, kind: str, n: int):
    x = MATRIX.toarray() if kind == "dense" else MATRIX.asformat(kind)
    anndata.AnnData(x, OBS, VAR).write_h5ad(tmp_path / "a.h5ad")
    with h5ad.open_h5ad(tmp_path / "a.h5ad") as file:
        read = list(h5ad.read_blocks(file["X"], n))
    assert [block.shape[0] for block in read] == [min(n, 50 - start) for start in range(0, 50, n)]
    assert (scipy.sparse.vstack(read) != MATRIX).nnz == 0


@pytest.mark.parametrize("shape", [(0, 3), (2, 0), (40, 7)])
def test_a_dense_matrix_becomes_sparse(shape: tuple[int, int]):
    x = np.random.default_rng(0).poisson(1.0, shape).astype(np.float32)
    x[:, :1] *= -1
    x[1:2, 2:3] = np.nan
    ours, theirs = h5ad.csr_of(x), scipy.sparse.csr_matrix(x)
    np.testing.assert_array_equal(ours.toarray(), x)
    np.testing.assert_array_equal(ours.indices, theirs.indices)
    np.testing.assert_array_equal(ours.indptr, theirs.indptr)
    assert ours.dtype == theirs.dtype


def test_the_same_content_gives_the_same_file(tmp_path: Path):
    for name in ("a", "b"):
        write_h5ad(tmp_path / name, pieces(), OBS, VAR, compression="gzip")
    assert sha256(tmp_path / "a") == sha256(tmp_path / "b")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "cannot read"),
        (b"", "is not an .h5ad file .HDF5.: it is empty"),
        (b"abc", "it starts with b'abc'; download or write it again"),
        (
            b"<html>busy</html>",
            "it is a web page .HTML or XML., not the data; the link leads to a page or needs a login",
        ),
        (b"\n  <!DOCTYPE html>", "it is a web page"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:1",
            "Git LFS pointer, .*git lfs pull",
        ),
        (b"/annex/objects/MD5E-s1--1.h5ad", "git-annex pointer, not the data; fetch the data with: git annex get"),
        (b"\x1f\x8b\x08", "it is compressed with gzip; unpack it with: gunzip x.h5ad"),
        (b"PK\x03\x04", "it is a zip archive; unpack it with: unzip x.h5ad"),
        (b'{"message": "Not found"}', "it is text .JSON., such as a server sends for an error"),
        (b"%%MatrixMarket matrix", "it is a matrix in text"),
    ],
)
def test_what_is_no_hdf5_is_refused(tmp_path: Path, content: bytes | None, said: str):
    path = tmp_path / "x.h5ad"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=said), h5ad.open_h5ad(path):
        pass


def test_locks_keep_nobody_out_and_none_is_left_to_processes_that_start_meanwhile(tmp_path: Path):
    path = tmp_path / "a.h5ad"
    obs, var = pd.DataFrame(index=["c"]), pd.DataFrame(index=["g"])

    def blocks() -> Iterator[scipy.sparse.csr_matrix]:
        (part,) = tmp_path.iterdir()
        with part.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # raises if the writer holds one
        yield scipy.sparse.csr_matrix([[1.0]])

    write_h5ad(path, blocks(), obs, var, stored=1)
    with path.open("rb") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with h5ad.open_h5ad(path) as file:
            assert file["X/data"][:] == [1]


def test_a_truncated_file_is_refused(tmp_path: Path):
    path = tmp_path / "a.h5ad"
    write_h5ad(path, pieces(), OBS, VAR)
    path.write_bytes(path.read_bytes()[:-100])
    said = "cannot be read: it is truncated; download or write it again"
    with pytest.raises(InputError, match=said), h5ad.open_h5ad(path):
        pass


def test_hdf5_without_an_anndata_object_is_refused(tmp_path: Path):
    with h5py.File(tmp_path / "a.h5ad", "w") as file:
        file["X"] = np.ones(3)
    with (
        pytest.raises(InputError, match="is no AnnData file: it has no obs, var"),
        h5ad.open_h5ad(tmp_path / "a.h5ad"),
    ):
        pass


def ten_x(file: h5py.File) -> None:
    file["matrix/barcodes"] = np.array([b"AAAC-1"])


def ten_x_of_version_2(file: h5py.File) -> None:
    file["GRCh38/barcodes"] = np.array([b"AAAC-1"])


def loom(file: h5py.File) -> None:
    file["matrix"] = np.ones((2, 2))
    file.create_group("row_attrs")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (ten_x, "it is a 10x Genomics matrix .CellRanger.; adata = scanpy.read_10x_h5"),
        (ten_x_of_version_2, "it is a 10x Genomics matrix"),
        (loom, "it is a loom file; adata = anndata.io.read_loom"),
        (lambda file: file.create_group("mod/rna"), "it is a MuData file with rna"),
        (lambda file: file.create_group("assays/RNA"), "it is an h5Seurat file"),
    ],
)
def test_other_layouts_of_hdf5_are_named(tmp_path: Path, make: Callable[[h5py.File], object], said: str):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        make(file)
    with pytest.raises(InputError, match=f"is no AnnData file: {said}"), h5ad.open_h5ad(tmp_path / "a.h5"):
        pass


def of_anndata_06(path: Path, layout: str) -> None:
    """Write the cells as AnnData 0.6 did: tables as compound data sets, levels of categories in `uns`."""
    with h5py.File(path, "w") as file:
        if layout == "array":
            file["X"] = MATRIX.toarray()
        else:
            x, stored = file.create_group("X"), MATRIX.asformat(layout)
            x.attrs.update({"h5sparse_format": layout, "h5sparse_shape": np.array(MATRIX.shape)})
            for key in ("data", "indices", "indptr"):
                x[key] = getattr(stored, key)
        obs = np.zeros(50, [("index", "S4"), ("target_gene", "i1"), ("batch", h5py.string_dtype()), ("depth", "f4")])
        obs["index"], obs["target_gene"] = OBS.index.to_numpy("S"), OBS["target_gene"].cat.codes
        obs["batch"], obs["depth"], obs["target_gene"][3] = b"one", 2.5, -1
        file["obs"] = obs
        file["var"] = np.array([(gene.encode(),) for gene in VAR.index], [("index", "S4")])
        file["uns/target_gene_categories"] = np.array([b"A", b"B"])


@pytest.mark.parametrize("layout", ["csr", "csc", "array"])
def test_files_of_anndata_06_are_read(tmp_path: Path, layout: str):
    of_anndata_06(tmp_path / "a.h5ad", layout)
    with h5ad.open_h5ad(tmp_path / "a.h5ad") as file:
        obs, var, x = h5ad.read_frame(file, "obs"), h5ad.read_frame(file, "var"), file["X"]
        assert h5ad.check_matrix(x, MATRIX.shape) is None
        assert (scipy.sparse.vstack(list(h5ad.read_blocks(x, 8))) != MATRIX).nnz == 0
    theirs = anndata.read_h5ad(tmp_path / "a.h5ad")
    assert obs.index.tolist() == theirs.obs_names.tolist() == OBS.index.tolist()
    assert var.index.tolist() == list("STUVWXY")
    assert obs["target_gene"].isna().sum() == 1
    assert obs["target_gene"].drop("c3").tolist() == OBS["target_gene"].drop("c3").tolist()
    assert (obs["batch"].iloc[0], obs["depth"].iloc[0]) == ("one", 2.5)


@pytest.mark.parametrize(("code", "name"), [(32015, "zstd"), (32001, "blosc"), (32999, "unknown")])
def test_a_filter_that_is_not_there_is_named(tmp_path: Path, code: int, name: str):
    path = tmp_path / "a.h5ad"
    write_h5ad(path, pieces(), OBS, VAR)
    with h5py.File(path, "r+") as file:
        values = file["X/data"][:]
        del file["X/data"]
        made = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        made.set_chunk(values.shape)
        made.set_filter(code, h5py.h5z.FLAG_OPTIONAL, ())
        space = h5py.h5s.create_simple(values.shape)
        h5py.h5d.create(file["X"].id, b"data", h5py.h5t.NATIVE_FLOAT, space, made)
    said = rf"is compressed with {name} \(HDF5 filter {code}\), .* pip install hdf5plugin, or write it again with compr"
    with pytest.raises(InputError, match=said), h5ad.open_h5ad(path):
        pass


@pytest.mark.parametrize("part", ["data", "indices", "indptr"])
def test_parts_that_do_not_fit_are_refused(tmp_path: Path, part: str):
    path = tmp_path / "a.h5ad"
    write_h5ad(path, pieces(), OBS, VAR)
    with h5py.File(path, "r+") as file:
        short = file["X"][part][:-3]
        del file["X"][part]
        file["X"][part] = short
    with pytest.raises(InputError, match="X is damaged"), h5ad.open_h5ad(path) as file:
        list(h5ad.read_blocks(file["X"], 8))


def test_columns_beyond_the_genes_are_refused(tmp_path: Path):
    path = tmp_path / "a.h5ad"
    write_h5ad(path, pieces(), OBS, VAR)
    with h5py.File(path, "r+") as file:
        file["X"]["indices"][3] = 99
    with pytest.raises(InputError, match="X is damaged"), h5ad.open_h5ad(path) as file:
        list(h5ad.read_blocks(file["X"]))


def test_a_failed_write_leaves_what_was_there(tmp_path: Path):
    path = tmp_path / "a.h5ad"
    write_h5ad(path, pieces(), OBS, VAR)
    before = sha256(path)

    def broken():
        yield MATRIX[:11]
        raise RuntimeError("model diverged")

    with pytest.raises(RuntimeError, match="model diverged"):
        write_h5ad(path, broken(), OBS, VAR)
    assert sha256(path) == before
    assert [file.name for file in tmp_path.iterdir()] == ["a.h5ad"]


def test_blocks_that_do_not_fill_the_file_are_a_fault_of_ours(tmp_path: Path):
    with pytest.raises(AssertionError, match="the blocks have 11 cells, obs has 50"):
        write_h5ad(tmp_path / "a.h5ad", pieces()[:1], OBS, VAR)


def test_a_killed_write_leaves_what_was_there(tmp_path: Path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    code = (
        "import sys, time\nfrom starter.files import whole\n"
        f"with whole({str(path)!r}) as part:\n    part.write_text('new')\n"
        "    print('ready', flush=True)\n    time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert path.read_text() == "old"


def test_a_folder_is_replaced_whole(tmp_path: Path):
    for content in ("old", "new"):
        with whole(tmp_path / "truth", replaces=("mark", "old")) as part:
            part.mkdir()
            (part / content).touch()
            (part / "mark").touch()
    assert sorted(file.name for file in (tmp_path / "truth").iterdir()) == ["mark", "new"]
    assert [file.name for file in tmp_path.iterdir()] == ["truth"]


def test_a_folder_with_anything_else_is_not_replaced(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    for name in ("mark", "x"):
        (tmp_path / "mine" / name).touch()
    for replaces, others in (((), "mark, x"), (("mark",), "x")):
        with (
            pytest.raises(InputError, match=f"mine is a folder that holds {others}, so it is not replaced"),
            whole(tmp_path / "mine", replaces=replaces),
        ):
            pytest.fail("the work was begun")
    assert sorted(file.name for file in (tmp_path / "mine").iterdir()) == ["mark", "x"]
    (tmp_path / "mine" / "mark").unlink()
    with (
        pytest.raises(InputError, match="mine is a folder that holds x, so it is not replaced"),
        whole(tmp_path / "mine", replaces=("mark", "x")),
    ):
        pytest.fail("the folder was taken for one of ours without its mark")


def test_what_a_link_points_to_is_replaced_and_the_link_stays(tmp_path: Path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "file").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "there" / "file")
    with whole(tmp_path / "link") as part:
        part.write_text("new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "there" / "file").read_text() == "new"


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda path: None, "No such file"),
        (Path.mkdir, "it is a folder, not a file"),
        (os.mkfifo, "it is a pipe or a device, not a file"),
    ],
)
def test_what_is_no_file_is_refused_at_once(tmp_path: Path, make: Callable[[Path], None], said: str):
    make(tmp_path / "given.h5ad")
    with (
        pytest.raises(InputError, match=f"cannot read .*given.h5ad: {said}"),
        h5ad.open_h5ad(tmp_path / "given.h5ad"),
    ):
        pytest.fail("it was opened")


def test_a_place_that_is_no_folder_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write .*file/a.h5ad: .*; choose another folder"):
        write_h5ad(tmp_path / "file" / "a.h5ad", pieces(), OBS, VAR)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_an_unwritable_folder_is_refused(tmp_path: Path):
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot write"):
        write_h5ad(tmp_path / "a.h5ad", pieces(), OBS, VAR)


def test_too_small_a_disk_is_refused_before_the_work(tmp_path: Path):
    with pytest.raises(InputError, match="GB free, and this needs 1000000.0 GB"):
        check_room(tmp_path / "not" / "yet", 10**15)
    check_room(tmp_path, 1)


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file["obs"].attrs.modify("encoding-type", "nonsense"),
        lambda file: file["obs"].attrs.modify("column-order", np.array(["not there"], dtype=object)),
        lambda file: file["obs"]["_index"][()] is None or file["obs"].__delitem__("_index"),
    ],
)
def test_a_damaged_table_is_a_fault_of_the_file(tmp_path: Path, damage: Callable[[h5py.File], None]):
    path = tmp_path / "a.h5ad"
    write_h5ad(path, pieces(), OBS, VAR)
    with h5py.File(path, "r+") as file:
        damage(file)
    with (
        pytest.raises(InputError, match="a.h5ad: obs cannot be read .*; write it again with AnnData.write_h5ad"),
        h5ad.open_h5ad(path) as file,
    ):
        h5ad.read_frame(file, "obs")


def test_too_little_memory_is_no_fault_of_the_file():
    assert isinstance(h5ad.unreadable("x", MemoryError("full")), MemoryError)
    assert (
        str(h5ad.unreadable("x", KeyError())) == "x cannot be read (KeyError); write it again with AnnData.write_h5ad"
    )


def test_pointers_that_go_back_are_refused_before_anything_is_computed(tmp_path: Path):
    path = tmp_path / "a.h5ad"
    write_h5ad(path, pieces(), OBS, VAR)
    with h5py.File(path, "r+") as file:
        file["X"]["indptr"][2] = 40
    with pytest.raises(InputError, match="its pointers do not fit"), h5ad.open_h5ad(path) as file:
        list(h5ad.read_blocks(file["X"]))


WRITE_TOO_MUCH = """
import resource, sys
from pathlib import Path
import numpy as np, pandas as pd, scipy.sparse
from starter.data.write import write_h5ad
from starter.errors import InputError

resource.setrlimit(resource.RLIMIT_FSIZE, (4 << 20, 4 << 20))
block = scipy.sparse.csr_matrix(np.ones((1024, 500), np.float32))
obs, var = (pd.DataFrame(index=pd.RangeIndex(n).astype(str)) for n in (10 * 1024, 500))
try:
    write_h5ad(Path(sys.argv[1]), (block for _ in range(10)), obs, var)
except InputError as error:
    print(error)
    raise SystemExit(2)
"""


def test_a_disk_that_fills_up_half_way_leaves_what_was_there(tmp_path: Path):
    """HDF5 crashes the process at its end where it still holds values that found no room."""
    (tmp_path / "x.h5ad").write_text("old")
    done = subprocess.run([sys.executable, "-c", WRITE_TOO_MUCH, tmp_path / "x.h5ad"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, f"cannot write {tmp_path}/x.h5ad: File too large\n")
    assert [entry.name for entry in tmp_path.iterdir()] == ["x.h5ad"]
    assert (tmp_path / "x.h5ad").read_text() == "old"


@pytest.mark.parametrize("compression", [None, "gzip"])
@pytest.mark.parametrize("gap", [0, 30, 10**6])
def test_only_the_cells_that_are_needed_are_read(
    tmp_path: Path, compression: str | None, gap: int, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(h5ad, "GAP", gap)
    rng = np.random.default_rng(1)
    x = scipy.sparse.random(200, 40, 0.3, format="csr", random_state=1, dtype=np.float32)
    obs, var = (pd.DataFrame(index=pd.RangeIndex(n).astype(str)) for n in x.shape)
    write_h5ad(tmp_path / "a.h5ad", [x], obs, var, compression=compression)
    for share in (0, 0.02, 0.3, 0.9, 1):
        keep = rng.random(200) < share
        with h5ad.open_h5ad(tmp_path / "a.h5ad") as file:
            read = scipy.sparse.vstack(list(h5ad.read_blocks(file["X"], 64, keep)), format="csr")
        assert read.shape == x.shape
        np.testing.assert_array_equal(read[keep].toarray(), x[keep].toarray())
        if gap == 0 and compression is None:
            assert read.nnz == x[keep].nnz
