"""Subnets on demand after a restored backup and a lost store: they are where the kernel shows them."""

from __future__ import annotations

from ipaddress import ip_interface, ip_network

import pytest

from mooring.core.containers import EngineNetwork, EngineSubnet
from mooring.core.endpoints import Endpoint
from mooring.core.leases import Lease, State
from mooring.core.plumbing import Inside, LinkAddress
from mooring.core.pools import Pool, SubnetPool
from mooring.core.requests import EndpointRequest, NetworkRequest, SegmentRequest
from mooring.services.ipam.pools import IpamPolicy
from mooring.testing.memory_store import MemoryStore
from tests.services.hosts import MemoryHost
from tests.services.lost_stores import copied

ANY4 = SegmentRequest("null", ip_network("0.0.0.0/0"), None)
ANY6 = SegmentRequest("null", ip_network("::/0"), None)
LATE, OTHER = "a" * 64, "b" * 64
POLICY = IpamPolicy(
    subnet_pools4=(SubnetPool("four", "default", (ip_network("10.50.0.0/16"),), 24),),
    subnet_pools6=(SubnetPool("six", "default", (ip_network("fd00:50::/48"),), 64),),
)


async def made(host: MemoryHost, ident: str = LATE, subnets: str = "on-demand,idle=release") -> None:
    """`docker network create --ipam-driver null -o subnets=... -o ipv6=on`."""
    raw = {"subnets": subnets, "ipv6": "on"}
    await host.services.networks.create(NetworkRequest(ident, raw, False, (ANY4,), ()))
    host.engine.networks.add(ident)
    host.engine.described[ident] = EngineNetwork(
        ident, "late", "mooring", options=raw, ipam="null", subnets=(EngineSubnet(ip_network("0.0.0.0/0")),)
    )


async def run(host: MemoryHost, name: str, network: str = LATE) -> str:
    """A container comes into the network and lives there; its IPv4 address."""
    endpoint = name.ljust(64, "0")
    grant = await host.services.endpoints.create(EndpointRequest(network, endpoint, None, None, ""))
    await host.attach_to(network, endpoint, f"/run/docker/netns/{name}")
    known = host.services.cache.endpoint(network, endpoint)
    assert known is not None
    host.kernel.inside[f"mv-{endpoint[:12]}"] = Inside(
        known.mac, tuple(each for each in (known.ipv4, known.ipv6) if each)
    )
    return str(grant.ipv4)


async def end(host: MemoryHost, name: str, network: str = LATE) -> None:
    """The container is gone."""
    await host.services.endpoints.delete(network, name.ljust(64, "0"))
    host.kernel.inside.pop(f"mv-{name.ljust(64, '0')[:12]}", None)
    host.kernel.lose(f"mv-{name.ljust(64, '0')[:12]}")


async def with_store(host: MemoryHost, store: MemoryStore) -> None:
    """The daemon starts with that store."""
    host.store = store
    await host.restart()
    restored = host.services.restored_store
    assert restored is not None
    await restored.at_start()


def subnets(host: MemoryHost, ident: str = LATE) -> list[str]:
    """Those of the network on record."""
    network = host.services.cache.network(ident)
    return [f"{part.subnet} {part.name}".strip() for part in network.segments] if network is not None else ["unknown"]


async def passes(host: MemoryHost, count: int = 3) -> None:
    """Repair looks around, ten seconds apart."""
    for _ in range(count):
        await host.services.repair.once()
        host.clock.advance(10)


@pytest.fixture
async def host() -> MemoryHost:
    """A host that has started."""
    return await MemoryHost(policy=POLICY).start()


async def test_a_lost_store_gives_a_network_on_demand_back_with_the_subnets_that_are_lived_in(host: MemoryHost) -> None:
    """Its pools, gateways and endpoints too; nothing in the kernel changes, and the next endpoint shares them."""
    await made(host)
    await run(host, "e1")
    before, facts = subnets(host), host.facts
    await with_store(host, MemoryStore())
    await passes(host)
    assert subnets(host) == before == ["10.50.0.0/24 default-v4", "fd00:50::/64 default-v6"]
    assert host.facts == facts
    assert [pool.source for pool in host.services.cache.every(Pool)] == ["four", "six"]
    assert host.services.cache.count(Endpoint) == 1
    states = sorted(lease.state.name for lease in host.services.cache.every(Lease))
    assert states == ["DYNAMIC", "DYNAMIC", "GATEWAY", "GATEWAY"]
    assert host.services.repair.report is not None
    assert host.services.repair.report.findings == ()
    assert await run(host, "e2") == "10.50.0.3/24"
    await end(host, "e1")
    await end(host, "e2")
    assert subnets(host) == []
    assert host.services.cache.count(Pool) == 0


