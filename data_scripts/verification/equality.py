"""How one screen equals another that should hold the same, such as a rebuilt file and the deposited one.

Cells and genes are matched by name, so their order may differ. Values are compared a block of cells at a time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from data_scripts.rows import row_reader
from data_scripts.verification.values import Counts, compare_columns, compare_matrices
from starter.data.h5ad import check_matrix, layout_of, open_h5ad, read_frame
from starter.data.zarr_store import is_array
from starter.errors import InputError, listed
from starter.schema import BATCH, CONTEXT, GUIDE, TARGET_GENE

LABELS = (TARGET_GENE, GUIDE, BATCH, CONTEXT)


@dataclass(frozen=True)
class Names:
    """Names of cells or genes here and there."""

    n_here: int
    n_there: int
    missing: tuple[str, ...]
    """There and not here."""
    extra: tuple[str, ...]
    """Here and not there."""
    same_order: bool
    """Of the common ones."""

    @property
    def n_common(self) -> int:
        """How many have the same name."""
        return self.n_here - len(self.extra)


@dataclass(frozen=True)
class Equality:
    """How one screen equals another."""

    cells: Names
    genes: Names
    columns: dict[str, Counts]
    """Columns of `obs` that both have, over the common cells."""
    renamed: tuple[str, ...]
    """Labels that are the same but for names, in words."""
    matrices: dict[str, Counts]
    """`X`, and the layers that both have."""
    layouts: dict[str, tuple[str, str]]
    """How each is stored, here and there."""
    only_here: tuple[str, ...]
    """Columns of `obs`, and layers."""
    only_there: tuple[str, ...]

    @property
    def is_equal(self) -> bool:
        """Whether cells, genes and values are the same or close; columns that one of them lacks do not count."""
        counts = [*self.columns.values(), *self.matrices.values()]
        names = (self.cells.missing, self.cells.extra, self.genes.missing, self.genes.extra)
        return not any(names) and not any(each.different or each.missing or each.extra for each in counts)


def compare_screens(here: str | Path, there: str | Path) -> Equality:
    """Compare a screen with another, value by value.

    Parameters
    ----------
    here, there
        `.h5ad` files or Zarr stores, sparse or dense.

    Raises
    ------
    InputError
        If one cannot be read, names a cell or gene twice, or nothing is common to both.
    """
    with open_h5ad(here) as ours, open_h5ad(there) as theirs:
        obs, their_obs = _table(ours, "obs", here), _table(theirs, "obs", there)
        var, their_var = _table(ours, "var", here), _table(theirs, "var", there)
        cells, genes = _names(obs.index, their_obs.index), _names(var.index, their_var.index)
        for names, what, mine, other in ((cells, "cell", obs, their_obs), (genes, "gene", var, their_var)):
            if not names.n_common:
                msg = (
                    f"no {what} of {here} ({listed(mine.index)}) has the name of one of {there} "
                    f"({listed(other.index)}); rename those of one file as in the other"
                )
                raise InputError(msg)
        rows, their_rows = _common(obs.index, their_obs.index)
        columns, their_columns = _common(var.index, their_var.index)
        matrices = {"X": (ours["X"], theirs["X"])}
        layers, their_layers = list(ours.get("layers", ())), list(theirs.get("layers", ()))
        for name in sorted(set(layers) & set(their_layers)):
            matrices[f"layers/{name}"] = (ours["layers"][name], theirs["layers"][name])
        for number, (path, frame, frame_var) in enumerate(((here, obs, var), (there, their_obs, their_var))):
            for name, pair in matrices.items():
                if finding := check_matrix(pair[number], (len(frame), len(frame_var))):
                    msg = f"{path}: {name}: {finding}"
                    raise InputError(msg)
        found, compared = {}, len(rows) * len(columns)
        for name, (mine, other) in matrices.items():
            readers = (row_reader(mine, here), row_reader(other, there))
            counts, place = compare_matrices(readers, (rows, their_rows), (columns, their_columns), name)
            counts.missing = len(their_obs) * len(their_var) - compared
            counts.extra = len(obs) * len(var) - compared
            if place:
                cell, gene, mine_value, other_value = place
                where = f"{obs.index[cell]}, {var.index[gene]}"
                counts.where = f"{where}: {mine_value:g} here, {other_value:g} there"
            found[name] = counts
        common = [name for name in obs if name in their_obs]
        aligned, their_aligned = obs.iloc[rows], their_obs.iloc[their_rows]
        return Equality(
            cells=cells,
            genes=genes,
            columns={name: compare_columns(aligned[name], their_aligned[name]) for name in common},
            renamed=tuple(_renamed(aligned, their_aligned)),
            matrices=found,
            layouts={name: (_layout(mine), _layout(other)) for name, (mine, other) in matrices.items()},
            only_here=tuple(
                [f"obs/{name}" for name in obs if name not in their_obs]
                + [f"layers/{name}" for name in layers if name not in their_layers]
            ),
            only_there=tuple(
                [f"obs/{name}" for name in their_obs if name not in obs]
                + [f"layers/{name}" for name in their_layers if name not in layers]
            ),
        )


def _table(file: Any, key: str, path: str | Path) -> pd.DataFrame:
    frame = read_frame(file, key)
    frame.index = frame.index.astype(str)
    if not frame.index.is_unique:
        what = "cells" if key == "obs" else "genes"
        twice = frame.index[frame.index.duplicated()].unique()
        msg = f"{path} names {what} twice ({listed(twice)}), so they cannot be matched by name; make the names unique"
        raise InputError(msg)
    return frame


def _names(here: pd.Index, there: pd.Index) -> Names:
    common = here[here.isin(there)]
    return Names(
        n_here=len(here),
        n_there=len(there),
        missing=tuple(there[~there.isin(here)]),
        extra=tuple(here[~here.isin(there)]),
        same_order=common.equals(there[there.isin(here)]),
    )


def _common(here: pd.Index, there: pd.Index) -> tuple[np.ndarray, np.ndarray]:
    """Give the places of the common names here, in their order here, and there."""
    places = there.get_indexer(here)
    return np.flatnonzero(places >= 0), places[places >= 0]


def _renamed(here: pd.DataFrame, there: pd.DataFrame) -> list[str]:
    """Find labels that divide the cells alike under other names; of several columns that with the most like names."""
    said = []
    for name in (label for label in LABELS if label in here):
        mine, found = here[name].astype(str).to_numpy(), {}
        for other in [name] if name in there else there.columns:
            pairs = pd.DataFrame({"here": mine, "there": there[other].astype(str).to_numpy()}).drop_duplicates()
            one_to_one = len(pairs) == pairs["here"].nunique() == pairs["there"].nunique()
            unlike = pairs[pairs["here"] != pairs["there"]]
            if one_to_one and len(pairs) > 1 and (other != name or len(unlike)):
                found[other] = unlike
        if found:
            other = min(found, key=lambda column: len(found[column]))
            examples = listed([f"{a} = {b}" for a, b in found[other].itertuples(index=False)]) or "by the same names"
            said.append(f"{name} here is {other} there, one to one: {examples}")
    return said


def _layout(x: Any) -> str:
    values = x if is_array(x) else x["data"]
    return f"{layout_of(x).removesuffix('_matrix')} {values.dtype}"
