"""The `starter` command, for students and challengers: what `starter.commands` has, by name."""

import typer

from starter.commands import assignment, bench, prediction, scores, simulate
from starter.console import run

app = typer.Typer(
    help="Predict how a cell's transcriptome responds to a gene perturbation; make uploads, check and score them. "
    "Add --debug to any command to see the traceback of an error.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,  # to set a page of help in boxes takes longer than all else that --help does
    context_settings={"max_content_width": 100},
)
truth_app = typer.Typer(
    help="Prepare measured screens for scoring. Profiles, tables of differential expression, baseline and replicate "
    "are made once, and every prediction is scored against them.",
    no_args_is_help=True,
)
app.add_typer(truth_app, name="truth")
app.command()(prediction.predict)
app.command()(prediction.cells)
app.command()(prediction.check)
app.command()(prediction.pack)
app.command("import-prediction")(prediction.import_prediction)
app.command("try")(bench.try_)
app.command()(bench.bench)
app.command()(scores.score)
app.command()(scores.compare)
app.command()(scores.history)
app.command()(scores.metrics)
truth_app.command("build")(scores.truth_build)
app.command()(simulate.simulate)
app.command()(assignment.progress)
app.command("hand-in")(assignment.hand_in)
app.command()(assignment.submit)


def main() -> None:
    """Run the command line."""
    run(app)
