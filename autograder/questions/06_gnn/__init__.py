"""Notebook 06: graph networks. What is due is computed without the notebook's shortcuts: loops and closed forms."""

from . import batch_edges, direction, gears, hear_others, jaccard, normalise, propagate, sgconv

QUESTIONS = (
    jaccard.QUESTION,
    normalise.QUESTION,
    propagate.QUESTION,
    hear_others.QUESTION,
    sgconv.QUESTION,
    gears.QUESTION,
    direction.QUESTION,
    batch_edges.QUESTION,
)
