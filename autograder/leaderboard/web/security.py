"""Who asks, whether the request is theirs, and how often they may; and headers that let a page do nothing else."""

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import Depends, Request, Response
from sqlalchemy import delete
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from autograder.leaderboard import accounts, store
from autograder.leaderboard.tables import INSTRUCTOR, Account, Visit
from autograder.leaderboard.web.site import Site

VISIT = timedelta(days=14)
SMALL_BODY = 64 << 10
"""Bytes of a form."""
CHUNK_BODY = 64 << 20
"""Bytes of one request that carries a part of a file, or a whole one by the page's form."""
FORM = "/uploads/form"
"""Where the page's form sends a whole file."""
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
KEPT = 10_000
"""Who is remembered for limits at most."""
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'none'; base-uri 'none'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

FOR_EVER = "public, max-age=31536000, immutable"
"""Of a file whose address changes when it does."""


class RefusalError(Exception):
    """A request that is not answered, with the word that says why; `web.words` has the sentence."""

    def __init__(self, status: int, word: str, headers: dict[str, str] | None = None, **values: object) -> None:
        super().__init__(word)
        self.status, self.word, self.headers, self.values = status, word, headers or {}, values


@dataclass(frozen=True)
class Visitor:
    """Who asks."""

    account: str
    role: str
    csrf: str
    """What a form must send along; empty where the token itself came, which no other site's page can send."""

    @property
    def is_instructor(self) -> bool:
        """Whether they see everything."""
        return self.role == INSTRUCTOR


@dataclass
class Allowance:
    """How often each may do something: `burst` times at once, and once more every `seconds`."""

    burst: int
    seconds: float
    used: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)
    """Name to how much is used up, and when that was so."""

    def wait(self, name: str, *, looks: bool = False) -> float:
        """Use up one of what one may do, unless only looking; if that is too much, give the seconds until it is not."""
        now = time.monotonic()
        used, then = self.used.pop(name, (0.0, now))
        used = max(0.0, used - (now - then) / self.seconds)
        over = used + 1 - self.burst
        self.used[name] = (used if over > 0 or looks else used + 1, now)
        while len(self.used) > KEPT:
            self.used.popitem(last=False)
        return max(0.0, over * self.seconds)


@dataclass(frozen=True)
class Allowances:
    """The limits of one web process."""

    requests: Allowance = field(default_factory=lambda: Allowance(240, 0.25))
    logins: Allowance = field(default_factory=lambda: Allowance(10, 6))
    """Wrong tokens from one address."""
    uploads: Allowance = field(default_factory=lambda: Allowance(20, 30))

    @staticmethod
    def use(allowance: Allowance, name: str) -> None:
        """Refuse what comes too often.

        Raises
        ------
        RefusalError
            With the seconds to wait.
        """
        if wait := allowance.wait(name):
            seconds = int(wait) + 1
            raise RefusalError(429, "too often", {"Retry-After": str(seconds)}, seconds=seconds)


def digest(value: str) -> str:
    """Hash a cookie, of which the database keeps no more."""
    return hashlib.sha256(value.encode()).hexdigest()


def cookie_name(request: Request) -> str:
    """Name the cookie: behind TLS such that no other host of the domain can set it."""
    return "__Host-visit" if request.url.scheme == "https" else "visit"


def address(request: Request) -> str:
    """Name the machine that asks."""
    return request.client.host if request.client else "?"


def log_in(request: Request, token: str) -> tuple[str, Visitor]:
    """Begin a visit.

    Returns
    -------
    The cookie's value, and who it is.

    Raises
    ------
    RefusalError
        If the token is nobody's; a wrong one takes a while, and many of them are not even looked at.
    """
    site: Site = request.app.state.site
    limits: Allowances = request.app.state.allowances
    here = f"login {address(request)}"
    if limits.logins.wait(here, looks=True):
        seconds = int(limits.logins.seconds) + 1
        raise RefusalError(429, "too often", {"Retry-After": str(seconds)}, seconds=seconds)
    with store.writing(site.engine) as session:
        account = accounts.find(session, token.strip())
        if account is None:
            limits.logins.wait(here)
        else:
            value, csrf, now = secrets.token_urlsafe(32), secrets.token_urlsafe(32), datetime.now(UTC)
            session.execute(delete(Visit).where(Visit.ends < now))
            session.add(Visit(cookie_hash=digest(value), account=account.name, csrf=csrf, ends=now + VISIT))
            return value, Visitor(account.name, account.role, csrf)
    time.sleep(request.app.state.slow)
    raise RefusalError(401, "wrong token")


