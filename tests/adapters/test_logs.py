"""Log lines: one an event, whatever is in it."""

from __future__ import annotations

import io
import json
import logging
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from mooring.adapters.host.logs import HumanFormatter, JournalFormatter, JsonFormatter, start_logging


@pytest.fixture(autouse=True)
def restored_logging() -> Iterator[None]:
    """The root logger of the test run comes back."""
    root = logging.getLogger()
    before = root.handlers[:], root.level, logging.raiseExceptions, logging.logThreads
    yield
    root.handlers[:], root.level, logging.raiseExceptions, logging.logThreads = before
    logging.logProcesses = logging.logMultiprocessing = True


def record(message: str, level: int = logging.INFO, **fields: object) -> logging.LogRecord:
    """A record with the fields in extra."""
    return logging.getLogger("mooring.test").makeRecord("mooring.test", level, "f", 1, message, (), None, extra=fields)


def test_a_json_line_has_time_level_logger_event_and_fields() -> None:
    """Each is a key of one object, and values that JSON does not have become text."""
    line = json.loads(JsonFormatter().format(record("ready", count=3, kind=ValueError)))
    assert line["event"] == "ready"
    assert line["level"] == "info"
    assert line["logger"] == "mooring.test"
    assert line["count"] == 3
    assert line["kind"] == "<class 'ValueError'>"
    assert line["time"].endswith("Z")
    assert "error" not in line


def test_a_field_does_not_hide_what_the_line_says_itself() -> None:
    """A field that is called as one of ours gets another key."""
    line = json.loads(JsonFormatter().format(record("ready", event="x")))
    assert (line["event"], line["event_"]) == ("ready", "x")


def test_an_error_is_in_its_line() -> None:
    """A traceback does not break the rule of one line an event."""
    stream = io.StringIO()
    start_logging("info", "json", stream)
    try:
        raise ValueError("no\nway")
    except ValueError:
        logging.getLogger("mooring.test").exception("it failed")
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1
    assert "ValueError: no\nway" in json.loads(lines[0])["error"]


def test_a_human_line_is_one_line_whatever_is_in_it() -> None:
    """Line ends and escapes from outside are shown, not obeyed."""
    line = HumanFormatter(colour=False).format(record("refused\nroot: ok", name_="a b", empty="", esc="\x1b[31m"))
    assert line.split(" ", 1)[1] == 'info    refused\\nroot: ok name_="a b" empty="" esc=\\x1b[31m'


def test_colour_is_for_terminals_and_for_trouble() -> None:
    """A warning is coloured where that is wanted, plain news are not."""
    assert "\x1b[33m" in HumanFormatter(colour=True).format(record("w", logging.WARNING))
    assert "\x1b" not in HumanFormatter(colour=True).format(record("w"))
    assert "\x1b" not in HumanFormatter(colour=False).format(record("w", logging.WARNING))


def test_lines_below_the_level_are_not_written() -> None:
    """The level counts for every logger, and starting again replaces the first start."""
    first, second = io.StringIO(), io.StringIO()
    start_logging("debug", "human", first)
    start_logging("warning", "auto", second)
    logging.getLogger("mooring.test").info("no")
    logging.getLogger("mooring.test").warning("yes")
    assert first.getvalue() == ""
    assert json.loads(second.getvalue())["event"] == "yes"


def test_a_line_of_the_journal_has_a_priority_and_no_time() -> None:
    """One number for each level, on every line of a traceback (sd-daemon(3)); nothing from outside can give another."""
    formatter = JournalFormatter()
    levels = (logging.DEBUG, logging.INFO, logging.WARNING, logging.ERROR, logging.CRITICAL)
    assert [formatter.format(record("x", level))[:3] for level in levels] == ["<7>", "<6>", "<4>", "<3>", "<2>"]
    assert formatter.format(record("ready\n<0>no", count=3, who="a b")) == '<6>ready\\n<0>no count=3 who="a b"'
    try:
        raise ValueError("no\nway")
    except ValueError as error:
        failed = record("it failed", logging.ERROR)
        failed.exc_info = (ValueError, error, error.__traceback__)
    lines = formatter.format(failed).split("\n")
    assert len(lines) > 3
    assert all(line.startswith("<3>") for line in lines)


@pytest.mark.parametrize(("form", "begins"), [("auto", "<6>ready"), ("human", "<6>ready"), ("json", '{"time"')])
def test_the_journal_gets_text(form: str, begins: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When stderr is what the service manager connected to it, unless JSON was asked for; where it was sent to a file,
    it is not the journal any more."""
    for name, told, expected in (("journal", True, begins), ("file", False, '{"time"' if form == "auto" else "")):
        with (tmp_path / name).open("w+") as stream:
            found = os.fstat(stream.fileno())
            monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino + (0 if told else 1)}")
            start_logging("info", form, stream)
            logging.getLogger("mooring.test").info("ready")
            stream.flush()
            stream.seek(0)
            assert stream.read().startswith(expected)
