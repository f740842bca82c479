"""Pre-train a small scGPT on the control cells of a screen, and take the embeddings of a pre-trained one.

The objectives are those of scGPT: some values are masked, and the model fills them in twice, from each gene's own
token and from the cell's token `<cls>` alone. The scale is a laptop's: thousands of cells, not millions. So few cells
teach no gene an embedding from nothing; tokens start from the genes' means and co-expression in the same control cells.

This module needs torch (the extra `student`).
"""

from collections.abc import Callable, Sequence

import numpy as np
import pandas as pd
import scipy.sparse
import torch
from torch import Tensor, nn

from starter import progress
from starter.errors import InputError
from starter.models.scgpt.architecture import Architecture, Backbone, PretrainingModel
from starter.models.scgpt.vocabulary import CLS, Vocabulary
from starter.priors.features import coexpression_features
from starter.priors.tables import GENE
from starter.training import loop, threads

CLS_VALUE, MASKED = -2.0, -1.0
"""The value of the cell's token, and of a masked one; as published."""
MASKED_SHARE = 0.4
"""Of the values in a row; published are 25, 50 and 75 %."""
GENES_A_ROW = 64
"""By which a cell is shown in pre-training."""
MEAN_SPREAD = 0.2
"""Of genes' means in the tokens at the start: about that of a co-expression feature."""
PAD_VALUE = -2.0
"""The value of a place without a gene, which is not seen; as published."""
LONGEST = 1200
"""Tokens of a row at most: `max_seq_len` of the published whole-human model."""
FEWEST_CELLS = 10
"""A gene that fewer control cells express gets no token: there is nothing to learn from."""
Bins = Callable[[np.ndarray, int], np.ndarray]
"""Cells x genes, each cell with a value above 0, and how many bins -> bins; `masked_values.bin_values` is the kit's."""


def pretrain(
    controls: scipy.sparse.csr_matrix,
    genes: Sequence[str],
    bins: Bins,
    masked_error: Callable[[Tensor, Tensor, Tensor], Tensor],
    n_bins: int = 6,
    width: int = 32,
    layers: int = 2,
    genes_a_row: int = GENES_A_ROW,
    epochs: int = 5,
    learning_rate: float = 5e-3,
    seed: int = 0,
) -> tuple[PretrainingModel, Vocabulary, pd.DataFrame]:
    """Pre-train a small model.

    Parameters
    ----------
    controls
        Control cells x genes, log1p expression.
    genes
        The genes' symbols.
    bins
        Makes bins of values.
    masked_error
        Predicted and due values (batch x genes), and which of them count -> one number, to be small;
        `masked_values.masked_error` is the kit's.
    n_bins
        How many bins, that of 0 among them.
    width, layers
        Of the model.
    genes_a_row
        How many genes, drawn anew for each batch, a cell is shown by.
    epochs, learning_rate, seed
        As in `starter.training.loop.Settings`.

    Returns
    -------
    The model, the vocabulary of the genes that at least `FEWEST_CELLS` cells express, and the history with the terms
    `masked` and `cell`: the mean squared error over masked values, predicted from the own token and from `<cls>`.
    """
    model, vocabulary = untrained(controls, genes, width, layers, seed)
    known = [gene for gene in genes if gene in vocabulary.numbers]  # made of these genes: no name is another's
    values = torch.from_numpy(_binned(bins, controls[:, np.isin(genes, known)].toarray(), n_bins))
    ids, cls = vocabulary.encode(known)[0], torch.tensor([vocabulary.numbers[CLS]])

    def loss(model: PretrainingModel, batch: tuple[Tensor], over: float) -> dict[str, Tensor]:
        del over
        (cells,) = batch
        chosen = torch.randperm(len(ids))[:genes_a_row]
        shown = torch.cat([cls, ids[chosen]]).to(cells.device).expand(len(cells), -1)  # batch x (1 + genes a row)
        due = _with_cls(cells[:, chosen])  # batch x (1 + genes a row)
        masked = torch.rand(due.shape, device=due.device) < MASKED_SHARE
        masked[:, 0] = False
        of_token, of_cell = model(shown, due.masked_fill(masked, MASKED))
        return {name: masked_error(came, due, masked) for name, came in (("masked", of_token), ("cell", of_cell))}

    settings = loop.Settings(epochs=epochs, learning_rate=learning_rate, seed=seed)
    history = loop.fit(model, loss, loop.in_memory(values, seed=seed), settings)
    return model.eval(), vocabulary, history


