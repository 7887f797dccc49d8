"""One HTTP/1.1 connection to a plugin, from our side.

Rules: one question at a time; whatever the bytes, the outcome is a reply, Lost (nothing of a reply came, so that asking
again is worth it) or Garbled (what came is no reply); a connection that had a bad end is never used again.
"""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import dataclass
from typing import cast

import httptools

from mooring.adapters.plugins.discovery import Kind, PluginAddress, Tls

# Everything of one reply; the largest that the protocols know are a few kilobytes.
REPLY_BYTES = 4 << 20


class Lost(Exception):
    """No connection, or it ended before a byte of the reply. The text says why."""


class Garbled(Exception):
    """What came is not HTTP, ended too early or is endless. The text says so."""


@dataclass(frozen=True, slots=True)
class Reply:
    """status: of HTTP."""

    status: int
    body: bytes


class Connection(asyncio.Protocol):
    """reusable: another question may follow. company: it is in there while it is open."""

    def __init__(self, company: set[Connection]) -> None:
        self.reusable = True
        self.ended = asyncio.Event()
        self._company = company
        self._transport: asyncio.Transport | None = None
        self._waiting: asyncio.Future[Reply] | None = None
        self._begin()

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._received = 0
        self._body: list[bytes] = []
        self._status = 0  # once the head is complete
        self._until_close = True  # neither a length nor chunks say where the body ends

    async def ask(self, data: bytes) -> Reply:
        """The reply to the request. Raises Lost or Garbled; then, or when it is cancelled, the connection is closed."""
        if self._transport is None or self._transport.is_closing():
            raise Lost("the connection was closed")
        self._begin()
        self._waiting = asyncio.get_running_loop().create_future()
        try:
            self._transport.write(data)
            reply = await self._waiting
        except BaseException:
            self.close()
            raise
        finally:
            self._waiting = None
        if not self.reusable:
            self.close()
        return reply

    def close(self) -> None:
        """At once; `ended` says when it is done."""
        self.reusable = False
        if self._transport is not None:
            self._transport.abort()

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        self._transport = cast("asyncio.Transport", transport)
        self._company.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """A body without a length ends here; any other reply that is not complete is none."""
        self.reusable = False
        self._transport = None
        if exc is None and self._status >= 200 and self._until_close:
            self._complete()
        elif self._received:
            self._fail(Garbled(f"the reply broke off after {self._received} bytes"))
        else:
            self._fail(Lost(str(exc) if exc is not None else "the connection was closed without a reply"))
        self.ended.set()
        self._company.discard(self)

    def data_received(self, data: bytes) -> None:
        """A piece of the reply."""
        if self._waiting is None or self._waiting.done():
            self.close()  # nobody asked
            return
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(Garbled(f"the reply is not HTTP: {error}"))  # says nothing when something was said already
        if self._received > REPLY_BYTES:
            self._fail(Garbled(f"the reply is larger than {REPLY_BYTES} bytes"))

    # What the parser calls.

    def on_message_begin(self) -> None:
        """The first byte of a reply; a second one was not asked for."""
        if self._waiting is None or self._waiting.done():
            self.reusable = False
        self._status = 0
        self._until_close = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """One complete header."""
        match name.lower():
            case b"content-length":
                self._until_close = False
                if value.isdigit() and (len(value) > 12 or int(value) > REPLY_BYTES):
                    self._fail(Garbled(f"the reply is larger than {REPLY_BYTES} bytes"))
            case b"transfer-encoding":
                self._until_close = False

    def on_headers_complete(self) -> None:
        """The body comes next."""
        self._status = self._parser.get_status_code()

    def on_body(self, piece: bytes) -> None:
        """A piece of the body."""
        self._body.append(piece)

    def on_message_complete(self) -> None:
        """The last byte. An interim reply (RFC 9110, 15.2) is passed over."""
        if self._status >= 200:
            if not self._parser.should_keep_alive():
                self.reusable = False
            self._complete()

    def _complete(self) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(Reply(self._status, b"".join(self._body)))

    def _fail(self, error: Lost | Garbled) -> None:
        self.reusable = False
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)


async def dial(address: PluginAddress, context: ssl.SSLContext | None, company: set[Connection]) -> Connection:
    """A new connection. context: for TLS. Raises Lost, and Garbled for a certificate that does not hold."""
    loop = asyncio.get_running_loop()
    try:
        if address.kind is Kind.UNIX:
            return (await loop.create_unix_connection(lambda: Connection(company), address.path))[1]
        to = (address.host, address.port)
        return (await loop.create_connection(lambda: Connection(company), *to, ssl=context))[1]
    except ssl.SSLCertVerificationError as error:
        raise Garbled(f"its certificate cannot be verified: {error.verify_message}") from error
    except OSError as error:
        raise Lost(f"cannot connect to {address}: {error.strerror or error}") from error
    except ValueError as error:
        raise Garbled(f"cannot connect to {address}: {error}") from error


def tls_context(tls: Tls) -> ssl.SSLContext:
    """As the settings say, TLS 1.2 at least. Raises OSError, of which ssl.SSLError is one, for files that are none."""
    context = ssl.create_default_context()
    # Python wants more of an authority from 3.13 on than the engine does: that of Docker's own instructions has no
    # keyUsage. What a plugin shows must not depend on the host's Python.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    if not tls.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif tls.authorities:
        context.load_verify_locations(tls.authorities)
    if tls.certificate:
        # A key with a passphrase would be asked for at the terminal.
        context.load_cert_chain(tls.certificate, tls.key, password=lambda: "")
    return context
