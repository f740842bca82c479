"""A student's notebooks: how far they are."""

from pathlib import Path
from typing import Annotated

import typer

from starter.errors import InputError


def progress(
    folder: Annotated[
        Path, typer.Argument(help="The course's folder, that of all notebooks, or that of one.", show_default=False)
    ] = Path(),
) -> None:
    """Show how far you are in all notebooks.

    Nothing is run: the points are what the last cell of each notebook, progress(), found when it ran. What was saved
    with other blanks since is said; run the notebook again.

    Example: starter progress
    """
    from rich.console import Console

    from starter.assignment.overview import look_at, overview_table
    from starter.assignment.stage import stage_folders

    folders = stage_folders(folder)
    if not folders:
        msg = f"{folder.absolute()} holds no notebook of a course; name the course's folder, which has assignments/"
        raise InputError(msg)
    Console().print(overview_table(map(look_at, folders)))
