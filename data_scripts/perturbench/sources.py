"""PerturBench's six screens: from the layout of each source to its columns.

Steps are those of its curation notebooks (altoslabs/perturbench, commit 290b9ba). Where a notebook replaces a control's
label inside of longer names (RNASEL became RcontrolSEL in McFaline23), here only the whole name is replaced.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import anndata
import numpy as np
import pandas as pd
import scipy.sparse

from data_scripts.perturbench.splits import Labels, split_combinations, split_manual, split_transfer
from starter.errors import InputError, listed

CONTROL = "control"
DMSO = "C[S+](C)[O-]"
COUNTS = {"nCount_RNA": "ncounts", "nFeature_RNA": "ngenes", "n_counts": "ncounts", "n_genes": "ngenes"}
"""UMIs and genes of a cell, by the names of Seurat and scanpy."""
FEWEST_CELLS = 20
"""McFaline23 keeps a perturbation in a cell line and treatment if it has so many cells."""

Prepare = Callable[[Sequence[anndata.AnnData], Sequence[str], Mapping[str, str]], anndata.AnnData]
"""(contents of the source files, their names, Ensembl ID to symbol) -> raw counts with PerturBench's columns."""


@dataclass(frozen=True)
class Curation:
    """One of the six screens."""

    sources: str
    """The files, and where they are."""
    n_cells: int
    """Of the file that PerturBench deposited."""
    prepare: Prepare
    covariates: tuple[str, ...]
    perturbation: str = "condition"
    control: str = CONTROL
    selects_genes: bool = True
    """Whether `preprocess` follows."""
    needs_symbols: bool = False
    split: Callable[[Labels], pd.Series] | None = None
    """The published split; None where it is a published table."""

    def labels(self, obs: pd.DataFrame) -> Labels:
        """Give what a split is made of."""
        return Labels(obs, self.perturbation, self.covariates, self.control)


def norman19(files: Sequence[anndata.AnnData], names: Sequence[str], symbols: Mapping[str, str]) -> anndata.AnnData:
    """Take scPerturb's file: singles and doubles, `A_B` as `A+B`."""
    del symbols
    (cells,) = _checked(_one(files), names, "perturbation", "cell_line")
    cells.obs = cells.obs.rename(columns={**COUNTS, "percent.mt": "percent_mito", "cell_line": "cell_type"})
    _condition(cells, cells.obs["perturbation"].astype(str).str.replace("_", "+"))
    return cells


def srivatsan20(files: Sequence[anndata.AnnData], names: Sequence[str], symbols: Mapping[str, str]) -> anndata.AnnData:
    """Take scPerturb's file: human genes by symbol, three cell lines, the highest dose (10 uM) and the control."""
    (cells,) = _checked(_one(files), names, "perturbation", "cell_line", "dose_value", var=("ensembl_id",))
    ids = cells.var["ensembl_id"].astype(str)
    cells = _by_symbol(cells, ids.where(~ids.duplicated() & ids.str.contains("ENSG"), ""), symbols)
    cells.obs = cells.obs.rename(columns=COUNTS)
    renamed = {"(+)-JQ1": "JQ1", "ENMD-2076 L-(+)-Tartaric acid": "ENMD-2076"}  # + stands for "and"
    _condition(cells, cells.obs["perturbation"].astype(str).replace(renamed))
    cells.obs = cells.obs.assign(
        cell_type=cells.obs["cell_line"].astype(str).str.lower(),
        dose=cells.obs["dose_value"].astype(float) / 1000,
        dose_unit="uM",
        treatment="none",
        perturbation_type="drug",
        dataset="srivatsan20",
    )
    lines = cells.obs["cell_type"].isin(["mcf7", "a549", "k562"])
    return cells[lines & ((cells.obs["dose"] == 10) | (cells.obs["condition"] == CONTROL))].copy()


def frangieh21(files: Sequence[anndata.AnnData], names: Sequence[str], symbols: Mapping[str, str]) -> anndata.AnnData:
    """Take scPerturb's file: all genes stay; "CRISPRi" is PerturBench's word for what was a knock-out."""
    del symbols
    (cells,) = _checked(_one(files), names, "perturbation", "perturbation_2", "ncounts", "ngenes")
    _condition(cells, cells.obs["perturbation"].astype(str))
    treatment = cells.obs["perturbation_2"].astype(str).replace({"Co-culture": "co-culture", "Control": "none"})
    cells.obs = cells.obs.assign(
        cell_type="melanocyte", treatment=treatment, perturbation_type="CRISPRi", dataset="frangieh21"
    )
    return cells


