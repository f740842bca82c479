"""What published models are trained on; and, where one is installed, that it trains, predicts and is scored."""

import json
import os
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest

from benchmarks.published import __main__ as published
from benchmarks.published.environments import DONE, PINS, python_of
from benchmarks.published.inputs import condition_of, write_inputs
from starter.data.course import open_course
from starter.errors import InputError
from starter.prediction.imported import Due, profile_table
from starter.prediction.published import FORMATS, open_written


def test_every_model_has_its_pins_and_its_script():
    for name, model in published.MODELS.items():
        pins = (PINS / f"{name}.txt").read_text().splitlines()
        assert all("==" in line or "<" in line for line in pins if not line.startswith("#"))
        assert (PINS / f"{name}_model.py").is_file()
        assert model.layout in FORMATS


def test_a_model_is_given_no_hidden_cell(released, tmp_path: Path):
    course = open_course(released.public_folder)
    write_inputs(course, tmp_path)
    screen, parts = anndata.read_h5ad(tmp_path / "screen.h5ad"), json.loads((tmp_path / "parts.json").read_text())
    train, split = course.train(), course.split()
    hidden = {condition_of(label) for _, label in split.pairs("hidden")}
    assert not hidden & set(screen.obs["condition"])
    assert set(parts["predict"]) == hidden | set(parts["public"])
    assert set(screen.obs["condition"]) == {"ctrl", *parts["train"], *parts["public"]}
    cell = 17
    counts = train.X[cell].toarray().ravel().astype(float)
    logs = np.log1p(train.uns["course"]["target_sum"] * counts / train.obs["n_umis"].iloc[cell])
    assert screen.X[cell].toarray().ravel() == pytest.approx(logs, rel=1e-6)
    table = pd.read_csv(next((course.folder / "priors").glob("*annotations.tsv")), sep="\t")
    terms = json.loads((tmp_path / "annotations.json").read_text())
    assert {(gene, term) for gene in terms for term in terms[gene]} == set(table.itertuples(index=False, name=None))


def test_an_environment_that_cannot_be_made_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "none.txt").write_text("there-is-no-such-package-of-the-course==0\n")
    monkeypatch.setattr("benchmarks.published.environments.PINS", tmp_path)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(InputError, match="pip cannot install none into .*: ERROR: .*see none.txt"):
        python_of("none", tmp_path)
    assert not (tmp_path / "none" / DONE).exists()


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(published.MODELS))
def test_it_trains_predicts_and_is_brought_to_the_course(
    released, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
):
    """At the smallest settings, on the small screen: that every step works, not that the model is good."""
    folder = os.environ.get("VCC_PUBLISHED")
    if not folder or not (Path(folder) / "environments" / name / DONE).is_file():
        pytest.skip(f"VCC_PUBLISHED names no folder with {name}; python -m benchmarks.published {name} --work FOLDER")
    (tmp_path / "environments").symlink_to(Path(folder) / "environments")
    monkeypatch.setitem(published.MODELS, name, published.MODELS[name]._replace(options=published.QUICK[name]))
    course = open_course(released.public_folder)
    wrote, took = published.train(name, course, tmp_path)
    assert "GiB" in took
    due = Due(course, "hidden")
    with open_written([wrote], FORMATS[published.MODELS[name].layout]) as written:
        assert sorted(written.genes) == sorted(due.genes)
        table, _ = profile_table(written, due)
    with np.load(wrote) as file:
        keys = {key.removesuffix("+ctrl"): key for key in file.files}
        genes = [str(gene) for gene in file["genes"]]
        raw = {label: np.maximum(np.atleast_2d(file[keys[label]]), 0).mean(axis=0) for _, label in due.pairs}
    for (_, label), row in table.iterrows():
        assert row[genes].to_numpy() == pytest.approx(raw[label], rel=1e-4, abs=1e-6)
    assert table.to_numpy().std(axis=0).max() > 0  # perturbations are told apart
