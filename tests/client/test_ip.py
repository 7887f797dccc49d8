"""Addresses by id, from a program."""

from __future__ import annotations

from pathlib import Path

import pytest

from mooring.client import Conflict, NotFound
from tests.client.daemons import asked


async def test_an_id_has_addresses_until_they_are_released(tmp_path: Path) -> None:
    """Texts as the daemon writes them, and its faults."""
    async with asked(tmp_path) as daemon:
        client = daemon.client
        first = await daemon.ask(client.allocate_ip, "lab-1", network="1f6b2c")
        assert await daemon.ask(client.allocate_ip_in, "lab-1", "10.32.0.0", "24", network="1f6b2c") == first
        await daemon.ask(client.claim_ip, "lab-1", "10.32.0.99", "24", space="default")
        await daemon.ask(client.claim_ip, "lab-1", "192.168.9.9", "24", no_error_on_unknown=True)
        assert await daemon.ask(client.look_up_ip, "lab-1") == f"{first} 10.32.0.99/24"
        with pytest.raises(Conflict, match="the reservation for lab-1"):
            await daemon.ask(client.claim_ip, "lab-2", "10.32.0.99", "24", space="default")
        await daemon.ask(client.release_ip, "lab-1", "10.32.0.99")
        assert await daemon.ask(client.look_up_ip_in, "lab-1", "10.32.0.0", "24", network="1f6b2c") == first
        assert "lab-1" in [owner.containerid for owner in (await daemon.ask(client.ips)).owned]
        await daemon.ask(client.release_ips, "lab-1")
        with pytest.raises(NotFound):
            await daemon.ask(client.look_up_ip, "lab-1")
