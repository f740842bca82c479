"""Text of a student's, made safe to print, and times."""

from datetime import UTC, datetime, tzinfo


def printable(text: str) -> str:
    """Leave a student's text no way to steer a terminal, and nothing that cannot be written as UTF-8."""
    return "".join(character if character.isprintable() else " " for character in text)


def shown_time(time: datetime, zone: tzinfo) -> str:
    """Write a time as it is in a zone, which is said beside it: 2026-10-02 00:30:00 +0200."""
    local = time.astimezone(zone)
    return f"{local:%Y-%m-%d %H:%M:%S} {f'{local:%z}' if local.utcoffset() else 'UTC'}"


def both_times(time: datetime, zone: tzinfo | None) -> str:
    """Write a time in UTC, and behind it in a course's zone if it has one that is another."""
    plain, local = shown_time(time, UTC), shown_time(time, zone or UTC)
    return plain if local == plain else f"{plain} ({local})"
