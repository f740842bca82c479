"""A screen of the catalogue as a course data set, with a split and what is known of its genes."""

from pathlib import Path

import anndata
import numpy as np

from data_scripts.adoption.convert import convert
from data_scripts.adoption.genes import names_at_hand
from data_scripts.adoption.layout import read_layout
from data_scripts.adoption.report import Report
from data_scripts.catalogue import DataSet, data_set
from data_scripts.download import DownloadError, fetch
from data_scripts.priors import build as priors
from data_scripts.priors import hgnc
from data_scripts.subset.cells import Part
from data_scripts.subset.cut import cut
from starter.data.dataset import perturbations
from starter.data.h5ad import open_h5ad, read_frame
from starter.data.split import make_split
from starter.errors import InputError

HIDDEN, PUBLIC = 0.2, 0.1
"""Share of the perturbations that students predict, and that they may score themselves on."""
SEED = 0


def build(name: str, folder: str | Path, downloads: str | Path, part: Part | None = None) -> tuple[Path, Report]:
    """Build a course data set of a screen of the catalogue.

    Parameters
    ----------
    name
        The data set's name.
    folder
        Receives `<name>.h5ad`, its report, its lineage and its split, and `priors/` (`data_scripts.priors.build`).
    downloads
        Where downloads go.
    part
        How much of the screen to take, by byte ranges; None: all of it.

    Returns
    -------
    The path of the `.h5ad`, and what became of the cells.

    Raises
    ------
    InputError
        If the screen cannot be built of its file, or that cannot be had; or if a prior cannot be had, and then the rest
        is complete.
    """
    entry, folder = data_set(name), Path(folder)
    if not entry.layout:
        msg = f"no course data set is built of {name}: {entry.note or 'the catalogue knows no layout of it'}"
        raise InputError(msg)
    unnamed = _fetch_names(downloads)
    source = fetch(entry.files[0], downloads) if part is None else cut(entry, downloads, part, downloads)
    path = folder / f"{name}.h5ad"
    texts = {key: getattr(entry, key) for key in ("name", "title", "organism", "licence", "source", "citation")}
    report = convert(source, read_layout(entry.layout), path, texts, [entry], downloads)
    report.notes += unnamed
    if part is None:
        _check_shape(report, entry)
    with open_h5ad(path) as file:
        described = anndata.AnnData(obs=read_frame(file, "obs"))
    names = perturbations(described)
    order = list(np.random.default_rng(SEED).permutation(names))
    n_hidden, n_public = (max(1, round(share * len(names))) for share in (HIDDEN, PUBLIC))
    split = make_split(described, order[:n_hidden], order[n_hidden : n_hidden + n_public])
    split.write(path.with_suffix(".split.json"))
    priors.build(priors.read_genes(path), folder / "priors", downloads)
    return path, report


def _fetch_names(downloads: str | Path) -> list[str]:
    """Get a table of gene names, unless one is at hand; say what its lack means if it cannot be had."""
    if names_at_hand(downloads)[1]:
        return []
    try:
        fetch(data_set(hgnc.NAME).files[0], downloads)
    except DownloadError as error:
        return [f"genes are called as the file calls them, since no table of their names could be had ({error})"]
    return []


def _check_shape(report: Report, entry: DataSet) -> None:
    """Compare with what the catalogue says of the screen; of a file without a hash nothing else tells other content."""
    due = {"cells": (entry.cells, report.cells_there), "genes": (entry.genes, report.genes)}
    unlike = [f"{came:,} {what} where the catalogue says {said:,}" for what, (said, came) in due.items()
              if said not in (None, came)]  # fmt: skip
    if not unlike:
        return
    what = f"{report.source} has {' and '.join(unlike)}"
    if not entry.files[0].hashes:
        msg = f"{what}: it may be another file of this name; look at it, then adopt it"
        raise InputError(msg)
    report.notes.append(what)
