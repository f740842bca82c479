"""A prediction's scorecard: every metric with its interval, baseline and replicate, as JSON, table and page."""

import importlib.metadata
import json
import math
from dataclasses import dataclass
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scipy.sparse
import scipy.stats

from starter.blocks import plain_csr
from starter.files import sha256, whole
from starter.metrics import Metric, Profile, get_profile, score_perturbations
from starter.preprocess import (
    SCALE_TOLERANCE,
    is_log_normalised,
    median_log_expression,
    natural_totals,
    scale_ratio,
)
from starter.schema import CONTROL, PERTURBATION, TARGET_GENE, InputError, counted, difference, some
from starter.submission import read_prediction
from starter.summary import Summary, summarise
from starter.truth import Truth

DRAWS = 2_000
"""Bootstrap draws of an interval."""
FEWEST = 10
"""Fewer perturbations give no interval: at n = 7 a nominal 95 % interval was measured to cover 86 %, at n = 3 64 %."""
ROUNDING = 1e-12
"""Relative spread of values that is no spread; the bootstrap's acceleration is undefined there."""


@dataclass(frozen=True)
class Scorecard:
    """What a prediction scored by one rule set."""

    name: str
    """The prediction's file name without its ending."""
    profile: Profile
    metrics: dict[str, dict]
    """Metric name to value, low, high, direction, baseline, replicate, scaled, n and left_out."""
    overall: float | None
    """Mean scaled value over the metrics of the profile's score."""
    flags: list[dict]
    """What looks like gaming; each with the number that raised it."""
    notes: list[str]
    """What a reader must know to read the numbers."""
    per_perturbation: pd.DataFrame
    """Columns perturbation, metric, value."""
    about: dict
    """Versions, hashes and the seed."""
    truth: Summary
    prediction: Summary

    def to_json(self) -> str:
        """Give the content of `scorecard.json`; undefined numbers are null."""
        content = {
            "profile": self.profile.name,
            "metrics": self.metrics,
            "overall": self.overall,
            "flags": self.flags,
            "notes": self.notes,
            **self.about,
        }
        return json.dumps(content, indent=1, allow_nan=False) + "\n"


def prediction_name(path: str | Path) -> str:
    """Name a prediction after its file, without the ending.

    Raises
    ------
    InputError
        If nothing but dots is left.
    """
    name = Path(path).name.removesuffix(".vcc").removesuffix(".h5ad")
    if not name.strip("."):
        msg = f"{path} has no name of its own, after which its scores could be named; rename it"
        raise InputError(msg)
    return name


def score_prediction(path: str | Path, truth: Truth, profile: str, seed: int = 0) -> Scorecard:
    """Score a prediction file or upload.

    Parameters
    ----------
    path
        `.h5ad` or `.vcc`.
    truth
        What `starter.truth.open_truth` gave.
    profile
        Name of the rule set.
    seed
        Fixes the bootstrap.

    Raises
    ------
    InputError
        If the file does not hold exactly the truth's genes and perturbations, or is on another scale.
    """
    rules = get_profile(profile)
    measured = truth.measured(rules)
    prepared = truth.about["profiles"][rules.name]
    totals = truth.control_totals(rules)
    adata = read_prediction(path, len(measured.genes))
    predicted = summarise_prediction(adata, measured, rules, totals, Path(path).name)
    values = score_perturbations(rules, measured, predicted)
    anchors = truth.anchor_scores(rules)
    metrics = {metric.name: _row(metric, values[metric.name], anchors, rules, seed) for metric in rules.metrics}
    scaled = [metrics[name]["scaled"] for name in rules.scored]
    gradable = [value for value in scaled if value is not None]
    per_perturbation = [
        pd.DataFrame({PERTURBATION: measured.perturbations, "metric": name, "value": column})
        for name, column in values.items()
    ]
    return Scorecard(
        name=prediction_name(path),
        profile=rules,
        metrics=metrics,
        overall=float(np.mean(gradable)) if gradable else None,
        flags=[],
        notes=_notes(rules, truth, prepared, metrics),
        per_perturbation=pd.concat(per_perturbation, ignore_index=True),
        about={
            "prediction": {"name": Path(path).name, "sha256": sha256(path)},
            "truth": {"title": truth.about["title"], "sha256": sha256(truth.folder / "truth.json")},
            "versions": {name: importlib.metadata.version(name) for name in ("virtual-cell-course", "numpy", "scipy")},
            "seed": seed,
        },
        truth=measured,
        prediction=predicted,
    )


