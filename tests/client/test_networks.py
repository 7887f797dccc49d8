"""Networks, asked for by a program."""

from __future__ import annotations

from pathlib import Path

from mooring.client import Mode
from tests.client.daemons import asked
from tests.services.samples import ALIEN, WEB


async def test_networks_are_asked_for(tmp_path: Path) -> None:
    """All, some, and one, by whatever it is called."""
    async with asked(tmp_path) as daemon:
        client = daemon.client
        assert [row.id for row in await daemon.ask(client.networks)] == [WEB, ALIEN]
        assert [row.id for row in await daemon.ask(client.networks, subnet="10.32.0.0/24", mode=Mode.BRIDGE)] == [WEB]
        assert (await daemon.ask(client.network, "10.32.0.0/24")).id == WEB
