"""scGPT's vocabulary and checkpoints: from a folder of published weights to a perturbation model, and back.

A checkpoint is a folder with `args.json` (sizes), `vocab.json` (token to number) and `best_model.pt` (a state dict).
The architecture is in `starter.models.scgpt.architecture`.

This module needs torch (the extra `student`).
"""

import json
import pickle
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from starter.errors import InputError, listed
from starter.files import whole
from starter.models.scgpt.architecture import Architecture, Backbone, Loading, PerturbationModel
from starter.models.scgpt.vocabulary import ARGS, PAD, VOCABULARY, WEIGHTS, Vocabulary, read_json, read_vocabulary

SHARED = ("encoder.", "value_encoder.", "transformer_encoder.")
"""What begins the names of the weights that a perturbation model takes from a pre-trained one; as published."""
SUPPORTED = {"pad_token": PAD, "input_emb_style": "continuous", "pre_norm": False, "use_batch_labels": False}
"""Settings in `args.json` that would change the architecture, with the only value that this module knows."""


def load(folder: str | Path, pert_pad_id: int = 0) -> tuple[PerturbationModel, Vocabulary]:
    """Make a perturbation model of a checkpoint.

    Parameters
    ----------
    folder
        Holds `args.json`, `vocab.json` and `best_model.pt`. Of a pre-trained model the weights of `SHARED` are taken;
        of a perturbation model all. Both namings of the attention's weights are read.
    pert_pad_id
        As in `PerturbationModel`.

    Returns
    -------
    The model in evaluation mode, on the CPU; its attribute `loading` says which weights came from the checkpoint. And
    the vocabulary.

    Raises
    ------
    InputError
        If a file is missing or cannot be read without running code, a setting is unknown, the vocabulary has no
        `<pad>`, or weights are missing, have other shapes, or are NaN or infinite.
    """
    folder = Path(folder)
    if missing := [name for name in (ARGS, VOCABULARY, WEIGHTS) if not (folder / name).is_file()]:
        msg = f"{folder} has no {' and no '.join(missing)}; name the folder of a checkpoint, which holds all three"
        raise InputError(msg)
    vocabulary = read_vocabulary(folder)
    model = PerturbationModel(_read_sizes(folder / ARGS, vocabulary), pert_pad_id)
    path = folder / WEIGHTS
    state, own = _read_weights(path), model.state_dict()
    complete = any(name.startswith("pert_encoder.") for name in state)
    wanted = {name for name in own if complete or name.startswith(SHARED)}
    if missing := sorted(name for name in wanted if name not in state and name.startswith(SHARED)):
        msg = f"{path} lacks {listed(missing)}; it is no checkpoint of scGPT, or {ARGS} says more layers than it has"
        raise InputError(msg)
    loaded = sorted(wanted & set(state))
    for name in loaded:
        came, due = tuple(state[name].shape), tuple(own[name].shape)
        if came != due:
            msg = f"{path}: {name} has the shape {came}, but {ARGS} and {VOCABULARY} ask for {due}; mix no two models"
            raise InputError(msg)
    if odd := [name for name in loaded if not bool(torch.isfinite(state[name]).all())]:
        msg = f"{path}: NaN or infinite values in {listed(odd)}; download or train the weights again"
        raise InputError(msg)
    model.load_state_dict({name: state[name] for name in loaded}, strict=False)
    initial, unused = (sorted(set(names) - set(loaded)) for names in (own, state))
    model.loading = Loading(tuple(loaded), tuple(initial), tuple(unused))
    return model.eval(), vocabulary


def save(model: Backbone, vocabulary: Vocabulary, folder: str | Path) -> None:
    """Write a checkpoint folder that `load` reads.

    Parameters
    ----------
    model
        Pre-trained or fine-tuned.
    vocabulary
        Its tokens.
    folder
        Where to write; made where there is none.
    """
    sizes = model.sizes
    args = {"embsize": sizes.width, "nheads": sizes.heads, "d_hid": sizes.hidden, "nlayers": sizes.layers}
    args |= {"dropout": sizes.dropout, "pad_token": PAD, "input_emb_style": "continuous"}
    for name, value in ((ARGS, args), (VOCABULARY, dict(vocabulary.numbers))):
        with whole(Path(folder) / name) as part:
            part.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    with whole(Path(folder) / WEIGHTS) as part:
        torch.save({name: value.cpu() for name, value in model.state_dict().items()}, part)


def _read_sizes(path: Path, vocabulary: Vocabulary) -> Architecture:
    args = read_json(path)
    sizes: list[Any] = [args.get(name) for name in ("embsize", "nheads", "d_hid", "nlayers")]
    whole_numbers = all(isinstance(size, int) and not isinstance(size, bool) and size > 0 for size in sizes)
    width, heads, hidden, layers = sizes
    if not whole_numbers or width % heads:
        msg = (
            f"{path}: embsize, nheads, d_hid and nlayers are {', '.join(map(repr, sizes))}; "
            "they are whole numbers above 0, and nheads divides embsize"
        )
        raise InputError(msg)
    dropout = args.get("dropout", 0.0)
    if not isinstance(dropout, int | float) or not 0 <= dropout < 1:
        msg = f"{path}: dropout is {dropout!r}; it is a number from 0 to below 1"
        raise InputError(msg)
    if other := [name for name, due in SUPPORTED.items() if args.get(name, due) != due]:
        was = ", ".join(f"{name} = {args[name]!r} (known: {SUPPORTED[name]!r})" for name in other)
        msg = f"{path} describes another architecture: {was}; take a checkpoint such as whole-human"
        raise InputError(msg)
    return Architecture(len(vocabulary), vocabulary.pad, width, heads, hidden, layers, float(dropout))


def _read_weights(path: Path) -> dict[str, Tensor]:
    """Read a state dict, under the names of this module."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        msg = (
            f"{path} holds more than weights, and to unpickle it could run any code; "
            "save model.state_dict() with torch.save, and nothing else"
        )
        raise InputError(msg) from error
    except Exception as error:  # whatever is in somebody's file
        msg = f"{path} is not a file of weights ({type(error).__name__}); download it again"
        raise InputError(msg) from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        msg = f"{path} holds no state dict (names with tensors); save model.state_dict() with torch.save"
        raise InputError(msg)
    # two namings of the same rows: flash attention's and torch's
    return {name.replace("self_attn.Wqkv.", "self_attn.in_proj_"): value for name, value in state.items()}
