"""`python -m benchmarks.cells`: what each way to make cells costs, with the true profile as the prediction.

The screen is the real one of the course (ECCITE-seq knock-outs in THP-1 cells, Papalexi et al. 2021), the perturbations
are its seven hidden ones, and DES and MAE are those of cell-eval 0.8.2. A pilot measured the same before this kit was
written; its numbers are printed beside ours.
"""

from pathlib import Path
from typing import Annotated, NamedTuple

import anndata
import numpy as np
import pandas as pd
import scipy.sparse
import typer

from starter.console import run
from starter.data import pseudobulk
from starter.data.blocks import in_memory
from starter.data.dataset import read_screen
from starter.data.preprocess import expression
from starter.data.split import read_split
from starter.prediction import cells
from starter.prediction.controls import Controls, controls_of
from starter.schema import CONTROL, COURSE, TARGET_GENE
from starter.scoring.metrics.error import mae
from starter.scoring.metrics.overlap import overlap_at_n
from starter.scoring.metrics.rule_sets import get_rule_set
from starter.scoring.screens.from_logs import summarise_logs
from starter.scoring.screens.summary import Summary

TARGET_SUM = 1e4
"""UMIs to which the pilot scaled every cell."""
NEAREST, OWN = "resample", "resample, own cells allowed"
"""Cells of the nearest training perturbation; and of the nearest of all, which is the perturbation itself."""


class Measured(NamedTuple):
    """What the pilot measured."""

    des: float
    mae: float


PILOT = {
    "thin": Measured(0.441, 0.0069),
    OWN: Measured(0.406, 0.0083),
    "negative_binomial": Measured(0.339, 0.0108),
    "scale": Measured(0.337, 0.0069),
    "poisson": Measured(0.304, 0.0185),
    "constant": Measured(0.224, 0.0),
    "shift": Measured(0.224, 0.0097),
    "gaussian": Measured(0.073, 0.0424),
}
"""From the best DES to the worst. What the pilot called the nearest training perturbation gives its numbers only if the
perturbation itself may be the nearest; its thinning did not yet solve the ratio on the cells drawn."""


def measure_ways(screen: anndata.AnnData, hidden: np.ndarray, seeds: int) -> pd.DataFrame:
    """Make cells of the true profiles in every way and score them.

    Parameters
    ----------
    screen
        A course data set (raw counts) with one context.
    hidden
        Whether each cell's perturbation is scored or it is a control cell; the other cells may be resampled.
    seeds
        How often cells are made.

    Returns
    -------
    One row a way and seed: columns way, des, mae, means over the perturbations scored.
    """
    screen = screen.copy()
    screen.uns.setdefault(COURSE, {})["target_sum"] = TARGET_SUM
    scored = screen[hidden]
    truth_cells, labels = expression(scored), scored.obs[TARGET_GENE].astype(str).to_numpy()
    names, n_cells = np.unique(labels[labels != CONTROL], return_counts=True)
    genes = np.array(screen.var_names)
    truth = summary_of(truth_cells, labels, names, genes)
    oracle = pseudobulk.profiles(scored).drop(index=CONTROL, level="perturbation")
    controls = controls_of(scored)
    ways = {**cells.WAYS, NEAREST: cells.resample_from(screen[~hidden]), OWN: _bootstrap(scored)}
    rows = []
    for name, way in ways.items():
        for seed in range(seeds):
            made = cells.make_cells(oracle, controls, dict(zip(names, n_cells, strict=True)), way, seed)
            made_labels, blocks = zip(*made, strict=True)
            made_labels = np.repeat(made_labels, [block.shape[0] for block in blocks])
            prediction = summary_of(scipy.sparse.vstack(blocks).tocsr(), made_labels, names, genes)
            rows.append((name, overlap_at_n(truth, prediction).mean(), mae(truth, prediction).mean()))
    return pd.DataFrame(rows, columns=["way", "des", "mae"])


def summary_of(x: scipy.sparse.csr_matrix, labels: np.ndarray, names: np.ndarray, genes: np.ndarray) -> Summary:
    """Summarise cells of log1p expression by the rules of 2025, for metrics."""
    code = {CONTROL: 0} | {name: number for number, name in enumerate(names, start=1)}
    groups = np.array([code[label] for label in labels])
    return summarise_logs(in_memory(x), groups[None], names, genes, get_rule_set("vcc2025").de).summaries[0]


def _bootstrap(scored: anndata.AnnData) -> cells.Way:
    """Draw from a perturbation's own cells with replacement; drawn without, they would be the truth itself."""
    resample = cells.resample_from(scored)

    def way(profile: np.ndarray, controls: Controls, n_cells: int, rng: np.random.Generator) -> scipy.sparse.csr_matrix:
        own = resample(profile, controls, n_cells, rng)
        return own[rng.integers(n_cells, size=n_cells)]

    return way


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    screen: Annotated[Path, typer.Argument(help="papalexi_thp1.h5ad, which python -m data_scripts builds.")],
    split: Annotated[Path, typer.Argument(help="papalexi_thp1.split.json, beside it.")],
    seeds: Annotated[int, typer.Option(help="How often cells are made.", min=1)] = 5,
) -> None:
    """Print DES and MAE of every way to make cells, beside the pilot's (markdown). About half a minute."""
    adata = read_screen(screen)
    table = measure_ways(adata, read_split(split).select(adata.obs, "hidden"), seeds)
    means, deviations = (table.groupby("way")[["des", "mae"]].agg(what).fillna(0) for what in ("mean", "std"))
    print(f"| way | DES, mean (sd) of {seeds} | the pilot's | MAE | the pilot's |\n|---|---|---|---|---|")
    for way, row in means.sort_values("des", ascending=False).iterrows():
        des, error = (f"{PILOT[way].des:.3f}", f"{PILOT[way].mae:.4f}") if way in PILOT else ("", "")
        print(f"| {way} | {row.des:.3f} ({deviations.des[way]:.3f}) | {des} | {row.mae:.4f} | {error} |")


if __name__ == "__main__":
    run(app)
