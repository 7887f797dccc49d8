"""Which networks of a host are overlays, and which addresses of its own it has in them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from ipaddress import ip_interface, ip_network

import msgspec
import pytest

from mooring.core.cluster_hosts import Underlay
from mooring.core.cluster_networks import HostNetwork
from mooring.core.faults import Unavailable
from mooring.core.leases import Lease
from mooring.core.overlays import PORT
from mooring.core.plumbing import Bridge, Flood, LinkAddress, Member, RemoteMac, Vxlan
from mooring.core.pools import Pool
from mooring.core.wireguard import OVERHEAD, encrypted_port, inner_address
from mooring.services.cluster.host_records import HostRecords
from mooring.services.cluster.membership import TTL
from tests.services.member_hosts import MemberHost, members
from tests.services.overlay_hosts import WEB, following, remotes, take_part, tunnels, turns


@pytest.fixture
async def hosts() -> AsyncIterator[list[MemberHost]]:
    """Two that are in a cluster."""
    made = await members()
    async with following(*made):
        await turns(*made, times=1)
        yield made


def own(host: MemberHost) -> tuple[str, ...]:
    """The host's own addresses in all overlays."""
    return tuple(str(each) for part in host.services.cache.every(HostNetwork) for each in part.own)


async def test_a_network_is_an_overlay_as_soon_as_it_is_made(hosts: list[MemberHost]) -> None:
    """Its first container has the MTU already; the tunnel begins at the host's address in the underlay."""
    host = hosts[0]
    network = await take_part(host, "a")
    overlay = host.services.repair.overlays.of(network)
    assert overlay is not None
    assert (str(overlay.local), overlay.vni, overlay.underlay_mtu) == ("10.0.0.1", 4097, 1500)
    await turns(host)
    assert tunnels(host) == {4097}
    assert {fact.mtu for fact in host.facts if isinstance(fact, Bridge)} == {1450}


