"""The instructor's pages of the stages: the numbers of `autograder stats`, each with what is behind it."""

import dataclasses
import html
import json
import re
import shutil
import socket
import threading
import warnings
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

import pytest
import scipy.stats
import uvicorn
from copies import copied
from fastapi.testclient import TestClient
from handing_in import STAGE, WRONG, answer, put_result, submit
from nbgrader.api import Gradebook
from six_answers import ANSWERS, CAUSE
from typer.testing import CliRunner

from autograder.cli import app
from autograder.course import Course, read_course
from autograder.gradebook.book import record_results
from autograder.gradebook.stats import UNKNOWN
from autograder.grading.judge import EMPTY
from autograder.grading.results import QuestionResult
from autograder.handed_in.attempts import collect
from autograder.leaderboard.accounts import make_tokens
from autograder.leaderboard.stage_records import write_records
from autograder.leaderboard.stage_watch import StageWatch
from autograder.leaderboard.store import open_board
from autograder.leaderboard.tables import INSTRUCTOR, TEAM
from autograder.leaderboard.web.app import make_app
from autograder.leaderboard.web.site import Site
from autograder.questions.question import PREDICTION

PAGE = {"Accept": "text/html"}
ROOT = f"/instructor/stages/{STAGE}"
RUNS = "<script>window.ran = 1</script><img src=x onerror='window.ran = 1'>"
WHY = {"ada": 4.0, "bob": 2.0, "cyd": 1.0, "dan": 0.0, "eve": 4.0, "fay": 4.0, "hal": 3.0}
"""Points by hand, of 4."""


def by_hand(course: Course) -> None:
    """Give points for what is answered in words, so that all but cyd's grade is settled."""
    with warnings.catch_warnings(), Gradebook(f"sqlite:///{course.grading / 'gradebook.db'}") as gradebook:
        warnings.simplefilter("ignore")  # nbgrader's own queries
        for student, points in WHY.items():
            grade = gradebook.find_grade("why", STAGE, STAGE, student)
            grade.manual_score, grade.needs_manual_grade = points, False
        gradebook.db.commit()


@pytest.fixture(scope="module")
def course(recorded_once: Course, tmp_path_factory: pytest.TempPathFactory) -> Course:
    """The small class, and hal, whose notebook is hostile and who asks for another look; all but cyd are settled."""
    course = copied(recorded_once, tmp_path_factory.mktemp("stages") / "course")
    with (course.root / "course.toml").open("a") as settings:
        settings.write('\n[[roster.students]]\nid = "hal"\n\n[stages.01_biology_primer]\n')
    course = read_course(course.root)
    folder = tmp_path_factory.mktemp("download")
    shutil.move(submit(course, "hal", f"{WRONG}\n# {RUNS}").parent, folder)
    (folder / "hal" / STAGE / "regrade.md").write_text(f"Question 1: {RUNS}")
    collect(course, STAGE, folder, datetime(2026, 10, 1, tzinfo=UTC))
    answer(course, "hal", RUNS)
    put_result(course, "hal", [dataclasses.replace(ANSWERS["eve"], reason=f"NameError: {RUNS}", seconds=0.2)])
    assert record_results(course, STAGE, ["hal"]) == {}
    by_hand(course)
    return course


