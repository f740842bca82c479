"""`python -m benchmarks.predicting`: time and memory of every model of the kit for 100 perturbations x 18,080 genes.

The screen is simulated: 250 targets, of which the models learn from 150. Each runs as `starter predict` in a process of
its own, with all that is known of genes, so that reading, learning and predicting count.
"""

import sys
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.watch import machine, watch
from starter.console import run
from starter.data import dataset
from starter.models.kit import KIT
from starter.schema import CONTEXT, TARGET_GENE
from starter.simulation import biology
from starter.simulation.setup import Size
from starter.simulation.write import write

VERSIONS = ("virtual-cell-course", "anndata", "numpy", "scikit-learn", "torch")
HIDDEN = 100

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def write_screen(folder: Path, genes: int, contexts: int) -> tuple[Path, Path]:
    """Write the screen to learn from, its priors, and the list of what is to be predicted."""
    size = Size(targets=250, genes=genes, controls=5_000, min_cells=50, contexts=contexts, batches=1, depth=20_000)
    screen = dataset.read_screen(write(biology.draw("default", 7, size), folder))
    names = dataset.perturbations(screen)
    hidden = sorted(np.random.default_rng(0).choice(names, HIDDEN, replace=False))
    first = screen.obs[CONTEXT].astype(str) == dataset.contexts(screen)[0] if CONTEXT in screen.obs else True
    learned = ~(screen.obs[TARGET_GENE].isin(hidden) & first).to_numpy()
    train, perts = folder / "simulated_train.h5ad", folder / "perts.csv"
    screen[learned].copy().write_h5ad(train)
    perts.write_text("\n".join(["target_gene", *hidden]), encoding="utf-8")
    return train, perts


@app.command()
def main(
    genes: Annotated[int, typer.Option(help="Genes of the screen.")] = 18_080,
    only: Annotated[list[str] | None, typer.Option("--model", help="Some models; default: all.")] = None,
) -> None:
    """Print a table (markdown)."""
    print(f"{machine(VERSIONS)}\n\n| model | seconds | peak memory, GiB | |\n|---|---|---|---|")
    with tempfile.TemporaryDirectory() as name:
        made = {}
        for model in only or KIT:
            contexts = 2 if model.endswith("lines") else 1
            if contexts not in made:
                folder = Path(name) / str(contexts)
                folder.mkdir()
                made[contexts] = write_screen(folder, genes, contexts)
            train, perts = made[contexts]
            command = [
                Path(sys.executable).with_name("starter"), "predict", model, "--train", train, "--perts", perts,
                "--priors", train.parent / "priors", "-o", train.parent / "table.parquet",
            ]  # fmt: skip
            ended = watch(command, train.parent / "log.txt")
            print(f"| {model} | {ended.seconds:.0f} | {ended.peak / 2**30:.1f} | {ended.failure} |", flush=True)


if __name__ == "__main__":
    run(app)
