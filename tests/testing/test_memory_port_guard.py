"""The port guard in memory refuses what a test plants."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from mooring.core.faults import Conflict, Unavailable
from mooring.core.port_bindings import Protocol
from mooring.testing.memory_port_guard import MemoryPortGuard


async def test_a_taken_port_is_refused_with_its_holder() -> None:
    """Ports of other processes are planted by protocol and number."""
    guard = MemoryPortGuard(taken={(Protocol.TCP, 80): "nginx (7)"})
    with pytest.raises(Conflict, match="80/tcp"):
        await guard.hold(Protocol.TCP, IPv4Address("0.0.0.0"), 80)
    assert await guard.holder(Protocol.TCP, IPv4Address("0.0.0.0"), 80) == "process nginx (7)"
    await guard.hold(Protocol.UDP, IPv4Address("0.0.0.0"), 80)


async def test_an_address_that_the_host_does_not_have_is_refused_until_it_has() -> None:
    """As the real one says it."""
    guard, host = MemoryPortGuard(), IPv4Address("192.0.2.7")
    guard.absent.add(host)
    assert not await guard.has(host)
    with pytest.raises(Unavailable, match="has no such address"):
        await guard.hold(Protocol.TCP, host, 80)
    guard.absent.clear()
    assert await guard.has(host)
    await guard.hold(Protocol.TCP, host, 80)
