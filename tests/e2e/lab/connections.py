"""HTTP over a unix socket."""

from __future__ import annotations

import http.client
import socket


class SocketConnection(http.client.HTTPConnection):
    """An HTTP connection to the unix socket at the path."""

    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect. Raises OSError, and then no socket is open."""
        sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        sock.settimeout(self.timeout)
        try:
            sock.connect(self._path)
        except OSError:
            sock.close()
            raise
        self.sock = sock
