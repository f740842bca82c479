"""Compares what came out of the sandbox with what is due. Runs outside; never runs a student's code."""

from dataclasses import dataclass, replace

from autograder.questions.question import Case, Question
from starter.answers import values
from starter.answers.comparators import usual_meaning
from starter.answers.wording import describe, describe_call
from starter.errors import InputError

REASON = 1_000
"""Characters of a reason."""


@dataclass(frozen=True)
class Verdict:
    """What an answer is worth."""

    share: float
    """Share of the points, 0 to 1."""
    reason: str
    """For the student: what is wrong, and what that usually means."""
    called: str = ""
    """Of the first case that is not right: what was called."""
    came: str = ""
    due: str = ""


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
    faults, share = [], 0.0
    for number, case in enumerate(cases, start=1):
        given = came[number - 1] if number <= len(came) else {"error": "it was not reached"}
        fault = _fault(question, case, given)
        share += (fault.share if fault else 1.0) / len(cases)
        if fault:
            where = f"case {number} of {len(cases)}: " if len(cases) > 1 else ""
            faults.append(replace(fault, reason=f"{where}{fault.reason}"))
    if not faults:
        return Verdict(1.0, f"right in all {len(cases)} cases" if len(cases) > 1 else "right")
    first, right = faults[0], len(cases) - len(faults)
    headline = f"right in {right} of {len(cases)} cases; " if right else ""
    return replace(first, share=share, reason=f"{headline}{first.reason}"[:REASON])


def _fault(question: Question, case: Case, given: object) -> Verdict | None:
    if not isinstance(given, dict) or not {"value", "error"} & set(given):
        return Verdict(0.0, "the answer cannot be read")
    called = describe_call(question.asks, case.inputs)
    if "error" in given:
        error = given["error"]
        known = isinstance(error, str) and error.strip()
        return Verdict(0.0, error if known else "it raised an error without a message", called)
    value = given["value"]
    try:
        fault = question.comparator.fault(value, case.due)
        if fault is None:
            return None
        meaning = usual_meaning(value, case.mistakes, question.comparator)
        came = describe(value)
    except AssertionError:
        raise
    except Exception as error:  # noqa: BLE001  (a forged value may make any library stumble)
        return Verdict(0.0, f"the answer cannot be read ({type(error).__name__})", called)
    credit = case.credit.get(meaning, 0.0) if meaning else 0.0
    earned = f" (this earns {credit:.0%} of the case)" if credit else ""
    usually = f"; usually: {meaning}{earned}" if meaning else ""
    return Verdict(credit, f"{fault}{usually}", called, came, describe(case.due))