def untrained(
    controls: scipy.sparse.csr_matrix, genes: Sequence[str], width: int = 32, layers: int = 2, seed: int = 0
) -> tuple[PretrainingModel, Vocabulary]:
    """Make the small model before its training: tokens as `starting_tokens` gives them, layers drawn at random.

    Parameters
    ----------
    controls, genes, width, layers, seed
        As in `pretrain`.

    Returns
    -------
    The model and its vocabulary.

    Raises
    ------
    InputError
        If control cells express too few genes.
    """
    vocabulary = own_vocabulary(controls, genes)
    n_known = len(vocabulary.numbers.keys() & set(genes))
    if n_known <= width:
        msg = f"{n_known} genes are expressed in {FEWEST_CELLS} control cells or more; {width + 1} are needed"
        raise InputError(msg)
    sizes = Architecture(len(vocabulary), vocabulary.pad, width, 4, 2 * width, layers, 0.0)
    with loop.seeded(seed):
        model = PretrainingModel(sizes)
    start = starting_tokens(vocabulary, controls, genes, width)
    with torch.no_grad():
        weight = model.encoder.embedding.weight
        weight[vocabulary.encode(start.index)[0], : start.shape[1]] = torch.from_numpy(start.to_numpy(np.float32))
    return model, vocabulary


def own_vocabulary(controls: scipy.sparse.csr_matrix, genes: Sequence[str]) -> Vocabulary:
    """Make a vocabulary of the genes that at least `FEWEST_CELLS` control cells (cells x genes) express."""
    often = np.asarray((controls > 0).sum(axis=0)).ravel() >= FEWEST_CELLS
    return Vocabulary.of([gene for gene, kept in zip(genes, often, strict=True) if kept])


def masked_errors(
    model: PretrainingModel,
    vocabulary: Vocabulary,
    cells: scipy.sparse.csr_matrix,
    taught: scipy.sparse.csr_matrix,
    genes: Sequence[str],
    bins: Bins,
    n_bins: int = 6,
    genes_a_row: int = GENES_A_ROW,
    seed: int = 0,
) -> pd.DataFrame:
    """Fill in masked bins of cells that training has not seen.

    Parameters
    ----------
    model, vocabulary, genes, bins, n_bins, genes_a_row
        Those of `pretrain`.
    cells
        Control cells x genes, log1p expression, that were held back.
    taught
        The cells that the model was trained on; their mean bins are the guess without a model.
    seed
        Fixes which genes are shown, and which are masked.

    Returns
    -------
    One row a cell, the mean squared error over its masked places: `masked` from the gene's token, `cell` from `<cls>`,
    and `guess` by the gene's mean bin.
    """
    known = np.array([gene in vocabulary.numbers for gene in genes])
    binned, means = (_binned(bins, some[:, known].toarray(), n_bins) for some in (cells, taught))
    values, guess = torch.from_numpy(binned), torch.from_numpy(means.mean(axis=0))
    ids = vocabulary.encode([gene for gene, kept in zip(genes, known, strict=True) if kept])[0]
    cls, device = torch.tensor([vocabulary.numbers[CLS]]), model.encoder.embedding.weight.device
    rows = []
    with torch.no_grad(), loop.seeded(seed):
        for some in values.split(64):
            chosen = torch.randperm(len(ids))[:genes_a_row]
            due = _with_cls(some[:, chosen])  # batch x (1 + genes a row)
            masked = torch.rand(due.shape) < MASKED_SHARE
            masked[:, :2] = torch.tensor([False, True])  # never the cell's token, and one place at least
            shown = torch.cat([cls, ids[chosen]]).expand(len(some), -1)
            came = model(shown.to(device), due.masked_fill(masked, MASKED).to(device))
            for_all = _with_cls(guess[chosen].expand(len(some), -1))
            errors = torch.stack([(answer.cpu() - due).square() for answer in (*came, for_all)])  # 3 x batch x places
            rows.append(((errors * masked).sum(dim=2) / masked.sum(dim=1)).T)  # batch x 3
    return pd.DataFrame(torch.cat(rows).double().numpy(), columns=["masked", "cell", "guess"])


def starting_tokens(
    vocabulary: Vocabulary, controls: scipy.sparse.csr_matrix, genes: Sequence[str], width: int
) -> pd.DataFrame:
    """Give the tokens that pre-training starts from, of the genes that are in the vocabulary.

    Parameters
    ----------
    vocabulary
        Tokens.
    controls
        Control cells x genes, log1p expression.
    genes
        The genes' symbols.
    width
        Numbers of a token.

    Returns
    -------
    Genes x at most `width` numbers: co-expression features, each row scaled to length 1, and the gene's mean, scaled to
    mean 0 and standard deviation `MEAN_SPREAD` over genes.
    """
    table = coexpression_features(controls, genes, width - 1)
    table = table[~vocabulary.encode(table.index)[1].numpy()]
    table = table.div(np.linalg.norm(table, axis=1), axis=0)
    mean = pd.Series(np.asarray(controls.mean(axis=0)).ravel(), index=genes).loc[table.index]
    return table.assign(mean=MEAN_SPREAD * (mean - mean.mean()) / (mean.std() or 1.0))


