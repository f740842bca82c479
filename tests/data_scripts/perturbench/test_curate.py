"""PerturBench's six curations, of simulated files in each source's layout, and of its own small file."""

import json
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse
from simulated_perturbench import labelled, simulated_counts
from typer.testing import CliRunner

from data_scripts.__main__ import app
from data_scripts.perturbench import preprocess
from data_scripts.perturbench.curate import curate, read_symbols
from data_scripts.perturbench.sources import DMSO
from starter.data.split import read_split
from starter.errors import InputError

GENES = [f"G{number}" for number in range(200)]
IDS = [f"ENSG{number:011d}" for number in range(200)]


@pytest.fixture(autouse=True)
def fewer_genes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preprocess, "HIGHLY_VARIABLE", 60)
    monkeypatch.setattr(preprocess, "DE_GENES", 3)


@pytest.fixture
def symbols(tmp_path: Path) -> Path:
    """As BioMart exports it: not every gene has a symbol, and two may share one."""
    table = pd.DataFrame({"Gene stable ID": IDS, "HGNC symbol": GENES})
    table.loc[[4, 5], "HGNC symbol"] = ""
    table.loc[7, "HGNC symbol"] = "G6"
    table.to_csv(tmp_path / "mart_export.txt", index=False)
    return tmp_path / "mart_export.txt"


def written(cells: anndata.AnnData, path: Path) -> Path:
    cells.write_h5ad(path)
    return path


def test_norman19(tmp_path: Path):
    names = ["control", "A", "B", "C", "D", "A_B", "A_C", "B_C", "C_D", "A_D", "B_D", "A_E", "B_E", "C_E", "D_E"]
    obs = labelled({(name, "K562"): 12 + 20 * (name == "control") for name in names}, ["perturbation", "cell_line"], 1)
    source = simulated_counts(obs, ["perturbation"], [*GENES, "A", "C"], 2)
    source.obs["nCount_RNA"] = source.X.sum(axis=1)
    source.obs["percent.mt"] = 3.5
    table = curate(
        "norman19", [written(source, tmp_path / "NormanWeissman2019_filtered.h5ad")], tmp_path / "out.h5ad"
    ).split
    made = anndata.read_h5ad(tmp_path / "out.h5ad")
    assert list(made.obs["condition"]) == list(made.obs["perturbation"]) == [
        name.replace("_", "+") for name in source.obs["perturbation"]
    ]  # fmt: skip
    assert set(made.obs["cell_type"]) == {"K562"}
    np.testing.assert_allclose(made.obs["ncounts"], np.asarray(source.X.sum(axis=1)).ravel())
    assert {"percent_mito", "cov_merged"} <= set(made.obs)
    assert {"A", "C"} <= set(made.var_names)  # perturbed, so kept
    assert made.n_vars < source.n_vars
    assert (made.layers["counts"] != source[:, made.var_names].X).nnz == 0
    parts = pd.read_csv(table, index_col=0, header=None)[1]
    assert list(parts.index) == list(made.obs_names)
    held = parts[made.obs["condition"].to_numpy() != "control"].isin(["val", "test"])
    assert made.obs.loc[held.index[held], "condition"].str.contains("+", regex=False).all()
    assert made.obs.loc[held.index[held], "condition"].nunique() == 3  # int(.3 x 10)
    assert set(read_split(tmp_path / "out.split.json").table["part"]) == {"train", "public", "hidden"}
    lineage = json.loads((tmp_path / "out.h5ad.lineage.json").read_text())
    assert lineage["inputs"][0]["name"] == "NormanWeissman2019_filtered.h5ad"
    assert [entry["name"] for entry in lineage["data_sets"]] == ["norman2019"]


def srivatsan(tmp_path: Path) -> tuple[anndata.AnnData, Path]:
    groups = {}
    for line in ("MCF7", "A549", "K562"):
        groups |= {("control", line, 0.0): 30, ("(+)-JQ1", line, 10_000.0): 11, ("(+)-JQ1", line, 100.0): 5}
        groups |= {(name, line, 10_000.0): 10 for name in ("ENMD-2076 L-(+)-Tartaric acid", *"abcdefghijkl")}
    groups |= {("a", "THP1", 10_000.0): 8, ("control", "THP1", 0.0): 8}
    source = simulated_counts(labelled(groups, ["perturbation", "cell_line", "dose_value"], 3), ["perturbation"],
                              [f"old{number}" for number in range(202)], 4)  # fmt: skip
    source.var["ensembl_id"] = [*IDS, IDS[3], "ENSMUSG00000000001"]
    source.obs["n_counts"] = np.asarray(source.X.sum(axis=1)).ravel()
    return source, written(source, tmp_path / "sciplex3.h5ad")


