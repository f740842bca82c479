"""`python -m benchmarks.data`: what it costs to convert a screen and to read it in batches, beside other tools.

Screens are simulated, and lie in a folder that is deleted at the end. Files are out of the page cache at first, where
the system can do that. Time is without that of imports; memory is that of the whole process.
"""

import functools
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated

import anndata
import h5py
import numpy as np
import pandas as pd
import scipy.sparse
import typer

from benchmarks.drawn import Drawn, simulated
from benchmarks.watch import forget, machine, timed, watch_module
from starter.console import run
from starter.data.h5ad import open_h5ad, read_blocks, read_frame
from starter.files import check_room
from starter.schema import N_UMIS, TARGET_GENE
from starter.simulation.counts import draw_counts

VERSIONS = ("virtual-cell-course", "anndata", "crispyx", "h5py", "scDataset", "scipy", "torch", "zarr")
PIECE = 100_000

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
Folder = Annotated[Path | None, typer.Option(help="Where to work; default: the system's temporary folder.")]


@app.command()
def convert(
    cells: Annotated[int, typer.Option(min=1_000, help="Cells of the simulated screen.")] = 30_000,
    genes: Annotated[int, typer.Option(min=1_000, help="Its genes.")] = 8_563,
    rounds: Annotated[int, typer.Option(min=1, help="How often each way is tried; the quickest counts.")] = 2,
    folder: Folder = None,
) -> None:
    """Convert a dense `.h5ad` to CSR in several ways and print a table; every way must store the same counts."""
    with tempfile.TemporaryDirectory(dir=folder) as name:
        work = Path(name)
        dense = work / "simulated_dense.h5ad"
        check_room(work, 4 * cells * genes * 2)
        _write_dense(dense, cells, genes)
        size = dense.stat().st_size
        print(machine(VERSIONS))
        print(f"Dense float32, {cells:,} x {genes:,}, {size / 1e6:,.0f} MB; best of {rounds}.\n")
        print("| way | s | MB a second | times anndata | peak memory | file |\n|---|---|---|---|---|---|")
        stored, first = [], float("nan")
        for way in CONVERSIONS:
            out = work / "simulated_csr.h5ad"
            ended = [
                watch_module("benchmarks.data", ["convert-one", way, dense, out], work, [dense]) for _ in range(rounds)
            ]
            seconds, watched = min(ended, key=lambda one: one[0])
            if watched.failure:
                print(f"| {way} | {watched.failure} | | | | |")
                continue
            first = seconds if np.isnan(first) else first
            stored.append(_fingerprint(out))
            print(
                f"| {way} | {seconds:.1f} | {size / 1e6 / seconds:,.0f} | {first / seconds:.2f} | "
                f"{watched.peak / 2**30:.2f} GiB | {out.stat().st_size / 1e6:,.0f} MB |"
            )
        print(f"\nSame counts by every way: {'yes' if len(set(stored)) == 1 else 'NO'}.")


@app.command("convert-one", hidden=True)
def convert_one(way: str, path: Path, out: Path, told: Path) -> None:
    """Convert in one way, in a process of its own."""
    out.unlink(missing_ok=True)
    warnings.simplefilter("ignore")
    with timed(told):
        CONVERSIONS[way](path, out)


def _by_anndata(path: Path, out: Path, compression: str | None) -> None:
    adata = anndata.read_h5ad(path)
    adata.X = scipy.sparse.csr_matrix(adata.X)
    adata.write_h5ad(out, compression=compression)


def _by_crispyx(path: Path, out: Path) -> None:
    import crispyx

    crispyx.pp.convert_to_csr(path, output_path=out, verbose=False)


def _by_the_kit(path: Path, out: Path) -> None:
    from data_scripts.adoption.convert import convert
    from data_scripts.adoption.layout import Layout

    convert(path, Layout(target="gene", n_umis="UMI_count", batch="gem_group"), out, {"simulated": True})


CONVERSIONS: dict[str, Callable[[Path, Path], None]] = {
    "anndata: read_h5ad, csr_matrix, write": functools.partial(_by_anndata, compression=None),
    "anndata, written with gzip": functools.partial(_by_anndata, compression="gzip"),
    "crispyx.pp.convert_to_csr": _by_crispyx,
    "the kit: adoption.convert (checked, labelled, gzip, lineage)": _by_the_kit,
}


def _write_dense(path: Path, n_cells: int, n_genes: int) -> None:
    """Write a screen in the layout of Replogle's files: dense counts, `gene`, `gem_group`, `UMI_count`."""
    simulation, obs, code = simulated(n_cells, n_genes)
    table = pd.DataFrame(
        {
            "gene": obs[TARGET_GENE].astype(str).astype("category"),
            "gem_group": np.arange(n_cells) % 48,
            "UMI_count": obs[N_UMIS].to_numpy(float),
        },
        index=obs.index,
    )
    anndata.AnnData(obs=table, var=pd.DataFrame(index=simulation.genes)).write_h5ad(path)
    with h5py.File(path, "r+") as file:
        if "X" in file:
            del file["X"]
        x = file.create_dataset("X", (n_cells, n_genes), np.float32)
        x.attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})
        start = 0
        for block in draw_counts(simulation, obs, code):
            x[start : start + block.shape[0]] = block.toarray()
            start += block.shape[0]


