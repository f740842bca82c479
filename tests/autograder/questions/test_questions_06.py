"""The values due in notebook 06 are those of PyTorch Geometric, of scikit-learn, or of torch's autograd."""

import importlib

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from sklearn.metrics import jaccard_score
from torch_geometric.data import Batch, Data
from torch_geometric.nn import SGConv
from torch_geometric.nn.conv.gcn_conv import gcn_norm

from autograder.questions.question import Case, Question
from starter.answers.kinds import to_tensors
from starter.models import gnn

QUESTIONS = {question.name: question for question in importlib.import_module("autograder.questions.06_gnn").QUESTIONS}
SEEDS = (0, 7, 2026)


def question(name: str) -> Question:
    return QUESTIONS[name]


def cases(name: str) -> list[Case]:
    return [case for seed in SEEDS for case in question(name).cases(seed, data=None)]


def is_right(name: str, answers: list[object]) -> bool:
    comparator = question(name).comparator
    return all(comparator.fault(came, case.due) is None for came, case in zip(answers, cases(name), strict=True))


def test_jaccard_is_that_of_scikit_learn():
    for case in cases("jaccard"):
        has = case.inputs["annotated"].toarray()
        np.testing.assert_allclose(case.due, [[jaccard_score(a, b) for b in has] for a in has])


def test_the_normalised_matrix_is_that_of_pytorch_geometric():
    for case in cases("normalise"):
        matrix = case.inputs["adjacency"]
        edges = torch.from_numpy(np.stack(matrix.nonzero()).astype(int))
        index, weight = gcn_norm(edges, num_nodes=matrix.shape[0], dtype=torch.float64)
        due = torch.zeros(matrix.shape, dtype=torch.float64)
        due[tuple(index)] = weight
        np.testing.assert_allclose(case.due.toarray(), due)
        assert (matrix.sum(axis=1) == 0).any()  # a gene without neighbours is among them


def test_a_layer_on_a_graph_is_that_of_pytorch_geometric():
    """On matrices as `normalise` gives them; the question's own are not symmetric."""
    for number, case in enumerate(cases("normalise")):
        build = {"inputs": 4, "outputs": 3, "steps": 1 + number % 3}
        theirs = SGConv(4, 3, K=build["steps"]).double()
        matrix = case.inputs["adjacency"]
        features = torch.randn(matrix.shape[0], 4, dtype=torch.float64, generator=torch.Generator().manual_seed(number))
        edges = torch.from_numpy(np.stack(matrix.nonzero()).astype(int))
        weights = {f"linear.{name}": value.detach().numpy() for name, value in theirs.lin.named_parameters()}
        calls = [["forward", {"matrix": case.due.toarray(), "features": features.numpy()}]]
        [came] = question("SGConv").due(build=build, weights=weights, calls=calls)
        np.testing.assert_allclose(came, theirs(features, edges).detach(), atol=1e-7)


def test_gears_is_the_model_of_the_course():
    asked = question("GraphNetwork").asks
    assert is_right("GraphNetwork", [asked.answer(gnn.GraphNetwork, case.inputs) for case in cases("GraphNetwork")])


def test_the_direction_is_what_autograd_gives():
    for case in cases("direction"):
        given = to_tensors(case.inputs)
        predicted = given["predicted"].requires_grad_()
        loss = given["weight"] * gnn.direction_loss(predicted, given["measured"], given["control"], given["width"])
        loss.backward()
        assert case.due["loss"] == pytest.approx(loss.item())
        np.testing.assert_allclose(case.due["gradient"], predicted.grad)


def test_a_direction_without_a_gradient_fails():
    """The sign, a detached tensor, and no gradient at all, as a student's code would give them."""

    def by_sign(predicted, measured, control, weight, width):
        predicted = predicted.detach().requires_grad_()
        loss = weight * ((torch.sign(measured - control) - torch.sign(predicted - control)) ** 2).mean()
        loss.backward()
        return {"loss": loss.detach(), "gradient": predicted.grad}

    def detached(predicted, measured, control, weight, width):
        miss = torch.sign(measured - control) - torch.tanh((predicted - control) / width)
        return {"loss": weight * (miss**2).mean(), "gradient": torch.zeros_like(predicted)}

    def nothing(predicted, measured, control, weight, width):
        return {**detached(predicted, measured, control, weight, width), "gradient": None}

    def right(predicted, measured, control, weight, width):
        predicted = predicted.requires_grad_()
        loss = weight * gnn.direction_loss(predicted, measured, control, width)
        return {"loss": loss, "gradient": torch.autograd.grad(loss, predicted)[0]}

    asks = question("direction").asks
    verdicts = [
        is_right("direction", [asks.answer(function, case.inputs) for case in cases("direction")])
        for function in (by_sign, detached, nothing, right)
    ]
    assert verdicts == [False, False, False, True]


def test_batched_edges_are_those_of_pytorch_geometric():
    for case in cases("batch_edges"):
        edges = torch.from_numpy(case.inputs["edges"])
        cell = Data(edge_index=edges, num_nodes=case.inputs["n_genes"])
        batch = Batch.from_data_list([cell] * case.inputs["n_cells"])
        np.testing.assert_array_equal(case.due, batch.edge_index)


def test_shares_and_paths_by_hand():
    spread = np.array([[9.0, 1.0, 3.0], [2.0, 5.0, 0.0], [0.0, 0.0, 4.0]])
    due = question("hear_others").due(spread=spread, listeners=np.array([2, 0]), speakers=np.array([0, 1, 2]))
    np.testing.assert_allclose(due, [[0, 0, 0], [0, 0.25, 0.75]])
    for case in cases("hear_others"):
        listeners, speakers = case.inputs["listeners"], case.inputs["speakers"]
        assert np.isin(listeners, speakers).any()
        assert set(np.round(case.due.sum(axis=1), 9)) == {0.0, 1.0}


def test_every_question_knows_four_usual_mistakes():
    assert [name for name in QUESTIONS if len(QUESTIONS[name].mistakes) < 4] == []


def test_genes_that_swap_places_turn_rows_and_columns_of_the_adjacency_alike():
    for case in cases("ablate"):
        edges, order = case.inputs["edges"], case.inputs["of_genes"]
        before, after = np.zeros((2, len(order), len(order)), dtype=int)
        np.add.at(before, tuple(edges), 1)
        np.add.at(after, tuple(case.due["edges"]), 1)
        np.testing.assert_array_equal(after[np.ix_(order, order)], before)
        np.testing.assert_array_equal(
            case.due["numbers"], np.take(case.inputs["numbers"], case.inputs["of_targets"], 0)
        )
