"""What published models write, brought to a course: values by hand, and every way in which a file may be wrong."""

import json
from collections.abc import Callable
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pyarrow
import pyarrow.parquet
import pytest
import scipy.sparse
from commands import run

from starter.data.course import open_course
from starter.data.pseudobulk import profiles
from starter.prediction.published import FORMATS

CONTEXT = "one context"


class Given:
    """A course, and predictions of its hidden perturbations that nothing is wrong with."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        course = open_course(folder)
        self.train, self.split = course.train(), course.split()
        self.genes = list(self.train.var_names)
        self.labels = list(self.split.n_cells("hidden"))
        table = profiles(self.train)
        self.control = table.loc[(CONTEXT, "non-targeting")].to_numpy()
        training = self.split.pairs("train")
        self.train_mean = np.mean([table.loc[pair].to_numpy() for pair in training], axis=0)
        # each gene of each perturbation has a value of its own
        rng = np.random.default_rng(0)
        self.means = self.control * rng.uniform(0.9, 1.1, (len(self.labels), len(self.genes)))
        self.means += 0.001 * np.arange(len(self.genes))[::-1] / len(self.genes)
        self.target_sum = float(self.train.uns["course"]["target_sum"])

    def cells(self, n: int = 12) -> anndata.AnnData:
        """Draw cells of each perturbation, fractions with zeros, labelled as GEARS does."""
        rng = np.random.default_rng(1)
        kept = rng.random((len(self.labels) * n, len(self.genes))) < 0.7
        values = np.where(kept, np.repeat(self.means, n, axis=0) / 0.7, 0).astype(np.float32)
        obs = pd.DataFrame({"condition": np.repeat([f"{label}+ctrl" for label in self.labels], n), "cell_type": "K562"})
        obs.index = obs.index.astype(str)
        return anndata.AnnData(scipy.sparse.csr_matrix(values), obs, pd.DataFrame(index=self.genes))

    def averaged(self, cells: anndata.AnnData) -> np.ndarray:
        """Average the cells of each perturbation, by pandas."""
        table = pd.DataFrame(cells.to_df().to_numpy(float), index=cells.obs["condition"].astype(str).to_numpy())
        return table.groupby(level=0).mean().loc[[f"{label}+ctrl" for label in self.labels]].to_numpy()

    def table(self, path: Path, columns: list[str] | None = None) -> np.ndarray:
        """Read a profile table that was written."""
        table = pd.read_parquet(path)
        assert table.index.names == ["context", "perturbation"]
        assert list(table.index) == [(CONTEXT, label) for label in self.labels]
        assert list(table.columns) == self.genes
        return table.to_numpy()


@pytest.fixture(scope="module")
def given(released) -> Given:
    return Given(released.public_folder)


@pytest.fixture
def imported(given: Given, tmp_path: Path) -> Callable:
    """Give a function that runs the command; it gives what the command said, and the file that it wrote."""

    def call(layout: str, *arguments: object, out: str = "out.parquet", fails: bool = False) -> tuple[str, Path]:
        path = tmp_path / out
        command = ["import-prediction", *arguments, "--from", layout, "-o", path, "--course", given.folder]
        answer = run("starter", *command)
        assert answer.returncode == (2 if fails else 0), answer.stderr
        if fails:
            assert not path.exists()
            assert answer.stderr.count("\n") == 1  # one sentence
            assert not list(tmp_path.glob(".*"))
        return answer.stderr if fails else answer.stdout, path

    return call


def of_gears(given: Given) -> dict[str, np.ndarray]:
    """Give what `GEARS.predict` of cell-gears 0.1.2 does: an array of float32 by the genes, joined by underscores."""
    return {label: row.astype(np.float32) for label, row in zip(given.labels, given.means, strict=True)}


def test_every_format_is_on_the_command_line():
    page = run("starter", "import-prediction", "--help").stdout
    assert all(name in page for name in FORMATS)


def test_a_dictionary_of_gears(given: Given, imported: Callable, tmp_path: Path):
    order = np.random.default_rng(2).permutation(len(given.genes))
    predicted = {label: row[order] for label, row in of_gears(given).items()}
    np.savez_compressed(tmp_path / "gears.npz", genes=np.array(given.genes)[order], **predicted)
    said, path = imported("arrays", tmp_path / "gears.npz")
    assert given.table(path) == pytest.approx(given.means, rel=1e-6)
    assert f"wrote {path}: 6 perturbations x 200 genes" in said


def test_doubles_in_a_key_of_gears(tmp_path: Path):
    """`A_B` is the double B+A of the course, and a symbol may hold an underscore."""
    from starter.prediction.imported import _meanings

    class Split:
        index = pd.MultiIndex.from_tuples([("x", "B+A"), ("x", "C_D"), ("x", "C"), ("x", "CTRL")])
        table = pd.DataFrame(index=index.set_names(["context", "perturbation"]))

    class Due:
        split = Split()
        genes = ("A", "B", "C", "CTRL")

    written = np.array(["A_B", "B_A", "A+B", "C_D", "C+ctrl", "ctrl+C", "ctrl", "NT_3", "CTRL", "D", "A"], dtype=object)
    assert _meanings(written, Due()) == {  # type: ignore[arg-type]
        "A_B": "B+A", "B_A": "B+A", "A+B": "B+A", "C_D": "C_D", "C+ctrl": "C", "ctrl+C": "C",
        "ctrl": "non-targeting", "NT_3": "non-targeting", "CTRL": "CTRL", "D": None, "A": None,
    }  # fmt: skip


def test_a_dictionary_of_cells_in_json(given: Given, imported: Callable, tmp_path: Path):
    """CellFlow gives cells x genes by the name of the condition; the genes come from the screen it was trained on."""
    predicted = {label: [list(row * 0.5), list(row * 1.5)] for label, row in of_gears(given).items()}
    (tmp_path / "cells.json").write_text(json.dumps(predicted, default=float))
    _, path = imported("arrays", tmp_path / "cells.json", "--genes", given.folder / "train.h5ad")
    assert given.table(path) == pytest.approx(given.means, rel=1e-6)


@pytest.mark.parametrize("form", ["csr", "csc", "dense"])
def test_cells_labelled_by_condition(given: Given, imported: Callable, tmp_path: Path, form: str):
    cells = given.cells()
    expected = given.averaged(cells)
    if form != "csr":
        cells.X = cells.X.toarray() if form == "dense" else cells.X.tocsc()
    order = np.random.default_rng(3).permutation(cells.n_obs)
    cells[order].copy().write_h5ad(tmp_path / "cells.h5ad")
    _, path = imported("anndata", tmp_path / "cells.h5ad")
    assert given.table(path) == pytest.approx(expected, rel=1e-5)


def test_genes_by_ids_with_their_symbols_in_gene_name(given: Given, imported: Callable, tmp_path: Path):
    cells = given.cells()
    cells.var = pd.DataFrame(
        {"gene_name": given.genes}, index=[f"ENSG{number:011d}" for number in range(len(given.genes))]
    )
    cells.write_h5ad(tmp_path / "cells.h5ad")
    _, path = imported("anndata", tmp_path / "cells.h5ad")
    assert np.isfinite(given.table(path)).all()


def test_cells_become_a_prediction_file(given: Given, imported: Callable, tmp_path: Path):
    cells = given.cells()[:, ::-1].copy()
    cells.write_h5ad(tmp_path / "cells.h5ad")
    said, path = imported("anndata", tmp_path / "cells.h5ad", out="prediction.h5ad")
    assert "cells of 6 perturbations x 200 genes" in said
    written = anndata.read_h5ad(path)
    control = written.obs["target_gene"] == "non-targeting"
    assert int(control.sum()) == int((given.train.obs["target_gene"] == "non-targeting").sum())
    assert list(written.var_names) == given.genes
    assert written[~control].obs["target_gene"].astype(str).tolist() == [
        name.removesuffix("+ctrl") for name in cells.obs.condition
    ]
    assert (cells.X[:, ::-1] != written[~control].X).nnz == 0
    assert run("starter", "check", path, "--course", given.folder).returncode == 0


def test_cells_at_another_target_sum_are_rescaled(given: Given, imported: Callable, tmp_path: Path):
    cells = given.cells()
    expected = given.averaged(cells)
    cells.X = scipy.sparse.csr_matrix(np.log1p(np.expm1(cells.X.toarray().astype(float)) * 1e4 / given.target_sum))
    cells.write_h5ad(tmp_path / "cells.h5ad")
    said, path = imported("anndata", tmp_path / "cells.h5ad", "--target-sum", 10_000)
    assert given.table(path) == pytest.approx(expected, rel=1e-5)
    assert f"brought from target_sum 10,000 to the course's, {given.target_sum:,.10g}" in said


def test_state_predict_names_no_genes(given: Given, imported: Callable, tmp_path: Path):
    """As `_cli/_tx/_predict.py` of arc-state 0.11.1 writes `adata_pred.h5ad`: obs without an index, X alone."""
    cells = given.cells()
    obs = pd.DataFrame(
        {
            "gene": [name.removesuffix("+ctrl") for name in cells.obs["condition"]],
            "cell_type": cells.obs["cell_type"].to_list(),
            "gem_group": "1",
        }
    )
    with pytest.warns(anndata.ImplicitModificationWarning):
        state = anndata.AnnData(X=np.clip(cells.X.toarray(), 0, 14), obs=obs)
    state.write_h5ad(tmp_path / "adata_pred.h5ad")
    said, _ = imported("state", tmp_path / "adata_pred.h5ad", fails=True)
    assert "the file does not name its 200 genes; give them in the model's order by --genes" in said
    (tmp_path / "genes.csv").write_text("\n".join(given.genes))
    _, path = imported("state", tmp_path / "adata_pred.h5ad", "--genes", tmp_path / "genes.csv")
    expected = given.averaged(cells)
    assert given.table(path) == pytest.approx(expected, rel=1e-5)
    (tmp_path / "genes.csv").write_text("\n".join(given.genes[1:]))
    said, _ = imported(
        "state", tmp_path / "adata_pred.h5ad", "--genes", tmp_path / "genes.csv", out="b.parquet", fails=1
    )
    assert "X has 200 genes, and --genes names 199" in said


def test_state_infer_writes_hvg_to_obsm(given: Given, imported: Callable, tmp_path: Path):
    """As `_cli/_tx/_infer.py` does with --embed-key: all cells, controls too; X left as it was, predictions in obsm."""
    cells = given.cells()
    names = [name.removesuffix("+ctrl") for name in cells.obs["condition"]]
    obs = pd.DataFrame(
        {"target_gene": ["non-targeting", "TRAINED", *names]}, index=[str(i) for i in range(cells.n_obs + 2)]
    )
    predicted = np.concatenate([np.ones((2, 200)), cells.X.toarray()])[:, :150]
    whole = anndata.AnnData(np.zeros((len(obs), 200)), obs, pd.DataFrame(index=given.genes))
    whole.obsm["X_hvg"] = predicted
    whole.write_h5ad(tmp_path / "simulated.h5ad")
    (tmp_path / "hvg.txt").write_text("\n".join(given.genes[:150]))
    options = [tmp_path / "simulated.h5ad", "--values", "obsm/X_hvg", "--genes", tmp_path / "hvg.txt"]
    said, _ = imported("state", *options, fails=True)
    assert f"due and not predicted: 50 genes of 200 ({', '.join(given.genes[150:155])} and 45 more)" in said
    said, path = imported("state", *options, "--fill", "control")
    assert "labels that are not due, left out: 2 (TRAINED, non-targeting)" in said
    assert "warning: not predicted, and filled with the control: 50 genes of 200" in said
    table = given.table(path)
    expected = given.averaged(cells)
    assert table[:, :150] == pytest.approx(expected[:, :150], rel=1e-5)
    assert table[:, 150:] == pytest.approx(np.tile(given.control[150:], (6, 1)))


def test_cpa_keeps_predictions_in_obsm(given: Given, imported: Callable, tmp_path: Path):
    """As `CPA.predict` of cpa-tools 0.8.8 does: X is what went in, obsm CPA_pred what came out."""
    cells = given.cells()
    expected = given.averaged(cells)
    cells.obsm["CPA_pred"] = cells.X.toarray()
    cells.X = scipy.sparse.csr_matrix(np.tile(given.control, (cells.n_obs, 1)))
    cells.write_h5ad(tmp_path / "cpa.h5ad")
    _, path = imported("cpa", tmp_path / "cpa.h5ad")
    assert given.table(path) == pytest.approx(expected, rel=1e-5)


def test_chunks_of_perturbench(given: Given, imported: Callable, tmp_path: Path):
    """As `PerturbationModel.predict_step` of PerturbBench does: an AnnData a chunk, a perturbation may be cut."""
    cells = given.cells()
    cells.X = cells.X.toarray()
    other = cells[:40].copy()
    other.obs["condition"] = "TRAINED+ctrl"
    for number, chunk in enumerate((cells[:10], other, cells[10:])):
        chunk.copy().write_h5ad(tmp_path / f"prediction_chunk_{number}.h5ad")
    expected = given.averaged(cells)
    _, path = imported("perturbench", *sorted(tmp_path.glob("*.h5ad")))
    assert given.table(path) == pytest.approx(expected, rel=1e-5)
    cells[:, ::-1].copy().write_h5ad(tmp_path / "prediction_chunk_0.h5ad")
    said, _ = imported("perturbench", *sorted(tmp_path.glob("*.h5ad")), out="b.parquet", fails=True)
    assert "the genes of" in said


def of_pie(given: Given, path: Path, datasets: tuple[str, ...] = ("course",), cut: int = 0, first: float = -9) -> Path:
    """Write a table as `pie/predict.py` of arc-pie 1.0.0 does; the first value is far below the control's."""
    values = (given.means - given.control).astype(np.float32)
    values[0, 0] = first
    column = pyarrow.array(list(values[:, : 200 - cut]), type=pyarrow.list_(pyarrow.float32()))
    about = json.dumps({"format_version": 1, "genes": dict.fromkeys(datasets, given.genes)})
    columns = {"dataset": ["course"] * 6, "context": ["K562"] * 6, "perturbation": given.labels}
    table = pyarrow.table({**columns, "p_de": column, "lfc_pred": column, "delta_p_pred": column})
    pyarrow.parquet.write_table(table.replace_schema_metadata({b"pie": about}), path)
    return path


