"""What an empty blank is: a line that raises, where a student's own lines belong."""

import dis
from types import CodeType, FunctionType
from typing import Any

TEXT = "this part is yours: replace this line, then run the cell again"
"""What an empty blank says; `autograder release` puts it in place of each solution."""
UNNAMED = "<module>"
"""Where a blank stands that is in no function."""


class StillEmptyError(AssertionError):
    """A check met an empty blank; its message is a sentence for the student."""


class UnknownCallError(NotImplementedError):
    """What stands in for an empty blank was called with other arguments than the notebook's own."""

    def __init__(self, name: str) -> None:
        super().__init__(f"{TEXT}; the kit's values of {name} are known for this notebook's own data only")
        self.blank = name


def says_empty(error: BaseException) -> bool:
    """Tell whether an error is that of an empty blank, also if another process passed it on."""
    return isinstance(error, NotImplementedError) and TEXT in str(error)


def place_of(error: BaseException) -> str:
    """Name the function or method in which a blank raised, or `UNNAMED`."""
    if isinstance(error, UnknownCallError):
        return error.blank
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return UNNAMED if last is None else last.tb_frame.f_code.co_qualname


def is_empty(thing: Any) -> bool:
    """Tell whether a function, or a method that a class defines itself, still holds an empty blank."""
    if isinstance(thing, type):
        return any(is_empty(part) for part in vars(thing).values())
    if isinstance(thing, classmethod | staticmethod):
        thing = thing.__func__
    return isinstance(thing, FunctionType) and _raises_blank(thing.__code__)


def _raises_blank(code: CodeType) -> bool:
    """Look through what is executed, so that a blank behind a `return` does not count."""
    within = [part for part in code.co_consts if isinstance(part, CodeType)]
    return any(step.argval == TEXT for step in dis.get_instructions(code)) or any(map(_raises_blank, within))
