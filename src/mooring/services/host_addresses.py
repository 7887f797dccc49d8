"""What the host has itself, known at the moment when an address is given, however lately it came.

Rule: the kernel is asked only when it says that something came or went, so that who asks for an address waits for
nothing that did not change.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Protocol

from mooring.core.faults import Unavailable
from mooring.ports import HostNet
from mooring.services.occupancies import Occupancies


class Surroundings(Protocol):
    """What is needed of the kernel: see ports.Kernel."""

    async def host_net(self) -> HostNet:
        """What the host has and reaches."""
        ...

    def host_moved(self) -> bool:
        """Whether something of it came or went since the last call."""
        ...


class HostAddresses:
    """Kept out of the index: addresses of the host, and out of what it chooses: those that a route leads away from."""

    def __init__(self, surroundings: Surroundings, index: Occupancies) -> None:
        self._surroundings = surroundings
        self._index = index
        # How often something was told, and how often it had been when the last look began.
        self._told = 1
        self._known = 0

    async def look(self) -> HostNet:
        """What there is now; the index knows. Raises Unavailable."""
        self._told += self._surroundings.host_moved()
        told = self._told
        host = await self._surroundings.host_net()
        lost = [route.network_address for route in host.routes if route.prefixlen == route.max_prefixlen]
        self._index.note_host({interface.ip: holder for interface, holder in host.addresses.items()}, lost)
        self._known = max(self._known, told)
        return host

    async def refresh(self) -> None:
        """The index knows all that the kernel has told of. A kernel that cannot be read holds nobody up."""
        self._told += self._surroundings.host_moved()
        if self._known < self._told:
            with suppress(Unavailable):
                await self.look()
