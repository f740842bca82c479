"""Formgrader and the feedback page as an instructor and a student see them, in a browser without a screen."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import nbformat
import pytest
from handing_in import RIGHT, STAGE, TEXT, answer, put_result, submit
from nbgrader.api import Gradebook

from autograder.course import Course, read_course
from autograder.gradebook.book import record_results
from autograder.gradebook.feedback import write_feedback
from autograder.gradebook.grades import Grade, read_grades
from autograder.grading.results import QuestionResult

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt install chromium")

FULL = QuestionResult("train_mean", 5.0, 5.0, "right in all 3 cases", 1.0)
NONE = QuestionResult("train_mean", 0.0, 5.0, "case 1 of 3: 7 of 7 values differ", 1.0)
RUNS = "<script>window.ran = 1</script><img src=x onerror='window.ran = 1'><svg onload='window.ran = 1'>"
TOKEN = "of-this-test"
# formgrader takes MathJax from the network, and waits for it
MATHJAX = "window.MathJax = {Hub: {Config() {}, Queue() {}, Startup: {signal: {Interest(f) { f('End') }}}}}"
LOADED = (
    "typeof formgrader === 'undefined' ? models?.loaded"
    " : formgrader.loaded && formgrader.grades.loaded && formgrader.comments.loaded"
)
SUBMISSIONS = f"/formgrader/manage_submissions/{STAGE}"


def cells_of(course: Course, student: str) -> tuple[Path, nbformat.NotebookNode]:
    path = course.grading / "submitted" / student / STAGE / f"{STAGE}.ipynb"
    return path, nbformat.read(path, as_version=4)


def grade_of(course: Course, student: str) -> Grade:
    return next(grade for grade in read_grades(course, STAGE) if grade.student == student)


def points_of(course: Course, student: str) -> dict[str, tuple[float, bool]]:
    """Question to points and whether it waits."""
    return {question.name: (question.points, question.open) for question in grade_of(course, student).questions}


@pytest.fixture(scope="module")
def graded_course(released_with_text: Course, tmp_path_factory: pytest.TempPathFactory) -> Course:
    """The course with one submission for each test, graded and in the gradebook."""
    root = tmp_path_factory.mktemp("formgrader") / "course"
    shutil.copytree(released_with_text.root, root)
    course = read_course(root)
    marker = f"open({str(root.parent / 'marker')!r}, 'w').close()"
    students = {
        "ada": (FULL, ""),
        "bob": (NONE, ""),
        "held": (replace(FULL, held="look at this"), ""),
        "changed": (FULL, ""),
        "marks": (FULL, marker),
        "script": (replace(FULL, reason=f"came {RUNS}"), f"# {RUNS}\ntext = {RUNS!r}"),
        "heading": (NONE, ""),
    }
    for student, (_, code) in students.items():
        submit(course, student, RIGHT, extra=code)
        answer(course, student, RUNS if student == "script" else "Because.")
    path, notebook = cells_of(course, "script")
    shown = [nbformat.v4.new_output("display_data", data={"text/html": RUNS, "application/javascript": "ran = 1"})]
    notebook.cells += [nbformat.v4.new_markdown_cell(RUNS), nbformat.v4.new_raw_cell(RUNS)]
    notebook.cells += [nbformat.v4.new_code_cell("1", outputs=shown)]
    nbformat.write(notebook, path)
    path, notebook = cells_of(course, "heading")
    ours = next(cell for cell in notebook.cells if cell.metadata.get("nbgrader", {}).get("grade_id") == TEXT)
    notebook.cells.remove(ours)
    notebook.cells.insert(0, ours)
    ours.source = "# train_mean\n\ntrain_mean\n===\n\nBecause."
    nbformat.write(notebook, path)
    for student, (question, _) in students.items():
        put_result(course, student, [question])
    settings = root / "nbgrader_config.py"
    settings.write_text(settings.read_text().replace("autograder.gradebook.book", "autograder.gradebook"))  # as it was
    assert record_results(course, STAGE, list(students)) == {}
    exchange = root.parent / "exchange"
    (exchange / course.name / "outbound" / STAGE).mkdir(parents=True)
    attempt = exchange / course.name / "inbound" / f"linked+{STAGE}+2026-10-01 10:00:00.000000 UTC+x"
    shutil.copytree(course.grading / "submitted" / "ada" / STAGE, attempt)
    course.secret()  # is made
    (attempt / "secret.html").symlink_to(course.grading / "secret")
    with settings.open("a") as file:
        file.write(f"c.Exchange.root = {str(exchange)!r}\nc.ExchangeCollect.check_owner = False\n")
    with Gradebook(f"sqlite:///{course.grading / 'gradebook.db'}") as book:
        book.find_comment(TEXT, STAGE, STAGE, "script").manual_comment = f"</textarea>{RUNS}"
        book.db.commit()
    return course


@pytest.fixture(scope="module")
def server(graded_course: Course, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Jupyter server in the course's folder."""
    home = tmp_path_factory.mktemp("home")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1", f"--ServerApp.port={port}"]
    options += ["--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}"]
    places = {name: str(home) for name in ("HOME", "JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    log = home / "log"
    with log.open("w") as sink:
        process = subprocess.Popen(
            [sys.executable, "-m", "jupyter_server", *options],
            cwd=graded_course.root,
            env=os.environ | places,
            stdout=sink,
            stderr=sink,
        )
    address = f"http://127.0.0.1:{port}"
    try:
        end = time.monotonic() + 60
        while not _answers(f"{address}/api/status?token={TOKEN}"):
            assert process.poll() is None and time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        yield address
    finally:
        process.terminate()
        process.wait(timeout=20)


def _answers(address: str) -> bool:
    try:
        with urllib.request.urlopen(address, timeout=5) as answered:
            return answered.status == 200
    except OSError:
        return False


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    arguments = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def expected() -> list[tuple[str, str]]:
    """Dialogs that should open next: what they ask, and the answer, `accept` or `dismiss`."""
    return []


@pytest.fixture
def page(browser: sync_api.Browser, expected: list[tuple[str, str]]) -> Iterator[sync_api.Page]:
    """A page that reaches this machine only, and on which no other dialog may open."""
    with browser.new_context() as context:
        context.route("https://**", lambda route: route.abort())
        mathjax = {"body": MATHJAX, "content_type": "text/javascript"}
        context.route("https://**/mathjax/**", lambda route: route.fulfill(**mathjax))
        page = context.new_page()
        opened = []

        def answer_dialog(dialog: sync_api.Dialog) -> None:
            due, answer = expected.pop(0) if expected else ("", "dismiss")
            opened.append((dialog.message, due))
            getattr(dialog, answer)()

        page.on("dialog", answer_dialog)
        yield page
        assert all(said == due for said, due in opened), opened
        assert expected == []


@pytest.fixture
def visit(page: sync_api.Page, server: str) -> Callable[[str], sync_api.Page]:
    """Open a place of formgrader when all is there."""
    page.goto(f"{server}/formgrader?token={TOKEN}", wait_until="commit")

    def go(place: str) -> sync_api.Page:
        page.goto(f"{server}{place}")
        page.wait_for_function(LOADED)
        return page

    return go


def row(page: sync_api.Page, student: str) -> sync_api.Locator:
    return page.locator("#main-table tr").filter(has=page.get_by_text(student, exact=True))


def graded_notebook(course: Course, student: str) -> str:
    with Gradebook(f"sqlite:///{course.grading / 'gradebook.db'}") as book:
        return f"/formgrader/submissions/{book.find_submission_notebook(STAGE, STAGE, student).id}/"


def type_into(page: sync_api.Page, place: str, text: str) -> None:
    """Type, leave the field, and wait until formgrader has saved it."""
    with page.expect_response(lambda response: response.request.method == "PUT") as saved:
        page.fill(place, text)
        page.locator(place).blur()
    assert saved.value.ok


def test_the_table_shows_the_graders_points(visit: Callable):
    page = visit(SUBMISSIONS)
    for student, score in (("ada", "5 / 9"), ("bob", "0 / 9")):
        assert row(page, student).locator(".score").inner_text() == score
        assert row(page, student).locator(".status").inner_text() == "needs manual grading"


def test_points_and_a_comment_are_typed_and_stay(graded_course: Course, visit: Callable):
    place = graded_notebook(graded_course, "ada")
    page = visit(place)
    assert page.get_attribute("#train_mean", "placeholder") == "5"
    assert "needs_manual_grade" in page.get_attribute(f"#{TEXT}", "class")
    assert "5 of 5 points: right in all 3 cases" in page.inner_text("#notebook")
    type_into(page, f"#{TEXT}", "3.5")
    type_into(page, f"#{TEXT}-comment", "And the *variance*?")
    type_into(page, "#train_mean_code-comment", "Short.")
    page = visit(place)
    assert page.input_value(f"#{TEXT}") == "3.5"
    assert page.input_value(f"#{TEXT}-comment") == "And the *variance*?"
    assert points_of(graded_course, "ada") == {"train_mean": (5.0, False), TEXT: (3.5, False)}
    grade = grade_of(graded_course, "ada")
    assert grade.points == 8.5
    assert [question.comment for question in grade.questions] == ["", "And the *variance*?"]
    assert grade.comments == {"train_mean_code": "Short."}
    shown = row(visit(SUBMISSIONS), "ada")
    assert (shown.locator(".score").inner_text(), shown.locator(".status").inner_text()) == ("8.5 / 9", "graded")


def test_more_points_than_can_be_had_are_asked_about(
    graded_course: Course, visit: Callable, expected: list[tuple[str, str]]
):
    page = visit(graded_notebook(graded_course, "bob"))
    more = "7.5 points are more than the 4 that can be had here. Give 4, and 3.5 as extra credit?"

    def fields() -> tuple[str, str]:
        return page.input_value(f"#{TEXT}"), page.input_value(f"#{TEXT}_extra_credit")

    def put(answer: str, question: str, points: str) -> None:
        expected.append((question, answer))
        page.fill(f"#{TEXT}", points)
        page.locator(f"#{TEXT}").blur()

    put("dismiss", more, "7.5")
    assert fields() == ("", "")
    assert points_of(graded_course, "bob")[TEXT] == (0.0, True)
    with page.expect_response(lambda response: response.request.method == "PUT"):
        put("accept", more, "7.5")
    assert fields() == ("4", "3.5")
    assert points_of(graded_course, "bob")[TEXT] == (7.5, False)
    put("dismiss", "Points below 0 cannot be given. Give 0 instead?", "-1")
    assert fields() == ("4", "3.5")


def test_a_held_question_waits_until_the_instructor_gives_points(graded_course: Course, visit: Callable):
    place = graded_notebook(graded_course, "held")
    page = visit(place)
    assert "needs_manual_grade" in page.get_attribute("#train_mean", "class")
    assert "held, so please look: look at this" in page.inner_text("#notebook")
    type_into(page, f"#{TEXT}", "4")
    shown = row(visit(SUBMISSIONS), "held")
    assert (shown.locator(".score").inner_text(), shown.locator(".status").inner_text()) == (
        "9 / 9",
        "needs manual grading",
    )
    page = visit(place)
    button = page.locator(".nbgrader_cell").filter(has=page.locator("#train_mean")).locator(".full-credit")
    with page.expect_response(lambda response: response.request.method == "PUT"):
        button.dispatch_event("click")  # a page that moves under the mouse would miss a click
    assert points_of(graded_course, "held") == {"train_mean": (5.0, False), TEXT: (4.0, False)}
    assert row(visit(SUBMISSIONS), "held").locator(".status").inner_text() == "graded"


def press_autograde(page: sync_api.Page, student: str) -> str:
    """Press the button, and give the title and the text of what formgrader says then."""
    row(page, student).locator(".autograde a").click()
    said = page.locator(".modal-content")
    said.wait_for()
    return said.inner_text()


def test_the_autograde_button_runs_no_students_code(graded_course: Course, visit: Callable):
    """Neither that of a graded submission, which is recorded again, nor that of one that changed since."""
    marker = graded_course.root.parent / "marker"
    path, notebook = cells_of(graded_course, "marks")
    code = next(cell.source for cell in notebook.cells if "open(" in cell.source).splitlines()[0]
    exec(code)  # which would leave its mark
    assert marker.exists()
    marker.unlink()
    shutil.copyfile(path, cells_of(graded_course, "changed")[0])

    page = visit(SUBMISSIONS)
    said = press_autograde(page, "marks")
    assert "Successfully autograded '04_baselines' for student 'marks'" in said
    page = visit(SUBMISSIONS)
    said = press_autograde(page, "changed")
    assert "There was an error autograding '04_baselines' for student 'changed'" in said
    assert "was not graded yet, or changed since; run: autograder grade 04_baselines" in said
    assert not marker.exists()
    for student in ("marks", "changed"):
        assert points_of(graded_course, student)["train_mean"] == (5.0, False)


def test_the_collect_button_keeps_attempts_and_follows_no_link(graded_course: Course, visit: Callable):
    page = visit("/formgrader/manage_assignments")
    page.locator(".collect a").click()
    said = page.locator(".modal-content")
    said.wait_for()
    assert "Successfully collected submissions of '04_baselines'" in said.inner_text()
    collected = graded_course.grading / "submitted" / "linked" / STAGE
    assert [path.name for path in collected.iterdir()] == [f"{STAGE}.ipynb"]
    assert not (graded_course.grading / "normalised" / "linked").exists()
    secret = graded_course.secret().hex()
    files = [
        path for path in graded_course.grading.rglob("*") if path.suffix in (".html", ".txt", "") and path.is_file()
    ]
    assert [path.name for path in files if secret in path.read_text(errors="replace")] == ["secret"]


def test_a_students_text_runs_nothing(graded_course: Course, visit: Callable):
    """Text, code, output, reason and comment."""
    page = visit(SUBMISSIONS)
    page.set_content(RUNS)
    page.wait_for_function("window.ran === 1")  # where it is not cleaned
    places = (
        SUBMISSIONS,
        f"/formgrader/gradebook/{STAGE}/{STAGE}",
        f"/formgrader/manage_students/script/{STAGE}",
        graded_notebook(graded_course, "script"),
    )
    for place in places:
        page = visit(place)
        assert page.evaluate("window.ran === undefined")
    text = page.inner_text("#notebook")
    assert text.count("window.ran = 1") == 6 * 3  # six times, to be read
    assert "5 of 5 points: came <script>window.ran = 1</script>" in text
    assert page.input_value(f"#{TEXT}-comment") == f"</textarea>{RUNS}"
    assert page.locator("#notebook script, #notebook svg, #notebook [onerror]").count() == 0


def test_a_heading_called_like_a_question_takes_no_points(graded_course: Course, visit: Callable):
    """Formgrader finds a question's score by its name among all names on the page."""
    page = visit(graded_notebook(graded_course, "heading"))
    assert page.locator("h1", has_text="train_mean").count() == 2
    type_into(page, f"#{TEXT}", "4")
    page.wait_for_load_state("networkidle")
    assert points_of(graded_course, "heading") == {"train_mean": (0.0, False), TEXT: (4.0, False)}


def test_the_feedback_page_fits_a_phone_and_runs_nothing(graded_course: Course, page: sync_api.Page):
    (written,), failed = write_feedback(graded_course, STAGE, ["script"])
    assert failed == {}
    refused = []
    page.on("console", lambda message: refused.append(message.text))
    page.set_viewport_size({"width": 360, "height": 700})
    page.goto(written.as_uri())
    assert refused == []
    assert page.evaluate("window.ran === undefined")
    assert page.inner_text(".reason") == f"came {RUNS}"
    assert page.inner_text(".answer") == RUNS
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    # its own style is allowed: the bar beside a question, the size of the letters
    assert page.evaluate("getComputedStyle(document.querySelector('section')).borderLeftWidth") == "8px"
    assert page.evaluate("parseFloat(getComputedStyle(document.querySelector('.reason')).fontSize)") >= 16
    page.evaluate("document.body.append(document.createElement('script'))")
    page.evaluate("document.querySelector('script').textContent = 'window.ran = 1'")
    assert page.evaluate("window.ran === undefined")
    assert "Content Security Policy" in refused[0]
