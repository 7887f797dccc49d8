"""Network ports, made and asked for by a program."""

from __future__ import annotations

from pathlib import Path

import pytest

from mooring.client import Conflict, NotFound, PortState
from tests.client.daemons import asked


async def test_ports_are_made_found_and_removed(tmp_path: Path) -> None:
    """What cannot be is refused with the daemon's words."""
    async with asked(tmp_path) as daemon:
        client = daemon.client
        (network, *_) = await daemon.ask(client.networks)
        reply = await daemon.ask(client.create_port, network.id, name="db", note="x")
        assert (reply.port.name, reply.port.state, reply.dry_run) == ("db", "DOWN", False)
        assert [row.id for row in await daemon.ask(client.ports, state=PortState.DOWN)] == [reply.port.id]
        assert (await daemon.ask(client.port, "db")).port.addresses == reply.port.addresses
        assert (await daemon.ask(client.set_port, "db", note="y")).port.note == "y"
        with pytest.raises(Conflict, match="has a port db already"):
            await daemon.ask(client.create_port, network.id, name="db")
        await daemon.ask(client.remove_port, "db")
        with pytest.raises(NotFound, match="there is no port"):
            await daemon.ask(client.remove_port, "db")
