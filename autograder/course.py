"""The instructor's one file, `course.toml`, and the secret that makes hidden inputs differ."""

import hashlib
import hmac
import os
import secrets
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    StringConstraints,
    ValidationError,
    field_validator,
)

from starter.schema import InputError

FILE = "course.toml"
SECRET_BYTES = 32
SIMULATED = "simulated"
"""The value of `[data] screen` for a simulated screen."""
KINDS_OF_VALUE = ("constrained-int", "list[str]", "int")
"""What the validation adds to a key's name where a key takes two kinds of value."""
Names = Annotated[list[str], Field(min_length=1)]


class Section(BaseModel):
    """A table of `course.toml`: unknown keys are refused, since a misspelt key would be a default in silence."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Data(Section):
    """`[data]`: the screen and how it is split."""

    screen: str = SIMULATED
    """`simulated`, or the path of a course data set (`.h5ad`) relative to `course.toml`."""
    preset: str = "default"
    """Of a simulated screen."""
    seed: Annotated[int, Field(ge=0)] | None = None
    """Of a simulated screen. Leave it out in a graded course: then it follows from the course's secret."""
    priors: str | None = None
    """Folder with prior knowledge for the students, relative to `course.toml`; a simulated screen makes its own."""
    hidden: PositiveInt | Names = 48
    """Perturbations to predict: their names, or how many are drawn."""
    public: PositiveInt | Names = 24
    """Perturbations of public validation, likewise."""
    split: str | None = None
    """A `split.json` relative to `course.toml`, instead of hidden and public: the unit is a (context, perturbation)."""


class Limits(Section):
    """`[limits]`: what a submission may use."""

    seconds: Annotated[int, Field(ge=1, le=86_400)] = 120
    """For all cells and questions of a notebook."""
    memory_gib: Annotated[float, Field(ge=1, le=4096)] = 4.0
    submission_mib: PositiveInt = 64


class Stage(Section):
    """`[stages.NN_stage]`: one notebook."""

    title: str = ""


TAKEN = frozenset(
    ("submitted", "normalised", "generated", "autograded", "feedback", "results", "secret", "gradebook.db")
)
"""What else lies in `grading/`, which no course may be called."""


class About(Section):
    """`[course]`: its names."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,63}$")]
    """Becomes a folder: at most 64 letters, digits and hyphens."""
    title: str = ""

    @field_validator("name")
    @classmethod
    def _not_taken(cls, name: str) -> str:
        if name in TAKEN:
            msg = "this name is taken by a folder of the grader"
            raise ValueError(msg)
        return name


class Settings(Section):
    """All of `course.toml`."""

    course: About
    data: Data = Data()
    limits: Limits = Limits()
    stages: dict[Annotated[str, StringConstraints(pattern=r"^\d\d_[a-z0-9_]+$")], Stage] = {}


@dataclass(frozen=True)
class Course:
    """A course and its folders."""

    root: Path
    """The folder of `course.toml`."""
    settings: Settings

    @property
    def name(self) -> str:
        """The course's name in paths."""
        return self.settings.course.name

    @property
    def data(self) -> Data:
        """The screen and its split."""
        return self.settings.data

    @property
    def limits(self) -> Limits:
        """What a submission may use."""
        return self.settings.limits

    @property
    def stages(self) -> dict[str, Stage]:
        """The notebooks."""
        return self.settings.stages

    @property
    def public_folder(self) -> Path:
        """What students get: `train.h5ad`, `split.json`, `priors/`."""
        return self.root / "data" / self.name

    @property
    def grading(self) -> Path:
        """Submissions, results, the gradebook and the secret; students never see it."""
        return self.root / "grading"

    @property
    def hidden_folder(self) -> Path:
        """Hidden cells and their truth."""
        return self.grading / self.name

    def check_stage(self, stage: str) -> None:
        """Refuse a stage that `course.toml` does not name.

        Raises
        ------
        InputError
            With the stages that it names.
        """
        if stage not in self.stages:
            msg = f"{self.root / FILE} has no stage {stage!r}; it has {', '.join(self.stages) or 'none'}"
            raise InputError(msg)

    def secret(self) -> bytes:
        """Read the course's secret; the first call makes it."""
        path = self.grading / "secret"
        try:
            self.grading.mkdir(parents=True, exist_ok=True)
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            try:
                secret = bytes.fromhex(path.read_text(encoding="utf-8").strip())
            except (OSError, ValueError):
                secret = b""
            if len(secret) != SECRET_BYTES:
                msg = f"{path} is damaged; restore it from a backup, since grades depend on it"
                raise InputError(msg) from None
            return secret
        except OSError as error:
            msg = f"cannot write {path}: {error.strerror}"
            raise InputError(msg) from error
        secret = secrets.token_bytes(SECRET_BYTES)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(secret.hex() + "\n")
        return secret

    def derived_seed(self, *names: str) -> int:
        """Make a seed that only the instructor can know: HMAC-SHA256 of names under the secret.

        The same names give the same seed, so that grading again gives the same points.
        """
        message = "\0".join(names).encode()
        return int.from_bytes(hmac.new(self.secret(), message, hashlib.sha256).digest()[:8], "big")


def read_course(path: str | Path = FILE) -> Course:
    """Read `course.toml`.

    Raises
    ------
    InputError
        If it is missing, is not TOML, or has an unknown key or a wrong value; the message names it.
    """
    path = Path(path)
    if path.is_dir():
        path = path / FILE
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror}; run in the course's folder, or name its {FILE} with --course"
        raise InputError(msg) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        msg = f"{path} is not valid TOML: {error}"
        raise InputError(msg) from error
    try:
        return Course(path.absolute().parent, Settings.model_validate(content))
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part not in KINDS_OF_VALUE)
        what = f"{first['msg'][0].lower()}{first['msg'][1:]}, not {first['input']!r}"
        what = {"missing": "this key is required", "extra_forbidden": "there is no such key"}.get(first["type"], what)
        msg = f"{path}: {place}: {what}; docs/instructor.md explains the keys"
        raise InputError(msg) from error
