"""Question `tokenise`: the numbers of gene symbols in a vocabulary, and which are known."""

import numpy as np
import pandas as pd

from autograder.questions.question import Mistake, Question
from starter.answers.comparators import Same
from starter.answers.kinds import Function

from .shared import WITHOUT


def _symbols(rng: np.random.Generator) -> list[dict[str, object]]:
    """Vocabularies whose numbers are not the order of the genes, nor that of the tokens; some genes are unknown."""
    cases = []
    for n_tokens, n_genes, n_unknown in ((12, 7, 2), (9, 6, 1), (15, 11, 4)):
        tokens = [f"GENE{number:02d}" for number in range(n_tokens)] + ["<pad>", "<cls>"]
        numbers = rng.permutation(len(tokens))
        while numbers[-2] == 0:
            numbers = rng.permutation(len(tokens))
        vocabulary = {token: int(number) for token, number in zip(tokens, numbers, strict=True)}
        known = rng.choice(tokens[:-2], n_genes - n_unknown, replace=False).tolist()
        unknown = [f"ODD{number}" for number in range(n_unknown)]
        genes = [str(gene) for gene in rng.permutation([*known, *unknown])]
        cases.append({"genes": genes, "vocabulary": vocabulary})
    return cases


def _tokenise(genes: list[str], vocabulary: dict[str, int]) -> list[np.ndarray]:
    tokens = pd.Series(vocabulary)
    ids = tokens.reindex(genes)
    return [ids.fillna(tokens["<pad>"]).to_numpy(np.int64), ids.notna().to_numpy()]


def _in_order(genes: list[str], vocabulary: dict[str, int]) -> list[np.ndarray]:
    ids, known = _tokenise(genes, vocabulary)
    return [np.where(known, np.arange(len(genes)), ids), known]


def _unknown_is_zero(genes: list[str], vocabulary: dict[str, int]) -> list[np.ndarray]:
    ids, known = _tokenise(genes, vocabulary)
    return [ids * known, known]


def _all_known(genes: list[str], vocabulary: dict[str, int]) -> list[np.ndarray]:
    ids, known = _tokenise(genes, vocabulary)
    return [ids, np.ones_like(known)]


def _turned_round(genes: list[str], vocabulary: dict[str, int]) -> list[np.ndarray]:
    ids, known = _tokenise(genes, vocabulary)
    return [ids, ~known]


def _dropped(genes: list[str], vocabulary: dict[str, int]) -> list[np.ndarray]:
    ids, known = _tokenise(genes, vocabulary)
    return [ids[known], known[known]]


QUESTION = Question(
    name="tokenise",
    asks=Function("tokenise"),
    inputs=_symbols,
    due=_tokenise,
    hints=(
        "The model knows genes by number; an unknown one keeps its place, with the number of '<pad>'.",
        "number = vocabulary of the gene, or of '<pad>'; known = whether the vocabulary has it",
        "two arrays, one entry per gene: whole numbers, and True or False",
    ),
    mistakes=(
        Mistake("these are places in the list of genes; take each gene's number from the vocabulary", _in_order),
        Mistake("an unknown gene has the number of '<pad>', not 0, which is another gene's", _unknown_is_zero),
        Mistake("all genes are called known; `known` is False where the vocabulary lacks a gene", _all_known),
        Mistake("`known` is turned round: True where the vocabulary has the gene", _turned_round, credit=0.5),
        Mistake("unknown genes were dropped; keep their places, so that values still fit", _dropped),
    ),
    comparator=Same(),
    without=WITHOUT,
)
