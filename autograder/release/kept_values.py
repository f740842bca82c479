"""Values for students who go on without a part: what the solved notebook's blanks gave, and what its cells showed.

The solved notebook runs in the sandbox with the students' data, so nothing hidden is among them. A function that is
called a few times with plain values is looked up by students' notebooks (`starter.blanks.stand_in`). Of all other
blanks, the cells that depend on them are kept: their text, their figures, and what they made.
"""

import ast
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import nbformat
from IPython.core.inputtransformer2 import TransformerManager

from autograder.course import Course
from autograder.folders import KEPT
from autograder.questions.question import questions_of
from autograder.sandbox.notebook_run import ToKeep
from starter.answers import values
from starter.answers.kinds import Variable
from starter.blanks.blank import TEXT
from starter.blanks.cell_names import names_of
from starter.blanks.kept import blank_file, cell_file
from starter.files import check_room, whole

MOST_BYTES = 64 << 20
"""Of what the cells of a stage made; of cells beyond, text and figures alone are kept."""


def what_to_keep(course: Course, stage: str, solved: Path, untouched: Path) -> ToKeep:
    """List the blanks of a stage, and the cells that depend on them.

    Parameters
    ----------
    course
        The course.
    stage
        The stage.
    solved
        The solved notebook, which is going to run.
    untouched
        The students' notebook.
    """
    sources, blanks = _sources(solved), {}
    empty = {cell.id: cell for cell in nbformat.read(untouched, as_version=4).cells}
    for number, cell in sources.items():
        if names := _blanks_of(empty[cell.id].source):
            blanks[number] = names
    asked = {question.asks.name for question in questions_of(course, stage) if isinstance(question.asks, Variable)}
    depend = dependent_cells({number: cell.source for number, cell in sources.items()}, blanks)
    cells = {}
    for number, (_, own) in depend.items():
        statements = _parsed(sources[number].source)
        later = {name for other in sources if other != number for name in _read(_parsed(sources[other].source))}
        names = names_of(statements)
        # the value of a variable that is asked for would be its points
        if number in blanks or _is_check(sources[number]) or asked & (_read(statements) | names.made | names.changed):
            continue
        cells[number] = sorted(((names.made | names.changed) - own) & later)
    return ToKeep(blanks, cells, [number for number, cell in sources.items() if _is_check(cell)])


def write_kept(course: Course, stage: str, solved: Path, plan: ToKeep, came: Path) -> None:
    """Keep what a run of the solved notebook gave, in place of what was kept of an earlier one.

    Parameters
    ----------
    course
        The course.
    stage
        The stage.
    solved
        The notebook that ran.
    plan
        What `what_to_keep` gave.
    came
        Folder of the files that came out of the sandbox; those that did not come are left out.
    """
    sources = {number: cell.source for number, cell in _sources(solved).items()}
    depend = dependent_cells(sources, plan.blanks)
    files, by_cells, left = {}, set(), MOST_BYTES
    for name in (name for of_cell in plan.blanks.values() for name in of_cell):
        if (content := _read_file(came / f"{name}.npz")) is not None:
            files[blank_file(name)] = values.encode(content)
            by_cells |= {name} if content["calls"] is None else set()
    for number in plan.cells:
        content = _read_file(came / f"{number}.npz")
        needed, own = depend[number]
        if content is None or not needed & by_cells:
            continue
        content["own"] = sorted(own)
        if len(values.encode(content["names"])) > left:
            content["names"] = {}
        files[cell_file(sources[number])] = values.encode(content)
        left -= len(values.encode(content["names"]))
    folder = course.grading / KEPT / stage
    folder.parent.mkdir(exist_ok=True)
    check_room(folder.parent, sum(map(len, files.values())))
    there = [path.name for path in folder.glob("*")]
    with whole(folder, replaces=there) as part:
        part.mkdir()
        for name, content in files.items():
            (part / name).write_bytes(content)


class Dependence(NamedTuple):
    """What a cell needs."""

    blanks: set[str]
    """Themselves, or what another cell makes of them."""
    own: frozenset[str]
    """Names that the cell makes without any of them."""


def dependent_cells(sources: Mapping[int, str], blanks: Mapping[int, Iterable[str]]) -> dict[int, Dependence]:
    """Find the cells that depend on a blank.

    Parameters
    ----------
    sources
        Number -> source of each code cell, in order.
    blanks
        Number of a cell -> the blanks in it.
    """
    needs: dict[str, set[str]] = {}
    found = {}
    for number, source in sources.items():
        of_cell, own = set(), set()
        for statement in _parsed(source):
            names = names_of([statement])
            needed = set().union(*(needs.get(name, set()) for name in _read([statement])))
            for name in names.changed:
                needs[name] = needs.get(name, set()) | needed
            needs.update({name: needed for name in names.made})
            own = own - names.made if needed else own | names.made
            of_cell |= needed
        if of_cell and number not in blanks:
            found[number] = Dependence(of_cell, frozenset(own))
        for name in blanks.get(number, ()):
            needs[name] = needs.get(name, set()) | {name}
    return found


def _sources(notebook: Path) -> dict[int, Any]:
    cells = nbformat.read(notebook, as_version=4).cells
    return {number: cell for number, cell in enumerate(cells, start=1) if cell.cell_type == "code"}


def _parsed(source: str) -> list[ast.stmt]:
    """Parse a cell as IPython does; one that it could not run has no names."""
    try:
        return ast.parse(TransformerManager().transform_cell(source)).body
    except SyntaxError:
        return []


def _read(statements: Iterable[ast.stmt]) -> set[str]:
    """Name all that statements read, in functions too."""
    nodes = (node for statement in statements for node in ast.walk(statement))
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def _blanks_of(source: str) -> list[str]:
    defined = [node for node in _parsed(source) if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    return [node.name for node in defined if any(_is_blank(part) for part in ast.walk(node))]


def _is_blank(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and node.value == TEXT


def _is_check(cell: Any) -> bool:
    return cell.metadata.get("nbgrader", {}).get("grade", False)


def _read_file(path: Path) -> Any:
    """Read what came out of the sandbox; None if it did not come."""
    return values.decode(path.read_bytes()) if path.is_file() else None
