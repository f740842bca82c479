"""Who imports whom: the table in `docs/architecture.md`, and the picture there, hold of every import of the kit."""

import ast
import re
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter

import architecture as drawn
import pytest
from architecture import Room, Source, all_imports, read_sources, read_table, room_of

HANDED_ON = ("starter.plots",)
"""Packages whose `__init__.py` hands on what their modules hold."""
STAGE = re.compile(r"autograder\.questions\.\d\d_\w+")
"""Packages whose `__init__.py` lists the questions of a stage."""


def faults(sources: Mapping[str, Source], rooms: list[Room]) -> set[str]:
    """Say everything in which the imports and the table differ."""
    row = {name: number for number, room in enumerate(rooms) for name in room.names}
    found, used = set(), set()
    for module, imported in all_imports(sources).items():
        here = room_of(module, row)
        if here is None:
            if imported or module.count("."):
                found.add(f"{module} is in no room")
            continue
        for name in imported:
            there = room_of(name, row)
            if name.count(".") and name not in sources:
                found.add(f"{module} imports {name}, which is not there")
            elif there is None:
                if name.count(".") or name not in sources:  # the docstring of a house may be imported by all
                    found.add(f"{module} imports {name}, which is in no room")
            elif there != here and not rooms[row[there]].is_ground:
                used.add((here, there))
                if there not in rooms[row[here]].may_import:
                    found.add(f"{module} imports {name}, and {here} may not import {there}")
    for room in rooms:
        for name, there in ((name, there) for name in room.names for there in room.may_import):
            if (name, there) not in used:
                found.add(f"{name} does not import {there}, which its row names")
            if row[there] <= row[name]:
                found.add(f"{name} stands below {there}, which its row names")
    return found


def circle(sources: Mapping[str, Source]) -> list[str]:
    """Give modules that import each other in a circle."""
    try:
        TopologicalSorter(all_imports(sources)).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def busy_inits(sources: Mapping[str, Source]) -> list[str]:
    """List the packages whose `__init__.py` is more than a docstring."""
    busy = []
    for name, source in sources.items():
        if not source.is_package:
            continue
        start, *rest = ast.parse(source.text).body
        is_docstring = isinstance(start, ast.Expr) and isinstance(start.value, ast.Constant)
        if STAGE.fullmatch(name):
            *head, last = rest
            listed = isinstance(last, ast.Assign) and ast.unparse(last.targets[0]) == "QUESTIONS"
            rest = [] if listed and all(isinstance(node, ast.ImportFrom) and node.level == 1 for node in head) else rest
        elif name in HANDED_ON:
            rest = [node for node in rest if not _is_from(node, name)]
        if rest or not is_docstring:
            busy.append(name)
    return busy


def _is_from(node: ast.stmt, package: str) -> bool:
    return isinstance(node, ast.ImportFrom) and (node.module or "").startswith(f"{package}.")


@pytest.fixture(scope="module")
def kit() -> dict[str, Source]:
    return read_sources(drawn.ROOT)


@pytest.fixture(scope="module")
def rooms() -> list[Room]:
    return read_table(drawn.PAGE.read_text(encoding="utf-8"))


def test_imports_are_those_of_the_table(kit: dict[str, Source], rooms: list[Room]):
    assert len(kit) > 200
    assert len(rooms) > 25
    assert not faults(kit, rooms)


def test_no_modules_import_each_other(kit: dict[str, Source]):
    assert not circle(kit)


def test_a_package_says_what_it_holds_and_imports_nothing(kit: dict[str, Source]):
    assert busy_inits(kit) == []


def test_the_table_itself_keeps_the_houses_apart(rooms: list[Room]):
    """What no row may name, whoever edits the table."""
    for room in rooms:
        outside = {name for name in room.may_import if not name.startswith("starter.")}
        if not room.names[0].startswith("autograder.") or room.names[0] == "autograder.sandbox.inside":
            assert not outside, room.names
        if room.names[0] == "data_scripts":
            assert room.may_import == {"starter.data"}
    (ground,) = (room for room in rooms if room.is_ground)
    assert {f"starter.{name}" for name in ("schema", "errors", "files", "progress", "console")} == set(ground.names)


def test_only_the_doors_stand_outside_of_a_room(kit: dict[str, Source], rooms: list[Room]):
    alone = {name for name, source in kit.items() if name.count(".") == 1 and not source.is_package}
    named = {name for room in rooms for name in room.names}
    assert alone - named == {name for name in alone if name.split(".")[0] in ("data_scripts", "solutions")}
    assert {name for name in named & alone if name.startswith("starter.")} == {
        f"starter.{name}" for name in ("schema", "errors", "files", "progress", "console", "check", "cli")
    }


