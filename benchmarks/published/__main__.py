"""`python -m benchmarks.published gears`: a published model trained on a small course, and scored beside the kit's.

Every model has an environment of its own, made once by its pins (`<model>.txt`), and a script that runs there and knows
nothing of the kit (`<model>_model.py`). What it writes is brought to the course by `starter import-prediction`.
"""

import os
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, NamedTuple

import pandas as pd
import typer

from autograder.folders import TRUTH
from benchmarks.baselines import print_head, print_row
from benchmarks.published.environments import PINS, python_of
from benchmarks.published.inputs import write_inputs
from benchmarks.published.screen import make_course
from benchmarks.watch import machine, watch
from starter.console import run
from starter.data.course import CourseData, open_course
from starter.errors import InputError
from starter.models.contract import predict
from starter.models.kit import KIT
from starter.models.training_data import training_of_course
from starter.prediction.cells import make_cells
from starter.prediction.controls import read_controls
from starter.prediction.imported import Due, profile_table
from starter.prediction.published import FORMATS, open_written
from starter.prediction.write import write_prediction
from starter.progress import spinner
from starter.scoring.compare import OVERALL, compare
from starter.scoring.scorecard import Scorecard, score_prediction
from starter.scoring.truth.opened import open_truth

OURS = ("control mean", "train mean", "neighbour mean", "kNN", "ridge", "conditional VAE", "graph network")
"""Models of the kit that are scored beside."""
PROFILE, BASELINE = "course", "train mean"
METRICS = {
    "discrimination_score_l1": "PDS",
    "pearson_delta": "Pearson delta",
    "pearson_delta_train_mean": "Pearson delta vs train mean",
    "overlap_at_N": "DES",
    "mae": "MAE",
}
VERSIONS = ("virtual-cell-course", "torch", "numpy", "scikit-learn")
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Published(NamedTuple):
    """How a published model is run."""

    layout: str
    """Of what it writes: a key of `FORMATS`."""
    writes: str
    options: tuple[str, ...] = ()
    """Of its script."""


MODELS = {
    "gears": Published("arrays", "gears.npz", ("--epochs", "10")),
    "cellflow": Published("arrays", "cellflow.npz", ("--steps", "1000")),
}
QUICK = {"gears": ("--epochs", "1", "--hidden", "8"), "cellflow": ("--steps", "20", "--width", "16")}
"""Options by which a test runs the whole way."""


def train(name: str, course: CourseData, work: Path) -> tuple[Path, str]:
    """Train a published model in its own environment, and let it predict.

    Parameters
    ----------
    name
        A key of `MODELS`.
    course
        What it is trained on.
    work
        Receives environments, inputs, log and prediction.

    Returns
    -------
    What it wrote, and how long that took, in words.

    Raises
    ------
    InputError
        If its environment cannot be made, or it fails.
    """
    model = MODELS[name]
    with spinner(f"make the environment of {name} (once, minutes)"):
        python = python_of(name, work / "environments")
    inputs, out = work / "inputs" / name, work / model.writes
    shutil.rmtree(inputs, ignore_errors=True)
    write_inputs(course, inputs)
    command = [python, "-W", "ignore", PINS / f"{name}_model.py", inputs, out, *model.options]
    threads = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    with spinner(f"train {name}, and predict"):
        ended = watch(command, work / f"{name}.log", env=os.environ | threads)
    if ended.failure:
        msg = f"{name} {ended.failure}; see {work / f'{name}.log'}"
        raise InputError(msg)
    return out, f"{ended.seconds:,.0f} s ({ended.cpu:,.0f} s of processor), {ended.peak / 2**30:.2f} GiB"


def write_predictions(tables: dict[str, pd.DataFrame], course: CourseData, folder: Path) -> list[Path]:
    """Make cells of profile tables, as students do, and write them as prediction files."""
    controls = next(iter(read_controls(course.train_path)[0].values()))
    n_cells = course.split().n_cells("hidden")
    paths = []
    for name, table in tables.items():
        paths.append(folder / f"{name}.h5ad")
        write_prediction(paths[-1], make_cells(table, controls, n_cells), table.columns)
    return paths


def print_scores(cards: list[Scorecard], seconds: dict[str, str]) -> None:
    """Print a table: values, and the overall score with its differences from the train mean and the first card."""
    compared = compare(cards)
    overall = compared.differences[compared.differences["metric"] == OVERALL].set_index(["first", "second"])

    def less(name: str, other: str) -> str:
        if name == other:
            return ""
        sign, row = (1, (name, other)) if (name, other) in overall.index else (-1, (other, name))
        low, high = sorted(sign * overall.loc[row, end] for end in ("low", "high"))
        return f"{sign * overall.loc[row, 'difference']:+.3f} [{low:+.3f}, {high:+.3f}]"

    first = cards[0].name
    heads = [*METRICS.values(), "overall", f"less {BASELINE}", f"less {first}", "rank", "training"]
    print_head(["model", *heads])
    for card in cards:
        values = [f"{card.metrics[name]['value']:.4f}" for name in METRICS]
        total = "" if card.overall is None else f"{card.overall:.3f}"
        others = [less(card.name, BASELINE), less(card.name, first), str(compared.ranks[card.name])]
        print_row([card.name, *values, total, *others, seconds[card.name]])


@app.command()
def main(
    models: Annotated[list[str], typer.Argument(help=f"Published models: {', '.join(MODELS)}.")],
    work: Annotated[Path, typer.Option(help="Keeps environments, course and predictions.")] = Path("published"),
) -> None:
    """Train published models on a small simulated course, score them beside the kit's, and print a table (markdown)."""
    if unknown := sorted(set(models) - set(MODELS)):
        msg = f"there is no script for {', '.join(unknown)}; the models are {', '.join(MODELS)}"
        raise InputError(msg)
    settings = make_course(work / "course")
    course = open_course(settings.public_folder)
    due = Due(course, "hidden")
    tables, seconds = {}, {}
    for name in models:
        wrote, seconds[name] = train(name, course, work)
        with open_written([wrote], FORMATS[MODELS[name].layout]) as written:
            tables[name], done = profile_table(written, due, fill="train-mean")
        for finding in done:
            print(f"{name}: {finding}", file=sys.stderr)
    data = training_of_course(course)
    for name in OURS:
        start = time.perf_counter()
        tables[name] = predict(KIT[name], KIT[name].fit(data), due.pairs, due.genes)
        seconds[name] = f"{time.perf_counter() - start:,.0f} s"
    truth = open_truth(settings.hidden_folder / TRUTH)
    with tempfile.TemporaryDirectory(dir=work) as folder:
        paths = write_predictions(tables, course, Path(folder))
        cards = [score_prediction(path, truth, PROFILE) for path in paths]
    print(f"{machine(VERSIONS)}\n\n{cards[0].notes[0]}\n")
    print_scores(cards, seconds)


if __name__ == "__main__":
    run(app)
