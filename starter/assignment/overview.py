"""How far a student is in all notebooks, by what `progress()` found in each; nothing is run."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.table import Table
from rich.text import Text

from starter.assignment.record import Record, State, hash_text, read_record
from starter.assignment.saved_notebook import cell_text, question_of, saved_cells
from starter.assignment.stage import Stage, read_stage
from starter.blanks.blank import TEXT
from starter.errors import counted

NAMED = 3
"""Changed blanks that are named."""


@dataclass(frozen=True)
class Overview:
    """One notebook: what was found when its last cell ran, and what is saved now."""

    stage: Stage
    record: Record | None
    empty: tuple[str, ...]
    """Questions with an empty blank in the saved notebook."""
    changed: tuple[str, ...]
    """Questions whose blanks, as they are saved, had not been run then."""

    def points(self, *states: State) -> float:
        """Add up the points of the questions in some states."""
        return sum(found.points for found in self.record.standings if found.state in states) if self.record else 0.0


def look_at(folder: Path) -> Overview:
    """Look at a stage's folder.

    Raises
    ------
    InputError
        If it is none.
    """
    stage, record = read_stage(folder), read_record(folder)
    texts = {question_of(cell): cell_text(cell) for cell in saved_cells(folder / stage.notebook)}
    empty, changed = [], []
    for question in stage.questions:
        saved = [texts[blank] for blank in question.blanks if blank in texts]
        if any(TEXT in text for text in saved):
            empty.append(question.name)
        if record and record.ran and any(hash_text(text) not in record.ran for text in saved):
            changed.append(question.name)
    return Overview(stage, record, tuple(empty), tuple(changed))


def overview_table(overviews: Iterable[Overview]) -> Table:
    """Set notebooks in a table, a row each, with their sum."""
    table = Table(title="Points by the checks of each notebook", title_justify="left", show_footer=True)
    shown = list(overviews)
    sums = {
        "right": sum(one.points("right") for one in shown),
        "open": sum(one.points("open", "not run") for one in shown),
        "not right yet": sum(one.points("wrong") for one in shown),
        "when graded": sum(one.points("waits") for one in shown),
        "of": sum(one.stage.points for one in shown),
    }
    table.add_column("notebook", "all", no_wrap=True)
    for heading, points in sums.items():
        table.add_column(heading, f"{points:g}", justify="right")
    table.add_column("looked at")
    for one in shown:
        numbers = [one.points("right"), one.points("open", "not run"), one.points("wrong"), one.points("waits")]
        cells = [f"{number:g}" if one.record else "" for number in numbers]
        table.add_row(one.stage.name, *cells, f"{one.stage.points:g}", Text(_said(one)))
    return table


def _said(one: Overview) -> str:
    if one.record is None:
        empty = f"{counted(len(one.empty), 'question')} still empty" if one.empty else "no blank is empty"
        return f"not yet: run its last cell ({empty})"
    said = ago(one.record.when)
    if one.changed:
        names = ", ".join(one.changed[:NAMED]) + (" and more" if len(one.changed) > NAMED else "")
        said += f"; changed since: {names}"
    return said


def ago(when: datetime) -> str:
    """Say how long ago something was, in the largest unit that fits.

    >>> from datetime import timedelta
    >>> ago(datetime.now(UTC) - timedelta(hours=5, minutes=10))
    '5 hours ago'
    """
    minutes = max(0, int((datetime.now(UTC) - when).total_seconds() // 60))
    for size, unit in ((24 * 60, "day"), (60, "hour"), (1, "minute")):
        if minutes >= size:
            return f"{counted(minutes // size, unit)} ago"
    return "just now"
