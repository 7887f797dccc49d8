"""Namespaces put into networks by a program."""

from __future__ import annotations

from pathlib import Path

from mooring.core.datapath import host_end
from mooring.core.plumbing import Inside
from tests.client.daemons import asked
from tests.services.samples import WEB


async def test_a_namespace_is_attached_in_two_steps_and_detached_in_one(tmp_path: Path) -> None:
    """Between the two the program does what is to be done inside."""
    async with asked(tmp_path) as daemon:
        await daemon.host.services.repair.once()  # the bridge is there
        client = daemon.client
        view = await daemon.ask(client.attach_namespace, "boot:7", "lab-1", "1f6b2c", taken=("lo",))
        assert (view.network, [each.name for each in view.interfaces]) == (WEB, ["eth0"])
        daemon.host.kernel.inside[host_end(view.endpoint)] = Inside("", ())
        assert (await daemon.ask(client.confirm_namespace, "boot:7", WEB)).changed
        gone = await daemon.ask(client.detach_namespace, "lab-1", "1f6b2c", "boot:7")
        assert (gone.addresses, gone.interfaces) == (view.addresses, [])
