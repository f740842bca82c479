"""Fine-tune a pre-trained scGPT to predict perturbations: as published, and by short rows.

As published, a control cell is shown by many genes drawn at random, the perturbed one is flagged if it happens to be
among them, and the model answers with a perturbed cell. By *short rows*, the perturbed gene always comes first and is
flagged, with a few other genes beside it; what is learned are profiles, from the train mean on. One flagged token among
hundreds is hard to find, one among a few is not.

This module needs torch (the extra `student`).
"""

import copy
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import scipy.sparse
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from starter import progress
from starter.errors import InputError, counted, listed
from starter.models import tuning
from starter.models.baselines import train_mean
from starter.models.scgpt.architecture import Attention, PerturbationModel
from starter.models.scgpt.vocabulary import Vocabulary
from starter.schema import CONTROL
from starter.training import loop, threads

GENES_A_ROW = 16
"""Genes beside the perturbed one in a short row."""
STEPS_AN_EPOCH, ROWS_A_STEP = 40, 128
"""Of short rows, which are drawn and do not run out."""
TOGETHER, TOGETHER_ON_GPU = 4096, 2**18
"""Tokens that are predicted at once."""


class Recipe(NamedTuple):
    """How `as_published` trains; as it stands, by the published numbers."""

    epochs: int = 15
    learning_rate: float = 1e-4
    """Of Adam, at the start; times .9 after each epoch."""
    batch_size: int = 64
    patience: int = 10
    """Stop after this many epochs that did not get better."""
    genes_a_row: int = 1536
    """Genes drawn for a batch, or all where there are fewer."""
    cells_a_target: int | None = None
    """Cells of a perturbation in an epoch; None: all of them, each once."""
    control_cells: int = 300
    """Of which is predicted: the answer is the mean of what they become."""
    precision: Literal["float32", "float16"] = "float16"
    """Of matrix products on a GPU; on a processor they are float32."""


PUBLISHED = Recipe()
"""Cui et al. (2024), tutorial of the perturbation task; Csendes et al. (2025) train so too."""
IN_LITTLE = Recipe(
    epochs=3, learning_rate=1e-3, genes_a_row=128, cells_a_target=6, control_cells=2, precision="float32"
)
"""For a small model on a laptop, which learns at a higher rate and cannot afford as much."""


