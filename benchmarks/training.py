"""`python -m benchmarks.training`: how many cells and tokens a second models train on.

First the course's own models, on the simulated screen, as the notebooks train them. Then a model of scGPT's kind beside
torch's encoder.

On a CPU the sizes of notebook 08 (`small`); on a GPU scGPT's own (`whole-human`: 12 layers, width 512, 51.3 million
parameters with the heads of pre-training; random weights), bfloat16, also compiled. The peer is `nn.TransformerEncoder`
with the same weights and sizes, as it comes: float16 on a GPU. The share of the peak is of what this device reaches in
one large matrix product.
"""

import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, NamedTuple
from unittest import mock

import pandas as pd
import torch
import typer
from torch import Tensor, nn

from benchmarks.models import trials
from benchmarks.watch import machine
from starter.console import run
from starter.data import dataset, pseudobulk
from starter.data.course import CourseData
from starter.models import set_transformer, transformer
from starter.models.scgpt import finetuning, pretraining
from starter.models.scgpt.architecture import Architecture, PerturbationModel
from starter.schema import CONTROL
from starter.simulation import biology
from starter.simulation.write import write
from starter.training import loop
from starter.training.loop import seeded
from starter.training.processes import n_examples

VERSIONS = ("virtual-cell-course", "torch", "numpy")
TRAINING = 3
"""Matrix products of a training step, in those of a prediction: forward, and two for the gradients."""


class Size(NamedTuple):
    """A model and its batches."""

    model: Architecture
    batch: int
    genes: int
    steps: int
    """That are timed, after `WARM` others."""
    matrix: int
    """Rows of the square matrices that give the peak."""


class OfExample(NamedTuple):
    """What one example of a model's batches is."""

    model: str
    """As in `benchmarks.models`."""
    what: str
    cells: int | None = None
    tokens: int | None = None


EXAMPLES = [  # in the order in which `trials` trains
    OfExample("05 conditional VAE", "cell", cells=1),
    OfExample("06 graph network", "perturbation"),
    OfExample("06 graph network, shuffled graphs", "perturbation"),
    OfExample("07 attention over genes", "perturbation", tokens=transformer.GENES + 1),
    OfExample("07 attention over cells", "set", cells=set_transformer.SIZE, tokens=set_transformer.SIZE + 1),
    OfExample("08 mini scGPT, pre-training", "cell", cells=1, tokens=pretraining.GENES_A_ROW + 1),
    OfExample("08 mini scGPT, fine-tuned", "row", tokens=finetuning.GENES_A_ROW + 1),
]
SEED = 2
"""Of the simulated screen."""


def course_models() -> pd.DataFrame:
    """Train every model of notebooks 05 to 08 on a simulated screen; index model, columns what, and each a second."""
    speeds, fit = [], loop.fit

    def counted(model: nn.Module, loss: loop.Loss, batches: loop.Batches, *given: object) -> pd.DataFrame:
        n = 0

        def counting(epoch: int) -> Iterable:
            nonlocal n
            for batch in batches(epoch):
                n += n_examples(batch)
                yield batch

        history = fit(model, loss, counting, *given)
        speeds.append(n / history["seconds"].sum())
        return history

    with tempfile.TemporaryDirectory() as folder, mock.patch.object(loop, "fit", counted):
        screen = dataset.read_screen(write(biology.draw("default", SEED), folder))
        profiles = pseudobulk.profiles(screen).droplevel("context")
        names = list(profiles.index.drop(CONTROL)[:48])
        wanted = {of.model for of in EXAMPLES}
        for trial in trials(CourseData(Path(folder)), screen):
            if trial.name in wanted:
                trial.model(profiles.drop(index=names), trial.known, names)
    rows = {
        of.model: [of.what, speed, *(each and each * speed for each in (of.cells, of.tokens))]
        for of, speed in zip(EXAMPLES, speeds, strict=True)
    }
    return pd.DataFrame.from_dict(rows, orient="index", columns=["an example is", "examples", "cells", "tokens"])


WARM = 3
SIZES = {
    "small": Size(Architecture(1_002, 1_000, 64, 4, 64, 2, 0.0), 16, 256, 10, 2_048),
    "whole-human": Size(Architecture(60_697, 60_694, 512, 8, 512, 12, 0.0), 64, 1_536, 20, 8_192),
}


class TorchEncoder(nn.Module):
    """The peer: the same model, its layers replaced by torch's."""

    def __init__(self, ours: PerturbationModel) -> None:
        super().__init__()
        self.ours, sizes = ours, ours.sizes
        layer = nn.TransformerEncoderLayer(sizes.width, sizes.heads, sizes.hidden, sizes.dropout, batch_first=True)
        self.layers = nn.TransformerEncoder(layer, sizes.layers, enable_nested_tensor=False)
        self.layers.load_state_dict(ours.transformer_encoder.state_dict())  # the same names
        ours.transformer_encoder = nn.Identity()

    def forward(self, gene_ids: Tensor, values: Tensor, flags: Tensor) -> Tensor:
        """Predict expression, batch x genes."""
        return self.ours.decoder(self.layers(self.ours.embed(gene_ids, values, flags)), values)


