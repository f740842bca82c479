"""What a model is: `fit(data)` gives one, `predict(model, pairs)` a profile table, `spread(model, pairs)` its doubt.

`docs/models.md` tells it with an example. Every model of the kit (`starter.models.kit`), a file of a student's and what
an adapter reads of somebody else's model meet here, so that all are tested and scored in one way.

A pair is a context (a cell line, a condition) and a perturbation. What a model learned in one context is never passed
off as knowledge of another: a model of single contexts refuses one in which nothing was perturbed.
"""

import importlib.util
import inspect
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from starter.data.dataset import PAIR
from starter.data.pseudobulk import check_profile_table
from starter.errors import InputError, difference
from starter.files import check_file
from starter.models.training_data import TrainingData, named


class Contract(NamedTuple):
    """A model by its functions."""

    name: str
    fit: Callable[[TrainingData], Any]
    predict: Callable[[Any, pd.MultiIndex], pd.DataFrame]
    """(model, pairs) -> profile table: index the pairs, columns the genes, mean log1p expression, never below 0."""
    spread: Callable[[Any, pd.MultiIndex], pd.DataFrame] | None = None
    """(model, pairs) -> standard deviation of what is predicted, a table of the same form: how far the measured profile
    may lie from the predicted one, without what the number of measured cells adds."""


def read_model(path: str | Path) -> Contract:
    """Find the contract in a Python file, which is run.

    Parameters
    ----------
    path
        A file with the functions `fit(data)` and `predict(model, pairs)`, and perhaps `spread(model, pairs)`.

    Raises
    ------
    InputError
        If it is no Python file, cannot be imported, or a function is missing or takes other arguments.
    """
    path = Path(path)
    check_file(path)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    if spec is None or spec.loader is None:
        msg = f"{path} is no Python file; give one with the functions fit(data) and predict(model, pairs)"
        raise InputError(msg)
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever is in somebody's file
        msg = f"{path} cannot be imported: {type(error).__name__}: {error}; mend it, or add --debug to see where"
        raise InputError(msg) from error
    fit, predict = _function(module, path, "fit", 1), _function(module, path, "predict", 2)
    spread = _function(module, path, "spread", 2) if hasattr(module, "spread") else None
    return Contract(path.stem, fit, predict, spread)


def _function(module: object, path: Path, name: str, takes: int) -> Callable[..., Any]:
    form = {"fit": "fit(data)", "predict": "predict(model, pairs)", "spread": "spread(model, pairs)"}[name]
    function = getattr(module, name, None)
    if not callable(function):
        msg = f"{path} has no function {form}; a model is fit(data) and predict(model, pairs), as docs/models.md says"
        raise InputError(msg)
    try:
        inspect.signature(function).bind(*range(takes))
    except TypeError as error:
        msg = f"{path}: {name} cannot be called as {form}: {error}"
        raise InputError(msg) from error
    return function


def predict(contract: Contract, model: object, wanted: pd.MultiIndex, genes: Iterable[str]) -> pd.DataFrame:
    """Ask a model, and hold it to the contract.

    Parameters
    ----------
    contract
        The model's functions.
    model
        What `contract.fit` gave.
    wanted
        The pairs to predict, index context and perturbation.
    genes
        The genes of the training profiles.

    Returns
    -------
    A profile table, rows in the order of `wanted`.

    Raises
    ------
    InputError
        If the answer is no profile table of these pairs and genes.
    """
    return _asked(contract.name, "predict", contract.predict(model, wanted), wanted, list(genes))


def spread(contract: Contract, model: object, wanted: pd.MultiIndex, genes: Iterable[str]) -> pd.DataFrame | None:
    """Ask a model how sure it is, as `predict` does; None if it does not say."""
    if contract.spread is None:
        return None
    return _asked(contract.name, "spread", contract.spread(model, wanted), wanted, list(genes))


def _asked(name: str, function: str, answer: Any, wanted: pd.MultiIndex, genes: list[str]) -> pd.DataFrame:
    said = f"{function} of {name}"
    if not isinstance(answer, pd.DataFrame):
        msg = f"{said} gave a {type(answer).__name__}; give a table, pandas.DataFrame, of the pairs asked and the genes"
        raise InputError(msg)
    if list(answer.index.names) != PAIR or answer.index.has_duplicates or set(answer.index) != set(wanted):
        odd = difference(named(wanted), named(answer.index)) if answer.index.nlevels == len(PAIR) else ""
        msg = f"{said} should give one row for each pair asked, indexed by context and perturbation"
        raise InputError(f"{msg}: {odd}" if odd else f"{msg}; build the table with index=pairs")
    try:
        check_profile_table(answer, genes)
    except InputError as error:
        msg = f"{said}: {error}"
        raise InputError(msg) from error
    return answer.loc[wanted]
