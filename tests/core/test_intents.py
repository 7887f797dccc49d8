"""Intents and their placeholders."""

from __future__ import annotations

from mooring.core.intents import is_placeholder, placeholder


def test_a_placeholder_is_told_from_a_container() -> None:
    """A full id is hexadecimal and never begins like one."""
    assert is_placeholder(placeholder("abc"))
    assert not is_placeholder("c" * 64)
