"""The leaderboard's web side: who may do what, uploads that go on, and what nobody can do."""

import base64
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select

from autograder.leaderboard.accounts import make_tokens
from autograder.leaderboard.store import open_board, session, writing
from autograder.leaderboard.tables import INSTRUCTOR, SCORED, TEAM, Entry, Fact, FixedRow, Standing, Upload
from autograder.leaderboard.web import uploads
from autograder.leaderboard.web.app import make_app
from autograder.leaderboard.web.security import Allowance
from autograder.leaderboard.web.site import Site
from autograder.leaderboard.web.words import WORDS

H5AD = b"\x89HDF\r\n\x1a\n" + bytes(5000)
PAGE = {"Accept": "text/html"}
PART = {"Content-Type": "application/offset+octet-stream", "Tus-Resumable": "1.0.0"}
SCORES = {"overall": 0.41, "low": 0.33, "high": 0.49, "metrics": {}}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(open_board(f"sqlite:///{tmp_path}/board.db"), tmp_path, "A board <b>", 2, 1 << 20)


@pytest.fixture
def tokens(site: Site) -> dict[str, str]:
    return make_tokens(site.engine, ["owls", "foxes <i>"], TEAM) | make_tokens(site.engine, ["teacher"], INSTRUCTOR)


@pytest.fixture
def client(site: Site, tokens: dict[str, str]) -> Iterator[TestClient]:
    with TestClient(make_app(site, slow=0.2), follow_redirects=False) as client:
        yield client


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def begin(
    client: TestClient, token: str, name: str = "prediction.h5ad", size: int = len(H5AD), **more: str
) -> httpx.Response:
    said = {"filename": name, **more}
    about = ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in said.items())
    headers = {"Tus-Resumable": "1.0.0", "Upload-Length": str(size), "Upload-Metadata": about}
    return client.post("/uploads", headers=bearer(token) | headers)


def part(client: TestClient, token: str, place: str, offset: int, content: bytes) -> httpx.Response:
    return client.patch(place, headers=bearer(token) | PART | {"Upload-Offset": str(offset)}, content=content)


def hand_in(client: TestClient, token: str) -> int:
    place = begin(client, token).headers["location"]
    answer = part(client, token, place, 0, H5AD)
    assert answer.status_code == 204, answer.text
    return int(answer.headers["entry-location"].rpartition("/")[2])


def log_in(client: TestClient, token: str) -> str:
    assert client.post("/login", data={"token": token}).status_code == 303
    return re.search('data-csrf="([^"]+)"', client.get("/", headers=PAGE).text)[1]


def entries(engine: Engine) -> list[Entry]:
    with session(engine) as now:
        return list(now.scalars(select(Entry)))


def scored(site: Site, number: int) -> None:
    with writing(site.engine) as now:
        entry = now.get_one(Entry, number)
        entry.state, entry.public, entry.moved = SCORED, SCORES, True
        entry.flags = [["too good", "above the replicate <u>"]]
        now.merge(
            Standing(board="public", account=entry.account, entry=number, rank=1, score=0.41, low=0.33, high=0.49)
        )
        now.merge(FixedRow(name="train mean", public={"overall": 0.0, "low": None, "high": None}, private=None))


def test_a_file_arrives_in_parts_and_is_queued(client: TestClient, site: Site, tokens: dict[str, str]):
    place = begin(client, tokens["owls"]).headers["location"]
    assert part(client, tokens["owls"], place, 0, H5AD[:3000]).headers["upload-offset"] == "3000"
    there = client.head(place, headers=bearer(tokens["owls"]) | {"Tus-Resumable": "1.0.0"})
    assert (there.headers["upload-offset"], there.headers["upload-length"]) == ("3000", str(len(H5AD)))
    done = part(client, tokens["owls"], place, 3000, H5AD[3000:])
    assert done.headers["entry-location"] == "/entries/1"
    assert part(client, tokens["owls"], place, len(H5AD), b"").headers["entry-location"] == "/entries/1"
    (entry,) = entries(site.engine)
    assert (site.folder / "entries" / "1" / entry.file).read_bytes() == H5AD
    page = client.get("/entries/1", headers=bearer(tokens["owls"]) | PAGE)
    assert "number 1 in the queue" in page.text
    assert client.get("/live", headers=bearer(tokens["owls"])).json()["entries"][0]["place"] == 1


