"""Every loss works where the batch and the model are on another device, such as a GPU. There need be none: torch's
device "meta" computes nothing and refuses what mixes devices, as a GPU does."""

import copy
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("torch")

import torch
from torch import Tensor, nn
from torch.fx.experimental import _config as fx_config

from starter.data import dataset, preprocess, pseudobulk
from starter.models import cvae, gnn, set_transformer
from starter.models.conditioned_cells import known_of
from starter.models.gene_task import Known
from starter.models.scgpt import finetuning, pretraining
from starter.models.scgpt.architecture import Architecture, PerturbationModel
from starter.models.scgpt.masked_values import bin_values, masked_error
from starter.models.scgpt.vocabulary import Vocabulary
from starter.models.set_task import KnownCells
from starter.models.transformer import gene_transformer
from starter.schema import TARGET_GENE
from starter.training import loop
from starter.training.processes import Processes


@pytest.fixture
def fit_elsewhere(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Tensor]]:
    """In place of a training: its first loss, on another device. Gives the losses."""
    losses = []

    def fit(model, loss, batches, settings, validate=None, device=None, folder=None) -> pd.DataFrame:
        assert device is None, "a GPU that is there must be used"
        del settings, folder, validate
        batch = next(iter(batches(1)))
        with fx_config.patch(meta_nonzero_assume_all_nonzero=True):  # how many values a mask picks is not known there
            losses.append(loss(copy.deepcopy(model).to("meta").train(), Processes(0, 1).share(batch, "meta"), 0.5))
        return pd.DataFrame({"loss": [0.0]}, index=pd.Index([1], name="epoch"))

    monkeypatch.setattr(loop, "fit", fit)
    return losses


@pytest.fixture(scope="module")
def screen(small_path: Path):
    return dataset.read_screen(small_path)


def scgpt_of(genes: list[str]) -> tuple[PerturbationModel, Vocabulary]:
    vocabulary = Vocabulary.of(genes)
    return PerturbationModel(Architecture(len(vocabulary), vocabulary.pad, 16, 2, 16, 1, 0.1)), vocabulary


def train_gnn(profiles, features, screen):
    rng = np.random.default_rng(0)
    edges = pd.DataFrame(rng.choice(features.index, (40, 2)), columns=["gene_a", "gene_b"])
    gnn.gnn(profiles, {"graph": edges[edges["gene_a"] != edges["gene_b"]]}, list(features.index[:2]))


def train_cvae(profiles, features, screen):
    cvae.cvae(profiles, known_of(screen, {"features": features}), list(features.index[:2]))


def train_gene_transformer(profiles, features, screen):
    gene_transformer(profiles, Known(features), list(features.index[:2]))


def train_set_transformer(profiles, features, screen):
    known = KnownCells(features, preprocess.expression(screen), screen.obs)
    set_transformer.set_transformer(profiles, known, list(features.index[:2]))


def train_short_rows(profiles, features, screen):
    finetuning.short_rows(profiles, finetuning.Pretrained(*scgpt_of(list(profiles.columns))), profiles.iloc[:2])


def train_as_published(profiles, features, screen):
    known = finetuning.Pretrained(
        *scgpt_of(list(profiles.columns)), preprocess.expression(screen), screen.obs[TARGET_GENE].to_numpy()
    )
    finetuning.as_published(profiles, known)


def train_pretraining(profiles, features, screen):
    pretraining.pretrain(preprocess.expression(screen), list(screen.var_names), bin_values, masked_error, width=8)


@pytest.mark.parametrize(
    "train",
    [
        train_gnn,
        train_cvae,
        train_gene_transformer,
        train_set_transformer,
        train_short_rows,
        train_as_published,
        train_pretraining,
    ],
)
def test_a_loss_is_computed_where_the_batch_is(train: Callable, fit_elsewhere: list[dict[str, Tensor]], screen):
    profiles = pseudobulk.profiles(screen).droplevel("context")
    names = dataset.perturbations(screen)
    features = pd.DataFrame(np.random.default_rng(1).normal(size=(len(names), 6)), names).add_prefix("f")
    train(profiles, features, screen)
    (terms,) = fit_elsewhere
    assert terms
    assert all(term.device.type == "meta" and term.ndim == 0 for term in terms.values())


def test_what_mixes_devices_is_refused(fit_elsewhere: list[dict[str, Tensor]]):
    def loss(model: nn.Module, batch: tuple[Tensor], over: float) -> dict[str, Tensor]:
        return {"error": (model(batch[0]) - torch.zeros(1)).square().mean()}

    with pytest.raises(RuntimeError, match="device"):
        loop.fit(nn.Linear(2, 1), loss, loop.in_memory(torch.ones(4, 2)), loop.Settings())
