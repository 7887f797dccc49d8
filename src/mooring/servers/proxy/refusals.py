"""What the proxy says in its own words: dockerd's form, with the headers that dockerd itself was seen to send.

Rules: a client must not be able to tell our refusal from the engine's by its form, since it parses it the same way; the
text says who speaks.
"""

from __future__ import annotations

import json
import time
from email.utils import formatdate
from http import HTTPStatus

from mooring.core.faults import HTTP_STATUS, Fault, Kind

# What every reply of dockerd carries besides its type, length and date (api/server/middleware and router in moby).
_LEARNED = (b"api-version", b"docker-experimental", b"ostype", b"server")

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def status_of(fault: Fault) -> int:
    """507, which the API's own doors say when a pool is empty, is none of dockerd's; it says 409 to such a thing."""
    return 409 if fault.kind is Kind.EXHAUSTED else HTTP_STATUS[fault.kind]


class Refusals:
    """Builds replies; learns the engine's headers from one of its own."""

    def __init__(self) -> None:
        self._lines: dict[bytes, bytes] = {}

    def learn(self, raw: bytes) -> None:
        """Remember the headers of a reply of dockerd's. raw: its head."""
        lines: dict[bytes, bytes] = {}
        for line in raw.split(b"\r\n")[1:]:
            name = line.partition(b":")[0].lower()
            if name in _LEARNED:
                lines[name] = line + b"\r\n"
        if b"api-version" in lines:
            self._lines = lines

    def reply(self, status: int, text: str, *, closes: bool = False, to_head: bool = False) -> bytes:
        """A complete reply. closes: the connection ends after it. to_head: the request was HEAD."""
        body = json.dumps({"message": text}, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        body += b"\n"
        try:
            phrase = HTTPStatus(status).phrase
        except ValueError:
            phrase = f"status code {status}"
        lines = self._lines
        head = b"".join(
            (
                f"HTTP/1.1 {status} {phrase}\r\n".encode(),
                lines.get(b"api-version", b""),
                b"Connection: close\r\n" if closes else b"",
                b"Content-Type: application/json\r\n",
                lines.get(b"docker-experimental", b""),
                lines.get(b"ostype", b""),
                lines.get(b"server", b""),
                f"Date: {formatdate(time.time(), usegmt=True)}\r\nContent-Length: {len(body)}\r\n\r\n".encode(),
            )
        )
        return head if to_head else head + body
