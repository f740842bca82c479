import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from handing_in import RIGHT, STAGE, WRONG, submit

from autograder.course import Course
from autograder.folders import WORK
from autograder.grading import batch
from autograder.grading.grade import grade_stage
from autograder.grading.results import Result
from autograder.handed_in.submissions import Submission
from autograder.sandbox.ready import NoSandboxError
from autograder.sandbox.run import CORES
from starter.errors import InputError

SLOW = "import time; time.sleep(3)\n"
POINTS = {"ada": 5, "bob": 0, "cyd": 5, "dan": 0}


@pytest.fixture
def four(sandbox_here: None, course: Course) -> Course:
    """Four submissions, two of them right."""
    for student, points in POINTS.items():
        submit(course, student, SLOW + (RIGHT if points else WRONG))
    return course


def given(results: list[Result]) -> dict[str, float]:
    return {result.student: result.questions[0].points for result in results}


def test_two_at_a_time_give_what_one_after_the_other_gives(four: Course):
    seen = []
    results, failed = grade_stage(four, STAGE, report=seen.append, jobs=4)
    assert (given(results), failed) == (POINTS, {})
    assert list(given(results)) == sorted(POINTS)
    assert sorted(seen) == sorted(POINTS)
    reasons = {result.student: result.questions[0].reason for result in results}
    Submission(four, STAGE, "bob").result.unlink()
    again, _ = grade_stage(four, STAGE, ["bob"])
    assert again[0].questions[0].reason == reasons["bob"]


def test_jobs_run_at_the_same_time():
    together = threading.Barrier(3, timeout=20)

    def work(student: str) -> str:
        together.wait()
        return student.upper()

    assert dict(batch.for_each(work, "abc", jobs=3)) == {"a": "A", "b": "B", "c": "C"}


def test_jobs_share_the_cores_and_take_none_from_each_other(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {3, 1, 2, 0, 5})
    assert batch.core_shares(1) == [[0, 1, 2, 3, 5]]
    assert batch.core_shares(2) == [[0, 2, 5], [1, 3]]
    assert batch.core_shares(7) == [[0], [1], [2], [3], [5], [0], [1]]
    together = threading.Barrier(2, timeout=20)

    def work(student: str) -> list[int]:
        together.wait()
        return CORES.given

    assert sorted(dict(batch.for_each(work, "ab", jobs=2)).values()) == [[0, 2, 5], [1, 3]]


def command(course: Course, *more: str) -> list[str]:
    main = "from autograder.cli import main; main()"
    return [sys.executable, "-c", main, "grade", STAGE, "--jobs", "1", "--course", str(course.root), *more]


def heed_interrupts() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.mark.parametrize("end", [signal.SIGKILL, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_batch_that_was_stopped_goes_on_where_it_stopped(four: Course, end: signal.Signals):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # where tests run in the background, the shell has them ignore Ctrl-C, and so what they start
    running = subprocess.Popen(command(four), preexec_fn=heed_interrupts, **pipes)
    first = Submission(four, STAGE, "ada").result
    deadline = time.monotonic() + 60
    while not first.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(1)  # the second is being asked
    with pytest.raises(InputError, match="04_baselines is being graded already; wait until that ends"):
        grade_stage(four, STAGE)
    running.send_signal(end)
    running.communicate(timeout=10)
    assert running.returncode != 0
    written = first.stat().st_mtime_ns
    assert sorted(path.name for path in first.parent.glob("*.json")) == ["ada.json"]
    results, failed = grade_stage(four, STAGE, jobs=3)
    assert (given(results), failed) == (POINTS, {})
    assert first.stat().st_mtime_ns == written
    left = {path.name for path in (four.grading / WORK).iterdir()} - {".course.lock"}  # of what can be taken back
    assert left == {f"{STAGE}.lock"}


def test_what_befalls_all_ends_the_batch():
    done = []

    def work(student: str) -> str:
        if student == "bob":
            msg = "no bwrap"
            raise NoSandboxError(msg)
        done.append(student)
        return student

    with pytest.raises(NoSandboxError, match="no bwrap"):
        list(batch.for_each(work, ["ada", "bob", *"cdefgh"]))
    assert done[0] == "ada"


def test_one_a_core_if_the_memory_suffices(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 16)
    monkeypatch.setattr(batch.psutil, "virtual_memory", lambda: type("Memory", (), {"available": 20 * 2**30}))
    assert [batch.fitting_jobs(gib) for gib in (1, 4, 30)] == [10, 4, 1]


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    from distributed import LocalCluster

    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as cluster:
        yield cluster


@pytest.mark.slow
def test_a_cluster_grades_as_one_machine_does_though_a_worker_is_killed(four: Course, cluster: object):
    """The other worker takes over what the killed one was doing."""
    workers = dict(cluster.scheduler_info["workers"])
    assert len(workers) == 2
    from distributed import Client

    with Client(cluster, set_as_default=False) as client:
        pids = client.run(os.getpid)
    watcher = subprocess.Popen(
        [
            sys.executable,
            "-c",
            "import os, sys, time, pathlib\nfolder, pid = pathlib.Path(sys.argv[1]), int(sys.argv[2])\n"
            "while not list(folder.glob('bob-*')): time.sleep(.05)\n"
            "time.sleep(1.5); os.kill(pid, 9)",
            str(four.grading / WORK / STAGE),
            str(next(iter(pids.values()))),
        ]
    )
    results, failed = grade_stage(four, STAGE, dask=cluster.scheduler_address)
    assert watcher.wait(20) == 0
    assert (given(results), failed) == (POINTS, {})
    with Client(cluster, set_as_default=False) as client:
        client.wait_for_workers(2)
        assert set(client.run(os.getpid).values()) != set(pids.values())
    content = json.loads(Submission(four, STAGE, "cyd").result.read_text())
    assert content["questions"][0]["points"] == 5


def test_a_scheduler_that_does_not_answer_is_named(four: Course, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(batch, "CONNECT_SECONDS", 1)
    for address in ("tcp://127.0.0.1:9", "tls://127.0.0.1:9", "nowhere"):
        with pytest.raises(InputError, match=f"no Dask scheduler answers at {address} .*; see docs/cluster.md"):
            grade_stage(four, STAGE, dask=address)


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        ({}, "the scheduler at tcp://x has no workers; start some with: dask worker tcp://x"),
        ({"tcp://w": ((None, "code"), None)}, "the worker tcp://w does not see .*course.toml or runs another version"),
        ({"tcp://w": (None, "needs bwrap")}, "the worker tcp://w: needs bwrap"),
    ],
)
def test_workers_that_cannot_grade_are_named(course: Course, seen: dict, said: str):
    class Client:
        def run(self, function: object, settings: Path) -> dict:
            course_file, code = batch._hashes(settings)
            return {
                worker: ((course_file, code) if hashes is None else hashes, fault)
                for worker, (hashes, fault) in seen.items()
            }

    with pytest.raises(InputError, match=said):
        batch._check_workers(Client(), "tcp://x", course.root / "course.toml")
