"""Notebook 08: what a foundation model reads, learns and predicts."""

import numpy as np
import pandas as pd
import scipy.spatial
import scipy.stats

from autograder.questions import Mistake, Question
from starter.answers import Function, Object
from starter.check import Same
from starter.schema import CONTROL

HIDDEN = (
    "starter.baselines",
    "starter.embedding_quality",
    "starter.finetune",
    "starter.pretraining",
    "starter.scgpt",
    "starter.scgpt_model",
    "starter.tuning",
)
"""What would answer for the student. The same for every question, so that the notebook runs once."""


# ---- tokenise: gene symbols to numbers


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


# ---- bin_values: one scale for all cells


def _values(rng: np.random.Generator) -> list[dict[str, object]]:
    """Cells of unequal depth with many zeros and no ties, so that no rule for ties decides."""
    cases = []
    for n_cells, n_genes, n_bins in ((4, 17, 5), (3, 23, 6), (5, 13, 4)):
        values = rng.gamma(1.5, 1.0, (n_cells, n_genes)) * rng.uniform(0.3, 3.0, (n_cells, 1))
        values[rng.random(values.shape) < 0.35] = 0
        values[:, :4] += 0.05
        cases.append({"values": values, "n_bins": n_bins})
    return cases


def _edges(values: np.ndarray, n_bins: int) -> np.ndarray:
    return np.quantile(values, np.linspace(0, 1, n_bins - 1))


def _bin_values(values: np.ndarray, n_bins: int) -> np.ndarray:
    """Count the edges that are not above each value, one by one."""
    binned = np.zeros(values.shape)
    for cell, row in enumerate(values):
        edges = _edges(row[row > 0], n_bins)
        for gene, value in enumerate(row):
            binned[cell, gene] = sum(edge <= value for edge in edges) if value > 0 else 0
    return binned


def _edges_with_zeros(values: np.ndarray, n_bins: int) -> np.ndarray:
    return np.array([np.digitize(row, _edges(row, n_bins)) * (row > 0) for row in values])


def _edges_of_all_cells(values: np.ndarray, n_bins: int) -> np.ndarray:
    return np.digitize(values, _edges(values[values > 0], n_bins)) * (values > 0)


def _equal_widths(values: np.ndarray, n_bins: int) -> np.ndarray:
    rows = [np.digitize(row, np.linspace(row[row > 0].min(), row.max(), n_bins - 1)) * (row > 0) for row in values]
    return np.array(rows)


def _edge_below(values: np.ndarray, n_bins: int) -> np.ndarray:
    rows = [np.digitize(row, _edges(row[row > 0], n_bins), right=True) * (row > 0) for row in values]
    return np.array(rows)


def _one_bin_more(values: np.ndarray, n_bins: int) -> np.ndarray:
    return _bin_values(values, n_bins + 1)


# ---- masked_error: a mean over the places that count


def _masked_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    cases = []
    for shape in ((4, 7), (3, 11), (6, 5)):
        counts = rng.random(shape) < rng.uniform(0.15, 0.7, (shape[0], 1))
        counts[0, 0], counts[1] = True, np.arange(shape[1]) < 2
        due = rng.gamma(2.0, 1.0, shape)
        cases.append({"predicted": due + rng.normal(0.3, 1.0, shape), "due": due, "counts": counts})
    return cases


def _masked_error(predicted: np.ndarray, due: np.ndarray, counts: np.ndarray) -> float:
    return float(np.ma.array((predicted - due) ** 2, mask=~counts).mean())


def _by_cell(predicted: np.ndarray, due: np.ndarray, counts: np.ndarray) -> float:
    return float(np.ma.array((predicted - due) ** 2, mask=~counts).mean(axis=1).mean())


# ---- batch_entropy: how well batches mix


def _mixtures(rng: np.random.Generator) -> list[dict[str, object]]:
    """Batches of unequal sizes that lie partly apart; distances have no ties."""
    cases = []
    for sizes, width, k in (((14, 9, 7), 3, 6), ((11, 20), 2, 5), ((8, 12, 10, 5), 4, 7)):
        batch = rng.permutation(np.repeat(np.arange(len(sizes)), sizes))
        centre = rng.normal(0, 0.8, (len(sizes), width))
        cases.append(
            {
                "embedding": rng.normal(size=(len(batch), width)) + centre[batch],
                "batch": np.array([f"batch_{number}" for number in batch]),
                "k": k,
            }
        )
    return cases