def test_differences_of_pie(given: Given, imported: Callable, tmp_path: Path):
    said, path = imported("pie", of_pie(given, tmp_path / "pie.parquet"))
    expected = given.means.copy()
    expected[0, 0] = 0
    assert given.table(path) == pytest.approx(expected, abs=1e-6)
    assert "set to 0: 1 of 1,200" in said
    said, _ = imported("pie", tmp_path / "pie.parquet", out="cells.h5ad", fails=True)
    assert "differences from the control profile and no cells; write a profile table (.parquet)" in said
    said, _ = imported("pie", tmp_path / "pie.parquet", "--target-sum", 10_000, out="b.parquet", fails=True)
    assert "differences of logs at target_sum 10,000 cannot be rescaled exactly; train the model on log1p(" in said
    said, _ = imported("pie", of_pie(given, tmp_path / "a.parquet", ("x", "y")), out="b.parquet", fails=True)
    assert "holds 2 data sets (x, y)" in said
    said, _ = imported("pie", of_pie(given, tmp_path / "a.parquet", cut=1), out="b.parquet", fails=True)
    assert "a row has not one value for each of its 200 genes" in said
    nan = of_pie(given, tmp_path / "a.parquet", first=np.nan)
    said, _ = imported("pie", nan, "--fill", "control", out="b.parquet", fails=True)
    assert "NaN or infinite values in the prediction: 1" in said
    said, _ = imported("pie", given.folder / "split.json", out="b.parquet", fails=True)
    assert "is no table of pie infer" in said


