"""Compares what came out of the sandbox with what is due. Runs outside; never runs a student's code."""

from dataclasses import dataclass, replace

import numpy as np
import scipy.sparse

from autograder.questions.question import Case, Question
from starter.answers import values
from starter.answers.causes import Answer, likely_cause
from starter.answers.comparators import usual_meaning
from starter.answers.kinds import File, Variable
from starter.answers.wording import describe, describe_call, in_full
from starter.errors import InputError

REASON = 1_000
"""Characters of a reason."""
CAUSE = "; likely cause: "
"""Between what is wrong and why."""
EMPTY = "the blank is still empty"
"""Begins the error of a blank that nobody filled in."""


@dataclass(frozen=True)
class Verdict:
    """What an answer is worth."""

    share: float
    """Share of the points, 0 to 1."""
    reason: str
    """For the student: what is wrong, and the likely cause."""
    called: str = ""
    """Of the first case that is not right: what was called."""
    came: str = ""
    """What they got."""
    due: str = ""
    """What was expected."""
    cause: str = ""
    """The likely cause in the words that all have who do this, if one was recognised."""


def judge(question: Question, cases: list[Case], answer: bytes) -> Verdict:
    """Compare an answer with what is due, case by case.

    Parameters
    ----------
    question
        What was asked.
    cases
        The cases that were asked, with the values due.
    answer
        What `autograder.sandbox.inside.ask` sent for it.

    Returns
    -------
    The share of cases that are right, with the credit of usual mistakes, and the first fault.
    """
    try:
        came = values.decode(answer)
    except InputError as error:
        return Verdict(0.0, f"the answer cannot be read: {error}")
    if not isinstance(came, list):
        return Verdict(0.0, "the answer cannot be read: it is not a list of values")
    cases = _likeliest_first(question, cases, came)
    faults, credit = [], 0.0
    for number, case in enumerate(cases, start=1):
        given = came[number - 1] if number <= len(came) else {"error": "it was not reached"}
        fault = _fault(question, case, given)
        if fault:
            credit += fault.share / len(cases)
            where = f"case {number} of {len(cases)}: " if len(cases) > 1 else ""
            faults.append(replace(fault, reason=f"{where}{fault.reason}"))
    if not faults:
        return Verdict(1.0, f"right in all {len(cases)} cases" if len(cases) > 1 else "right")
    first, right = faults[0], len(cases) - len(faults)
    cause, worth = _cause(question, cases, came)
    if cause:
        earned = f" (this earns {worth:.0%} of the case)" if worth else ""
        first = replace(first, reason=f"{first.reason}{CAUSE}{cause}{earned}", cause=cause)
    headline = f"right in {right} of {len(cases)} cases; " if right else ""
    if right and (trivial := _trivial(question, cases, came)):
        reason = f"{trivial}, which earns nothing; {headline}{first.reason}"[:REASON]
        return replace(first, share=credit, reason=reason, cause=trivial)
    if right and (meaning := _one_mistake(question, cases, came)) is not None:
        credit = sum(case.credit.get(meaning, 0.0) for case in cases) / len(cases)
        headline = f"right in {right} of {len(cases)} cases, where this mistake is right too, so they earn no more; "
        return replace(first, share=credit, reason=f"{headline}{first.reason}"[:REASON], cause=meaning)
    return replace(first, share=credit + right / len(cases), reason=f"{headline}{first.reason}"[:REASON])


def _likeliest_first(question: Question, cases: list[Case], came: list) -> list[Case]:
    """Order each case's mistakes by how many of all answers they give, since in one case two may give the same."""
    pairs = [
        (given["value"], case)
        for given, case in zip(came, cases, strict=False)
        if isinstance(given, dict) and "value" in given
    ]
    explained = {
        meaning: sum(_alike(question, answer, case.mistakes[meaning]) for answer, case in pairs)
        for meaning in cases[0].mistakes
    }
    ordered = sorted(explained, key=lambda meaning: -explained[meaning])
    return [replace(case, mistakes={meaning: case.mistakes[meaning] for meaning in ordered}) for case in cases]


