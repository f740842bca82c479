"""What a model may learn from: profiles of (context, perturbation) pairs, what is known of genes, and the cells."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

import anndata
import numpy as np
import pandas as pd
import scipy.sparse

from starter.data.course import PRIORS_FOLDER, TRAIN_FILE, CourseData
from starter.data.dataset import PAIR
from starter.data.profiles import read_profiles
from starter.data.pseudobulk import effects
from starter.data.split import Part
from starter.data.stored import open_stored, shared_target_sum
from starter.errors import InputError, difference, listed
from starter.priors.knowledge import Knowledge, read_knowledge
from starter.schema import CONTEXT, CONTROL, COURSE, ONE_CONTEXT, PERTURBATION

MOST_CELLS, MOST_CONTROLS = 200, 5_000
"""Cells of a perturbation, and control cells of a context, that a model of single cells gets at most; more change
little, and a real screen's 221,000 cells need 14 GB."""


@dataclass(frozen=True)
class TrainingData:
    """What a model may learn from."""

    profiles: pd.DataFrame
    """Profile table of the pairs to learn from, and of each context's control: index context and perturbation, columns
    genes, mean log1p expression. A context may have its control alone."""
    n_cells: pd.Series
    """Cells behind each row."""
    features: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """Feature tables of genes by name, genes x numbers."""
    graphs: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    """Gene graphs by name, as edges."""
    elsewhere: pd.DataFrame | None = None
    """Profile table of other contexts, with their controls, of which nothing will be asked; same genes, NaN where one
    was not measured there."""
    screens: tuple[Path, ...] = ()
    """The files with the cells."""
    target_sum: float | None = None
    """UMIs to which its cells are scaled."""

    @property
    def contexts(self) -> list[str]:
        """Contexts of which something was measured, sorted."""
        return sorted(set(self.profiles.index.get_level_values(CONTEXT)))

    @property
    def pairs(self) -> pd.MultiIndex:
        """The pairs to learn from, without the controls."""
        return self.profiles.index[self.profiles.index.get_level_values(PERTURBATION) != CONTROL]

    @property
    def controls(self) -> pd.DataFrame:
        """Control profiles, contexts x genes."""
        return self.profiles.xs(CONTROL, level=PERTURBATION)

    @property
    def effects(self) -> pd.DataFrame:
        """Profiles minus the control profile of their context, pairs x genes."""
        return effects(self.profiles)

    def without(self, left_out: pd.MultiIndex) -> "TrainingData":
        """Take pairs out; the others stay, and so do the controls."""
        kept = ~self.profiles.index.isin(left_out)
        return replace(self, profiles=self.profiles[kept], n_cells=self.n_cells[kept])

    def in_context(self, context: str) -> "TrainingData":
        """Keep one context; what was measured in the others becomes what is known from elsewhere."""
        kept = self.profiles.index.get_level_values(CONTEXT) == context
        others = [table for table in (self.profiles[~kept], self.elsewhere) if table is not None and len(table)]
        elsewhere = pd.concat(others) if others else None
        return replace(self, profiles=self.profiles[kept], n_cells=self.n_cells[kept], elsewhere=elsewhere)

    def one_context(self) -> pd.DataFrame:
        """Give the profiles of the only context: index perturbation with the control."""
        (context,) = self.contexts
        return self.profiles.xs(context, level=CONTEXT)

    def read_cells(self, perturbed: bool = True, seed: int = 0) -> anndata.AnnData:  # noqa: FBT001, FBT002
        """Read the cells behind the profiles, of each pair `MOST_CELLS` at most and `MOST_CONTROLS` of each control.

        Parameters
        ----------
        perturbed
            Whether the perturbed cells are wanted, beside the control cells.
        seed
            Fixes which cells are taken where there are more.

        Returns
        -------
        A course data set (raw counts), in memory; its target sum is that of the whole screen.

        Raises
        ------
        InputError
            If the data came without cells.
        """
        if not self.screens:
            msg = "these training data are profiles alone, and this model learns from single cells; give the screen"
            raise InputError(msg)
        parts = []
        for path in self.screens:
            with open_stored(path) as screen:
                of_cell, control = screen.pairs, screen.control
                wanted = of_cell.isin(self.profiles.index) & (control | perturbed)
                drawn = pd.Series(np.random.default_rng(seed).permutation(len(wanted)))[wanted]
                place = drawn.groupby(of_cell.to_flat_index()[wanted]).rank()
                keep = np.zeros(len(wanted), bool)
                keep[place.index] = place.to_numpy() <= np.where(control[wanted], MOST_CONTROLS, MOST_CELLS)
                if not keep.any():
                    continue
                counts = [block[keep[cells]] for cells, block, _ in screen.counts(keep, "read cells")]
                of_genes = self.profiles.columns
                part = anndata.AnnData(scipy.sparse.vstack(counts, format="csr"), obs=screen.obs[keep], var=screen.var)
                parts.append(part[:, of_genes].copy() if list(part.var_names) != list(of_genes) else part)
        cells = anndata.concat(parts, merge="same", index_unique="-") if len(parts) > 1 else parts[0]
        cells.uns = {COURSE: {"target_sum": self.target_sum}}
        return cells


