"""All that a priors folder tells of genes, as the tables that models take."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from starter.errors import InputError, listed
from starter.priors.features import annotation_features, graph_features
from starter.priors.graphs import annotation_graph, read_graph, regulon_graph
from starter.priors.tables import read_annotations, read_features, read_other_context, read_regulons

FEATURES = "_features"
"""How the name of a file of features ends; what stands before it names them."""


class Knowledge(NamedTuple):
    """What is known of genes before anybody perturbs them in this screen."""

    features: dict[str, pd.DataFrame]
    """Feature tables, genes x numbers: annotations, graph, and each file of features by its name."""
    graphs: dict[str, pd.DataFrame]
    """Gene graphs, as edges: annotations (genes of like annotations), graph, regulons."""
    elsewhere: dict[str, pd.DataFrame]
    """Profiles measured in other contexts, by the file's name: index perturbation with the control, columns genes."""


def read_knowledge(folder: str | Path) -> Knowledge:
    """Read what a priors folder holds; what it does not hold is left out.

    Parameters
    ----------
    folder
        With, of each kind, `*annotations.tsv`, `*graph.tsv` and `*regulons.tsv`, and any number of `*features.parquet`
        and `*other_context.parquet`. A folder that is not there holds nothing.

    Raises
    ------
    InputError
        If two files of one kind compete, or one cannot be read.
    """
    features, graphs = {}, {}
    for path in _only(folder, "*annotations.tsv"):
        annotations = read_annotations(path)
        features["annotations"], graphs["annotations"] = annotation_features(annotations), annotation_graph(annotations)
    for path in _only(folder, "*graph.tsv"):
        graphs["graph"] = read_graph(path)
        features["graph"] = graph_features(graphs["graph"])
    for path in _only(folder, "*regulons.tsv"):
        graphs["regulons"] = regulon_graph(read_regulons(path))
    for path in sorted(Path(folder).glob("*features.parquet")):
        features[path.stem.removesuffix(FEATURES)] = read_features(path)
    elsewhere = {path.stem: read_other_context(path) for path in sorted(Path(folder).glob("*other_context.parquet"))}
    return Knowledge(features, graphs, elsewhere)


def _only(folder: str | Path, pattern: str) -> Iterator[Path]:
    """Find the file of a kind, if there is one."""
    found = sorted(Path(folder).glob(pattern))
    if len(found) > 1:
        msg = f"{folder} should have one file {pattern}; it has {listed([path.name for path in found])}: keep one"
        raise InputError(msg)
    yield from found