async def test_a_turn_that_finds_everything_as_it_was_has_nothing_repaired(
    hosts: list[MemberHost], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A pass over the kernel costs as much as there are endpoints, and a turn comes each second."""
    host, looks = hosts[0], list[None]()
    await take_part(host, "a")
    await turns(host)
    monkeypatch.setattr(host.services.repair.overlays, "_look_again", lambda: looks.append(None))
    await turns(host, times=5)
    assert looks == []


async def test_each_host_has_an_address_of_its_own(hosts: list[MemberHost]) -> None:
    """Of its own blocks, so no two have the same, and no container has it; the bridge bears it beside the gateway's."""
    networks = [await take_part(host, name) for host, name in zip(hosts, "ab", strict=True)]
    await turns(*hosts)
    (first,), (second,) = own(hosts[0]), own(hosts[1])
    assert first != second
    for host, address in ((hosts[0], first), (hosts[1], second)):
        borne = {fact.interface for fact in host.facts if isinstance(fact, LinkAddress)}
        assert borne == {ip_interface("10.99.0.1/32"), ip_interface(f"{address}/16")}
    for n in range(10, 30):
        await hosts[0].endpoint(networks[0], f"{n}c")
    given = {str(each.ipv4) for each in hosts[0].services.endpoint_index.of_network(networks[0])}
    assert len(given) == 20
    assert f"{first}/16" not in given
    await hosts[0].services.repair.once()
    hosts[0].clock.advance(1000)
    await hosts[0].services.repair.once()
    await turns(*hosts)
    assert own(hosts[0]) == (first,)


async def test_an_address_that_changes_is_told_to_the_others_at_once(hosts: list[MemberHost]) -> None:
    """As by DHCP: what the others have of the host follows within a look, so that its tunnels, in clear or encrypted,
    are not waited for a minute longer than need be."""
    first, second = hosts
    for host, name in zip(hosts, "ab", strict=True):
        await take_part(host, name)
    await turns(*hosts, times=30)  # the record was looked at just now
    ident = first.membership.entered()[0].host
    first.setup.links["eth0"] = Underlay("10.0.9.9", "eth0", 1500)
    await turns(*hosts, times=24)
    record, _ = await HostRecords(first.servers.client("other")).host(ident)
    assert record is not None
    assert record.underlay.address == "10.0.9.9"
    assert set(remotes(second).values()) == {"10.0.9.9"}
    assert {str(fact.local) for fact in first.facts if isinstance(fact, Vxlan)} == {"10.0.9.9"}
    await turns(*hosts)
    assert any(isinstance(fact, RemoteMac) for fact in first.facts)


async def test_a_small_subnet_without_blocks_has_one_by_a_claim(hosts: list[MemberHost]) -> None:
    """As its containers have."""
    small = msgspec.structs.replace(WEB, subnets=(ip_network("10.99.0.0/28"),))
    await take_part(hosts[0], "a", small)
    await take_part(hosts[1], "b", small)
    await turns(*hosts)
    assert len({*own(hosts[0]), *own(hosts[1])}) == 2


async def test_both_families_have_one(hosts: list[MemberHost]) -> None:
    """IPv6's gateway address is not spoken from either."""
    both = msgspec.structs.replace(WEB, subnets=(*WEB.subnets, ip_network("fd99::/64")))
    await take_part(hosts[0], "a", both)
    await turns(hosts[0])
    assert len(own(hosts[0])) == 2
    spare = {str(fact.interface) for fact in hosts[0].facts if isinstance(fact, LinkAddress) and fact.spare}
    assert spare == {"fd99::1/64"}


async def test_while_the_cluster_is_away_the_overlay_does_without_one(hosts: list[MemberHost]) -> None:
    """It is there all the same, and gets its address later."""
    host = hosts[0]
    await take_part(host, "a")
    host.servers.cut(host.setup.address)
    await turns(host)
    assert tunnels(host) == {4097}
    assert own(host) == ()
    assert any(isinstance(fault, Unavailable) for fault in host.runtime.faults)
    host.servers.mend(host.setup.address)
    await turns(host, times=15)
    assert len(own(host)) == 1


async def test_the_address_is_the_same_after_a_start(hosts: list[MemberHost]) -> None:
    """Also after one of the machine, whether the cluster answers or not."""
    host = hosts[0]
    await take_part(host, "a")
    await turns(host)
    before = own(host)
    host.servers.cut(host.setup.address)
    await host.restart()
    async with following(host):
        await turns(host)
        assert (own(host), tunnels(host)) == (before, {4097})
    await host.reboot()
    async with following(host):
        await turns(host)
        assert (own(host), tunnels(host)) == (before, {4097})


async def test_an_address_that_was_lost_is_another_soon(hosts: list[MemberHost]) -> None:
    """Its block may have been given to others while this host was away."""
    host = hosts[0]
    await take_part(host, "a")
    await turns(host)
    cache = host.services.cache
    await cache.commit(delete=[lease for lease in cache.every(Lease) if str(lease.address) in own(host)])
    await turns(host, times=12)
    assert len(own(host)) == 1
    leased = {str(lease.address) for lease in cache.every(Lease)}
    assert set(own(host)) <= leased


async def test_of_a_subnet_that_docker_gave_back_no_address_is_wanted(hosts: list[MemberHost]) -> None:
    """Its network is about to be removed: nobody writes this host's part then, and nothing is told."""
    host = hosts[0]
    await take_part(host, "a")
    await turns(host)
    part = next(host.services.cache.every(HostNetwork))
    for pool in list(host.services.cache.every(Pool)):
        await host.services.ipam.release_pool(pool.id)
    await turns(host, times=12)
    assert next(host.services.cache.every(HostNetwork)) == part
    assert host.runtime.faults == ()


async def test_a_network_that_is_left_is_no_overlay(hosts: list[MemberHost]) -> None:
    """From the moment in which it is noted; what it had is nobody's."""
    host = hosts[0]
    network = await take_part(host, "a")
    await turns(host)
    part = next(host.services.cache.every(HostNetwork))
    await host.services.cache.commit(put=[msgspec.structs.replace(part, leaving=True)])
    assert host.services.repair.overlays.of(network) is None
    await host.services.networks.delete(network)
    await turns(host)
    assert tunnels(host) == set()
    assert [lease for lease in host.services.cache.every(Lease) if str(lease.address) in own(host)] == []


async def test_the_tunnel_begins_where_the_host_is_reached_now(hosts: list[MemberHost]) -> None:
    """Another address of the underlay is followed; while it is not known, everything is as it was."""
    host = hosts[0]
    await take_part(host, "a")
    await turns(host)
    host.setup.links.clear()
    await turns(host, times=25)
    assert {str(fact.local) for fact in host.facts if isinstance(fact, Vxlan)} == {"10.0.0.1"}
    host.setup.links["eth1"] = Underlay("10.0.1.1", "eth1", 1400)
    await turns(host, times=25)
    assert {str(fact.local) for fact in host.facts if isinstance(fact, Vxlan)} == {"10.0.1.1"}


async def test_an_underlay_that_comes_after_a_boot_is_found(hosts: list[MemberHost]) -> None:
    """As one from DHCP: who starts meanwhile starts, and meets the other hosts then."""
    host = hosts[0]
    network = await take_part(host, "a")
    await turns(host)
    links = dict(host.setup.links)
    host.setup.links.clear()
    host.clock.advance(TTL)  # else its session from before might be a copy's
    await host.reboot()
    await turns(host)
    await host.endpoint(network, "early")
    assert host.services.repair.overlays.of(network) is None
    host.setup.links |= links
    await turns(host)
    assert host.services.repair.overlays.of(network) is not None
    assert tunnels(host) == {4097}


async def test_a_host_that_comes_again_in_another_way_cuts_nobody_off(hosts: list[MemberHost]) -> None:
    """`join` with another token is no leaving; leaving by force is, and the networks are this host's alone then."""
    host = hosts[0]
    network = await take_part(host, "a")
    await turns(host)
    access = host.membership.entered()[0].access
    await host.membership.join(access, "", "eth0", False)
    assert host.services.repair.overlays.of(network) is not None
    await turns(host)
    await host.membership.leave(True, False)
    assert host.services.repair.overlays.of(network) is None
    await turns(host)
    assert tunnels(host) == set()


async def test_an_encrypted_network_is_between_the_hosts_inner_addresses(hosts: list[MemberHost]) -> None:
    """At a port of its own, with the room that WireGuard leaves; and that is what the others are told. What goes to
    all hosts is an option as well."""
    networks = [await take_part(host, name) for host, name in zip(hosts, "ab", strict=True)]
    for host, ident in zip(hosts, networks, strict=True):
        network = host.services.cache.network(ident)
        assert network is not None
        options = replace(network.options, encrypted=True, multicast=True)
        await host.services.cache.commit(put=[replace(network, options=options)])
    inner = [inner_address(host.membership.entered()[0].host) for host in hosts]
    for host, address in zip(hosts, inner, strict=True):
        host.kernel.underlay |= dict.fromkeys(inner, 1440)
        overlay = host.services.repair.overlays.of(networks[hosts.index(host)])
        assert overlay is not None
        assert (overlay.local, overlay.port, overlay.underlay_mtu) == (
            address,
            encrypted_port(PORT),
            1500 - OVERHEAD[4],
        )
    await turns(*hosts)
    assert {fact.mtu for fact in hosts[0].facts if isinstance(fact, Bridge)} == {1370}
    assert set(remotes(hosts[0]).values()) == {str(inner[1])}
    assert {fact.host for fact in hosts[0].facts if isinstance(fact, Flood)} == {inner[1]}
    assert Member("tunnels6", f"{inner[1]} . {encrypted_port(PORT)}") in hosts[0].facts
