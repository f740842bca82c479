"""Why an answer is wrong, as far as the answer itself shows it, whatever the question.

A usual mistake of one question is told by the value that it gives, a mistake that happens everywhere by what would
mend it. The latter is named only where it explains every answer that was wrong, and only if there are enough numbers
that this cannot be chance.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import scipy.sparse

from starter.answers.comparators import Close, Comparator, NearEnough, Same
from starter.answers.remedies import ARRAYS, FORMS, POINTWISE, SIZES, Remedy

ENOUGH = 3
"""Different numbers that a fitted factor or sum must explain; two for a remedy that has nothing to fit."""
FACTORS = {
    1 / np.log(2): "it is the logarithm to base 2 where the natural one is expected (np.log)",
    np.log(2): "it is the natural logarithm where that to base 2 is expected (np.log2)",
    np.log(10): "it is the natural logarithm where that to base 10 is expected (np.log10)",
    1 / np.log(10): "it is the logarithm to base 10 where the natural one is expected (np.log)",
    np.log2(10): "it is the logarithm to base 2 where that to base 10 is expected (np.log10)",
    np.log10(2): "it is the logarithm to base 10 where that to base 2 is expected (np.log2)",
    100.0: "these are percent where shares are expected; leave out the 100",
    0.01: "these are shares where percent are expected; multiply by 100",
    1 / 1.4826022185056018: 'the deviation is not scaled to that of a normal (scale="normal")',
}
"""What the ratio of what came and what is expected means."""


@dataclass(frozen=True)
class Answer:
    """What came for one case, or for a part of it."""

    came: Any
    due: Any
    inputs: Mapping[str, Any] = field(default_factory=dict)
    """Of the case."""
    mistakes: Mapping[str, Any] = field(default_factory=dict)
    """What is wrong -> the value that this mistake gives."""


def likely_cause(answers: Sequence[Answer], comparator: Comparator) -> str | None:
    """Say what went wrong: the question's own mistake that explains most answers, or else what happens everywhere.

    Parameters
    ----------
    answers
        To all cases, those that are right too: a mistake may be right in some of them.
    comparator
        How the question compares.

    Returns
    -------
    What is wrong and what to do, or None where nothing explains the first answer that is wrong.
    """
    faulty = [answer for answer in answers if not _right(answer.came, answer.due, comparator)]
    if not faulty:
        return None
    explained = {
        meaning: sum(_right(answer.came, answer.mistakes.get(meaning), comparator) for answer in answers)
        for meaning, value in faulty[0].mistakes.items()
        if _right(faulty[0].came, value, comparator)
    }
    if explained:
        return max(explained, key=lambda meaning: explained[meaning])
    return general_cause(faulty, comparator)


def general_cause(faulty: Sequence[Answer], comparator: Comparator) -> str | None:
    """Say what went wrong in all wrong answers to a question alike.

    Parameters
    ----------
    faulty
        The answers to all cases that are not right.
    comparator
        How the question compares.

    Returns
    -------
    What is wrong and what to do, or None where nothing explains all of them.
    """
    finders = (_nothing, _input_back, _not_a_number, _another_form, _another_size, _another_axis, _same_everywhere)
    numeric = (_by_remedies, _by_factor, _by_size_of_input, _by_sum, _rows)
    with np.errstate(all="ignore"), warnings.catch_warnings(action="ignore"):  # of remedies that do not fit
        told = [Answer(answer.came, answer.due, _arguments(answer.inputs)) for answer in faulty]
        parts = [part for answer in told for part in _parts(answer, comparator)]
        if not parts:
            return None
        for find in finders:
            if cause := find(parts, comparator):
                return cause
        if isinstance(comparator, NearEnough) or any(_as_numbers(part) is None for part in parts):
            return None
        return next((cause for find in numeric if (cause := find(parts, comparator))), None)


def _arguments(inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """Give the arguments of a function, or those of all calls of an object's methods."""
    if "calls" not in inputs:
        return inputs
    return {name: value for _, arguments in inputs["calls"] for name, value in arguments.items()}