@pytest.mark.parametrize(
    ("offset", "content", "status"), [(1, H5AD, 409), (0, H5AD + b"x", 413), (0, bytes(len(H5AD)), 422)]
)
def test_a_part_that_does_not_fit_is_refused(
    client: TestClient, site: Site, tokens: dict[str, str], offset: int, content: bytes, status: int
):
    place = begin(client, tokens["owls"]).headers["location"]
    answer = part(client, tokens["owls"], place, offset, content)
    assert answer.status_code == status
    assert answer.json()["reason"].endswith((".", "there.", "again."))
    assert entries(site.engine) == []


@pytest.mark.parametrize(
    ("name", "size", "status"),
    [("a.h5ad", (1 << 20) + 1, 413), ("a.H5AD", 5, 201), ("a.exe", 5, 415), (".h5ad", 5, 415), ("a.vcc", 0, 422)],
)
def test_whether_a_file_can_be_taken_is_said_before_it_is_sent(
    client: TestClient, tokens: dict[str, str], name: str, size: int, status: int
):
    assert begin(client, tokens["owls"], name, size).status_code == status


@pytest.mark.parametrize("name", ["../../../x.h5ad", "/etc/x.h5ad", "..\\..\\x.h5ad", "a/../x.h5ad"])
def test_a_name_leads_nowhere(client: TestClient, site: Site, tokens: dict[str, str], name: str):
    place = begin(client, tokens["owls"], name).headers["location"]
    assert part(client, tokens["owls"], place, 0, H5AD).status_code == 204
    assert [path.name for path in site.folder.rglob("*.h5ad")] == ["x.h5ad"]
    assert (site.folder / "entries" / "1" / "x.h5ad").is_file()


def test_a_form_sends_a_whole_file_and_what_is_refused_leaves_nothing(
    client: TestClient, site: Site, tokens: dict[str, str]
):
    csrf = log_in(client, tokens["owls"])

    def send(content: bytes, name: str = "x.h5ad", **fields: str) -> httpx.Response:
        about = {"csrf": csrf, "note": "by form"} | fields
        return client.post("/uploads/form", data=about, files={"file": (name, content)}, headers=PAGE)

    for status, answer in (
        (403, send(H5AD, csrf="x")),
        (422, send(b"no cells")),
        (422, send(b"")),
        (415, send(H5AD, "x.exe")),
        (413, send(H5AD + bytes(1 << 20))),
        (422, send(H5AD, note="x" * 201)),
    ):
        assert answer.status_code == status, answer.text
        assert entries(site.engine) == []
        assert not list((site.folder / "arriving").glob("*"))
    answer = send(H5AD)
    assert (answer.status_code, answer.headers["location"]) == (303, "/entries/1")
    (entry,) = entries(site.engine)
    assert (entry.account, entry.file, entry.note) == ("owls", "x.h5ad", "by form")
    assert (site.folder / "entries" / "1" / "x.h5ad").read_bytes() == H5AD
    send(H5AD)
    assert send(H5AD).status_code == 429, "of two a day"
    assert not list((site.folder / "arriving").glob("*"))


