import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from handing_in import RIGHT, STAGE, submit
from typer.testing import CliRunner

from autograder.cli import app
from autograder.course import Course, read_course
from autograder.gradebook.requests import read_requests
from autograder.handed_in.attempts import attempt_folder, collect, read_attempts
from autograder.handed_in.submissions import Submission

COURSE = f'[course]\nname = "small"\n[stages.01_primer]\n[stages.{STAGE}]\ndeadline = 2020-10-01T00:00:00Z\n'


@pytest.fixture
def small(tmp_path: Path) -> Course:
    (tmp_path / "course.toml").write_text(COURSE)
    return read_course(tmp_path)


def hand_in(course: Course, student: str, day: int, notebook: str, stage: str = STAGE, **files: str | bytes) -> None:
    folder = course.root / f"download-{len(list(course.root.iterdir()))}"
    (folder / student / stage).mkdir(parents=True)
    for name, content in {f"{stage}.ipynb": notebook, **files}.items():
        content = content if isinstance(content, bytes) else content.encode()
        (folder / student / stage / name).write_bytes(content)
    collect(course, stage, folder, datetime(2020, 10, day, tzinfo=UTC))


def test_requests_come_from_all_attempts_and_each_one_once(small: Course):
    hand_in(small, "ada", 1, "a", **{"regrade.md": "Question 2: I think\nthat 3 is right."})
    hand_in(
        small, "ada", 5, "a again", **{"regrade.md": "Question 2: I think\nthat 3 is right.", "regrade.txt": "And 4."}
    )
    hand_in(small, "bob", 2, "b", **{"notes.md": "no request", "regrade.txt": "  \n"})
    hand_in(small, "cyd", 3, "c", stage="01_primer", **{"regrade.txt": "Another stage."})
    found = [(request.student, request.received.day, request.text) for request in read_requests(small, STAGE)]
    assert found == [("ada", 1, "Question 2: I think\nthat 3 is right."), ("ada", 5, "And 4.")]
    shown = CliRunner().invoke(app, ["requests", "--course", str(small.root)]).stdout
    assert [line for line in shown.splitlines() if line and not line.startswith(" ")] == [
        "cyd, 01_primer, received 2020-10-03 00:00:00 UTC: waits",
        f"ada, {STAGE}, received 2020-10-01 00:00:00 UTC: waits",
        f"ada, {STAGE}, received 2020-10-05 00:00:00 UTC: waits",
    ]
    assert "    Question 2: I think\n    that 3 is right.\n" in shown
    assert "Another stage" not in CliRunner().invoke(app, ["requests", STAGE, "--course", str(small.root)]).stdout


def test_a_request_cannot_steer_the_terminal_or_fill_it_or_lead_elsewhere(small: Course):
    hand_in(small, "ada", 1, "a", **{"regrade.md": b"\x1b[2Jclear \xff\xe2\x80\xae back" + b"x" * 1_000_000})
    hand_in(small, "bob", 1, "b")
    bobs = Submission(small, STAGE, "bob")
    folder = attempt_folder(bobs, read_attempts(bobs)[0])
    (folder / "regrade.md").symlink_to(small.root / "course.toml")
    (folder / "regrade.txt").mkdir()
    (request,) = read_requests(small, STAGE)
    assert request.text.startswith("[2Jclear \N{REPLACEMENT CHARACTER}  backxxx")
    assert len(request.text) == 1999
    assert request.text.isprintable()


def test_a_request_waits_until_feedback_is_written_after_it_was_collected(small: Course):
    page = small.grading / "feedback" / "ada" / STAGE / f"{STAGE}.html"
    page.parent.mkdir(parents=True)
    page.touch()
    os.utime(page, (datetime(2020, 10, 9, tzinfo=UTC).timestamp(),) * 2)  # after it was received, before anybody saw it
    hand_in(small, "ada", 5, "a", **{"regrade.md": "please"})
    assert read_requests(small, STAGE)[0].answered is None
    page.touch()
    assert read_requests(small, STAGE)[0].answered == datetime.fromtimestamp(page.stat().st_mtime, UTC)
    shown = CliRunner().invoke(app, ["requests", STAGE, "--course", str(small.root)]).stdout
    assert shown.startswith(f"ada, {STAGE}, received 2020-10-05 00:00:00 UTC: feedback since 2")


def test_without_requests_it_says_how_they_are_made(small: Course):
    done = CliRunner().invoke(app, ["requests", "--course", str(small.root)])
    assert done.stdout.startswith("no requests: students write them into regrade.md beside the notebook")


def test_grading_says_how_many_requests_wait(sandbox_here: None, course: Course):
    folder = submit(course, "ada", RIGHT)
    (folder / "regrade.md").write_text("please")
    (course.grading / "submitted").rename(course.root / "download")
    collect(course, STAGE, course.root / "download")
    done = CliRunner().invoke(app, ["grade", STAGE, "--course", str(course.root)])
    assert done.exit_code == 0
    assert f"1 request to look at a grade again: autograder requests {STAGE}\n" in done.stdout
