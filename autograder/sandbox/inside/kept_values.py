"""Keeps, INSIDE the sandbox, what a solved notebook's functions gave and what its cells showed and made.

Students go on with these values where a part of theirs is empty. They are the instructor's own, on the students' data.
"""

import base64
import functools
import inspect
import types
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

MOST_CALLS = 200
"""Of a function; beyond, cells are kept in their place."""
MOST_BYTES = 16 << 20
"""Of what the calls of a function gave, and of what a cell made."""
LEFT_OUT = "left out: "
"""How `starter.blanks` begins the sentence of a cell that needs what the course's data do not have."""
SHOWN = ("text/plain", "text/html", "image/png")
"""Types of what a cell displays that are kept."""


class Keeper:
    """Runs the cells of a solved notebook and keeps values.

    Parameters
    ----------
    shell
        In which the cells run.
    blanks
        Number of a cell -> the functions and classes that it defines and that students write.
    cells
        Number of a cell that depends on a blank -> the names that it makes and others need.
    checks
        Numbers of the cells that check.
    """

    def __init__(
        self, shell: "InteractiveShell", blanks: dict[int, list[str]], cells: dict[int, list[str]], checks: list[int]
    ) -> None:
        self.shell, self.blanks, self.cells, self.checks = shell, blanks, cells, checks
        self.calls: dict[str, list[dict[str, Any]] | None] = {}
        """Of each blank; None once they cannot be kept."""
        self.kept: dict[int, dict[str, Any]] = {}
        self._n_bytes: dict[str, int] = {}
        self._is_check = False

    def run(self, number: int, source: str) -> "ExecutionResult":
        """Run a cell, and keep what it shows and makes."""
        from IPython.utils.capture import capture_output

        self._is_check = number in self.checks
        if number not in self.cells:
            result = self._run(source, silent=True)
        else:
            with capture_output() as came:
                result = self._run(source, silent=source.rstrip().endswith(";"))
            shown = [{"text": came.stdout}] if came.stdout else []
            shown += [{kind: _text(data) for kind, data in one.data.items() if kind in SHOWN} for one in came.outputs]
            if came.stdout.startswith(LEFT_OUT):
                print(came.stdout, end="")
            elif result.success:
                self.kept[number] = {"outputs": shown, "names": self._made(self.cells[number])}
        for name in self.blanks.get(number, []):
            thing = self.shell.user_ns.get(name)
            self.calls[name] = [] if isinstance(thing, types.FunctionType) else None
            if isinstance(thing, types.FunctionType):
                self.shell.user_ns[name] = self._watched(name, thing)
        return result

    def _run(self, source: str, *, silent: bool) -> "ExecutionResult":
        """Run a cell, and tell those who listen of it, as a kernel does; a silent run displays nothing."""
        result = self.shell.run_cell(source, store_history=False, silent=silent)
        if silent:
            self.shell.events.trigger("post_run_cell", result)
        return result

    def frames(self) -> Iterator[tuple[str, bytes]]:
        """Give what was kept, as files by their names: of a blank by its own, of a cell by its number.

        Calls that together are more than a file may hold are not kept, but cells in their place; of a cell that made
        more than that, text and figures.
        """
        for name, calls in self.calls.items():
            yield f"kept/{name}.npz", _readable({"calls": calls or None}, otherwise={"calls": None})
        for number, content in self.kept.items():
            yield f"kept/{number}.npz", _readable(content, otherwise={**content, "names": {}})

    def _made(self, names: list[str]) -> dict[str, Any]:
        made, left = {}, MOST_BYTES
        for name in names:
            if name in self.shell.user_ns and (kept := _kept(self.shell.user_ns[name], left)) is not None:
                made[name], n_bytes = kept
                left -= n_bytes
        return made

    def _watched(self, name: str, function: Callable) -> Callable:
        """Note what a function gives, each call of other arguments once."""
        from starter.blanks.fingerprint import fingerprint
        from starter.blanks.stand_in import arguments_of
        from starter.errors import InputError

        signature, known = inspect.signature(function), []

        @functools.wraps(function)
        def watched(*arguments: Any, **named: Any) -> Any:
            calls = self.calls[name]
            if calls is None or self._is_check:
                return function(*arguments, **named)
            try:
                print_ = fingerprint(arguments_of(signature, arguments, named))
            except (InputError, TypeError):
                print_ = None
            gave = function(*arguments, **named)
            if print_ is not None and any(print_.is_like(other) for other in known):
                return gave
            kept = _kept(gave, MOST_BYTES - self._n_bytes.get(name, 0)) if print_ is not None else None
            if print_ is None or kept is None or len(calls) == MOST_CALLS:
                self.calls[name] = None
                return gave
            known.append(print_)
            calls.append({**print_._asdict(), "gave": kept[0]})
            self._n_bytes[name] = self._n_bytes.get(name, 0) + kept[1]
            return gave

        return watched


def _kept(value: Any, most: int) -> tuple[dict[str, Any], int] | None:
    """Pack a value, copied, and say how many bytes it takes; None if it cannot be kept or takes too many."""
    from starter.answers import values
    from starter.blanks.kept import packed
    from starter.errors import InputError

    try:
        content = values.encode(packed(value))
        return (values.decode(content), len(content)) if len(content) <= most else None
    except InputError:
        return None


def _readable(content: dict[str, Any], otherwise: dict[str, Any]) -> bytes:
    """Write what can be read again: parts that each can be may together have too many arrays or texts."""
    from starter.answers import values
    from starter.errors import InputError

    try:
        values.decode(encoded := values.encode(content))
    except InputError:
        return values.encode(otherwise)
    return encoded


def _text(data: str | bytes) -> str:
    return base64.b64encode(data).decode() if isinstance(data, bytes) else data
