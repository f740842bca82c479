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

    def n_cells(self, part: Part, context: str | None = None) -> dict[str, int]:
        """Give the measured number of cells of each perturbation of a part.

        Parameters
        ----------
        part
            The part.
        context
            In which context; default: the only one that the part has.

        Raises
        ------
        InputError
            If the part has several contexts and none is named, or not the one named.
        """
        chosen = self.table[self.table["part"] == part]
        found = sorted(set(chosen.index.get_level_values(CONTEXT)))
        if context is not None and context not in found:
            msg = f"the {part} part has no context {context!r}; it has {listed(found)}"
            raise InputError(msg)
        if context is None and len(found) > 1:
            msg = f"the {part} part has several contexts; choose one of {listed(found)}"
            raise InputError(msg)
        chosen = chosen[chosen.index.get_level_values(CONTEXT) == (context or found[0])] if found else chosen
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
    """Split a screen by perturbation (unseen perturbations): one is in the same part in every context.

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
    table = _measured(adata)
    names = table.index.get_level_values(PERTURBATION)
    return _parted(table, names.isin(hidden), names.isin(public))


def hide_context(
    adata: anndata.AnnData, context: str, shown: int | Iterable[str] = 0, public: int | Iterable[str] = 0, seed: int = 0
) -> Split:
    """Split a screen by context: what was perturbed in one cell line is to be predicted from the others.

    Parameters
    ----------
    adata
        A course data set of several contexts.
    context
        The context to predict. Its control cells are for training.
    shown
        Perturbations of it that are for training all the same, or how many are drawn: none is zero-shot, a few are
        few-shot.
    public
        Perturbations of it for public validation, likewise.
    seed
        Fixes which are drawn.

    Raises
    ------
    InputError
        If the screen has no such context or no other, lacks a perturbation there, or none is left to be hidden.
    """
    table = _measured(adata)
    contexts = table.index.get_level_values(CONTEXT)
    if context not in contexts or len(set(contexts)) < 2:
        msg = f"{context!r} cannot be hidden: perturbations were measured in {listed(sorted(set(contexts)))}"
        raise InputError(msg)
    there = list(table.index[contexts == context].get_level_values(PERTURBATION))
    free = [str(name) for name in np.random.default_rng(seed).permutation(there)]
    parts = []
    for what, wanted in (("shown", shown), ("public", public)):
        names = free[:wanted] if isinstance(wanted, int) else list(wanted)
        if unknown := sorted(set(names) - set(free)):
            msg = f"{listed(unknown)} cannot be {what}: not measured in {context}, or in another part"
            raise InputError(msg)
        if (isinstance(wanted, int) and wanted > len(names)) or len(names) >= len(free):
            msg = f"{context} has {len(there)} perturbations, so that none is left to be hidden; show and publish fewer"
            raise InputError(msg)
        free = [name for name in free if name not in names]
        parts.append(names)
    names = table.index.get_level_values(PERTURBATION)
    of_public = (contexts == context) & names.isin(parts[1])
    return _parted(table, (contexts == context) & names.isin(free), of_public)


def _measured(adata: anndata.AnnData) -> pd.DataFrame:
    """Count the cells of every pair."""
    of_cell = pairs(adata.obs)
    n_cells = of_cell[of_cell.get_level_values(PERTURBATION) != CONTROL].value_counts().rename("n_cells")
    n_cells.index = n_cells.index.set_names(PAIR)
    return n_cells.to_frame()


def _parted(table: pd.DataFrame, hidden: np.ndarray, public: np.ndarray) -> Split:
    table["part"] = np.where(hidden, "hidden", np.where(public, "public", "train"))
    return Split(table.sort_index()[["part", "n_cells"]])
