"""What of the kit answers a question: every public function and class is called with its inputs in every order.

The kit is imported anew, less what the question leaves out, so a function that imports a hidden room only when it is
called fails as it does while grading.
"""

import copy
import importlib
import inspect
import itertools
import pkgutil
import signal
import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.machinery import ModuleSpec
from pathlib import Path

import numba
import numpy as np
import pandas as pd
import scipy.sparse
import torch

import autograder.questions
import starter
from autograder.questions.question import Case, Question
from starter.answers.kinds import Function, Object, plain, to_tensors

STAGES = sorted(path.name for path in Path(autograder.questions.__file__).parent.glob("[0-9]*"))
SEED = 12
SECONDS = 1.0
"""A call that takes longer, on inputs this small, gives nothing that is due."""
DOORS = ("starter.cli", "starter.console")
"""They print and end the process, and give no value."""
DRAWN = ("Axes", "Figure")
"""What functions give that draw: they take long, and it is no value."""
FIGURES = ("starter.plots.", "starter.scoring.figures.", "starter.scoring.pictures.", "starter.bench.figure.")
"""Where they are."""


class TooLongError(BaseException):
    """Raised in a call that takes too long; no Exception, so that it is not caught there."""


class Hidden:
    """Says of hidden rooms that they are not there."""

    def __init__(self, rooms: Sequence[str]) -> None:
        self.rooms = rooms

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        if any(f"{name}.".startswith(f"{room}.") for room in self.rooms):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return None


@contextmanager
def kit(without: Sequence[str], only: str = "") -> Iterator[dict[str, Callable]]:
    """Import the kit anew, less some rooms; give public functions and classes of modules that begin with `only`."""
    held = {name: sys.modules.pop(name) for name in kit_modules()}
    hidden = Hidden(without)
    sys.meta_path.insert(0, hidden)
    compiles, numba.config.DISABLE_JIT = numba.config.DISABLE_JIT, 1  # it would compile for every new type of input
    try:
        yield public_things(only)
    finally:
        numba.config.DISABLE_JIT = compiles
        sys.meta_path.remove(hidden)
        for name in kit_modules():
            del sys.modules[name]
        sys.modules.update(held)


def kit_modules() -> list[str]:
    return [name for name in sys.modules if f"{name}.".startswith("starter.")]


def public_things(only: str) -> dict[str, Callable]:
    importlib.import_module("starter").__path__[:] = starter.__path__  # with what a test adds to it
    found = {}
    for about in pkgutil.walk_packages(starter.__path__, "starter.", onerror=lambda name: None):
        if about.name in DOORS or not about.name.startswith(only):
            continue
        with suppress(ImportError):  # it is hidden, or needs what is
            for name, thing in vars(importlib.import_module(about.name)).items():
                of_kit = f"{getattr(thing, '__module__', None)}.".startswith("starter.")
                if callable(thing) and of_kit and not name.startswith("_"):
                    found[f"{thing.__module__}.{getattr(thing, '__qualname__', name)}"] = thing
    return found


def draws(thing: Callable) -> bool:
    returned = str(getattr(thing, "__annotations__", {}).get("return"))
    return any(kind in returned for kind in DRAWN)


def answering(questions: Iterable[Question], only: str = "") -> dict[str, list[str]]:
    """Name for each question what gives the value due in all cases, in modules whose names begin with `only`."""
    questions = list(questions)
    found = {}
    for without in dict.fromkeys(question.without for question in questions):
        with kit(without, only) as things:
            assert [name for name, thing in things.items() if draws(thing) and not name.startswith(FIGURES)] == []
            asked = {name: thing for name, thing in things.items() if not draws(thing)}
            for question in questions:
                if question.without == without:
                    cases = question.cases(SEED, data=None)
                    found[question.name] = [name for name, thing in asked.items() if answers(thing, question, cases)]
    return found


def answers(thing: Callable, question: Question, cases: list[Case]) -> bool:
    if inspect.isclass(thing) != isinstance(question.asks, Object):
        return False
    ways = (built, built_in_order) if inspect.isclass(thing) else calls(thing, list(recoded(cases[0].inputs)))
    # only a way that is right in one case is tried in the others
    return any(all(is_due(way, thing, case, question) for case in cases) for way in ways)


