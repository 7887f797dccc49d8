"""Points and spans of time read well."""

from __future__ import annotations

import time

import pytest

from mooring.core.faults import BadRequest
from mooring.core.times import ago, moment, point_of, seconds_of, span


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-5, "a moment"),
        (0.4, "a moment"),
        (1, "1 second"),
        (59.9, "59 seconds"),
        (60, "1 minute"),
        (7199, "1 hour"),
        (86400, "1 day"),
        (3 * 86400, "3 days"),
    ],
)
def test_a_span_is_told_in_one_unit_rounded_down(seconds: float, text: str) -> None:
    """The largest unit that fits is used."""
    assert span(seconds) == text


def test_a_moment_is_utc() -> None:
    """The epoch is the epoch, whatever the host's time zone."""
    assert moment(0) == "1970-01-01 00:00:00 UTC"


def test_a_clock_that_went_backwards_does_not_show() -> None:
    """What seems to lie in the future was just now."""
    assert ago(-100) == "just now"
    assert ago(120) == "2 minutes ago"


@pytest.mark.parametrize(
    ("text", "seconds"), [("90s", 90), ("15m", 900), ("24h", 86400), ("7d", 604800), ("2w", 1209600), ("1h30m", 5400)]
)
def test_a_length_of_time_is_read(text: str, seconds: float) -> None:
    """Also one of several units."""
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "7", "s", "7 d", "-1d", "1.5h", "7y", "1d2", "\u0667d"])
def test_what_is_no_length_of_time_is_refused(text: str) -> None:
    """The text says how it is written."""
    with pytest.raises(BadRequest, match="write it as 90s, 15m, 24h or 7d"):
        seconds_of(text)


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("10m", 1600.0),
        ("1970-01-02", 86400.0),
        ("1970-01-01T01:00", 3600.0),
        ("1970-01-01T01:00+01:00", 0.0),
        ("1970-01-01 00:00:30Z", 30.0),
    ],
)
def test_a_point_in_time_is_read(text: str, point: float) -> None:
    """From now, or of the calendar; without an offset it is UTC, as everywhere."""
    assert point_of(text, 1000.0) == point


@pytest.mark.parametrize("text", ["soon", "2026-13-01", "10:00", ""])
def test_what_is_no_point_in_time_is_refused(text: str) -> None:
    """The text says how it is written."""
    with pytest.raises(BadRequest, match="is not a time; write it as 7d, 2026-12-24"):
        point_of(text, 1000.0)


def test_a_second_ago_is_told() -> None:
    """And nothing shorter."""
    assert (ago(1), ago(0.9)) == ("1 second ago", "just now")


def test_a_moment_does_not_depend_on_the_zone_of_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the daemon runs."""
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        assert moment(0) == "1970-01-01 00:00:00 UTC"
        assert point_of("1970-01-02", 0.0) == 86400.0
    finally:
        monkeypatch.undo()
        time.tzset()
