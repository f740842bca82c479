"""Question `GeneTransformer`: from genes' tokens and a target's features to the effect on each gene."""

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from autograder.questions.question import Mistake, Question
from starter.answers.kinds import Object

from .shared import (
    SINGLE,
    WITHOUT,
    drawn,
    every_call,
    layer_norm,
    linear,
    of_block,
    of_target,
    target_network,
    through,
)


def _gene_model_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    """Models with one and two blocks; the second call has the genes in another order."""
    cases = []
    for size, heads, layers, n_genes, n_of_gene, n_of_target, batch in (
        (6, 2, 1, 5, 3, 4, 2),
        (8, 2, 1, 7, 5, 3, 3),
        (12, 3, 2, 4, 6, 5, 5),
    ):
        shapes = {**linear("gene", n_of_gene, size), **of_target(n_of_target, size), "flag": (size,)}
        for number in range(layers):
            shapes |= of_block(f"blocks.{number}.", size)
        shapes |= {**layer_norm("norm", size), **linear("query", size, size)}
        genes = rng.normal(size=(n_genes, n_of_gene)).astype(np.float32)
        target = rng.normal(size=(batch, n_of_target)).astype(np.float32)
        is_target = (np.arange(n_genes) == rng.integers(-1, n_genes, (batch, 1))).astype(np.float32)
        is_target[0] = np.arange(n_genes) == 1
        order = rng.permutation(n_genes)
        calls = [
            ["forward", {"genes": genes, "target": target, "is_target": is_target}],
            ["forward", {"genes": genes[order], "target": target, "is_target": is_target[:, order]}],
        ]
        build = {"n_of_gene": n_of_gene, "n_of_target": n_of_target, "size": size, "heads": heads, "layers": layers}
        cases.append({"build": build, "weights": drawn(rng, shapes), "calls": calls})
    return cases


def _gene_model(
    build: dict,
    weights: dict[str, Tensor],
    genes: Tensor,
    target: Tensor,
    is_target: Tensor,
    *,
    told: bool = True,
    flagged: bool = True,
    placed: bool = False,
    scaled: bool = True,
    queried: bool = True,
    normed: bool = True,
) -> Tensor:
    perturbation = target_network(weights, target)
    tokens = functional.linear(genes, weights["gene.weight"], weights["gene.bias"])
    tokens = tokens.expand(len(target), -1, -1) + is_target[..., None] * weights["flag"] * flagged
    if told:
        tokens = tokens + perturbation
    if placed:
        tokens = tokens + torch.from_numpy(np.outer(np.linspace(0, 1, len(genes)), np.linspace(-1, 1, build["size"])))
    x = through(build, weights, torch.cat([perturbation, tokens], dim=1), normed=normed)
    query = functional.linear(x[:, 0], weights["query.weight"], weights["query.bias"]) if queried else x[:, 0]
    along = torch.einsum("bs,bgs->bg", query, x[:, 1:])
    return along / np.sqrt(build["size"]) if scaled else along


def _gene_mistake(**settings: bool) -> Callable[..., list[np.ndarray]]:
    return every_call(partial(_gene_model, **settings))


QUESTION = Question(
    name="GeneTransformer",
    asks=Object("GeneTransformer"),
    inputs=_gene_model_cases,
    due=every_call(_gene_model),
    hints=(
        "The perturbation is a token like the genes' ones; what it asks of each gene is that gene's effect.",
        "tokens = gene + perturbation + flag where it is the target; blocks; norm; effect = query . token / sqrt(size)",
        (
            "perturbation: batch x 1 x size; tokens: batch x genes x size; joined: batch x (1 + genes) x size; "
            "effect: batch x genes"
        ),
    ),
    mistakes=(
        Mistake("add the perturbation's token to every gene's too", _gene_mistake(told=False)),
        Mistake(
            "the target's own gene is not marked; add self.flag where is_target is 1", _gene_mistake(flagged=False)
        ),
        Mistake("a gene's place in the list was added; genes have no order", _gene_mistake(placed=True)),
        Mistake("divide the products by the square root of the size of a token", _gene_mistake(scaled=False)),
        Mistake("the perturbation's token goes through self.query first", _gene_mistake(queried=False)),
        Mistake("self.norm is missing; it comes after the blocks", _gene_mistake(normed=False)),
    ),
    comparator=SINGLE,
    without=WITHOUT,
    held_back=("starter.models.transformer",),
)
