from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anndata
import elsewhere
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from data_scripts.adoption.convert import convert
from data_scripts.adoption.layout import Layout
from data_scripts.adoption.proposal import Proposal, propose
from starter.data.dataset import read_screen
from starter.errors import InputError

SINGLES = ["non-targeting", "STAT1", "KLF1", "CD58", "non-targeting", "TBCE", "STAT1"] * 30


@pytest.fixture(autouse=True)
def no_tables(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("VCC_DATA", raising=False)


def row(proposal: Proposal, what: str) -> str:
    return next(" | ".join(row[1:]) for row in proposal.rows if row.what == what)


def test_replogle(tmp_path: Path):
    labels = [*SINGLES, "POLR2A", "MED12"] * 3  # of which the last two are not measured
    made = elsewhere.replogle(tmp_path / "raw.h5ad", labels)
    proposal = propose(made.path, {}, tmp_path)
    assert proposal.layout == Layout(
        target="gene", guide="sgID_AB", batch="gem_group", n_umis="UMI_count", percent_mito="mitopercent",
        symbols="gene_name", ensembl="index",
    )  # fmt: skip
    assert (
        row(proposal, "genes") == "symbols: gene_name; ids: index | STAT1, HLA-A, NKX2-1 | 1 symbol stood there twice"
    )
    assert row(proposal, "target").startswith("gene | STAT1, ")
    assert row(proposal, "target").endswith(" | 6 perturbations; 66.7 % are known genes")
    assert row(proposal, "total UMIs").endswith("at least the sum of the counts in each cell")


def test_gears(tmp_path: Path):
    made = elsewhere.gears(tmp_path / "a.h5ad", ["ctrl", "STAT1+ctrl", "ctrl+KLF1", "STAT1+KLF1"] * 30)
    proposal = propose(made.path, {}, tmp_path)
    assert proposal.layout == Layout(
        target="condition", logs=True, context=("cell_type",), symbols="gene_name", ensembl="index"
    )
    assert row(proposal, "doubles").startswith("1 | STAT1+KLF1 | separated by '+'")
    assert row(proposal, "context") == "cell_type | 1: K562 | "


def test_scperturb(tmp_path: Path):
    labels = ["control", "STAT1_KLF1", "STAT1", "HLA-A", "NKX2-1_SPI1"] * 30
    made = elsewhere.scperturb(tmp_path / "a.h5ad", labels, nperts=2)
    assert propose(made.path, {}, tmp_path).layout == Layout(
        target="perturbation", separator="_", context=("cell_line",), n_umis="ncounts", percent_mito="percent_mito",
        ensembl="ensembl_id",
    )  # fmt: skip


def test_frangieh(tmp_path: Path):
    labels = ["CD58_1", "CD58_3", "NO_SITE_12", "ONE_SITE_4", "HLA-A_2", np.nan] * 30
    made = elsewhere.scperturb(tmp_path / "a.h5ad", labels, perturbation_2=["Control", "IFNγ", "IFNγ", "Control"] * 45)
    proposal = propose(made.path, {}, tmp_path)
    assert proposal.layout == Layout(
        target="perturbation", control=("*_SITE_*",), context=("perturbation_2",), n_umis="ncounts",
        percent_mito="percent_mito", ensembl="ensembl_id",
    )  # fmt: skip
    assert row(proposal, "control") == "2 labels | NO_SITE_12, ONE_SITE_4 | looks like it"
    assert row(proposal, "guide").startswith("in perturbation | CD58_1, CD58_3, ")
    assert row(proposal, "context") == "perturbation_2 | 2: Control, IFNγ | "  # controls are in both
    assert row(proposal, "left out").startswith("30 cells")


def test_sciplex(tmp_path: Path):
    labels = ["control", "Trametinib (GSK1120212) ", "S_1", "control", "(+)-JQ1", "S_1"] * 30
    doses = [np.nan, 10.0, 10_000.0, 0.0, 1_000.0, 250.0] * 30
    made = elsewhere.scperturb(tmp_path / "a.h5ad", labels, dose_value=doses)
    layout = propose(made.path, {}, tmp_path).layout
    assert (layout.kind, layout.dose, layout.dose_unit, layout.separator) == ("compound", "dose_value", "nM", None)
    assert "take one with --keep" in row(propose(made.path, {}, tmp_path), "dose, in nM")


def test_the_unit_of_doses_is_what_the_file_says(tmp_path: Path):
    labels, doses = ["DMSO_TF", "Trametinib", "S_1"] * 40, [0.0, 250.0, 0.5] * 40
    made = elsewhere.scperturb(tmp_path / "a.h5ad", labels, dose=doses, dose_unit="µM", drug=labels[::-1])
    said = propose(made.path, {"target": "perturbation"}, tmp_path).layout
    assert (said.control, said.kind, said.dose_unit) == (("DMSO_TF",), "compound", "uM")
    made = elsewhere.scperturb(tmp_path / "b.h5ad", labels, dose=[0.0, 5.0, 0.5] * 40, dose_unit="nM")
    assert propose(made.path, {}, tmp_path).layout.dose_unit == "nM"


def test_adamson(tmp_path: Path):
    labels = ["STAT1_pDS255", "62(mod)_pBA581", "KLF1_pDS010", "*", "SPI1_pBA578"] * 30
    made = elsewhere.scperturb(tmp_path / "a.h5ad", labels)
    layout = propose(made.path, {}, tmp_path).layout
    assert (layout.control, layout.drop) == (("*(mod)*",), ("[*]",))
    convert(made.path, layout, tmp_path / "out.h5ad", {}, downloads=tmp_path)
    screen = read_screen(tmp_path / "out.h5ad")
    assert screen.obs["target_gene"].tolist() == ["STAT1", "non-targeting", "KLF1", "SPI1"] * 30
    assert screen.obs["guide_id"].tolist() == [label for label in labels if label != "*"]


def test_mcfaline(tmp_path: Path):
    labels = ["NTC", "random", "STAT1", "STAT1,KLF1", "NA", "unassigned"] * 30
    made = elsewhere.scperturb(tmp_path / "a.h5ad", labels, cell_type=["A172", "T98G", "U87MG"] * 60)
    layout = propose(made.path, {"control": ("NTC", "random")}, tmp_path).layout
    assert (layout.separator, layout.drop, layout.context) == (",", ("unassigned",), ("cell_type",))


def test_the_challenge(tmp_path: Path):
    counts, obs = elsewhere.drawn(SINGLES, 7)
    guides = [f"{label}|{number % 3}" for number, label in enumerate(SINGLES)]
    obs = pd.DataFrame({"target_gene": SINGLES, "guide_id": guides,
                        "batch": ["Flex_1_01", "Flex_1_02"] * 105}, index=obs.index)  # fmt: skip
    var = pd.DataFrame(index=[f"{name}{'-1' * (number == 8)}" for number, name in enumerate(elsewhere.GENES)])
    anndata.AnnData(scipy.sparse.csr_matrix(counts), obs, var).write_h5ad(tmp_path / "adata_Training.h5ad")
    proposal = propose(tmp_path / "adata_Training.h5ad", {}, tmp_path)
    assert proposal.layout == Layout(guide="guide_id", batch="batch")
    assert row(proposal, "mitochondrial") == "none |  | taken from 1 gene named MT-... on release"


def test_anndata_06(tmp_path: Path):
    made = elsewhere.anndata_06(tmp_path / "a.h5ad", SINGLES)
    assert propose(made.path, {}, tmp_path).layout == Layout(target="perturbation", counts="raw/X", n_umis="n_counts")


def test_a_zarr_store(tmp_path: Path):
    made = elsewhere.scperturb(tmp_path / "a.h5ad", SINGLES)
    anndata.read_h5ad(made.path).write_zarr(tmp_path / "a.zarr")
    proposal = propose(tmp_path / "a.zarr", {}, tmp_path)
    assert proposal == propose(made.path, {}, tmp_path)
    convert(tmp_path / "a.zarr", proposal.layout, tmp_path / "out.h5ad", {}, downloads=tmp_path)
    np.testing.assert_array_equal(read_screen(tmp_path / "out.h5ad").X.toarray(), made.counts)


def test_labels_that_are_ids(tmp_path: Path):
    of_symbol = dict(zip(elsewhere.GENES, elsewhere.IDS, strict=True))
    labels = [of_symbol.get(label, label) for label in SINGLES]
    made = elsewhere.scperturb(tmp_path / "a.h5ad", labels)
    layout = propose(made.path, {}, tmp_path).layout
    assert layout.target_ids
    convert(made.path, layout, tmp_path / "out.h5ad", {}, downloads=tmp_path)
    due = {"non-targeting", "STAT1", "KLF1", "CD58", f"TBCE_{of_symbol['TBCE']}"}  # the later of two of that name
    assert set(read_screen(tmp_path / "out.h5ad").obs["target_gene"]) == due


def changed(made: elsewhere.Made, change: Callable[[anndata.AnnData], object]) -> Path:
    adata = anndata.read_h5ad(made.path)
    change(adata)
    adata.write_h5ad(made.path)
    return made.path


def test_a_layer_of_counts_is_found_behind_logs(tmp_path: Path):
    def hide(adata: anndata.AnnData):
        adata.layers["normalised"] = adata.X * 0.3
        adata.layers["counts_recovered"] = adata.X.copy()
        adata.layers["spliced"] = adata.X.copy()
        adata.X = (adata.X * 0.37).log1p()

    path = changed(elsewhere.scperturb(tmp_path / "a.h5ad", SINGLES), hide)
    assert propose(path, {}, tmp_path).layout.counts == "layers/counts_recovered"
    assert propose(path, {"counts": "layers/spliced"}, tmp_path).layout.counts == "layers/spliced"


def test_a_total_below_the_counts_is_not_taken(tmp_path: Path):
    path = changed(
        elsewhere.scperturb(tmp_path / "a.h5ad", SINGLES, nCount_RNA=1.0, total_counts=1e6), lambda adata: None
    )
    proposal = propose(path, {}, tmp_path)
    assert proposal.layout.n_umis == "total_counts"
    assert row(proposal, "total UMIs").endswith("; nCount_RNA is less than that")
    assert propose(path, {"n_umis": None}, tmp_path).layout.n_umis is None


def test_a_context_without_controls_is_pointed_out(tmp_path: Path):
    lines = [
        "B" if label == "KLF1" or (number % 5 == 0 and label != "non-targeting") else "A"
        for number, label in enumerate(SINGLES)
    ]
    made = elsewhere.scperturb(tmp_path / "a.h5ad", SINGLES, context=lines)
    assert row(propose(made.path, {}, tmp_path), "context").endswith("no controls in B: leave it out with --keep")


def test_a_column_that_does_not_tell_the_target_holds_no_guides(tmp_path: Path):
    made = elsewhere.scperturb(tmp_path / "a.h5ad", SINGLES, guide=[f"g{number % 11}" for number in range(210)])
    assert propose(made.path, {}, tmp_path).layout.guide is None
    made = elsewhere.scperturb(tmp_path / "b.h5ad", SINGLES, guide=[label.lower() for label in SINGLES])
    assert propose(made.path, {}, tmp_path).layout.guide is None  # it tells no more than the target does


def test_what_is_said_goes_before_what_is_seen(tmp_path: Path):
    made = elsewhere.scperturb(tmp_path / "a.h5ad", SINGLES, batch=["x", "y"] * 105, other=SINGLES[::-1])
    said = {"target": "other", "batch": None, "context": (), "percent_mito": None, "symbols": "ensembl_id"}
    layout = propose(made.path, said, tmp_path).layout
    assert replace(layout, n_umis=None) == Layout(ensembl="ensembl_id", **said)


def test_cells_that_are_kept_decide(tmp_path: Path):
    made = elsewhere.scperturb(tmp_path / "a.h5ad", SINGLES, good=[True, False] * 105)

    def break_others(adata: anndata.AnnData):
        x = adata.X.toarray()
        x[1::2] *= 0.7
        adata.X = scipy.sparse.csr_matrix(x)

    path = changed(made, break_others)
    with pytest.raises(InputError, match=r"no matrix holds counts, or logs that can be undone \(X: fractions up to"):
        propose(path, {}, tmp_path)
    proposal = propose(path, {"keep": ("good",)}, tmp_path)
    assert proposal.layout.counts == "X"
    assert row(proposal, "cells") == "105 of 210 x 52 genes | good | as you said"


def without_labels(adata: anndata.AnnData):
    del adata.obs["perturbation"]


def odd_control(adata: anndata.AnnData):
    adata.obs["perturbation"] = adata.obs["perturbation"].astype(str).replace("non-targeting", "medium")


def other_labels(adata: anndata.AnnData):
    adata.obs["target_gene"] = SINGLES[::-1]


def two_layers(adata: anndata.AnnData):
    adata.layers["counts"], adata.layers["raw"] = adata.X, adata.X
    adata.X = adata.X * 0.5


def negative(adata: anndata.AnnData):
    adata.X = -adata.X


def ids_alone(adata: anndata.AnnData):
    adata.var_names = adata.var.pop("ensembl_id").astype(str).tolist()


def binary(adata: anndata.AnnData):
    adata.X = (adata.X > 0).astype(np.float32)


def nothing(adata: anndata.AnnData):
    pass


FAULTS = {
    "labels": ({}, without_labels, "no column of obs clearly holds the perturbations; name it with --target, one of "),
    "control": (
        {},
        odd_control,
        r"no label of perturbation is known for controls; name it with --control, .*medium \(60",
    ),
    "rivals": (
        {},
        other_labels,
        "several columns .* perturbations; name it with --target, target_gene or perturbation",
    ),
    "layers": (
        {},
        two_layers,
        "several layers hold whole numbers; name one: --counts layers/counts, --counts layers/r",
    ),
    "negative": ({}, negative, r"no matrix holds counts, .* \(X: negative values, down to -"),
    "binary": ({}, binary, r"no matrix holds counts, .* \(X: no value but 0 and 1\)"),
    "ids": ({}, ids_alone, "genes are named by Ensembl ids, and no column of var holds symbols"),
    "matrix": ({"counts": "raw/X"}, nothing, "the file has no matrix 'raw/X'; --counts is one of X"),
    "total": ({"n_umis": "cell_line"}, nothing, r"obs\['cell_line'\] is not a positive number .* with --n-umis"),
    "column": ({"batch": "lane"}, nothing, r"obs has no column 'lane' \(batch\); its columns are"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_what_cannot_be_told_is_refused_with_the_option(tmp_path: Path, fault: str):
    said, change, message = FAULTS[fault]
    path = changed(elsewhere.scperturb(tmp_path / "a.h5ad", SINGLES), change)
    with pytest.raises(InputError, match=message):
        propose(path, said, tmp_path)


def test_logs_that_disagree_with_the_totals_are_no_counts(tmp_path: Path):
    made = elsewhere.gears(tmp_path / "a.h5ad", ["ctrl", "STAT1+ctrl", "KLF1+ctrl"] * 50)
    totals = made.counts.sum(axis=1) * np.where(np.arange(150) % 3 == 1, 1.4, 1)

    def add(adata: anndata.AnnData):
        adata.obs["ncounts"] = totals
        adata.obs["cell_type"] = np.where(np.arange(150) % 3 == 1, "A172", "K562")

    with pytest.raises(InputError, match="agree with ncounts in 66.67 % .* come out: --keep cell_type=K562"):
        propose(changed(made, add), {}, tmp_path)


def test_the_real_fixtures(vcc_data_before: Path, tmp_path: Path):
    with pytest.raises(InputError, match="agree with ncounts in 58.85 % .* come out: --keep cell_type=k562"):
        propose(vcc_data_before / "perturbench_mini" / "devel.h5ad", {}, tmp_path)
    norman = propose(vcc_data_before / "perturbench_mini" / "norman_k562_mini_500hvg.h5ad", {}, tmp_path).layout
    assert norman == Layout(
        counts="layers/counts_recovered", target="perturbation", n_umis="ncounts", context=("cell_type",)
    )
    jurkat = propose(vcc_data_before / "scperturb_jurkat_scifi" / "jurkat_scifi_7500x2000.h5ad", {}, tmp_path).layout
    assert jurkat == Layout(target="perturbation", n_umis="ncounts", context=("perturbation_2",))
    thp1 = propose(vcc_data_before / "papalexi_thp1" / "papalexi_thp1_299genes.h5ad", {}, tmp_path).layout
    assert thp1 == Layout(guide="guide", batch="bio_rep", n_umis="n_umis_total", percent_mito="p_mito")
