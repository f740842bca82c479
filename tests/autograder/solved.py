"""Programs of a solved notebook: a student's function or class, right or with a part written otherwise."""

import ast
import functools
import json
from contextlib import suppress
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BEGIN, END = "### BEGIN SOLUTION", "### END SOLUTION"


@functools.cache
def cells(stage: str) -> tuple[tuple[str, str], ...]:
    """Give the code cells of a solved notebook: the ID that nbgrader knows each by, if any, and its source."""
    notebook = json.loads((ROOT / f"solutions/{stage}/{stage}.ipynb").read_text(encoding="utf-8"))
    return tuple(
        (cell["metadata"].get("nbgrader", {}).get("grade_id", ""), "".join(cell["source"]))
        for cell in notebook["cells"]
        if cell["cell_type"] == "code"
    )


def program(stage: str, question: str, name: str, edits: tuple[str, ...] = ()) -> Any:
    """Make what a question asks for from the notebook's own definitions, with its blank filled otherwise.

    Parameters
    ----------
    stage, question
        Where the blank is.
    name
        What is asked for: a function or class, which may use others of the notebook.
    edits
        Old text, new text, old text, ...; a single text takes the place of all that is between the marks.
    """
    known: dict[str, ast.stmt] = {}
    for blank, source in cells(stage):
        text = written(source, edits) if blank == f"{question}_code" else source
        for node in ast.parse(text).body:
            known |= dict.fromkeys(_defines(node), node)
    wanted, order = [name], []
    while wanted:
        node = known.get(wanted.pop())
        if node is not None and node not in order:
            order.append(node)
            wanted += [part.id for part in ast.walk(node) if isinstance(part, ast.Name)]
    names: dict[str, Any] = {}
    for node in sorted(order, key=list(dict.fromkeys(known.values())).index):
        with suppress(NameError):  # a function of another section, whose name a variable here happens to have
            exec(compile(ast.Module([node], []), f"<{stage}>", "exec"), names)
    return names[name]


def written(source: str, edits: tuple[str, ...]) -> str:
    """Write a part of a blank otherwise."""
    if len(edits) == 1:
        start, end = source.index(BEGIN), source.index(END)
        margin = source[source.rindex("\n", 0, start) + 1 : start]
        body = "".join(f"{margin}{line}\n" for line in edits[0].splitlines())
        return source[: start - len(margin)] + body + source[source.rindex("\n", 0, end) + 1 :]
    for old, new in zip(edits[::2], edits[1::2], strict=True):
        assert old in source, f"the solution has no {old!r} any more; write this wrong answer anew"
        source = source.replace(old, new)
    return source


def solution(stage: str, question: str) -> str:
    """Give what stands between the marks of a blank."""
    source = dict(cells(stage))[f"{question}_code"]
    return "\n".join(part.split(END)[0] for part in source.split(BEGIN)[1:])


def _defines(node: ast.stmt) -> list[str]:
    if isinstance(node, ast.FunctionDef | ast.ClassDef):
        return [node.name]
    if isinstance(node, ast.Import | ast.ImportFrom):
        return [alias.asname or alias.name.split(".")[0] for alias in node.names]
    if isinstance(node, ast.Assign) and all(isinstance(part, ast.Constant) for part in _values(node.value)):
        return [part.id for target in node.targets for part in _values(target) if isinstance(part, ast.Name)]
    return []


def _values(node: ast.expr) -> list[ast.expr]:
    return node.elts if isinstance(node, ast.Tuple) else [node]
