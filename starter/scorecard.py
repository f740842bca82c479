"""A prediction's scorecard: every metric with its interval, baseline and replicate, as JSON, table and page."""

import importlib.metadata
import json
import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.stats

from starter import flags, progress
from starter.anchors import SPLITS, mean_of_defined
from starter.files import sha256, whole
from starter.flags import Flag
from starter.intervals import FEWEST, interval
from starter.metrics import Metric, Profile, get_profile
from starter.prediction import ContextScore, cells_of_contexts, check_genes, score_context
from starter.schema import CONTEXT, PERTURBATION, InputError, counted, some
from starter.screen import open_screen
from starter.summary import Summary
from starter.truth import Truth
from starter.vcc import unpacked

READINGS = 5
"""How often a file is read, about, for the estimate of the time left."""
CERTAINTY = 0.95
"""One-sided confidence that the replicate beats the baseline, below which a metric is not gradable on a screen."""
SMALLEST = 1e-6
"""Added to a denominator of the dynamic range."""


@dataclass(frozen=True)
class Scorecard:
    """What a prediction scored by one rule set."""

    name: str
    """The prediction's file name without its ending."""
    profile: Profile
    metrics: dict[str, dict]
    """Metric name to value, low, high, direction, baseline, replicate, scaled, gradable, dynamic_range, difference from
    the baseline with its low and high, n and left_out; means over contexts."""
    overall: float | None
    """Mean scaled value over the metrics of the profile's score."""
    contexts: dict[str, dict]
    """The same of each context: its metrics and overall."""
    flags: list[Flag]
    """What looks like gaming, and what is told for information; each with the number that says so."""
    notes: list[str]
    """What a reader must know to read the numbers."""
    per_perturbation: pd.DataFrame
    """Columns context, perturbation, metric, value."""
    about: dict
    """Versions, hashes and the seed."""
    truth: Summary
    """Of the first context, for pictures."""
    prediction: Summary

    def to_json(self) -> str:
        """Give the content of `scorecard.json`; undefined numbers are null."""
        content = {
            "profile": self.profile.name,
            "metrics": self.metrics,
            "overall": self.overall,
            "contexts": self.contexts,
            "flags": [flag.as_dict() for flag in self.flags],
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
        `.h5ad` or `.vcc`. Its values are read in blocks; contexts are scored one at a time.
    truth
        What `starter.truth.open_truth` gave.
    profile
        Name of the rule set.
    seed
        Fixes the bootstrap.

    Raises
    ------
    InputError
        If the file does not hold exactly the truth's genes, contexts and perturbations, or is on another scale.
    """
    rules = get_profile(profile)
    truth.check_prepared(rules)
    name = Path(path).name
    with (
        unpacked(path, len(truth.about["genes"])) as file,
        open_screen(file, name, controls=rules.counts != "needed") as screen,
        progress.bar(f"score {name}", READINGS * screen.n_blocks * len(truth.contexts)) as advance,
        ThreadPoolExecutor(1) as beside,
    ):
        check_genes(screen, truth)
        chosen = cells_of_contexts(screen, truth)
        digest = beside.submit(sha256, path)
        scored = [
            score_context(screen.watched(advance), cells, truth, rules, context) for context, cells in chosen.items()
        ]
    per_context = {score.context: _context_rows(score, rules, seed) for score in scored}
    metrics = {metric.name: _over_contexts(metric, scored, per_context, seed) for metric in rules.metrics}
    overall = [context["overall"] for context in per_context.values()]
    card = Scorecard(
        name=prediction_name(path),
        profile=rules,
        metrics=metrics,
        overall=None if None in overall else float(np.mean(overall)),
        contexts=per_context if len(scored) > 1 else {},
        flags=[
            flag
            for score in scored
            for flag in flags.find(
                rules, score.context, score.truth, score.prediction, per_context[score.context]["metrics"]
            )
        ],
        notes=[],
        per_perturbation=pd.concat([_table(score, rules) for score in scored], ignore_index=True),
        about={
            "prediction": {"name": name, "sha256": digest.result()},
            "truth": {"title": truth.about["title"], "sha256": sha256(truth.folder / "truth.json")},
            "versions": {name: importlib.metadata.version(name) for name in ("virtual-cell-course", "numpy", "scipy")},
            "seed": seed,
        },
        truth=scored[0].truth,
        prediction=scored[0].prediction,
    )
    return replace(card, notes=_notes(card, truth))


def write_scorecard(card: Scorecard, folder: str | Path) -> None:
    """Write `scorecard.json`, `per_perturbation.parquet`, the pictures and the page `scorecard.html` into a folder."""
    from starter.page import draw_pictures, scorecard_page  # draws figures: only needed here

    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        msg = f"cannot write the scorecard to {folder}: {error.strerror or error}; choose another folder with --out"
        raise InputError(msg) from error
    pictures = draw_pictures(card)
    page = scorecard_page(card, pictures)
    for name, write in (
        *((name, partial(Path.write_bytes, data=content)) for name, content in pictures.items()),
        ("per_perturbation.parquet", lambda part: card.per_perturbation.to_parquet(part, index=False)),
        ("scorecard.html", lambda part: part.write_text(page, encoding="utf-8")),
        ("scorecard.json", lambda part: part.write_text(card.to_json(), encoding="utf-8")),
    ):
        with whole(folder / name) as part:
            write(part)


def _context_rows(score: ContextScore, rules: Profile, seed: int) -> dict:
    """Give every metric of one context its row, and the overall score."""
    rows = {metric.name: _row(metric, score, rules, seed) for metric in rules.metrics}
    scaled = [rows[name]["scaled"] for name in rules.scored]
    if rules.gains:  # the course grades what its screen allows
        scaled = [value for value in scaled if value is not None]
    overall = None if not scaled or None in scaled else float(np.mean(scaled))
    return {"metrics": rows, "overall": overall}


def _row(metric: Metric, score: ContextScore, rules: Profile, seed: int) -> dict:
    values = score.per_metric[metric.name]
    of_anchor = {name: scores[metric.name] for name, scores in score.anchors.items()}
    value = float(metric.mean(values))
    means = {}
    for name, splits in of_anchor.items():
        if metric.ratio:
            means[name] = float(np.mean([metric.mean(split) for split in splits]))
        else:
            # a perturbation with too few cells to split has no replicate
            mean = metric.mean if name == "baseline" else _nanmean
            means[name] = float(np.mean([mean(split) for split in splits]))
    # a baseline plus a gain may pass the best value there is
    means["replicate"] = float(np.clip(means["replicate"], *metric.range)) if rules.gains else means["replicate"]
    gradable = metric.name in rules.scored and (not rules.gains or _clearly_better(metric, of_anchor))
    scaled, reason = math.nan, None
    if gradable:
        try:
            scaled = rules.scale(metric, value, means["baseline"], means["replicate"])
        except InputError as error:
            gradable, reason = False, str(error)
    missing = np.isnan(values if values.ndim == 1 else values[:, 0])
    low, high = _interval_over(metric, [score], seed, paired=False)
    difference_low, difference_high = _interval_over(metric, [score], seed, paired=True)
    return {
        "value": _or_null(value),
        "low": low,
        "high": high,
        "direction": metric.direction,
        "baseline": _or_null(means["baseline"]),
        "replicate": _or_null(means["replicate"]),
        "scaled": _or_null(scaled),
        "gradable": gradable,
        "why_not": reason,
        "dynamic_range": _or_null(_dynamic_range(metric, of_anchor)),
        "difference": _or_null(value - means["baseline"]),
        "difference_low": difference_low,
        "difference_high": difference_high,
        "n": int((~missing).sum()),
        "left_out": int(missing.sum()),
    }


def _over_contexts(metric: Metric, scored: Sequence[ContextScore], per_context: Mapping[str, dict], seed: int) -> dict:
    """Average a metric's row over contexts, each weighing the same."""
    rows = [context["metrics"][metric.name] for context in per_context.values()]
    if len(rows) == 1:
        return rows[0]
    merged = dict(rows[0])
    for key in ("value", "baseline", "replicate", "scaled", "dynamic_range", "difference"):
        numbers = [row[key] for row in rows]
        merged[key] = None if None in numbers else float(np.mean(numbers))
    merged["gradable"] = all(row["gradable"] for row in rows)
    merged["why_not"] = next((row["why_not"] for row in rows if row["why_not"]), None)
    merged["n"], merged["left_out"] = (sum(row[key] for row in rows) for key in ("n", "left_out"))
    for keys in (("low", "high"), ("difference_low", "difference_high")):
        merged[keys[0]], merged[keys[1]] = _interval_over(metric, scored, seed, paired=keys[0] != "low")
    return merged


def _interval_over(
    metric: Metric, scored: Sequence[ContextScore], seed: int, *, paired: bool
) -> tuple[float | None, float | None]:
    """Bootstrap perturbations within each context, and average over contexts."""
    samples = []
    for score in scored:
        values = score.per_metric[metric.name]
        baseline = score.anchors["baseline"][metric.name].mean(axis=0)
        missing = np.isnan(values).reshape(len(values), -1).any(axis=1)
        if paired:
            missing |= np.isnan(baseline).reshape(len(values), -1).any(axis=1)
        if missing.any() and not metric.skip_undefined:
            return None, None
        samples.append((np.stack([values, baseline], axis=-1) if paired else values)[~missing])
    return interval(samples, _difference_of(metric) if paired else metric.mean, seed)


def _difference_of(metric: Metric) -> Callable[[np.ndarray, int], np.ndarray]:
    """Mean of the prediction minus mean of the baseline, which lie side by side on the last axis."""
    return lambda pairs, axis: metric.mean(pairs[..., 0], axis) - metric.mean(pairs[..., 1], axis)


def _nanmean(values: np.ndarray) -> float:
    return float(np.nanmean(values)) if not np.isnan(values).all() else math.nan


def _clearly_better(metric: Metric, of_anchor: Mapping[str, np.ndarray]) -> bool:
    """Tell whether the replicate beats the baseline beyond what chance among perturbations explains (paired t)."""
    gain = (of_anchor["replicate"] - of_anchor["baseline"]).mean(axis=0)
    gain = gain[~np.isnan(gain)] * (1 if metric.direction == "higher" else -1)
    if len(gain) < 2:
        return False
    error = gain.std(ddof=1) / math.sqrt(len(gain))
    return bool(gain.mean() > scipy.stats.t.ppf(CERTAINTY, len(gain) - 1) * error)


def _dynamic_range(metric: Metric, of_anchor: Mapping[str, np.ndarray]) -> float:
    """Share of the way from the baseline to perfection that the replicate goes; median over perturbations.

    The dynamic range fraction of Shift Bioscience (2025), bioRxiv 2025.10.20.683304, in [-1, 1].
    """
    if metric.ratio:
        baseline, replicate = (
            np.array([np.mean([metric.mean(split) for split in of_anchor[name]])]) for name in ("baseline", "replicate")
        )
    else:
        baseline, replicate = (mean_of_defined(list(of_anchor[name])) for name in ("baseline", "replicate"))
    sign = 1 if metric.direction == "higher" else -1
    share = sign * (replicate - baseline) / (sign * (metric.best - baseline) + SMALLEST)
    return float(np.nanmedian(np.clip(share, -1, 1))) if not np.isnan(share).all() else math.nan


def _table(score: ContextScore, rules: Profile) -> pd.DataFrame:
    return pd.concat(
        [
            pd.DataFrame(
                {
                    CONTEXT: score.context,
                    PERTURBATION: score.truth.perturbations,
                    "metric": metric.name,
                    "value": metric.per_perturbation(score.per_metric[metric.name]),
                }
            )
            for metric in rules.metrics
        ],
        ignore_index=True,
    )


def number(value: float | None) -> str:
    """Write a score: 4 digits after the point below .1, else 3; a dash if undefined."""
    if value is None:
        return "–"
    return f"{value:.4f}" if abs(value) < 0.1 else f"{value:.3f}"


def _or_null(value: float) -> float | None:
    return None if not math.isfinite(value) else float(value)


def _notes(card: Scorecard, truth: Truth) -> list[str]:
    rules, metrics = card.profile, card.metrics
    prepared = truth.about["profiles"][rules.name]
    n_pairs = sum(len(names) for names in truth.contexts.values())
    n_contexts = f" in {len(truth.contexts)} contexts" if len(truth.contexts) > 1 else ""
    notes = [
        f"Truth: {truth.about['title']}, {counted(n_pairs, 'perturbation')}{n_contexts}; {prepared['scale']}.",
        f"Baseline: {prepared['baseline']}. Replicate: {prepared['replicate']}.",
    ]
    train = truth.about["train"]
    if rules.baseline != "resampled":
        if train is None:
            notes.append(
                "No training screen was given: the mean was made from the measured cells that are being predicted."
            )
        elif train["also_scored"]:
            notes.append(f"The training screen holds perturbations that are scored: {some(train['also_scored'])}.")
    if rules.gains:
        on_cells = some([metric.title for metric in rules.metrics if metric.on_cells])
        notes.append(
            f"{on_cells}: prediction, baseline and replicate are scored against half of the measured cells, mean of "
            f"{SPLITS} splits, so that they can be compared."
        )
    without = [metric.title for metric in rules.metrics if metrics[metric.name]["n"] < FEWEST]
    if without:
        notes.append(
            f"No interval for {_all_or_some(without, rules)}: with fewer than {FEWEST} perturbations a bootstrap "
            "interval is too narrow (one of nominal 95 % covered 86 % at n = 7 and 64 % at n = 3)."
        )
    for metric in rules.metrics:
        row = metrics[metric.name]
        if row["left_out"]:
            what = "left out of the mean" if metric.skip_undefined else "so the mean is undefined"
            which = counted(row["left_out"], "perturbation")
            notes.append(f"{metric.title}: undefined for {which}, {what}.")
        if row["why_not"]:
            notes.append(f"{metric.title} is not gradable: {row['why_not']}.")
        elif metric.name in rules.scored and not row["gradable"]:
            notes.append(
                f"{metric.title} is not gradable on this screen: the replicate is not clearly better than the baseline."
            )
    if rules.full_score == "perfection":
        notes.append("The score compares with perfection, not with the replicate, which is shown for orientation.")
    return notes


def _all_or_some(titles: list[str], rules: Profile) -> str:
    return "any metric" if len(titles) == len(rules.metrics) else some(titles)
