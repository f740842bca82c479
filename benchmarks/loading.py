"""`python -m benchmarks.loading`: cells a second that reach a model, from memory and from the same file on disk.

Every way gives all cells once, in batches of dense float32 counts. Before each the file is taken out of the system's
page cache, where the system can do that.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import anndata
import h5py
import numpy as np
import scipy.sparse
import typer
from scdataset import BlockShuffling, scDataset

from benchmarks.watch import forget, machine
from starter.console import run
from starter.simulation import biology
from starter.simulation.setup import Size
from starter.simulation.write import write

CELLS_OF_A_TARGET = 100
VERSIONS = ("virtual-cell-course", "anndata", "h5py", "scDataset", "scipy", "torch")
app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def loading(
    cells: Annotated[int, typer.Option(min=1_000, help="Cells of the simulated screen.")] = 20_000,
    genes: Annotated[int, typer.Option(min=1_000, help="Its genes.")] = 2_000,
    batch_size: Annotated[int, typer.Option(min=1, help="Cells of a batch.")] = 64,
    block_size: Annotated[int, typer.Option(min=1, help="Neighbouring cells that scDataset reads together.")] = 64,
    fetch_factor: Annotated[int, typer.Option(min=1, help="Batches that are read at once.")] = 16,
    seconds: Annotated[float, typer.Option(help="Time for each way; a slow one does not reach the end.")] = 20.0,
) -> None:
    """Read a screen in several ways and print a table."""
    sizes = (batch_size, block_size, fetch_factor)
    print(machine(VERSIONS))
    print(f"Simulated screen, batches of {batch_size}, {fetch_factor} read at once, blocks of {block_size}.\n")
    print("| stored | read | cells a second | times random rows |\n|---|---|---|---|")
    for compression in (None, "gzip"):
        with tempfile.TemporaryDirectory() as folder:
            targets = cells // (CELLS_OF_A_TARGET + 20)
            size = Size(targets, genes, cells - targets * CELLS_OF_A_TARGET, CELLS_OF_A_TARGET, extra_cells=0)
            path = write(biology.draw(seed=1, size=size), folder, compression)
            speeds = {way: _speed(path, way, sizes, seconds) for way in WAYS}
            stored = f"{compression or 'uncompressed'}, {path.stat().st_size / 1e6:,.0f} MB"
        for way, speed in speeds.items():
            print(f"| {stored} | {way} | {speed:,.0f} | {speed / speeds[RANDOM]:.1f} |")


def _speed(path: Path, way: str, sizes: tuple[int, int, int], seconds: float) -> float:
    """Read a file in a way, for some seconds at most."""
    with h5py.File(path) as file:
        counts = anndata.io.sparse_dataset(file["X"])
        source = counts[:] if way == MEMORY else counts
        forget(path)
        n_cells, start = 0, time.perf_counter()
        for batch in WAYS[way](source, *sizes):
            n_cells += len(batch.toarray())
            if time.perf_counter() - start > seconds:
                break
        return n_cells / (time.perf_counter() - start)


Source = scipy.sparse.csr_matrix | anndata.abc.CSRDataset
Batches = Iterator[scipy.sparse.csr_matrix]


def _in_order(counts: Source, batch_size: int, block_size: int, fetch_factor: int) -> Batches:
    del block_size, fetch_factor
    for start in range(0, counts.shape[0], batch_size):
        yield counts[start : start + batch_size]


def _random(counts: Source, batch_size: int, block_size: int, fetch_factor: int) -> Batches:
    del block_size, fetch_factor
    order = np.random.default_rng(0).permutation(counts.shape[0])
    for start in range(0, len(order), batch_size):
        yield counts[order[start : start + batch_size]]


def _sorted(counts: Source, batch_size: int, block_size: int, fetch_factor: int) -> Batches:
    del block_size
    rng = np.random.default_rng(0)
    order, fetched = rng.permutation(counts.shape[0]), batch_size * fetch_factor
    for start in range(0, len(order), fetched):
        rows = np.sort(order[start : start + fetched])
        yield from _random(counts[rows], batch_size, 0, 0)


def _blocks(counts: Source, batch_size: int, block_size: int, fetch_factor: int) -> Batches:
    strategy = BlockShuffling(block_size, indices=np.arange(counts.shape[0]))
    yield from scDataset(counts, strategy, batch_size, fetch_factor, seed=0)


MEMORY, RANDOM = "in memory, random rows", "backed, random rows"
WAYS = {
    MEMORY: _random,
    RANDOM: _random,
    "backed, random rows, sorted in each reading": _sorted,
    "scDataset: random blocks": _blocks,
    "backed, in the file's order": _in_order,
}
"""What the table says -> how the batches come."""


if __name__ == "__main__":
    run(app)
