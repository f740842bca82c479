"""How far simulated screens resemble real ones.

`python -m benchmarks.simulator resemblance`: statistic by statistic. `python -m benchmarks.simulator scale`: whether a
screen of the preset `vcc` is on the challenge's scale.

Real screens: Papalexi et al. (2021), as the course builds it; two small ones that others made for their tests,
PerturBench's part of Norman et al. (2019) and scPerturb's of Datlinger et al. (2021), in the folder that `VCC_DATA`
names.
"""

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, NamedTuple

import anndata
import numpy as np
import pandas as pd
import scipy.sparse
import scipy.stats
import typer

from data_scripts.screens import papalexi
from starter.console import run
from starter.data.h5ad import open_h5ad
from starter.data.preprocess import log_expression
from starter.data.pseudobulk import group_means
from starter.errors import InputError
from starter.schema import BATCH, CONTROL, N_UMIS, TARGET_GENE
from starter.scoring.metrics.rule_sets import get_rule_set
from starter.scoring.truth.build import build_truth
from starter.simulation import biology
from starter.simulation.challenge import write_2025
from starter.simulation.counts import draw_cells, draw_counts
from starter.simulation.setup import PRESETS, SIZES
from starter.statistics.de import CELL_EVAL_082, de_table

SEEN = 0.1
"""Counts in a control cell on average, from which a gene's dispersion and zeros are looked at."""
CELLS = 60
"""So many cells of each perturbation are tested, at most."""
COMPONENTS = 10
FAR = 0.4
"""A log2 fold change beyond which genes of the challenge's real screen were counted: 14 to 2,855 of a perturbation."""
SCORES = {"DES": "overlap_at_N", "PDS": "discrimination_score_l1", "MAE": "mae"}
QUARTILES = ("fewest", "1st quartile", "median", "3rd quartile", "most")
NORMAN, JURKAT = "perturbench_mini/norman_k562_mini_500hvg.h5ad", "scperturb_jurkat_scifi/jurkat_scifi_7500x2000.h5ad"


class Cells(NamedTuple):
    """A screen as its statistics need it."""

    counts: scipy.sparse.csr_matrix
    n_umis: np.ndarray
    """Of the whole transcriptome."""
    labels: np.ndarray
    """Perturbation of each cell, or control."""
    batches: np.ndarray | None


def statistics(cells: Cells, seed: int = 0) -> dict[str, float]:
    """Describe a screen by numbers in which simulated and real ones can differ.

    Parameters
    ----------
    cells
        A screen. Expression is log1p, scaled to the median depth of its controls.
    seed
        Chooses the cells that are tested.

    Returns
    -------
    `dispersion`: median over genes of the controls' phi (variance = mean + phi mean^2, depth taken out);
    `zeros`: share of zeros above Poisson's, mean over genes; `de_share`: median share of differentially expressed genes
    (rank sums, 5 % FDR) with `CELLS` cells; `silent`: share of perturbations with one such gene or none, with all
    cells; `size`: median over perturbations of the effect's length / sqrt(genes), and `strongest`: the largest
    length / the median one, both less what noise adds; `along_controls`: share of the mean effect's square within the
    controls' first `COMPONENTS` principal components; `batches_p`: chi-squared p of perturbation by batch; `depth`:
    standard deviation between perturbations of mean ln depth / that expected by noise; `correlation`: median over
    pairs of perturbations of their effects' Pearson correlation; `train_mean`: mean Pearson correlation of an effect
    with the mean of the others.
    """
    counts, n_umis, labels, batches = cells
    control = labels == CONTROL
    names = np.unique(labels[~control])
    groups = np.where(control, 0, np.searchsorted(names, labels) + 1)
    n_groups, n_cells = len(names) + 1, np.bincount(groups)
    logs = log_expression(counts, n_umis, float(np.median(n_umis[control])))
    means = group_means(logs, groups, n_groups)
    effects = means[1:] - means[0]
    noise = group_means(logs.power(2), groups, n_groups) - means**2
    noise = (noise[1:] / n_cells[1:, None] + noise[0] / n_cells[0]).sum(axis=1)
    length = np.sqrt(np.maximum((effects**2).sum(axis=1) - noise, 0))
    few = _thinned(groups, np.random.default_rng(seed))
    tested, all_tested = (
        de_table(logs, chosen, n_groups, CELL_EVAL_082).significant().sum(axis=1) for chosen in (few, groups)
    )
    correlations = np.corrcoef(effects)
    others = (effects.sum(axis=0) - effects) / (len(names) - 1)
    return {
        **_of_controls(counts[control].toarray().astype(float), n_umis[control]),
        "de_share": float(np.median(tested) / counts.shape[1]),
        "silent": float((all_tested <= 1).mean()),
        "size": float(np.median(length) / np.sqrt(counts.shape[1])),
        "strongest": float(length.max() / np.median(length)),
        "along_controls": _along_controls(logs[control].toarray(), effects.mean(axis=0)),
        "batches_p": np.nan if batches is None else _association(labels[~control], batches[~control]),
        "depth": _depth(np.log(n_umis), groups, n_cells),
        "correlation": float(np.median(correlations[np.triu_indices_from(correlations, 1)])),
        "train_mean": float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(effects, others, strict=True)])),
    }


