"""Every model of the kit by the contract, by name.

Most know one context at a time: they learn in each context on its own, from what is known of genes and from the cells
of that context, and refuse a context in which nothing was perturbed. Those of `starter.models.transfer` learn across
contexts, and say so in their names.
"""

import tempfile
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import NamedTuple

import anndata
import numpy as np
import pandas as pd
from sklearn.neighbors import NearestNeighbors

from starter.data.dataset import PAIR
from starter.data.preprocess import expression
from starter.errors import InputError, listed
from starter.models import baselines, transfer
from starter.models.baselines import Profiles
from starter.models.contract import Contract, read_model
from starter.models.training_data import TrainingData
from starter.priors.conditions import side_by_side
from starter.priors.features import coexpression_features, effect_features, of_targets
from starter.priors.graphs import COEXPRESSION_THRESHOLD, coexpression_graph, neighbour_mean
from starter.schema import CONTEXT, CONTROL, PERTURBATION, TARGET_GENE


class Answers(NamedTuple):
    """A model of one context that has learned."""

    profiles: Profiles
    """targets -> predicted profiles, one row a target."""
    spread: Profiles | None = None
    """targets -> standard deviation of what is predicted."""


def in_each_context(
    name: str, learn: Callable[[TrainingData], Answers], *, unperturbed: bool = False, sure: bool = False
) -> Contract:
    """Make the contract of a model of one context: it learns in every context on its own.

    Parameters
    ----------
    name
        Its name.
    learn
        From the data of one context to its answers.
    unperturbed
        Whether it can learn of a context in which only control cells were measured.
    sure
        Whether its answers have a spread.
    """

    def fit(data: TrainingData) -> dict[str, Answers]:
        learned = {context: data.in_context(context) for context in data.contexts}
        return {context: learn(part) for context, part in learned.items() if unperturbed or len(part.pairs)}

    def ask(model: dict[str, Answers], pairs: pd.MultiIndex, which: Callable[[Answers], Profiles]) -> pd.DataFrame:
        wanted = pairs.get_level_values(CONTEXT)
        if missing := sorted(set(wanted) - set(model)):
            msg = (
                f"{name} learns in each context on its own, and no perturbation of {listed(missing)} was given to "
                f"learn from; take a model that learns across contexts: {', '.join(ACROSS)}"
            )
            raise InputError(msg)
        parts = [
            pd.concat({context: which(model[context])(list(pairs[wanted == context].get_level_values(PERTURBATION)))})
            for context in dict.fromkeys(wanted)
        ]
        return pd.concat(parts).rename_axis(PAIR).loc[pairs]

    def predict(model: dict[str, Answers], pairs: pd.MultiIndex) -> pd.DataFrame:
        return ask(model, pairs, lambda answers: answers.profiles)

    def stated(answers: Answers) -> Profiles:
        assert answers.spread is not None  # as `sure` says
        return answers.spread

    def spread(model: dict[str, Answers], pairs: pd.MultiIndex) -> pd.DataFrame:
        return ask(model, pairs, stated)

    return Contract(name, fit, predict, spread if sure else None)


def of_genes(data: TrainingData) -> pd.DataFrame:
    """Join all that is known of genes, their co-expression among the control cells included, in one feature table."""
    tables = [*data.features.values()]
    if data.screens:
        controls = data.read_cells(perturbed=False)
        tables.append(coexpression_features(expression(controls), controls.var_names))
    if not tables:
        msg = (
            "this model needs features of genes, and none are known; add files such as *features.parquet to the priors"
        )
        raise InputError(msg)
    return side_by_side(tables)


def _bound(model: baselines.Model, profiles: pd.DataFrame, known: object) -> Answers:
    """Keep what a model that is solved in no time learns from, until it is asked."""
    return Answers(lambda targets: model(profiles, known, targets))


def _control_mean(data: TrainingData) -> Answers:
    profiles = data.one_context()
    return Answers(lambda targets: _alike(profiles.loc[CONTROL], targets))


def _train_mean(data: TrainingData) -> Answers:
    """Its spread is that of the training profiles, as an unseen one has it about their mean."""
    profiles = data.one_context()
    doubt = _doubt_of_mean(profiles)
    return Answers(
        lambda targets: baselines.train_mean(profiles, None, targets), lambda targets: _alike(doubt, targets)
    )


