"""What `starter cells` does: files are read, found to go together, and made an upload."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd

from starter.data.course import open_course
from starter.data.profiles import read_profiles
from starter.data.pseudobulk import read_profile_table
from starter.errors import Finding, InputError
from starter.prediction import baselines
from starter.prediction.cells import WAYS
from starter.prediction.controls import Controls, look_at_controls, read_controls
from starter.prediction.requirements import Requirements, requirements_of_course, requirements_of_lists
from starter.prediction.season import SEASON_2025, SEASON_2026, get_season
from starter.prediction.shrinkage import shrink
from starter.prediction.upload import cells_due, fit_to, is_packed, make_upload, write_upload
from starter.schema import CONTEXT

Baseline = Literal["train-mean", "replicate"]


@dataclass(frozen=True)
class Sources:
    """The files of which an upload is made."""

    table: Path | None = None
    """A profile table."""
    baseline: Baseline | None = None
    """What stands in for it."""
    controls: Sequence[Path] = ()
    train: Path | None = None
    perturbations: Path | None = None
    """The list of what is due."""
    genes: Path | None = None
    """The list of genes; default: those of the control cells."""
    course: Path | None = None
    """The data folder of a course, which has the control cells and says what is due."""
    spread: Path | None = None
    """Standard deviations of the table."""
    measured: Path | None = None
    """Receives the other halves of a replicate's cells."""


def upload_files(
    sources: Sources,
    out: str | Path,
    year: int = SEASON_2025.year,
    way: str = "thin",
    seed: int = 0,
    target_sum: float | None = None,
) -> list[Finding]:
    """Make an upload of files.

    Parameters
    ----------
    sources
        The files.
    out, year, way, seed
        As `starter.prediction.upload.make_upload` takes them.
    target_sum
        UMIs to which the table's values are scaled; default: what the control cells' file says, else their median.

    Returns
    -------
    Warnings and notes.

    Raises
    ------
    InputError
        If the files do not go together; nothing is written.
    """
    _check_sources(sources, year)
    is_packed(Path(out))
    if way not in WAYS:
        msg = f"there is no way {way!r} to make cells; the ways are {', '.join(WAYS)}"
        raise InputError(msg)
    if sources.baseline == "replicate":
        return _replicate(sources, out, seed)
    paths = _files_of_controls(sources)
    table = read_profile_table(sources.table) if sources.table is not None else None
    spread = read_profile_table(sources.spread) if sources.spread is not None else None
    # what is wrong is said before cells are read for minutes
    genes, contexts = look_at_controls(paths)
    required = _due(sources, genes)
    cells_due(required, get_season(year))
    if table is not None:
        fit_to(table, genes, contexts, required, get_season(year))
    controls, target = read_controls(paths, target_sum)
    done = [Finding("note", f"cells are scaled to {target:,.10g} UMIs, as the profile table must be")]
    if table is None:
        table, taken = _train_mean(sources, controls, required, target)
        done += taken
    if spread is not None:
        profiles = {context: own.profile for context, own in controls.items()}
        table, taken = shrink(_as_controls(table, controls), _as_controls(spread, controls), profiles)
        done += taken
    return [*done, *make_upload(table, out, controls, required, year, way, seed)]


def _files_of_controls(sources: Sources) -> list[Path]:
    """Say which files have the control cells."""
    if sources.controls:
        return list(sources.controls)
    if sources.course is not None:
        return [open_course(sources.course).train_path]
    if sources.train is not None:
        return [sources.train]
    msg = "cells are made from control cells: give the file that has them with --controls, or a course with --course"
    raise InputError(msg)


def _check_sources(sources: Sources, year: int) -> None:
    """Refuse what cannot be meant, before anything is read."""
    if (sources.table is None) == (sources.baseline is None):
        msg = "give a profile table (parquet), or --baseline for one that stands in; one of them"
        raise InputError(msg)
    if sources.baseline is not None and sources.train is None:
        msg = f"--baseline {sources.baseline} is made of the training cells; give their file with --train"
        raise InputError(msg)
    if sources.baseline is None and sources.train is not None:
        msg = "--train is for --baseline; leave it out, or give the file with the control cells as --controls"
        raise InputError(msg)
    if sources.spread is not None and sources.baseline is not None:
        msg = "--spread is that of a profile table; leave it out with --baseline"
        raise InputError(msg)
    if sources.course is not None and (sources.perturbations or sources.genes):
        msg = "--course says what is due; leave out --perts and --genes"
        raise InputError(msg)
    if sources.measured is not None and sources.baseline != "replicate":
        msg = "--measured receives the other half of a replicate's cells; it is for --baseline replicate"
        raise InputError(msg)
    if get_season(year) == SEASON_2026 and sources.course is not None:
        msg = f"a course asks for log1p expression, season {year} for counts; give --controls and --perts"
        raise InputError(msg)
    if get_season(year) == SEASON_2026 and sources.baseline == "replicate":
        msg = f"the contexts of season {year} are not measured, so there is no replicate; give --baseline train-mean"
        raise InputError(msg)


def _due(sources: Sources, genes: Sequence[str]) -> Requirements:
    """Say what is due; the genes of the control cells, if no list says others."""
    if sources.course is not None:
        return requirements_of_course(sources.course)
    if sources.perturbations is None:
        msg = "give the list of the perturbations due and their cells with --perts, such as pert_counts.csv"
        raise InputError(msg)
    return requirements_of_lists(sources.genes or genes, sources.perturbations)


def _as_controls(table: pd.DataFrame, controls: Mapping[str, Controls]) -> pd.DataFrame:
    """Put genes in the order of the control cells, and name a single context alike."""
    genes = next(iter(controls.values())).genes
    if genes is not None and set(genes) == set(table.columns):
        table = table[list(genes)]
    present = set(table.index.get_level_values(CONTEXT))
    if len(controls) == len(present) == 1:
        return table.rename(index=dict.fromkeys(present, next(iter(controls))), level=CONTEXT)
    return table


def _train_mean(
    sources: Sources, controls: Mapping[str, Controls], required: Requirements, target: float
) -> tuple[pd.DataFrame, list[Finding]]:
    assert sources.train is not None
    measured = read_profiles(sources.train, target_sum=target)
    contexts = list(required.contexts or controls)
    profiles = pd.DataFrame({name: controls[name].profile for name in contexts}, measured.table.columns).T
    return baselines.train_mean(measured, profiles, list(required.n_cells))


def _replicate(sources: Sources, out: str | Path, seed: int) -> list[Finding]:
    assert sources.train is not None
    with baselines.replicate(sources.train, seed) as (batch, required, other):
        done = write_upload(out, batch, required, SEASON_2025)
    if sources.measured is not None:
        done.append(baselines.write_cells(sources.train, other, sources.measured))
    return done
