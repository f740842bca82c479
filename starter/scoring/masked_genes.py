"""The masked-gene task of cz-benchmarks: whether changes of hidden genes are ranked as they were measured.

Half of the clearly differentially expressed genes of a condition are called masked. A model that sees the other genes
of a cell predicts them in perturbed cells and in their matched controls; scored is the Spearman correlation of
predicted and measured change over the masked genes. The file hides nothing: its own counts handed in as a prediction
are the truth, so the score of the input and that of the perturbed mean stand beside a prediction's.
"""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse
import scipy.stats

from starter.data.benchmark import (
    CELLS,
    CONDITION,
    CONTROL_MAP,
    CONTROL_MAP_COLUMNS,
    DE_COLUMNS,
    DE_TABLES,
    read_table,
)
from starter.data.h5ad import check_matrix, open_h5ad, read_blocks, read_frame
from starter.errors import InputError, listed
from starter.files import whole
from starter.progress import bar
from starter.statistics.intervals import interval

SOURCE = "cz-benchmarks 0.15.1, Chan Zuckerberg Initiative"
MAX_P_ADJUSTED, MIN_LOG2_FOLD_CHANGE = 1e-4, 1.0
SHARE_MASKED, FEWEST_MASKED, SEED = 0.5, 5, 42
OFFSET = 1e-8
GOOD = 0.3
"""The share of conditions above it is reported, as cz-benchmarks does."""
CELLS_PER_BLOCK = 4096
SIDES = ("spearman", "perturbed_mean", "input")
"""Columns of the scores: the prediction's; that of the mean of all other conditions; that of the file's own counts."""


class PairMeans(NamedTuple):
    """Mean expression of matched pairs, conditions x genes, float64; NaN where a condition has no pair."""

    treated: np.ndarray
    control: np.ndarray


def mask_genes(de: pd.DataFrame) -> dict[str, pd.Series]:
    """Choose which genes of a condition are masked: a random half of those that clearly change.

    Parameters
    ----------
    de
        The rank-sum DE table. The choice depends on the order of its rows, as in cz-benchmarks.

    Returns
    -------
    Condition to measured log2 fold changes by Ensembl ID. A gene clearly changes if its adjusted p is below 1e-4 and
    |log2 fold change| at least 1; conditions with fewer than 10 such genes are left out.
    """
    clear = de[(de["pval_adj"] < MAX_P_ADJUSTED) & (de["logfoldchange"].abs() >= MIN_LOG2_FOLD_CHANGE)]
    rng = np.random.RandomState(SEED)
    masked = {}
    for condition, rows in clear.groupby(CONDITION, sort=False, observed=True):
        n_masked = int(SHARE_MASKED * len(rows))
        if n_masked >= FEWEST_MASKED:
            changes = pd.Series(rows["logfoldchange"].to_numpy(float), index=rows["gene_id"].astype(str))
            masked[str(condition)] = changes.iloc[rng.choice(len(rows), n_masked, replace=False)]
    return masked


def score_masked_genes(prediction: str | Path, folder: str | Path) -> pd.DataFrame:
    """Score predicted expression of perturbed and control cells.

    Parameters
    ----------
    prediction
        An `.h5ad` or Zarr store of cells (barcodes) x genes (Ensembl IDs) of the benchmark, in any order, on any scale.
        Pairs of which a cell is missing are left out, and so are genes.
    folder
        What `python -m data_scripts k562-benchmark` wrote.

    Returns
    -------
    Index condition; columns genes (how many are scored) and `SIDES`. A change is log((treated + 1e-8) / (control +
    1e-8)) of the means over matched pairs, or their difference if one of the condition's means is not above 0; a
    correlation is 0 where it is undefined.

    Raises
    ------
    InputError
        If nothing of the prediction can be scored, or it has NaN or infinite values.
    """
    folder = Path(folder)
    pairs = read_table(folder, CONTROL_MAP, CONTROL_MAP_COLUMNS)
    of_clear = [("pval_adj", "<", MAX_P_ADJUSTED)]  # of 17 million rows these are the few that are needed
    masked = mask_genes(read_table(folder, DE_TABLES["wilcoxon"], DE_COLUMNS, of_clear))
    if not masked:
        msg = f"{folder}: no condition has {2 * FEWEST_MASKED} genes that clearly change, so none can be scored"
        raise InputError(msg)
    genes = pd.Index(sorted(set().union(*(changes.index for changes in masked.values()))))
    conditions = pd.Index(pairs[CONDITION].unique())
    measured = pair_means(folder / CELLS, pairs, conditions, genes)
    predicted = pair_means(prediction, pairs[pairs[CONDITION].isin(list(masked))], conditions, genes)
    known = ~np.isnan(measured.treated[:, 0])
    total, n_known = measured.treated[known].sum(axis=0), int(known.sum())
    rows = []
    for condition, changes_due in masked.items():
        row, columns = conditions.get_loc(condition), genes.get_indexer(changes_due.index)
        there = ~np.isnan(predicted.treated[row, columns]) & ~np.isnan(measured.treated[row, columns])
        columns, due = columns[there], changes_due.to_numpy()[there]
        if not len(columns):
            continue
        control = measured.control[row, columns]
        others = (total - measured.treated[row])[columns] / max(n_known - 1, 1)
        changes = (
            _change(predicted.treated[row, columns], predicted.control[row, columns]),
            _change(others, control),
            _change(measured.treated[row, columns], control),
        )
        rows.append((condition, len(columns), *(_spearman(due, change) for change in changes)))
    if not rows:
        msg = (
            f"{prediction} has no matched pair of a scored condition, or none of its masked genes; name its cells by "
            "the benchmark's barcodes, and its genes by Ensembl ID"
        )
        raise InputError(msg)
    return pd.DataFrame(rows, columns=[CONDITION, "genes", *SIDES]).set_index(CONDITION)


