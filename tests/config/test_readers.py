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
    with pytest.raises(ValueError, match="a group that this host has"):
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


def test_what_is_collected_is_a_line_or_a_value() -> None:
    """The problem says where it was, what is wanted and what was there."""
    problems: list[str] = []
    assert readers.collect(problems, "here", "/x", readers.absolute_path) == Path("/x")
    assert readers.collect(problems, "there", "x", readers.absolute_path) is None
    assert problems == ["there: must be an absolute path, got 'x'"]
