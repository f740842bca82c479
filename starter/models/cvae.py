"""A conditional variational autoencoder: what would these control cells be, had a gene been switched off.

The encoder reads a cell and its condition (the features of its target gene) and gives a normal distribution over a few
latent numbers; the decoder turns latent numbers and a condition into the rate of every gene; counts are negative
binomial around rate x depth. Because a condition is made of features, a gene that nobody has switched off has one too.

Kingma & Welling (2014), arXiv 1312.6114; conditions: Sohn et al. (2015), NeurIPS 28; counts: scVI, Lopez et al. (2018),
Nature Methods 15:1053; the same cell under another condition: scGen, Lotfollahi et al. (2019), Nature Methods 16:715,
and CPA, Lotfollahi et al. (2023), Molecular Systems Biology 19:e11517.

This module needs torch (the extra `student`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from starter.errors import InputError, listed
from starter.models.baselines import Profiles, train_mean
from starter.models.conditioned_cells import Batch, Cells, Known, log_rates
from starter.models.negative_binomial import mean_log1p
from starter.priors.conditions import conditions
from starter.schema import CONTROL
from starter.training import loop

CONTROL_CELLS = 256
"""Over how many control cells an effect is averaged; more change it little."""


def draw(mean: Tensor, log_variance: Tensor, noise: Tensor) -> Tensor:
    """Draw from normal distributions, so that gradients reach their parameters (Kingma & Welling 2014, section 2.4)."""
    return mean + (0.5 * log_variance).exp() * noise


def nb_log_likelihood(counts: Tensor, log_mean: Tensor, log_theta: Tensor) -> Tensor:
    """Give the log-likelihood of counts, number by number, in nats.

    Parameters
    ----------
    counts
        Counts.
    log_mean, log_theta
        Natural logarithms of the mean and of theta; the variance is mean + mean^2 / theta.
    """
    theta = log_theta.exp()
    log_odds = log_mean - log_theta
    return (
        torch.lgamma(counts + theta)
        - torch.lgamma(theta)
        - torch.lgamma(counts + 1)
        + counts * log_odds
        - (counts + theta) * nn.functional.softplus(log_odds)
    )


def kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Give the Kullback-Leibler divergence of normal distributions from N(0, 1), number by number, in nats."""
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance)


def warm_up(progress: float, share: float, weight: float) -> float:
    """Give the weight of the KL term: rising in a straight line from 0 for a share of the training, then constant.

    Bowman et al. (2016), arXiv 1511.06349.
    """
    return weight * min(1.0, progress / share) if share > 0 else weight


