"""Teams of a leaderboard that is served, as processes of their own: some upload, all have its pages open."""

import asyncio
import contextvars
import multiprocessing
import queue
import random
import re
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing.context import SpawnProcess
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Event
from pathlib import Path

import httpx

from autograder.leaderboard.tables import INSTRUCTOR
from starter import progress
from starter.assignment.leaderboard import submit

PAGE_EVERY = 60.0
"""Seconds from one page that a team opens to the next, on average."""
ARRIVE_IN = 20.0
"""Seconds in which all have logged in."""
PATIENCE = 60.0
SPAWNING = multiprocessing.get_context("spawn")


@dataclass(frozen=True)
class Sent:
    """A file that was uploaded."""

    team: str
    file: Path
    entry: int
    """What it became."""
    ended: float
    """On the clock `time.monotonic`."""
    seconds: float


@dataclass(frozen=True)
class View:
    """An answer that a team waited for."""

    kind: str
    at: float
    """On the clock `time.monotonic`."""
    seconds: float
    status: int
    """Of HTTP; 0 where no answer came."""


class Visitors:
    """Those who are at a board; `end` has them go."""

    def __init__(self, sender: SpawnProcess, viewer: SpawnProcess, sent: Queue, views: Queue, stop: Event) -> None:
        self._sender, self._viewer, self._sent, self._views, self._stop = sender, viewer, sent, views, stop

    def sending(self) -> bool:
        """Say whether files are still under way."""
        return self._sender.is_alive() and self._sent.empty()

    def end(self) -> tuple[list[Sent], list[View]]:
        """Wait for the last upload, have all go, and give what was sent and seen."""
        sent = self._sent.get()
        self._stop.set()
        return sent, self._views.get()


@contextmanager
def visitors(
    url: str, tokens: Mapping[str, str], work: Sequence[tuple[str, Path]], clients: int, minutes: float
) -> Iterator[Visitors]:
    """Bring a class to a board.

    Parameters
    ----------
    url
        Of the board.
    tokens
        Team, or the instructor's role, to token.
    work
        Team and file of each upload, in their order.
    clients
        Uploads at the same time.
    minutes
        Over which uploads are spread evenly; 0: one after the other.
    """
    sent, views, stop = SPAWNING.Queue(), SPAWNING.Queue(), SPAWNING.Event()
    sender = SPAWNING.Process(target=_send, args=(url, dict(tokens), list(work), clients, minutes, sent))
    viewer = SPAWNING.Process(target=_view, args=(url, dict(tokens), stop, views))
    for process in (viewer, sender):
        process.start()
    try:
        yield Visitors(sender, viewer, sent, views, stop)
    finally:
        for process in (viewer, sender):
            process.terminate()
            process.join()


def _send(
    url: str,
    tokens: dict[str, str],
    work: list[tuple[str, Path]],
    clients: int,
    minutes: float,
    said: Queue,
) -> None:
    start, waiting = time.monotonic(), queue.SimpleQueue()
    for number, (team, file) in enumerate(work):
        waiting.put((start + 60 * minutes * number / len(work), team, file))
    sent: list[Sent] = []

    def client() -> None:
        while True:
            try:
                due, team, file = waiting.get_nowait()
            except queue.Empty:
                return
            time.sleep(max(0.0, due - time.monotonic()))
            begun = time.monotonic()
            place = submit(file, url, tokens[team])
            ended = time.monotonic()
            sent.append(Sent(team, file, int(place.rpartition("/")[2]), ended, ended - begun))
            advance()

    with progress.bar("upload predictions", len(work)) as advance:
        threads = [threading.Thread(target=contextvars.copy_context().run, args=(client,)) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    said.put(sent)


def _view(url: str, tokens: dict[str, str], stop: Event, said: Queue) -> None:
    said.put(asyncio.run(_look(url, tokens, stop)))


async def _look(url: str, tokens: dict[str, str], stop: Event) -> list[View]:
    views: list[View] = []
    looking = [asyncio.create_task(_visit(url, name, token, views)) for name, token in tokens.items()]
    while not stop.is_set():
        await asyncio.sleep(0.5)
    for task in looking:
        task.cancel()
    await asyncio.gather(*looking, return_exceptions=True)
    return views


async def _visit(url: str, name: str, token: str, views: list[View]) -> None:
    """Log in, open a page now and then, and follow the queue in between, as the script of the pages does."""
    rng = random.Random(name)
    await asyncio.sleep(rng.uniform(0, ARRIVE_IN))
    # there is no TLS here, and to read certificates for each visitor would hold up all others
    async with httpx.AsyncClient(base_url=url, timeout=PATIENCE, verify=False) as client:

        async def get(kind: str, path: str, accept: str = "text/html") -> httpx.Response | None:
            begun, answer = time.monotonic(), None
            with suppress(httpx.HTTPError):
                answer = await client.get(path, headers={"Accept": accept})
            views.append(View(kind, begun, time.monotonic() - begun, answer.status_code if answer else 0))
            return answer

        await client.post("/login", data={"token": token})
        own = "/instructor" if name == INSTRUCTOR else "/team"
        pages = [("ranking", "/"), ("all entries" if name == INSTRUCTOR else "entries of a team", own)]
        again, page_at = 0.0, time.monotonic()
        while True:
            if time.monotonic() >= page_at:
                page_at += rng.expovariate(1 / PAGE_EVERY)
                kind, path = rng.choice(pages)
                answer = await get(kind, path)
                entries = re.findall(r'href="(/entries/\d+)"', answer.text) if answer else []
                pages += [("an entry", entry) for entry in entries[:1] if len(pages) < 3]
                again = 2.0
            wait = page_at - time.monotonic()
            await asyncio.sleep(min(wait, again) if again else wait)
            if again and time.monotonic() < page_at:
                answer = await get("place in the queue", "/live", "application/json")
                again = float(answer.json()["again"]) if answer is not None and answer.status_code == 200 else 10.0
