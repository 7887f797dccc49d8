"""Drivers that are plugins, over a real socket, with everything else in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from mooring.adapters.plugins import Places, Plugins
from mooring.cnm import Conflict, Controller, Fault, NotFound, Unavailable
from tests.adapters.plugins.fakes import Asked, FakePlugin, HastyClock, plugin, reply
from tests.cnm.hosts import MemoryHost

JOINED = {
    "InterfaceName": {"SrcName": "far0", "DstPrefix": "far"},
    "Gateway": "10.9.0.1",
    "DisableGatewayService": True,
}


class Script:
    """What the plugin answers; answers: by method, over what is said otherwise. None hangs up."""

    def __init__(self, **answers: Any) -> None:
        self.answers: dict[str, Any] = {
            "Activate": {"Implements": ["NetworkDriver"]},
            "GetCapabilities": {"Scope": "local"},
            "Join": JOINED,
        } | answers

    def __call__(self, asked: Asked) -> bytes | None:
        """The bytes of the reply."""
        answer = self.answers.get(asked.method.rpartition(".")[2], {})
        return None if answer is None else reply(answer)


@asynccontextmanager
async def driven(folder: Path, script: Script) -> AsyncIterator[tuple[MemoryHost, Controller, FakePlugin]]:
    """A controller that finds the plugin `far`."""
    async with plugin(folder / "far.sock", script) as fake:
        plugins = Plugins(Places(folder, ()), HastyClock())
        host = MemoryHost(plugins)
        try:
            async with host.open() as controller:
                yield host, controller, fake
        finally:
            await plugins.close()


async def test_a_plugin_that_is_no_network_driver_is_refused(tmp_path: Path) -> None:
    """It was found and activated, and does not do what is wanted. (libnetwork_linux_test.go, InvalidRemoteDriver)"""
    async with driven(tmp_path, Script(Activate={"Implements": ["InvalidDriver"]})) as (_, controller, fake):
        with pytest.raises(NotFound, match="InvalidDriver"):
            await controller.create_network("dummy", "far")
        assert fake.methods == ["Activate"]
        assert controller.networks() == []
        with pytest.raises(NotFound, match="nobody"):
            await controller.create_network("dummy", "nobody")


async def test_a_plugin_makes_networks(tmp_path: Path) -> None:
    """It is told everything in order, and what it answers is what the sandbox gets. (ValidRemoteDriver)"""
    async with driven(tmp_path, Script(EndpointOperInfo={"Value": {"a": "b"}})) as (host, controller, fake):
        network = await controller.create_network("dummy", "far", subnets=["10.9.0.0/24"], options={"x": "y"})
        endpoint = await network.create_endpoint("ep", addresses=["10.9.0.9"])
        sandbox = await controller.create_sandbox("c1", path=host.namespaces.external("/proc/7/ns/net"))
        host.namespaces.plant("far0")
        await endpoint.join(sandbox)
        assert endpoint.interface == "far0"
        assert [str(hop) for hop in endpoint.info().gateways] == ["10.9.0.1"]
        assert (await endpoint.driver_info())["a"] == "b"
        await endpoint.leave()
        await endpoint.delete()
        await network.delete()
    named = [asked.method for asked in fake.asked]
    told = [name.rpartition(".")[2] for name in named if name.startswith("NetworkDriver.")]
    # Ends may be told twice: only the order of the first times counts.
    assert [name for name in dict.fromkeys(told) if "External" not in name] == [
        "GetCapabilities", "CreateNetwork", "CreateEndpoint", "Join", "EndpointOperInfo", "Leave", "DeleteEndpoint",
        "DeleteNetwork",
    ]  # fmt: skip
    created = fake.asked[named.index("NetworkDriver.CreateNetwork")].json
    assert created["Options"]["com.docker.network.generic"] == {"x": "y"}
    assert created["IPv4Data"][0]["Pool"] == "10.9.0.0/24"


async def test_an_address_that_a_plugin_changes_is_refused(tmp_path: Path) -> None:
    """The endpoint is not made, the plugin is told so, and the address is free."""
    script = Script(CreateEndpoint={"Interface": {"Address": "10.9.0.77/24"}})
    async with driven(tmp_path, script) as (_, controller, fake):
        network = await controller.create_network("dummy", "far", subnets=["10.9.0.0/24"])
        with pytest.raises(Fault, match="far"):
            await network.create_endpoint("ep", addresses=["10.9.0.9"])
        assert fake.methods[-1] == "DeleteEndpoint"
        assert network.endpoints() == []
        script.answers["CreateEndpoint"] = {}
        await network.create_endpoint("ep", addresses=["10.9.0.9"])


async def test_what_a_plugin_was_not_told_is_told_by_the_next_start(tmp_path: Path) -> None:
    """A deletion that found it silent is finished when it answers again, and the start says so."""
    script = Script()
    async with driven(tmp_path, script) as (host, controller, fake):
        network = await controller.create_network("dummy", "far", subnets=["10.9.0.0/24"])
        script.answers["DeleteNetwork"] = None
        with pytest.raises(Unavailable, match="far"):
            await network.delete()
        with pytest.raises(Conflict):
            await controller.create_network("dummy", "far")
        script.answers["DeleteNetwork"] = {}
        fake.asked.clear()
        async with host.open() as again:
            assert any("dummy" in line for line in again.restored)
            assert fake.methods == ["DeleteNetwork"]
            await again.create_network("dummy", "far", subnets=["10.9.0.0/24"])
