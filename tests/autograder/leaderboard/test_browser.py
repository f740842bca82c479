"""The leaderboard's pages as a person meets them: a real process serves them to a browser without a screen."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from copies import copied
from handing_in import STAGE
from serving import answers, free_port
from sqlalchemy import Engine, select

from autograder.course import Course, read_course
from autograder.grading.predictions import Refusal
from autograder.leaderboard import fixed_rows, halves, serve, store, worker
from autograder.leaderboard.accounts import make_tokens
from autograder.leaderboard.board import Board, board_of
from autograder.leaderboard.entry_score import EntryScore, HalfScore
from autograder.leaderboard.tables import INSTRUCTOR, TEAM, Entry, Upload

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: pip install playwright")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed: pip install -e .[dev]")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium: apt install chromium")

MAGIC = b"\x89HDF\r\n\x1a\n"
TEAMS = ("owls", "foxes", "herons", "larks", "wrens", "moles")
FAULT = "prediction.h5ad: 3 values are NaN, in cells of GENE7; write numbers only"
FLAG = {"name": "above the replicate", "text": "its overall score of 1.31 is above that of the replicate"}
PICTURE = '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 8 4"><rect width="8" height="4" fill="#0072b2"/></svg>'
PHONE = {"width": 390, "height": 844}


def cells(public: list[float], private: list[float] | None = None, size: int = 0, **more: object) -> bytes:
    """Give what stands for a prediction here: `quick` reads from it what each perturbation scores."""
    told = json.dumps({"public": public, "private": private or public, **more}).encode()
    return MAGIC + told + b" " * max(0, size - len(told))


def quick(board: Board, file: Path, pictures: Path) -> EntryScore | Refusal:
    """Score in no time: all else of a scoring worker is the real one."""
    del board
    told = json.loads(file.read_bytes()[len(MAGIC) :])
    if "fault" in told:
        return Refusal(told["fault"], stopped=False)
    pictures.mkdir(parents=True, exist_ok=True)
    (pictures / "scores.svg").write_text(PICTURE)
    return EntryScore(half(told["public"]), half(told["private"]), None, told.get("flags", []))


def half(values: list[float]) -> HalfScore:
    mean, error = float(np.mean(values)), float(np.std(values, ddof=1))
    pearson = {"title": "Pearson of the effects", "value": mean / 2, "low": None, "high": None, "scaled": mean}
    metrics = {"pearson_delta": pearson | {"direction": "higher", "baseline": 0.0, "replicate": 0.5}}
    return HalfScore({"overall": mean, "low": mean - error, "high": mean + error, "metrics": metrics}, values)


@pytest.fixture(scope="module")
def board(released: Course, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """A board with two halves of three perturbations, and some entries."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(halves, "FEWEST", 3)
        yield a_board(released, tmp_path_factory.mktemp("board") / "course")


def a_board(released: Course, root: Path) -> Board:
    course = copied(released, root)
    path = course.root / "course.toml"
    ends = datetime.now(UTC) + timedelta(days=9, hours=5)
    ours = f'[leaderboard]\nstage = "{STAGE}"\ntitle = "Virtual cells 101"\nends = {ends}\n'
    path.write_text(f"{path.read_text()}\n{ours}")
    return board_of(read_course(course.root))


@pytest.fixture(scope="module")
def engine(board: Board) -> Engine:
    return store.open_board(board.url)


@pytest.fixture(scope="module")
def tokens(board: Board, engine: Engine) -> dict[str, str]:
    """Tokens of the teams and the instructor; some teams have entries."""
    made = make_tokens(engine, TEAMS, TEAM) | make_tokens(engine, ["teacher"], INSTRUCTOR)
    write_kit_row(board)
    worker.prepare(board, engine)
    for team, content in (
        ("owls", cells([0.5, 0.6, 0.55], flags=[FLAG])),
        ("foxes", cells([0.6, 0.48, 0.53])),
        ("herons", cells([-0.21, -0.18, -0.2])),
        ("owls", cells([0.52, 0.55, 0.58])),
        ("owls", cells([0], fault=FAULT)),
        ("wrens", cells([0.3, 0.35, 0.31])),
        ("wrens", cells([0.1, 0.12, 0.13])),
    ):
        put(board, engine, team, content)
    while worker.score_next(board, engine, "w", quick):
        pass
    return made


