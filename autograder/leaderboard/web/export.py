"""The ranking as a folder of plain pages: what every team sees of a board that is served, without a server."""

import shutil
from pathlib import Path

from autograder.leaderboard import store
from autograder.leaderboard.tables import INSTRUCTOR, PRIVATE, PUBLIC
from autograder.leaderboard.web import pages
from autograder.leaderboard.web.security import Visitor
from autograder.leaderboard.web.site import Site
from starter.files import whole

LANGUAGES = {"en": ("English", ""), "zh": ("中文", "zh-")}
"""Language to its own name, and what the names of its pages begin with."""
FIRST, FORMER = "index.html", "public.html"
"""The ranking as it stands, and after the end the one by the public half."""
STYLES = ("board.css", "icon.svg")
NAMES = (FIRST, *STYLES, *(f"{begins}{name}" for _, begins in LANGUAGES.values() for name in (FIRST, FORMER)))
"""What a folder that was written before holds."""
NOBODY = Visitor("", INSTRUCTOR, "")
"""For whom pages are made: no team's row is marked as their own, and nothing is asked of them."""


def write_pages(site: Site, folder: Path) -> list[str]:
    """Write the ranking in every language: by the public half, and once the private one is revealed by both.

    Parameters
    ----------
    folder
        Is new, or empty, or one that was written so before. Nothing in it needs a server, or JavaScript.

    Returns
    -------
    The names of the pages.

    Raises
    ------
    InputError
        If the folder holds something else, or cannot be written.
    """
    with store.session(site.engine) as session:
        facts = pages.facts(session)
        both = bool(facts.get("revealed") and facts.get("n_private"))
        boards = {FIRST: PRIVATE, FORMER: PUBLIC} if both else {FIRST: PUBLIC}
        shown = {name: pages.ranked(session, board) for name, board in boards.items()}
    written = []
    with whole(folder, replaces=NAMES) as part:
        part.mkdir()
        for style in STYLES:
            shutil.copyfile(pages.STATIC / style, part / style)
        for language, (_, begins) in LANGUAGES.items():
            for name, values in shown.items():
                others = {other: (said, f"{start}{name}") for other, (said, start) in LANGUAGES.items()}
                content = pages.render(
                    site, "board.html", language, who=NOBODY, theme="auto", path="/", facts=facts, static="",
                    home=f"{begins}{FIRST}", exported={"languages": others},
                    tabs={PRIVATE: f"{begins}{FIRST}", PUBLIC: f"{begins}{FORMER}"}, **values,
                )  # fmt: skip
                (part / f"{begins}{name}").write_text(content, encoding="utf-8")
                written.append(f"{begins}{name}")
    return written
