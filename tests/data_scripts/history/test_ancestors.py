import io
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread
from rich.console import Console

from data_scripts.catalogue import DataSet, RemoteFile
from data_scripts.history.ancestors import State, read_ancestors, read_output
from data_scripts.history.picture import draw_picture
from data_scripts.history.tree import draw_tree, size
from data_scripts.lineage import write_lineage
from starter.errors import InputError

ENTRY = DataSet("toy", "", "", "CC0 1.0", "", "", (RemoteFile("raw.txt", ("http://a.org/raw.txt",)),))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """raw.txt and table.tsv made mid.txt; mid.txt and raw.txt made end.txt."""
    for name in ("raw.txt", "table.tsv", "mid.txt", "end.txt"):
        (tmp_path / name).write_text(name)
    write_lineage(tmp_path / "mid.txt", [tmp_path / "raw.txt", tmp_path / "table.tsv"], [ENTRY], {"k": 5}, __file__)
    write_lineage(tmp_path / "end.txt", [tmp_path / "mid.txt", tmp_path / "raw.txt"], [ENTRY], {}, __file__)
    return tmp_path


def states(folder: Path) -> dict[str, State]:
    return {made.name: made.state for made in read_output(folder / "end.txt").all()}


def test_it_leads_back_to_the_downloads(folder: Path):
    end = read_output(folder / "end.txt")
    assert [made.name for made in end.all()] == ["end.txt", "mid.txt", "raw.txt", "table.tsv", "raw.txt"]
    assert set(states(folder).values()) == {State.same}
    raw = end.parents[1]
    assert raw.urls == ("http://a.org/raw.txt",)
    assert raw.lineage is None
    assert end.parents[0].parents[1].urls == ()


def test_what_is_missing_or_changed_is_told(folder: Path):
    (folder / "mid.txt").unlink()
    (folder / "table.tsv").write_text("TABLE.TSV")  # of the same size
    (folder / "raw.txt").touch()
    assert states(folder) == {
        "end.txt": State.same, "mid.txt": State.missing, "raw.txt": State.same, "table.tsv": State.changed,
    }  # fmt: skip


def test_a_folder_gives_what_nothing_else_there_was_made_of(folder: Path):
    assert [made.name for made in read_ancestors(folder)] == ["end.txt"]
    write_lineage(folder / "table.tsv", [], [], {}, __file__)
    assert [made.name for made in read_ancestors(folder)] == ["end.txt"]
    (folder / "apart").mkdir()
    (folder / "apart" / "x").write_text("x")
    write_lineage(folder / "apart" / "x", [], [], {}, __file__)
    assert [made.name for made in read_ancestors(folder)] == ["x", "end.txt"]
    assert [made.name for made in read_ancestors(folder / "mid.txt.lineage.json")] == ["mid.txt"]


def test_the_tree_names_builders_addresses_and_states(folder: Path):
    (folder / "table.tsv").unlink()
    out = io.StringIO()
    Console(file=out, width=200).print(draw_tree(read_output(folder / "end.txt")))
    lines = out.getvalue().splitlines()
    assert lines[0].startswith("end.txt  7 B  ")
    assert lines[0].endswith("as recorded")
    assert "test_ancestors.py, virtual-cell-course" in lines[1]
    assert any("from http://a.org/raw.txt" in line for line in lines)
    assert any("with k = 5" in line for line in lines)
    assert [line.endswith("missing") for line in lines if "table.tsv" in line] == [True]


def test_the_picture_has_each_file_once(folder: Path):
    draw_picture(read_ancestors(folder), folder / "a.svg")
    text = (folder / "a.svg").read_text()
    assert text.startswith("<?xml")
    assert [text.count(f"<!-- {name} -->") for name in ("raw.txt", "mid.txt", "table.tsv")] == [1, 1, 1]
    assert "MISSING" not in text
    (folder / "table.tsv").unlink()
    draw_picture(read_ancestors(folder), folder / "b.svg")
    assert (folder / "b.svg").read_text().count("<!-- MISSING -->") == 1
    draw_picture(read_ancestors(folder), folder / "c.png")
    assert np.ptp(imread(folder / "c.png")) > 0.5
    with pytest.raises(InputError, match="c.doc is no picture that can be drawn; choose a name that ends with .svg"):
        draw_picture(read_ancestors(folder), folder / "c.doc")


def test_what_has_no_lineage_is_refused(folder: Path):
    with pytest.raises(InputError, match="raw.txt has no lineage; builders write it as raw.txt.lineage.json beside"):
        read_ancestors(folder / "raw.txt")
    with pytest.raises(InputError, match="none is not there, nor its lineage"):
        read_ancestors(folder / "none")
    (folder / "empty").mkdir()
    with pytest.raises(InputError, match="empty holds no file with a lineage"):
        read_ancestors(folder / "empty")
    (folder / "raw.txt.lineage.json").write_text('{"output": {"name": "a", "bytes": 1, "sha256": "0"}}')
    with pytest.raises(InputError, match="raw.txt.lineage.json is no lineage .KeyError: 'inputs'.; build its file aga"):
        read_ancestors(folder / "raw.txt")


def test_sizes_are_written_for_people():
    assert [size(n) for n in (0, 999, 1_000, 2_937_952, 15_232_554_616)] == [
        "0 B",
        "999 B",
        "1.0 kB",
        "2.9 MB",
        "15.2 GB",
    ]
