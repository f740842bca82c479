"""Zarr stores at every door, beside the `.h5ad` of the same cells."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import anndata
import numcodecs
import numpy as np
import pytest
import scipy.sparse
import zarr
from commands import run

from starter.data import dataset
from starter.data.blocks import gather
from starter.data.cell_sets import ScreenFile
from starter.data.h5ad import open_h5ad
from starter.data.zarr_store import is_store
from starter.errors import InputError
from starter.files import sha256
from starter.prediction.check import check_prediction
from starter.prediction.pack import pack
from starter.schema import TARGET_GENE
from starter.scoring.screens.opened import open_screen

pytestmark = pytest.mark.filterwarnings("ignore:.*[zZ]arr.*v[23]", "ignore:Consolidated metadata")


def write(adata: anndata.AnnData, path: Path, version: int = 3) -> Path:
    with anndata.settings.override(zarr_write_format=version):
        adata.write_zarr(path)
    return path


@pytest.fixture
def adata(small_screen: anndata.AnnData) -> anndata.AnnData:
    return small_screen[:400].copy()


@pytest.fixture
def store(adata: anndata.AnnData, tmp_path: Path) -> Path:
    return write(adata, tmp_path / "x.zarr")


LAYOUTS: dict[str, Callable] = {
    "csr": lambda x: x,
    "csc": lambda x: x.tocsc(),
    "dense": lambda x: x.toarray(),
    "float64": lambda x: x.astype(np.float64),
}


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_a_store_gives_the_cells_of_its_file(adata: anndata.AnnData, tmp_path: Path, layout: str, version: int):
    adata.X = LAYOUTS[layout](adata.X)
    adata.write_h5ad(tmp_path / "x.h5ad")
    write(adata, tmp_path / "x.zarr", version)
    screens = []
    for name in ("x.h5ad", "x.zarr"):
        with open_screen(tmp_path / name) as screen:
            screens.append((screen, gather(screen.cells, np.ones(400, bool))))
    (of_file, expected), (of_store, came) = screens
    assert came.dtype == expected.dtype
    for part in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(came, part), getattr(expected, part))
    assert (of_store.labels == of_file.labels).all()
    assert (of_store.genes == of_file.genes).all()
    assert of_store.course == of_file.course
    assert (of_store.n_bytes, of_store.cells.dense) == (of_file.n_bytes, of_file.cells.dense)
    if layout == "csr":
        read = dataset.read_screen(tmp_path / "x.zarr")
        assert (read.X != adata.X).nnz == 0
        assert read.obs[TARGET_GENE].tolist() == adata.obs[TARGET_GENE].tolist()
        with ScreenFile(tmp_path / "x.zarr") as file, ScreenFile(tmp_path / "x.h5ad") as same:
            assert (file[[7, 3, 399]] != same[[7, 3, 399]]).nnz == 0


@pytest.mark.parametrize("version", [2, 3])
def test_a_store_is_checked_and_packed_as_its_file(good: Path, due: object, tmp_path: Path, version: int):
    store = write(anndata.read_h5ad(good), tmp_path / "x.zarr", version)
    assert check_prediction(store, due) == []
    for path, name in ((good, "a.vcc"), (store, "b.vcc")):
        pack(path, tmp_path / name, due)
    assert sha256(tmp_path / "a.vcc") == sha256(tmp_path / "b.vcc")


def test_commands_take_a_store(small_path: Path, tmp_path: Path):
    """A truth of a store, and its cells as a prediction, beside the same cells as a file."""
    adata = anndata.read_h5ad(small_path)
    store = write(adata, tmp_path / "cells.zarr")
    done = run("starter", "truth", "build", store, "--out", tmp_path / "t", "--profile", "vcc2025")
    assert (done.returncode, done.stderr) == (0, "")
    profile = ("--truth", tmp_path / "t", "--profile", "vcc2025", "--out", tmp_path / "scores")
    done = run("starter", "score", store, small_path, *profile, "--real", store)
    assert (done.returncode, done.stderr) == (0, "")
    folders = (tmp_path / "scores" / name for name in ("cells", small_path.stem))
    of_store, of_file = (json.loads((folder / "scorecard.json").read_text()) for folder in folders)
    assert of_store["prediction"] == {"name": "cells.zarr", "sha256": sha256(store)}
    assert of_store["metrics"] == of_file["metrics"]


def drop(name: str) -> Callable[[Path], None]:
    def damage(store: Path) -> None:
        path = store / name
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return damage


def garbled(store: Path) -> None:
    (store / "X" / "data" / "c" / "0").write_bytes(b"garbled")


def linked(store: Path) -> None:
    shutil.move(store / "obs", store.parent / "elsewhere")
    (store / "obs").symlink_to(store.parent / "elsewhere")


def unreadable_json(store: Path) -> None:
    (store / "zarr.json").write_text("{")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (drop("X/data/c/0"), "lacks 1 of the 1 chunks of X/data; copy or write it again"),
        (drop("X/indices/c"), "lacks 1 of the 1 chunks of X/indices"),
        (garbled, r"X/data cannot be read \("),
        (linked, "takes obs from another place; copy all of it into one folder"),
        (unreadable_json, "cannot be read as a Zarr store"),
        (drop("zarr.json"), "it is a folder, not a file; a Zarr store has zarr.json or .zgroup in it"),
    ],
)
def test_a_damaged_store_is_refused(store: Path, damage: Callable[[Path], None], said: str):
    damage(store)
    with pytest.raises(InputError, match=said), open_screen(store) as screen:
        gather(screen.cells, np.ones(400, bool))
    if damage is not garbled:
        with pytest.raises(InputError, match=said):
            dataset.read_screen(store)
    else:
        with pytest.raises(InputError, match="cannot be read"):
            dataset.read_screen(store)


def test_a_store_that_is_no_anndata_is_refused(tmp_path: Path):
    zarr.open_group(tmp_path / "x.zarr", mode="w").create_group("obs")
    assert is_store(tmp_path / "x.zarr")
    with pytest.raises(InputError, match="x.zarr is no AnnData file: it has no X, var"), open_h5ad(tmp_path / "x.zarr"):
        pytest.fail("it was opened")


class Trap:
    """What runs when it is unpickled."""

    def __reduce__(self) -> tuple:
        return (Path.touch, (Path(__file__).with_name("trap"),))


@pytest.mark.parametrize(
    ("codecs", "said"),
    [
        (["pickle"], "cannot be read as a Zarr store"),
        # which the library reads, since the first is one for text
        (["vlen-utf8", "pickle"], "holds Python objects in obs/target_gene/categories, which are not read"),
    ],
)
def test_python_objects_in_a_store_are_never_loaded(adata: anndata.AnnData, tmp_path: Path, codecs: list, said: str):
    store = write(adata, tmp_path / "x.zarr", version=2)
    folder = store / "obs" / "target_gene" / "categories"
    metadata = json.loads((folder / ".zarray").read_text())
    how = {"filters": [{"id": codec} for codec in codecs], "compressor": None}
    (folder / ".zarray").write_text(json.dumps(metadata | how))
    (folder / "0").write_bytes(numcodecs.Pickle().encode(np.array([Trap()], dtype=object)))
    for read in (dataset.read_screen, check_prediction):
        try:
            came = str(read(store))
        except InputError as error:
            came = str(error)
        assert said in came
    assert not Path(__file__).with_name("trap").exists()


def test_a_hash_of_a_store_follows_its_content(adata: anndata.AnnData, tmp_path: Path):
    one, same = write(adata, tmp_path / "1.zarr"), write(adata, tmp_path / "2.zarr")
    assert sha256(one) == sha256(same)
    adata.X.data[0] += 1
    assert sha256(write(adata, tmp_path / "3.zarr")) != sha256(one)


def test_chunks_of_any_size(adata: anndata.AnnData, tmp_path: Path):
    adata.X = scipy.sparse.csr_matrix(adata.X)
    store = write(adata, tmp_path / "x.zarr")
    group = zarr.open_group(store, mode="a", use_consolidated=False)
    for part in ("data", "indices", "indptr"):
        values, attributes = group["X"][part][:], dict(group["X"][part].attrs)
        del group["X"][part]
        group["X"].create_array(part, data=values, chunks=(997,), attributes=attributes, overwrite=True)
    with open_screen(store) as screen:
        assert (gather(screen.cells, np.ones(400, bool)) != adata.X).nnz == 0
