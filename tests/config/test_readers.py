"""Readers of single values; through `load` tests/test_config.py tries the rest."""

from __future__ import annotations

import grp
import os
from pathlib import Path

import pytest

from mooring.config import readers


def test_a_group_is_a_name_or_a_number() -> None:
    """Names are looked up, numbers need not be known, and nothing is nothing."""
    name = grp.getgrgid(0).gr_name
    assert [readers.known_group(value) for value in (name, 54321, "54321", "")] == [name, "54321", "54321", ""]


def test_the_group_docker_need_not_be_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """One file for all hosts: where there is no such group, none is named."""

    def find(name: str) -> grp.struct_group:
        if name == "docker" and here:
            return grp.getgrgid(os.getegid())
        raise KeyError(name)

    monkeypatch.setattr(grp, "getgrnam", find)
    here = False
    assert readers.known_group("docker") == ""
    here = True
    assert readers.known_group("docker") == grp.getgrgid(os.getegid()).gr_name
    with pytest.raises(ValueError, match="an existing group"):
        readers.known_group("dokcer")


@pytest.mark.parametrize("value", [True, None, 1.5, [], -1, "-1", "4294967295", "²", "nobody\0"])
def test_what_is_no_user_is_told(value: object) -> None:
    """Neither booleans, nor negative numbers, nor the number that means nobody, nor text that is neither."""

    def find(name: str) -> str:
        raise ValueError(name) if "\0" in name else KeyError(name)

    with pytest.raises(ValueError, match=r"must be .*user"):
        readers.numeric_or(value, find, "user")


@pytest.mark.parametrize(("text", "mode"), [("0660", 0o660), ("0o600", 0o600), ("770", 0o770)])
def test_a_mode_is_octal(text: str, mode: int) -> None:
    """With and without the zero in front."""
    assert readers.socket_mode(text) == mode


@pytest.mark.parametrize(("value", "number"), [(4790, 4790), ("4789", 4789), (" 1 ", 1), (65535, 65535)])
def test_a_port_is_a_number(value: object, number: int) -> None:
    """Of a file, a variable or a flag."""
    assert readers.port(value) == number


@pytest.mark.parametrize("value", [0, 65536, -1, "", "vxlan", 4790.5, True, None])
def test_what_is_no_port_is_told(value: object) -> None:
    """With its bounds."""
    with pytest.raises(ValueError, match="1 to 65535"):
        readers.port(value)


def test_what_is_collected_is_a_line_or_a_value() -> None:
    """The problem says where it was, what is wanted and what was there."""
    problems: list[str] = []
    assert readers.collect(problems, "here", "/x", readers.absolute_path) == Path("/x")
    assert readers.collect(problems, "there", "x", readers.absolute_path) is None
    assert problems == ["there: must be an absolute path, got 'x'"]


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (5, 5.0),
        (0.5, 0.5),
        ("5", 5.0),
        (" 90s ", 90.0),
        ("15m", 900.0),
        ("24h", 86400.0),
        ("7d", 604800.0),
        ("1h30m", 5400.0),
    ],
)
def test_seconds_are_a_number_or_a_length_of_time(value: object, number: float) -> None:
    """Of a file, a variable or a flag."""
    assert readers.seconds(0, 30 * 86400)(value) == number


@pytest.mark.parametrize("value", ["", "h", "24 hours", "1h 30m", "-1h", "24H", "1d1", True, [], "9" * 400])
def test_what_is_no_length_of_time_is_told(value: object) -> None:
    """With the ways to write it, or the bounds."""
    with pytest.raises(ValueError, match=r"24h or 7d|must be between"):
        readers.seconds(0, 30 * 86400)(value)


def test_bounds_hold_for_lengths_of_time() -> None:
    """A week is too much where a day is the most."""
    with pytest.raises(ValueError, match="must be between 1 and 86400 seconds"):
        readers.seconds(1, 86400)("1w")
