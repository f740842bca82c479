"""Names of a course data set's columns and keys, and the checks that it must pass.

A course data set is one `.h5ad` file: cells x genes raw counts with the perturbation of each cell.
Its columns are named once, here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
PERCENT_MITO = "percent_mito"
"""obs: percent of the cell's UMIs that come from mitochondrial genes, 0 to 100; high in damaged cells."""
ENSEMBL_ID = "ensembl_id"
"""var: the gene's Ensembl id."""
DOSE = "dose"
"""obs: the dose in uM, in a compound screen."""
PERTURBATION = "perturbation"
"""Name of the label in profile tables, splits and score tables."""
COURSE = "course"
"""uns: what the screen is, as `COURSE_KEYS`."""
COURSE_KEYS = ("name", "title", "organism", "licence", "source", "citation", "simulated", "target_sum")
"""Keys of `uns["course"]`; simulated is a bool, target_sum a positive number of UMIs."""
PERTURBATION_KIND = "perturbation_kind"
"""Optional key of `uns["course"]`: `compound` for compound screens."""

COURSE_VARIABLE = "VCC_COURSE"
"""Environment variable that names the course's data folder."""
MAX_UMIS = 1e8
"""No cell has as many UMIs."""
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
        super().__init__(
            "\n".join([f"{name} has {counted(len(errors), 'fault')}:", *(f"  - {error}" for error in errors)])
        )


def counted(n: int, one: str, many: str | None = None) -> str:
    """Write a number with its noun.

    >>> counted(1, "gene"), counted(2_000, "gene")
    ('1 gene', '2,000 genes')
    """
    return f"1 {one}" if n == 1 else f"{n:,} {many or one + 's'}"


def difference(due: Iterable[str], came: Iterable[str]) -> str:
    """Say which names are missing and which are extra; nothing if none is.

    >>> difference(["A", "B"], ["B", "C"])
    'missing 1 (A), extra 1 (C)'
    """
    kinds = {"missing": sorted(set(due) - set(came)), "extra": sorted(set(came) - set(due))}
    return ", ".join(f"{kind} {len(names):,} ({some(names)})" for kind, names in kinds.items() if names)


