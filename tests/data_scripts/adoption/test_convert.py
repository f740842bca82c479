import json
import os
from pathlib import Path

import anndata
import elsewhere
import h5py
import numpy as np
import pandas as pd
import pytest
import scipy.sparse

from data_scripts.adoption.convert import convert
from data_scripts.adoption.layout import Layout, read_layout
from starter.data.dataset import read_screen
from starter.data.rules import check_screen
from starter.errors import InputError
from starter.files import sha256

ABOUT = {"title": "a test", "organism": "Homo sapiens", "licence": "CC0 1.0"}
SINGLES = ["non-targeting", "STAT1", "KLF1", "CD58", "non-targeting", "TBCE", "STAT1"] * 4


@pytest.fixture(autouse=True)
def no_tables(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("VCC_DATA", raising=False)


def converted(made: elsewhere.Made, layout: Layout, **kwargs) -> anndata.AnnData:
    out = made.path.parent / "out.h5ad"
    convert(made.path, layout, out, ABOUT, downloads=made.path.parent, **kwargs)
    screen = read_screen(out)
    assert check_screen(screen) == []
    return screen


def report_of(folder: Path) -> dict:
    return json.loads((folder / "out.report.json").read_text())


def test_replogle(tmp_path: Path):
    made = elsewhere.replogle(tmp_path / "raw.h5ad", SINGLES)
    layout = Layout(target="gene", guide="sgID_AB", batch="gem_group", n_umis="UMI_count", percent_mito="mitopercent",
                    symbols="gene_name", ensembl="index")  # fmt: skip
    screen = converted(made, layout)
    np.testing.assert_array_equal(screen.X.toarray(), made.counts)
    assert screen.obs["target_gene"].tolist() == SINGLES
    assert screen.obs["guide_id"].tolist()[:3] == ["non-targeting_+_0", "STAT1_+_1", "KLF1_+_0"]
    assert screen.obs["batch"].tolist() == made.obs["gem_group"].astype(str).tolist()
    assert screen.obs["n_umis"].tolist() == (made.counts.sum(axis=1) + 7).tolist()
    np.testing.assert_allclose(screen.obs["percent_mito"], 100 * made.obs["mitopercent"], rtol=1e-12)
    assert screen.obs_names.tolist() == made.obs.index.tolist()
    assert screen.var_names[8] == "TBCE_ENSG00000100008"
    assert screen.var["ensembl_id"].tolist() == list(elsewhere.IDS)
    controls = np.array(SINGLES) == "non-targeting"
    assert screen.uns["course"]["target_sum"] == np.median(made.counts.sum(axis=1)[controls] + 7)
    assert screen.uns["course"]["title"] == "a test"
    assert screen.uns["course"]["citation"] == "not stated"
    assert report_of(tmp_path)["dropped"] == {}


def test_gears(tmp_path: Path):
    labels = ["ctrl", "STAT1+ctrl", "ctrl+KLF1", "STAT1+KLF1", "ctrl", "MAP2K6+KLF1"] * 5
    made = elsewhere.gears(tmp_path / "perturb_processed.h5ad", labels)
    screen = converted(made, Layout(target="condition", context=("cell_type",), logs=True, symbols="gene_name"))
    np.testing.assert_array_equal(screen.X.toarray(), made.counts)
    due = ["non-targeting", "STAT1", "KLF1", "KLF1+STAT1", "non-targeting", "KLF1+MAP2K6"] * 5
    assert screen.obs["target_gene"].tolist() == due
    assert set(screen.obs["context"]) == {"K562"}
    assert screen.var_names[8] == "TBCE-1"
    assert report_of(tmp_path)["labels"]["STAT1+ctrl"] == "STAT1"


def test_scperturb(tmp_path: Path):
    labels = ["control", "STAT1_KLF1", "STAT1", "HLA-A", "NKX2-1_SPI1"] * 5
    made = elsewhere.scperturb(tmp_path / "Norman.h5ad", labels)
    layout = Layout(target="perturbation", separator="_", n_umis="ncounts", percent_mito="percent_mito",
                    ensembl="ensembl_id")  # fmt: skip
    screen = converted(made, layout)
    np.testing.assert_array_equal(screen.X.toarray(), made.counts)
    assert screen.obs["target_gene"].tolist() == ["non-targeting", "KLF1+STAT1", "STAT1", "HLA-A", "NKX2-1+SPI1"] * 5
    np.testing.assert_array_equal(screen.obs["percent_mito"], np.linspace(0.5, 9, 25))
    assert "guide_id" not in screen.obs


def test_frangieh(tmp_path: Path):
    labels = ["CD58_1", "CD58_3", "NO_SITE_12", "ONE_SITE_4", "HLA-A_2", np.nan] * 5
    conditions = ["Control", "IFNγ", "Co-culture", "IFNγ", "Control"] * 6
    made = elsewhere.scperturb(tmp_path / "RNA.h5ad", labels, perturbation_2=conditions)
    layout = Layout(
        target="perturbation", control=("*_SITE_*",), separator="_", context=("cell_line", "perturbation_2")
    )
    screen = converted(made, layout)
    labelled = np.array([isinstance(label, str) for label in labels])
    np.testing.assert_array_equal(screen.X.toarray(), made.counts[labelled])
    assert screen.obs["target_gene"].tolist() == ["CD58", "CD58", "non-targeting", "non-targeting", "HLA-A"] * 5
    assert screen.obs["guide_id"].tolist() == [label for label in labels if isinstance(label, str)]
    assert screen.obs["context"].tolist()[:2] == ["K562 Control", "K562 IFNγ"]
    assert report_of(tmp_path)["dropped"] == {"without a label": 5}


def test_sciplex(tmp_path: Path):
    labels = ["control", "Trametinib (GSK1120212) ", "S_1", "control", "(+)-JQ1", "S_1"] * 4
    doses = [np.nan, 10.0, 10_000.0, 0.0, 1_000.0, 250.0] * 4
    made = elsewhere.scperturb(tmp_path / "sciplex3.h5ad", labels, dose_value=doses)
    layout = Layout(target="perturbation", control=("control",), dose="dose_value", dose_unit="nM", kind="compound")
    screen = converted(made, layout)
    assert screen.obs["target_gene"].tolist()[:5] == [
        "non-targeting", "Trametinib (GSK1120212)", "S_1", "non-targeting", "(+)-JQ1",
    ]  # fmt: skip
    assert screen.obs["dose"].tolist()[:6] == [0, 0.01, 10, 0, 1, 0.25]
    assert screen.uns["course"]["perturbation_kind"] == "compound"


def test_mcfaline(tmp_path: Path):
    labels = ["NTC", "random", "STAT1", "STAT1,KLF1", "NA", "unassigned"] * 4
    made = elsewhere.scperturb(tmp_path / "gxe.h5ad", labels, cell_type=["A172"] * 8 + ["T98G"] * 16)
    layout = Layout(target="perturbation", control=("random",), drop=("unassigned",), separator=",",
                    context=("cell_type",))  # fmt: skip
    screen = converted(made, layout)
    assert screen.obs["target_gene"].tolist() == ["non-targeting", "non-targeting", "STAT1", "KLF1+STAT1"] * 4
    assert report_of(tmp_path)["dropped"] == {"without a label": 4, "labelled 'unassigned'": 4}


def test_a_file_of_the_challenge_is_taken_as_it_is(tmp_path: Path):
    counts, obs = elsewhere.drawn(SINGLES, 7)
    obs = pd.DataFrame({"target_gene": pd.Categorical(SINGLES), "guide_id": "g", "batch": "Flex_1_01"}, index=obs.index)
    var = pd.DataFrame(index=[f"{name}{'-1' * (number == 8)}" for number, name in enumerate(elsewhere.GENES)])
    anndata.AnnData(scipy.sparse.csr_matrix(counts), obs, var).write_h5ad(tmp_path / "adata_Training.h5ad")
    made = elsewhere.Made(tmp_path / "adata_Training.h5ad", counts, obs)
    screen = converted(made, Layout(guide="guide_id", batch="batch"))
    np.testing.assert_array_equal(screen.X.toarray(), counts)
    assert screen.obs["n_umis"].tolist() == counts.sum(axis=1).tolist()
    assert report_of(tmp_path)["notes"] == [
        "no column of UMI counts is named: n_umis is the sum of each cell's counts in the file"
    ]


def test_anndata_06_with_counts_in_raw(tmp_path: Path):
    made = elsewhere.anndata_06(tmp_path / "old.h5ad", SINGLES)
    screen = converted(made, Layout(target="perturbation", counts="raw/X", n_umis="n_counts"))
    np.testing.assert_array_equal(screen.X.toarray(), made.counts)
    assert screen.obs["target_gene"].tolist() == SINGLES


@pytest.mark.parametrize("kind", ["csr", "csc", "dense", "int64"])
def test_however_a_matrix_is_stored(tmp_path: Path, kind: str):
    made = elsewhere.scperturb(tmp_path / "a.h5ad", SINGLES)
    adata = anndata.read_h5ad(made.path)
    adata.layers["counts"] = {
        "csr": adata.X, "csc": adata.X.tocsc(), "dense": adata.X.toarray(), "int64": adata.X.astype(np.int64),
    }[kind]  # fmt: skip
    adata.X = adata.X * 0.5
    adata.write_h5ad(made.path)
    screen = converted(made, Layout(target="perturbation", counts="layers/counts"))
    np.testing.assert_array_equal(screen.X.toarray(), made.counts)


def test_blocks_that_end_anywhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = elsewhere.replogle(tmp_path / "raw.h5ad", [*SINGLES, "SPI1"] * 70)  # 2,030 cells: two blocks
    with h5py.File(made.path, "a") as file:
        file["X"][1030] = 0
        file["X"][5] = 0
    layout = Layout(target="gene", drop=("SPI1",), symbols="gene_name")
    screen = converted(made, layout)
    taken = np.array([*SINGLES, "SPI1"] * 70) != "SPI1"
    report = report_of(tmp_path)
    taken[[5, 1030]] = False
    assert report["dropped"] == {"labelled 'SPI1'": 70, "without any count": 2}
    assert report["cells"] + sum(report["dropped"].values()) == report["cells_there"] == 2_030
    np.testing.assert_array_equal(screen.X.toarray(), made.counts[taken])
    assert screen.obs_names.tolist() == made.obs.index[taken].tolist()


def test_cells_are_kept_by_columns(tmp_path: Path):
    made = elsewhere.scperturb(tmp_path / "a.h5ad", SINGLES, good=[number % 3 > 0 for number in range(28)],
                               dose=[0.5, 10.0] * 14)  # fmt: skip
    screen = converted(made, Layout(target="perturbation", keep=("good", "dose=10")))
    taken = [number for number in range(28) if number % 3 > 0 and number % 2]
    assert screen.obs_names.tolist() == [f"CELL{number}-1" for number in taken]
    assert report_of(tmp_path)["dropped"] == {"not good": 10, "not dose=10": 9}


def test_totals_below_the_counts_are_set_aside(tmp_path: Path):
    made = elsewhere.scperturb(tmp_path / "a.h5ad", SINGLES)
    adata = anndata.read_h5ad(made.path)
    adata.obs.iloc[[4, 7], adata.obs.columns.get_loc("ncounts")] -= 4
    adata.write_h5ad(made.path)
    screen = converted(made, Layout(target="perturbation", n_umis="ncounts"))
    assert screen.obs["n_umis"].tolist() == made.counts.sum(axis=1).tolist()
    assert "ncounts is less than the sum of the counts in 2 cells" in report_of(tmp_path)["notes"][0]


def test_totals_that_no_cell_has_are_refused(tmp_path: Path):
    made = elsewhere.scperturb(tmp_path / "a.h5ad", SINGLES)
    adata = anndata.read_h5ad(made.path)
    adata.X = adata.X * 1e7
    adata.write_h5ad(made.path)
    with pytest.raises(InputError, match="a.h5ad: 28 cells of 100,000,000 UMIs or more, so these are no UMI counts"):
        convert(made.path, Layout(target="perturbation"), tmp_path / "out.h5ad", {}, downloads=tmp_path)


def test_a_context_without_controls_is_said(tmp_path: Path):
    lines = ["A" if label == "non-targeting" else "B" for label in SINGLES]
    made = elsewhere.scperturb(tmp_path / "a.h5ad", SINGLES, line=lines)
    converted(made, Layout(target="perturbation", context=("line",)))
    assert "no controls in B, so that nothing can be scored there" in report_of(tmp_path)["notes"]


def test_cells_of_one_name_get_numbers(tmp_path: Path):
    made = elsewhere.scperturb(tmp_path / "a.h5ad", SINGLES)
    adata = anndata.read_h5ad(made.path)
    adata.obs_names = ["A", "A", "A-1", *adata.obs_names[3:]]
    adata.write_h5ad(made.path)
    assert converted(made, Layout(target="perturbation")).obs_names.tolist()[:3] == ["A", "A-2", "A-1"]


def test_a_few_cells_whose_logs_cannot_be_undone_are_left_out(tmp_path: Path):
    made = elsewhere.gears(tmp_path / "a.h5ad", ["ctrl", "STAT1+ctrl", "KLF1+ctrl"] * 50)
    adata = anndata.read_h5ad(made.path)
    x = adata.X.toarray()
    x[4] *= 1.3
    adata.X = scipy.sparse.csr_matrix(x)
    adata.write_h5ad(made.path)
    screen = converted(made, Layout(target="condition", logs=True, symbols="gene_name"))
    assert report_of(tmp_path)["dropped"] == {"whose counts cannot be told from their logs": 1}
    np.testing.assert_array_equal(screen.X.toarray(), np.delete(made.counts, 4, axis=0))


def test_the_lineage_names_the_file_and_every_choice(tmp_path: Path):
    made = elsewhere.scperturb(tmp_path / "a.h5ad", SINGLES)
    converted(made, Layout(target="perturbation", drop=("SPI1",)))
    lineage = json.loads((tmp_path / "out.h5ad.lineage.json").read_text())
    assert lineage["output"]["sha256"] == sha256(tmp_path / "out.h5ad")
    assert [entry["sha256"] for entry in lineage["inputs"]] == [sha256(made.path)]
    assert lineage["parameters"]["layout"]["drop"] == ["SPI1"]
    assert lineage["parameters"]["licence"] == "CC0 1.0"


FAULTS = {
    "nan": (np.nan, r"cell CELL9-1, gene KLF1 holds nan, which is no count; name the matrix that holds raw counts"),
    "negative": (-2, "cell CELL9-1, gene KLF1 holds -2, which is no count"),
    "infinite": (np.inf, "cell CELL9-1, gene KLF1 holds inf, which is no count"),
    "fraction": (2.5, "cell CELL9-1, gene KLF1 holds 2.5, no whole number, so these are not raw counts"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("dense", [True, False])
def test_a_value_that_is_no_count_is_refused_with_its_place(tmp_path: Path, fault: str, dense: bool):
    value, message = FAULTS[fault]
    made = (elsewhere.replogle if dense else elsewhere.scperturb)(tmp_path / "a.h5ad", SINGLES)
    out = tmp_path / "out.h5ad"
    out.write_text("what stood there")
    if dense:
        with h5py.File(made.path, "a") as file:
            file["X"][9, 3] = value
    else:
        adata = anndata.read_h5ad(made.path)
        adata.X[9, 3] = value
        adata.write_h5ad(made.path)
    layout = Layout(target="gene", symbols="gene_name") if dense else Layout(target="perturbation")
    with pytest.raises(InputError, match=message):
        convert(made.path, layout, out, {}, downloads=tmp_path)
    assert out.read_text() == "what stood there"
    assert sorted(os.listdir(tmp_path)) == ["a.h5ad", "out.h5ad"]


@pytest.mark.parametrize(
    ("layout", "message"),
    [
        ({"target": "gene"}, r"obs has no column 'gene' \(target\); its columns are perturbation, cell_line, ncounts"),
        ({"context": ("line",)}, r"obs has no column 'line' \(context\)"),
        ({"keep": ("good=1",)}, r"obs has no column 'good' \(keep\)"),
        ({"keep": ("cell_line=RPE1",)}, r"no cell has 'cell_line=RPE1'; obs\['cell_line'\] holds K562"),
        ({"counts": "layers/raw"}, "the file has no matrix 'layers/raw'; it has X"),
        ({"drop": ("*",)}, "no cell is left .*8 labelled 'STAT1'"),
        ({"drop": ("non-targeting",)}, "no cell that is taken is a control; name the label of the controls, one of"),
        ({"control": ("*",)}, "all cells that are taken are controls; name the column that holds the perturbations"),
        ({"logs": True}, "28 of 28 cells do not come out as counts when their logs are undone"),
        ({"kind": "compound"}, "a compound screen without obs"),
        ({"dose": "cell_line"}, r"obs\['cell_line'\] holds K562, not doses as numbers; name another column"),
    ],
)
def test_a_layout_that_does_not_fit_is_refused(tmp_path: Path, layout: dict, message: str):
    made = elsewhere.scperturb(tmp_path / "a.h5ad", SINGLES)
    with pytest.raises(InputError, match=message):
        convert(
            made.path, Layout(**{"target": "perturbation", **layout}), tmp_path / "out.h5ad", {}, downloads=tmp_path
        )
    assert os.listdir(tmp_path) == ["a.h5ad"]


def test_targets_that_are_no_genes_are_refused(tmp_path: Path):
    made = elsewhere.scperturb(tmp_path / "a.h5ad", ["control", *(f"stat{number}x" for number in range(30))])
    with pytest.raises(InputError, match="none of the 30 targets .* is among the genes"):
        convert(made.path, Layout(target="perturbation"), tmp_path / "out.h5ad", {}, downloads=tmp_path)


def test_a_file_that_was_cut_off_is_refused(tmp_path: Path):
    made = elsewhere.replogle(tmp_path / "a.h5ad", SINGLES)
    made.path.write_bytes(made.path.read_bytes()[:-500])
    with pytest.raises(InputError, match="cannot be read: it is truncated; download or write it again"):
        convert(made.path, Layout(target="gene"), tmp_path / "out.h5ad", {})


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path):
    made = elsewhere.replogle(tmp_path / "a.h5ad", SINGLES)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write .*out.h5ad"):
        convert(made.path, Layout(target="gene", symbols="gene_name"), tmp_path / "file" / "out.h5ad", {})


def test_a_table_becomes_a_layout():
    assert read_layout({"target": "gene", "control": ["a", "b"], "logs": True}) == Layout(
        target="gene", control=("a", "b"), logs=True
    )
    with pytest.raises(InputError, match="a layout has no targt; it has counts, logs, target,"):
        read_layout({"targt": "gene"})


def test_counts_of_the_real_fixture_come_back(vcc_data_before: Path, tmp_path: Path):
    source = vcc_data_before / "perturbench_mini" / "norman_k562_mini_500hvg.h5ad"
    layout = Layout(target="perturbation", logs=True, n_umis="ncounts", context=("cell_type",))
    convert(source, layout, tmp_path / "out.h5ad", {}, downloads=tmp_path)
    screen, published = read_screen(tmp_path / "out.h5ad"), anndata.read_h5ad(source)
    assert screen.shape == (3_375, 500)
    due = published.layers["counts_recovered"]
    differs = np.unique((due != screen.X).nonzero()[0])
    sure = published.obs["counts_recovered_ok"].to_numpy()
    assert sure.sum() == 3_373
    assert differs.tolist() == np.flatnonzero(~sure).tolist()
    # the smallest value of these two is 2 UMIs: theirs are half of it, rounded
    assert np.abs(screen.X[differs] / 2 - due[differs]).max() == 0.5


def test_cells_of_the_real_fixture_that_do_not_come_out_are_refused(vcc_data_before: Path, tmp_path: Path):
    source = vcc_data_before / "perturbench_mini" / "devel.h5ad"
    layout = Layout(target="perturbation", logs=True, n_umis="ncounts", context=("cell_type",))
    with pytest.raises(InputError, match=r"2,\d\d\d of 5,961 cells do not come out as counts"):
        convert(source, layout, tmp_path / "out.h5ad", {}, downloads=tmp_path)
    assert os.listdir(tmp_path) == []
