"""`score` from Python: cells in memory, files and Zarr stores; and the documentation's own example."""

import re
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from starter.errors import InputError
from starter.scoring.history import read_history
from starter.scoring.score import score
from starter.scoring.scorecard import Scorecard
from starter.scoring.truth.opened import Truth

pytestmark = pytest.mark.filterwarnings("ignore:.*[zZ]arr.*v[23]", "ignore:Consolidated metadata")
ROOT = Path(__file__).parents[3]
LAYOUTS: dict[str, Callable] = {
    "csr": lambda x: x,
    "csr array": scipy.sparse.csr_array,
    "csc": lambda x: x.tocsc(),
    "dense": lambda x: x.toarray(),
    "by columns of memory": lambda x: np.asfortranarray(x.toarray()),
    "float64": lambda x: x.astype(np.float64),
    "float16": lambda x: x.toarray().astype(np.float16),
    "unsorted": lambda x: x[:, ::-1].tocsr(),
}


def same(one: Scorecard, other: Scorecard) -> None:
    """Compare two scorecards bit by bit."""
    assert one.metrics == other.metrics
    assert (one.overall, one.overall_interval, one.flags) == (other.overall, other.overall_interval, other.flags)
    pd.testing.assert_frame_equal(one.per_perturbation, other.per_perturbation, check_exact=True)
    pd.testing.assert_frame_equal(one.table, other.table, check_exact=True)


@pytest.mark.parametrize("layout", list(LAYOUTS))
def test_cells_in_memory_score_as_their_file(
    small_truth: Truth, predictions: dict[str, Path], tmp_path: Path, layout: str
):
    adata = anndata.read_h5ad(predictions["half"])
    if layout == "unsorted":
        adata = adata[:, ::-1].copy()
    adata = anndata.AnnData(LAYOUTS[layout](adata.X), adata.obs, adata.var)
    if layout == "unsorted":
        adata.var_names = list(adata.var_names[::-1])
    adata.write_h5ad(tmp_path / "x.h5ad")
    before = adata.copy()
    for rules in ("course", "vcc2025-final") if layout == "csr" else ("vcc2025",):
        same(score(adata, small_truth, rules), score(tmp_path / "x.h5ad", small_truth, rules))
    assert (adata.X != before.X).sum() == 0
    pd.testing.assert_frame_equal(adata.obs, before.obs)


def test_a_view_and_a_store_score_as_the_file(small_truth: Truth, predictions: dict[str, Path], tmp_path: Path):
    adata = anndata.read_h5ad(predictions["half"])
    adata.write_zarr(tmp_path / "half.zarr")
    view = anndata.concat([adata, adata[:5]])[: adata.n_obs]
    of_file = score(predictions["half"], small_truth.folder, "vcc2025")
    for other in (view, tmp_path / "half.zarr", str(tmp_path / "half.zarr")):
        same(score(other, str(small_truth.folder), "vcc2025"), of_file)


def test_counts_in_memory_score_as_their_file(small_truth: Truth, small_path: Path, tmp_path: Path):
    adata = anndata.read_h5ad(small_path)
    adata.X = adata.X.astype(np.int32)
    del adata.obs["n_umis"]
    adata.write_h5ad(tmp_path / "x.h5ad")
    same(score(adata, small_truth, "vcc2025"), score(tmp_path / "x.h5ad", small_truth, "vcc2025"))


def test_a_look_is_counted_and_named(small_truth: Truth, predictions: dict[str, Path]):
    adata = anndata.read_h5ad(predictions["mean"])
    before = len(read_history(small_truth.folder))
    cards = [score(adata, small_truth, "vcc2025"), score(adata, small_truth, "vcc2025", name="mine")]
    adata.X.data[0] += 0.001
    cards.append(score(adata, small_truth, "vcc2025"))
    looks = read_history(small_truth.folder)[before:]
    assert [look.name for look in looks] == [card.name for card in cards] == ["prediction", "mine", "prediction"]
    assert [look.sha256 for look in looks] == [card.about["prediction"]["sha256"] for card in cards]
    assert looks[0].sha256 == looks[1].sha256 != looks[2].sha256
    assert all(card.notes[-1].startswith("Look ") for card in cards)


def test_the_tables(small_truth: Truth, cards: dict[str, Scorecard]):
    card = cards["half"]
    assert card.table.index.tolist() == [metric.name for metric in card.rules.metrics]
    assert card.table.index.name == "metric"
    assert card.table.loc["mae", "title"] == "MAE"
    assert card.table["scored"].sum() == len(card.rules.scored)
    for name, row in card.metrics.items():
        for key, value in row.items():
            came = card.table.loc[name, key]
            assert np.isnan(came) if value is None and key != "why_not" else came == value or came is value
    assert card.table["scaled"].dtype == np.float64
    assert list(card.per_perturbation) == ["context", "perturbation", "metric", "value", "baseline"]
    assert len(card.per_perturbation) == 24 * len(card.table)


def test_what_is_not_in_memory_is_refused(small_truth: Truth, predictions: dict[str, Path]):
    backed = anndata.read_h5ad(predictions["half"], backed="r")
    with pytest.raises(InputError, match="prediction is not in memory .*backed by a file.* give its path"):
        score(backed, small_truth, "vcc2025")
    backed.file.close()
    with pytest.raises(InputError, match="NoneType in X"):
        score(anndata.AnnData(obs=backed.obs, var=backed.var), small_truth, "vcc2025")
    with pytest.raises(InputError, match="X holds <U1, not numbers"):
        text = np.full(backed.shape, "1")
        score(anndata.AnnData(text, backed.obs, backed.var), small_truth, "vcc2025")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda adata: adata[:, 1:].copy(), "the genes of mine are not the truth's: missing 1"),
        (lambda adata: adata[adata.obs["target_gene"] != "non-targeting"].copy(), "mine has 1 fault:\n.*non-targeting"),
        (lambda adata: poisoned(adata, np.nan), "NaN"),
        (lambda adata: poisoned(adata, -1), "negative"),
    ],
)
def test_bad_cells_in_memory_are_refused_as_a_file_is(
    small_truth: Truth, predictions: dict[str, Path], spoil: Callable, said: str
):
    adata = spoil(anndata.read_h5ad(predictions["half"]))
    with pytest.raises(InputError, match=said):
        score(adata, small_truth, "vcc2025", name="mine")


def poisoned(adata: anndata.AnnData, value: float) -> anndata.AnnData:
    adata.X.data[3] = value
    return adata


def test_the_example_of_the_documentation(
    small_truth: Truth, predictions: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """The block is run as it stands there."""
    text = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    (block,) = [code for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "import score" in code]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "truth").symlink_to(small_truth.folder)
    (tmp_path / "prediction.h5ad").write_bytes(predictions["half"].read_bytes())
    names: dict = {}
    exec(compile(block, "docs/metrics.md", "exec"), names)
    same(names["card"], score("prediction.h5ad", "truth", "course"))
    assert (tmp_path / "scores" / "mine" / "scorecard.html").is_file()
