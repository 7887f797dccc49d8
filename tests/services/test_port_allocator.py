"""Host ports: ours first, then the host's, then the next of a range."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from mooring.core.faults import BadRequest, Conflict, Exhausted
from mooring.core.port_bindings import PortBinding, PortRequest, Protocol
from mooring.core.requests import JoinRequest
from tests.services.hosts import MemoryHost, separate_network


@pytest.fixture
async def host() -> MemoryHost:
    """A host with one network, and two containers in it."""
    host = await MemoryHost().start()
    network = await host.network("a", v6=True)
    for name in ("e1", "f2", "g3"):
        await host.endpoint(network, name)
    return host


async def publish(host: MemoryHost, name: str, *requests: PortRequest) -> tuple[PortBinding, ...]:
    """Publish, and tell what was chosen."""
    network = "a".ljust(64, "0")
    await host.services.endpoints.publish(network, name.ljust(64, "0"), requests)
    endpoint = host.services.cache.endpoint(network, name.ljust(64, "0"))
    assert endpoint is not None
    return endpoint.published


async def test_a_port_is_published_in_both_families_under_one_number(host: MemoryHost) -> None:
    """One `-p` is one number, whichever family a client comes with."""
    chosen = await publish(host, "e1", PortRequest(Protocol.TCP, 80))
    assert [port_binding.target.version for port_binding in chosen] == [4, 6]
    assert len({port_binding.host_port for port_binding in chosen}) == 1


async def test_a_host_address_limits_the_family(host: MemoryHost) -> None:
    """A v4 host address leads to the v4 address only."""
    chosen = await publish(host, "e1", PortRequest(Protocol.TCP, 80, ip_address("127.0.0.1"), 8080, 8080))
    assert [str(port_binding) for port_binding in chosen] == ["127.0.0.1:8080->10.32.0.2:80/tcp"]


async def test_a_range_gives_the_next_free_port_and_ends_with_its_bounds(host: MemoryHost) -> None:
    """8000-8001 serves two containers, and the third is told that the range is used up."""
    wanted = PortRequest(Protocol.TCP, 80, first=8000, last=8001)
    assert {p.host_port for p in await publish(host, "e1", wanted)} == {8000}
    assert {p.host_port for p in await publish(host, "f2", wanted)} == {8001}
    with pytest.raises(Exhausted, match="8000-8001/tcp"):
        await publish(host, "g3", wanted)


async def test_different_host_addresses_and_protocols_share_a_number(host: MemoryHost) -> None:
    """Only the same place is taken: another address or another protocol is another place."""
    await publish(host, "e1", PortRequest(Protocol.TCP, 80, ip_address("192.0.2.1"), 8080, 8080))
    await publish(host, "f2", PortRequest(Protocol.TCP, 80, ip_address("192.0.2.2"), 8080, 8080))
    await publish(host, "g3", PortRequest(Protocol.UDP, 80, first=8080, last=8080))
    with pytest.raises(Conflict, match="already published"):
        await publish(host, "f2", PortRequest(Protocol.TCP, 80, first=8080, last=8080))


async def test_a_process_of_the_host_keeps_its_port(host: MemoryHost) -> None:
    """The guard's refusal reaches the caller for a single port, and a range passes it over."""
    host.guard.taken[Protocol.TCP, 8000] = "nginx (42)"
    with pytest.raises(Conflict, match="nginx"):
        await publish(host, "e1", PortRequest(Protocol.TCP, 80, first=8000, last=8000))
    chosen = await publish(host, "e1", PortRequest(Protocol.TCP, 80, first=8000, last=8005))
    assert {port_binding.host_port for port_binding in chosen} == {8001}


async def test_a_refusal_in_the_middle_holds_nothing(host: MemoryHost) -> None:
    """Two ports, the second taken: the first is free again."""
    host.guard.taken[Protocol.TCP, 8001] = "nginx (42)"
    both = [PortRequest(Protocol.TCP, port, first=port, last=port) for port in (8000, 8001)]
    with pytest.raises(Conflict):
        await publish(host, "e1", *both)
    assert host.guard.held == set()
    await publish(host, "f2", both[0])


