"""Small screens in the layouts in which others publish theirs."""

from pathlib import Path
from typing import NamedTuple

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse

GENES = ("STAT1", "HLA-A", "NKX2-1", "KLF1", "MAP2K6", "CD58", "SPI1", "TBCE", "TBCE", "MT-ND1", "ACTB", "GAPDH",
         *(f"GENE{number}" for number in range(40)))  # fmt: skip
IDS = tuple(f"ENSG000001{number:05d}" for number in range(len(GENES)))
TEXT = h5py.string_dtype()


class Made(NamedTuple):
    """A file, and what is in it."""

    path: Path
    counts: np.ndarray
    """Cells x genes, in the order of the file."""
    obs: pd.DataFrame


def drawn(labels: list[str], seed: int = 0, n_genes: int = len(GENES)) -> tuple[np.ndarray, pd.DataFrame]:
    """Draw counts of cells with these labels; none is empty, and each has a gene with one UMI."""
    rng = np.random.default_rng(seed)
    counts = rng.poisson(rng.lognormal(0.4, 1, n_genes) * rng.lognormal(0, 0.3, (len(labels), 1))).astype(np.float32)
    counts[:, -1], counts[:, -2] = 1, 2
    return counts, pd.DataFrame({"label": labels}, index=[f"CELL{number}-1" for number in range(len(labels))])


def _id_of(label: str) -> str:
    """Give the id of a gene; one that is not measured has another, and a control none."""
    if label in GENES:
        return IDS[GENES.index(label)]
    return label if label == "non-targeting" else f"ENSG000009{sum(label.encode()):05d}"


def replogle(path: Path, labels: list[str]) -> Made:
    """Write the layout of Replogle 2022: dense, contiguous float32; categories as AnnData 0.7 kept them."""
    counts, obs = drawn(labels, 1)
    rng = np.random.default_rng(2)
    obs = obs.assign(
        gene=obs.pop("label"),
        gem_group=rng.integers(1, 4, len(obs)),
        UMI_count=counts.sum(axis=1) + 7,
        mitopercent=rng.uniform(0.01, 0.2, len(obs)),
        sgID_AB=[f"{label}_+_{number % 2}" for number, label in enumerate(labels)],
        gene_id=[_id_of(label) for label in labels],
        transcript="P1P2",
        gene_transcript=[f"{label}_P1P2" for label in labels],
        z_gemgroup_UMI=rng.normal(0, 1, len(obs)),
        core_adjusted_UMI_count=counts.sum(axis=1) * 1.1,
    )
    with h5py.File(path, "w") as file:
        file.create_dataset("X", data=counts)
        old_table(file, "obs", obs, ["gene", "sgID_AB", "gene_id", "transcript", "gene_transcript"], "cell_barcode")
        var = pd.DataFrame({"gene_name": GENES, "mean": counts.mean(axis=0)}, index=IDS)
        old_table(file, "var", var, ["gene_name"], "gene_id")
    return Made(path, counts, obs)


def old_table(file: h5py.File, key: str, table: pd.DataFrame, categories: list[str], index: str) -> None:
    group = file.create_group(key)
    group.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.1.0", "_index": index})
    group.attrs["column-order"] = np.array(table.columns, TEXT)
    group.create_dataset(index, data=np.array(table.index, object), dtype=TEXT)
    for name in table:
        if name not in categories:
            group.create_dataset(name, data=table[name].to_numpy())
            continue
        column = pd.Categorical(table[name])
        levels = group.require_group("__categories").create_dataset(
            name, data=np.array(column.categories, object), dtype=TEXT
        )
        group.create_dataset(name, data=column.codes).attrs["categories"] = levels.ref


def gears(path: Path, labels: list[str]) -> Made:
    """Write the layout of GEARS' files: log1p of counts per 10,000, ids as index, symbols in gene_name."""
    counts, obs = drawn(labels, 3)
    logs = np.log1p(counts / counts.sum(axis=1, keepdims=True) * 1e4).astype(np.float32)
    obs = pd.DataFrame({"condition": pd.Categorical(labels), "cell_type": pd.Categorical(["K562"] * len(obs)),
                        "dose_val": "1+1", "control": 0}, index=obs.index)  # fmt: skip
    var = pd.DataFrame({"gene_name": GENES}, index=IDS)
    anndata.AnnData(scipy.sparse.csr_matrix(logs), obs, var).write_h5ad(path)
    return Made(path, counts, obs)


def scperturb(path: Path, labels: list[str], **columns: object) -> Made:
    """Write the layout of scPerturb: CSR counts, perturbation, ncounts, percent_mito; symbols as index."""
    counts, obs = drawn(labels, 4)
    obs = pd.DataFrame(
        {
            "perturbation": pd.Categorical(labels),
            "cell_line": pd.Categorical(["K562"] * len(obs)),
            "ncounts": counts.sum(axis=1) + 3.0,
            "percent_mito": np.linspace(0.5, 9, len(obs)),
            **columns,
        },
        index=obs.index,
    )
    symbols = [f"TBCE_{IDS[number]}" if number == 8 else name for number, name in enumerate(GENES)]
    var = pd.DataFrame({"ensembl_id": IDS}, index=symbols)
    anndata.AnnData(scipy.sparse.csr_matrix(counts), obs, var).write_h5ad(path)
    return Made(path, counts, obs)


def anndata_06(path: Path, labels: list[str]) -> Made:
    """Write what AnnData 0.6 wrote: tables as compound data sets, levels in uns; X logged, counts in raw.X."""
    counts, obs = drawn(labels, 5)
    column = pd.Categorical(labels)
    with h5py.File(path, "w") as file:
        file.create_dataset("X", data=np.log1p(counts))
        raw = file.create_group("raw.X")
        raw.attrs.update({"h5sparse_format": "csr", "h5sparse_shape": np.array(counts.shape)})
        for key, part in _parts(scipy.sparse.csr_matrix(counts)).items():
            raw.create_dataset(key, data=part)
        table = np.zeros(len(obs), [("index", "S12"), ("perturbation", "i1"), ("n_counts", "f4")])
        table["index"], table["perturbation"] = obs.index.to_numpy("S"), column.codes
        table["n_counts"] = counts.sum(axis=1)
        file.create_dataset("obs", data=table)
        genes = np.array([(f"{name}".encode(),) for name in _once(GENES)], [("index", "S24")])
        file.create_dataset("var", data=genes)
        file.create_dataset("raw.var", data=genes)
        file.create_dataset("uns/perturbation_categories", data=np.array(column.categories, object), dtype=TEXT)
    return Made(path, counts, obs)


def _parts(matrix: scipy.sparse.csr_matrix) -> dict[str, np.ndarray]:
    return {"data": matrix.data, "indices": matrix.indices, "indptr": matrix.indptr}


def _once(names: tuple[str, ...]) -> list[str]:
    return [f"{name}-1" if name in names[:number] else name for number, name in enumerate(names)]
