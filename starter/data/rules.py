"""The rules of a course data set: what `starter.schema` names must be there, and be possible."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from starter.data.targets import are_ensembl, check_control, compare_targets, like_control, symbol_column
from starter.errors import Finding, listed
from starter.schema import (
    CONTEXT,
    COURSE,
    COURSE_KEYS,
    DOSE,
    ENSEMBL_ID,
    N_UMIS,
    PERTURBATION_KIND,
    TARGET_GENE,
)

if TYPE_CHECKING:
    # every command line imports this module: it must stay quick
    import anndata
    import pandas as pd

MAX_UMIS = 1e8
"""No cell has as many UMIs."""


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
    return [*_check_counts(adata.X), *check_tables(adata)]


def check_tables(adata: anndata.AnnData) -> list[Finding]:
    """Check what describes the cells and genes of a course data set; totals are compared with X where there is one.

    Parameters
    ----------
    adata
        Cells x genes; X may be missing.

    Returns
    -------
    Everything that breaks the rules, in one list; empty if nothing does.
    """
    return [
        *_check_labels(adata),
        *_check_obs(adata),
        *_check_genes(adata),
        *(_check_names(adata) or check_targets(adata)),
        *_check_course(adata),
    ]


def check_description(adata: anndata.AnnData, *, controls: bool = True, predicted: bool = False) -> list[Finding]:
    """Check what describes cells and genes, whatever the values: labels, genes, both together, `uns["course"]`.

    Parameters
    ----------
    adata
        Cells x genes; X may be missing.
    controls
        Whether there must be control cells.
    predicted
        Whether it is a prediction, which has some of a screen's perturbations.

    Returns
    -------
    Everything that is wrong, in one list; empty if nothing is.
    """
    return [
        *_check_labels(adata, controls=controls),
        *_check_genes(adata),
        *check_targets(adata, part=predicted),
        *_check_course(adata),
    ]


def check_targets(adata: anndata.AnnData, *, part: bool = False) -> list[Finding]:
    """Compare the labels, all or a part of a screen's, with the genes; see `starter.data.targets.compare_targets`."""
    course = adata.uns.get(COURSE, {})
    if TARGET_GENE not in adata.obs or getattr(adata.obs[TARGET_GENE], "ndim", 1) > 1:
        return []
    if isinstance(course, Mapping) and course.get(PERTURBATION_KIND) == "compound":
        return []
    labels = [str(label).strip() for label in adata.obs[TARGET_GENE].dropna().unique()]
    labels = [label for label in labels if label and not like_control(label, adata.var_names, loosely=True)]
    return compare_targets(labels, adata.var, of_course=part or bool(course))


def _check_counts(x: Any) -> list[Finding]:
    if x is None:
        return [Finding("error", "X is missing", "store raw UMI counts in it")]
    found = []
    if (layout := getattr(x, "format", None)) != "csr":
        way_out = "store scipy.sparse.csr_matrix(X, dtype='float32')"
        found.append(Finding("error", f"X is {type(x).__name__}, not a CSR matrix", way_out))
    elif x.dtype != np.float32:
        found.append(Finding("error", f"X holds {x.dtype}, not float32", "X = X.astype('float32')"))
    if layout == "csr" and not x.has_sorted_indices:
        found.append(Finding("error", "the column indices of X are not sorted", "call X.sort_indices()"))
    elif layout in ("csr", "csc") and not x.has_canonical_format:
        found.append(Finding("error", "X stores entries of one cell and gene twice", "call X.sum_duplicates()"))
    data = x.data if layout else np.asarray(x)
    if data.dtype.kind not in "biuf":
        return [*found, Finding("error", f"X holds {data.dtype}, not numbers", "store raw UMI counts")]
    if layout and (zeros := int(np.count_nonzero(data == 0))):
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
                "store raw UMI counts; starter.data.preprocess makes logs of them",
            )
        )
    return found


def _check_labels(adata: anndata.AnnData, *, controls: bool = True) -> list[Finding]:
    obs = adata.obs
    if TARGET_GENE not in obs:
        what = f"obs has no column {TARGET_GENE!r}; its columns are {listed(obs.columns) or 'none'}"
        return [Finding("error", what, f"rename the column that holds the perturbation to {TARGET_GENE!r}")]
    labels = obs[TARGET_GENE]
    if getattr(labels, "ndim", 1) > 1:
        return [Finding("error", f"obs has the column {TARGET_GENE!r} twice", "keep one")]
    found = []
    if missing := int(labels.isna().sum()):
        found.append(Finding("error", f"cells without {TARGET_GENE}: {missing:,}", "label or remove these cells"))
    present = [str(label) for label in labels.dropna().unique()]
    counts = {str(label): int(n) for label, n in labels.value_counts().items() if n}
    found.extend(check_control(counts, adata.var_names, needed=controls))
    odd = [repr(label) for label in present if label != label.strip() or not label or "++" in label or label == "nan"]
    if odd:
        found.append(Finding("error", f"odd labels: {listed(odd)}", "use gene symbols, A+B for doubles"))
    return found


def _check_obs(adata: anndata.AnnData) -> list[Finding]:
    obs = adata.obs
    found = []
    if TARGET_GENE in obs and str(getattr(obs[TARGET_GENE], "dtype", "")) != "category":
        way_out = f"obs[{TARGET_GENE!r}] = obs[{TARGET_GENE!r}].astype('category')"
        found.append(Finding("error", f"obs[{TARGET_GENE!r}] is {obs[TARGET_GENE].dtype}, not a category", way_out))
    if N_UMIS in obs:
        found.extend(_check_n_umis(adata))
    if CONTEXT in obs and obs[CONTEXT].isna().any():
        what = f"cells without {CONTEXT}: {int(obs[CONTEXT].isna().sum()):,}"
        found.append(Finding("error", what, "name it, or drop the column"))
    if not adata.obs_names.is_unique:
        twice = adata.obs_names[adata.obs_names.duplicated()].unique()
        found.append(Finding("error", f"cell names occur twice: {listed(twice)}", "call adata.obs_names_make_unique()"))
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
        Finding(
            "error", f"gene symbols that occur twice: {len(twice):,} ({listed(twice)})", "name them SYMBOL_ENSEMBLID"
        )
    ]


def _check_names(adata: anndata.AnnData) -> list[Finding]:
    genes = adata.var_names.astype(str)
    if not are_ensembl(genes):
        return []
    way_out = f"put gene symbols in the index and the ids in var[{ENSEMBL_ID!r}]"
    if (column := symbol_column(adata.var)) is not None:
        way_out += (
            f": adata.var[{ENSEMBL_ID!r}] = list(adata.var_names), then adata.var_names = "
            f"adata.var[{column!r}].astype(str), then adata.var_names_make_unique()"
        )
    return [Finding("error", f"genes are named by Ensembl ids ({listed(genes)})", way_out)]


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
