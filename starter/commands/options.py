"""Options that several commands have, and what they mean together."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from starter.errors import InputError
from starter.schema import COURSE_VARIABLE

if TYPE_CHECKING:
    from starter.prediction.requirements import Requirements

CourseOption = Annotated[
    Path | None,
    typer.Option("--course", help="The course's data folder, which says what is due.", show_default=False),
]
GenesOption = Annotated[
    Path | None, typer.Option("--genes", help="Genes due, one a line (gene_names.csv).", show_default=False)
]
PertsOption = Annotated[
    Path | None,
    typer.Option(
        "--perts",
        help="Perturbations due, one a line, or pert_counts.csv (target_gene, n_cells).",
        show_default=False,
    ),
]
TruthOption = Annotated[
    Path | None,
    typer.Option(
        "--truth", help="What `starter truth build` wrote, against which it will be scored.", show_default=False
    ),
]
SeasonOption = Annotated[
    int | None,
    typer.Option(
        "--season",
        help="Year of the challenge: 2025 (log1p expression with controls) or 2026 (counts in three contexts). "
        "Default: what an upload says of itself, else 2025.",
        show_default=False,
    ),
]
PertColOption = Annotated[
    str, typer.Option("--pert-col", help="The column of obs that holds the perturbations, in FILE.")
]
NtcNameOption = Annotated[str, typer.Option("--ntc-name", help="What control cells are labelled, in FILE.")]
NOT_COMPARED = "; genes and perturbations were not compared with those due: give "
RULE_SETS = "course, vcc2025, vcc2025-final or vcc2026"
CZ_K562 = "cz-k562"
LEVELS = {"error": "red", "warning": "yellow", "note": "cyan"}


def requirements_due(
    course: Path | None, genes: Path | None, perts: Path | None, truth: Path | None, year: int | None
) -> "Requirements | None":
    """Say what is due, as far as the options tell."""
    from starter.prediction.requirements import requirements_of_course, requirements_of_lists
    from starter.prediction.season import SEASON_2026

    if sum(map(bool, (course, genes or perts, truth))) > 1:
        msg = "give one of --course, --truth, or --genes and --perts together"
        raise InputError(msg)
    if truth:
        from starter.scoring.truth.opened import open_truth
        from starter.scoring.truth.requirements import requirements_of_truth

        return requirements_of_truth(open_truth(truth))
    if genes and perts:
        return requirements_of_lists(genes, perts)
    if genes or perts:
        msg = "--genes and --perts go together: give both lists"
        raise InputError(msg)
    if year == SEASON_2026.year:
        if course:
            msg = f"a course asks for log1p expression, season {year} for counts; give --genes and --perts"
            raise InputError(msg)
        return None
    folder = course or os.environ.get(COURSE_VARIABLE)
    return requirements_of_course(folder) if folder else None


def not_compared(required: "Requirements | None", year: int | None) -> str:
    """Say how the lists of what is due could have been compared, where they were not."""
    from starter.prediction.season import SEASON_2026

    options = "--genes and --perts"
    if year != SEASON_2026.year:
        options = f"--course, --truth, or {options}"
    return f"{NOT_COMPARED}{options}" if required is None else ""