def summarise_prediction(
    adata: anndata.AnnData, measured: Summary, profile: Profile, totals: np.ndarray, name: str
) -> Summary:
    """Bring a prediction to the truth's scale and reduce it.

    Parameters
    ----------
    adata
        Cells x genes, counts or log1p expression.
    measured
        The truth.
    profile
        The rule set.
    totals
        Natural totals of the truth's control cells.
    name
        What to call the prediction in a message.

    Raises
    ------
    InputError
        If labels, genes or scale differ from the truth's.
    """
    _check_labels(adata, measured, name)
    x = plain_csr(adata.X) if scipy.sparse.issparse(adata.X) else np.asarray(adata.X)
    if x.dtype not in (np.float32, np.float64):
        x = x.astype(np.float32)
    code = {CONTROL: 0} | {label: row for row, label in enumerate(measured.perturbations, start=1)}
    groups = adata.obs[TARGET_GENE].astype(str).map(code).to_numpy(np.int64)
    if not is_log_normalised(x, name):
        if profile.counts == "refused":
            msg = (
                f"{name} holds counts (every value is a whole number); the course scores log1p expression, because "
                f"counts of {len(measured.genes):,} genes do not tell a cell's total; "
                "write log1p(target_sum x count / n_umis)"
            )
            raise InputError(msg)
        x = median_log_expression(x)
    elif profile.counts == "refused":
        ratio = scale_ratio(natural_totals(x[groups == 0]), totals)
        if abs(ratio - 1) > SCALE_TOLERANCE:
            msg = (
                f"the control cells of {name} add up to {ratio:.3g} times the course's on the natural scale: it is "
                "scaled to another target_sum; include the course's control cells unchanged and scale alike"
            )
            raise InputError(msg)
    return summarise(x, groups, measured.perturbations, measured.genes, profile.de)


def write_scorecard(card: Scorecard, folder: str | Path) -> None:
    """Write `scorecard.json`, `per_perturbation.parquet` and the page `scorecard.html` into a folder."""
    from starter.page import scorecard_page  # draws figures: only needed here

    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"cannot write the scorecard to {folder}: {error.strerror or error}; choose another folder with --out"
        raise InputError(msg) from error
    page = scorecard_page(card)
    for name, write in (
        ("per_perturbation.parquet", lambda part: card.per_perturbation.to_parquet(part, index=False)),
        ("scorecard.html", lambda part: part.write_text(page, encoding="utf-8")),
        ("scorecard.json", lambda part: part.write_text(card.to_json(), encoding="utf-8")),
    ):
        with whole(folder / name) as part:
            write(part)


def interval(values: np.ndarray, seed: int) -> tuple[float | None, float | None]:
    """95 % interval of a mean over perturbations, by the bias-corrected and accelerated bootstrap.

    Parameters
    ----------
    values
        One defined value a perturbation.
    seed
        Fixes the draws.

    Returns
    -------
    Low and high; None where there are fewer than `FEWEST` perturbations.

    References
    ----------
    Efron (1987), Journal of the American Statistical Association 82:171.
    """
    if len(values) < FEWEST:
        return None, None
    spread = np.ptp(values)
    if spread <= ROUNDING * np.abs(values).max():
        return float(values.min()), float(values.max())
    rng = np.random.default_rng(seed)
    drawn = scipy.stats.bootstrap((values,), np.mean, n_resamples=DRAWS, method="BCa", rng=rng)
    return float(drawn.confidence_interval.low), float(drawn.confidence_interval.high)


