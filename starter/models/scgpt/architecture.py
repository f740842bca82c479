"""The architecture of scGPT, a transformer whose tokens are genes.

A cell is a row of gene tokens, each with its value. Summed are an embedding of the gene, an encoding of the value and,
for perturbations, a flag; transformer layers follow; a decoder predicts each gene's expression. Names of parameters are
those of the `scgpt` package, so that published weights fit and a forward hook can look at every stage. Cui et al.
(2024), scGPT, Nature Methods 21:1470-1480; the perturbation model is its `TransformerGenerator` (version 0.2.5).

This module needs torch (the extra `student`).
"""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

LARGEST = 512.0
"""Values above this are encoded as this; the decoder takes them as they are."""


class Architecture(NamedTuple):
    """Sizes of a model."""

    n_tokens: int
    pad: int
    """Number of the token `<pad>`, whose embedding is not trained."""
    width: int
    """Length of a token's vector."""
    heads: int
    hidden: int
    """Width of the layers' feed-forward part."""
    layers: int
    dropout: float


class Loading(NamedTuple):
    """What became of a checkpoint's weights."""

    loaded: tuple[str, ...]
    """Parameters that have the checkpoint's values."""
    initial: tuple[str, ...]
    """Parameters of which the checkpoint has nothing: they are at their initial values, and must be trained."""
    unused: tuple[str, ...]
    """What the checkpoint holds besides."""


class GeneEncoder(nn.Module):
    """Look up gene tokens; layer norm."""

    def __init__(self, sizes: Architecture) -> None:
        super().__init__()
        self.embedding = nn.Embedding(sizes.n_tokens, sizes.width, padding_idx=sizes.pad)
        self.enc_norm = nn.LayerNorm(sizes.width)
        nn.init.uniform_(self.embedding.weight, -0.1, 0.1)

    def forward(self, gene_ids: Tensor) -> Tensor:
        """Encode numbers of tokens, batch x genes, as batch x genes x width."""
        return self.enc_norm(self.embedding(gene_ids))


class ValueEncoder(nn.Module):
    """Encode a number as a vector: two linear layers, layer norm, and the only dropout of the embedding."""

    def __init__(self, sizes: Architecture) -> None:
        super().__init__()
        self.linear1 = nn.Linear(1, sizes.width)
        self.linear2 = nn.Linear(sizes.width, sizes.width)
        self.norm = nn.LayerNorm(sizes.width)
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(self, values: Tensor) -> Tensor:
        """Encode values, batch x genes, as batch x genes x width."""
        hidden = self.linear1(values.clamp(max=LARGEST).unsqueeze(-1)).relu()  # batch x genes x 1 -> ... x width
        return self.dropout(self.norm(self.linear2(hidden)))


class Attention(nn.Module):
    """Multi-head attention; the rows of `in_proj_weight` make queries, keys and values, in this order."""

    def __init__(self, sizes: Architecture) -> None:
        super().__init__()
        self.heads, self.dropout = sizes.heads, sizes.dropout
        self.in_proj_weight = nn.Parameter(torch.empty(3 * sizes.width, sizes.width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * sizes.width))
        self.out_proj = nn.Linear(sizes.width, sizes.width)
        nn.init.xavier_uniform_(self.in_proj_weight)
        nn.init.zeros_(self.out_proj.bias)

    def forward(self, x: Tensor, attends: Tensor | None) -> Tensor:
        """Mix tokens, batch x genes x width; `attends` (batch x 1 x 1 x genes) is False for tokens to pass over."""
        batch, genes, width = x.shape
        parts = functional.linear(x, self.in_proj_weight, self.in_proj_bias)  # batch x genes x (3 width)
        parts = parts.view(batch, genes, 3, self.heads, width // self.heads)
        q, k, v = parts.permute(2, 0, 3, 1, 4)  # batch x heads x genes x numbers of a head, each
        dropout = self.dropout if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=attends, dropout_p=dropout)
        return self.out_proj(mixed.transpose(1, 2).reshape(batch, genes, width))  # batch x genes x width


class Layer(nn.Module):
    """A transformer layer that normalises after each sum (post-norm)."""

    def __init__(self, sizes: Architecture) -> None:
        super().__init__()
        self.self_attn = Attention(sizes)
        self.linear1, self.linear2 = nn.Linear(sizes.width, sizes.hidden), nn.Linear(sizes.hidden, sizes.width)
        self.norm1, self.norm2 = nn.LayerNorm(sizes.width), nn.LayerNorm(sizes.width)
        self.dropout = nn.Dropout(sizes.dropout)

    def forward(self, x: Tensor, attends: Tensor | None) -> Tensor:
        """Mix tokens, then change each by itself; arguments as of `Attention`."""
        x = self.norm1(x + self.dropout(self.self_attn(x, attends)))
        return self.norm2(x + self.dropout(self.linear2(self.dropout(self.linear1(x).relu()))))


class Layers(nn.Module):
    """All layers, one after the other."""

    def __init__(self, sizes: Architecture) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Layer(sizes) for _ in range(sizes.layers))

    def forward(self, x: Tensor, padding_mask: Tensor | None = None) -> Tensor:
        """Pass tokens (batch x genes x width) through; those where the mask (batch x genes) is True are not seen."""
        attends = None if padding_mask is None else ~padding_mask[:, None, None, :]  # batch x 1 x 1 x genes
        for layer in self.layers:
            x = layer(x, attends)
        return x