def mcfaline23(files: Sequence[anndata.AnnData], names: Sequence[str], symbols: Mapping[str, str]) -> anndata.AnnData:
    """Take sciPlex-GxE 1 and 2 as R wrote them to `.h5ad`: singles with enough cells, genes by symbol."""
    parts = _checked(files, names, "gene_id", "treatment", "dose", "cell_type")
    cells = anndata.concat(parts)
    cells.obs_names_make_unique()
    cells.obs = cells.obs.rename(columns=COUNTS)
    _condition(cells, _whole(cells.obs["gene_id"], {"NA": CONTROL, "nan": CONTROL, "NTC": CONTROL, "random": CONTROL}))
    treatment = _whole(cells.obs["treatment"], {"vehicle": "none", "dmso": "none"})
    cells.obs = cells.obs.assign(
        drug_dose=cells.obs["dose"],
        cell_type=cells.obs["cell_type"].astype(str).str.lower(),
        treatment=treatment,
        gene_dose="1",
        perturbation_type="CRISPRi",
        dataset="mcfaline23",
    )
    cells = cells[~cells.obs["condition"].str.contains("+", regex=False)].copy()
    pair = cells.obs[["condition", "cell_type", "treatment"]].astype(str).agg("_".join, axis=1)
    cells.obs["pert_cl_tr"] = pair
    cells = cells[pair.map(pair.value_counts()) >= FEWEST_CELLS]
    cells = _by_symbol(cells, pd.Series(cells.var_names.str.split(".").str[0], index=cells.var_names), symbols)
    cells = cells[:, ~cells.var_names.duplicated()].copy()
    treated = np.where(cells.obs["treatment"] == "none", "", "+" + cells.obs["treatment"].astype(str))
    cells.obs["condition_plus_treatment"] = cells.obs["condition"].astype(str) + treated
    return cells[~cells.obs["treatment"].isin(["temozolomide", "thioguanine"])].copy()


def jiang24(files: Sequence[anndata.AnnData], names: Sequence[str], symbols: Mapping[str, str]) -> anndata.AnnData:
    """Take a file a cytokine as Seurat wrote them to `.h5ad`: counts in `raw`, the treatment in the file's name."""
    del symbols
    parts = _checked(files, names, "gene", "cell_type", "nCount_RNA", "nFeature_RNA")
    for cells, name in zip(parts, names, strict=True):
        words = name.split("_")
        if cells.raw is None or cells.raw.shape != cells.shape or len(words) < 3:
            msg = f"{name} is no Seurat_object_CYTOKINE_Perturb_seq.h5ad with its raw counts in raw"
            raise InputError(msg)
        cells.X = cells.raw.X
        cells.raw = None
        _condition(cells, cells.obs["gene"].astype(str).replace({"NT": CONTROL}))
        cells.obs = cells.obs.assign(
            treatment=words[2],
            cell_type=cells.obs["cell_type"].astype(str).str.lower(),
            ncounts=cells.obs["nCount_RNA"],
            ngenes=cells.obs["nFeature_RNA"],
            perturbation_type="CRISPRi",
        )
    cells = anndata.concat(parts)
    cells.obs_names_make_unique()
    cells.obs["dataset"] = "jiang24"
    return cells


def op3(files: Sequence[anndata.AnnData], names: Sequence[str], symbols: Mapping[str, str]) -> anndata.AnnData:
    """Take Open Problems' file: counts of a layer, compounds by SMILES; PerturBench's notebook is not published."""
    del symbols
    (cells,) = _checked(_one(files), names, "SMILES", "sm_name", "cell_type", "donor_id")
    cells.X = cells.layers.pop("counts") if "counts" in cells.layers else cells.X
    cells.obs = cells.obs.assign(
        condition=cells.obs["SMILES"].astype(str),
        perturbation=cells.obs["sm_name"].astype(str),
        treatment="none",
        perturbation_type="drug",
        dataset="op3",
    )
    return cells