def test_the_picture_is_that_of_the_imports(kit: dict[str, Source], rooms: list[Room]):
    description = re.search(r"<dc:description>(.*?)</dc:description>", drawn.PICTURE.read_text(encoding="utf-8"), re.S)
    due = drawn.described(drawn.picture_of(all_imports(kit)), rooms)
    assert description[1] == due, "draw it anew: python docs/architecture.py"


# -- the checks themselves, on a small made-up kit ---------------------------------------------------------------------

TABLE = """
| room | what it holds | may import of `autograder` | may import of `starter` |
|---|---|---|---|
| `solutions` | notebooks | – | `data` |
| `autograder.grading` | grading | – | `data` |
| `starter.data` | data | – | – |
| ground: `starter.errors`, `starter.schema` | for all | – | – |
"""
SMALL = {
    "starter": Source('"""A kit."""', is_package=True),
    "starter.errors": Source(""),
    "starter.schema": Source("from starter import errors"),
    "starter.data": Source('"""Data."""', is_package=True),
    "starter.data.read": Source("import numpy\nfrom starter.errors import InputError"),
    "starter.data.split": Source("from .read import read"),
    "autograder": Source('"""Grading."""', is_package=True),
    "autograder.grading": Source('"""Grading."""', is_package=True),
    "autograder.grading.grade": Source("import starter\nfrom starter.data.read import read"),
    "solutions.01": Source("from starter.data import split"),
}


def test_a_sound_kit_has_no_faults():
    assert faults(SMALL, read_table(TABLE)) == set()
    assert circle(SMALL) == []
    assert busy_inits(SMALL) == []


@pytest.mark.parametrize(
    ("module", "text", "said"),
    [
        ("starter.data.read", "from autograder.grading import grade", "starter.data may not import autograder.grading"),
        ("starter.data.read", "def f():\n    import autograder.grading.grade", "may not import autograder.grading"),
        (
            "starter.data.read",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from autograder.grading.grade import Grade",
            "may not import autograder.grading",
        ),
        ("starter.errors", "from starter.data import read", "starter.errors may not import starter.data"),
        ("solutions.01", "from autograder.grading import grade", "solutions may not import autograder.grading"),
        ("solutions.01", "pass", "solutions does not import starter.data, which its row names"),
        ("autograder.grading.grade", "from starter.data import lost", "starter.data.lost, which is not there"),
        ("autograder.grading.grade", "from starter import read", "starter.read, which is not there"),
        ("autograder.grading.grade", "from starter.data.lost import read", "starter.data.lost, which is not there"),
        ("autograder.grading.grade", "from ..folders import WORK", "autograder.folders, which is not there"),
        ("starter.data.read", "import benchmarks", "benchmarks, which is in no room"),
        ("starter.data.read", "from tests.conftest import small", "tests.conftest, which is not there"),
        ("starter.plots", "from starter import errors", "starter.plots is in no room"),
        ("starter.plots", "", "starter.plots is in no room"),
    ],
)
def test_a_planted_import_is_seen(module: str, text: str, said: str):
    assert said in "\n".join(faults(SMALL | {module: Source(text)}, read_table(TABLE)))


def test_a_row_below_what_it_names_is_seen():
    upside_down = "\n".join(sorted(TABLE.splitlines(), reverse=True))
    assert "solutions stands below starter.data, which its row names" in faults(SMALL, read_table(upside_down))


@pytest.mark.parametrize("text", ["from starter.data import split", "def late():\n    from . import split"])
def test_a_planted_circle_is_seen(text: str):
    assert set(circle(SMALL | {"starter.data.read": Source(text)})) == {"starter.data.read", "starter.data.split"}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("starter.data", '"""Data."""\nfrom starter.data.read import read'),
        ("starter.data", "import numpy"),
        ("starter.data", "ROOM = 1"),
        ("starter.plots", '"""Figures."""\nfrom starter.errors import InputError'),
        ("autograder.questions.01_primer", '"""01."""\nfrom starter.data import read\nQUESTIONS = ()'),
        ("autograder.questions.01_primer", '"""01."""\nfrom . import one\nMINE = ()'),
    ],
)
def test_a_busy_init_is_seen(name: str, text: str):
    assert busy_inits({name: Source(text, is_package=True)}) == [name]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("starter.plots", '"""Figures."""\nfrom starter.plots.style import BLUE'),
        ("autograder.questions.01_primer", '"""01."""\nfrom . import one\nQUESTIONS = (one.QUESTION,)'),
    ],
)
def test_an_init_that_may_list_is_not(name: str, text: str):
    assert busy_inits({name: Source(text, is_package=True)}) == []
