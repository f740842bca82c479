"""What a notebook answers: a function called, a variable read, an object built and used, a file read.

Local checks and grading get an answer in the same way.
"""

import json
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from starter.errors import InputError

MAX_FILE = 64 << 20
"""Bytes of a file that is asked for."""


@dataclass(frozen=True)
class Function:
    """Call a function with the inputs of each case as keyword arguments."""

    name: str
    tensors: bool = False
    """Whether arrays are given as torch tensors."""

    def find(self, names: Mapping[str, Any]) -> Any:
        """Take the function from the notebook's names."""
        return _named(names, self.name)

    def answer(self, given: Any, inputs: dict[str, Any]) -> Any:
        """Call it."""
        return plain(given(**(to_tensors(inputs) if self.tensors else inputs)))


@dataclass(frozen=True)
class Variable:
    """Read a variable after all cells ran. There are no inputs: it follows from the course's data."""

    name: str

    def find(self, names: Mapping[str, Any]) -> Any:
        """Take the variable from the notebook's names."""
        return _named(names, self.name)

    def answer(self, given: Any, inputs: dict[str, Any]) -> Any:
        """Give its value."""
        del inputs
        return plain(given)


@dataclass(frozen=True)
class Object:
    """Build an object of a class and call its methods.

    A case's inputs are `build` (arguments of the class), `calls` (a list of [method, arguments]) and, for a torch
    module, `weights` (parameter name to array). The answer is the list of what the calls gave. A module is in
    evaluation mode, without gradients, and gets arrays as tensors.
    """

    name: str

    def find(self, names: Mapping[str, Any]) -> Any:
        """Take the class from the notebook's names."""
        return _named(names, self.name)

    def answer(self, given: Any, inputs: dict[str, Any]) -> list:
        """Build it, load its weights and make the calls in order."""
        made = given(**inputs["build"])
        torch = sys.modules.get("torch")
        if torch is None or not isinstance(made, torch.nn.Module):
            return [plain(getattr(made, method)(**arguments)) for method, arguments in inputs["calls"]]
        if weights := inputs.get("weights"):
            made.load_state_dict(to_tensors(weights))
        made.eval()
        with torch.no_grad():
            return [plain(getattr(made, method)(**to_tensors(arguments))) for method, arguments in inputs["calls"]]


@dataclass(frozen=True)
class File:
    """Read a file that the notebook wrote, or that was handed in beside it. There are no inputs."""

    path: str
    """From the notebook's folder: .csv, .tsv, .parquet, .json, .npy or .npz."""

    @property
    def name(self) -> str:
        """The file."""
        return self.path

    def find(self, names: Mapping[str, Any]) -> Any:
        """Take the path as it is."""
        del names
        return self.path

    def answer(self, given: Any, inputs: dict[str, Any]) -> Any:
        """Read it by its ending.

        Raises
        ------
        InputError
            If there is no regular file, or it is too large.
        """
        del inputs
        file = Path(given)
        try:
            about = file.lstat()
        except OSError as error:
            msg = f"there is no file {given} beside the notebook"
            raise InputError(msg) from error
        if not stat.S_ISREG(about.st_mode) or about.st_size > MAX_FILE:
            msg = f"{given} is not a regular file of at most {MAX_FILE >> 20} MiB"
            raise InputError(msg)
        return READERS[file.suffix](file)


READERS = {
    ".csv": pd.read_csv,
    ".tsv": lambda file: pd.read_csv(file, sep="\t"),
    ".parquet": pd.read_parquet,
    ".json": lambda file: json.loads(file.read_text(encoding="utf-8")),
    ".npy": lambda file: np.load(file, allow_pickle=False),
    ".npz": lambda file: dict(np.load(file, allow_pickle=False)),
}
Kind = Function | Variable | Object | File
KINDS: dict[str, type[Kind]] = {"function": Function, "variable": Variable, "object": Object, "file": File}
"""Kinds of questions, by the name under which they are stored."""


def to_tensors(value: Any) -> Any:
    """Turn the arrays in a value into torch tensors."""
    import torch

    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return torch.from_numpy(np.array(value))
    if isinstance(value, dict):
        return {key: to_tensors(item) for key, item in value.items()}
    if isinstance(value, list):
        return [to_tensors(item) for item in value]
    return value


def plain(value: Any) -> Any:
    """Turn the torch tensors in a value into arrays."""
    torch = sys.modules.get("torch")
    if torch is not None and isinstance(value, torch.Tensor):
        value = value.detach().cpu()
        return (value.float() if value.dtype in (torch.bfloat16, torch.float16) else value).numpy()
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def _named(names: Mapping[str, Any], name: str) -> Any:
    if name not in names:
        msg = f"the notebook defines no {name}"
        raise InputError(msg)
    return names[name]
