"""What a comparison of two screens found, as a table and in one sentence."""

from rich.table import Table

from data_scripts.verification.equality import Equality
from starter.errors import listed

HEADINGS = ("equal", "close", "different", "missing here", "missing there")


def equality_table(found: Equality) -> Table:
    """Make a table of how one screen equals another, a line each for cells, genes, labels and values."""
    table = Table(title="this file beside the other", title_justify="left")
    table.add_column("", overflow="fold")
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for what, names in (("cells", found.cells), ("genes", found.genes)):
        table.add_row(what, *_numbers(names.n_common, 0, 0, len(names.missing), len(names.extra)))
    counted = [(f"obs/{name}", counts) for name, counts in found.columns.items()]
    for what, counts in [*counted, *found.matrices.items()]:
        table.add_row(what, *_numbers(counts.equal, counts.close, counts.different, counts.missing, counts.extra))
    return table


def _numbers(*counts: int) -> list[str]:
    return [f"{count:,}" for count in counts]


def notes_of(found: Equality) -> list[str]:
    """Say what the table does not: which names are missing, other orders and layouts, renamed labels."""
    notes = []
    for what, names in (("cells", found.cells), ("genes", found.genes)):
        notes += [] if names.same_order else [f"{what}: in another order"]
        notes += [f"{what} missing here: {listed(names.missing)}"] if names.missing else []
        notes += [f"{what} missing there: {listed(names.extra)}"] if names.extra else []
    notes += found.renamed
    notes += [f"only here: {listed(found.only_here)}"] if found.only_here else []
    notes += [f"only there: {listed(found.only_there)}"] if found.only_there else []
    for name, counts in found.matrices.items():
        here, there = found.layouts[name]
        layouts = f"{here}, as there" if here == there else f"{here}, {there} there"
        notes.append(f"{name}: {counts.not_zero:,} of the values are not 0 on both sides; stored as {layouts}")
        if counts.different and counts.whole_here != counts.whole_there:
            kinds = ("whole numbers", "fractions") if counts.whole_here else ("fractions", "whole numbers")
            notes.append(f"{name}: {kinds[0]} here, {kinds[1]} there, as of counts and of logs")
        if counts.largest:
            notes.append(f"{name}: largest difference {counts.largest:.3g} ({counts.where})")
    return notes


def faults_of(found: Equality) -> list[str]:
    """Say in a sentence each in what two screens differ by more than rounding; nothing if they do not."""
    faults = []
    for what, names in (("cells", found.cells), ("genes", found.genes)):
        if names.missing or names.extra:
            faults.append(f"{what}: {len(names.missing):,} are missing here and {len(names.extra):,} there")
    for name, counts in found.columns.items():
        if unlike := counts.different + counts.missing + counts.extra:
            faults.append(f"obs/{name}: {unlike:,} of {counts.equal + counts.close + unlike:,} cells differ")
    for name, counts in found.matrices.items():
        if counts.different:
            compared = counts.equal + counts.close + counts.different
            faults.append(
                f"{name}: {counts.different:,} of {compared:,} values differ, by {counts.largest:.3g} at most "
                f"({counts.where})"
            )
    return faults
