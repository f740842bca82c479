"""What an instructor sees and does: accounts, flags, all entries."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import RedirectResponse
from sqlalchemy import func, select

from autograder.leaderboard import accounts, store
from autograder.leaderboard.tables import QUEUED, REFUSED, SCORED, TEAM, WITHDRAWN, Account, Entry
from autograder.leaderboard.web import pages
from autograder.leaderboard.web.security import Correcting, Instructing, RefusalError
from autograder.leaderboard.web.site import Site

SHOWN = 200
"""Entries on one page."""
router = APIRouter()


@router.get("/instructor")
def overview(request: Request, who: Instructing, state: str = "", team: str = "", before: int = 0) -> Response:
    """Show all entries, the newest first, with their flags."""
    del who
    site: Site = request.app.state.site
    with store.session(site.engine) as session:
        query = select(Entry).order_by(Entry.id.desc())
        query = query.where(Entry.state == state) if state else query
        query = query.where(Entry.account == team) if team else query
        query = query.where(Entry.id < before) if before else query
        entries = list(session.scalars(query.limit(SHOWN)))
        counted = {name: n for name, n in session.execute(select(Entry.state, func.count()).group_by(Entry.state))}
        flagged = [entry for entry in entries if entry.flags]
        session.expunge_all()
    more = entries[-1].id if len(entries) == SHOWN else 0
    return pages.page(request, "instructor.html", entries=entries, counted=counted, flagged=flagged, state=state,
                      team=team, more=more)  # fmt: skip


@router.get("/instructor/accounts")
def show_accounts(request: Request, who: Instructing) -> Response:
    """Show who has a token."""
    del who
    return _accounts_page(request, {})


@router.post("/instructor/accounts/{name}/rotate")
def rotate(request: Request, name: str, who: Correcting) -> Response:
    """Make a new token for an account, shown this once; the old one and its visits end."""
    del who
    site: Site = request.app.state.site
    with store.session(site.engine) as session:
        account = session.get(Account, name)
        if account is None:
            raise RefusalError(404, "not there")
        role = account.role
    return _accounts_page(request, accounts.make_tokens(site.engine, [name], role))


def _accounts_page(request: Request, made: dict[str, str]) -> Response:
    site: Site = request.app.state.site
    with store.session(site.engine) as session:
        counts = pages.count_entries(session)
        listed = list(session.scalars(select(Account).order_by(Account.role != TEAM, Account.name)))
        session.expunge_all()
    return pages.page(request, "accounts.html", accounts=listed, counts=counts, made=made)


@router.post("/instructor/entries/{number}/{action}")
def correct(
    request: Request, number: int, action: str, who: Correcting, reason: Annotated[str, Form(max_length=500)] = ""
) -> Response:
    """Queue an entry again, or take it back, with a reason that its team reads."""
    site: Site = request.app.state.site
    reason = reason.strip()
    if not reason:
        raise RefusalError(422, "give a reason")
    with store.writing(site.engine) as session:
        entry = session.get(Entry, number)
        if entry is None:
            raise RefusalError(404, "not there")
        if action == "requeue" and entry.state in (SCORED, REFUSED, WITHDRAWN):
            entry.state, entry.worker, entry.begun, entry.ended, entry.tries = QUEUED, None, None, None, 0
        elif action == "withdraw" and entry.state in (QUEUED, SCORED, REFUSED):
            entry.state, entry.chosen = WITHDRAWN, False
        else:
            raise RefusalError(409, "not now")
        entry.reason = f"{who.account}: {reason}"
    return RedirectResponse(f"/entries/{number}", 303)
