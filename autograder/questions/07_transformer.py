"""Notebook 07: attention over genes and over cells.

The values due come from torch's own attention and encoder layer, from an eigenvalue problem, and from the closed
form of a gradient.
"""

from collections.abc import Callable

import numpy as np
import scipy.linalg
import scipy.spatial.distance
import torch
from torch import Tensor, nn
from torch.nn import functional

from autograder.questions import Mistake, Question
from starter.answers import Function, Object
from starter.check import Same

HIDDEN = (
    "starter.attention",
    "starter.set_transformer",
    "starter.transformer",
)
"""What would answer for the student. The same for every question, so that the notebook runs once."""
ROUNDING = {"rtol": 1e-4, "atol": 1e-5}
"""Of networks in single precision, whose sums depend on their order."""


# gene tokens


def _screens(rng: np.random.Generator) -> list[dict[str, object]]:
    """Effects with a few strong directions and a mean that is not 0; other features on scales of their own."""
    cases = []
    for n, n_genes, n_more, keep in ((9, 14, 3, 4), (12, 8, 2, 3), (7, 23, 4, 5)):
        strength = 2.0 ** -np.arange(6)
        effects = rng.normal(size=(n, 6)) * strength @ rng.normal(size=(6, n_genes)) + rng.normal(0.3, 0.1, n_genes)
        effects += 0.05 * rng.normal(size=(n, n_genes))
        more = rng.gamma(2.0, 1.0, (n_genes, n_more)) * rng.uniform(0.5, 20, n_more)
        cases.append({"effects": effects, "more": more, "n": keep})
    return cases


