"""Many submissions at a time while other processes start: the machine's bustle is nobody's 0."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from handing_in import RIGHT, STAGE, submit

from autograder.course import Course
from autograder.grading.grade import grade_stage
from autograder.handed_in.submissions import Submission

PREDICTIONS, NOTEBOOKS, ROUNDS = 16, 40, 20


@contextmanager
def processes_beside() -> Iterator[list[int]]:
    """Start processes all the while, two at a time, from this one: they inherit what it has open until they begin."""
    stop, started = threading.Event(), []

    def start() -> None:
        while not stop.wait(0.005):
            started.append(subprocess.run(["sleep", "0.01"], close_fds=False, check=True).returncode)

    threads = [threading.Thread(target=start) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        yield started
    finally:
        stop.set()
        for thread in threads:
            thread.join()


@pytest.mark.slow
def test_sound_work_is_never_refused_while_other_processes_start(sandbox_here: None, course: Course, train_mean: Path):
    students = [f"student{number:02}" for number in range(PREDICTIONS + NOTEBOOKS)]
    for number, student in enumerate(students):
        folder = submit(course, student, RIGHT)
        if number < PREDICTIONS:
            shutil.copyfile(train_mean, folder / "prediction.h5ad")
    for number in range(ROUNDS):
        with processes_beside() as started:
            results, failed = grade_stage(course, STAGE, jobs=4)
        assert len(started) > 100
        assert failed == {}, number
        assert [result.student for result in results] == students
        for result in results:
            notebook, prediction = result.questions
            assert (notebook.points, notebook.reason, notebook.held) == (5, "right in all 3 cases", ""), number
            expected = "scaled scores" if result.student in students[:PREDICTIONS] else "there is no prediction.h5ad"
            assert prediction.reason.startswith(expected), (number, prediction)
            assert prediction.held == ""
            assert result.notes == []
            Submission(course, STAGE, result.student).result.unlink()
