"""Points and spans of time read well."""

from __future__ import annotations

import pytest

from mooring.core.moments import ago, moment, span


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
