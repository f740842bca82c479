"""`python -m benchmarks.pieces scale 1000000 5000000`: screens of millions of cells, written as pieces and summed up.

They are simulated, and lie in a folder that is deleted at the end. Files are out of the page cache at first, where the
system can do that. Time is without that of imports; memory is that of a process and its workers together.
"""

import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.drawn import PART, Drawn
from benchmarks.watch import machine, timed, watch_module
from data_scripts.pieces.cluster import connected, sum_pieces
from data_scripts.pieces.folder import open_pieces
from data_scripts.pieces.write import write_pieces
from starter.console import run
from starter.data.h5ad import open_h5ad, read_blocks, read_frame
from starter.errors import InputError, counted
from starter.schema import BATCH, CONTROL, N_UMIS, TARGET_GENE

VERSIONS = ("virtual-cell-course", "anndata", "dask", "distributed", "h5py", "numba", "numpy", "zarr")
PIECE = 100_000
NUMPY = "NumPy, block by block"

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)
Folder = Annotated[Path | None, typer.Option(help="Where to work; default: the system's temporary folder.")]


@app.command()
def scale(
    cells: Annotated[list[int], typer.Argument(help="Sizes of the screens, in cells.")],
    genes: Annotated[int, typer.Option(min=1_000, help="Their genes.")] = 2_000,
    kind: Annotated[str, typer.Option(help="zarr or h5ad.")] = "zarr",
    workers: Annotated[list[int] | None, typer.Option(help="Processes that sum up; may be repeated.")] = None,
    check: Annotated[int, typer.Option(help="Up to this size, sums are compared with NumPy's.")] = 200_000,
    folder: Folder = None,
) -> None:
    """Write screens as pieces, sum them up, and print how time and memory grow.

    NumPy gets the same cells, one block after the other, and adds them up for the comparison.
    """
    print(machine(VERSIONS))
    print(f"Simulated screens of {genes:,} genes, {kind} pieces of {PIECE:,} cells.\n")
    print("| cells | work | s | CPU s | cells a second | peak memory | |\n|---|---|---|---|---|---|---|")
    for n_cells in cells:
        with tempfile.TemporaryDirectory(dir=folder) as name:
            work = Path(name)
            pieces = work / "simulated_pieces"
            steps = {"write": ["write-one", n_cells, genes, kind, pieces]}
            for number in workers or (1, 2):
                steps[f"sum up, {counted(number, 'process', 'processes')}"] = [
                    "sum-one", pieces, number, work / f"{number}.sums.npz",
                ]  # fmt: skip
            if n_cells <= check:
                steps[NUMPY] = ["numpy-one", pieces, work / "numpy.npz"]
            for what, command in steps.items():
                seconds, ended = watch_module("benchmarks.pieces", command, work, [pieces])
                if ended.failure:
                    msg = f"{what}: {ended.failure}"
                    raise InputError(msg)
                note = f"{_size(pieces) / 1e9:.2f} GB on disk" if what == "write" else ""
                note = _compared(work) if what == NUMPY else note
                print(
                    f"| {n_cells:,} | {what} | {seconds:.0f} | {ended.cpu:.0f} | {n_cells / seconds:,.0f} | "
                    f"{ended.peak / 2**30:.2f} GiB | {note} |",
                    flush=True,
                )


@app.command("write-one", hidden=True)
def write_one(n_cells: int, n_genes: int, kind: str, folder: Path, told: Path) -> None:
    """Write a drawn screen, in a process of its own; drawing is part of the time."""
    source = Drawn(n_cells, n_genes).source()
    with timed(told):
        write_pieces(source, folder, PIECE, kind)


@app.command("sum-one", hidden=True)
def sum_one(folder: Path, workers: int, out: Path, told: Path) -> None:
    """Sum up pieces, in a process of its own."""
    pieces = open_pieces(folder)
    with timed(told), connected(workers=workers) as client:
        found = sum_pieces(pieces, client)
    names = [" ".join(key) for key in found.n_cells.index]
    np.savez(out, names=names, n=found.n_cells, counts=found.counts, logs=found.logs, squares=found.squares)


@app.command("numpy-one", hidden=True)
def numpy_one(folder: Path, out: Path, told: Path) -> None:
    """Add up the same with NumPy alone: dense blocks, a group's rows at a time."""
    with timed(told):
        sums = _numpy_sums(folder)
    names = sorted(sums)
    stacked = {
        key: np.stack([sums[name][number] for name in names])
        for number, key in enumerate(("n", "counts", "logs", "squares"))
    }
    np.savez(out, names=names, **stacked)


def _numpy_sums(folder: Path) -> dict[str, list]:
    pieces = open_pieces(folder)
    target_sum = pieces.course["target_sum"]
    sums: dict[str, list] = {}
    for path in pieces.paths:
        with open_h5ad(path) as file:
            obs, start = read_frame(file, "obs"), 0
            for block in read_blocks(file["X"], PART, checked=False):
                table = obs.iloc[start : start + block.shape[0]]
                start += block.shape[0]
                counts = block.toarray().astype(np.float64)
                logs = np.log1p(target_sum * counts / table[N_UMIS].to_numpy(float)[:, None]).astype(np.float32)
                logs = logs.astype(np.float64)
                labels, batches = table[TARGET_GENE].astype(str).to_numpy(), table[BATCH].astype(str).to_numpy()
                masks = {f"one context {label} all": labels == label for label in set(labels)}
                control = labels == CONTROL
                masks |= {f"one context {CONTROL} {one}": control & (batches == one) for one in set(batches[control])}
                for key, mask in masks.items():
                    found = [
                        mask.sum(),
                        counts[mask].sum(axis=0),
                        logs[mask].sum(axis=0),
                        (logs[mask] ** 2).sum(axis=0),
                    ]
                    sums[key] = [a + b for a, b in zip(sums[key], found, strict=True)] if key in sums else found
    return sums


def _compared(work: Path) -> str:
    """Say how far the sums of all runs are from NumPy's."""
    due = np.load(work / "numpy.npz")
    worst, exact = 0.0, True
    for path in work.glob("*.sums.npz"):
        found = np.load(path)
        order = np.argsort(found["names"])
        exact &= list(found["names"][order]) == list(due["names"])
        exact &= all(np.array_equal(found[key][order], due[key]) for key in ("n", "counts"))
        for key in ("logs", "squares"):
            apart = np.abs(found[key][order] - due[key]) / np.maximum(due[key], 1)
            worst = max(worst, float(apart.max()))
    return f"counts {'equal' if exact else 'DIFFER'}, logs and squares within {worst:.0e}"


def _size(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())


if __name__ == "__main__":
    run(app)
