"""Feature tables of gene embeddings, against the arrays they are made of."""

import io
import json
import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from safetensors.numpy import save

from data_scripts.catalogue import DataSet
from data_scripts.priors import embeddings
from starter.errors import InputError
from starter.priors.tables import read_features

ROOT = Path(__file__).parents[3]
VALUES = np.arange(12, dtype=np.float32).reshape(4, 3) ** 2


def packed(values: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


def keys(*names: str) -> bytes:
    return json.dumps({"keys": names, "layout": "dense"}).encode()


def test_a_dense_source(publish: Callable[..., DataSet], tmp_path: Path):
    publish("esm2", keys("STAT1", "KLF1", "ACTB", "TP53"), packed(VALUES.astype(np.float16)))
    _, table = embeddings.build("esm2", {"TP53", "STAT1", "NOBODY"}, tmp_path / "priors", tmp_path / "downloads")
    expected = pd.DataFrame(
        VALUES[[0, 3]], index=pd.Index(["STAT1", "TP53"], name="gene"), columns=["esm2_0", "esm2_1", "esm2_2"]
    )
    pd.testing.assert_frame_equal(table, expected)
    pd.testing.assert_frame_equal(read_features(tmp_path / "priors" / "esm2_features.parquet"), expected)


def test_scgpts_checkpoint(publish: Callable[..., DataSet], tmp_path: Path):
    state = io.BytesIO()
    torch.save({"encoder.embedding.weight": torch.tensor(VALUES), "encoder.norm.weight": torch.ones(3)}, state)
    publish("scgpt_human", b"{}", state.getvalue(), json.dumps({"<pad>": 0, "KLF1": 3, "ACTB": 1}).encode())
    _, table = embeddings.build("scgpt_human", {"ACTB", "KLF1"}, tmp_path / "priors", tmp_path / "downloads")
    np.testing.assert_array_equal(table, VALUES[[1, 3]])


def test_geneformers_checkpoint(publish: Callable[..., DataSet], tmp_path: Path):
    weights = save({"bert.embeddings.word_embeddings.weight": VALUES, "bert.pooler": np.zeros(2, np.float32)})
    tokens, names = b"ensembl_id,token\n<pad>,0\nENSG2,2\nENSG3,3\n", b"gene_name,ensembl_id\nKLF1,ENSG3\nACTB,ENSG9\n"
    publish("geneformer", weights, tokens, names)
    _, table = embeddings.build("geneformer", {"ACTB", "KLF1", "SPI1"}, tmp_path / "priors", tmp_path / "downloads")
    assert table.index.tolist() == ["KLF1"]
    np.testing.assert_array_equal(table, VALUES[[3]])


def test_pickles_are_not_opened(publish: Callable[..., DataSet], tmp_path: Path):
    with pytest.raises(InputError, match="no feature table is made of genept: Pickles, which may run anything"):
        embeddings.build("genept", {"KLF1"}, tmp_path, tmp_path)
    evil = np.array([{"a": 1}], dtype=object)
    publish("esm2", keys("KLF1"), packed(evil))
    with pytest.raises(
        InputError, match="cannot be read as esm2 .ValueError: .*Python objects in dtype.*download it again"
    ):
        embeddings.build("esm2", {"KLF1"}, tmp_path / "priors", tmp_path / "downloads")


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ((keys("A", "B"), packed(VALUES)), r"has the shape \(4, 3\) for 2 keys"),
        ((b"{}", packed(VALUES)), "cannot be read as esm2 .KeyError: 'keys'"),
        ((b"<html>", packed(VALUES)), "cannot be read as esm2 .JSONDecodeError"),
        ((keys("A", "B", "C", "D"), packed(VALUES)), "esm2 knows none of 1 gene .KLF1.; give human gene symbols"),
        ((keys("KLF1", "B", "C", "D"), packed(VALUES * np.nan)), "holds NaN or infinite values"),
    ],
)
def test_damaged_sources(publish: Callable[..., DataSet], tmp_path: Path, contents: tuple[bytes, bytes], said: str):
    publish("esm2", *contents)
    with pytest.raises(InputError, match=said):
        embeddings.build("esm2", {"KLF1"}, tmp_path / "priors", tmp_path / "downloads")
    assert not (tmp_path / "priors").exists()


def documented(about: str) -> str:
    """Give the code of docs/models.md that opens a pickle."""
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "docs" / "models.md").read_text(encoding="utf-8"), re.DOTALL)
    (block,) = [block for block in blocks if about in block]
    return block


def run(code: str, folder: Path) -> None:
    done = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_geneformers_dictionaries_become_the_tables_of_the_catalogue(vcc_data: Path, tmp_path: Path):
    """Byte for byte, as its hash asks for."""
    made = (
        ("geneformer_token_dictionary_gc95M.csv", "token_dictionary_gc95M.pkl"),
        ("gene_name_to_ensembl_gc95M.csv", "gene_name_id_dict_gc95M.pkl"),
    )
    for ours, theirs in made:
        name, value = (table := pd.read_csv(vcc_data / "priors" / ours, na_filter=False)).columns
        (tmp_path / theirs).write_bytes(pickle.dumps(dict(zip(table[name], table[value].tolist(), strict=True))))
    run(documented("token_dictionary_gc95M.pkl"), tmp_path)
    for ours, _ in made:
        assert (tmp_path / ours).read_bytes() == (vcc_data / "priors" / ours).read_bytes()
