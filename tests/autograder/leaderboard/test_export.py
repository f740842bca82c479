"""The ranking as a folder: what every team sees, from files alone, written whole or not at all."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from autograder.leaderboard.accounts import make_tokens
from autograder.leaderboard.store import open_board, writing
from autograder.leaderboard.tables import SCORED, TEAM, Entry, Fact, FixedRow, Standing
from autograder.leaderboard.web import export, pages
from autograder.leaderboard.web.site import Site
from autograder.leaderboard.web.words import WORDS
from starter.errors import InputError

NOON = datetime(2026, 10, 1, 12, tzinfo=UTC)
SCORES = {"overall": 0.41, "low": 0.33, "high": 0.49, "metrics": {}}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """Three teams, of which two share a rank, between a baseline and a replicate."""
    site = Site(open_board(f"sqlite:///{tmp_path}/board.db"), tmp_path, "A board <b>", 2, 1 << 20, zone="Europe/Berlin")
    names = ["owls", "foxes <i>", "bees"]
    make_tokens(site.engine, names, TEAM)
    with writing(site.engine) as now:
        for number, (name, rank, score) in enumerate(zip(names, (1, 1, 3), (0.52, 0.5, -0.1), strict=True), start=1):
            about = {"account": name, "file": "p.vcc", "size": 1, "sha256": "", "received": NOON, "state": SCORED}
            now.add(Entry(id=number, public=SCORES, flags=[["too good", "secret flag"]], **about))
            now.flush()
            row = {"account": name, "entry": number, "rank": rank, "score": score}
            now.add(Standing(board="public", low=score - 0.1, high=score + 0.1, **row))
        for name, overall in (("baseline", 0.0), ("replicate", 1.0)):
            row = {"overall": overall, "low": None, "high": None}
            now.add(FixedRow(name=name, public=row, private=None))
        for name, value in (("n_public", 24), ("n_private", 24), ("revealed", False)):
            now.add(Fact(name=name, value={"is": value}))
    return site


def reveal(site: Site) -> None:
    with writing(site.engine) as now:
        now.merge(Fact(name="revealed", value={"is": True}))
        now.add(Standing(board="private", account="bees", entry=3, rank=1, score=0.7, low=0.6, high=0.8))


def cells(page: str) -> list[list[str]]:
    """Text of a table's rows."""
    body = page.split("<tbody>")[1].split("</tbody>")[0]
    rows = [re.findall(r"(?s)<t[hd][^>]*>(.*?)</t[hd]>", row) for row in body.split("</tr>")[:-1]]
    return [[re.sub(r"\s*<[^>]+>\s*", " ", cell).strip() for cell in row] for row in rows]


def test_the_ranking_is_there_in_both_languages_and_needs_nothing_else(site: Site, tmp_path: Path):
    folder = tmp_path / "ranking"
    assert export.write_pages(site, folder) == ["index.html", "zh-index.html"]
    assert {path.name for path in folder.iterdir()} == {"index.html", "zh-index.html", "board.css", "icon.svg"}
    for name, word in (("index.html", 0), ("zh-index.html", 1)):
        page = (folder / name).read_text(encoding="utf-8")
        rows = [row for row in cells(page) if row[0] != "◆"]
        assert [(row[0], row[1].split()[0], row[2].split()[0]) for row in rows] == [
            ("=1", "owls", "0.520"), ("=1", "foxes", "0.500"), ("3", "bees", "−0.100"),
        ]  # fmt: skip
        assert "0.420" in rows[0][2] + rows[0][4]
        assert WORDS["to"][word] in rows[0][4]
        assert len(cells(page)) == 5
        assert "2026-10-01 14:00 CEST" in page
        assert "foxes &lt;i&gt;" in page
        assert "A board &lt;b&gt;" in page
        for absent in ("<script", "secret flag", "csrf", "p.vcc", "<form", "/login", WORDS["log out"][word]):
            assert absent not in page
        links = re.findall(r'(?:href|src)="([^"]+)"', page)
        assert {link.split("?")[0] for link in links if not link.startswith("#")} <= set(export.NAMES)


def test_after_the_end_the_final_ranking_comes_first(site: Site, tmp_path: Path):
    reveal(site)
    folder = tmp_path / "ranking"
    assert len(export.write_pages(site, folder)) == 4
    for name, teams in (("index.html", ["bees"]), ("public.html", ["owls", "foxes", "bees"])):
        for begins in ("", "zh-"):
            page = (folder / f"{begins}{name}").read_text(encoding="utf-8")
            assert [row[1].split()[0] for row in cells(page) if row[0] != "◆"] == teams
            assert f'href="{begins}index.html"' in page
            assert f'href="{begins}public.html"' in page


def test_an_earlier_folder_is_replaced_whole_and_no_other(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    folder = tmp_path / "ranking"
    export.write_pages(site, folder)
    before = (folder / "index.html").read_text()
    reveal(site)
    rendered = pages.render

    def broken(site: Site, name: str, spoken: str, **values: object) -> str:
        if spoken == "zh":
            raise OSError(28, "No space left on device")
        return rendered(site, name, spoken, **values)

    with monkeypatch.context() as patch:
        patch.setattr(pages, "render", broken)
        with pytest.raises(InputError, match="cannot write .*ranking: No space left on device"):
            export.write_pages(site, folder)
    assert (folder / "index.html").read_text() == before
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_dir()) == ["ranking"]
    export.write_pages(site, folder)
    assert (folder / "public.html").is_file()
    (folder / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match=r"holds mine\.txt, so it is not replaced"):
        export.write_pages(site, folder)
    assert (folder / "mine.txt").is_file()


@pytest.mark.parametrize(("scheme", "width"), [("light", 1100), ("dark", 360)])
def test_a_browser_shows_it_from_the_disk(browser, site: Site, tmp_path: Path, scheme: str, width: int):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    reveal(site)
    export.write_pages(site, tmp_path / "ranking")
    context = browser.new_context(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page = context.new_page()
    wrong: list[object] = []
    page.on("requestfailed", lambda request: wrong.append(request.url))
    page.on("console", lambda message: wrong.append(message.text))
    page.goto((tmp_path / "ranking" / "index.html").as_uri())
    page.get_by_role("link", name="While the course runs").click()
    assert page.url.endswith("/public.html")
    assert page.get_by_role("row").count() == 6
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    assert dark == (scheme == "dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.get_by_role("link", name="中文").click()
    assert page.url.endswith("/zh-public.html")
    assert page.locator("html").get_attribute("lang") == "zh-Hans"
    assert wrong == []
    assert axe.Axe().run(page).response["violations"] == []
    context.close()
