"""What `course.toml` may say, checked field by field."""

import re
from collections import Counter
from pathlib import PurePosixPath
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    NonNegativeFloat,
    PositiveFloat,
    PositiveInt,
    StringConstraints,
    field_validator,
    model_validator,
)

from autograder.folders import TAKEN

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
    size: Literal["course", "vcc-small"] = "course"
    """Of a simulated screen, as `starter.simulation.setup.SIZES` has it; larger ones do not fit into memory."""
    doubles: Annotated[int, Field(ge=0)] = 0
    """Perturbations of two genes, `A+B`, in a simulated screen."""
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
    """A metric of the prediction's rule set, by its scaled score (0 for the baseline), or `overall`."""
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
    profile: Literal["course", "vcc2025"] = "course"
    """The rule set by which it is scored."""
    rubric: Annotated[list[Goal], Field(min_length=1)] = [Goal()]
    ahead: list[str] = []
    """What must be better than the baseline, or all else earns nothing. A metric: the 95 % interval of its paired gain
    over the baseline is above 0. `overall`: the score is above 0 with nothing clipped."""

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


class HandIn(Section):
    """`[hand_in]`: where students hand in with `starter hand-in`. Without it, a .zip as you tell them."""

    folder: str | None = None
    """One that all students can write to, as their machines name it; relative to their `course.toml`."""
    exchange: str | None = None
    """The root of nbgrader's exchange."""
    url: Annotated[str, StringConstraints(pattern=r"^https?://\S+$")] | None = None
    """The page of your learning platform where files are uploaded."""
    leaderboard: Annotated[str, StringConstraints(pattern=r"^https?://\S+$")] | None = None
    """The page of the class's table of predictions."""

    @model_validator(mode="after")
    def _one(self) -> Self:
        named = [key for key in ("folder", "exchange", "url") if getattr(self, key) is not None]
        if len(named) > 1:
            msg = f"{' and '.join(named)} are there, and notebooks are handed in at one place"
            raise ValueError(msg)
        return self


class Leaderboard(Section):
    """`[leaderboard]`: the class's table of predictions."""

    stage: str
    """Whose prediction is scored, by its rule set, its limits and its hidden truth."""
    title: str = ""
    """Above the table; empty: the course's title."""
    per_day: Annotated[int, Field(ge=1, le=1000)] = 5
    """Entries that a team may make in a day (UTC); those that were refused do not count."""
    ends: AwareDatetime | None = None
    """When the private half is shown and no more entries are taken; without it the stage's deadline."""
    database: Annotated[str, StringConstraints(pattern=r"^(sqlite|postgresql\+psycopg)://\S*$")] | None = None
    """Where it is kept, such as postgresql+psycopg://user@host/board; without it an SQLite file below `grading/`."""


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


class About(Section):
    """`[course]`: its names."""

    name: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9-]{0,63}$")]
    """Becomes a folder: at most 64 letters, digits and hyphens."""
    title: str = ""
    timezone: str = ""
    """In which times are shown beside UTC, as `Europe/Berlin`; empty: that of a stage's deadline."""

    @field_validator("timezone")
    @classmethod
    def _known(cls, timezone: str) -> str:
        try:
            if timezone:
                ZoneInfo(timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            msg = "it is the name of a time zone, as Europe/Berlin"
            raise ValueError(msg) from error
        return timezone

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
    hand_in: HandIn = HandIn()
    roster: Roster = Roster()
    leaderboard: Leaderboard | None = None
    stages: dict[Annotated[str, StringConstraints(pattern=r"^\d\d_[a-z0-9_]+$")], Stage] = {}

    @model_validator(mode="after")
    def _board_of_a_prediction(self) -> Self:
        if self.leaderboard is None:
            return self
        stage = self.stages.get(self.leaderboard.stage)
        if stage is None or stage.prediction is None:
            asking = [name for name, other in self.stages.items() if other.prediction]
            msg = (
                f"leaderboard.stage is {self.leaderboard.stage!r}, and the stages that ask for a prediction are: "
                f"{', '.join(asking) or 'none'}"
            )
            raise ValueError(msg)
        return self
