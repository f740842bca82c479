"""Attention: tokens that look at each other. What the transformers of genes and of cells are made of.

This module needs torch (the extra `student`).
"""

import math

from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention

from starter.errors import InputError


def attention(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    """Average values, each query by its own weights: softmax(Q K' / sqrt(d)) V.

    Vaswani et al. (2017), "Attention is all you need", equation 1.

    Parameters
    ----------
    query, key
        ... x queries x d, ... x keys x d.
    value
        ... x keys x any size.
    mask
        ... x queries x keys, or what broadcasts to it; False where a query may not look.

    Returns
    -------
    ... x queries x size of a value.
    """
    scores = query @ key.transpose(-2, -1) / math.sqrt(query.shape[-1])  # ... x queries x keys
    if mask is not None:
        scores = scores.masked_fill(~mask, -math.inf)
    return scores.softmax(dim=-1) @ value  # ... x queries x size of a value


class MultiHeadAttention(nn.Module):
    """Several attentions side by side, each in a part of the numbers of its own."""

    def __init__(self, size: int, heads: int, *, alone: bool = False) -> None:
        """Make the weights.

        Parameters
        ----------
        size
            Numbers of a token, a multiple of `heads`.
        heads
            Attentions side by side.
        alone
            The idea taken out: a token looks at itself only. The weights are as many.
        """
        super().__init__()
        if size % heads:
            msg = f"{size} numbers a token cannot be dealt out to {heads} heads; take a multiple of {heads}"
            raise InputError(msg)
        self.heads, self.alone = heads, alone
        self.project = nn.Linear(size, 3 * size)  # queries, keys and values, in this order
        self.out = nn.Linear(size, size)

    def forward(self, x: Tensor, real: Tensor | None = None) -> Tensor:
        """Let tokens look at each other.

        Parameters
        ----------
        x
            Batch x tokens x size.
        real
            Batch x tokens, False for a token that nobody may look at; default: none.

        Returns
        -------
        Batch x tokens x size.
        """
        parts = self.project(x).unflatten(-1, (3, self.heads, -1))  # batch x tokens x 3 x heads x numbers of a head
        query, key, value = parts.permute(2, 0, 3, 1, 4)  # batch x heads x tokens x numbers of a head, each
        if self.alone:  # the softmax over one token is 1
            return self.out(value.transpose(1, 2).flatten(2))  # batch x tokens x size
        mask = None if real is None else real[:, None, None, :]  # batch x 1 x 1 x tokens
        # `attention`, without ever holding the scores of all pairs of tokens: of 18,080 genes they would take gigabytes
        seen = scaled_dot_product_attention(query, key, value, mask)  # batch x heads x tokens x numbers of a head
        return self.out(seen.transpose(1, 2).flatten(2))  # batch x tokens x size


class Block(nn.Module):
    """Attention between tokens, then a network within each; both are added to what was there (Xiong et al. 2020)."""

    def __init__(self, size: int, heads: int, dropout: float = 0.1, *, alone: bool = False) -> None:
        """Make the weights; the network within a token is twice as wide, `alone` as in `MultiHeadAttention`."""
        super().__init__()
        self.attention = MultiHeadAttention(size, heads, alone=alone)
        self.network = nn.Sequential(nn.Linear(size, 2 * size), nn.GELU(), nn.Linear(2 * size, size))
        self.norm_1, self.norm_2 = nn.LayerNorm(size), nn.LayerNorm(size)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, real: Tensor | None = None) -> Tensor:
        """Pass on tokens, batch x tokens x size; `real` is that of `MultiHeadAttention`."""
        x = x + self.dropout(self.attention(self.norm_1(x), real))
        return x + self.dropout(self.network(self.norm_2(x)))


def target_network(n: int, size: int, dropout: float) -> nn.Sequential:
    """Make a network from the features of a target to a token."""
    return nn.Sequential(nn.Dropout(dropout), nn.Linear(n, size), nn.GELU(), nn.Linear(size, size))
