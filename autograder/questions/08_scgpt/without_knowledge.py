"""Question `without_knowledge`: tables of tokens that look like an embedding and know nothing of any gene."""

import numpy as np

from autograder.questions.question import Mistake, Question
from starter.answers.comparators import Same
from starter.answers.kinds import Function

from .shared import WITHOUT


def _tables(rng: np.random.Generator) -> list[dict[str, object]]:
    """Embeddings whose columns differ in mean and spread; the order is one circle, so not its own inverse."""
    cases = []
    for n_genes, n_numbers in ((7, 3), (11, 5), (6, 6)):
        spread, mean = rng.uniform(0.2, 3.0, n_numbers), rng.normal(0, 2, n_numbers)
        circle, order = rng.permutation(n_genes), np.empty(n_genes, dtype=int)
        order[circle] = np.roll(circle, 1)
        tokens = mean + spread * rng.normal(size=(n_genes, n_numbers))
        cases.append({"tokens": tokens, "order": order, "noise": rng.normal(size=(n_genes, n_numbers))})
    return cases


def _due(tokens: np.ndarray, order: np.ndarray, noise: np.ndarray) -> dict[str, np.ndarray]:
    """Go through genes and numbers one by one."""
    n_genes, n_numbers = tokens.shape
    untrained = np.zeros(tokens.shape)
    for column in range(n_numbers):
        values = tokens[:, column]
        mean = sum(values) / n_genes
        spread = (sum((values - mean) ** 2) / n_genes) ** 0.5
        for gene in range(n_genes):
            untrained[gene, column] = mean + spread * noise[gene, column]
    return {"shuffled": np.array([tokens[other] for other in order]), "untrained": untrained}


def _back(tokens: np.ndarray, order: np.ndarray, noise: np.ndarray) -> dict[str, np.ndarray]:
    return _due(tokens, np.argsort(order), noise)


def _not_shuffled(tokens: np.ndarray, order: np.ndarray, noise: np.ndarray) -> dict[str, np.ndarray]:
    return {**_due(tokens, order, noise), "shuffled": tokens}


def _as_drawn(tokens: np.ndarray, order: np.ndarray, noise: np.ndarray) -> dict[str, np.ndarray]:
    return {**_due(tokens, order, noise), "untrained": noise}


def _one_spread(tokens: np.ndarray, order: np.ndarray, noise: np.ndarray) -> dict[str, np.ndarray]:
    return {**_due(tokens, order, noise), "untrained": tokens.mean() + tokens.std() * noise}


def _of_genes(tokens: np.ndarray, order: np.ndarray, noise: np.ndarray) -> dict[str, np.ndarray]:
    mean, spread = tokens.mean(axis=1, keepdims=True), tokens.std(axis=1, keepdims=True)
    return {**_due(tokens, order, noise), "untrained": mean + spread * noise}


def _by_variance(tokens: np.ndarray, order: np.ndarray, noise: np.ndarray) -> dict[str, np.ndarray]:
    return {**_due(tokens, order, noise), "untrained": tokens.mean(axis=0) + tokens.var(axis=0) * noise}


QUESTION = Question(
    name="without_knowledge",
    asks=Function("without_knowledge"),
    inputs=_tables,
    due=_due,
    hints=(
        "What would tokens do that know nothing? Shuffle them, or draw new ones that look the same.",
        "shuffled: gene g gets the token of gene order[g]; untrained: mean + deviation x noise, column by column",
        "mean and deviation over axis 0: one per column; both tables: genes x numbers, in a dict",
    ),
    mistakes=(
        Mistake("tokens moved the other way: gene g gets the token of gene order[g]", _back, credit=0.5),
        Mistake("every gene still has its own token in 'shuffled'", _not_shuffled, credit=0.5),
        Mistake("the noise needs each column's mean and standard deviation", _as_drawn, credit=0.5),
        Mistake("each column has a mean and a standard deviation of its own; use axis=0", _one_spread, credit=0.5),
        Mistake("these are means and standard deviations of genes, not of columns; use axis=0", _of_genes, credit=0.5),
        Mistake("this is the variance in place of the deviation; take tokens.std(axis=0)", _by_variance),
    ),
    comparator=Same(),
    without=WITHOUT,
)
