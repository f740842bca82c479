"""`python -m data_scripts`: build course data sets from public data."""

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
    from data_scripts import string_db
    from starter.dataset import perturbations, read_screen

    path = screen.build(out)
    adata = read_screen(path)
    targets = perturbations(adata)
    typer.echo(f"wrote {path}: {adata.n_obs:,} cells x {adata.n_vars} genes, {len(targets)} targets")
    graph = string_db.build({*targets, *adata.var_names}, out / "priors", out / "downloads")
    typer.echo(f"wrote {graph}")


@app.command("list")
def list_data_sets() -> None:
    """List the data sets of the catalogue."""
    for name, entry in catalogue().items():
        typer.echo(f"{name}: {entry.title}\n  {entry.licence}; {entry.citation}")


if __name__ == "__main__":
    try:
        app()
    except InputError as fault:
        typer.echo(f"error: {fault}", err=True)
        raise SystemExit(2) from None
