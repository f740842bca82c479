"""Every look at a truth, counted: who chooses the best of many by the same hidden cells gains by luck."""

import json
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from starter.errors import InputError, counted
from starter.scoring.scorecard import Scorecard, number
from starter.scoring.truth.opened import HISTORY

DRAWS = 20_000
"""Of the best of n equal models."""
TO_ERROR = 2 * 1.959964
"""Width of a 95 % interval in standard errors."""


@dataclass(frozen=True)
class Look:
    """One prediction scored against a truth, once."""

    when: str
    """UTC, as 2026-10-01T21:59:00+00:00."""
    name: str
    sha256: str
    """Of the prediction's file."""
    rule_set: str
    overall: float | None
    low: float | None = None
    """95 % interval of the overall score."""
    high: float | None = None


def read_history(truth: Path) -> list[Look]:
    """Read the looks at a truth, the first one first.

    Parameters
    ----------
    truth
        Its folder.

    Raises
    ------
    InputError
        If the file cannot be read, or a line of it is none of ours.
    """
    path = truth / HISTORY
    try:
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        return [Look(**json.loads(line)) for line in lines]
    except (OSError, ValueError, TypeError) as error:
        msg = f"{path} cannot be read ({type(error).__name__}: {error}); mend or remove the line, or move the file away"
        raise InputError(msg) from error


def count_look(truth: Path, card: Scorecard) -> str:
    """Add a look to a truth's history, and say which one it is.

    Parameters
    ----------
    truth
        The truth's folder.
    card
        What was scored.

    Returns
    -------
    A sentence for the scorecard: how many files were scored here by these rules, and what the best of so many equal
    models would gain by luck. Where the folder cannot be written, or its history not be read, it says so instead.
    """
    low, high = card.overall_interval
    hashed = str(card.about["prediction"]["sha256"])
    now = datetime.now(UTC).isoformat(timespec="seconds")
    look = Look(now, card.name, hashed, card.rules.name, card.overall, low, high)
    try:
        earlier = [past for past in read_history(truth) if past.rule_set == card.rules.name]
        with (truth / HISTORY).open("a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(look)) + "\n")  # at once, so that two who score at a time do not mix
    except (OSError, InputError) as error:
        return f"This look at the truth was not counted: {error}."
    n_files = len({past.sha256 for past in earlier} | {hashed})
    said = f"Look {len(earlier) + 1} at this truth by {card.rules.title}, at {counted(n_files, 'prediction')} so far"
    if n_files < 2 or low is None or high is None:
        return f"{said}."
    gain = luck(n_files, (high - low) / TO_ERROR)
    return f"{said}; the best of {n_files} equal models would gain {number(gain)} by luck alone."


def luck(n: int, error: float, seed: int = 0) -> float:
    """Give what the best of some equal models gains by chance.

    Parameters
    ----------
    n
        How many models.
    error
        Standard error of a score; their errors are taken as independent, so that this is an upper limit for models
        that err alike.
    seed
        Fixes the draws.

    Returns
    -------
    Mean of the largest of n normal errors.
    """
    rng = np.random.default_rng(seed)
    best = np.full(DRAWS, -np.inf)
    for _ in range(n):
        np.maximum(best, rng.standard_normal(DRAWS), out=best)
    return float(error * best.mean())
