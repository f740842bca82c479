"""The state of a training in one file, which is written whole or not at all, and read without unpickling."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import torch

from starter.errors import InputError
from starter.files import whole


class Stateful(Protocol):
    """A model, an optimiser, or another thing with a state of tensors and plain values."""

    def state_dict(self) -> dict[str, Any]:
        """Give the state."""
        ...

    def load_state_dict(self, state_dict: dict[str, Any], /) -> object:
        """Take a state."""
        ...


def write(path: Path, settings: dict[str, object], parts: Mapping[str, Stateful], state: Mapping[str, object]) -> None:
    """Write the state of a training.

    Parameters
    ----------
    path
        The file; an earlier one stays until the new one is complete.
    settings
        With what it was made.
    parts
        Model, optimiser and what else has a state.
    state
        How far it came; plain values and tensors.

    Raises
    ------
    InputError
        If the file cannot be written.
    """
    content = {name: part.state_dict() for name, part in parts.items()}
    with whole(path) as unfinished:
        torch.save({**content, "settings": settings, "state": state}, unfinished)


def read(path: Path, settings: dict[str, object], parts: Mapping[str, Stateful]) -> dict[str, Any]:
    """Read the state of a training into its parts.

    Parameters
    ----------
    path
        What `write` wrote.
    settings, parts
        As there; the parts are changed.

    Returns
    -------
    How far it came.

    Raises
    ------
    InputError
        If the file is damaged, or belongs to other settings or another model.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
        made_with, state = content["settings"], content["state"]
    except Exception as error:  # whatever is in somebody's file
        msg = f"{path} is not the state of a training; remove it to start anew, or name another folder"
        raise InputError(msg) from error
    if changed := [name for name in settings if made_with.get(name) != settings[name]]:
        was = ", ".join(f"{name} {made_with.get(name)!r} there and {settings[name]!r} here" for name in changed)
        msg = f"{path} was made with other settings ({was}); go on with the same, or name another folder"
        raise InputError(msg)
    try:
        for name, part in parts.items():
            part.load_state_dict(content[name])
    except (KeyError, RuntimeError, ValueError) as error:
        msg = f"{path} is the state of another model; name another folder"
        raise InputError(msg) from error
    return state
