"""The option that every command has."""

from pathlib import Path
from typing import Annotated

import typer

CourseOption = Annotated[Path, typer.Option("--course", help="The course's course.toml, or its folder.")]
HERE = Path("course.toml")