@pytest.fixture(scope="module")
def records(course: Course, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("records")
    assert STAGE in write_records(course, folder)
    return folder


@pytest.fixture
def site(records: Path, tmp_path: Path) -> Site:
    return Site(open_board(f"sqlite:///{tmp_path}/board.db"), tmp_path, "A board", 2, 1 << 20, stages=records)


@pytest.fixture
def client(site: Site) -> Iterator[TestClient]:
    tokens = make_tokens(site.engine, ["teacher"], INSTRUCTOR) | make_tokens(site.engine, ["owls"], TEAM)
    with TestClient(make_app(site, slow=0.1), follow_redirects=False) as client:
        client.headers["Authorization"] = f"Bearer {tokens['teacher']}"
        client.app.state.team = tokens["owls"]
        yield client


def text_of(client: TestClient, path: str) -> str:
    answer = client.get(path, headers=PAGE)
    assert answer.status_code == 200, (path, answer.text)
    return answer.text


def links(page: str) -> dict[str, str]:
    """Label of each link that has one to where it leads."""
    found = re.findall(r'<a href="([^"]+)" aria-label="([^"]+)"', page)
    return {html.unescape(label): html.unescape(path) for path, label in found}


def listed(client: TestClient, path: str) -> list[str]:
    """The students of a list of submissions."""
    rows = re.findall(r'<th scope="row">(?:<a [^>]+>)?([a-z]+)', text_of(client, path))
    assert f": {len(rows)}</h1>" in text_of(client, path)
    return rows


def test_numbers_are_those_worked_out_by_hand_and_lead_to_what_is_behind_them(client: TestClient):
    page = text_of(client, ROOT)
    of = links(page)
    groups = {
        "handed in: 8": [*ANSWERS, "hal", "zoe"], "graded: 7": [*ANSWERS, "hal"], "not graded yet: 1": ["zoe"],
        "missing: 1": ["gus"], "held: 1": ["cyd"], "waiting for you: 1": ["cyd"], "asking for another look: 1": ["hal"],
        # of six hand-ins, since ada and fay are one
        f"train_mean, {CAUSE}: 33 %": ["bob", "cyd"], f"train_mean, {EMPTY}: 17 %": ["dan"],
        f"train_mean, {UNKNOWN}: 33 %": ["eve", "hal"], "train_mean, right: 17 %": ["ada"],
        "train_mean, waiting for you: 1": ["cyd"],
        # of those that are settled
        "train_mean, all points: 20 %": ["ada"], "train_mean, no points: 60 %": ["dan", "eve", "hal"],
        "why, all points: 33 %": ["ada", "eve"],
        # of nine points, in ten bins: dan 0, hal 3, bob 2 + 2, eve 4, ada and fay 5 + 4
        "students with 0 to 0.9 points: 1": ["dan"], "students with 2.7 to 3.6 points: 1": ["hal"],
        "students with 3.6 to 4.5 points: 2": ["bob", "eve"], "students with 8.1 to 9 points: 2": ["ada", "fay"],
    }  # fmt: skip
    assert {label: listed(client, of[label]) for label in groups} == groups
    assert listed(client, f"{ROOT}/submissions?question=train_mean") == ["eve", "bob", "cyd", "ada", "hal", "dan"]
    item, rest = [5, 2, 0, 0, 0], [4, 2, 0, 4, 3]
    told = [scipy.stats.pearsonr(*pair).statistic for pair in ((item, rest), (rest, item))]
    assert re.findall(r">([−\d.]+ ?%?)</a></td>", page.split("<tbody>")[1].split("</tbody>")[0]) == [
        "5", "28 %", f"{told[0]:.2f}", "9.0", "6", "58 %", f"{told[1]:.2f}"
    ]  # fmt: skip
    assert re.findall(r"<li><a [^>]+>(\w+)</a> ([\d.]+) s", page) == [
        ("eve", "9.0"), ("bob", "2.0"), ("cyd", "1.0"), ("ada", "0.5"), ("hal", "0.2")
    ]  # fmt: skip


def test_the_command_prints_the_same(client: TestClient, course: Course):
    printed = CliRunner().invoke(app, ["stats", STAGE, "--course", str(course.root)]).output
    page = text_of(client, ROOT)
    said = {"not graded yet": "not graded", "missing": "nothing handed in", "held": "held by the grader"}
    groups = [label.rsplit(": ", 1) for label, path in links(page).items() if "?group=" in path]
    assert len(groups) == 7
    for name, n in groups:
        assert f"{said.get(name, name)}: {n} (" in printed
    for number in re.findall(r"\d\d %", page.split("<tbody>")[1].split("</tbody>")[0]):
        assert number.replace(" ", "") in printed
    slowest = re.findall(r"<li><a [^>]+>(\w+)</a> ([\d.]+ s)", page)
    assert f"slowest: {', '.join(f'{name} {seconds} (train_mean)' for name, seconds in slowest)}" in printed


def test_scores_of_predictions_are_those_of_their_scorecards(
    course: Course, site: Site, client: TestClient, tmp_path: Path
):
    course = copied(course, tmp_path / "course")
    for student in ("ada", "fay", "bob", "eve"):
        path = course.grading / "results" / STAGE / f"{student}.json"
        result = json.loads(path.read_text())
        result["questions"].append(asdict(QuestionResult(PREDICTION, 1.0, 5.0, "by the rubric", 0.0, came="scored")))
        path.write_text(json.dumps(result))
    for student, overall in (("ada", 0.62), ("fay", 0.62), ("bob", -0.25), ("eve", 0.1), ("dan", 5.0)):  # dan's is old
        card = course.grading / "scorecards" / STAGE / student / "scorecard.json"
        card.parent.mkdir(parents=True)
        card.write_text(json.dumps({"overall": overall}))
    write_records(course, tmp_path / "records")
    with TestClient(make_app(dataclasses.replace(site, stages=tmp_path / "records"))) as other:
        other.headers["Authorization"] = client.headers["Authorization"]
        of = links(text_of(other, ROOT))
        # from -0.25 to 1, in ten bins
        groups = {
            "students with a score of -0.25 to -0.12: 1": ["bob"], "students with a score of 0 to 0.12: 1": ["eve"],
            "students with a score of 0.5 to 0.62: 2": ["ada", "fay"],
        }  # fmt: skip
        assert {label: listed(other, path) for label, path in of.items() if "?score=" in path} == groups
        assert other.get(f"{ROOT}/submissions?score=10", headers=PAGE).status_code == 404
        assert "0.620" in text_of(other, f"{ROOT}/submissions?group=graded")
    printed = CliRunner().invoke(app, ["stats", STAGE, "--course", str(course.root)]).output
    assert "scores of predictions: median 0.360, from -0.250 to 0.620 (4 students)" in printed


def test_a_feedback_page_of_a_hostile_notebook_runs_nothing(client: TestClient):
    page = client.get(f"{ROOT}/feedback/hal", headers=PAGE)
    policy = page.headers["content-security-policy"]
    assert policy.startswith("sandbox; default-src 'none'; ")
    assert "script" not in policy
    assert "allow-" not in policy
    assert page.headers["x-content-type-options"] == "nosniff"
    for shown in (page.text, text_of(client, ROOT), text_of(client, f"{ROOT}/submissions?group=graded")):
        assert "<script>" not in shown
        assert "<img src=x" not in shown
    assert "&lt;script&gt;window.ran" in page.text
    assert "Question 1: &lt;script&gt;" in text_of(client, ROOT)


def test_teams_and_strangers_see_none_of_it(client: TestClient):
    paths = [
        "/instructor/stages",
        ROOT,
        f"{ROOT}/submissions",
        f"{ROOT}/submissions?group=late",
        f"{ROOT}/feedback/ada",
    ]
    for path in [*paths, f"{ROOT}/feedback/ada"]:
        assert client.get(path, headers=PAGE).status_code == 200
        answer = client.get(path, headers=PAGE | {"Authorization": f"Bearer {client.app.state.team}"})
        assert answer.status_code == 404
        assert "ada" not in answer.text
        assert client.get(path, headers=PAGE | {"Authorization": ""}).status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/instructor/stages/99_nothing", f"{ROOT}/submissions?group=nobody", f"{ROOT}/submissions?question=nothing",
        f"{ROOT}/submissions?place=10", f"{ROOT}/feedback/gus", f"{ROOT}/feedback/zoe", f"{ROOT}/feedback/..%2fada",
        f"/instructor/stages/..%2f{STAGE}", f"/instructor/stages/pages%2f{STAGE}%2fada",
    ],
)  # fmt: skip
def test_what_is_not_there_is_not_found(client: TestClient, path: str):
    assert client.get(path, headers=PAGE).status_code == 404


