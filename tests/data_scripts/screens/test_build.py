"""Course data sets of screens of the catalogue; the screens are made up, in the publishers' layouts."""

import json
import runpy
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anndata
import h5py
import numpy as np
import pandas as pd
import pytest
from elsewhere import old_table, replogle, scperturb

from data_scripts.adoption.layout import read_layout
from data_scripts.catalogue import DataSet, catalogue
from data_scripts.screens import build as screens
from data_scripts.subset.cells import Part
from starter.data.dataset import perturbations, read_screen
from starter.data.split import read_split
from starter.errors import InputError
from starter.simulation import biology
from starter.simulation.setup import Size
from starter.simulation.write import write

TARGETS = ("STAT1", "KLF1", "SPI1", "MAP2K6", "CD58", "HLA-A", "NKX2-1", "ACTB", "GAPDH", "TBCE")


@pytest.fixture
def asked_priors(monkeypatch: pytest.MonkeyPatch) -> list[set[str]]:
    asked: list[set[str]] = []
    monkeypatch.setattr(screens.priors, "build", lambda genes, folder, downloads: asked.append(genes))
    return asked


def test_a_whole_screen_becomes_a_course_data_set(
    publish: Callable[..., DataSet], tmp_path: Path, asked_priors: list[set[str]]
):
    labels = [*TARGETS * 6, *["non-targeting"] * 20]
    made = replogle(tmp_path / "made.h5ad", labels)
    publish("replogle_rpe1", made.path.read_bytes())
    path, report = screens.build("replogle_rpe1", tmp_path / "out", tmp_path / "downloads")
    screen = read_screen(path)
    np.testing.assert_array_equal(screen.X.toarray(), made.counts)
    assert screen.obs["target_gene"].tolist() == labels
    assert screen.obs["batch"].astype(str).tolist() == made.obs["gem_group"].astype(str).tolist()
    assert screen.obs["guide_id"].tolist() == made.obs["sgID_AB"].tolist()
    np.testing.assert_allclose(screen.obs["percent_mito"], 100 * made.obs["mitopercent"])
    assert screen.uns["course"]["licence"] == "CC BY 4.0"
    assert not screen.uns["course"]["simulated"]
    assert (report.cells, report.perturbations) == (80, 10)
    split = read_split(tmp_path / "out" / "replogle_rpe1.split.json")
    assert [len(split.pairs(part)) for part in ("train", "public", "hidden")] == [7, 1, 2]
    assert asked_priors == [{*screen.var_names, *TARGETS}]
    lineage = json.loads(path.with_name(path.name + ".lineage.json").read_text())
    assert lineage["data_sets"][0]["name"] == "replogle_rpe1"


@pytest.mark.usefixtures("asked_priors")
def test_a_part_of_a_screen_becomes_a_course_data_set(publish: Callable[..., DataSet], tmp_path: Path):
    made = replogle(tmp_path / "made.h5ad", [*TARGETS * 12, *["non-targeting"] * 40])
    publish("replogle_k562_essential", made.path.read_bytes())
    part = Part(perturbations=6, cells=10, controls=25, genes=20)
    path, report = screens.build("replogle_k562_essential", tmp_path / "out", tmp_path / "downloads", part)
    screen = read_screen(path)
    assert screen.obs["target_gene"].value_counts().to_dict().pop("non-targeting") == 25
    assert len(perturbations(screen)) == report.perturbations == 6
    assert 20 <= screen.n_vars <= 26
    # a cell's total is that of the whole transcriptome, not of the genes that were taken
    totals = made.obs["UMI_count"].loc[screen.obs_names]
    np.testing.assert_allclose(screen.obs["n_umis"], totals)
    assert not (tmp_path / "downloads" / "K562_essential_raw_singlecell_01.h5ad").exists()


@pytest.mark.usefixtures("asked_priors")
def test_doubles_of_scperturb_become_sums(publish: Callable[..., DataSet], tmp_path: Path):
    labels = ["KLF1", "STAT1", "KLF1_MAP2K6", "SPI1", "control", "control"] * 5
    made = scperturb(
        tmp_path / "made.h5ad", labels, guide_id=pd.Categorical(labels), gemgroup=np.arange(len(labels)) % 3
    )
    publish("norman2019", made.path.read_bytes())
    path, _ = screens.build("norman2019", tmp_path / "out", tmp_path / "downloads")
    assert perturbations(read_screen(path)) == ["KLF1", "KLF1+MAP2K6", "SPI1", "STAT1"]


@pytest.mark.usefixtures("asked_priors")
def test_plasmids_of_adamson_become_genes(publish: Callable[..., DataSet], tmp_path: Path):
    labels = ["SPI1_pDS255", "KLF1_pDS268", "STAT1_pDS258", "62(mod)_pBA581", "*"] * 6
    publish("adamson2016", scperturb(tmp_path / "made.h5ad", labels).path.read_bytes())
    path, report = screens.build("adamson2016", tmp_path / "out", tmp_path / "downloads")
    assert read_screen(path).obs["target_gene"].value_counts().to_dict() == {
        "SPI1": 6, "KLF1": 6, "STAT1": 6, "non-targeting": 6,
    }  # fmt: skip
    assert report.dropped == {"labelled '*'": 6}


