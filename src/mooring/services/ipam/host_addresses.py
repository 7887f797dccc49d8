"""What the host has itself, known at the moment when an address is given, however lately it came.

Rule: the kernel is asked only when it says that something came or went, so that who asks for an address waits for
nothing that did not change.
"""

from __future__ import annotations

from contextlib import suppress
from ipaddress import ip_address
from typing import Protocol

import msgspec

from mooring.core.faults import Unavailable
from mooring.core.views import Explanation, Reason
from mooring.ports import HostNet
from mooring.services.records.address_index import AddressIndex


class HostNetworks(Protocol):
    """What is needed of the kernel: see ports.Kernel."""

    async def host_net(self) -> HostNet:
        """What the host has and reaches."""
        ...

    def host_moved(self) -> bool:
        """Whether something of it came or went since the last call."""
        ...


class HostAddresses:
    """Kept out of the index: addresses of the host, and out of what it chooses: those that a route leads away from."""

    def __init__(self, host_networks: HostNetworks, index: AddressIndex) -> None:
        self._host_networks = host_networks
        self._index = index
        # How often something was told, and how often it had been when the last look began.
        self._told = 1
        self._known = 0
        self._seen: HostNet | None = None

    async def look(self) -> HostNet:
        """What there is now; the index knows. Raises Unavailable."""
        self._told += self._host_networks.host_moved()
        told = self._told
        host = await self._host_networks.host_net()
        if host is not self._seen:
            self._index.note_host({interface.ip: holder for interface, holder in host.addresses.items()}, host.lost)
            self._seen = host
        self._known = max(self._known, told)
        return host

    async def explain(self, found: Explanation) -> Explanation:
        """The explanation of one address, with what uses it without a record: the host above all."""
        await self.refresh()
        if not found.address or not (user := self._index.kept_out(ip_address(found.address))):
            return found
        return msgspec.structs.replace(found, reasons=[_with(user, each, found.address) for each in found.reasons])

    async def refresh(self) -> None:
        """The index knows all that the kernel has told of. A kernel that cannot be read holds nobody up."""
        self._told += self._host_networks.host_moved()
        if self._known < self._told:
            with suppress(Unavailable):
                await self.look()


def _with(user: str, reason: Reason, address: str) -> Reason:
    if reason.verdict == "free":
        text = f"{address} is in subnet {reason.subnet}, but {user} uses it, so Mooring does not assign it."
        return msgspec.structs.replace(reason, verdict="held", text=[text])
    nobodys = reason.verdict in ("denied", "carvable", "elsewhere", "never")
    text = f"{user} uses it." if nobodys else f"{user} also uses it: traffic for one may reach the other."
    return msgspec.structs.replace(reason, text=[*reason.text, text[:1].upper() + text[1:]])
