"""Running containers put into networks, by a program."""

from __future__ import annotations

from pathlib import Path

import pytest

from mooring.client import NotFound
from tests.client.daemons import asked


async def test_the_host_is_exposed_and_hidden(tmp_path: Path) -> None:
    """The addresses that it has then."""
    async with asked(tmp_path) as daemon:
        await daemon.host.services.repair.once()  # the bridge is there
        view = await daemon.ask(daemon.client.expose, "1f6b2c", ("10.32.0.99",))
        assert ("10.32.0.99/24" in view.addresses, view.changed) == (True, True)
        assert (await daemon.ask(daemon.client.hide, "1f6b2c")).changed


async def test_a_container_is_attached_and_detached(tmp_path: Path) -> None:
    """The view, and the daemon's faults."""
    async with asked(tmp_path) as daemon:
        daemon.host.engine.create("d" * 64, "db")
        assert (await daemon.ask(daemon.client.attach, "db", "1f6b2c")).changed
        assert (await daemon.ask(daemon.client.detach, "db", "1f6b2c")).changed
        with pytest.raises(NotFound, match="no container"):
            await daemon.ask(daemon.client.attach, "nobody", "1f6b2c", ("10.32.0.9",))
