"""One loop that trains every neural model of the course: on a CPU, on a GPU, or on several processes.

The loop does not know where batches come from: from memory (`in_memory`), from a file or from scDataset
(`starter.data.cell_sets`). Started by `torchrun --nproc-per-node=N`, each of N processes takes its share of every
batch, and the weights stay those that one process would have.

This module needs torch (the extra `student`).
"""

import math
import operator
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import reduce
from pathlib import Path
from typing import Any, Literal, TypedDict, cast, get_args, get_type_hints

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from starter import progress
from starter.errors import InputError, listed
from starter.scoring.metrics.rule_sets import RULE_SETS
from starter.training import checkpoint, threads
from starter.training.processes import Processes, join, n_examples

Loss = Callable[[Any, Any, float], Mapping[str, Tensor]]
"""(model, batch, share of the training that is over, 0 to 1) -> named terms, each a mean over the batch's examples."""
Batches = Callable[[int], Iterable]
"""Epoch, from 1 -> its batches: a tensor, or a tuple, list or dict of tensors; the first dimension counts examples.

Where several processes train together, each makes all of the batches, the same in all."""

CHECKPOINT = "last.pt"
"""In a training's folder: its state after the last whole epoch."""
RAW_PEARSON = "pearson"
"""Begins the name of a correlation of expression itself, which is near 1 whatever a model predicts."""
DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


@dataclass(frozen=True)
class Settings:
    """How to train."""

    epochs: int = 20
    learning_rate: float = 1e-3
    """Of AdamW, at the start."""
    weight_decay: float = 0.0
    """0 makes AdamW the same as Adam."""
    schedule: Literal["constant", "cosine", "step"] = "cosine"
    """How the learning rate falls: not at all, to 0 along half a cosine, or by `step_factor` after each epoch."""
    step_factor: float = 0.9
    clip: float | None = 1.0
    """Longest gradient, all parameters together; a longer one is shortened."""
    precision: Literal["float32", "bfloat16", "float16"] = "float32"
    """Of matrix products; weights stay float32."""
    watch: str | None = None
    """Name of a validation value, or "loss": the weights of the epoch in which it was best are kept."""
    direction: Literal["higher", "lower"] | None = None
    """Which value of `watch` is the better; needed for a name that is neither "loss" nor a metric of the kit."""
    patience: int | None = None
    """Stop after this many epochs in which what is watched did not get better."""
    seed: int = 0
    """Of dropout and all else that the model draws."""
    threads: int | None = None
    """Of the processor; default: one for a small network (`starter.training.threads`), else as many as torch has."""


class _State(TypedDict):
    """How far a training came."""

    epoch: int
    history: list[dict[str, float]]
    terms: list[str]
    best: float | None
    best_epoch: int
    best_weights: dict[str, Tensor] | None


