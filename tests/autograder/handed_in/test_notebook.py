"""A question's cell is found whatever was lost of it, and an answer in words wherever it stands."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from handing_in import RIGHT, STAGE, TEXT, released_notebook
from nbgrader.api import Gradebook

from autograder.course import Course
from autograder.gradebook.book import record_results
from autograder.grading.grade import grade_stage
from autograder.handed_in.notebook import MISSING, rebuild_notebook
from autograder.handed_in.submissions import Submission

ANSWER = "Because a cell cannot be measured twice."


def cell(kind: str, source: str, name: str | None = None, *, tags: tuple[str, ...] = (), **about: object) -> dict:
    metadata: dict = {"tags": list(tags)} if tags else {}
    if name:
        metadata["nbgrader"] = {"grade_id": name, "grade": False, "solution": False, "locked": False} | about
    return {"cell_type": kind, "id": source[:5].strip() or "x", "metadata": metadata, "source": source}


RELEASED = {
    "cells": [
        cell("markdown", "# A field"),
        cell("code", "import numpy as np"),
        cell("code", "train(epochs=90)", tags=("not-graded",)),
        cell("code", "def double(x):\n    raise NotImplementedError", "double_code", solution=True),
        cell("code", "check('double', double)", "double", grade=True, locked=True),
        cell("markdown", "**In your words**: why?"),
        cell("markdown", "Your answer here.", "why", grade=True, solution=True),
        cell("markdown", "## 2. What else?"),
        cell("code", "def triple(x):\n    raise NotImplementedError", "triple_code", solution=True),
        cell("code", "check('triple', triple)", "triple", grade=True, locked=True),
    ],
    "metadata": {},
    "nbformat": 4,
    "nbformat_minor": 5,
}


def answered() -> list[dict]:
    cells = copy.deepcopy(RELEASED["cells"])
    cells[3]["source"], cells[8]["source"] = "def double(x):\n    return 2 * x", "def triple(x):\n    return 3 * x"
    cells[6]["source"] = ANSWER
    return cells


def rebuilt(cells: list[dict], folder: Path) -> tuple[dict[str, dict], list[dict], list[str]]:
    """Give the cells of questions by name, all cells, and the notes."""
    path = folder / "x.ipynb"
    path.write_text(json.dumps({**RELEASED, "cells": cells}))
    notes: list[str] = []
    notebook, fault = rebuild_notebook(path, RELEASED, notes)
    assert fault is None
    marked = [each for each in notebook["cells"] if "nbgrader" in each["metadata"]]
    by_name = {each["metadata"]["nbgrader"]["grade_id"]: each for each in marked}
    assert len(by_name) == len(marked)
    return by_name, notebook["cells"], notes


def test_without_any_metadata_cells_are_known_by_text_and_place(tmp_path: Path):
    cells = answered()
    for each in cells:
        each["metadata"] = {}
        del each["id"]
    cells[2]["source"] = "train(epochs=900)"  # changed, and between others that were not
    questions, every, notes = rebuilt(cells, tmp_path)
    assert {name: each["source"] for name, each in questions.items()} == {
        "double_code": "def double(x):\n    return 2 * x",
        "double": "check('double', double)",
        "why": ANSWER,
        "triple_code": "def triple(x):\n    return 3 * x",
        "triple": "check('triple', triple)",
    }
    assert every[2]["metadata"]["tags"] == ["not-graded"]
    assert [each["source"] for each in every] == [each["source"] for each in cells]
    assert "cell 7 had lost its mark and was recognised as 'why' by text and place" in notes


def below(cells: list[dict]) -> None:
    cells[6]["source"] = RELEASED["cells"][6]["source"]
    cells[7:7] = [cell("code", "2 + 2"), cell("markdown", ANSWER)]


def above(cells: list[dict]) -> None:
    cells[6]["source"] = RELEASED["cells"][6]["source"]
    cells.insert(6, cell("markdown", ANSWER))


def in_a_copy(cells: list[dict]) -> None:
    cells.insert(7, copy.deepcopy(cells[6]))
    cells[6]["source"] = RELEASED["cells"][6]["source"]


def in_place_of_the_cell(cells: list[dict]) -> None:
    cells[6] = cell("raw", ANSWER)


@pytest.mark.parametrize("change", [below, above, in_a_copy, in_place_of_the_cell])
def test_an_answer_in_words_is_found(tmp_path: Path, change: Callable[[list[dict]], None]):
    cells = answered()
    change(cells)
    questions, every, _ = rebuilt(cells, tmp_path)
    assert (questions["why"]["source"], questions["why"]["cell_type"]) == (ANSWER, "markdown")
    assert len(every) == len(cells)


def test_an_untouched_answer_stays_untouched_and_a_missing_one_is_looked_at(tmp_path: Path):
    untouched = copy.deepcopy(RELEASED["cells"])
    questions, _, notes = rebuilt(untouched, tmp_path)
    assert (questions["why"]["source"], notes) == ("Your answer here.", [])
    cells = answered()
    del cells[6]
    questions, every, notes = rebuilt(cells, tmp_path)
    assert questions["why"]["source"] == every[-1]["source"] == MISSING
    assert notes == ["the cell 'why' is missing and was added as it was given out"]


def test_a_person_looks_wherever_the_answer_stands(sandbox_here: None, written: Course):
    """Until the instructor looked, the points are not nbgrader's 0 for a cell that was not changed."""
    kinds = ("right", "below", "lost", "gone", "untouched")
    for kind in kinds:
        notebook = released_notebook(written)
        place = next(
            i for i, each in enumerate(notebook.cells) if each.metadata.get("nbgrader", {}).get("grade_id") == TEXT
        )
        for each in notebook.cells:
            if each.metadata.get("nbgrader", {}).get("grade_id") == "train_mean_code":
                each.source = RIGHT
        if kind in ("right", "lost"):
            notebook.cells[place].source = ANSWER
        if kind == "below":
            notebook.cells.insert(place + 1, cell("markdown", ANSWER))
        if kind == "gone":
            del notebook.cells[place]
        if kind == "lost":
            for each in notebook.cells:
                each["metadata"] = {}
        folder = Submission(written, STAGE, kind).submitted
        folder.mkdir(parents=True)
        (folder / f"{STAGE}.ipynb").write_text(json.dumps(notebook))
    results, failed = grade_stage(written, STAGE)
    assert failed == {}
    assert [result.questions[0].points for result in results] == [5] * len(kinds)
    assert record_results(written, STAGE, kinds) == {}
    with Gradebook(f"sqlite:///{written.grading / 'gradebook.db'}") as book:
        waits = {kind: book.find_grade(TEXT, STAGE, STAGE, kind).needs_manual_grade for kind in kinds}
    assert waits == {"right": True, "below": True, "lost": True, "gone": True, "untouched": False}
