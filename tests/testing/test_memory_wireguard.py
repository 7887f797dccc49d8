"""WireGuard in memory does what the real one does, as far as its users can tell."""

from __future__ import annotations

from ipaddress import IPv6Interface

import pytest

from mooring.core.faults import Unavailable
from mooring.core.wireguard import KeyRing, WireGuardDevice, inner_address
from mooring.testing.memory_wireguard import MemoryWireGuard


async def test_it_keeps_keys_and_a_device() -> None:
    """Removed by its name only; without WireGuard there is none."""
    wireguard = MemoryWireGuard()
    pair = await wireguard.make_pair()
    assert pair != await wireguard.make_pair()
    wireguard.keep(KeyRing(used=pair, since=0.0))
    assert wireguard.kept() == KeyRing(used=pair, since=0.0)
    device = WireGuardDevice("mw-1", "mooring:wireguard:me", IPv6Interface((inner_address("me"), 64)), 1, 1420, "p")
    wireguard.heard["a"] = 5
    assert await wireguard.settle(device) == {"a": 5}
    await wireguard.remove("mw-2")
    assert vars(wireguard)["device"] == device
    await wireguard.remove("mw-1")
    assert vars(wireguard)["device"] is None
    wireguard.missing = "there is none"
    with pytest.raises(Unavailable, match="there is none"):
        await wireguard.settle(device)
