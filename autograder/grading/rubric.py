"""Points of a prediction: from a scorecard, by the rubric of `course.toml`."""

import math
from dataclasses import dataclass
from typing import NamedTuple

from autograder.course import Course
from autograder.folders import TRUTH
from autograder.grading.judge import Verdict
from autograder.settings import Prediction
from starter.errors import InputError
from starter.scoring.metrics.rule_sets import get_rule_set
from starter.scoring.scorecard import Scorecard, number
from starter.scoring.truth.opened import open_truth

OVERALL = "overall"
"""What a rubric calls the mean of the scaled scores."""
FULL = {"perfection": "a perfect prediction", "replicate": "a replicate"}
"""What a scaled score of 1 means, by a rule set's `full_score`."""


@dataclass(frozen=True)
class Scored:
    """What a prediction is worth."""

    verdict: Verdict
    held: str
    """Why the instructor should look first."""


def check_rubric(course: Course, stage: str) -> None:
    """Refuse a rubric that names what its rule set does not score, or a rule set for which there is no truth.

    Raises
    ------
    InputError
        With the metrics that there are, or the way to a truth.
    """
    settings = course.stages[stage].prediction
    if settings is None:
        return
    rules = get_rule_set(settings.profile)
    scored = [OVERALL, *rules.scored]
    for key, named in (("rubric", [goal.metric for goal in settings.rubric]), ("ahead", settings.ahead)):
        if unknown := [name for name in named if name not in scored]:
            msg = f"the {key} of {stage} names {unknown[0]!r}; the profile {rules.name} scores {', '.join(scored)}"
            raise InputError(msg)
    open_truth(course.hidden_folder / TRUTH).check_prepared(rules)


def by_rubric(card: Scorecard, settings: Prediction) -> Scored:
    """Turn scaled scores into a share of the points, if all is ahead that must be; flags hold it."""
    total = sum(goal.weight for goal in settings.rubric)
    share, came, due, undefined = 0.0, [], [], []
    for goal in settings.rubric:
        title, scaled = _scaled(card, goal.metric)
        came.append(f"{title} {number(scaled)}")
        due.append(f"{title} from {goal.zero:g} (nothing) to {goal.full:g} (all points)")
        if scaled is None or not math.isfinite(scaled):
            undefined.append(f"{title} has no scaled score on this screen")
            continue
        part = min(max((scaled - goal.zero) / (goal.full - goal.zero), 0.0), 1.0)
        share += part * goal.weight / total
    needs = [_of_overall(card) if name == OVERALL else _of_gain(card, name) for name in settings.ahead]
    undefined += [need.text for need in needs if need.met is None]
    due += [need.due for need in needs]
    behind = [need.text for need in needs if need.met is False]
    held = [f"{flag.name}: {flag.text}" for flag in card.flags if flag.level == "flag"]
    reason = f"scaled scores (0 for the train mean, 1 for {FULL[card.rules.full_score]}): {', '.join(came)}"
    if behind:
        reason = f"no points, since {' and '.join(behind)}; {reason}"
    verdict = Verdict(
        0.0 if any(not need.met for need in needs) else share, reason, came=", ".join(came), due=", ".join(due)
    )
    return Scored(verdict, "; ".join(held + undefined))


class _Need(NamedTuple):
    """Something in which a prediction must be ahead of the baseline."""

    met: bool | None
    """None where this screen cannot tell."""
    due: str
    text: str
    """Why it is not met, with the numbers."""


def _of_overall(card: Scorecard) -> _Need:
    due, value = "overall above 0 with nothing clipped", card.overall_unclipped
    if value is None:
        return _Need(None, due, "overall has no scaled score on this screen")
    ways = {_title(card, name): card.metrics[name]["unclipped"] for name in card.rules.scored}
    lost = [f"{title} {number(way)}" for title, way in ways.items() if way is not None and way < 0]
    below = f"; below the train mean is {', '.join(lost)}" if lost else ""
    return _Need(value > 0, due, f"overall is {number(value)} with nothing clipped, and must be above 0{below}")


def _of_gain(card: Scorecard, metric: str) -> _Need:
    title, row = _title(card, metric), card.metrics[metric]
    due = f"{title} better than the train mean's by more than chance"
    gain = [row[key] for key in ("difference", "difference_low", "difference_high")]
    if None in gain:
        return _Need(None, due, f"{title}'s gain over the train mean has no interval on this screen")
    if row["direction"] == "lower":
        gain = [-gain[0], -gain[2], -gain[1]]
    point, low, high = map(number, gain)
    text = (
        f"{title}'s gain over the train mean on the same perturbations is {point}, with a 95 % interval from {low} to "
        f"{high}, all of which must be above 0"
    )
    return _Need(gain[1] > 0, due, text)


def _scaled(card: Scorecard, metric: str) -> tuple[str, float | None]:
    if metric == OVERALL:
        return OVERALL, card.overall
    return _title(card, metric), card.metrics[metric]["scaled"]


def _title(card: Scorecard, metric: str) -> str:
    return next(known.title for known in card.rules.metrics if known.name == metric)