def _trivial(question: Question, cases: list[Case], came: list) -> str:
    """Say what makes an answer one that knows nothing of the question, though it is right in some case."""
    answers = [given["value"] for given in came if isinstance(given, dict) and "value" in given]
    if len(answers) < len(cases):
        return ""
    if len({values.encode(answer) for answer in answers}) == 1 or _one_number(answers):
        return "the same came for all inputs"
    for name in cases[0].inputs:
        pairs = zip(answers, cases, strict=True)
        if all(name in case.inputs and _alike(question, answer, case.inputs[name]) for answer, case in pairs):
            return f"its input {name!r} came back"
    return ""


def _one_mistake(question: Question, cases: list[Case], came: list) -> str | None:
    """Find the usual mistake that gives all answers, also those of cases in which it happens to be right."""
    answers = [given.get("value") if isinstance(given, dict) else None for given in came]
    for meaning in cases[0].mistakes:
        if all(_alike(question, one, case.mistakes[meaning]) for one, case in zip(answers, cases, strict=False)):
            return meaning
    return None


def _cause(question: Question, cases: list[Case], came: list) -> tuple[str, float]:
    """Explain the first answer that is wrong, with a look at the others; give the share of its case that this earns."""
    answers = []
    for case, given in zip(cases, came, strict=False):
        if not isinstance(given, dict) or "value" not in given:
            if all(_alike(question, answer.came, answer.due) for answer in answers):
                return "", 0.0  # the first fault is an error, which has its own words
            continue
        answers.append(Answer(given["value"], case.due, case.inputs, case.mistakes))
    try:
        faults = [question.comparator.fault(answer.came, answer.due) for answer in answers]
        first = cases[next(number for number, fault in enumerate(faults) if fault)]
        cause = likely_cause(answers, question.comparator)
    except Exception:  # noqa: BLE001  (nothing is wrong, or a forged value makes a library stumble)
        return "", 0.0
    return cause or "", first.credit.get(cause or "", 0.0)


def _one_number(answers: list) -> bool:
    """Tell whether answers are arrays, of whatever shapes, of one number."""
    arrays = [answer.toarray() if scipy.sparse.issparse(answer) else answer for answer in answers]
    if not all(isinstance(array, np.ndarray) and array.dtype.kind in "biuf" for array in arrays):
        return False
    return len(np.unique(np.concatenate([array.ravel() for array in arrays]))) == 1


def _alike(question: Question, answer: object, given: object) -> bool:
    try:
        return question.comparator.fault(answer, given) is None
    except Exception:  # noqa: BLE001  (what is compared here was never meant to be)
        return False


def _fault(question: Question, case: Case, given: object) -> Verdict | None:
    if not isinstance(given, dict) or not {"value", "error"} & set(given):
        return Verdict(0.0, "the answer cannot be read")
    called = describe_call(question.asks, case.inputs)
    if "error" in given:
        error = given["error"]
        known = isinstance(error, str) and error.strip()
        cause = EMPTY if known and error.startswith(EMPTY) else ""
        return Verdict(0.0, error if known else "it raised an error without a message", called, cause=cause)
    value = given["value"]
    try:
        fault = question.comparator.fault(value, case.due)
        if fault is None:
            return None
        meaning = usual_meaning(value, case.mistakes, question.comparator)
        # of what is the same for all, a page shows the beginning and no more
        shown = describe if isinstance(question.asks, Variable | File) else in_full
        came = shown(value)
    except AssertionError:
        raise
    except Exception as error:  # noqa: BLE001  (a forged value may make any library stumble)
        return Verdict(0.0, f"the answer cannot be read ({type(error).__name__})", called)
    credit = case.credit.get(meaning, 0.0) if meaning else 0.0
    return Verdict(credit, fault, called, came, shown(case.due))