def _perturbed_mean(data: TrainingData) -> Answers:
    return _bound(baselines.perturbed_mean, data.one_context(), data.n_cells.droplevel(CONTEXT))


def _additive(data: TrainingData) -> Answers:
    return _bound(baselines.additive, data.one_context(), None)


def _neighbour_mean(data: TrainingData) -> Answers:
    if "graph" not in data.graphs:
        msg = "neighbour mean needs a gene graph, and none is known; add a file *graph.tsv to the priors"
        raise InputError(msg)
    return _bound(neighbour_mean, data.one_context(), data.graphs["graph"])


def _bilinear(data: TrainingData) -> Answers:
    return _bound(baselines.bilinear, data.one_context(), None)


def _knn(data: TrainingData, k: int = 10) -> Answers:
    """Its spread is that of the k nearest profiles, as one more has it about their mean."""
    profiles, features = data.one_context(), of_genes(data)
    known = of_targets(features, profiles.index.drop(CONTROL))
    k = max(1, min(k, len(known)))
    doubt = _doubt_of_mean(profiles)  # of a target of which nothing is known

    def spread(targets: Sequence[str]) -> pd.DataFrame:
        table = _alike(doubt, targets)
        asked = of_targets(features, targets)
        if k > 1 and len(asked):
            search = NearestNeighbors(n_neighbors=k, metric="cosine").fit(known.to_numpy())
            nearest = search.kneighbors(asked.to_numpy(), return_distance=False)  # targets x k
            values = profiles.loc[known.index].to_numpy()
            for target, rows in zip(asked.index, nearest, strict=True):
                table.loc[target] = values[rows].std(axis=0, ddof=1) * np.sqrt(1 + 1 / k)
        return table

    return Answers(lambda targets: baselines.knn(profiles, features, targets, k), spread)


def _ridge(data: TrainingData) -> Answers:
    return Answers(baselines.fit_regression(data.one_context(), of_genes(data), baselines.ridge_regressor()))


def _elastic_net(data: TrainingData) -> Answers:
    regressor, n = baselines.elastic_net_regressor(), baselines.EFFECT_COMPONENTS
    return Answers(baselines.fit_regression(data.one_context(), of_genes(data), regressor, n))


def _random_forest(data: TrainingData) -> Answers:
    regressor, n = baselines.forest_regressor(), baselines.EFFECT_COMPONENTS
    return Answers(baselines.fit_regression(data.one_context(), of_genes(data), regressor, n))


def _cvae(data: TrainingData) -> Answers:
    from starter.models import cvae
    from starter.models.conditioned_cells import known_of

    cells = data.read_cells()
    tables = {**data.features, "co-expression": _coexpression(cells)}
    return Answers(cvae.fit(data.one_context(), known_of(cells, tables)))


def _gnn(data: TrainingData) -> Answers:
    from starter.models import gnn, message_passing

    controls = data.read_cells(perturbed=False)
    threshold = min(COEXPRESSION_THRESHOLD, 5 / controls.n_obs**0.5)  # by chance it is 1 / sqrt(cells)
    coexpression = coexpression_graph(expression(controls), controls.var_names, threshold)
    return Answers(message_passing.fit(data.one_context(), {**data.graphs, "co-expression": coexpression}, gnn.PARTS))


def _gene_transformer(data: TrainingData) -> Answers:
    from starter.models import transformer
    from starter.models.gene_task import Known

    coexpression = _coexpression(data.read_cells(perturbed=False))
    known = Known(side_by_side([*data.features.values(), coexpression]), coexpression)
    return Answers(transformer.fit(data.one_context(), known))


def _set_transformer(data: TrainingData) -> Answers:
    from starter.models import set_transformer
    from starter.models.set_task import KnownCells

    cells = data.read_cells()
    of_targets_known = side_by_side([*data.features.values(), _coexpression(cells)])
    known = KnownCells(of_targets_known, expression(cells), cells.obs)
    return Answers(set_transformer.fit(data.one_context(), known))


def _scgpt(data: TrainingData) -> Answers:
    """Pre-train a small scGPT on the control cells, then fine-tune it on the profiles; without published weights."""
    from starter.models.scgpt import finetuning, masked_values, pretraining, weights

    controls = data.read_cells(perturbed=False)
    pretrained, vocabulary, _ = pretraining.pretrain(
        expression(controls), controls.var_names, masked_values.bin_values, masked_values.masked_error
    )
    with tempfile.TemporaryDirectory() as folder:
        weights.save(pretrained, vocabulary, folder)
        model, vocabulary = weights.load(folder)
    tuned, _ = finetuning.short_rows(data.one_context(), finetuning.Pretrained(model, vocabulary))
    return Answers(tuned.predict)