def _near(embedding: np.ndarray, first: int, last: int) -> np.ndarray:
    return scipy.spatial.KDTree(embedding).query(embedding, last)[1][:, first:]


def _shares(batch: np.ndarray, near: np.ndarray) -> np.ndarray:
    return np.array([[(batch[row] == name).mean() for name in np.unique(batch)] for row in near])


def _batch_entropy(embedding: np.ndarray, batch: np.ndarray, k: int) -> float:
    shares = _shares(batch, _near(embedding, 1, k + 1))
    return float(np.mean([scipy.stats.entropy(row, base=len(row)) for row in shares]))


def _itself_among(embedding: np.ndarray, batch: np.ndarray, k: int) -> float:
    shares = _shares(batch, _near(embedding, 0, k))
    return float(np.mean([scipy.stats.entropy(row, base=len(row)) for row in shares]))


def _not_divided(embedding: np.ndarray, batch: np.ndarray, k: int) -> float:
    return _batch_entropy(embedding, batch, k) * np.log(len(np.unique(batch)))


def _mean_shares(embedding: np.ndarray, batch: np.ndarray, k: int) -> float:
    shares = _shares(batch, _near(embedding, 1, k + 1)).mean(axis=0)
    return float(scipy.stats.entropy(shares, base=len(shares)))


def _divided_by_k(embedding: np.ndarray, batch: np.ndarray, k: int) -> float:
    return _not_divided(embedding, batch, k) / np.log(k)


def _farthest(embedding: np.ndarray, batch: np.ndarray, k: int) -> float:
    far = np.argsort(-scipy.spatial.distance.cdist(embedding, embedding), axis=1)[:, :k]
    return float(np.mean([scipy.stats.entropy(row, base=len(row)) for row in _shares(batch, far)]))


# ---- perturbation_flags: which token is perturbed


def _perturbed(rng: np.random.Generator) -> list[dict[str, object]]:
    """Make the first gene a target; names begin like others; there are a double, the control, a gene not measured."""
    cases = []
    for n_genes, extra in ((9, 2), (13, 3), (7, 1)):
        genes = [f"ABC{number}" for number in rng.permutation(np.arange(1, 20))[: n_genes - 2]]
        genes = [genes[0], *rng.permutation([*genes[1:], "XY1", "XY12"]).tolist()]
        singles = [genes[0], "XY12", *rng.choice(genes[1:], extra, replace=False).tolist()]
        targets = [*singles, f"{genes[0]}+{genes[-1]}", CONTROL, "NOTMEASURED"]
        cases.append({"genes": [str(g) for g in genes], "targets": [str(t) for t in rng.permutation(targets)]})
    return cases


def _flags(genes: list[str], targets: list[str]) -> np.ndarray:
    table = pd.Series(list(targets)).str.get_dummies("+").reindex(columns=list(genes), fill_value=0)
    return table.to_numpy(np.int64)


def _sign_of_index(genes: list[str], targets: list[str]) -> np.ndarray:
    flags = _flags(genes, targets)
    flags[:, 0] = 0
    return flags


def _no_doubles(genes: list[str], targets: list[str]) -> np.ndarray:
    return np.array([[int(gene == target) for gene in genes] for target in targets])


def _substring(genes: list[str], targets: list[str]) -> np.ndarray:
    return np.array([[int(gene in target) for gene in genes] for target in targets])


def _without_control(genes: list[str], targets: list[str]) -> np.ndarray:
    return _flags(genes, [target for target in targets if target != CONTROL])


def _place_as_flag(genes: list[str], targets: list[str]) -> np.ndarray:
    return _flags(genes, targets) * np.arange(len(genes))


# ---- AffineDecoder: from a token to expression


def _decoders(rng: np.random.Generator) -> list[dict[str, object]]:
    """Weights and tokens; among the values are a zero and one that the value encoder would clamp."""
    cases = []
    for width, batch, n_genes in ((5, 2, 4), (3, 4, 6), (7, 3, 5)):
        values = rng.gamma(2.0, 1.0, (batch, n_genes))
        values[0, 1], values[1, 0] = 0.0, 600.0
        weights = {
            f"{head}.{name}": rng.normal(0.2, 0.5, shape).astype(np.float32)
            for head in ("coeff", "bias")
            for name, shape in (("weight", (1, width)), ("bias", (1,)))
        }
        hidden = rng.normal(size=(batch, n_genes, width))
        arguments = {"hidden": hidden.astype(np.float32), "values": values.astype(np.float32)}
        cases.append({"build": {"width": width}, "weights": weights, "calls": [["forward", arguments]]})
    return cases


