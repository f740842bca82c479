"""A published model's prediction brought to a course: its labels, genes and scale; as a profile table or as cells."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import permutations
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse

from starter import progress
from starter.data.blocks import Cells
from starter.data.course import CourseData
from starter.data.dataset import PAIR
from starter.data.preprocess import log_expression
from starter.data.profiles import Profiles, read_profiles
from starter.data.pseudobulk import check_profile_table
from starter.data.scale import FRACTION, LOG_LIMIT
from starter.data.split import Part, Split
from starter.data.targets import how_genes_differ, is_control
from starter.data.write import write_h5ad
from starter.errors import Finding, FindingsError, InputError, counted, listed
from starter.files import whole
from starter.prediction.check import check_prediction
from starter.prediction.controls import Controls, read_controls
from starter.prediction.published import Written, genes_by_symbol
from starter.prediction.requirements import requirements_of_course
from starter.prediction.write import labels_of_cells
from starter.schema import CONTEXT, CONTROL, PERTURBATION, TARGET_GENE

Fill = Literal["control", "train-mean"]
"""What stands in for genes and perturbations that are due and not predicted."""
NEGATIVE = 0.05
"""Values below 0 may add up to this share of those above; in effects and z-scores they add up to about as much."""
SAME_SCALE = 1.25
"""By which factor predicted profiles may add up to more or less than the control profile, on the natural scale."""
WHOLE_LIBRARY = 0.02
"""Share of a cell's UMIs that may lie outside of the course's genes, if counts are to be scaled by their own sum."""
AS_PROFILES = "write a profile table (.parquet), and make cells of that"


@dataclass(frozen=True)
class Due:
    """What a course asks a model for."""

    course: CourseData
    part: Part
    """Whose pairs are to be predicted."""

    @cached_property
    def measured(self) -> Profiles:
        """Profiles of the cells that students have, controls included."""
        return read_profiles(self.course.train_path)

    @cached_property
    def split(self) -> Split:
        """Which pair is in which part."""
        return self.course.split()

    @cached_property
    def pairs(self) -> pd.MultiIndex:
        """The pairs to predict, sorted."""
        if not len(pairs := self.split.pairs(self.part)):
            msg = f"no perturbation of {self.course.folder} is in the {self.part} part; choose another by --part"
            raise InputError(msg)
        return pairs

    @property
    def genes(self) -> pd.Index:
        """The genes to predict, in order."""
        return self.measured.table.columns

    @property
    def target_sum(self) -> float:
        """UMIs to which the course scales cells."""
        return self.measured.target_sum

    @property
    def contexts(self) -> list[str]:
        """The contexts of the course, sorted."""
        return list(self.measured.controls.index)

    @cached_property
    def control(self) -> np.ndarray:
        """The control profile of each pair's context, pairs x genes."""
        return self.measured.controls.loc[self.pairs.get_level_values(CONTEXT)].to_numpy()

    def stand_in(self, fill: Fill) -> np.ndarray:
        """Give what stands in for values that are not predicted, pairs x genes."""
        if fill == "control":
            return self.control
        train = self.measured.table.loc[self.split.pairs("train")].groupby(level=CONTEXT).mean()
        if missing := sorted(set(self.pairs.get_level_values(CONTEXT)) - set(train.index)):
            msg = f"no perturbation of the training part was measured in {listed(missing)}; give --fill control"
            raise InputError(msg)
        return train.loc[self.pairs.get_level_values(CONTEXT)].to_numpy()


class Fitted(NamedTuple):
    """A prediction whose rows and columns were found among those due."""

    cells: Cells
    """Its rows x its genes, log1p expression at the course's target_sum, none below 0; effects stay as they are."""
    codes: np.ndarray
    """To which pair due each row belongs; -1 for others."""
    order: np.ndarray
    """Its column of each gene due; -1 where a gene is not predicted."""
    done: list[Finding]
    """What was changed or left out."""


