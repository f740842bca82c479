"""`python -m benchmarks.screens`: simulated screens and predictions of them, as files to be scored.

A prediction has signal and is not the truth: its cells are others, drawn with effects halfway between the true ones and
their mean. Files say in their names and in `uns` that they are simulated.
"""

import dataclasses
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from itertools import chain
from pathlib import Path
from typing import Annotated, Literal

import h5py
import numpy as np
import pandas as pd
import scipy.sparse
import typer

from starter.console import run
from starter.data.h5ad import open_h5ad, read_blocks, read_frame
from starter.data.preprocess import log_expression
from starter.data.write import write_h5ad
from starter.files import check_room, whole
from starter.schema import CONTEXT, CONTROL, COURSE, N_UMIS, TARGET_GENE
from starter.simulation import biology
from starter.simulation.counts import draw_cells, draw_counts, expected_values
from starter.simulation.setup import SIZES, Simulation, Size

BYTES_PER_VALUE = 8
TRUE_SHARE = 0.5
"""How much of a predicted effect is the true one; the rest is the mean effect."""
ONE_OF = "context_1"
"""Name of the context in a screen of season 2026."""
SIMULATED = "simulated"
"""Key of `uns` under which a file says what it is."""


@dataclass(frozen=True)
class Screen:
    """What is simulated, and by which rules it is scored."""

    rule_set: Literal["vcc2025", "vcc2026"]
    size: Size


FULL_2026 = dataclasses.replace(SIZES["vcc2026"], contexts=1)
SCREENS = {
    "tiny": Screen("vcc2025", Size(targets=12, genes=1_000, controls=400, min_cells=40, depth=54_000)),
    "tiny2026": Screen("vcc2026", Size(targets=12, genes=1_000, controls=400, min_cells=40, depth=20_000)),
    "small": Screen(
        "vcc2025",
        Size(targets=50, genes=5_000, controls=5_933, min_cells=225, extra_cells=0, depth=54_000, base_sd=1.72),
    ),
    "controls": Screen("vcc2025", dataclasses.replace(SIZES["vcc2025"], targets=10)),
    "2026": Screen("vcc2026", dataclasses.replace(FULL_2026, targets=30)),
    "full2025": Screen("vcc2025", SIZES["vcc2025"]),
    "full2026": Screen("vcc2026", FULL_2026),
    "upload2026": Screen("vcc2026", SIZES["vcc2026"]),
}
"""Season 2025 is stored as log1p expression, its prediction with the measured control cells; season 2026 as counts, its
prediction without controls; one context, but the upload has all three."""


class Form(StrEnum):
    """Ways to store the same cells."""

    csr = "csr"
    """Without compression."""
    gzip = "gzip"
    dense = "dense"
    with_controls = "with-controls"
    """Of season 2026: the prediction with the screen's control cells, for a tool that wants them there."""


def real_path(folder: Path) -> Path:
    """Name the screen's file in a folder."""
    return folder / "simulated_real.h5ad"


def prediction_path(folder: Path) -> Path:
    """Name the prediction's file in a folder."""
    return folder / "simulated_prediction.h5ad"


def write(screen: Screen, folder: Path, seed: int = 0) -> None:
    """Write a screen and a prediction of it, as CSR without compression; what is there already is kept.

    Parameters
    ----------
    screen
        A value of `SCREENS`.
    folder
        Receives the two files.
    seed
        Of the simulation.

    Raises
    ------
    InputError
        If the disk has no room for them.
    """
    uns = {SIMULATED: f"benchmarks.screens, seed {seed}, {screen}"}
    real, prediction = real_path(folder), prediction_path(folder)
    if _holds(real, uns) and _holds(prediction, uns):
        return
    simulation = biology.draw(size=screen.size, seed=seed)
    obs, code = draw_cells(simulation)
    check_room(folder, 2 * BYTES_PER_VALUE * expected_values(simulation, obs))
    perturbed = np.flatnonzero(code >= 0)
    grouped = perturbed[np.argsort(code[perturbed], kind="stable")]
    target = float(obs.loc[obs[TARGET_GENE] == CONTROL, N_UMIS].median())
    var = pd.DataFrame(index=simulation.genes)

    def cells(drawn_from: Simulation, rows: np.ndarray) -> Iterator[scipy.sparse.csr_matrix]:
        start = 0
        for block in draw_counts(drawn_from, obs.iloc[rows], code[rows]):
            n_umis = obs[N_UMIS].to_numpy()[rows[start : start + block.shape[0]]]
            start += block.shape[0]
            yield block if screen.rule_set == "vcc2026" else log_expression(block, n_umis, target)

    labels = obs[[TARGET_GENE]]
    if CONTEXT in obs:
        labels = obs[[TARGET_GENE, CONTEXT]].copy()
        labels[CONTEXT] = labels[CONTEXT].cat.rename_categories(list("ABC"))  # as an upload names them
    elif screen.rule_set == "vcc2026":
        labels = labels.assign(**{CONTEXT: pd.Categorical([ONE_OF] * len(obs))})
    course = {
        "name": real.stem,
        "title": "Simulated screen for benchmarks",
        "organism": "none (simulated)",
        "licence": "CC0-1.0",
        "source": "starter.simulation",
        "citation": "simulated; cite the course kit",
        "simulated": True,
        "target_sum": target,
    }
    write_h5ad(real, cells(simulation, np.arange(len(obs))), labels, var, uns={COURSE: course, **uns})
    predicted = cells(_blend(simulation), grouped)
    if screen.rule_set == "vcc2025":
        predicted, grouped = chain(_control_cells(real), predicted), np.append(np.flatnonzero(code < 0), grouped)
    write_h5ad(prediction, predicted, labels.iloc[grouped], var, uns=uns)