def _parts(answer: Answer, comparator: Comparator) -> Iterator[Answer]:
    """Take what is wrong out of lists, dicts and tables, as far as they have the same parts."""
    pairs = _paired(answer.came, answer.due)
    if not pairs or _right([one for one, _ in pairs][::-1], [other for _, other in pairs], comparator):
        yield answer
        return
    for one, other in pairs:
        if not _right(one, other, comparator):
            yield from _parts(Answer(one, other, answer.inputs), comparator)


def _paired(came: Any, due: Any) -> list[tuple[Any, Any]]:
    if isinstance(due, dict) and isinstance(came, dict) and set(came) == set(due):
        return [(came[key], due[key]) for key in due]
    if _is_list_of_parts(due) and isinstance(came, list | tuple) and len(came) == len(due):
        return list(zip(came, due, strict=True))
    return _columns(came, due) if isinstance(due, pd.DataFrame) and isinstance(came, pd.DataFrame) else []


def _columns(came: pd.DataFrame, due: pd.DataFrame) -> list[tuple[Any, Any]]:
    if not came.index.equals(due.index) or list(came.columns) != list(due.columns):
        return []
    return [(came[name].to_numpy(), due[name].to_numpy()) for name in due.columns]


def _is_list_of_parts(due: Any) -> bool:
    return isinstance(due, list) and any(not isinstance(item, int | float | str) for item in due)


def _right(came: Any, due: Any, comparator: Comparator) -> bool:
    try:
        return comparator.fault(came, due) is None
    except Exception:  # noqa: BLE001  (values of any kind are tried on each other)
        return False


def _nothing(parts: Sequence[Answer], comparator: Comparator) -> str | None:
    del comparator
    if all(part.came is None and part.due is not None for part in parts):
        return "nothing came back: end with `return` and the result (print shows a value and hands on nothing)"
    return None


def _input_back(parts: Sequence[Answer], comparator: Comparator) -> str | None:
    for name, value in parts[0].inputs.items():
        if _n_values(value) < ENOUGH:
            continue
        if all(name in part.inputs and _right(part.came, part.inputs[name], comparator) for part in parts):
            return f"this is the input {name!r} as it was; return what you make of it"
    return None


def _not_a_number(parts: Sequence[Answer], comparator: Comparator) -> str | None:
    """Recognise a function that was handed over and not called, and results that wait to be taken."""
    del comparator
    if all(callable(part.came) for part in parts):
        return "a function came, not its result: call it, with brackets behind its name"
    if all(isinstance(part.came, Iterator) for part in parts):
        return "the results wait to be taken out: put list(...) or np.array(list(...)) around it"
    return None


def _another_form(parts: Sequence[Answer], comparator: Comparator) -> str | None:
    return _first_that_mends(FORMS, parts, comparator)


def _another_size(parts: Sequence[Answer], comparator: Comparator) -> str | None:
    if any(_shape(part.came) is None or _shape(part.came) == _shape(part.due) for part in parts):
        return None
    return _first_that_mends(SIZES, parts, comparator)


def _first_that_mends(remedies: Sequence[Remedy], parts: Sequence[Answer], comparator: Comparator) -> str | None:
    return next(
        (remedy.cause for remedy in remedies if all(_mended(remedy, part, comparator) for part in parts)),
        None,
    )


def _mended(remedy: Remedy, part: Answer, comparator: Comparator) -> bool:
    try:
        return comparator.fault(remedy.mends(part.came, part.due), part.due) is None
    except Exception:  # noqa: BLE001  (a remedy for something else may raise whatever it likes)
        return False


