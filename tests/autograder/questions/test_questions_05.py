"""The values due in notebook 05, and that what is wrong fails: a detached tensor, a forgotten condition."""

import importlib
from collections.abc import Callable

import pytest

from autograder.questions.question import Question

torch = pytest.importorskip("torch")

QUESTIONS = {question.name: question for question in importlib.import_module("autograder.questions.05_cvae").QUESTIONS}
SEEDS = (0, 7, 2026)


def faults(name: str, answer: object) -> list[str | None]:
    """What is wrong with a student's answer, case by case."""
    question: Question = QUESTIONS[name]
    return [
        question.comparator.fault(question.asks.answer(answer, case.inputs), case.due)
        for seed in SEEDS
        for case in question.cases(seed, data=None)
    ]


def with_gradients(function: Callable) -> Callable:
    """As the notebook has it."""

    def asked(mean: torch.Tensor, log_variance: torch.Tensor, **others: torch.Tensor) -> list[torch.Tensor]:
        inputs = [mean.clone().requires_grad_(), log_variance.clone().requires_grad_()]
        value = function(*inputs, **others)
        if not value.requires_grad:
            return [value, *(torch.zeros_like(part) for part in inputs)]
        gradients = torch.autograd.grad(value.sum(), inputs, allow_unused=True)
        return [value, *(torch.zeros_like(p) if g is None else g for p, g in zip(inputs, gradients, strict=True))]

    return asked


def draw(mean: torch.Tensor, log_variance: torch.Tensor, noise: torch.Tensor) -> torch.Tensor:
    return torch.distributions.Normal(mean, log_variance.exp().sqrt()).icdf(torch.distributions.Normal(0, 1).cdf(noise))


def kl(mean: torch.Tensor, log_variance: torch.Tensor) -> torch.Tensor:
    return 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)


def test_draws_by_torch_itself_are_right():
    assert set(faults("reparameterise", with_gradients(draw))) == {None}
    assert set(faults("kl", with_gradients(kl))) == {None}


@pytest.mark.parametrize(("name", "function"), [("reparameterise", draw), ("kl", kl)])
@pytest.mark.parametrize("detached", [(0,), (1,), (0, 1)])
def test_a_detached_parameter_fails_in_every_case(name: str, function: Callable, detached: tuple[int, ...]):
    def cut(*inputs: torch.Tensor, **others: torch.Tensor) -> torch.Tensor:
        inputs = [part.detach() if place in detached else part for place, part in enumerate(inputs)]
        return function(*inputs, **others)

    assert None not in faults(name, with_gradients(cut))


def test_the_likelihood_is_that_of_torch():
    def theirs(counts: torch.Tensor, mean: torch.Tensor, theta: torch.Tensor) -> torch.Tensor:
        return torch.distributions.NegativeBinomial(theta, logits=(mean / theta).log()).log_prob(counts)

    assert set(faults("nb_log_likelihood", theirs)) == {None}


class Network(torch.nn.Module):
    """The kit's model, with what a student may forget."""

    forgotten = ""

    def __init__(self, **sizes: int) -> None:
        from starter.models.cvae import ConditionalVAE

        super().__init__()
        kit = ConditionalVAE(**sizes)
        for name, layer in kit.named_children():
            self.add_module(name, layer)
        self.register_buffer("log_rate", kit.log_rate)

    def encode(self, x: torch.Tensor, condition: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        condition = torch.zeros_like(condition) if self.forgotten == "encoder's condition" else condition
        hidden = torch.relu(self.encoder(torch.cat([x, condition], dim=1)))
        return self.mean(hidden), self.log_variance(hidden)

    def decode(self, z: torch.Tensor, condition: torch.Tensor) -> torch.Tensor:
        condition = torch.zeros_like(condition) if self.forgotten == "decoder's condition" else condition
        z = torch.zeros_like(z) if self.forgotten == "z" else z
        return self.log_rate + self.change(torch.relu(self.decoder(torch.cat([z, condition], dim=1))))

    def effect(self, x: torch.Tensor, control: torch.Tensor, perturbed: torch.Tensor) -> torch.Tensor:
        from starter.models.cvae import log_fold_change

        return log_fold_change(self, x, control, perturbed)


def test_the_kit_s_model_answers_as_is_due():
    assert set(faults("CVAE", Network)) == {None}
    assert set(faults("Counterfactual", Network)) == {None}


@pytest.mark.parametrize("forgotten", ["encoder's condition", "decoder's condition", "z"])
def test_what_is_forgotten_fails_in_every_case(forgotten: str):
    kind = type("Forgetful", (Network,), {"forgotten": forgotten})
    assert None not in faults("CVAE", kind)
    if forgotten != "encoder's condition":  # the control's is all zeros
        assert None not in faults("Counterfactual", kind)
