"""The instructor's one file, `course.toml`, and the secret that makes hidden inputs differ."""

import hashlib
import hmac
import os
import secrets
import tempfile
import tomllib
from contextlib import suppress
from dataclasses import dataclass
from datetime import tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

from pydantic import (
    ValidationError,
)

from autograder.folders import GRADING, SECRET
from autograder.settings import KINDS_OF_VALUE, Data, Late, Limits, Settings, Stage, Student
from starter.errors import InputError

FILE = "course.toml"
SECRET_BYTES = 32


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
        return self.root / GRADING

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

    def zone(self, stage: str | None = None) -> tzinfo | None:
        """Give the zone in which times are shown beside UTC: `timezone`, else that of the (first) deadline, if any."""
        stages = self.stages.values() if stage is None else [self.stages[stage]]
        named = [ZoneInfo(name)] if (name := self.settings.course.timezone) else []
        zones = [*named, *(settings.deadline.tzinfo for settings in stages if settings.deadline)]
        return zones[0] if zones and str(zones[0]) != "UTC" else None

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
        path = self.grading / SECRET
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
