"""The WireGuard port in memory."""

from __future__ import annotations

from collections.abc import Mapping

from mooring.core.faults import Unavailable
from mooring.core.wireguard import KeyPair, KeyRing, WireGuardDevice


class MemoryWireGuard:
    """device: what is there, None for nothing. heard: what `settle` tells. missing: why there is no WireGuard, ""
    where there is. greeted: how often the peers were."""

    def __init__(self, name: str = "key") -> None:
        self.name, self.made = name, 0
        self.ring: KeyRing | None = None
        self.device: WireGuardDevice | None = None
        self.heard: dict[str, int] = {}
        self.missing = ""
        self.greeted = 0

    async def check(self) -> str:
        """See the port."""
        if self.missing:
            raise Unavailable(self.missing)
        return "memory"

    def kept(self) -> KeyRing | None:
        """See the port."""
        return self.ring

    def keep(self, ring: KeyRing) -> None:
        """See the port."""
        self.ring = ring

    async def make_pair(self) -> KeyPair:
        """See the port."""
        self.made += 1
        return KeyPair(f"{self.name}{self.made}", f"private {self.name}{self.made}")

    async def settle(self, wanted: WireGuardDevice) -> Mapping[str, int]:
        """See the port."""
        await self.check()
        self.device = wanted
        return dict(self.heard)

    async def greet(self, wanted: WireGuardDevice) -> None:  # noqa: ARG002
        """See the port."""
        self.greeted += 1

    async def remove(self, name: str) -> None:
        """See the port."""
        if self.device is not None and self.device.name == name:
            self.device = None