def visitor(request: Request) -> Visitor:
    """Find who asks, by the token itself or by a visit's cookie.

    Raises
    ------
    RefusalError
        If it is nobody, or they ask too often.
    """
    site: Site = request.app.state.site
    limits: Allowances = request.app.state.allowances
    kind, _, token = request.headers.get("authorization", "").partition(" ")
    found = None
    if kind.lower() == "bearer":
        here = f"login {address(request)}"
        if limits.logins.wait(here, looks=True):
            raise RefusalError(429, "too often", {"Retry-After": "7"}, seconds=7)
        with store.session(site.engine) as session:
            if account := accounts.find(session, token.strip()):
                found = Visitor(account.name, account.role, "")
        if found is None:
            limits.logins.wait(here)
            time.sleep(request.app.state.slow)
            raise RefusalError(401, "wrong token")
    elif value := request.cookies.get(cookie_name(request)):
        with store.session(site.engine) as session:
            visit = session.get(Visit, digest(value))
            account = session.get(Account, visit.account) if visit and visit.ends > datetime.now(UTC) else None
            if visit and account:
                found = Visitor(account.name, account.role, visit.csrf)
    if found is None:
        raise RefusalError(401, "log in first")
    if request.method != "PATCH":  # parts of a file are limited by their bytes
        limits.use(limits.requests, found.account)
    request.state.visitor = found
    return found


async def checked_visitor(request: Request, who: Annotated[Visitor, Depends(visitor)]) -> Visitor:
    """Find who asks to change something, and whether it was a page of ours that sent it.

    Raises
    ------
    RefusalError
        If another site may have sent it.
    """
    if who.csrf:
        sent = request.headers.get("x-csrf-token", "")
        if not sent and request.headers.get("content-type", "").startswith(FORMS):
            sent = str((await request.form(max_files=1, max_fields=8)).get("csrf", ""))
        other = request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none")
        if other or not hmac.compare_digest(sent.encode(), who.csrf.encode()):
            raise RefusalError(403, "another site")
    return who


def instructor(who: Annotated[Visitor, Depends(visitor)]) -> Visitor:
    """Let only instructors pass; for others the page is not there."""
    if not who.is_instructor:
        raise RefusalError(404, "not there")
    return who


def checked_instructor(who: Annotated[Visitor, Depends(checked_visitor)]) -> Visitor:
    """Let only instructors change something."""
    return instructor(who)


Asking = Annotated[Visitor, Depends(visitor)]
Changing = Annotated[Visitor, Depends(checked_visitor)]
Instructing = Annotated[Visitor, Depends(instructor)]
Correcting = Annotated[Visitor, Depends(checked_instructor)]


def _too_large(path: str) -> RefusalError:
    if path == FORM:
        return RefusalError(413, "form too large", most=CHUNK_BODY >> 20)
    return RefusalError(413, "request too large")


class Guard:
    """Puts the headers on every answer, and stops a request whose body is too long."""

    def __init__(self, app: ASGIApp, refused: Callable[[Request, RefusalError], Response]) -> None:
        self.app, self.refused = app, refused

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        limit = CHUNK_BODY if scope["method"] == "PATCH" or scope["path"] == FORM else SMALL_BODY
        came = 0

        async def counted() -> Message:
            nonlocal came
            message = await receive()
            came += len(message.get("body", b""))
            if came > limit:
                raise _too_large(scope["path"])
            return message

        async def protected(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
                kept = message["status"] == 200 and scope["path"].startswith("/static/") and scope["query_string"]
                headers.setdefault("Cache-Control", FOR_EVER if kept else "no-store")
                if scope["scheme"] == "https":
                    headers.setdefault("Strict-Transport-Security", "max-age=31536000")
            await send(message)

        said = dict(scope["headers"]).get(b"content-length", b"0")
        if not said.isdigit() or int(said) > limit:
            answer = self.refused(Request(scope, receive), _too_large(scope["path"]))
            await answer(scope, receive, protected)
            return
        await self.app(scope, counted, protected)