def some(names: Sequence[str] | pd.Index) -> str:
    """List the first names and count the rest, for a message.

    >>> some(["A", "B", "C", "D", "E", "F", "G"])
    'A, B, C, D, E and 2 more'
    """
    shown = ", ".join(str(name) for name in list(names)[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN:,} more"


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
    return [
        *_check_counts(adata.X),
        *_check_labels(adata),
        *_check_obs(adata),
        *_check_genes(adata),
        *_check_names(adata),
        *_check_course(adata),
    ]


def check_description(adata: anndata.AnnData, *, controls: bool = True) -> list[Finding]:
    """Check what describes cells and genes, whatever the values: labels, gene symbols, `uns["course"]`.

    Parameters
    ----------
    adata
        Cells x genes; X may be missing.
    controls
        Whether there must be control cells.

    Returns
    -------
    Everything that is wrong, in one list; empty if nothing is.
    """
    return [*_check_labels(adata, controls=controls), *_check_genes(adata), *_check_course(adata)]


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
    elif not x.has_canonical_format:
        found.append(Finding("error", "X stores entries of one cell and gene twice", "call X.sum_duplicates()"))
    data = x.data
    if zeros := int(np.count_nonzero(data == 0)):
        found.append(Finding("error", f"zeros stored in X: {zeros:,}", "call X.eliminate_zeros()"))
    finite = np.isfinite(data)
    if bad := data.size - int(np.count_nonzero(finite)):
        found.append(Finding("error", f"NaN or infinite values in X: {bad:,}", "remove these cells or genes"))
    if negative := int(np.count_nonzero(data < 0)):
        found.append(Finding("error", f"negative values in X: {negative:,}", "store raw counts, not scaled data"))
    with np.errstate(invalid="ignore"):
        fractional = int(np.count_nonzero(finite & (data != np.rint(data))))
    if fractional:
        found.append(
            Finding(
                "error",
                f"values in X that are not whole numbers: {fractional:,} of {data.size:,}",
                "store raw UMI counts; starter.preprocess makes logs of them",
            )
        )
    return found


def _check_labels(adata: anndata.AnnData, *, controls: bool = True) -> list[Finding]:
    obs = adata.obs
    if TARGET_GENE not in obs:
        what = f"obs has no column {TARGET_GENE!r}; its columns are {some(obs.columns) or 'none'}"
        return [Finding("error", what, f"rename the column that holds the perturbation to {TARGET_GENE!r}")]
    labels = obs[TARGET_GENE]
    if getattr(labels, "ndim", 1) > 1:
        return [Finding("error", f"obs has the column {TARGET_GENE!r} twice", "keep one")]
    found = []
    if missing := int(labels.isna().sum()):
        found.append(Finding("error", f"cells without {TARGET_GENE}: {missing:,}", "label or remove these cells"))
    present = [str(label) for label in labels.dropna().unique()]
    if controls and CONTROL not in present:
        what = f"no cell is labelled {CONTROL!r}; the labels are {some(sorted(present)) or 'none'}"
        found.append(Finding("error", what, f"label the control cells {CONTROL!r}"))
    odd = [repr(label) for label in present if label != label.strip() or not label or "++" in label or label == "nan"]
    if odd:
        found.append(Finding("error", f"odd labels: {some(odd)}", "use gene symbols, A+B for doubles"))
    return found


def _check_obs(adata: anndata.AnnData) -> list[Finding]:
    obs = adata.obs
    found = []
    if TARGET_GENE in obs and getattr(obs[TARGET_GENE], "dtype", "").name != "category":
        way_out = f"obs[{TARGET_GENE!r}] = obs[{TARGET_GENE!r}].astype('category')"
        found.append(Finding("error", f"obs[{TARGET_GENE!r}] is {obs[TARGET_GENE].dtype}, not a category", way_out))
    if N_UMIS in obs:
        found.extend(_check_n_umis(adata))
    if CONTEXT in obs and obs[CONTEXT].isna().any():
        what = f"cells without {CONTEXT}: {int(obs[CONTEXT].isna().sum()):,}"
        found.append(Finding("error", what, "name it, or drop the column"))
    if not adata.obs_names.is_unique:
        twice = adata.obs_names[adata.obs_names.duplicated()].unique()
        found.append(Finding("error", f"cell names occur twice: {some(twice)}", "call adata.obs_names_make_unique()"))
    return found


def unusable_totals(n_umis: pd.Series) -> int:
    """Count the cells whose total is no positive number of UMIs; all of them if the totals are no numbers."""
    try:
        totals = n_umis.to_numpy(float)
    except (TypeError, ValueError):
        return len(n_umis)
    return int(np.count_nonzero(~((totals > 0) & (totals < MAX_UMIS))))


def _check_n_umis(adata: anndata.AnnData) -> list[Finding]:
    if unusable := unusable_totals(adata.obs[N_UMIS]):
        what = f"cells whose {N_UMIS} is not a positive number of UMIs: {unusable:,}"
        return [Finding("error", what, f"give each cell's total UMIs, or drop the column {N_UMIS!r}")]
    n_umis = adata.obs[N_UMIS].to_numpy(float)
    row_sums = np.asarray(adata.X.sum(axis=1)).ravel() if hasattr(adata.X, "sum") else np.zeros(adata.n_obs)
    if above := int(np.count_nonzero(row_sums > n_umis * (1 + 1e-6))):
        return [
            Finding(
                "error",
                f"cells whose counts add up to more than {N_UMIS}: {above:,}",
                f"{N_UMIS} is the cell's total over the whole transcriptome",
            )
        ]
    return []


def _check_genes(adata: anndata.AnnData) -> list[Finding]:
    genes = adata.var_names
    if genes.is_unique:
        return []
    twice = genes[genes.duplicated()].unique()
    return [
        Finding("error", f"gene symbols that occur twice: {len(twice):,} ({some(twice)})", "name them SYMBOL_ENSEMBLID")
    ]


def _check_names(adata: anndata.AnnData) -> list[Finding]:
    genes = adata.var_names.astype(str)
    if adata.n_vars and genes.str.fullmatch(r"ENS[A-Z]*G\d{11}(\.\d+)?").mean() > 0.5:
        way_out = f"put gene symbols in the index and the ids in var[{ENSEMBL_ID!r}]"
        return [Finding("error", f"genes are named by Ensembl ids ({some(genes)})", way_out)]
    return []


def _check_course(adata: anndata.AnnData) -> list[Finding]:
    if COURSE not in adata.uns:
        return []
    course = adata.uns[COURSE]
    if not isinstance(course, Mapping):
        what = f"uns[{COURSE!r}] is {type(course).__name__}, not a dictionary"
        return [Finding("error", what, f"describe the screen with {', '.join(COURSE_KEYS)}")]
    found = []
    if missing := [key for key in COURSE_KEYS if key not in course]:
        found.append(
            Finding("error", f"uns[{COURSE!r}] lacks {', '.join(missing)}", "fill them in; see docs/instructor.md")
        )
    target_sum = course.get("target_sum", 1)
    if not (_is_number(target_sum) and 0 < float(target_sum) < float("inf")):
        what = f"uns[{COURSE!r}]['target_sum'] is {target_sum!r}, not a positive number"
        found.append(Finding("error", what, f"use the median {N_UMIS} of the training controls"))
    simulated = course.get("simulated", True)
    if not isinstance(simulated, bool | np.bool_):
        found.append(
            Finding("error", f"uns[{COURSE!r}]['simulated'] is {simulated!r}, not a bool", "say True or False")
        )
    if course.get(PERTURBATION_KIND) == "compound" and DOSE not in adata.obs:
        found.append(Finding("error", f"a compound screen without obs[{DOSE!r}]", "give each cell's dose in uM"))
    return found


def _is_number(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool)
