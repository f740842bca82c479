"""Papers that notebooks quote: at its first mention in a notebook each is a link."""

import re
from collections.abc import Mapping
from pathlib import Path

from nbformat import NotebookNode

from autograder.release.glossary import LEFT_ALONE
from starter.errors import InputError

FILE = "papers.md"
"""In the project's docs/."""
ROW = re.compile(
    r"^\| (?P<who>[^|]+?),? (?P<year>\d{4}) \| (?P<title>[^|]+) \| (?P<link>https://\S+) \|$", re.MULTILINE
)


def read_papers(path: Path) -> dict[str, str]:
    """Read the table of papers.

    Returns
    -------
    How a paper is quoted (`Csendes et al. 2025`) to its link.

    Raises
    ------
    InputError
        If it cannot be read, or holds no paper.
    """
    try:
        papers = {f"{row['who']} {row['year']}": row["link"] for row in ROW.finditer(path.read_text(encoding="utf-8"))}
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cannot read the papers {path} ({error}); take the project's docs/{FILE}"
        raise InputError(msg) from error
    if not papers:
        msg = f"{path} has no row '| AUTHORS YEAR | TITLE | https://... |'"
        raise InputError(msg)
    return papers


def quoted_papers(notebook: NotebookNode, papers: Mapping[str, str]) -> dict[str, str]:
    """Give those of the papers that a notebook quotes, in text or code, in alphabetical order."""
    text = "\n".join(cell.source for cell in notebook.cells)
    return {paper: papers[paper] for paper in sorted(papers) if re.search(_pattern(paper), text)}


def link_papers(notebook: NotebookNode, papers: Mapping[str, str]) -> None:
    """Link the first mention of each paper in a notebook's text; headings, code, formulas and links stay."""
    waiting = dict(papers)
    for cell in notebook.cells:
        if cell.cell_type != "markdown" or cell.metadata.get("nbgrader", {}).get("solution"):
            continue
        pieces = re.split(f"({LEFT_ALONE.pattern})", cell.source, flags=LEFT_ALONE.flags)
        for number, piece in enumerate(pieces):
            if number % 2 == 0:
                pieces[number] = _linked(piece, waiting)
        cell.source = "".join(pieces)


def _linked(text: str, waiting: dict[str, str]) -> str:
    for paper, link in list(waiting.items()):
        linked, n = re.subn(_pattern(paper), lambda found, link=link: f"[{found[0]}]({link})", text, count=1)
        if n:
            text = linked
            del waiting[paper]
    return text


def _pattern(paper: str) -> str:
    """Match a paper as it is quoted: `Wu et al. 2019`, `Wu et al., 2019` or `Wu et al. (2019)`."""
    who, year = paper.rsplit(" ", 1)
    return rf"\b{re.escape(who)}(?:,? \({year}\)|,? \(?{year}(?!\d))"
