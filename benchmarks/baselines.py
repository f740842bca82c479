"""`python -m benchmarks.baselines demo/simulated demo/papalexi`: what every simple model scores on a released course.

The folders are courses whose data were released (`make demo` leaves two). Twice: all targets, hidden ones too, in five
folds by perturbation with several seeds; and the hidden part, as students are graded. Beside the real screen stand the
numbers of a pilot that was measured before this kit was written.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import anndata
import numpy as np
import pandas as pd
import typer

from autograder.course import read_course
from benchmarks.cells import TARGET_SUM
from benchmarks.watch import machine
from starter.console import run
from starter.data import dataset, preprocess, pseudobulk
from starter.data.blocks import in_memory
from starter.data.course import CourseData, open_course
from starter.data.dataset import PAIR
from starter.models import baselines, tuning
from starter.prediction import cells
from starter.prediction.controls import controls_of
from starter.prediction.write import write_prediction
from starter.priors import features, graphs
from starter.priors.tables import read_annotations, read_features, read_other_context
from starter.progress import bar
from starter.schema import CONTROL, COURSE, TARGET_GENE
from starter.scoring.metrics.overlap import de_genes
from starter.scoring.metrics.rule_sets import get_rule_set
from starter.scoring.scorecard import score_prediction
from starter.scoring.screens.from_logs import summarise_logs
from starter.scoring.truth.opened import Truth, open_truth
from starter.statistics.intervals import FEWEST

VERSIONS = ("virtual-cell-course", "scikit-learn", "numpy", "scipy", "pandas")
STRONG = 5
"""DE genes from which the pilot called a target strong."""
HIDDEN_METRICS = ("overlap_at_N", "discrimination_score_l1", "mae", "pearson_delta", "pearson_delta_train_mean")


class Trial(NamedTuple):
    """A model with what it knows."""

    name: str
    model: baselines.Model
    known: object


class Pilot(NamedTuple):
    """What the pilot measured in five folds with five seeds, on 24 targets."""

    mae: float
    pds: float
    pearson_delta: float
    strong: float
    """Pearson delta against the train mean, mean over the strong targets."""


PILOT = {
    "control mean": Pilot(0.0197, 0.553, 0.0, -0.29),
    "train mean": Pilot(0.0210, 0.529, 0.326, 0.0),
    "ridge, annotations": Pilot(0.0212, 0.532, 0.322, 0.18),
    "ridge, graph": Pilot(0.0207, 0.538, 0.326, 0.43),
    "kNN, annotations": Pilot(0.0236, 0.547, 0.231, 0.27),
    "random forest, annotations": Pilot(0.0208, 0.557, 0.300, -0.04),
    "random forest, graph": Pilot(0.0195, 0.591, 0.298, 0.32),
    "neighbour mean, graph": Pilot(0.0231, 0.631, 0.330, 0.50),
}
"""Its STRING had all human genes, its settings were others, and its PDS ranked among all targets by the 2025 rule. It
scaled cells to `TARGET_SUM`, which this table follows."""
PILOT_HIDDEN = {
    "train mean": (0.064, 0.576, 0.0239),
    "random forest, graph": (0.114, 0.706, 0.0211),
    "neighbour mean, graph": (0.223, 0.784, 0.0244),
}
"""DES, PDS and MAE of its predictions of the seven hidden targets, by the rules of 2025. There chance is .571 in PDS,
and targets without a DE gene count as 0 in DES; the course leaves them out, and compares with half the cells."""


def trials(course: CourseData, train: anndata.AnnData) -> Iterator[Trial]:
    """List every model with every kind of features that a course has."""
    graph = graphs.read_graph(course.priors("*graph.tsv"))
    control = (train.obs[TARGET_GENE] == CONTROL).to_numpy()
    known = {
        "annotations": features.annotation_features(read_annotations(course.priors("*annotations.tsv"))),
        "graph": features.graph_features(graph),
        "co-expression": features.coexpression_features(preprocess.expression(train)[control], train.var_names),
    }
    if course.has_prior("*features.parquet"):
        known["embedding"] = read_features(course.priors("*features.parquet"))
    if course.has_prior("*other_context.parquet"):
        other = read_other_context(course.priors("*other_context.parquet"))
        known["other context"] = features.effect_features(other)
    yield Trial("control mean", baselines.control_mean, None)
    yield Trial("train mean", baselines.train_mean, None)
    yield Trial("neighbour mean, shuffled graph", graphs.neighbour_mean, graphs.shuffle_graph(graph, _rng()))
    yield Trial("neighbour mean, graph", graphs.neighbour_mean, graph)
    yield Trial("bilinear, own row", baselines.bilinear, None)
    for name in ("bilinear", "ridge", "elastic net", "kNN", "random forest"):
        for kind, table in known.items():
            yield Trial(f"{name}, {kind}", baselines.MODELS[name], table)


def in_folds(found: list[Trial], profiles: pd.DataFrame, seeds: int) -> dict[str, list[pd.DataFrame]]:
    """Score every model on every target in five folds, once a seed.

    Parameters
    ----------
    found
        The models.
    profiles
        Of all targets and the control.
    seeds
        How often targets are dealt out to folds.

    Returns
    -------
    Name to a table a seed, targets x metrics.
    """
    scores: dict[str, list[pd.DataFrame]] = {trial.name: [] for trial in found}
    with bar("models in folds", seeds * len(found)) as advance:
        for seed in range(seeds):
            fold_of = tuning.folds(profiles.index, seed=seed)
            for trial in found:
                scores[trial.name].append(tuning.cross_validate(trial.model, profiles, trial.known, fold_of))
                advance()
    return scores


def strong_targets(screen: anndata.AnnData) -> list[str]:
    """List the targets with at least `STRONG` differentially expressed genes (cell-eval 0.8.2's rule)."""
    labels = screen.obs[TARGET_GENE].astype(str).to_numpy()
    names = np.unique(labels[labels != CONTROL])
    groups = np.searchsorted(names, labels) + 1
    groups[labels == CONTROL] = 0
    rule = get_rule_set("vcc2025").de
    logs = in_memory(preprocess.expression(screen))
    summary = summarise_logs(logs, groups[None], names, np.array(screen.var_names), rule).summaries[0]
    return [str(name) for name, called in zip(names, de_genes(summary.de), strict=True) if len(called) >= STRONG]


def print_folds(scores: dict[str, list[pd.DataFrame]], strong: list[str], seeds: int, *, pilot: bool) -> None:
    """Print a table of means over targets and seeds; intervals are over targets."""
    means = {name: sum(tables) / len(tables) for name, tables in scores.items()}
    baseline = means["train mean"]
    print(
        f"Five folds by perturbation x {seeds} seeds, {len(baseline)} targets ({len(strong)} strong: {STRONG} DE genes "
        "or more). In brackets: 95 % interval over targets of the difference from the train mean.\n"
    )
    headings = ["model", "MAE", "PDS", "Pearson delta", "vs train mean", "the same, strong", "sd of PDS over seeds"]
    headings += ["pilot: MAE", "PDS", "Pearson delta", "vs train mean, strong"] if pilot else []
    print_head(headings)
    for name, table in means.items():
        compared = tuning.compare(table, baseline)
        row = [name, f"{table['mae'].mean():.4f}"]
        row += [with_interval(compared.loc[metric]) for metric in tuning.METRICS[1::-1]]
        row.append(with_interval(compared.loc["pearson_delta_train_mean"]))
        row.append(f"{table.loc[strong, 'pearson_delta_train_mean'].mean():.2f}")
        row.append(f"{np.std([of_seed['discrimination_score_l1'].mean() for of_seed in scores[name]]):.3f}")
        if pilot and name in PILOT:
            theirs = PILOT[name]
            row += [f"{theirs.mae:.4f}", f"{theirs.pds:.3f}", f"{theirs.pearson_delta:.3f}", f"{theirs.strong:.2f}"]
        print_row(row + [""] * (len(headings) - len(row)))
    print()


def print_hidden(found: list[Trial], course: CourseData, train: anndata.AnnData, truth: Truth, *, pilot: bool) -> None:
    """Print what predictions of the hidden part score by the course's rules, cells and all."""
    profiles = pseudobulk.profiles(train).droplevel("context")
    n_cells = course.split().n_cells("hidden")
    controls, context = controls_of(train), dataset.contexts(train)[0]
    print(
        f"The hidden part, {len(n_cells)} targets, learned from all measured ones; the course's rules. In brackets as "
        f"above{'; none below ' + str(FEWEST) + ' targets' if len(n_cells) < FEWEST else ''}.\n"
    )
    titles = {metric.name: metric.title for metric in get_rule_set("course").metrics}
    headings = ["model", *(titles[name] for name in HIDDEN_METRICS), "overall, scaled"]
    headings += ["pilot: DES", "PDS", "MAE"] if pilot else []
    print_head(headings)
    with tempfile.TemporaryDirectory() as folder, bar("hidden part", len(found)) as advance:
        path = Path(folder) / "prediction.h5ad"
        for trial in found:
            table = trial.model(profiles, trial.known, list(n_cells))
            table = pd.concat({context: table}, names=PAIR)
            write_prediction(path, cells.make_cells(table, controls, n_cells), train.var_names)
            card = score_prediction(path, truth, "course")
            row = [trial.name]
            for name in HIDDEN_METRICS:
                metric = card.metrics[name]
                ends = pd.Series({end: metric[f"difference_{end}"] for end in ("low", "high")}, dtype=float)
                row.append(with_interval(pd.Series({"value": metric["value"], **ends}), 4 if name == "mae" else 3))
            row.append(f"{card.overall:.3f}")
            if pilot and trial.name in PILOT_HIDDEN:
                row += [f"{value:.4g}" for value in PILOT_HIDDEN[trial.name]]
            print_row(row + [""] * (len(headings) - len(row)))
            advance()
    print()


def _rng() -> np.random.Generator:
    return np.random.default_rng(0)


def with_interval(row: pd.Series, digits: int = 3) -> str:
    """Write a value and the ends of an interval, where there is one."""
    value = f"{row['value']:.{digits}f}"
    return value if np.isnan(row["low"]) else f"{value} [{row['low']:+.{digits}f}, {row['high']:+.{digits}f}]"


def print_head(headings: list[str]) -> None:
    """Print the head of a table (markdown)."""
    print(f"| {' | '.join(headings)} |\n|{'---|' * len(headings)}")


def print_row(row: list[str]) -> None:
    """Print a row of a table (markdown)."""
    print(f"| {' | '.join(row)} |", flush=True)


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    courses: Annotated[list[Path], typer.Argument(help="Folders of released courses, with their course.toml.")],
    seeds: Annotated[int, typer.Option(help="How often targets are dealt out to folds.", min=1)] = 5,
) -> None:
    """Print what every simple model scores, as tables (markdown). About ten minutes for both of the demo's courses."""
    print(f"{machine(VERSIONS)}\n")
    for root in courses:
        settings = read_course(root)
        course = open_course(settings.public_folder)
        train = course.train()
        truth = open_truth(settings.hidden_folder / "truth")
        hidden = dataset.read_screen(settings.hidden_folder / "hidden.h5ad")
        real = not train.uns[COURSE]["simulated"]
        print(f"**{train.uns[COURSE]['title']}**\n")
        found = list(trials(course, train))
        targets = hidden[hidden.obs[TARGET_GENE] != CONTROL]
        screen = anndata.concat([train, targets], merge="same", uns_merge="first")
        if real:  # as the pilot did
            screen.uns[COURSE]["target_sum"] = TARGET_SUM
        profiles = pseudobulk.profiles(screen).droplevel("context")
        print_folds(in_folds(found, profiles, seeds), strong_targets(screen), seeds, pilot=real)
        print_hidden(found, course, train, truth, pilot=real)


if __name__ == "__main__":
    run(app)
