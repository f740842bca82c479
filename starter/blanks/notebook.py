"""The notebook that runs: it goes past empty blanks, says what waits for them, and goes on with kept values.

A cell that meets an empty blank says so in a sentence in place of a traceback, and counts as done, so that "Run All"
goes on. A cell that needs what such a cell would have made is not run: it would fail, or show values of earlier. So it
goes with what a course's data do not have, such as batches. All other errors are raised as ever. Nothing of this
happens outside of a kernel, so nothing of it while grading.
"""

import ast
import sys
from functools import cache
from types import TracebackType
from typing import Any, NamedTuple

from starter.blanks.blank import UNNAMED, StillEmptyError, UnknownCallError, is_empty, place_of, says_empty
from starter.blanks.cell_names import names_of
from starter.blanks.kept import blank_file, cell_file, kept_blanks, read_kept, unpacked
from starter.blanks.stand_in import stand_in_of, stands_in
from starter.errors import NotThereError

LEFT_OUT = "left out"
"""How the sentence of a cell begins that needs what the course's data do not have."""
SHOWN = 3
"""Names that a sentence lists."""
DEFINITIONS = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
"""Statements of a cell that run though others of it wait: later cells may need them."""
NO_VALUES = (
    "there are no values to go on with in this copy of the course; instructors make them by: autograder rehearse"
)


class Cause(NamedTuple):
    """Why a cell did not come to its end, where that is no error of the student's."""

    sentence: str
    blanks: frozenset[str]
    """What has to be written first."""
    is_first: bool
    """Whether the cell itself met the blank, and does not wait for another cell."""
    lacks: str = ""
    """What the course's data do not have; no blank is to be written then."""


