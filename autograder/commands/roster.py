"""Who takes part."""

from pathlib import Path
from typing import Annotated

import typer

from autograder.commands.options import HERE, CourseOption


def roster(
    file: Annotated[Path, typer.Argument(help="What Canvas's gradebook or Moodle's participants or grades exported.")],
    course: CourseOption = HERE,
) -> None:
    """Take students from Canvas or Moodle into course.toml.

    Import again whenever students come: nobody is removed, and teams and all else in course.toml stay. Import the
    exports of both platforms, and students are found by id, login, e-mail address or name.

    Example: autograder roster Gradebook.csv
    """
    from autograder.course import read_course
    from autograder.roster import import_roster

    changes = import_roster(read_course(course), file)
    for names, what in (
        (changes.added, "added"),
        (changes.updated, "updated"),
        (changes.absent, "not in the file, and still in course.toml"),
    ):
        typer.echo(f"{what}: {len(names)}" + (f" ({', '.join(names)})" if names else ""))
