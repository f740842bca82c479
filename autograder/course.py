"""The instructor's one file, `course.toml`, and the secret that makes hidden inputs differ."""

import hashlib
import hmac
import os
import re
import secrets
import tempfile
import tomllib
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path, PurePosixPath
from typing import Annotated, Self

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    ValidationError,
    field_validator,
    model_validator,
)

from starter.schema import InputError

FILE = "course.toml"
SECRET_BYTES = 32
SIMULATED = "simulated"
"""The value of `[data] screen` for a simulated screen."""
KINDS_OF_VALUE = ("constrained-int", "list[str]", "int")
"""What the validation adds to a key's name where a key takes two kinds of value."""
Names = Annotated[list[str], Field(min_length=1)]
STUDENT_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
"""A student's folder."""
StudentId = Annotated[str, StringConstraints(pattern=rf"^{STUDENT_NAME.pattern}$")]


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
    """For all cells of a notebook, whose questions have their own; likewise for opening a prediction."""
    memory_gib: Annotated[float, Field(ge=1, le=4096)] = 4.0
    """Of all its processes together."""
    processes: Annotated[int, Field(ge=8, le=100_000)] = 200
    """Processes and threads at one time."""
    submission_mib: PositiveInt = 64
    """All its files but the prediction."""
    prediction_mib: PositiveInt = 1024
    """The prediction, as handed in and as it comes out of its packing."""
    gpu: bool = False
    """Let submissions use the machine's GPUs; `autograder grade` says which devices that opens."""


class Goal(Section):
    """One metric of a prediction's rubric: points grow linearly from `zero` to `full`."""

    metric: str = "overall"
    """A metric of the course's profile, by its scaled score (0 baseline, 1 replicate), or `overall`."""
    zero: float = 0.0
    """Scaled score that earns nothing."""
    full: float = 0.6
    """Scaled score that earns all."""
    weight: PositiveFloat = 1.0
    """Beside the rubric's other goals."""

    @model_validator(mode="after")
    def _rising(self) -> Self:
        if self.full <= self.zero:
            msg = f"full ({self.full:g}) must be above zero ({self.zero:g})"
            raise ValueError(msg)
        return self


class Prediction(Section):
    """`[stages.NN_stage.prediction]`: the prediction file that a stage asks for, scored against the hidden truth.

    Its points stand, like a question's, in the notebook: in the graded cell named `prediction`.
    """

    file: str = "prediction.h5ad"
    """Beside the notebook; `.h5ad`, or the `.vcc` of the same name."""
    rubric: Annotated[list[Goal], Field(min_length=1)] = [Goal()]

    @field_validator("file")
    @classmethod
    def _inside(cls, file: str) -> str:
        path = PurePosixPath(file)
        if path.is_absolute() or ".." in path.parts or path.suffix not in (".h5ad", ".vcc"):
            msg = "it is the path of an .h5ad or .vcc, from the notebook's folder"
            raise ValueError(msg)
        return file


class Stage(Section):
    """`[stages.NN_stage]`: one notebook."""

    title: str = ""
    deadline: AwareDatetime | None = None
    """With its time zone, as 2026-10-01T23:59:00+02:00. Without one nothing is late."""
    extensions: dict[StudentId, PositiveFloat] = {}
    """Student to hours after the deadline."""
    prediction: Prediction | None = None
    canvas_id: PositiveInt | None = None
    """The assignment's id in Canvas, which its gradebook shows in parentheses."""


class Late(Section):
    """`[late]`: what is taken off after a stage's deadline."""

    points_per_day: NonNegativeFloat = 0.0
    """For every day that has begun."""
    grace_hours: NonNegativeFloat = 0.0
    """After the deadline; the first day begins when they are over."""


class Student(Section):
    """One line of the roster."""

    id: StudentId
    """The student's folder in `grading/submitted/`, and login where the exchange is used."""
    name: str = ""
    email: str = ""
    team: str = ""
    """Students of one team hand in together: the last attempt of any of them counts for all."""
    section: str = ""
    canvas_id: str = ""
    sis_id: str = ""
    moodle_id: str = ""
    """ID number in Moodle."""


class Roster(Section):
    """`[roster]`: who takes part. Without one, whoever hands in."""

    students: list[Student] = []

    @field_validator("students")
    @classmethod
    def _once(cls, students: list[Student]) -> list[Student]:
        if twice := [name for name, times in Counter(student.id for student in students).items() if times > 1]:
            msg = f"{', '.join(twice)} is there more than once"
            raise ValueError(msg)
        return students


TAKEN = frozenset(
    (
        *("attempts", "autograded", "cache", "exports", "feedback", "generated", "gradebook.db", "normalised"),
        *("results", "scorecards", "secret", "similar", "submitted", "work"),
    )
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
    late: Late = Late()
    roster: Roster = Roster()
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
    def late(self) -> Late:
        """What is taken off after a deadline."""
        return self.settings.late

    @property
    def students(self) -> dict[str, Student]:
        """The roster, by id."""
        return {student.id: student for student in self.settings.roster.students}

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

    def team_of(self, student: str) -> list[str]:
        """List who hands in together with a student, who is one of them."""
        entry = self.students.get(student)
        if entry is None or not entry.team:
            return [student]
        return [other.id for other in self.students.values() if other.team == entry.team]

    def due(self, stage: str, student: str) -> datetime | None:
        """Say until when a student may hand in without being late, not counting the grace hours."""
        settings = self.stages[stage]
        if settings.deadline is None:
            return None
        return settings.deadline + timedelta(hours=settings.extensions.get(student, 0.0))

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
            if not path.exists():
                self.grading.mkdir(parents=True, exist_ok=True)
                with tempfile.NamedTemporaryFile("w", dir=self.grading, prefix=".secret-") as file:  # its owner's alone
                    file.write(secrets.token_bytes(SECRET_BYTES).hex() + "\n")
                    file.flush()
                    with suppress(FileExistsError):  # of several who make it at once the first wins
                        os.link(file.name, path)
        except OSError as error:
            msg = f"cannot write {path}: {error.strerror}"
            raise InputError(msg) from error
        try:
            secret = bytes.fromhex(path.read_text(encoding="utf-8").strip())
        except (OSError, ValueError):
            secret = b""
        if len(secret) != SECRET_BYTES:
            msg = f"{path} is damaged; restore it from a backup, since grades depend on it"
            raise InputError(msg)
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
