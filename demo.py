"""The whole course in one run: data set, hidden truth, predictions, upload, scores, one graded notebook.

`make demo` runs it on a simulated screen, `make demo DATASET=papalexi` on a real one. Everything goes to
`demo/<dataset>`, which is a course's folder like any other.
"""

import math
import shutil
import sys
import time
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

import pandas as pd
import typer
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from autograder.course import FILE, Course, read_course
from autograder.folders import SUBMITTED
from autograder.gradebook import book
from autograder.grading.grade import grade_stage
from autograder.grading.results import Result
from autograder.release.notebooks import release
from autograder.sandbox.ready import NoSandboxError, check_sandbox
from starter.console import run
from starter.data import pseudobulk
from starter.data.course import open_course
from starter.data.dataset import PAIR, contexts
from starter.errors import InputError
from starter.prediction import cells, pack
from starter.prediction.controls import controls_of
from starter.prediction.requirements import requirements_of_course
from starter.prediction.write import write_prediction
from starter.priors import graphs
from starter.progress import spinner
from starter.schema import CONTROL
from starter.scoring.figures import overview_figure
from starter.scoring.page import write_scorecard
from starter.scoring.scorecard import Scorecard, number, score_prediction
from starter.scoring.truth.opened import open_truth

HERE = Path(__file__).parent
MARK = ".made-by-demo"
STAGE = "04_baselines"
PROFILE = "course"
T = TypeVar("T")
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
console = Console(width=None if sys.stdout.isatty() else 120)


class DatasetName(StrEnum):
    """Screens that the demo can run on."""

    simulated = "simulated"
    papalexi = "papalexi"
    k562 = "k562"
    rpe1 = "rpe1"
    norman = "norman"


SCREENS = {
    DatasetName.k562: "replogle_k562_essential",
    DatasetName.rpe1: "replogle_rpe1",
    DatasetName.norman: "norman2019",
}
"""Real screens of the catalogue; of the first two a part is read by byte ranges."""


@app.command()
def demo(
    dataset: Annotated[DatasetName, typer.Option(help="A simulated screen, or a real one.")] = DatasetName.simulated,
    out: Annotated[Path, typer.Option(help="Receives a folder for the data set; made anew each time.")] = Path("demo"),
) -> None:
    """Run the whole course once, and print what came out."""
    start = time.monotonic()
    root = _new_folder(out / dataset.value)
    course = _step("lay out the course's folder", lambda: _lay_out(root, dataset))
    _step("cut the screen, prepare the hidden truth, make the students' notebook", lambda: release(course, _say))
    tables = _step("predict: control mean, train mean, neighbour mean", lambda: _predict(course))
    uploads = _step("make cells of the profiles, write .h5ad, check, pack .vcc", lambda: _write(course, tables))
    cards = _step("score the uploads against the hidden truth", lambda: _score(course, uploads))
    results = _grade(course)
    console.print(_scores(cards))
    if results:
        console.print(_grades(results))
    for note in cards[0].notes:
        console.print(f"- {note}", markup=False, highlight=False)
    best = max(cards, key=lambda card: -math.inf if card.overall is None else card.overall)
    console.print(
        f"\nScorecard of the best prediction: {root / 'scores' / best.name / 'scorecard.html'}",
        soft_wrap=True,
    )
    console.print(f"All of it: {root} ({time.monotonic() - start:.0f} s)", soft_wrap=True)


def _new_folder(root: Path) -> Path:
    if root.exists():
        if not (root / MARK).is_file():
            msg = f"{root} exists and was not made by the demo; choose another folder with --out"
            raise InputError(msg)
        shutil.rmtree(root)
    root.mkdir(parents=True)
    (root / MARK).touch()
    return root


def _step(what: str, work: Callable[[], T]) -> T:
    """Do one step, with a sign of life while it lasts and its time when it is done."""
    start = time.monotonic()
    with spinner(what, console):
        done = work()
    console.print(f"[green]done[/] {what} ({time.monotonic() - start:.1f} s)", highlight=False)
    return done


def _say(line: str) -> None:
    console.print(f"     {line}", markup=False, highlight=False)


def _lay_out(root: Path, dataset: DatasetName) -> Course:
    shutil.copytree(HERE / "solutions", root / "solutions")
    if dataset is DatasetName.simulated:
        settings = _simulated()
    else:
        settings = _papalexi(root / "screen") if dataset is DatasetName.papalexi else _real(dataset, root)
    stage = f'\n[stages.{STAGE}]\ntitle = "Baselines: what a model must beat"\n\n[stages.{STAGE}.prediction]\n'
    (root / FILE).write_text(settings + stage, encoding="utf-8")
    return read_course(root)


def _simulated() -> str:
    """Fix the seed, so that numbers can be compared; a graded course has a secret one."""
    return '[course]\nname = "simulated-demo"\n\n[data]\nscreen = "simulated"\nseed = 2\nhidden = 48\npublic = 24\n'


def _papalexi(folder: Path) -> str:
    from data_scripts.screens import papalexi

    path = papalexi.build(folder)
    files = f'screen = "screen/{path.name}"\nsplit = "screen/{papalexi.NAME}.split.json"\npriors = "screen/priors"\n'
    return f'[course]\nname = "papalexi-demo"\n\n[data]\n{files}'