def read_training(
    paths: str | Path | Sequence[str | Path],
    knowledge: Knowledge | None = None,
    wanted: pd.MultiIndex | None = None,
    others: Sequence[str | Path] = (),
) -> TrainingData:
    """Take a screen's profiles to learn from.

    Parameters
    ----------
    paths
        Course data sets, `.h5ad`: one, or several of other contexts each and the same genes, such as the challenge's
        control cells of 2026. What is read is scaled to what the first says, else to the median library size of all
        control cells.
    knowledge
        What is known of genes (`starter.priors.knowledge.read_knowledge`).
    wanted
        The pairs to learn from; default: all. Controls always are among them.
    others
        Screens of other contexts, of which nothing will be asked, such as other cell lines; they become `elsewhere`, at
        the target sum of the first.

    Raises
    ------
    InputError
        If the screen cannot be read, or lacks a pair.
    """
    files = [Path(path) for path in ([paths] if isinstance(paths, str | Path) else paths)]
    knowledge = knowledge or Knowledge({}, {}, {})
    with ExitStack() as stack:
        target = shared_target_sum([stack.enter_context(open_stored(path)) for path in files])
    measured = [read_profiles(path, target_sum=target) for path in files]
    table = _together([part.table for part in measured], files)
    elsewhere = [*_from_priors(knowledge, table.columns), *_from_screens(others, table, target)]
    data = TrainingData(
        profiles=table,
        n_cells=pd.concat([part.n_cells for part in measured]),
        features=knowledge.features,
        graphs=knowledge.graphs,
        elsewhere=pd.concat(elsewhere) if elsewhere else None,
        screens=tuple(files),
        target_sum=target,
    )
    if wanted is None:
        return data
    if len(missing := wanted.difference(data.pairs)):
        msg = f"{listed(files)} has no cells of {listed(named(missing))}"
        raise InputError(msg)
    return data.without(data.pairs.difference(wanted))


def training_of_course(course: CourseData, parts: Sequence[Part] = ("train",)) -> TrainingData:
    """Take the profiles of some parts of a course, and what the course tells of genes.

    Parameters
    ----------
    course
        The course's data.
    parts
        The parts to learn from.
    """
    split = course.split()
    wanted = split.table.index[split.table["part"].isin(parts)]
    return read_training(course.folder / TRAIN_FILE, read_knowledge(course.folder / PRIORS_FOLDER), wanted)


def _together(tables: list[pd.DataFrame], files: list[Path]) -> pd.DataFrame:
    """Put the profiles of several files under each other, which must have the same genes and other contexts."""
    first, taken = tables[0].columns, set()
    for table, path in zip(tables, files, strict=True):
        if what := difference(first, table.columns):
            msg = f"the genes of {path} are not those of {files[0]}: {what}; a screen of other genes is one of --other"
            raise InputError(msg)
        names = set(table.index.get_level_values(CONTEXT))
        if twice := taken & names:
            msg = f"{path} has the context {listed(sorted(twice))}, which was read already; rename it in obs.{CONTEXT}"
            raise InputError(msg)
        taken |= names
    return pd.concat([table[first] for table in tables])


def _from_priors(knowledge: Knowledge, genes: pd.Index) -> Iterator[pd.DataFrame]:
    """Give the profiles that the priors have of other contexts, on the screen's genes."""
    for name, table in knowledge.elsewhere.items():
        yield pd.concat({name: table.reindex(columns=genes)}, names=PAIR)


def _from_screens(paths: Sequence[str | Path], table: pd.DataFrame, target: float) -> Iterator[pd.DataFrame]:
    """Give the profiles of other screens, on the genes and the scale of the first."""
    taken = set(table.index.get_level_values(CONTEXT))
    for path in paths:
        other = read_profiles(path, target_sum=target).table
        names = other.index.get_level_values(CONTEXT)
        if set(names) == {ONE_CONTEXT}:
            other = pd.concat({Path(path).stem: other.droplevel(CONTEXT)}, names=PAIR)
            names = other.index.get_level_values(CONTEXT)
        if twice := taken & set(names):
            msg = f"{path} has the context {listed(sorted(twice))}, which was read already; rename it in obs.{CONTEXT}"
            raise InputError(msg)
        if not len(common := table.columns.intersection(other.columns)):
            msg = f"{path} has none of the genes of the first screen; give both the same kind of names"
            raise InputError(msg)
        taken |= set(names)
        yield other[common].reindex(columns=table.columns)


def named(index: pd.MultiIndex) -> list[str]:
    """Name pairs in words."""
    return [f"{perturbation} in {context}" for context, perturbation in index]
