"""Points of a prediction: from a scorecard, by the rubric of `course.toml`."""

import math
from dataclasses import dataclass

from autograder.course import Course
from autograder.grading.judge import Verdict
from autograder.settings import Goal
from starter.errors import InputError
from starter.scoring.metrics.rule_sets import get_rule_set
from starter.scoring.scorecard import Scorecard, number

RULE_SET = "course"
"""The rule set by which a course scores."""
OVERALL = "overall"
"""What a rubric calls the mean of the scaled scores."""


@dataclass(frozen=True)
class Scored:
    """What a prediction is worth."""

    verdict: Verdict
    held: str
    """Why the instructor should look first."""


def check_rubric(course: Course, stage: str) -> None:
    """Refuse a rubric that names what the course's rules do not score.

    Raises
    ------
    InputError
        With the metrics that there are.
    """
    scored = [OVERALL, *get_rule_set(RULE_SET).scored]
    settings = course.stages[stage].prediction
    for goal in settings.rubric if settings else ():
        if goal.metric not in scored:
            msg = f"the rubric of {stage} names {goal.metric!r}; the course scores {', '.join(scored)}"
            raise InputError(msg)


def by_rubric(card: Scorecard, rubric: list[Goal]) -> Scored:
    """Turn scaled scores into a share of the points; flags hold it."""
    total = sum(goal.weight for goal in rubric)
    share, came, due, undefined = 0.0, [], [], []
    for goal in rubric:
        title, scaled = _scaled(card, goal.metric)
        came.append(f"{title} {number(scaled)}")
        due.append(f"{title} from {goal.zero:g} (nothing) to {goal.full:g} (all points)")
        if scaled is None or not math.isfinite(scaled):
            undefined.append(title)
            continue
        part = min(max((scaled - goal.zero) / (goal.full - goal.zero), 0.0), 1.0)
        share += part * goal.weight / total
    held = [f"{flag.name}: {flag.text}" for flag in card.flags if flag.level == "flag"]
    held += [f"{title} has no scaled score on this screen" for title in undefined]
    reason = f"scaled scores (0 for the train mean, 1 for a replicate): {', '.join(came)}"
    return Scored(Verdict(share, reason, came=", ".join(came), due=", ".join(due)), "; ".join(held))


def _scaled(card: Scorecard, metric: str) -> tuple[str, float | None]:
    if metric == OVERALL:
        return OVERALL, card.overall
    title = next(known.title for known in card.rules.metrics if known.name == metric)
    return title, card.metrics[metric]["scaled"]
