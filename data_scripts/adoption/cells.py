"""What describes a cell: which cells are taken, and their columns as a course names them."""

import re
from collections.abc import Mapping
from contextlib import suppress

import numpy as np
import pandas as pd

from data_scripts.adoption.labels import Meaning
from data_scripts.adoption.layout import Layout
from data_scripts.adoption.report import Report
from starter.data.rules import unusable_totals
from starter.errors import InputError, counted, listed
from starter.schema import BATCH, CONTEXT, CONTROL, DOSE, GUIDE, N_UMIS, PERCENT_MITO, TARGET_GENE

UNKNOWN = "unknown"
"""The batch of a cell that has none."""
IN_UM = {"uM": 1.0, "nM": 1000.0, "µM": 1.0, "μM": 1.0}
"""Units of a dose, in one uM; micro is written in two ways."""
WRITTEN_DOSE = re.compile(r"(?P<dose>\d+(?:\.\d+)?(?:[eE][-+]?\d+)?)\W{0,3}(?P<unit>[unµμ]M)\b")
"""A dose with its unit, as in Tahoe's [('Bortezomib', 0.05, 'uM')]."""
ROUNDING = 1e-6
"""By this share a cell's counts may add up to more than its total."""


def check_columns(obs: pd.DataFrame, layout: Layout) -> None:
    """Refuse a layout that names columns which obs has not.

    Raises
    ------
    InputError
        With the columns that there are.
    """
    named = {"target": layout.target, "guide": layout.guide, "batch": layout.batch, "n_umis": layout.n_umis,
             "percent_mito": layout.percent_mito, "dose": layout.dose}  # fmt: skip
    wanted = [(key, column) for key, column in named.items() if column is not None]
    wanted += [("context", column) for column in layout.context]
    wanted += [("keep", entry.partition("=")[0]) for entry in layout.keep]
    for key, column in wanted:
        if column not in obs:
            there = ", ".join(str(name) for name in obs.columns) or "none"
            msg = f"obs has no column {column!r} ({key}); its columns are {there}"
            raise InputError(msg)
        if getattr(obs[column], "ndim", 1) > 1:
            msg = f"obs has the column {column!r} twice; keep one"
            raise InputError(msg)


def text_of(column: pd.Series) -> pd.Series:
    """Give a column as text, empty where it is missing; whole numbers without a decimal point."""
    if column.dtype.kind == "f" and (column.dropna() % 1 == 0).all():
        column = column.astype("Int64")
    text = column.astype(object).where(column.notna(), "").astype(str).str.strip()
    return text.mask(text.isin(["nan", "<NA>"]), "")


def chosen_by(obs: pd.DataFrame, layout: Layout) -> np.ndarray:
    """Tell which cells have all that the layout's `keep` asks, boolean.

    Raises
    ------
    InputError
        If no cell has what one of them asks.
    """
    return np.logical_and.reduce([np.ones(len(obs), bool), *(_held(obs, entry) for entry in layout.keep)])


def choose_cells(obs: pd.DataFrame, layout: Layout, meanings: Mapping[str, Meaning], report: Report) -> np.ndarray:
    """Tell which cells are taken; the others are counted in the report, with the reason.

    Parameters
    ----------
    obs
        What describes the cells of the file.
    layout
        Where its parts are.
    meanings
        What each label of the target's column says, by its text.
    report
        Receives the cells left out.

    Returns
    -------
    Boolean, one a cell.
    """
    keep = np.ones(len(obs), bool)

    def leave_out(cells: np.ndarray, why: str) -> None:
        report.drop(why, int((keep & cells).sum()))
        keep[cells] = False

    labels = text_of(obs[layout.target])
    controls = labels.map({label: meaning.target == CONTROL for label, meaning in meanings.items()}).to_numpy(bool)
    for entry in layout.keep:
        is_dose = entry.partition("=")[0] == layout.dose
        # a vehicle has no dose of the compound, or its own
        leave_out(~_held(obs, entry) & ~(controls & is_dose), f"not {entry}")
    for label in labels.unique():
        if meanings[label].target is None:
            leave_out((labels == label).to_numpy(), meanings[label].why_out)
    for column in layout.context:
        leave_out((text_of(obs[column]) == "").to_numpy(), f"without {column}")
    return keep


def _held(obs: pd.DataFrame, entry: str) -> np.ndarray:
    """Tell for which cells an entry of `keep` holds."""
    name, given, value = entry.partition("=")
    text = text_of(obs[name])
    held = text == value if given else text.str.casefold().isin(["true", "1"])
    if given and obs[name].dtype.kind in "iuf":
        with suppress(ValueError):  # 10 is 10.0
            held = obs[name] == float(value)
    if not held.any():
        msg = f"no cell has {entry!r}; obs[{name!r}] holds {listed(sorted(text.unique()))}"
        raise InputError(msg)
    return held.to_numpy()


