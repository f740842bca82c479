import getpass
import json
import os
import shutil
import stat
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from autograder.cli import app
from autograder.course import Course, read_course
from autograder.handed_in import attempts
from autograder.handed_in.attempts import Attempt, collect, counting_attempt, place_attempts, read_attempts, received_at
from autograder.handed_in.files import regular_files
from autograder.handed_in.submissions import Submission
from starter.errors import InputError

STAGE = "04_baselines"
NOTEBOOK = f"{STAGE}.ipynb"
ROSTER = """
[roster]
students = [
    {id = "ada", name = "Ada Lovelace", canvas_id = "11", team = "red"},
    {id = "bob", name = "O'Hara, Bób-Jan", canvas_id = "12", team = "red"},
    {id = "cyd", name = "Cyd Charisse", canvas_id = "13"},
    {id = "dan", name = "cyd CHARISSE"},
    {id = "eve", name = "Eve Adams", canvas_id = "15"},
]
"""
LOGIN = getpass.getuser()


def made(
    folder: Path, stage: str = "deadline = 2020-10-01T12:00:00Z\nextensions = {cyd = 24}", more: str = ""
) -> Course:
    """Write a course whose stage is due on 2020-10-01."""
    folder.mkdir(exist_ok=True)
    (folder / "course.toml").write_text(
        f'[course]\nname = "small"\n[limits]\nsubmission_mib = 1\nprediction_mib = 1\n[late]\ngrace_hours = 1\n'
        f"[stages.01_primer]\n[stages.{STAGE}]\n{stage}\n{more}"
    )
    return read_course(folder)


def day(number: int, hour: int = 0) -> datetime:
    return datetime(2020, 10, number, hour, tzinfo=UTC)


def folder_of(path: Path, **notebooks: str) -> Path:
    """Write <student>/<stage>.ipynb for each student."""
    for student, content in notebooks.items():
        (path / student).mkdir(parents=True)
        (path / student / NOTEBOOK).write_text(content)
    return path


