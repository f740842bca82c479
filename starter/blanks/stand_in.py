"""What stands in for an empty function: it looks up what the kit's version gave, and computes nothing."""

import copy
import inspect
from collections.abc import Callable
from typing import Any

from starter.blanks.blank import UnknownCallError
from starter.blanks.fingerprint import Fingerprint, fingerprint
from starter.blanks.kept import unpacked
from starter.errors import InputError

MARK = "_stands_in_for_a_blank"
"""Attribute of a class that stands in for another."""


class StandIn:
    """Gives the kept values of a function, called as the notebook calls it.

    Parameters
    ----------
    name
        Of the function.
    given
        The student's own, which says what the arguments are called.
    calls
        Of the kit's version: `form` and `numbers` of the arguments' fingerprint, and what it `gave`.
    """

    def __init__(self, name: str, given: Callable, calls: list[dict[str, Any]]) -> None:
        self.__name__ = name
        self.__signature__ = inspect.signature(given)
        self.calls = [(Fingerprint(call["form"], call["numbers"]), call["gave"]) for call in calls]

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """Look the call up."""
        try:
            print_ = fingerprint(arguments_of(self.__signature__, arguments, named))
        except InputError:
            print_ = None
        for known, gave in self.calls:
            if print_ is not None and known.is_like(print_):
                return copy.deepcopy(unpacked(gave))
        raise UnknownCallError(self.__name__)


def stand_in_of(name: str, given: Any, calls: list[dict[str, Any]]) -> Any:
    """Make what stands in for a function, or for a class, which nobody can build then."""
    if not isinstance(given, type):
        return StandIn(name, given, calls)

    def refuse(self: object, *arguments: Any, **named: Any) -> None:
        raise UnknownCallError(name)

    return type(name, (given,), {"__init__": refuse, MARK: True})


def stands_in(thing: Any) -> bool:
    """Tell whether a thing stands in for a blank."""
    return isinstance(thing, StandIn) or (isinstance(thing, type) and MARK in vars(thing))


def arguments_of(signature: inspect.Signature, arguments: tuple, named: dict[str, Any]) -> dict[str, Any]:
    """Give the arguments of a call by name, defaults among them."""
    bound = signature.bind(*arguments, **named)
    bound.apply_defaults()
    return dict(bound.arguments)
