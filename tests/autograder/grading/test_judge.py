import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from autograder.course import Course, read_course
from autograder.grading.judge import judge
from autograder.questions.question import Mistake, Question, questions_of
from starter.answers import values
from starter.answers.kinds import Function
from starter.check import check
from starter.errors import InputError

KIT = read_course(Path(__file__).parents[3])
TRAIN_MEAN = questions_of(KIT, "04_baselines")[0]
CASES = TRAIN_MEAN.cases(12, KIT.public_folder)


def answers(function: object) -> bytes:
    return values.encode([{"value": function(**case.inputs)} for case in CASES])


def test_right_answers_earn_all():
    verdict = judge(TRAIN_MEAN, CASES, answers(TRAIN_MEAN.due))
    assert (verdict.share, verdict.reason) == (1.0, "right in all 3 cases")


def test_the_value_due_by_hand():
    import scipy.sparse

    expression = scipy.sparse.csr_matrix(np.array([[1.0, 0], [3, 2], [5, 8], [100, 100]]))
    labels = np.array(["A", "A", "B", "non-targeting"])
    assert TRAIN_MEAN.due(expression, labels).tolist() == [(2 + 5) / 2, (1 + 8) / 2]


@pytest.mark.parametrize("number", range(len(TRAIN_MEAN.mistakes)))
def test_every_common_mistake_is_wrong_in_every_case_and_recognised(number: int):
    mistake = TRAIN_MEAN.mistakes[number]
    verdict = judge(TRAIN_MEAN, CASES, answers(mistake.gives))
    assert verdict.share == pytest.approx(mistake.credit)
    assert verdict.reason.startswith("case 1 of 3: ")
    earned = " (this earns 50% of the case)" if mistake.credit else ""
    assert verdict.reason.endswith(f"likely cause: {mistake.meaning}{earned}")
    assert verdict.called.startswith("train_mean(expression=")
    assert verdict.due.startswith("array of shape (7,)\n")
    assert len(verdict.due.split()) == 4 + 7
    assert verdict.came.startswith("array of shape (")


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
        (values.encode([{"value": "right"}] * 3), "case 1 of 3: expected numbers, got 'right'"),
        (values.encode([{"error": "x" * 5000}] * 3), "case 1 of 3: xxx"),
    ],
)
def test_whatever_else_comes_earns_nothing(answer: bytes, said: str):
    verdict = judge(TRAIN_MEAN, CASES, answer)
    assert verdict.share == 0
    assert verdict.reason.startswith(said)
    assert len(verdict.reason) <= 1000


def test_cases_differ_by_seed_and_repeat():
    other = TRAIN_MEAN.cases(13, KIT.public_folder)
    assert not np.allclose(other[0].due, CASES[0].due)
    np.testing.assert_array_equal(TRAIN_MEAN.cases(12, KIT.public_folder)[0].due, CASES[0].due)


def test_cases_have_no_symmetry_that_hides_a_mistake():
    for case in CASES:
        labels, counts = np.unique(case.inputs["target_gene"], return_counts=True)
        assert len(labels) >= 3
        assert case.inputs["expression"].shape[0] != case.inputs["expression"].shape[1]
        assert len(set(counts)) > 1


def test_local_and_hidden_checks_agree(tmp_path):
    (tmp_path / "train_mean.npz").write_bytes(values.encode(TRAIN_MEAN.public(KIT.public_folder)))
    check("train_mean", TRAIN_MEAN.due, tmp_path)
    for mistake in TRAIN_MEAN.mistakes:
        with pytest.raises(AssertionError) as caught:
            check("train_mean", mistake.gives, tmp_path)
        assert f"\n  likely cause  {mistake.meaning}\n" in str(caught.value)
        assert len(str(caught.value).splitlines()[0]) < 67


def test_a_stage_without_questions_is_named():
    with pytest.raises(InputError, match="stage '99_nothing' has no questions: write .*questions/99_nothing.py"):
        questions_of(KIT, "99_nothing")


def test_a_courses_own_questions_go_first_and_are_loaded_again_when_edited(tmp_path: Path):
    course = Course(tmp_path, KIT.settings)
    (tmp_path / "questions").mkdir()
    own = tmp_path / "questions" / "04_baselines.py"
    for number, content in enumerate(("QUESTIONS = ()", "QUESTIONS = (1, 2)")):
        own.write_text(content)
        os.utime(own, (number, number))
        assert len(questions_of(course, "04_baselines")) == number * 2
    own.write_text("QUESTIONS = (")
    with pytest.raises(InputError, match="cannot load the questions of .*04_baselines.py .SyntaxError: .*; mend them"):
        questions_of(course, "04_baselines")


def test_public_cases_are_plain_values():
    public = values.decode(values.encode(TRAIN_MEAN.public(KIT.public_folder)))
    assert public["comparator"] == {"kind": "close", "rtol": 1e-5, "atol": 1e-8}
    assert public["asks"] == {"kind": "function", "name": "train_mean", "tensors": False}
    assert list(public["cases"][0]) == ["inputs", "due", "mistakes"]


def test_a_value_on_which_a_library_stumbles_is_wrong():
    no_text = np.frombuffer(b"\xff" * 40, "<U1")  # beyond all characters
    verdict = judge(TRAIN_MEAN, CASES, values.encode([{"value": no_text}] * 3))
    assert verdict.share == 0
    assert verdict.reason == "case 1 of 3: the answer cannot be read (SystemError)"


def test_of_two_mistakes_that_give_the_same_in_one_case_the_one_behind_all_answers_is_named():
    def inputs(rng: np.random.Generator) -> list[dict]:
        del rng
        return [{"x": np.array([1.0, 1.0])}, {"x": np.array([1.0, 3.0])}]

    mistakes = (Mistake("this is the largest", lambda x: x.max()), Mistake("this is the mean", lambda x: x.mean()))
    question = Question("total", Function("total"), lambda x: x.sum(), inputs, mistakes)
    cases = question.cases(0, KIT.public_folder)
    for mistake in mistakes:
        came = values.encode([{"value": mistake.gives(**case.inputs)} for case in cases])
        assert judge(question, cases, came).reason.endswith(f"likely cause: {mistake.meaning}")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda value: 2 * value, "all numbers are 2 times too large: a factor is missing, or one too many"),
        (lambda value: -value, "all signs are turned round: subtract the other way round, or leave out a minus"),
        (
            lambda value: None,
            "nothing came back: end with `return` and the result (print shows a value and hands on nothing)",
        ),
    ],
)
def test_what_goes_wrong_everywhere_is_told_and_earns_nothing(spoil: Callable, said: str):
    verdict = judge(TRAIN_MEAN, CASES, values.encode([{"value": spoil(case.due)} for case in CASES]))
    assert verdict.share == 0
    assert verdict.cause == said
    assert verdict.reason.endswith(f"; likely cause: {said}")


def test_an_error_has_its_own_words_and_no_cause():
    given = [{"error": "ValueError: no"}, *({"value": 2 * case.due} for case in CASES[1:])]
    verdict = judge(TRAIN_MEAN, CASES, values.encode(given))
    assert (verdict.share, verdict.reason, verdict.cause) == (0.0, "case 1 of 3: ValueError: no", "")