def zip_of(path: Path, files: dict[str, str]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def submitted(course: Course, student: str, name: str = NOTEBOOK) -> str:
    return (course.grading / "submitted" / student / STAGE / name).read_text()


def all_files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def files_of(course: Course, attempt: Attempt) -> dict[str, bytes]:
    return all_files(attempts.attempt_folder(Submission(course, STAGE, attempt.student), attempt))


# the exchange


@pytest.fixture
def exchange(tmp_path: Path) -> Course:
    course = made(tmp_path / "course")
    (tmp_path / "exchange" / "small" / "inbound").mkdir(parents=True)
    (course.root / "nbgrader_config.py").write_text(
        f"c = get_config()\nc.Exchange.root = {str(tmp_path / 'exchange')!r}\nc.ExchangeCollect.check_owner = False\n"
    )
    return course


def hand_in(course: Course, student: str, content: str, stage: str = STAGE, stamp: str = "2001-01-01 00:00:00") -> Path:
    """Hand in as `nbgrader submit` does, with a clock that is set back."""
    inbound = course.root.parent / "exchange" / "small" / "inbound"
    folder = inbound / f"{student}+{stage}+{stamp} UTC+{len(list(inbound.iterdir()))}"
    folder.mkdir()
    (folder / NOTEBOOK).write_text(content)
    (folder / "timestamp.txt").write_text(f"{stamp} UTC")
    for path in folder.iterdir():
        os.utime(path, (1, 1))
    return folder


def test_an_attempt_in_the_exchange_was_received_when_its_files_last_changed_whatever_it_says_itself(exchange: Course):
    folder = hand_in(exchange, "ada", "late")
    changed = max(path.stat().st_ctime for path in folder.iterdir())
    done = collect(exchange, STAGE)
    assert [attempt.student for attempt in done.new] == ["ada"]
    assert done.new[0].received == datetime.fromtimestamp(changed, UTC)
    assert received_at(Submission(exchange, STAGE, "ada")) == done.new[0].received
    assert done.new[0].name == f"{done.new[0].received:%Y%m%dT%H%M%SZ}"
    assert (submitted(exchange, "ada"), submitted(exchange, "ada", "timestamp.txt")) == (
        "late",
        "2001-01-01 00:00:00 UTC",
    )


def test_collecting_twice_adds_nothing_and_what_changed_since_is_a_new_attempt(exchange: Course):
    first = hand_in(exchange, "ada", "first")
    hand_in(exchange, "ada", "other stage", stage="01_primer")
    collect(exchange, STAGE)
    before = all_files(exchange.grading)
    assert (collect(exchange, STAGE).new, collect(exchange, STAGE).known) == ([], 1)
    for path in first.iterdir():
        path.chmod(0o600)  # changes the time, not the files
    assert collect(exchange, STAGE).new == []
    assert all_files(exchange.grading) == before
    (first / NOTEBOOK).write_text("changed after it was collected")
    assert len(collect(exchange, STAGE).new) == 1
    assert submitted(exchange, "ada") == "changed after it was collected"
    kept = all_files(exchange.grading / "attempts")
    assert {name: kept[name] for name in all_files(exchange.grading) if name in kept} == {
        name: content for name, content in kept.items() if name in before
    }
    assert [json.loads(kept[name])["student"] for name in kept if name.endswith(".json")] == ["ada", "ada"]


def test_links_and_pipes_in_the_exchange_are_left_out(exchange: Course, tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_text("hidden")
    folder = hand_in(exchange, "ada", "mine")
    (folder / "link.txt").symlink_to(secret)
    (folder / "folder").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    (folder / "line\nbreak").write_text("odd")
    done = collect(exchange, STAGE)
    assert sorted(name.partition("/")[2] for name in done.left_out) == ["folder", "line\nbreak", "link.txt", "pipe"]
    assert sorted(all_files(exchange.grading / "submitted")) == [
        f"ada/{STAGE}/{NOTEBOOK}",
        f"ada/{STAGE}/timestamp.txt",
    ]


@pytest.mark.parametrize("place_of", ["file", "folder"])
def test_a_link_that_is_set_while_files_are_read_is_not_followed(exchange: Course, tmp_path: Path, place_of: str):
    (tmp_path / "inner").mkdir()
    (tmp_path / "inner" / "answer.txt").write_text("hidden")
    folder = hand_in(exchange, "ada", "mine")
    (folder / "inner").mkdir()
    (folder / "inner" / "answer.txt").write_text("mine")
    listed = regular_files(folder)["inner/answer.txt"]
    shutil.rmtree(folder / "inner")
    if place_of == "folder":
        (folder / "inner").symlink_to(tmp_path / "inner")
    else:
        (folder / "inner").mkdir()
        (folder / "inner" / "answer.txt").symlink_to(tmp_path / "inner" / "answer.txt")
    with pytest.raises(OSError, match="Not a directory|Too many levels of symbolic links"), listed.open():
        pass


def test_a_file_that_changes_while_it_is_read_is_not_taken(exchange: Course):
    folder = hand_in(exchange, "ada", "mine")
    listed = regular_files(folder)[NOTEBOOK]
    with pytest.raises(InputError, match="04_baselines.ipynb changed while it was read; collect again"), listed.open():
        (folder / NOTEBOOK).write_text("more than that")


def test_who_hands_in_for_somebody_else_is_listed(exchange: Course):
    config = exchange.root / "nbgrader_config.py"
    config.write_text(config.read_text().replace("check_owner = False", "check_owner = True"))
    hand_in(exchange, LOGIN, "mine")
    hand_in(exchange, "ada", "for somebody else")
    done = collect(exchange, STAGE)
    assert [attempt.student for attempt in done.new] == [LOGIN]
    assert len(done.refused) == 1
    assert f"it belongs to {LOGIN}, who may have handed in for somebody else" in done.refused[0]


def test_settings_that_an_earlier_kit_wrote_are_renewed_and_name_the_exchange(exchange: Course):
    config = exchange.root / "nbgrader_config.py"
    config.write_text(f"from autograder.gradebook import configuration\n{config.read_text()}")
    hand_in(exchange, "ada", "mine")
    run = CliRunner().invoke(app, ["collect", STAGE, "--course", str(exchange.root)])
    assert "collected 1 new attempt" in run.stdout
    assert config.read_text().startswith("from autograder.gradebook.book import configuration\nc = get_config()\n")


def test_an_exchange_that_is_not_there_says_where_it_is_set(exchange: Course):
    shutil.rmtree(exchange.root.parent / "exchange")
    with pytest.raises(InputError, match=r"cannot read nbgrader's exchange .*inbound: .*; set c.Exchange.root in .*"):
        collect(exchange, STAGE)
    with pytest.raises(InputError, match="nbgrader's exchange tells it itself"):
        collect(exchange, STAGE, received=day(1))


# which attempt counts


def test_the_last_attempt_in_time_counts_and_later_ones_are_kept(tmp_path: Path):
    course = made(tmp_path / "course")
    for content, time in (("second", day(1, 13)), ("first", day(1, 11)), ("third", day(1, 14))):
        collect(course, STAGE, folder_of(tmp_path / content, ada=content, cyd=content), time)
    # ada has an hour of grace, and cyd a day more
    assert (submitted(course, "ada"), received_at(Submission(course, STAGE, "ada"))) == ("second", day(1, 13))
    assert (submitted(course, "cyd"), received_at(Submission(course, STAGE, "cyd"))) == ("third", day(1, 14))
    assert [attempt.received for attempt in read_attempts(Submission(course, STAGE, "ada"))] == [
        day(1, hour) for hour in (11, 13, 14)
    ]
    # a deadline that is moved changes what counts
    earlier = made(course.root, "deadline = 2020-10-01T11:00:00Z")
    assert place_attempts(earlier, STAGE) == ["ada", "cyd"]
    assert (submitted(course, "ada"), submitted(course, "cyd")) == ("first", "first")
    assert place_attempts(earlier, STAGE) == []
    assert place_attempts(made(course.root, ""), STAGE, ["ada"]) == ["ada"]
    assert (submitted(course, "ada"), submitted(course, "cyd")) == ("third", "first")


def test_if_all_are_late_the_last_one_counts(tmp_path: Path):
    course = made(tmp_path / "course")
    for number in (3, 2):
        collect(course, STAGE, folder_of(tmp_path / str(number), ada=str(number)), day(number))
    assert (submitted(course, "ada"), received_at(Submission(course, STAGE, "ada"))) == ("3", day(3))


def test_what_was_in_an_earlier_download_was_received_then(tmp_path: Path):
    course = made(tmp_path / "course")
    for time, content, new in (
        (day(5), "a", 1),
        (day(1), "a", 1),  # the download that was made at the deadline, collected afterwards
        (day(6), "b", 1),
        (day(7), "b", 0),
        (day(8), "a", 1),  # handed in again
        (day(1), "a", 0),
    ):
        assert (
            len(collect(course, STAGE, folder_of(tmp_path / str(len(list(tmp_path.iterdir()))), ada=content), time).new)
            == new
        )
    assert [attempt.received.day for attempt in read_attempts(Submission(course, STAGE, "ada"))] == [1, 5, 6, 8]
    assert received_at(Submission(course, STAGE, "ada")) == day(1)


def test_a_team_has_one_pool_of_attempts(tmp_path: Path):
    course = made(tmp_path / "course", more=ROSTER)
    collect(course, STAGE, folder_of(tmp_path / "1", ada="ada's"), day(1, 9))
    assert submitted(course, "bob") == "ada's"
    done = collect(course, STAGE, folder_of(tmp_path / "2", bob="bob's", eve="eve's"), day(1, 10))
    assert done.placed == ["ada", "bob", "eve"]
    assert [submitted(course, name) for name in ("ada", "bob", "eve")] == ["bob's", "bob's", "eve's"]
    assert counting_attempt(Submission(course, STAGE, "ada")).student == "bob"
    assert received_at(Submission(course, STAGE, "ada")) == day(1, 10)


def test_what_was_placed_by_hand_is_kept_and_in_time(tmp_path: Path):
    course = made(tmp_path / "course")
    folder_of(course.grading / "submitted" / "ada", **{STAGE: "by mail"})
    folder_of(course.grading / "submitted" / "bob", **{STAGE: "by hand"})
    assert received_at(Submission(course, STAGE, "ada")) is None
    assert place_attempts(course, STAGE) == []
    ada = Submission(course, STAGE, "ada")
    late = collect(course, STAGE, folder_of(tmp_path / "late", ada="late"), day(9))
    assert (late.kept, submitted(course, "ada"), received_at(ada)) == (["ada"], "by mail", None)
    assert [attempt.name for attempt in read_attempts(ada)] == ["undated", "20201009T000000Z"]
    in_time = collect(course, STAGE, folder_of(tmp_path / "time", ada="in time"), day(1))
    assert (in_time.kept, submitted(course, "ada"), received_at(ada)) == ([], "in time", day(1))
    assert (course.grading / "attempts" / STAGE / "ada" / "undated" / NOTEBOOK).read_text() == "by mail"
    assert (submitted(course, "bob"), read_attempts(Submission(course, STAGE, "bob"))) == ("by hand", [])


def test_what_counted_stays_until_the_next_one_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    course = made(tmp_path / "course")
    collect(course, STAGE, folder_of(tmp_path / "1", ada="first"), day(1, 1))

    def full(source: Path, target: Path) -> None:
        target.mkdir()
        (target / NOTEBOOK).write_text("ha")
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(attempts.shutil, "copytree", full)
        with pytest.raises(InputError, match="cannot write .*ada/04_baselines: No space left on device"):
            collect(course, STAGE, folder_of(tmp_path / "2", ada="second"), day(1, 2))
    assert all_files(course.grading / "submitted") == {f"ada/{STAGE}/{NOTEBOOK}": b"first"}
    assert place_attempts(course, STAGE) == ["ada"]
    assert all_files(course.grading / "submitted") == {f"ada/{STAGE}/{NOTEBOOK}": b"second"}


def test_an_attempt_without_its_record_is_collected_again(tmp_path: Path):
    course = made(tmp_path / "course")
    source = folder_of(tmp_path / "1", ada="first")
    collect(course, STAGE, source, day(1))
    folder = course.grading / "attempts" / STAGE / "ada"
    (folder / "20201001T000000Z.json").unlink()
    assert [attempt.name for attempt in collect(course, STAGE, source, day(1)).new] == ["20201001T000000Z-2"]
    (folder / "20201001T000000Z-2.json").write_text("{}")
    with pytest.raises(InputError, match="20201001T000000Z-2.json is damaged .*; restore it from a backup"):
        collect(course, STAGE, source, day(1))


def test_a_link_in_the_place_of_a_submission_is_not_written_through(tmp_path: Path):
    course = made(tmp_path / "course")
    (tmp_path / "else").mkdir()
    (course.grading / "submitted" / "ada").mkdir(parents=True)
    (course.grading / "submitted" / "ada" / STAGE).symlink_to(tmp_path / "else")
    with pytest.raises(InputError, match="ada/04_baselines is a link, which is not graded; remove it"):
        collect(course, STAGE, folder_of(tmp_path / "1", ada="first"), day(1))
    assert list((tmp_path / "else").iterdir()) == []


# downloads


def test_plain_folders_and_archives_are_taken_alike(tmp_path: Path):
    files = {
        f"ada/{NOTEBOOK}": "a",
        "ada/prediction.h5ad": "p",
        "ada/01_primer.ipynb": "other stage",
        f"bob/{STAGE}/{NOTEBOOK}": "b",
        f"bob/{STAGE}/data/x.csv": "x",
        "bob/01_primer/01_primer.ipynb": "other stage",
        "cyd/01_primer.ipynb": "other stage",
        "dan/notebook.ipynb": "misnamed",
        "a b/04_baselines.ipynb": "odd",
        "list.txt": "beside",
    }
    for name, content in files.items():
        path = tmp_path / "folder" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    for source in (tmp_path / "folder", zip_of(tmp_path / "files.zip", files)):
        course = made(tmp_path / "course")
        done = collect(course, STAGE, source)
        assert all_files(course.grading / "submitted") == {
            f"ada/{STAGE}/{NOTEBOOK}": b"a",
            f"ada/{STAGE}/prediction.h5ad": b"p",
            f"bob/{STAGE}/{NOTEBOOK}": b"b",
            f"bob/{STAGE}/data/x.csv": b"x",
        }
        assert sorted(done.refused) == [
            "a b: not collected: a student's folder is named with letters, digits and . _ @ -",
            "dan: not collected: notebook.ipynb has none of the questions of this stage; name the notebook that counts "
            f"{NOTEBOOK}",
        ]
        assert done.left_out == ["list.txt"]
        shutil.rmtree(course.root)


def test_the_time_of_a_download_is_its_own_and_not_that_of_the_files_in_it(tmp_path: Path):
    course = made(tmp_path / "course")
    source = tmp_path / "files.zip"
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr(zipfile.ZipInfo(f"ada/{NOTEBOOK}", (2001, 1, 1, 0, 0, 0)), "a")
    os.utime(source, (day(7).timestamp(),) * 2)
    assert collect(course, STAGE, source).new[0].received == day(7)
    folder = folder_of(tmp_path / "folder", bob="b")
    os.utime(folder / "bob" / NOTEBOOK, (1, 1))
    assert datetime.now(UTC) - collect(course, STAGE, folder).new[0].received < timedelta(minutes=1)


def test_moodle_is_matched_by_names(tmp_path: Path):
    course = made(tmp_path / "course", more=ROSTER)
    source = zip_of(
        tmp_path / "moodle.zip",
        {
            f"Lovelace  ADA_101_assignsubmission_file_/{NOTEBOOK}": "a",
            "Lovelace  ADA_101_assignsubmission_file_/data/x_7_assignsubmission_file_/y": "x",
            "Lovelace  ADA_101_assignsubmission_onlinetext_/onlinetext.html": "typed",
            f"Bo\u0301b-Jan OHara_102_assignsubmission_file_{NOTEBOOK}": "b",
            f"Cyd Charisse_103_assignsubmission_file/{NOTEBOOK}": "c",
            f"Eve Adams_104_assignsubmission_file_/{NOTEBOOK}": "one",
            f"Eve Adams_105_assignsubmission_file_/{NOTEBOOK}": "or the other",
            f"Mallory\x1b_106_assignsubmission_file_/{NOTEBOOK}": "steers a terminal",
            f"Mallory_107_assignsubmission_file_/{NOTEBOOK}": "m",
            "grades.csv": "g",
        },
    )
    done = collect(course, STAGE, source, day(1))
    same = "called like eve of the roster; collect theirs by hand"
    assert sorted(done.refused) == [
        "Cyd Charisse (103): not collected: more than one in the roster of course.toml has this name: cyd, dan",
        *(f"Eve Adams ({number}): not collected: 2 participants are {same}" for number in (104, 105)),
        "Mallory (107): not collected: nobody in the roster of course.toml has this name",
    ]
    assert {attempt.student: files_of(course, attempt) for attempt in done.new} == {
        "ada": {NOTEBOOK: b"a", "data/x_7_assignsubmission_file_/y": b"x"},
        "bob": {NOTEBOOK: b"b"},
    }
    assert done.left_out == [f"Mallory\x1b_106_assignsubmission_file_/{NOTEBOOK}", "grades.csv"]


def test_a_group_of_moodle_is_the_team_of_its_name(tmp_path: Path):
    course = made(tmp_path / "course", more=ROSTER)
    source = zip_of(tmp_path / "moodle.zip", {f"Red_77_assignsubmission_file/{NOTEBOOK}": "of both"})
    assert [attempt.student for attempt in collect(course, STAGE, source, day(1)).new] == ["ada"]
    assert [submitted(course, student) for student in ("ada", "bob")] == ["of both", "of both"]


def test_canvas_is_matched_by_its_ids(tmp_path: Path):
    course = made(tmp_path / "course", more=ROSTER)
    source = zip_of(
        tmp_path / "submissions.zip",
        {
            "lovelaceada_11_9001_04_baselines-2.ipynb": "a",
            "lovelaceada_11_9002_prediction.h5ad": "p",
            "oharabob_LATE_12_9003_04_baselines.ipynb": "b",
            "mallory_99_13_04_baselines.ipynb": "m",
            "mallory_13_99_9004_04_baselines.ipynb": "called mallory_13",
        },
    )
    done = collect(course, STAGE, source, day(1))
    assert {attempt.student: files_of(course, attempt) for attempt in done.new} == {
        "ada": {NOTEBOOK: b"a", "prediction.h5ad": b"p"},
        "bob": {NOTEBOOK: b"b"},
    }
    assert done.refused == [
        f"mallory_13_99_9004_{NOTEBOOK}: not collected: its numbers may be another student's; collect it by hand",
        "mallory (99): not collected: nobody in the roster of course.toml has the canvas_id 99",
    ]


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (f"Ada Lovelace_1_assignsubmission_file_/{NOTEBOOK}", "Moodle, whose files are matched by a student's name"),
        (f"lovelaceada_11_9_{NOTEBOOK}", "Canvas, whose files are matched by a student's canvas_id"),
        (
            "ada/01_primer.ipynb",
            "files.zip holds nothing for 04_baselines: a folder or .zip has <student>/04_baselines",
        ),
    ],
)
def test_a_download_that_cannot_be_matched_says_what_to_do(tmp_path: Path, name: str, said: str):
    with pytest.raises(InputError, match=said):
        collect(made(tmp_path / "course"), STAGE, zip_of(tmp_path / "files.zip", {name: "x"}), day(1))


