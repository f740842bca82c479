"""What the kernel refuses to those inside the sandbox: memory that no limit counts, others' cores, the grader's keys.

Given to bubblewrap as a program of the kernel's packet filter (BPF), which decides on every call.
"""

import errno
import os
import platform
import struct
from collections.abc import Iterator
from contextlib import contextmanager

NUMBERS = {
    "x86_64": {
        "memfd_create": 319, "memfd_secret": 447, "shmget": 29, "msgget": 68, "add_key": 248, "request_key": 249,
        "keyctl": 250, "bpf": 321, "io_uring_setup": 425, "perf_event_open": 298, "userfaultfd": 323,
        "sched_setaffinity": 203, "mmap": 9,
    },
    "aarch64": {
        "memfd_create": 279, "memfd_secret": 447, "shmget": 194, "msgget": 186, "add_key": 217, "request_key": 218,
        "keyctl": 219, "bpf": 280, "io_uring_setup": 425, "perf_event_open": 241, "userfaultfd": 282,
        "sched_setaffinity": 122, "mmap": 222,
    },
}  # fmt: skip
"""Calls that are refused, and mmap, which is refused in part."""
ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
OTHER_NUMBERS = 0x40000000
"""From here on the calls of x86_64 have a second set of numbers."""
UNNAMED_SHARED = 0x21
"""MAP_SHARED and MAP_ANONYMOUS: memory that stays after its process let go of it, as long as another holds a page."""
INSTRUCTION = struct.Struct("=HBBI")
"""What to do, how many to skip if true and if false, a constant."""
LOAD, AND, IF_EQUAL, IF_AT_LEAST, RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
CALL, ARCHITECTURE, MMAP_FLAGS = 0, 4, 40
"""Where the kernel's description of a call has them."""
ALLOW, REFUSE = 0x7FFF0000, 0x00050000 | errno.EPERM


def is_known() -> bool:
    """Tell whether this machine's calls are known."""
    return platform.machine() in NUMBERS


@contextmanager
def refused(*, unnamed_shared: bool) -> Iterator[int]:
    """Give a file descriptor from which bubblewrap can read the program, once.

    Parameters
    ----------
    unnamed_shared
        Whether memory that is shared without a file is refused too; drivers of GPUs need it.
    """
    reading, writing = os.pipe()
    try:
        os.write(writing, _program(platform.machine(), unnamed_shared=unnamed_shared))
        os.close(writing)
        yield reading
    finally:
        os.close(reading)


def _program(machine: str, *, unnamed_shared: bool) -> bytes:
    numbers = NUMBERS[machine]
    calls = [number for name, number in numbers.items() if name != "mmap"]
    flags = [(LOAD, 0, 0, MMAP_FLAGS), (AND, 0, 0, UNNAMED_SHARED), (IF_EQUAL, 1, 0, UNNAMED_SHARED)]
    tail = [*(flags if unnamed_shared else ()), (RETURN, 0, 0, ALLOW), (RETURN, 0, 0, REFUSE)]
    # mmap goes on to its flags, every other call skips them
    tail = [(IF_EQUAL, 0, len(flags), numbers["mmap"]), *tail] if unnamed_shared else tail
    refuse = len(calls) + len(tail) - 1
    head = [
        (LOAD, 0, 0, ARCHITECTURE),
        (IF_EQUAL, 0, refuse + 2, ARCHITECTURES[machine]),
        (LOAD, 0, 0, CALL),
        (IF_AT_LEAST, refuse, 0, OTHER_NUMBERS),
    ]
    tests = [(IF_EQUAL, refuse - 1 - place, 0, number) for place, number in enumerate(calls)]
    return b"".join(INSTRUCTION.pack(*step) for step in (*head, *tests, *tail))
