"""How far a student is: every check of a notebook at once, on what its kernel has defined.

What came is kept beside the checks, so that `starter progress` tells it of all notebooks without running any.
"""

import contextlib
import inspect
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from starter.assignment.files import prediction_names
from starter.assignment.record import Standing, State, run_cells, write_record
from starter.assignment.saved_notebook import alike, saved_text
from starter.assignment.stage import CHECKS, Stage, StageQuestion, read_stage
from starter.blanks.blank import StillEmptyError
from starter.blanks.notebook import open_blanks
from starter.check import NotRight, check
from starter.errors import InputError, counted, listed

COLOURS: dict[State, str] = {"right": "green", "open": "blue", "not run": "blue", "wrong": "red", "waits": "yellow"}
CAUSES = ("likely cause", "difference", "got")
"""Lines of a check's message, the one that helps most first."""
LONGEST = 160
"""Characters of a cause."""


def progress() -> None:
    """Run every check of this notebook on what is defined now, and show how each question stands.

    A right answer of the checks earns its points when it is graded, where it is asked with other numbers. Nothing is
    handed in by this.

    Raises
    ------
    InputError
        If the notebook does not run in its own folder.
    """
    frame = inspect.currentframe()
    names = frame.f_back.f_globals if frame and frame.f_back else {}
    folder = Path.cwd()
    stage = read_stage(folder)
    standings = [_standing(question, names, folder, stage) for question in stage.questions]
    Console().print(standings_table(stage.title or stage.name, standings))
    print(summary(standings))
    asked = {question.answer for question in stage.questions}
    if beside := [name for name in open_blanks() if name not in asked]:
        print(f"still empty besides, with no points of its own: {listed(beside)}")
    try:
        write_record(folder, standings, run_cells())
    except InputError as error:
        print(f"this was not kept for `starter progress`: {error}")


def summary(standings: Iterable[Standing]) -> str:
    """Say in a line how many points stand where."""
    points = {state: 0.0 for state in COLOURS}
    for standing in standings:
        points[standing.state] += standing.points
    still = points["open"] + points["not run"]
    parts = [f"{points['right']:g} of {sum(points.values()):g} points by these checks"]
    parts += [f"{some:g} {what}" for some, what in ((still, "open"), (points["wrong"], "not right yet")) if some]
    parts += [f"{points['waits']:g} known when it is graded"] if points["waits"] else []
    return ", ".join(parts)


def standings_table(title: str, standings: Iterable[Standing]) -> Table:
    """Set questions in a table: name, points, how it stands and why."""
    table = Table(title=title, title_justify="left")
    for heading in ("question", "points", "stands", "why"):
        table.add_column(heading, justify="right" if heading == "points" else "left", no_wrap=heading != "why")
    for standing in standings:
        got = {"right": f"{standing.points:g} of ", "wrong": "0 of "}.get(standing.state, "? of ")
        state = Text(standing.state, COLOURS[standing.state])
        table.add_row(Text(standing.name), f"{got}{standing.points:g}", state, Text(standing.why))
    return table


def _standing(question: StageQuestion, names: Mapping[str, Any], folder: Path, stage: Stage) -> Standing:
    state, why = {"prediction": _of_prediction, "words": _of_words}.get(question.kind, _of_check)(
        question, names, folder, stage
    )
    return Standing(question.name, question.points, state, " ".join(why.split())[:LONGEST])


def _of_check(question: StageQuestion, names: Mapping[str, Any], folder: Path, stage: Stage) -> tuple[State, str]:
    """Ask a question's public cases."""
    del stage
    if question.kind != "file" and question.answer not in names:
        return "not run", f"there is no {question.answer} yet; run its cell"
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            check(question.name, names.get(question.answer, question.answer), folder / CHECKS)
    except StillEmptyError:
        return "open", ""
    except NotRight as error:
        return "wrong", cause_of(str(error))
    except InputError as error:
        return ("not run", str(error)) if question.kind == "file" else ("wrong", str(error))
    except Exception as error:  # noqa: BLE001  (whatever a student's code raises)
        return "wrong", f"it raises {type(error).__name__}: {error}"
    if question.kind in ("variable", "file"):
        return "waits", "its form is right; its value is compared when you hand in"
    return "right", ""


def cause_of(message: str) -> str:
    """Take from a check's message the line that helps most."""
    lines = [line.strip() for line in message.splitlines()]
    found = (line.removeprefix(cause).strip() for cause in CAUSES for line in lines if line.startswith(f"{cause} "))
    return next(found, lines[0] if lines else "")


def _of_prediction(question: StageQuestion, names: Mapping[str, Any], folder: Path, stage: Stage) -> tuple[State, str]:
    """Check the prediction file as `starter check` does."""
    del names, stage
    from starter.data.course import open_course
    from starter.prediction.check import check_prediction
    from starter.prediction.requirements import requirements_of_course

    if (file := prediction_file(folder, question.answer)) is None:
        return "open", f"there is no {question.answer} yet; the notebook writes it"
    try:
        findings = check_prediction(file, requirements_of_course(open_course().folder))
    except InputError as error:
        return "wrong", str(error)
    if errors := [finding for finding in findings if finding.level == "error"]:
        return "wrong", f"{counted(len(errors), 'error')}, the first: {errors[0]}"
    return "waits", f"{file.name} has no error; it is scored when you hand in"


def prediction_file(folder: Path, name: str) -> Path | None:
    """Find the prediction in a stage's folder, as `.h5ad` or as `.vcc`."""
    return next((folder / file for file in prediction_names(name) if (folder / file).is_file()), None)


def _of_words(question: StageQuestion, names: Mapping[str, Any], folder: Path, stage: Stage) -> tuple[State, str]:
    """See whether something was written, in the notebook as it is saved."""
    del names
    text = saved_text(folder / stage.notebook, question.name)
    if text is None:
        return "waits", f"no saved {stage.notebook} holds it; your instructor reads it"
    if not text.strip() or alike(text, question.answer):
        return "open", "nothing is written yet, in the notebook as it is saved"
    return "waits", "your instructor reads it"
