"""The site: no answer on it, nothing fetched from elsewhere, and every link and anchor there."""

import base64
import json
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import unquote, urljoin, urlsplit

import pytest

pytest.importorskip("latex2mathml", reason="the extra `docs` is not installed")
pytest.importorskip("mkdocs", reason="the extra `docs` is not installed")

import hooks
from bs4 import BeautifulSoup
from figures import stages
from markdown_it import MarkdownIt

ROOT = Path(__file__).parents[1]
PICTURE = {"image/png": base64.b64encode(b"picture").decode()}
TABLE = {"text/html": "<table><tr><td>told</td></tr></table>", "text/plain": "told"}


def cells_of(stage: str, folder: str) -> list[dict]:
    return json.loads((ROOT / folder / stage / f"{stage}.ipynb").read_text(encoding="utf-8"))["cells"]


def answers() -> dict[str, set[str]]:
    """Give the lines of each stage's solutions that students' notebooks do not have."""
    given = "\n".join("".join(cell["source"]) for stage in stages() for cell in cells_of(stage, "assignments"))
    found = {}
    for stage in stages():
        texts = ["".join(cell["source"]) for cell in cells_of(stage, "solutions")]
        solved = [part for text in texts for part in re.findall(r"(?s)### BEGIN SOLUTION(.*?)### END SOLUTION", text)]
        lines = {line.strip() for part in solved for line in part.splitlines()}
        found[stage] = {line for line in lines if len(line) >= 25 and line not in given}
    return found


@pytest.mark.parametrize("stage", stages())
def test_a_page_shows_pictures_of_blanks_and_nothing_of_checks(stage: str):
    cells = [cell for cell in cells_of(stage, "assignments") if cell["cell_type"] == "code"]
    outputs = {cell["id"]: [PICTURE, TABLE, {"text/plain": "told"}] for cell in cells}
    text, pictures, shown = hooks.notebook_page(stage, outputs)
    checks = {cell["id"] for cell in cells if cell["metadata"].get("nbgrader", {}).get("grade")}
    blanks = {cell["id"] for cell in cells if "this part is yours" in "".join(cell["source"])}
    assert len(checks) >= 4
    assert blanks
    assert len(pictures) == len(shown) == len(cells) - len(checks)
    assert not [name for name in pictures if Path(name).stem.rpartition("-")[0] in checks]
    assert text.count("told</td>") == len(cells) - len(checks | blanks)
    assert "simulated" in text.partition("\n\n")[2][:400]


@pytest.mark.slow  # 40 s
def test_the_site(tmp_path: Path):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    site = tmp_path / "site"
    pages = {path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser") for path in site.rglob("*.html")}
    assert len(pages) > 250
    assert not list(_lost(site, pages))
    assert not list(_foreign(site, pages))
    text = "\n".join(re.sub(r"<[^>]+>", "", p.read_text(encoding="utf-8")) for p in site.rglob("*.html"))
    text += (site / "search" / "search_index.json").read_text(encoding="utf-8")
    for lines in answers().values():
        assert len(lines) > 3
        assert not [line for line in lines if line in text or line.replace("<", "&lt;").replace(">", "&gt;") in text]
    for name in ("starter.check", "starter.plots.biology", "autograder.settings"):
        assert (site / "reference" / name / "index.html").is_file()
    assert pages[site / "zh" / "index.html"].html["lang"] == "zh"


def _lost(site: Path, pages: dict[Path, BeautifulSoup]) -> list[str]:
    """List links to files or anchors that are not there."""
    ids = {
        path: {tag[k] for tag in soup.find_all() for k in ("id", "name") if k in tag.attrs}
        for path, soup in pages.items()
    }
    lost = []
    for path, soup in pages.items():
        if path.name == "404.html":
            continue
        here = "http://site/" + path.relative_to(site).as_posix().removesuffix("index.html")
        for tag in soup.find_all(["a", "img", "link", "script"]):
            target = urlsplit(urljoin(here, tag.get("href") or tag.get("src") or ""))
            if target.netloc != "site":
                continue
            file = site / unquote(target.path).lstrip("/")
            file = file / "index.html" if file.is_dir() else file
            if not file.is_file() or (
                target.fragment and file in ids and unquote(target.fragment) not in ids[file] | {"__skip"}
            ):
                lost.append(f"{path.relative_to(site)}: {target.geturl()}")
    return lost


def _foreign(site: Path, pages: dict[Path, BeautifulSoup]) -> list[str]:
    """List what a browser would ask another host for."""
    found = []
    for path, soup in pages.items():
        for tag in soup.find_all(["img", "script", "link", "iframe", "source", "video", "audio", "object"]):
            address = tag.get("src") or tag.get("href") or tag.get("data") or ""
            if re.match(r"(https?:)?//", address) and tag.get("rel") != ["canonical"]:
                found.append(f"{path.relative_to(site)}: {address}")
    for path in site.rglob("*.css"):
        found += [
            f"{path.name}: {url}"
            for url in re.findall(r"(?:url\(|@import )['\"]?((?:https?:)?//[^)'\"]+)", path.read_text())
        ]
    return found


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md")), ids=lambda page: page.name)
def test_the_site_reads_a_page_as_it_is_read_elsewhere(page: Path):
    """The site's Markdown and that of the repository's host differ, such as in how far a nested list is indented."""
    import markdown

    text = page.read_text(encoding="utf-8")
    here = markdown.markdown(text, extensions=["tables", "pymdownx.superfences", "attr_list", "md_in_html"])
    there = MarkdownIt("commonmark").enable("table").render(text)
    for tag in ("li", "ul", "ol", "table", "h2", "h3"):
        assert len(re.findall(rf"<{tag}\b", here)) == len(re.findall(rf"<{tag}\b", there)), tag
