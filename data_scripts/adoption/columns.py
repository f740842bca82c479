"""Which column of obs may be what: by its name, as the field calls it, and by what it holds."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np
import pandas as pd

from data_scripts.adoption.cells import text_of
from data_scripts.adoption.genes import Genes
from data_scripts.adoption.labels import GUIDE_PART, Meaning, read_labels
from data_scripts.adoption.layout import Layout
from starter.data.rules import unusable_totals
from starter.data.targets import are_ensembl, is_control, like_control
from starter.schema import CONTROL

TARGETS = ("target_gene", "perturbation", "gene_target", "perturbed_gene", "target", "gene", "condition", "pert",
           "perturbation_name", "gene_id", "gene_name", "genes", "sm_name", "product_name", "compound", "drug",
           "drugname", "cytokine", "treatment")  # fmt: skip
COMPOUNDS = ("sm_name", "product_name", "compound", "drug", "drugname", "cytokine", "treatment")
GUIDES = ("guide_id", "guide", "guides", "guide_identity", "sgRNA", "sgID_AB", "sgID", "gRNA", "feature_call",
          "grna_id", "protospacer", "sgrna_id", "guide_name")  # fmt: skip
BATCHES = ("batch", "gem_group", "gemgroup", "lane", "channel", "replicate", "bio_rep", "biorep", "library", "plate",
           "sample", "sample_id", "donor", "donor_id", "orig.ident")  # fmt: skip
CONTEXTS = ("context", "cell_line", "cell_type", "celltype", "cell_name", "perturbation_2", "stimulation", "treatment",
            "condition", "timepoint", "time")  # fmt: skip
TOTALS = ("n_umis", "n_umis_total", "ncounts", "n_counts", "nCount_RNA", "total_counts", "UMI_count", "umi_counts",
          "total_umis", "total_umi", "nUMI", "n_umi", "n.umi")  # fmt: skip
MITO = ("percent_mito", "percent.mt", "percent_mt", "pct_counts_mt", "pct_counts_mito", "mitopercent", "mito_percent",
        "p_mito", "pct_mito", "mito_frac", "fraction_mito")  # fmt: skip
DOSE_UNITS = ("dose_unit", "dose_units")
DOSES = ("dose_value", "dose", "dose_val", "concentration", "dose_um", "dose_nm")
LEFT_OUT = ("unassigned", "ambiguous", "multiplet", "multiple", "multi", "doublet", "unknown", "*", "negative")
"""Labels of cells in which no perturbation, or more than one, was found."""
SEPARATORS = ("_", ",", "|", ";", "&", "--", ":", "/")
"""What may stand between the genes of a double."""
CONTROL_PATTERNS = ("*_SITE_*", "*(mod)*")
"""Families of control labels that are no spelling of a control."""
VEHICLES = ("dimethyl sulfoxide", "dmso_tf", "pbs")
"""Controls of compound screens that are no word for a control."""
CELLS_PER_BATCH = 50
MOST_CONTEXTS = 50
ONE_TARGET = 0.95
"""At least this share of the cells of a guide has one target."""
MICROMOLAR = {"um", "\N{MICRO SIGN}m", "\N{GREEK SMALL LETTER MU}m", "micromolar"}
ALL_BUT_A_FEW = 0.99
NANOMOLAR = 100
"""No dose in uM is higher."""


class Column(NamedTuple):
    """A column of labels, read as perturbations."""

    name: str
    layout: Layout
    """With the column as target, and the separator of its doubles."""
    meanings: Mapping[str, Meaning]
    cells: Mapping[str, int]
    """Cells of each label."""
    known: float
    """Share of the labels beside the control whose genes are all known."""
    score: float


def named(obs: pd.DataFrame, names: Sequence[str]) -> list[str]:
    """Find columns by usual names, the usual ones first; small letters and signs do not matter."""
    by_name = {_plain(str(column)): str(column) for column in reversed(list(obs.columns))}
    return list(dict.fromkeys(by_name[_plain(name)] for name in names if _plain(name) in by_name))


def _plain(name: str) -> str:
    return re.sub(r"[\W_]", "", name).casefold()


def read_targets(obs: pd.DataFrame, base: Layout, genes: Genes) -> list[Column]:
    """Read every column of labels as perturbations, the likeliest first.

    Parameters
    ----------
    obs
        What describes the cells.
    base
        What is said already of controls, separator, kind.
    genes
        The genes of the file.
    """
    rank = {column: number for number, column in enumerate(named(obs, TARGETS))}
    elsewhere = set(named(obs, [*GUIDES, *CONTEXTS])) - set(rank)
    found = []
    for name in map(str, obs.columns):
        if obs[name].dtype.kind in "bfc" or (obs[name].dtype.kind in "iu" and name not in rank):
            continue
        cells = text_of(obs[name]).value_counts()
        if 2 <= len(cells) <= max(2, len(obs) // 2):
            column = read_target(name, cells, base, genes)
            by_name = 1 - rank[name] / len(TARGETS) if name in rank else 0
            has_control = any(meaning.target == CONTROL for meaning in column.meanings.values())
            has_control = has_control or bool(control_of(column, genes))
            score = 2 * has_control + 2 * column.known + by_name - (name in elsewhere) - column.layout.target_ids
            found.append(column._replace(score=score))
    return sorted(found, key=lambda column: -column.score)


def read_target(name: str, cells: pd.Series, base: Layout, genes: Genes) -> Column:
    """Read one column of labels as perturbations.

    Parameters
    ----------
    name
        The column.
    cells
        Cells of each label.
    base, genes
        As for `read_targets`.
    """
    labels = [str(label) for label in cells.index]
    separator = base.separator or separator_of(labels, genes)
    ids = are_ensembl(part for label in labels for part in label.split("+") if not is_control(part, ()))
    layout = replace(base, target=name, separator=separator, target_ids=base.target_ids or ids)
    meanings = read_labels(labels, layout, genes)
    targets = [meaning.target for meaning in meanings.values() if meaning.target not in (None, CONTROL)]
    known = [all(genes.is_known(part) for part in str(target).split("+")) for target in targets]
    share = float(np.mean(known)) if known else 0.0
    return Column(name, layout, meanings, {str(label): int(n) for label, n in cells.items()}, share, 0.0)


def separator_of(labels: list[str], genes: Genes) -> str | None:
    """Tell what stands between the genes of doubles, beside `+`: most labels with it are cut into known genes by it.

    A gene is known that is measured, that a table of names has, or that is a label by itself.
    """
    alone = set(labels)

    def is_gene(part: str) -> bool:
        return part in alone or genes.is_known(part) or like_control(part)

    hits: Counter[str] = Counter()
    for separator in SEPARATORS:
        cut = [label.split(separator) for label in labels if separator in label and not genes.is_known(label)]
        cut = [[part for part in parts if not GUIDE_PART.fullmatch(part)] for parts in cut]
        cut = [parts for parts in cut if len(parts) > 1]
        doubles = sum(all(map(is_gene, parts)) and not all(map(like_control, parts)) for parts in cut)
        if doubles > len(cut) / 2:
            hits[separator] = doubles
    return hits.most_common(1)[0][0] if hits else None


def control_of(column: Column, genes: Genes) -> tuple[str, ...]:
    """Find control labels that are no usual spelling: a family of them, or a word such as `untreated`."""
    labels = [label for label, meaning in column.meanings.items() if meaning.target is not None]
    for pattern in CONTROL_PATTERNS:
        layout = replace(column.layout, control=(pattern,))
        if any(meaning.target == CONTROL for meaning in read_labels(labels, layout, genes).values()):
            return (pattern,)
    return tuple(
        label for label in labels if label.casefold() in VEHICLES or like_control(label, genes.by_name, loosely=True)
    )


def left_out_of(column: Column, genes: Genes) -> tuple[str, ...]:
    """Find labels of cells in which no perturbation, or several, were found."""
    odd = [label for label in column.cells if label.casefold() in LEFT_OUT and genes.measured(label) is None]
    return tuple("[*]" if label == "*" else label for label in odd)


def guide_of(obs: pd.DataFrame, target: pd.Series) -> str | None:
    """Find the column of guides: one with a usual name whose guides have one target each, and more than targets."""
    for name in named(obs, GUIDES):
        guides = text_of(obs[name])
        if guides.nunique() > target.nunique() and _tells(guides, target):
            return name
    return None


def _tells(labels: pd.Series, target: pd.Series) -> bool:
    """Tell whether nearly all cells of a label have one target."""
    table = pd.DataFrame({"label": labels.to_numpy(), "target": target.to_numpy()})
    n_cells = table[table["label"] != ""].value_counts().reset_index(name="n")
    return n_cells.groupby("label")["n"].max().sum() >= ONE_TARGET * n_cells["n"].sum()


def batch_of(obs: pd.DataFrame, taken: Sequence[str]) -> str | None:
    """Find the column of batches: one with a usual name, of several batches with enough cells each."""
    for name in named(obs, BATCHES):
        n = text_of(obs[name]).nunique()
        if name not in taken and 2 <= n <= len(obs) / CELLS_PER_BATCH:
            return name
    return None


def contexts_of(
    obs: pd.DataFrame, target: pd.Series, taken: Sequence[str], kept_by: Sequence[str] = ()
) -> tuple[str, ...]:
    """Find the columns that tell contexts apart; one that tells the target of a cell is none.

    If there is one context it is named by the columns by which cells were kept, or else by the first usual one.
    """
    found: list[str] = []
    texts = pd.DataFrame({name: text_of(obs[name]) for name in named(obs, CONTEXTS) if name not in taken})
    texts = texts.loc[:, [bool((texts[name] != "").all()) and not _tells(texts[name], target) for name in texts]]
    for name in texts:
        before = len(texts[found].drop_duplicates()) if found else 1
        if before < len(texts[[*found, name]].drop_duplicates()) <= MOST_CONTEXTS:
            found.append(name)
    return tuple(found or [name for name in texts if name in kept_by] or list(texts)[:1])


def totals_in(obs: pd.DataFrame) -> list[str]:
    """Find the columns that may hold each cell's total of UMIs, the usual ones first; nCount_ANYTHING is one."""
    others = [str(name) for name in obs.columns if str(name).startswith("nCount_")]
    return [
        name
        for name in dict.fromkeys([*named(obs, TOTALS), *others])
        if obs[name].dtype.kind in "iuf" and not unusable_totals(obs[name])
    ]


def mito_of(obs: pd.DataFrame) -> str | None:
    """Find the column of mitochondrial percentages or shares; one that is 0 in all cells tells nothing."""
    for name in named(obs, MITO):
        if obs[name].dtype.kind in "iuf" and obs[name].min() >= 0 and 0 < obs[name].max() <= 100:
            return name
    return None


def dose_of(obs: pd.DataFrame) -> tuple[str, str] | None:
    """Find the column of doses, and their unit: what is stated, or nM where a dose is too high for uM."""
    said = {_plain(unit) for name in named(obs, DOSE_UNITS) for unit in text_of(obs[name]).unique() if unit}
    for name in named(obs, DOSES):
        doses = pd.to_numeric(obs[name].astype(object), errors="coerce")
        is_number = doses.notna().sum() >= ALL_BUT_A_FEW * (text_of(obs[name]) != "").sum()
        if is_number and doses.min() < doses.max():  # GEARS' dose is 1 or 1+1
            is_nm = "nm" in said or (not said & MICROMOLAR and ("nm" in _plain(name) or doses.max() > NANOMOLAR))
            return name, "nM" if is_nm else "uM"
    return None
