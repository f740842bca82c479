"""Lists of genes and perturbations as people write them: spreadsheets, pandas, R, plain text."""

import csv
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from starter.errors import InputError, listed
from starter.files import check_file

DELIMITERS = ",;\t|"
ROW_NUMBERS = {"", "index", "unnamed: 0", "rownames", "row.names", "level_0"}
"""How a column of row numbers is headed, if at all; it may also hold names."""
MEANINGLESS = {"0", "x", "v1", "var1"}
"""What pandas and R write above the values of a series."""
DATES = re.compile(r"\d{1,2}-(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)(-\d+)?|"
                   r"(Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)-\d{2}|\d{4}-\d\d-\d\d( 00:00:00)?",
                   re.IGNORECASE)  # fmt: skip
"""What spreadsheets make of MARCH1, SEPT2 and DEC1."""
NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?")


class Listed(NamedTuple):
    """The rows of a list."""

    names: list[str]
    others: dict[str, list[str]]
    """The other columns, by their headers in small letters."""


def read_list(path: str | Path, headers: Sequence[str], due: str) -> Listed:
    """Read a list: names, one a line, or a table with a column of names.

    Commas, semicolons, tabs and bars may separate the columns; a column of row numbers, a byte order mark, quotes,
    blank lines and blank fields behind the last column count for nothing.

    Parameters
    ----------
    path
        The list.
    headers
        How the column of names may be headed, the best first, in small letters; the first is the name that messages
        ask for.
    due
        What the names are, for a message, such as `gene`.

    Raises
    ------
    InputError
        If it cannot be read, is empty, or does not say which of its columns holds the names; or a name is a number or
        a date.
    """
    rows = _rows(path)
    width = max(map(len, rows))
    if wrong := next((row for row in rows if len(row) != width), None):
        msg = f"{path}: the line {' | '.join(wrong)!r} has {len(wrong)} columns, and others have {width}; write it anew"
        raise InputError(msg)
    columns = [list(column) for column in zip(*rows, strict=True)]
    heads = [column[0].casefold() for column in columns]
    at = next((heads.index(name) for name in headers if name in heads), None)
    headed = at is not None or _is_headed(columns, heads)
    if headed:
        columns = [column[1:] for column in columns]
    else:
        heads = [""] * width
    if at is None:
        at = _names_among(path, columns, heads, headers, headed=headed)
    names = columns[at]
    if "" in names:
        msg = f"{path}: its line {names.index('') + 1 + headed} names no {due}; fill it in or leave the line out"
        raise InputError(msg)
    _check_names(path, names, due)
    return Listed(names, {head: columns[i] for i, head in enumerate(heads) if head and i != at})


def _names_among(
    path: str | Path, columns: list[list[str]], heads: list[str], headers: Sequence[str], *, headed: bool
) -> int:
    """Choose the column of names where no header tells it."""
    text = [i for i, column in enumerate(columns) if not all(NUMBER.fullmatch(value) or not value for value in column)]
    counts = [i for i in range(len(columns)) if i not in text and not _is_numbering(columns[i])]
    if len(columns) == 1:
        return 0
    if len(text) == 1 and (headed or not counts):
        return text[0]
    if text and headed and heads[text[0]] in ROW_NUMBERS and len(set(columns[text[0]])) == len(columns[text[0]]):
        return text[0]  # an index, as pandas writes one
    shown = f" ({listed([repr(head) for head in heads])})" if headed else ""
    others = f", {', '.join(headers[1:3])} ..." if len(headers) > 1 else ""
    msg = f"{path} has several columns and no header with {headers[0]}{others}{shown}; name the column of names so"
    raise InputError(msg)


def _is_headed(columns: list[list[str]], heads: list[str]) -> bool:
    """Tell whether the first line is a header, though it names no column that is known."""
    if len(heads) == 1:
        return heads[0] in MEANINGLESS
    # row numbers or an index below an empty field, or numbers below a word
    return heads[0] in ROW_NUMBERS or any(
        len(column) > 1 and not NUMBER.fullmatch(column[0]) and all(NUMBER.fullmatch(value) for value in column[1:])
        for column in columns
    )


def _is_numbering(column: list[str]) -> bool:
    """Tell whether a column counts its rows, from 0 or 1."""
    return any(column == [str(n) for n in range(first, first + len(column))] for first in (0, 1))


def _check_names(path: str | Path, names: list[str], due: str) -> None:
    if dates := [name for name in names if DATES.fullmatch(name)]:
        msg = (
            f"{path} holds dates for names ({listed(dates)}): a spreadsheet made them of symbols such as SEPT2; "
            "take the list as it was before it was opened there"
        )
        raise InputError(msg)
    if numbers := [name for name in names if NUMBER.fullmatch(name)]:
        msg = f"{path} holds numbers where {due} names are due ({listed(numbers)}); see which column holds the names"
        raise InputError(msg)


def _rows(path: str | Path) -> list[list[str]]:
    """Read the filled lines of a list, without blank fields at the end of all of them."""
    check_file(path)
    try:
        content = Path(path).read_bytes()
        # spreadsheets write "Unicode text" as UTF-16
        wide = content.startswith((b"\xff\xfe", b"\xfe\xff"))
        text = content.decode("utf-16" if wide else "utf-8-sig")
        lines = [line for line in re.split(r"\r\n|\r|\n", text) if line.strip()]
        rows = [[field.strip() for field in row] for row in csv.reader(lines, delimiter=_delimiter(lines), strict=True)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        msg = f"cannot read the list {path}: {error}; save it as CSV (UTF-8)"
        raise InputError(msg) from error
    rows = [row for row in rows if any(row)]
    if not rows:
        msg = f"the list {path} is empty"
        raise InputError(msg)
    used = max(max(i for i, field in enumerate(row) if field) for row in rows) + 1
    return [(row + [""] * used)[:used] for row in rows]


def _delimiter(lines: list[str]) -> str:
    """Find what separates the columns: what stands in every line, and as often in each; a comma if nothing does."""
    counts = {sign: [line.count(sign) for line in lines] for sign in DELIMITERS}
    everywhere = [sign for sign in DELIMITERS if lines and min(counts[sign])]
    even = [sign for sign in everywhere if len(set(counts[sign])) == 1]
    return (even or everywhere or [","])[0]