def write_kit_row(board: Board) -> None:
    made = fixed_rows.kit_file(board)
    made.parent.mkdir(parents=True)
    row = half([0.2, 0.25, 0.3]).row
    made.write_text(json.dumps({"name": "random forest", "public": row, "private": row}))


def put(board: Board, engine: Engine, team: str, content: bytes, file: str = "prediction.h5ad") -> Entry:
    name = os.urandom(16).hex()
    (board.web / "arriving" / name).write_bytes(content)
    note = "ridge on GO, α = 10"
    upload = Upload(id=name, account=team, file=file, note=note, size=len(content), begun=datetime.now(UTC))
    with store.writing(engine) as now:
        now.add(upload)
    return store.accept(engine, board.web, upload, datetime.now(UTC), 99)


def entries(engine: Engine, team: str) -> list[Entry]:
    with store.session(engine) as now:
        return list(now.scalars(select(Entry).where(Entry.account == team).order_by(Entry.id)))


@contextmanager
def serving(board: Board) -> Iterator[str]:
    """Start the web process, and give its address."""
    port = free_port()
    program = [sys.executable, "-m", "autograder.leaderboard.web.process"]
    process = subprocess.Popen(program, stdin=subprocess.PIPE, text=True)
    try:
        assert process.stdin is not None
        process.stdin.write(json.dumps(serve.web_settings(board, "127.0.0.1", port, serve.LOCAL)))
        process.stdin.close()
        assert answers(port) == 200
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def address(board: Board) -> Iterator[str]:
    with serving(board) as address:
        yield address


