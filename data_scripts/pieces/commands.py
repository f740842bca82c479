"""`python -m data_scripts pieces`: screens that are too large for one file."""

from pathlib import Path
from typing import Annotated

import typer

app = typer.Typer(help="Screens that are too large for one file: written as pieces, summed up.", no_args_is_help=True)


@app.command()
def write(
    screens: Annotated[
        list[Path], typer.Argument(help="Course data sets (.h5ad, Zarr) with the same genes, one or more.")
    ],
    out: Annotated[Path, typer.Option(help="The folder to write.")] = Path("pieces"),
    cells: Annotated[int, typer.Option(min=1, help="Cells of a piece.")] = 100_000,
    kind: Annotated[str, typer.Option(help="zarr (sharded; quicker to write and sum up) or h5ad.")] = "zarr",
) -> None:
    """Cut screens into pieces. Stopped? Run it again: it goes on with the first piece that is not complete.

    Example: python -m data_scripts pieces write plate1.h5ad plate2.h5ad --out tahoe_pieces
    """
    from data_scripts.pieces.source import open_source
    from data_scripts.pieces.write import write_pieces

    with open_source(screens) as source:
        write_pieces(source, out, cells, kind)
        n_cells, n_genes = source.n_cells, len(source.var)
    typer.echo(f"wrote {n_cells:,} cells x {n_genes:,} genes to {out}; python -m data_scripts pieces sums {out}")


@app.command()
def sums(
    pieces: Annotated[Path, typer.Argument(help="A folder of pieces.")],
    out: Annotated[Path, typer.Option(help="The file to write.")] = Path("pseudobulk.h5ad"),
    workers: Annotated[int, typer.Option(min=1, help="Processes of this machine that share the work.")] = 1,
    dask: Annotated[
        str | None, typer.Option(help="Address of a Dask scheduler whose workers do it instead: tcp://HOST:8786.")
    ] = None,
) -> None:
    """Sum up all cells: pseudobulk, mean and variance of log expression of each perturbation and of control batches.

    Example: python -m data_scripts pieces sums tahoe_pieces --out pseudobulk.h5ad --workers 2
    """
    from data_scripts.lineage import write_lineage
    from data_scripts.pieces import sums as module
    from data_scripts.pieces.cluster import connected, sum_pieces
    from data_scripts.pieces.folder import COMPLETE, open_pieces
    from starter.files import whole

    opened = open_pieces(pieces)
    with whole(out) as part, connected(dask, workers) as client:  # whether it can be written is known at once
        found = sum_pieces(opened, client)
        module.write_sums(found, opened.genes, opened.course, part)
    write_lineage(out, [pieces / COMPLETE], [], {"target_sum": opened.course["target_sum"]}, module.__file__)
    typer.echo(f"wrote {len(found.n_cells):,} groups of {int(opened.n_cells.sum()):,} cells to {out}")
