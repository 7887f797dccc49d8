"""Programs that send by UDP from one port all the while, as syslog does."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack

from tests.netns.rigs import Namespace


class Sender:
    """Sends all that it says from one port."""

    def __init__(self, stack: ExitStack, space: Namespace, address: str, port: int) -> None:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        with space.inside():
            self._socket = stack.enter_context(socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK))
        self._socket.bind(("", 5140))
        self._to = (address, port)

    async def is_heard(self, patience: float) -> bool:
        """Whether somebody answers within that time to one of many packets."""
        loop = asyncio.get_running_loop()
        end = loop.time() + patience
        while loop.time() < end:
            self._socket.sendto(b"?", self._to)
            try:
                async with asyncio.timeout(0.05):
                    await loop.sock_recv(self._socket, 100)
                    return True
            except (TimeoutError, OSError):
                continue
        return False
