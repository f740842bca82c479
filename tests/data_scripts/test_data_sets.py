"""The commands list, info, fetch and build, as a person sees them."""

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from elsewhere import replogle
from typer.testing import CliRunner

from data_scripts import data_sets
from data_scripts.__main__ import app
from data_scripts.catalogue import DataSet, catalogue
from data_scripts.screens import build as screens

RUNNER = CliRunner()


def run(*arguments: object) -> str:
    result = RUNNER.invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


@pytest.fixture
def offered(publish: Callable[..., DataSet], monkeypatch: pytest.MonkeyPatch) -> Callable[..., DataSet]:
    def put(name: str, *contents: bytes) -> DataSet:
        entry = publish(name, *contents)
        monkeypatch.setattr(data_sets, "data_set", lambda other: entry if other == name else catalogue()[other])
        return entry

    return put


def test_list_says_what_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("VCC_DATA", str(tmp_path / "data"))
    for path in ("data/vcc2025/gene_names.csv", "data/vcc2025/pert_counts_Validation.csv", "down/CEGv2.txt"):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_bytes(b"x")
    with (tmp_path / "down" / "adata_Training.h5ad.part").open("wb") as file:
        file.truncate(1_548_249_746)  # a tenth of it, and no byte on the disk
    lines = {
        line.split()[0]: line.rstrip()
        for line in run("list", "--downloads", tmp_path / "down").splitlines()
        if line[0] != " "
    }
    assert len(lines) == len(catalogue()) + 1
    assert lines["name"].split() == ["name", "what", "cells", "x", "genes", "size", "licence", "on", "this", "disk"]
    assert lines["vcc2025_genes"].endswith("VCC_DATA")
    assert lines["core_essential"].endswith("here")
    assert lines["vcc2025_train"].endswith("1 of 2 files")
    assert lines["tahoe100m"].endswith("not here")
    assert "310,385 x 8,563   10.7 GB" in lines["replogle_k562_essential"]
    assert set(run("list", "--kind", "embedding").split()) > {"esm2", "geneformer", "genept", "scelmo"}
    assert "replogle" not in run("list", "--kind", "embedding")


def test_list_fits_a_narrow_terminal(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-m", "data_scripts", "list", "--downloads", str(tmp_path)],
        env={**os.environ, "FORCE_COLOR": "1", "COLUMNS": "80", "TERM": "xterm"},
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in done.stdout.splitlines()]
    assert max(map(len, lines)) <= 80
    at = lines.index("replogle_rpe1")
    assert lines[at + 1 : at + 3] == [
        "  CRISPRi of essential genes in RPE1 cells, single cells",
        "  247,914 x 8,749; 8.7 GB; CC BY 4.0; not here",
    ]


def test_info_says_everything(tmp_path: Path):
    said = run("info", "vcc2025_train", "--downloads", tmp_path)
    assert "crc32c /Z0row==" in said
    assert "cite: Roohani et al. (2025), Cell 188:3370-3374" in said
    assert "pert_counts_Training.csv: 2.8 kB, not here\n  no hash is published" in said
    assert "python -m data_scripts build vcc2025_train" in said
    assert "(stated by a third party)" in run("info", "parse_10m_pbmc", "--downloads", tmp_path)
    with pytest.raises(ValueError, match="the catalogue has no data set 'vcc'"):
        run("info", "vcc")


def test_fetch_introduces_before_it_downloads(offered: Callable[..., DataSet], tmp_path: Path):
    entry = offered("core_essential", b"GENE\nMYC\n")
    said = run("fetch", "core_essential", "--downloads", tmp_path / "down")
    assert said.startswith("core_essential: Core-essential genes")
    assert said.index("licence: CC BY 4.0") < said.index("1 file, 1 to download") < said.index("CEGv2.txt\n")
    assert hashlib.sha256((tmp_path / "down" / "CEGv2.txt").read_bytes()).hexdigest() == entry.files[0].sha256
    assert "1 file, 0 to download\n" in run("fetch", "core_essential", "--downloads", tmp_path / "down")


def test_some_files_of_a_data_set(offered: Callable[..., DataSet], tmp_path: Path):
    offered("vcc2025_genes", b"A\nB\n", b"target_gene,n_cells\n")
    run("fetch", "vcc2025_genes", "--file", "pert*.csv", "--downloads", tmp_path / "down")
    assert [path.name for path in (tmp_path / "down").glob("*.csv")] == ["pert_counts_Validation.csv"]


def test_build_a_part_of_a_screen(offered: Callable[..., DataSet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    targets = ["STAT1", "KLF1", "SPI1", "CD58", "MAP2K6"]
    made = replogle(tmp_path / "made.h5ad", [*targets * 12, *["non-targeting"] * 30])
    offered("replogle_rpe1", made.path.read_bytes())
    monkeypatch.setattr(screens.priors, "build", lambda genes, folder, downloads: None)
    monkeypatch.setattr("data_scripts.priors.build.coverage", lambda genes, folder: {"go": 4})
    said = run("build", "replogle_rpe1", "--subset", "--perturbations", 4, "--cells", 10, "--controls", 20, "--genes",
               30, "--out", tmp_path / "out", "--downloads", tmp_path / "down")  # fmt: skip
    assert "60 cells x " in said
    assert "4 perturbations, 20 controls" in said
    assert f'screen = "{tmp_path / "out" / "replogle_rpe1.h5ad"}"' in said
    assert said.index("licence: CC BY 4.0") < said.index("60 cells")


def test_build_what_is_known_of_genes(offered: Callable[..., DataSet], tmp_path: Path):
    offered("core_essential", b"GENE\nMYC\nAARS\n")
    (tmp_path / "genes.txt").write_text("MYC\nTP53\n")
    said = run("build", "core_essential", "--of-genes", tmp_path / "genes.txt", "--out", tmp_path / "priors",
               "--downloads", tmp_path / "down")  # fmt: skip
    assert f"wrote {tmp_path / 'priors' / 'core_essential.tsv'}: 1 rows, of 2 genes that were asked for" in said
    with pytest.raises(ValueError, match="say whose genes core_essential is for: --of-genes my_screen.h5ad"):
        run("build", "core_essential", "--downloads", tmp_path / "down")


@pytest.mark.parametrize("command", ["fetch", "build"])
@pytest.mark.parametrize("name", ["papalexi_thp1", "replogle_rpe1_bulk", "go"])
def test_a_part_is_no_more_asked_for_in_silence(name: str, command: str, tmp_path: Path):
    with pytest.raises(ValueError, match=f"no part of {name} can be had, since no layout of its cells is known"):
        run(command, name, "--subset", "--downloads", tmp_path)


def test_a_part_is_refused_of_what_has_none(offered: Callable[..., DataSet], tmp_path: Path):
    entry = offered("replogle_rpe1", b"\x89HDF\r\n\x1a\n" + bytes(100))
    with pytest.raises(
        ValueError, match="rpe1_raw_singlecell_01.h5ad cannot be read .*; see whether the file has changed"
    ):
        run("fetch", replace(entry).name, "--subset", "--downloads", tmp_path / "down")
