"""`python -m benchmarks.contexts`: what models tell of a cell line in which little or nothing was perturbed.

Three simulated lines. One after the other is held out but for some perturbations that are shown; its control cells are
always there. PDS ranks among what was held out. Gains are paired with the model that carries over nothing: the control
mean where nothing is shown, else the train mean of what is shown.
"""

import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from benchmarks.watch import machine
from starter.console import run
from starter.models import tuning
from starter.models.kit import ACROSS, KIT
from starter.models.training_data import read_training
from starter.priors.knowledge import read_knowledge
from starter.simulation import biology
from starter.simulation.setup import Size
from starter.simulation.write import write

VERSIONS = ("virtual-cell-course", "numpy", "scikit-learn")
ZERO_SHOT, FEW_SHOT = ("control mean", *ACROSS), ("train mean", "kNN", "ridge", "ridge with other lines", *ACROSS)
METRICS = {"discrimination_score_l1": "PDS", "pearson_delta": "Pearson delta", "mae": "MAE"}

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    seed: Annotated[int, typer.Option(help="Of the simulated screen.")] = 101,
    shown: Annotated[list[int] | None, typer.Option(help="Perturbations shown of the new line.")] = None,
) -> None:
    """Print a table (markdown)."""
    print(f"{machine(VERSIONS)}\n\n| shown | model | {' | '.join(METRICS.values())} | gain in PDS, 95 % interval |")
    print(f"|---|---|{'---|' * len(METRICS)}---|")
    with tempfile.TemporaryDirectory() as name:
        path = write(biology.draw("default", seed, Size(contexts=3)), name)
        data = read_training(path, read_knowledge(Path(name) / "priors"))
        for n in shown or (0, 5, 20, 80):
            held_out = tuning.unseen_contexts(data.pairs, n)
            scores = {
                model: tuning.cross_validate_pairs(KIT[model], data, held_out)
                for model in (FEW_SHOT if n else ZERO_SHOT)
            }
            reference = next(iter(scores))
            for model, table in scores.items():
                row = tuning.compare(table, scores[reference]).loc["discrimination_score_l1"]
                gain = "" if model == reference else f"{row['difference']:+.3f} [{row['low']:+.3f}, {row['high']:+.3f}]"
                values = " | ".join(f"{np.nanmean(table[metric]):.3f}" for metric in METRICS)
                print(f"| {n} | {model} | {values} | {gain} |", flush=True)


if __name__ == "__main__":
    run(app)