def test_srivatsan20(tmp_path: Path, symbols: Path):
    source, path = srivatsan(tmp_path)
    table = curate("srivatsan20", [path], tmp_path / "out.h5ad", symbols).split
    made = anndata.read_h5ad(tmp_path / "out.h5ad")
    kept = source.obs["cell_line"].isin(["MCF7", "A549", "K562"]) & (
        (source.obs["dose_value"] == 10_000) | (source.obs["perturbation"] == "control")
    )
    assert list(made.obs_names) == list(source.obs_names[kept])
    due = (
        source.obs["perturbation"][kept]
        .astype(str)
        .replace({"(+)-JQ1": "JQ1", "ENMD-2076 L-(+)-Tartaric acid": "ENMD-2076"})
    )
    assert list(made.obs["condition"]) == list(due)
    assert set(made.obs["cell_type"]) == {"mcf7", "a549", "k562"}
    assert set(made.obs["dose"]) == {0.0, 10.0}
    assert set(made.obs["dose_unit"]) == {"uM"}
    assert list(made.obs["ncounts"]) == list(source.obs["n_counts"][kept])
    # G6 stands twice and is told apart; no gene without a symbol, no mouse, no second copy of an id
    assert set(made.var_names) <= {*GENES, "G6-1"} - {"G4", "G5", "G7"}
    gene = next(name for name in made.var_names if name not in ("G6", "G6-1"))
    was = source[kept].X[:, GENES.index(gene)].toarray()
    assert (made.layers["counts"][:, made.var_names.get_loc(gene)].toarray() == was).all()
    parts = pd.read_csv(table, index_col=0, header=None)[1]
    held = made.obs[parts.isin(["val", "test"]).to_numpy() & (made.obs["condition"] != "control").to_numpy()]
    assert held.groupby("condition", observed=True)["cell_type"].nunique().max() == 1  # out of one line at most


def frangieh(tmp_path: Path) -> tuple[anndata.AnnData, Path]:
    groups = {}
    for treatment in ("Co-culture", "Control", "IFNγ"):
        groups |= {(name, treatment): 6 for name in ("control", *"abcdefghij")}
    source = simulated_counts(labelled(groups, ["perturbation", "perturbation_2"], 5), ["perturbation"], GENES, 6)
    source.obs = source.obs.assign(ncounts=1.0, ngenes=2.0, celltype="melanoma")
    return source, written(source, tmp_path / "RNA.h5ad")


def test_frangieh21(tmp_path: Path):
    source, path = frangieh(tmp_path)
    table = curate("frangieh21", [path], tmp_path / "out.h5ad").split
    made = anndata.read_h5ad(tmp_path / "out.h5ad")
    assert (made.X != source.X).nnz == 0  # all genes, as they were
    due = source.obs["perturbation_2"].astype(str).replace({"Co-culture": "co-culture", "Control": "none"})
    assert list(made.obs["treatment"]) == list(due)
    assert (set(made.obs["cell_type"]), set(made.obs["perturbation_type"])) == ({"melanocyte"}, {"CRISPRi"})
    parts = pd.read_csv(table, index_col=0, header=None)[1]
    held = made.obs[parts.isin(["val", "test"]).to_numpy() & (made.obs["condition"] != "control").to_numpy()]
    assert set(held["treatment"]) == {"co-culture"}
    assert held["condition"].nunique() == 7  # 70 % of 10


