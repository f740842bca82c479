"""The values due in notebook 08, by other tools or by hand; wrong variants of its module fail."""

import importlib

import numpy as np
import pytest

pytest.importorskip("torch")

import torch
from sklearn.preprocessing import StandardScaler
from torch import nn

from autograder.questions.question import Question
from starter.models.scgpt.architecture import AffineDecoder
from starter.models.scgpt.batch_mixing import batch_entropy
from starter.models.scgpt.masked_values import bin_values, masked_error
from starter.models.scgpt.vocabulary import Vocabulary

QUESTIONS = {question.name: question for question in importlib.import_module("autograder.questions.08_scgpt").QUESTIONS}
SEEDS = (0, 7, 2026)


def cases(name: str) -> list:
    return [case for seed in SEEDS for case in QUESTIONS[name].cases(seed, data=None)]


def question(name: str) -> Question:
    return QUESTIONS[name]


def test_the_kit_gives_what_is_due():
    for case in cases("tokenise"):
        genes, numbers = case.inputs["genes"], case.inputs["vocabulary"]
        ids, unknown = Vocabulary(numbers).encode(genes)
        np.testing.assert_array_equal(ids, case.due[0])
        np.testing.assert_array_equal(~unknown, case.due[1])
    for case in cases("bin_values"):
        np.testing.assert_array_equal(bin_values(case.inputs["values"], case.inputs["n_bins"]), case.due)
    for case in cases("masked_error"):
        tensors = {name: torch.from_numpy(value) for name, value in case.inputs.items()}
        assert masked_error(**tensors).item() == pytest.approx(case.due)
    for case in cases("batch_entropy"):
        assert batch_entropy(**case.inputs) == pytest.approx(case.due)


def test_the_decoder_due_is_that_of_the_kit_with_linear_heads():
    for case in cases("AffineDecoder"):
        width = case.inputs["build"]["width"]
        decoder = AffineDecoder(width)
        for head in ("coeff", "bias"):
            linear = nn.Linear(width, 1)
            state = {name: torch.from_numpy(case.inputs["weights"][f"{head}.{name}"]) for name in ("weight", "bias")}
            linear.load_state_dict(state)
            getattr(decoder, f"{head}_decoder").fc = linear
        arguments = {name: torch.from_numpy(value) for name, value in case.inputs["calls"][0][1].items()}
        with torch.no_grad():
            came = decoder(arguments["hidden"], arguments["values"])
        np.testing.assert_allclose(came, case.due[0], rtol=1e-4, atol=1e-4)


def test_flags_by_hand():
    due = question("perturbation_flags").due
    came = due(genes=["A", "B1", "B12"], targets=["A", "B12", "A+B12", "non-targeting", "C"])
    assert came.tolist() == [[1, 0, 0], [0, 0, 1], [1, 0, 1], [0, 0, 0], [0, 0, 0]]


def test_correlations_by_hand():
    came = question("correlations").due(
        predicted=np.array([[1.0, 2.0, 4.0]]), measured=np.array([[2.0, 2.0, 3.0]]), control=np.array([1.0, 1.0, 3.0])
    )
    # effects 0, 1, 1 and 1, 1, 0
    assert came == pytest.approx([np.corrcoef([1, 2, 4], [2, 2, 3])[0, 1], -0.5])


def test_tables_without_knowledge_are_what_a_standard_scaler_makes_of_noise_and_rows_in_another_order():
    for case in cases("without_knowledge"):
        tokens, order, noise = (case.inputs[name] for name in ("tokens", "order", "noise"))
        scaler = StandardScaler().fit(tokens)
        np.testing.assert_allclose(case.due["untrained"], scaler.inverse_transform(noise))
        np.testing.assert_array_equal(case.due["shuffled"], np.take(tokens, order, axis=0))