def _ridge_with_other_lines(data: TrainingData) -> Answers:
    """Ridge on what is known of genes, and on what the same target did in the other contexts."""
    features, (context,) = of_genes(data), data.contexts
    if data.elsewhere is None:
        msg = f"there is no other context to learn from beside {context}; take ridge, which needs none"
        raise InputError(msg)
    deviations = transfer.deviations_elsewhere(transfer.lines_of(data), context)
    deviations.loc[CONTROL] = 0.0
    table = side_by_side([features, effect_features(deviations)])
    return Answers(baselines.fit_regression(data.one_context(), table, baselines.ridge_regressor()))


def _coexpression(cells: anndata.AnnData) -> pd.DataFrame:
    control = (cells.obs[TARGET_GENE] == CONTROL).to_numpy()
    return coexpression_features(expression(cells)[control], cells.var_names)


def _doubt_of_mean(profiles: pd.DataFrame) -> pd.Series:
    """Give the standard deviation of one more profile about the mean of the training profiles, a number a gene."""
    training = profiles.drop(index=CONTROL)
    return training.std(ddof=1).fillna(0.0) * np.sqrt(1 + 1 / len(training))


def _alike(row: pd.Series, targets: Sequence[str]) -> pd.DataFrame:
    """Give every target the same row."""
    values = np.tile(row.to_numpy(float), (len(targets), 1))
    return pd.DataFrame(values, pd.Index(targets, name=PERTURBATION), row.index)


BUILT_IN_NOTEBOOKS = {
    "conditional VAE": ("05_cvae", "starter.models.cvae"),
    "graph network": ("06_gnn", "starter.models.gnn"),
    "attention over genes": ("07_transformer", "starter.models.transformer"),
    "attention over cells": ("07_transformer", "starter.models.set_transformer"),
    "mini scGPT": ("08_scgpt", "starter.models.scgpt.masked_values"),
}
"""Model -> the stage whose notebook builds it, and the module that the students' kit has when that is over."""
LATER = {
    name: f"comes after the deadline of {stage}, whose notebook builds it"
    for name, (stage, module) in BUILT_IN_NOTEBOOKS.items()
    if find_spec(module) is None
}
"""Models that are not in this kit yet, and why."""
KIT = {
    contract.name: contract
    for contract in (
        in_each_context("control mean", _control_mean, unperturbed=True),
        in_each_context("train mean", _train_mean, sure=True),
        in_each_context("perturbed mean", _perturbed_mean),
        in_each_context("additive", _additive),
        in_each_context("neighbour mean", _neighbour_mean),
        in_each_context("bilinear", _bilinear),
        in_each_context("kNN", _knn, sure=True),
        in_each_context("ridge", _ridge),
        in_each_context("elastic net", _elastic_net),
        in_each_context("random forest", _random_forest),
        in_each_context("conditional VAE", _cvae),
        in_each_context("graph network", _gnn),
        in_each_context("attention over genes", _gene_transformer),
        in_each_context("attention over cells", _set_transformer),
        in_each_context("mini scGPT", _scgpt),
        in_each_context("ridge with other lines", _ridge_with_other_lines),
        transfer.same_target(),
        transfer.ridge_over_lines(),
    )
    if contract.name not in LATER
}
"""Every model by its name."""
ACROSS = (transfer.same_target().name, transfer.ridge_over_lines().name)
"""Those that can be asked of a context in which nothing was perturbed, the control mean apart."""


def model_names() -> str:
    """List the models of the kit, and those that it does not have yet, with the reason."""
    return "; ".join([", ".join(KIT), *(f"{name} {reason}" for name, reason in LATER.items())])


def find_model(name: str) -> Contract:
    """Give a model of the kit by its name, or that of a Python file.

    Raises
    ------
    InputError
        If there is no such model, or not yet, or the file does not keep the contract.
    """
    if name.endswith(".py"):
        return read_model(name)
    if name in KIT:
        return KIT[name]
    if name in LATER:
        msg = f"the model {name!r} {LATER[name]}; take another: {', '.join(KIT)}"
    else:
        msg = f"there is no model {name!r}; give a file such as my_model.py, or one of {model_names()}"
    raise InputError(msg)
