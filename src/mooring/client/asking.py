"""Questions to the daemon: HTTP over its unix socket.

Rules: a daemon that is not there, does not answer or is not ours is one fault that says how to go on; a connection is
used once.
"""

from __future__ import annotations

import re
import socket
from collections.abc import Mapping
from enum import Enum
from http.client import HTTPConnection, HTTPException
from typing import TypeVar
from urllib.parse import quote, urlencode

import msgspec

from mooring.core.faults import BadRequest, Forbidden, Unavailable
from mooring.wire.api import fault_of

T = TypeVar("T")

SOCKET = "/run/mooring/api.sock"
# Longer than the daemon's own start, during which questions wait.
TIMEOUT = 30.0
HINT = "start it with `systemctl start mooring`, or `mooring serve`"
# Rows that are asked for at once.
PAGE = 5000
_NEXT = re.compile(r'<([^>]*)>;\s*rel="?next"?')


class Asking:
    """What the methods of every resource are made of."""

    def __init__(self, socket: str = SOCKET, timeout: float = TIMEOUT) -> None:
        self.socket = socket
        self.timeout = timeout

    def _get(self, reply: type[T], path: str, which: str | None = None, **query: str) -> T:
        """The answer to a GET of the path. which: its last step, as people write it. query: what is "" is not given."""
        target = f"/v1/{path}" if which is None else f"/v1/{path}/{quote(which, safe='')}"
        if given := {name: value for name, value in query.items() if value}:
            target += f"?{urlencode(given)}"
        return self._decoded(self._exchange("GET", target)[0], reply)

    def _rows(self, row: type[T], path: str, filters: Mapping[str, str | bool | Enum | None]) -> list[T]:
        """All rows of a list, page by page. A filter that is None or "" is not given."""
        given = {name: _text(value) for name, value in filters.items() if value not in (None, "")}
        target = f"/v1/{path}?{urlencode({**given, 'limit': PAGE})}"
        rows: list[T] = []
        while target:
            try:
                body, link = self._exchange("GET", target)
            except BadRequest as refused:
                if "'limit' is not known" not in str(refused):
                    raise
                # A daemon from before there were pages runs until it is restarted after an upgrade.
                body, link = self._exchange("GET", f"/v1/{path}" + (f"?{urlencode(given)}" if given else ""))
            rows += self._decoded(body, list[row])  # type: ignore[valid-type]
            found = _NEXT.search(link)
            target = found[1] if found is not None else ""
        return rows

    def _post(self, reply: type[T], path: str, body: msgspec.Struct) -> T:
        """The answer to a POST of the body."""
        return self._decoded(self._exchange("POST", f"/v1/{path}", msgspec.json.encode(body))[0], reply)

    def _text(self, method: str, *steps: str, **query: str | bool | float) -> str:
        """The text that is answered, "" for none. steps: of the path, as people write them."""
        given = {name.replace("_", "-"): _text(value) for name, value in query.items() if value}
        path = "/v1/" + "/".join(quote(step, safe="") for step in steps)
        return self._exchange(method, path + (f"?{urlencode(given)}" if given else ""))[0].decode().strip()

    def _decoded(self, body: bytes, reply: type[T]) -> T:
        try:
            return msgspec.json.decode(body, type=reply)
        except msgspec.DecodeError as error:
            raise Unavailable(
                f"the daemon's answer cannot be read: {error}", hint="are both of the same version?"
            ) from error

    def _exchange(self, method: str, target: str, body: bytes = b"") -> tuple[bytes, str]:
        """The answer's body and its Link header."""
        connection = _UnixConnection(self.socket, self.timeout)
        try:
            connection.request(method, target, body or None, {"Content-Type": "application/json"} if body else {})
            response = connection.getresponse()
            answer = response.read()
        except FileNotFoundError as error:
            raise Unavailable(f"the daemon is not running: there is no socket {self.socket}", hint=HINT) from error
        except ConnectionRefusedError as error:
            raise Unavailable(f"the daemon is not running: nothing listens at {self.socket}", hint=HINT) from error
        except PermissionError as error:
            raise Forbidden(
                f"permission denied on the socket {self.socket}", hint="use sudo, or join the socket's group"
            ) from error
        except TimeoutError as error:
            raise Unavailable(
                f"the daemon did not answer at {self.socket} within {self.timeout:g} s",
                hint="see `journalctl -u mooring`",
            ) from error
        except (OSError, HTTPException) as error:
            raise Unavailable(
                f"cannot reach the daemon at {self.socket}: {error or type(error).__name__}", hint=HINT
            ) from error
        finally:
            connection.close()
        if response.status not in (200, 204):
            raise fault_of(answer)
        return answer, response.getheader("Link", "")


class _UnixConnection(HTTPConnection):
    def __init__(self, path: str, timeout: float) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def _text(value: str | bool | float | Enum | None) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    return str(value.value) if isinstance(value, Enum) else str(value)
