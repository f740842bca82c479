"""Fine-tune a pre-trained scGPT to predict perturbations: as published, and by short rows.

As published, a control cell is shown by many genes drawn at random, the perturbed one is flagged if it happens to be
among them, and the model answers with a perturbed cell. By *short rows*, the perturbed gene always comes first and is
flagged, with a few other genes beside it; what is learned are profiles, from the train mean on. One flagged token among
hundreds is hard to find, one among a few is not.

This module needs torch (the extra `student`).
"""

import copy
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse
import torch
from torch import Tensor, nn

from starter.errors import InputError
from starter.models import tuning
from starter.models.baselines import train_mean
from starter.models.scgpt.architecture import Attention, PerturbationModel
from starter.models.scgpt.vocabulary import Vocabulary
from starter.schema import CONTROL
from starter.training import loop, threads

GENES_A_ROW = 16
"""Genes beside the perturbed one in a short row."""
LONG_ROW = 128
"""Genes drawn for a batch as published; there 1,536 of about 5,000."""
STEPS_AN_EPOCH, ROWS_A_STEP = 40, 128
"""Of short rows, which are drawn and do not run out."""
TOGETHER = 4096
"""Tokens that are predicted at once."""


class Pretrained(NamedTuple):
    """What a fine-tuned model knows beforehand."""

    model: PerturbationModel
    """As `starter.models.scgpt.weights.load` gave it; fine-tuning changes a copy."""
    vocabulary: Vocabulary
    expression: scipy.sparse.csr_matrix | None = None
    """Cells x genes, log1p expression, for `as_published`; cells whose label is not in the profiles are not used."""
    target_gene: np.ndarray | None = None
    """One label a cell."""


