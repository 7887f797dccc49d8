"""Columns for people."""

from __future__ import annotations

import sys

import pytest

from mooring.cli.tables import print_facts, print_table


def test_columns_are_aligned_and_lines_have_no_tail(capsys: pytest.CaptureFixture[str]) -> None:
    """Three blanks between columns, none at the end."""
    print_table(("A", "LONG"), [("xyz", "1"), ("x", "2")])
    assert capsys.readouterr().out == "A     LONG\nxyz   1\nx     2\n"


def test_no_rows_are_a_header(capsys: pytest.CaptureFixture[str]) -> None:
    """As docker does it."""
    print_table(("A", "B"), [])
    assert capsys.readouterr().out == "A   B\n"


def test_text_from_outside_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    """Escapes and line ends are shown."""
    print_table(("NAME",), [("a\x1b[2J\nb",)])
    print_facts([("Name", "a\rb")])
    assert capsys.readouterr().out == "NAME\na\\x1b[2J\\nb\nName:  a\\rb\n"


def test_facts_without_a_value_are_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    """Names are aligned over those that are shown."""
    print_facts([("Name", "a"), ("Something longer", ""), ("Mode", "b")])
    assert capsys.readouterr().out == "Name:  a\nMode:  b\n"


@pytest.mark.parametrize("columns", ["200", "30"])
def test_a_terminal_gets_lines_that_fit(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is wider than the terminal is folded within its column."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", columns)
    print_table(("ADDRESS", "HOLDER"), [("10.32.0.2", "a container with quite a long name")])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["ADDRESS", "HOLDER"]
    assert max(len(line) for line in lines) <= int(columns)
    assert len(lines) == (2 if columns == "200" else 3)
