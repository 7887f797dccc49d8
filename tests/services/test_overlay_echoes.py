"""Who is asked through the tunnels, by whom, and who is not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_address

import pytest

from mooring.core.cluster_hosts import TunnelEnd
from mooring.core.cluster_networks import HostNetwork
from mooring.core.networks import Network
from mooring.core.overlay_paths import Path
from mooring.core.overlays import Overlay
from mooring.core.wireguard import inner_address
from mooring.services.cluster.host_records import HostRecords
from mooring.services.networking.assembly import World
from mooring.services.operations.inspection import DaemonFacts
from mooring.services.operations.operations import operations
from mooring.services.operations.overlay_echoes import SETTLED, OverlayEchoes
from mooring.testing.memory_echoes import MemoryEchoes
from tests.services.member_hosts import MemberHost, members
from tests.services.overlay_hosts import following, take_part, turns


class Scene:
    """Two hosts with an overlay in common, and what the first asks the second."""

    def __init__(self, hosts: list[MemberHost]) -> None:
        self.one, self.two = hosts
        self.doubles = MemoryEchoes()
        services = self.one.services
        self.echoes = OverlayEchoes(
            services.records, services.host_overlays, services.overlay_feed, services.cluster_runtime, self.doubles
        )

    async def begin(self) -> Scene:
        """Both take part, long enough."""
        self.network = await take_part(self.one, "a")
        self.there = await take_part(self.two, "b")
        await self.settle()
        return self

    async def settle(self) -> None:
        """They know of each other."""
        await turns(self.one, self.two, times=int(SETTLED) + 4)

    def overlays(self) -> list[tuple[Network, Overlay]]:
        """Of the first."""
        network = self.one.services.cache.network(self.network)
        overlay = self.one.services.repair.overlays.of(self.network)
        return [(network, overlay)] if network is not None and overlay is not None else []

    async def paths(self) -> list[Path]:
        """What is asked now."""
        return (await self.echoes.ask(self.overlays()))[0]


def own(host: MemberHost) -> str:
    """The host's own address in the network."""
    return str(next(host.services.cache.every(HostNetwork)).own[0])


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """See Scene."""
    hosts = await members()
    async with following(*hosts):
        await turns(*hosts, times=1)
        yield await Scene(hosts).begin()


async def test_another_hosts_own_address_is_asked_from_this_hosts(scene: Scene) -> None:
    """Small, and as long as what containers send; and its address in the underlay."""
    (path,) = await scene.paths()
    assert {(str(each.source), str(each.target), each.size) for each in path.echoes} == {
        (own(scene.one), own(scene.two), 0),
        (own(scene.one), own(scene.two), 1450),
        ("10.0.0.1", "10.0.0.2", 0),
    }
    assert (path.host.name, path.network, path.port, path.longest) == ("web2", "a".ljust(12, "0"), 4790, 1500)


async def test_some_of_its_containers_are_asked_as_well(scene: Scene) -> None:
    """Which do not depend on the host's firewall."""
    for name in ("c1", "c2", "c3"):
        await scene.two.endpoint(scene.there, name)
    await scene.settle()
    (path,) = await scene.paths()
    assert [len(path.small), len(path.full)] == [3, 1]


async def test_a_host_that_is_not_heard_is_not_asked(scene: Scene) -> None:
    """It may be off, which the cluster tells."""
    scene.one.clock.advance(60.0)
    await scene.one.membership.attempt()
    assert await scene.paths() == []


async def test_a_host_that_takes_no_part_is_not_asked(scene: Scene) -> None:
    """Nor one that has left."""
    await scene.two.services.networks.delete(scene.there)
    await scene.settle()
    assert await scene.paths() == []


async def test_nobody_is_asked_by_who_has_only_just_come(scene: Scene) -> None:
    """He may not be known yet."""
    await scene.two.services.networks.delete(scene.there)
    await scene.settle()
    scene.there = await take_part(scene.two, "b")
    await turns(scene.one, scene.two, times=2)
    assert await scene.paths() == []
    await scene.settle()
    assert len(await scene.paths()) == 1
    await scene.one.services.networks.delete(scene.network)
    await scene.settle()
    scene.network = await take_part(scene.one, "c")
    await turns(scene.one, scene.two, times=2)
    assert scene.overlays()
    assert await scene.paths() == []


async def test_who_cannot_have_a_tunnel_is_not_asked(scene: Scene) -> None:
    """As with another port, which the doctor tells anyhow."""
    ((network, overlay),) = scene.overlays()
    other = Overlay(overlay.vni, overlay.local, overlay.underlay_mtu, overlay.own, port=4795)
    assert (await scene.echoes.ask([(network, other)]))[0] == []


async def test_nothing_is_asked_without_an_overlay(scene: Scene) -> None:
    """Of this host's."""
    assert await scene.echoes.ask([]) == ([], {})
    assert scene.doubles.asked == ()


async def test_the_doctor_tells_of_a_host_that_does_not_answer() -> None:
    """And of nothing where all is well."""
    hosts = await members()
    echoes = MemoryEchoes()
    one = hosts[0]
    world = World(one.store, one.kernel, one.guard, one.engine, one.clock, one.setup, echoes=echoes)
    operated = operations(one.services, world, DaemonFacts("1.0", 0.0, "", "", "", one.policy))
    operated.cluster.cluster = one.membership.cluster
    one.services.cluster_runtime.follow(one.membership)
    async with following(*hosts):
        await turns(*hosts, times=1)
        scene = await Scene(hosts).begin()
        assert not [each for each in (await operated.doctor.examine()).findings if "web2" in each.text]
        echoes.silent.add(ip_address(own(scene.two)))
        found = await operated.doctor.examine()
    (told,) = [each for each in found.findings if "web2" in each.text]
    assert "UDP port 4790" in told.remedy


async def test_an_encrypted_network_has_its_own_way(scene: Scene) -> None:
    """The other host's address within WireGuard is asked as well, and the port is WireGuard's; a host without that has
    no tunnel there."""
    for each, ident in ((scene.one, scene.network), (scene.two, scene.there)):
        network = each.services.cache.network(ident)
        assert network is not None
        await each.services.cache.commit(put=[replace(network, options=replace(network.options, encrypted=True))])
        inner = [inner_address(host.membership.entered()[0].host) for host in (scene.one, scene.two)]
        each.kernel.underlay |= dict.fromkeys(inner, 1440)
    await scene.settle()
    assert await scene.paths() == []
    membership, cluster = scene.two.membership.entered()
    host, revision = await HostRecords(cluster).host(membership.host)
    assert host is not None
    await HostRecords(cluster).put_host(replace(host, tunnel=TunnelEnd(("k",), 51821)), revision)
    (path,) = await scene.paths()
    assert path.inner is not None
    assert (path.inner.target, path.port) == (inner_address(host.id), 51821)
    assert (path.full[0].size, path.longest) == (1500 - 60 - 70, 1500)
