"""Moments as text."""

from datetime import UTC, datetime, timedelta, timezone

from tokenforge.domain.moments import moment_text

NOON = datetime(2026, 1, 2, 12, 0, 0, 123_456, tzinfo=UTC)


def test_a_moment_is_told_to_the_millisecond_in_utc() -> None:
    assert moment_text(NOON) == "2026-01-02T12:00:00.123Z"


def test_a_moment_may_be_told_to_the_second() -> None:
    assert moment_text(NOON, "seconds") == "2026-01-02T12:00:00Z"


def test_a_moment_of_another_zone_is_the_same_moment() -> None:
    assert moment_text(NOON.astimezone(timezone(timedelta(hours=2)))) == moment_text(NOON)
