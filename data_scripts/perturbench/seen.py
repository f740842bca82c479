"""How much of a held-out perturbation was seen: `unseen_single`, `combo_seen0`, `combo_seen1`, `combo_seen2`.

The groups of GEARS (Roohani et al. 2023), by which Csendes et al. (2025) report too, and its split that fills them.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from starter.errors import InputError

DELIMITER = "+"
GENES_SEEN, COMBINATIONS_SEEN = 0.75, 0.75
"""Shares of the genes, and of the combinations of two such genes, that stay in training, GEARS' defaults."""
OF_TRAIN = 0.9
"""Both shares, when val is cut off train."""


def seen_group(perturbation: str, genes: Iterable[str]) -> str:
    """Name the group of a held-out perturbation.

    Parameters
    ----------
    perturbation
        `A`, or `A+B`.
    genes
        Those that training perturbs.

    Returns
    -------
    `unseen_single` for a single (of a seen gene: `seen_single`, which GEARS' split never holds out), else `combo_seen`
    and how many of its genes were seen.
    """
    targets, seen = perturbation.split(DELIMITER), set(genes)
    n_seen = sum(target in seen for target in targets)
    if len(targets) == 1:
        return "seen_single" if n_seen else "unseen_single"
    return f"combo_seen{n_seen}"


def split_gears(perturbations: Sequence[str], seed: int = 1) -> tuple[dict[str, str], dict[str, str]]:
    """Split perturbations as GEARS does (`DataSplitter`, split "simulation", of cell-gears 0.1.2).

    Parameters
    ----------
    perturbations
        All but the control, singles `A` and combinations `A+B`.
    seed
        Of everything that is drawn.

    Returns
    -------
    Perturbation to train, val or test; and the group of those in val and test, by the genes that were kept for
    training when they were held out.

    Raises
    ------
    InputError
        If a perturbation stands twice.
    """
    if len(set(perturbations)) < len(perturbations):
        msg = "a perturbation stands twice; give every one once"
        raise InputError(msg)
    train, test = _hold_out(perturbations, GENES_SEEN, COMBINATIONS_SEEN, seed)
    train, val = _hold_out(train, OF_TRAIN, OF_TRAIN, seed)
    parts = {name: "train" for name in train} | {name: "val" for name in val} | {name: "test" for name in test}
    return parts, {**val, **test}


def _hold_out(
    perturbations: Sequence[str], genes_seen: float, combinations_seen: float, seed: int
) -> tuple[list[str], dict[str, str]]:
    genes = np.unique([gene for name in perturbations for gene in name.split(DELIMITER)])
    rng = np.random.RandomState(seed)
    seen = set(rng.choice(genes, int(len(genes) * genes_seen), replace=False))
    group = {name: seen_group(name, seen) for name in perturbations}
    both_seen = np.unique([name for name in perturbations if group[name] == "combo_seen2"])
    rng = np.random.RandomState(seed)  # GEARS seeds anew
    kept = set(rng.choice(both_seen, int(len(both_seen) * combinations_seen), replace=False) if len(both_seen) else [])
    train = [name for name in perturbations if group[name] == "seen_single" or name in kept]
    return train, {name: group[name] for name in perturbations if name not in set(train)}
