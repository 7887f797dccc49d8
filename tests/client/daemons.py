"""A daemon's API at a socket, for a client in a thread."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from mooring.client import Client
from tests.cli.daemons import served
from tests.services.samples import Sample

T = TypeVar("T")


class Asked:
    """The sample host and its client."""

    def __init__(self, host: Sample, client: Client) -> None:
        self.host, self.client = host, client

    async def ask(self, method: Callable[..., T], *arguments: Any, **more: Any) -> T:
        """What a method of the client returns or raises."""
        return await asyncio.to_thread(method, *arguments, **more)


@asynccontextmanager
async def asked(directory: Path) -> AsyncIterator[Asked]:
    """The API is served in the directory."""
    async with served(directory) as daemon:
        yield Asked(daemon.host, Client(str(directory / "api.sock")))
