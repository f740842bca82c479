"""Whether a screen and its split can carry a course: leaks, what is too weak or too little, what is missing."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path

import anndata
import numpy as np

from autograder.course import Course
from autograder.folders import SOLUTIONS
from starter.data.split import Split
from starter.data.targets import is_control
from starter.errors import Finding, counted, listed
from starter.schema import (
    BATCH,
    CONTEXT,
    COURSE,
    DOSE,
    GUIDE,
    PERTURBATION,
    PERTURBATION_KIND,
    TARGET_GENE,
)
from starter.scoring.metrics.rule_sets import RULE_SETS
from starter.scoring.truth.opened import Truth
from starter.scoring.truth.replicate import clearly_better
from starter.statistics.intervals import FEWEST

RULES = "course"
"""The rule set by which a course grades."""
SURE_GUIDE = re.compile(r"(.+)_(?:g|sg|guide|gRNA|sgRNA)?\d+")
"""No symbol of a gene ends so."""
LIKELY_GUIDE = re.compile(r"(.+?)(?:[-. ](?:g|sg|guide|gRNA|sgRNA)?|(?:g|sg))\d+")
"""Some do (NKX2-1), so what is before it must be a gene or a label."""
HALF = 0.5
"""Where more of the hidden perturbations change nothing, the screen is too weak."""
MAY_BE_CONTEXTS = ("cell_line", "cell_type", "celltype", "treatment", "stimulation", "condition", "donor", "donor_id")
PUBLIC = re.compile(
    r"\bGS[EM]\d+|E-MTAB-\d+|\bGEO\b|doi|\b10\.\d{4,}/|https?:|figshare|zenodo|dataverse|github|scPerturb", re.I
)
"""What a source that can be downloaded is called by."""
NOT_STATED = ("", "not stated")
OF_CELLS = {GUIDE: r"\bGUIDE\b", BATCH: r"\bBATCH\b"}
"""Columns of obs that notebooks cannot do without, and how they name them."""
PRIOR = re.compile(r"""\.priors\(["'](.+?)["']\)""")


def find_leaks(split: Split, genes: Iterable[str]) -> dict[str, dict[str, str]]:
    """Find labels that mean one perturbation, such as guides of one gene, and stand in several parts of a split.

    Parameters
    ----------
    split
        The split.
    genes
        The genes of the screen.

    Returns
    -------
    The gene (`A+B` for doubles) to its labels, each with its part.
    """
    part_of = dict(zip(split.table.index.get_level_values(PERTURBATION), split.table["part"], strict=True))
    known = {*genes, *part_of}
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    measured = set(genes)
    for label, part in part_of.items():
        parts = {_gene_of(piece, measured, known) for piece in label.split("+") if not is_control(piece, measured)}
        found["+".join(sorted(parts)) or label][label] = part
    return {gene: labels for gene, labels in found.items() if len(set(labels.values())) > 1}


def _gene_of(piece: str, measured: set[str], known: set[str]) -> str:
    if piece in measured:
        return piece
    if sure := SURE_GUIDE.fullmatch(piece):
        return sure[1]
    likely = LIKELY_GUIDE.fullmatch(piece)
    return likely[1] if likely and likely[1] in known else piece


def check_split(split: Split, adata: anndata.AnnData) -> list[Finding]:
    """Check a split: an error for labels of one gene in several parts.

    Parameters
    ----------
    split, adata
        The split and its screen. Compounds have no guides.
    """
    if adata.uns.get(COURSE, {}).get(PERTURBATION_KIND) == "compound":
        return []
    leaks = find_leaks(split, adata.var_names)
    if not leaks:
        return []
    shown = [" and ".join(f"{label} ({part})" for label, part in sorted(labels.items())) for labels in leaks.values()]
    what = f"{counted(len(leaks), 'gene')} with labels in several parts of the split, so the hidden effect is known: "
    way_out = (
        "label cells by gene, with the guide in obs['guide_id'], as python -m data_scripts adopt does; or release with "
        "--allow"
    )
    return [Finding("error", what + listed(shown), way_out)]


def check_cells(adata: anndata.AnnData, course: Course, priors: Iterable[str]) -> list[Finding]:
    """Check what a screen says of its cells, and what the course's notebooks need.

    Parameters
    ----------
    adata
        The screen, described.
    course
        The course.
    priors
        Names of the files of prior knowledge.
    """
    return [*_pooled(adata), *_missing(adata, course, list(priors)), *_public(adata, course)]


def _pooled(adata: anndata.AnnData) -> list[Finding]:
    """Look for contexts and doses that are taken for one."""
    found = []
    if CONTEXT not in adata.obs:
        for column in adata.obs:
            values = sorted(set(adata.obs[column].dropna().astype(str)))
            if str(column).casefold() in MAY_BE_CONTEXTS and len(values) > 1 and column != TARGET_GENE:
                what = (
                    f"obs[{column!r}] holds {listed(values)}, and the screen has no obs[{CONTEXT!r}]: these are pooled"
                )
                found.append(
                    Finding("warning", what, "give a screen with one of them, or an effect is a mean over them")
                )
    if DOSE in adata.obs:
        doses = adata.obs.groupby(TARGET_GENE, observed=True)[DOSE].nunique()
        if several := [str(label) for label in doses.index[doses > 1]]:
            what = f"{counted(len(several), 'perturbation')} of several doses, which are pooled: {listed(several)}"
            found.append(Finding("warning", what, "give a screen with one dose each"))
    return found


def _missing(adata: anndata.AnnData, course: Course, priors: list[str]) -> list[Finding]:
    """Name the sections of the course's notebooks that need what is not there."""
    needs: defaultdict[str, list[str]] = defaultdict(list)
    for stage in course.stages:
        for section, wanted in needed_by_sections(course.root / SOLUTIONS / stage / f"{stage}.ipynb").items():
            for name in wanted:
                needs[name].append(f"{stage} {section!r}")
    found = []
    for name, sections in needs.items():
        if name in OF_CELLS:
            if name not in adata.obs:
                what = (
                    f"the screen has no obs[{name!r}], so cells of these sections are left out: {'; '.join(sections)}"
                )
                found.append(Finding("warning", what, "add the column if you have it"))
        elif not any(Path(file).match(name) for file in priors):
            what = f"[data] priors has no {name}, so cells of these sections are left out: {'; '.join(sections)}"
            found.append(Finding("warning", what, "python -m data_scripts priors makes it"))
    return found


def needed_by_sections(notebook: Path) -> dict[str, list[str]]:
    """Tell what the sections of a notebook cannot do without.

    Returns
    -------
    The heading of a section to columns of obs and patterns of files of prior knowledge; what a cell asks for before it
    takes it (`has_prior`, `if BATCH in`) is not needed.
    """
    needs: dict[str, list[str]] = {}
    section = "beginning"
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] != "code":
            heading = re.search(r"^##+ +(.+)$", source, re.MULTILINE)
            section = heading[1].strip() if heading else section
            continue
        body = "\n".join(line for line in source.splitlines() if not line.startswith(("from ", "import ")))
        wanted = [
            name for name, used in OF_CELLS.items() if re.search(used, body) and f"if {used[2:-2]} in" not in body
        ]
        wanted += [pattern for pattern in PRIOR.findall(body) if f'has_prior("{pattern}")' not in body]
        if new := [name for name in wanted if name not in needs.get(section, [])]:
            needs.setdefault(section, []).extend(new)
    return needs


def _public(adata: anndata.AnnData, course: Course) -> list[Finding]:
    """Look for a published screen whose hidden cells are graded."""
    described: Mapping = adata.uns[COURSE]
    graded = [stage for stage, settings in course.stages.items() if settings.prediction is not None]
    if bool(described["simulated"]) or not graded:
        return []
    stated = [str(described[key]) for key in ("source", "citation") if str(described[key]) not in NOT_STATED]
    marks = [text for text in stated if PUBLIC.search(text)]
    if marks:
        what = (
            f"the screen is public ({marks[0]}): whoever downloads it has the hidden cells that {listed(graded)} grades"
        )
        return [Finding("warning", what, "grade a simulated screen or cells of your own, and use this one to teach")]
    if not stated:
        return [Finding("note", "the screen does not say where it comes from; cells that are published are not hidden")]
    return []


def check_truth(truth: Truth) -> list[Finding]:
    """Check whether effects of the hidden perturbations are strong enough to be scored.

    Parameters
    ----------
    truth
        The prepared truth of the hidden part.
    """
    rules = RULE_SETS[RULES]
    context = next(iter(truth.contexts))
    names = truth.contexts[context]
    found = []
    if len(names) < FEWEST:
        what = f"{counted(len(names), 'hidden perturbation')}: scores have no interval below {FEWEST}"
        found.append(Finding("warning", what, "hide more"))
    measured = truth.measured(rules, context)
    changed = measured.de.significant().copy()
    column = {str(gene): number for number, gene in enumerate(measured.genes)}
    for row, name in enumerate(names):
        changed[row, [column[gene] for gene in name.split("+") if gene in column]] = False
    silent = [name for name, n in zip(names, changed.sum(axis=1), strict=True) if not n]
    if silent:
        share = len(silent) / len(names)
        what = (
            f"{len(silent)} of {counted(len(names), 'hidden perturbation')} ({100 * share:.0f} %) change no gene but "
            f"their own at their number of cells (DE at 5 % FDR): {listed(silent)}"
        )
        way_out = "hide stronger ones, or measure more cells" if share > HALF else ""
        found.append(Finding("warning" if share > HALF else "note", what, way_out))
    if reason := truth.no_anchors(rules, context):
        return [*found, Finding("warning", f"no metric can be graded: {reason}", "grade the notebooks alone")]
    scores = {anchor: truth.anchor_scores(rules, anchor, context) for anchor in ("baseline", "replicate")}
    metrics = [metric for metric in rules.metrics if metric.name in rules.scored]
    weak = [
        metric.name
        for metric in metrics
        if not clearly_better(metric, {anchor: np.asarray(values[metric.name]) for anchor, values in scores.items()})
    ]
    if weak:
        what = (
            f"{len(weak)} of {len(metrics)} scored metrics are not graded on this screen, since a replicate of the "
            f"experiment is not clearly better than the train mean: {', '.join(weak)}"
        )
        none_left = (
            "no prediction gets an overall score; hide stronger perturbations" if len(weak) == len(metrics) else ""
        )
        found.append(Finding("warning" if none_left else "note", what, none_left))
    return found
