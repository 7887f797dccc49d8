"""Networks by what no two of them may share, over the memory store."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

from mooring.core.networks import Network, NetworkOptions, Segment
from mooring.services.records.network_index import NetworkIndex
from mooring.services.records.record_cache import RecordCache
from mooring.testing.memory_store import MemoryStore


def network(number: int, *subnets: str, bridge: str = "") -> Network:
    """One with these subnets."""
    segments = [Segment(ip_network(subnet), None, "default", "") for subnet in subnets]
    v4, v6 = ([each for each in segments if each.subnet.version == version] for version in (4, 6))
    return Network(f"{number:064x}", NetworkOptions(bridge=bridge), False, tuple(v4), tuple(v6), created=0.0)


async def test_networks_are_found_by_subnet_and_bridge_until_they_go() -> None:
    """Overlapping ones with the segment that does, of their own family; as the record is now."""
    cache = RecordCache(MemoryStore())
    rooms = NetworkIndex(cache)
    one, two = network(1, "10.1.0.0/24", "fd00:1::/64"), network(2, "10.2.0.0/24", bridge="br-two")
    await cache.commit(put=[one, two])
    assert [found.id for found, _ in rooms.overlapping(ip_network("10.0.0.0/8"))] == [one.id, two.id]
    assert [segment for _, segment in rooms.overlapping(ip_network("fd00:1::/32"))] == list(one.ipv6)
    assert not list(rooms.overlapping(ip_network("10.3.0.0/24")))
    assert rooms.with_bridge("br-two") == [two]
    assert rooms.with_subnets([ip_network("10.1.0.0/24"), ip_network("10.2.0.0/25")]) == [one]
    assert NetworkIndex(cache).with_bridge("br-two") == [two]  # made later
    moved = replace(two, ipv4=network(2, "10.9.0.0/24").ipv4)
    await cache.commit(put=[moved], delete=[one])
    assert [found for found, _ in rooms.overlapping(ip_network("10.0.0.0/8"))] == [moved]
    await cache.commit(delete=[moved])
    assert rooms.with_bridge("br-two") == rooms.with_subnets([ip_network("10.9.0.0/24")]) == []
