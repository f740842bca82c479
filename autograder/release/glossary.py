"""Words that the glossary explains: at its first mention in a notebook each is a link that shows its sentence."""

import re
from collections.abc import Mapping
from pathlib import Path

from nbformat import NotebookNode

from starter.errors import InputError

FILE = "glossary.md"
"""In the project's docs/, and beside the stages' folders of the students' notebooks."""
ENTRY = re.compile(r"^### (.+)\n(.+)$", re.MULTILINE)
"""A word, and the sentence that explains it."""
LEFT_ALONE = re.compile(
    r"```.*?```|`[^`]*`|\$\$.*?\$\$|\$[^$\n]*\$|!?\[[^\]]*\]\([^)]*\)|<[^>]+>|^#.*?$", re.MULTILINE | re.DOTALL
)
"""Code, formulas, links, HTML and headings."""


def read_glossary(path: Path) -> dict[str, str]:
    """Read a glossary: a heading of the third level for each word, and below it one sentence.

    Returns
    -------
    Word to sentence, in the file's order.

    Raises
    ------
    InputError
        If it cannot be read, holds no word, or a word twice.
    """
    try:
        entries = ENTRY.findall(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cannot read the glossary {path} ({error}); take the project's docs/{FILE}"
        raise InputError(msg) from error
    words = [word for word, _ in entries]
    if not words or len(set(words)) < len(words):
        twice = sorted({word for word in words if words.count(word) > 1})
        msg = f"{path} explains {', '.join(twice)} more than once" if twice else f"{path} has no heading '### WORD'"
        raise InputError(msg)
    return dict(entries)


def link_words(notebook: NotebookNode, glossary: Mapping[str, str]) -> None:
    """Link the first mention of each word in a notebook's text to the glossary, which lies in the folder above.

    Headings, code, formulas and the students' own answers stay as they are.
    """
    waiting = dict(glossary)
    # the longest first: a control cell is explained as one, before a cell is
    found = re.compile("|".join(_pattern(word) for word in sorted(waiting, key=len, reverse=True)))

    def linked(match: re.Match[str]) -> str:
        word = next(word for word in glossary if re.fullmatch(_pattern(word), match[0]))
        if (sentence := waiting.pop(word, None)) is None:
            return match[0]
        return f'[{match[0]}](../{FILE}#{word.lower().replace(" ", "-")} "{sentence}")'

    for cell in notebook.cells:
        if cell.cell_type == "markdown" and not cell.metadata.get("nbgrader", {}).get("solution"):
            pieces = re.split(f"({LEFT_ALONE.pattern})", cell.source, flags=LEFT_ALONE.flags)
            cell.source = "".join(
                piece if number % 2 else found.sub(linked, piece) for number, piece in enumerate(pieces)
            )


def _pattern(word: str) -> str:
    """Match a word in singular and plural; in small letters too, if it is no abbreviation."""
    first = re.escape(word[0])
    start = f"[{first.upper()}{first.lower()}]" if word[:2].islower() else first
    return rf"(?<![\w-]){start}{re.escape(word[1:])}(?:s|es)?(?![\w-])"