def test_who_is_not_in_the_roster_is_listed(tmp_path: Path):
    course = made(tmp_path / "course", more=ROSTER)
    done = collect(course, STAGE, folder_of(tmp_path / "1", eve="e", mallory="m"), day(1))
    assert [attempt.student for attempt in done.new] == ["eve"]
    assert done.refused == ["mallory: not collected: mallory is not in the roster of course.toml"]
    assert not (course.grading / "submitted" / "mallory").exists()


def test_a_hostile_archive_writes_nothing_but_plain_files(tmp_path: Path):
    course = made(tmp_path / "course")
    source = tmp_path / "files.zip"
    link = zipfile.ZipInfo("ada/link")
    link.create_system, link.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    names = (
        "/etc/evil",
        "../evil",
        "ada/../../evil",
        "ada/..\\evil",
        "ada//evil",
        "ada/" + "x" * 600,
        "ada/" + "d/" * 20 + "e",
    )
    with zipfile.ZipFile(source, "w") as archive:
        archive.writestr(link, "/etc/passwd")
        archive.writestr(f"ada/{NOTEBOOK}", "a")
        for name in names:
            archive.writestr(name, "evil")
    with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(source, "a") as archive:
        archive.writestr(f"ada/{NOTEBOOK}", "the second of this name")
    done = collect(course, STAGE, source, day(1))
    shown = [name.replace("\\", "/") for name in names]
    assert sorted(done.left_out) == sorted([*shown, "ada/link", f"ada/{NOTEBOOK}"])
    assert all_files(course.grading / "submitted") == {f"ada/{STAGE}/{NOTEBOOK}": b"a"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["course", "files.zip"]


def test_a_bomb_is_refused_before_it_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    course = made(tmp_path / "course")
    files = {f"ada/{NOTEBOOK}": "a", "ada/bomb": "0" * (3 << 20), f"bob/{NOTEBOOK}": "b"}
    source = zip_of(tmp_path / "files.zip", files)
    assert source.stat().st_size < 10_000
    done = collect(course, STAGE, source, day(1))
    assert done.refused == [
        "ada: not collected: 3 MiB are more than the 2 MiB that course.toml allows ([limits] submission_mib and "
        "prediction_mib)"
    ]
    assert [attempt.student for attempt in done.new] == ["bob"]
    many = zip_of(tmp_path / "many.zip", {f"cyd/{NOTEBOOK}": "c"} | {f"cyd/{number}": "" for number in range(200)})
    assert collect(course, STAGE, many, day(1)).refused == [
        "cyd: not collected: it has 201 files, and 200 may be handed in"
    ]
    usage = shutil.disk_usage(tmp_path)._replace(free=3 << 20)
    monkeypatch.setattr(attempts.shutil, "disk_usage", lambda path: usage)
    half = zip_of(tmp_path / "half.zip", {f"dan/{NOTEBOOK}": "0" * (2 << 20)})
    with pytest.raises(
        InputError, match="0.0 GB are to be collected, which needs twice as much room, and .* make room"
    ):
        collect(course, STAGE, half, day(1))
    assert not (course.grading / "attempts" / STAGE / "dan").exists()


def test_an_archive_that_lies_about_a_file_loses_that_student_alone(tmp_path: Path):
    course = made(tmp_path / "course")
    source = zip_of(tmp_path / "files.zip", {f"ada/{NOTEBOOK}": "abcdefgh" * 9, f"bob/{NOTEBOOK}": "b"})
    content = bytearray(source.read_bytes())
    entry = content.index(b"PK\x01\x02")
    content[entry + 24 : entry + 28] = (10_000).to_bytes(4, "little")  # the size of ada's file in the directory
    source.write_bytes(content)
    done = collect(course, STAGE, source, day(1))
    assert [attempt.student for attempt in done.new] == ["bob"]
    assert len(done.refused) == 1
    assert done.refused[0].startswith("ada: not collected: ")
    assert sorted(path.name for path in (course.grading / "attempts" / STAGE).rglob("*.ipynb")) == [NOTEBOOK]


def test_a_file_that_is_no_archive_is_refused(tmp_path: Path):
    course = made(tmp_path / "course")
    (tmp_path / "files.zip").write_text("<html>")
    with pytest.raises(InputError, match="files.zip is no .zip archive that can be read .*; download it again"):
        collect(course, STAGE, tmp_path / "files.zip", day(1))
    with pytest.raises(InputError, match="cannot read .*gone.zip"):
        collect(course, STAGE, tmp_path / "gone.zip", day(1))
    with pytest.raises(InputError, match="has no stage '05_cvae'"):
        collect(course, "05_cvae", tmp_path / "files.zip", day(1))


def test_a_record_says_what_the_grader_knows(tmp_path: Path):
    course = made(tmp_path / "course")
    attempt = collect(
        course, STAGE, folder_of(tmp_path / "1", ada="a"), datetime.fromisoformat("2020-10-01T02:00:00+02:00")
    ).new[0]
    folder = course.grading / "attempts" / STAGE / "ada"
    assert sorted(path.name for path in folder.iterdir()) == ["20201001T000000Z", "20201001T000000Z.json"]
    assert [path.name for path in (folder / "20201001T000000Z").iterdir()] == [NOTEBOOK]
    about = json.loads((folder / "20201001T000000Z.json").read_text())
    assert (about["student"], about["received"], about["source"]) == ("ada", "2020-10-01T00:00:00Z", "")
    assert read_attempts(Submission(course, STAGE, "ada")) == [attempt]
    assert isinstance(attempt, Attempt)


def test_the_command_says_what_it_did_and_what_not(tmp_path: Path):
    course = made(tmp_path / "course", more=ROSTER)
    source = folder_of(tmp_path / "1", cyd="c", mallory="m")

    def run(received: str) -> Result:
        arguments = ["collect", STAGE, str(source), "--course", str(course.root), "--received", received]
        return CliRunner().invoke(app, arguments)

    with pytest.raises(InputError, match="--received 2020-10-03T23:59: write date, time and zone, as 2026-10-01T23:59"):
        raise run("2020-10-03T23:59").exception
    done = run("2020-10-03T23:59:00+02:00")
    assert done.exit_code == 2
    row = next(line for line in done.stdout.splitlines() if "cyd" in line)
    assert [cell.strip() for cell in row.strip("│").split("│")] == ["cyd", "2020-10-03 21:59:00 UTC", "2", "yes"]
    assert "collected 1 new attempt; 0 were there before\n" in done.stdout
    assert "in grading/submitted/ there is another attempt now of: cyd\n" in done.stdout
    assert done.stderr == "mallory: not collected: mallory is not in the roster of course.toml\n"
    assert run("2020-10-03T21:59:00Z").stdout == "collected 0 new attempts; 1 were there before\n"


def test_times_are_shown_in_the_zone_of_the_deadline_too(tmp_path: Path):
    course = made(tmp_path / "course", stage="deadline = 2020-10-01T12:00:00+02:00")
    source = folder_of(tmp_path / "1", cyd="c")
    arguments = ["collect", STAGE, str(source), "--course", str(course.root), "--received", "2020-10-01T22:30:00Z"]
    done = CliRunner().invoke(app, arguments)
    row = next(line for line in done.stdout.splitlines() if "cyd" in line)
    shown = ["2020-10-01 22:30:00 UTC", "2020-10-02 00:30:00 +0200"]
    assert [cell.strip() for cell in row.strip("│").split("│")] == ["cyd", *shown, "1", "yes"]
