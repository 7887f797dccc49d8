"""A connection to Docker's socket on which a test writes and reads every byte itself.

Rules: every wait has an end; a reply is read as far as its head says and no further, so that what follows it on the
connection is seen.
"""

from __future__ import annotations

import json
import socket
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PIECE = 1 << 16
# The engine's frames around the output of a container without a terminal: stream, three zeros, length.
FRAME = 8


class Hangup(Exception):
    """The connection ended where more was due. data: what came of it."""

    def __init__(self, data: bytes) -> None:
        super().__init__(f"the connection ended after {data[:200]!r}")
        self.data = data


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply as it came: its head with the blank line, and its body with the chunks' frames, if there are any."""

    head: bytes
    body: bytes

    @property
    def whole(self) -> bytes:
        """Every byte of it."""
        return self.head + self.body

    @property
    def status(self) -> int:
        """HTTP's."""
        return int(self.head.split(b" ", 2)[1])

    def header(self, name: str) -> str:
        """The first header of that name, "" for none."""
        for line in self.head.split(b"\r\n")[1:]:
            key, _, value = line.partition(b":")
            if key.lower() == name.lower().encode():
                return value.strip().decode()
        return ""

    @property
    def message(self) -> str:
        """What an error's body says."""
        return str(json.loads(self.body)["message"])


class Wire:
    """One connection to the socket. Use as a context manager, or close it. Raises OSError when nobody listens."""

    def __init__(self, path: Path, timeout: float = 60.0) -> None:
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._sock.connect(str(path))  # without a timeout: with one, a full backlog would be an error
        except OSError:
            self._sock.close()
            raise
        self._sock.settimeout(timeout)
        self._unread = b""

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def fileno(self) -> int:
        """The descriptor."""
        return self._sock.fileno()

    def send(self, data: bytes) -> None:
        """All of it."""
        self._sock.sendall(data)

    def finish(self) -> None:
        """No more is sent: a half-close."""
        self._sock.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Hang up."""
        self._sock.close()

    def some(self) -> bytes:
        """What comes next, empty at the end."""
        data, self._unread = self._unread, b""
        return data or self._sock.recv(PIECE)

    def until(self, mark: bytes) -> bytes:
        """Everything up to the mark, which is included."""
        data = bytearray()
        while (end := data.find(mark)) < 0:
            if not (more := self.some()):
                raise Hangup(bytes(data))
            data += more
        end += len(mark)
        self._unread = bytes(data[end:])
        return bytes(data[:end])

    def document(self) -> Any:
        """The next JSON document of a stream that has one in each chunk."""
        size = int(self.until(b"\r\n"), 16)
        found = json.loads(self.exactly(size))
        self.exactly(2)
        return found

    def exactly(self, size: int) -> bytes:
        """So many bytes."""
        data = bytearray()
        while len(data) < size:
            if not (more := self.some()):
                raise Hangup(bytes(data))
            data += more
        self._unread = bytes(data[size:])
        return bytes(data[:size])

    def rest(self) -> bytes:
        """Everything up to the end."""
        data = bytearray()
        while more := self.some():
            data += more
        return bytes(data)

    def answer(self, to_head: bool = False) -> Answer:
        """The next reply. to_head: it answers a HEAD, and has no body. Raises Hangup."""
        head = self.until(b"\r\n\r\n")
        lower = head.lower()
        status = int(head.split(b" ", 2)[1])
        if to_head or status < 200 or status in {204, 304}:
            return Answer(head, b"")
        if b"\r\ntransfer-encoding: chunked" in lower:
            body = bytearray()
            while (size := self.until(b"\r\n")) != b"0\r\n":
                body += size + self.exactly(int(size, 16) + 2)
            return Answer(head, bytes(body) + size + self.until(b"\r\n"))
        start = lower.find(b"\r\ncontent-length:")
        if start < 0:
            return Answer(head, self.rest())
        return Answer(head, self.exactly(int(lower[start + 17 :].split(b"\r\n", 1)[0])))

    def frame(self) -> tuple[int, bytes]:
        """The next frame of a container's output: 1 or 2, and the bytes. Raises Hangup at the end."""
        head = self.exactly(FRAME)
        return head[0], self.exactly(int.from_bytes(head[4:], "big"))

    def sender(self, data: bytes) -> threading.Thread:
        """Sends the data and half-closes, on a thread of its own that has been started."""

        def work() -> None:
            self.send(data)
            self.finish()

        thread = threading.Thread(target=work, name="sender")
        thread.start()
        return thread


def request(method: str, path: str, document: Any = None, headers: str = "") -> bytes:
    """A request as a client would send it. headers: further lines, each with its line end."""
    head = f"{method} {path} HTTP/1.1\r\nHost: docker\r\n{headers}"
    if document is None:
        return f"{head}\r\n".encode()
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


UPGRADE = "Connection: Upgrade\r\nUpgrade: tcp\r\n"


def hijack(path: Path, target: str, document: Any = None, upgrade: bool = True, timeout: float = 60.0) -> Wire:
    """A connection that has become a container's streams. Raises AssertionError when the engine says no."""
    wire = Wire(path, timeout)
    wire.send(request("POST", target, document, UPGRADE if upgrade else ""))
    head = wire.until(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 101 UPGRADED\r\n" if upgrade else b"HTTP/1.1 200 OK\r\n"):
        wire.close()
        raise AssertionError(head)
    return wire


def output(data: bytes) -> tuple[bytes, bytes]:
    """What the frames hold: standard output and standard error."""
    found = {1: bytearray(), 2: bytearray()}
    pos = 0
    while pos < len(data):
        size = int.from_bytes(data[pos + 4 : pos + FRAME], "big")
        found[data[pos]] += data[pos + FRAME : pos + FRAME + size]
        pos += FRAME + size
    return bytes(found[1]), bytes(found[2])