def fit(
    model: nn.Module,
    loss: Loss,
    batches: Batches,
    settings: Settings,
    validate: Callable[[nn.Module], Mapping[str, float]] | None = None,
    device: str | None = None,
    folder: str | Path | None = None,
) -> pd.DataFrame:
    """Train a model in place.

    Parameters
    ----------
    model
        The model. It is trained on the device, and afterwards is where it was.
    loss
        Gives the terms whose sum is made small.
    batches
        Gives the batches of an epoch.
    settings
        How to train.
    validate
        Called after each epoch with the model in evaluation mode, without gradients; gives named numbers.
    device
        Such as "cpu" or "cuda"; default: a GPU where there is one.
    folder
        Where to keep the state after each epoch. A training that was stopped goes on from there, with the same numbers
        as if it had not been.

    Returns
    -------
    The history: index epoch, from 1; columns loss, its terms where there are several, what `validate` gave,
    learning_rate, and seconds. `attrs["terms"]` names the terms.

    Raises
    ------
    InputError
        If the settings contradict each other, the loss or what is watched is not a number, there are no batches, a
        batch has fewer examples than there are processes or is not the same in all of them, or the folder holds another
        training.
    """
    _check(settings)
    better = _comparison(settings)
    processes = join()
    chosen = processes.device(device)
    state: _State = {"epoch": 0, "history": [], "terms": [], "best": None, "best_epoch": 0, "best_weights": None}
    path = Path(folder) / CHECKPOINT if folder is not None else None
    with _on(chosen, model), threads.enough(model, settings.threads):
        objective = processes.wrap(_Objective(model, loss), chosen)
        optimiser = torch.optim.AdamW(model.parameters(), settings.learning_rate, weight_decay=settings.weight_decay)
        scaler = torch.amp.GradScaler(chosen.type, enabled=settings.precision == "float16")
        parts = {"model": model, "optimiser": optimiser, "scaler": scaler}
        if path is not None and path.exists():
            state = cast(_State, checkpoint.read(path, asdict(settings), parts))
        trainer = _Trainer(objective, optimiser, scaler, settings, chosen, processes)

        epochs = range(state["epoch"] + 1, settings.epochs + 1)
        of_epoch = batches(epochs[0]) if epochs else []
        with progress.bar("train", len(epochs) * (_length(of_epoch) or 1)) as advance:
            for epoch in epochs:
                if settings.patience and epoch - 1 - state["best_epoch"] >= settings.patience:
                    break
                start = time.perf_counter()
                of_epoch = of_epoch if epoch == epochs[0] else batches(epoch)
                model.train()
                with seeded(settings.seed, epoch, processes.rank):
                    row = trainer.train(of_epoch, epoch, advance)
                state["terms"] = [name for name in row if name != "loss"]
                model.eval()
                if validate is not None:
                    row |= processes.first(_validate, model, validate)
                row |= {"learning_rate": optimiser.param_groups[0]["lr"], "seconds": time.perf_counter() - start}
                state["history"].append({"epoch": epoch, **row})
                state["epoch"] = epoch
                if settings.watch:
                    value = _watched(row, settings.watch, epoch)
                    if state["best"] is None or better(value, state["best"]):
                        weights = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
                        state["best"], state["best_epoch"], state["best_weights"] = value, epoch, weights
                if path is not None:
                    processes.first(checkpoint.write, path, asdict(settings), parts, state)
        if state["best_weights"] is not None:
            model.load_state_dict(state["best_weights"])
    history = pd.DataFrame(state["history"]).set_index("epoch")
    history.attrs["terms"] = state["terms"]
    return history


def in_memory(*tensors: Tensor, batch_size: int = 64, seed: int = 0) -> Batches:
    """Give batches of tensors, in another order in every epoch.

    Parameters
    ----------
    tensors
        All with as many examples in their first dimension.
    batch_size
        Examples of a batch; the last of an epoch may have fewer.
    seed
        Of the order.

    Returns
    -------
    A function for `fit`; its batches are tuples of tensors.
    """
    dataset = TensorDataset(*tensors)

    def batches(epoch: int) -> DataLoader:
        order = torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(len(dataset)))
        return DataLoader(dataset, batch_size=None, sampler=order.split(batch_size))

    return batches


@contextmanager
def seeded(*seed: int) -> Iterator[None]:
    """Let torch draw from a seed while the block runs; afterwards it goes on as if nothing had been drawn."""
    with torch.random.fork_rng(range(torch.cuda.device_count())):
        torch.manual_seed(_mixed(*seed))
        yield


def _mixed(*seed: int) -> int:
    """Make one seed of several numbers."""
    return int(np.random.SeedSequence(seed).generate_state(1, np.uint64)[0] >> 1)


@contextmanager
def _on(device: torch.device, model: nn.Module) -> Iterator[None]:
    """Let a model be on a device while the block runs; afterwards it is where its weights were."""
    home = next(model.parameters()).device
    try:
        model.to(device)
        yield
    finally:
        model.to(home)


class _Objective(nn.Module):
    """The loss as a module, so that whatever the loss calls of the model is shared between processes."""

    def __init__(self, model: nn.Module, loss: Loss) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch: object, over: float) -> dict[str, Tensor]:
        return dict(self.loss(self.model, batch, over))


