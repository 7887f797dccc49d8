"""A relay between dockerd and the daemon's plugin socket, which kills the daemon at a chosen moment.

Rules: it listens where dockerd looks for the plugin, and passes requests on to where the daemon listens; requests are
numbered from 1 since the last `arm`; the fatal one is either lost before the daemon saw it or carried out without a
reply, and in both cases dockerd sees its connection close; the daemon is started again before anything else is passed.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from enum import Enum
from pathlib import Path
from typing import IO

from tests.e2e.lab.daemons import Daemon
from tests.e2e.lab.namespaces import eventually


class Moment(Enum):
    """When the daemon dies."""

    BEFORE = "lost"
    AFTER = "carried out without a reply"


class Relay:
    """Stands at `front` and passes on to `back`. Use as a context manager."""

    def __init__(self, front: Path, back: Path, daemon: Daemon) -> None:
        self._back, self._daemon = back, daemon
        self.calls: list[str] = []
        self.killed_at = ""
        self._fatal, self._moment = 0, Moment.BEFORE
        self._lock = threading.Lock()  # one request at a time, so that the number means the same in every run
        self._threads: list[threading.Thread] = []
        self._open: set[socket.socket] = set()
        front.parent.mkdir(parents=True, exist_ok=True)
        front.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._listener.bind(str(front))
        self._listener.listen(64)
        self._closing = False

    def arm(self, number: int, moment: Moment) -> None:
        """Count from now on; the daemon dies at the request of that number, 0 for never."""
        with self._lock:
            self.calls, self.killed_at = [], ""
            self._fatal, self._moment = number, moment

    def __enter__(self) -> Relay:
        self._spawn(self._accept)
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing = True
        for sock in (self._listener, *self._open):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()
        for thread in self._threads:
            thread.join(10)

    def _spawn(self, work: Callable[..., None], *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, name="relay", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self._closing:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._open.add(sock)
            self._spawn(self._serve, sock)

    def _serve(self, sock: socket.socket) -> None:
        with sock, sock.makefile("rb") as stream, contextlib.suppress(OSError):
            while request := read_message(stream):
                with self._lock:
                    reply = self._pass_on(request)
                if reply is None:
                    break
                sock.sendall(reply)
        self._open.discard(sock)

    def _pass_on(self, request: bytes) -> bytes | None:
        method = request.split(b" ", 2)[1].decode().removeprefix("/")
        self.calls.append(method)
        if len(self.calls) != self._fatal:
            return self._forward(request)
        self.killed_at = f"{method}, {self._moment.value}"
        if self._moment is Moment.AFTER:
            self._forward(request)
        self._daemon.kill9()
        self._daemon.start()
        return None

    def _forward(self, request: bytes) -> bytes:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as back:
            back.settimeout(30)
            eventually(lambda: _connected(back, self._back), "the daemon accepts", 15)
            back.sendall(request)
            with back.makefile("rb") as stream:
                return read_message(stream)


def _connected(sock: socket.socket, path: Path) -> bool:
    with contextlib.suppress(FileNotFoundError, ConnectionRefusedError):
        sock.connect(str(path))
        return True
    return False


def read_message(stream: IO[bytes]) -> bytes:
    """One HTTP message with a Content-Length or in chunks, as bytes; empty at the end of the stream."""
    head, length, chunked = b"", 0, False
    while line := stream.readline():
        head += line
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
        if name.lower() == b"transfer-encoding" and b"chunked" in value.lower():
            chunked = True
        if line == b"\r\n":
            break
    if not chunked:
        return head + (stream.read(length) if length else b"")
    body = b""
    while size := stream.readline():
        body += size + stream.read(int(size.split(b";")[0], 16) + 2)
        if int(size.split(b";")[0], 16) == 0:
            break
    return head + body