def _another_axis(parts: Sequence[Answer], comparator: Comparator) -> str | None:
    """Tell by the length of a result that it runs along the other side of an input."""
    del comparator
    found = [(_shape(part.came), _shape(part.due)) for part in parts]
    for name in parts[0].inputs:
        sides = [_shape(part.inputs.get(name)) or () for part in parts]
        if any(len(side) != 2 or side[0] == side[1] for side in sides):
            continue
        for axis, (theirs, ours) in enumerate((("column", "row"), ("row", "column"))):
            if found == [((side[1 - axis],), (side[axis],)) for side in sides]:
                have = f"there is one value for each {theirs} of {name!r}, and one for each {ours} is expected"
                return f"wrong axis: {have}; take axis={1 - axis}"
    if all(came == () and due for came, due in found):
        return "a single number came for all of them: compute along one axis (axis=0 or axis=1), or collect in the loop"
    return None


def _same_everywhere(parts: Sequence[Answer], comparator: Comparator) -> str | None:
    del comparator
    found = [_as_numbers(part) for part in parts]
    arrays = [pair for pair in found if pair is not None]
    if len(arrays) < len(parts) or any(
        came.size < ENOUGH or np.ptp(due[np.isfinite(due)]) == 0 for came, due in arrays
    ):
        return None
    if all(np.isnan(came).all() for came, _ in arrays):
        return "NaN everywhere: look for 0 / 0, the logarithm of a negative number, or a mean that meets a single NaN"
    if all((came == 0).all() for came, _ in arrays):
        return "all are 0: the array of zeros was never filled, or everything was cut or rounded to 0"
    if all((came == came.flat[0]).all() for came, _ in arrays):
        return "the same number came everywhere: what you compute does not depend on the row or the gene yet"
    return None


def _as_numbers(part: Answer) -> tuple[np.ndarray, np.ndarray] | None:
    """Give two arrays of floats of one shape, or None if the part is something else."""
    if _shape(part.came) is None or _shape(part.came) != _shape(part.due):
        return None
    arrays = [np.asarray(value.toarray() if scipy.sparse.issparse(value) else value) for value in (part.came, part.due)]
    if any(array.dtype.kind not in "biuf" for array in arrays):
        return None
    return arrays[0].astype(float), arrays[1].astype(float)


def _pooled(parts: Sequence[Answer], comparator: Close | Same) -> tuple[np.ndarray, np.ndarray, int]:
    """Give all numbers of all parts, and how many different ones are wrong."""
    pairs = [pair for part in parts if (pair := _as_numbers(part)) is not None]
    came, due = (np.concatenate([pair[side].ravel() for pair in pairs]) for side in (0, 1))
    wrong = ~np.isclose(came, due, rtol=comparator.rtol, atol=comparator.atol, equal_nan=True)
    return came, due, min(len(np.unique(came[wrong])), int(wrong.sum()))


def _by_remedies(parts: Sequence[Answer], comparator: Close | Same) -> str | None:
    came, due, n_wrong = _pooled(parts, comparator)
    if n_wrong < 1 or len(came) < ENOUGH:
        return None
    tried = [Answer(came, due)]
    for remedy in POINTWISE:
        if _mended(remedy, tried[0], comparator):
            return remedy.cause
    arrays = [Answer(*pair, part.inputs) for part in parts if (pair := _as_numbers(part)) is not None]
    return _first_that_mends(ARRAYS, arrays, comparator)


def _ratio(came: np.ndarray, due: np.ndarray) -> float | None:
    """Give the number that all of them were multiplied with."""
    known = np.isfinite(came) & np.isfinite(due) & (due != 0)
    if not known.any() or not np.array_equal(np.isfinite(came), np.isfinite(due)) or (came[due == 0] != 0).any():
        return None
    ratios = came[known] / due[known]
    middle = float(np.median(ratios))
    return middle if np.allclose(ratios, middle, rtol=1e-5, atol=0) and not np.isclose(middle, (0, 1)).any() else None


def _by_factor(parts: Sequence[Answer], comparator: Close | Same) -> str | None:
    came, due, n_wrong = _pooled(parts, comparator)
    ratio = _ratio(came, due)
    if ratio is None or n_wrong < ENOUGH:
        return None
    for known, meaning in FACTORS.items():
        if np.isclose(ratio, known, rtol=1e-5):
            return f"all numbers are {_times(ratio)}: {meaning}"
    return f"all numbers are {_times(ratio)}: a factor is missing, or one too many"