@pytest.mark.parametrize("fill", ["control", "train-mean"])
def test_what_is_not_predicted_is_refused_or_filled(given: Given, imported: Callable, tmp_path: Path, fill: str):
    predicted = of_gears(given)
    lost = given.labels[2]
    del predicted[lost]
    np.savez(tmp_path / "gears.npz", genes=given.genes, **predicted)
    said, _ = imported("arrays", tmp_path / "gears.npz", fails=True)
    assert f"due and not predicted: 1 perturbation of 6 ({lost}); predict them, or let --fill" in said
    said, path = imported("arrays", tmp_path / "gears.npz", "--fill", fill)
    assert f"filled with the {fill}: 1 perturbation of 6 ({lost})" in said
    expected = given.means.copy()
    expected[2] = given.control if fill == "control" else given.train_mean
    assert given.table(path) == pytest.approx(expected, rel=1e-6)


def test_values_below_0_are_clipped_and_counted(given: Given, imported: Callable, tmp_path: Path):
    predicted = of_gears(given)
    predicted[given.labels[0]][:3] = -0.01
    np.savez(tmp_path / "gears.npz", genes=given.genes, **predicted)
    said, path = imported("arrays", tmp_path / "gears.npz")
    assert "values below 0 (lowest -0.01), set to 0: 3 of 1,200" in said
    assert (given.table(path)[0, :3] == 0).all()


