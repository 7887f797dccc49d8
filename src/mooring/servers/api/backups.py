"""Copies of the store."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from mooring.servers.api.routes import route
from mooring.wire.api import Backup, BackupReply


class Backups:
    """The store, copied while everything runs."""

    def __init__(self, write: Callable[[str], Awaitable[None]]) -> None:
        """write: a copy of the store to a new file."""
        self._write = write

    @route("POST", "/v1/backup", path="/root/mooring.db")
    async def backup(self, body: Backup) -> BackupReply:
        """A consistent copy of the store is written to a new file on the daemon's host."""
        await self._write(body.path)
        return BackupReply(body.path)
