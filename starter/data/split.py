"""Which (context, perturbation) pair is in which part: train, public validation, hidden."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import anndata
import numpy as np
import pandas as pd

from starter.data.dataset import PAIR, pairs, perturbations
from starter.errors import InputError, listed
from starter.files import check_file, whole
from starter.schema import (
    CONTEXT,
    CONTROL,
    PERTURBATION,
    TARGET_GENE,
)

Part = Literal["train", "public", "hidden"]
PARTS: tuple[Part, ...] = ("train", "public", "hidden")
"""Training, public validation, hidden."""


@dataclass(frozen=True)
class Split:
    """Which (context, perturbation) pair is in which part. The unit is the pair, never the cell."""

    table: pd.DataFrame
    """Index context and perturbation; columns part (train, public or hidden) and n_cells."""

    def pairs(self, part: Part) -> pd.MultiIndex:
        """Give the pairs of a part, sorted."""
        return self.table.index[self.table["part"] == part].sort_values()

    def n_cells(self, part: Part) -> dict[str, int]:
        """Give the measured number of cells of each perturbation of a part.

        Raises
        ------
        InputError
            If the part has more than one context.
        """
        chosen = self.table[self.table["part"] == part]
        if len(set(chosen.index.get_level_values(CONTEXT))) > 1:
            msg = f"the {part} part has several contexts; choose one"
            raise InputError(msg)
        return chosen["n_cells"].droplevel(CONTEXT).astype(int).sort_index().to_dict()

    def select(self, obs: pd.DataFrame, *parts: Part) -> np.ndarray:
        """Tell which cells of a screen belong to the pairs of some parts, or are controls.

        Parameters
        ----------
        obs
            What describes the screen's cells.
        parts
            The parts wanted.

        Returns
        -------
        One boolean a cell.

        Raises
        ------
        InputError
            If a pair of these parts has no cell in the screen.
        """
        of_cell = pairs(obs)
        due = self.table.index[self.table["part"].isin(parts)]
        if len(missing := due.difference(of_cell)):
            names = [f"{perturbation} ({context})" for context, perturbation in missing]
            msg = f"the screen has no cells of {listed(names)}, which the split puts in {' and '.join(parts)}"
            raise InputError(msg)
        return of_cell.isin(due) | (obs[TARGET_GENE] == CONTROL).to_numpy()

    def write(self, path: str | Path) -> None:
        """Write `split.json`."""
        rows = self.table.sort_index().reset_index().to_dict("records")
        with whole(path) as part:
            part.write_text(json.dumps({"pairs": rows}, indent=1) + "\n", encoding="utf-8")


def read_split(path: str | Path) -> Split:
    """Read `split.json`.

    Raises
    ------
    InputError
        If it is missing, not JSON, or names no or unknown parts.
    """
    path = Path(path)
    check_file(path)
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["pairs"]
        table = pd.DataFrame(rows, columns=[*PAIR, "part", "n_cells"]).set_index(PAIR)
        if not all(isinstance(name, str) and name for pair in table.index for name in pair):
            msg = "a context or perturbation is not a name"
            raise ValueError(msg)
        if not all(isinstance(n, int) and 0 <= n < 2**31 for n in table["n_cells"].tolist()):
            msg = "n_cells is not a whole number"
            raise ValueError(msg)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        msg = f"{path} is not a split: it needs {{'pairs': [{{context, perturbation, part, n_cells}}, ...]}} ({error})"
        raise InputError(msg) from error
    if odd := sorted(set(table["part"].astype(str)) - set(PARTS)):
        msg = f"{path} has the parts {listed(odd)}; a pair is in {', '.join(PARTS)}"
        raise InputError(msg)
    if table.index.has_duplicates:
        twice = table.index[table.index.duplicated()].get_level_values(PERTURBATION)
        msg = f"{path} lists {listed(twice)} twice; a pair is in one part only"
        raise InputError(msg)
    return Split(table)


def make_split(adata: anndata.AnnData, hidden: Iterable[str], public: Iterable[str]) -> Split:
    """Split a screen by perturbation; a perturbation is in the same part in every context.

    Parameters
    ----------
    adata
        A course data set.
    hidden, public
        Perturbations to predict, and those for public validation. All others are for training.

    Raises
    ------
    InputError
        If a name is not a perturbation of the screen, is in both, or none is left for training.
    """
    hidden, public = set(hidden), set(public)
    known = set(perturbations(adata))
    if unknown := sorted((hidden | public) - known):
        msg = f"the screen has no perturbation {listed(unknown)}; it has {listed(sorted(known))}"
        raise InputError(msg)
    if both := sorted(hidden & public):
        msg = f"{listed(both)} cannot be both hidden and public"
        raise InputError(msg)
    if not known - hidden - public:
        msg = "no perturbation is left for training; hide fewer"
        raise InputError(msg)
    of_cell = pairs(adata.obs)
    n_cells = of_cell[of_cell.get_level_values(PERTURBATION) != CONTROL].value_counts().rename("n_cells")
    n_cells.index = n_cells.index.set_names(PAIR)
    table = n_cells.to_frame()
    names = table.index.get_level_values(PERTURBATION)
    table["part"] = np.where(names.isin(hidden), "hidden", np.where(names.isin(public), "public", "train"))
    return Split(table.sort_index()[["part", "n_cells"]])
