"""Names of a course data set's columns and keys, and the checks that it must pass.

A course data set is one `.h5ad` file: cells x genes raw counts with the perturbation of each cell.
Its columns are named once, here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    # every command line imports this module: it must stay quick
    import anndata
    import pandas as pd

TARGET_GENE = "target_gene"
"""obs: the perturbed gene's symbol (`A+B` for doubles), or `CONTROL`."""
CONTROL = "non-targeting"
"""The label of non-targeting control cells (the vehicle, in a compound screen)."""
GUIDE = "guide_id"
"""obs: the guide RNA that the cell carries."""
BATCH = "batch"
"""obs: the GEM group or replicate in which the cell was measured."""
CONTEXT = "context"
"""obs: cell line or condition. A screen without this column has one context."""
ONE_CONTEXT = "one context"
"""The context's name where a screen has no `CONTEXT` column."""
N_UMIS = "n_umis"
"""obs: total UMIs of the cell over the whole transcriptome. Absent means the row sum."""
ENSEMBL_ID = "ensembl_id"
"""var: the gene's Ensembl id."""
DOSE = "dose"
"""obs: the dose in uM, in a compound screen."""
COURSE = "course"
"""uns: what the screen is, as `COURSE_KEYS`."""
COURSE_KEYS = ("name", "title", "organism", "licence", "source", "citation", "simulated", "target_sum")
"""Keys of `uns["course"]`; simulated is a bool, target_sum a positive number of UMIs."""
PERTURBATION_KIND = "perturbation_kind"
"""Optional key of `uns["course"]`: `compound` for compound screens."""

SHOWN = 5
"""How many names a message lists before it counts the rest."""


class InputError(ValueError):
    """A fault in what the user gave. The message says what is wrong, where, and what to do."""


@dataclass(frozen=True)
class Finding:
    """One thing that a check found in a file."""

    level: Literal["error", "warning", "note"]
    """An error is refused, a warning costs points or time, a note informs."""
    what: str
    """What was found, with the numbers."""
    way_out: str = ""
    """What to do about it."""

    def __str__(self) -> str:
        return f"{self.what}; {self.way_out}" if self.way_out else self.what