def profile_table(
    written: Written, due: Due, fill: Fill | None = None, scaled_to: float | None = None
) -> tuple[pd.DataFrame, list[Finding]]:
    """Make a profile table of what a published model wrote.

    Parameters
    ----------
    written
        The prediction, open.
    due
        What the course asks for.
    fill
        What stands in for genes and perturbations that are due and not predicted; without it they are refused.
    scaled_to
        UMIs to which the prediction's cells were scaled before log1p, if not to the course's target_sum.

    Returns
    -------
    Pairs due x genes due, mean log1p expression at the course's target_sum; and what was done.

    Raises
    ------
    InputError
        If the prediction cannot be brought to the course.
    """
    fitted = _fitted(written, due, scaled_to)
    predicted = fitted.order >= 0
    means = _means(fitted, len(due.pairs), written.n_blocks)
    done = list(fitted.done)
    if written.effects:
        means += due.control[:, predicted]
        done += _clipped(means)
        means = np.maximum(means, 0)
    else:
        done.append(_check_scale(means, due.control[:, predicted], due.target_sum))
    values = np.full((len(due.pairs), len(due.genes)), np.nan)
    values[:, predicted] = means
    lacking = _lacking(fitted, due)
    if lacking and fill is None:
        msg = (
            f"due and not predicted: {' and '.join(lacking)}; predict them, or let --fill control or --fill train-mean "
            "stand in"
        )
        raise InputError(msg)
    if lacking and fill:
        done.append(Finding("warning", f"not predicted, and filled with the {fill}: {' and '.join(lacking)}"))
        values = np.where(np.isnan(values), due.stand_in(fill), values)
    table = pd.DataFrame(values, index=due.pairs, columns=due.genes)
    check_profile_table(table, list(due.genes))
    return table, done


def write_cells(written: Written, due: Due, out: Path, scaled_to: float | None = None) -> list[Finding]:
    """Write the cells that a published model predicts as a prediction file, behind the course's controls.

    Parameters
    ----------
    written, due, scaled_to
        As for `profile_table`.
    out
        The `.h5ad` to write. The ordinary check is passed before it stands there.

    Returns
    -------
    What was done, and the warnings and notes of the check.

    Raises
    ------
    InputError
        If the model gives means and no cells, or the cells cannot be brought to the course.
    FindingsError
        If the check finds an error.
    """
    if len(names := due.contexts) > 1:
        msg = f"a prediction file holds one context, and the course has {len(names)}; {AS_PROFILES}"
        raise InputError(msg)
    if written.effects or written.means:
        what = "differences from the control profile" if written.effects else "one row a perturbation, its mean,"
        msg = f"the prediction holds {what} and no cells; {AS_PROFILES}"
        raise InputError(msg)
    fitted = _fitted(written, due, scaled_to)
    if lacking := _lacking(fitted, due):
        msg = (
            f"due and not predicted: {' and '.join(lacking)}; one value in all cells would look significant, so cells "
            f"are not filled: {AS_PROFILES} with --fill"
        )
        raise InputError(msg)
    means = _means(fitted, len(due.pairs), written.n_blocks)
    done = [*fitted.done, _check_scale(means, due.control, due.target_sum)]
    controls, taken = _controls(due), fitted.codes >= 0
    labels = due.pairs.get_level_values(PERTURBATION).to_numpy()[fitted.codes[taken]]
    obs = labels_of_cells({TARGET_GENE: [CONTROL] * len(controls.scale) + labels.tolist()})

    def blocks() -> Iterator[scipy.sparse.csr_matrix]:
        yield controls.logs()
        start = 0
        with progress.bar("write", written.n_blocks) as advance:
            for block in fitted.cells.read(taken):
                yield block[taken[start : start + block.shape[0]]][:, fitted.order]
                start += block.shape[0]
                advance()

    required = replace(requirements_of_course(due.course.folder), n_cells=due.split.n_cells(due.part))
    with whole(out) as part:
        write_h5ad(part, blocks(), obs, pd.DataFrame(index=due.genes))
        findings = check_prediction(part, required)
        if any(finding.level == "error" for finding in findings):
            raise FindingsError(str(out), findings)
    return [*done, *findings]


