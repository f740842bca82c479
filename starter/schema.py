"""Names of a course data set's columns and keys, and the checks that it must pass.

A course data set is one `.h5ad` file: cells x genes raw counts with the perturbation of each cell.
Its columns are named once, here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    # every command line imports this module: it must stay quick
    pass

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
