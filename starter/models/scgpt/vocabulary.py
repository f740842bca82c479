"""scGPT's vocabulary: the token of each gene."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from starter.errors import InputError, listed

ARGS, VOCABULARY, WEIGHTS = "args.json", "vocab.json", "best_model.pt"
"""Files of a checkpoint folder."""
PAD, CLS = "<pad>", "<cls>"
"""Tokens that are no genes: a place without a gene, and a place for the whole cell."""


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
        names = f" and take no part: {listed(unknown)}" if unknown else ""
        return f"{len(unknown):,} of {len(genes):,} genes are not in the vocabulary of {len(self):,} tokens{names}"


def read_json(path: Path) -> dict:
    """Read a JSON file that holds names with values.

    Raises
    ------
    InputError
        If it is missing, not JSON or not a dictionary.
    """
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
    numbers = read_json(path)
    values = [value for value in numbers.values() if isinstance(value, int) and not isinstance(value, bool)]
    if sorted(values) != list(range(len(numbers))):
        msg = f"{path} does not number its {len(numbers):,} tokens from 0 to {len(numbers) - 1:,}, each once"
        raise InputError(msg)
    if PAD not in numbers:
        msg = f"{path} has no token {PAD!r}, which stands for unknown genes; take the vocabulary of the checkpoint"
        raise InputError(msg)
    return Vocabulary(numbers)
