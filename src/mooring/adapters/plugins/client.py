"""Calling a plugin: JSON over HTTP with kept connections, and another try when nothing was heard.

Rules: a retry sends the same request with its whole body (dockerd's come without: moby pkg/plugins/client.go has
consumed it); what may not be repeated is not, once a byte of it was sent; what the plugin answered, good or bad, is
never asked again, and comes out with the plugin's own text and its name; Unreachable, and no other fault, says that
nothing was answered.
"""

from __future__ import annotations

import asyncio
import ssl

from mooring.adapters.plugins.connections import Connection, Garbled, Lost, Reply, dial, tls_context
from mooring.adapters.plugins.discovery import Kind, PluginAddress
from mooring.core.faults import BadRequest, Fault, Unavailable
from mooring.ports import Clock
from mooring.wire import remote_api as api
from mooring.wire.remote_api import shown

# What dockerd gives a managed plugin; our own door gives up earlier (25 s) and so says why.
TIMEOUT = 30.0
# Seconds: another try is not begun when it would begin later than this (moby pkg/plugins/client.go).
GIVE_UP = 30.0
# Connections kept for later calls; more are made when more calls come at once.
IDLE_MOST = 8
TEXT_LENGTH = 1000
HOST = "plugin.moby.localhost"  # moby pkg/plugins/client.go, for sockets that have no host
_NOTHING = api.Empty()
_PERHAPS = "may have been carried out"


class Unreachable(Unavailable):
    """The plugin gave no answer: whether it did anything is not known, and it must be told again."""


class PluginClient:
    """One plugin. timeout: seconds of one try, the connecting included.

    A try that runs out is not repeated: the plugin is there and slow.
    """

    def __init__(self, address: PluginAddress, clock: Clock, timeout: float = TIMEOUT) -> None:
        self.name = address.name
        self._address = address
        self._clock = clock
        self._timeout = timeout
        self._context: ssl.SSLContext | None = None
        self._open: set[Connection] = set()
        self._idle: list[Connection] = []
        self._closed = False

    async def activate(self) -> tuple[str, ...]:
        """What the plugin implements, as `NetworkDriver`. Raises as `call`."""
        reply = await self.call("Plugin.Activate")
        assert isinstance(reply, api.Activation)
        return tuple(reply.implements or ())

    async def call(self, method: str, request: api.Message = _NOTHING) -> api.Message:
        """The reply of a method of remote_api.METHODS, of the class that stands there.

        Raises Unreachable when there was none; the fault that the plugin told, of the kind that its status stands for;
        Unavailable when its answer is not of the method's form; BadRequest for text that is not Unicode.
        """
        try:
            body = api.encode_request(request)
        except ValueError as error:
            raise BadRequest(f"{method} for plugin {self.name}: {shown(str(error), 200)}") from error
        reply = await self._repeated(method, self._head(method, body) + body, _repeatable(method, request))
        try:
            return api.decode_reply(method, reply.status, reply.body)
        except Fault as fault:
            raise type(fault)(f"plugin {self.name}: {shown(fault.what, TEXT_LENGTH)}") from fault

    async def close(self) -> None:
        """All connections are closed; calls under way and later ones raise Unreachable."""
        self._closed = True
        while self._open:
            connection = next(iter(self._open))
            connection.close()
            await connection.ended.wait()

    def _head(self, method: str, body: bytes) -> bytes:
        """As dockerd sends it, without a Content-Type (moby pkg/plugins/transport/http.go)."""
        host = HOST
        if self._address.kind is not Kind.UNIX:
            name = self._address.host
            host = f"{f'[{name}]' if ':' in name else name}:{self._address.port}"
        return (
            f"POST /{method} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: mooring\r\nAccept: {api.MEDIA_TYPE}\r\n"
            f"Content-Length: {len(body)}\r\n\r\n"
        ).encode()

    async def _repeated(self, method: str, data: bytes, repeatable: bool) -> Reply:
        """The first reply, after pauses of 1, 2, 4, 8 s; the pauses bound it even when the clock is put back."""
        began, paused, pause = self._clock.now(), 0.0, 1.0
        while True:
            try:
                return await self._attempt(method, data, repeatable)
            except Lost as error:
                self._must_be_open()
                if pause + max(paused, self._clock.now() - began) >= GIVE_UP:
                    raise Unreachable(f"plugin {self.name} does not answer {method}: {error}") from error
            await self._clock.sleep(pause)
            paused += pause
            pause *= 2

    async def _attempt(self, method: str, data: bytes, repeatable: bool) -> Reply:
        """One try. Raises Lost when another is worth it, else Unreachable."""
        sent = False
        try:
            async with asyncio.timeout(self._timeout):
                # What may be sent once only is not risked on a connection that the plugin may just be closing.
                if repeatable and (kept := self._take()) is not None:
                    try:
                        return await self._ask(kept, data)
                    except Lost:
                        pass  # it was closed while it was idle, which says nothing about the plugin
                connection = await self._dial()
                sent = True
                return await self._ask(connection, data)
        except TimeoutError as error:
            what = f"plugin {self.name} did not answer {method} within {self._timeout:g} s"
            raise Unreachable(f"{what}; {_PERHAPS}" if sent else what) from error
        except Garbled as error:
            raise Unreachable(f"plugin {self.name}, {method}: {shown(str(error), 200)}") from error
        except Lost as error:
            if sent and not repeatable:
                raise Unreachable(f"plugin {self.name} did not answer {method}, which {_PERHAPS}: {error}") from error
            raise

    async def _dial(self) -> Connection:
        self._must_be_open()
        if self._address.kind is Kind.TLS and self._context is None:
            try:
                self._context = tls_context(self._address.tls)
            except (OSError, ValueError) as error:
                raise Unreachable(f"plugin {self.name}: its TLS files cannot be used: {error}") from error
        connection = await dial(self._address, self._context, self._open)
        try:
            self._must_be_open()
        except Unreachable:
            connection.close()
            raise
        return connection

    def _must_be_open(self) -> None:
        if self._closed:
            raise Unreachable(f"plugin {self.name} cannot be called any more: its client was closed")

    async def _ask(self, connection: Connection, data: bytes) -> Reply:
        reply = await connection.ask(data)
        self._idle = [kept for kept in self._idle if kept.reusable]
        if len(self._idle) >= IDLE_MOST:
            connection.close()
        elif connection.reusable:
            self._idle.append(connection)
        return reply

    def _take(self) -> Connection | None:
        """A kept connection that is not known to be closed, the one that was used last."""
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable:
                return connection
        return None


def _repeatable(method: str, request: api.Message) -> bool:
    """Whether a second call is as one: a second pool, or a second address of the plugin's choice, would leak."""
    if isinstance(request, api.AddressQuery):
        return bool(request.address)
    return method != "IpamDriver.RequestPool"
