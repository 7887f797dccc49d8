"""A relay between the daemon and the engine's socket, which kills the daemon at a chosen moment.

Rules: it listens where the daemon looks for the engine; requests that change something, and questions for one container
or network, are numbered from 1 since the last `arm`, whoever sent them; event streams and the reconciler's lists pass
unnumbered. See relays.Relay.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from pathlib import Path
from typing import IO

from tests.e2e.lab.daemons import Daemon
from tests.e2e.lab.relays import Moment, read_message


class EngineRelay:
    """Stands at `front` and passes on to `back`. Use as a context manager."""

    def __init__(self, front: Path, back: Path, daemon: Daemon) -> None:
        self._back, self._daemon = back, daemon
        self.calls: list[str] = []
        self.killed_at = ""
        self._fatal, self._moment, self._ending = 0, Moment.BEFORE, ""
        self._lock = threading.Lock()
        self._closing = False
        self._open: set[socket.socket] = set()
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        front.unlink(missing_ok=True)
        self._listener.bind(str(front))
        self._listener.listen(64)

    def arm(self, number: int, moment: Moment, ending: str = "") -> None:
        """Count from now on; the daemon dies at the request of that number, 0 for never. ending: or at the first whose
        path ends like this."""
        with self._lock:
            self.calls, self.killed_at = [], ""
            self._fatal, self._moment, self._ending = number, moment, ending

    def __enter__(self) -> EngineRelay:
        threading.Thread(target=self._accept, name="engine relay", daemon=True).start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._closing = True
        for sock in (self._listener, *list(self._open)):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
            sock.close()

    def _accept(self) -> None:
        while not self._closing:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._open.add(sock)
            threading.Thread(target=self._serve, args=(sock,), name="engine relay", daemon=True).start()

    def _serve(self, sock: socket.socket) -> None:
        with sock, sock.makefile("rb") as stream, contextlib.suppress(OSError, ValueError):
            while request := read_message(stream):
                with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as back:
                    back.connect(str(self._back))
                    if not self._pass_on(request, back, sock):
                        break
        self._open.discard(sock)

    def _pass_on(self, request: bytes, back: socket.socket, client: socket.socket) -> bool:
        """Whether the connection goes on."""
        method, target = request.split(b" ", 2)[:2]
        path = target.decode().partition("?")[0]
        if "/events" in path:
            back.sendall(request)
            while data := back.recv(65536):
                client.sendall(data)
            return False
        if not self._counts(method.decode(), path):
            return self._exchange(request, back, client)
        with self._lock:
            self.calls.append(f"{method.decode()} {path}")
            fatal = len(self.calls) == self._fatal or bool(self._ending and path.endswith(self._ending))
            if fatal:
                self._ending = ""
                self.killed_at = f"{self.calls[-1]}, {self._moment.value}"
        if not fatal:
            return self._exchange(request, back, client)
        if self._moment is Moment.AFTER:
            self._exchange(request, back, None)
        self._daemon.kill9()
        self._daemon.start()
        return False

    @staticmethod
    def _counts(method: str, path: str) -> bool:
        steps = path.strip("/").split("/")
        if method != "GET":
            return True
        return steps[-2:-1] == ["networks"] or (steps[-1] == "json" and steps[-2] != "containers")

    @staticmethod
    def _exchange(request: bytes, back: socket.socket, client: socket.socket | None) -> bool:
        """Send the request and pass the reply on; whether the connection may be used again."""
        back.settimeout(60)
        back.sendall(request)
        with back.makefile("rb") as stream:
            reply = _reply(stream)
        if client is not None:
            client.sendall(reply)
        return b"HTTP/1.0" not in request.partition(b"\r\n")[0]


def _reply(stream: IO[bytes]) -> bytes:
    """One reply: measured, or to the end of the stream."""
    head = b""
    while line := stream.readline():
        head += line
        if line == b"\r\n":
            break
    lowered = head.lower()
    if b"\r\ncontent-length:" in lowered:
        length = int(lowered.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])
        return head + stream.read(length)
    if b"\r\ntransfer-encoding: chunked" in lowered:
        body = b""
        while size := stream.readline():
            count = int(size.split(b";")[0], 16)
            body += size + stream.read(count + 2)
            if count == 0:
                break
        return head + body
    if head.split(b" ", 2)[1] in (b"204", b"304"):
        return head
    return head + stream.read()
