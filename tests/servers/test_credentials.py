"""Who is at the other end, as the kernel has it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from mooring.servers.credentials import Credentials, credentials


async def test_of_a_unix_socket_the_process_is_known(tmp_path: Path) -> None:
    """As it was when it connected."""
    found: asyncio.Future[Credentials | None] = asyncio.get_running_loop().create_future()

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.set_result(credentials(writer.transport))
        writer.close()

    async with await asyncio.start_unix_server(accept, tmp_path / "s"):
        _, writer = await asyncio.open_unix_connection(tmp_path / "s")
        assert await found == (os.getpid(), os.getuid(), os.getgid())
        writer.close()


async def test_of_others_nothing_is_known() -> None:
    """A TCP port has peers from anywhere; a transport need not have a socket."""
    found: asyncio.Future[Credentials | None] = asyncio.get_running_loop().create_future()

    async def accept(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        found.set_result(credentials(writer.transport))
        writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        _, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        assert await found is None
        writer.close()
    assert credentials(asyncio.Transport()) is None