def _fitted(written: Written, due: Due, scaled_to: float | None) -> Fitted:
    """Find rows and columns among those due, and bring the values to the course's scale."""
    genes = genes_by_symbol(written, list(due.genes))
    order = genes.get_indexer(due.genes)
    if not (order >= 0).any():
        how = how_genes_differ(due.genes, written.var) or "name genes as the course does"
        msg = f"none of the {counted(len(genes), 'gene')} ({listed(genes)}) is due ({listed(due.genes)}); {how}"
        raise InputError(msg)
    done = []
    if extra := len(genes) - int((order >= 0).sum()):
        done.append(Finding("note", f"genes that are not due, left out: {extra:,}"))
    codes = _codes(written.rows, due, done)
    cells = written.cells
    seen = _look(cells, codes >= 0, written.n_blocks)
    if seen.n_bad:
        msg = f"NaN or infinite values in the prediction: {seen.n_bad:,}; a model that gives them has diverged"
        raise InputError(msg)
    if not written.effects:
        cells = _scaled(written, cells, seen, due, scaled_to, done)
        done += seen.clipped()
    elif scaled_to and scaled_to != due.target_sum:
        msg = f"differences of logs at target_sum {scaled_to:,.10g} cannot be rescaled exactly; {_train_at(due)}"
        raise InputError(msg)
    return Fitted(cells, codes, order, done)


def _codes(rows: pd.DataFrame, due: Due, done: list[Finding]) -> np.ndarray:
    """Find the pair due of each row."""
    labels = _meanings(rows[PERTURBATION].unique(), due)
    there = _contexts(rows[CONTEXT].unique(), due)
    meant = ([there[name] for name in rows[CONTEXT]], [labels[name] for name in rows[PERTURBATION]])
    of_row = pd.MultiIndex.from_arrays(meant, names=PAIR)
    codes = due.pairs.get_indexer(of_row)
    if not (codes >= 0).any():
        msg = (
            f"none of the labels ({listed(sorted(labels))}) is a perturbation of the {due.part} part "
            f"({listed(due.pairs.get_level_values(PERTURBATION))}); see --pert-col and --part"
        )
        raise InputError(msg)
    if left := pd.unique(rows.loc[codes < 0, PERTURBATION]).tolist():
        done.append(Finding("note", f"labels that are not due, left out: {len(left):,} ({listed(sorted(left))})"))
    return codes


def _meanings(written: np.ndarray, due: Due) -> dict[str, str | None]:
    """Tell which perturbation of the course a label means: GENE+ctrl is GENE, B+A or A_B is A+B, ctrl the control."""
    known = sorted(set(due.split.table.index.get_level_values(PERTURBATION)))
    of_parts = {tuple(sorted(label.split("+"))): label for label in known}
    # GEARS joins the genes of a key by an underscore, which a symbol may hold too
    joined = {"_".join(order): label for label in known for order in permutations(label.split("+"))}
    names, genes = set(known), set(due.genes)
    meanings: dict[str, str | None] = {}
    for label in written:
        parts = [part for part in label.split("+") if not is_control(part, genes)]
        whole_label = label if label in names else CONTROL if not parts else of_parts.get(tuple(sorted(parts)))
        meanings[label] = whole_label or joined.get(label)
    return meanings


def _contexts(written: np.ndarray, due: Due) -> dict[str | None, str | None]:
    """Tell which context of the course each of the prediction's means."""
    ours, theirs = due.contexts, [name for name in written if name is not None]
    if len(ours) == 1:
        if len(theirs) > 1:
            msg = (
                f"the prediction has {len(theirs)} contexts ({listed(sorted(theirs))}), and the course one; keep the "
                "rows of one, or name the column of contexts by --context-col"
            )
            raise InputError(msg)
        return dict.fromkeys(written, ours[0])
    if not theirs or not set(theirs) & set(ours):
        found = f"its contexts are {listed(sorted(theirs))}" if theirs else "the prediction has no column of contexts"
        msg = f"{found}, and the course has {listed(ours)}; name them so, in the column that --context-col names"
        raise InputError(msg)
    return {name: name if name in ours else None for name in written}


