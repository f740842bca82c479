"""Where a file keeps what a course data set needs."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Literal

from starter.errors import InputError, listed
from starter.schema import TARGET_GENE

INDEX = "index"
"""In place of a column's name: the index of `var`."""


@dataclass(frozen=True)
class Layout:
    """Where a file keeps what a course data set needs; the names of columns are the file's own."""

    counts: str = "X"
    """`X`, `raw/X` or `layers/NAME`."""
    logs: bool = False
    """Whether the values there are log1p of scaled counts, to be undone."""
    target: str = TARGET_GENE
    """The column of obs with the perturbation."""
    control: tuple[str, ...] = ()
    """Labels of control cells, or shell patterns; usual spellings such as `ctrl` are known."""
    drop: tuple[str, ...] = ()
    """Labels, or shell patterns, of cells that are left out."""
    keep: tuple[str, ...] = ()
    """Which cells are taken: `COLUMN` (where it is true) or `COLUMN=VALUE`; all of these must hold."""
    separator: str | None = None
    """What stands between the genes of a double beside `+`, such as `_`."""
    guide: str | None = None
    batch: str | None = None
    n_umis: str | None = None
    percent_mito: str | None = None
    dose: str | None = None
    dose_unit: Literal["uM", "nM"] = "uM"
    context: tuple[str, ...] = ()
    """Columns that tell cell lines or conditions apart, joined by a space."""
    symbols: str | None = INDEX
    """The column of var with gene symbols, or `index`; None if there are Ensembl ids alone."""
    ensembl: str | None = None
    """The column of var with Ensembl ids, or `index`."""
    kind: Literal["gene", "compound"] = "gene"
    """What the cells were perturbed with."""
    target_ids: bool = False
    """Whether the labels are Ensembl ids, which become symbols."""


def read_layout(table: Mapping[str, object]) -> Layout:
    """Make a layout of a table, as TOML has it.

    Raises
    ------
    InputError
        If it has a key that a layout lacks.
    """
    known = [field.name for field in fields(Layout)]
    if unknown := sorted(set(table) - set(known)):
        msg = f"a layout has no {listed(unknown)}; it has {', '.join(known)}"
        raise InputError(msg)
    return Layout(**{key: tuple(value) if isinstance(value, list) else value for key, value in table.items()})  # type: ignore[arg-type]
