"""Which cells of a screen a part takes: controls, and some of each of some perturbations."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass

import numpy as np
import pandas as pd

from data_scripts.adoption.labels import Meaning
from starter.errors import InputError, counted
from starter.schema import CONTROL


@dataclass(frozen=True)
class Part:
    """How much of a screen is taken."""

    perturbations: int = 200
    cells: int = 40
    """Cells of each perturbation."""
    controls: int = 1000
    genes: int = 2000
    """The most variable genes; the targets are taken besides."""
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if value < (0 if name == "seed" else 1):
                msg = f"a part with {value} {name} is none; give a whole number from 1 on"
                raise InputError(msg)

    def __str__(self) -> str:
        """Name it, as a file's name may hold it."""
        return f"{self.perturbations}x{self.cells}-{self.controls}controls-{self.genes}genes-seed{self.seed}"


def choose(labels: pd.Series, meanings: Mapping[str, Meaning], measured: set[str], part: Part) -> np.ndarray:
    """Choose cells at random: of perturbations with enough cells whose gene is measured, and of the controls.

    Parameters
    ----------
    labels
        The label of each cell, as the file has it.
    meanings
        What each label means.
    measured
        The genes of the file.
    part
        How much is taken.

    Returns
    -------
    Numbers of the cells, ascending.

    Raises
    ------
    InputError
        If there are too few perturbations with as many cells, or too few controls.
    """
    targets = labels.map({label: meaning.target for label, meaning in meanings.items()})
    cells_of = {str(target): cells for target, cells in targets.groupby(targets).indices.items()}
    controls = cells_of.pop(CONTROL, np.empty(0, int))
    enough = sorted(
        target for target, cells in cells_of.items() if len(cells) >= part.cells and set(target.split("+")) <= measured
    )
    if len(enough) < part.perturbations:
        msg = (
            f"only {counted(len(enough), 'perturbation')} of the screen have {part.cells} cells and a gene that is "
            f"measured; take at most as many, or fewer cells of each"
        )
        raise InputError(msg)
    if len(controls) < part.controls:
        msg = f"the screen has {counted(len(controls), 'control cell')}; take at most as many"
        raise InputError(msg)
    rng = np.random.default_rng(part.seed)
    taken = [rng.choice(controls, part.controls, replace=False)]
    for target in sorted(rng.choice(enough, part.perturbations, replace=False)):
        taken.append(rng.choice(cells_of[target], part.cells, replace=False))
    return np.sort(np.concatenate(taken))
