"""Columns for people."""

from __future__ import annotations

import sys

import pytest

from mooring.cli.tables import percent, print_facts, print_table


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


ADDRESSES = ["10.132.100.102", "fd00:1234:5678:9abc:def0:1234:5678:9abc", "02:42:0a:20:00:02"]


@pytest.mark.parametrize("columns", ["80", "60", "20"])
def test_no_address_is_cut_however_narrow_the_terminal(
    columns: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lines are folded between words, and are longer than the terminal where that is not enough."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", columns)
    row = [ADDRESSES[1], ", ".join(ADDRESSES), "container with-quite-a-long-name of compose", ADDRESSES[2]]
    print_table(("ADDRESS", "ADDRESSES", "HOLDER", "MAC"), [row, row])
    words = capsys.readouterr().out.replace(",", " ").split()
    assert [words.count(address) for address in ADDRESSES] == [2, 4, 4]


def test_what_is_little_is_not_nothing() -> None:
    """A percentage is rounded, but never to none."""
    assert [percent(*pair) for pair in ((0, 254), (1, 254), (127, 254), (254, 254), (2, 2**64), (0, 0))] == [
        "0 %", "<1 %", "50 %", "100 %", "<1 %", "0 %",
    ]  # fmt: skip