def _real(dataset: DatasetName, root: Path) -> str:
    """Build a screen of the catalogue; what was downloaded lies beside the demos, for the next time."""
    from data_scripts.screens import build as screens
    from data_scripts.subset.cells import Part

    part = None if dataset is DatasetName.norman else Part()
    path, report = screens.build(SCREENS[dataset], root / "screen", root.parent / "downloads", part)
    for line in str(report).splitlines():
        _say(line)
    files = f'screen = "screen/{path.name}"\nsplit = "screen/{path.stem}.split.json"\npriors = "screen/priors"\n'
    return f'[course]\nname = "{dataset.value}-demo"\n\n[data]\n{files}'


def _predict(course: Course) -> dict[str, pd.DataFrame]:
    """Predict the hidden perturbations in three ways, from what students have; write the profile tables."""
    data = open_course(course.public_folder)
    train, split = data.train(), data.split()
    profiles = pseudobulk.profiles(train).droplevel("context")
    hidden = list(split.n_cells("hidden"))
    of_train = profiles.loc[list(split.pairs("train").get_level_values("perturbation"))]
    graph = graphs.read_graph(data.priors("*graph.tsv"))
    predicted = {
        "control_mean": pd.DataFrame([profiles.loc[CONTROL]] * len(hidden), index=hidden),
        "train_mean": pd.DataFrame([of_train.mean()] * len(hidden), index=hidden),
        "neighbour_mean": graphs.neighbour_mean(profiles.drop(index=CONTROL), graph, hidden),
    }
    folder = course.root / "predictions"
    folder.mkdir()
    tables = {}
    for name, table in predicted.items():
        tables[name] = pd.concat({contexts(train)[0]: table}, names=PAIR)
        tables[name].to_parquet(folder / f"{name}.parquet")
    return tables


def _write(course: Course, tables: dict[str, pd.DataFrame]) -> list[Path]:
    data = open_course(course.public_folder)
    train, n_cells = data.train(), data.split().n_cells("hidden")
    controls = controls_of(train)
    required = requirements_of_course(course.public_folder)
    uploads = []
    for name, table in tables.items():
        pseudobulk.check_profile_table(table, train.var_names)
        prediction = course.root / "predictions" / f"{name}.h5ad"
        write_prediction(prediction, cells.make_cells(table, controls, n_cells), train.var_names)
        uploads.append(prediction.with_suffix(".vcc"))
        pack.pack(prediction, uploads[-1], required)
    return uploads


def _score(course: Course, uploads: list[Path]) -> list[Scorecard]:
    truth = open_truth(course.hidden_folder / "truth")
    cards = [score_prediction(upload, truth, PROFILE) for upload in uploads]
    folder = course.root / "scores"
    for card in cards:
        write_scorecard(card, folder / card.name)
    overview_figure(cards).savefig(folder / "overview.png", dpi=130)
    return cards


def _grade(course: Course) -> list[Result]:
    """Hand in an untouched notebook, and a solved one with the neighbour mean as its prediction; grade both."""
    for student, source in (("untouched", "assignments"), ("solved", "solutions")):
        folder = course.grading / SUBMITTED / student / STAGE
        folder.mkdir(parents=True)
        shutil.copyfile(course.root / source / STAGE / f"{STAGE}.ipynb", folder / f"{STAGE}.ipynb")
    shutil.copyfile(course.root / "predictions" / "neighbour_mean.h5ad", folder / course.stages[STAGE].prediction.file)
    try:
        check_sandbox()
        results, failed = _step(
            "grade an untouched and a solved notebook in the sandbox", lambda: grade_stage(course, STAGE)
        )
    except NoSandboxError as error:
        console.print(Text(f"left out grading: {error}", style="yellow"), soft_wrap=True)
        return []
    failed |= book.record_results(course, STAGE, [result.student for result in results])
    for student, reason in failed.items():
        console.print(Text(f"{student}: {reason}", style="yellow"), soft_wrap=True)
    return results


def _grades(results: list[Result]) -> Table:
    table = Table(title="Graded notebooks", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("question, student", no_wrap=True)
    table.add_column("points", justify="right", no_wrap=True)
    table.add_column("reason")
    for result in results:
        for question in result.questions:
            points = f"{question.points:g} of {question.max:g}"
            table.add_row(f"{question.name}, {result.student}", points, Text(question.reason))
    return table


def _scores(cards: list[Scorecard]) -> Table:
    rules = cards[0].rules
    title = f"{cards[0].about['truth']['title']}: scores by {rules.title}"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("metric", no_wrap=True)
    for heading in (*(card.name for card in cards), "baseline", "replicate"):
        table.add_column(heading, justify="right")
    for metric in rules.metrics:
        if metric.name in rules.scored:
            rows = [card.metrics[metric.name] for card in cards]
            ends = [number(rows[0][anchor]) for anchor in ("baseline", "replicate")]
            name = metric.title if rows[0]["gradable"] else f"{metric.title} (not gradable)"
            table.add_row(name, *(number(row["value"]) for row in rows), *ends)
    table.add_section()
    table.add_row("overall", *(number(card.overall) for card in cards), "0", "1")
    return table


if __name__ == "__main__":
    run(app)