def test_a_form_larger_than_a_request_may_be_is_answered_by_a_page(client: TestClient, tokens: dict[str, str]):
    log_in(client, tokens["owls"])
    size = {"Content-Length": str((64 << 20) + 1)}
    answer = client.post("/uploads/form", content=b"", headers=PAGE | size)
    assert (answer.status_code, "at most 64 MiB" in answer.text) == (413, True)
    assert "starter submit" in answer.text
    parts = (bytes(1 << 20) for _ in range(65))  # whose sender does not say beforehand how much comes
    form = {"Content-Type": "multipart/form-data; boundary=x"}
    answer = client.post("/uploads/form", content=parts, headers=PAGE | form)
    assert (answer.status_code, "at most 64 MiB" in answer.text) == (413, True)
    answer = client.post("/login", content=b"", headers={"Content-Length": str((64 << 10) + 1)})
    assert (answer.status_code, answer.json()["word"]) == (413, "request too large")


def test_a_note_stands_beside_its_entry_and_a_long_one_is_refused(
    client: TestClient, site: Site, tokens: dict[str, str]
):
    place = begin(client, tokens["owls"], note="ridge  on\nGO").headers["location"]
    part(client, tokens["owls"], place, 0, H5AD)
    assert entries(site.engine)[0].note == "ridge on GO"
    assert "ridge on GO" in client.get("/team", headers=bearer(tokens["owls"]) | PAGE).text
    answer = begin(client, tokens["owls"], note="x" * 201)
    assert answer.status_code == 422
    assert "may have 200 characters" in answer.json()["reason"]


def test_an_entry_without_a_score_says_why_it_has_no_rank(client: TestClient, site: Site, tokens: dict[str, str]):
    scored(site, hand_in(client, tokens["owls"]))
    assert "No score" not in client.get("/entries/1", headers=bearer(tokens["owls"]) | PAGE).text
    with writing(site.engine) as now:
        entry = now.get_one(Entry, 1)
        entry.public, entry.moved = SCORES | {"overall": None, "low": None, "high": None}, False
    text = client.get("/entries/1", headers=bearer(tokens["owls"]) | PAGE).text
    assert "No score, and so no rank" in text
    assert "noise" not in text.split("<main")[1].split("<table")[0]


def test_a_board_whose_end_is_not_set_says_so(client: TestClient, site: Site, tokens: dict[str, str]):
    with writing(site.engine) as now:
        now.add_all([Fact(name="n_public", value={"is": 30}), Fact(name="n_private", value={"is": 29})])
    text = client.get("/", headers=bearer(tokens["owls"]) | PAGE).text
    assert "not set yet" in text
    assert "Ranked by 30 of the hidden perturbations; the other 29 decide when the board ends." in text


def test_a_name_that_is_a_script_is_text(client: TestClient, tokens: dict[str, str]):
    place = begin(client, tokens["foxes <i>"], "<img src=x onerror=a>.h5ad").headers["location"]
    part(client, tokens["foxes <i>"], place, 0, H5AD)
    text = client.get("/team", headers=bearer(tokens["foxes <i>"]) | PAGE).text
    assert "<img src" not in text
    assert "<i>" not in text
    assert "A board &lt;b&gt;" in text


def test_the_daily_limit_says_when_it_ends(client: TestClient, tokens: dict[str, str]):
    hand_in(client, tokens["owls"])
    hand_in(client, tokens["owls"])
    answer = begin(client, tokens["owls"])
    assert answer.status_code == 429
    assert 0 < int(answer.headers["retry-after"]) <= 86_400
    assert f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d} 00:00 UTC" in answer.json()["reason"]


def test_a_full_disk_takes_nothing(
    client: TestClient, site: Site, tokens: dict[str, str], monkeypatch: pytest.MonkeyPatch
):
    place = begin(client, tokens["owls"]).headers["location"]

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(uploads.os, "fsync", full)
        assert part(client, tokens["owls"], place, 0, H5AD).status_code == 507
    assert entries(site.engine) == []
    assert part(client, tokens["owls"], place, 0, H5AD).status_code == 204, "the part that failed left nothing"
    monkeypatch.setattr(uploads, "SPARE", 1 << 62)
    assert begin(client, tokens["owls"]).status_code == 507


