"""Perturbation labels compared with the genes of a file: which targets are measured, and how others may be meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, NamedTuple

from starter.errors import Finding, counted, listed
from starter.schema import CONTROL, TARGET_GENE

if TYPE_CHECKING:
    # every command line imports this module: it must stay quick
    import pandas as pd

ENSEMBL = re.compile(r"ENS[A-Z]*G\d{11}(\.\d+)?", re.IGNORECASE)
"""An Ensembl gene id, with or without its version."""
SYMBOL_COLUMNS = ("gene_symbols", "gene_symbol", "gene_names", "gene_name", "feature_name", "symbol", "gene_short_name",
                  "hgnc_symbol", "gene", "name")  # fmt: skip
"""Columns of `var` that usually hold gene symbols, the likeliest first."""
CONTROLS = {"ctrl", "control", "controls", "nt", "ntc", "ntcontrol", "ntctrl", "nontargeting", "nontarget",
            "nontargeted", "nontargetingcontrol", "nontargetingctrl", "nontargetcontrol", "nontargetctrl",
            "nontargetinggrna", "nontargetingsgrna", "negctrl", "negcontrol", "negativecontrol",
            "negativectrl"}  # fmt: skip
"""How a non-targeting control is spelled elsewhere, in small letters and without signs and numbers."""
OTHER_CONTROLS = {"neg", "negative", "scramble", "scrambled", "scr", "safetargeting", "safeharbor", "unperturbed",
                  "unt", "untreated", "dmso", "vehicle", "wt", "wildtype", "mock", "empty", "none"}  # fmt: skip
"""What may be meant as the control where nothing else is."""
GUIDE_NUMBER = re.compile(r"(?<=\w)[-._ ]?(g|sg|guide|gRNA|sgRNA)?[-._ ]?\d+$")
"""How guides of one gene are told apart: STAT1_2, STAT1g2."""
MODALITY = re.compile(r"[-._ ](KO|KD|OE|i|a|CRISPRi|CRISPRa)$")
"""How a gene was perturbed, behind its symbol."""
PART_OF_COURSE = 20
"""Of a part of a course, which has few targets, a panel of genes may hold none; not of as many."""


class Measured(NamedTuple):
    """How many targets are among the genes of a file."""

    n: int
    missing: tuple[str, ...]
    """Targets that are not."""

    def __str__(self) -> str:
        """Say it in one clause."""
        said = f"{self.n - len(self.missing):,} of {counted(self.n, 'target')} are measured"
        return f"{said} (not {listed(self.missing)})" if self.missing else said


def measured_targets(labels: Iterable[str], genes: Iterable[str]) -> Measured:
    """Tell how many of the targeted genes are among the genes of a file.

    Parameters
    ----------
    labels
        Perturbations: a gene, or `A+B` for doubles. The control's label is none.
    genes
        The genes of the file.
    """
    known = set(genes)
    targets = _targets(labels)
    return Measured(len(targets), tuple(target for target in targets if target not in known))


def like_control(label: str, genes: Iterable[str] = (), *, loosely: bool = False) -> bool:
    """Tell whether a label is a spelling of the non-targeting control that other tools use.

    Parameters
    ----------
    label
        The label, such as `ctrl`, `NT_3` or `non_targeting`.
    genes
        Symbols that are no control, whatever they look like (CTRL is a gene).
    loosely
        Whether a word such as `untreated` counts too.
    """
    if label in set(genes):
        return False
    words = CONTROLS | OTHER_CONTROLS if loosely else CONTROLS
    parts = [re.sub(r"[\W_\d]", "", re.sub(r"(?<=\w)(g|sg)\d+$", "", part)).casefold() for part in label.split("_")]
    return "".join(parts) in words or all(part in words for part in parts)  # also NegCtrl0_NegCtrl0


def check_control(counts: Mapping[str, int], genes: Iterable[str], *, needed: bool = True) -> list[Finding]:
    """Look for the control cells, under any name.

    Parameters
    ----------
    counts
        Cells of each label.
    genes
        The genes of the file.
    needed
        Whether there must be control cells.

    Returns
    -------
    What is wrong, in at most one finding.
    """
    there, genes = CONTROL in counts, set(genes)
    like = [
        label
        for label in counts
        if label != CONTROL and "+" not in label and like_control(label, genes, loosely=needed and not there)
    ]
    if like:
        named = listed([f"{label!r} ({counted(counts[label], 'cell')})" for label in sorted(like)])
        what = f"{named} {'looks' if len(like) == 1 else 'look'} like the control, whose label is {CONTROL!r}"
        new = ", ".join(f"{label!r}: {CONTROL!r}" for label in sorted(like)[:2]) + (", ..." if len(like) > 2 else "")
        way_out = _relabelled(f".astype(str).replace({{{new}}})")
        return [Finding("error", what if there or not needed else f"no cell is labelled {CONTROL!r}; {what}", way_out)]
    if there or not needed:
        return []
    what = f"no cell is labelled {CONTROL!r}; the labels are {listed(sorted(counts)) or 'none'}"
    return [Finding("error", what, f"label the control cells {CONTROL!r}")]


def compare_targets(labels: Iterable[str], var: pd.DataFrame, *, of_course: bool = False) -> list[Finding]:
    """Compare labels with genes, since a target that is not found among them stays in its own scores.

    Parameters
    ----------
    labels
        Perturbations.
    var
        What describes the genes; its index names them.
    of_course
        Whether this may be a part of a course's screen, whose labels were compared with the genes as a whole.

    Returns
    -------
    An error for each way in which targets are written otherwise than the genes, with the way out; and one where no
    target is among the genes. Targets that are not measured are no fault.
    """
    genes = var.index.astype(str)
    targets, missing = measured_targets(labels, genes)
    if not targets or not missing:
        return []
    findings, left = [], list(missing)
    for reading in _readings(left, var):
        meant = {target: gene for target in left if (gene := reading.gene_of(target)) and gene != target}
        if not meant or (reading.loose and len(meant) <= len(missing) / 2):
            continue
        left = [target for target in left if target not in meant]
        examples = listed([f"{target!r} is {gene}" for target, gene in meant.items()])
        what = f"{len(meant):,} of {counted(targets, 'target')} {reading.what}: {examples}"
        findings.append(Finding("error", what, reading.way_out(next(iter(meant.items())))))
    few = targets < PART_OF_COURSE and of_course
    if not findings and len(missing) == targets and not few:
        what = (
            f"none of the {counted(targets, 'target')} ({listed(missing)}) is among the genes ({listed(genes)}), so "
            "scores that leave out a target's own gene would keep it"
        )
        findings.append(Finding("error", what, "name perturbations and genes alike, by gene symbols"))
    return findings


def symbol_column(var: pd.DataFrame, wanted: Iterable[str] = ()) -> str | None:
    """Find the column of `var` that holds gene symbols.

    Parameters
    ----------
    var
        What describes the genes.
    wanted
        Symbols that must be in it, most of them; without any, the usual names of such a column decide.
    """
    wanted = set(wanted)
    columns = {str(column): var[column].astype(str) for column in var if var[column].dtype.kind not in "biufc"}
    if wanted:
        shares = {name: len(wanted & set(values)) / len(wanted) for name, values in columns.items()}
        best = max(shares, key=lambda name: shares[name], default=None)
        return best if best is not None and shares[best] > 0.5 else None
    by_name = {name.casefold(): name for name in reversed(list(columns))}
    return next((by_name[name] for name in SYMBOL_COLUMNS if name in by_name), None)


def are_ensembl(names: Iterable[str]) -> bool:
    """Tell whether most names are Ensembl ids."""
    hits = [bool(ENSEMBL.fullmatch(name)) for name in names]
    return bool(hits) and sum(hits) > len(hits) / 2


def how_genes_differ(due: Iterable[str], var: pd.DataFrame) -> str:
    """Say how genes that are due hide in a file under other names, and the way out; nothing if they do not.

    Parameters
    ----------
    due
        The genes due.
    var
        What describes the genes of the file; its index names them.
    """
    due = list(due)
    genes = list(var.index.astype(str))
    missing = set(due) - set(genes)
    if not missing:
        return ""
    if (column := symbol_column(var, missing)) is not None:
        return f"var[{column!r}] holds the names that are due: {_renamed(column)}"
    if len(missing & {without_version(gene) for gene in genes}) > len(missing) / 2:
        return "the file's genes carry version numbers: adata.var_names = adata.var_names.str.split('.').str[0]"
    if len({without_version(gene) for gene in missing} & set(genes)) > len(missing) / 2:
        return "the genes due carry version numbers, and the file's do not"
    if len({gene.casefold() for gene in missing} & {gene.casefold() for gene in genes}) > len(missing) / 2:
        return "they differ in capital and small letters: write the genes as they are due"
    if are_ensembl(genes) and not are_ensembl(due):
        return "the file names genes by Ensembl ids, and those due are symbols: put symbols in the index of var"
    if are_ensembl(due) and not are_ensembl(genes):
        return "the file names genes by symbols, and those due are Ensembl ids: put those ids in the index of var"
    return ""


class _Reading(NamedTuple):
    """One way in which a target may stand for a gene."""

    what: str
    gene_of: Callable[[str], str | None]
    """The gene that a target means, if it means one in this way."""
    way_out: Callable[[tuple[str, str]], str]
    """What to do, given an example: a target and its gene."""
    loose: bool = False
    """Whether single hits may be chance."""


def _readings(missing: list[str], var: pd.DataFrame) -> Iterator[_Reading]:
    """Give the ways to understand targets that are not among the genes, the surest first."""
    names = list(var.index.astype(str))
    genes = set(names)
    with_controls = re.compile("|".join(rf"^{re.escape(c)}\+|\+{re.escape(c)}$" for c in _control_parts(missing)))

    def without_control(target: str) -> str | None:
        parts = [part for part in target.split("+") if not is_control(part, genes)]
        return "+".join(parts) if len(parts) < target.count("+") + 1 and parts else None

    yield _Reading(
        "carry the control's label beside the gene",
        without_control,
        lambda _: _relabelled(f".str.replace({with_controls.pattern!r}, '', regex=True)"),
    )
    if (column := symbol_column(var, missing)) is not None:
        by_column = dict(zip(var[column].astype(str), names, strict=True))
        if are_ensembl(missing):
            of = f".astype(str).replace(dict(zip(adata.var[{column!r}].astype(str), adata.var_names)))"
            yield _Reading(f"are named as in var[{column!r}]", by_column.get, lambda _: _relabelled(of))
        else:
            yield _Reading(
                f"are named as in var[{column!r}], not as the genes are", by_column.get, lambda _: _renamed(column)
            )
    bare = {without_version(name): name for name in names}
    strip = ".str.split('.').str[0]"
    yield _Reading(
        "are Ensembl ids of another version than the genes'",
        lambda target: bare.get(without_version(target)) if ENSEMBL.fullmatch(target) else None,
        lambda _: f"leave the versions out: adata.var_names = adata.var_names{strip}, and {_relabelled(strip)}",
    )
    by_case = {name.casefold(): name for name in names}
    yield _Reading(
        "are written in another case than the genes",
        lambda target: by_case.get(target.casefold()),
        lambda pair: f"write the labels as the genes are written, {pair[1]!r} for {pair[0]!r}",
    )

    def without_text(target: str) -> str | None:
        parts = [_gene_in(part, genes) for part in target.split("+")]
        return "+".join(filter(None, parts)) if all(parts) else None

    yield _Reading(
        "hold more than a gene symbol, or doubles not written A+B",
        without_text,
        lambda pair: f"the label of a cell is the symbol of its gene, A+B for doubles: {pair[1]!r} for {pair[0]!r}",
        loose=True,
    )
    by_loose = {re.sub(r"[\W_]", "", name).casefold(): name for name in names}
    yield _Reading(
        "are written with other signs than the genes",
        lambda target: by_loose.get(re.sub(r"[\W_]", "", target).casefold()),
        lambda pair: f"write the labels as the genes are written, {pair[1]!r} for {pair[0]!r}",
        loose=True,
    )


def _gene_in(part: str, genes: set[str]) -> str | None:
    """Find the gene, or the genes, in a label that holds more: a guide's number, a vector, a transcript."""
    if part in genes:
        return part
    found = [token for token in re.split(r"[\s_|:;,/&()]+", part) if token in genes]
    if found:
        return "+".join(dict.fromkeys(found))
    starts = (part, re.sub(r"^(sg|sh|si|g)[-._ ]?", "", part))
    ends = (GUIDE_NUMBER, MODALITY)
    return next((bare for start in starts for end in ends if (bare := end.sub("", start)) in genes), None)


