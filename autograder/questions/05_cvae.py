"""Notebook 05: a conditional variational autoencoder."""

from collections.abc import Callable

import numpy as np
import scipy.special
import scipy.stats

from autograder.questions import Mistake, Question
from starter.answers import Function, Object
from starter.check import Same

WITHOUT = ("starter.cvae", "starter.negative_binomial")
"""What the kit has of these answers."""


# ---- nb_log_likelihood


def _counts(rng: np.random.Generator) -> list[dict[str, object]]:
    """Draw few to many counts, zeros among them, each gene with its own theta, below and above 1."""
    cases = []
    for n_cells, n_genes in ((4, 7), (6, 3), (3, 11)):
        theta = rng.uniform(0.2, 0.8, n_genes) * np.where(rng.permutation(n_genes) % 2, 1.0, 6.0)
        mean = rng.gamma(1.0, 4.0, (n_cells, n_genes)) + 0.1
        counts = rng.negative_binomial(theta, theta / (theta + mean)).astype(float)
        counts[0, 0], counts[-1, -1] = 0.0, 23.0
        cases.append({"counts": counts, "mean": mean, "theta": theta})
    return cases


def _nb(counts: np.ndarray, mean: np.ndarray, theta: np.ndarray) -> np.ndarray:
    return scipy.stats.nbinom.logpmf(counts, theta, theta / (theta + mean))


def _shares_exchanged(counts: np.ndarray, mean: np.ndarray, theta: np.ndarray) -> np.ndarray:
    return scipy.stats.nbinom.logpmf(counts, theta, mean / (theta + mean))


def _without_factorial(counts: np.ndarray, mean: np.ndarray, theta: np.ndarray) -> np.ndarray:
    return _nb(counts, mean, theta) + scipy.special.gammaln(counts + 1)


def _inverse_theta(counts: np.ndarray, mean: np.ndarray, theta: np.ndarray) -> np.ndarray:
    return _nb(counts, mean, 1 / theta)


def _poisson(counts: np.ndarray, mean: np.ndarray, theta: np.ndarray) -> np.ndarray:
    del theta
    return scipy.stats.poisson.logpmf(counts, mean)


def _probability(counts: np.ndarray, mean: np.ndarray, theta: np.ndarray) -> np.ndarray:
    return np.exp(_nb(counts, mean, theta))


def _as_loss(counts: np.ndarray, mean: np.ndarray, theta: np.ndarray) -> np.ndarray:
    return -_nb(counts, mean, theta)


# ---- reparameterise and kl, with the gradients that reach the encoder


def _normals(rng: np.random.Generator, *, noise: bool) -> list[dict[str, object]]:
    """Means and log-variances of both signs."""
    cases = []
    for shape in ((5, 3), (2, 6), (7, 4)):
        case = {"mean": rng.normal(0.4, 1.0, shape), "log_variance": rng.normal(-0.6, 0.9, shape)}
        cases.append(case | ({"noise": rng.normal(size=shape)} if noise else {}))
    return cases


def _with_noise(rng: np.random.Generator) -> list[dict[str, object]]:
    return _normals(rng, noise=True)


def _without_noise(rng: np.random.Generator) -> list[dict[str, object]]:
    return _normals(rng, noise=False)


def _draw(mean: np.ndarray, log_variance: np.ndarray, noise: np.ndarray) -> list[np.ndarray]:
    """Draw by the quantiles of the distribution itself, with the derivatives by hand."""
    spread = np.sqrt(np.exp(log_variance))
    z = scipy.stats.norm.ppf(scipy.stats.norm.cdf(noise), mean, spread)
    return [z, np.ones_like(mean), 0.5 * spread * noise]


def _variance_as_spread(mean: np.ndarray, log_variance: np.ndarray, noise: np.ndarray) -> list[np.ndarray]:
    variance = np.exp(log_variance)
    return [mean + variance * noise, np.ones_like(mean), variance * noise]


