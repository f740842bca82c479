"""A course's training data in the form that published models are trained on."""

import json
from pathlib import Path

import anndata
import pandas as pd

from starter.data.course import CourseData
from starter.data.dataset import pairs
from starter.data.preprocess import expression
from starter.errors import InputError
from starter.priors.tables import read_annotations
from starter.schema import CONTEXT, CONTROL, PERTURBATION, TARGET_GENE

SCREEN, PARTS, ANNOTATIONS = "screen.h5ad", "parts.json", "annotations.json"
"""What `write_inputs` writes."""


def condition_of(label: str) -> str:
    """Write a perturbation as GEARS and scPerturb do: `ctrl`, `GENE+ctrl`, `A+B`.

    >>> condition_of("STAT1"), condition_of("KLF1+STAT1"), condition_of("non-targeting")
    ('STAT1+ctrl', 'KLF1+STAT1', 'ctrl')
    """
    return "ctrl" if label == CONTROL else label if "+" in label else f"{label}+ctrl"


def write_inputs(course: CourseData, folder: Path) -> None:
    """Write cells, parts and annotations of a course for a model that knows nothing of the kit.

    Parameters
    ----------
    course
        Its data as students have them.
    folder
        Receives `screen.h5ad` (X log1p expression at the course's target_sum, obs condition, target_gene, cell_type and
        batch, var gene_name), `parts.json` (conditions of the training and the public part, and those to predict) and
        `annotations.json` (terms of each gene).

    Raises
    ------
    InputError
        If the course has several contexts, which these models were not set up for.
    """
    train, split = course.train(), course.split()
    of_cell = pairs(train.obs)
    contexts = sorted(set(of_cell.get_level_values(CONTEXT)))
    if len(contexts) > 1:
        msg = f"the course has {len(contexts)} contexts ({', '.join(contexts)}); give a course of one"
        raise InputError(msg)
    labels = of_cell.get_level_values(PERTURBATION)
    obs = pd.DataFrame(
        {
            "condition": pd.Categorical([condition_of(label) for label in labels]),
            TARGET_GENE: pd.Categorical(labels),
            "cell_type": pd.Categorical([contexts[0].replace(" ", "-")] * len(labels)),
            "batch": pd.Categorical(train.obs.get("batch", pd.Series("one", index=train.obs.index)).astype(str)),
        },
        index=train.obs_names,
    )
    var = pd.DataFrame({"gene_name": train.var_names.to_numpy()}, index=train.var_names)
    folder.mkdir(parents=True, exist_ok=True)
    anndata.AnnData(expression(train), obs, var).write_h5ad(folder / SCREEN)
    names = {part: [condition_of(label) for label in split.pairs(part).get_level_values(PERTURBATION)]
             for part in ("train", "public", "hidden")}  # fmt: skip
    parts = {"train": names["train"], "public": names["public"], "predict": names["public"] + names["hidden"]}
    (folder / PARTS).write_text(json.dumps(parts))
    terms = read_annotations(course.priors("*annotations.tsv")).groupby("gene")["term"].agg(list)
    (folder / ANNOTATIONS).write_text(json.dumps(terms.to_dict()))