class FindingsError(InputError):
    """A file with errors; the message lists every one of them.

    Attributes
    ----------
    findings
        All findings, of all levels.
    """

    def __init__(self, name: str, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        errors = [finding for finding in findings if finding.level == "error"]
        count = "1 fault" if len(errors) == 1 else f"{len(errors)} faults"
        super().__init__("\n".join([f"{name} has {count}:", *(f"  - {error}" for error in errors)]))


def some(names: Sequence[str] | pd.Index) -> str:
    """List the first names and count the rest, for a message.

    >>> some(["A", "B", "C", "D", "E", "F", "G"])
    'A, B, C, D, E and 2 more'
    """
    shown = ", ".join(str(name) for name in list(names)[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN} more"


def check_screen(adata: anndata.AnnData) -> list[Finding]:
    """Check that an AnnData object is a course data set.

    Parameters
    ----------
    adata
        Cells x genes, in memory.

    Returns
    -------
    Everything that breaks the rules, in one list; empty if nothing does. The challenge's own files,
    which have no `uns["course"]`, pass.
    """
    return [*_check_counts(adata.X), *_check_obs(adata), *_check_genes(adata), *_check_course(adata.uns)]


def _check_counts(x: object) -> list[Finding]:
    if getattr(x, "format", None) != "csr":
        kind = "missing" if x is None else type(x).__name__
        way_out = "store scipy.sparse.csr_matrix(X, dtype='float32')"
        return [Finding("error", f"X is {kind}, not a CSR matrix", way_out)]
    found = []
    if x.dtype != np.float32:
        found.append(Finding("error", f"X holds {x.dtype}, not float32", "X = X.astype('float32')"))
    if not x.has_sorted_indices:
        found.append(Finding("error", "the column indices of X are not sorted", "call X.sort_indices()"))
    data = x.data
    if zeros := int(np.count_nonzero(data == 0)):
        found.append(Finding("error", f"X stores {zeros:,} zeros", "call X.eliminate_zeros()"))
    finite = np.isfinite(data)
    if bad := data.size - int(np.count_nonzero(finite)):
        found.append(Finding("error", f"X holds {bad:,} NaN or infinite values", "remove these cells or genes"))
    if negative := int(np.count_nonzero(data < 0)):
        found.append(Finding("error", f"X holds {negative:,} negative values", "store raw counts, not scaled data"))
    with np.errstate(invalid="ignore"):
        fractional = int(np.count_nonzero(finite & (data != np.rint(data))))
    if fractional:
        found.append(
            Finding(
                "error",
                f"{fractional:,} of the {data.size:,} stored values are not whole numbers",
                "store raw UMI counts; starter.preprocess makes logs of them",
            )
        )
    return found


def _check_obs(adata: anndata.AnnData) -> list[Finding]:
    obs = adata.obs
    found = []
    if TARGET_GENE not in obs:
        found.append(
            Finding(
                "error",
                f"obs has no column {TARGET_GENE!r}; its columns are {some(obs.columns) or 'none'}",
                f"rename the column that holds the perturbation to {TARGET_GENE!r}",
            )
        )
    else:
        labels = obs[TARGET_GENE]
        if missing := int(labels.isna().sum()):
            found.append(Finding("error", f"{missing:,} cells have no {TARGET_GENE}", "remove these cells"))
        present = [str(label) for label in labels.dropna().unique()]
        if CONTROL not in present:
            found.append(
                Finding(
                    "error",
                    f"no cell is labelled {CONTROL!r}; the labels are {some(sorted(present)) or 'none'}",
                    f"label the control cells {CONTROL!r}",
                )
            )
        if labels.dtype.name != "category":
            found.append(
                Finding(
                    "error",
                    f"obs[{TARGET_GENE!r}] is {labels.dtype}, not a category",
                    f"obs[{TARGET_GENE!r}] = obs[{TARGET_GENE!r}].astype('category')",
                )
            )
        odd = [label for label in present if label != label.strip() or label == "" or "++" in label]
        if odd:
            found.append(
                Finding(
                    "error",
                    f"odd labels: {some([repr(label) for label in odd])}",
                    "use gene symbols, A+B for doubles",
                )
            )
    if N_UMIS in obs:
        found.extend(_check_n_umis(adata))
    if CONTEXT in obs and obs[CONTEXT].isna().any():
        found.append(
            Finding(
                "error",
                f"{int(obs[CONTEXT].isna().sum()):,} cells have no {CONTEXT}",
                "name it, or drop the column",
            )
        )
    if not adata.obs_names.is_unique:
        twice = adata.obs_names[adata.obs_names.duplicated()].unique()
        found.append(Finding("error", f"cell names occur twice: {some(twice)}", "call adata.obs_names_make_unique()"))
    return found


def _check_n_umis(adata: anndata.AnnData) -> list[Finding]:
    try:
        n_umis = adata.obs[N_UMIS].to_numpy(float)
    except (TypeError, ValueError):
        n_umis = np.full(adata.n_obs, np.nan)
    unusable = int(np.count_nonzero(~(n_umis > 0)))
    if unusable:
        return [
            Finding(
                "error",
                f"{N_UMIS} is not a positive number in {unusable:,} cells",
                f"give each cell's total UMIs, or drop the column {N_UMIS!r}",
            )
        ]
    row_sums = np.asarray(adata.X.sum(axis=1)).ravel() if hasattr(adata.X, "sum") else np.zeros(adata.n_obs)
    if above := int(np.count_nonzero(row_sums > n_umis * (1 + 1e-6))):
        return [
            Finding(
                "error",
                f"in {above:,} cells the counts add up to more than {N_UMIS}",
                f"{N_UMIS} is the cell's total over the whole transcriptome",
            )
        ]
    return []


def _check_genes(adata: anndata.AnnData) -> list[Finding]:
    genes = adata.var_names
    found = []
    if not genes.is_unique:
        twice = genes[genes.duplicated()].unique()
        found.append(
            Finding(
                "error",
                f"{len(twice):,} gene symbols occur twice: {some(twice)}",
                "name them SYMBOL_ENSEMBLID",
            )
        )
    if adata.n_vars and genes.str.fullmatch(r"ENS[A-Z]*G\d{11}(\.\d+)?").mean() > 0.5:
        found.append(
            Finding(
                "error",
                f"genes are named by Ensembl ids ({some(genes)})",
                f"put gene symbols in the index and the ids in var[{ENSEMBL_ID!r}]",
            )
        )
    return found


def _check_course(uns: dict) -> list[Finding]:
    if COURSE not in uns:
        return []
    course = uns[COURSE]
    if missing := [key for key in COURSE_KEYS if key not in course]:
        return [Finding("error", f"uns[{COURSE!r}] lacks {', '.join(missing)}", "fill them in; see docs/instructor.md")]
    target_sum = course["target_sum"]
    try:
        positive = float(target_sum) > 0
    except (TypeError, ValueError):
        positive = False
    if not positive:
        return [
            Finding(
                "error",
                f"uns[{COURSE!r}]['target_sum'] is {target_sum!r}, not a positive number",
                f"use the median {N_UMIS} of the training controls",
            )
        ]
    return []
