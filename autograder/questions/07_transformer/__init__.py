"""Notebook 07: attention over genes and over cells.

The values due come from torch's own attention and encoder layer, from an eigenvalue problem, and from the closed
form of a gradient.
"""

from . import (
    alone,
    attention,
    block,
    energy_distance,
    flow,
    flow_pair,
    gene_tokens,
    gene_transformer,
    multi_head_attention,
    noised,
    set_transformer,
)

QUESTIONS = (
    gene_tokens.QUESTION,
    attention.QUESTION,
    multi_head_attention.QUESTION,
    block.QUESTION,
    gene_transformer.QUESTION,
    energy_distance.QUESTION,
    set_transformer.QUESTION,
    flow_pair.QUESTION,
    flow.QUESTION,
    noised.QUESTION,
    alone.QUESTION,
)