def rewrite(folder: Path, form: Form) -> None:
    """Store the prediction in another way, into a folder of the form's name; what is there already is kept.

    Raises
    ------
    InputError
        If the disk has no room for it.
    """
    real, out = real_path(folder), prediction_path(folder / form.value)
    obs, controls = None, ()
    if form is Form.with_controls:
        with open_h5ad(real) as file:
            obs = read_frame(file, "obs")
        obs, controls = obs[obs[TARGET_GENE] == CONTROL], _control_cells(real)
    _rewrite(prediction_path(folder), out, form, obs, controls)


def _rewrite(
    path: Path,
    out: Path,
    form: Form,
    first_obs: pd.DataFrame | None = None,
    first: Iterable[scipy.sparse.csr_matrix] = (),
) -> None:
    """Store one file in another way, cells from elsewhere first."""
    with open_h5ad(path) as file:
        uns = {SIMULATED: file["uns"][SIMULATED].asstr()[()]}
        if _holds(out, uns):
            return
        obs, var = read_frame(file, "obs"), read_frame(file, "var")
        size = BYTES_PER_VALUE * file["X"]["data"].size / len(obs)
        if first_obs is not None:
            obs = pd.concat([first_obs, obs])
            obs = obs.astype(dict.fromkeys(obs.columns, "category"))
        blocks = chain(first, read_blocks(file["X"]))
        check_room(out.parent, 4 * len(obs) * len(var) if form is Form.dense else int(size * len(obs)))
        if form is not Form.dense:
            write_h5ad(out, blocks, obs, var, uns, compression="gzip" if form is Form.gzip else None)
            return
        with whole(out) as part:
            write_h5ad(part, [scipy.sparse.csr_matrix((len(obs), len(var)))], obs, var, uns)
            with h5py.File(part, "r+") as new:
                del new["X"]
                x = new.create_dataset("X", (len(obs), len(var)), np.float32)
                x.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
                start = 0
                for block in blocks:
                    x[start : start + block.shape[0]] = block.toarray()
                    start += block.shape[0]


def _holds(path: Path, uns: dict[str, str]) -> bool:
    """Tell whether a file was written before, of the same screen."""
    if not path.is_file():
        return False
    with open_h5ad(path) as file:
        stored = file["uns"].get(SIMULATED)
        return stored is not None and stored.asstr()[()] == uns[SIMULATED]


def _blend(simulation: Simulation) -> Simulation:
    """Give what a fair model might predict: the effects drawn to their mean; and other cells."""
    mean = simulation.effects.mean(axis=1, keepdims=True)
    effects = TRUE_SHARE * simulation.effects + (1 - TRUE_SHARE) * mean
    return dataclasses.replace(simulation, seed=simulation.seed + 1, effects=effects)


def _control_cells(path: Path) -> Iterator[scipy.sparse.csr_matrix]:
    with open_h5ad(path) as file:
        control = (read_frame(file, "obs")[TARGET_GENE] == CONTROL).to_numpy()
        start = 0
        for block in read_blocks(file["X"]):
            yield block[control[start : start + block.shape[0]]]
            start += block.shape[0]


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
ScreenName = StrEnum("ScreenName", list(SCREENS))


@app.command()
def main(
    screen: Annotated[ScreenName, typer.Argument(help="What to simulate; tiny ones are for trying.")],
    folder: Annotated[Path, typer.Argument(help="Receives the files; what it has already is kept.")],
    form: Annotated[
        Form, typer.Option(help="How to store them; all but csr go to a folder of that name in FOLDER.")
    ] = Form.csr,
) -> None:
    """Write a simulated screen and a prediction of it.

    Example: python -m benchmarks.screens full2025 /tmp/full2025
    """
    write(SCREENS[screen], folder)
    if form is not Form.csr:
        rewrite(folder, form)


if __name__ == "__main__":
    run(app)