def _components(effects: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Give loadings (genes x n; the largest of each component is positive) and variances, by the covariance matrix."""
    variance, loadings = scipy.linalg.eigh(np.cov(effects, rowvar=False))
    variance, loadings = variance[::-1][:n], loadings[:, ::-1][:, :n]
    largest = np.abs(loadings).argmax(axis=0)
    return loadings * np.sign(loadings[largest, np.arange(n)]), variance


def _standard(more: np.ndarray) -> np.ndarray:
    return (more - more.mean(axis=0)) / more.std(axis=0)


def _tokens(effects: np.ndarray, more: np.ndarray, n: int) -> np.ndarray:
    loadings, variance = _components(effects, n)
    responses = loadings * np.sqrt(variance)
    return np.hstack([responses / np.sqrt((responses**2).mean()), _standard(more)])


def _equal_components(effects: np.ndarray, more: np.ndarray, n: int) -> np.ndarray:
    loadings, _ = _components(effects, n)
    return np.hstack([loadings / np.sqrt((loadings**2).mean()), _standard(more)])


def _unscaled(effects: np.ndarray, more: np.ndarray, n: int) -> np.ndarray:
    loadings, variance = _components(effects, n)
    return np.hstack([loadings * np.sqrt(variance), _standard(more)])


def _by_variance(effects: np.ndarray, more: np.ndarray, n: int) -> np.ndarray:
    loadings, variance = _components(effects, n)
    responses = loadings * variance
    return np.hstack([responses / np.sqrt((responses**2).mean()), _standard(more)])


def _raw_features(effects: np.ndarray, more: np.ndarray, n: int) -> np.ndarray:
    return np.hstack([_tokens(effects, more, n)[:, :n], more])


def _standard_by_gene(effects: np.ndarray, more: np.ndarray, n: int) -> np.ndarray:
    return np.hstack([_tokens(effects, more, n)[:, :n], _standard(more.T).T])


def _responses_only(effects: np.ndarray, more: np.ndarray, n: int) -> np.ndarray:
    return _tokens(effects, more, n)[:, :n]


# attention


def _looks(rng: np.random.Generator) -> list[dict[str, object]]:
    """Make queries, keys and values of different sizes; masks differ between queries, and none hides everything."""
    cases = []
    for lead, n, m, d, size in (((), 3, 5, 4, 2), ((2,), 4, 7, 6, 3), ((3, 2), 5, 4, 8, 5)):
        query, key = rng.normal(0, 1.6, (*lead, n, d)), rng.normal(0.4, 1.6, (*lead, m, d))
        mask = rng.random((*lead, n, m)) < 0.6
        mask[..., 0] |= ~mask.any(axis=-1)
        mask[..., 0, 1] = False
        mask[..., 0, 0] = True
        cases.append({"query": query, "key": key, "value": rng.normal(size=(*lead, m, size)), "mask": mask})
    return cases


def _attention(query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    mask = None if mask is None else torch.from_numpy(mask)
    return functional.scaled_dot_product_attention(*map(torch.from_numpy, (query, key, value)), mask).numpy()


def _without_mask(query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return _attention(query, key, value, None)


def _mask_turned_round(query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray) -> np.ndarray:
    hidden = np.where(mask, -np.inf, query @ key.swapaxes(-1, -2) / np.sqrt(query.shape[-1]))
    return _softmax(hidden) @ value


def _unscaled_scores(query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return _attention(query * np.sqrt(query.shape[-1]), key, value, mask)


def _divided_by_d(query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return _attention(query / np.sqrt(query.shape[-1]), key, value, mask)


def _over_queries(query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray) -> np.ndarray:
    scores = np.where(mask, query @ key.swapaxes(-1, -2) / np.sqrt(query.shape[-1]), -np.inf)
    return _softmax(scores, axis=-2) @ value


def _masked_afterwards(query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return (_softmax(query @ key.swapaxes(-1, -2) / np.sqrt(query.shape[-1])) * mask) @ value


def _zero_scores(query: np.ndarray, key: np.ndarray, value: np.ndarray, mask: np.ndarray) -> np.ndarray:
    return _softmax(np.where(mask, query @ key.swapaxes(-1, -2) / np.sqrt(query.shape[-1]), 0)) @ value


def _softmax(scores: np.ndarray, axis: int = -1) -> np.ndarray:
    with np.errstate(invalid="ignore"):  # where everything is hidden
        weights = np.exp(scores - scores.max(axis=axis, keepdims=True))
        return weights / weights.sum(axis=axis, keepdims=True)


# modules


Weights = dict[str, np.ndarray]


def _drawn(rng: np.random.Generator, shapes: dict[str, tuple[int, ...]]) -> Weights:
    """Draw weights; none is 0 and no norm is neutral, so that none can be left out unseen."""
    centre = {name: 1.0 if "norm" in name and name.endswith("weight") else 0.1 for name in shapes}
    return {
        name: rng.normal(centre[name], 0.5 if len(shape) == 1 else 1 / np.sqrt(shape[-1]), shape).astype(np.float32)
        for name, shape in shapes.items()
    }


def _linear(name: str, n_in: int, n_out: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (n_out, n_in), f"{name}.bias": (n_out,)}


def _norm(name: str, size: int) -> dict[str, tuple[int, ...]]:
    return {f"{name}.weight": (size,), f"{name}.bias": (size,)}


def _of_attention(prefix: str, size: int) -> dict[str, tuple[int, ...]]:
    return {**_linear(f"{prefix}project", size, 3 * size), **_linear(f"{prefix}out", size, size)}


def _of_block(prefix: str, size: int) -> dict[str, tuple[int, ...]]:
    network = {**_linear(f"{prefix}network.0", size, 2 * size), **_linear(f"{prefix}network.2", 2 * size, size)}
    norms = {**_norm(f"{prefix}norm_1", size), **_norm(f"{prefix}norm_2", size)}
    return {**_of_attention(f"{prefix}attention.", size), **norms, **network}


def _tensors(weights: Weights) -> dict[str, Tensor]:
    return {name: torch.from_numpy(values) for name, values in weights.items()}


def _part(weights: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): values for name, values in weights.items() if name.startswith(prefix)}


def _module_cases(
    rng: np.random.Generator, shapes: Callable[[int], dict[str, tuple[int, ...]]]
) -> list[dict[str, object]]:
    """Modules of two and three heads; each is called with all tokens real, then with some hidden."""
    cases = []
    for size, heads, batch, n in ((6, 2, 2, 5), (12, 3, 3, 4), (8, 2, 4, 7)):
        x = rng.normal(0.2, 1.0, (batch, n, size)).astype(np.float32)
        real = np.arange(n) < rng.integers(2, n, (batch, 1))
        calls = [["forward", {"x": x}], ["forward", {"x": x, "real": real}]]
        cases.append({"build": {"size": size, "heads": heads}, "weights": _drawn(rng, shapes(size)), "calls": calls})
    return cases


def _multi_head_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    return _module_cases(rng, lambda size: _of_attention("", size))


def _block_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    return _module_cases(rng, lambda size: _of_block("", size))


def _every_call(function: Callable[..., Tensor]) -> Callable[..., list[np.ndarray]]:
    """Answer each call of a module by a function (build, weights, **arguments) on tensors."""

    def answers(build: dict, weights: Weights, calls: list) -> list[np.ndarray]:
        with torch.no_grad():
            return [
                function(build, _tensors(weights), **{name: torch.from_numpy(array) for name, array in given.items()})
                .contiguous()
                .numpy()
                for _, given in calls
            ]

    return answers


def _multi_head(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
    module = nn.MultiheadAttention(build["size"], build["heads"], batch_first=True)
    names = {"in_proj_weight": "project.weight", "in_proj_bias": "project.bias"}
    names |= {"out_proj.weight": "out.weight", "out_proj.bias": "out.bias"}
    module.load_state_dict({name: weights[ours] for name, ours in names.items()})
    return module(x, x, x, key_padding_mask=None if real is None else ~real, need_weights=False)[0]


def _parts(build: dict, weights: dict[str, Tensor], x: Tensor) -> list[Tensor]:
    """Give queries, keys and values, batch x heads x tokens x numbers of a head."""
    parts = functional.linear(x, weights["project.weight"], weights["project.bias"]).chunk(3, dim=-1)
    return [part.reshape(*x.shape[:2], build["heads"], -1).transpose(1, 2) for part in parts]


def _joined(weights: dict[str, Tensor], parts: list[Tensor], real: Tensor | None, **settings: float) -> Tensor:
    mask = None if real is None else real[:, None, None, :]
    seen = functional.scaled_dot_product_attention(*parts, mask, **settings)
    return functional.linear(seen.transpose(1, 2).flatten(2), weights["out.weight"], weights["out.bias"])


def _transposed_weight(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
    return _multi_head(build, {**weights, "out.weight": weights["out.weight"].T}, x, real)


def _mask_forgotten(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
    return _multi_head(build, weights, x)


def _one_head(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
    return _multi_head({**build, "heads": 1}, weights, x, real)


def _without_out(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
    identity = {"out.weight": torch.eye(build["size"]), "out.bias": torch.zeros(build["size"])}
    return _multi_head(build, {**weights, **identity}, x, real)


def _parts_exchanged(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
    query, key, value = _parts(build, weights, x)
    return _joined(weights, [query, value, key], real)


def _heads_mixed_up(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
    """Cut tokens into heads by a reshape that takes other tokens' numbers."""
    parts = functional.linear(x, weights["project.weight"], weights["project.bias"]).chunk(3, dim=-1)
    parts = [part.reshape(len(x), build["heads"], x.shape[1], -1) for part in parts]
    return _joined(weights, parts, real)


def _heads_not_put_back(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
    mask = None if real is None else real[:, None, None, :]
    seen = functional.scaled_dot_product_attention(*_parts(build, weights, x), mask).reshape(x.shape)
    return functional.linear(seen, weights["out.weight"], weights["out.bias"])


def _scaled_by_size(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
    return _joined(weights, _parts(build, weights, x), real, scale=build["size"] ** -0.5)


def _block(
    build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None, *, first: bool = True
) -> Tensor:
    size = build["size"]
    layer = nn.TransformerEncoderLayer(
        size, build["heads"], 2 * size, dropout=0, activation="gelu", batch_first=True, norm_first=first
    )
    names = {
        "self_attn.in_proj_": "attention.project.",
        "self_attn.out_proj.": "attention.out.",
        "linear1.": "network.0.",
        "linear2.": "network.2.",
        "norm1.": "norm_1.",
        "norm2.": "norm_2.",
    }
    layer.load_state_dict(
        {f"{name}{end}": weights[f"{ours}{end}"] for name, ours in names.items() for end in ("weight", "bias")}
    )
    # in training mode (no dropout): torch's short cut of the evaluation mode leaves out hidden tokens' own rows
    return layer(x, src_key_padding_mask=None if real is None else ~real)


def _block_by_parts(
    weights: dict[str, Tensor],
    attend: Callable[[Tensor], Tensor],
    x: Tensor,
    *,
    added: tuple[bool, bool] = (True, True),
    normed: tuple[bool, bool] = (True, True),
) -> Tensor:
    def norm(number: int, values: Tensor) -> Tensor:
        part = _part(weights, f"norm_{number}.")
        return functional.layer_norm(values, values.shape[-1:], part["weight"], part["bias"])

    came = attend(norm(1, x) if normed[0] else x)
    x = x + came if added[0] else came
    hidden = functional.linear(norm(2, x) if normed[1] else x, weights["network.0.weight"], weights["network.0.bias"])
    came = functional.linear(functional.gelu(hidden), weights["network.2.weight"], weights["network.2.bias"])
    return x + came if added[1] else came


def _block_mistake(**settings: tuple[bool, bool]) -> Callable[..., list[np.ndarray]]:
    def answer(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
        def attend(values: Tensor) -> Tensor:
            return _multi_head(build, _part(weights, "attention."), values, real)

        return _block_by_parts(weights, attend, x, **settings)

    return _every_call(answer)


def _block_without_mask(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
    return _block(build, weights, x)


def _norm_afterwards(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
    return _block(build, weights, x, real, first=False)


def _side_by_side(build: dict, weights: dict[str, Tensor], x: Tensor, real: Tensor | None = None) -> Tensor:
    """Give the network what came in, and not what attention made of it."""
    without_network, without_attention = (
        {name: values * (not name.startswith(part)) for name, values in weights.items()}
        for part in ("network.2.", "attention.out.")
    )
    return _block(build, without_network, x, real) + _block(build, without_attention, x, real) - x


# models


def _of_target(n: int, size: int) -> dict[str, tuple[int, ...]]:
    return {**_linear("target.1", n, size), **_linear("target.3", size, size)}


def _target(weights: dict[str, Tensor], target: Tensor) -> Tensor:
    """Give the token of a perturbation, batch x 1 x size."""
    hidden = functional.gelu(functional.linear(target, weights["target.1.weight"], weights["target.1.bias"]))
    return functional.linear(hidden, weights["target.3.weight"], weights["target.3.bias"])[:, None]


def _through(build: dict, weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """Pass tokens through the blocks and the last norm."""
    for number in range(build["layers"]):
        x = _block(build, _part(weights, f"blocks.{number}."), x)
    return functional.layer_norm(x, x.shape[-1:], weights["norm.weight"], weights["norm.bias"])


def _gene_model_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    """Models with none, one and two blocks; the second call has the genes in another order."""
    cases = []
    for size, heads, layers, n_genes, n_of_gene, n_of_target, batch in (
        (6, 2, 0, 5, 3, 4, 2),
        (8, 2, 1, 7, 5, 3, 3),
        (12, 3, 2, 4, 6, 5, 5),
    ):
        shapes = {**_linear("gene", n_of_gene, size), **_of_target(n_of_target, size), "flag": (size,)}
        for number in range(layers):
            shapes |= _of_block(f"blocks.{number}.", size)
        shapes |= {**_norm("norm", size), **_linear("query", size, size)}
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
        cases.append({"build": build, "weights": _drawn(rng, shapes), "calls": calls})
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
) -> Tensor:
    perturbation = _target(weights, target)
    tokens = functional.linear(genes, weights["gene.weight"], weights["gene.bias"])
    tokens = tokens.expand(len(target), -1, -1) + is_target[..., None] * weights["flag"] * flagged
    if told:
        tokens = tokens + perturbation
    if placed:
        tokens = tokens + torch.linspace(0, 1, len(genes))[:, None] * torch.linspace(-1, 1, build["size"])
    x = _through(build, weights, torch.cat([perturbation, tokens], dim=1))
    query = functional.linear(x[:, 0], weights["query.weight"], weights["query.bias"]) if queried else x[:, 0]
    along = torch.einsum("bs,bgs->bg", query, x[:, 1:])
    return along / np.sqrt(build["size"]) if scaled else along


def _gene_mistake(**settings: bool) -> Callable[..., list[np.ndarray]]:
    return _every_call(lambda build, weights, **given: _gene_model(build, weights, **given, **settings))


def _set_model_cases(rng: np.random.Generator) -> list[dict[str, object]]:
    """Models with none, one and two blocks."""
    cases = []
    for size, heads, layers, n_cells, n_of_cell, n_of_target, batch in (
        (6, 2, 0, 5, 3, 4, 2),
        (8, 2, 1, 7, 5, 3, 3),
        (12, 3, 2, 4, 7, 5, 5),
    ):
        shapes = {**_linear("cell", n_of_cell, size), **_of_target(n_of_target, size)}
        for number in range(layers):
            shapes |= _of_block(f"blocks.{number}.", size)
        shapes |= {**_norm("norm", size), **_linear("change", size, n_of_cell)}
        given = {
            "control": rng.normal(0.5, 1.0, (batch, n_cells, n_of_cell)).astype(np.float32),
            "target": rng.normal(size=(batch, n_of_target)).astype(np.float32),
        }
        build = {"n_of_cell": n_of_cell, "n_of_target": n_of_target, "size": size, "heads": heads, "layers": layers}
        cases.append({"build": build, "weights": _drawn(rng, shapes), "calls": [["forward", given]]})
    return cases


def _set_model(
    build: dict,
    weights: dict[str, Tensor],
    control: Tensor,
    target: Tensor,
    *,
    added: bool = True,
    told: bool = True,
    token: bool = True,
    last: bool = False,
) -> Tensor:
    perturbation = _target(weights, target)
    cells = functional.linear(control, weights["cell.weight"], weights["cell.bias"])
    cells = cells + perturbation if told else cells
    x = torch.cat([perturbation, cells], dim=1) if token else cells
    x = _through(build, weights, x)
    x = x[:, :-1] if last else x[:, int(token) :]
    change = functional.linear(x, weights["change.weight"], weights["change.bias"])
    return control + change if added else change


def _set_mistake(**settings: bool) -> Callable[..., list[np.ndarray]]:
    return _every_call(lambda build, weights, **given: _set_model(build, weights, **given, **settings))


# energy distance


def _two_sets(rng: np.random.Generator) -> list[dict[str, object]]:
    """Make sets of unequal numbers of cells, one pair, then several."""
    cases = []
    for lead, n, m, k in (((), 4, 7, 3), ((2,), 6, 5, 4), ((3,), 3, 8, 5)):
        x, y = rng.normal(size=(*lead, n, k)), rng.normal(0.4, 1.5, (*lead, m, k))
        cases.append({"x": x, "y": y})
    return cases


def _slopes(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Sum over y of the unit vectors from y to each x: the slope of the sum of distances."""
    apart = x[:, None] - y[None]
    length = np.linalg.norm(apart, axis=-1, keepdims=True)
    return np.divide(apart, length, out=np.zeros_like(apart), where=length > 0).sum(axis=1)


def _energy(
    x: np.ndarray,
    y: np.ndarray,
    power: int = 1,
    weights: tuple[float, float, float] = (2.0, 1.0, 1.0),
    pulls: tuple[float, float] = (1.0, 1.0),
    *,
    total: bool = False,
) -> list[np.ndarray]:
    """Give the distance, and its gradient with respect to x in closed form."""
    if x.ndim > 2:
        each = [_energy(a, b, power, weights, pulls, total=total) for a, b in zip(x, y, strict=True)]
        return [np.array(part) for part in zip(*each, strict=True)]
    n, m = len(x), len(y)
    pairs = ((x, y), (x, x), (y, y))
    sums = [(scipy.spatial.distance.cdist(a, b) ** power).sum() for a, b in pairs]
    counts = (1, 1, 1) if total else (n * m, n * n, m * m)
    distance = sum(
        sign * w * value / count for sign, w, value, count in zip((1, -1, -1), weights, sums, counts, strict=True)
    )
    if power == 2:
        across, within = (2 * (len(other) * x - other.sum(axis=0)) for other in (y, x))
    else:
        across, within = _slopes(x, y), _slopes(x, x)
    gradient = pulls[0] * weights[0] * across / counts[0] - pulls[1] * 2 * weights[1] * within / counts[1]
    return [np.array(distance), gradient]


def _no_slope(x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    distance, gradient = _energy(x, y)
    return [distance, np.full_like(gradient, np.nan)]


def _without_oneself(x: np.ndarray, y: np.ndarray) -> list[np.ndarray]:
    """Give the U-statistic: a cell is not compared with itself."""
    n, m = x.shape[-2], y.shape[-2]
    return _energy(x, y, weights=(2.0, n / (n - 1), m / (m - 1)))


# flow


def _flows(rng: np.random.Generator) -> list[dict[str, object]]:
    return [
        {
            "start": rng.normal(size=(n, k)),
            "end": rng.normal(1.0, 1.5, (n, k)),
            "time": rng.uniform(0.05, 0.95, (n, 1)),
        }
        for n, k in ((4, 3), (7, 2), (5, 6))
    ]


QUESTIONS = (
    Question(
        name="gene_tokens",
        asks=Function("gene_tokens"),
        inputs=_screens,
        due=_tokens,
        mistakes=(
            Mistake(
                "every component counts the same here; multiply loadings by the square root of the variance",
                _equal_components,
            ),
            Mistake("the responses are not scaled; divide all of them by one root mean square", _unscaled),
            Mistake("loadings were multiplied by the variance; take its square root", _by_variance),
            Mistake("the other features are as they came; standardise each column", _raw_features),
            Mistake("features were standardised gene by gene; standardise each column", _standard_by_gene),
            Mistake("the other features are missing; put them beside the responses", _responses_only, credit=0.5),
        ),
        without=HIDDEN,
    ),
    Question(
        name="attention",
        asks=Function("attention", tensors=True),
        inputs=_looks,
        due=_attention,
        mistakes=(
            Mistake("the mask is forgotten; where it is False, put -inf into the scores", _without_mask),
            Mistake("the mask is turned round; True may be looked at", _mask_turned_round),
            Mistake("divide the scores by the square root of d, the length of a query", _unscaled_scores),
            Mistake("the scores were divided by d; divide by its square root", _divided_by_d),
            Mistake("the softmax ran over queries; a query's weights for all keys sum to 1 (dim=-1)", _over_queries),
            Mistake("weights were hidden after the softmax, and sum to less than 1; hide scores", _masked_afterwards),
            Mistake("hidden scores were set to 0, which is a score like any other; set them to -inf", _zero_scores),
        ),
        without=HIDDEN,
    ),
    Question(
        name="MultiHeadAttention",
        asks=Object("MultiHeadAttention"),
        inputs=_multi_head_cases,
        due=_every_call(_multi_head),
        comparator=Same(**ROUNDING),
        mistakes=(
            Mistake("the last projection came transposed; call self.out", _every_call(_transposed_weight)),
            Mistake("hidden tokens were looked at; pass `real` on as the mask", _every_call(_mask_forgotten)),
            Mistake("there is one head only; cut queries, keys and values into heads", _every_call(_one_head)),
            Mistake("the last projection is missing; call self.out", _every_call(_without_out)),
            Mistake("keys and values are exchanged; the order is queries, keys, values", _every_call(_parts_exchanged)),
            Mistake(
                "heads hold numbers of other tokens; unflatten the last dimension, then transpose(1, 2)",
                _every_call(_heads_mixed_up),
            ),
            Mistake(
                "put the heads back beside each other: transpose(1, 2), then flatten", _every_call(_heads_not_put_back)
            ),
            Mistake(
                "scores are divided by the root of all numbers; take those of a head", _every_call(_scaled_by_size)
            ),
        ),
        without=HIDDEN,
    ),
    Question(
        name="Block",
        asks=Object("Block"),
        inputs=_block_cases,
        due=_every_call(_block),
        comparator=Same(**ROUNDING),
        mistakes=(
            Mistake("hidden tokens were looked at; hand `real` to the attention", _every_call(_block_without_mask)),
            Mistake("the norms came after the sums; here they come first", _every_call(_norm_afterwards)),
            Mistake("add what attention gives to x; it came in its place", _block_mistake(added=(False, True))),
            Mistake("add what the network gives to x; it came in its place", _block_mistake(added=(True, False))),
            Mistake("the first norm is missing", _block_mistake(normed=(False, True))),
            Mistake("the second norm is missing", _block_mistake(normed=(True, False))),
            Mistake("the network got what came in; give it what attention made of it", _every_call(_side_by_side)),
        ),
        without=HIDDEN,
    ),
    Question(
        name="GeneTransformer",
        asks=Object("GeneTransformer"),
        inputs=_gene_model_cases,
        due=_every_call(_gene_model),
        comparator=Same(**ROUNDING),
        mistakes=(
            Mistake("add the perturbation's token to every gene's too", _gene_mistake(told=False)),
            Mistake(
                "the target's own gene is not marked; add self.flag where is_target is 1", _gene_mistake(flagged=False)
            ),
            Mistake("a gene's place in the list was added; genes have no order", _gene_mistake(placed=True)),
            Mistake("divide the products by the square root of the size of a token", _gene_mistake(scaled=False)),
            Mistake("the perturbation's token goes through self.query first", _gene_mistake(queried=False)),
        ),
        without=HIDDEN,
    ),
    Question(
        name="energy_distance",
        asks=Function("energy_and_slope", tensors=True),
        inputs=_two_sets,
        due=_energy,
        comparator=Same(),
        mistakes=(
            Mistake(
                "distances were squared, by which only means count; do not square them", lambda x, y: _energy(x, y, 2)
            ),
            Mistake(
                "the distance across counts twice: 2 E|X - Y|", lambda x, y: _energy(x, y, weights=(1.0, 1.0, 1.0))
            ),
            Mistake("the distances within x are missing", lambda x, y: _energy(x, y, weights=(2.0, 0.0, 1.0))),
            Mistake("the distances within y are missing", lambda x, y: _energy(x, y, weights=(2.0, 1.0, 0.0))),
            Mistake("distances were summed; take their means", lambda x, y: _energy(x, y, total=True)),
            Mistake(
                "a part was detached, and x feels only the other set; no detach, no numpy",
                lambda x, y: _energy(x, y, pulls=(1.0, 0.0)),
            ),
            Mistake("a cell is 0 from itself, and the square root has no slope there; use torch.cdist", _no_slope),
            Mistake("a cell is compared with itself too; take plain means", _without_oneself, credit=0.5),
        ),
        without=HIDDEN,
    ),
    Question(
        name="SetTransformer",
        asks=Object("SetTransformer"),
        inputs=_set_model_cases,
        due=_every_call(_set_model),
        comparator=Same(**ROUNDING),
        mistakes=(
            Mistake("this is the change alone; add it to the control cells", _set_mistake(added=False)),
            Mistake("add the perturbation's token to every cell's too", _set_mistake(told=False)),
            Mistake("the perturbation has a token of its own; put it before the cells", _set_mistake(token=False)),
            Mistake("the last cell was left out; the perturbation's token is the first", _set_mistake(last=True)),
        ),
        without=HIDDEN,
    ),
    Question(
        name="flow_pair",
        asks=Function("flow_pair", tensors=True),
        inputs=_flows,
        due=lambda start, end, time: [start + time * (end - start), end - start],
        comparator=Same(),
        mistakes=(
            Mistake(
                "time runs backwards; at 0 a point is at its start",
                lambda start, end, time: [time * start + (1 - time) * end, end - start],
            ),
            Mistake(
                "the velocity points back; it goes from start to end",
                lambda start, end, time: [(1 - time) * start + time * end, start - end],
            ),
            Mistake(
                "the velocity is the whole way in one unit of time; do not multiply it by time",
                lambda start, end, time: [(1 - time) * start + time * end, time * (end - start)],
            ),
            Mistake(
                "that is what is left of the way; the velocity is the same all the time",
                lambda start, end, time: [(1 - time) * start + time * end, (1 - time) * (end - start)],
            ),
        ),
        without=HIDDEN,
    ),
)
