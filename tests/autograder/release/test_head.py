import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from autograder.course import Course, read_course
from autograder.release.head import add_head
from autograder.release.minutes import in_parts, section_minutes
from autograder.release.needs import needs_of
from autograder.release.papers import link_papers, quoted_papers, read_papers
from starter.assignment.stage import Stage, StageQuestion
from starter.errors import InputError

ROOT = Path(__file__).parents[3]
STAGES = list(read_course(ROOT).stages)
CITED = re.compile(r"(?:\b[\w'’-]+ (?:et al\.|(?:&|and) [\w ]+?)|\b[A-Z]\w+),? \(?((?:19|20)\d\d)\b")
NO_PAPER = ("Season", "season", "The", "That", "VCC", "CRISPRi", "rules")
"""What stands before a year and is no author."""


def marked(cell: nbformat.NotebookNode, name: str, **about: object) -> nbformat.NotebookNode:
    cell.metadata["nbgrader"] = {"grade_id": name, "solution": False, "grade": False} | about
    return cell


@pytest.fixture
def notebook() -> nbformat.NotebookNode:
    """Two sections: 240 words, 20 given lines, 3 own lines, a figure; then 120 words and an answer in words."""
    return new_notebook(
        cells=[
            new_markdown_cell("# Title"),
            new_markdown_cell("## 1 What?\n" + "word " * 235),
            new_code_cell("\n".join(["x = 1"] * 20)),
            marked(new_code_cell("# about 3 lines\nraise NotImplementedError"), "mae_code", solution=True),
            new_code_cell("plots.bars(mae)"),
            marked(new_code_cell("check('mae', mae)"), "mae", grade=True, points=2),
            new_markdown_cell("## 2 Why?\n" + "word " * 117),
            marked(new_markdown_cell("Your answer here."), "why", grade=True, solution=True, points=1),
        ],
        metadata={"machine_seconds": 61},
    )


def questions() -> Stage:
    why = StageQuestion("why", 1, "words", "Your answer here.")
    return Stage("02_b", "B: second", (StageQuestion("mae", 2, "function", "mae", ("mae_code",)), why))


def test_minutes_are_counted(notebook):
    # 2 (title) + 3 + 235 words / 120, 20 + 2 + 1 lines / 20, 3 own lines, 1 figure; 3 + 117 words / 120, one answer
    assert section_minutes(notebook) == {1: 11, 2: 9}


@pytest.mark.parametrize(
    ("minutes", "parts"),
    [
        ({1: 20, 2: 25, 3: 1}, [(1, 2, 45), (3, 3, 1)]),
        ({1: 50, 2: 1}, [(1, 1, 50), (2, 2, 1)]),
        ({}, []),
    ],
)
def test_parts_are_as_long_as_may_be(minutes: dict, parts: list):
    assert in_parts(minutes) == parts


def test_the_head_says_what_a_notebook_takes(notebook):
    stages = {"01_a": "A: first", "02_b": "B: second", "03_c": ""}
    add_head(notebook, questions(), stages, {1: 40, 2: 9}, {"Wu et al. 2019": "https://arxiv.org/abs/1902.07153"})
    assert notebook.cells[1].source.splitlines()[2:] == [
        "| points | 3: mae 2, why 1 |",
        "| your time | about 49 minutes, by estimate; in parts: section 1 (40), section 2 (9) |",
        "| machine time | about 61 seconds on two processor cores, with the demo's screen |",
        "| needs | the screen alone; no other notebook |",
        "| before | [01 A](../01_a/01_a.ipynb) |",
        "| after | [03 c](../03_c/03_c.ipynb) |",
        "| words | [glossary](../glossary.md), in English and Chinese |",
        "| papers | [Wu et al. 2019](https://arxiv.org/abs/1902.07153) |",
    ]
    texts = [cell.source for cell in notebook.cells]
    assert "# about 3 lines (mae: 2 points)\nraise NotImplementedError" in texts
    assert texts[-2].endswith("\n\n(why: 1 point)")
    nbformat.validate(notebook)


