"""Single requests to the engine by a command, which may wait for it; the daemon's own way is docker_engine.

Rule: what the engine refuses is a Conflict in its own words, and an engine that does not answer is Unavailable.
"""

from __future__ import annotations

import http.client
import socket
from urllib.parse import quote

import msgspec

from mooring.core.faults import Conflict, Unavailable

# Removing a network waits for its driver.
DEADLINE = 60.0


class EngineRequests:
    """path: of the engine's socket."""

    def __init__(self, path: str) -> None:
        self._path = path

    def get(self, target: str) -> object:
        """The document there."""
        return msgspec.json.decode(self._exchange("GET", target))

    def remove_network(self, network: str) -> None:
        """The network is not there; one that is not known is none."""
        self._exchange("DELETE", f"/networks/{quote(network, safe='')}", missing=True)

    def _exchange(self, method: str, target: str, missing: bool = False) -> bytes:
        connection = http.client.HTTPConnection("docker", timeout=DEADLINE)
        try:
            connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.sock.settimeout(DEADLINE)
            connection.sock.connect(self._path)
            connection.request(method, target)
            reply = connection.getresponse()
            body = reply.read()
        except (OSError, http.client.HTTPException) as error:
            raise Unavailable(
                f"the engine at {self._path} does not answer: {error or type(error).__name__}", hint="start it first"
            ) from error
        finally:
            connection.close()
        if reply.status < 300 or (missing and reply.status == 404):
            return body
        try:
            said = str(msgspec.json.decode(body, type=dict[str, str]).get("message"))
        except msgspec.MsgspecError:
            said = f"status {reply.status}"
        raise Conflict(f"Docker refuses {method} {target}: {said}")
