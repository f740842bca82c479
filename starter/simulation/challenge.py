"""Write a simulated screen in the layout of a Virtual Cell Challenge, season 2025 or 2026, and what was measured.

A challenge's files hold raw counts and nothing of what a course data set has beside them: no totals, no description. So
their names say that they are simulated, and so do the names of the cells.
"""

import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse

from starter.data.h5ad import open_h5ad, read_blocks
from starter.data.write import write_h5ad
from starter.errors import InputError
from starter.files import check_room, whole
from starter.schema import BATCH, CONTEXT, CONTROL, GUIDE, N_UMIS, TARGET_GENE
from starter.simulation.counts import draw_cells, draw_counts, expected_values
from starter.simulation.setup import Simulation
from starter.simulation.write import write_priors

TRAINING_SHARE = 0.75
"""Share of the targets that 2025's training file holds: 150 of 200."""
TRAINING, VALIDATION = "Training", "Validation"
LANES = 16
"""Batches of one of 2025's runs."""
NTC_ID, CONSTRUCTS = "ntc_id", 46
"""Column of a control cell's construct in 2026, and how many of them a context has."""
CELLS_2026 = 400
"""Cells of a perturbation in each context; the list of perturbations names no other number."""
BYTES_PER_VALUE = 8


def write_2025(simulation: Simulation, folder: str | Path) -> list[Path]:
    """Write a screen as season 2025 published its own: training cells, and afterwards those of the validation.

    Parameters
    ----------
    simulation
        What `draw` gave: one context, no doubles.
    folder
        Receives `simulated_adata_Training.h5ad` and `simulated_adata_Validation.h5ad` (CSR counts without compression;
        `obs` has `target_gene`, `guide_id` and `batch`; the control cells are in both), for each a `pert_counts_*.csv`
        (target_gene, n_cells, median_umi_per_cell), `gene_names.csv`, and `priors/` as beside a course's screen. Which
        targets are in training is drawn.

    Returns
    -------
    The two `.h5ad` files.

    Raises
    ------
    InputError
        If the screen has several contexts or doubles, which that season did not have, or the disk has no room.
    """
    if simulation.size.contexts > 1 or simulation.size.doubles:
        msg = "season 2025 had one context and no doubles; leave contexts and doubles out, or take another layout"
        raise InputError(msg)
    folder = Path(folder)
    obs, code = draw_cells(simulation)
    _check_room(folder, simulation, obs, code)
    of_split = np.random.default_rng([simulation.seed, 10])
    order = of_split.permutation(len(simulation.targets))
    trained = np.isin(code, order[: round(TRAINING_SHARE * len(order))])
    controls, training, validation = (np.flatnonzero(mask) for mask in (code < 0, trained, ~trained & (code >= 0)))
    training = of_split.permutation(np.concatenate([controls, training]))
    is_control = code[training] < 0
    labels, var = _labels_2025(obs), pd.DataFrame(index=simulation.genes)
    paths = [folder / f"simulated_adata_{name}.h5ad" for name in (TRAINING, VALIDATION)]
    write_h5ad(paths[0], _drawn(simulation, 0, obs, code, training), _rows(labels, training), var)
    cells = chain(_stored(paths[0], is_control), _drawn(simulation, 1, obs, code, validation))
    write_h5ad(paths[1], cells, _rows(labels, np.concatenate([training[is_control], validation])), var)
    for name, rows in ((TRAINING, training[~is_control]), (VALIDATION, validation)):
        of_target = obs.iloc[rows].groupby(TARGET_GENE, observed=True)[N_UMIS]
        table = pd.DataFrame({"n_cells": of_target.size(), "median_umi_per_cell": of_target.median()})
        _write_csv(folder / f"pert_counts_{name}.csv", table.sort_values("n_cells", ascending=False).reset_index())
    _write_csv(folder / "gene_names.csv", pd.DataFrame({"gene_name": simulation.genes}), header=False)
    write_priors(simulation, folder / "priors")
    return paths


