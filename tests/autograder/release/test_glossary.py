"""The glossary, and its words in the students' notebooks."""

import json
import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from autograder.release.glossary import link_words, read_glossary
from starter.errors import InputError

ROOT = Path(__file__).parents[3]
WORDS = {"control cell": "A cell like any other.", "cell": "The unit of life.", "DES": "A score.", "batch": "One run."}


def linked(*texts: str) -> list[str]:
    notebook = new_notebook(cells=[new_markdown_cell(text) for text in texts])
    link_words(notebook, WORDS)
    return [cell.source for cell in notebook.cells]


def test_the_first_mention_of_a_word_is_a_link_that_shows_its_sentence():
    assert linked("Batches of **cells**.", "No batch, no cell.") == [
        '[Batches](../glossary.md#batch "One run.") of **[cells](../glossary.md#cell "The unit of life.")**.',
        "No batch, no cell.",
    ]


def test_the_longer_word_is_meant_and_a_part_of_a_word_is_not():
    assert linked("Excellent control cells, no des, but DES.") == [
        'Excellent [control cells](../glossary.md#control-cell "A cell like any other."), no des, but '
        '[DES](../glossary.md#des "A score.").'
    ]


def test_headings_code_formulas_links_and_answers_are_left_alone():
    texts = ["# Which cell?", "`cell` and $cell$ and [a cell](https://example.org) and <b cell>"]
    assert linked(*texts) == texts
    answer = new_markdown_cell("My cell.", metadata={"nbgrader": {"solution": True, "grade": True}})
    notebook = new_notebook(cells=[answer, new_code_cell("# a cell")])
    link_words(notebook, WORDS)
    assert [cell.source for cell in notebook.cells] == ["My cell.", "# a cell"]


@pytest.mark.parametrize(
    ("text", "message"),
    [("# Words\n", "no heading '### WORD'"), ("### a\nOne.\n### a\nTwo.\n", "explains a more than once")],
)
def test_a_glossary_that_cannot_be_used_is_refused(tmp_path: Path, text: str, message: str):
    path = tmp_path / "glossary.md"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        read_glossary(path)
    with pytest.raises(InputError, match="cannot read the glossary"):
        read_glossary(tmp_path / "none.md")


def test_every_word_is_one_sentence_in_english_and_one_in_chinese():
    text = (ROOT / "docs" / "glossary.md").read_text()
    entries = re.findall(r"^### (.+)\n(.+)\n(.+)\n", text, re.MULTILINE)
    assert len(entries) == len(read_glossary(ROOT / "docs" / "glossary.md")) > 70
    for word, english, chinese in entries:
        assert english.endswith("."), word
        assert '"' not in english, word
        assert len(english.split()) <= 26, word
        assert re.search("[\u4e00-\u9fff]", chinese), word
        assert chinese.endswith("。"), word


def test_notebooks_explain_what_the_course_begins_with():
    linked_in = {}
    for path in sorted((ROOT / "assignments").glob("*/*.ipynb")):
        cells = nbformat.reads(json.dumps(json.loads(path.read_text())), as_version=4).cells
        text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
        linked_in[path.stem] = set(re.findall(r"\.\./glossary\.md#([\w-]+) ", text))
    basics = {"promoter", "transcriptome", "screen", "infection", "selection", "dead-cas9", "umi", "pcr", "cell-line"}
    assert basics <= linked_in["01_biology_primer"]
    anchors = {word.lower().replace(" ", "-") for word in read_glossary(ROOT / "docs" / "glossary.md")}
    everywhere = set().union(*linked_in.values())
    assert everywhere <= anchors
    assert len(everywhere) >= 65