def recoded(inputs: dict[str, object]) -> dict[str, object]:
    """Give labels as whole numbers too, with how many there are: a line of code makes them."""
    more = {}
    for name, value in inputs.items():
        if isinstance(value, np.ndarray) and value.dtype.kind in "UO":
            labels, more[f"{name} as numbers"] = np.unique(value, return_inverse=True)
            more[f"number of {name}"] = len(labels)
    return inputs | more


def calls(function: Callable, names: list[str]) -> Iterator[Callable]:
    """Give the ways to call a function: by name, and with as many inputs as it takes in every order."""
    parameters = list(inspect.signature(function).parameters.values())
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    needed = [p.name for p in positional if p.default is p.empty]
    known = [p.name for p in parameters if p.name in names]
    if set(needed) <= set(known):
        yield lambda function, inputs: function(**{name: inputs[name] for name in known})
    if any(p.kind == p.KEYWORD_ONLY and p.default is p.empty for p in parameters):
        return
    most = len(names) if any(p.kind == p.VAR_POSITIONAL for p in parameters) else len(positional)
    plain_names = [name for name in names if " " not in name]
    coded = [name for name in names if f"{name} as numbers" not in names]
    for pool in [plain_names] if coded == plain_names else [plain_names, coded]:
        for n in range(max(len(needed), 1), min(most, len(pool)) + 1):
            for order in itertools.permutations(pool, n):
                yield lambda function, inputs, order=order: function(*(inputs[name] for name in order))


def built(kind: type, inputs: dict[str, object]) -> object:
    return Object("").answer(kind, inputs)


def built_in_order(kind: type, inputs: dict[str, object]) -> object:
    """Use a class whose arguments, weights and single method have other names."""
    made = kind(*inputs["build"].values())
    if isinstance(made, torch.nn.Module):
        made.load_state_dict(dict(zip(made.state_dict(), to_tensors(inputs["weights"]).values(), strict=True)))
        made.eval()
        return [made(*to_tensors(arguments).values()) for _, arguments in inputs["calls"]]
    return [getattr(made, method)(*arguments.values()) for method, arguments in inputs["calls"]]


def is_due(way: Callable, thing: Callable, case: Case, question: Question) -> bool:
    tensors = isinstance(question.asks, Function) and question.asks.tensors
    inputs = to_tensors(case.inputs) if tensors else recoded(copy.deepcopy(case.inputs))
    # whatever comes: it was made for other inputs
    with warnings.catch_warnings(action="ignore"), suppress(Exception, SystemExit, TooLongError), call():
        came = plain(way(thing, inputs))
        dues = [case.due]
        if tensors and isinstance(case.due, list):
            dues.append(case.due[0])  # the others are its gradients, which torch would give
        return any(question.comparator.fault(part, due) is None for due in dues for part in parts(came, due))
    return False


def parts(came: object, due: object) -> list[object]:
    """Give a value and its items, as tables too if a table is due."""
    values = [came, *came] if isinstance(came, list) else [came]
    if isinstance(due, pd.DataFrame):
        arrays = [value.toarray() if scipy.sparse.issparse(value) else value for value in values]
        arrays = [array for array in arrays if isinstance(array, np.ndarray) and array.shape == due.shape]
        values += [pd.DataFrame(array, due.index, due.columns) for array in arrays]
    return values


calling = False
"""Whether a function of the kit is being called."""


def no_channels(event: str, about: tuple) -> None:
    """Refuse whole numbers as files: 1 is this process's output, which would be closed."""
    if calling and event == "open" and isinstance(about[0], int):
        raise ValueError(about[0])


sys.addaudithook(no_channels)


@contextmanager
def call() -> Iterator[None]:
    """Stop what takes long or takes a number for a file."""
    global calling

    def stop(*_: object) -> None:
        if calling:
            raise TooLongError

    before = signal.signal(signal.SIGALRM, stop), sys.unraisablehook
    # where Python drops what is raised (a weak reference's callback), the next alarm does it
    sys.unraisablehook = lambda about: None if about.exc_type is TooLongError else before[1](about)
    signal.setitimer(signal.ITIMER_REAL, SECONDS, SECONDS / 10)
    calling = True
    try:
        yield
    finally:
        calling = False
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before[0])
        sys.unraisablehook = before[1]


def questions_of(stage: str) -> dict[str, Question]:
    return {question.name: question for question in importlib.import_module(f"autograder.questions.{stage}").QUESTIONS}
