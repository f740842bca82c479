"""A simulated screen in the layout of the author's raw file: AnnData 0.7, dense float32 in one piece."""

from pathlib import Path

import h5py
import numpy as np
import pandas as pd

CONTROL = "non-targeting"


def simulated_tables(sizes: dict[str, int], n_genes: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Cells of each condition, mixed, in three GEM groups of unequal size; genes, some of one symbol."""
    rng = np.random.default_rng(seed)
    gene_id = rng.permutation(np.repeat(list(sizes), list(sizes.values())))
    group = rng.choice([3, 12, 27], size=len(gene_id), p=[0.5, 0.3, 0.2])
    barcodes = [f"{number:06d}ACGT-{gem}" for number, gem in enumerate(group)]
    symbol = {name: CONTROL if name == CONTROL else f"SYMBOL{name[-3:]}" for name in sizes}
    obs = pd.DataFrame(
        {
            "gem_group": group.astype(np.int64),
            "gene": pd.Categorical([symbol[name] for name in gene_id]),
            "gene_id": pd.Categorical(gene_id),
            "transcript": pd.Categorical(rng.choice(["P1", "P1P2"], len(gene_id))),
            "UMI_count": np.zeros(len(gene_id)),  # the authors counted genes that are not in the file
        },
        index=pd.Index(barcodes, name="cell_barcode"),
    )
    names = np.array([f"G{number}" for number in range(n_genes)], dtype=object)
    names[[3, 8]], names[[5, 9]], names[[11, 13]], names[20] = "TBCE", "HSPA14", "TWIN", "RPS6"
    ensembl = [f"ENSG{number:011d}" for number in range(n_genes)]
    var = pd.DataFrame({"gene_name": names, "length": np.arange(n_genes)}, index=pd.Index(ensembl, name="gene_id"))
    return obs, var


def simulated_counts(obs: pd.DataFrame, n_genes: int, seed: int) -> np.ndarray:
    """Counts whose depth differs by cell; every condition changes some genes, its own among them."""
    rng = np.random.default_rng(seed)
    rate = rng.lognormal(0.5, 1.0, n_genes)
    change = {
        name: np.exp(rng.normal(0, 1.2, n_genes) * (rng.random(n_genes) < 0.12))
        for name in obs["gene_id"].cat.categories
    }
    change[CONTROL] = np.ones(n_genes)
    depth = rng.lognormal(0, 0.35, len(obs))
    rows = [rng.poisson(depth[cell] * rate * change[name]) for cell, name in enumerate(obs["gene_id"])]
    return np.array(rows, np.float32)


def write_old_layout(path: Path, x: np.ndarray, obs: pd.DataFrame, var: pd.DataFrame) -> Path:
    """Write as AnnData 0.7 did: categories beside the columns, no encoding of X."""
    with h5py.File(path, "w") as file:
        file.create_dataset("X", data=x)
        for key, frame in (("obs", obs), ("var", var)):
            group = file.create_group(key)
            group.attrs.update({"encoding-type": "dataframe", "encoding-version": "0.1.0", "_index": frame.index.name})
            group.attrs["column-order"] = np.array(list(frame), dtype=object)
            text = h5py.string_dtype()
            group.create_dataset(frame.index.name, data=frame.index.to_numpy(object), dtype=text)
            for name, column in frame.items():
                if isinstance(column.dtype, pd.CategoricalDtype):
                    levels = group.require_group("__categories").create_dataset(
                        name, data=column.cat.categories.to_numpy(object), dtype=text
                    )
                    stored = group.create_dataset(name, data=column.cat.codes.to_numpy())
                    stored.attrs["categories"] = levels.ref
                elif column.dtype == object:
                    group.create_dataset(name, data=column.to_numpy(), dtype=text)
                else:
                    group.create_dataset(name, data=column.to_numpy())
        file.create_group("uns")
    return path