def test_what_was_whole_when_the_process_was_killed_is_accepted_at_the_next_start(site: Site, tokens: dict[str, str]):
    upload = "a" * 32
    with writing(site.engine) as now:
        about = {"id": upload, "account": "owls", "file": "x.h5ad", "size": len(H5AD), "begun": datetime.now(UTC)}
        now.add(Upload(**about))
    (site.folder / "arriving").mkdir()
    (site.folder / "arriving" / upload).write_bytes(H5AD)
    with TestClient(make_app(site)):
        assert [entry.file for entry in entries(site.engine)] == ["x.h5ad"]


def test_others_entries_and_uploads_are_not_there(client: TestClient, site: Site, tokens: dict[str, str]):
    number = hand_in(client, tokens["owls"])
    scored(site, number)
    pictures = site.folder / "pictures" / "1"
    pictures.mkdir(parents=True)
    (pictures / "a.svg").write_text("<svg/>")
    place = begin(client, tokens["owls"]).headers["location"]
    for page in ("/entries/1", "/entries/1/pictures/a.svg", "/instructor", "/instructor/accounts"):
        assert client.get(page, headers=bearer(tokens["foxes <i>"])).status_code == 404
    assert part(client, tokens["foxes <i>"], place, 0, H5AD).status_code == 404
    assert client.post("/entries/1/choose", headers=bearer(tokens["foxes <i>"])).status_code == 404
    shown = client.get("/entries/1/pictures/a.svg", headers=bearer(tokens["owls"]))
    assert "sandbox" in shown.headers["content-security-policy"]
    assert client.get("/entries/1/pictures/..%2f..%2fboard.db", headers=bearer(tokens["owls"])).status_code == 404
    assert "above the replicate" not in client.get("/entries/1", headers=bearer(tokens["owls"]) | PAGE).text
    assert "above the replicate &lt;u&gt;" in client.get("/entries/1", headers=bearer(tokens["teacher"]) | PAGE).text


def test_a_form_of_another_site_changes_nothing(client: TestClient, site: Site, tokens: dict[str, str]):
    csrf = log_in(client, tokens["owls"])
    scored(site, hand_in(client, tokens["owls"]))
    post: Callable = client.post
    assert post("/entries/1/choose").status_code == 403
    assert post("/entries/1/choose", data={"csrf": "x" * len(csrf)}).status_code == 403
    assert post("/entries/1/choose", data={"csrf": csrf}, headers={"Sec-Fetch-Site": "cross-site"}).status_code == 403
    assert post("/uploads", headers={"Tus-Resumable": "1.0.0", "Upload-Length": "5"}).status_code == 403
    assert not entries(site.engine)[0].chosen
    assert post("/entries/1/choose", data={"csrf": csrf}).status_code == 303
    assert entries(site.engine)[0].chosen


def test_a_wrong_token_is_slow_and_many_are_not_looked_at(client: TestClient, tokens: dict[str, str]):
    start = time.monotonic()
    assert client.post("/login", data={"token": "wrong"}).status_code == 401
    assert time.monotonic() - start > 0.2
    client.app.state.allowances.logins.burst = 2
    assert client.get("/", headers=bearer("wrong")).status_code == 401
    answer = client.post("/login", data={"token": tokens["owls"]})
    assert answer.status_code == 429
    assert int(answer.headers["retry-after"]) > 0


def test_a_cookie_is_kept_from_scripts_and_other_sites(site: Site, tokens: dict[str, str]):
    with TestClient(make_app(site), base_url="https://board.example", follow_redirects=False) as client:
        answer = client.post("/login", data={"token": tokens["owls"]})
        cookie = answer.headers["set-cookie"]
        assert cookie.startswith("__Host-visit=")
        assert all(flag in cookie for flag in ("HttpOnly", "Secure", "SameSite=lax", "Path=/"))
        assert "max-age" in answer.headers["strict-transport-security"]
        csrf = re.search('data-csrf="([^"]+)"', client.get("/", headers=PAGE).text)[1]
        assert client.post("/logout", data={"csrf": csrf}).status_code == 303
        client.cookies.set("__Host-visit", cookie.split("=")[1].split(";")[0])
        assert client.get("/").status_code == 401


