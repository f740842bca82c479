"""The `autograder` command, for instructors: what `autograder.commands` has, by name."""

import typer

from autograder.commands import gradebook, grading, handed_in, leaderboard, release, roster, safekeeping
from starter.console import run

app = typer.Typer(
    help="Run a course: release its data and notebooks, grade what students hand in. "
    "Add --debug to any command to see the traceback of an error.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # to set a page of help in boxes takes longer than all else that --help does
    context_settings={"max_content_width": 100},
)
app.command()(release.release)
app.command()(release.rehearse)
app.command("student-kit")(release.student_kit)
app.command()(handed_in.collect)
app.command()(handed_in.requests)
app.command()(grading.grade)
app.command()(gradebook.feedback)
app.command()(roster.roster)
app.command()(gradebook.export)
app.command()(gradebook.stats)
app.command()(safekeeping.backup)
app.command()(safekeeping.undo)
app.command()(safekeeping.restore)
app.command()(grading.similar)
app.command()(leaderboard.tokens)
app.command()(leaderboard.serve)
app.command()(leaderboard.board)


def main() -> None:
    """Run the command line."""
    run(app)