def test_mcfaline23(tmp_path: Path, symbols: Path):
    paths, sources = [], []
    for number, line in enumerate(("A172", "A172", "T98G")):
        groups = {}
        for treatment in ("vehicle", "dmso", "lapatinib", "temozolomide"):
            groups |= {("NTC", treatment, 1.0): 15, ("random", treatment, 1.0): 14, ("NA", treatment, 1.0): 3}
            groups |= {("RNASEL", treatment, 1.0): 24, ("A,B", treatment, 1.0): 22, ("FEW", treatment, 1.0): 3}
        obs = labelled(groups, ["gene_id", "treatment", "dose"], 7 + number)
        source = simulated_counts(obs, ["gene_id"], [f"{name}.{number}" for name in IDS], 9)
        source.var_names = [f"{name}.11" for name in IDS]
        source.obs = source.obs.assign(cell_type=line, nCount_RNA=5.0, nFeature_RNA=4)
        sources.append(source)
        paths.append(written(source, tmp_path / f"gxe{number}.h5ad"))
    assert curate("mcfaline23", paths, tmp_path / "out.h5ad", symbols).split is None  # its split is a published table
    assert not list(tmp_path.glob("out.split*"))
    made = anndata.read_h5ad(tmp_path / "out.h5ad")
    assert set(made.obs["condition"]) == {"control", "RNASEL"}  # the name that has NA in it stays whole
    assert set(made.obs["treatment"]) == {"none", "lapatinib"}
    assert set(made.obs["cell_type"]) == {"a172", "t98g"}
    assert set(made.obs["condition_plus_treatment"]) == {
        "control", "control+lapatinib", "RNASEL", "RNASEL+lapatinib",
    }  # fmt: skip
    due = sum(
        int(
            (
                source.obs["gene_id"].isin(["NTC", "random", "NA", "RNASEL"])
                & (source.obs["treatment"] != "temozolomide")
            ).sum()
        )
        for source in sources
    )
    assert made.n_obs == due
    assert made.obs_names.is_unique
    assert {"G4", "G5", "G7"}.isdisjoint(made.var_names)
    assert made.var_names.is_unique


CYTOKINES = ("IFNG", "INS", "TGFB", "TNFA")
"""And IFNB, in the source."""


def jiang(tmp_path: Path) -> list[Path]:
    paths = []
    for number, cytokine in enumerate(CYTOKINES):
        groups = {}
        for line in ("K562", "MCF7", "HT29", "HAP1"):
            groups |= {("NT", line): 12} | {(name, line): 3 for name in "abcdefghij"}
        source = simulated_counts(labelled(groups, ["gene", "cell_type"], 20 + number), ["gene"], GENES, 8)
        source.obs = source.obs.assign(nCount_RNA=np.asarray(source.X.sum(axis=1)).ravel(), nFeature_RNA=7)
        source.raw = source
        source.X = scipy.sparse.csr_matrix(np.log1p(source.X.toarray()))
        paths.append(written(source, tmp_path / f"Seurat_object_{cytokine}_Perturb_seq.h5ad"))
    return paths


def test_jiang24(tmp_path: Path):
    paths = jiang(tmp_path)
    table = curate("jiang24", paths, tmp_path / "out.h5ad").split
    made = anndata.read_h5ad(tmp_path / "out.h5ad")
    assert set(made.obs["treatment"]) == set(CYTOKINES)
    assert set(made.obs["condition"]) == {"control", *"abcdefghij"}
    first = anndata.read_h5ad(paths[0])
    assert (made[: first.n_obs].layers["counts"] != first.raw[:, made.var_names].X).nnz == 0
    parts = pd.read_csv(table, index_col=0, header=None)[1]
    held = made.obs[parts.isin(["val", "test"]).to_numpy() & (made.obs["condition"] != "control").to_numpy()]
    assert set(held["treatment"]) == {"IFNG", "INS", "TGFB"}
    assert set(held["cell_type"]) == {"k562", "mcf7", "ht29", "hap1"}
    pairs = held.groupby(["cell_type", "treatment"], observed=True)["condition"].nunique()
    assert (len(pairs), set(pairs)) == (12, {7})


def test_op3(tmp_path: Path):
    groups = {(smiles, name, line, "donor 1"): 12 for line in ("B cells", "NK cells") for smiles, name in
              ((DMSO, "DMSO"), ("CCO", "Ethanol"), ("CC(=O)O", "Acid"), ("C[N+](C)C", "Amine"))}  # fmt: skip
    obs = labelled(groups, ["SMILES", "sm_name", "cell_type", "donor_id"], 30)
    source = simulated_counts(obs, ["SMILES"], GENES, 31)
    source.layers["counts"] = source.X.copy()
    source.X = scipy.sparse.csr_matrix(np.log1p(source.X.toarray()))
    path = written(source, tmp_path / "sc_counts.h5ad")
    assert curate("op3", [path], tmp_path / "out.h5ad").split is None
    made = anndata.read_h5ad(tmp_path / "out.h5ad")
    assert (made.layers["counts"] != source[:, made.var_names].layers["counts"]).nnz == 0
    assert list(made.obs["condition"]) == list(source.obs["SMILES"])
    assert list(made.obs["perturbation"]) == list(source.obs["sm_name"])


