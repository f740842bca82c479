"""One question asked once: what came, and which inputs are no longer what they were."""

from typing import Any

import scipy.sparse

from starter.answers import values
from starter.answers.kinds import Kind


def asked(kind: Kind, given: Any, inputs: dict[str, Any]) -> tuple[Any, str]:
    """Get an answer, and compare the inputs before and after.

    A function that changes its inputs gives right values and spoils what the notebook computes with them afterwards.

    Parameters
    ----------
    kind
        How it is asked.
    given
        The student's function, class, value or file.
    inputs
        Of one case.

    Returns
    -------
    What came, and a sentence about inputs that were changed, or nothing.
    """
    before = {name: values.encode(_settled(value)) for name, value in inputs.items()}
    came = kind.answer(given, inputs)
    changed = [name for name, content in before.items() if values.encode(_settled(inputs[name])) != content]
    return came, f"it changed its own input {changed[0]!r}; work on a copy of it" if changed else ""


def _settled(value: Any) -> Any:
    """Give sparse matrices one form, which SciPy brings about in place whenever it needs it."""
    if isinstance(value, list | tuple):
        return [_settled(item) for item in value]
    if isinstance(value, dict):
        return {key: _settled(item) for key, item in value.items()}
    if scipy.sparse.issparse(value):
        csr = scipy.sparse.csr_matrix(value, copy=True)
        csr.sum_duplicates()
        csr.eliminate_zeros()
        return csr
    return value
