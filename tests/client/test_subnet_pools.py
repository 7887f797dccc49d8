"""Subnet pools, asked for and changed by a program."""

from __future__ import annotations

from pathlib import Path

import pytest

from mooring.client import Conflict, SubnetPoolOrigin
from tests.client.daemons import asked


async def test_subnet_pools_are_asked_for_and_changed(tmp_path: Path) -> None:
    """All, some and one; made, altered and removed."""
    async with asked(tmp_path) as daemon:
        client = daemon.client
        made = await daemon.ask(client.create_subnet_pool, "lab", ("10.64.0.0/22",), length=26)
        assert made.changes[0].after == "lab"
        assert [row.name for row in await daemon.ask(client.subnet_pools, family=4)] == ["default-v4", "lab"]
        stored = await daemon.ask(client.subnet_pools, origin=SubnetPoolOrigin.STORED)
        assert [(row.name, row.length) for row in stored] == [("lab", 26)]
        (detail,) = await daemon.ask(client.subnet_pool, "default-v4")
        assert [user.subnet for user in detail.users] == ["10.32.0.0/24"]
        changed = await daemon.ask(client.set_subnet_pool, "lab", new_name="labs", position=3, dry_run=True)
        assert ([each.what for each in changed.changes], changed.dry_run) == (["name", "default"], True)
        with pytest.raises(Conflict, match="which overlaps"):
            await daemon.ask(client.set_subnet_pool, "lab", add=("10.32.0.0/24",))
        await daemon.ask(client.remove_subnet_pool, "lab")
        assert len(await daemon.ask(client.subnet_pools)) == 1
