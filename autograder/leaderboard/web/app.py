"""The web application."""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from anyio import to_thread
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.staticfiles import StaticFiles

from autograder.leaderboard import store
from autograder.leaderboard.web import pages, stages, teaching, uploads
from autograder.leaderboard.web.security import Allowances, Guard, RefusalError
from autograder.leaderboard.web.site import Site
from autograder.leaderboard.web.words import word
from starter.errors import InputError

SLOW = 1.0
"""Seconds that a wrong token takes."""
HERE = Path(__file__).parent


def make_app(site: Site, slow: float = SLOW) -> FastAPI:
    """Make the application of a board.

    Parameters
    ----------
    site
        The board.
    slow
        Seconds that a wrong token takes.
    """

    @asynccontextmanager
    async def life(app: FastAPI) -> AsyncIterator[None]:
        await to_thread.run_sync(uploads.accept_whole, site)
        await to_thread.run_sync(uploads.give_up_old, site)
        yield
        site.engine.dispose()

    app = FastAPI(title=site.title, docs_url=None, redoc_url=None, openapi_url=None, lifespan=life)
    app.state.site, app.state.slow = site, slow
    app.state.allowances, app.state.arriving = Allowances(), uploads.Arriving()
    app.include_router(pages.router)
    app.include_router(teaching.router)
    app.include_router(stages.router)
    app.include_router(uploads.router)
    app.mount("/static", StaticFiles(directory=HERE / "static"))
    app.add_middleware(Guard, refused=_refused)
    app.add_exception_handler(RefusalError, _refused)
    app.add_exception_handler(InputError, _input)
    app.add_exception_handler(HTTPException, _not_there)
    app.add_exception_handler(DBAPIError, _ours)
    app.add_exception_handler(Exception, _ours)
    return app


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, RefusalError)
    if error.word == "log in first" and request.method == "GET" and pages.wants_page(request):
        return pages.login_page(request, status=401)
    return _answer(request, error.status, word(pages.language(request), error.word, **_shown(request, error)), error)


def _shown(request: Request, error: RefusalError) -> dict[str, object]:
    return {name: pages.shown(request.app.state.site, value) for name, value in error.values.items()}


def _input(request: Request, error: Exception) -> Response:
    return _answer(request, 422, word(pages.language(request), "detail", detail=str(error)))


def _not_there(request: Request, error: Exception) -> Response:
    status = getattr(error, "status_code", 404)
    name = {404: "not there", 405: "not there"}.get(status, "ours")
    return _answer(request, status, word(pages.language(request), name))


def _ours(request: Request, error: Exception) -> Response:
    logging.getLogger("uvicorn.error").error("%s %s: %r", request.method, request.url.path, error)
    full = store.is_full(error)
    return _answer(request, 507 if full else 503, word(pages.language(request), "disk full" if full else "ours"))


def _answer(request: Request, status: int, sentence: str, error: RefusalError | None = None) -> Response:
    headers = error.headers if error else {}
    if request.url.path.startswith("/uploads"):
        headers = {**uploads.TUS, **headers}
    if pages.wants_page(request):
        answer = pages.message_page(request, status, sentence)
        answer.headers.update(headers)
        return answer
    return JSONResponse({"reason": sentence, "word": error.word if error else ""}, status, headers)