def pair_means(path: str | Path, pairs: pd.DataFrame, conditions: pd.Index, genes: pd.Index) -> PairMeans:
    """Average the cells of matched pairs, reading a file in blocks.

    Parameters
    ----------
    path
        Cells x genes.
    pairs
        Condition, treated and control barcode; those of which the file lacks a cell are left out.
    conditions, genes
        Rows and columns wanted; genes that the file lacks are NaN.

    Raises
    ------
    InputError
        If the file cannot be read, its names are not unique, or a mean is NaN or infinite.
    """
    with open_h5ad(path) as file:
        cells, columns = (read_frame(file, key).index.astype(str) for key in ("obs", "var"))
        if fault := check_matrix(file["X"], (len(cells), len(columns))):
            msg = f"{path}: {fault}"
            raise InputError(msg)
        for kind, names in (("cell", cells), ("gene", columns)):
            if names.has_duplicates:
                msg = f"{path} names a {kind} twice ({listed(names[names.duplicated()])}); make the names unique"
                raise InputError(msg)
        place = {side: cells.get_indexer(pairs[side]) for side in ("treated", "control")}
        there = (place["treated"] >= 0) & (place["control"] >= 0)
        row = conditions.get_indexer(pairs[CONDITION])[there]
        n_pairs = np.bincount(row, minlength=len(conditions))
        weights = {
            side: scipy.sparse.csc_matrix((1 / n_pairs[row], (row, at[there])), shape=(len(conditions), len(cells)))
            for side, at in place.items()
        }
        column = columns.get_indexer(genes)
        named = column >= 0
        means = {side: np.zeros((len(conditions), len(genes))) for side in place}
        start = 0
        with bar(f"reading {Path(path).name}", -(-len(cells) // CELLS_PER_BLOCK)) as advance:
            for block in read_blocks(file["X"], CELLS_PER_BLOCK):
                values = block[:, column[named]]
                for side in place:
                    means[side][:, named] += weights[side][:, start : start + block.shape[0]] @ values
                start += block.shape[0]
                advance()
    if not all(np.isfinite(of_side).all() for of_side in means.values()):
        msg = f"{path} has NaN or infinite values in cells that are scored; look at the model that made it"
        raise InputError(msg)
    for of_side in means.values():
        of_side[n_pairs == 0] = np.nan
        of_side[:, ~named] = np.nan
    return PairMeans(**means)


def summarise(scores: pd.DataFrame) -> dict[str, dict[str, float | None]]:
    """Sum the scores of all conditions up as cz-benchmarks does, the mean with a 95 % interval.

    Parameters
    ----------
    scores
        What `score_masked_genes` gave.
    """
    summary = {}
    for side in SIDES:
        values = scores[side].to_numpy()
        low, high = interval([values], np.mean, SEED)
        quartiles = np.percentile(values, [25, 50, 75])
        summary[side] = {
            "mean": float(values.mean()),
            "low": low,
            "high": high,
            "sd": float(values.std(ddof=1)) if len(values) > 1 else None,
            **{name: float(value) for name, value in zip(("q25", "median", "q75"), quartiles, strict=True)},
            "share_above_0.3": float((values > GOOD).mean()),
            "share_below_0": float((values < 0).mean()),
        }
    return summary


def write_scores(scores: pd.DataFrame, name: str, folder: str | Path) -> None:
    """Write `scorecard.json` and `per_perturbation.parquet` into a folder."""
    content: dict[str, Any] = {
        "prediction": name,
        "profile": "cz-k562",
        "source": SOURCE,
        "n_conditions": len(scores),
        "scores": summarise(scores),
    }
    with whole(Path(folder) / "scorecard.json") as part:
        part.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    with whole(Path(folder) / "per_perturbation.parquet") as part:
        scores.reset_index().to_parquet(part, index=False)


def _change(treated: np.ndarray, control: np.ndarray) -> np.ndarray:
    if (treated <= 0).any() or (control <= 0).any():
        return treated - control
    return np.log((treated + OFFSET) / (control + OFFSET))


def _spearman(due: np.ndarray, came: np.ndarray) -> float:
    if len(due) < 2 or np.ptp(due) == 0 or np.ptp(came) == 0:
        return 0.0
    return float(scipy.stats.spearmanr(due, came).statistic)
