"""scGPT's vocabulary and checkpoints: from a folder of published weights to a perturbation model, and back.

A checkpoint is a folder with `args.json` (sizes), `vocab.json` (token to number) and `best_model.pt` (a state dict).
The architecture is in `starter.scgpt_model`.

This module needs torch (the extra `student`).
"""

import json
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from starter.files import whole
from starter.scgpt_model import Architecture, Backbone, Loading, PerturbationModel
from starter.schema import InputError, some

ARGS, VOCABULARY, WEIGHTS = "args.json", "vocab.json", "best_model.pt"
"""Files of a checkpoint folder."""
PAD, CLS = "<pad>", "<cls>"
"""Tokens that are no genes: a place without a gene, and a place for the whole cell."""
SHARED = ("encoder.", "value_encoder.", "transformer_encoder.")
"""What begins the names of the weights that a perturbation model takes from a pre-trained one; as published."""
SUPPORTED = {"pad_token": PAD, "input_emb_style": "continuous", "pre_norm": False, "use_batch_labels": False}
"""Settings in `args.json` that would change the architecture, with the only value that this module knows."""


@dataclass(frozen=True)
class Vocabulary:
    """Which token has which number."""

    numbers: Mapping[str, int]
    """0 to n - 1, each once; `<pad>` is among the tokens."""

    @classmethod
    def of(cls, genes: Sequence[str]) -> "Vocabulary":
        """Make a vocabulary of some genes, followed by `<pad>` and `<cls>`."""
        return cls({token: number for number, token in enumerate([*dict.fromkeys(genes), PAD, CLS])})

    def __len__(self) -> int:
        """Give the number of tokens."""
        return len(self.numbers)

    @property
    def pad(self) -> int:
        """Give the number of `<pad>`."""
        return self.numbers[PAD]

    def unknown(self, genes: Sequence[str]) -> list[str]:
        """List the genes that are no tokens."""
        return [gene for gene in genes if gene not in self.numbers]

    def encode(self, genes: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Turn gene symbols into numbers.

        Returns
        -------
        Numbers (int64, one a gene; an unknown gene has that of `<pad>`), and the padding mask (bool, True where a gene
        is unknown), so that no unknown gene takes part in attention. Leave them out of the loss as well.
        """
        numbers = torch.tensor([self.numbers.get(gene, self.pad) for gene in genes], dtype=torch.int64)
        return numbers, numbers == self.pad

    def report(self, genes: Sequence[str]) -> str:
        """Say in a sentence how many genes are unknown, and which."""
        unknown = self.unknown(genes)
        names = f" and take no part: {some(unknown)}" if unknown else ""
        return f"{len(unknown):,} of {len(genes):,} genes are not in the vocabulary of {len(self):,} tokens{names}"


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
        msg = f"{path} lacks {some(missing)}; it is no checkpoint of scGPT, or {ARGS} says more layers than it has"
        raise InputError(msg)
    loaded = sorted(wanted & set(state))
    for name in loaded:
        came, due = tuple(state[name].shape), tuple(own[name].shape)
        if came != due:
            msg = f"{path}: {name} has the shape {came}, but {ARGS} and {VOCABULARY} ask for {due}; mix no two models"
            raise InputError(msg)
    if odd := [name for name in loaded if not bool(torch.isfinite(state[name]).all())]:
        msg = f"{path}: NaN or infinite values in {some(odd)}; download or train the weights again"
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


def _read_json(path: Path) -> dict:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        msg = f"{path} is not JSON ({error}); take the file that was published beside the weights"
        raise InputError(msg) from error
    if not isinstance(found, dict):
        msg = f"{path} holds a {type(found).__name__}, and names with values are due"
        raise InputError(msg)
    return found


def read_vocabulary(folder: str | Path) -> Vocabulary:
    """Read the vocabulary of a checkpoint folder.

    Raises
    ------
    InputError
        If `vocab.json` is missing or no vocabulary.
    """
    path = Path(folder) / VOCABULARY
    numbers = _read_json(path)
    values = [value for value in numbers.values() if isinstance(value, int) and not isinstance(value, bool)]
    if sorted(values) != list(range(len(numbers))):
        msg = f"{path} does not number its {len(numbers):,} tokens from 0 to {len(numbers) - 1:,}, each once"
        raise InputError(msg)
    if PAD not in numbers:
        msg = f"{path} has no token {PAD!r}, which stands for unknown genes; take the vocabulary of the checkpoint"
        raise InputError(msg)
    return Vocabulary(numbers)


def _read_sizes(path: Path, vocabulary: Vocabulary) -> Architecture:
    args = _read_json(path)
    sizes = [args.get(name) for name in ("embsize", "nheads", "d_hid", "nlayers")]
    whole_numbers = all(isinstance(size, int) and not isinstance(size, bool) and size > 0 for size in sizes)
    if not whole_numbers or sizes[0] % sizes[1]:
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
    return Architecture(len(vocabulary), vocabulary.pad, *sizes, float(dropout))


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
