"""A question: what is asked, the inputs, the value due, the usual mistakes, and where a stage's questions are."""

import functools
import importlib.util
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import ModuleType

import numpy as np

from autograder.course import Course
from autograder.folders import QUESTIONS
from starter.answers.comparators import COMPARATORS, Close, Comparator, as_plain
from starter.answers.kinds import KINDS, File, Kind, Variable
from starter.answers.wording import form_of
from starter.errors import InputError

PUBLIC_SEED = 0
"""Seed of the cases that students get with their notebook."""
PREDICTION = "prediction"
"""The question that stands for a stage's prediction file; `course.toml` has its rubric."""


@dataclass(frozen=True)
class Mistake:
    """A usual mistake, which is recognised by the value that it gives."""

    meaning: str
    """What is wrong and what to do, for the student."""
    gives: Callable[..., object]
    """Wrong answer to the inputs of one case."""
    credit: float = 0.0
    """Share of the case's points that it earns all the same."""


@dataclass(frozen=True)
class Case:
    """One set of inputs."""

    inputs: dict[str, object]
    due: object
    mistakes: dict[str, object]
    """What it usually means -> the value that this mistake gives."""
    credit: dict[str, float] = field(default_factory=dict)
    """What it usually means -> share of the points, where it is not 0."""


@dataclass(frozen=True)
class Question:
    """Something that a notebook must answer; its points live in the notebook's cell."""

    name: str
    """The `grade_id` of the notebook cell that carries the points."""
    asks: Kind
    """What of the student's is asked: see `starter.answers.kinds`."""
    due: Callable[..., object]
    """Right answer to the inputs of one case; of a variable or a file, right value given `data`, the public folder."""
    inputs: Callable[[np.random.Generator], list[dict[str, object]]] | None = None
    """Makes the inputs of each case from a seeded generator; never from hidden cells. None for variables and files."""
    mistakes: tuple[Mistake, ...] = ()
    hints: tuple[str, str, str] | tuple[()] = ()
    """For `check.hint`: the idea, the formula, the steps and their shapes; in words, never code that answers."""
    comparator: Comparator = field(default_factory=Close)
    not_given: tuple[str, ...] = ()
    """Inputs that `due` and the mistakes alone get: of an open task the truth, which nobody may be asked with."""
    without: tuple[str, ...] = ()
    """Packages and modules of `starter` that are not there when this is asked, since they would answer it."""
    held_back: tuple[str, ...] = ()
    """Modules of `starter` that hold the answer and nothing that notebooks need: students get them when the stage's
    deadline is over."""
    seconds: float = 10.0
    """Time for all cases."""

    def cases(self, seed: int, data: Path) -> list[Case]:
        """Make the cases of a seed.

        Parameters
        ----------
        seed
            Of the inputs.
        data
            The course's public folder, from which the value of a variable or a file follows.
        """
        if self.inputs is None:
            return [self._case({}, data=data)]
        return [self._case(inputs, **inputs) for inputs in self.inputs(np.random.default_rng(seed))]

    def _case(self, inputs: dict[str, object], **given: object) -> Case:
        mistakes = {mistake.meaning: mistake.gives(**given) for mistake in self.mistakes}
        credit = {mistake.meaning: mistake.credit for mistake in self.mistakes if mistake.credit}
        asked = {name: value for name, value in inputs.items() if name not in self.not_given}
        return Case(asked, self.due(**given), mistakes, credit)

    def public(self, data: Path) -> dict[str, object]:
        """Give what `starter.check` reads: the public cases, how to compare, and the hints.

        Of a variable or a file, which have no inputs to vary, students get the form of what is due and not the value.
        """
        cases = [asdict(case) for case in self.cases(PUBLIC_SEED, data)]
        if isinstance(self.asks, Variable | File):
            cases = [{"inputs": {}, "form": form_of(case["due"])} for case in cases]
        else:
            cases = [{key: case[key] for key in ("inputs", "due", "mistakes")} for case in cases]
        return {
            "asks": as_plain(self.asks, KINDS),
            "comparator": as_plain(self.comparator, COMPARATORS),
            "cases": cases,
            **({"hints": list(self.hints)} if self.hints else {}),
        }


def questions_path(course: Course, stage: str) -> Path:
    """Find a stage's questions: the course's own file, or else the kit's folder.

    Raises
    ------
    InputError
        If there are none.
    """
    own, kit = course.root / QUESTIONS / f"{stage}.py", Path(__file__).parent / stage
    if not (found := next((path for path in (own, kit) if path.exists()), None)):
        msg = f"stage {stage!r} has no questions: write {own} (docs/instructor.md shows how)"
        raise InputError(msg)
    return found


def questions_of(course: Course, stage: str) -> tuple[Question, ...]:
    """Load a stage's questions.

    Raises
    ------
    InputError
        If there are none, or their module cannot be loaded.
    """
    path = questions_path(course, stage)
    try:
        if path.is_dir():
            return importlib.import_module(f"{__package__}.{stage}").QUESTIONS
        return _load(path, path.stat().st_mtime_ns).QUESTIONS
    except Exception as error:  # whatever an instructor's module raises
        found = f"{type(error).__name__}: {error}"
        msg = f"cannot load the questions of {path} ({found}); mend them, or install what they need"
        raise InputError(msg) from error


@functools.cache
def _load(path: Path, changed: int) -> ModuleType:
    del changed  # a part of the key: an edited file is loaded again
    spec = importlib.util.spec_from_file_location(f"questions_{path.stem}", path)
    if spec is None or spec.loader is None:
        msg = f"{path} is no Python module"
        raise ImportError(msg)
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