def test_a_page_may_do_nothing_else(client: TestClient, tokens: dict[str, str]):
    for answer in (client.get("/", headers=bearer(tokens["owls"]) | PAGE), client.get("/nothing", headers=PAGE)):
        policy = answer.headers["content-security-policy"]
        assert "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert "style=" not in answer.text
        assert "<script>" not in answer.text
    assert client.post("/login", data={"token": "x" * 100_000}).status_code == 413


def test_who_asks_too_often_waits(client: TestClient, tokens: dict[str, str]):
    client.app.state.allowances.requests.burst = 3
    answers = [client.get("/live", headers=bearer(tokens["owls"])).status_code for _ in range(4)]
    assert answers == [200, 200, 200, 429]
    allowance = Allowance(2, 0.01)
    assert [allowance.wait("a") > 0 for _ in range(3)] == [False, False, True]
    time.sleep(0.03)
    assert allowance.wait("a") == 0


def test_an_instructor_rotates_tokens_and_takes_entries_back(client: TestClient, site: Site, tokens: dict[str, str]):
    scored(site, hand_in(client, tokens["owls"]))
    csrf = log_in(client, tokens["teacher"])
    page = client.post("/instructor/accounts/owls/rotate", data={"csrf": csrf}, headers=PAGE).text
    fresh = re.search('class="token">([^<]+)<', page)[1]
    assert client.get("/", headers=bearer(tokens["owls"])).status_code == 401
    assert client.get("/", headers=bearer(fresh)).status_code == 200
    assert client.post("/instructor/entries/1/withdraw", data={"csrf": csrf}).status_code == 422
    assert client.post("/instructor/entries/1/withdraw", data={"csrf": csrf, "reason": "copied"}).status_code == 303
    assert "teacher: copied" in client.get("/entries/1", headers=bearer(fresh) | PAGE).text
    assert client.post("/instructor/entries/1/requeue", data={"csrf": csrf, "reason": "mistaken"}).status_code == 303
    assert entries(site.engine)[0].state == "queued"


def test_what_the_web_process_needs_is_loaded_in_a_moment():
    """Neither what computes nor what reads submissions, which take ten seconds and more to import."""
    program = "import sys, autograder.leaderboard.web.process; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()
    assert "autograder.leaderboard.web.pages" in loaded
    heavy = ("numpy", "pandas", "scipy", "anndata", "torch", "nbgrader", "autograder.grading", "autograder.handed_in")
    assert not set(loaded) & set(heavy)


def test_every_word_is_there_in_both_languages(client: TestClient, site: Site, tokens: dict[str, str]):
    for key, (english, chinese) in WORDS.items():
        assert sorted(re.findall(r"{\w+}", english)) == sorted(re.findall(r"{\w+}", chinese)), key
    folder = Path(uploads.__file__).parent
    text = "".join(path.read_text() for path in [*folder.glob("*.py"), *folder.glob("templates/*.html")])
    used = set(re.findall(r"""say\(["']([^"'~]+?)["'][,)]""", text))
    used |= set(re.findall(r'RefusalError\(\s*\w+, "([^"]+)"', text))
    assert used - set(WORDS) == set()
    scored(site, hand_in(client, tokens["owls"]))
    for page in ("/", "/team", "/entries/1", "/login", "/nowhere"):
        answer = client.get(f"{page}?lang=zh", headers=bearer(tokens["owls"]) | PAGE)
        assert 'lang="zh-Hans"' in answer.text
        assert "语言" in answer.text
