"""A graph network: what a gene's neighbours did when they were switched off tells what the gene will do.

Every measured target holds its effect, reduced to a few numbers. Messages carry them along a gene graph, some steps far
(SGConv, Wu et al. 2019). A small network in the manner of GEARS (Roohani et al. 2024, Nat. Biotechnol. 42:927) turns
what a target hears from several graphs into the effect on every gene. It is not GEARS: a target holds what was measured
of it, in place of free numbers that have to be learned; it never hears itself, so that it is trained on what it will be
asked; the direction term of the loss has a gradient; no messages pass among co-expressed genes, no network across genes
stands at the end; and it learns from profiles, not from cells.

This module needs torch (the extra `student`).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse
import torch
from torch import Tensor, nn

from starter.models.message_passing import STEPS, Parts, fit
from starter.priors.graphs import adjacency

WIDTH = 16
"""Of gene and perturbation embeddings."""


def normalise(matrix: scipy.sparse.spmatrix) -> scipy.sparse.csr_matrix:
    """Let every gene listen to itself and its neighbours, to hubs less: D^-1/2 (A + I) D^-1/2, D the row sums of A + I.

    Kipf and Welling (2017), "Semi-supervised classification with graph convolutional networks", equation 2. A is
    genes x genes, symmetric, with an empty diagonal.
    """
    with_self = matrix + scipy.sparse.identity(matrix.shape[0], format="csr")
    scale = scipy.sparse.diags(1 / np.sqrt(np.asarray(with_self.sum(axis=1)).ravel()))
    return (scale @ with_self @ scale).tocsr()


def propagate(
    matrix: scipy.sparse.spmatrix, features: np.ndarray | scipy.sparse.spmatrix, steps: int = STEPS
) -> np.ndarray | scipy.sparse.spmatrix:
    """Pass messages along a graph: matrix^steps features, one product a step."""
    for _ in range(steps):
        features = matrix @ features
    return features


def reach(edges: pd.DataFrame, targets: Sequence[str], sources: Sequence[str], steps: int = STEPS) -> np.ndarray:
    """Say how much of what a target hears comes from each source.

    Parameters
    ----------
    edges
        A gene graph.
    targets
        Perturbations that listen; a double A+B hears what A and B hear.
    sources
        Measured perturbations that speak. None is heard by itself.
    steps
        How far messages go.

    Returns
    -------
    Targets x sources; a row sums to 1, or is 0 where no message arrives.
    """
    matrix, genes = adjacency(edges)
    messages = propagate(normalise(matrix), _places(targets, genes).T, steps).T  # symmetric: there as back
    heard = (messages @ _places(sources, genes).T).toarray()  # targets x genes, genes x sources -> targets x sources
    heard[np.equal.outer(np.asarray(targets, dtype=object), np.asarray(sources, dtype=object))] = 0
    total = heard.sum(axis=1, keepdims=True)
    return np.divide(heard, total, out=np.zeros_like(heard), where=total > 0)


class GraphNetwork(nn.Module):
    """Effects of perturbations on genes.

    A perturbation's messages pass a linear layer (with the propagation before it, this is SGConv); the result is added
    to every gene's embedding; each gene reads the sum with weights of its own; and the control expression is added.
    """

    def __init__(self, n_messages: int, n_genes: int, width: int = WIDTH) -> None:
        super().__init__()
        self.conv = nn.Linear(n_messages, width, bias=False)
        self.gene = nn.Parameter(0.3 * torch.randn(n_genes, width))
        self.weight = nn.Parameter(0.1 * torch.randn(n_genes, width) / width**0.5)
        self.bias = nn.Parameter(torch.zeros(n_genes))

    def forward(self, heard: Tensor, control: Tensor) -> Tensor:
        """Predict expression, perturbations x genes, from messages (perturbations x n_messages) and control (genes)."""
        perturbation = self.conv(heard)  # perturbations x width
        hidden = torch.relu(self.gene + perturbation[:, None])  # perturbations x genes x width
        return control + (hidden * self.weight).sum(dim=2) + self.bias  # perturbations x genes


def direction_loss(predicted: Tensor, measured: Tensor, control: Tensor, width: float) -> Tensor:
    """Ask whether genes go the right way: mean (sign(measured effect) - tanh(predicted effect / width))^2.

    GEARS takes the sign of the predicted effect, whose derivative is 0 wherever it has one, so that its term changes no
    gradient, whatever its weight. The hyperbolic tangent is a sign with a slope.

    Parameters
    ----------
    predicted, measured
        Expression, perturbations x genes.
    control
        Expression of the control, genes.
    width
        Predicted effect from which on the direction counts as clear, in units of expression.
    """
    return (torch.sign(measured - control) - torch.tanh((predicted - control) / width)).square().mean()


PARTS = Parts(reach, GraphNetwork, direction_loss)
"""What the kit's graph network is made of."""


def gnn(
    profiles: pd.DataFrame,
    known: Mapping[str, pd.DataFrame],
    targets: Sequence[str],
    parts: Parts = PARTS,
    **settings: Any,
) -> pd.DataFrame:
    """Predict perturbations from what their neighbours in several graphs did, as a `starter.models.baselines.Model`.

    Parameters
    ----------
    profiles, known, parts
        As `starter.models.message_passing.fit` takes them.
    targets
        As of every `starter.models.baselines.Model`.
    settings
        Keywords of `fit`.

    Returns
    -------
    One row a target, same columns as `profiles`.
    """
    return fit(profiles, known, parts, **settings)(targets)


def _places(names: Sequence[str], genes: np.ndarray) -> scipy.sparse.csr_matrix:
    """Mark each perturbation's genes, perturbations x genes; genes that the graph does not have are not marked."""
    place = {gene: number for number, gene in enumerate(genes)}
    marks = [(row, place[gene]) for row, name in enumerate(names) for gene in name.split("+") if gene in place]
    rows, columns = np.array(marks, dtype=int).reshape(-1, 2).T
    return scipy.sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(len(names), len(genes)))
