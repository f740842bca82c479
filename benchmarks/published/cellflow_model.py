"""Train CellFlow (`cellflow-tools`) on what `benchmarks.published.inputs` wrote, and predict; runs in its environment.

Of the kit nothing is imported here. Cells are described by principal components of the training cells; a target by
principal components of its annotations, which stand in for the embeddings of a protein language model that CellFlow's
authors use.
"""

import argparse
import json
from pathlib import Path

import anndata
import numpy as np
import optax
import pandas as pd
from cellflow.model import CellFlow
from cellflow.preprocessing import centered_pca, reconstruct_pca

CONTROL = "ctrl"
GENE, CONTROLLED, EMBEDDINGS = "gene", "control", "gene_embeddings"
"""Columns of obs, and the key of uns, that CellFlow is told."""


def embed(terms: dict[str, list[str]], genes: list[str], width: int) -> dict[str, np.ndarray]:
    """Describe genes by the leading principal components of the terms that they have; a gene without terms by zeros."""
    names = sorted(set().union(*terms.values()))
    column = {name: number for number, name in enumerate(names)}
    has = np.zeros((len(genes), len(names)))
    for row, gene in enumerate(genes):
        has[row, [column[name] for name in terms.get(gene, [])]] = 1
    left, strength, _ = np.linalg.svd(has - has.mean(axis=0), full_matrices=False)
    scores = (left * strength)[:, :width]
    scores /= scores.std()
    return {gene: row.astype(np.float32) for gene, row in zip(genes, scores, strict=True)}


def main() -> None:
    """Train and predict."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("inputs", type=Path)
    parser.add_argument("out", type=Path, help="the .npz to write")
    parser.add_argument("--steps", type=int, default=2_000)
    parser.add_argument("--width", type=int, default=256)
    parser.add_argument("--components", type=int, default=30)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--cells", type=int, default=100, help="control cells that a prediction starts from")
    parser.add_argument("--rate", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()

    parts = json.loads((options.inputs / "parts.json").read_text())
    wanted = [name for name in parts["predict"] if name.endswith(f"+{CONTROL}")]
    if left := len(parts["predict"]) - len(wanted):
        print(f"this script is for single perturbations; {left} doubles are left out", flush=True)
    adata = anndata.read_h5ad(options.inputs / "screen.h5ad")
    adata = adata[adata.obs["condition"].isin([CONTROL, *parts["train"]]).to_numpy()].copy()
    adata.X = adata.X.toarray()
    adata.obs[GENE] = adata.obs["condition"].astype(str).str.removesuffix(f"+{CONTROL}").astype("category")
    adata.obs[CONTROLLED] = (adata.obs["condition"] == CONTROL).to_numpy()
    targets = [name.removesuffix(f"+{CONTROL}") for name in (*parts["train"], *wanted)]
    terms = json.loads((options.inputs / "annotations.json").read_text())
    adata.uns[EMBEDDINGS] = embed(terms, sorted({*targets, *adata.var_names}), options.components)
    adata.uns[EMBEDDINGS][CONTROL] = np.zeros(options.components, np.float32)
    centered_pca(adata, n_comps=options.components, keep_centered_data=False)

    model = CellFlow(adata, solver="otfm")
    model.prepare_data(
        sample_rep="X_pca",
        control_key=CONTROLLED,
        perturbation_covariates={GENE: (GENE,)},
        perturbation_covariate_reps={GENE: EMBEDDINGS},
    )
    width = options.width
    model.prepare_model(
        pooling="mean",
        layers_before_pool=({"layer_type": "mlp", "dims": (width,), "dropout_rate": 0.0},),
        layers_after_pool=({"layer_type": "mlp", "dims": (width,), "dropout_rate": 0.0},),
        condition_embedding_dim=64,
        cond_output_dropout=0.0,
        time_freqs=64,
        time_encoder_dims=(width,),
        hidden_dims=(width,),
        decoder_dims=(width, width),
        optimizer=optax.adam(options.rate),
        seed=options.seed,
    )
    model.train(num_iterations=options.steps, batch_size=options.batch, valid_freq=options.steps)

    covariates = pd.DataFrame({GENE: pd.Categorical([name.removesuffix(f"+{CONTROL}") for name in wanted])})
    covariates[CONTROLLED], covariates["condition"] = False, wanted
    controls = np.flatnonzero(adata.obs[CONTROLLED].to_numpy(bool))
    drawn = np.random.default_rng(options.seed).choice(controls, min(options.cells, len(controls)), replace=False)
    controls = adata[np.sort(drawn)].copy()
    predicted = model.predict(controls, covariates, sample_rep="X_pca", condition_id_key="condition")
    cells = {}
    for name, coordinates in predicted.items():
        made = anndata.AnnData(obsm={"X_pca": np.asarray(coordinates)}, shape=(len(coordinates), adata.n_vars))
        reconstruct_pca(made, ref_adata=adata)
        cells[str(name)] = np.asarray(made.layers["X_recon"], dtype=np.float32)
    np.savez_compressed(options.out, genes=np.array(adata.var_names, dtype=str), **cells)


if __name__ == "__main__":
    main()
