"""Log lines: for a person on a terminal and in the journal, JSON for everything else; one line an event, whatever is in
it.

Rules: an event is a constant text with fields in `extra`, so that a line can be searched for; what comes from outside
cannot start a new line or colour the terminal; formatting happens only for lines that are written.
"""

from __future__ import annotations

import logging
import os
import time
import traceback
from typing import TextIO

import msgspec

# Everything that a record has by itself; what else it has was given in `extra`.
_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_SEVERITIES = ((logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6))
_COLOURS = {
    logging.DEBUG: "\x1b[2m",
    logging.WARNING: "\x1b[33m",
    logging.ERROR: "\x1b[31m",
    logging.CRITICAL: "\x1b[31m",
}


def fields_of(record: logging.LogRecord) -> dict[str, object]:
    """What was given in `extra`, in that order."""
    return {key: value for key, value in vars(record).items() if key not in _OWN}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time (RFC 3339, UTC), level, logger, event, the fields, error when there is one."""

    def __init__(self) -> None:
        super().__init__()
        self._encoder = msgspec.json.Encoder(enc_hook=str)

    def format(self, record: logging.LogRecord) -> str:
        """The line without its end."""
        line: dict[str, object] = {
            "time": _stamp(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
        }
        line |= {key if key not in line else f"{key}_": value for key, value in fields_of(record).items()}
        if record.exc_info and record.exc_info[1] is not None:
            line["error"] = "".join(traceback.format_exception(record.exc_info[1]))
        return self._encoder.encode(line).decode()


class JournalFormatter(logging.Formatter):
    """`<4>event field=value ...`: the journal has the time, and takes the level from the number in front of each line
    (sd-daemon(3)); a traceback goes below it."""

    def format(self, record: logging.LogRecord) -> str:
        """The lines without the last one's end."""
        # 3 is for errors, 4 for warnings, 6 for information, 7 for what helps to debug (syslog(3)).
        severity = next((number for level, number in _SEVERITIES if record.levelno >= level), 7)
        text = _line(record)
        if record.exc_info and record.exc_info[1] is not None:
            text += "\n" + "".join(traceback.format_exception(record.exc_info[1])).rstrip()
        return "\n".join(f"<{severity}>{line}" for line in text.splitlines())


class HumanFormatter(logging.Formatter):
    """`12:34:56 level event field=value ...`, in colour if that is wanted; a traceback goes below it."""

    def __init__(self, *, colour: bool) -> None:
        super().__init__()
        self._colour = colour

    def format(self, record: logging.LogRecord) -> str:
        """The line without its end."""
        clock = time.strftime("%H:%M:%S", time.localtime(record.created))
        line = f"{clock} {record.levelname.lower():<7} {_line(record)}"
        if self._colour and (paint := _COLOURS.get(record.levelno)):
            line = f"{paint}{line}\x1b[0m"
        if record.exc_info and record.exc_info[1] is not None:
            line += "\n" + "".join(traceback.format_exception(record.exc_info[1])).rstrip()
        return line


def start_logging(level: str, form: str, stream: TextIO) -> None:
    """Everything of at least the level goes to the stream; calling it again replaces the first call.

    form: `human`, `json`, or `auto`, which is human when the stream is a terminal or leads to the journal.
    """
    terminal, journal = stream.isatty(), is_journal(stream, os.environ.get("JOURNAL_STREAM", ""))
    handler = logging.StreamHandler(stream)
    if form == "json" or not (form == "human" or terminal or journal):
        handler.setFormatter(JsonFormatter())
    else:
        handler.setFormatter(JournalFormatter() if journal else HumanFormatter(colour=terminal))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # A record asks for these once each; nothing here prints them (logging HOWTO, "Optimization").
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    # A full disk behind stderr is not a reason to print tracebacks to the same stderr.
    logging.raiseExceptions = False


def is_journal(stream: TextIO, told: str) -> bool:
    """Whether the stream is the one that the service manager connected to the journal. told: the text of
    JOURNAL_STREAM, `device:inode` (systemd.exec(5))."""
    try:
        found = os.fstat(stream.fileno())
    except (OSError, ValueError):
        return False
    return told == f"{found.st_dev}:{found.st_ino}"


def _line(record: logging.LogRecord) -> str:
    """The event and its fields."""
    fields = (f"{key}={_value(value)}" for key, value in fields_of(record).items())
    return " ".join((_plain(record.getMessage()), *fields))


def _stamp(seconds: float) -> str:
    whole, milliseconds = divmod(int(seconds * 1000), 1000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(whole))}.{milliseconds:03}Z"


def _plain(text: str) -> str:
    return text if text.isprintable() else text.encode("unicode_escape").decode()


def _value(value: object) -> str:
    text = _plain(str(value))
    return f'"{text}"' if not text or " " in text or '"' in text else text