def _log_as_spread(mean: np.ndarray, log_variance: np.ndarray, noise: np.ndarray) -> list[np.ndarray]:
    return [mean + log_variance * noise, np.ones_like(mean), noise]


def _no_spread(mean: np.ndarray, log_variance: np.ndarray, noise: np.ndarray) -> list[np.ndarray]:
    return [mean + noise, np.ones_like(mean), np.zeros_like(log_variance)]


def _mean_only(mean: np.ndarray, log_variance: np.ndarray, noise: np.ndarray) -> list[np.ndarray]:
    del noise
    return [mean, np.ones_like(mean), np.zeros_like(log_variance)]


def _kl(mean: np.ndarray, log_variance: np.ndarray) -> list[np.ndarray]:
    """Take it, and its gradients, from torch's own distributions."""
    import torch  # takes seconds, and only this question needs it

    mu, log_var = (torch.tensor(values, requires_grad=True) for values in (mean, log_variance))
    own = torch.distributions.Normal(mu, log_var.exp().sqrt())
    divergence = torch.distributions.kl_divergence(own, torch.distributions.Normal(0.0, 1.0)).sum(dim=1)
    gradients = torch.autograd.grad(divergence.sum(), (mu, log_var))
    return [values.detach().numpy() for values in (divergence, *gradients)]


def _parts(mean: np.ndarray, log_variance: np.ndarray, half: float = 0.5, sign: float = -1.0) -> list[np.ndarray]:
    variance = np.exp(log_variance)
    each = half * (mean**2 + variance - 1 + sign * log_variance)
    return [each.sum(axis=1), 2 * half * mean, half * (variance + sign)]


def _over_all_cells(mean: np.ndarray, log_variance: np.ndarray) -> list[np.ndarray]:
    value, *gradients = _kl(mean, log_variance)
    return [value.sum(), *gradients]


def _mean_over_numbers(mean: np.ndarray, log_variance: np.ndarray) -> list[np.ndarray]:
    return [values / mean.shape[1] for values in _kl(mean, log_variance)]


def _turned_round(mean: np.ndarray, log_variance: np.ndarray) -> list[np.ndarray]:
    """KL of N(0, 1) from the distribution."""
    precision = np.exp(-log_variance)
    each = 0.5 * ((1 + mean**2) * precision - 1 + log_variance)
    return [each.sum(axis=1), mean * precision, 0.5 * (1 - (1 + mean**2) * precision)]


def _detached(due: Callable[..., list[np.ndarray]], *which: int) -> Callable[..., list[np.ndarray]]:
    """Give the right value, with no gradient reaching some of the parameters."""

    def gives(**inputs: np.ndarray) -> list[np.ndarray]:
        return [np.zeros_like(part) if place in which else part for place, part in enumerate(due(**inputs))]

    return gives


# ---- CVAE and what it says of another condition


SHAPES = ((5, 9, 4, 3, 7), (3, 6, 5, 2, 8), (4, 11, 3, 4, 5))
"""Cells, genes, numbers of a condition, latent numbers, hidden units."""


def _network(rng: np.random.Generator, shape: tuple[int, ...]) -> dict[str, object]:
    _, n_genes, n_conditions, n_latent, n_hidden = shape
    layers = {
        "encoder": (n_hidden, n_genes + n_conditions),
        "mean": (n_latent, n_hidden),
        "log_variance": (n_latent, n_hidden),
        "decoder": (n_hidden, n_latent + n_conditions),
        "change": (n_genes, n_hidden),
    }
    weights = {"log_rate": rng.normal(-1.0, 1.0, n_genes).astype(np.float32)}
    for name, size in layers.items():
        weights[f"{name}.weight"] = rng.normal(0, 1 / np.sqrt(size[1]), size).astype(np.float32)
        weights[f"{name}.bias"] = rng.normal(0, 0.3, size[0]).astype(np.float32)
    build = {"n_genes": n_genes, "n_conditions": n_conditions, "n_latent": n_latent, "n_hidden": n_hidden}
    return {"build": build, "weights": weights}


