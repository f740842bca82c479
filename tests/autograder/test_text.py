from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from autograder.text import both_times

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("time", "zone", "shown"),
    [
        ("2026-10-01T22:30:00+00:00", BERLIN, "2026-10-01 22:30:00 UTC (2026-10-02 00:30:00 +0200)"),
        ("2026-12-01T22:30:00+00:00", BERLIN, "2026-12-01 22:30:00 UTC (2026-12-01 23:30:00 +0100)"),
        ("2026-10-01T22:30:00+08:00", None, "2026-10-01 14:30:00 UTC"),
        ("2026-10-01T22:30:00+08:00", UTC, "2026-10-01 14:30:00 UTC"),
    ],
)
def test_a_time_is_shown_in_utc_and_in_the_courses_zone(time: str, zone: ZoneInfo | None, shown: str):
    assert both_times(datetime.fromisoformat(time), zone) == shown
