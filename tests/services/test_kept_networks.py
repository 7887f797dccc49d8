"""Networks that go and come back under their name."""

from __future__ import annotations

from ipaddress import IPv4Interface, ip_address, ip_network

import pytest

from mooring.core.docker_requests import NetworkSpec
from mooring.core.endpoints import Endpoint
from mooring.core.faults import Exhausted
from mooring.core.kept_networks import KeptNetwork
from mooring.core.pools import Pool, SubnetPool
from mooring.core.requests import NetworkRequest, PoolRequest, SegmentRequest
from mooring.services.ipam import kept_networks as module
from tests.services.holder_hosts import HolderHost

WISH = NetworkSpec("web", "mooring", "mooring", open=(4,))


class ComingHost(HolderHost):
    """Networks of it are named, go and come back as with an engine."""

    async def named(self, ident: str, name: str = "web", **more: bool) -> str:
        """A network with a name; the subnet of the last one of that name, as the proxy has it."""
        network = await self.network(ident, **more)  # type: ignore[arg-type]
        await self.services.ipam.kept_networks.inherit(network, name)
        return network

    async def again(self, ident: str, subnet: str, name: str = "web") -> str:
        """A network with this subnet; one without a name has not inherited yet."""
        grant = await self.services.ipam.request_pool(PoolRequest("default", 4, ip_network(subnet)))
        part = SegmentRequest("default", ip_network(subnet), grant.gateway)
        await self.services.networks.create(NetworkRequest(ident, {}, False, (part,), ()))
        if name:
            await self.services.ipam.kept_networks.inherit(ident, name)
        return ident

    async def gone(self, network: str) -> str:
        """`docker network rm`; its first subnet."""
        segments = self.known(network).segments
        for segment in segments:
            await self.services.ipam.release_pool(segment.pool)
        await self.services.networks.delete(network)
        return str(segments[0].subnet)

    @property
    def kept_networks(self) -> list[KeptNetwork]:
        """On record."""
        return list(self.services.cache.every(KeptNetwork))

    async def returning(self, spec: NetworkSpec = WISH) -> list[str]:
        """What the proxy puts into the body."""
        assert self.services.keeping is not None
        return list(map(str, await self.services.keeping.networks.returning(spec)))


@pytest.fixture
def host() -> ComingHost:
    """A host with an engine."""
    return ComingHost()


async def test_a_key_has_its_address_and_mac_in_the_next_network_of_the_name(host: ComingHost) -> None:
    """While the hold time lasts, over a restart, and what others were given there is theirs."""
    network = await host.named("n1".ljust(64, "0"))
    (before,) = await host.made("first", host.fixed_spec(network, "key:db"))
    subnet = await host.gone(network)
    assert host.lease(before.ipv4) is None
    host.services = host._assemble()
    await host.services.cache.load()
    assert await host.returning() == [subnet]
    network = await host.again("n2".ljust(64, "0"), subnet)
    assert host.kept_networks == []
    (stranger,) = await host.made("stranger", host.fixed_spec(network, "key:other"))
    (after,) = await host.made("second", host.fixed_spec(network, "key:db"))
    assert (after.ipv4, after.mac) == (before.ipv4, before.mac)
    assert stranger.ipv4 != before.ipv4


async def test_a_network_of_another_name_or_space_inherits_nothing(host: ComingHost) -> None:
    """And is not given the subnet by choice."""
    network = await host.named("n1".ljust(64, "0"))
    await host.made("first", host.fixed_spec(network, "key:db"))
    subnet = await host.gone(network)
    other = await host.named("n2".ljust(64, "0"), "else")
    assert str(host.known(other).segments[0].subnet) != subnet
    assert len(host.kept_networks) == 1
    tenant = NetworkSpec("web", "mooring", "mooring", ipam_options={"tenant": "blue"}, open=(4,))
    assert await host.returning(tenant) == []
    assert await host.returning(NetworkSpec("else", "mooring", "mooring", open=(4,))) == []


async def test_the_memory_yields_when_there_is_no_other_subnet(host: ComingHost) -> None:
    """The one that ends first, and only then."""
    subnets = []
    for number in range(2):
        network = await host.named(f"n{number}".ljust(64, "0"), f"web{number}")
        await host.made(f"c{number}", host.fixed_spec(network, "key:db"))
        subnets.append(await host.gone(network))
        host.clock.advance(1)
    policy = host.services.ipam._policy
    (pool,) = policy.subnet_pools4
    small = SubnetPool("small", "default", tuple(map(ip_network, subnets)), 24)
    object.__setattr__(policy, "subnet_pools4", (small,))
    try:
        grant = await host.services.ipam.request_pool(PoolRequest("default", 4))
        assert str(grant.subnet) == subnets[0]
        assert [each.name for each in host.kept_networks] == ["web1"]
        await host.services.ipam.request_pool(PoolRequest("default", 4))
        assert host.kept_networks == []
        with pytest.raises(Exhausted):
            await host.services.ipam.request_pool(PoolRequest("default", 4))
    finally:
        object.__setattr__(policy, "subnet_pools4", (pool,))