class Head(nn.Module):
    """Two hidden layers to one number a token."""

    def __init__(self, width: int) -> None:
        super().__init__()
        hidden = (nn.Linear(width, width), nn.LeakyReLU(), nn.Linear(width, width), nn.LeakyReLU())
        self.fc = nn.Sequential(*hidden, nn.Linear(width, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Give batch x genes of batch x genes x width."""
        return self.fc(x).squeeze(-1)  # batch x genes x 1 -> batch x genes


class AffineDecoder(nn.Module):
    """Predict coeff(h) x value + bias(h) for each gene."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.coeff_decoder, self.bias_decoder = Head(width), Head(width)

    def forward(self, x: Tensor, values: Tensor) -> Tensor:
        """Give batch x genes of tokens (batch x genes x width) and values, which are not clamped here."""
        return self.coeff_decoder(x) * values + self.bias_decoder(x)


class CellClassifier(nn.Module):
    """Classify a cell by its first token. The perturbation task does not use it; published models carry it along."""

    def __init__(self, width: int, n_hidden: int = 2, n_classes: int = 1) -> None:
        super().__init__()
        parts = [part for _ in range(n_hidden) for part in (nn.Linear(width, width), nn.ReLU(), nn.LayerNorm(width))]
        self._decoder = nn.ModuleList(parts)
        self.out_layer = nn.Linear(width, n_classes)

    def forward(self, cell: Tensor) -> Tensor:
        """Give batch x classes of batch x width."""
        for part in self._decoder:
            cell = part(cell)
        return self.out_layer(cell)


class CellQuery(nn.Module):
    """Ask a cell's vector for the value of genes (gene expression prediction for cell modelling)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.gene2query = nn.Linear(width, width)
        self.W = nn.Linear(width, width, bias=False)

    def forward(self, cell: Tensor, genes: Tensor) -> Tensor:
        """Give batch x genes; `cell` is batch x width, `genes` (encoded gene tokens) batch x genes x width."""
        queries = self.W(self.gene2query(genes).sigmoid())  # batch x genes x width
        return torch.einsum("bgw,bw->bg", queries, cell)  # batch x genes


class Backbone(nn.Module):
    """What pre-training learns and fine-tuning takes over."""

    def __init__(self, sizes: Architecture) -> None:
        super().__init__()
        self.sizes = sizes
        self.encoder = GeneEncoder(sizes)
        self.value_encoder = ValueEncoder(sizes)
        self.transformer_encoder = Layers(sizes)

    def embed(self, gene_ids: Tensor, values: Tensor) -> Tensor:
        """Sum the encodings of genes and values, unscaled: batch x genes x width."""
        return self.encoder(gene_ids) + self.value_encoder(values)


class PretrainingModel(Backbone):
    """Fill in masked values; the key set of the published checkpoints."""

    def __init__(self, sizes: Architecture) -> None:
        super().__init__(sizes)
        self.decoder, self.mvc_decoder = Head(sizes.width), CellQuery(sizes.width)
        self.flag_encoder = nn.Embedding(2, sizes.width)  # of generative pre-training, which this module has not

    def forward(self, gene_ids: Tensor, values: Tensor, padding_mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Predict values twice, batch x genes each: from each gene's own token, and from the first token alone."""
        hidden = self.transformer_encoder(self.embed(gene_ids, values), padding_mask)  # batch x genes x width
        return self.decoder(hidden), self.mvc_decoder(hidden[:, 0], self.encoder(gene_ids))


class PerturbationModel(Backbone):
    """Predict expression after a perturbation from expression before it."""

    def __init__(self, sizes: Architecture, pert_pad_id: int = 0) -> None:
        """Make a model with initial weights.

        Parameters
        ----------
        sizes
            Of its parts.
        pert_pad_id
            The perturbation flag (0 to 2) whose embedding is not trained. As published it is 0, the flag of every gene
            that is not perturbed.
        """
        super().__init__(sizes)
        self.pert_pad_id = pert_pad_id
        self.pert_encoder = nn.Embedding(3, sizes.width, padding_idx=pert_pad_id)
        self.decoder, self.cls_decoder = AffineDecoder(sizes.width), CellClassifier(sizes.width)
        self.loading = Loading((), tuple(self.state_dict()), ())

    def embed(self, gene_ids: Tensor, values: Tensor, perturbation_flags: Tensor | None = None) -> Tensor:
        """Sum the encodings of genes, values and flags, unscaled: batch x genes x width."""
        total = super().embed(gene_ids, values)
        return total if perturbation_flags is None else total + self.pert_encoder(perturbation_flags)

    def encode(
        self,
        gene_ids: Tensor,
        values: Tensor,
        perturbation_flags: Tensor | None = None,
        padding_mask: Tensor | None = None,
    ) -> Tensor:
        """Give what the layers make of the tokens, batch x genes x width; arguments as in `forward`."""
        return self.transformer_encoder(self.embed(gene_ids, values, perturbation_flags), padding_mask)

    def forward(
        self, gene_ids: Tensor, values: Tensor, perturbation_flags: Tensor, padding_mask: Tensor | None = None
    ) -> Tensor:
        """Predict expression.

        Parameters
        ----------
        gene_ids
            Batch x genes, int64.
        values
            Batch x genes, log1p expression before.
        perturbation_flags
            Batch x genes, int64, 1 where the gene is perturbed, else 0.
        padding_mask
            Batch x genes, True where a token is padding or an unknown gene. Such tokens are not attended to, and what
            is predicted for them means nothing. None: there are none.

        Returns
        -------
        Batch x genes, log1p expression after.
        """
        return self.decoder(self.encode(gene_ids, values, perturbation_flags, padding_mask), values)
