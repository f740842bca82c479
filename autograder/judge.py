"""Compares what came out of the sandbox with what is due. Runs outside; never runs a student's code."""

import struct
from dataclasses import dataclass

from autograder.questions import Case, Question
from starter import values
from starter.check import describe, describe_call, usual_meaning
from starter.schema import InputError

MAX_FRAMES = 1_000
REASON = 1_000
"""Characters of a reason."""


@dataclass(frozen=True)
class Verdict:
    """What an answer is worth."""

    share: float
    """Share of the points, 0 to 1."""
    reason: str
    """For the student: what was called, what came, what was due, what that usually means."""


def read_frames(stream: bytes) -> tuple[dict[str, bytes], set[str]]:
    """Take apart what the sandbox wrote, up to the first damaged frame.

    Parameters
    ----------
    stream
        What `autograder.ask` sent, and whatever a student's code may have written between.

    Returns
    -------
    Name to content, and the names that came more than once: those have their first content, and only a forged stream
    has them.
    """
    frames: dict[str, bytes] = {}
    repeated: set[str] = set()
    at = 0
    while at + 10 <= len(stream) and len(frames) < MAX_FRAMES:
        name_length, length = struct.unpack_from(">HQ", stream, at)
        start = at + 10 + name_length
        if start + length > len(stream):
            break
        name = stream[at + 10 : start].decode(errors="replace")
        if name in frames:
            repeated.add(name)
        else:
            frames[name] = stream[start : start + length]
        at = start + length
    return frames, repeated


def judge(question: Question, cases: list[Case], answer: bytes) -> Verdict:
    """Compare an answer with what is due, case by case.

    Parameters
    ----------
    question
        What was asked.
    cases
        The cases that were asked, with the values due.
    answer
        What `autograder.ask` sent for it.

    Returns
    -------
    The share of cases that are right, and the first fault.
    """
    try:
        came = values.decode(answer)
    except InputError as error:
        return Verdict(0.0, f"the answer cannot be read: {error}")
    if not isinstance(came, list):
        return Verdict(0.0, "the answer cannot be read: it is not a list of values")
    faults = []
    for number, case in enumerate(cases, start=1):
        given = came[number - 1] if number <= len(came) else {"error": "it was not reached"}
        if (fault := _fault(question, case, given)) is not None:
            faults.append(f"case {number} of {len(cases)}: {fault}")
    share = 1 - len(faults) / len(cases)
    if not faults:
        return Verdict(1.0, f"right in all {len(cases)} cases")
    headline = f"right in {len(cases) - len(faults)} of {len(cases)} cases; " if share else ""
    return Verdict(share, f"{headline}{faults[0]}"[:REASON])


def _fault(question: Question, case: Case, given: object) -> str | None:
    if not isinstance(given, dict) or not {"value", "error"} & set(given):
        return "the answer cannot be read"
    if "error" in given:
        error = given["error"]
        return error if isinstance(error, str) and error.strip() else "it raised an error without a message"
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
        return f"the answer cannot be read ({type(error).__name__})"
    called = describe_call(question.asks, case.inputs)
    usually = f"; usually: {meaning}" if meaning else ""
    return f"{fault}; called {called}, came {came}, due {describe(case.due)}{usually}"
