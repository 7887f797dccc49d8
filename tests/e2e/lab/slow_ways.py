"""Ways to the members of an etcd that are slow, or stand still: a relay before each, on the machine of the members.

Rules: nothing is lost, it only comes later, in its order; so what a client has given up may still happen.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Awaitable, Callable, Sequence
from urllib.parse import urlsplit

from tests.e2e.lab.namespaces import Namespace, in_network

STILL = float("inf")
"""The delay with which nothing comes any more, until it is another."""
STEP = 0.05


class SlowWays:
    """Use as a context manager. delay: seconds that each way takes, there and back; may be set at any time.

    endpoints: what clients use in place of those that lead to the members at once."""

    def __init__(self, namespace: Namespace, endpoints: Sequence[str]) -> None:
        """namespace: where the members are. endpoints: theirs."""
        self._namespace, self.delay = namespace, 0.0
        self._ways = [(_listening(namespace, str(urlsplit(each).hostname)), each) for each in endpoints]
        self.endpoints = [
            f"{urlsplit(each).scheme}://{urlsplit(each).hostname}:{listener.getsockname()[1]}"
            for listener, each in self._ways
        ]
        self._loop = asyncio.new_event_loop()
        self._over = asyncio.Event()
        self._ends: set[asyncio.StreamWriter] = set()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._serve(),), name="slow ways")

    def __enter__(self) -> SlowWays:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.delay = 0.0
        self._loop.call_soon_threadsafe(self._over.set)
        self._thread.join()
        self._loop.close()

    async def _serve(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            for listener, endpoint in self._ways:
                server = await asyncio.start_server(self._accepting(endpoint), sock=listener)
                stack.callback(server.close)
            await self._over.wait()
            for end in list(self._ends):
                end.close()
        while len(asyncio.all_tasks()) > 1:  # noqa: ASYNC110  each ends with its connections
            await asyncio.sleep(STEP)

    def _accepting(self, endpoint: str) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
        async def accept(near: asyncio.StreamReader, back: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError), contextlib.closing(back):
                there = (str(urlsplit(endpoint).hostname), urlsplit(endpoint).port)
                sock = in_network(self._namespace.network, lambda: socket.create_connection(there, 5))
                far, forth = await asyncio.open_connection(sock=sock)
                with contextlib.closing(forth):
                    self._ends |= {forth, back}
                    await asyncio.gather(self._pass_on(near, forth), self._pass_on(far, back))
                    self._ends -= {forth, back}

        return accept

    async def _pass_on(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        queue = asyncio.Queue[tuple[float, bytes]]()
        await asyncio.gather(self._read(source, queue), self._write(queue, target))

    async def _read(self, source: asyncio.StreamReader, queue: asyncio.Queue[tuple[float, bytes]]) -> None:
        data = b"-"
        while data:
            try:
                data = await source.read(65536)
            except OSError:
                data = b""
            queue.put_nowait((self._loop.time(), data))

    async def _write(self, queue: asyncio.Queue[tuple[float, bytes]], target: asyncio.StreamWriter) -> None:
        while True:
            at, data = await queue.get()
            while (wait := at + self.delay - self._loop.time()) > 0:  # noqa: ASYNC110  the delay may change
                await asyncio.sleep(min(wait, STEP))
            if not data:
                target.close()  # both ways end with either
                return
            with contextlib.suppress(OSError):
                target.write(data)
                await target.drain()


def _listening(namespace: Namespace, address: str) -> socket.socket:
    listener = namespace.socket()
    listener.bind((address, 0))
    listener.listen(64)
    return listener
