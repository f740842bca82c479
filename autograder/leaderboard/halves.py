"""Which hidden perturbations count on the public board, and which on the private one."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

FEWEST = 20
"""Perturbations in a half: with fewer an interval says little."""
SEED = "leaderboard halves"


class Halves(NamedTuple):
    """Context to which of its perturbations count, boolean, in the truth's order."""

    public: dict[str, np.ndarray]
    private: dict[str, np.ndarray] | None
    """None where there are too few for two halves: then all are public, and there are no intervals."""

    @property
    def sizes(self) -> tuple[int, int]:
        """Perturbations of both."""
        return count(self.public), count(self.private or {})


def count(half: Mapping[str, np.ndarray]) -> int:
    """Count the perturbations of a half."""
    return sum(int(keep.sum()) for keep in half.values())


def split_halves(contexts: Mapping[str, Sequence[str]], seed: int) -> Halves:
    """Deal the perturbations of each context into two halves, whatever order they stand in.

    Parameters
    ----------
    contexts
        Hidden perturbations of each.
    seed
        Which only the instructor can know.
    """
    rng, public = np.random.default_rng(seed), {}
    for context in sorted(contexts):
        names = list(contexts[context])
        dealt = rng.permutation(sorted(names))
        chosen = set(dealt[: (len(dealt) + 1) // 2])
        public[context] = np.array([name in chosen for name in names])
    private = {context: ~keep for context, keep in public.items()}
    if count(private) < FEWEST or count(public) < FEWEST:
        return Halves({context: np.ones(len(names), bool) for context, names in contexts.items()}, None)
    return Halves(public, private)
