"""TLS in which each side can end its own direction, as docker's client does once it has no more to type.

asyncio's own TLS ends both when one ends, and what a container says after that would be lost.

Rules: the application meets an ordinary transport, and only after the handshake; it is told of the client's end as an
end of file, and goes on writing; a connection that ends without TLS's own end is lost, not ended; each side's slowness
reaches the other.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Any, cast

from mooring.servers.quotas import Idle, Quota

# Seconds for the handshake: who does not even speak TLS must not hold a descriptor.
HANDSHAKE = 20.0
CHUNK = 1 << 16


# The server's end of a new connection, between what comes in and what goes out.
Wrap = Callable[[ssl.MemoryBIO, ssl.MemoryBIO], ssl.SSLObject]
# Hears of a connection that proved nothing, and why.
Refused = Callable[[asyncio.BaseTransport, str], None]


class TlsStream(asyncio.Protocol):
    """The connection below, and what it carries."""

    def __init__(
        self, wrap: Wrap, application: asyncio.Protocol, quota: Quota | None = None, refused: Refused | None = None
    ) -> None:
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = wrap(self._incoming, self._outgoing)
        self._application = application
        self._quota = quota
        self._refused = refused
        self._below: asyncio.Transport | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._begun = False  # some of a handshake has come
        self._open = False  # the application has been told
        self._paused = False
        self._backlog: list[bytes] = []  # read before our end was sent, while paused
        self._heard_end = False
        self._said_end = False
        self.closing = False

    # What the loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client is there; it has yet to prove itself."""
        self._below = cast("asyncio.Transport", transport)
        if self._quota is not None and self._quota.enter(self, transport):
            self.abort()  # there is no language yet to say it in
            return
        self._timer = asyncio.get_running_loop().call_later(HANDSHAKE, self._too_slow, transport)

    def _too_slow(self, transport: asyncio.BaseTransport) -> None:
        self._proved_nothing("the handshake took too long")
        transport.close()

    def _proved_nothing(self, why: str) -> None:
        """Whoever wants to know hears of it, once."""
        refused, self._refused = self._refused, None
        if refused is not None and self._begun and not self._open and self._below is not None:
            refused(self._below, why)

    def data_received(self, data: bytes) -> None:
        """The client's bytes, encrypted."""
        self._begun = True
        self._incoming.write(data)
        if not self._open and not self._shake_hands():
            return
        self._deliver()

    def eof_received(self) -> bool:
        """The client's socket ended; nothing can be said to it any more."""
        self._proved_nothing("the handshake was cut off")
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The connection is gone."""
        self._proved_nothing("the handshake was cut off")
        self.closing = True
        self._stop_timer()
        self._below = None
        if self._quota is not None:
            self._quota.leave(self)
        if self._open:
            self._application.connection_lost(exc)

    @property
    def idle(self) -> Idle:
        """Whether the connection may give way to another one of its listener."""
        idle: Idle = getattr(self._application, "idle", Idle.BUSY) if self._open else Idle.SILENT
        return idle

    def pause_writing(self) -> None:
        """The client reads slower than we write."""
        if self._open:
            self._application.pause_writing()

    def resume_writing(self) -> None:
        """The client has caught up."""
        if self._open:
            self._application.resume_writing()

    # The way in.

    def _shake_hands(self) -> bool:
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return False
        except ssl.SSLError as error:
            self._flush()  # the alert says why
            self._proved_nothing(getattr(error, "verify_message", "") or error.reason or "no TLS")
            self._drop()
            return False
        self._flush()
        self._stop_timer()
        self._open = True
        self._application.connection_made(_Transport(self))
        return True

    def _deliver(self) -> None:
        """Give the application what there is, as long as it takes it."""
        while not (self._paused or self.closing or self._heard_end):
            data = self._backlog.pop(0) if self._backlog else self._read()
            if data is None:
                return
            if data:
                self._application.data_received(data)
                continue
            self._heard_end = True
            if not self._application.eof_received():
                self.close()

    def _read(self) -> bytes | None:
        """The next bytes, b"" for the client's end, None when there is nothing now."""
        try:
            return self._tls.read(CHUNK)
        except ssl.SSLWantReadError:
            return None
        except ssl.SSLZeroReturnError:
            return b""
        except ssl.SSLError:
            self._drop()
            return None
        finally:
            self._flush()

    def pause(self, on: bool) -> None:
        """Deliver nothing, or go on; what was decrypted already comes soon, not at once."""
        if on == self._paused or self._below is None:
            return
        self._paused = on
        if on:
            self._below.pause_reading()
        else:
            self._below.resume_reading()
            asyncio.get_running_loop().call_soon(self._deliver)

    @property
    def reading(self) -> bool:
        """Whether bytes are delivered."""
        return not (self._paused or self.closing)

    # The way out.

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Encrypt and send it."""
        if self._said_end or self.closing or not data:
            return
        try:
            self._tls.write(data)
        except ssl.SSLError:
            self._drop()
            return
        self._flush()

    def end(self) -> None:
        """Say that no more comes from us; the client may still send."""
        if self._said_end or self._below is None:
            return
        # OpenSSL would take bytes that wait to be read for a mistake of the client's.
        while not self._heard_end and not self.closing and (data := self._read()) is not None:
            self._backlog.append(data)
            if not data:
                break
        self._say_end()
        if self._below is not None and not self._below.is_closing() and self._below.can_write_eof():
            self._below.write_eof()

    def _say_end(self) -> None:
        if not self._said_end:
            self._said_end = True
            with suppress(ssl.SSLError):  # it waits for the client's end, and we do not
                self._tls.unwrap()
            self._flush()

    def _flush(self) -> None:
        if self._below is not None and self._outgoing.pending:
            self._below.write(self._outgoing.read())

    # Ends.

    def close(self) -> None:
        """End it; what was written is still sent."""
        if not self.closing:
            self.closing = True
            self._say_end()
            self._drop()

    def abort(self) -> None:
        """End it at once."""
        self.closing = True
        if self._below is not None:
            self._below.abort()

    def _drop(self) -> None:
        self.closing = True
        if self._below is not None:
            self._below.close()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    @property
    def below(self) -> asyncio.Transport | None:
        """The connection, None when it is gone."""
        return self._below

    @property
    def tls(self) -> ssl.SSLObject:
        """What knows the client's certificate."""
        return self._tls


