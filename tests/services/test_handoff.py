"""The driver of mode handoff: an endpoint is a VNIC's, or it is not made; nothing that it does ends an interface."""

from __future__ import annotations

import logging
from ipaddress import ip_interface

import pytest

from mooring.core.faults import BadRequest, Conflict, NotFound, Unavailable
from mooring.core.plumbing import HostLink, Inside
from mooring.core.port_bindings import PortRequest, Protocol
from mooring.core.requests import EndpointRequest, JoinRequest
from mooring.core.vnics import Vnic
from tests.services.vnic_hosts import ROUTE, LauncherHost

E1 = "e1".ljust(64, "0")


class Made(LauncherHost):
    """With one VNIC and its network."""

    one: Vnic
    at: str

    async def ready(self) -> Made:
        """Both are there."""
        await self.start()
        self.one = await self.vnic("red", "172.16.5.5", routes=(ROUTE,))
        self.at = await self.handoff("n1", bridge=self.one.group.bridge)
        return self

    async def create(self, mac: str = "", **more: object) -> None:
        """CreateEndpoint."""
        address = ip_interface("172.16.5.5/24")
        request = EndpointRequest(self.at, E1, address, None, mac or self.one.mac, **more)  # type: ignore[arg-type]
        await self.services.endpoints.create(request)


@pytest.fixture
async def host() -> Made:
    return await Made().ready()


async def test_join_tells_what_the_launcher_has_made(host: Made) -> None:
    """Its name, the gateway and the static routes; the next container gets the same, and nothing was made for it."""
    made = dict(host.kernel.made)
    for name in ("e1", "e2"):
        grant, attachment = await host.run(host.at, name, "172.16.5.5", host.one.mac)
        assert (grant.ipv4, grant.mac) == (None, "")
        assert (attachment.link, attachment.prefix, str(attachment.gateway4)) == (host.one.link, "eth", "172.16.5.1")
        assert (attachment.routes, attachment.gateway_service) == ((ROUTE,), False)
        await host.end(host.at, name)
    assert dict(host.kernel.made) == made


async def test_an_unknown_vnic_or_another_mac_or_a_port_is_refused(host: Made) -> None:
    """In one line, with what to do."""
    with pytest.raises(BadRequest, match="publishes no ports: what leads to VNICs is the launcher's; leave out -p"):
        await host.create(ports=(PortRequest(Protocol.TCP, 80),))
    with pytest.raises(
        Conflict, match=f"has MAC {host.one.mac}, and the container would have .*--mac-address {host.one.mac}"
    ):
        await host.run(host.at, "e1", "172.16.5.5", "02:00:00:00:00:09")
    await host.services.vnics.destroy(host.one)
    with pytest.raises(
        NotFound, match=r"no VNIC in network n10000000000 has address 172.16.5.5; `mooring vnic create`"
    ):
        await host.create()
    await host.vnic("red", "172.16.5.5", mac="02:00:00:00:00:08")
    with pytest.raises(Conflict, match="has MAC 02:00:00:00:00:08, and the container would have"):
        await host.create()
    assert host.services.cache.endpoint(host.at, E1) is None


async def test_ports_that_come_later_are_refused_as_well(host: Made) -> None:
    """ProgramExternalConnectivity."""
    await host.run(host.at, "e1", "172.16.5.5", host.one.mac)
    with pytest.raises(BadRequest, match="publishes no ports"):
        await host.services.endpoints.publish(host.at, E1, (PortRequest(Protocol.TCP, 80),))
    await host.services.endpoints.publish(host.at, E1, ())


async def test_an_interface_that_died_is_made_again_at_join_and_told(
    host: Made, caplog: pytest.LogCaptureFixture
) -> None:
    """With the same MAC."""
    host.kernel.lose(host.one.host_end)
    with caplog.at_level(logging.WARNING):
        await host.run(host.at, "e1", "172.16.5.5", host.one.mac)
    assert f"{host.one} had died with its namespace, and was made again with MAC {host.one.mac}" in caplog.text
    assert ("veth", host.one.host_end) in host.kernel.facts


async def test_an_interface_in_another_namespace_is_taken_only_when_nobody_lives_there(host: Made) -> None:
    """What lives is never taken."""
    await host.create()
    host.kernel.inside[host.one.host_end] = Inside(host.one.mac, ())
    host.kernel.lived_in.add(host.one.host_end)
    with pytest.raises(Conflict, match="is in another container"):
        await host.services.endpoints.attach(host.at, E1, JoinRequest("/run/x"))
    host.kernel.lived_in.clear()
    assert (await host.services.endpoints.attach(host.at, E1, JoinRequest("/run/x"))).link == host.one.link
    assert host.kernel.made["veth", host.one.host_end] == 2


async def test_an_adopted_interface_that_is_gone_is_told(host: Made) -> None:
    """Nobody here can make it."""
    host.kernel.links["eth7"] = HostLink("eth7", "", "02:00:00:00:00:08", 9000, False, False)
    other = await host.vnic("red", "172.16.5.6", adopt="eth7")
    del host.kernel.links["eth7"]
    with pytest.raises(Unavailable, match=r"interface eth7 of VNIC 172.16.5.6 of tenant red is not on the host"):
        await host.run(host.at, "e2", "172.16.5.6", other.mac)


async def test_what_is_known_is_told_of_an_endpoint(host: Made) -> None:
    """EndpointOperInfo."""
    await host.run(host.at, "e1", "172.16.5.5", host.one.mac)
    told = await host.services.endpoints.info(host.at, E1)
    assert (told["mooring.vnic"], told["mooring.interface"]) == (host.one.id, host.one.host_end)
