"""`python -m benchmarks.spread`: what scores gain when effects are drawn towards none as far as a model is unsure.

The screen is simulated, 240 targets of which 48 are hidden. Cells are made by thinning of what each model that says how
sure it is predicts, with and without `starter.prediction.shrinkage.shrink`; beside them the true profiles of the hidden
targets' own cells plus noise of a known deviation, a model whose doubt is right.
"""

import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import pandas as pd
import scipy.sparse
import typer

from benchmarks.cells import summary_of
from starter.console import run
from starter.data import dataset, pseudobulk
from starter.data.preprocess import expression
from starter.models.kit import KIT
from starter.models.training_data import TrainingData, read_training
from starter.prediction import cells
from starter.prediction.controls import Controls, controls_of
from starter.prediction.shrinkage import shrink
from starter.priors.knowledge import read_knowledge
from starter.schema import CONTROL, PERTURBATION, TARGET_GENE
from starter.scoring.metrics.discrimination import discrimination_score_l1
from starter.scoring.metrics.error import mae
from starter.scoring.metrics.overlap import overlap_at_n
from starter.scoring.screens.summary import Summary
from starter.simulation import biology
from starter.simulation.write import write

HIDDEN = 48
NOISE = (0.5, 1.0, 2.0)
"""Deviations of the noise, in units of the root mean square of the true effects; they vary from gene to gene."""

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def predictions(
    data: TrainingData, truth: pd.DataFrame, control: np.ndarray, rng: np.random.Generator
) -> dict[str, tuple[pd.DataFrame, pd.DataFrame]]:
    """Predict the hidden pairs: profile table and its deviations, by name."""
    found = {}
    for name, contract in KIT.items():
        if contract.spread is not None:
            model = contract.fit(data)
            found[name] = contract.predict(model, truth.index), contract.spread(model, truth.index)
    size = np.sqrt(((truth.to_numpy() - control) ** 2).mean())
    for noise in NOISE:
        deviation = np.broadcast_to(noise * size * rng.gamma(1, 1, truth.shape[1]), truth.shape)
        noisy = np.maximum(truth + rng.normal(0, 1, truth.shape) * deviation, 0)
        found[f"true profiles, noise {noise:g}"] = noisy, pd.DataFrame(deviation, truth.index, truth.columns)
    return found


def scores(
    table: pd.DataFrame, controls: Controls, n_cells: dict[str, int], truth: Summary, seed: int
) -> tuple[float, float, float]:
    """Make cells of a profile table and give DES, PDS and MAE of 2025."""
    labels, blocks = zip(*cells.make_cells(table, controls, n_cells, seed=seed), strict=True)
    of_cells = np.repeat(labels, [block.shape[0] for block in blocks])
    made = summary_of(scipy.sparse.vstack(blocks).tocsr(), of_cells, truth.perturbations, truth.genes)
    metrics = (overlap_at_n, discrimination_score_l1, mae)
    des, pds, error = (float(metric(truth, made).mean()) for metric in metrics)
    return des, pds, error


@app.command()
def main(
    screens: Annotated[int, typer.Option(help="Screens to simulate, each with hidden targets of its own.", min=1)] = 3,
) -> None:
    """Print a table (markdown): means over the screens, without and with."""
    rows = []
    for seed in range(screens):
        with tempfile.TemporaryDirectory() as folder:
            path = write(biology.draw("default", seed + 20), folder)
            adata = dataset.read_screen(path)
            rng = np.random.default_rng(seed)
            hidden = rng.choice(dataset.perturbations(adata), HIDDEN, replace=False)
            of_cell = adata.obs[TARGET_GENE].astype(str)
            scored = adata[of_cell.isin([*hidden, CONTROL])].copy()
            labels = scored.obs[TARGET_GENE].astype(str).to_numpy(str)
            names, n_cells = np.unique(labels[labels != CONTROL], return_counts=True)
            truth = summary_of(expression(scored), labels, names, np.array(adata.var_names))
            profiles = pseudobulk.profiles(scored)
            due = profiles.drop(index=CONTROL, level=PERTURBATION)
            data = read_training(path, read_knowledge(Path(folder) / "priors")).without(due.index)
            controls = controls_of(adata)
            for name, (table, spread) in predictions(data, due, controls.profile, rng).items():
                shrunk, _ = shrink(table, spread, {"one context": controls.profile})
                for how, predicted in (("as predicted", table), ("shrunk", shrunk)):
                    numbers = dict(zip(names.tolist(), n_cells.tolist(), strict=True))
                    rows.append((name, how, *scores(predicted, controls, numbers, truth, seed)))
    table = pd.DataFrame(rows, columns=["model", "effects", "DES", "PDS", "MAE"])
    means = table.groupby(["model", "effects"], sort=False).mean()
    print("| model | effects | DES | PDS | MAE |\n|---|---|---|---|---|")
    for (model, how), row in means.iterrows():
        print(f"| {model} | {how} | {row['DES']:.3f} | {row['PDS']:.3f} | {row['MAE']:.4f} |")


if __name__ == "__main__":
    run(app)
