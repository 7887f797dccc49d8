"""One question to the daemon: HTTP over its unix socket.

Rules: a daemon that is not there, does not answer or is not ours is one fault that says how to go on; the connection is
used once.
"""

from __future__ import annotations

import socket
from http.client import HTTPConnection, HTTPException
from typing import TypeVar

import msgspec

from mooring.core.faults import Forbidden, Unavailable
from mooring.wire import api

T = TypeVar("T")

# Longer than the daemon's own start, during which questions wait.
TIMEOUT = 30.0
HINT = "start it with `systemctl start mooring`, or `mooring serve`"


class _UnixConnection(HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def ask(path: str, call: api.Call, reply: type[T], timeout: float | None = None) -> T:
    """Send the call to the socket at the path and read the reply. timeout: seconds. Raises the daemon's fault;
    Unavailable or Forbidden when it cannot be asked."""
    status, body = _exchange(path, timeout or TIMEOUT, *api.target_of(call))
    if status != 200:
        raise api.fault_of(body)
    try:
        return msgspec.json.decode(body, type=reply)
    except msgspec.DecodeError as error:
        raise Unavailable(
            f"the daemon's answer cannot be read: {error}", hint="are both of the same version?"
        ) from error


def _exchange(path: str, timeout: float, method: str, target: str, body: bytes) -> tuple[int, bytes]:
    connection = _UnixConnection(path, timeout)
    try:
        connection.request(method, target, body or None, {"Content-Type": "application/json"} if body else {})
        response = connection.getresponse()
        return response.status, response.read()
    except FileNotFoundError as error:
        raise Unavailable(f"the daemon is not running: there is no socket {path}", hint=HINT) from error
    except ConnectionRefusedError as error:
        raise Unavailable(f"the daemon is not running: nothing listens at {path}", hint=HINT) from error
    except PermissionError as error:
        raise Forbidden(
            f"permission denied on the socket {path}", hint="use sudo, or join the socket's group"
        ) from error
    except TimeoutError as error:
        raise Unavailable(
            f"the daemon did not answer at {path} within {timeout:g} s", hint="see `journalctl -u mooring`"
        ) from error
    except (OSError, HTTPException) as error:
        raise Unavailable(f"cannot reach the daemon at {path}: {error or type(error).__name__}", hint=HINT) from error
    finally:
        connection.close()
