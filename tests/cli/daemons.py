"""A daemon's API for commands to talk to: the real door and server over the sample host."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from mooring.adapters.host import listeners
from mooring.cli.root import run
from mooring.servers.api.door import ApiDoor, refuse
from mooring.servers.api.resources import resources
from mooring.servers.api.server import ApiServer
from tests.services.samples import Sample, sample


@dataclass(frozen=True, slots=True)
class ServedHost:
    """The sample host and the run directory of its API."""

    host: Sample
    directory: Path

    async def run(self, *arguments: str) -> int:
        """Run the command against this daemon; its exit code."""
        return await asyncio.to_thread(run, ["--run-dir", str(self.directory), *arguments])


async def ready(*_: object) -> None:
    """At once."""


@asynccontextmanager
async def served(directory: Path) -> AsyncIterator[ServedHost]:
    """Serve the sample host's API in the directory."""
    host = await sample()
    server = ApiServer(refuse)
    listener = listeners.listen(directory / "api.sock", 0o600)
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(server.serve(listener, ApiDoor(resources(host.operations, host.store.backup), ready)))
        try:
            yield ServedHost(host, directory)
        finally:
            server.stop()