def operations(size: Size) -> int:
    """Count the multiplications and additions of matrix products in a training step."""
    m = size.model
    layer = 2 * m.width * (4 * m.width + 2 * m.hidden) + 4 * size.genes * m.width  # the last: attention
    heads = 2 * (4 * m.width * m.width + 2 * m.width)
    values = 2 * m.width * (m.width + 1)
    return TRAINING * size.batch * size.genes * (m.layers * layer + heads + values)


def peak(size: Size, device: torch.device, dtype: torch.dtype) -> float:
    """Measure operations a second of one large matrix product."""
    a, b = (torch.randn(size.matrix, size.matrix, device=device, dtype=dtype) for _ in range(2))
    return 2 * size.matrix**3 / seconds_each(lambda: a @ b, size.steps, device)


def seconds_each(work: Callable[[], object], times: int, device: torch.device) -> float:
    """Time work that may go on behind the scenes, after some rounds that do not count."""
    for _ in range(WARM):
        work()
    wait = torch.cuda.synchronize if device.type == "cuda" else (lambda: None)
    wait()
    start = time.perf_counter()
    for _ in range(times):
        work()
    wait()
    return (time.perf_counter() - start) / times


def training_step(model: nn.Module, size: Size, device: torch.device, dtype: torch.dtype) -> Callable[[], None]:
    """Give a function that takes one step on a batch of random cells: all genes are predicted, squared error, Adam."""
    with seeded(1):
        gene_ids = torch.stack([torch.randperm(size.model.n_tokens - 3)[: size.genes] for _ in range(size.batch)])
        values = torch.rand(size.batch, size.genes) * 5
        flags = torch.zeros_like(gene_ids)
        flags[:, 0] = 1
    gene_ids, values, flags = (tensor.to(device) for tensor in (gene_ids, values, flags))
    optimiser = torch.optim.Adam(model.parameters(), 1e-4, fused=device.type == "cuda")
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)

    def step() -> None:
        with torch.autocast(device.type, dtype, dtype != torch.float32):
            loss = (model(gene_ids, values, flags).float() - values).square().mean()
        optimiser.zero_grad()
        scaler.scale(loss).backward()
        scaler.step(optimiser)
        scaler.update()

    return step


def fresh(size: Size, device: torch.device) -> PerturbationModel:
    """Make a model with the same random weights every time."""
    with seeded(0):
        return PerturbationModel(size.model).to(device).train()


def check_same(size: Size, device: torch.device) -> float:
    """Give the largest difference between what ours and the peer predict with the same weights, float32."""
    gene_ids = torch.arange(size.genes, device=device)[None]
    values, flags = torch.linspace(0, 5, size.genes, device=device)[None], torch.zeros_like(gene_ids)
    with torch.no_grad():
        ours = fresh(size, device)(gene_ids, values, flags)
        return float((TorchEncoder(fresh(size, device))(gene_ids, values, flags) - ours).abs().max())


app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


@app.command()
def main(
    size: Annotated[str | None, typer.Option(help="small or whole-human; default: by what is here.")] = None,
) -> None:
    """Print tokens a second and the share of the peak, as a table (markdown)."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name = size or ("whole-human" if device.type == "cuda" else "small")
    if name not in SIZES:
        msg = f"there is no size {name!r}; the sizes are {', '.join(SIZES)}"
        raise typer.BadParameter(msg)
    sizes = SIZES[name]
    quick, plain = (torch.bfloat16, torch.float16) if device.type == "cuda" else (torch.float32, torch.float32)
    where = torch.cuda.get_device_name() if device.type == "cuda" else f"CPU, {torch.get_num_threads()} threads"
    n = sum(parameter.numel() for parameter in fresh(sizes, torch.device("cpu")).parameters())
    print(f"{machine(VERSIONS)}; {where}\n")
    print("The course's models, default preset, a second:\n\n| model | an example is | examples | cells | tokens |")
    print("|---|---|---|---|---|")
    for model, what, *numbers in course_models().itertuples():
        print(f"| {model} | {what} | {' | '.join('' if pd.isna(n) else f'{n:,.0f}' for n in numbers)} |", flush=True)
    print(f"\n{name}: {n:,} parameters, batches of {sizes.batch} cells x {sizes.genes:,} genes, training. ", end="")
    print(f"Predictions of the two differ by {check_same(sizes, device):.1g} at most.\n")
    highest = peak(sizes, device, quick)
    ours = {"ours": lambda: fresh(sizes, device)}
    if device.type == "cuda":
        ours["ours, compiled"] = lambda: torch.compile(fresh(sizes, device))
    rows = [(title, make, quick) for title, make in ours.items()]
    rows.append(("nn.TransformerEncoder", lambda: TorchEncoder(fresh(sizes, device)), plain))
    tokens = sizes.batch * sizes.genes
    speed = {
        title: tokens / seconds_each(training_step(make(), sizes, device, dtype), sizes.steps, device)
        for title, make, dtype in rows
    }
    print("| model | precision | tokens a second | share of the peak | times the peer |\n|---|---|---|---|---|")
    for title, _, dtype in rows:
        share = speed[title] / tokens * operations(sizes) / highest
        ratio = speed[title] / speed["nn.TransformerEncoder"]
        print(f"| {title} | {str(dtype)[6:]} | {speed[title]:,.0f} | {share:.0%} | {ratio:.2f} |")
    print(f"\nPeak, {sizes.matrix:,}^3 {str(quick)[6:]}: {highest / 1e12:.2f} TFLOP/s")


if __name__ == "__main__":
    run(app)
