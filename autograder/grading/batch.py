"""The same work for many submissions: here one after the other, several at a time, or on a Dask cluster."""

from __future__ import annotations

import os
import queue
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import psutil

from autograder.course import FILE, Course
from autograder.grading.rules import JUDGES, SCORES, hash_code
from autograder.handed_in.submissions import Submission
from autograder.sandbox import run
from autograder.sandbox.bubblewrap import SCRATCH_GIB
from autograder.sandbox.ready import NoSandboxError, check_sandbox
from starter.errors import InputError
from starter.files import sha256

if TYPE_CHECKING:
    from distributed import Client

CONNECT_SECONDS = 15
T = TypeVar("T")


def for_each(
    work: Callable[[Submission], T], submissions: Sequence[Submission], jobs: int = 1, dask: str | None = None
) -> Iterator[tuple[Submission, T | Exception]]:
    """Do the work for each submission, whatever happens to one of them.

    Parameters
    ----------
    work
        What is done for a submission. It waits for a sandbox most of the time, so threads suffice.
    submissions
        Of one course.
    jobs
        How many at a time on this machine.
    dask
        Address of a Dask scheduler whose workers do it instead. What a worker was doing when it died is done again by
        another.

    Yields
    ------
    Submission and what the work gave, or the exception it raised, in the order in which they end.

    Raises
    ------
    NoSandboxError
        If a machine cannot run students' code safely, which would befall all of them.
    InputError
        If the scheduler cannot be reached, or its workers do not see the same files.
    """
    run.STOP.clear()
    if not submissions:
        return
    with _executor(submissions[0], jobs, dask) as executor:
        futures = {executor.submit(work, submission): submission for submission in submissions}
        try:
            for future in as_completed(futures):
                yield futures[future], _outcome(future)
        except BaseException:
            for future in futures:
                future.cancel()
            run.STOP.set()
            raise


def fitting_jobs(memory_gib: float) -> int:
    """Say how many submissions this machine can grade at a time: one a core, if memory and scratch suffice for all."""
    fit = int(psutil.virtual_memory().available / 2**30 / (memory_gib + SCRATCH_GIB))
    return max(1, min(os.cpu_count() or 1, fit))


def core_shares(jobs: int) -> list[list[int]]:
    """Share this machine's cores among so many jobs, so that busy submissions take no time from those beside them."""
    cores = sorted(os.sched_getaffinity(0))
    return [cores[job % len(cores) :: jobs] for job in range(jobs)]


def _outcome(future: Future[T]) -> T | Exception:
    error = future.exception()
    if isinstance(error, NoSandboxError) or (error is not None and not isinstance(error, Exception)):
        raise error
    return future.result() if error is None else error


@contextmanager
def _executor(first: Submission, jobs: int, dask: str | None) -> Iterator[Executor]:
    if dask is None:
        shares = queue.SimpleQueue()
        for share in core_shares(jobs):
            shares.put(share)
        with ThreadPoolExecutor(jobs, initializer=lambda: setattr(run.CORES, "given", shares.get())) as executor:
            yield executor
        return
    with cluster(dask, first.course) as executor:
        yield executor


@contextmanager
def cluster(dask: str, course: Course) -> Iterator[Executor]:
    """Give the workers of a Dask scheduler, each of which sees the course, runs this kit and has a sandbox.

    Raises
    ------
    InputError
        If the scheduler cannot be reached, or its workers do not see the same files.
    """
    from distributed import Client  # slow to import, and seldom needed

    try:
        client = Client(dask, timeout=CONNECT_SECONDS, set_as_default=False)
    except Exception as error:  # whatever the library makes of an address, or of certificates that are not there
        msg = f"no Dask scheduler answers at {dask} ({type(error).__name__}: {error}); see docs/cluster.md"
        raise InputError(msg) from error
    with client:
        _check_workers(client, dask, course.root / FILE)
        yield client.get_executor(pure=False)


def _check_workers(client: Client, dask: str, settings: Path) -> None:
    """Refuse workers without the course's files, this kit or a sandbox, before they fail student by student."""
    seen: Any = client.run(_see, settings)  # of a client that waits: worker -> what it saw
    here = _hashes(settings)
    if not seen:
        msg = f"the scheduler at {dask} has no workers; start some with: dask worker {dask}"
        raise InputError(msg)
    for worker, (hashes, fault) in seen.items():
        if hashes != here:
            msg = (
                f"the worker {worker} does not see {settings} or runs another version of the kit; the course's folder "
                "must lie at the same path on a disk that all share"
            )
            raise InputError(msg)
        if fault:
            msg = f"the worker {worker}: {fault}"
            raise NoSandboxError(msg)


def _see(settings: Path) -> tuple[tuple[str | None, str], str | None]:
    try:
        check_sandbox()
    except NoSandboxError as error:
        return _hashes(settings), str(error)
    return _hashes(settings), None


def _hashes(settings: Path) -> tuple[str | None, str]:
    """Hash a course's `course.toml`, and the code that judges and scores."""
    return sha256(settings) if settings.is_file() else None, hash_code(*JUDGES, *SCORES)
