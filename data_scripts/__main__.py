"""`python -m data_scripts`: build course data sets from public data."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from data_scripts.catalogue import catalogue
from starter.schema import InputError

app = typer.Typer(
    help="Build course data sets from public data. Files are downloaded once and verified by size and hash; those that "
    "the folder named by the environment variable VCC_DATA has are taken from there.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.command()
def papalexi(
    out: Annotated[Path, typer.Option(help="The folder to write.")] = Path("screens/papalexi_thp1"),
) -> None:
    """Build the real screen of the course (THP-1 knock-outs, 16,159 cells x 299 genes) and its gene graph.

    Example: python -m data_scripts papalexi
    """
    from data_scripts import papalexi as screen

    path = screen.build(out)
    typer.echo(f"wrote {path}, its split, its lineage and its gene graph in {out / 'priors'}")
    typer.echo(
        f'for a course on it, course.toml has\n\n[data]\nscreen = "{path}"\n'
        f'split = "{path.with_suffix(".split.json")}"\npriors = "{out / "priors"}"\n\n'
        "with paths from the folder of course.toml"
    )


@app.command("list")
def list_data_sets() -> None:
    """List the data sets of the catalogue."""
    for name, entry in catalogue().items():
        typer.echo(f"{name}: {entry.title}\n  {entry.licence}; {entry.citation}")


if __name__ == "__main__":
    debug = "--debug" in sys.argv
    try:
        app(args=[argument for argument in sys.argv[1:] if argument != "--debug"])
    except InputError as fault:
        if debug:
            raise
        typer.echo(f"error: {fault}", err=True)
        raise SystemExit(2) from None