class _Seen(NamedTuple):
    """What the values of the rows due are."""

    n_values: int
    n_bad: int
    n_negative: int
    lowest: float
    highest: float
    below: float
    """Sum of the values below 0, and of those above."""
    above: float
    fractional: bool

    def clipped(self) -> list[Finding]:
        """Say how many values are set to 0."""
        if not self.n_negative:
            return []
        what = f"values below 0 (lowest {self.lowest:.3g}), set to 0: {self.n_negative:,} of {self.n_values:,}"
        return [Finding("note", what)]


def _look(cells: Cells, keep: np.ndarray, n_blocks: int) -> _Seen:
    """Look at the values of some rows once."""
    n_bad = n_negative = start = 0
    lowest = highest = below = above = 0.0
    fractional = False
    with progress.bar("look", n_blocks) as advance:
        for block in cells.read(keep):
            values = block[keep[start : start + block.shape[0]]].data
            start += block.shape[0]
            finite = values[np.isfinite(values)]
            n_bad += len(values) - len(finite)
            if len(finite):
                lowest, highest = min(lowest, float(finite.min())), max(highest, float(finite.max()))
                negative = finite[finite < 0]
                n_negative += len(negative)
                below -= float(negative.sum(dtype=np.float64))
                above += float(finite[finite > 0].sum(dtype=np.float64))
                fractional |= bool((np.abs(finite - np.trunc(finite)) > FRACTION).any())
            advance()
    return _Seen(int(keep.sum()) * cells.shape[1], n_bad, n_negative, lowest, highest, below, above, fractional)


def _scaled(
    written: Written, cells: Cells, seen: _Seen, due: Due, scaled_to: float | None, done: list[Finding]
) -> Cells:
    """Bring expression to log1p at the course's target_sum, none below 0."""
    if not seen.above:
        msg = "the prediction holds no value above 0; see whether --values names the predicted expression"
        raise InputError(msg)
    if seen.below > NEGATIVE * seen.above:
        msg = (
            f"the values below 0 add up to {seen.below / seen.above:.0%} of those above, so these are effects or "
            "z-scores; write expression (effects plus the control profile)"
        )
        raise InputError(msg)
    if not seen.fractional:
        return _from_counts(written, cells, due, done)
    if seen.highest >= LOG_LIMIT:
        msg = f"values reach {seen.highest:.4g}, and log1p expression stays below {LOG_LIMIT:g}; take log1p, once"
        raise InputError(msg)
    ratio = due.target_sum / (scaled_to or due.target_sum)
    if ratio != 1 and written.means:
        msg = (
            f"means of logs at target_sum {scaled_to:,.10g} cannot be brought to {due.target_sum:,.10g} exactly, since "
            f"the mean of logs is not the log of the mean; give predicted cells, or {_train_at(due)}"
        )
        raise InputError(msg)

    def change(block: scipy.sparse.csr_matrix, start: int) -> scipy.sparse.csr_matrix:
        del start
        block = block.copy()
        block.data = np.maximum(block.data, 0)
        if ratio != 1:
            block.data = np.log1p(ratio * np.expm1(block.data, dtype=np.float64))
        return block

    if ratio != 1:
        what = f"cells were brought from target_sum {scaled_to:,.10g} to the course's, {due.target_sum:,.10g}"
        done.append(Finding("note", what))
    return cells.mapped(change)