async def test_a_routed_network_takes_no_host_port() -> None:
    """nat=off: the port is open at the container's own address, and no port of the host is held."""
    host = await MemoryHost().start()
    network = await host.network("a", nat="off")
    await host.endpoint(network, "e1")
    chosen = await publish(host, "e1", PortRequest(Protocol.TCP, 80, first=8080, last=8080))
    assert [port_binding.host_port for port_binding in chosen] == [0]
    assert host.guard.held == set()


async def test_a_port_at_the_ipv6_loopback_is_refused_by_name(host: MemoryHost) -> None:
    """The kernel forwards nothing from ::1: better no container than a port that never answers."""
    with pytest.raises(BadRequest, match="nothing is forwarded from there"):
        await publish(host, "e1", PortRequest(Protocol.TCP, 80, ip_address("::1"), 8080, 8080))
    assert host.guard.held == set()


async def test_the_second_gateway_of_a_sandbox_leaves_a_family_to_the_first(host: MemoryHost) -> None:
    """Engines from 28 on ask the networks of both gateways to publish the same ports."""
    wanted = PortRequest(Protocol.TCP, 80, first=8080, last=8080)
    only4 = await host.network("b")
    await host.endpoint(only4, "h4", attach=False)
    await host.services.endpoints.attach(only4, "h4".ljust(64, "0"), JoinRequest("/run/docker/netns/e1"))
    await host.services.endpoints.publish(only4, "h4".ljust(64, "0"), (wanted,))
    assert [port_binding.target.version for port_binding in await publish(host, "e1", wanted)] == [6]


async def test_a_network_without_plumbing_publishes_nothing() -> None:
    """mode=null: no host port is held, and nobody takes its endpoint for dead because it has no interface."""
    host = await MemoryHost().start()
    network = await host.network("a", mode="null")
    await host.endpoint(network, "e1")
    assert await publish(host, "e1", PortRequest(Protocol.TCP, 80, first=8080, last=8080)) == ()
    assert host.guard.held == set()


async def test_in_a_routing_domain_a_port_leads_to_one_place() -> None:
    """At whatever addresses of the host: it is refused with the holder, or passed over where there is a choice; other
    tenants, and the same place at two addresses, are as ever."""
    host = await MemoryHost(separate_tenants=True).start()
    for network, tenant in (("a", "red"), ("b", "blue")):
        await separate_network(host, network, tenant)
    for network, name in (("a", "e1"), ("a", "f2"), ("b", "g3")):
        await host.endpoint(network * 64, name)

    async def ask(network: str, name: str, at: str, first: int, last: int, port: int = 80) -> tuple[PortBinding, ...]:
        ident, request = name.ljust(64, "0"), PortRequest(Protocol.TCP, port, ip_address(at), first, last)
        endpoint = host.services.cache.endpoint(network * 64, ident)
        assert endpoint is not None
        await host.services.endpoints.publish(network * 64, ident, (*endpoint.ports, request))
        after = host.services.cache.endpoint(network * 64, ident)
        assert after is not None
        return after.published

    await ask("a", "e1", "127.0.0.1", 9000, 9000)
    await ask("a", "e1", "192.0.2.1", 9000, 9000)
    words = r"9000/tcp leads to another place in the tenant's networks.*held by endpoint e10000000000 at 10\.32\.0\.2"
    with pytest.raises(Conflict, match=words):
        await ask("a", "f2", "192.0.2.2", 9000, 9000)
    with pytest.raises(Conflict, match=words):
        await ask("a", "e1", "192.0.2.2", 9000, 9000, port=81)
    assert {each.host_port for each in await ask("a", "f2", "192.0.2.2", 9000, 9001)} == {9001}
    assert {each.host_port for each in await ask("b", "g3", "192.0.2.2", 9000, 9000)} == {9000}