def spoilt(given: Given, how: str) -> dict[str, np.ndarray]:
    predicted = of_gears(given)
    first = given.labels[0]
    if how == "NaN":
        predicted[first][5] = np.nan
    elif how == "effects":
        predicted = {label: row - given.control for label, row in predicted.items()}
    elif how == "another scale":
        predicted = {label: np.log1p(np.expm1(row) * 4) for label, row in predicted.items()}
    elif how == "not logged":
        predicted = {label: np.expm1(row) * 100 for label, row in predicted.items()}
    elif how == "counts":
        predicted = {label: np.rint(row * 10) for label, row in predicted.items()}
    elif how == "zeros":
        predicted = {label: row * 0 for label, row in predicted.items()}
    elif how == "one gene less":
        predicted[first] = predicted[first][1:]
    elif how == "words":
        predicted[first] = np.array(["a"] * 200)
    elif how == "objects":
        predicted[first] = np.array([{}] * 200, dtype=object)
    elif how == "three axes":
        predicted[first] = np.ones((2, 2, 200))
    elif how == "other labels":
        predicted = {f"x{label}": row for label, row in predicted.items()}
    elif how == "nothing":
        predicted = {}
    return predicted


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("NaN", "NaN or infinite values in the prediction: 1; a model that gives them has diverged"),
        ("effects", "of those above, so these are effects or z-scores; write expression"),
        ("another scale", "so they do not look like log1p at the course's target_sum"),
        ("not logged", "log1p expression stays below 15; take log1p, once"),
        ("counts", "the prediction holds mean counts, and a mean of logs is not known from them; train the model on"),
        ("zeros", "the prediction holds no value above 0; see whether --values names the predicted expression"),
        ("one gene less", "has 200 genes, and"),
        ("words", "is no array of numbers, a mean for each gene or cells x genes (it is <U1 of shape (200,))"),
        ("objects", "write it as numbers: numpy.savez("),
        ("three axes", "is no array of numbers"),
        ("other labels", "is a perturbation of the hidden part ("),
        ("nothing", "holds no prediction; write a dictionary of arrays: numpy.savez("),
    ],
)
def test_bad_values(given: Given, imported: Callable, tmp_path: Path, how: str, said: str):
    np.savez(tmp_path / "bad.npz", genes=given.genes, **spoilt(given, how))
    answer, _ = imported("arrays", tmp_path / "bad.npz", fails=True)
    assert said in answer