def test_its_own_small_file_is_no_source_of_counts(vcc_data: Path, tmp_path: Path):
    """The developers' file is curated already: logs, which are refused; its recovered counts are curated anew."""
    devel = anndata.read_h5ad(vcc_data / "perturbench_mini" / "norman_k562_mini_500hvg.h5ad")
    source = anndata.AnnData(devel.X.copy(), devel.obs[["perturbation"]].copy(), devel.var[[]].copy())
    source.obs["cell_line"] = "k562"
    with pytest.raises(InputError, match="X holds values that are no counts"):
        curate("norman19", [written(source, tmp_path / "logs.h5ad")], tmp_path / "out.h5ad")
    assert not (tmp_path / "out.h5ad").exists()
    source.X = scipy.sparse.csr_matrix(devel.layers["counts_recovered"], dtype=np.float32)
    table = curate("norman19", [written(source, tmp_path / "counts.h5ad")], tmp_path / "out.h5ad").split
    made = anndata.read_h5ad(tmp_path / "out.h5ad")
    assert list(made.obs["condition"]) == list(devel.obs["condition"])
    parts = pd.read_csv(table, index_col=0, header=None)[1]
    held = made.obs.loc[parts.isin(["val", "test"]).to_numpy() & (made.obs["condition"] != "control").to_numpy()]
    assert held["condition"].nunique() == 4  # int(.3 x 15)


def test_another_split_may_be_asked_for_on_the_command_line(tmp_path: Path):
    _, path = frangieh(tmp_path)
    out = tmp_path / "out.h5ad"
    command = ["perturbench", "frangieh21", "--source", str(path), "--out", str(out), "--split", "transfer"]
    done = CliRunner().invoke(app, command)
    assert done.exit_code == 0, done.output
    assert "out.split.csv and the course's split beside it" in done.output
    assert "198 cells x 200 genes; PerturBench deposited 218,331 cells" in done.output
    parts = read_split(tmp_path / "out.split.json").table
    held = set(parts[parts["part"] != "train"].index.get_level_values("context"))
    assert len(held) > 1  # the published split holds something out of co-culture alone


def test_other_input_is_refused_in_one_sentence(tmp_path: Path, symbols: Path):
    source, path = srivatsan(tmp_path)
    out = tmp_path / "out.h5ad"

    def refused(match: str, *arguments: object, **options: object) -> None:
        with pytest.raises(InputError, match=match):
            curate(*arguments, **options)
        assert not out.exists()

    refused("PerturBench has no screen 'norman'; it has norman19, srivatsan20", "norman", [path], out)
    refused(
        "there is no split 'inverted'; the splits are published, transfer", "norman19", [path], out, split="inverted"
    )
    refused("srivatsan20 names its genes by symbol: give --symbols", "srivatsan20", [path], out)
    refused("the source is one file, and 2 were given", "srivatsan20", [path, path], out, symbols)
    refused("obs has no perturbation_2, ncounts, ngenes", "frangieh21", [path], out)
    (tmp_path / "wrong.csv").write_text("id,name\nENSG1,A\n")
    refused("wrong.csv has the columns id, name; it needs", "srivatsan20", [path], out, tmp_path / "wrong.csv")
    (tmp_path / "mouse.csv").write_text("ensembl_id\tsymbol\nENSMUSG1\tA\n")
    refused("no gene's Ensembl ID is in the table", "srivatsan20", [path], out, tmp_path / "mouse.csv")
    (tmp_path / "x.rds.gz").write_bytes(b"\x1f\x8b")
    refused(
        "is R's, which is not read here; the sources are gxe1.h5ad", "mcfaline23", [tmp_path / "x.rds.gz"], out, symbols
    )
    (tmp_path / "cut.h5ad").write_bytes(path.read_bytes()[:5000])
    refused("truncated", "srivatsan20", [tmp_path / "cut.h5ad"], out, symbols)
    source.write_h5ad(tmp_path / "Seurat_object_INS_Perturb_seq.h5ad")
    refused("obs has no gene, cell_type", "jiang24", [tmp_path / "Seurat_object_INS_Perturb_seq.h5ad"], out)
    source.obs = source.obs.assign(gene="a", cell_type="K562", nCount_RNA=1, nFeature_RNA=1)
    source.write_h5ad(tmp_path / "Seurat_object_INS_Perturb_seq.h5ad")
    refused("with its raw counts in raw", "jiang24", [tmp_path / "Seurat_object_INS_Perturb_seq.h5ad"], out)


def test_symbols_are_read_with_commas_or_tabs(tmp_path: Path, symbols: Path):
    assert len(read_symbols(symbols)) == 198
    (tmp_path / "tabs.tsv").write_text("ensembl_id\tgene_name\nENSG2\tB\nENSG3\t\n")
    assert read_symbols(tmp_path / "tabs.tsv") == {"ENSG2": "B"}