def test_a_stage_without_grades_and_a_damaged_one_are_said_in_a_sentence(
    course: Course, site: Site, client: TestClient, tmp_path: Path
):
    page = text_of(client, "/instructor/stages")
    assert "nobody was graded for 01_biology_primer yet" in page
    assert "nobody was graded" in text_of(client, "/instructor/stages/01_biology_primer")
    broken = copied(course, tmp_path / "broken")
    next((broken.grading / "attempts" / STAGE / "hal").glob("*.json")).write_text("{")
    assert site.stages is not None
    write_records(broken, tmp_path / "records")
    with TestClient(make_app(dataclasses.replace(site, stages=tmp_path / "records"))) as other:
        other.headers["Authorization"] = client.headers["Authorization"]
        assert "is damaged (ValidationError); restore it from a backup" in text_of(other, "/instructor/stages")
        assert other.get(ROOT, headers=PAGE).status_code == 404
        assert "nobody was graded" in text_of(other, "/instructor/stages/01_biology_primer")
    with TestClient(make_app(dataclasses.replace(site, stages=tmp_path / "none"))) as other:
        other.headers["Authorization"] = client.headers["Authorization"]
        assert "within a minute" in text_of(other, "/instructor/stages")


def test_only_what_changed_is_written_again(course: Course, records: Path, tmp_path: Path):
    course, folder = copied(course, tmp_path / "course"), tmp_path / "records"
    assert sorted(write_records(course, folder)) == ["01_biology_primer", STAGE]
    pages = {path.name: path.stat().st_ino for path in (folder / "pages" / STAGE).iterdir()}
    assert set(pages) == {f"{student}.html" for student in (*ANSWERS, "hal")}
    assert write_records(course, folder) == []
    with Gradebook(f"sqlite:///{course.grading / 'gradebook.db'}") as gradebook:
        grade = gradebook.find_grade("train_mean", STAGE, STAGE, "bob")
        grade.manual_score, grade.needs_manual_grade = 1.0, False
        gradebook.db.commit()
    assert write_records(course, folder) == [STAGE]
    again = {path.name: path.stat().st_ino for path in (folder / "pages" / STAGE).iterdir()}
    assert {name for name in pages if pages[name] != again[name]} == {"bob.html"}
    (course.grading / "submitted" / "bob" / STAGE / "more.txt").write_text("new")
    assert write_records(course, folder) == [STAGE]
    record = json.loads((folder / f"{STAGE}.json").read_text())
    assert "submission changed since it was graded" in record["no_page"]["bob"]
    assert not (folder / "pages" / STAGE / "bob.html").exists()


