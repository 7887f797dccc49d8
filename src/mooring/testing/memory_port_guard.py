"""A port guard in memory, with the promises of the real one.

Rules: a test plants who has a port, which protocols have no sockets, and which addresses the host does not have.
"""

from __future__ import annotations

from collections.abc import Iterable

from mooring.core.faults import Conflict
from mooring.core.networks import Address
from mooring.core.port_bindings import Protocol
from mooring.core.refused_starts import no_such_address
from mooring.ports import PortGuard


class MemoryPortGuard(PortGuard):
    """held: what is ours. taken: ports of other processes, with their names. lacking: protocols without sockets.
    absent: addresses that the host does not have."""

    def __init__(
        self,
        *,
        taken: dict[tuple[Protocol, int], str] | None = None,
        lacking: Iterable[Protocol] = (),
        ephemeral: tuple[int, int] = (32768, 60999),
    ) -> None:
        self.held: set[tuple[Protocol, Address, int]] = set()
        self._hosts: dict[tuple[Protocol, int, int], set[Address]] = {}  # of what is held, by protocol, family and port
        self.taken = dict(taken or {})
        self.lacking = set(lacking)
        self.absent: set[Address] = set()
        self._ephemeral = ephemeral

    async def hold(self, protocol: Protocol, host: Address, port: int) -> None:
        """See PortGuard."""
        place = protocol, host, port
        if place in self.held:
            return
        if host in self.absent:
            raise no_such_address(f"host port {port}/{protocol.label}", host)
        hosts = self._hosts.setdefault((protocol, host.version, port), set())
        met = bool(hosts) and (int(host) == 0 or host in hosts or any(int(other) == 0 for other in hosts))
        taken = (protocol, port) in self.taken or met
        if taken and protocol not in self.lacking:
            raise Conflict(f"host port {port}/{protocol.label} is taken at {host}")
        self.held.add(place)
        hosts.add(host)

    async def holder(self, protocol: Protocol, host: Address, port: int) -> str:  # noqa: ARG002 - taken at any address
        """See PortGuard."""
        return f"process {self.taken.get((protocol, port), 'mooring')}"

    async def release(self, protocol: Protocol, host: Address, port: int) -> None:
        """See PortGuard."""
        self.held.discard((protocol, host, port))
        self._hosts.get((protocol, host.version, port), set()).discard(host)

    async def has(self, host: Address) -> bool:
        """See PortGuard."""
        return host not in self.absent

    async def ephemeral(self) -> tuple[int, int]:
        """See PortGuard."""
        return self._ephemeral
