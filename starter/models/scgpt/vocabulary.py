"""scGPT's vocabulary: the token of each gene, and what a gene may be called besides.

A screen calls genes otherwise than a checkpoint does: YARS is today's YARS1, MARCH8 is MARCHF8. Where a table of names
says that two names are of one gene, and the vocabulary has one token of it, that token is meant; where it has several,
none is, until somebody says which. A name is never completed: SARS is not SARS2.
"""

import csv
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor

from starter.errors import InputError, listed

ARGS, VOCABULARY, WEIGHTS = "args.json", "vocab.json", "best_model.pt"
"""Files of a checkpoint folder."""
NAMES = "gene_names.csv"
"""One that may be there besides: columns gene_name and ensembl_id, former and today's names of genes; and, if it knows
it, approved, which is 1 for today's symbol."""
PAD, CLS = "<pad>", "<cls>"
"""Tokens that are no genes: a place without a gene, and a place for the whole cell."""
NO_GENE = re.compile(r"<.*>")
"""How such tokens are written; published vocabularies have `<eoc>` too."""
ENSEMBL = re.compile(r"(ENS[A-Z]*G\d{11})(\.\d+)?", re.IGNORECASE)
"""An Ensembl gene id, with or without its version."""


@dataclass(frozen=True)
class Vocabulary:
    """Which token has which number."""

    numbers: Mapping[str, int]
    """0 to n - 1, each once; `<pad>` is among the tokens."""
    ids: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Names of genes, old and new, in small letters, to their Ensembl ids; what `read_names` gave."""
    approved: frozenset[str] = frozenset()
    """Those of them that are today's symbols."""
    choices: Mapping[str, str | None] = field(default_factory=dict)
    """What `meaning` was told: a name to its token, or to None."""

    @classmethod
    def of(cls, genes: Sequence[str]) -> "Vocabulary":
        """Make a vocabulary of some genes, followed by `<pad>` and `<cls>`."""
        _refuse_tokens(genes)
        return cls({token: number for number, token in enumerate([*dict.fromkeys(genes), PAD, CLS])})

    def __len__(self) -> int:
        """Give the number of tokens."""
        return len(self.numbers)

    @property
    def pad(self) -> int:
        """Give the number of `<pad>`."""
        return self.numbers[PAD]

    def candidates(self, gene: str) -> list[str]:
        """List the tokens that a name may mean: none, one, or several between which somebody has to choose.

        A token of the same letters comes first. Else a name is read without white space around it and without the
        version of an Ensembl id; then by the table of names, where of several tokens of one gene today's symbol is the
        one; then without regard to capital and small letters.
        """
        if gene in self.choices:
            return [] if (chosen := self.choices[gene]) is None else [chosen]
        for name in (gene, _plain(gene)):
            if name in self.numbers:
                return [name]
        folded = _plain(gene).casefold()
        found = self.ids.get(folded, frozenset())
        tokens = sorted({token for each in found for token in self._by_id.get(each, ())})
        today = [token for token in tokens if token.casefold() in self.approved]
        if len(found) == 1 and len(today) == 1:
            return today
        return tokens or self._folded.get(folded, [])

    def tokens(self, genes: Sequence[str]) -> list[str | None]:
        """Give the token of each gene, None where it has none or where it cannot be told which.

        A token stands for one of the genes: for the one that is called as it is, else for the first.

        Raises
        ------
        InputError
            If a gene is called as a token that is no gene, such as `<cls>`.
        """
        _refuse_tokens(genes)
        exact = {gene for gene in genes if gene in self.numbers and gene not in self.choices}
        taken: dict[str, str] = {gene: gene for gene in exact}
        found: list[str | None] = []
        for gene in genes:
            of_gene = [gene] if gene in exact else self.candidates(gene)
            token = of_gene[0] if len(of_gene) == 1 else None
            found.append(token if token is not None and taken.setdefault(token, gene) == gene else None)
        return found

    def unknown(self, genes: Sequence[str]) -> list[str]:
        """List the genes that have no token, or of which it cannot be told which."""
        return [gene for gene, token in zip(genes, self.tokens(genes), strict=True) if token is None]

    def encode(self, genes: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Turn gene symbols into numbers.

        Returns
        -------
        Numbers (int64, one a gene; an unknown gene has that of `<pad>`), and the padding mask (bool, True where a gene
        is unknown), so that no unknown gene takes part in attention. Leave them out of the loss as well.
        """
        tokens = [PAD if token is None else token for token in self.tokens(genes)]
        numbers = torch.tensor([self.numbers[token] for token in tokens], dtype=torch.int64)
        return numbers, numbers == self.pad

    def meaning(self, choices: Mapping[str, str | None]) -> "Vocabulary":
        """Settle what some names mean: a token, or None for none.

        Raises
        ------
        InputError
            If a token is not in the vocabulary.
        """
        if absent := [token for token in choices.values() if token is not None and token not in self.numbers]:
            msg = f"{listed(absent)}: not in the vocabulary of {len(self):,} tokens; choose a token that is, or None"
            raise InputError(msg)
        _refuse_tokens(token for token in choices.values() if token is not None)
        return replace(self, choices={**self.choices, **choices})

    def ask(self, targets: Sequence[str]) -> None:
        """Ask what targets mean whose names several tokens may stand for.

        Raises
        ------
        InputError
            If there is one: the sentence names its candidates.
        """
        genes = dict.fromkeys(gene for target in targets for gene in target.split("+"))
        for gene in genes:
            if len(tokens := self.candidates(gene)) > 1:
                msg = (
                    f"the target {gene!r} is not in the vocabulary, and {' or '.join(tokens)} may be meant; settle it "
                    f"by vocabulary = vocabulary.meaning({{{gene!r}: {tokens[0]!r}}}), or by None if none of them is"
                )
                raise InputError(msg)

    def report(self, genes: Sequence[str]) -> str:
        """Say in a sentence how many genes are unknown, and which; and which are known under another name."""
        tokens = self.tokens(genes)
        unknown = [gene for gene, token in zip(genes, tokens, strict=True) if token is None]
        names = f" and take no part: {listed(unknown)}" if unknown else ""
        other = [f"{gene} as {token}" for gene, token in zip(genes, tokens, strict=True) if token not in (None, gene)]
        read = f"; {len(other):,} are under another name: {listed(other)}" if other else ""
        return (
            f"{len(unknown):,} of {len(genes):,} genes are not in the vocabulary of {len(self):,} tokens{names}{read}"
        )

    @cached_property
    def _by_id(self) -> dict[str, list[str]]:
        """Tokens of each Ensembl id."""
        found = defaultdict(list)
        for token in self.numbers:
            for each in self.ids.get(token.casefold(), ()):
                found[each].append(token)
        return dict(found)

    @cached_property
    def _folded(self) -> dict[str, list[str]]:
        """Tokens of genes by their small letters."""
        found = defaultdict(list)
        for token in self.numbers:
            if not NO_GENE.fullmatch(token):
                found[token.casefold()].append(token)
        return dict(found)


def _plain(gene: str) -> str:
    """Leave out white space around a name, and the version of an Ensembl id."""
    name = gene.strip()
    return found[1].upper() if (found := ENSEMBL.fullmatch(name)) else name


def _refuse_tokens(genes: Iterable[str]) -> None:
    if odd := sorted({gene for gene in genes if NO_GENE.fullmatch(gene.strip())}):
        msg = f"{listed(odd)}: tokens of scGPT that are no genes, and no gene may be called so; rename or leave it out"
        raise InputError(msg)


def read_names(path: str | Path) -> tuple[dict[str, frozenset[str]], frozenset[str]]:
    """Read a table of gene names, `gene_names.csv`.

    Returns
    -------
    Each name, in small letters, to its Ensembl ids; an id is a name too. And those names that are approved symbols.

    Raises
    ------
    InputError
        If it cannot be read or has other columns.
    """
    found: defaultdict[str, set[str]] = defaultdict(set)
    approved = set()
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                for name in (row["gene_name"], row["ensembl_id"]):
                    found[name.casefold()].add(row["ensembl_id"])
                if row.get("approved") == "1":
                    approved.add(row["gene_name"].casefold())
    except (OSError, ValueError, KeyError, AttributeError, csv.Error) as error:
        msg = (
            f"{path} is no table of gene names ({type(error).__name__}: {error}); it has columns gene_name, ensembl_id"
        )
        raise InputError(msg) from error
    return {name: frozenset(ids) for name, ids in found.items()}, frozenset(approved)


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
    """Read the vocabulary of a checkpoint folder, and the names of genes in `gene_names.csv` where it is there.

    Raises
    ------
    InputError
        If `vocab.json` is missing or no vocabulary, or `gene_names.csv` is no table of names.
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
    names = Path(folder) / NAMES
    return Vocabulary(numbers, *read_names(names)) if names.is_file() else Vocabulary(numbers)