@pytest.mark.slow  # it starts Python twice
def test_a_watch_writes_what_changed_and_says_what_fails(course: Course, tmp_path: Path):
    said: list[str] = []
    watch = StageWatch(course.root, tmp_path / "records", said.append)
    watch.look()
    assert watch.process is not None
    watch.process.join(600)  # it stands back, and beside other work takes minutes
    assert watch.process.exitcode == 0
    assert (tmp_path / "records" / f"{STAGE}.json").is_file()
    watch.look()
    watch.rests_until = 0
    watch.look()
    assert watch.process is None, "nothing changed"
    (tmp_path / "file").write_text("")
    broken = StageWatch(course.root, tmp_path / "file" / "records", said.append)
    broken.look()
    assert broken.process is not None
    broken.process.join(600)
    broken.look()
    assert said == ["the instructor's pages of the stages were not written; tried again in 60 s"]


@pytest.fixture
def served(site: Site) -> Iterator[tuple[str, str]]:
    """The address of a web process, and the instructor's token."""
    token = make_tokens(site.engine, ["teacher"], INSTRUCTOR)["teacher"]
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(make_app(site), log_level="warning"))
        thread = threading.Thread(target=server.run, args=([listening],))
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}", token
        server.should_exit = True
        thread.join()


@pytest.mark.parametrize(("scheme", "width", "spoken"), [("light", 1100, "en"), ("dark", 360, "zh")])
def test_a_person_gets_from_a_number_to_a_page_that_runs_nothing(
    browser, served: tuple[str, str], scheme: str, width: int, spoken: str
):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
    address, token = served
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme=scheme,
        locale=spoken,
        java_script_enabled=scheme == "dark",
    )
    page = context.new_page()
    page.goto(f"{address}/login")
    page.fill("#token", token)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{address}/instructor")
    page.get_by_role("link", name={"en": "Stages", "zh": "各阶段"}[spoken]).click()
    for path in ("", f"/{STAGE}", "/01_biology_primer", f"/{STAGE}/submissions", f"/{STAGE}/submissions?question=why"):
        page.goto(f"{address}/instructor/stages{path}")
        if scheme == "dark":
            assert axe.Axe().run(page).response["violations"] == []
            assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.goto(f"{address}{ROOT}")
    bar = page.locator("svg.points a").last
    bar.focus()
    page.keyboard.press("Enter")
    page.wait_for_url("**/submissions?place=9")
    assert page.get_by_role("row").count() == 3
    page.goto(f"{address}{ROOT}")
    page.get_by_role("link", name={"en": "asking for another look: 1", "zh": "请求复查: 1"}[spoken]).click()
    page.get_by_role("rowheader").get_by_role("link").click()
    assert page.url == f"{address}{ROOT}/feedback/hal"
    assert RUNS in page.content().replace("&lt;", "<").replace("&gt;", ">")
    assert page.locator("img[src=x]").count() == 0
    context.close()


def test_a_page_that_were_not_escaped_would_run_nothing_either(browser, served: tuple[str, str], records: Path):
    address, token = served
    context = browser.new_context(extra_http_headers={"Authorization": f"Bearer {token}"})
    page, asked = context.new_page(), []
    page.on("requestfinished", lambda request: asked.append(request.url))
    hostile = records / "pages" / STAGE / "zoe.html"
    hostile.write_text(f"<title>Zoe</title>{RUNS}<link rel=stylesheet href=/static/board.css><iframe src=/></iframe>")
    page.goto(f"{address}{ROOT}/feedback/zoe")
    hostile.unlink()
    assert page.title() == "Zoe"
    assert page.evaluate("[window.ran, window.origin]") == [None, "null"]
    assert asked == [page.url]
    context.close()
