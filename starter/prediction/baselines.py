"""Uploads to compare with: the train mean as profiles, and real cells as a replicate of the measurement."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse

from starter.data.dataset import PAIR
from starter.data.logs_of_counts import logs_of
from starter.data.preprocess import unit_of
from starter.data.profiles import Profiles
from starter.data.pseudobulk import effects
from starter.data.stored import open_stored
from starter.data.write import write_h5ad
from starter.errors import Finding, InputError, counted, listed
from starter.files import check_room
from starter.prediction.requirements import Requirements
from starter.prediction.upload import Batch
from starter.schema import CONTEXT, CONTROL, COURSE, ONE_CONTEXT, PERTURBATION, TARGET_GENE


def train_mean(
    measured: Profiles, controls: pd.DataFrame, perturbations: list[str]
) -> tuple[pd.DataFrame, list[Finding]]:
    """Predict the train mean for every perturbation: the unweighted mean of the training profiles of its context.

    A context in which nothing was perturbed gets its own control profile and the mean effect of the other contexts.

    Parameters
    ----------
    measured
        Profiles of the training cells.
    controls
        Control profile of each context to predict, contexts x genes, at the scale of `measured`.
    perturbations
        What to predict in each.

    Returns
    -------
    A profile table, and what was taken from elsewhere.

    Raises
    ------
    InputError
        If nothing is perturbed in the training cells.
    """
    table = measured.table
    perturbed = table[table.index.get_level_values(PERTURBATION) != CONTROL]
    if perturbed.empty:
        msg = "the training cells are controls alone, so they have no mean response; give cells of perturbations"
        raise InputError(msg)
    known = set(perturbed.index.get_level_values(CONTEXT))
    if len(known) == len(controls) == 1 and ONE_CONTEXT in (*known, *controls.index):
        known_as = {controls.index[0]: next(iter(known))}  # a file that names no context, and one that does
    else:
        known_as = {context: context for context in controls.index if context in known}
    means, done = {}, []
    for context, control in controls.iterrows():
        if context in known_as:
            means[context] = perturbed.loc[known_as[context]].mean().to_numpy()
            continue
        means[context] = np.maximum(control.to_numpy() + effects(table).mean().to_numpy(), 0)
        what = f"nothing was perturbed in {context}, so it gets the mean effect of {listed(sorted(known))}"
        done.append(Finding("note", f"{what} on top of its own control profile"))
    index = pd.MultiIndex.from_product([list(controls.index), perturbations], names=PAIR)
    rows = [means[context] for context, _ in index]
    return pd.DataFrame(rows, index, controls.columns), done


@contextmanager
def replicate(train: str | Path, seed: int = 0) -> Iterator[tuple[Batch, Requirements, np.ndarray]]:
    """Take half the cells of every training perturbation as a prediction: real cells, a replicate of the other half.

    Parameters
    ----------
    train
        Training cells of one context, raw counts with controls.
    seed
        Fixes the halves.

    Yields
    ------
    All control cells and the first halves in log1p expression, to be taken within the block; what was due of them; and
    the cells of the other halves and the controls, boolean.

    Raises
    ------
    InputError
        If there are several contexts, or no perturbation has two cells.
    """
    with open_stored(train) as screen:
        contexts = sorted(set(screen.pairs.get_level_values(CONTEXT)))
        if len(contexts) > 1:
            msg = f"a replicate is made of one context, and {train} has {listed(contexts)}; give the cells of one"
            raise InputError(msg)
        labels = screen.obs[TARGET_GENE].astype(str).to_numpy(str)
        first = _first_halves(labels, seed)
        if not first.any():
            msg = f"no perturbation of {train} has two cells, so it cannot be split in halves"
            raise InputError(msg)
        names, n_cells = np.unique(labels[first], return_counts=True)
        control = screen.control
        required = Requirements(screen.genes, dict(zip(names.tolist(), n_cells.tolist(), strict=True)))
        chosen, target = first | control, screen.target_sum()

        def blocks() -> Iterator[scipy.sparse.csr_matrix]:
            for cells, counts, sizes in screen.counts(chosen, "take cells"):
                rows = np.flatnonzero(chosen[cells])
                yield logs_of(counts[rows], unit_of(target, sizes[rows]))

        batch = Batch({TARGET_GENE: labels[chosen].tolist()}, blocks(), screen.n_blocks, screen.stored(chosen))
        yield batch, required, control | (~first & np.isin(labels, names))


def _first_halves(labels: np.ndarray, seed: int) -> np.ndarray:
    """Choose half the cells of each perturbation; an odd cell stays out."""
    rng = np.random.default_rng(seed)
    first = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        if label != CONTROL:
            cells = rng.permutation(np.flatnonzero(labels == label))
            first[cells[: len(cells) // 2]] = True
    return first


def write_cells(train: str | Path, keep: np.ndarray, out: Path) -> Finding:
    """Write some cells of a screen as a screen of their own, counts and labels.

    Parameters
    ----------
    train
        The screen.
    keep
        Which cells, boolean.
    out
        The `.h5ad` to write.

    Returns
    -------
    What was written.
    """
    with open_stored(train) as screen:
        check_room(out.parent, 8 * screen.stored(keep))
        kept = (counts[np.flatnonzero(keep[cells])] for cells, counts, _ in screen.counts(keep, "write the other half"))
        obs = screen.obs[keep].copy()
        obs[TARGET_GENE] = obs[TARGET_GENE].cat.remove_unused_categories()
        course = {COURSE: dict(screen.course)} if screen.course else None
        write_h5ad(out, kept, obs, screen.var, course, stored=screen.stored(keep))
    return Finding("note", f"the other half of the cells is in {out}: {counted(int(keep.sum()), 'cell')}")