def write_2026(simulation: Simulation, folder: str | Path) -> list[Path]:
    """Write a screen as season 2026 published its own: each context's control cells and the lists; and the truth.

    Parameters
    ----------
    simulation
        What `draw` gave, without doubles. Every perturbation gets the fewest cells that its size has, and the contexts
        are named A, B, C and so on.
    folder
        Receives `simulated_context_A.h5ad` and so on (control cells; CSR counts; `obs` has `target_gene`, `context` and
        `ntc_id`), `gene_names.csv`, `pert_counts.csv`, `manifest.json`, and `priors/` as beside a course's screen, of
        a further context; and, which the challenge keeps, every cell: `truth/simulated_truth.h5ad`.

    Returns
    -------
    The `.h5ad` files, the truth last.

    Raises
    ------
    InputError
        If the screen has doubles, which that season did not have, or the disk has no room.
    """
    if simulation.size.doubles:
        msg = "season 2026 had no doubles; leave them out, or take another layout"
        raise InputError(msg)
    simulation = replace(simulation, size=replace(simulation.size, extra_cells=0))
    folder = Path(folder)
    obs, code = draw_cells(simulation)
    n_values = _check_room(folder, simulation, obs, code)
    names = [chr(ord("A") + number) for number in range(simulation.size.contexts)]
    context = obs[CONTEXT].cat.codes.to_numpy() if CONTEXT in obs else np.zeros(len(obs), dtype=int)
    labels = pd.DataFrame(
        {
            TARGET_GENE: obs[TARGET_GENE].to_numpy(),
            CONTEXT: np.array(names)[context],
            NTC_ID: [f"{CONTROL}_{number % CONSTRUCTS + 1:02d}" for number in range(len(obs))],  # cells are in disorder
        },
        index=[f"simulated_cell_{number:07d}" for number in range(len(obs))],
    )
    var = pd.DataFrame(index=simulation.genes)
    paths, order = [], []
    for number, name in enumerate(names):
        order.append(np.flatnonzero((code < 0) & (context == number)))
        paths.append(folder / f"simulated_context_{name}.h5ad")
        write_h5ad(paths[-1], _drawn(simulation, number, obs, code, order[-1]), _rows(labels, order[-1]), var)
    perturbed = np.flatnonzero(code >= 0)
    cells = chain(*(_stored(path) for path in paths), _drawn(simulation, len(names), obs, code, perturbed))
    of_truth = _rows(labels.drop(columns=NTC_ID), np.concatenate([*order, perturbed]))
    paths.append(folder / "truth" / "simulated_truth.h5ad")
    write_h5ad(paths[-1], cells, of_truth, var, stored=n_values)
    _write_csv(folder / "gene_names.csv", pd.DataFrame({"gene_name": simulation.genes}))
    due = pd.DataFrame({TARGET_GENE: simulation.targets})
    if simulation.size.min_cells != CELLS_2026:
        due["n_cells"] = simulation.size.min_cells
    _write_csv(folder / "pert_counts.csv", due)
    manifest = {"season": 2026, "partition": "val", "panel_id": f"simulated-{simulation.preset}", "contexts": names}
    with whole(folder / "manifest.json") as part:
        part.write_text(json.dumps(manifest) + "\n", encoding="utf-8")
    write_priors(simulation, folder / "priors")
    return paths


def _check_room(folder: Path, simulation: Simulation, obs: pd.DataFrame, code: np.ndarray) -> int:
    """Refuse what the disk cannot hold, the control cells twice; say how many values all cells have."""
    n_values = expected_values(simulation, obs)
    check_room(folder, int(BYTES_PER_VALUE * n_values * (1 + (code < 0).mean())))
    return n_values


def _labels_2025(obs: pd.DataFrame) -> pd.DataFrame:
    batch = obs[BATCH].cat.codes
    runs = [f"Flex_{number // LANES + 1}_{number % LANES + 1:02d}" for number in range(len(obs[BATCH].cat.categories))]
    # a cell's guide is a pair that came into it together
    guide = obs[GUIDE].cat.rename_categories(lambda name: f"{name}_A|{name}_B")
    run = pd.Categorical.from_codes(batch, runs)
    cells = [f"simulated_cell_{number:07d}-{name}" for number, name in enumerate(run)]
    return pd.DataFrame({TARGET_GENE: obs[TARGET_GENE].to_numpy(), GUIDE: guide.to_numpy(), BATCH: run}, index=cells)


def _rows(labels: pd.DataFrame, rows: np.ndarray) -> pd.DataFrame:
    """Choose cells; categories are those that they have."""
    return labels.iloc[rows].astype(str).astype("category")


def _drawn(
    simulation: Simulation, stream: int, obs: pd.DataFrame, code: np.ndarray, rows: np.ndarray
) -> Iterator[scipy.sparse.csr_matrix]:
    """Draw some of the cells; each stream has random numbers of its own."""
    seed = int(np.random.default_rng([simulation.seed, 11, stream]).integers(2**31))
    yield from draw_counts(replace(simulation, seed=seed), obs.iloc[rows], code[rows])


def _stored(path: Path, keep: np.ndarray | None = None) -> Iterator[scipy.sparse.csr_matrix]:
    """Read cells of a file that was written before."""
    with open_h5ad(path) as file:
        start = 0
        for block in read_blocks(file["X"], keep=keep, checked=False):
            yield block if keep is None else block[keep[start : start + block.shape[0]]]
            start += block.shape[0]


def _write_csv(path: Path, table: pd.DataFrame, *, header: bool = True) -> None:
    with whole(path) as part:
        table.to_csv(part, index=False, header=header)