async def test_what_is_in_the_way_of_a_subnet_keeps_it_away(host: ComingHost) -> None:
    """A pool in it, whatever its space, and a route of the host."""
    network = await host.named("n1".ljust(64, "0"))
    await host.made("first", host.fixed_spec(network, "key:db"))
    subnet = await host.gone(network)
    grant = await host.services.ipam.request_pool(
        PoolRequest("default", 4, ip_network(subnet), options={"tenant": "t"})
    )
    assert await host.returning() == []
    await host.services.ipam.release_pool(grant.pool)
    assert await host.returning() == [subnet]


async def test_what_does_not_fit_ends_there(host: ComingHost) -> None:
    """Another subnet: the MAC alone stays, since the network's name and the key are the same."""
    network = await host.named("n1".ljust(64, "0"))
    (before,) = await host.made("first", host.fixed_spec(network, "key:db"))
    await host.gone(network)
    network = await host.again("n2".ljust(64, "0"), "192.168.7.0/24")
    assert host.kept_networks == []
    (after,) = await host.made("second", host.fixed_spec(network, "key:db"))
    assert after.ipv4 != before.ipv4
    assert after.mac == before.mac


async def test_both_families_are_left_and_end_with_the_hold_time(host: ComingHost) -> None:
    """Whichever pool goes first; swept away, and forgotten by the proxy."""
    network = await host.named("n1".ljust(64, "0"), v6=True)
    (before,) = await host.made("first", host.fixed_spec(network, "key:db"))
    await host.gone(network)
    (kept_network,) = host.kept_networks
    assert {each.address for each in kept_network.kept_addresses} == {before.ipv4, before.ipv6}
    host.clock.advance(86400)
    assert await host.returning() == []
    await host.services.ipam.kept_networks.sweep()
    assert host.kept_networks == []


async def test_a_network_without_a_name_or_without_keys_leaves_nothing(host: ComingHost) -> None:
    """Nobody could come back for it."""
    network = await host.network("n1".ljust(64, "0"))
    await host.made("first", host.fixed_spec(network, "key:db"))
    await host.gone(network)
    await host.gone(await host.named("n2".ljust(64, "0")))
    assert host.kept_networks == []


async def test_a_network_that_goes_without_its_pools_leaves_the_same(host: ComingHost) -> None:
    """As when the engine's list tells that it is gone."""
    network = await host.named("n1".ljust(64, "0"))
    await host.made("first", host.fixed_spec(network, "key:db"))
    await host.services.networks.delete(network)
    assert [each.name for each in host.kept_networks] == ["web"]
    assert list(host.services.cache.every(Pool)) == []


async def test_names_are_learnt_from_the_engine(host: ComingHost) -> None:
    """Of networks that no proxy saw made."""
    network = await host.network("n1".ljust(64, "0"))
    host.engine.networks.add(network)
    host.engine.names[network] = "web"
    await host.services.ipam.kept_networks.learn(host.engine, frozenset({network}))
    assert host.known(network).name == "web"
    asked = host.engine.calls
    await host.services.ipam.kept_networks.learn(host.engine, frozenset({network}))
    assert host.engine.calls == asked


async def test_networks_that_are_remembered_are_bounded(host: ComingHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """The one that ends first goes first."""
    monkeypatch.setattr(module, "MOST", 2)
    for number in range(3):
        network = await host.named(f"n{number}".ljust(64, "0"), f"web{number}")
        await host.made(f"c{number}", host.fixed_spec(network, "key:db"))
        await host.gone(network)
        host.clock.advance(1)
    assert sorted(each.name for each in host.kept_networks) == ["web1", "web2"]


async def test_what_keys_lost_past_the_proxy_is_a_finding(host: ComingHost) -> None:
    """While that network is there; who types another subnet wants it so."""
    host.typed = False
    network = await host.named("n1")
    (grant,) = await host.made("first", host.fixed_spec(network, "key:db"))
    await host.gone(network)
    assert host.services.ipam.kept_networks.findings() == []
    network = await host.named("n2")
    (finding,) = host.services.ipam.kept_networks.findings()
    assert finding.text == f"network web was recreated with another subnet, and its keys lost {grant.ipv4} (key:db)"
    assert "docker context use mooring" in finding.remedy
    assert "only the proxy learns a network's name in time" in finding.proof
    await host.made("second", host.fixed_spec(network, "key:db"))
    await host.gone(network)
    assert host.services.ipam.kept_networks.findings() == []
    await host.again("n3", "10.79.0.0/24")
    assert host.services.ipam.kept_networks.findings() == []


@pytest.mark.parametrize("user", ["an endpoint", "the host", "nobody"])
async def test_an_address_that_is_in_use_without_a_record_does_not_come_back(host: ComingHost, user: str) -> None:
    """It is lost to its key; what lives is never taken."""
    network = await host.named("n1".ljust(64, "0"))
    (before,) = await host.made("first", host.fixed_spec(network, "key:db"))
    subnet = await host.gone(network)
    network = await host.again("n2".ljust(64, "0"), subnet, name="")
    if user == "an endpoint":
        address = IPv4Interface(f"{before.ipv4}/24")
        await host.services.cache.commit(
            put=[Endpoint("e".ljust(64, "0"), network, address, None, "02:00:00:00:00:09", 0.0)]
        )
    elif user == "the host":
        host.services.ipam.index.keep_out({ip_address(str(before.ipv4)): "somebody"})
    await host.services.ipam.kept_networks.inherit(network, "web")
    assert (host.lease(before.ipv4) is not None) is (user == "nobody")
    assert host.kept_networks == []
