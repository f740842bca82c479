"""What the site shows besides `docs/*.md`: README, notebooks with figures and without answers, reference, gallery.

mkdocs calls the functions that begin with `on_`. Links keep the form that they have in the repository, and lead on the
site to the page of what they name; files that have no page are shown as they are.
"""

import base64
import html
import os
import posixpath
import re
import shutil
import sys
from pathlib import Path

import nbformat
from latex2mathml.converter import convert
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

sys.path.insert(0, str(Path(__file__).parent))

from figures import ASSIGNMENTS, ROOT, TEXT_OF_BLANK, read_kept, read_sources, stages

from autograder.course import read_course
from autograder.release.student_kit import answers_of

COPIED = {"index.md": "README.md", "RESULTS.md": "benchmarks/RESULTS.md"} | {
    name: name for name in ("CONTRIBUTING.md", "CHANGELOG.md")
}
"""Page of the site -> file of the project."""
ANSWERS = re.compile(r"^(solutions/|autograder/questions/\d)")
"""Never on the site."""
LINK = re.compile(r"(?<=\]\()(?!https?:|mailto:|#)(?P<target>[^)#\s]+)(?P<rest>[^)]*)(?=\))")
SIMULATED = (
    '!!! note "Simulated data"\n\n    The figures are those of the solved notebook on the **simulated** screen of '
    "`make demo`: the screen is made up, the figures are drawn from it. Nothing here is a finding about real genes. "
    "What students write is left out, and so is what would give it away.\n"
)
NOT_RUN = '!!! warning "Without figures"\n\n    This notebook was not run as it is now; `make docs` runs it.\n'
_places: dict[str, str] = {}
"""File of the project -> page of the site."""
_sources: dict[str, str] = {}
"""Page of the site -> file of the project."""


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    sources = read_sources(ROOT)
    pages = {page: (ROOT / path).read_text(encoding="utf-8") for page, path in COPIED.items()}
    _sources.update(COPIED)
    _sources.update({file.src_uri: f"docs/{file.src_uri}" for file in files})
    held = {name for names in answers_of(read_course(ROOT)).values() for name in names}
    modules = [name for name in sorted(sources) if name.startswith(("starter", "autograder")) and _is_shown(name)]
    for name in modules:
        page = f"reference/{name}.md"
        pages[page] = _reference(name, later=name in held)
        path = name.replace(".", "/")
        _sources[page] = f"{path}/__init__.py" if sources[name].is_package else f"{path}.py"
        if sources[name].is_package:
            _places[path] = page
    pages["reference/index.md"] = _contents(modules, held)
    pictures: dict[str, bytes] = {}
    shown: dict[str, list[tuple[str, str, str]]] = {}
    for stage in stages():
        page = f"notebooks/{stage}.md"
        pages[page], found, of_stage = notebook_page(stage, read_kept(stage, sources))
        pictures |= found
        shown[stage] = of_stage
        _sources[page] = f"{ASSIGNMENTS}/{stage}/{stage}.ipynb"
    titles = {stage: pages[f"notebooks/{stage}.md"].partition("\n")[0].lstrip("# ") for stage in stages()}
    pages["notebooks/index.md"] = "# Notebooks\n\n" + "\n".join(f"- [{titles[s]}]({s}.md)" for s in titles)
    pages["gallery.md"] = _gallery(shown, titles)
    _places.update({path: page for page, path in _sources.items()})
    _places[f"{ASSIGNMENTS}/glossary.md"] = "glossary.md"
    asked = {path for page in [*pages] for path in _targets(pages[page], page)}
    asked |= {path for file in files.documentation_pages() for path in _targets(file.content_string, file.src_uri)}
    for path in sorted(asked - set(_places)):
        if ANSWERS.match(f"{path}/"):
            msg = f"a page links to {path}, which holds answers"
            raise PluginError(msg)
        if not (ROOT / path).exists():
            continue  # mkdocs names the link
        page = f"files/{path}.md"
        pages[page], _places[path], _sources[page] = _file(path), page, path
    for page, text in pages.items():
        files.append(File.generated(config, page, content=text))
    for name, content in pictures.items():
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead links of the repository to pages of the site."""
    here = page.file.src_uri

    def moved(found: re.Match[str]) -> str:
        path = _target(found["target"], here)
        to = _places.get(path)
        return posixpath.relpath(to, posixpath.dirname(here) or ".") + found["rest"] if to else found[0]

    return LINK.sub(moved, markdown) if here in _sources else markdown


def on_page_content(content: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Write formulas as MathML, which browsers know without a script."""

    def formula(found: re.Match[str]) -> str:
        tex = html.unescape(found["tex"])
        return convert(tex, display="block" if found["kind"] == "div" else "inline")

    pattern = r'<(?P<kind>span|div) class="arithmatex">\\[(\[](?P<tex>.*?)\\[)\]]</(?P=kind)>'
    return re.sub(pattern, formula, content, flags=re.DOTALL)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Say which language the Chinese page is in."""
    return output.replace('<html lang="en"', '<html lang="zh"', 1) if page.file.src_uri == "zh.md" else output


def on_post_build(config: MkDocsConfig) -> None:
    """Give the Chinese page the list of pages that the theme asks for in each language."""
    site = Path(config.site_dir)
    shutil.copyfile(site / "sitemap.xml", site / "zh" / "sitemap.xml")


def _is_shown(name: str) -> bool:
    parts = name.split(".")
    return not any(part.startswith("_") or part[0].isdigit() for part in parts)


def _target(target: str, page: str) -> str:
    """Give the path in the project that a link of a page names."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(_sources.get(page, page)), target))


