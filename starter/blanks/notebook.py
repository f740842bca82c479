"""The notebook that runs: it goes past empty blanks and says what waits for them.

A cell that meets an empty blank says so in a sentence in place of a traceback, and counts as done, so that "Run All"
goes on. A cell that needs what such a cell would have made is not run: it would fail, or show values of earlier. All
other errors are raised as ever. Nothing of this happens outside of a kernel, so nothing of it while grading.
"""

import ast
import sys
from functools import cache
from types import TracebackType
from typing import Any, NamedTuple

from starter.blanks.blank import UNNAMED, StillEmptyError, is_empty, place_of, says_empty
from starter.blanks.cell_names import Names, names_of

SHOWN = 3
"""Names that a sentence lists."""
DEFINITIONS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
"""Statements of a cell that run though others of it wait: later cells may need them."""


class _HeldBack(NamedTuple):
    """What was run of a cell, what was not, and the blanks that this waits for."""

    run: Names
    left: Names
    blanks: frozenset[str]


class RunningNotebook:
    """Which names wait for which blanks, in a kernel from now on."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.waiting: dict[str, frozenset[str]] = {}
        """Names that are not there, or no longer true, and the blanks that each needs."""
        self.unnamed: dict[str, str] = {}
        """Blanks in no function: how to name them, by their cells."""
        self._held_back: _HeldBack | None = None
        shell.ast_transformers.append(self)
        shell.set_custom_exc((NotImplementedError, NameError, StillEmptyError), self.show)
        shell.events.register("post_run_cell", self.finish)

    def visit(self, tree: ast.Module) -> ast.Module:
        """Hold back what waits of a cell that is about to run: all of it but imports and functions."""
        self._held_back = None
        lacking = names_of(tree.body).needed & self.waiting.keys()
        if not lacking:
            return tree
        blanks = frozenset[str]().union(*(self.waiting[name] for name in lacking))
        print(waits(lacking, blanks))
        run, left = [], []
        for statement in tree.body:
            needed = names_of([statement]).needed
            can_run = isinstance(statement, DEFINITIONS) and not needed & (names_of(left).made | self.waiting.keys())
            (run if can_run else left).append(statement)
        self._held_back = _HeldBack(names_of(run), names_of(left), blanks)
        return ast.Module(body=run, type_ignores=[])

    def show(
        self, shell: Any, kind: type[BaseException], error: BaseException, trace: TracebackType, tb_offset: int | None
    ) -> None:
        """Say in a sentence what an empty blank caused, and show any other error as ever."""
        if sentence := self._sentence(error):
            print(sentence)
        else:
            shell.showtraceback((kind, error, trace), tb_offset=tb_offset, running_compiled_code=True)

    def finish(self, result: Any) -> None:
        """Note what a cell made, and what waits from now on; a cell that met an empty blank counts as done."""
        if result is None or result.error_before_exec is not None:
            return
        info, error = result.info, result.error_in_exec
        statements = ast.parse(self.shell.transform_cell(info.raw_cell)).body
        cell = getattr(info, "cell_id", None) or info.raw_cell.partition("\n")[0]
        if error is not None and says_empty(error) and place_of(error) == UNNAMED:
            self.unnamed[cell] = f"cell [{result.execution_count}]"
        elif error is None:
            self.unnamed.pop(cell, None)
        blanks = frozenset[str]() if error is None else self._blanks_behind(error, cell)
        n_done = _n_done(statements, error, self.shell.user_ns)
        done, left = names_of(statements[:n_done]), names_of(statements[n_done:])
        if self._held_back and error is None:
            done, left, blanks = self._held_back
        self._held_back = None
        for name in done.made:
            self.waiting.pop(name, None)
        if blanks:
            self.waiting.update(dict.fromkeys(left.made | left.changed, blanks))
            result.error_in_exec = None

    def open_blanks(self) -> list[str]:
        """Name the blanks that are still empty."""
        names = self.shell.user_ns.items()
        return [name for name, thing in names if name[0] != "_" and is_empty(thing)] + list(self.unnamed.values())

    def _sentence(self, error: BaseException) -> str:
        if isinstance(error, StillEmptyError):
            return str(error)
        if says_empty(error):
            place = place_of(error)
            if place == UNNAMED:
                return "still empty: replace the line with NotImplementedError by your own, then run this cell again"
            return f"still empty: write `{place}`, then run its cell and this one again"
        if blanks := self._blanks_behind(error, ""):
            return waits(frozenset([_name_of(error)]), blanks)
        return ""

    def _blanks_behind(self, error: BaseException, cell: str) -> frozenset[str]:
        """Name the blanks that an error follows from; none if it is the student's own."""
        if says_empty(error):
            place = place_of(error)
            return frozenset([self.unnamed.get(cell, place) if place == UNNAMED else place.split(".")[0]])
        if isinstance(error, StillEmptyError):
            return frozenset(["the blank"])
        name = _name_of(error)
        if name in self.waiting:
            return self.waiting[name]
        # nobody knows which names a blank of the cell's own level will make
        return frozenset(self.unnamed.values()) if name else frozenset()


def waits(names: frozenset[str], blanks: frozenset[str]) -> str:
    """Say that a cell waits for names, and these for blanks."""
    return f"not run: it needs {_listed(names)}; write {_listed(blanks)}, then run the cells below it"


def _listed(names: frozenset[str]) -> str:
    shown = [f"`{name}`" for name in sorted(names)]
    return ", ".join(shown[:SHOWN]) + (f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else "")


def _name_of(error: BaseException) -> str:
    """Give the name that was not there."""
    return (error.name or "") if isinstance(error, NameError) and not isinstance(error, UnboundLocalError) else ""


def _n_done(statements: list[ast.stmt], error: BaseException | None, names: dict) -> int:
    """Count the statements of a cell that ran before its error."""
    if error is None:
        return len(statements)
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_globals is not names:
        trace = trace.tb_next
    line = 0 if trace is None else trace.tb_lineno
    return sum((statement.end_lineno or 0) < line for statement in statements)


def watch() -> None:
    """From now on, let the notebook that runs here go past empty blanks; nothing happens outside of a kernel."""
    if (shell := _kernels_shell()) is not None:
        _running(shell)


def open_blanks() -> list[str]:
    """Name the blanks of the running notebook that are still empty, in the order of its cells.

    Returns
    -------
    Functions and classes by name, blanks outside of them as `cell [12]`; none outside of a kernel.
    """
    shell = _kernels_shell()
    return [] if shell is None else _running(shell).open_blanks()


def _kernels_shell() -> Any:
    """Give the shell of the kernel that runs here; the plain one of grading is none."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return shell if hasattr(shell, "kernel") else None


@cache
def _running(shell: Any) -> RunningNotebook:
    return RunningNotebook(shell)
