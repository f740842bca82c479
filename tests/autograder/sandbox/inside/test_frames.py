import struct

import pytest

from autograder.sandbox.inside.frames import MAX_FRAMES, read_frames


def frame(name: str, content: bytes) -> bytes:
    return struct.pack(">HQ", len(name), len(content)) + name.encode() + content


def test_frames_come_apart():
    stream = frame("start", b"") + frame("a", b"12") + frame("b", b"3" * 1000)
    assert read_frames(stream) == ({"start": b"", "a": b"12", "b": b"3" * 1000}, set())


def test_what_is_said_twice_counts_the_first_time():
    assert read_frames(frame("a", b"1") + frame("b", b"") + frame("a", b"2")) == ({"a": b"1", "b": b""}, {"a"})


@pytest.mark.parametrize(
    "tail", [b"\x00", frame("b", b"123")[:-1], struct.pack(">HQ", 1, 2**63) + b"b", b"\xff" * 10 + b"junk"]
)
def test_a_damaged_end_leaves_what_came_before(tail: bytes):
    assert read_frames(frame("a", b"1") + tail) == ({"a": b"1"}, set())


def test_a_flood_of_frames_is_not_read():
    frames, repeated = read_frames(frame("a", b"") * MAX_FRAMES + frame("b", b""))
    assert (frames, repeated) == ({"a": b""}, {"a"})
