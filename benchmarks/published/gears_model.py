"""Train GEARS (`cell-gears`) on what `benchmarks.published.inputs` wrote, and predict; runs in its environment.

Of the kit nothing is imported here. GEARS downloads two files when it starts, a table of Gene Ontology terms and a
graph of genes that share them; both are written first, of the course's own annotations, so that nothing is downloaded.
"""

import argparse
import json
import os
import pickle
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import torch
from gears import GEARS, PertData

NAME = "course"
"""Of the data set, in GEARS' files."""
THRESHOLD = 0.1
"""Least Jaccard similarity of two linked genes, as in GEARS."""


def write_graph(folder: Path, terms: dict[str, list[str]]) -> None:
    """Write what GEARS downloads: terms of each gene, and genes linked by the Jaccard similarity of their terms."""
    sets = {gene: set(of_gene) for gene, of_gene in terms.items()}
    with (folder / "gene2go_all.pkl").open("wb") as file:  # GEARS' own format, read by GEARS alone
        pickle.dump(sets, file)
    with (folder / "genes.pkl").open("wb") as file:
        pickle.dump(list(sets), file)
    genes, names = sorted(sets), sorted(set().union(*sets.values()))
    column = {name: number for number, name in enumerate(names)}
    has = np.zeros((len(genes), len(names)), np.float32)
    for row, gene in enumerate(genes):
        has[row, [column[name] for name in sets[gene]]] = 1
    shared, sizes = has @ has.T, has.sum(axis=1)
    jaccard = shared / (sizes[:, None] + sizes - shared)
    source, target = np.nonzero(jaccard > THRESHOLD)
    edges = pd.DataFrame(
        {
            "source": np.array(genes)[source],
            "target": np.array(genes)[target],
            "importance": jaccard[source, target],
        }
    )
    edges.to_csv(folder / f"go_essential_{NAME}.csv", index=False)


def main() -> None:
    """Train and predict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("inputs", type=Path)
    parser.add_argument("out", type=Path, help="the .npz to write")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--hidden", type=int, default=64)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    inputs, out = options.inputs.resolve(), options.out.resolve()
    torch.manual_seed(options.seed)
    np.random.seed(options.seed)  # noqa: NPY002  (GEARS draws control cells from numpy's global state)

    parts = json.loads((inputs / "parts.json").read_text())
    data = inputs / "data"  # GEARS looks for its graph in ./data
    data.mkdir(exist_ok=True)
    write_graph(data, json.loads((inputs / "annotations.json").read_text()))
    os.chdir(inputs)

    pert_data = PertData("./data", gene_set_path="./data/genes.pkl")
    pert_data.new_data_process(dataset_name=NAME, adata=anndata.read_h5ad("screen.h5ad"))
    known = set(pert_data.pert_names)
    split = {
        "train": ["ctrl", *(name for name in parts["train"] if set(name.split("+")) - {"ctrl"} <= known)],
        "val": [name for name in parts["public"] if set(name.split("+")) - {"ctrl"} <= known],
    }
    with Path("split.pkl").open("wb") as file:
        pickle.dump(split, file)
    pert_data.prepare_split(split="custom", split_dict_path="split.pkl")
    pert_data.split = "no_test"  # no cells of the hidden perturbations are here
    pert_data.get_dataloader(batch_size=options.batch)

    torch.set_num_threads(options.threads)  # after scanpy's kernels, which set it themselves
    model = GEARS(pert_data, device="cpu")
    model.model_initialize(hidden_size=options.hidden)
    model.train(epochs=options.epochs)

    wanted = [[gene for gene in name.split("+") if gene != "ctrl"] for name in parts["predict"]]
    can = [genes for genes in wanted if set(genes) <= known]
    if left := len(wanted) - len(can):
        print(f"GEARS cannot predict {left} perturbations, whose genes have no annotation", flush=True)
    np.savez_compressed(out, genes=np.array(model.gene_list, dtype=str), **model.predict(can))


if __name__ == "__main__":
    main()