def recipe_of(model: PerturbationModel) -> Recipe:
    """Give the recipe of a model: `IN_LITTLE` for a small one (`starter.training.threads.SMALL`), else `PUBLISHED`."""
    small = sum(parameter.numel() for parameter in model.parameters()) < threads.SMALL
    return IN_LITTLE if small else PUBLISHED


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
    """Expression that goes in by short rows: the train mean."""
    cells: np.ndarray | None = None
    """Control cells x genes, log1p expression. Where there are some, each goes in as one row of all genes, in which the
    perturbed gene is flagged, and the answer is the mean of what comes out."""

    def predict(self, targets: Sequence[str]) -> pd.DataFrame:
        """Predict profiles: targets x genes, log1p expression, never below 0."""
        predicted = train_mean(self.profiles, None, targets)
        columns = _in_vocabulary(self.vocabulary, self.profiles.columns)
        place = {name: row for row, name in enumerate(self.profiles.columns)}
        values = predicted.to_numpy(copy=True)
        self.model.eval()
        asking = threads.enough(self.model), progress.bar("ask the network", len(targets))
        with torch.no_grad(), asking[0], asking[1] as advance:
            for row, target in enumerate(targets):
                perturbed = target.split("+")
                if len(columns) and not self.vocabulary.unknown(perturbed):
                    answer = self._of_cells if self.cells is not None else self._of_short_rows
                    values[row, columns] = answer(perturbed, columns, place)
                advance()
        return pd.DataFrame(np.maximum(values, 0), predicted.index, predicted.columns)

    def _of_cells(self, perturbed: list[str], columns: np.ndarray, place: Mapping[str, int]) -> np.ndarray:
        del place
        assert self.cells is not None
        ids = self.vocabulary.encode(self.profiles.columns[columns])[0]
        flagged = set(self.vocabulary.encode(perturbed)[0].tolist())
        flags = torch.tensor([int(int(number) in flagged) for number in ids])
        device = self.model.encoder.embedding.weight.device
        at_once = max(1, (TOGETHER if device.type == "cpu" else TOGETHER_ON_GPU) // len(ids))
        total = torch.zeros(len(ids), dtype=torch.float64)
        for cells in torch.from_numpy(self.cells[:, columns]).split(at_once):
            given = (part.expand(len(cells), -1).to(device) for part in (ids, cells, flags))
            total += self.model(*given).double().sum(dim=0).cpu()
        return (total / len(self.cells)).numpy()

    def _of_short_rows(self, perturbed: list[str], columns: np.ndarray, place: Mapping[str, int]) -> np.ndarray:
        start = torch.from_numpy(self.start.to_numpy(np.float32))
        ids = self.vocabulary.encode(self.profiles.columns[columns])[0]
        device = self.model.encoder.embedding.weight.device
        n, n_first = len(columns), len(perturbed)
        n_rows = -(-n // GENES_A_ROW)
        padded = nn.functional.pad(torch.arange(n), (0, n_rows * GENES_A_ROW - n), value=-1)
        rows = padded.view(n_rows, GENES_A_ROW)
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

    Raises
    ------
    InputError
        If several tokens may be meant by a target: before anything is trained.
    """
    _name_unknown(known.vocabulary, targets)
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
    Targets that are not in the vocabulary are named in a warning, before anything is trained.

    Raises
    ------
    InputError
        If several tokens may be meant by a target.
    """
    _name_unknown(known.vocabulary, _targets(profiles, validation))
    names = [name for name in profiles.index if name != CONTROL and not known.vocabulary.unknown(name.split("+"))]
    names = [name for name in names if "+" not in name]
    columns = _in_vocabulary(known.vocabulary, profiles.columns)
    start = profiles.drop(index=CONTROL).mean()
    tuned = Tuned(_fresh(known.model, seed, identity=True), known.vocabulary, profiles, start)
    if not names or not len(columns):
        return tuned, None
    place = {gene: row for row, gene in enumerate(profiles.columns)}
    perturbed = torch.cat([known.vocabulary.encode([name])[0] for name in names])
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
    seed: int = 0,
    **changes: Any,
) -> tuple[Tuned, pd.DataFrame]:
    """Fine-tune as the tutorial of scGPT does.

    Pairs of a control cell and a perturbed cell; Adam, the learning rate times .9 after each epoch, no dropout,
    gradients clipped at 1, the squared error over the genes that were drawn for the batch; for a prediction every gene
    is shown, and control cells become perturbed ones. How much of it is the `Recipe`: `recipe_of` the model. One thing
    differs from what was published: the epoch that is kept is chosen by Pearson delta and not by Pearson of expression,
    which is nearly the same for every epoch.

    Parameters
    ----------
    profiles, known
        As in `short_rows`; `known` needs the cells.
    validation
        Measured profiles of other perturbations, by which the epoch is chosen; None: the last one is kept.
    seed
        As in `starter.training.loop.Settings`.
    changes
        Of the recipe, such as `epochs=3`.

    Returns
    -------
    The model and the history. Targets that are not in the vocabulary are named in a warning, before anything is
    trained.

    Raises
    ------
    InputError
        If there are no cells, or none of a training target, or several tokens may be meant by a target.
    """
    recipe = recipe_of(known.model)._replace(**changes)
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
    columns = _in_vocabulary(known.vocabulary, profiles.columns)
    _name_unknown(known.vocabulary, _targets(profiles, validation))
    ids = known.vocabulary.encode(profiles.columns[columns])[0]
    flagged = [known.vocabulary.encode(name.split("+"))[0] for name in names]
    perturbed = torch.stack([torch.isin(ids, numbers) for numbers in flagged]).long()  # targets x genes
    shown = np.random.default_rng(seed).permutation(rows_of[CONTROL])[: recipe.control_cells]
    cells = expression[np.sort(shown)].toarray().astype(np.float32)
    tuned = Tuned(_fresh(known.model, seed, identity=False), known.vocabulary, profiles, profiles.loc[CONTROL], cells)

    def batches(epoch: int) -> DataLoader:
        rng = np.random.default_rng([seed, epoch])
        n = recipe.cells_a_target
        of_target = [rng.choice(rows_of[name], n) if n else rows_of[name] for name in names]
        which = np.repeat(np.arange(len(names)), [len(rows) for rows in of_target])
        order = rng.permutation(len(which))
        which, after = which[order], np.concatenate(of_target)[order]
        before = rng.choice(rows_of[CONTROL], len(which))
        return DataLoader(
            _Pairs(expression, columns, (before, after), which, perturbed),
            batch_size=None,
            sampler=torch.arange(len(which)).split(recipe.batch_size),
        )

    def loss(model: PerturbationModel, batch: tuple[Tensor, Tensor, Tensor], over: float) -> dict[str, Tensor]:
        del over
        drawn = torch.randperm(len(ids))[: recipe.genes_a_row]
        before, after, flags = (part[:, drawn] for part in batch)
        came = model(ids[drawn].to(before.device).expand(len(before), -1), before, flags)
        return {"error": nn.functional.mse_loss(came, after)}

    settings = loop.Settings(
        epochs=recipe.epochs,
        learning_rate=recipe.learning_rate,
        schedule="step",
        step_factor=0.9,
        precision=recipe.precision if torch.cuda.is_available() else "float32",
        watch=None if validation is None else "pearson_delta",
        patience=None if validation is None else recipe.patience,
        seed=seed,
    )
    return tuned, loop.fit(tuned.model, loss, batches, settings, _validate(tuned, validation))


class _Pairs(Dataset):
    """Control cells and perturbed cells beside each other, made dense a batch at a time."""

    def __init__(
        self,
        expression: scipy.sparse.csr_matrix,
        columns: np.ndarray,
        rows: tuple[np.ndarray, np.ndarray],
        which: np.ndarray,
        flags: Tensor,
    ) -> None:
        """Take cells x genes, the genes that are shown, rows before and after, and each pair's target and its flags."""
        self.expression, self.columns, self.rows, self.which, self.flags = expression, columns, rows, which, flags

    def __len__(self) -> int:
        """Give the number of pairs."""
        return len(self.which)

    def __getitem__(self, some: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Give expression before and after, and the flags: pairs x genes each."""
        before, after = (
            torch.from_numpy(self.expression[rows[some.numpy()]][:, self.columns].toarray().astype(np.float32))
            for rows in self.rows
        )
        return before, after, self.flags[self.which[some.numpy()]]


def _in_vocabulary(vocabulary: Vocabulary, genes: Sequence[str]) -> np.ndarray:
    """Give the places of the genes that have a token."""
    return np.flatnonzero(~vocabulary.encode(genes)[1].numpy())


def _targets(profiles: pd.DataFrame, validation: pd.DataFrame | None) -> list[str]:
    names = [*profiles.index, *([] if validation is None else validation.index)]
    return [name for name in dict.fromkeys(names) if name != CONTROL]


def _name_unknown(vocabulary: Vocabulary, targets: Sequence[str]) -> None:
    """Name the targets that are not in the vocabulary, and ask about those that may be several tokens."""
    vocabulary.ask(targets)
    unknown = [target for target in targets if vocabulary.unknown(target.split("+"))]
    if unknown:
        said = f"{len(unknown):,} of {counted(len(targets), 'target')} are not in the vocabulary: {listed(unknown)}"
        warnings.warn(f"{said}; nothing is learned from them, and they get the train mean", stacklevel=3)


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