class ConditionalVAE(nn.Module):
    """Encoder and decoder, each with one hidden layer, and both told the condition."""

    log_rate: Tensor
    log_theta: Tensor

    def __init__(self, n_genes: int, n_conditions: int, n_latent: int = 16, n_hidden: int = 128) -> None:
        super().__init__()
        self.encoder = nn.Linear(n_genes + n_conditions, n_hidden)
        self.mean = nn.Linear(n_hidden, n_latent)
        self.log_variance = nn.Linear(n_hidden, n_latent)
        self.decoder = nn.Linear(n_latent + n_conditions, n_hidden)
        self.change = nn.Linear(n_hidden, n_genes)
        nn.init.normal_(self.change.weight, std=0.01)  # a new model predicts the control
        nn.init.zeros_(self.change.bias)
        self.register_buffer("log_rate", torch.zeros(n_genes))  # of control cells
        self.register_buffer("log_theta", torch.zeros(n_genes))

    def encode(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Give mean and log-variance of the latent numbers, cells x latent numbers each."""
        hidden = torch.relu(self.encoder(torch.cat([x, condition], dim=1)))  # cells x hidden
        return self.mean(hidden), self.log_variance(hidden)

    def decode(self, z: Tensor, condition: Tensor) -> Tensor:
        """Give the log rate of every gene, in counts of a cell with `target_sum` UMIs, cells x genes."""
        hidden = torch.relu(self.decoder(torch.cat([z, condition], dim=1)))  # cells x hidden
        return self.log_rate + self.change(hidden)  # genes + cells x genes


def loss_terms(model: ConditionalVAE, batch: Batch, weight: float) -> dict[str, Tensor]:
    """Give the negative evidence lower bound, its KL term weighted, in nats a cell.

    Parameters
    ----------
    model
        The model.
    batch
        Cells.
    weight
        Of the KL term; 1 makes it the bound itself, more a beta-VAE (Higgins et al. 2017, ICLR).
    """
    mean, log_variance = model.encode(batch.x, batch.condition)
    z = draw(mean, log_variance, torch.randn_like(mean))  # cells x latent numbers
    log_mean = model.decode(z, batch.condition) + batch.depth.log()  # cells x genes + cells x 1
    likelihood = nb_log_likelihood(batch.counts, log_mean, model.log_theta)  # cells x genes
    return {
        "reconstruction": -likelihood.sum(dim=1).mean(),
        "kl": weight * kl(mean, log_variance).sum(dim=1).mean(),
    }


@dataclass(frozen=True)
class Fitted:
    """A trained model and what it is asked with."""

    model: ConditionalVAE
    conditions: pd.DataFrame
    """What `starter.priors.conditions` gave."""
    controls: Batch
    """Control cells whose counterfactuals are taken."""
    history: pd.DataFrame
    """Of the training."""

    def condition(self, target: str) -> Tensor:
        """Give the condition of a target, or of the control, as one row."""
        return torch.from_numpy(self.conditions.loc[[target]].to_numpy())


def train(
    profiles: pd.DataFrame,
    known: Known,
    targets: Sequence[str],
    *,
    epochs: int = 10,
    weight: float = 4.0,
    warm_up_share: float = 0.5,
    n_latent: int = 16,
    n_hidden: int = 128,
    learning_rate: float = 3e-3,
    weight_decay: float = 3.0,
    batch_size: int = 256,
    seed: int = 0,
) -> Fitted:
    """Train on the cells of the training perturbations and of the control.

    Parameters
    ----------
    profiles, known, targets
        Those of `cvae`.
    epochs, learning_rate, weight_decay, batch_size
        Of the training. The decay is large, because there are many features and few perturbations.
    weight, warm_up_share
        Of the KL term. A weight above 1 keeps out of the latent numbers what the condition can say.
    n_latent, n_hidden
        Sizes of the network.
    seed
        Of first weights, order and noise.

    Raises
    ------
    InputError
        If cells, labels and profiles do not fit together, or there are no control cells.
    """
    _check(profiles, known)
    table = conditions(known.tables, profiles.index.drop(CONTROL), targets)
    labels = [name for name in table.index if name in profiles.index]
    rows = np.flatnonzero(np.isin(known.target_gene, labels))
    cells = Cells(known, rows, table)
    model, history = _trained(
        cells,
        loop.Settings(epochs=epochs, learning_rate=learning_rate, weight_decay=weight_decay, seed=seed),
        (weight, warm_up_share),
        (n_latent, n_hidden),
        batch_size,
    )
    controls = rows[known.target_gene[rows] == CONTROL]
    chosen = np.random.default_rng(seed).permutation(controls)[:CONTROL_CELLS]
    return Fitted(model.eval(), table, cells[np.searchsorted(rows, np.sort(chosen))], history)


def log_fold_change(model: ConditionalVAE, x: Tensor, control: Tensor, perturbed: Tensor) -> Tensor:
    """Give what a perturbation does to the log rate of every gene: the same control cells under both conditions.

    What the decoder gets wrong under both cancels.

    Parameters
    ----------
    model
        The model.
    x
        Control cells x genes, as in `Batch`.
    control, perturbed
        The two conditions, 1 x numbers.
    """
    with torch.no_grad():
        z, _ = model.encode(x, control.expand(len(x), -1))
        change = model.decode(z, perturbed.expand(len(x), -1)) - model.decode(z, control.expand(len(x), -1))
    return change.mean(dim=0)  # cells x genes -> genes


def generate(fitted: Fitted, target: str, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Make cells of a perturbation: control cells encoded, decoded under its condition, and counts drawn.

    Parameters
    ----------
    fitted
        What `train` gave.
    target
        A perturbation with a condition, measured or not; or the control.
    seed
        Of the draws.

    Returns
    -------
    Counts (cells x genes) and each cell's depth, total UMIs over `target_sum`.
    """
    model, cells = fitted.model, fitted.controls
    with torch.no_grad(), loop.seeded(seed):
        mean, log_variance = model.encode(cells.x, cells.condition)
        z = draw(mean, log_variance, torch.randn_like(mean))  # cells x latent numbers
        log_mean = model.decode(z, fitted.condition(target).expand(len(z), -1)) + cells.depth.log()
        counts = torch.distributions.NegativeBinomial(model.log_theta.exp(), logits=log_mean - model.log_theta).sample()
    return counts.numpy(), cells.depth.numpy().ravel()


def fit(profiles: pd.DataFrame, known: Known, **settings: Any) -> Profiles:
    """Train a conditional VAE.

    Parameters
    ----------
    profiles
        As of every `starter.models.baselines.Model`.
    known
        Features and cells; cells of perturbations that are not in `profiles` are not read.
    settings
        Keywords of `train`.

    Returns
    -------
    A function from targets to predicted profiles: the control's, plus what the counterfactual changes, never below 0. A
    target that no table of features knows gets the train mean.
    """
    fitted = train(profiles, known, [], **settings)
    model, x, control = fitted.model, fitted.controls.x, fitted.condition(CONTROL)
    base = log_rates(model, x, control)  # genes

    def predict(targets: Sequence[str]) -> pd.DataFrame:
        predicted = train_mean(profiles, None, targets)
        asked = replace(fitted, conditions=conditions(known.tables, profiles.index.drop(CONTROL), targets))
        able = [target for target in targets if target in asked.conditions.index]
        if not able:
            return predicted
        changes = [log_fold_change(model, x, control, asked.condition(target)) for target in able]
        changed = base + torch.stack(changes)  # targets x genes
        with torch.no_grad():
            effects = mean_log1p(changed, model.log_theta) - mean_log1p(base, model.log_theta)
        predicted.loc[able] = np.maximum(profiles.loc[CONTROL].to_numpy() + effects.double().numpy(), 0)
        return predicted

    return predict


def cvae(profiles: pd.DataFrame, known: Known, targets: Sequence[str], **settings: Any) -> pd.DataFrame:
    """Train a conditional VAE and predict profiles, as a `starter.models.baselines.Model`.

    Parameters
    ----------
    profiles, known, settings
        As `fit` takes them.
    targets
        As of every `starter.models.baselines.Model`.

    Returns
    -------
    One row a target, same columns as `profiles`.
    """
    mean = train_mean(profiles, None, targets)
    if not len(conditions(known.tables, profiles.index.drop(CONTROL), targets).index.intersection(targets)):
        return mean  # nothing to train for
    return fit(profiles, known, **settings)(targets)


def _trained(
    cells: Cells,
    settings: loop.Settings,
    of_kl: tuple[float, float],
    sizes: tuple[int, int],
    batch_size: int,
) -> tuple[ConditionalVAE, pd.DataFrame]:
    weight, share = of_kl
    with loop.seeded(settings.seed):
        model = ConditionalVAE(cells.counts.shape[1], cells.condition.shape[1], *sizes)
    model.log_rate.copy_(torch.from_numpy(np.log(cells.rate)))
    model.log_theta.copy_(torch.from_numpy(np.log(cells.theta)))

    def loss(model: ConditionalVAE, batch: Batch, progress: float) -> dict[str, Tensor]:
        return loss_terms(model, batch, warm_up(progress, share, weight))

    return model, loop.fit(model, loss, cells.batches(batch_size, settings.seed), settings)


def _check(profiles: pd.DataFrame, known: Known) -> None:
    n_cells, n_genes = known.counts.shape
    if not n_cells == len(known.n_umis) == len(known.target_gene):
        msg = (
            f"{n_cells:,} cells have {len(known.n_umis):,} library sizes and {len(known.target_gene):,} labels; "
            "give one of each a cell"
        )
        raise InputError(msg)
    if n_genes != profiles.shape[1]:
        msg = f"the cells have {n_genes:,} genes and the profiles {profiles.shape[1]:,}; give both the same genes"
        raise InputError(msg)
    if missing := sorted(set(profiles.index) - set(known.target_gene)):
        msg = f"there are no cells of {listed(missing)}, whose profiles are given; give the screen's cells"
        raise InputError(msg)
