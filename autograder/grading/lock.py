"""One at a time: a stage that somebody grades is left alone."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import filelock

from autograder.course import Course
from autograder.folders import WORK
from starter.errors import InputError


@contextmanager
def hold(course: Course, *stages: str) -> Iterator[None]:
    """Hold stages for the block.

    Raises
    ------
    InputError
        If one of them is being graded.
    """
    work = course.grading / WORK
    work.mkdir(parents=True, exist_ok=True)
    with ExitStack() as held:
        for stage in stages:
            lock = filelock.FileLock(work / f"{stage}.lock", timeout=0)
            try:
                held.enter_context(lock)
            except filelock.Timeout as error:
                msg = f"{stage} is being graded already; wait until that ends (it holds {lock.lock_file})"
                raise InputError(msg) from error
        yield