def _heads(weights: dict[str, np.ndarray], calls: list) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Give coefficient, value and bias of each token, in double precision."""
    arguments = {name: np.asarray(value, float) for name, value in calls[0][1].items()}
    coeff, bias = (
        np.einsum("bgw,w->bg", arguments["hidden"], weights[f"{head}.weight"][0].astype(float))
        + float(weights[f"{head}.bias"][0])
        for head in ("coeff", "bias")
    )
    return coeff, arguments["values"], bias


def _decoder(build: dict, weights: dict, calls: list) -> list:
    coeff, values, bias = _heads(weights, calls)
    return [coeff * values + bias]


def _heads_swapped(build: dict, weights: dict, calls: list) -> list:
    coeff, values, bias = _heads(weights, calls)
    return [bias * values + coeff]


def _clamped(build: dict, weights: dict, calls: list) -> list:
    coeff, values, bias = _heads(weights, calls)
    return [coeff * np.minimum(values, 512) + bias]


def _without_bias(build: dict, weights: dict, calls: list) -> list:
    coeff, values, _ = _heads(weights, calls)
    return [coeff * values]


def _added(build: dict, weights: dict, calls: list) -> list:
    coeff, values, bias = _heads(weights, calls)
    return [coeff + values + bias]


def _one_too_many(build: dict, weights: dict, calls: list) -> list:
    return [_decoder(build, weights, calls)[0][..., None]]


# ---- correlations: of expression, and of effects


def _predictions(rng: np.random.Generator) -> list[dict[str, object]]:
    """Expression that differs between genes far more than between perturbations."""
    cases = []
    for n, n_genes in ((4, 23), (6, 17), (3, 31)):
        control = 2 + rng.gamma(1.0, 1.5, n_genes)
        effects = rng.normal(0.05, 0.3, (n, n_genes)) * rng.uniform(0.3, 2.0, (n, 1))
        measured = np.maximum(control + effects, 0)
        predicted = np.maximum(control + 0.5 * effects + rng.normal(-0.03, 0.2, (n, n_genes)), 0)
        cases.append({"predicted": predicted, "measured": measured, "control": control})
    return cases


def _pearson(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.mean([scipy.stats.pearsonr(one, other)[0] for one, other in zip(a, b, strict=True)]))


def _correlations(predicted: np.ndarray, measured: np.ndarray, control: np.ndarray) -> np.ndarray:
    return np.array([_pearson(predicted, measured), _pearson(predicted - control, measured - control)])


def _whole_table(predicted: np.ndarray, measured: np.ndarray, control: np.ndarray) -> np.ndarray:
    pairs = ((predicted, measured), (predicted - control, measured - control))
    return np.array([np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in pairs])


def _over_perturbations(predicted: np.ndarray, measured: np.ndarray, control: np.ndarray) -> np.ndarray:
    return np.array([_pearson(predicted.T, measured.T), _pearson((predicted - control).T, (measured - control).T)])


def _one_side(predicted: np.ndarray, measured: np.ndarray, control: np.ndarray) -> np.ndarray:
    return np.array([_pearson(predicted, measured), _pearson(predicted - control, measured)])


def _own_mean(predicted: np.ndarray, measured: np.ndarray, control: np.ndarray) -> np.ndarray:
    parts = (predicted - predicted.mean(axis=0), measured - measured.mean(axis=0))
    return np.array([_pearson(predicted, measured), _pearson(*parts)])


def _other_order(predicted: np.ndarray, measured: np.ndarray, control: np.ndarray) -> np.ndarray:
    return _correlations(predicted, measured, control)[::-1]


QUESTIONS = (
    Question(
        name="tokenise",
        asks=Function("tokenise"),
        inputs=_symbols,
        due=_tokenise,
        mistakes=(
            Mistake("these are places in the list of genes; take each gene's number from the vocabulary", _in_order),
            Mistake("an unknown gene has the number of '<pad>', not 0, which is another gene's", _unknown_is_zero),
            Mistake("all genes are called known; `known` is False where the vocabulary lacks a gene", _all_known),
            Mistake("`known` is turned round: True where the vocabulary has the gene", _turned_round, credit=0.5),
            Mistake("unknown genes were dropped; keep their places, so that values still fit", _dropped),
        ),
        comparator=Same(),
        without=HIDDEN,
    ),
    Question(
        name="bin_values",
        asks=Function("bin_values"),
        inputs=_values,
        due=_bin_values,
        mistakes=(
            Mistake("zeros shifted the quantiles; take the edges from the values above 0", _edges_with_zeros),
            Mistake("all cells share these edges; take each cell's own", _edges_of_all_cells),
            Mistake("these bins are equally wide; take quantiles, so that each holds as many values", _equal_widths),
            Mistake("a value on an edge belongs to the bin above; leave out right=True", _edge_below),
            Mistake("there is one edge too many; take n_bins - 1 edges, since 0 is a bin of its own", _one_bin_more),
        ),
        without=HIDDEN,
    ),
    Question(
        name="masked_error",
        asks=Function("masked_error", tensors=True),
        inputs=_masked_cases,
        due=_masked_error,
        mistakes=(
            Mistake(
                "all places are in the mean; the mask is forgotten",
                lambda predicted, due, counts: float(np.mean((predicted - due) ** 2)),
            ),
            Mistake(
                "the sum is right, but divide by the number of places that count, not by all",
                lambda predicted, due, counts: float(np.mean((predicted - due) ** 2 * counts)),
            ),
            Mistake(
                "these are the places that do not count",
                lambda predicted, due, counts: _masked_error(predicted, due, ~counts),
            ),
            Mistake(
                "this is the sum; take the mean",
                lambda predicted, due, counts: float(((predicted - due) ** 2)[counts].sum()),
            ),
            Mistake(
                "these are absolute errors; square them",
                lambda predicted, due, counts: float(np.abs(predicted - due)[counts].mean()),
            ),
            Mistake("this averages the cells' means; let every place count the same", _by_cell),
        ),
        without=HIDDEN,
    ),
    Question(
        name="batch_entropy",
        asks=Function("batch_entropy"),
        inputs=_mixtures,
        due=_batch_entropy,
        mistakes=(
            Mistake("each cell is its own nearest neighbour; leave it out and take the next k", _itself_among),
            Mistake("divide by the logarithm of the number of batches, so that 1 is perfect mixing", _not_divided),
            Mistake("shares were averaged first; take each cell's entropy, then the mean", _mean_shares),
            Mistake("this is divided by the logarithm of k; divide by that of the number of batches", _divided_by_k),
            Mistake("these are the farthest cells; sort from the nearest", _farthest),
        ),
        without=HIDDEN,
    ),
    Question(
        name="perturbation_flags",
        asks=Function("perturbation_flags"),
        inputs=_perturbed,
        due=_flags,
        mistakes=(
            Mistake("the first gene has no flag: its index is 0, and so is the sign of 0", _sign_of_index),
            Mistake("of 'A+B' both genes are perturbed; split the name at '+'", _no_doubles),
            Mistake("names are compared in part; 'XY1' is not 'XY12'", _substring),
            Mistake("the control needs a row as well, without a flag", _without_control),
            Mistake("the flag is 1 for every perturbed gene, not the gene's place", _place_as_flag),
            Mistake(
                "rows and columns are swapped: a row is a target, a column a gene",
                lambda genes, targets: _flags(genes, targets).T,
            ),
        ),
        without=HIDDEN,
    ),
    Question(
        name="AffineDecoder",
        asks=Object("AffineDecoder"),
        inputs=_decoders,
        due=_decoder,
        mistakes=(
            Mistake("coefficient and bias are swapped: coeff times value, plus bias", _heads_swapped),
            Mistake("values are clamped here; only the value encoder does that", _clamped),
            Mistake("the bias is missing", _without_bias),
            Mistake("the coefficient multiplies the value; do not add it", _added),
            Mistake("one dimension is too many; drop the last one of each head with .squeeze(-1)", _one_too_many),
        ),
        comparator=Same(),
        without=HIDDEN,
    ),
    Question(
        name="correlations",
        asks=Function("correlations"),
        inputs=_predictions,
        due=_correlations,
        mistakes=(
            Mistake("the tables were flattened; correlate each row, then take the mean", _whole_table),
            Mistake("these correlate perturbations of each gene; correlate genes of each row", _over_perturbations),
            Mistake("take the control off the measured expression too", _one_side),
            Mistake("effects are differences from the control, not from the mean of the table", _own_mean),
            Mistake("the order is turned round: first of expression, then of effects", _other_order, credit=0.5),
        ),
        without=HIDDEN,
    ),
)
