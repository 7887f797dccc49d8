"""Published ports as values: what a container asked for, and what the kernel is told.

Rules: a request names a container port and perhaps a host address and a range of host ports; a port binding is one
concrete (protocol, host address, host port) that leads to one (address, port) of one endpoint.
"""

from __future__ import annotations

from collections.abc import Iterable
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

    def __str__(self) -> str:
        """In Docker's form, as `127.0.0.1:8000-8010:80/tcp`. Also one that cannot be is printed, for its refusal."""
        host = "" if self.host is None else f"[{self.host}]:" if ":" in str(self.host) else f"{self.host}:"
        ports = f"{self.first}-{self.last}" if self.first != self.last else str(self.first or "")
        label = getattr(self.protocol, "label", self.protocol)
        return f"{host}{ports}{':' if host or ports else ''}{self.port}/{label}"


@dataclass(frozen=True, slots=True)
class PortBinding:
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


def gateway_families(own: frozenset[int], served: Iterable[frozenset[int]], ipv6_elsewhere: bool) -> frozenset[int]:
    """The families (4, 6) whose ports an endpoint publishes when an engine says that its sandbox goes out by it.

    own: those that it has an address of. served: those that each other endpoint of the sandbox publishes for now.
    ipv6_elsewhere: the engine says that the sandbox's IPv6 gateway is not its IPv4 gateway.

    Engines from 28 on have a gateway for each family and tell both, one after the other, with the same ports:
    - 28 (libnetwork/endpoint.go) says so to whichever of them joins, so that alone tells nobody's family;
    - 29 (daemon/libnetwork/drivers/remote/driver.go) says so to the IPv4 gateway only, and tells the IPv6 gateway
      nothing about IPv4.
    Earlier ones have one gateway for both, and take the ports from the old one before they tell the new one.
    """
    if len(own) < 2:
        return own
    if ipv6_elsewhere:
        return frozenset({6 if frozenset({4}) in set(served) else 4})
    return own if not any(4 in each for each in served) else frozenset({6})
