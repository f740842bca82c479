"""PerturBench's splits of cells into train, val and test, with its seeds and defaults.

What is held out are pairs of perturbation and covariate (cell line, treatment); half of them become val, half test, in
the same shares for every covariate. They equal those of altoslabs/perturbench (`PerturbationDataSplitter`, commit
c84038b) cell by cell where one column is the covariate. With several, the original depends on how Python hashes text,
which differs from process to process; here their names are in order.

Some of it may surprise, and is kept: of a covariate with one held-out pair the pair is in no part; the inverse split
may draw the control as a "single", which then takes a place and nothing else; control cells are drawn from all
covariates together.
"""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.model_selection import train_test_split

from starter.data.dataset import PAIR
from starter.data.split import Split
from starter.errors import InputError, listed

SEED = 54
MOST_HELD_OUT = 200
"""Perturbations held out of a covariate, at most."""
SHARE_HELD_OUT, SHARE_HELD_OUT_BY_HAND = 0.3, 0.7
TEST_SHARE, TRAIN_CONTROL_SHARE = 0.5, 0.5
DELIMITER = "+"
PART_OF = {"train": "train", "val": "public", "test": "hidden"}
"""Their parts and the course's."""

Covariate = tuple[str, ...]
Pair = tuple[str, Covariate]


class Labels(NamedTuple):
    """What a split is made of."""

    obs: pd.DataFrame
    perturbation: str = "condition"
    """Column of the perturbation, `A+B` for two."""
    covariates: Sequence[str] = ("cell_type",)
    """Columns of the covariates."""
    control: str = "control"

    def pairs(self) -> list[Pair]:
        """Give the pair of every cell."""
        covariates = self.obs[list(self.covariates)].astype(str).itertuples(index=False, name=None)
        return list(zip(self.obs[self.perturbation].astype(str), covariates, strict=True))

    def by_covariate(self) -> dict[Covariate, list[str]]:
        """Give the perturbations of each covariate, control included, in the order in which they appear."""
        groups = self.obs.groupby(list(self.covariates), observed=True)
        return {tuple(map(str, name)): _appearing(self, cells) for name, cells in groups}

    def by_perturbation(self) -> dict[str, list[Covariate]]:
        """Give the covariates of each perturbation, without the control; those of most covariates first."""
        pairs = self.obs.groupby(self.perturbation, observed=True)[list(self.covariates)]
        found = {
            str(name): [tuple(map(str, row)) for row in cells.drop_duplicates().itertuples(index=False, name=None)]
            for name, cells in pairs
            if name != self.control
        }
        return dict(sorted(found.items(), key=lambda item: len(item[1]), reverse=True))


def split_transfer(
    labels: Labels,
    seed: int = SEED,
    share: float = SHARE_HELD_OUT,
    min_train_covariates: int = 1,
    max_held_out_covariates: int = 2,
) -> pd.Series:
    """Hold perturbations out of some covariates, to see whether an effect is carried over to another cell line.

    Parameters
    ----------
    labels
        The screen's.
    seed
        Of everything that is drawn.
    share
        Of the perturbations of a covariate, held out at most.
    min_train_covariates
        A perturbation of no more covariates stays in train.
    max_held_out_covariates
        Covariates that a perturbation is held out of, at most.

    Returns
    -------
    train, val or test for every cell, with the index of `obs`; missing for the few cells that are in no part.

    Raises
    ------
    InputError
        If no cell is a control, or too few pairs can be held out.
    """
    here = _checked(labels).by_covariate()
    quota = {covariate: min(share * len(names), MOST_HELD_OUT) for covariate, names in here.items()}
    of_perturbation = labels.by_perturbation()
    draw = np.random.RandomState(seed)
    seeds = [draw.randint(100_000) for _ in of_perturbation]
    n_held_out: Counter[Covariate] = Counter()
    train, held_out = [], []
    for own_seed, (perturbation, covariates) in zip(seeds, of_perturbation.items(), strict=True):
        pool = [covariate for covariate in covariates if n_held_out[covariate] < quota[covariate]]
        chosen = []
        if len(covariates) > min_train_covariates and pool:
            rng = random.Random(own_seed)
            most = max(len(pool) - len(quota) + max_held_out_covariates, 1)
            chosen = rng.sample(pool, rng.randint(1, most))
        n_held_out.update(chosen)
        held_out += [(perturbation, covariate) for covariate in chosen]
        train += [(perturbation, covariate) for covariate in covariates if covariate not in chosen]
    return _parts(labels, train, held_out, seed)


def split_combinations(labels: Labels, seed: int = SEED, share: float = SHARE_HELD_OUT) -> pd.Series:
    """Hold combinations out, singles stay, to see whether two known effects give that of both.

    Parameters, returned value and errors are those of `split_transfer`; `share` is of a covariate's combinations.
    """
    train, held_out = [], []
    for covariate, names in _checked(labels).by_covariate().items():
        combinations = [name for name in names if DELIMITER in name]
        chosen = random.Random(seed).sample(combinations, min(int(share * len(combinations)), MOST_HELD_OUT))
        held_out += [(name, covariate) for name in chosen]
        train += [(name, covariate) for name in names if name not in chosen]
    return _parts(labels, train, held_out, seed)