def describe_cells(obs: pd.DataFrame, layout: Layout, meanings: Mapping[str, Meaning], report: Report) -> pd.DataFrame:
    """Make the course's obs, but for the total of UMIs.

    Parameters
    ----------
    obs
        The cells that are taken.
    layout, meanings, report
        As for `choose_cells`; the report receives what was changed.

    Raises
    ------
    InputError
        If doses or percentages are not possible.
    """
    labels = text_of(obs[layout.target])
    target = labels.map({label: meaning.target for label, meaning in meanings.items()})
    read = {str(label): str(meanings[label].target) for label in labels.unique()}
    report.labels = {label: new for label, new in read.items() if label != new}
    columns: dict[str, object] = {TARGET_GENE: pd.Categorical(target)}
    if layout.guide is not None:
        columns[GUIDE] = pd.Categorical(text_of(obs[layout.guide]).replace("", UNKNOWN))
    elif any(meanings[label].of_guide for label in labels.unique()):
        columns[GUIDE] = pd.Categorical(labels)
        report.notes.append(f"{GUIDE} is the label as it was, since labels tell guides of one gene apart")
    if layout.batch is not None:
        batch = text_of(obs[layout.batch])
        if n := int((batch == "").sum()):
            report.notes.append(f"{counted(n, 'cell')} without {layout.batch}: their {BATCH} is {UNKNOWN!r}")
        columns[BATCH] = pd.Categorical(batch.replace("", UNKNOWN))
    if layout.context:
        columns[CONTEXT] = pd.Categorical(contexts_in(obs, layout))
    if layout.dose is not None:
        columns[DOSE] = _doses(obs[layout.dose], layout, (target == CONTROL).to_numpy())
    if layout.percent_mito is not None and (percent := _percent(obs[layout.percent_mito], report)) is not None:
        columns[PERCENT_MITO] = percent
    return pd.DataFrame(columns, index=_unique_names(obs.index, report))


def contexts_in(obs: pd.DataFrame, layout: Layout) -> pd.Series:
    """Give each cell's context: the values of the layout's columns, joined by a space."""
    first, *others = (text_of(obs[column]) for column in layout.context)
    return first.str.cat(others, sep=" ") if others else first


def totals_of(obs: pd.DataFrame, column: str | None) -> np.ndarray | None:
    """Give each cell's total of UMIs as a column states it, float64; None if it states no possible ones."""
    return None if column is None or unusable_totals(obs[column]) else obs[column].to_numpy(float)


def n_umis(stated: np.ndarray | None, row_sums: np.ndarray, layout: Layout, report: Report) -> np.ndarray:
    """Give each cell's total of UMIs: as the file states it if it can be that, else the sum over its genes.

    Parameters
    ----------
    stated
        What the file states of the cells that are taken.
    row_sums
        Sums of their counts.
    layout, report
        The report is told if the column is set aside.
    """
    if layout.n_umis is None:
        report.notes.append(f"no column of UMI counts is named: {N_UMIS} is the sum of each cell's counts in the file")
    elif stated is None:
        report.notes.append(
            f"{layout.n_umis} is not a positive number in every cell: {N_UMIS} is the sum of its counts"
        )
    elif above := int(np.count_nonzero(row_sums > stated * (1 + ROUNDING))):
        report.notes.append(
            f"{layout.n_umis} is less than the sum of the counts in {counted(above, 'cell')}, so it is no total of "
            f"UMIs: {N_UMIS} is that sum"
        )
    else:
        return np.rint(stated).astype(np.int64) if (stated % 1 == 0).all() else stated
    return np.rint(row_sums).astype(np.int64)


def _doses(column: pd.Series, layout: Layout, is_control: np.ndarray) -> np.ndarray:
    """Give doses in uM; vehicle cells have 0 where they have none."""
    unit = IN_UM[layout.dose_unit]
    try:
        doses = pd.to_numeric(column.astype(object)).to_numpy(float)
    except (TypeError, ValueError) as error:
        text = text_of(column)
        written = text.str.extract(WRITTEN_DOSE)
        if (written["unit"].isna() & (text != "")).any():
            msg = f"obs[{layout.dose!r}] holds {listed(sorted(set(text)))}, not doses as numbers; name another column"
            raise InputError(msg) from error
        # the text says its unit
        doses = written["dose"].to_numpy(float) / written["unit"].map(IN_UM).to_numpy(float)
        unit = 1.0
    doses = np.where(is_control & np.isnan(doses), 0.0, doses)
    if odd := int(np.count_nonzero(~(np.isfinite(doses) & (doses >= 0)))):
        msg = f"{counted(odd, 'cell')} have no dose in obs[{layout.dose!r}]; leave them out, or name another column"
        raise InputError(msg)
    return doses / unit


def _percent(column: pd.Series, report: Report) -> np.ndarray | None:
    """Give mitochondrial percentages; shares are recognised by their maximum."""
    try:
        percent = column.to_numpy(float)
    except (TypeError, ValueError):
        percent = np.array([np.nan])
    if not np.isfinite(percent).all() or percent.min(initial=0) < 0 or percent.max(initial=0) > 100:
        report.notes.append(f"{column.name} is not between 0 and 100 in every cell, and is left out")
        return None
    if 0 < percent.max(initial=0) <= 1:
        report.notes.append(f"{column.name} goes up to {percent.max():.3g}, so it is taken for shares, times 100")
        return 100 * percent
    return percent


def _unique_names(index: pd.Index, report: Report) -> pd.Index:
    names = index.astype(str)
    if names.is_unique:
        return names
    twice = int(names.duplicated().sum())
    report.notes.append(f"{counted(twice, 'cell')} had the name of another one; a number was put behind it")
    seen: dict[str, int] = {}
    taken, unique = set(names), []
    for name in names:
        new = name
        while name in seen and new in taken:
            seen[name] += 1
            new = f"{name}-{seen[name]}"
        seen.setdefault(name, 0)
        taken.add(new)
        unique.append(new)
    return pd.Index(unique)