def _from_counts(written: Written, cells: Cells, due: Due, done: list[Finding]) -> Cells:
    """Scale predicted counts by their own sum, where that is a cell's whole library."""
    if written.means:
        msg = f"the prediction holds mean counts, and a mean of logs is not known from them; {_train_at(due)}"
        raise InputError(msg)
    controls = _controls(due)
    outside = 1 - controls.counts.sum() / (due.target_sum / controls.scale).sum()
    if outside > WHOLE_LIBRARY:
        msg = (
            f"the prediction holds counts, and {outside:.0%} of a cell's UMIs lie outside of the course's genes, so "
            f"its library size is not known; {_train_at(due)}"
        )
        raise InputError(msg)
    done.append(Finding("note", f"counts became log1p({due.target_sum:,.10g} x count / their sum in the cell)"))
    return cells.mapped(lambda block, _: log_expression(block, np.asarray(block.sum(axis=1)).ravel(), due.target_sum))


def _controls(due: Due) -> Controls:
    """Read the control cells of the first context; where there are several, they were made alike."""
    by_context, _ = read_controls(due.course.train_path)
    return by_context[due.contexts[0]]


def _train_at(due: Due) -> str:
    return f"train the model on log1p({due.target_sum:,.10g} x count / n_umis), the course's scale"


def _means(fitted: Fitted, n_pairs: int, n_blocks: int) -> np.ndarray:
    """Average the rows of each pair: pairs x genes that are predicted; NaN for pairs without rows."""
    columns = fitted.order[fitted.order >= 0]
    sums, taken, start = np.zeros((n_pairs, len(columns))), fitted.codes >= 0, 0
    with progress.bar("average", n_blocks) as advance:
        for block in fitted.cells.read(taken):
            rows = np.flatnonzero(taken[start : start + block.shape[0]])
            codes = fitted.codes[start + rows]
            member = scipy.sparse.csr_matrix((np.ones(len(rows)), (codes, rows)), shape=(n_pairs, block.shape[0]))
            sums += (member @ block.astype(np.float64)).toarray()[:, columns]
            start += block.shape[0]
            advance()
    n_rows = np.bincount(fitted.codes[taken], minlength=n_pairs)
    return np.divide(sums, n_rows[:, None], out=np.full(sums.shape, np.nan), where=n_rows[:, None] > 0)


def _check_scale(means: np.ndarray, control: np.ndarray, target: float) -> Finding:
    """Compare what predicted profiles and control profiles add up to on the natural scale."""
    there = ~np.isnan(means).any(axis=1)
    ratios = np.expm1(means[there]).sum(axis=1) / np.expm1(control[there]).sum(axis=1)
    ratio = float(np.median(ratios))
    what = f"predicted profiles add up to {ratio:.3g} times the control profile on the natural scale, by the median"
    if not 1 / SAME_SCALE <= ratio <= SAME_SCALE:
        msg = (
            f"{what}, so they do not look like log1p at the course's target_sum, {target:,.10g} (rather at about "
            f"{ratio * target:,.0f}); of predicted cells give --target-sum, of means train the model at the course's"
        )
        raise InputError(msg)
    return Finding("note", what)


def _clipped(means: np.ndarray) -> list[Finding]:
    n_negative = int((means < 0).sum())
    if not n_negative:
        return []
    what = f"values below 0 (lowest {np.nanmin(means):.3g}), set to 0: {n_negative:,} of {means.size:,}"
    return [Finding("note", what)]


def _lacking(fitted: Fitted, due: Due) -> list[str]:
    """Say which genes and pairs that are due are not predicted."""
    genes = due.genes[fitted.order < 0]
    pairs = due.pairs[~np.isin(np.arange(len(due.pairs)), fitted.codes)]
    lacking = []
    if len(genes):
        lacking.append(f"{counted(len(genes), 'gene')} of {len(due.genes):,} ({listed(genes)})")
    if len(pairs):
        several = len(due.contexts) > 1
        names = [f"{label} in {context}" if several else label for context, label in pairs]
        lacking.append(f"{counted(len(pairs), 'perturbation')} of {len(due.pairs):,} ({listed(names)})")
    return lacking
