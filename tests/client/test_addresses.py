"""Pools and leases, asked for and changed by a program."""

from __future__ import annotations

from pathlib import Path

import pytest

from mooring.client import BadRequest, Fault, NotFound, State
from tests.client.daemons import asked


async def test_pools_and_leases_are_asked_for(tmp_path: Path) -> None:
    """All, some, and one."""
    async with asked(tmp_path) as daemon:
        client = daemon.client
        assert [row.id for row in await daemon.ask(client.pools, full=False, space="default")] == ["p4", "p6"]
        assert [row.id for row in await daemon.ask(client.pools, full=True)] == []
        assert [each.pool.id for each in await daemon.ask(client.pool, "fd00:32::/64")] == ["p6"]
        assert [row.address for row in await daemon.ask(client.leases, state=State.COOLING)] == ["10.32.0.4"]
        assert [row.address for row in await daemon.ask(client.leases, fixed=True)] == ["10.32.0.5"]
        assert len(await daemon.ask(client.lease, "10.32.0.2")) == 2


async def test_addresses_are_changed(tmp_path: Path) -> None:
    """Reserved, held and released; what cannot be is refused by either side."""
    async with asked(tmp_path) as daemon:
        client = daemon.client
        reply = await daemon.ask(client.reserve, "10.32.0.20", "10.32.0.21", space="default", whom="x", dry_run=True)
        assert ([change.address for change in reply.changes], reply.dry_run) == (["10.32.0.20", "10.32.0.21"], True)
        assert (await daemon.ask(client.hold, "10.32.0.5", space="default", key="db")).changes
        assert (await daemon.ask(client.release, "10.32.0.6", space="default")).changes
        with pytest.raises(BadRequest, match="more than 0 seconds"):
            await daemon.ask(client.hold, "10.32.0.5", hold=0.0)
        with pytest.raises(NotFound, match="no host has db in a network that hosts share"):
            await daemon.ask(client.move, "db", force=True)
        with pytest.raises(Fault, match=r"nobody|Docker"):
            await daemon.ask(client.fix_container, "nobody")