async def test_ipv6_alone_comes_back_where_docker_asked_for_it(host: MemoryHost) -> None:
    """Engines from 28 on do so of the null IPAM driver too."""
    raw = {"subnets": "on-demand"}
    await host.services.networks.create(NetworkRequest(LATE, raw, False, (), (ANY6,)))
    host.engine.networks.add(LATE)
    host.engine.described[LATE] = EngineNetwork(
        LATE, "late", "mooring", options=raw, ipam="null", subnets=(EngineSubnet(ip_network("::/0")),)
    )
    await run(host, "e1")
    await with_store(host, MemoryStore())
    await passes(host)
    assert subnets(host) == ["fd00:50::/64 default-v6"]
    assert await run(host, "e2") == "None"


async def test_without_life_it_comes_back_with_none_and_makes_them_anew(host: MemoryHost) -> None:
    """As after a reboot."""
    await made(host)
    await run(host, "e1")
    host.kernel.inside.clear()
    host.kernel.reboot()
    await with_store(host, MemoryStore())
    await passes(host)
    assert subnets(host) == []
    assert await run(host, "e1") == "10.50.0.2/24"


async def test_a_backup_from_before_the_subnets_gets_them_before_the_first_call(host: MemoryHost) -> None:
    """No engine is asked; who comes next shares them."""
    await made(host)
    backup = await copied(host.store)
    await run(host, "e1")
    before = subnets(host)
    host.engine.up = False
    await with_store(host, backup)
    assert subnets(host) == before
    assert host.services.cache.count(Endpoint) == 1
    assert await run(host, "e2") == "10.50.0.3/24"


async def test_a_subnet_that_another_network_got_since_the_backup_is_that_ones(host: MemoryHost) -> None:
    """The backup has it for the first one, with an endpoint that lives no more; the first gets another."""
    await made(host)
    await made(host, OTHER)
    await run(host, "e1")
    backup = await copied(host.store)
    await end(host, "e1")
    await run(host, "e2", OTHER)
    kernel = host.facts
    await with_store(host, backup)
    assert subnets(host) == []
    assert subnets(host, OTHER) == ["10.50.0.0/24 default-v4", "fd00:50::/64 default-v6"]
    await passes(host)
    assert host.facts == kernel
    assert await run(host, "e1") == "10.50.1.2/24"
    assert await run(host, "e3", OTHER) == "10.50.0.3/24"


async def test_also_when_the_backup_does_not_know_the_other_network(host: MemoryHost) -> None:
    """Then it comes from the engine a little later, and the subnet waits for it."""
    await made(host)
    await run(host, "e1")
    backup = await copied(host.store)
    await end(host, "e1")
    await made(host, OTHER)
    await run(host, "e2", OTHER)
    await with_store(host, backup)
    assert subnets(host) == []
    assert await run(host, "e3") == "10.50.1.2/24"
    await passes(host)
    assert subnets(host, OTHER) == ["10.50.0.0/24 default-v4", "fd00:50::/64 default-v6"]


async def test_a_subnet_that_is_lived_in_here_and_there_is_a_finding(host: MemoryHost) -> None:
    """Nobody is taken off; it names both."""
    await made(host)
    await made(host, OTHER)
    await run(host, "e1")
    backup = await copied(host.store)
    await run(host, "e2", OTHER)
    there = f"mr-{OTHER[:12]}"
    for fact in [fact for fact in host.kernel.facts.values() if fact.key[:2] == ("address", there)]:
        del host.kernel.facts[fact.key]
    same = LinkAddress(there, ip_interface("10.50.0.1/24"))
    host.kernel.facts[same.key] = same
    await with_store(host, backup)
    await host.services.repair.once()
    assert host.services.repair.report is not None
    told = [line for line in host.services.repair.report.findings if "cannot be given it" in line]
    assert len(told) == 1
    assert "10.50.0.0/24" in told[0]
    assert LATE[:12] in told[0]
    assert subnets(host)[0].startswith("10.50.0.0/24")


async def test_a_network_that_carved_its_own_at_creation_comes_back_by_its_bridge(host: MemoryHost) -> None:
    """And is refused in a line where no bridge shows them."""
    await made(host, subnets="at-creation")
    await run(host, "e1")
    before = subnets(host)
    await with_store(host, MemoryStore())
    await passes(host)
    assert subnets(host) == before
    host.kernel.inside.clear()
    host.kernel.reboot()
    await with_store(host, MemoryStore())
    await passes(host)
    assert host.services.repair.report is not None
    (finding,) = host.services.repair.report.findings
    assert "create the network again" in finding
    assert not [lease for lease in host.services.cache.every(Lease) if lease.state is State.DYNAMIC]
