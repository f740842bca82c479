"""Notebook 06: graph networks. What is due is computed without the notebook's shortcuts: loops and closed forms."""

from . import ablate, batch_edges, direction, graph_network, hear_others, jaccard, normalise, propagate, sgconv

QUESTIONS = (
    jaccard.QUESTION,
    normalise.QUESTION,
    propagate.QUESTION,
    hear_others.QUESTION,
    sgconv.QUESTION,
    graph_network.QUESTION,
    direction.QUESTION,
    batch_edges.QUESTION,
    ablate.QUESTION,
)
