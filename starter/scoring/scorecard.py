"""A prediction's scorecard: every metric with its interval, baseline and replicate, as JSON, table and page."""

import hashlib
import importlib.metadata
import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd

from starter import progress
from starter.data.targets import measured_targets
from starter.errors import InputError, counted, listed
from starter.files import sha256
from starter.prediction.vcc import unpacked
from starter.schema import CONTEXT, PERTURBATION
from starter.scoring import flags
from starter.scoring.context_score import ContextScore, cells_of_contexts, check_genes, score_context
from starter.scoring.flags import Flag
from starter.scoring.metrics.rule_sets import RuleSet, get_rule_set
from starter.scoring.rows import summed_up
from starter.scoring.screens.opened import Screen, open_screen, screen_of
from starter.scoring.screens.summary import Summary
from starter.scoring.truth.opened import Truth
from starter.scoring.truth.replicate import SPLITS
from starter.statistics.intervals import FEWEST

IN_MEMORY = "prediction"
"""What cells in memory are called, unless they are given a name."""
READINGS = 5
"""How often a file is read, about, for the estimate of the time left."""


@dataclass(frozen=True)
class Scorecard:
    """What a prediction scored by one rule set."""

    name: str
    """The prediction's file name without its ending."""
    rules: RuleSet
    metrics: dict[str, dict]
    """Metric name to value, low, high, direction, baseline, replicate, scaled, unclipped, gradable, dynamic_range,
    difference from the baseline with its low and high (of the paired differences), n and left_out; means over
    contexts."""
    overall: float | None
    """Mean scaled value over the metrics that the rule set scores."""
    overall_unclipped: float | None
    """The same without the rule set's limits: a metric that is worse than the baseline counts below 0."""
    overall_interval: tuple[float | None, float | None]
    """95 % interval of it over perturbations, where there are enough."""
    contexts: dict[str, dict]
    """The same of each context: its metrics and overall."""
    flags: list[Flag]
    """What looks like gaming, and what is told for information; each with the number that says so."""
    notes: list[str]
    """What a reader must know to read the numbers."""
    per_perturbation: pd.DataFrame
    """Columns context, perturbation, metric, value, baseline (what it scores there, NaN if undefined)."""
    scores: dict[str, Mapping[str, np.ndarray]]
    """Context to metric name to one value a perturbation (two for a ratio), as intervals are made of."""
    sides: dict[str, tuple[Summary, Summary]]
    """Context to truth and prediction, for pictures and DE tables."""
    about: dict
    """Versions, hashes and the seed."""

    @property
    def truth(self) -> Summary:
        """The measured side of the first context."""
        return next(iter(self.sides.values()))[0]

    @property
    def prediction(self) -> Summary:
        """The predicted side of the first context."""
        return next(iter(self.sides.values()))[1]

    @property
    def table(self) -> pd.DataFrame:
        """One row a metric, indexed by its name: title, whether it is scored, and the columns of `metrics`."""
        titles = {metric.name: metric.title for metric in self.rules.metrics}
        table = pd.DataFrame.from_dict(self.metrics, orient="index").rename_axis("metric")
        words = ("direction", "gradable", "why_not")
        numbers = {column: float for column in table.columns if column not in words}
        table.insert(0, "title", [titles[name] for name in table.index])
        table.insert(1, "scored", [name in self.rules.scored for name in table.index])
        return table.astype(numbers)

    def rows_of(self, context: str) -> dict[str, dict]:
        """Give the rows of the metrics in one context."""
        return self.contexts[context]["metrics"] if self.contexts else self.metrics

    def to_json(self) -> str:
        """Give the content of `scorecard.json`; undefined numbers are null."""
        content = {
            "profile": self.rules.name,
            "metrics": self.metrics,
            "overall": self.overall,
            "overall_unclipped": self.overall_unclipped,
            "overall_low": self.overall_interval[0],
            "overall_high": self.overall_interval[1],
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
    name = Path(path).name
    for ending in (".vcc", ".h5ad", ".zarr"):
        name = name.removesuffix(ending)
    if not name.strip("."):
        msg = f"{path} has no name of its own, after which its scores could be named; rename it"
        raise InputError(msg)
    return name


def score_prediction(
    prediction: anndata.AnnData | str | Path, truth: Truth, rule_set: str, seed: int | None = 0, name: str | None = None
) -> Scorecard:
    """Score a prediction, and count no look at the truth; `starter.scoring.score.score` counts it.

    Parameters
    ----------
    prediction
        `.h5ad`, Zarr store or `.vcc`, whose values are read in blocks; or the cells in memory. Contexts are scored one
        at a time.
    truth
        What `starter.scoring.truth.opened.open_truth` gave.
    rule_set
        Name of the rule set.
    seed
        Fixes the bootstrap; None: no intervals are made.
    name
        What to call it; default: its file's name without the ending.

    Raises
    ------
    InputError
        If it does not hold exactly the truth's genes, contexts and perturbations, or is on another scale.
    """
    rules = get_rule_set(rule_set)
    truth.check_prepared(rules)
    in_memory = isinstance(prediction, anndata.AnnData)
    called = (name or IN_MEMORY) if in_memory else Path(prediction).name
    with (
        _opened(prediction, called, truth, rules) as screen,
        progress.bar(f"score {name or called}", READINGS * screen.n_blocks * len(truth.contexts)) as advance,
        ThreadPoolExecutor(1) as beside,
    ):
        check_genes(screen, truth)
        chosen = cells_of_contexts(screen, truth)
        digest = beside.submit(_hash_of, screen) if in_memory else beside.submit(sha256, prediction)
        scored = [
            score_context(screen.watched(advance), cells, truth, rules, context) for context, cells in chosen.items()
        ]
    sums = summed_up(rules, scored, seed)
    per_context = sums.pop("contexts")
    card = Scorecard(
        name=name or prediction_name(called),
        rules=rules,
        **sums,
        contexts=per_context if len(scored) > 1 else {},
        flags=[
            flag
            for score in scored
            for flag in flags.find_flags(
                rules, score.context, score.truth, score.prediction, per_context[score.context]["metrics"]
            )
        ],
        notes=[],
        per_perturbation=pd.concat([_table(score, rules) for score in scored], ignore_index=True),
        scores={score.context: score.per_metric for score in scored},
        sides={score.context: (score.truth, score.prediction) for score in scored},
        about={
            "prediction": {"name": called, "sha256": digest.result()},
            "truth": {"title": truth.about["title"], "sha256": sha256(truth.folder / "truth.json")},
            "versions": {name: importlib.metadata.version(name) for name in ("virtual-cell-course", "numpy", "scipy")},
            "seed": seed,
        },
    )
    own = [f"{f'{score.context}: ' if len(scored) > 1 else ''}{note}" for score in scored for note in score.notes]
    return replace(card, notes=[*_notes(card, truth), *own])


@contextmanager
def _opened(prediction: anndata.AnnData | str | Path, name: str, truth: Truth, rules: RuleSet) -> Iterator[Screen]:
    """Open a prediction, wherever its cells are."""
    controls = rules.counts != "needed"
    if isinstance(prediction, anndata.AnnData):
        yield screen_of(prediction, name, controls=controls)
    else:
        with (
            unpacked(prediction, len(truth.about["genes"])) as file,
            open_screen(file, name, controls=controls, predicted=True) as screen,
        ):
            yield screen


def _hash_of(screen: Screen) -> str:
    """Hash cells that are in no file: labels, contexts, genes and values."""
    digest = hashlib.sha256(json.dumps([*map(list, (screen.labels, screen.contexts, screen.genes))]).encode())
    for block in screen.cells.read(np.ones(len(screen.obs), bool)):
        for part in (block.indptr.astype("<i8"), block.indices.astype("<i8"), block.data.astype("<f8")):
            digest.update(part.tobytes())
    return digest.hexdigest()


def _table(score: ContextScore, rules: RuleSet) -> pd.DataFrame:
    return pd.concat(
        [
            pd.DataFrame(
                {
                    CONTEXT: score.context,
                    PERTURBATION: score.truth.perturbations,
                    "metric": metric.name,
                    "value": metric.per_perturbation(score.per_metric[metric.name]),
                    "baseline": metric.per_perturbation(score.anchors["baseline"][metric.name].mean(axis=0)),
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


def _notes(card: Scorecard, truth: Truth) -> list[str]:
    rules, metrics = card.rules, card.metrics
    prepared = truth.about["profiles"][rules.name]
    n_pairs = sum(len(names) for names in truth.contexts.values())
    n_contexts = f" in {len(truth.contexts)} contexts" if len(truth.contexts) > 1 else ""
    targets = measured_targets({name for of in truth.contexts.values() for name in of}, truth.about["genes"])
    notes = [
        f"Truth: {truth.about['title']}, {counted(n_pairs, 'perturbation')}{n_contexts}; {targets}; "
        f"{prepared['scale']}.",
    ]
    undefined = {context: reason for context in truth.contexts if (reason := truth.no_anchors(rules, context))}
    for reason in dict.fromkeys(undefined.values()):
        some = [context for context, why in undefined.items() if why == reason]
        where = "" if len(some) == len(truth.contexts) else f" in {counted(len(some), 'context')} ({listed(some)})"
        notes.append(f"Raw values only{where}, not scaled: baseline and replicate are undefined, since {reason}.")
    if len(undefined) < len(truth.contexts):
        notes.append(f"Baseline: {prepared['baseline']}. Replicate: {prepared['replicate']}.")
    train = truth.about["train"]
    if rules.baseline != "resampled":
        if train is None:
            notes.append(
                "No training screen was given: the mean was made from the measured cells that are being predicted."
            )
        elif train["also_scored"]:
            notes.append(f"The training screen holds perturbations that are scored: {listed(train['also_scored'])}.")
    if rules.gains and not undefined:
        on_cells = listed([metric.title for metric in rules.metrics if metric.on_cells])
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
        if row["why_not"] and row["why_not"] not in undefined.values():
            notes.append(f"{metric.title} is not gradable: {row['why_not']}.")
        elif metric.name in rules.scored and not row["gradable"] and not undefined:
            notes.append(
                f"{metric.title} is not gradable on this screen: the replicate is not clearly better than the baseline."
            )
    if rules.full_score == "perfection" and not undefined:
        notes.append("The score compares with perfection, not with the replicate, which is shown for orientation.")
    return notes


def _all_or_some(titles: list[str], rules: RuleSet) -> str:
    return "any metric" if len(titles) == len(rules.metrics) else listed(titles)