def _fingerprint(path: Path) -> tuple[int, float, float]:
    """Sum up what a file stores: its values, their sum, and the sum of each times its gene's number."""
    n, total, weighted = 0, 0.0, 0.0
    with open_h5ad(path) as file:
        for block in read_blocks(file["X"], checked=False):
            n += block.nnz
            total += float(block.data.sum(dtype=np.float64))
            weighted += float(block.data.astype(np.float64) @ block.indices)
    return n, total, weighted


@app.command()
def batches(
    cells: Annotated[int, typer.Option(min=10_000, help="Cells of the simulated screen.")] = 300_000,
    genes: Annotated[int, typer.Option(min=1_000, help="Its genes.")] = 2_000,
    batch_size: Annotated[int, typer.Option(min=1, help="Cells of a batch.")] = 64,
    seconds: Annotated[float, typer.Option(help="Time for each way; a slow one does not reach the end.")] = 20.0,
    folder: Folder = None,
) -> None:
    """Read pieces in batches of dense float32 in several ways and print cells a second."""
    print(machine(VERSIONS))
    print(f"Simulated screen, {cells:,} x {genes:,}, pieces of {PIECE:,}, batches of {batch_size}, out of the cache.\n")
    print("| stored | read | cells a second | times AnnLoader |\n|---|---|---|---|")
    for kind in ("h5ad", "zarr"):
        with tempfile.TemporaryDirectory(dir=folder) as name:
            from data_scripts.pieces.write import write_pieces

            path = Path(name) / "simulated_pieces"
            write_pieces(Drawn(cells, genes).source(), path, PIECE, kind)
            speeds = {}
            for way, read in READINGS.items():
                forget(path)
                speeds[way] = _speed(read(path, batch_size), seconds)
            for way, speed in speeds.items():
                print(f"| {kind} | {way} | {speed:,.0f} | {speed / speeds[ANNLOADER]:.1f} |", flush=True)


def _speed(given: Iterator[int], seconds: float) -> float:
    n_cells, start = 0, time.perf_counter()
    for n in given:
        n_cells += n
        if time.perf_counter() - start > seconds:
            break
    return n_cells / (time.perf_counter() - start)


def _annloader(path: Path, batch_size: int) -> Iterator[int]:
    """AnnLoader over a collection of the pieces, backed, in random order."""
    from anndata.experimental import AnnCollection, AnnLoader

    from data_scripts.pieces.folder import open_pieces

    warnings.simplefilter("ignore")
    parts = []
    for piece in open_pieces(path).paths:
        if piece.suffix == ".h5ad":
            parts.append(anndata.read_h5ad(piece, backed="r"))
        else:
            with open_h5ad(piece) as store:
                x = anndata.io.sparse_dataset(store["X"])
                parts.append(anndata.AnnData(x, read_frame(store, "obs"), read_frame(store, "var")))
    collection = AnnCollection(parts, join_vars="inner", indices_strict=False)
    for batch in AnnLoader(collection, batch_size=batch_size, shuffle=True):
        yield len(batch.X.to_dense() if hasattr(batch.X, "to_dense") else batch.X)


def _streamed(path: Path, batch_size: int, block_size: int = 64) -> Iterator[int]:
    from data_scripts.pieces.batches import StoredCells, stream
    from data_scripts.pieces.folder import open_pieces

    with StoredCells(open_pieces(path)) as stored:
        for counts, _ in stream(stored, batch_size, seed=0, block_size=block_size):
            yield len(counts)


def _random_rows(path: Path, batch_size: int) -> Iterator[int]:
    from data_scripts.pieces.batches import StoredCells
    from data_scripts.pieces.folder import open_pieces

    with StoredCells(open_pieces(path)) as stored:
        order = np.random.default_rng(0).permutation(len(stored))
        for start in range(0, len(order), batch_size):
            counts, _ = stored[np.sort(order[start : start + batch_size])]
            yield len(counts.toarray())


def _in_order(path: Path, batch_size: int) -> Iterator[int]:
    from data_scripts.pieces.batches import StoredCells
    from data_scripts.pieces.folder import open_pieces

    with StoredCells(open_pieces(path)) as stored:
        for start in range(0, len(stored), batch_size):
            counts, _ = stored[np.arange(start, min(start + batch_size, len(stored)))]
            yield len(counts.toarray())


ANNLOADER = "AnnLoader, random rows"
READINGS: dict[str, Callable[[Path, int], Iterator[int]]] = {
    ANNLOADER: _annloader,
    "the kit's rows, random": _random_rows,
    "stream: scDataset, random blocks of 64": _streamed,
    "stream: scDataset, random blocks of 512": functools.partial(_streamed, block_size=512),
    "in the file's order": _in_order,
}


if __name__ == "__main__":
    run(app)
