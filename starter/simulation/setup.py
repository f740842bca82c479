"""What a simulated screen can be: presets of its biology, sizes, and a screen that is drawn."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

GUIDES, CONTROL_GUIDES = 3, 9
"""Guides of a target, and non-targeting guides."""


@dataclass(frozen=True)
class Preset:
    """How hard a simulated screen is."""

    blocks: int
    """Programmes, and blocks of targets (K)."""
    near_dead: float
    """Share of targets whose knock-down does almost nothing."""
    idiosyncratic: float
    """Share of an effect's specific variance that no prior knows."""
    shared: float
    """Share of an effect's variance that all perturbations have in common."""
    graph_noise: float
    """Share of the graph's edges that students do not get; as many false ones are added."""


PRESETS = {
    "default": Preset(blocks=8, near_dead=0.15, idiosyncratic=0.15, shared=0.4, graph_noise=0.2),
    "hard": Preset(blocks=10, near_dead=0.35, idiosyncratic=0.35, shared=0.5, graph_noise=0.3),
}


@dataclass(frozen=True)
class Size:
    """How large a simulated screen is."""

    targets: int = 240
    genes: int = 1_000
    controls: int = 2_000
    """Control cells in each context."""
    min_cells: int = 60
    """Fewest cells of a perturbation in each context."""
    contexts: int = 1
    batches: int = 3
    depth: float = 11_850
    """Median library size of a cell, in UMIs over the whole transcriptome."""
    extra_cells: float = 0.125
    """Cells of a perturbation beyond the fewest, as a share of these on average; with 0 all have equally many."""
    base_sd: float = 1.85
    """Standard deviation of the genes' log base expression. A smaller one leaves fewer zeros at the same depth."""
    damaged: float = 0.02
    """Share of cells that lost most of their UMIs, though not those of the mitochondria."""


SIZES = {
    "course": Size(),
    "vcc2025": Size(targets=50, genes=18_080, controls=38_176, min_cells=1_080, depth=61_500, base_sd=1.74, damaged=0),
    "vcc2026": Size(
        targets=300,
        genes=18_533,
        controls=18_400,
        min_cells=400,
        contexts=3,
        depth=22_000,
        extra_cells=0,
        base_sd=1.53,
        damaged=0,
    ),
}
"""Sizes by name. Those of the challenges have as many cells, genes, UMIs and zeros: 2025 as in validation (60,750 cells
beside the controls, density .43), 2026 as in its three contexts (20,000 UMIs and 5,970 genes seen in a cell)."""


@dataclass(frozen=True)
class Simulation:
    """The known truth behind a simulated screen: T targets, G genes, K programmes, C contexts."""

    seed: int
    preset: str
    size: Size
    genes: np.ndarray
    targets: np.ndarray
    position: np.ndarray
    """Column of each target among the genes, T."""
    membership: np.ndarray
    """How much each target belongs to each programme, T x K."""
    effects: np.ndarray
    """Natural log fold changes in a cell that is perturbed, C x T x G."""
    escape: np.ndarray
    """Probability that a cell is unperturbed, by target and guide, T x `GUIDES`."""
    off_target: np.ndarray
    """Column of the gene that a guide silences beside its target, or -1, T x `GUIDES`."""
    off_target_effect: np.ndarray
    """Its natural log fold change, T."""
    base: np.ndarray
    """Expression of each gene in an average control cell, CP10k of the whole transcriptome, C x G."""
    dispersion: np.ndarray
    """Negative binomial phi, G."""
    loadings: np.ndarray
    """Programmes x genes in each context, C x K x G: control cells vary along them too."""
    batch_shift: np.ndarray
    """Log expression change of each gene in each batch, B x G."""
    true_graph: pd.DataFrame
    """Edges between targets that carried signals."""
    graph: pd.DataFrame
    """What students get: edges lost and false edges added."""
    features: pd.DataFrame
    """What students get: noisy features of the targets."""
