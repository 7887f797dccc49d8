"""Published ports as values: what a container asked for, and what the kernel is told.

Rules: a request names a container port and perhaps a host address and a range of host ports; a publication is one
concrete (protocol, host address, host port) that leads to one (address, port) of one endpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address


class Protocol(IntEnum):
    """IP protocol numbers, as Docker sends them."""

    TCP = 6
    UDP = 17
    SCTP = 132

    @property
    def label(self) -> str:
        """The name as the command line and nftables spell it."""
        return self.name.lower()


@dataclass(frozen=True, slots=True, order=True)
class PortRequest:
    """One element of Docker's port map.

    port: the container's. host: the host address asked for, None for every address of the host.
    first, last: the host ports to choose from, inclusive; both 0 for any ephemeral port.
    """

    protocol: Protocol
    port: int
    host: IPv4Address | IPv6Address | None = None
    first: int = 0
    last: int = 0


@dataclass(frozen=True, slots=True)
class Publication:
    """One host port that leads to one endpoint. host None stands for every address of the host, in target's family."""

    protocol: Protocol
    host: IPv4Address | IPv6Address | None
    host_port: int
    target: IPv4Address | IPv6Address
    target_port: int

    def __str__(self) -> str:
        def at(address: IPv4Address | IPv6Address | str, port: int) -> str:
            return f"[{address}]:{port}" if ":" in str(address) else f"{address}:{port}"

        wildcard = "0.0.0.0" if self.target.version == 4 else "::"
        return f"{at(self.host or wildcard, self.host_port)}->{at(self.target, self.target_port)}/{self.protocol.label}"