def gene_embeddings(model: Backbone, vocabulary: Vocabulary, genes: Sequence[str]) -> pd.DataFrame:
    """Give the frozen gene tokens as a feature table of the genes that are in the vocabulary."""
    unknown = set(vocabulary.unknown(genes := list(dict.fromkeys(genes))))
    known = [gene for gene in genes if gene not in unknown]
    with torch.no_grad():
        ids = vocabulary.encode(known)[0].to(model.encoder.embedding.weight.device)
        values = model.encoder(ids).double().cpu().numpy()
    columns = [f"embedding_{number + 1}" for number in range(values.shape[1])]
    return pd.DataFrame(values, index=pd.Index(known, name=GENE), columns=columns)


def cell_embeddings(
    model: Backbone,
    vocabulary: Vocabulary,
    expression: scipy.sparse.csr_matrix,
    genes: Sequence[str],
    bins: Bins,
    n_bins: int = 6,
    longest: int = LONGEST,
    batch_size: int = 64,
    seed: int = 0,
) -> np.ndarray:
    """Embed cells: what the layers make of the token `<cls>`, each scaled to length 1.

    As published, a cell is shown by the genes that it expresses, and no others. Cui et al. (2024), `embed_data`.

    Parameters
    ----------
    model, vocabulary
        Of one checkpoint.
    expression
        Cells x genes, log1p expression.
    genes
        The genes' symbols; those that are not in the vocabulary are left out.
    bins, n_bins
        Those of pre-training.
    longest
        Tokens of a row at most, `<cls>` among them; of a cell that expresses more genes, so many are drawn.
    batch_size
        Cells that are embedded at once.
    seed
        Of what is drawn.

    Returns
    -------
    Cells x width.
    """
    ids, unknown = vocabulary.encode(genes)
    known = ~unknown.numpy()
    ids, cells = ids[torch.from_numpy(known)].numpy(), expression[:, known].tocsr()
    rng = np.random.default_rng(seed)
    order = np.argsort(np.diff(cells.indptr), kind="stable")  # cells of like length together, for the least padding
    embedded, device = np.empty((len(order), model.sizes.width), np.float32), model.encoder.embedding.weight.device
    with torch.no_grad(), threads.enough(model), progress.bar("embed cells", -(-len(order) // batch_size)) as advance:
        for start in range(0, len(order), batch_size):
            some = order[start : start + batch_size]
            rows = [_row(cells[int(cell)], ids, bins, n_bins, longest - 1, rng) for cell in some]
            length = max(len(row[0]) for row in rows)
            gene_ids = np.full((len(rows), 1 + length), vocabulary.pad)
            values = np.full((len(rows), 1 + length), PAD_VALUE, np.float32)
            gene_ids[:, 0], values[:, 0] = vocabulary.numbers[CLS], CLS_VALUE
            for number, (shown, binned) in enumerate(rows):
                gene_ids[number, 1 : 1 + len(shown)], values[number, 1 : 1 + len(shown)] = shown, binned
            given, levels = torch.from_numpy(gene_ids).to(device), torch.from_numpy(values).to(device)
            summed = Backbone.embed(model, given, levels)  # cells x (1 + genes) x width
            hidden = model.transformer_encoder(summed, given == vocabulary.pad)[:, 0]  # cells x width
            embedded[some] = nn.functional.normalize(hidden, dim=1).cpu().numpy()
            advance()
    return embedded


def _row(
    cell: scipy.sparse.csr_matrix, ids: np.ndarray, bins: Bins, n_bins: int, most: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Give the tokens and bins of the genes that a cell expresses; the bins are those among all of them."""
    there = cell.data > 0
    shown, binned = ids[cell.indices[there]], _binned(bins, cell.data[None, there], n_bins)[0]
    if len(shown) > most:
        drawn = rng.permutation(len(shown))[:most]
        shown, binned = shown[drawn], binned[drawn]
    return shown, binned


def _binned(bins: Bins, expression: np.ndarray, n_bins: int) -> np.ndarray:
    """Make bins of cells x genes; a cell that expresses none of the genes stays as it is."""
    binned = np.zeros(expression.shape, np.float32)
    there = (expression > 0).any(axis=1)
    if there.any():
        binned[there] = bins(expression[there], n_bins)
    return binned


def _with_cls(values: Tensor) -> Tensor:
    """Put the value of the cell's token before the values of its genes, cells x genes."""
    return nn.functional.pad(values, (1, 0), value=CLS_VALUE)  # cells x (1 + genes)