def _normal(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(0.3, 1.0, shape).astype(np.float32)


def _networks(rng: np.random.Generator) -> list[dict[str, object]]:
    cases = []
    for shape in SHAPES:
        n_cells, n_genes, n_conditions, n_latent, _ = shape
        condition = _normal(rng, n_cells, n_conditions)
        calls = [
            ["encode", {"x": _normal(rng, n_cells, n_genes), "condition": condition}],
            ["decode", {"z": _normal(rng, n_cells, n_latent), "condition": condition}],
        ]
        cases.append(_network(rng, shape) | {"calls": calls})
    return cases


def _linear(weights: dict[str, np.ndarray], name: str, x: np.ndarray) -> np.ndarray:
    return np.einsum("cf,hf->ch", x.astype(float), weights[f"{name}.weight"].astype(float)) + weights[f"{name}.bias"]


def _relu(x: np.ndarray) -> np.ndarray:
    return np.where(x > 0, x, 0.0)


def _encode(
    weights: dict[str, np.ndarray],
    x: np.ndarray,
    condition: np.ndarray,
    bend: Callable[[np.ndarray], np.ndarray] = _relu,
    *,
    condition_first: bool = False,
) -> list[np.ndarray]:
    parts = [condition, x] if condition_first else [x, condition]
    hidden = bend(_linear(weights, "encoder", np.hstack(parts)))
    return [_linear(weights, "mean", hidden), _linear(weights, "log_variance", hidden)]


def _decode(
    weights: dict[str, np.ndarray],
    z: np.ndarray,
    condition: np.ndarray,
    bend: Callable[[np.ndarray], np.ndarray] = _relu,
    *,
    condition_first: bool = False,
    log_rate: bool = True,
) -> np.ndarray:
    parts = [condition, z] if condition_first else [z, condition]
    change = _linear(weights, "change", bend(_linear(weights, "decoder", np.hstack(parts))))
    return change + weights["log_rate"] if log_rate else change


def _both(**ways: object) -> Callable[..., list]:
    """Answer the two calls, in some way of encoding and decoding."""
    encoding = {key: value for key, value in ways.items() if key != "log_rate"}

    def gives(build: dict, weights: dict, calls: list) -> list:
        del build
        (_, to_encode), (_, to_decode) = calls
        return [_encode(weights, **to_encode, **encoding), _decode(weights, **to_decode, **ways)]

    return gives


def _exchanged(build: dict, weights: dict, calls: list) -> list:
    encoded, decoded = _both()(build, weights, calls)
    return [encoded[::-1], decoded]


def _as_rates(build: dict, weights: dict, calls: list) -> list:
    encoded, decoded = _both()(build, weights, calls)
    return [encoded, np.exp(decoded)]


def _as_variance(build: dict, weights: dict, calls: list) -> list:
    (mean, log_variance), decoded = _both()(build, weights, calls)
    return [[mean, np.exp(log_variance)], decoded]


def _counterfactuals(rng: np.random.Generator) -> list[dict[str, object]]:
    cases = []
    for shape in SHAPES:
        n_cells, n_genes, n_conditions, _, _ = shape
        control, perturbed = np.zeros((1, n_conditions), np.float32), _normal(rng, 1, n_conditions)
        asked = {"x": _normal(rng, n_cells, n_genes), "control": control, "perturbed": perturbed}
        cases.append(_network(rng, shape) | {"calls": [["effect", asked]]})
    return cases


def _changes(weights: dict, x: np.ndarray, encoded: np.ndarray, one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Take, cell by cell, the latent numbers under one condition; decode under two; subtract."""
    rows = []
    for cell in x:
        z, _ = _encode(weights, cell[None], encoded)
        rows.append(_decode(weights, z, other)[0] - _decode(weights, z, one)[0])
    return np.array(rows)


def _effect(build: dict, weights: dict, calls: list) -> list:
    del build
    x, control, perturbed = calls[0][1].values()
    return [_changes(weights, x, control, control, perturbed).mean(axis=0)]


def _effect_turned(build: dict, weights: dict, calls: list) -> list:
    return [-_effect(build, weights, calls)[0]]


def _not_averaged(build: dict, weights: dict, calls: list) -> list:
    del build
    x, control, perturbed = calls[0][1].values()
    return [_changes(weights, x, control, control, perturbed)]


def _summed(build: dict, weights: dict, calls: list) -> list:
    return [_not_averaged(build, weights, calls)[0].sum(axis=0)]


def _over_genes(build: dict, weights: dict, calls: list) -> list:
    return [_not_averaged(build, weights, calls)[0].mean(axis=1)]


def _encoded_as_perturbed(build: dict, weights: dict, calls: list) -> list:
    del build
    x, control, perturbed = calls[0][1].values()
    return [_changes(weights, x, perturbed, control, perturbed).mean(axis=0)]


def _each_its_own(build: dict, weights: dict, calls: list) -> list:
    """Encode under both conditions, so that the latent numbers differ too."""
    del build
    x, control, perturbed = calls[0][1].values()
    decoded = [
        np.mean([_decode(weights, _encode(weights, cell[None], condition)[0], condition)[0] for cell in x], axis=0)
        for condition in (control, perturbed)
    ]
    return [decoded[1] - decoded[0]]


def _not_subtracted(build: dict, weights: dict, calls: list) -> list:
    del build
    x, control, perturbed = calls[0][1].values()
    return [np.mean([_decode(weights, _encode(weights, cell[None], control)[0], perturbed)[0] for cell in x], axis=0)]


# ---- warm_up


def _moments_of_training(rng: np.random.Generator) -> list[dict[str, object]]:
    """Before, at and after the end of the rise, in some order."""
    cases = []
    for place in (0.0, 0.35, 1.0, 1.7):
        share = float(rng.uniform(0.2, 0.5))
        cases.append({"progress": place * share, "share": share, "weight": float(rng.uniform(2.0, 20.0))})
    return [cases[number] for number in rng.permutation(len(cases))]


def _warm_up(progress: float, share: float, weight: float) -> float:
    return float(np.interp(progress, [0.0, share], [0.0, weight]))


QUESTIONS = (
    Question(
        name="nb_log_likelihood",
        asks=Function("nb_log_likelihood", tensors=True),
        inputs=_counts,
        due=_nb,
        mistakes=(
            Mistake("log Gamma(k + 1) is missing; subtract it", _without_factorial),
            Mistake(
                "the shares are exchanged: theta goes with log(theta / (theta + m)), k with log(m / (theta + m))",
                _shares_exchanged,
            ),
            Mistake("this takes 1 / theta for theta; the larger theta, the less the counts vary", _inverse_theta),
            Mistake("this is Poisson's, which knows no theta", _poisson),
            Mistake("this is the probability itself; give its logarithm", _probability),
            Mistake("this is the loss; give the log-likelihood, without the minus", _as_loss),
        ),
        without=WITHOUT,
    ),
    Question(
        name="reparameterise",
        asks=Function("draw_with_gradients", tensors=True),
        inputs=_with_noise,
        due=_draw,
        comparator=Same(),
        mistakes=(
            Mistake("exp(log-variance) is the variance; the standard deviation is its root", _variance_as_spread),
            Mistake("the log-variance itself scales the noise; take exp of its half", _log_as_spread),
            Mistake("the noise is not scaled; multiply it by the standard deviation", _no_spread),
            Mistake("the noise is missing, so every draw is the mean", _mean_only),
            Mistake("the value is right, but no gradient reaches the mean: it was detached", _detached(_draw, 1)),
            Mistake(
                "the value is right, but no gradient reaches the log-variance: it was detached", _detached(_draw, 2)
            ),
            Mistake(
                "the value is right, but it is cut off from mean and log-variance: no detach, .item() or no_grad here",
                _detached(_draw, 1, 2),
            ),
        ),
        without=WITHOUT,
    ),
    Question(
        name="kl",
        asks=Function("kl_with_gradients", tensors=True),
        inputs=_without_noise,
        due=_kl,
        comparator=Same(),
        mistakes=(
            Mistake("this is the sum over all cells; sum over the latent numbers of each cell", _over_all_cells),
            Mistake("this is the mean over the latent numbers; sum them", _mean_over_numbers),
            Mistake("the factor 1/2 is missing", lambda **case: _parts(**case, half=1.0)),
            Mistake("the log-variance has the wrong sign: subtract it", lambda **case: _parts(**case, sign=1.0)),
            Mistake("this is the divergence of N(0, 1) from the cell's distribution; turn it round", _turned_round),
            Mistake("the value is right, but no gradient reaches the mean: it was detached", _detached(_kl, 1)),
            Mistake("the value is right, but no gradient reaches the log-variance: it was detached", _detached(_kl, 2)),
        ),
        without=WITHOUT,
    ),
    Question(
        name="CVAE",
        asks=Object("CVAE"),
        inputs=_networks,
        due=_both(),
        comparator=Same(),
        mistakes=(
            Mistake(
                "the condition comes after the cell, and after z: torch.cat([x, condition], dim=1)",
                _both(condition_first=True),
            ),
            Mistake("the hidden layers are straight lines; put torch.relu around them", _both(bend=lambda x: x)),
            Mistake("the hidden layers are bent by tanh; take torch.relu", _both(bend=np.tanh)),
            Mistake("mean and log-variance are exchanged; the mean comes first", _exchanged),
            Mistake("this is the variance; give its logarithm, as the layer says it", _as_variance),
            Mistake("the control's log rate is missing; add self.log_rate to the change", _both(log_rate=False)),
            Mistake("these are rates; give their logarithms, without exp", _as_rates),
        ),
        without=WITHOUT,
    ),
    Question(
        name="warm_up",
        asks=Function("warm_up"),
        inputs=_moments_of_training,
        due=_warm_up,
        mistakes=(
            Mistake("it goes on rising; stop at the weight", lambda progress, share, weight: weight * progress / share),
            Mistake(
                "it rises until the training's end; it is to reach the weight after `share` of it",
                lambda progress, share, weight: weight * progress,
            ),
            Mistake("this ends at 1; multiply by the weight", lambda progress, share, weight: min(1, progress / share)),
            Mistake("it falls; begin at 0", lambda progress, share, weight: weight * max(0, 1 - progress / share)),
            Mistake(
                "it jumps; rise in a straight line", lambda progress, share, weight: weight * float(progress >= share)
            ),
        ),
        without=WITHOUT,
    ),
    Question(
        name="Counterfactual",
        asks=Object("Counterfactual"),
        inputs=_counterfactuals,
        due=_effect,
        comparator=Same(),
        mistakes=(
            Mistake("the sign is turned round: perturbed less control", _effect_turned),
            Mistake("this is one row a cell; average over the cells", _not_averaged),
            Mistake("this is the sum over the cells; average them", _summed),
            Mistake("this averages over genes; average over cells, dim=0", _over_genes),
            Mistake(
                "the cells were encoded as perturbed ones; they are control cells, so give the encoder `control`",
                _encoded_as_perturbed,
            ),
            Mistake("the cells were encoded under each condition; decode the same latent numbers twice", _each_its_own),
            Mistake("these are log rates under the perturbation; subtract those under the control", _not_subtracted),
        ),
        without=WITHOUT,
    ),
)