@dataclass(frozen=True)
class Tuned:
    """A fine-tuned model, with what it needs to predict."""

    model: PerturbationModel
    vocabulary: Vocabulary
    profiles: pd.DataFrame
    """From which was learned; genes that are not in the vocabulary, and targets, get their train mean."""
    start: pd.Series
    """Expression that goes in: the control's, or the train mean."""
    genes_a_row: int | None
    """Genes beside the perturbed one; None for one row of all genes, in which the perturbed gene is flagged."""

    def predict(self, targets: Sequence[str]) -> pd.DataFrame:
        """Predict profiles: targets x genes, log1p expression, never below 0."""
        predicted = train_mean(self.profiles, None, targets)
        columns = np.flatnonzero([gene in self.vocabulary.numbers for gene in self.profiles.columns])
        place = {name: row for row, name in enumerate(self.profiles.columns)}
        values = predicted.to_numpy(copy=True)
        self.model.eval()
        with torch.no_grad(), threads.enough(self.model):
            for row, target in enumerate(targets):
                perturbed = target.split("+")
                if len(columns) and not self.vocabulary.unknown(perturbed):
                    values[row, columns] = self._predict(perturbed, columns, place)
        return pd.DataFrame(np.maximum(values, 0), predicted.index, predicted.columns)

    def _predict(self, perturbed: list[str], columns: np.ndarray, place: Mapping[str, int]) -> np.ndarray:
        start = torch.from_numpy(self.start.to_numpy(np.float32))
        ids = self.vocabulary.encode(self.profiles.columns[columns])[0]
        device = self.model.encoder.embedding.weight.device
        if self.genes_a_row is None:
            flags = torch.tensor([[int(self.profiles.columns[column] in perturbed) for column in columns]])
            given = (part.to(device) for part in (ids[None], start[columns][None], flags))
            return self.model(*given)[0].double().cpu().numpy()
        n, n_first = len(columns), len(perturbed)
        n_rows = -(-n // self.genes_a_row)
        padded = nn.functional.pad(torch.arange(n), (0, n_rows * self.genes_a_row - n), value=-1)
        rows = padded.view(n_rows, self.genes_a_row)
        first_ids = self.vocabulary.encode(perturbed)[0].expand(n_rows, -1)
        first_values = torch.tensor([float(start[place[gene]]) if gene in place else 0.0 for gene in perturbed])
        gene_ids = torch.cat([first_ids, ids[rows]], dim=1)
        gene_values = torch.cat([first_values.expand(n_rows, -1), start[columns][rows]], dim=1)
        flags = (torch.arange(gene_ids.shape[1]) < n_first).long().expand_as(gene_ids)
        mask = torch.cat([torch.zeros(n_rows, n_first, dtype=torch.bool), rows < 0], dim=1)
        parts = [
            self.model(*(part[some].to(device) for part in (gene_ids, gene_values, flags, mask)))
            for some in torch.arange(n_rows).split(max(1, TOGETHER // gene_ids.shape[1]))
        ]
        return torch.cat(parts)[:, n_first:].reshape(-1)[:n].double().cpu().numpy()


def scgpt(profiles: pd.DataFrame, known: Pretrained, targets: Sequence[str], **settings: Any) -> pd.DataFrame:
    """Predict by a model fine-tuned with short rows; a `starter.models.baselines.Model`.

    Parameters
    ----------
    profiles, targets
        As of every `starter.models.baselines.Model`. A target that is not in the vocabulary gets the train mean.
    known
        A pre-trained model.
    settings
        Of `short_rows`.
    """
    return short_rows(profiles, known, **settings)[0].predict(targets)


def short_rows(
    profiles: pd.DataFrame,
    known: Pretrained,
    validation: pd.DataFrame | None = None,
    epochs: int = 25,
    learning_rate: float = 1e-3,
    seed: int = 0,
) -> tuple[Tuned, pd.DataFrame | None]:
    """Fine-tune on profiles by short rows. Only single genes are learned from; pairs can be predicted.

    Parameters
    ----------
    profiles, known
        As in `scgpt`.
    validation
        Measured profiles of other perturbations: after each epoch they are predicted, and the epoch that is best in
        Pearson delta against the train mean is kept. None: the last epoch is.
    epochs, learning_rate, seed
        As in `starter.training.loop.Settings`.

    Returns
    -------
    The model, and the history (None where no training target is in the vocabulary, so that the train mean is left).
    """
    names = [name for name in profiles.index if name != CONTROL and not known.vocabulary.unknown(name.split("+"))]
    names = [name for name in names if "+" not in name]
    columns = np.flatnonzero([gene in known.vocabulary.numbers for gene in profiles.columns])
    start = profiles.drop(index=CONTROL).mean()
    tuned = Tuned(_fresh(known.model, seed, identity=True), known.vocabulary, profiles, start, GENES_A_ROW)
    if not names or not len(columns):
        return tuned, None
    place = {gene: row for row, gene in enumerate(profiles.columns)}
    perturbed = known.vocabulary.encode(names)[0]
    given = torch.tensor([float(start.iloc[place[name]]) if name in place else 0.0 for name in names])
    ids, before = known.vocabulary.encode(profiles.columns[columns])[0], torch.from_numpy(start.to_numpy(np.float32))
    before, due = before[columns], torch.from_numpy(profiles.loc[names].to_numpy(np.float32)[:, columns])

    def batches(epoch: int) -> list[tuple[Tensor, Tensor, Tensor]]:
        rng = np.random.default_rng([seed, epoch])
        which = torch.from_numpy(rng.integers(len(names), size=(STEPS_AN_EPOCH, ROWS_A_STEP, 1)))
        genes = torch.from_numpy(rng.integers(len(columns), size=(STEPS_AN_EPOCH, ROWS_A_STEP, GENES_A_ROW)))
        gene_ids = torch.cat([perturbed[which], ids[genes]], dim=-1)  # steps x rows a step x (1 + genes a row)
        values = torch.cat([given[which], before[genes]], dim=-1)
        return list(zip(gene_ids, values, due[which, genes], strict=True))

    def loss(model: PerturbationModel, batch: tuple[Tensor, Tensor, Tensor], over: float) -> dict[str, Tensor]:
        del over
        gene_ids, values, wanted = batch
        flags = torch.zeros_like(gene_ids)
        flags[:, 0] = 1
        return {"error": nn.functional.mse_loss(model(gene_ids, values, flags)[:, 1:], wanted)}

    settings = loop.Settings(
        epochs=epochs,
        learning_rate=learning_rate,
        weight_decay=0.01,
        watch=None if validation is None else "pearson_delta_train_mean",
        seed=seed,
    )
    return tuned, loop.fit(tuned.model, loss, batches, settings, _validate(tuned, validation))


def as_published(
    profiles: pd.DataFrame,
    known: Pretrained,
    validation: pd.DataFrame | None = None,
    epochs: int = 4,
    learning_rate: float = 1e-3,
    cells_a_target: int = 8,
    seed: int = 0,
) -> tuple[Tuned, pd.DataFrame]:
    """Fine-tune as the tutorial of scGPT does, at the size of a laptop.

    Pairs of a control cell and a perturbed cell; Adam, the learning rate times .9 after each epoch, batches of 64, no
    dropout, gradients clipped at 1, the squared error over the genes that were drawn for the batch. Published are 1e-4
    and 15 epochs of all cells, for a model 1,500 times as large.

    Parameters
    ----------
    profiles, known, validation, epochs, learning_rate, seed
        As in `short_rows`; `known` needs the cells. No epoch is chosen: the history tells what would have been.
    cells_a_target
        Cells of a perturbation in an epoch.

    Returns
    -------
    The model and the history.

    Raises
    ------
    InputError
        If there are no cells, or none of a training target.
    """
    expression = known.expression
    if expression is None or known.target_gene is None:
        msg = "fine-tuning as published takes single cells; give expression and target_gene in Pretrained"
        raise InputError(msg)
    label = np.asarray(known.target_gene).astype(str)
    rows_of = {name: np.flatnonzero(label == name) for name in profiles.index}
    names = [name for name in profiles.index if name != CONTROL and len(rows_of[name])]
    if not names or not len(rows_of[CONTROL]):
        msg = "there are no cells of the control or of any training perturbation; give those of the profiles' screen"
        raise InputError(msg)
    columns = np.flatnonzero([gene in known.vocabulary.numbers for gene in profiles.columns])
    ids = known.vocabulary.encode(profiles.columns[columns])[0]
    perturbed = np.array([[gene in name.split("+") for gene in profiles.columns[columns]] for name in names])
    tuned = Tuned(
        _fresh(known.model, seed, identity=False), known.vocabulary, profiles, profiles.loc[CONTROL], genes_a_row=None
    )

    def batches(epoch: int) -> list[tuple[Tensor, Tensor, Tensor]]:
        rng = np.random.default_rng([seed, epoch])
        which = rng.permutation(np.repeat(np.arange(len(names)), cells_a_target))
        after = np.array([rng.choice(rows_of[names[number]]) for number in which])
        before = rng.choice(rows_of[CONTROL], len(which))
        parts = []
        for start in range(0, len(which), 64):
            some = slice(start, start + 64)
            cells = (torch.from_numpy(expression[rows[some]][:, columns].toarray()) for rows in (before, after))
            parts.append((*cells, torch.from_numpy(perturbed[which[some]].astype(np.int64))))
        return parts

    def loss(model: PerturbationModel, batch: tuple[Tensor, Tensor, Tensor], over: float) -> dict[str, Tensor]:
        del over
        drawn = torch.randperm(len(ids))[:LONG_ROW]
        before, after, flags = (part[:, drawn] for part in batch)
        came = model(ids[drawn].to(before.device).expand(len(before), -1), before, flags)
        return {"error": nn.functional.mse_loss(came, after)}

    settings = loop.Settings(epochs=epochs, learning_rate=learning_rate, schedule="step", step_factor=0.9, seed=seed)
    return tuned, loop.fit(tuned.model, loss, batches, settings, _validate(tuned, validation))


def _fresh(model: PerturbationModel, seed: int, *, identity: bool) -> PerturbationModel:
    """Copy a pre-trained model, without dropout; draw what its checkpoint did not have from the seed.

    With `identity` the decoder starts near coeff = 1 and bias = 0, so that at first what goes in comes out.
    """
    made = copy.deepcopy(model)
    with loop.seeded(seed):
        new = PerturbationModel(made.sizes, made.pert_pad_id).state_dict()
    made.load_state_dict({name: new[name] for name in made.loading.initial}, strict=False)
    for module in made.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        elif isinstance(module, Attention):
            module.dropout = 0.0
    if identity and "decoder.coeff_decoder.fc.4.bias" in made.loading.initial:
        with torch.no_grad():
            for head, level in ((made.decoder.coeff_decoder, 1.0), (made.decoder.bias_decoder, 0.0)):
                head.get_parameter("fc.4.weight").mul_(0.1)
                head.get_parameter("fc.4.bias").fill_(level)
    return made


def _validate(tuned: Tuned, validation: pd.DataFrame | None) -> Callable[[nn.Module], dict[str, float]] | None:
    """Score the validation profiles after an epoch, by the usual number and by honest ones."""
    if validation is None:
        return None

    def validate(model: nn.Module) -> dict[str, float]:
        del model
        predicted = tuned.predict(list(validation.index))
        scores = tuning.profile_scores(validation, predicted, tuned.profiles).mean()
        raw = [np.corrcoef(*pair)[0, 1] for pair in zip(predicted.to_numpy(), validation.to_numpy(), strict=True)]
        return {"pearson": float(np.mean(raw)), **scores.drop("mae").to_dict()}

    return validate