def test_the_first_and_the_last_notebook_have_one_neighbour(notebook):
    add_head(notebook, questions(), {"02_b": "B"}, {}, {})
    assert [line.split(" | ")[0] for line in notebook.cells[1].source.splitlines()[2:]] == [
        "| points", "| machine time", "| needs", "| words",
    ]  # fmt: skip


def test_needs_are_read_from_the_code():
    code = """
from starter.schema import BATCH, CONTROL, GUIDE
import torch
graph = read(course.priors("*graph.tsv"))
if course.has_prior("*genome.tsv"):
    genome = read(course.priors("*genome.tsv"))
"""
    needs = needs_of(new_notebook(cells=[new_code_cell(code), new_markdown_cell('course.priors("*no.tsv")')]))
    assert needs == "in `priors/` `graph.tsv`; where there is `genome.tsv`; of the cells `guide_id`, `batch`; torch"


def test_a_paper_is_linked_once_as_it_is_quoted():
    papers = {"Wu et al. 2019": "https://w", "Kipf & Welling 2017": "https://k", "Svensson 2020": "https://s"}
    text = "# Wu et al. 2019\nAs Wu et al. (2019) and (Kipf & Welling, 2017), `Svensson 2020`; Wu et al., 2019, 20190."
    notebook = new_notebook(cells=[new_markdown_cell(text), new_markdown_cell("Wu et al. 20191")])
    link_papers(notebook, papers)
    assert notebook.cells[0].source == (
        "# Wu et al. 2019\nAs [Wu et al. (2019)](https://w) and ([Kipf & Welling, 2017](https://k)), `Svensson 2020`; "
        "Wu et al., 2019, 20190."
    )
    assert notebook.cells[1].source == "Wu et al. 20191"
    assert list(quoted_papers(notebook, papers)) == ["Kipf & Welling 2017", "Svensson 2020", "Wu et al. 2019"]


def test_a_table_without_papers_is_said(tmp_path: Path):
    with pytest.raises(InputError, match="cannot read the papers"):
        read_papers(tmp_path / "papers.md")
    (tmp_path / "papers.md").write_text("# Papers\n")
    with pytest.raises(InputError, match="has no row"):
        read_papers(tmp_path / "papers.md")


def test_every_paper_that_notebooks_quote_is_in_the_table_and_no_other():
    papers = read_papers(ROOT / "docs" / "papers.md")
    quoted = set()
    for stage in STAGES:
        notebook = nbformat.read(ROOT / "solutions" / stage / f"{stage}.ipynb", as_version=4)
        quoted |= set(quoted_papers(notebook, papers))
        cited = [match for cell in notebook.cells for match in CITED.finditer(cell.source)]
        for match in (match for match in cited if match[0].split()[0] not in NO_PAPER):
            who = [set(paper.split()[:-1]) - {"et", "al.", "and", "&"} for paper in papers if paper.endswith(match[1])]
            assert any(names & set(re.findall(r"[\w'-]+", match[0])) for names in who), match[0]
    assert quoted == set(papers)


@pytest.mark.parametrize("stage", STAGES)
def test_no_part_of_a_notebook_is_longer_than_45_minutes(stage: str):
    path = ROOT / "assignments" / stage / f"{stage}.ipynb"
    (head,) = [cell for cell in nbformat.read(path, as_version=4).cells if cell.id == "head"]
    time = next(line for line in head.source.splitlines() if line.startswith("| your time"))
    parts = list(map(int, re.findall(r"\((\d+)\)", time)))
    assert sum(parts) == int(re.findall(r"about (\d+) minutes", time)[0])
    assert max(parts) <= 45


def test_a_released_notebook_has_its_head_and_points(released: Course):
    notebook = nbformat.read(released.root / "assignments/04_baselines/04_baselines.ipynb", as_version=4)
    assert notebook.cells[1].id == "head"
    assert "| points | 10: train_mean 5, prediction 5 |" in notebook.cells[1].source
    text = "\n".join(cell.source for cell in notebook.cells)
    assert "train_mean: 5 points" in text
    assert "prediction: 5 points" in text
