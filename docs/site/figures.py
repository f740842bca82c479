"""Figures of the notebooks' pages: each solved notebook is run once on the demo's simulated screen, and kept.

    python docs/site/figures.py

What is kept lies in `build/docs/`, by a hash of the notebook, of the modules of `starter` that it imports, and of the
screen; a notebook of which nothing changed is not run again.
"""

import hashlib
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbformat import NotebookNode

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "docs")]

from architecture import Source, imports_of, read_sources

from autograder.course import FILE, Course, read_course
from autograder.folders import ASSIGNMENTS, SOLUTIONS
from autograder.release.data import release_data
from starter.blanks.blank import TEXT
from starter.files import whole
from starter.progress import bar

KEPT = ROOT / "build" / "docs"
DATA = '[course]\nname = "simulated-demo"\n\n[data]\nscreen = "simulated"\nseed = 2\nhidden = 48\npublic = 24\n'
"""The screen of `make demo`."""
MAKES_DATA = "autograder.release.data"
TEXT_OF_BLANK = TEXT
LONGEST_CELL = 600
"""Seconds that a cell may take, when Jupyter's client also finds an answer of whose coming it was not told."""
SHOWN = ("image/png", "image/svg+xml", "text/html", "text/plain")
"""What a page may show of an output."""


def stages() -> list[str]:
    """Name the notebooks."""
    return sorted(path.name for path in (ROOT / ASSIGNMENTS).iterdir() if path.is_dir())


def read_kept(stage: str, sources: Mapping[str, Source]) -> dict[str, list[dict]]:
    """Give the outputs of a solved notebook's cells, by the cell's ID; nothing if it was not run as it is now."""
    path = _place(stage, sources)
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}


def run_stages() -> None:
    """Run the notebooks whose figures are not there."""
    sources = read_sources(ROOT)
    missing = [stage for stage in stages() if not _place(stage, sources).is_file()]
    if not missing:
        return
    for left in KEPT.glob("run-*"):  # of who was stopped
        shutil.rmtree(left)
    course = _course(sources)
    notebooks = {stage: nbformat.read(ROOT / SOLUTIONS / stage / f"{stage}.ipynb", as_version=4) for stage in missing}
    total = sum(cell.cell_type == "code" for notebook in notebooks.values() for cell in notebook.cells)
    with bar("run the solved notebooks", total) as advance:
        for stage, notebook in notebooks.items():
            outputs = _run(course, stage, notebook, lambda stage=stage: advance(stage))
            place = _place(stage, sources)
            for old in KEPT.glob(f"{stage}-*.json"):
                old.unlink()
            with whole(place) as part:
                part.write_text(json.dumps(outputs), encoding="utf-8")


def _run(course: Course, stage: str, notebook: NotebookNode, advance: Callable[[], None]) -> dict[str, list[dict]]:
    with tempfile.TemporaryDirectory(prefix="run-", dir=KEPT) as place:
        root = Path(place)
        shutil.copyfile(course.root / FILE, root / FILE)
        shutil.copytree(ROOT / ASSIGNMENTS / stage, root / ASSIGNMENTS / stage)
        (root / "data").symlink_to(course.public_folder.parent, target_is_directory=True)
        resources = {"metadata": {"path": str(root / ASSIGNMENTS / stage)}}
        client = NotebookClient(notebook, timeout=LONGEST_CELL, kernel_name="python3", resources=resources)
        client.on_cell_executed = lambda **told: advance()
        paths = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
        client.execute(env={**os.environ, "VCC_COURSE": "", "PYTHONPATH": paths})
    return {
        cell.id: [
            {kind: content for kind, content in output.data.items() if kind in SHOWN}
            for output in cell.outputs
            if output.output_type in ("display_data", "execute_result")
        ]
        for cell in notebook.cells
        if cell.cell_type == "code"
    }


def _course(sources: Mapping[str, Source]) -> Course:
    root = KEPT / f"course-{_hash(MAKES_DATA, sources)}"
    root.mkdir(parents=True, exist_ok=True)
    (root / FILE).write_text(DATA, encoding="utf-8")
    course = read_course(root)
    release_data(course, lambda step: None)
    return course


def _place(stage: str, sources: Mapping[str, Source]) -> Path:
    return KEPT / f"{stage}-{_hash(f'{SOLUTIONS}.{stage}', sources)}{_hash(MAKES_DATA, sources)[:8]}.json"


def _hash(name: str, sources: Mapping[str, Source]) -> str:
    """Hash a module or notebook with all that it imports of the kit, however long the way."""
    found, new = set(), {name}
    while new:
        found |= new
        new = {other for module in new for other in imports_of(module, sources) if other in sources} - found
    texts = [f"{module}\n{sources[module].text}" for module in sorted(found)]
    return hashlib.sha256("\n".join([DATA, *texts]).encode()).hexdigest()[:16]


if __name__ == "__main__":
    run_stages()
