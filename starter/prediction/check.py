"""Everything that is wrong with a prediction file or upload, found in one pass and reported at once."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from starter.data.h5ad import open_h5ad, unreadable
from starter.data.scan import Scan, sample, scan_upload
from starter.data.targets import check_control, compare_targets, how_genes_differ, like_control, measured_targets
from starter.errors import Finding, FindingsError, InputError, listed
from starter.prediction import season_2025, season_2026
from starter.prediction.content import Content, Naming, content_of
from starter.prediction.requirements import Requirements
from starter.prediction.season import CELLS_BEFORE, COURSE_CELLS, META, SEASON_2025, SEASON_2026, Season, get_season
from starter.prediction.sidecar import check_meta
from starter.prediction.values import check_empty, check_numbers
from starter.prediction.vcc import read_sidecar, season_of, unpacked
from starter.schema import CONTEXT, CONTROL, TARGET_GENE

JUDGED = 50
"""Cells of each label whose scale is judged; of the controls all are."""
OUT_OF_ORDER = "the genes are those due, but in another order"


def check_prediction(
    path: str | Path, required: Requirements | None = None, year: int | None = None, naming: Naming | None = None
) -> list[Finding]:
    """Check a prediction file or upload, and report everything at once.

    Parameters
    ----------
    path
        `.h5ad` or `.vcc`.
    required
        What it must hold; without it, only what holds of any prediction is checked.
    year
        The season of the challenge. An upload tells its own; a file is of 2025, as a course's are, if nothing is said.
    naming
        What it calls the perturbations and the control cells, if not as the kit does.

    Returns
    -------
    Errors (scoring refuses or misjudges the file), warnings and notes.

    Raises
    ------
    InputError
        If there is no such file, or no such season.
    """
    asked, found = get_season(year) if year else None, season_of(path)
    season = found or asked or SEASON_2025
    findings = []
    if found and asked and found != asked:
        what = f"it is an upload of season {found.year} (it holds {found.sidecar}), not of {asked.year}"
        findings.append(Finding("error", what, f"give --season {found.year}, or pack the prediction of {asked.year}"))
    try:
        with unpacked(path, len(required.genes) if required else None) as file:
            try:
                with open_h5ad(file) as opened:
                    sidecar = read_sidecar(path, found) if found else None
                    content = content_of(opened, naming or Naming(), controls=season == SEASON_2025)
                    return [*findings, *check_content(content, required, season, sidecar).findings]
            except Exception as error:  # whatever is in somebody's file
                known = error if isinstance(error, InputError) else unreadable(str(file), error)
                if not isinstance(known, InputError):
                    raise
                return [*findings, Finding("error", str(known).replace(str(file), str(path)))]
    except FindingsError as error:
        return [*findings, *error.findings]


class Checked(NamedTuple):
    """What a check found in a prediction."""

    findings: list[Finding]
    scan: Scan | None
    """What its values are, unless they cannot be read."""


def check_content(
    content: Content, required: Requirements | None, season: Season, sidecar: bytes | None = None
) -> Checked:
    """Check what a prediction holds.

    Parameters
    ----------
    content
        What it holds.
    required
        What it must hold, if known.
    season
        Whose rules it must keep.
    sidecar
        The small file beside it, if it is in an upload.
    """
    obs = content.obs
    of_season = season_2026 if season == SEASON_2026 else season_2025
    findings = [*_check_season(obs, season), *_check_genes(content.var, required), *_check_columns(obs, season)]
    labels = obs[[column for column in season.columns if column in obs]]
    if TARGET_GENE in labels:
        findings.extend(of_season.check_labels(labels.dropna().astype(str), required))
        findings.extend(_check_targets(labels[TARGET_GENE].dropna().astype(str), content.var, required))
    extra = [f"obs.{column}" for column in obs.columns if column not in season.columns] + content.left_out
    if extra:
        findings.append(Finding("note", f"{listed(extra)} will not be scored", "starter pack leaves them out"))
    findings.extend(_check_size(len(obs), required, season))
    if content.fault:
        return Checked([*findings, content.fault], None)
    cells = pd.DataFrame(
        {column: labels[column].astype(str).to_numpy() if column in labels else "" for column in season.columns},
        index=range(len(obs)),
    )
    names = cells[TARGET_GENE].to_numpy(str)
    scan = scan_upload(content.cells, (names == CONTROL) | sample(pd.factorize(names)[0], JUDGED, JUDGED))
    findings.extend(check_numbers(scan))
    findings.extend(of_season.check_values(scan, required, names))
    strict = season == SEASON_2026 or (required is not None and required.of_course)
    findings.extend(check_empty(scan, cells, "error" if strict else "warning"))
    if sidecar is not None and season.sidecar == META:
        findings.extend(
            check_meta(sidecar, len(obs), len(content.genes), scan.n_stored, sorted(set(cells[CONTEXT])), required)
        )
    return Checked(findings, scan)


def _check_size(n_cells: int, required: Requirements | None, season: Season) -> list[Finding]:
    limit = min(season.max_cells, COURSE_CELLS) if required is not None and required.of_course else season.max_cells
    if n_cells > limit:
        what = f"it has {n_cells:,} cells; the limit is {limit:,}"
        return [Finding("error", what, "write fewer cells of each label")]
    if season == SEASON_2025 and n_cells > CELLS_BEFORE:
        what = f"it has {n_cells:,} cells, more than the {CELLS_BEFORE:,} that cell-eval prep took up to version 0.6.2"
        return [Finding("note", what, f"version 0.8.2 takes {limit:,}")]
    return []


def _check_season(obs: pd.DataFrame, season: Season) -> list[Finding]:
    """Say if the labels are those of another season, since every other fault follows from that."""
    control = TARGET_GENE in obs and (obs[TARGET_GENE].astype(str) == CONTROL).any()
    contexts = CONTEXT in obs and any(set(obs[CONTEXT].astype(str)) == set(phase) for phase in season_2026.PHASES)
    looks = SEASON_2026 if contexts and not control else SEASON_2025 if control and CONTEXT not in obs else season
    if looks == season:
        return []
    signs = "contexts and no control cells" if looks == SEASON_2026 else "control cells and no contexts"
    what = f"it has {signs}, as season {looks.year} asks, and was checked for season {season.year}"
    return [Finding("error", what, f"give --season {looks.year}")]


def _check_columns(obs: pd.DataFrame, season: Season) -> list[Finding]:
    findings = []
    for column, holds in zip(season.columns, ("perturbations", "contexts"), strict=False):
        if column not in obs:
            what = f"obs has no column {column!r}; its columns are {listed(obs.columns) or 'none'}"
            option = ", or give its name with --pert-col" if column == TARGET_GENE else ""
            findings.append(Finding("error", what, f"name the column of {holds} {column!r}{option}"))
        elif missing := int(obs[column].isna().sum()):
            findings.append(Finding("error", f"cells without {column}: {missing:,}", "label every cell"))
    return findings


def _check_targets(labels: pd.Series, var: pd.DataFrame, required: Requirements | None) -> list[Finding]:
    """Compare labels with genes, and say how many targets are measured if some are not."""
    findings = [
        finding for finding in check_control(labels.value_counts().to_dict(), var.index.astype(str), needed=False)
    ]
    present = [label for label in labels.unique() if not like_control(label, var.index.astype(str))]
    # what is due was chosen with the genes; labels that are due are right, whatever they look like
    odd = present if required is None else [label for label in present if label not in required.n_cells]
    findings += compare_targets(odd, var, of_course=required is not None)
    if required is not None:
        measured = measured_targets(required.n_cells, required.genes)
        if meant := compare_targets(required.n_cells, pd.DataFrame(index=list(required.genes)), of_course=True):
            findings += [
                Finding("error", f"in the lists of what is due, {meant[0].what}", "see whether both name genes alike")
            ]
    else:
        measured = measured_targets(present, var.index.astype(str))
    if measured.missing and not any(finding.level == "error" for finding in findings):
        findings.append(
            Finding("note", str(measured), "scores that leave out a target's own gene leave out none there")
        )
    return findings


def _check_genes(var: pd.DataFrame, required: Requirements | None) -> list[Finding]:
    findings = []
    genes = var.index.astype(str)
    if not genes.is_unique:
        twice = genes[genes.duplicated()].unique()
        findings.append(Finding("error", f"genes occur twice: {listed(twice)}", "each gene is one column"))
    if required is None:
        return findings
    expected = pd.Index(required.genes)
    missing, extra = expected.difference(genes, sort=False), genes.difference(expected, sort=False)
    meant = how_genes_differ(expected, var)
    if len(missing):
        what = f"genes missing: {len(missing):,} ({listed(missing)})"
        findings.append(Finding("error", what, meant or "predict every gene"))
    if len(extra):
        what = f"genes that are not due: {len(extra):,} ({listed(extra)})"
        way_out = "the same" if meant else "leave them out, or check whether symbols and ids are mixed"
        findings.append(Finding("error", what, way_out))
    if not len(missing) and not len(extra) and genes.is_unique and list(genes) != list(expected):
        findings.append(Finding("error", OUT_OF_ORDER, "starter pack reorders them; or index with the genes due"))
    return findings
