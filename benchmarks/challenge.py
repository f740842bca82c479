"""`python -m benchmarks.challenge run`: time and memory of each step from a screen to an upload, at full size.

Screens are simulated in the challenge's layout (`starter simulate`). Each step runs in a process of its own.
"""

import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.watch import Watched, machine, watch
from starter.console import run
from starter.data.h5ad import open_h5ad
from starter.data.profiles import read_profiles
from starter.prediction.controls import read_controls

VERSIONS = ("virtual-cell-course", "anndata", "h5py", "numba", "numpy", "scipy", "zstandard")
STARTER = Path(sys.executable).with_name("starter")


class Season(StrEnum):
    """A challenge."""

    of_2025 = "2025"
    of_2026 = "2026"


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command("run")
def main(
    season: Annotated[list[Season] | None, typer.Option(help="Which; default: both.", show_default=False)] = None,
    size: Annotated[str, typer.Option(help="Size of the screens, as starter simulate has it; for trying: small.")] = "",
    folder: Annotated[
        Path | None, typer.Option(help="Keeps the screens for the next time, 45 GB. Default: nothing is kept.")
    ] = None,
) -> None:
    """Print a table (markdown): seconds, processor seconds and peak memory of each step."""
    print(f"{machine(VERSIONS)}\n\n| season | step | seconds | processor s | peak, GiB | |\n|---|---|---|---|---|---|")
    with _folder(folder) as kept:
        for year in season or Season:
            screens = kept / year.value
            if not screens.is_dir():
                options = ["--layout", f"vcc{year.value}", "--seed", 1, *(["--size", size] if size else [])]
                _show(year, "screen simulated", _starter(kept, "simulate", "-o", screens, *options))
            for step, ended in (_steps_2025 if year is Season.of_2025 else _steps_2026)(screens, kept):
                _show(year, step, ended)


def _steps_2025(screens: Path, kept: Path) -> Iterator[tuple[str, Watched]]:
    train, perts = screens / "simulated_adata_Training.h5ad", screens / "pert_counts_Validation.csv"
    due, table = ["--perts", perts, "--genes", screens / "gene_names.csv"], kept / "mean.parquet"
    yield f"profiles of {_size(train)}", _read("profiles", train, kept)
    yield "control cells, and what they are like", _read("controls", train, kept)
    yield (
        "train mean predicted (starter predict)",
        _starter(kept, "predict", "train mean", "--train", train, "--perts", perts, "-o", table),
    )
    plain, upload = kept / "prediction.h5ad", kept / "prediction.vcc"
    yield "cells to upload (starter cells)", _starter(kept, "cells", table, "-o", upload, "--controls", train, *due)
    yield f"upload checked, {_bytes(upload)}", _starter(kept, "check", upload, *due)
    yield "cells to .h5ad", _starter(kept, "cells", table, "-o", plain, "--controls", train, *due)
    yield f"packed, {_bytes(plain)}", _starter(kept, "pack", plain, "-o", upload, *due)
    for path in (table, plain, upload):
        path.unlink(missing_ok=True)


def _steps_2026(screens: Path, kept: Path) -> Iterator[tuple[str, Watched]]:
    contexts = sorted(screens.glob("simulated_context_*.h5ad"))
    perts, table, upload = screens / "pert_counts.csv", kept / "mean.parquet", kept / "prediction.vcc"
    due = ["--perts", perts, "--genes", screens / "gene_names.csv"]
    controls = [option for path in contexts for option in ("--controls", path)]
    train = [option for path in contexts for option in ("--train", path)]
    yield "control mean predicted", _starter(kept, "predict", "control mean", *train, "--perts", perts, "-o", table)
    yield (
        f"cells to upload, of {len(contexts)} contexts",
        _starter(kept, "cells", table, "--season", 2026, "-o", upload, *controls, *due),
    )
    yield f"upload checked, {_bytes(upload)}", _starter(kept, "check", upload, *due)
    for path in (table, upload):
        path.unlink(missing_ok=True)


@app.command("read", hidden=True)
def read(what: str, path: Path) -> None:
    """Read profiles or control cells, in a process of its own."""
    if what == "profiles":
        read_profiles(path)
        return
    for controls in read_controls(path)[0].values():
        for property_ in ("profile", "deviation", "rate", "dispersion"):
            getattr(controls, property_)


def _read(what: str, path: Path, kept: Path) -> Watched:
    return watch([sys.executable, "-m", "benchmarks.challenge", "read", what, path], kept / "log.txt")


def _starter(kept: Path, *arguments: object) -> Watched:
    return watch([STARTER, *map(str, arguments)], kept / "log.txt")


def _show(season: Season, step: str, ended: Watched) -> None:
    figures = f"{ended.seconds:.0f} | {ended.cpu:.0f} | {ended.peak / 2**30:.2f}"
    print(f"| {season.value} | {step} | {figures} | {ended.failure} |", flush=True)


def _size(path: Path) -> str:
    with open_h5ad(path) as file:
        stored, (n_cells, n_genes) = file["X/data"].size, file["X"].attrs["shape"]
        return f"{n_cells:,} cells x {n_genes:,} genes, {stored / 1e9:.2f}e9 values"


def _bytes(path: Path) -> str:
    return f"{path.stat().st_size / 1e9:.1f} GB" if path.is_file() else "which is not there"


@contextmanager
def _folder(kept: Path | None) -> Iterator[Path]:
    if kept is not None:
        kept.mkdir(parents=True, exist_ok=True)
        yield kept
        return
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        yield Path(folder)


if __name__ == "__main__":
    run(app)