@pytest.mark.usefixtures("asked_priors")
def test_conditions_of_frangieh_are_contexts(publish: Callable[..., DataSet], tmp_path: Path):
    labels = ["SPI1", "KLF1", "STAT1", "control", "CD58"] * 6
    where = ["Control", "IFNγ", "Co-culture"] * 10
    guides = pd.Categorical(
        [f"{'NO_SITE' if label == 'control' else label}_{number % 2}" for number, label in enumerate(labels)]
    )
    made = scperturb(tmp_path / "made.h5ad", labels, perturbation_2=pd.Categorical(where), sgRNA=guides)
    publish("frangieh2021", made.path.read_bytes())
    path, _ = screens.build("frangieh2021", tmp_path / "out", tmp_path / "downloads")
    screen = read_screen(path)
    assert screen.obs["context"].tolist() == where
    assert screen.obs["guide_id"].astype(str).tolist() == list(guides)
    assert perturbations(screen) == ["CD58", "KLF1", "SPI1", "STAT1"]


@pytest.mark.usefixtures("asked_priors")
@pytest.mark.parametrize(
    ("name", "control", "columns", "doses"),
    [
        ("srivatsan2020", "control", {"dose_value": [*[10_000.0] * 3, 0.0] * 4 + [*[10.0] * 3, 0.0] * 2}, [10, 10, 10]),
        (
            "op3",
            "Dimethyl Sulfoxide",
            {"dose_uM": [1.0, 10.0, 0.1, 14.1] * 6, "cell_type": ["B cells"] * 24},
            [1, 10, 0.1],
        ),
    ],
)
def test_doses_of_compounds_are_in_um(
    publish: Callable[..., DataSet], tmp_path: Path, name: str, control: str, columns: dict, doses: list[float]
):
    labels = ["JQ1", "Vorinostat", "Nilotinib", control] * 6
    label_column = {"sm_name": pd.Categorical(labels)} if name == "op3" else {}
    publish(name, scperturb(tmp_path / "made.h5ad", labels, **columns, **label_column).path.read_bytes())
    path, _ = screens.build(name, tmp_path / "out", tmp_path / "downloads")
    screen = read_screen(path)
    assert screen.uns["course"]["perturbation_kind"] == "compound"
    of_compound = screen.obs.groupby("target_gene", observed=True)["dose"].first()
    np.testing.assert_allclose(of_compound[["JQ1", "Vorinostat", "Nilotinib"]], doses)
    assert perturbations(screen) == ["JQ1", "Nilotinib", "Vorinostat"]
    # of sci-Plex the highest dose alone is taken, and every vehicle cell
    n_cells = screen.obs["target_gene"].value_counts()
    assert n_cells["non-targeting"] == 6
    assert n_cells["JQ1"] == (4 if name == "srivatsan2020" else 6)


@pytest.mark.usefixtures("asked_priors")
def test_tahoes_doses_stand_in_their_text(publish: Callable[..., DataSet], tmp_path: Path):
    drugs = ["Bortezomib", "8-Hydroxyquinoline", "Trametinib (DMSO_TF solvate)", "DMSO_TF"] * 6
    doses = ["[('Bortezomib', 0.05, 'uM')]", "[('8-Hydroxyquinoline', 500.0, 'nM')]",
             "[('Trametinib (DMSO_TF solvate)', 5.0, 'µM')]", "[('DMSO_TF', 0.0, 'uM')]"] * 6  # fmt: skip
    columns = {"drug": drugs, "drugname_drugconc": doses, "plate": "plate3", "cell_name": ["A549", "HCT15"] * 12}
    made = scperturb(
        tmp_path / "made.h5ad",
        drugs,
        **{name: pd.Categorical(np.broadcast_to(column, 24)) for name, column in columns.items()},
    )
    publish("tahoe100m", made.path.read_bytes(), None)
    path, _ = screens.build("tahoe100m", tmp_path / "out", tmp_path / "downloads")
    screen = read_screen(path)
    of_drug = screen.obs.groupby("target_gene", observed=True)["dose"].unique().map(list).to_dict()
    assert of_drug == {
        "Bortezomib": [0.05],
        "8-Hydroxyquinoline": [0.5],
        "Trametinib (DMSO_TF solvate)": [5.0],
        "non-targeting": [0.0],
    }
    assert set(screen.obs["context"]) == {"A549", "HCT15"}


