"""What is compared: a model of the kit, a student's file, a profile table, or an upload."""

import hashlib
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from threadpoolctl import threadpool_limits

import starter
from starter.data.dataset import pairs
from starter.data.pseudobulk import read_profile_table
from starter.errors import InputError, listed
from starter.files import sha256
from starter.models.contract import Contract, predict, read_model, spread
from starter.models.kit import KIT, LATER, find_model, model_names
from starter.models.training_data import TrainingData
from starter.prediction.vcc import unpacked
from starter.schema import CONTROL, PERTURBATION
from starter.scoring.scorecard import prediction_name
from starter.scoring.screens.opened import open_screen

UPLOADS = (".h5ad", ".vcc")
"""Endings of prediction files."""


@dataclass(frozen=True)
class Arm:
    """Something that predicts."""

    name: str
    digest: str
    """Hash of all that its predictions depend on beside the data: the file, and for models the kit's code."""
    contract: Contract | None = None
    """A model; or else"""
    table: pd.DataFrame | None = None
    """a profile table; or else"""
    file: Path | None = None
    """a prediction file."""

    def holds(self) -> pd.MultiIndex | None:
        """List the pairs that it predicts, if it can predict no others.

        Raises
        ------
        InputError
            If a prediction file cannot be read.
        """
        if self.table is not None:
            return self.table.index
        if self.file is None:
            return None
        with unpacked(self.file) as file, open_screen(file, str(self.file), controls=False, predicted=True) as screen:
            held = pairs(screen.obs).unique()
        return held[held.get_level_values(PERTURBATION) != CONTROL]


def read_arm(text: str) -> Arm:
    """Find out what is meant: the name of one of the kit's models, or a file.

    Parameters
    ----------
    text
        A key of `starter.models.kit.KIT`, or the path of a `.py` file with a model, a profile table (`.parquet`) or a
        prediction (`.h5ad`, `.vcc`).

    Raises
    ------
    InputError
        If it is none of these, or a model that comes later, or the file cannot be used.
    """
    if text in KIT or text in LATER:
        return arm_of(find_model(text))
    path = Path(text)
    if path.suffix == ".py":
        return arm_of_file(path)
    if path.suffix == ".parquet":
        return Arm(path.stem, sha256(path), table=read_profile_table(path))
    if path.suffix in UPLOADS:
        if not path.exists():
            msg = f"there is no file {path}; give a prediction, a profile table (.parquet) or a model (.py)"
            raise InputError(msg)
        return Arm(prediction_name(path), sha256(path), file=path)
    msg = (
        f"{text!r} is neither a model of the kit nor a file .py, .parquet, .h5ad or .vcc; the models are "
        f"{model_names()}"
    )
    raise InputError(msg)


def arm_of(contract: Contract) -> Arm:
    """Make an arm of a model of the kit."""
    return Arm(contract.name, _hash(contract.name, hash_of_kit()), contract)


def arm_of_file(path: Path) -> Arm:
    """Make an arm of a student's file with a model, which is run.

    Raises
    ------
    InputError
        If it has none.
    """
    contract = read_model(path)
    return Arm(contract.name, _hash(sha256(path), hash_of_kit()), contract)


def read_arms(texts: list[str]) -> list[Arm]:
    """Read several arms, each with a name of its own.

    Raises
    ------
    InputError
        As `read_arm` does, or if two have one name.
    """
    arms = [read_arm(text) for text in texts]
    names = [arm.name for arm in arms]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        msg = f"several arms are named {listed(twice)}, and their scores would be mixed up; rename a file"
        raise InputError(msg)
    return arms


class Predicted(NamedTuple):
    """What an arm predicts."""

    table: pd.DataFrame
    """Profile table of the pairs asked."""
    spread: pd.DataFrame | None
    """Standard deviation of each value, if the model gives it."""


def predicted(arm: Arm, data: TrainingData, wanted: pd.MultiIndex) -> Predicted:
    """Let an arm that is no prediction file predict.

    Parameters
    ----------
    arm
        A model, which learns from the data, or a profile table.
    data
        What may be learned from.
    wanted
        Pairs to predict.

    Returns
    -------
    Tables with rows in the order of `wanted`.

    Raises
    ------
    InputError
        If the model fails or gives no such table, or the table has not all rows.
    """
    if arm.table is not None:
        if len(missing := wanted.difference(arm.table.index)):
            msg = f"{arm.name} has no row of {listed([name for _, name in missing])}; predict all that are hidden"
            raise InputError(msg)
        return Predicted(arm.table.loc[wanted], None)
    assert arm.contract is not None  # a file holds cells, and is scored as it is
    with failing(arm.name):
        model, genes = arm.contract.fit(data), data.profiles.columns
        return Predicted(predict(arm.contract, model, wanted, genes), spread(arm.contract, model, wanted, genes))


@contextmanager
def failing(name: str) -> Iterator[None]:
    """Say of whatever a model's own code raises what it is and in which line, in one sentence."""
    try:
        with threadpool_limits(1, user_api="blas"):  # on matrices this small, threads wait for each other
            yield
    except InputError:
        raise
    except Exception as error:  # somebody's model
        frame = traceback.extract_tb(error.__traceback__)[-1]
        theirs = [step for step in traceback.extract_tb(error.__traceback__) if Path(step.filename).stem == name]
        step = theirs[-1] if theirs else frame
        where = f"{Path(step.filename).name}, line {step.lineno}"
        text = " ".join(str(error).split()) or "no message"
        msg = f"{name} failed in {where} ({type(error).__name__}: {text}); mend it, or add --debug to see all of it"
        raise InputError(msg) from error


@cache
def hash_of_kit() -> str:
    """Hash the kit's code, of which the kit's models, cells and scores are made."""
    root = Path(starter.__path__[0])
    files = sorted(root.rglob("*.py"))
    return _hash(*(f"{file.relative_to(root).as_posix()} {sha256(file)}" for file in files))


def _hash(*parts: str) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
