"""The audit log of a listener: one line of JSON for each request.

Rules: nothing in a line can be a secret (no query, no headers, no body); a line is in the file a quarter of a second
after its request at the latest, or the next line that is says how many are missing; neither a slow disk nor a full one
holds up or breaks anybody's request; a file that was moved away (logrotate) is made anew.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from mooring.servers.proxy.peers import NOBODY, Who
from mooring.wire.docker_api import Call

log = logging.getLogger(__name__)

MODE = 0o640
# Seconds that lines are collected.
PERIOD = 0.25
# Bytes of lines that wait for a disk that does not take them. More are counted instead.
ROOM = 4 << 20
# How much of a path is written: a client must not fill the disk with one request.
LONGEST_PATH = 1024


class AuditLog:
    """Writes the lines of one listener. It is called on the loop, and writes on a thread of its own."""

    def __init__(self, path: Path, listener: str, clock: Callable[[], float] = time.time) -> None:
        """listener: its name, for the lines."""
        self._file = _File(path)
        self._listener = listener
        self._clock = clock
        self._lines: list[bytes] = []
        self._size = 0
        self._lost = 0
        self._timer: asyncio.TimerHandle | None = None
        self._writing: Future[int] | None = None
        self._writer = ThreadPoolExecutor(1, thread_name_prefix="audit")

    def record(self, call: Call, status: int, who: Who = NOBODY, refused: bool = False, reason: str = "") -> None:
        """Note a request. status: 0 when it had no reply. who: asked. refused: it was answered here, and the engine was
        not asked. reason: why the bytes are no request; then the call is what there is of one."""
        path = call.path if len(call.path) <= LONGEST_PATH else call.path[:LONGEST_PATH] + "..."
        verb = call.verb.name.lower()
        fields = {"method": call.method, "path": path, "verb": verb, "status": status, "refused": refused}
        if reason:
            fields["reason"] = reason
        line = self._line(**who, **fields)
        if self._size + len(line) > ROOM:
            self._lost += 1
        else:
            self._lines.append(line)
            self._size += len(line)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(PERIOD, self._flush)

    @property
    def waits(self) -> bool:
        """Whether something was noted and is not yet dealt with."""
        return bool(self._lines) or (self._writing is not None and not self._writing.done())

    def close(self) -> None:
        """What was noted is written, as far as it can be, and the file is closed."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._writing is not None:
            self._lost += self._writing.result()
        self._hand_over()
        self._writer.shutdown()
        self._file.close()

    def _line(self, **fields: object) -> bytes:
        at = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        return json.dumps({"at": at, "listener": self._listener, **fields}, separators=(",", ":")).encode() + b"\n"

    def _flush(self) -> None:
        """Have the thread write what there is, when it is done with what it has."""
        self._timer = None
        if self._writing is not None:
            if not self._writing.done():
                self._timer = asyncio.get_running_loop().call_later(PERIOD, self._flush)
                return
            self._lost += self._writing.result()
        self._hand_over()

    def _hand_over(self) -> None:
        lines, lost = self._lines, self._lost
        self._lines, self._size, self._lost = [], 0, 0
        first = [self._line(lost=lost)] if lost else []
        self._writing = self._writer.submit(self._file.append, first + lines, lost) if first or lines else None


class _File:
    """The file, opened when it is needed. A failure is logged once, until something could be written again."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor = -1
        self._torn = False  # the last line is not complete
        self._failed = False

    def append(self, lines: list[bytes], lost: int = 0) -> int:
        """Write them; how many requests are missing in the file now. lost: as many the first line tells of."""
        data = memoryview(b"".join(lines))
        written = 0
        try:
            self._open()
            if self._torn:
                data = memoryview(b"\n" + data)
            while written < len(data):
                written += os.write(self._descriptor, data[written:])
                self._torn = data[written - 1] != ord("\n")
        except OSError as error:
            if not self._failed:
                self._failed = True
                log.error("requests are not audited: cannot write to %s: %s", self._path, error.strerror)
            missing = min(bytes(data[written:]).count(b"\n"), len(lines))
            return missing if missing < len(lines) or not lost else missing - 1 + lost
        if self._failed:
            self._failed = False
            log.warning("requests are audited again: %s can be written to", self._path)
        return 0

    def _open(self) -> None:
        """The descriptor is of the file that has the name now."""
        if self._descriptor >= 0:
            mine = os.fstat(self._descriptor)
            try:
                found = os.stat(self._path)
            except FileNotFoundError:
                found = None
            if found is not None and (found.st_dev, found.st_ino) == (mine.st_dev, mine.st_ino):
                return
            self.close()
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, MODE)
        self._torn = False

    def close(self) -> None:
        """Give the descriptor back."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
