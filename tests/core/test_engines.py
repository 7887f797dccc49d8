"""Engines and their versions."""

from __future__ import annotations

import pytest

from mooring.core.engines import is_mute

NEVER, OLD, LAST_OLD, FIRST_NEW, NEW = (0, 0), (1, 41), (1, 43), (1, 44), (1, 51)


@pytest.mark.parametrize(
    ("oldest", "newest", "version", "mute"),
    [
        (OLD, OLD, OLD, False),
        (OLD, OLD, LAST_OLD, False),
        (LAST_OLD, LAST_OLD, FIRST_NEW, True),
        (OLD, NEW, NEW, True),
        (FIRST_NEW, NEW, NEW, False),
        (NEW, NEW, OLD, True),
        (OLD, NEW, OLD, True),
        (NEVER, NEVER, NEW, False),
        (NEVER, NEVER, OLD, False),
        (OLD, OLD, NEVER, False),
        (NEW, NEW, NEVER, False),
    ],
)
def test_who_cannot_say_its_mac(
    oldest: tuple[int, int], newest: tuple[int, int], version: tuple[int, int], mute: bool
) -> None:
    """Who was with an engine that keeps it elsewhere than this one reads it."""
    assert is_mute(oldest, newest, version) is mute


@pytest.mark.parametrize(("version", "mute"), [((0, 1), True), ((1, 0), True), (LAST_OLD, True), (FIRST_NEW, False)])
def test_only_what_is_older_than_the_field_drops_it(version: tuple[int, int], mute: bool) -> None:
    """However old; the first that has it reads it."""
    assert is_mute(FIRST_NEW, FIRST_NEW, version) is mute