def split_inverse(labels: Labels, seed: int = SEED, share: float = SHARE_HELD_OUT) -> pd.Series:
    """Hold singles out, never two of one combination, to see whether it and one half tell the other half.

    Parameters, returned value and errors are those of `split_transfer`; `share` is of a covariate's singles.
    """
    order = _appearing(labels, _checked(labels).obs)
    train, held_out = [], []
    for covariate, here in labels.by_covariate().items():
        names = [name for name in order if name in here]
        combinations = {name: name.split(DELIMITER) for name in names if DELIMITER in name}
        singles = [name for name in names if name not in combinations]
        pool = random.Random(seed).sample(singles, len(singles))
        wanted, chosen = min(int(share * len(singles)), MOST_HELD_OUT), []
        while len(chosen) < wanted and pool:
            chosen.append(pool.pop())
            partners = {part for parts in combinations.values() if chosen[-1] in parts for part in parts}
            pool = [name for name in pool if name not in partners]
        held_out += [(name, covariate) for name in chosen]
        train += [(name, covariate) for name in names if name not in chosen]
    return _parts(labels, train, held_out, seed)


def split_manual(
    labels: Labels, covariates: Sequence[Covariate], seed: int = SEED, share: float = SHARE_HELD_OUT_BY_HAND
) -> pd.Series:
    """Hold perturbations out of covariates that are named, as PerturBench does for Frangieh21 and Jiang24.

    Parameters, returned value and errors are those of `split_transfer`; `share` is of a covariate's perturbations, and
    `covariates` names them, a value a column.
    """
    here = _checked(labels).by_covariate()
    if missing := [covariate for covariate in covariates if covariate not in here]:
        named, known = (listed([" + ".join(one) for one in some]) for some in (missing, list(here)))
        msg = f"no cell has the covariate {named}; the screen has {known}"
        raise InputError(msg)
    draw = np.random.RandomState(seed)
    seed_of = {covariate: draw.randint(100_000) for covariate in covariates}
    train, held_out = [], []
    for covariate, names in here.items():
        names = [name for name in names if name != labels.control]
        chosen = []
        if covariate in seed_of:
            chosen = random.Random(seed_of[covariate]).sample(names, int(share * len(names)))
        held_out += [(name, covariate) for name in chosen]
        train += [(name, covariate) for name in names if name not in chosen]
    return _parts(labels, train, held_out, seed)


def course_split(labels: Labels, parts: pd.Series) -> Split:
    """Make the course's split of it: val becomes public validation, test is hidden, covariates are contexts.

    Parameters
    ----------
    labels
        The screen's.
    parts
        What a split gave. The parts of control cells are let go: all parts of a course share them.

    Raises
    ------
    InputError
        If cells of one pair are in several parts.
    """
    cells = pd.DataFrame(
        [(" + ".join(covariate), perturbation) for perturbation, covariate in labels.pairs()], columns=PAIR
    ).assign(part=parts.to_numpy())
    cells = cells[(cells[PAIR[1]] != labels.control) & cells["part"].notna()]
    table = cells.groupby(PAIR)["part"].agg(["first", "size", "nunique"])
    if len(torn := table.index[table["nunique"] > 1]):
        msg = f"cells of one pair are in several parts ({listed([' '.join(pair) for pair in torn])}); split by pair"
        raise InputError(msg)
    return Split(pd.DataFrame({"part": table["first"].map(PART_OF), "n_cells": table["size"]}).sort_index())


def _appearing(labels: Labels, cells: pd.DataFrame) -> list[str]:
    """Name the perturbations of some cells in the order in which they appear."""
    return [str(name) for name in cells[labels.perturbation].unique()]


def _checked(labels: Labels) -> Labels:
    missing = [name for name in (labels.perturbation, *labels.covariates) if name not in labels.obs]
    if missing:
        msg = f"the cells have no column {listed(missing)}; they have {listed(list(labels.obs))}"
        raise InputError(msg)
    if not (labels.obs[labels.perturbation] == labels.control).any():
        msg = f"no cell of the column {labels.perturbation} is {labels.control!r}; name the control's label"
        raise InputError(msg)
    return labels


def _parts(labels: Labels, train: Iterable[Pair], held_out: Sequence[Pair], seed: int) -> pd.Series:
    """Halve what is held out, and give every cell its part; control cells are drawn one by one."""
    n_of_covariate = Counter(covariate for _, covariate in held_out)
    held_out = [pair for pair in held_out if n_of_covariate[pair[1]] > 1]
    strata = [str(sorted(covariate)) for _, covariate in held_out]
    if len(held_out) < 2 or min(len(held_out) // 2, len(held_out) - len(held_out) // 2) < len(set(strata)):
        msg = f"only {len(held_out)} pairs can be held out, too few for val and test; hold a larger share out"
        raise InputError(msg)
    val, test = train_test_split(held_out, stratify=strata, test_size=TEST_SHARE, random_state=seed)
    part_of = {pair: part for part, pairs in (("train", train), ("val", val), ("test", test)) for pair in pairs}
    parts = np.array([part_of.get(pair) for pair in labels.pairs()], dtype=object)
    controls = np.flatnonzero(labels.obs[labels.perturbation] == labels.control)
    controls = controls[random.Random(seed).sample(range(len(controls)), len(controls))]
    ends = [int(share * len(controls)) for share in (TRAIN_CONTROL_SHARE, (1 + TRAIN_CONTROL_SHARE) / 2)]
    for part, cells in zip(("train", "val", "test"), np.split(controls, ends), strict=True):
        parts[cells] = part
    return pd.Series(parts, index=labels.obs.index, name="split")
