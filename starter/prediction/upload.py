"""A profile table made an upload: cells are made, written and checked block by block, then packed."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.sparse

from starter import progress
from starter.data.blocks import Cells
from starter.data.dataset import PAIR
from starter.data.write import writing_h5ad
from starter.errors import Finding, FindingsError, InputError, counted, difference, listed
from starter.files import check_room, whole, workspace
from starter.prediction.cells import make_all, make_counts
from starter.prediction.check import check_content
from starter.prediction.content import Content
from starter.prediction.controls import Controls
from starter.prediction.pack import seal
from starter.prediction.requirements import Requirements
from starter.prediction.season import SEASON_2025, SEASON_2026, Season, get_season
from starter.prediction.season_2026 import CELLS
from starter.prediction.write import labels_of_cells
from starter.schema import CONTEXT, CONTROL, ONE_CONTEXT, PERTURBATION, TARGET_GENE

PACKED = 3
"""Bytes that a value takes in an upload, at most."""
MARGIN = 1.1
"""By how much made cells may hold more values than control cells do."""
DENSE = ("constant", "shift", "gaussian")
"""Ways that leave hardly any zero."""


@dataclass(frozen=True)
class Batch:
    """The cells of an upload, made as they are taken."""

    labels: Mapping[str, Sequence[str]]
    """Of every cell, in each column of the season."""
    blocks: Iterable[scipy.sparse.csr_matrix]
    """Cells x genes, as the season wants them."""
    n_blocks: int
    n_values: int
    """Values that they hold, about."""


def make_upload(
    table: pd.DataFrame,
    out: str | Path,
    controls: Mapping[str, Controls],
    required: Requirements,
    year: int = SEASON_2025.year,
    way: str = "thin",
    seed: int = 0,
) -> list[Finding]:
    """Make cells of a profile table and an upload of the cells.

    Parameters
    ----------
    table
        The profile table: index context and perturbation, columns genes. What is not due is left out.
    out
        The `.vcc` to write, or the `.h5ad` that it would hold. What stood there stays until the new one is complete.
    controls
        Control cells of each context, at the scale of the table (`starter.prediction.controls.read_controls`).
    required
        What is due: genes, perturbations and their cells.
    year
        The season: 2025 (also a course's), log1p expression with the control cells; or 2026, counts without.
    way
        How cells are made: a key of `starter.prediction.cells.WAYS`; of season 2026 of `COUNTING_WAYS`.
    seed
        Fixes the cells.

    Returns
    -------
    Warnings and notes: what was left out, and what the check found.

    Raises
    ------
    FindingsError
        If the check of the cells finds an error.
    InputError
        If table, control cells and what is due do not go together, or the disk has no room.
    """
    season = get_season(year)
    genes = next((own.genes for own in controls.values() if own.genes is not None), required.genes)
    fitted, done = fit_to(table, genes, list(controls), required, season)
    n_cells = cells_due(required, season)
    if season == SEASON_2025 and required.control_totals is None:
        (own,) = controls.values()
        required = replace(required, control_totals=own.totals)  # whose scale is that of the table
    batch = (
        _counts(fitted, controls, n_cells, way, seed)
        if season == SEASON_2026
        else _logs(fitted, next(iter(controls.values())), n_cells, way, seed)
    )
    return [*done, *write_upload(out, batch, required, season)]


def write_upload(out: str | Path, batch: Batch, required: Requirements, season: Season) -> list[Finding]:
    """Write cells, check them by the rules of the season, and pack them if the name says so.

    Parameters
    ----------
    out
        The `.vcc` or `.h5ad`.
    batch
        The cells.
    required, season
        What is due.

    Returns
    -------
    Warnings and notes of the check.

    Raises
    ------
    FindingsError
        If it finds an error; then nothing is written.
    InputError
        If the name is neither, or the disk has no room.
    """
    out = Path(out)
    packed = is_packed(out)
    obs, var = labels_of_cells(batch.labels), pd.DataFrame(index=pd.Index(required.genes))
    n_values = int(batch.n_values * MARGIN)
    item = 8 if n_values <= np.iinfo(np.int32).max else 12
    check_room(out.parent, n_values * (item + PACKED * packed) + 128 * (len(obs) + len(var)))
    with workspace(out) as folder:
        made = plain = folder / "pred.h5ad"
        with writing_h5ad(plain, obs, var, stored=n_values) as append:

            def written(keep: np.ndarray) -> Iterator[scipy.sparse.csr_matrix]:
                del keep
                with progress.bar("make cells", batch.n_blocks) as advance:
                    for cells in batch.blocks:
                        yield append(cells)
                        advance()

            content = Content(obs, var, Cells((len(obs), len(var)), written), n_values, None, [])
            findings, scan = check_content(content, required, season)
            if scan is None or any(finding.level == "error" for finding in findings):
                raise FindingsError(str(out), findings)
        if packed:
            made = folder / "pred.vcc"
            seal(plain, made, season, required)
        with whole(out) as part:
            made.rename(part)
    return findings


def cells_due(required: Requirements, season: Season) -> dict[str, int]:
    """Give the number of cells of each perturbation that is due.

    Raises
    ------
    InputError
        If the list does not say it, and the season has no number of its own.
    """
    usual = CELLS if season == SEASON_2026 else None
    n_cells = {label: n or usual for label, n in required.n_cells.items()}
    if missing := [label for label, n in n_cells.items() if n is None]:
        msg = (
            f"how many cells are due is not said for {listed(missing)}; give a list with the columns target_gene and "
            "n_cells, such as the challenge's pert_counts.csv"
        )
        raise InputError(msg)
    return {label: n for label, n in n_cells.items() if n is not None}


def is_packed(out: Path) -> bool:
    """Tell an upload (`.vcc`) from a prediction file (`.h5ad`) by its name.

    Raises
    ------
    InputError
        If it is neither.
    """
    if out.suffix not in (".vcc", ".h5ad"):
        msg = f"{out} is neither an upload (.vcc) nor a prediction file (.h5ad); name it so with --out"
        raise InputError(msg)
    return out.suffix == ".vcc"


def fit_to(
    table: pd.DataFrame, genes: Sequence[str], contexts: Sequence[str], required: Requirements, season: Season
) -> tuple[pd.DataFrame, list[Finding]]:
    """Take the rows and columns that are due, in order, and see that each context has control cells.

    Parameters
    ----------
    table
        A profile table.
    genes, contexts
        Of the control cells.
    required, season
        What is due.

    Returns
    -------
    The table that cells are made of, and what was done to it.

    Raises
    ------
    InputError
        If genes, perturbations or contexts do not fit.
    """
    done, due = [], list(required.genes)
    if what := difference(due, genes):
        msg = f"the genes of the control cells are not those due: {what}; give control cells of these genes"
        raise InputError(msg)
    if what := difference(due, table.columns):
        msg = f"the profile table's genes are not those due: {what}; predict every gene"
        raise InputError(msg)
    if list(table.columns) != due:
        done.append(Finding("note", "the genes of the profile table were put in the order due"))
    wanted = _contexts_due(table, contexts, required, season)
    if season != SEASON_2026:
        table = table.rename(index=dict.fromkeys(table.index.get_level_values(CONTEXT), wanted[0]), level=CONTEXT)
    rows = pd.MultiIndex.from_product([wanted, list(required.n_cells)], names=PAIR)
    if len(missing := rows.difference(table.index, sort=False)):
        where = f" in {missing[0][0]}" if len(wanted) > 1 else ""
        named = listed([perturbation for _, perturbation in missing])
        msg = f"the profile table lacks {counted(len(missing), 'row')} due ({named}{where}); predict all of them"
        raise InputError(msg)
    extra = table.index.difference(rows)
    if n_other := int((extra.get_level_values(PERTURBATION) != CONTROL).sum()):
        done.append(Finding("note", f"rows of the profile table that are not due and were left out: {n_other:,}"))
    return table.loc[rows, due], done


def _contexts_due(table: pd.DataFrame, contexts: Sequence[str], required: Requirements, season: Season) -> list[str]:
    """Say in which contexts cells are made."""
    present = sorted(set(table.index.get_level_values(CONTEXT)))
    if season == SEASON_2026:
        wanted = list(required.contexts or present)
        if missing := [context for context in wanted if context not in contexts]:
            msg = f"there are no control cells of context {listed(missing)}; those given are of {listed(contexts)}"
            raise InputError(msg)
        return wanted
    if len(contexts) > 1 or len(present) > 1:
        msg = (
            f"an upload of season {season.year} has one context; the profile table has {listed(present)}, the control "
            f"cells are of {listed(contexts)}"
        )
        raise InputError(msg)
    (context,) = contexts
    if present != [context] and ONE_CONTEXT not in (context, *present):
        msg = f"the profile table is of {present[0]}, the control cells of {context}; give its own"
        raise InputError(msg)
    return [context]


def _logs(table: pd.DataFrame, controls: Controls, n_cells: Mapping[str, int], way: str, seed: int) -> Batch:
    """Make the control cells as they are, then cells of each perturbation, in log1p expression."""
    genes = list(table.columns)
    made = make_all(_like(table, controls), controls, n_cells, way, seed)
    blocks = map(_ordered(controls, genes), made)

    perturbed = table.index.get_level_values(PERTURBATION)
    n_control = len(controls.scale)
    labels = _repeated([CONTROL, *perturbed], [n_control, *(n_cells[label] for label in perturbed)])
    n_values = len(labels) * len(genes) if way in DENSE else int(len(labels) * controls.counts.nnz / n_control)
    return Batch({TARGET_GENE: labels}, blocks, controls.n_blocks + len(table), n_values)


def _counts(
    table: pd.DataFrame, controls: Mapping[str, Controls], n_cells: Mapping[str, int], way: str, seed: int
) -> Batch:
    """Make cells of each pair, in counts."""
    contexts = list(dict.fromkeys(table.index.get_level_values(CONTEXT)))
    made = [make_counts(_like(table.loc[[name]], controls[name]), controls, n_cells, way, seed) for name in contexts]

    def blocks() -> Iterator[scipy.sparse.csr_matrix]:
        for context, of_context in zip(contexts, made, strict=True):
            in_order = _ordered(controls[context], list(table.columns))
            for _, cells in of_context:
                yield in_order(cells)

    numbers = [n_cells[label] for label in table.index.get_level_values(PERTURBATION)]
    labels = {
        TARGET_GENE: _repeated(table.index.get_level_values(PERTURBATION), numbers),
        CONTEXT: _repeated(table.index.get_level_values(CONTEXT), numbers),
    }
    of_cell = sum(controls[name].counts.nnz / len(controls[name].scale) for name in contexts)
    return Batch(labels, blocks(), len(table), int(sum(n_cells.values()) * of_cell))


def _repeated(labels: Iterable[str], numbers: Iterable[int]) -> list[str]:
    """Give each label so many times."""
    return [label for label, n in zip(labels, numbers, strict=True) for _ in range(n)]


def _like(table: pd.DataFrame, controls: Controls) -> pd.DataFrame:
    """Put the genes of a table in the order of the control cells."""
    return table if controls.genes is None else table[list(controls.genes)]


def _ordered(controls: Controls, genes: list[str]) -> Callable[[scipy.sparse.csr_matrix], scipy.sparse.csr_matrix]:
    """Give what puts the genes of made cells in the order due."""
    if controls.genes is None or list(controls.genes) == genes:
        return lambda cells: cells
    order = pd.Index(controls.genes).get_indexer(pd.Index(genes))
    return lambda cells: cells[:, order]