def _targets(text: str, page: str) -> set[str]:
    return {_target(found["target"], page) for found in LINK.finditer(text)} if page in _sources else set()


def _reference(name: str, *, later: bool) -> str:
    note, options = "", ""
    if later:
        note = "Students get this module when the deadline of its stage is over.\n\n"
        options = "    options:\n      show_attribute_values: false\n"
    return f"---\ntitle: {name}\n---\n\n{note}::: {name}\n{options}"


def _contents(modules: list[str], held: set[str]) -> str:
    parts = {
        "What students have": [m for m in modules if m.startswith("starter") and m not in held],
        "What students get when a stage is over": sorted(held),
        "What instructors run": [m for m in modules if m.startswith("autograder")],
    }
    lists = [
        f"## {title}\n\n" + "\n".join(f"- [`{name}`]({name}.md)" for name in names) for title, names in parts.items()
    ]
    return "# Reference\n\nFrom the docstrings; the code itself is not shown.\n\n" + "\n\n".join(lists)


def notebook_page(stage: str, outputs: dict) -> tuple[str, dict[str, bytes], list[tuple[str, str, str]]]:
    """Write a students' notebook as a page: its text, and of the solved one's outputs what gives no answer away."""
    cells = nbformat.read(ROOT / ASSIGNMENTS / stage / f"{stage}.ipynb", as_version=4).cells
    blocks, pictures, shown = [], {}, []
    for cell in cells:
        if cell.cell_type == "markdown":
            blocks.append(cell.source)
            continue
        blocks.append(f'<span id="cell-{cell.id}"></span>\n\n```python\n{cell.source}\n```')
        if cell.metadata.get("nbgrader", {}).get("grade"):
            continue  # what a check says of the answer
        is_blank = TEXT_OF_BLANK in cell.source
        for number, output in enumerate(outputs.get(cell.id, [])):
            if "image/png" in output:
                name = f"notebooks/{stage}/{cell.id}-{number}.png"
                pictures[name] = base64.b64decode(output["image/png"])
                alt = f"Figure of cell {cell.id}, simulated data"
                blocks.append(f"![{alt}]({stage}/{cell.id}-{number}.png)")
                shown.append((name, f"cell-{cell.id}", cell.source))
            elif "text/html" in output and "<table" in output["text/html"] and not is_blank:
                table = re.sub(r"(?s)<style.*?</style>", "", output["text/html"])
                blocks.append(re.sub(r"\n\s*\n", "\n", table))
    title, *rest = blocks
    heading, _, text = title.partition("\n")
    return "\n\n".join([heading, SIMULATED if outputs else NOT_RUN, text, *rest]), pictures, shown


def _gallery(shown: dict[str, list[tuple[str, str, str]]], titles: dict[str, str]) -> str:
    """Show an example of each function of `starter.plots`, and each notebook's figures."""
    plots = (ROOT / "starter" / "plots" / "__init__.py").read_text(encoding="utf-8")
    names = sorted(
        (name.strip(), module)
        for module, of_module in re.findall(r"from (starter\.plots\.\w+) import \(?([\w,\s]+)", plots)
        for name in re.sub(r"\bfrom\b.*", "", of_module, flags=re.DOTALL).split(",")
        if name.strip()
    )
    lines = ["# Gallery", "All figures here are of **simulated** data.", "## By function"]
    for name, module in names:
        lines.append(f"### {name}\n\n[`{module}.{name}`](reference/{module}.md#{module}.{name})")
        found = [(s, *figure) for s in shown for figure in shown[s] if re.search(rf"plots\.{name}\(", figure[2])]
        lines += [_linked(picture, stage, anchor) for stage, picture, anchor, _ in found[:1]]
        lines += [f"In {', '.join(f'[{s[:2]}](notebooks/{s}.md#{a})' for s, _, a, _ in found)}."] if found else []
    lines.append("## By notebook")
    for stage, figures in shown.items():
        lines.append(f"### {titles[stage]}")
        lines += [_linked(picture, stage, anchor) for picture, anchor, _ in figures]
    return "\n\n".join(lines)


def _linked(picture: str, stage: str, anchor: str) -> str:
    return f'[![Figure of {stage}, {anchor}]({picture}){{ loading="lazy" }}](notebooks/{stage}.md#{anchor})'


def _file(path: str) -> str:
    place = ROOT / path
    if place.is_dir():
        names = sorted(p.name for p in place.iterdir() if not p.name.startswith(("_", ".")))
        return f"# {path}\n\n" + "\n".join(f"- `{name}`" for name in names)
    kind = {".py": "python", ".toml": "toml", ".txt": "text"}.get(place.suffix, "text")
    return f"# {os.path.basename(path)}\n\n`{path}`\n\n```{kind}\n{place.read_text(encoding='utf-8')}\n```"
