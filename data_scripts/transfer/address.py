"""What an address answers, and how that may fail."""

from collections.abc import Iterator
from dataclasses import dataclass


class Again(Exception):
    """A fault that another attempt may mend; `wait` is what the server asked for, in seconds."""

    def __init__(self, fault: str, wait: float | None = None) -> None:
        super().__init__(fault)
        self.wait = wait


class Stale(Again):
    """The unfinished file is of another version, and must be begun anew."""


class Fault(Exception):
    """A fault of this address that another attempt would not mend."""


@dataclass(frozen=True)
class Answer:
    """What an address is about to send."""

    start: int
    """The first byte of it."""
    total: int | None
    """Bytes of the whole file."""
    marks: dict[str, str]
    """What names this version of the file: etag, last_modified."""
    chunks: Iterator[bytes]
