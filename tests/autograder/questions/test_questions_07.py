"""The values due in notebook 07 are those of the kit's own models; forgetting a part is seen, whatever it is."""

import importlib
from collections.abc import Callable

import numpy as np
import pytest

torch = pytest.importorskip("torch")
attention = pytest.importorskip("starter.models.attention")
transformer = pytest.importorskip("starter.models.transformer")
set_transformer = pytest.importorskip("starter.models.set_transformer")

QUESTIONS = {
    question.name: question for question in importlib.import_module("autograder.questions.07_transformer").QUESTIONS
}
SEEDS = (0, 7, 2026)


def faults(name: str, given: object) -> list[str | None]:
    """What the question finds wrong with an answer, case by case."""
    question = QUESTIONS[name]
    cases = [case for seed in SEEDS for case in question.cases(seed, data=None)]
    return [question.comparator.fault(question.asks.answer(given, case.inputs), case.due) for case in cases]


def slope_of(distance: Callable) -> Callable:
    """The cell of the notebook that asks for the gradient too."""

    def energy_and_slope(x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        x = x.clone().requires_grad_()
        came = distance(x, y)
        return came, torch.autograd.grad(came.sum(), x)[0]

    return energy_and_slope


@pytest.mark.parametrize(
    ("name", "given"),
    [
        ("gene_tokens", transformer.gene_tokens),
        ("attention", attention.attention),
        ("MultiHeadAttention", attention.MultiHeadAttention),
        ("Block", attention.Block),
        ("GeneTransformer", transformer.GeneTransformer),
        ("energy_distance", slope_of(set_transformer.energy_distance)),
        ("SetTransformer", set_transformer.SetTransformer),
    ],
)
def test_the_kit_answers_every_question(name: str, given: object):
    assert set(faults(name, given)) == {None}


def test_a_detached_tensor_is_an_error_or_a_fault():
    def detached(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return set_transformer.energy_distance(x.detach(), y)

    with pytest.raises(RuntimeError, match="does not require grad"):
        faults("energy_distance", slope_of(detached))

    def partly(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        across = 2 * torch.cdist(x, y).mean(dim=(-2, -1))
        x = x.detach()
        return across - torch.cdist(x, x).mean(dim=(-2, -1)) - torch.cdist(y, y).mean(dim=(-2, -1))

    found = faults("energy_distance", slope_of(partly))
    assert None not in found
    assert all(fault.startswith("at [1]") for fault in found)  # the distance is right, its gradient is not


def test_the_root_of_zero_is_seen():
    def by_hand(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        def mean(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
            return (a[..., :, None, :] - b[..., None, :, :]).square().sum(dim=-1).sqrt().mean(dim=(-2, -1))

        return 2 * mean(x, y) - mean(x, x) - mean(y, y)

    assert all("NaN" in fault for fault in faults("energy_distance", slope_of(by_hand)))


def test_a_forgotten_mask_and_a_missing_root_are_seen_in_every_case():
    attend = attention.attention

    def unmasked(query, key, value, mask=None):
        return attend(query, key, value)

    def unscaled(query, key, value, mask=None):
        return attend(query * query.shape[-1] ** 0.5, key, value, mask)

    for wrong in (unmasked, unscaled):
        assert None not in faults("attention", wrong)


def test_a_transposed_weight_and_a_model_that_knows_places_are_seen():
    class Transposed(attention.MultiHeadAttention):
        def forward(self, x, real=None):
            weight = self.out.weight.data
            self.out.weight.data = weight.T
            came = super().forward(x, real)
            self.out.weight.data = weight
            return came

    class Placed(transformer.GeneTransformer):
        def forward(self, genes, target, is_target):
            return super().forward(genes + torch.arange(len(genes))[:, None], target, is_target)

    assert None not in faults("MultiHeadAttention", Transposed)
    assert None not in faults("GeneTransformer", Placed)


def test_attention_due_is_softmax_by_hand():
    for case in QUESTIONS["attention"].cases(3, data=None):
        query, key, value, mask = (case.inputs[name] for name in ("query", "key", "value", "mask"))
        scores = np.einsum("...qd,...kd->...qk", query, key) / np.sqrt(query.shape[-1])
        weights = np.exp(scores) * mask
        np.testing.assert_allclose(case.due, weights / weights.sum(axis=-1, keepdims=True) @ value, rtol=1e-9)


def test_the_slope_due_is_that_of_small_steps():
    due, step = QUESTIONS["energy_distance"].due, 1e-6
    for case in QUESTIONS["energy_distance"].cases(4, data=None):
        x, y = case.inputs["x"], case.inputs["y"]
        for place in ((*[0] * (x.ndim - 2), 1, 2), (*[-1] * (x.ndim - 2), 0, 0)):
            moved = x.copy()
            moved[place] += step
            change = (np.sum(due(x=moved, y=y)[0]) - np.sum(case.due[0])) / step
            assert change == pytest.approx(case.due[1][place], rel=1e-3, abs=1e-6)


def test_a_constant_velocity_carries_cells_in_straight_lines():
    question = QUESTIONS["Flow"]
    for case in question.cases(0, data=None):
        weights, (_, (_, moved)) = dict(case.inputs["weights"]), case.inputs["calls"]
        weights["network.4.weight"] = np.zeros_like(weights["network.4.weight"])
        velocity, path = question.due(**{**case.inputs, "weights": weights})
        constant = weights["network.4.bias"]
        np.testing.assert_allclose(velocity, np.broadcast_to(constant, velocity.shape), rtol=1e-6)
        for step in range(moved["steps"] + 1):
            np.testing.assert_allclose(path[step], moved["start"] + step / moved["steps"] * constant, rtol=1e-6)


def test_steps_are_eulers():
    """The velocity x' = t carries a cell by the sum of k / n^2 for k from 0 to n - 1, which is (n - 1) / 2n."""
    tall = 1e3  # far from 0 the activation is the identity
    weights = {
        "target.1.weight": np.zeros((1, 1)), "target.1.bias": np.zeros(1),
        "target.3.weight": np.zeros((1, 1)), "target.3.bias": np.zeros(1),
        "network.0.weight": np.array([[0.0, 1.0, 0.0]]), "network.0.bias": np.array([tall]),
        "network.2.weight": np.ones((1, 1)), "network.2.bias": np.zeros(1),
        "network.4.weight": np.ones((1, 1)), "network.4.bias": np.array([-tall]),
    }  # fmt: skip
    one = np.ones((1, 1))
    calls = [
        ["forward", {"x": one, "time": one / 4, "target": one}],
        ["move", {"start": one, "target": one, "steps": 4}],
    ]
    velocity, path = QUESTIONS["Flow"].due(build={}, weights=weights, calls=calls)
    np.testing.assert_allclose(velocity, [[0.25]])
    np.testing.assert_allclose(path[:, 0, 0], [1, 1, 1 + 1 / 16, 1 + 3 / 16, 1 + 6 / 16])


def test_a_mixture_is_the_cell_at_first_and_noise_at_last():
    cell, noise, time = (
        np.array([[3.0], [3.0], [3.0]]),
        np.array([[-1.0], [-1.0], [-1.0]]),
        np.array([[0.0], [1.0], [1 / 3]]),
    )
    due = QUESTIONS["noised"].due(cell=cell, noise=noise, time=time)
    np.testing.assert_allclose(due, [[3.0], [-1.0], [3 * np.sqrt(3) / 2 - 0.5]])


def test_a_block_alone_is_one_whose_attention_gives_nothing():
    given = attention.Block

    class Alone(given):
        def __init__(self, size: int, heads: int) -> None:
            super().__init__(size, heads)
            self.attention.forward = lambda x, real: torch.zeros_like(x)

    assert set(faults("Alone", Alone)) == {None}
    assert None not in faults("Alone", given)
