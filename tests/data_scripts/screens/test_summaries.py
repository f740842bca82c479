"""Brief tables of public screens, against the files they come from and numbers that were published of them."""

import os
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from data_scripts.__main__ import app
from data_scripts.catalogue import data_set
from data_scripts.screens import summaries
from starter.errors import InputError
from starter.priors.tables import read_other_context, read_top_genes


def test_top_genes_are_the_first_of_each_list(vcc_data: Path, tmp_path: Path):
    path, _ = summaries.build("replogle_ranks", tmp_path / "priors", tmp_path)
    lists = read_top_genes(path)
    assert list(lists) == ["K562", "RPE1"]
    assert {of_line.shape for of_line in lists.values()} == {(585, 100)}
    for line, of_line in lists.items():
        source = pd.read_parquet(vcc_data / "replogle_sigrecon" / f"replogle_{line.lower()}_up_ranked.parquet")
        for name in ("UBL5", of_line.index[300]):
            own = source[source["pert"] == name].sort_values("rank")["gene"].head(100)
            assert of_line.loc[name].to_list() == own.to_list()
    shared = [len(set(a) & set(b)) for a, b in zip(*(table.to_numpy() for table in lists.values()), strict=True)]
    assert np.mean(shared) == pytest.approx(22.8, abs=0.05)  # as stated where the lists come from
    assert (tmp_path / "priors" / "replogle_top_genes.parquet.lineage.json").is_file()


def test_profiles_of_doubles_are_means_of_their_cells(vcc_data: Path, tmp_path: Path):
    path, _ = summaries.build("norman_k562", tmp_path, tmp_path)
    table = read_other_context(path)
    cells = anndata.read_h5ad(vcc_data / "perturbench_mini" / "devel.h5ad")
    own = cells[(cells.obs["cell_type"] == "k562") & (cells.obs["condition"] == "KLF1+TGFBR2")]
    np.testing.assert_allclose(table.loc["KLF1+TGFBR2"], np.asarray(own.X.mean(axis=0)).ravel(), rtol=1e-5)
    assert sum("+" in name for name in table.index) == 15
    assert table.shape == (34, 500)


def test_the_command_writes_it_into_the_priors_of_any_course(vcc_data: Path, tmp_path: Path):
    command = ["build", "norman_k562", "--out", str(tmp_path / "priors"), "--downloads", str(tmp_path)]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "norman_doubles.parquet: 34 rows" in done.output.replace("\n", "")
    assert "cite: Norman et al. (2019)" in done.output


def test_lists_are_cut_by_hand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(summaries, "LENGTH", 2)
    paths = [tmp_path / "k562.parquet", tmp_path / "rpe1.parquet"]
    for path, genes in zip(paths, ("XYZ", "ZYX"), strict=True):
        rows = {"pert": ["B"] * 3, "rank": [3, 1, 2], "gene": list(genes), "in_up": False}
        pd.DataFrame(rows).to_parquet(path)
    table = summaries.read_top_genes(paths)
    due = [("K562", "B", 1, "Y"), ("K562", "B", 2, "Z"), ("RPE1", "B", 1, "Y"), ("RPE1", "B", 2, "X")]
    assert list(table.itertuples(index=False, name=None)) == due


def test_profiles_are_averaged_by_hand(tmp_path: Path):
    obs = pd.DataFrame({"cell_type": ["k562", "k562", "k562", "A172"], "condition": ["A+B", "control", "A+B", "A+B"]})
    x = np.array([[1.0, 0], [3, 3], [2, 4], [9, 9]])
    anndata.AnnData(x, obs.set_index(pd.Index(list("abcd"))), pd.DataFrame(index=["X", "Y"])).write_h5ad(tmp_path / "h")
    table = summaries.read_doubles([tmp_path / "h"])
    assert {name: row.to_list() for name, row in table.iterrows()} == {"A+B": [1.5, 2.0], "non-targeting": [3.0, 3.0]}


def test_another_layout_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    path = tmp_path / "other.parquet"
    pd.DataFrame({"gene": ["A"]}).to_parquet(path)
    monkeypatch.setattr(summaries, "obtain", lambda name, folder: (data_set(name), [path, path]))
    with pytest.raises(InputError, match="other.parquet has another layout than replogle_ranks should"):
        summaries.build("replogle_ranks", tmp_path, tmp_path)
    assert os.listdir(tmp_path) == ["other.parquet"]
