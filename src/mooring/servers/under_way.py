"""What a server has under way on one socket: its connections, and the work that outlives them.

Rule: what was started ends in its own time, or is cancelled when the drain is over, and never merely forgotten.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import Callable, Coroutine
from typing import Any, Generic, Protocol, TypeVar

from mooring.servers.quotas import Quota

H = TypeVar("H")

BACKLOG = 512


class Ending(Protocol):
    """A connection, as far as a server that stops has to do with it."""

    def finish(self) -> None:
        """Take no further request; close when those under way are answered."""
        ...

    def close(self) -> None:
        """What was written is still sent."""
        ...


C = TypeVar("C", bound=Ending)


class UnderWay(Generic[H, C]):
    """What one `serve` has under way."""

    def __init__(self, handler: H, tasks: asyncio.TaskGroup, quota: Quota | None) -> None:
        self.handler = handler
        self.quota = quota
        self.open = True
        self.connections: set[C] = set()
        self.running: set[asyncio.Task[None]] = set()
        self._tasks = tasks

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run it until it ends, owned by `serve`."""
        task = self._tasks.create_task(work)
        self.running.add(task)
        task.add_done_callback(self.running.discard)

    async def drain(self, seconds: float) -> None:
        """Everything has ended, in its own time or cancelled."""
        if self.running:
            await asyncio.wait(list(self.running), timeout=seconds)
        for task in list(self.running):
            task.cancel()
        if self.running:
            await asyncio.wait(list(self.running))

    async def serve(
        self, sock: socket.socket, connect: Callable[[], asyncio.Protocol], stopping: asyncio.Event, drain: float
    ) -> None:
        """Connections are made by `connect` until `stopping`, or cancellation.

        Then nothing more is accepted, idle connections are closed, and requests under way are waited for, `drain`
        seconds at most. The socket is closed; a socket file stays.
        """
        listener = await _listen(sock, connect)
        try:
            await stopping.wait()
        finally:
            self.open = False
            listener.close()
            for connection in list(self.connections):
                connection.finish()
            await self.drain(drain)
            for connection in list(self.connections):
                connection.close()


async def _listen(sock: socket.socket, factory: Callable[[], asyncio.Protocol]) -> asyncio.Server:
    loop = asyncio.get_running_loop()
    if sock.family != socket.AF_UNIX:
        return await loop.create_server(factory, sock=sock, backlog=BACKLOG)
    # From 3.13 on the loop would remove the socket's file, which may be systemd's.
    keep: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
    return await loop.create_unix_server(factory, sock=sock, backlog=BACKLOG, **keep)