def test_bad_genes(given: Given, imported: Callable, tmp_path: Path):
    predicted = of_gears(given)
    for names, said in (
        (given.genes[:-1], "its arrays have 200 genes, and 199 are named"),
        ([given.genes[0], *given.genes[:-1]], f"genes occur twice in the prediction: {given.genes[0]}"),
        ([f"other{number}" for number in range(200)], "none of the 200 genes (other0, other1"),
        (np.array(given.genes, dtype=object), "genes cannot be read (Object arrays cannot be loaded"),
    ):
        np.savez(tmp_path / "bad.npz", genes=names, **predicted)
        answer, _ = imported("arrays", tmp_path / "bad.npz", fails=True)
        assert said in answer
    np.savez(tmp_path / "bad.npz", **predicted)
    answer, _ = imported("arrays", tmp_path / "bad.npz", fails=True)
    assert "the file does not name its 200 genes" in answer


class Harm:
    def __reduce__(self):
        return Path.touch, (Path("harm"),)


@pytest.mark.parametrize("name", ["gears.pkl", "gears.npz", "gears.json", "gears.npy"])
def test_a_pickle_is_never_read(imported: Callable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str):
    import pickle

    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(pickle.dumps({"A": Harm()}))
    said, _ = imported("arrays", tmp_path / name, fails=True)
    assert "may be a pickle, which runs code when it is read; write the dictionary as arrays: numpy.savez(" in said
    assert not (tmp_path / "harm").exists()