def _times(ratio: float) -> str:
    size = abs(ratio)
    turned = " and have the wrong sign" if ratio < 0 else ""
    return (f"{size:.4g} times too large" if size > 1 else f"{1 / size:.4g} times too small") + turned


def _by_size_of_input(parts: Sequence[Answer], comparator: Close | Same) -> str | None:
    """Recognise a sum for a mean, or n - 1 for n, by the ratio in each case and the sizes of its inputs."""
    ratios = []
    for part in parts:
        pair = _as_numbers(part)
        ratio = _ratio(*(side.ravel() for side in pair)) if pair else None
        if ratio is None or not part.inputs:
            return None
        ratios.append(ratio)
    if len({round(ratio, 6) for ratio in ratios}) < 2:
        return None
    del comparator
    for name in parts[0].inputs:
        shapes = [_shape(part.inputs.get(name)) or () for part in parts]
        sides = {1: ("the length",), 2: ("the rows", "the columns")}.get(min(map(len, shapes)), ())
        for axis, side in enumerate(sides):
            n = np.array([shape[axis] for shape in shapes], float)
            what = f"{side} of {name!r}"
            for meaning, expected in (
                (f"this is the sum, and the mean is expected: divide by {what}", n),
                (f"this is the mean, and the sum is expected: do not divide by {what}", 1 / n),
                (f"divide by n, not by n - 1, n being {what} (ddof=0)", n / (n - 1)),
                (f"divide by n - 1, not by n, n being {what} (ddof=1)", (n - 1) / n),
                (f"divide by n, not by n - 1, n being {what} (ddof=0)", np.sqrt(n / (n - 1))),
                (f"divide by n - 1, not by n, n being {what} (ddof=1)", np.sqrt((n - 1) / n)),
                (f"divide by the root of n, n being {what}", np.sqrt(n)),
            ):
                if np.allclose(ratios, expected, rtol=1e-5):
                    return meaning
    return None


def _by_sum(parts: Sequence[Answer], comparator: Close | Same) -> str | None:
    came, due, n_wrong = _pooled(parts, comparator)
    apart = (came - due)[np.isfinite(due)]
    if n_wrong < ENOUGH or len(apart) < ENOUGH or not np.isfinite(apart).all():
        return None
    more = float(np.median(apart))
    if not np.allclose(apart, more, rtol=1e-5, atol=1e-9) or len(np.unique(due)) < ENOUGH:
        return None
    whole = abs(more) == 1 and (due == np.rint(due)).all()
    why = "counting starts one too late or too early" if whole else "something is added, or missing"
    return f"all numbers are {abs(more):.4g} too {'large' if more > 0 else 'small'}: {why}"


def _rows(parts: Sequence[Answer], comparator: Close | Same) -> str | None:
    """Say which rows are wrong, where most are right."""
    part = parts[0]
    pair = _as_numbers(part)
    if pair is None or pair[0].ndim != 2 or len(pair[0]) < ENOUGH:
        return None
    right = np.isclose(*pair, rtol=comparator.rtol, atol=comparator.atol, equal_nan=True).all(axis=1)
    if right.mean() < 0.5:
        return None
    wrong = np.flatnonzero(~right)
    rows = ", ".join(map(str, wrong[:ENOUGH])) + (", ..." if len(wrong) > ENOUGH else "")
    return f"most rows are right; look at what is special in the inputs of row {rows}"


def _shape(value: Any) -> tuple[int, ...] | None:
    """Give the shape of numbers, or None for anything else."""
    if scipy.sparse.issparse(value):
        return value.shape
    if isinstance(value, np.ndarray | pd.Series | pd.DataFrame | np.generic | int | float):
        return np.shape(value)
    if isinstance(value, list | tuple) and all(isinstance(item, int | float | np.generic) for item in value):
        return (len(value),)
    return None


def _n_values(value: Any) -> int:
    shape = _shape(value)
    return 0 if shape is None else int(np.prod(shape))
