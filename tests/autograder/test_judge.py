import importlib
import struct

import numpy as np
import pytest

from autograder.judge import judge, read_frames
from autograder.questions import questions_of
from starter import values
from starter.check import check
from starter.schema import InputError

TRAIN_MEAN = questions_of("04_baselines")[0]
MODULE = importlib.import_module("autograder.questions.04_baselines")
CASES = TRAIN_MEAN.cases(seed=12)


def answers(function: object) -> bytes:
    return values.encode([{"value": function(**case.inputs)} for case in CASES])


def test_right_answers_earn_all():
    verdict = judge(TRAIN_MEAN, CASES, answers(MODULE._train_mean))
    assert (verdict.share, verdict.reason) == (1.0, "right in all 3 cases")


def test_the_value_due_by_hand():
    import scipy.sparse

    expression = scipy.sparse.csr_matrix(np.array([[1.0, 0], [3, 2], [5, 8], [100, 100]]))
    labels = np.array(["A", "A", "B", "non-targeting"])
    assert MODULE._train_mean(expression, labels).tolist() == [(2 + 5) / 2, (1 + 8) / 2]


@pytest.mark.parametrize("number", range(len(TRAIN_MEAN.mistakes)))
def test_every_common_mistake_is_wrong_in_every_case_and_recognised(number: int):
    meaning, wrong = list(TRAIN_MEAN.mistakes.items())[number]
    verdict = judge(TRAIN_MEAN, CASES, answers(wrong))
    assert verdict.share == 0
    assert verdict.reason.startswith("case 1 of 3: ")
    assert verdict.reason.endswith(f"usually: {meaning}")
    assert "called train_mean(expression=" in verdict.reason


def test_some_right_cases_earn_their_share():
    given = [{"value": case.due} for case in CASES]
    given[1] = {"error": "ZeroDivisionError: division by zero"}
    verdict = judge(TRAIN_MEAN, CASES, values.encode(given))
    assert verdict.share == pytest.approx(2 / 3)
    assert verdict.reason == "right in 2 of 3 cases; case 2 of 3: ZeroDivisionError: division by zero"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"", "the answer cannot be read"),
        (b"garbage", "the answer cannot be read"),
        (values.encode("full marks"), "the answer cannot be read: it is not a list"),
        (values.encode([]), "case 1 of 3: it was not reached"),
        (values.encode([1, 2, 3]), "case 1 of 3: the answer cannot be read"),
        (values.encode([{"points": 5}] * 3), "case 1 of 3: the answer cannot be read"),
        (values.encode([{"value": np.full(7, np.nan)}] * 3), "case 1 of 3: 7 of 7 values are NaN"),
        (values.encode([{"value": "right"}] * 3), "case 1 of 3: numbers are due, and 'right' came"),
        (values.encode([{"error": "x" * 5000}] * 3), "case 1 of 3: xxx"),
    ],
)
def test_whatever_else_comes_earns_nothing(answer: bytes, said: str):
    verdict = judge(TRAIN_MEAN, CASES, answer)
    assert verdict.share == 0
    assert verdict.reason.startswith(said)
    assert len(verdict.reason) <= 1000


def test_cases_differ_by_seed_and_repeat():
    other = TRAIN_MEAN.cases(seed=13)
    assert not np.allclose(other[0].due, CASES[0].due)
    np.testing.assert_array_equal(TRAIN_MEAN.cases(seed=12)[0].due, CASES[0].due)


def test_cases_have_no_symmetry_that_hides_a_mistake():
    for case in CASES:
        labels, counts = np.unique(case.inputs["target_gene"], return_counts=True)
        assert len(labels) >= 3
        assert case.inputs["expression"].shape[0] != case.inputs["expression"].shape[1]
        assert len(set(counts)) > 1


def test_local_and_hidden_checks_agree(tmp_path):
    (tmp_path / "train_mean.npz").write_bytes(values.encode(TRAIN_MEAN.public()))
    check("train_mean", MODULE._train_mean, tmp_path)
    for meaning, wrong in TRAIN_MEAN.mistakes.items():
        with pytest.raises(AssertionError) as caught:
            check("train_mean", wrong, tmp_path)
        assert str(caught.value).endswith(f"usually  {meaning}")
        assert len(str(caught.value).splitlines()[0]) < 67


def frame(name: str, content: bytes) -> bytes:
    return struct.pack(">HQ", len(name), len(content)) + name.encode() + content


def test_frames_come_apart():
    stream = frame("start", b"") + frame("a", b"12") + frame("b", b"3" * 1000)
    assert read_frames(stream) == ({"start": b"", "a": b"12", "b": b"3" * 1000}, set())


def test_what_is_said_twice_counts_the_first_time():
    assert read_frames(frame("a", b"1") + frame("b", b"") + frame("a", b"2")) == ({"a": b"1", "b": b""}, {"a"})


@pytest.mark.parametrize(
    "tail", [b"\x00", frame("b", b"123")[:-1], struct.pack(">HQ", 1, 2**63) + b"b", b"\xff" * 10 + b"junk"]
)
def test_a_damaged_end_leaves_what_came_before(tail: bytes):
    assert read_frames(frame("a", b"1") + tail) == ({"a": b"1"}, set())


def test_a_stage_without_questions_is_named():
    with pytest.raises(
        InputError, match="stage '99_nothing' has no questions: autograder/questions/99_nothing.py is missing"
    ):
        questions_of("99_nothing")


def test_public_cases_are_plain_values():
    assert values.decode(values.encode(TRAIN_MEAN.public()))["comparator"] == {
        "name": "close",
        "rtol": 1e-5,
        "atol": 1e-8,
    }


def test_a_value_on_which_a_library_stumbles_is_wrong():
    no_text = np.frombuffer(b"\xff" * 40, "<U1")  # beyond all characters
    verdict = judge(TRAIN_MEAN, CASES, values.encode([{"value": no_text}] * 3))
    assert verdict.share == 0
    assert verdict.reason == "case 1 of 3: the answer cannot be read (SystemError)"