def _row(metric: Metric, values: np.ndarray, anchors: pd.DataFrame, profile: Profile, seed: int) -> dict:
    defined = values[~np.isnan(values)]
    usable = metric.skip_undefined or len(defined) == len(values)
    low, high = interval(defined, seed) if usable else (None, None)
    of_metric = anchors[anchors["metric"] == metric.name]
    baseline = metric.mean(of_metric.loc[of_metric["anchor"] == "baseline", "value"].to_numpy())
    # a perturbation with too few cells to split has no replicate
    replicate = of_metric.loc[of_metric["anchor"] == "replicate", "value"].mean(skipna=True)
    replicate = float(np.clip(replicate, *metric.range))  # a baseline plus a gain may pass the best value there is
    value = metric.mean(values)
    scaled = profile.scale(metric, value, baseline, replicate) if metric.name in profile.scored else math.nan
    return {
        "value": _or_null(value),
        "low": low,
        "high": high,
        "direction": metric.direction,
        "baseline": _or_null(baseline),
        "replicate": _or_null(replicate),
        "scaled": _or_null(scaled),
        "n": len(defined),
        "left_out": len(values) - len(defined),
    }


def number(value: float | None) -> str:
    """Write a score: 4 digits after the point below .1, else 3; a dash if undefined."""
    if value is None:
        return "–"
    return f"{value:.4f}" if abs(value) < 0.1 else f"{value:.3f}"


def _or_null(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def _notes(profile: Profile, truth: Truth, prepared: dict, metrics: dict[str, dict]) -> list[str]:
    notes = [
        f"Truth: {truth.about['title']}, {len(truth.about['perturbations'])} perturbations; {prepared['scale']}.",
        f"Baseline: {prepared['baseline']}. Replicate: {prepared['replicate']}.",
    ]
    train = truth.about["train"]
    if train is None:
        notes.append(
            "No training screen was given: the mean was made from the measured cells that are being predicted."
        )
    elif train["also_scored"]:
        notes.append(f"The training screen holds perturbations that are scored: {some(train['also_scored'])}.")
    without = [metric.title for metric in profile.metrics if metrics[metric.name]["n"] < FEWEST]
    if without:
        notes.append(
            f"No interval for {', '.join(without)}: with fewer than {FEWEST} perturbations a bootstrap interval is too "
            "narrow (one of nominal 95 % covered 86 % at n = 7 and 64 % at n = 3)."
        )
    for metric in profile.metrics:
        row = metrics[metric.name]
        if row["left_out"]:
            what = "left out of the mean" if metric.skip_undefined else "so the mean is undefined"
            which = counted(row["left_out"], "perturbation")
            notes.append(f"{metric.title}: undefined for {which}, {what}.")
        if metric.name in profile.scored and row["scaled"] is None:
            notes.append(
                f"{metric.title} is not gradable on this screen: the replicate is not better than the baseline."
            )
    if profile.full_score == "perfection":
        notes.append("The score compares with perfection, not with the replicate, which is shown for orientation.")
    return notes


def _check_labels(adata: anndata.AnnData, measured: Summary, name: str) -> None:
    genes = adata.var_names.astype(str)
    if list(genes) != list(measured.genes):
        what = difference(measured.genes, genes) or "their order differs"
        msg = f"the genes of {name} are not the truth's: {what}; starter check lists everything"
        raise InputError(msg)
    labels = set(adata.obs[TARGET_GENE].astype(str)) - {CONTROL}
    if what := difference(measured.perturbations, labels):
        msg = f"the perturbations of {name} are not the truth's: {what}; predict exactly those due"
        raise InputError(msg)
