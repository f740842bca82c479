"""What `course.toml` says and nothing follows from: left over from a course of before, or misunderstood."""

from collections.abc import Iterator

from autograder.course import FILE, Course
from autograder.settings import SIMULATED
from starter.errors import listed

OF_SIMULATION = ("preset", "size", "doubles")
"""Keys of `[data]` that describe a simulated screen."""


def leftovers(course: Course) -> list[str]:
    """Find the settings that have no effect beside the others, in a sentence each.

    Parameters
    ----------
    course
        The course.
    """
    return [f"{FILE}: {sentence}" for sentence in (*_of_data(course), *_of_lateness(course))]


def _of_data(course: Course) -> Iterator[str]:
    data, written = course.data, course.data.model_fields_set
    if data.split is not None:
        for key in sorted({"hidden", "public"} & written):
            yield f"[data] {key} has no effect, since the split {data.split} says who is hidden and who is public"
    if data.screen == SIMULATED:
        if data.priors is not None:
            yield "[data] priors has no effect, since a simulated screen makes its own"
        return
    for key in OF_SIMULATION:
        if key in written:
            yield f"[data] {key} has no effect, since the screen {data.screen} is not simulated"
    if data.seed is not None and data.split is not None:
        yield f"[data] seed has no effect, since neither the screen {data.screen} nor the split {data.split} is drawn"


def _of_lateness(course: Course) -> Iterator[str]:
    stages = course.stages
    for name, stage in stages.items():
        if stage.deadline is None and stage.extensions:
            who = listed(list(stage.extensions))
            yield f"[stages.{name}] extensions have no effect ({who}), since the stage has no deadline"
    if course.late.points_per_day and not any(stage.deadline for stage in stages.values()):
        yield "[late] points_per_day has no effect, since no stage has a deadline"
    if course.late.grace_hours and not course.late.points_per_day:
        yield "[late] grace_hours has no effect, since points_per_day is 0"
