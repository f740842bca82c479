"""What docs/models.md shows does what it says."""

import pickle
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from starter.data import dataset
from starter.data.split import make_split
from starter.models import kit
from starter.models.contract import predict, read_model
from starter.models.training_data import read_training
from starter.priors.tables import read_features
from starter.simulation import biology
from starter.simulation.setup import Size
from starter.simulation.write import write

PAGE = Path(__file__).parents[3] / "docs" / "models.md"


@pytest.fixture(scope="module")
def course(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A course's data folder."""
    folder = tmp_path_factory.mktemp("course")
    path = write(biology.draw("default", 4, Size(targets=30, genes=80, controls=60, min_cells=8)), folder)
    screen = dataset.read_screen(path)
    names = dataset.perturbations(screen)
    split = make_split(screen, names[:5], names[5:10])
    split.write(folder / "split.json")
    screen[split.select(screen.obs, "train", "public")].copy().write_h5ad(folder / "train.h5ad")
    path.unlink()
    return folder


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_shortest_model_is_the_train_mean(course: Path, tmp_path: Path):
    text = next(block for block in blocks() if "def fit" in block and "groupby" in block)
    (tmp_path / "shortest.py").write_text(text, encoding="utf-8")
    contract, data = read_model(tmp_path / "shortest.py"), read_training(course / "train.h5ad")
    answers = [
        predict(model, model.fit(data), data.pairs[:3], data.profiles.columns)
        for model in (contract, kit.KIT["train mean"])
    ]
    np.testing.assert_allclose(*answers)


def test_the_python_way_runs_as_it_stands(course: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VCC_COURSE", str(course))
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in blocks():
        if not block.startswith(("def ", "import pandas", "import pickle")):
            exec(compile(block, str(PAGE), "exec"), names)
    table = pd.read_parquet("knn_hidden.parquet")
    assert table.shape == (5, 80)
    assert len(names["scores"]) == 20  # the training pairs; those of public validation are not learned from


def test_pickled_embeddings_become_tables_as_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """What students run where nothing is worth stealing, on files of the published form: dictionaries."""
    monkeypatch.chdir(tmp_path)
    published = {
        "GenePT_gene_embedding_ada_text.pickle": {"TP53": [0.5, -1.0], "MYC": [0.25, 2.0]},
        "token_dictionary_gc95M.pkl": {"<pad>": 0, "ENSG00000141510": 7},
        "gene_name_id_dict_gc95M.pkl": {"TP53": "ENSG00000141510"},
    }
    for name, content in published.items():
        Path(name).write_bytes(pickle.dumps(content))
    for block in blocks():
        if block.startswith("import pickle"):
            exec(compile(block, str(PAGE), "exec"), {})
    table = read_features(Path("genept_features.parquet"))
    assert table.loc["MYC"].tolist() == [0.25, 2.0]
    tokens = pd.read_csv("geneformer_token_dictionary_gc95M.csv", index_col="ensembl_id")["token"]
    assert tokens.to_dict() == {"<pad>": 0, "ENSG00000141510": 7}
    assert pd.read_csv("gene_name_to_ensembl_gc95M.csv").to_numpy().tolist() == [["TP53", "ENSG00000141510"]]
