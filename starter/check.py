"""Local checks in a notebook, and the comparators that grading uses too, so that the two cannot disagree."""

from pathlib import Path

from starter.answers import values
from starter.answers.asked import asked
from starter.answers.comparators import COMPARATORS, from_plain, usual_meaning
from starter.answers.kinds import KINDS
from starter.answers.wording import SHORT, describe, describe_call, form_of
from starter.errors import InputError

FOLDER = "checks"
"""Beside a notebook: what its checks ask and what is due, one file a question."""
SHORT.maxlevel = 2


def check(name: str, given: object, folder: str | Path | None = None) -> None:
    """Try what a question asks for on its public cases, and say how it did.

    Parameters
    ----------
    name
        The question.
    given
        The student's function, class, value or file, as the question asks.
    folder
        Where the cases are; default: `checks` beside the notebook.

    Raises
    ------
    AssertionError
        At the first case that is not right: what was called, what came, what is due, what that usually means.
    InputError
        If the question has no public cases here.
    """
    path = Path(folder or FOLDER) / f"{name}.npz"
    try:
        question = values.decode(path.read_bytes())
    except OSError as error:
        msg = f"no cases for {name!r} at {path.absolute()}; start the notebook in its own folder, beside {FOLDER}/"
        raise InputError(msg) from error
    cases = question["cases"]
    kind, comparator = from_plain(KINDS, question["asks"]), from_plain(COMPARATORS, question["comparator"])
    for number, case in enumerate(cases, start=1):
        headline = f"{name}: case {number} of {len(cases)} is not right"
        call = describe_call(kind, case["inputs"])
        try:
            came, changed = asked(kind, given, case["inputs"])
        except NotImplementedError as error:
            msg = f"{name}: the blank is still empty\n  write it where it says NotImplementedError, then run both cells"
            raise AssertionError(msg) from error
        except Exception as error:
            error.add_note(f"{headline}: it raised this error\n  called   {call}")
            raise
        if "form" in case:
            if (form := form_of(came)) != case["form"]:
                msg = f"{headline}\n  came     {form}\n  due      {case['form']}"
                raise AssertionError(msg)
            print(f"{name}: {form}, as is due; the values are compared when you hand in")
            return
        if changed:
            msg = f"{headline}\n  called   {call}\n  so       {changed}"
            raise AssertionError(msg)
        if fault := comparator.fault(came, case["due"]):
            lines = [
                headline,
                f"  called   {call}",
                f"  came     {describe(came)}",
                f"  due      {describe(case['due'])}",
            ]
            lines.append(f"  so       {fault}")
            if meaning := usual_meaning(came, case["mistakes"], comparator):
                lines.append(f"  usually  {meaning}")
            raise AssertionError("\n".join(lines))
    print(f"{name}: right in all {len(cases)} cases")