ZENODO = "of zenodo.org/records/7041849"
JIANG_LINES, JIANG_CYTOKINES = ("k562", "mcf7", "ht29", "hap1"), ("IFNG", "INS", "TGFB")
CURATIONS = {
    "norman19": Curation(
        f"NormanWeissman2019_filtered.h5ad {ZENODO}", 91_168, norman19, ("cell_type",),
        split=partial(split_combinations, seed=42),
    ),
    "srivatsan20": Curation(
        f"SrivatsanTrapnell2020_sciplex3.h5ad {ZENODO}", 178_213, srivatsan20,
        ("cell_type",), needs_symbols=True, split=partial(split_transfer, seed=42, max_held_out_covariates=1),
    ),
    "frangieh21": Curation(
        f"FrangiehIzar2021_RNA.h5ad {ZENODO}", 218_331, frangieh21,
        ("treatment",), selects_genes=False, split=partial(split_manual, covariates=[("co-culture",)], seed=0),
    ),
    "mcfaline23": Curation(
        "gxe1.h5ad, gxe2_A172.h5ad, gxe2_T98G.h5ad and gxe2_U87MG.h5ad, as PerturBench's R script writes them of "
        "GSM7056148 and GSM7056149",
        892_800, mcfaline23, ("cell_type", "treatment"), needs_symbols=True,
    ),
    "jiang24": Curation(
        "Seurat_object_{IFNB,IFNG,INS,TGFB,TNFA}_Perturb_seq.h5ad, as PerturBench's R script writes them of "
        "zenodo.org/records/10520190",
        1_628_476, jiang24, ("cell_type", "treatment"),
        split=partial(
            split_manual, covariates=[(line, name) for name in JIANG_CYTOKINES for line in JIANG_LINES], seed=0
        ),
    ),
    "op3": Curation(
        "sc_counts_reannotated_with_counts.h5ad of s3://openproblems-bio", 298_087, op3, ("cell_type",),
        perturbation="SMILES", control=DMSO,
    ),
}  # fmt: skip
"""By PerturBench's names."""


def _one(files: Sequence[anndata.AnnData]) -> Sequence[anndata.AnnData]:
    if len(files) != 1:
        msg = f"the source is one file, and {len(files)} were given"
        raise InputError(msg)
    return files


def _checked(
    files: Sequence[anndata.AnnData], names: Sequence[str], *columns: str, var: Sequence[str] = ()
) -> list[anndata.AnnData]:
    for cells, name in zip(files, names, strict=True):
        for kind, frame, due in (("obs", cells.obs, columns), ("var", cells.var, var)):
            if missing := [column for column in due if column not in frame]:
                there = listed(list(frame))
                msg = f"{name} is not of the source's layout: {kind} has no {listed(missing)}, only {there}"
                raise InputError(msg)
        if not isinstance(cells.X, scipy.sparse.csr_matrix):
            cells.X = scipy.sparse.csr_matrix(cells.X)
    return list(files)


def _condition(cells: anndata.AnnData, labels: pd.Series) -> None:
    cells.obs["perturbation"] = labels.astype("category")
    cells.obs["condition"] = cells.obs["perturbation"].copy()


def _whole(labels: pd.Series, renamed: Mapping[str, str]) -> pd.Series:
    """Rename the parts of labels `A,B`, which become `A+B`."""
    parts = labels.astype(str).str.split(",")
    return parts.map(lambda names: "+".join(renamed.get(name, name) for name in names))


def _by_symbol(cells: anndata.AnnData, ids: pd.Series, symbols: Mapping[str, str]) -> anndata.AnnData:
    """Keep the genes whose Ensembl ID has a symbol, and name them so."""
    known = ids.isin(list(symbols)).to_numpy()
    if not known.any():
        msg = "no gene's Ensembl ID is in the table of symbols; give one of human genes"
        raise InputError(msg)
    cells = cells[:, known].copy()
    cells.var["gene_id"] = ids[known].to_numpy()
    cells.var["gene_symbol"] = cells.var["gene_id"].map(symbols)
    cells.var_names = cells.var["gene_symbol"].astype(str).to_numpy()
    return cells
