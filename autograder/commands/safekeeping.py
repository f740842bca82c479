"""Backups, and one step back."""

from pathlib import Path
from typing import Annotated

import typer

from autograder.commands.options import HERE, CourseOption
from starter.errors import counted, listed


def backup(
    file: Annotated[Path, typer.Argument(help="The .zip to write; it must not be there yet.")],
    course: CourseOption = HERE,
) -> None:
    """Write the course into one file.

    It holds what cannot be made again: course.toml with its roster, solutions/, questions/, what students were given,
    the hidden cells, the secret, every attempt, results, the gradebook with all that you gave by hand, and feedback
    pages. It holds the secret and grades, so it is yours alone. The screen that [data] names is not in it.

    Example: autograder backup ../course-2026-10-02.zip
    """
    from autograder.course import read_course
    from autograder.safekeeping.backup import write_backup

    manifest, left_out = write_backup(read_course(course), file)
    size = sum(kept.size for kept in manifest.files.values())
    typer.echo(f"wrote {file}: {counted(len(manifest.files), 'file')} of {size / 1e6:,.1f} MB, each with its hash")
    if left_out:
        typer.echo(f"left out, since these are links, special files or have odd names: {listed(left_out)}", err=True)


def restore(
    file: Annotated[Path, typer.Argument(help="What autograder backup wrote.")],
    folder: Annotated[Path, typer.Argument(help="A new folder for the course.")],
) -> None:
    """Unpack a backup into a new folder.

    Every file is compared with its hash, and nothing is overwritten. The same points come out when you grade there.

    Example: autograder restore course-2026-10-02.zip course
    """
    from autograder.course import read_course
    from autograder.safekeeping.restore import restore_backup
    from autograder.settings import SIMULATED
    from autograder.text import both_times

    manifest = restore_backup(file, folder)
    typer.echo(f"restored {counted(len(manifest.files), 'file')} of {manifest.course} to {folder}")
    opened = read_course(folder)
    typer.echo(f"it is as of {both_times(manifest.made, opened.zone())}; grade there, or with --course {folder}")
    screen = opened.data.screen
    if screen != SIMULATED and not (opened.root / screen).is_file():
        typer.echo(f"the screen {screen} is not in a backup; put it there before you run autograder release")


def undo(
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Even if what was changed by hand since is lost.")] = False,
    course: CourseOption = HERE,
) -> None:
    """Take back the last collect, grade or release.

    All that it changed is put back as it was: attempts and what counts of them, results, notebooks, the gradebook,
    what was released. It says what that is, and asks. Points and comments that you gave since would be lost, so it
    refuses then. It goes back one step; for more, restore a backup.

    Example: autograder undo
    """
    from autograder.course import read_course
    from autograder.safekeeping.undo import undo as take_back

    def agree(plan: str) -> bool:
        typer.echo(plan)
        return yes or typer.confirm("go on?")

    if take_back(read_course(course), agree, force=force):
        typer.echo("done")