class _Transport(asyncio.Transport):
    """What the application writes to."""

    def __init__(self, stream: TlsStream) -> None:
        super().__init__()
        self._stream = stream

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As of the connection below, and `peercert` and `ssl_object`."""
        if name == "peercert":
            return self._stream.tls.getpeercert()
        if name == "ssl_object":
            return self._stream.tls
        below = self._stream.below
        return default if below is None else below.get_extra_info(name, default)

    def is_closing(self) -> bool:
        """As asyncio's."""
        return self._stream.closing

    def close(self) -> None:
        """As asyncio's."""
        self._stream.close()

    def abort(self) -> None:
        """As asyncio's."""
        self._stream.abort()

    def is_reading(self) -> bool:
        """As asyncio's."""
        return self._stream.reading

    def pause_reading(self) -> None:
        """As asyncio's."""
        self._stream.pause(True)

    def resume_reading(self) -> None:
        """As asyncio's."""
        self._stream.pause(False)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """As asyncio's."""
        self._stream.write(data)

    def can_write_eof(self) -> bool:
        """TLS can, and so can we."""
        return True

    def write_eof(self) -> None:
        """As asyncio's."""
        self._stream.end()

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """Of the connection below: what is written is encrypted at once."""
        if self._stream.below is not None:
            self._stream.below.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        """As asyncio's."""
        return 0 if self._stream.below is None else self._stream.below.get_write_buffer_size()


def over_tls(
    wrap: Wrap, factory: Callable[[], asyncio.Protocol], quota: Quota | None = None, refused: Refused | None = None
) -> Callable[[], asyncio.Protocol]:
    """Makes the applications of a server that speaks TLS. quota: of its connections, from before the handshake on."""
    return lambda: TlsStream(wrap, factory(), quota, refused)