@pytest.fixture(scope="module")
def browser() -> Iterator[sync_api.Browser]:
    arguments = ["--no-sandbox", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    sync_api.expect.set_options(timeout=30_000)  # a machine that has other work is slow
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture
def enter(browser: sync_api.Browser, address: str, tokens: dict[str, str]) -> Iterator[Callable[..., sync_api.Page]]:
    """Open a browser of one's own, and log in with a name's token."""
    contexts = []

    def log_in(name: str, **options: object) -> sync_api.Page:
        context = browser.new_context(**{"base_url": address, "locale": "en-GB", **options})
        contexts.append(context)
        page = context.new_page()
        page.goto("/login")
        page.fill("#token", tokens[name])
        page.click("main button")
        page.wait_for_url(lambda url: not url.endswith("/login"))
        return page

    yield log_in
    for context in contexts:
        context.close()


def wide(page: sync_api.Page) -> int:
    return page.evaluate("document.documentElement.scrollWidth")


def test_a_wrong_token_is_refused_and_the_right_one_lets_in(
    browser: sync_api.Browser, address: str, tokens: dict[str, str]
):
    with browser.new_context(base_url=address) as context:
        page = context.new_page()
        assert page.goto("/team").status == 401
        page.fill("#token", "guess")
        page.click("main button")
        assert "This token is nobody's" in page.inner_text("[role=alert]")
        page.fill("#token", tokens["owls"])
        page.click("main button")
        assert page.inner_text("header form").startswith("Logged in as owls")
        page.click("text=Log out")
        page.wait_for_url("**/login")
        assert page.goto("/team").status == 401


def test_a_file_is_uploaded_and_followed_through_the_queue(
    board: Board, engine: Engine, enter: Callable[..., sync_api.Page], tmp_path: Path
):
    """With progress in parts, and the place in the queue as it changes, on a page that is not loaded again."""
    before = [put(board, engine, "moles", cells([0.2, 0.1, 0.3])) for _ in range(2)]
    file = tmp_path / "mine.H5AD"
    file.write_bytes(cells([0.4, 0.45, 0.5], size=9 << 20))
    page = enter("larks")
    page.click("text=Hand in a prediction")
    shown: list[str] = []
    page.expose_function("keep", lambda text: shown.append(text))
    page.evaluate("""() => {
        const said = document.getElementById("said");
        new MutationObserver(() => keep(said.textContent)).observe(said, {childList: true}); }""")
    page.set_input_files("#file", file)
    page.fill("#note", "with <b>STRING</b>")
    page.click("form#upload button")
    page.wait_for_url("**/entries/*")
    assert {"Uploading 0 %", "Uploading 44 %", "Uploading 89 %"} <= set(shown)
    (entry,) = entries(engine, "larks")
    assert (board.web / "entries" / str(entry.id) / "mine.h5ad").read_bytes() == file.read_bytes()
    assert entry.note == "with <b>STRING</b>"
    page.evaluate("window.same = true")
    state = page.locator(".state")
    sync_api.expect(state).to_have_text("number 3 in the queue")

    def look(board: Board, file: Path, pictures: Path) -> EntryScore | Refusal:
        if file.name == "mine.h5ad":
            sync_api.expect(state).to_have_text("being scored")
            assert page.evaluate("window.same")
        return quick(board, file, pictures)

    assert worker.score_next(board, engine, "w", look)
    sync_api.expect(state).to_have_text("number 2 in the queue")
    assert page.evaluate("window.same")
    assert worker.score_next(board, engine, "w", look)
    assert worker.score_next(board, engine, "w", look)
    sync_api.expect(state).to_have_text("scored")
    assert "with <b>STRING</b>" in page.inner_text("main")
    assert "0.450" in page.inner_text("main")
    assert len(before) == 2


def test_what_is_refused_says_why(board: Board, engine: Engine, enter: Callable[..., sync_api.Page], tmp_path: Path):
    page = enter("moles", locale="zh-CN")
    page.goto("/team")
    (tmp_path / "text.h5ad").write_bytes(b"no cells at all" * 100)
    page.set_input_files("#file", tmp_path / "text.h5ad")
    page.click("form#upload button")
    said = page.locator("#said.bad")
    sync_api.expect(said).to_contain_text("文件名以 .h5ad 结尾")
    (tmp_path / "nan.h5ad").write_bytes(cells([0], fault=FAULT))
    page.set_input_files("#file", tmp_path / "nan.h5ad")
    page.click("form#upload button")
    page.wait_for_url("**/entries/*")
    while worker.score_next(board, engine, "w", quick):
        pass
    why = page.locator(".note.bad")
    sync_api.expect(why).to_contain_text("请按下面的检查结果修改文件后重新提交")
    assert why.locator("pre[lang=en]").inner_text() == FAULT
    assert "starter check nan.h5ad" in why.inner_text()
    page.goto(f"{page.url}?lang=en")
    assert "Mend what is named here" in page.inner_text(".note.bad")


def test_the_ranking_is_understood_at_a_glance(enter: Callable[..., sync_api.Page]):
    page = enter("owls")
    facts = page.inner_text(".facts")
    assert re.search(r"Ends\s+in 9 days \d{4}-\d\d-\d\d \d\d:\d\d UTC", facts)
    assert re.search(r"Entries left today\s+3 of 5", facts), "the refused one does not count"
    assert re.search(r"Your rank\s+1 \(within noise\)", facts)
    rows = {row.locator("th").inner_text().split()[0]: row for row in page.locator(".ranking tbody tr").all()}
    order = list(rows)
    assert order[:3] == ["replicate", "owls", "foxes"]
    assert [name for name in order if name in ("herons", "baseline", "wrens")] == ["wrens", "baseline", "herons"]
    assert [rows[name].locator(".rank").inner_text() for name in order[1:3]] == ["=1", "=1"]
    assert "mine" in rows["owls"].get_attribute("class")
    assert page.locator("tr.mine").count() == 1
    fixed = [row.inner_text() for row in page.locator("tr.fixed").all()]
    assert [text.split()[1] for text in fixed] == ["replicate", "random", "baseline"]
    herons = rows["herons"].inner_text()
    assert "−0.197" in herons
    assert re.search(r"−0\.21\d to −0\.18\d", herons)
    assert "The line through a dot is the 95 % interval" in page.inner_text(".legend")
    # numbers stand on one line
    lines = """cells => cells.filter(cell => cell.offsetHeight).map(cell => {
        const range = document.createRange();
        range.selectNodeContents(cell);
        return new Set([...range.getClientRects()].map(box => box.top)).size; })"""
    assert set(page.locator(".ranking .n, .ranking .rank, .ranking td.more").evaluate_all(lines)) <= {0, 1}


def test_an_entry_shows_how_it_went_and_becomes_the_submission(engine: Engine, enter: Callable[..., sync_api.Page]):
    page = enter("wrens")
    page.click("text=Our entries")
    assert page.locator(".course circle").count() == 2
    assert page.locator(".course .dot").count() == 1
    first, second = entries(engine, "wrens")
    page.click(f"a[href='/entries/{second.id}']")
    assert "Not better than your standing entry" in page.inner_text("main")
    assert page.evaluate("document.querySelector('.pictures img').decode().then(() => true)")
    page.click("text=Make this our submission")
    assert "This is your submission" in page.inner_text("main")
    assert [entry.chosen for entry in entries(engine, "wrens")] == [False, True]
    page.goto(f"/entries/{first.id}")
    page.click("text=Make this our submission")
    assert [entry.chosen for entry in entries(engine, "wrens")] == [True, False]


def test_an_instructor_sees_flags_gives_tokens_and_withdraws(
    board: Board, engine: Engine, tokens: dict[str, str], enter: Callable[..., sync_api.Page]
):
    flagged = entries(engine, "owls")[0]
    page = enter("teacher")
    page.goto(f"/entries/{flagged.id}")
    assert FLAG["text"] in page.inner_text("main")
    team = enter("owls")
    team.goto(f"/entries/{flagged.id}")
    assert FLAG["text"] not in team.content()
    assert team.goto("/instructor/accounts").status == 404
    page.goto("/instructor/accounts")
    page.get_by_role("button", name="New token for herons").click()
    tokens["herons"] = page.inner_text(".token")
    assert tokens["herons"] not in page.goto("/instructor/accounts").text()
    late = enter("herons")
    (entry,) = entries(engine, "herons")
    page.goto(f"/entries/{entry.id}")
    page.fill("#reason", "handed in by mistake")
    page.click("text=Withdraw")
    assert worker.score_next(board, engine, "w", quick) is False
    late.goto(f"/entries/{entry.id}")
    assert "teacher: handed in by mistake" in late.inner_text(".note")
    late.goto("/")
    assert re.search(r"Your rank\s+none yet", late.inner_text(".facts"))
    page.fill("#reason", "it was right")
    page.click("text=Queue again")
    assert worker.score_next(board, engine, "w", quick)


def pages_of(engine: Engine) -> dict[str, list[str]]:
    """Name every page, by who sees it."""
    owls = [f"/entries/{entry.id}" for entry in entries(engine, "owls")]
    return {
        "owls": ["/", "/team", *owls, "/nowhere"],
        "teacher": ["/instructor", owls[0], "/instructor/stages", "/instructor/accounts"],
    }


def test_a_phone_shows_every_page_without_scrolling_sideways(
    board: Board, engine: Engine, enter: Callable[..., sync_api.Page]
):
    put(board, engine, "moles", cells([0.2, 0.1, 0.3]), "a_long_name_of_a_file_without_any_blank_in_it.h5ad")
    for name, places in pages_of(engine).items():
        page = enter(name, viewport=PHONE)
        for place in places:
            page.goto(place)
            assert wide(page) == PHONE["width"], place


FOCUS = """() => {
    const it = document.activeElement, look = getComputedStyle(it), box = it.getBoundingClientRect();
    return {text: (it.innerText || it.labels?.[0]?.innerText || it.getAttribute("aria-label") || "").trim(),
            outline: look.outlineStyle === "none" ? 0 : parseFloat(look.outlineWidth),
            inside: box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth}; }"""


@pytest.mark.slow
def test_a_connection_that_breaks_is_said_and_the_upload_goes_on(
    board: Board, engine: Engine, enter: Callable[..., sync_api.Page], tmp_path: Path
):
    file = tmp_path / "broken.h5ad"
    file.write_bytes(cells([0.4, 0.45, 0.5], size=9 << 20))
    page = enter("moles")
    page.goto("/team")
    cut = []

    def break_one(route: sync_api.Route) -> None:
        if route.request.method == "PATCH" and len(cut) < 2 and route.request.headers["upload-offset"] != "0":
            cut.append(route.request.headers["upload-offset"])
            route.abort()
        else:
            route.continue_()

    page.route("**/uploads/*", break_one)
    page.set_input_files("#file", file)
    page.click("form#upload button")
    sync_api.expect(page.locator("#said")).to_have_text("The connection broke; trying again…")
    page.wait_for_url("**/entries/*")
    assert len(cut) == 2
    entry = entries(engine, "moles")[-1]
    assert (board.web / "entries" / str(entry.id) / "broken.h5ad").read_bytes() == file.read_bytes()


@pytest.mark.slow
def test_the_end_reveals_the_final_ranking_and_takes_nothing_more(
    released: Course, browser: sync_api.Browser, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(halves, "FEWEST", 3)
    board = a_board(released, tmp_path / "course")
    engine = store.open_board(board.url)
    made = make_tokens(engine, ["owls", "foxes"], TEAM)
    write_kit_row(board)
    worker.prepare(board, engine)
    for team, public, private in (("owls", [0.6, 0.7, 0.65], [0.1, 0.12, 0.11]), ("foxes", [0.3] * 3, [0.4] * 3)):
        put(board, engine, team, cells(public, private))
        assert worker.score_next(board, engine, "w", quick)
    over = Board(board.course, board.settings.model_copy(update={"ends": datetime.now(UTC) - timedelta(minutes=1)}))
    with serving(over) as address, browser.new_context(base_url=address, viewport=PHONE) as context:
        page = context.new_page()
        page.goto("/login")
        page.fill("#token", made["owls"])
        page.click("main button")
        page.wait_for_selector(".ranking")
        assert "The last entries are still being scored" in page.inner_text("main")
        worker.see_to_board(over, engine)
        page.reload()
        assert page.inner_text(".tabs [aria-current]") == "Final"
        assert "kept until the end" in page.inner_text("main")
        ranked = [row.inner_text().split() for row in page.locator("tbody tr:not(.fixed)").all()]
        assert [(row[0], row[1]) for row in ranked] == [("1", "foxes"), ("2", "owls")]
        assert wide(page) == PHONE["width"]
        assert look_with_axe(page, "final") == []
        page.click("text=While the course runs")
        page.wait_for_url("**/?board=public")
        ranked = [row.inner_text().split() for row in page.locator("tbody tr:not(.fixed)").all()]
        assert [(row[0], row[1]) for row in ranked] == [("1", "owls"), ("2", "foxes")]
        page.goto("/team")
        assert "no more entries are taken" in page.inner_text(".card")
        page.goto("/entries/1")
        assert page.locator("h2", has_text="Private half").count() == 1
        assert page.locator("text=Make this our submission").count() == 0


@pytest.mark.slow
def test_the_served_course_scores_what_the_browser_sends(
    sandbox_here: None, released: Course, train_mean: Path, browser: sync_api.Browser, tmp_path: Path
):
    """Everything real: `autograder serve`, its sandbox, the scorer and its pictures."""
    course = copied(released, tmp_path / "course")
    with (course.root / "course.toml").open("a") as settings:
        settings.write(f'\n[leaderboard]\nstage = "{STAGE}"\n')
    board = board_of(read_course(course.root))
    token = make_tokens(store.open_board(board.url), ["owls"], TEAM)["owls"]
    half_way = tmp_path / "half_way.h5ad"
    half_way.write_bytes(train_mean.read_bytes()[:5000])
    port = free_port()
    program = [sys.executable, "-c", "from autograder.cli import main; main()", "serve", "--port", str(port)]
    served = subprocess.Popen([*program, "--course", str(course.root)], stdout=subprocess.DEVNULL)
    try:
        assert answers(port) == 200
        with browser.new_context(base_url=f"http://127.0.0.1:{port}") as context:
            page = context.new_page()
            page.goto("/login")
            page.fill("#token", token)
            page.click("main button")
            page.wait_for_selector("text=Hand in a prediction")
            assert "not set yet" in page.inner_text(".facts")
            for file, state in ((train_mean, "scored"), (half_way, "refused")):
                page.goto("/team")
                page.set_input_files("#file", file)
                page.click("form#upload button")
                page.wait_for_url("**/entries/*")
                sync_api.expect(page.locator(".state")).to_have_text(state, timeout=180_000)
            assert len(page.inner_text(".note.bad pre")) > 30
            page.goto("/entries/1")
            picture = page.locator(".pictures img")
            picture.scroll_into_view_if_needed()
            assert picture.evaluate("it => it.decode().then(() => it.naturalWidth)") > 100
            page.goto("/")
            assert page.locator("tr.mine").count() == 1
            assert "this is one board, without intervals" in page.inner_text("main")
    finally:
        served.terminate()
        served.wait(60)


def tab_to(page: sync_api.Page, text: str) -> None:
    """Press Tab until something is focused; whatever has the focus on the way shows it."""
    page.wait_for_load_state()  # of half a page Tab leaves the end
    for _ in range(60):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        assert focus["outline"] >= 2 and focus["inside"], focus
        if focus["text"].startswith(text):
            return
    msg = f"{text} cannot be reached by Tab"
    raise AssertionError(msg)


def test_all_can_be_done_by_keyboard_alone(
    board: Board, engine: Engine, browser: sync_api.Browser, address: str, tokens: dict[str, str], tmp_path: Path
):
    file = tmp_path / "keys.h5ad"
    file.write_bytes(cells([0.3, 0.2, 0.25]))
    with browser.new_context(base_url=address) as context:
        page = context.new_page()
        page.goto("/login")
        choosers: list[sync_api.FileChooser] = []
        page.on("filechooser", lambda chooser: choosers.append(chooser))  # long before one opens, or it may be missed
        sync_api.expect(page.locator("#token")).to_be_focused()
        page.keyboard.type(tokens["moles"])
        page.keyboard.press("Enter")
        page.wait_for_selector(".ranking")
        tab_to(page, "Skip to the content")
        tab_to(page, "Hand in a prediction")
        page.keyboard.press("Enter")
        page.wait_for_selector("#upload:not([hidden])")
        tab_to(page, "Prediction file")
        page.keyboard.press("Space")
        for _ in range(300):
            if choosers:
                break
            page.wait_for_timeout(100)
        choosers[0].set_files(file)
        tab_to(page, "Note")
        page.keyboard.type("by keys")
        tab_to(page, "Upload")
        page.keyboard.press("Enter")
        page.wait_for_url("**/entries/*")
        while worker.score_next(board, engine, "w", quick):
            pass
        sync_api.expect(page.locator(".state")).to_have_text("scored")
        tab_to(page, "Make this our submission")
        page.keyboard.press("Enter")
        sync_api.expect(page.locator("main")).to_contain_text("This is your submission")
        tab_to(page, "中文")
        page.keyboard.press("Enter")
        sync_api.expect(page.locator("html")).to_have_attribute("lang", "zh-Hans")
    assert entries(engine, "moles")[-1].chosen


def test_without_javascript_all_works(engine: Engine, enter: Callable[..., sync_api.Page], tmp_path: Path):
    page = enter("foxes", java_script_enabled=False)
    assert page.locator("tr.mine").count() == 1
    page.goto("/team")
    (tmp_path / "text.h5ad").write_bytes(b"no cells at all" * 100)
    page.set_input_files("#file", tmp_path / "text.h5ad")
    page.click("form#upload button")
    assert "ends in .h5ad, but it holds something else" in page.inner_text("[role=alert]")
    page.goto("/team")
    (tmp_path / "whole.h5ad").write_bytes(cells([0.1, 0.2, 0.15]))
    page.set_input_files("#file", tmp_path / "whole.h5ad")
    page.fill("#note", "no script")
    page.click("form#upload button")
    page.wait_for_url("**/entries/*")
    assert "in the queue" in page.inner_text(".state")
    entry, sent = entries(engine, "foxes")
    assert (sent.file, sent.note) == ("whole.h5ad", "no script")
    page.goto(f"/entries/{entry.id}")
    page.click("text=Make this our submission")
    assert entries(engine, "foxes")[0].chosen
    page.goto("/?theme=dark&lang=zh")
    assert page.get_attribute("html", "data-theme") == "dark"
    assert "排行榜" in page.inner_text("h1")
    page.click("text=退出")
    assert page.url.endswith("/login")


def test_dark_and_light_are_as_the_device_or_as_clicked(enter: Callable[..., sync_api.Page]):
    page = enter("owls", color_scheme="dark")
    body = page.locator("body")
    sync_api.expect(body).to_have_css("background-color", "rgb(20, 24, 29)")
    page.click("footer >> text=light")
    sync_api.expect(body).to_have_css("background-color", "rgb(255, 255, 255)")
    page.goto("/team")
    sync_api.expect(body).to_have_css("background-color", "rgb(255, 255, 255)")


def look_with_axe(page: sync_api.Page, place: str) -> list[str]:
    found = axe.Axe().run(page)
    return [
        f"{place}: {fault['id']}: {fault['nodes'][0]['html']} {fault['nodes'][0]['failureSummary']}"
        for fault in found.response["violations"]
    ]


def test_axe_finds_nothing_on_the_pages_that_teams_see_most(engine: Engine, enter: Callable[..., sync_api.Page]):
    page = enter("owls")
    found = []
    for place in ("/?theme=light&lang=en", f"/entries/{entries(engine, 'owls')[0].id}?theme=dark&lang=zh"):
        page.goto(place)
        found += look_with_axe(page, place)
    assert found == []


@pytest.mark.slow
@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_axe_finds_nothing_on_any_page(
    engine: Engine, tokens: dict[str, str], enter: Callable[..., sync_api.Page], theme: str, lang: str
):
    found = []
    for name, places in pages_of(engine).items():
        page = enter(name)
        for place in places:
            page.goto(f"{place}?theme={theme}&lang={lang}")
            found += look_with_axe(page, place)
        if name == "teacher":
            page.get_by_role("button", name="moles").click()
            page.wait_for_selector(".token")
            tokens["moles"] = page.inner_text(".token")
            found += look_with_axe(page, "a new token")
        page.goto("/")
        page.click("header form button")
        page.wait_for_url("**/login")
        page.goto(f"/login?theme={theme}&lang={lang}")
        found += look_with_axe(page, "/login")
    assert found == []
