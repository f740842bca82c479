"""The published whole-human weights of scGPT, 205 MB, as `starter.models.scgpt.weights` and notebook 08 take them."""

import shutil
from pathlib import Path

import pandas as pd

from data_scripts.catalogue import data_set
from data_scripts.download import at_hand, fetch, obtain
from data_scripts.priors import hgnc
from starter.errors import InputError
from starter.files import whole

NAME = "scgpt_human"
NAMES = "gene_names.csv"
"""Beside the weights: what else genes are called, as `starter.models.scgpt.vocabulary` reads it."""


def build(folder: str | Path) -> Path:
    """Get the checkpoint.

    Parameters
    ----------
    folder
        Receives `args.json`, `best_model.pt` and `vocab.json`; and `gene_names.csv`: former and today's names of genes,
        of HGNC, or of Geneformer's dictionary where that is at hand and HGNC's set is not.

    Returns
    -------
    The folder.

    Raises
    ------
    InputError
        If a file cannot be had, or the folder not be written.
    """
    folder = Path(folder)
    _, paths = obtain(NAME, folder)
    for path in paths:
        if path.parent != folder:
            part = folder / (path.name + ".part")
            try:
                folder.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, part)
                part.replace(folder / path.name)
            except OSError as error:
                msg = f"cannot write {folder / path.name}: {error.strerror}; choose another folder"
                raise InputError(msg) from error
    with whole(folder / NAMES) as part:
        _gene_names(folder).to_csv(part, index=False)
    return folder


def _gene_names(folder: Path) -> pd.DataFrame:
    """Give columns gene_name and ensembl_id, each pair once, and approved, 1 for today's symbol where that is told."""
    (approved,), (dictionary,) = (data_set(name).files for name in (hgnc.NAME, "gene_names"))
    if (path := at_hand(approved, folder)) is None and (other := at_hand(dictionary, folder)) is not None:
        return pd.read_csv(other, na_filter=False)[["gene_name", "ensembl_id"]].drop_duplicates()
    names, symbols = hgnc.read_names(path or fetch(approved, folder))
    return names.assign(approved=names["gene_name"].isin(symbols).astype(int))