@pytest.mark.usefixtures("asked_priors")
def test_the_challenges_cells(publish: Callable[..., DataSet], tmp_path: Path):
    labels = ["KLF1", "STAT1", "CD58", "non-targeting"] * 6
    made = scperturb(
        tmp_path / "made.h5ad", labels, target_gene=pd.Categorical(labels), guide_id=labels, batch="Flex_1_01"
    )
    publish("vcc2025_validation", made.path.read_bytes(), b"")
    path, _ = screens.build("vcc2025_validation", tmp_path / "out", tmp_path / "downloads")
    screen = read_screen(path)
    np.testing.assert_array_equal(screen.X.toarray(), made.counts)
    # it has no total over the transcriptome beside its genes: the sum stands for it
    np.testing.assert_allclose(screen.obs["n_umis"], made.counts.sum(axis=1))
    assert set(screen.obs["batch"]) == {"Flex_1_01"}


def test_what_cannot_be_built_says_why(tmp_path: Path):
    with pytest.raises(
        InputError, match="no course data set is built of jiang2025_seurat: Seurat objects, which only R"
    ):
        screens.build("jiang2025_seurat", tmp_path, tmp_path)
    with pytest.raises(InputError, match="no course data set is built of go: the catalogue knows no layout of it"):
        screens.build("go", tmp_path, tmp_path)


@pytest.mark.usefixtures("asked_priors")
def test_another_shape_than_the_catalogues(
    publish: Callable[..., DataSet], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    made = replogle(tmp_path / "made.h5ad", [*TARGETS * 3, *["non-targeting"] * 9])
    entry = replace(publish("nadig_hepg2", made.path.read_bytes()), cells=145_473, genes=len(made.counts[0]))
    monkeypatch.setattr(screens, "data_set", lambda name: entry)
    _, report = screens.build("nadig_hepg2", tmp_path / "out", tmp_path / "downloads")
    what = "GSE264667_hepg2_raw_singlecell_01.h5ad has 39 cells where the catalogue says 145,473"
    assert report.notes[-1] == what
    entry = replace(entry, files=(replace(entry.files[0], sha256=None),))
    with pytest.raises(InputError, match=f"{what}: it may be another file of this name; look at it, then adopt it"):
        screens.build("nadig_hepg2", tmp_path / "new", tmp_path / "downloads")


def test_the_layouts_of_the_catalogue_are_layouts():
    names = [name for name, entry in catalogue().items() if entry.layout]
    assert {"replogle_k562_essential", "replogle_rpe1", "norman2019", "vcc2025_train", "srivatsan2020"} <= set(names)
    for name in names:
        layout = read_layout(catalogue()[name].layout)
        assert layout.control
        assert layout.kind == "gene" or layout.dose


@pytest.mark.slow
def test_the_demo_on_a_part_of_a_screen(
    publish: Callable[..., DataSet],
    vcc_data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
):
    simulated = write(biology.draw("default", 6, Size()), tmp_path / "simulated")
    screen = anndata.read_h5ad(simulated)
    publish("replogle_k562_essential", in_replogles_layout(screen, tmp_path / "made.h5ad").read_bytes())
    monkeypatch.setenv("VCC_DATA", str(vcc_data))
    monkeypatch.setattr(Part, "__init__", lambda self: part_of(self, 100, 60, 800, 1000))
    monkeypatch.setattr(sys, "argv", ["demo.py", "--dataset", "k562", "--out", str(tmp_path / "demo")])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(Path(__file__).parents[3] / "demo.py"), run_name="__main__")
    printed = capsys.readouterr().out
    assert "100 perturbations, 800 controls" in printed
    scores = {
        name: json.loads((tmp_path / "demo" / "k562" / "scores" / name / "scorecard.json").read_text())["overall"]
        for name in ("control_mean", "train_mean", "neighbour_mean")
    }
    assert scores["control_mean"] < -0.3 < scores["train_mean"]
    assert not any((tmp_path / "demo" / "downloads").glob("*_01.h5ad"))


def part_of(part: Part, *sizes: int) -> None:
    for name, size in zip(("perturbations", "cells", "controls", "genes", "seed"), (*sizes, 0), strict=True):
        object.__setattr__(part, name, size)


def in_replogles_layout(screen: anndata.AnnData, path: Path) -> Path:
    """Write a simulated screen as the authors' file is: dense, contiguous, ids as index, old categories."""
    obs = pd.DataFrame(
        {
            "gene": screen.obs["target_gene"].astype(str),
            "sgID_AB": screen.obs["guide_id"].astype(str),
            "gem_group": pd.factorize(screen.obs["batch"])[0] + 1,
            "UMI_count": screen.obs["n_umis"].to_numpy(),
            "mitopercent": screen.obs["percent_mito"].to_numpy() / 100,
        },
        index=screen.obs_names,
    )
    var = pd.DataFrame({"gene_name": screen.var_names}, index=[f"ENSG{n:011d}" for n in range(screen.n_vars)])
    with h5py.File(path, "w") as file:
        file.create_dataset("X", data=screen.X.toarray())
        old_table(file, "obs", obs, ["gene", "sgID_AB"], "cell_barcode")
        old_table(file, "var", var, ["gene_name"], "gene_id")
    return path
