"""The API's server, of which nothing is loaded before somebody asks.

Rules: a daemon that nobody asks neither imports nor runs anything of it; connections that come while it is imported
wait in the socket; a server that cannot be imported says so to whoever asks, and takes nothing else down.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable
from typing import Any

from mooring.servers.http import Failer, HttpServer, Limits, Request, Response
from mooring.servers.quotas import Quota
from mooring.servers.under_way import UnderWay

log = logging.getLogger(__name__)

# An ASGI 3 application (scope, receive, send), and what makes it when it is first asked; in a thread.
Application = Callable[[Any, Any, Any], Awaitable[None]]
Maker = Callable[[], Application]


class ApiServer:
    """Serves any number of sockets until stopped."""

    def __init__(self, fail: Failer, limits: Limits | None = None) -> None:
        """fail: makes the server's own refusals look like the door's."""
        self._fail = fail
        self._limits = limits or Limits()
        self._stopping = asyncio.Event()
        self._first_questions: set[asyncio.Event] = set()
        self._small = HttpServer(fail, self._limits)

    async def serve(self, sock: socket.socket, make: Maker, quota: Quota | None = None) -> None:
        """Answer what comes in on a listening stream socket until `stop` or cancellation, as HttpServer.serve does.

        make: the application, called when the first client is there.
        """
        await self._first_question(sock)
        if self._stopping.is_set():
            sock.close()
            return
        try:
            connect = await asyncio.to_thread(self._loaded, make)
        except Exception as error:
            log.exception("the API cannot be served")
            await self._small.serve(sock, self._excuse(error), quota)
            return
        async with asyncio.TaskGroup() as tasks:
            under_way = UnderWay[Any, Any](make, tasks, quota)
            await under_way.serve(sock, lambda: connect(under_way), self._stopping, self._limits.drain)

    def stop(self) -> None:
        """Ask every `serve` to end."""
        self._stopping.set()
        self._small.stop()
        for event in self._first_questions:
            event.set()

    async def _first_question(self, sock: socket.socket) -> None:
        """A client waits at the socket, or the server stops."""
        loop, event = asyncio.get_running_loop(), asyncio.Event()
        self._first_questions.add(event)
        loop.add_reader(sock, event.set)
        try:
            if not self._stopping.is_set():
                await event.wait()
        finally:
            loop.remove_reader(sock)
            self._first_questions.discard(event)

    def _loaded(self, make: Maker) -> Callable[[UnderWay[Any, Any]], asyncio.Protocol]:
        """What makes connections. Imports some forty milliseconds' worth."""
        from mooring.servers.api.connections import ApiConnection, configuration

        config = configuration(make())
        return lambda under_way: ApiConnection(config, self._fail, self._limits, under_way)

    def _excuse(self, error: Exception) -> Callable[[Request], Awaitable[Response]]:
        async def answer(_: Request) -> Response:
            return self._fail(503, f"the API cannot be served: {error}; see the log, and install mooring again")

        return answer
