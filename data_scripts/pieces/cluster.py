"""Sums over all pieces by Dask: in this process, on workers of this machine, or on a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from dask.delayed import delayed
from distributed import Client, LocalCluster, get_worker

from data_scripts.pieces.folder import Pieces
from data_scripts.pieces.sums import Sums, add, sum_piece
from starter import progress
from starter.errors import InputError
from starter.schema import CONTROL

CONNECT_SECONDS = 15
FAN_IN = 4
"""Sums that are added at once: few of them wait in memory."""
TOPIC = "piece"
"""Under which a worker tells that it has summed up a piece."""


def sum_pieces(pieces: Pieces, client: Client) -> Sums:
    """Sum up all cells. A piece that a worker was summing up when it died is summed up by another.

    The sums are added in the same order whatever worker was quicker, so they are the same, bit by bit.

    Parameters
    ----------
    pieces
        On a disk that all workers share.
    client
        Of `connected`, or of any Dask scheduler.

    Raises
    ------
    InputError
        If a piece cannot be read, or there are no control cells, so that the scale of log expression is unknown.
    """
    target_sum = pieces.course.get("target_sum")
    if target_sum is None:
        msg = f"no cell of the pieces is labelled {CONTROL!r}, so the scale of log expression is unknown; label them"
        raise InputError(msg)
    level = [delayed(_told)(path, float(target_sum)) for path in pieces.paths]
    while len(level) > 1:
        level = [delayed(add)(*level[start : start + FAN_IN]) for start in range(0, len(level), FAN_IN)]
    done: set[str] = set()
    with progress.bar("sum up pieces", len(pieces.paths)) as advance:

        def tell(event: tuple[float, str]) -> None:
            if event[1] not in done:  # a piece may be summed up twice
                done.add(event[1])
                advance()

        client.subscribe_topic(TOPIC, tell)
        try:
            total: Any = client.compute(level[0])
            return total.result()
        finally:
            client.unsubscribe_topic(TOPIC)


def _told(path: Path, target_sum: float) -> Sums:
    found = sum_piece(path, target_sum)
    with suppress(ValueError):  # not on a worker
        get_worker().log_event(TOPIC, str(path))
    return found


@contextmanager
def connected(address: str | None = None, workers: int = 1) -> Iterator[Client]:
    """Connect to a Dask scheduler, or start workers on this machine.

    Parameters
    ----------
    address
        Of a scheduler, as `tcp://HOST:8786`; None for this machine.
    workers
        Processes to start here; with one, this process does the work.

    Raises
    ------
    InputError
        If no scheduler answers at the address, or it has no workers.
    """
    if address is None:
        local: dict[str, Any] = {"n_workers": workers, "threads_per_worker": 1, "dashboard_address": None}
        with (
            LocalCluster(processes=workers > 1, **local) as cluster,
            Client(cluster, set_as_default=False) as client,
        ):
            yield client
        return
    try:
        client = Client(address, timeout=CONNECT_SECONDS, set_as_default=False)
    except Exception as error:  # whatever the library makes of an address, or of certificates that are not there
        msg = f"no Dask scheduler answers at {address} ({type(error).__name__}: {error}); see docs/cluster.md"
        raise InputError(msg) from error
    with client:
        if not client.scheduler_info()["workers"]:
            msg = f"the scheduler at {address} has no workers; start some with: dask worker {address}"
            raise InputError(msg)
        yield client
