"""Profiles of Replogle's pseudobulk files, by hand; the file is made up in their layout."""

import re
import textwrap
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from data_scripts.catalogue import DataSet
from data_scripts.screens import bulk
from starter.errors import InputError
from starter.priors.tables import read_other_context

ROWS = ["10_STAT1_P1P2_ENSG00000115415", "11_STAT1_P2_ENSG00000115415", "12_KLF1_P1_ENSG00000105610",
        "900_non-targeting_non-targeting_non-targeting", "901_non-targeting_non-targeting_non-targeting"]  # fmt: skip
COUNTS = np.array([[1.0, 3, 0], [3, 3, 2], [0.5, 0.5, 3], [1, 1, 2], [3, 0, 2]])
N_CELLS = np.array([10, 30, 7, 100, 300])


def made(path: Path, rows: list[str] = ROWS, counts: np.ndarray = COUNTS) -> bytes:
    obs = pd.DataFrame({"num_cells_filtered": N_CELLS[: len(rows)]}, index=rows)
    var = pd.DataFrame(
        {"gene_name": ["STAT1", "KLF1", "ACTB"]}, index=["ENSG00000115415", "ENSG00000105610", "ENSG00000075624"]
    )
    anndata.AnnData(counts[: len(rows)].astype(np.float32), obs, var).write_h5ad(path)
    return path.read_bytes()


asked: list = []


@pytest.fixture
def published(publish: Callable[..., DataSet], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., None]:
    asked.clear()

    def put(content: bytes) -> None:
        entry = publish("replogle_rpe1_bulk", content, b"")
        monkeypatch.setattr(bulk, "data_set", lambda name: entry)
        monkeypatch.setattr(bulk.priors, "build", lambda genes, folder, downloads: asked.append((genes, folder)))

    return put


def test_profiles_are_those_by_hand(published: Callable[..., None], tmp_path: Path):
    published(made(tmp_path / "made.h5ad"))
    path, table = bulk.build("replogle_rpe1_bulk", tmp_path / "priors", tmp_path / "downloads", target_sum=100)
    # STAT1: (1 x 10 + 3 x 30) / 40 = 2.5, 3, (0 x 10 + 2 x 30) / 40 = 1.5, of 7 together
    np.testing.assert_allclose(table.loc["STAT1"], np.log1p(100 * np.array([2.5, 3, 1.5]) / 7))
    np.testing.assert_allclose(table.loc["KLF1"], np.log1p(100 * np.array([0.5, 0.5, 3]) / 4))
    np.testing.assert_allclose(table.loc["non-targeting"], np.log1p(100 * np.array([2.5, 0.25, 2]) / 4.75))
    assert list(table.columns) == ["STAT1", "KLF1", "ACTB"]
    assert path.name == "replogle_rpe1_other_context.parquet"
    pd.testing.assert_frame_equal(read_other_context(path), table)
    assert asked == [({"STAT1", "KLF1", "ACTB"}, tmp_path / "priors" / "priors")]


def test_profiles_alone_are_enough_to_judge_models_by(published: Callable[..., None], tmp_path: Path):
    """The document's code runs as it stands there, on a table in which features tell the effects."""
    rng = np.random.default_rng(4)
    genes = [f"GENE{n}" for n in range(60)]
    known = rng.normal(size=(60, 4))
    effects = np.exp(0.3 * known @ rng.normal(size=(4, 60)))
    counts = np.vstack([rng.lognormal(0, 0.2, 60) * effects, np.ones((1, 60))])
    rows = [*(f"{n}_{gene}_P1_ENSG{n:011d}" for n, gene in enumerate(genes)), "99_non-targeting_x_x"]
    obs = pd.DataFrame({"num_cells_filtered": 50}, index=rows)
    var = pd.DataFrame({"gene_name": genes}, index=[f"ENSG{n:011d}" for n in range(60)])
    anndata.AnnData(counts.astype(np.float32), obs, var).write_h5ad(tmp_path / "made.h5ad")
    published((tmp_path / "made.h5ad").read_bytes())
    folder = tmp_path / "screens" / "replogle_rpe1_bulk"
    bulk.build("replogle_rpe1_bulk", folder, tmp_path / "downloads")
    (folder / "priors").mkdir()
    (folder / "priors" / "go_annotations.tsv").write_text(
        "gene\tterm\n" + "".join(f"{gene}\tterm{term}\n" for gene, row in zip(genes, known, strict=True)
                                 for term in np.flatnonzero(row > 0))
    )  # fmt: skip
    text = (Path(__file__).parents[3] / "docs" / "instructor.md").read_text()
    code = next(block for block in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "rpe1_bulk" in block)
    there: dict = {}
    exec(textwrap.dedent(code).replace("screens/", f"{tmp_path}/screens/"), there)
    table = there["tuning"].compare(there["scores"]["ridge"], there["scores"]["train_mean"])
    assert table.loc["pearson_delta", "low"] > 0


@pytest.mark.parametrize(
    ("rows", "counts", "said"),
    [
        (ROWS[:3], COUNTS, "no non-targeting row; take the file of raw counts"),
        (ROWS, -COUNTS, "holds negative or missing values"),
        (["a", "b"], COUNTS, "its rows are not named NUMBER_GENE_TRANSCRIPT"),
    ],
)
def test_other_files_are_refused(
    published: Callable[..., None], tmp_path: Path, rows: list[str], counts: np.ndarray, said: str
):
    published(made(tmp_path / "made.h5ad", rows, counts))
    with pytest.raises(InputError, match=said):
        bulk.build("replogle_rpe1_bulk", tmp_path / "priors", tmp_path / "downloads")
    assert not (tmp_path / "priors").exists()
