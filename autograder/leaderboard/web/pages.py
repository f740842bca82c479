"""What a team sees: the ranking, its own entries, one entry, the door."""

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import FileResponse, JSONResponse, RedirectResponse
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.responses import HTMLResponse

from autograder.folders import PICTURES
from autograder.leaderboard import choice, store
from autograder.leaderboard.tables import (
    LONGEST_NOTE,
    PRIVATE,
    PUBLIC,
    QUEUED,
    SCORED,
    SCORING,
    Entry,
    Fact,
    FixedRow,
    Standing,
    Visit,
)
from autograder.leaderboard.web import security
from autograder.leaderboard.web.security import Asking, Changing, RefusalError, Visitor
from autograder.leaderboard.web.site import Site
from autograder.leaderboard.web.words import LANGUAGES, word

STATIC = Path(__file__).parent / "static"
THEMES = ("auto", "light", "dark")
TABS = {PRIVATE: "/?board=private", PUBLIC: "/?board=public"}
"""Where the boards are."""
YEAR = 365 * 86_400
PICTURE_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox"
"""Of a picture that is opened alone: its styles are within it, and it runs nothing."""
SOON, LATER = 2, 10
"""Seconds until a page looks at the queue again: near its head, and further back."""
router = APIRouter()
_templates = Environment(
    loader=PackageLoader("autograder.leaderboard.web"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def wants_page(request: Request) -> bool:
    """Tell a browser that shows a page from a program."""
    return "text/html" in request.headers.get("accept", "")


def language(request: Request) -> str:
    """Choose the language: what was clicked, else what the browser asks for first."""
    asked = request.query_params.get("lang") or request.cookies.get("lang", "")
    if asked in LANGUAGES:
        return asked
    first = request.headers.get("accept-language", "")[:2].lower()
    return first if first in LANGUAGES else LANGUAGES[0]


def theme(request: Request) -> str:
    """Choose between light and dark: what was clicked, else what the machine is set to."""
    asked = request.query_params.get("theme") or request.cookies.get("theme", "")
    return asked if asked in THEMES else THEMES[0]


def shown(site: Site, value: object) -> object:
    """Write a value as text."""
    if isinstance(value, datetime):
        local = value.astimezone(ZoneInfo(site.zone))
        return f"{local:%Y-%m-%d %H:%M} {local.tzname()}"
    return f"{value:,.1f}" if isinstance(value, float) else value


def number(value: float | None) -> str:
    """Write a score with a true minus sign; nothing is a dash."""
    return "–" if value is None else f"{value:.3f}".replace("-", "−")


def scale(rows: Sequence[Mapping[str, Any]]) -> tuple[float, float]:
    """Give the ends of the axis on which intervals are drawn: all of them, with 0 and 1."""
    values = [row[key] for row in rows for key in ("score", "low", "high") if row.get(key) is not None]
    low, high = min([0.0, *values]), max([1.0, *values])
    return low, high


def wait_for(moment: datetime, now: datetime) -> tuple[str, int]:
    """Say how long until then, as a word and its number.

    >>> from datetime import timedelta
    >>> now = datetime(2026, 10, 1, tzinfo=UTC)
    >>> wait_for(now + timedelta(hours=47), now), wait_for(now + timedelta(days=2), now)
    (('in hours', 47), ('in days', 2))
    """
    minutes = int((moment - now).total_seconds() // 60)
    for name, length in (("in days", 1440), ("in hours", 60), ("in minutes", 1)):
        if minutes >= 2 * length:
            return name, minutes // length
    return "in a minute", 1


def render(site: Site, name: str, spoken: str, **values: object) -> str:
    """Fill in a template in a language."""

    def say(key: str, **parts: object) -> str:
        return word(spoken, key, **{part: shown(site, value) for part, value in parts.items()})

    def moment(time: datetime | None) -> Markup:
        if time is None:
            return Markup("–")
        return Markup('<time datetime="{}">{}</time>').format(time.isoformat(), shown(site, time))

    return _templates.get_template(name).render(
        site=site, say=say, moment=moment, number=number, lang=spoken, now=datetime.now(UTC), wait_for=wait_for,
        over=is_over(site), min=min, max=max, **values,
    )  # fmt: skip


def page(request: Request, name: str, status: int = 200, **values: object) -> HTMLResponse:
    """Fill in a page; language and theme that were clicked are kept as cookies."""
    site: Site = request.app.state.site
    spoken, look = language(request), theme(request)
    who: Visitor | None = getattr(request.state, "visitor", None)
    content = render(site, name, spoken, who=who, theme=look, path=request.url.path, **values)
    answer = HTMLResponse(content, status)
    for cookie, value in (("lang", spoken), ("theme", look)):
        if request.query_params.get(cookie) == value:
            secure = request.url.scheme == "https"
            answer.set_cookie(cookie, value, max_age=YEAR, samesite="lax", httponly=True, secure=secure)
    return answer


def message_page(request: Request, status: int, sentence: str) -> HTMLResponse:
    """Say one sentence."""
    return page(request, "message.html", status, sentence=sentence)


def login_page(request: Request, status: int = 200, wrong: str = "") -> HTMLResponse:
    """Show the door."""
    return page(request, "login.html", status, wrong=wrong)


def facts(session: Session) -> dict[str, Any]:
    """Read what holds of the whole board."""
    return {fact.name: fact.value.get("is") for fact in session.scalars(select(Fact))}


@router.get("/login")
def show_login(request: Request) -> Response:
    """Show the door."""
    return login_page(request)


@router.post("/login")
def do_login(request: Request, token: Annotated[str, Form(max_length=200)]) -> Response:
    """Let in who shows a token."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise RefusalError(403, "another site")
    try:
        cookie, who = security.log_in(request, token)
    except RefusalError as error:
        if error.word != "wrong token" or not wants_page(request):
            raise
        return login_page(request, 401, word(language(request), "wrong token"))
    answer = RedirectResponse("/instructor" if who.is_instructor else "/", 303)
    answer.set_cookie(
        security.cookie_name(request), cookie, max_age=int(security.VISIT.total_seconds()), path="/",
        httponly=True, samesite="lax", secure=request.url.scheme == "https",
    )  # fmt: skip
    return answer


@router.post("/logout")
def do_logout(request: Request, who: Changing) -> Response:
    """End a visit."""
    del who
    site: Site = request.app.state.site
    with store.writing(site.engine) as session:
        if visit := session.get(Visit, security.digest(request.cookies.get(security.cookie_name(request), ""))):
            session.delete(visit)
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(security.cookie_name(request), path="/")
    return answer


def count_entries(session: Session) -> dict[str, int]:
    """Count the entries of each account."""
    return {name: n for name, n in session.execute(select(Entry.account, func.count()).group_by(Entry.account))}


def ranking(session: Session, board: str) -> list[dict[str, Any]]:
    """List teams and fixed rows, the best first; a rank that several share says so."""
    counts = count_entries(session)
    standings = session.execute(select(Standing, Entry.received).join(Entry, Standing.entry == Entry.id).where(
        Standing.board == board)).all()  # fmt: skip
    shared = [standing.rank for standing, _ in standings]
    rows: list[dict[str, Any]] = [
        {"name": standing.account, "rank": standing.rank, "tied": shared.count(standing.rank) > 1,
         "score": standing.score, "low": standing.low, "high": standing.high, "entry": standing.entry,
         "since": received, "entries": counts.get(standing.account, 0), "fixed": False}
        for standing, received in standings
    ]  # fmt: skip
    for fixed in session.scalars(select(FixedRow)):
        scores = fixed.private if board == PRIVATE else fixed.public
        if scores and scores.get("overall") is not None:
            rows.append({"name": fixed.name, "fixed": True, "tied": False, "score": scores["overall"],
                         "low": scores.get("low"), "high": scores.get("high")})  # fmt: skip
    return sorted(rows, key=lambda row: (-row["score"], row.get("rank", 0), row["name"]))


@router.get("/")
def board(request: Request, who: Asking, board: str = "") -> Response:
    """Show the ranking: once the private half is revealed the final one, unless the other is asked for."""
    site: Site = request.app.state.site
    with store.session(site.engine) as session:
        known = facts(session)
        final = known.get("revealed") and known.get("n_private") and board != PUBLIC
        chosen = PRIVATE if final else PUBLIC
        values = ranked(session, chosen) | {"left": left_today(session, site, who)}
    return page(request, "board.html", facts=known, tabs=TABS, **values)


def ranked(session: Session, board: str) -> dict[str, Any]:
    """Give what a page of the ranking shows of a board."""
    rows = ranking(session, board)
    waiting = session.scalar(select(func.count()).where(Entry.state.in_((QUEUED, SCORING)))) or 0
    return {"board": board, "rows": rows, "ends": scale(rows), "waiting": waiting}


def left_today(session: Session, site: Site, who: Visitor) -> int:
    """Count the entries that a team may still hand in today."""
    return max(0, site.per_day - store.used_today(session, who.account, datetime.now(UTC)))


def is_over(site: Site) -> bool:
    """Say whether the board has ended."""
    return site.ends is not None and datetime.now(UTC) >= site.ends


@router.get("/team")
def team(request: Request, who: Asking) -> Response:
    """Show a team's own entries, and take a new one."""
    site: Site = request.app.state.site
    with store.session(site.engine) as session:
        query = select(Entry).where(Entry.account == who.account).order_by(Entry.id.desc())
        entries = list(session.scalars(query))
        places = store.places(session, who.account)
        left = left_today(session, site, who)
        standing = session.get(Standing, (PUBLIC, who.account))
        session.expunge_all()
    course = [
        {"id": entry.id, "score": entry.public["overall"], "low": entry.public.get("low"),
         "high": entry.public.get("high"), "moved": entry.moved, "fixed": False}
        for entry in reversed(entries)
        if entry.state == SCORED and entry.public and entry.public.get("overall") is not None
    ]  # fmt: skip
    return page(request, "team.html", entries=entries, places=places, left=left, standing=standing,
                course=course, ends=scale(course), longest=LONGEST_NOTE)  # fmt: skip


def own_entry(session: Session, who: Visitor, number: int) -> Entry:
    """Find an entry that the visitor may see; others' are not there."""
    entry = session.get(Entry, number)
    if entry is None or (entry.account != who.account and not who.is_instructor):
        raise RefusalError(404, "not there")
    return entry


@router.get("/entries/{number}")
def show_entry(request: Request, number: int, who: Asking) -> Response:
    """Show one entry: where it is, its scores and pictures, or why it was refused."""
    site: Site = request.app.state.site
    with store.session(site.engine) as session:
        entry = own_entry(session, who, number)
        place = store.places(session, entry.account).get(number, 0)
        known = facts(session)
        session.expunge_all()
    folder = site.folder / PICTURES / str(number)
    pictures = sorted(path.name for path in folder.glob("*.svg")) if folder.is_dir() else []
    halves = [(PUBLIC, entry.public), (PRIVATE, entry.private if known.get("revealed") else None)]
    return page(request, "entry.html", entry=entry, place=place, pictures=pictures, facts=known,
                halves=[(name, scores) for name, scores in halves if scores])  # fmt: skip


@router.get("/entries/{number}/pictures/{name}")
def picture(request: Request, number: int, name: str, who: Asking) -> Response:
    """Send a picture of an entry."""
    site: Site = request.app.state.site
    with store.session(site.engine) as session:
        own_entry(session, who, number)
    path = site.folder / PICTURES / str(number) / name
    if not re.fullmatch(r"[\w-]{1,80}\.svg", name) or path.is_symlink() or not path.is_file():
        raise RefusalError(404, "not there")
    return FileResponse(path, media_type="image/svg+xml", headers={"Content-Security-Policy": PICTURE_POLICY})


@router.post("/entries/{number}/choose")
def choose(request: Request, number: int, who: Changing) -> Response:
    """Make an entry the team's submission."""
    site: Site = request.app.state.site
    if is_over(site):
        raise RefusalError(403, "board ended", time=site.ends)
    with store.writing(site.engine) as session:
        entry = own_entry(session, who, number)
        if entry.account != who.account or entry.state != SCORED:
            raise RefusalError(409, "not to choose")
        choice.choose(session, entry)
    return RedirectResponse(f"/entries/{number}", 303)


@router.get("/live")
def live(request: Request, who: Asking) -> Response:
    """Tell where the visitor's unfinished entries are, for pages that follow them without being loaded again."""
    site: Site = request.app.state.site
    with store.session(site.engine) as session:
        query = select(Entry).where(Entry.account == who.account).order_by(Entry.id.desc()).limit(20)
        places = store.places(session, who.account)
        entries = [
            {"id": entry.id, "state": entry.state, "place": places.get(entry.id, 0)} for entry in session.scalars(query)
        ]
    spoken = language(request)
    for entry in entries:
        entry["text"] = word(spoken, f"state {entry['state']}", n=entry["place"])
    places = [entry["place"] for entry in entries if entry["state"] in (QUEUED, SCORING)]
    again = (SOON if min(places) < 5 else LATER) if places else 0
    return JSONResponse({"entries": entries, "again": again})


def static_version() -> str:
    """Give what changes when a file of `static/` does."""
    newest = max(path.stat().st_mtime_ns for path in STATIC.iterdir())
    return format(newest, "x")


_templates.globals |= {"version": static_version(), "exported": None, "static": "/static/", "home": "/"}
