"""`python -m data_scripts adopt`: the proposal is shown, a person agrees, the data set is written."""

import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import typer
from rich.console import Console
from rich.table import Table

from data_scripts.adoption.convert import convert
from data_scripts.adoption.proposal import NONE, Row, propose
from data_scripts.adoption.report import Report
from data_scripts.catalogue import catalogue
from starter.errors import InputError

R_FILES = (".rda", ".rdata", ".rds")
BUILDERS = {"papalexi_thp1": "papalexi"}
"""Data sets of the catalogue that have R files and a command which builds them."""
HIDDEN, PUBLIC = 0.2, 0.1
"""Shares of the perturbations that are hidden, and for public validation, in what is printed for `course.toml`."""
FEWEST_HIDDEN = 10
"""Below so many hidden perturbations a score has no interval."""
WIDTH = 200
"""Of the table where nobody watches: nothing in it is cut off."""


def adopt(
    path: Path, out: Path | None, options: Mapping[str, Any], about: Mapping[str, str | None], *, yes: bool
) -> None:
    """Propose how to read a file, ask, and write the course data set.

    Parameters
    ----------
    path
        The file.
    out
        The `.h5ad` to write; default: `screens/<name>/<name>.h5ad`.
    options
        Fields of the layout that were given; None was not given, and the text "none" means that the file has none.
    about
        What the screen is; None was not given.
    yes
        Whether to write without asking.

    Raises
    ------
    InputError
        If the file cannot be read, or something that is needed cannot be told.
    """
    _refuse_r(path)
    of_catalogue = [entry.name for entry in catalogue().values() if entry.layout and entry.files[0].name == path.name]
    if of_catalogue:
        typer.echo(f"a file of this name is in the catalogue: python -m data_scripts build {of_catalogue[0]}\n")
    out = out or Path("screens") / path.stem / f"{path.stem}.h5ad"
    proposal = propose(path, _said(options))
    _show(path, proposal.rows)
    if not yes and not _agreed():
        typer.echo(f"\nnothing was written; this writes it:\n\n{_command(path, out, {**options, **about})}")
        raise typer.Exit(1)
    known = {key: value for key, value in about.items() if value is not None}
    report = convert(path, proposal.layout, out, {"name": out.stem, **known})
    typer.echo(f"\nwrote {out}, its lineage, and the report beside it:\n{report}\n")
    typer.echo(_next_steps(out, report, compound=proposal.layout.kind == "compound"))


def _refuse_r(path: Path) -> None:
    """Say of R's files what to do instead."""
    bare = path.name.casefold().removesuffix(".gz")
    if not bare.endswith(R_FILES):
        return
    of_catalogue = [entry.name for entry in catalogue().values() for file in entry.files if file.name == path.name]
    if command := next((BUILDERS[name] for name in of_catalogue if name in BUILDERS), None):
        msg = f"{path} is a file of R that has its own builder: python -m data_scripts {command}"
    else:
        msg = (
            f"{path} is a file of R, which is not read here; in R, write it with anndataR::write_h5ad or "
            "zellkonverter::writeH5AD, and adopt that file"
        )
    raise InputError(msg)


def _said(options: Mapping[str, Any]) -> dict[str, Any]:
    """Make fields of the layout of options."""
    said: dict[str, Any] = {}
    for key, value in options.items():
        if value is None or value == []:
            continue
        if isinstance(value, list):
            said[key] = () if value == [NONE] else tuple(value)
        else:
            said[key] = None if value == NONE else value
    return said


def _show(path: Path, rows: Sequence[Row]) -> None:
    console = Console() if sys.stdout.isatty() else Console(width=WIDTH)
    table = Table(title=f"{path.name}, as it seems", title_justify="left", show_lines=False)
    for heading in ("", "found", "such as", "why, and what to mind"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table, markup=False)


def _agreed() -> bool:
    """Ask, where somebody can answer."""
    return sys.stdin.isatty() and sys.stdout.isatty() and typer.confirm("Write the course data set of this?")


def _command(path: Path, out: Path, options: Mapping[str, Any]) -> str:
    """Write the command line that accepts what was shown."""
    given = {"out": str(out)} | {key: value for key, value in options.items() if value not in (None, [])}
    words = ["python", "-m", "data_scripts", "adopt", str(path)]
    for key, value in given.items():
        for one in value if isinstance(value, list) else [value]:
            words += [f"--{key.replace('_', '-')}", str(one)]
    return shlex.join([*words, "--yes"])


def _next_steps(out: Path, report: Report, *, compound: bool) -> str:
    """Say what `course.toml` needs."""
    n = report.perturbations
    hidden, public = max(1, round(HIDDEN * n)), max(1, round(PUBLIC * n))
    if n >= 3 * FEWEST_HIDDEN:
        hidden = max(FEWEST_HIDDEN, hidden)
    if len(report.contexts) > 1:
        return (
            f"a course is graded in one context, and this has {len(report.contexts)}: for a course, adopt the cells of "
            "one with --keep COLUMN=VALUE, into another file"
        )
    folder = out.parent / "priors"
    data = (
        f'[data]\nscreen = "{out}"\nhidden = {hidden}    # of {n:,}, drawn by the secret; or their names\n'
        f"public = {public}"
    )
    lines = ["for a course on it, course.toml has", data, "with paths from the folder of course.toml"]
    if not compound:
        lines[1] += f'\npriors = "{folder}"'
        lines.append(f"what is known of its genes: python -m data_scripts priors --genes {out} --out {folder}")
    return "\n\n".join(lines)