@dataclass(frozen=True)
class _Trainer:
    """What takes the steps of an epoch."""

    objective: nn.Module
    optimiser: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    settings: Settings
    device: torch.device
    processes: Processes

    def train(self, batches: Iterable, epoch: int, advance: Callable[..., None]) -> dict[str, float]:
        """Take a step for every batch; give the epoch's mean loss and its terms."""
        sums, examples, length = {}, 0, _length(batches)
        alike = self.processes.alike(batches, _mixed(self.settings.seed, epoch), self.device)
        for number, batch in enumerate(alike):
            n = n_examples(batch)
            over = (epoch - 1 + (number / length if length else 0)) / self.settings.epochs
            terms = self._step(batch, n, over, epoch)
            examples += n
            for name, term in terms.items():  # stays on the device: to read a number would wait for the step
                sums[name] = sums.get(name, 0) + term * n
            if length and number < length - 1:
                advance()
        if not examples:
            msg = f"there are no batches in epoch {epoch}; give at least one"
            raise InputError(msg)
        means = {name: float(self.processes.sum(term)) / examples for name, term in sums.items()}
        total = sum(means.values())
        if not math.isfinite(total):
            which = listed([name for name, mean in means.items() if not math.isfinite(mean)])
            msg = f"in epoch {epoch} the loss is not finite ({which}); look at the batches, or lower the learning rate"
            raise InputError(msg)
        advance(f"loss {total:.4g}")
        return {"loss": total, **(means if len(means) > 1 else {})}

    def _step(self, batch: object, n: int, over: float, epoch: int) -> dict[str, Tensor]:
        """Change the weights once; give this process's part of each term's mean over the batch."""
        settings = self.settings
        for group in self.optimiser.param_groups:
            group["lr"] = settings.learning_rate * _falling(settings, over, epoch)
        share = self.processes.share(batch, self.device)
        part = n_examples(share) / n  # the examples may not divide evenly
        with torch.autocast(self.device.type, DTYPES[settings.precision], settings.precision != "float32"):
            terms = {name: term * part for name, term in self.objective(share, over).items()}
            total = reduce(operator.add, terms.values())
        self.optimiser.zero_grad()
        self.scaler.scale(total * self.processes.count).backward()  # gradients are averaged over processes
        if settings.clip is not None:
            self.scaler.unscale_(self.optimiser)
            nn.utils.clip_grad_norm_(self.objective.parameters(), settings.clip)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        return {name: term.detach().double() for name, term in terms.items()}


def _falling(settings: Settings, over: float, epoch: int) -> float:
    if settings.schedule == "cosine":
        return 0.5 * (1 + math.cos(math.pi * over))
    return settings.step_factor ** (epoch - 1) if settings.schedule == "step" else 1.0


def _check(settings: Settings) -> None:
    """Refuse settings that make no sense."""
    for name, allowed in (("precision", DTYPES), ("schedule", get_args(get_type_hints(Settings)["schedule"]))):
        if (value := getattr(settings, name)) not in allowed:
            msg = f"{name} is one of {', '.join(allowed)}, not {value!r}"
            raise InputError(msg)
    if settings.epochs < 1 or settings.learning_rate <= 0:
        msg = f"training takes epochs and a learning rate above 0, not {settings.epochs} and {settings.learning_rate}"
        raise InputError(msg)
    if settings.patience is not None and settings.watch is None:
        msg = 'patience needs something to watch; name a validation value, or "loss", in Settings(watch=...)'
        raise InputError(msg)
    watch = settings.watch or ""
    if watch.startswith(RAW_PEARSON) and not watch.startswith("pearson_delta"):
        msg = (
            f"{watch!r} compares expression and not effects, so every model has nearly the same; watch "
            "another, such as 'pearson_delta_train_mean'"
        )
        raise InputError(msg)


def _comparison(settings: Settings) -> Callable[[float, float], bool]:
    """Tell which of two watched values is the better one: by the metric's direction, or by the one that is given."""
    directions = {metric.name: metric.direction for rules in RULE_SETS.values() for metric in rules.metrics}
    known = {"loss": "lower", **directions}.get(settings.watch or "loss")
    direction = known or settings.direction
    if direction not in ("higher", "lower"):
        msg = (
            f"{settings.watch!r} is watched, and whether a higher or a lower value is better is not known of it; say "
            'it by Settings(direction="higher") or "lower"'
        )
        raise InputError(msg)
    if settings.direction not in (None, direction):
        msg = f"of {settings.watch!r} the {direction} value is the better, and direction is {settings.direction!r}"
        raise InputError(msg + "; leave it out")
    return operator.gt if direction == "higher" else operator.lt


def _watched(row: Mapping[str, float], watch: str, epoch: int) -> float:
    if watch not in row:
        msg = f"{watch!r} is watched, and there is no such value; there are {', '.join(row)}"
        raise InputError(msg)
    if math.isnan(row[watch]):
        msg = f"{watch!r} is watched and is NaN in epoch {epoch}, so that no epoch is the best; look at what validates"
        raise InputError(msg)
    return row[watch]


def _validate(model: nn.Module, validate: Callable[[nn.Module], Mapping[str, float]]) -> dict[str, float]:
    with torch.no_grad():
        return {name: float(value) for name, value in validate(model).items()}


def _length(batches: Iterable) -> int | None:
    return len(batches) if isinstance(batches, Sized) else None
