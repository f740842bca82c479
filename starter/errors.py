"""Faults in what the user gave, and the words in which they are said."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    # every command line imports this module: it must stay quick
    import pandas as pd

SHOWN = 5
"""How many names a message lists before it counts the rest."""


class InputError(ValueError):
    """A fault in what the user gave. The message says what is wrong, where, and what to do."""


class NotThereError(InputError):
    """Something that this course's data do not have; a notebook leaves out the cells that need it, and goes on."""


@dataclass(frozen=True)
class Finding:
    """One thing that a check found in a file."""

    level: Literal["error", "warning", "note"]
    """An error is refused, a warning costs points or time, a note informs."""
    what: str
    """What was found, with the numbers."""
    way_out: str = ""
    """What to do about it."""

    def __str__(self) -> str:
        return f"{self.what}; {self.way_out}" if self.way_out else self.what


class FindingsError(InputError):
    """A file with errors; the message lists every one of them.

    Attributes
    ----------
    findings
        All findings, of all levels.
    """

    def __init__(self, name: str, findings: Sequence[Finding]) -> None:
        self.findings = tuple(findings)
        errors = [finding for finding in findings if finding.level == "error"]
        super().__init__(
            "\n".join([f"{name} has {counted(len(errors), 'fault')}:", *(f"  - {error}" for error in errors)])
        )


def counted(n: int, one: str, many: str | None = None) -> str:
    """Write a number with its noun.

    >>> counted(1, "gene"), counted(2_000, "gene")
    ('1 gene', '2,000 genes')
    """
    return f"1 {one}" if n == 1 else f"{n:,} {many or one + 's'}"


def difference(due: Iterable[str], came: Iterable[str]) -> str:
    """Say which names are missing and which are extra; nothing if none is.

    >>> difference(["A", "B"], ["B", "C"])
    'missing 1 (A), extra 1 (C)'
    """
    kinds = {"missing": sorted(set(due) - set(came)), "extra": sorted(set(came) - set(due))}
    return ", ".join(f"{kind} {len(names):,} ({listed(names)})" for kind, names in kinds.items() if names)


def listed(names: Sequence[str] | pd.Index) -> str:
    """List the first names and count the rest, for a message.

    >>> some(["A", "B", "C", "D", "E", "F", "G"])
    'A, B, C, D, E and 2 more'
    """
    shown = ", ".join(str(name) for name in list(names)[:SHOWN])
    return shown if len(names) <= SHOWN else f"{shown} and {len(names) - SHOWN:,} more"
