"""A launcher against a daemon's API, with a docker command that writes down what it is told."""

from __future__ import annotations

import asyncio
import runpy
from functools import partial
from ipaddress import IPv4Interface
from pathlib import Path

import pytest

from mooring.client import Conflict, Unavailable
from mooring.core.networks import Network, NetworkOptions, Segment
from mooring.core.options import parse_network_options
from mooring.launcher import Launcher
from tests.client.daemons import Asked, asked

EXAMPLE = str(Path(__file__).resolve().parents[1] / "examples/launcher.py")
ONE = ("172.16.5.0/24", "172.16.5.5")


def docker(folder: Path, status: int = 0, said: str = "") -> tuple[str, ...]:
    """The command."""
    script = folder / "docker"
    script.write_text(f'#!/bin/sh\necho "$@" >> {folder}/told\n[ -z "{said}" ] || echo "{said}" >&2\nexit {status}\n')
    script.chmod(0o755)
    return (str(script),)


async def make_network(daemon: Asked, bridge: str) -> None:
    """The network is on record, as when the engine has made it."""
    options: NetworkOptions = parse_network_options({"bridge": bridge, "tenant": "red"}, False)
    subnet = IPv4Interface("172.16.5.1/24")
    segment = Segment(subnet.network, subnet, "red", "p-red")
    await daemon.host.cache.commit(put=[Network("f" * 64, options, False, (segment,), (), 5.0)])


async def test_the_network_comes_with_the_first_and_goes_with_the_last(tmp_path: Path) -> None:
    """By the very commands of the daemon's answers."""
    async with asked(tmp_path) as daemon:
        launcher = Launcher(daemon.client.socket, docker(tmp_path))
        made = await daemon.ask(launcher.create, *ONE, tenant="red", mtu=1400)
        bridge = made.vnic.bridge
        assert made.changed
        assert made.run == ("--network", bridge, "--ip", ONE[1], "--mac-address", made.vnic.mac)
        assert (tmp_path / "told").read_text().startswith("network create -d p --ipam-driver p --ipam-opt tenant=red")
        await make_network(daemon, bridge)
        assert not (await daemon.ask(launcher.create, *ONE, tenant="red", mtu=1400)).changed
        assert [row.id for row in await daemon.ask(launcher.list, tenant="red")] == [made.vnic.id]
        assert len((tmp_path / "told").read_text().splitlines()) == 1
        assert await daemon.ask(launcher.destroy, ONE[1], tenant="red")
        assert (tmp_path / "told").read_text().splitlines()[1] == f"network rm {'f' * 12}"
        assert not await daemon.ask(launcher.destroy, ONE[1], tenant="red")


async def test_a_network_that_another_launcher_makes_is_waited_for(tmp_path: Path) -> None:
    """Docker refuses the second one, and it is there all the same."""
    async with asked(tmp_path) as daemon, asyncio.TaskGroup() as tasks:
        launcher = Launcher(daemon.client.socket, docker(tmp_path, 1, "pool overlaps"))
        making = tasks.create_task(daemon.ask(launcher.create, *ONE, tenant="red"))
        while not (rows := await daemon.ask(launcher.list)):
            pass
        await make_network(daemon, rows[0].bridge)
        assert (await making).run[:2] == ("--network", "f" * 12)


async def test_refusals_are_the_daemons_or_dockers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line."""
    monkeypatch.setattr("mooring.launcher.PATIENCE", 0.0)
    async with asked(tmp_path) as daemon:
        launcher = Launcher(daemon.client.socket, docker(tmp_path, 1, "no room"))
        with pytest.raises(Unavailable, match=r"Docker has not made the network mb-.*: no room"):
            await daemon.ask(launcher.create, *ONE, tenant="red")
        with pytest.raises(Conflict, match="is there already, with mtu 1500"):
            await daemon.ask(launcher.create, *ONE, tenant="red", mtu=1400)
        with pytest.raises(Unavailable, match="docker cannot be run: No such file"):
            await daemon.ask(Launcher(daemon.client.socket, ("/none/docker",)).create, *ONE, tenant="red")
        await make_network(daemon, (await daemon.ask(launcher.list))[0].bridge)
        with pytest.raises(Unavailable, match="the VNIC is gone, and Docker keeps its network: no room"):
            await daemon.ask(launcher.destroy, ONE[1])


async def test_the_example_makes_runs_and_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it is, with this docker."""
    example = runpy.run_path(EXAMPLE)
    command = docker(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    async with asked(tmp_path) as daemon:
        example["main"].__globals__["Launcher"] = partial(Launcher, daemon.client.socket, command)
        assert await daemon.ask(example["main"], "red", *ONE) == 0
        assert (
            (tmp_path / "told").read_text().splitlines()[1].startswith("run --rm --name red-172.16.5.5 --network mb-")
        )
        assert await daemon.ask(daemon.client.vnics) == []
        assert await daemon.ask(example["main"], "red", "fd00::/64", "fd00::5") == 1
