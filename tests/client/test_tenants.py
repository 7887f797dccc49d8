"""Tenants, asked for by a program."""

from __future__ import annotations

from pathlib import Path

import pytest

from mooring.client import NotFound
from mooring.core.requests import NetworkRequest
from tests.client.daemons import asked


async def test_tenants_are_found(tmp_path: Path) -> None:
    """By filter and by name."""
    async with asked(tmp_path) as daemon:
        request = NetworkRequest("c" * 64, {"tenant": "red", "mode": "null"}, False, (), ())
        await daemon.host.services.networks.create(request)
        assert "red" in [row.name for row in await daemon.ask(daemon.client.tenants)]
        assert await daemon.ask(daemon.client.tenants, separate=True) == []
        assert (await daemon.ask(daemon.client.tenant, "red")).tenant.networks == 1
        with pytest.raises(NotFound, match="no tenant"):
            await daemon.ask(daemon.client.tenant, "green")
