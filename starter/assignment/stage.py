"""What a stage asks: its questions in the notebook's order, as `autograder release` writes them beside the checks."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from starter.check import FOLDER as CHECKS
from starter.errors import InputError

FILE = "questions.json"
"""In the folder of the checks."""
Kind = Literal["function", "object", "variable", "file", "prediction", "words"]
"""How a question is answered: `words` is a text that a person reads."""


@dataclass(frozen=True)
class StageQuestion:
    """One question."""

    name: str
    """The id of the cell that carries the points."""
    points: float
    kind: Kind
    answer: str
    """The name of the function, class or variable; the file; of words the text that was given out in their place."""
    blanks: tuple[str, ...] = ()
    """Ids of the cells that a student fills in for it."""


@dataclass(frozen=True)
class Stage:
    """One notebook and its questions."""

    name: str
    """Such as `04_baselines`."""
    title: str
    questions: tuple[StageQuestion, ...]

    @property
    def notebook(self) -> str:
        """The notebook's file."""
        return f"{self.name}.ipynb"

    @property
    def points(self) -> float:
        """What can be earned."""
        return sum(question.points for question in self.questions)


def encode_stage(stage: Stage) -> str:
    """Write a stage down, as `read_stage` reads it."""
    return json.dumps(asdict(stage), indent=1, ensure_ascii=False) + "\n"


def read_stage(folder: Path) -> Stage:
    """Read what the notebook in a folder asks.

    Raises
    ------
    InputError
        If that folder holds no stage, or its list of questions is damaged.
    """
    path = folder / CHECKS / FILE
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        questions = [StageQuestion(**{**found, "blanks": tuple(found["blanks"])}) for found in content["questions"]]
        return Stage(content["name"], content["title"], tuple(questions))
    except FileNotFoundError as error:
        msg = f"{folder.absolute()} is no stage's folder: it has no {CHECKS}/{FILE}, which came with the notebook"
        raise InputError(msg) from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        msg = f"{path} is damaged ({type(error).__name__}); take it from the course's files again"
        raise InputError(msg) from error


def stage_folders(folder: Path) -> list[Path]:
    """Find the folders of stages: a folder itself, those in it, and those in its `assignments`."""
    places = [folder, *sorted(folder.glob("*")), *sorted(folder.glob("assignments/*"))]
    return [place for place in places if (place / CHECKS / FILE).is_file()]


def find_stage(name: str, folder: Path) -> Path:
    """Find a stage's folder by its name or how that begins, such as `04`, in a folder or up to two above it.

    Raises
    ------
    InputError
        If there is none, or more than one; the message lists those there are.
    """
    wanted = Path(name).name.removesuffix(".ipynb")
    there: list[Path] = []
    for place in (folder.absolute(), *folder.absolute().parents[:2]):
        there = stage_folders(place) or there
        exact = [path for path in there if path.name == wanted]
        found = exact or [path for path in there if wanted and path.name.startswith(wanted)]
        if len(found) == 1:
            return found[0]
    names = ", ".join(path.name for path in there) or "none; work in the course's folder"
    msg = f"there is no stage {name!r} in {folder.absolute()}; there are: {names}"
    raise InputError(msg)
