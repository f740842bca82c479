"""The published weights of scGPT, by files of the true format at an address on this machine."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from typer.testing import CliRunner

from data_scripts import scgpt
from data_scripts.__main__ import app
from data_scripts.catalogue import data_set
from data_scripts.download import DownloadError
from starter.models.scgpt import weights
from starter.models.scgpt.architecture import Architecture, PretrainingModel
from starter.models.scgpt.vocabulary import Vocabulary

GENES = ["STAT1", "JAK2", "IRF1"]
HGNC = b"""symbol\tstatus\talias_symbol\tprev_symbol\tensembl_gene_id
STAT1\tApproved\tSTAT91|ISGF-3\t\tENSG00000115415
JAK2\tApproved\tJTK10\t\tENSG00000096968
SARS1\tApproved\tSERS\tSARS\tENSG00000031698
"""


@pytest.fixture
def published(publish: Callable, tmp_path: Path) -> tuple[PretrainingModel, dict[str, bytes], Callable]:
    """A small checkpoint, its files, and how to publish others."""
    vocabulary = Vocabulary.of(GENES)
    model = PretrainingModel(Architecture(len(vocabulary), vocabulary.pad, 8, 2, 8, 1, 0.0))
    weights.save(model, vocabulary, tmp_path / "made")
    files = {file.name: (tmp_path / "made" / file.name).read_bytes() for file in data_set(scgpt.NAME).files}
    publish(scgpt.NAME, *files.values())
    publish("hgnc", HGNC)
    return model, files, publish


def test_what_is_downloaded_is_loaded(published: tuple, tmp_path: Path):
    model, files, _ = published
    done = CliRunner().invoke(app, ["scgpt", "--out", str(tmp_path / "human")])
    assert done.exit_code == 0, done.output
    assert f'weights = "{tmp_path / "human"}"' in done.output.replace("\n", "")
    assert {name: (tmp_path / "human" / name).read_bytes() for name in files} == files
    loaded, vocabulary = weights.load(tmp_path / "human")
    assert vocabulary.unknown(GENES) == []
    assert torch.equal(loaded.encoder.embedding.weight, model.encoder.embedding.weight)
    assert vocabulary.tokens(["STAT91", "SARS", "jak2", "ENSG00000115415.4"]) == [
        "STAT1",
        None,
        "JAK2",
        None,
    ]  # a token for one gene
    assert vocabulary.tokens(["ENSG00000115415.4"]) == ["STAT1"]
    assert vocabulary.approved == {"stat1", "jak2", "sars1"}
    for name in files:
        (tmp_path / "published" / name).unlink()  # nothing is asked for twice
    assert scgpt.build(tmp_path / "human") == tmp_path / "human"


def test_other_weights_are_refused_and_the_next_run_gets_the_right_ones(published: tuple, tmp_path: Path):
    _, files, publish = published
    entry = publish(scgpt.NAME, *files.values())
    (tmp_path / "published" / "best_model.pt").write_bytes(b"other" + files["best_model.pt"][5:])
    with pytest.raises(DownloadError, match="best_model.pt could not be .*its SHA-256 is .*, and should be"):
        scgpt.build(tmp_path / "human")
    assert not (tmp_path / "human" / "best_model.pt").exists()
    publish(scgpt.NAME, *files.values())
    scgpt.build(tmp_path / "human")
    assert (tmp_path / "human" / "best_model.pt").read_bytes() == files["best_model.pt"]
    assert [file.sha256 for file in entry.files] != [file.sha256 for file in data_set(scgpt.NAME).files]


def test_files_at_hand_are_copied(published: tuple, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    _, files, _ = published
    for name in files:
        (tmp_path / "published" / name).unlink()
    (tmp_path / "data").mkdir()
    (tmp_path / "made").rename(tmp_path / "data" / "scgpt_human")
    monkeypatch.setenv("VCC_DATA", str(tmp_path / "data"))
    scgpt.build(tmp_path / "human")
    assert {name: (tmp_path / "human" / name).read_bytes() for name in files} == files