def test_bad_files(given: Given, imported: Callable, tmp_path: Path):
    good = given.cells()
    good.write_h5ad(tmp_path / "good.h5ad")
    content = (tmp_path / "good.h5ad").read_bytes()
    (tmp_path / "cut.h5ad").write_bytes(content[: len(content) // 2])
    np.savez(tmp_path / "gears.npz", genes=given.genes, **of_gears(given))
    (tmp_path / "cut.npz").write_bytes((tmp_path / "gears.npz").read_bytes()[:5000])
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "cut.json").write_text('{"A": [1')
    for layout, name, said in (
        ("anndata", "none.h5ad", "No such file"),
        ("anndata", "cut.h5ad", "cut.h5ad cannot be read"),
        ("anndata", "gears.npz", "it is a zip archive"),
        ("arrays", "cut.npz", "cut.npz is no dictionary of arrays"),
        ("arrays", "good.h5ad", "is no dictionary of arrays"),
        ("arrays", "list.json", "list.json holds no dictionary"),
        ("arrays", "cut.json", "cut.json cannot be read as JSON"),
        ("cpa", "good.h5ad", "has no obsm/CPA_pred; name the element with the predictions by --values: X"),
        ("state", "good.h5ad", None),
    ):
        answer, _ = imported(layout, tmp_path / name, fails=said is not None)
        assert said is None or said in answer
    for options, said in (
        (["--pert-col", "none"], "has no column none; name the column of perturbations by --pert-col: condition"),
        (["--values", "layers/x"], "has no layers/x"),
        (["--target-sum", "100"], "so they do not look like log1p at the course's target_sum"),
        (["--part", "public"], "is a perturbation of the public part ("),
    ):
        answer, _ = imported("anndata", tmp_path / "good.h5ad", *options, out="b.parquet", fails=True)
        assert said in answer
    answer, _ = imported("anndata", tmp_path / "good.h5ad", out="out.csv", fails=True)
    assert "name a profile table (.parquet) or a prediction file (.h5ad)" in answer
    answer, _ = imported("anndata", tmp_path / "good.h5ad", "--fill", "control", out="out.h5ad", fails=True)
    assert "--fill is for profile tables" in answer
    answer, _ = imported("anndata", tmp_path / "good.h5ad", out="good.h5ad/out.parquet", fails=True)
    assert "cannot write" in answer


def test_bad_rows(given: Given, imported: Callable, tmp_path: Path):
    cells = given.cells()
    cells.obs["cell_type"] = ["K562", "RPE1"] * (cells.n_obs // 2)
    cells.write_h5ad(tmp_path / "cells.h5ad")
    said, _ = imported("anndata", tmp_path / "cells.h5ad", fails=True)
    assert "the prediction has 2 contexts (K562, RPE1), and the course one" in said
    cells = given.cells()
    cells.obs["condition"] = [None, *cells.obs["condition"][1:]]
    cells.write_h5ad(tmp_path / "cells.h5ad")
    said, _ = imported("anndata", tmp_path / "cells.h5ad", fails=True)
    assert "rows without a value in obs.condition: 1; label every row" in said
    cells = given.cells()
    kept = cells[cells.obs["condition"] != f"{given.labels[0]}+ctrl"]
    kept.copy().write_h5ad(tmp_path / "cells.h5ad")
    said, _ = imported("anndata", tmp_path / "cells.h5ad", out="out.h5ad", fails=True)
    assert "so cells are not filled: write a profile table (.parquet), and make cells of that with --fill" in said
    means = given.cells(1)
    means.write_h5ad(tmp_path / "means.h5ad")
    said, _ = imported("anndata", tmp_path / "means.h5ad", out="out.h5ad", fails=True)
    assert "one row a perturbation, its mean, and no cells" in said
    said, _ = imported("anndata", tmp_path / "means.h5ad", "--target-sum", "10000", fails=True)
    assert "the mean of logs is not the log of the mean; give predicted cells, or train the model on log1p(" in said


def test_counts_of_a_whole_library_become_logs(given: Given, imported: Callable, tmp_path: Path):
    """The small screen's genes are a part of the transcriptome; of counts there, the library size is not known."""
    rng = np.random.default_rng(4)
    cells = given.cells(30)
    counts = rng.poisson(np.expm1(np.repeat(given.means, 30, axis=0)) * 3)
    cells.X = scipy.sparse.csr_matrix(counts, dtype=np.float32)
    cells.write_h5ad(tmp_path / "counts.h5ad")
    outside = 1 - given.train.X.sum() / given.train.obs["n_umis"].sum() if "n_umis" in given.train.obs else 0
    said, path = imported("anndata", tmp_path / "counts.h5ad", fails=outside > 0.02)
    if outside > 0.02:
        assert "of a cell's UMIs lie outside of the course's genes, so its library size is not known" in said
        return
    logs = np.log1p(given.target_sum * counts / counts.sum(axis=1, keepdims=True))
    assert given.table(path) == pytest.approx(logs.reshape(6, 30, -1).mean(axis=1), rel=1e-5)