def _targets(labels: Iterable[str]) -> list[str]:
    """Give the targeted genes, sorted: the parts of the labels; a label with a control in it stays whole."""
    targets: set[str] = set()
    for label in labels:
        if label == CONTROL:
            continue
        parts = label.split("+")
        # a double of a gene and a control is one target, and none that any gene is named after
        targets.update([label] if len(parts) > 1 and any(is_control(part, ()) for part in parts) else parts)
    return sorted(targets)


def _control_parts(targets: list[str]) -> list[str]:
    return sorted({part for target in targets for part in target.split("+") if is_control(part, ())})


def is_control(part: str, genes: Iterable[str]) -> bool:
    """Tell whether a label, or a part of one, is the control, by that name or as other tools spell it."""
    # CTRL, in capitals, is a gene
    return part == CONTROL or (part != "CTRL" and like_control(part, genes))


def without_version(name: str) -> str:
    """Leave out the version of an Ensembl id; other names stay as they are."""
    return name.partition(".")[0] if ENSEMBL.fullmatch(name) else name


def _renamed(column: str) -> str:
    return f"adata.var_names = adata.var[{column!r}].astype(str), then adata.var_names_make_unique()"


def _relabelled(change: str) -> str:
    column = f"adata.obs[{TARGET_GENE!r}]"
    return f"{column} = {column}{change}.astype('category')"
