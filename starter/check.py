"""Local checks in a notebook: is an answer right, what was it asked with, and what helps further."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from starter.answers import values
from starter.answers.asked import asked
from starter.answers.causes import Answer, likely_cause
from starter.answers.comparators import COMPARATORS, from_plain
from starter.answers.kinds import KINDS, Kind, Object, to_tensors
from starter.answers.wording import SHORT, describe_call, form_of, in_full
from starter.blanks.blank import StillEmptyError
from starter.blanks.kept import kept_blanks
from starter.blanks.notebook import go_on, watch
from starter.errors import InputError

FOLDER = "checks"
"""Beside a notebook: what its checks ask and what is expected, one file a question."""
HINTS = ("the idea", "the formula", "the steps and their shapes")
"""What the hints of a question say, one after the other."""
SHORT.maxlevel = 2
watch()  # every notebook imports this module first, so none needs a line of its own for it


class NotRight(AssertionError):
    """An answer that is not right. A notebook shows the text alone, without the lines of the kit that found it."""

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


class Check:
    """Tries what a question asks for, and remembers which of its hints were given.

    `check("mae", mae)` tries the function `mae`; `check.case("mae", 1)` gives the inputs of the first case, and
    `check.hint("mae")` a hint that goes further each time.
    """

    def __init__(self) -> None:
        self._n_hints: dict[str, int] = {}

    def __call__(self, name: str, given: object, folder: str | Path | None = None) -> None:
        """Try what a question asks for on its public cases, and say how it did.

        Parameters
        ----------
        name
            The question.
        given
            The student's function, class, value or file, as the question asks.
        folder
            Where the cases are; default: `checks` beside the notebook.

        Raises
        ------
        NotRight
            At the first case that is not right: what was called, what is expected, what came, and the likely cause.
        StillEmptyError
            If the blank is empty, which a notebook says and does not raise.
        InputError
            If the question has no public cases here.
        """
        question = _read(name, folder)
        cases = question["cases"]
        kind, comparator = from_plain(KINDS, question["asks"]), from_plain(COMPARATORS, question["comparator"])
        answers: list[Answer] = []
        for number, case in enumerate(cases, start=1):
            headline = f"{name}: case {number} of {len(cases)} is not right"
            call = describe_call(kind, case["inputs"])
            came, changed, empty = None, "", False
            try:
                came, changed = asked(kind, given, case["inputs"])
            except NotImplementedError:
                empty = True  # said below, where no traceback hangs on it
            except Exception as error:
                error.add_note(f"{headline}: it raised this error\n  called   {call}\n  {_help(name, kind, number)}")
                raise
            if empty:
                msg = f"{name}: still empty; write it where it says NotImplementedError, then run both cells"
                raise StillEmptyError(_message(msg, {"or": _offer(name)}))
            if "form" in case:
                if (form := form_of(came)) != case["form"]:
                    lines = {"expected": case["form"], "got": form}
                    raise NotRight(_message(headline, lines))
                print(f"{name}: {form}, as expected; the values are compared when you hand in")
                return
            if changed:
                lines = {"called": call, "likely cause": changed, "help": _help(name, kind, number), "or": _offer(name)}
                raise NotRight(_message(headline, lines))
            answers.append(Answer(came, case["due"], case["inputs"], case["mistakes"]))
            if fault := comparator.fault(came, case["due"]):
                answers += _answers(kind, given, cases[number:])
                lines = {
                    "called": call,
                    "expected": in_full(case["due"]),
                    "got": in_full(came),
                    "difference": fault,
                    "likely cause": likely_cause(answers, comparator),
                    "help": _help(name, kind, number),
                    "or": _offer(name),
                }
                raise NotRight(_message(headline, lines))
        print(f"{name}: right in all {len(cases)} cases")

    go_on = staticmethod(go_on)

    def case(self, name: str, number: int, folder: str | Path | None = None) -> dict[str, Any]:
        """Give the inputs of a public case: `mae(**check.case("mae", 1))` calls `mae` as the check does.

        Parameters
        ----------
        name
            The question.
        number
            Of the case, from 1 on.
        folder
            Where the cases are; default: `checks` beside the notebook.

        Returns
        -------
        Arguments of the function by name; of a class `build` (its own arguments), `calls` (methods and theirs) and, for
        a torch module, `weights`.

        Raises
        ------
        InputError
            If there is no such question or case, or nothing goes into what is asked.
        """
        question = _read(name, folder)
        cases, kind = question["cases"], from_plain(KINDS, question["asks"])
        if "form" in cases[0]:
            msg = f"{name} has no inputs: it follows from the course's data"
            raise InputError(msg)
        if number not in range(1, len(cases) + 1):
            msg = f"{name} has the cases 1 to {len(cases)}, and no case {number}"
            raise InputError(msg)
        inputs = cases[number - 1]["inputs"]
        with_tensors = "weights" in inputs if isinstance(kind, Object) else getattr(kind, "tensors", False)
        return to_tensors(inputs) if with_tensors else inputs

    def hint(self, name: str, folder: str | Path | None = None) -> None:
        """Print a hint: at first the idea, then the formula, then the steps with their shapes; after that all of them.

        Parameters
        ----------
        name
            The question.
        folder
            Where the cases are; default: `checks` beside the notebook.

        Raises
        ------
        InputError
            If there is no such question, or it has no hints.
        """
        hints = _read(name, folder).get("hints", [])
        if not hints:
            msg = f"{name} has no hints; its text and check.case({name!r}, 1) are all there is"
            raise InputError(msg)
        n_given = self._n_hints.get(name, 0)
        self._n_hints[name] = n_given + 1
        for number, (about, text) in enumerate(zip(HINTS, hints, strict=True)):
            if number == n_given or n_given >= len(hints):
                print(f"{name}, hint {number + 1} of {len(hints)} ({about}): {text}")


def _read(name: str, folder: str | Path | None) -> dict[str, Any]:
    """Read the public cases of a question."""
    path = Path(folder or FOLDER) / f"{name}.npz"
    try:
        return values.decode(path.read_bytes())
    except OSError as error:
        msg = f"no cases for {name!r} at {path.absolute()}; start the notebook in its own folder, beside {FOLDER}/"
        raise InputError(msg) from error


def _answers(kind: Kind, given: object, cases: list[dict[str, Any]]) -> list[Answer]:
    """Ask the cases that follow too, so that no cause is told by one case alone."""
    found = []
    for case in cases:
        with suppress(Exception):  # the first case that is not right is told; an error in another comes up when it is
            came, _ = asked(kind, given, case["inputs"])
            found.append(Answer(came, case["due"], case["inputs"], case["mistakes"]))
    return found


def _help(name: str, kind: Kind, number: int) -> str:
    inputs = f'check.case("{name}", {number})'
    gives = inputs if isinstance(kind, Object) else f"{kind.name}(**{inputs})"
    return f'{gives} asks the same again; check.hint("{name}") gives a hint'


def _offer(name: str) -> str:
    if name not in kept_blanks():
        return ""
    return f'check.go_on("{name}") goes on with values of the kit on this screen; the points stay open'


def _message(headline: str, lines: Mapping[str, str | None]) -> str:
    """Set what is said below each other, what goes on for several lines below its name."""
    said = [headline]
    for label, text in lines.items():
        if text:
            first, *rest = text.splitlines()
            said += [f"  {label:<14}{first}", *(f"{'':<16}{line}" for line in rest)]
    return "\n".join(said)


check = Check()