class RunningNotebook:
    """Which names wait for which blanks, in a kernel from now on."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        self.waiting: dict[str, frozenset[str]] = {}
        """Names that are not there, or no longer true, and the blanks that each needs."""
        self.lacking: dict[str, str] = {}
        """Of those names, what the course's data would need for them."""
        self.unnamed: dict[str, str] = {}
        """Blanks in no function: how to name them, by their cells."""
        self.met: dict[str, frozenset[str]] = {}
        """Cells that met a blank themselves, by their source."""
        self.going_on: set[str] = set()
        """Blanks in whose place kept values are taken."""
        self._held_back: Cause | None = None
        shell.ast_transformers.append(self)
        shell.set_custom_exc((NotImplementedError, NameError, StillEmptyError, NotThereError), self.show)
        shell.events.register("post_run_cell", self.finish)

    def visit(self, tree: ast.Module) -> ast.Module:
        """Hold back a cell that is about to run and needs what waits."""
        self._held_back = None
        if lacking := names_of(tree.body).needed & self.waiting.keys():
            self._held_back = self._waits(lacking)
            return ast.Module(body=[], type_ignores=[])
        return tree

    def show(
        self, shell: Any, kind: type[BaseException], error: BaseException, trace: TracebackType, tb_offset: int | None
    ) -> None:
        """Show an error as ever, but what follows from an empty blank: that is said when the cell is finished."""
        if self._cause(error) is None:
            shell.showtraceback((kind, error, trace), tb_offset=tb_offset, running_compiled_code=True)

    def finish(self, result: Any) -> None:
        """Note what a cell made and what waits from now on; a cell that met an empty blank counts as done."""
        if result is None or result.error_before_exec is not None:
            return
        source, error = result.info.raw_cell, result.error_in_exec
        cell = getattr(result.info, "cell_id", None) or source.partition("\n")[0]
        if error is None and self._held_back is None:
            self.unnamed.pop(cell, None)
        elif error is not None and says_empty(error) and place_of(error) == UNNAMED:
            self.unnamed[cell] = f"cell [{result.execution_count}]"
        cause = self._held_back or (None if error is None else self._cause(error, cell))
        statements = ast.parse(self.shell.transform_cell(source)).body
        n_done = 0 if self._held_back else _n_done(statements, error, self.shell.user_ns)
        self._held_back = None
        self._made(names_of(statements[:n_done]).made)
        if cause is None:
            self.met.pop(source, None)
            return
        result.error_in_exec = None
        if cause.is_first:
            self.met[source] = cause.blanks
        kept = read_kept(cell_file(source)) if cause.blanks and cause.blanks <= self.going_on else None
        own = frozenset(kept["own"]) if kept else frozenset[str]()
        self._leave(statements[n_done:], cause.blanks, own, cause.lacks)
        if kept:
            # what was made of a blank may have been meant to be changed afterwards: a network before its training
            of_blanks = names_of(statements[:n_done]).made - own
            self.waiting.update(dict.fromkeys(of_blanks, cause.blanks))
            self._show(kept, cause.blanks)
        else:
            print(cause.sentence)

    def open_blanks(self) -> list[str]:
        """Name the blanks that are still empty."""
        named = [
            name
            for name, thing in self.shell.user_ns.items()
            if name[0] != "_" and (stands_in(thing) or is_empty(thing))
        ]
        return named + list(self.unnamed.values())

    def go_on(self, name: str) -> None:
        """Take kept values in place of a blank, and run the cells again that met it."""
        blanks = kept_blanks()
        if name not in blanks:
            print(f"no values are kept of {name!r}, only of {', '.join(blanks)}" if blanks else NO_VALUES)
            return
        if name not in self.shell.user_ns:
            print(f"run the cell with `{name}` first")
            return
        self.going_on.add(name)
        what = f"`{name}` gives" if self._replace(name) else f"cells that need `{name}` show"
        print(f"{what} what the kit's version gives on this screen; the points stay open; run the cells below it again")
        inputs = self.shell.history_manager.input_hist_parsed
        here = inputs[-1]
        for source in [source for source, met in self.met.items() if name in met and met <= self.going_on]:
            inputs[-1] = source  # where IPython looks whether a cell ends in `;` and shows no value
            self.shell.run_cell(source)
        inputs[-1] = here

    def _replace(self, name: str) -> bool:
        """Put a stand-in in the place of a blank; tell whether calls of it are kept, and not cells alone."""
        calls, given = read_kept(blank_file(name))["calls"], self.shell.user_ns[name]
        if calls is not None or not is_empty(given):
            self.shell.user_ns[name] = stand_in_of(name, given, calls or [])
        return calls is not None

    def _made(self, names: frozenset[str]) -> None:
        for name in names:
            self.waiting.pop(name, None)
            self.lacking.pop(name, None)
            if name in self.going_on:
                if is_empty(self.shell.user_ns[name]):
                    self._replace(name)
                else:
                    self.going_on.discard(name)

    def _leave(self, statements: list[ast.stmt], blanks: frozenset[str], own: frozenset[str], lacks: str = "") -> None:
        """Run those of a cell's statements that need no blank: definitions, and what makes names of its `own`."""
        left = []
        for statement in statements:
            names = names_of([statement])
            free = isinstance(statement, DEFINITIONS) or (names.made and names.made <= own)
            if free and not names.needed & (names_of(left).made | self.waiting.keys()) and self._runs(statement):
                self._made(names.made)
            else:
                left.append(statement)
        names = names_of(left)
        self.waiting.update(dict.fromkeys(names.made | names.changed, blanks))
        if lacks:
            self.lacking.update(dict.fromkeys(names.made | names.changed, lacks))

    def _runs(self, statement: ast.stmt) -> bool:
        try:
            exec(compile(ast.Module([statement], []), "<cell>", "exec"), self.shell.user_ns)
        except Exception:  # noqa: BLE001  (it waits then, with the rest of its cell)
            return False
        return True

    def _show(self, kept: dict[str, Any], blanks: frozenset[str]) -> None:
        """Show what a cell shows with the kit's version, and take over what it made."""
        from IPython.display import publish_display_data

        print(f"{_listed(blanks)} still empty; what the kit's version gives on this screen:")
        for output in kept["outputs"]:
            if "text" in output:
                print(output["text"], end="")
            else:
                publish_display_data(output)
        for name, value in kept["names"].items():
            self.shell.user_ns[name] = unpacked(value)
            self.waiting.pop(name, None)

    def _cause(self, error: BaseException, cell: str = "") -> Cause | None:
        """Tell which blanks an error follows from; None if it is the student's own."""
        if isinstance(error, StillEmptyError):
            return Cause(str(error), frozenset(), is_first=False)
        if isinstance(error, NotThereError):
            return Cause(f"{LEFT_OUT}: {error}", frozenset(), is_first=False, lacks=str(error))
        if says_empty(error):
            place = place_of(error)
            if place == UNNAMED:
                sentence = (
                    "still empty: replace the line with NotImplementedError by your own, then run this cell again"
                )
                return Cause(sentence, frozenset([self.unnamed.get(cell, "cell")]), is_first=True)
            sentence = f"still empty: write `{place}`, then run its cell and this one again"
            if isinstance(error, UnknownCallError):
                sentence += "; the kit's values are known for this notebook's own data only"
            return Cause(sentence, frozenset([place.split(".")[0]]), is_first=True)
        name = (error.name or "") if isinstance(error, NameError) and not isinstance(error, UnboundLocalError) else ""
        if name in self.waiting:
            return self._waits(frozenset([name]))
        # nobody knows which names a blank of the cell's own level will make
        return self._waits(frozenset([name])) if name and self.unnamed else None

    def _waits(self, names: frozenset[str]) -> Cause:
        unnamed = frozenset(self.unnamed.values())
        if lacks := [self.lacking[name] for name in sorted(names) if name in self.lacking]:
            sentence = f"{LEFT_OUT}: it needs {_listed(names & self.lacking.keys())}, and {lacks[0]}"
            return Cause(sentence, frozenset(), is_first=False, lacks=lacks[0])
        blanks = frozenset[str]().union(*(self.waiting.get(name, unnamed) for name in names))
        sentence = f"not run: it needs {_listed(names)}; write {_listed(blanks)}, then run the cells below it"
        return Cause(sentence, blanks, is_first=False)


def _listed(names: frozenset[str]) -> str:
    shown = [f"`{name}`" for name in sorted(names)]
    return ", ".join(shown[:SHOWN]) + (f" and {len(shown) - SHOWN} more" if len(shown) > SHOWN else "")


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


def go_on(name: str) -> None:
    """Go on without a part of the notebook: later cells run, or show what they should, with the kit's values.

    The part stays empty and its points open. Nothing happens outside of a kernel, so nothing while grading.

    Parameters
    ----------
    name
        The function or class that is still empty, or wrong.
    """
    if (shell := _kernels_shell()) is not None:
        _running(shell).go_on(name)


def _kernels_shell() -> Any:
    """Give the shell of the kernel that runs here; the plain one of grading is none."""
    shell = sys.modules["IPython"].get_ipython() if "IPython" in sys.modules else None
    return shell if hasattr(shell, "kernel") else None


@cache
def _running(shell: Any) -> RunningNotebook:
    return RunningNotebook(shell)
