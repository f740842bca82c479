"""What a simulated screen can be: presets of its biology, sizes, and a screen that is drawn."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

GUIDES, CONTROL_GUIDES = 3, 9
"""Guides of a target, and non-targeting guides."""
FEWEST_HUMAN = 1_000
"""A screen of so many genes or more is built on human genes."""
VARIATION = 0.5
"""How far a cell stands along a programme: standard deviation, in units of the programme's loadings."""


@dataclass(frozen=True)
class Preset:
    """How hard a simulated screen is."""

    blocks: int
    """Programmes, and blocks of targets (K)."""
    strength: float
    """Median strength of the effects of targets that are not silent: root mean square of the log fold changes."""
    spread: float
    """Standard deviation of their log strength."""
    silent: float
    """Share of targets whose knock-down does almost nothing."""
    idiosyncratic: float
    """Share of an effect's specific variance that no prior knows."""
    elsewhere: float
    """Share of targets that act on other programmes than all that is known of them says."""
    shared: float
    """Share of an effect's variance that all perturbations have in common."""
    state: float
    """Share of the common part that lies along states of the cell, along which controls vary too."""
    graph_noise: float
    """Share of the graph's edges that students do not get; as many false ones are added."""


PRESETS = {
    "default": Preset(
        blocks=8,
        strength=0.245,
        spread=0.55,
        silent=0.2,
        idiosyncratic=0.35,
        elsewhere=0.1,
        shared=0.4,
        state=0.75,
        graph_noise=0.2,
    ),
    "papalexi": Preset(
        blocks=8,
        strength=0.19,
        spread=0.35,
        silent=0.62,
        idiosyncratic=0.15,
        elsewhere=0.08,
        shared=0.65,
        state=0.75,
        graph_noise=0.2,
    ),
    "hard": Preset(
        blocks=10,
        strength=0.24,
        spread=0.55,
        silent=0.35,
        idiosyncratic=0.3,
        elsewhere=0.2,
        shared=0.45,
        state=0.75,
        graph_noise=0.3,
    ),
    "vcc": Preset(
        blocks=8,
        strength=0.22,
        spread=0.7,
        silent=0.2,
        idiosyncratic=0.3,
        elsewhere=0.08,
        shared=0.2,
        state=0.75,
        graph_noise=0.2,
    ),
}
"""By what they resemble: a screen of targets chosen for strong effects, as the Virtual Cell Challenge's; one in which
most targets are silent, as that of Papalexi et al. (2021); and one of which little that is known helps to predict."""


@dataclass(frozen=True)
class Size:
    """How large a simulated screen is."""

    targets: int = 240
    genes: int = 1_500
    controls: int = 2_000
    """Control cells in each context."""
    min_cells: int = 48
    """Fewest cells of a perturbation in each context: so many are left of one that cells need to live."""
    doubles: int = 0
    """Perturbations of two of the targets, `A+B`."""
    contexts: int = 1
    """Cell lines in which every perturbation is measured."""
    correlation: float = 0.6
    """How a target's effects in two contexts correlate, on average over the targets, 0 to 1. Of the genes that 585
    knock-downs raise most in K562 and in RPE1 (Replogle et al. 2022), 23 of 100 are the same: were changes normal, that
    would be a correlation of .63 with their noise in it."""
    batches: int = 3
    depth: float = 3_000
    """Median library size of a cell, in UMIs over the whole transcriptome."""
    extra_cells: float = 0.4
    """Cells of a perturbation beyond the fewest, as a share of these on average; with 0 all have equally many."""
    base_sd: float = 1.85
    """Standard deviation of the genes' log base expression. A smaller one leaves fewer zeros at the same depth."""
    other_targets: float = 0.5
    """Share of the targets that were also measured in another context, as if by an earlier screen."""
    other_cells: int = 20
    """Cells of each of them there."""
    unexpressed: float = 0.0
    """Share of the genes beyond the human ones that are hardly ever expressed."""
    damaged: float = 0.02
    """Share of cells that lost most of their UMIs, though not those of the mitochondria."""


SIZES = {
    "course": Size(),
    "vcc": Size(
        targets=200,
        genes=18_080,
        controls=38_176,
        min_cells=160,
        batches=48,
        depth=60_000,
        extra_cells=6.6,
        other_targets=0.8,
        other_cells=100,
        base_sd=1.1,
        unexpressed=0.28,
        damaged=0,
    ),
    "vcc-small": Size(
        targets=200,
        genes=2_000,
        controls=8_000,
        min_cells=50,
        batches=6,
        extra_cells=4,
        other_targets=0.8,
        other_cells=100,
        base_sd=1.25,
        damaged=0,
    ),
    "vcc2025": Size(
        targets=50,
        genes=18_080,
        controls=38_176,
        min_cells=1_080,
        depth=61_500,
        extra_cells=0.125,
        base_sd=1.79,
        damaged=0,
    ),
    "vcc2026": Size(
        targets=300,
        genes=18_533,
        controls=18_400,
        min_cells=400,
        contexts=3,
        depth=22_000,
        extra_cells=0,
        base_sd=1.475,
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
    """Single targets."""
    pairs: np.ndarray
    """Rows of the two targets of each double, D x 2."""
    position: np.ndarray
    """Column of each target among the genes, T."""
    membership: np.ndarray
    """How much each target belongs to each programme, T x K."""
    effects: np.ndarray
    """Natural log fold changes in a cell that is perturbed, C x P x G: singles, then doubles, P = T + D."""
    interactions: pd.DataFrame
    """How each double's effect follows from those of its singles, as `starter.simulation.doubles.draw_doubles` says."""
    escape: np.ndarray
    """Probability that a cell is unperturbed, by perturbation and guide, P x `GUIDES`."""
    off_target: np.ndarray
    """Column of the gene that a guide silences beside its target, or -1, P x `GUIDES`."""
    off_target_effect: np.ndarray
    """Its natural log fold change, P."""
    growth: np.ndarray
    """Cells of each perturbation beyond the fewest, 1 on average, P."""
    depth: np.ndarray
    """Natural log of the cells' depth relative to control cells, P."""
    batches: np.ndarray
    """Share of the cells that stand in each batch: of the control, then of each perturbation, (1 + P) x B."""
    base: np.ndarray
    """Expression of each gene in an average control cell, CP10k of the whole transcriptome, C x G."""
    dispersion: np.ndarray
    """Negative binomial phi beside what programmes and batches add, G."""
    loadings: np.ndarray
    """Programmes, then states, in each context, C x (K + S) x G: control cells vary along them too."""
    batch_shift: np.ndarray
    """Log expression change of each gene in each batch, B x G."""
    true_graph: pd.DataFrame
    """Edges between targets that carried signals."""
    graph: pd.DataFrame
    """What students get: edges lost and false edges added."""
    features: pd.DataFrame
    """What students get: noisy features of the targets."""

    @property
    def is_human(self) -> bool:
        """Whether genes are human ones; all that happens to them is simulated."""
        return len(self.genes) >= FEWEST_HUMAN

    @property
    def perturbations(self) -> np.ndarray:
        """Labels: single targets, then doubles."""
        return np.append(self.targets, ["+".join(self.targets[pair]) for pair in self.pairs]).astype(str)
