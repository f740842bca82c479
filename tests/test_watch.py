"""What benchmarks and tests of full size say of a command's memory is the command's own."""

import sys
from pathlib import Path

import numpy as np

from benchmarks.watch import watch

MIB = 1 << 20


def test_the_peak_is_the_commands_and_not_that_of_who_started_it(tmp_path: Path):
    held = np.ones(400 * MIB, np.uint8)
    idle = watch([sys.executable, "-c", "pass"], tmp_path / "log")
    assert (idle.failure, idle.peak < 100 * MIB) == ("", True)
    busy = watch(
        [sys.executable, "-c", f"x = bytearray(b'x' * {200 * MIB}); del x; import time; time.sleep(.2)"],
        tmp_path / "log",
    )
    assert 200 * MIB < busy.peak < 600 * MIB
    assert held.sum() == held.size


def test_a_command_that_fails_says_why(tmp_path: Path):
    assert watch([sys.executable, "-c", "raise SystemExit('no cells')"], tmp_path / "log").failure == (
        "failed (exit status 1): no cells"
    )