def _of_controls(counts: np.ndarray, n_umis: np.ndarray) -> dict[str, float]:
    rate = counts.sum(axis=0) / n_umis.sum()
    seen = rate * np.median(n_umis) > SEEN
    counts, mean = counts[:, seen], n_umis[:, None] * rate[seen]
    dispersion = ((counts - mean) ** 2 - mean).sum(axis=0) / (mean**2).sum(axis=0)
    zeros = (counts == 0).mean(axis=0) - np.exp(-mean).mean(axis=0)
    return {"dispersion": float(np.median(dispersion)), "zeros": float(zeros.mean())}


def _thinned(groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Leave out all but `CELLS` cells of each perturbation."""
    groups = groups.copy()
    for group in range(1, groups.max() + 1):
        groups[rng.permutation(np.flatnonzero(groups == group))[CELLS:]] = -1
    return groups


def _along_controls(logs: np.ndarray, effect: np.ndarray) -> float:
    components = np.linalg.svd(logs - logs.mean(axis=0), full_matrices=False)[2][:COMPONENTS]
    return float(((components @ effect) ** 2).sum() / (effect**2).sum())


def _association(labels: np.ndarray, batches: np.ndarray) -> float:
    return float(scipy.stats.chi2_contingency(pd.crosstab(labels, batches)).pvalue)


def _depth(log_depth: np.ndarray, groups: np.ndarray, n_cells: np.ndarray) -> float:
    of_group = [log_depth[groups == group] for group in range(1, len(n_cells))]
    noise = np.mean([values.var(ddof=1) / len(values) for values in of_group])
    return float(np.std([values.mean() for values in of_group], ddof=1) / np.sqrt(noise))


def simulated(preset: str, seed: int) -> Cells:
    """Draw a screen of the course's size."""
    simulation = biology.draw(preset, seed)
    obs, code = draw_cells(simulation)
    counts = scipy.sparse.vstack(list(draw_counts(simulation, obs, code))).tocsr()
    return Cells(counts, obs[N_UMIS].to_numpy(), *(obs[name].astype(str).to_numpy() for name in (TARGET_GENE, BATCH)))


def real(folder: Path) -> dict[str, Cells]:
    """Read the real screens from the folder that `VCC_DATA` names."""
    with TemporaryDirectory() as built:
        adata = anndata.read_h5ad(papalexi.build(built))
    labels, batches = (adata.obs[name].astype(str).to_numpy() for name in (TARGET_GENE, BATCH))
    screens = {"papalexi": Cells(adata.X.tocsr(), adata.obs[N_UMIS].to_numpy(float), labels, batches)}
    adata = anndata.read_h5ad(folder / NORMAN)
    adata = adata[adata.obs["counts_recovered_ok"].astype(bool)]
    labels = adata.obs["condition"].astype(str).replace("control", CONTROL).to_numpy()
    counts = scipy.sparse.csr_matrix(adata.layers["counts_recovered"], dtype=np.float32)
    screens["Norman mini"] = Cells(counts, adata.obs["ncounts"].to_numpy(float), labels, None)
    adata = anndata.read_h5ad(folder / JURKAT)
    guides = adata.obs["perturbation"].astype(str)
    labels = guides.str.rpartition("_")[0].where(guides != "control", CONTROL).to_numpy()
    counts = scipy.sparse.csr_matrix(adata.X, dtype=np.float32)
    conditions = adata.obs["perturbation_2"].astype(str).to_numpy()
    screens["Jurkat sci-fi"] = Cells(counts, adata.obs["ncounts"].to_numpy(float), labels, conditions)
    return screens


def on_the_challenges_scale(size: str, seed: int, folder: Path) -> dict[str, float]:
    """Score the baseline and the replicate of a screen by the rules of season 2025.

    Parameters
    ----------
    size
        A key of `SIZES` with 150 training and 50 validation perturbations.
    seed
        Of the screen.
    folder
        Receives screen and truth.

    Returns
    -------
    Mean `DES`, `PDS` and `MAE` of the challenge's baseline, of which every cell is the train mean; the same of
    half of each perturbation's cells against the other half; quartiles of the number of DE genes, and of those among
    them that change by a log2 fold of .4 or more; the share of counts that are not 0.
    """
    training, validation = write_2025(biology.draw("vcc", seed, SIZES[size]), folder / "screen")
    rules = get_rule_set("vcc2025")
    truth = build_truth(validation, folder / "truth", train=training, rule_set=rules.name)
    found = {}
    for anchor in ("baseline", "replicate"):
        scores = truth.anchor_scores(rules, anchor)
        found |= {f"{title} of the {anchor}": float(scores[name].mean()) for title, name in SCORES.items()}
    table = truth.measured(rules).de
    called = table.significant()
    for what, chosen in (("DE genes", called), ("of them far", called & (np.abs(table.log2_fold_change) >= FAR))):
        quartiles = np.quantile(chosen.sum(axis=1), (0, 0.25, 0.5, 0.75, 1))
        found |= {f"{what}, {name}": value for name, value in zip(QUARTILES, quartiles, strict=True)}
    with open_h5ad(training) as file:
        n_cells, n_genes = file["X"].attrs["shape"]
        return found | {"density": file["X"]["data"].size / n_cells / n_genes, "training cells": n_cells}


def scale(
    size: Annotated[str, typer.Option(help="vcc or vcc-small.")] = "vcc-small",
    seeds: Annotated[int, typer.Option(help="How many screens.")] = 5,
) -> None:
    """Score the train mean of simulated screens of the preset vcc as season 2025 did, as a table."""
    columns = {}
    for seed in range(1, seeds + 1):
        with TemporaryDirectory() as folder:
            columns[f"seed {seed}"] = on_the_challenges_scale(size, seed, Path(folder))
    _print(pd.DataFrame(columns), ".3g")


def resemblance(seed: Annotated[int, typer.Option(help="Of the simulated screens.")] = 2) -> None:
    """Set the simulated screens beside real ones, as a table."""
    if not os.environ.get("VCC_DATA"):
        msg = "VCC_DATA is not set: it names the folder with real data sets"
        raise InputError(msg)
    screens = {f"`{preset}`": simulated(preset, seed) for preset in PRESETS} | real(Path(os.environ["VCC_DATA"]))
    _print(pd.DataFrame({name: statistics(cells) for name, cells in screens.items()}), ".2g")


def _print(table: pd.DataFrame, form: str) -> None:
    print(f"| statistic | {' | '.join(table)} |\n|---|{'---|' * len(table.columns)}")
    for name, row in table.iterrows():
        print(f"| {name} | {' | '.join('-' if np.isnan(value) else f'{value:{form}}' for value in row)} |")


if __name__ == "__main__":
    app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
    app.command()(resemblance)
    app.command()(scale)
    run(app)
