"""Containers, their networks and events as an engine tells of them, and containers that hold fixed addresses.

Rules: a container is its full id, never its name or the beginning of its id; what its configuration asks for and what
it has at the moment are two things.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Address, IPv6Address

import msgspec

from mooring.core.networks import Address, Subnet


@dataclass(frozen=True, slots=True)
class ContainerEndpoint:
    """A container's place in one network.

    network: full id, "" for a network that the engine does not have. name: of the network. wanted4, wanted6,
    wanted_mac: what the configuration asks for, None and "" for nothing (an engine's list does not tell the MAC).
    ipv4, ipv6, mac, endpoint: what it has while it runs. aliases: what it is called in the network besides its name;
    None where the engine does not tell, as in a list.
    """

    network: str
    name: str
    wanted4: IPv4Address | None = None
    wanted6: IPv6Address | None = None
    wanted_mac: str = ""
    ipv4: IPv4Address | None = None
    ipv6: IPv6Address | None = None
    mac: str = ""
    endpoint: str = ""
    aliases: tuple[str, ...] | None = None

    @property
    def wanted(self) -> tuple[Address, ...]:
        """The addresses that the configuration names, IPv4 first."""
        return tuple(address for address in (self.wanted4, self.wanted6) if address is not None)

    @property
    def proof(self) -> str:
        """The MAC that its configuration makes it have at each start, "" for none: an engine may tell one that it does
        not use (one named at a connect, before 29.3)."""
        return self.wanted_mac if self.wanted_mac == self.mac else ""

    @property
    def held(self) -> tuple[Address, ...]:
        """The addresses that it has now, IPv4 first."""
        return tuple(address for address in (self.ipv4, self.ipv6) if address is not None)


@dataclass(frozen=True, slots=True)
class Container:
    """A container of an engine. id: full. name: without the slash. created: seconds since the epoch.

    mode: its network mode. mac: the container-wide one, on engines that use it (before 25, for the network whose name
    is the mode), else "". healthy: it has no health check, or one that succeeds; None where
    whoever tells of it does not say that. restarts: it has run before, and has a restart policy; failure: why its last
    start failed, in the engine's words, "" where it did not: a list tells neither.
    """

    id: str
    name: str
    running: bool
    created: float
    labels: Mapping[str, str] = field(default_factory=dict)
    endpoints: tuple[ContainerEndpoint, ...] = ()
    mode: str = ""
    mac: str = ""
    healthy: bool | None = True
    restarts: bool = False
    failure: str = ""


@dataclass(frozen=True, slots=True)
class EngineEndpoint:
    """An endpoint as its engine knows it. container: full id, "" when the engine has none for it. name: the endpoint's,
    which is that of the container it was made for."""

    id: str
    container: str
    name: str
    ipv4: IPv4Address | None = None
    ipv6: IPv6Address | None = None


@dataclass(frozen=True, slots=True)
class EngineSubnet:
    """A subnet of a network, as its engine tells it; gateway None where it does not."""

    subnet: Subnet
    range: Subnet | None = None
    gateway: Address | None = None
    auxiliary: Mapping[str, Address] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EngineNetwork:
    """A network as its engine knows it. ipv6: whether containers get IPv6 addresses in it. endpoints: those in use.

    options: of its driver. ipam, ipam_options: its IPAM driver, and what that was told.
    """

    id: str
    name: str
    driver: str
    ipv6: bool = False
    endpoints: tuple[EngineEndpoint, ...] = ()
    internal: bool = False
    options: Mapping[str, str] = field(default_factory=dict)
    ipam: str = ""
    ipam_options: Mapping[str, str] = field(default_factory=dict)
    subnets: tuple[EngineSubnet, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


class EventKind(Enum):
    """What an engine tells of a container."""

    CREATED = "create"
    STARTED = "start"
    DIED = "die"
    DESTROYED = "destroy"
    RENAMED = "rename"
    CONNECTED = "connect"
    DISCONNECTED = "disconnect"
    HEALTH = "health_status"


@dataclass(frozen=True, slots=True)
class EngineEvent:
    """One event. container: full id. network: full id for CONNECTED and DISCONNECTED, else ""; a CREATED with a network
    and without a container is about the network. at: nanoseconds since the epoch by the engine's clock."""

    what: EventKind
    container: str
    at: int
    network: str = ""


class Holder(msgspec.Struct, frozen=True, kw_only=True):
    """A container that holds fixed addresses. engine: id of the engine that has it. since: seconds since the epoch.
    oldest, newest: of the versions of the API that engines spoke while they had it, (0, 0) when not known."""

    id: str
    engine: str
    name: str
    since: float
    oldest: tuple[int, int] = (0, 0)
    newest: tuple[int, int] = (0, 0)
