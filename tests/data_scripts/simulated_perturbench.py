"""Simulated screens in the layouts of PerturBench's sources."""

import anndata
import numpy as np
import pandas as pd
import scipy.sparse

N_GENES = 300


def simulated_obs(seed: int = 4) -> pd.DataFrame:
    """Singles and combinations in four cell lines and two treatments; some perturbations miss some lines."""
    rng = np.random.default_rng(seed)
    singles = np.array([f"G{number}" for number in range(24)])
    halves = zip(singles[rng.permutation(24)[:14]], singles[rng.permutation(24)[:14]], strict=True)
    pairs = [f"{first}+{second}" for first, second in halves if first != second]
    rows = []
    for line in "dbac":
        for treatment in ("none", "drug"):
            for name in ["control", *rng.permutation([*singles, *pairs])]:
                if name == "control" or rng.random() < 0.8:
                    rows += [(name, line, treatment)] * int(rng.integers(1, 6) + 20 * (name == "control"))
    obs = pd.DataFrame(rows, columns=["condition", "cell_type", "treatment"]).sample(frac=1, random_state=seed)
    obs.index = [f"cell{number}" for number in range(len(obs))]
    # the order of categories, not that of the alphabet, is the order of the draws
    obs["condition"] = pd.Categorical(obs["condition"], rng.permutation(obs["condition"].unique()))
    obs["cell_type"] = pd.Categorical(obs["cell_type"], list("cadb"))
    return obs


def simulated_counts(obs: pd.DataFrame, columns: list[str], genes: list[str], seed: int) -> anndata.AnnData:
    """Raw counts, CSR; what the columns say changes some genes."""
    rng = np.random.default_rng(seed)
    rate = rng.lognormal(-0.5, 1.0, len(genes))
    effects = {}
    for label in map(tuple, obs[columns].astype(str).drop_duplicates().to_numpy()):
        effects[label] = np.exp(rng.normal(0, 1.0, len(genes)) * (rng.random(len(genes)) < 0.15))
    depth = rng.lognormal(0, 0.3, len(obs))
    labels = map(tuple, obs[columns].astype(str).to_numpy())
    counts = np.array([rng.poisson(cell * rate * effects[label]) for cell, label in zip(depth, labels, strict=True)])
    x = scipy.sparse.csr_matrix(counts.astype(np.float32))
    return anndata.AnnData(x, obs.copy(), pd.DataFrame(index=pd.Index(genes)))


def labelled(groups: dict[tuple[str, ...], int], columns: list[str], seed: int) -> pd.DataFrame:
    """So many cells of each label, mixed, with what Seurat or scanpy would count of them."""
    rows = [label for label, size in groups.items() for _ in range(size)]
    obs = pd.DataFrame(rows, columns=columns).sample(frac=1, random_state=seed)
    obs.index = [f"barcode-{number}" for number in range(len(obs))]
    return obs
