"""VNICs, asked for by a program."""

from __future__ import annotations

from pathlib import Path

import pytest

from mooring.client import BadRequest, NotFound
from tests.client.daemons import asked


async def test_vnics_are_made_listed_and_removed(tmp_path: Path) -> None:
    """What cannot be is refused with the daemon's words."""
    async with asked(tmp_path) as daemon:
        client = daemon.client
        made = await daemon.ask(client.create_vnic, "172.16.5.0/24", "172.16.5.5", tenant="red", mtu=1400)
        assert made.vnic is not None
        assert (made.vnic.mtu, made.network.state) == (1400, "create")
        assert [row.id for row in await daemon.ask(client.vnics, tenant="red")] == [made.vnic.id]
        assert (await daemon.ask(client.vnic, made.vnic.link)).vnic == made.vnic
        assert (await daemon.ask(client.remove_vnic, made.vnic.id)).changed
        assert not (await daemon.ask(client.remove_vnic, made.vnic.id)).changed
        with pytest.raises(NotFound, match="there is no VNIC"):
            await daemon.ask(client.vnic, "172.16.5.5")
        with pytest.raises(BadRequest, match="VNICs have IPv4"):
            await daemon.ask(client.create_vnic, "fd00::/64", "fd00::5")
