"""Write a simulated screen, its prior knowledge and its other context."""

from dataclasses import replace
from importlib import resources
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse
import scipy.special

from starter.data import dataset
from starter.data.preprocess import log_expression
from starter.files import check_room
from starter.schema import CONTROL, N_UMIS, PERTURBATION, TARGET_GENE
from starter.simulation.biology import draw
from starter.simulation.counts import draw_cells, draw_counts, expected_values
from starter.simulation.human_genes import FOLDER
from starter.simulation.priors import published, tables
from starter.simulation.setup import Simulation

BYTES_PER_VALUE = {None: 8, "gzip": 2}
"""What a stored count takes on disk, with its column, by compression."""
NO_FINDING = ": no finding about these genes"
"""What a title says of a simulated screen that bears real names."""
README = "README.md"
ABOUT = """# What is known of the genes of a simulated screen

**The screen is simulated, and so is every effect in it. Nothing here is a finding about these genes.** They bear the
names of human genes, so that what is published of them can be looked up. The screen is built of programmes; in part a
programme follows a real pathway, the rest is drawn by chance from a secret.

- `simulated_*`: what the simulator tells of its programmes, with gaps and errors. Annotations, pathways, regulons and
  the places of genes on chromosomes are invented, too.
- `string_links.tsv`, `go_processes.tsv`, `reactome_members.tsv`, `reactome_regulators.tsv`, `term_names.tsv`: what real
  databases say of the genes. It helps as far as programmes follow pathways.

"""
OTHER_CONTROLS = 500
"""Control cells of the other context in which some targets were measured too."""


def write(
    simulation: Simulation, folder: str | Path, compression: str | None = "gzip", threads: int | None = None
) -> Path:
    """Write a simulated screen and what students get beside it.

    Parameters
    ----------
    simulation
        What `draw` gave.
    folder
        Receives `simulated_<preset>.h5ad` (a course data set) and `priors/`: graph, features, the tables of
        `starter.simulation.priors`, of human genes what is published and a README, and of a screen of one context
        profiles of some targets in another context. Cells are made in blocks, so that memory does not grow with their
        number.
    compression
        A key of `BYTES_PER_VALUE`. A file of full challenge size is written and read much faster without.
    threads
        See `draw_counts`.

    Returns
    -------
    The path of the `.h5ad`.

    Raises
    ------
    InputError
        If the disk has no room for it.
    """
    folder = Path(folder)
    path = folder / f"simulated_{simulation.preset}.h5ad"
    obs, code = draw_cells(simulation)
    check_room(folder, BYTES_PER_VALUE[compression] * expected_values(simulation, obs))
    blocks = draw_counts(simulation, obs, code, threads)
    dataset.write_screen(path, blocks, obs, pd.DataFrame(index=simulation.genes), about(simulation, obs), compression)
    write_priors(simulation, folder / "priors", other=simulation.size.contexts == 1)
    return path


def write_priors(simulation: Simulation, priors: Path, *, other: bool = True) -> None:
    """Write what is known beforehand of a simulated screen's genes.

    Parameters
    ----------
    simulation
        What `draw` gave.
    priors
        The folder to write.
    other
        Whether that is also what some of the targets do in another context.
    """
    priors.mkdir(parents=True, exist_ok=True)
    simulation.graph.to_csv(priors / "simulated_graph.tsv", sep="\t", index=False)
    simulation.features.to_parquet(priors / "simulated_features.parquet")
    for name, table in tables(simulation).items():
        table.to_csv(priors / f"simulated_{name}.tsv", sep="\t", index=False)
    for name, table in published(simulation).items():
        table.to_csv(priors / f"{name}.tsv", sep="\t", index=False)
    if simulation.is_human:
        sources = resources.files("starter.simulation").joinpath(FOLDER, "SOURCES.md").read_text(encoding="utf-8")
        (priors / README).write_text(ABOUT + sources, encoding="utf-8")
    if other:
        other_context(simulation).to_parquet(priors / "simulated_other_context.parquet")


def about(simulation: Simulation, obs: pd.DataFrame) -> dict[str, object]:
    """Say what a simulated screen is, `uns["course"]`.

    Parameters
    ----------
    simulation
        What `draw` gave.
    obs
        Its cells, as `draw_cells` gives them.
    """
    no_finding = NO_FINDING if simulation.is_human else ""
    return {
        "name": f"simulated_{simulation.preset}",
        # never the seed: whoever has it can make the hidden cells
        "title": f"Simulated screen ({simulation.preset} preset){no_finding}",
        "organism": f"none (simulated{', on human gene symbols' if simulation.is_human else ''})",
        "licence": "CC0-1.0",
        "source": f"starter.simulation, preset {simulation.preset}{no_finding}",
        "citation": "simulated; cite the course kit",
        "simulated": True,
        "target_sum": float(np.median(obs.loc[obs[TARGET_GENE] == CONTROL, N_UMIS])),
    }


def other_context(simulation: Simulation) -> pd.DataFrame:
    """Measure some of the targets in another context, as if by an earlier, smaller screen in another cell line.

    Parameters
    ----------
    simulation
        A screen. The other context is as far from its contexts as they are from one another.

    Returns
    -------
    Profiles, mean log1p expression: index perturbation with the control, columns genes.
    """
    contexts = simulation.size.contexts
    size = replace(
        simulation.size,
        contexts=contexts + 1,
        doubles=0,
        controls=OTHER_CONTROLS,
        min_cells=simulation.size.other_cells,
        extra_cells=0,
    )
    # the contexts before the last are drawn as those of `simulation` were; only cells of the last are needed
    more = draw(simulation.preset, simulation.seed, size)
    rng = np.random.default_rng([simulation.seed, 5])
    last = replace(
        more,
        seed=int(rng.integers(2**31)),  # cells of its own
        size=replace(size, contexts=1),
        effects=more.effects[contexts:],
        base=more.base[contexts:],
        loadings=more.loadings[contexts:],
    )
    n_targets = len(simulation.targets)
    measured = np.sort(rng.choice(n_targets, round(simulation.size.other_targets * n_targets), replace=False))
    obs, code = draw_cells(last)
    row = np.full(n_targets + 1, -1)
    row[measured] = np.arange(1, len(measured) + 1)
    row[-1] = 0  # of the control, whose code is -1
    groups, n_umis = row[code], obs[N_UMIS].to_numpy()
    target = float(np.median(n_umis[code < 0]))
    sums, start = np.zeros((len(measured) + 1, len(simulation.genes))), 0
    for block in draw_counts(last, obs, code):
        cells = np.flatnonzero(groups[start : start + block.shape[0]] >= 0)
        logs = log_expression(block[cells], n_umis[start + cells], target)
        member = (np.ones(len(cells)), (groups[start + cells], np.arange(len(cells))))
        sums += scipy.sparse.csr_matrix(member, (len(sums), len(cells))) @ logs
        start += block.shape[0]
    means = sums / np.bincount(groups[groups >= 0])[:, None]
    labels = pd.Index([CONTROL, *simulation.targets[measured]], name=PERTURBATION)
    return pd.DataFrame(means, index=labels, columns=simulation.genes)
