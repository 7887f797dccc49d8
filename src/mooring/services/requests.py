"""What the doors ask of the services, and what they get, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Interface, IPv6Interface

from mooring.core.networks import Address, Interface, StaticRoute, Subnet
from mooring.core.publications import PortRequest


class Role(Enum):
    """What an address is asked for."""

    GATEWAY = "gateway"
    AUXILIARY = "auxiliary"
    ENDPOINT = "endpoint"


@dataclass(frozen=True, slots=True)
class PoolRequest:
    """A subnet is wanted. subnet None: choose one from the default subnet pools, of `length` if that is not None.

    range: where addresses are chosen automatically. options: Docker's --ipam-opt.
    """

    space: str
    version: int
    subnet: Subnet | None = None
    length: int | None = None
    range: Subnet | None = None
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PoolGrant:
    """A pool was made. gateway: leased already, None if the request said that there is none.

    warnings: what a person should know of it, one line each.
    """

    pool: str
    subnet: Subnet
    gateway: Interface | None
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class AddressRequest:
    """An address is wanted. address None: choose one. mac, name: of the endpoint, "" if Docker did not say."""

    pool: str
    role: Role
    address: Address | None = None
    mac: str = ""
    name: str = ""


@dataclass(frozen=True, slots=True)
class SegmentRequest:
    """One element of CreateNetwork's IPv4Data or IPv6Data."""

    space: str
    subnet: Subnet
    gateway: Interface | None
    auxiliary: dict[str, Address] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NetworkRequest:
    """CreateNetwork. raw: the driver options (`-o`), not yet parsed."""

    id: str
    raw: dict[str, str]
    internal: bool
    ipv4: tuple[SegmentRequest, ...]
    ipv6: tuple[SegmentRequest, ...]


@dataclass(frozen=True, slots=True)
class EndpointRequest:
    """CreateEndpoint. What is None or "" was not given and is chosen by the driver."""

    network: str
    id: str
    ipv4: IPv4Interface | None
    ipv6: IPv6Interface | None
    mac: str
    ports: tuple[PortRequest, ...] = ()
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EndpointGrant:
    """What the driver chose: only what the request left open. None and "" otherwise."""

    ipv4: IPv4Interface | None = None
    ipv6: IPv6Interface | None = None
    mac: str = ""


@dataclass(frozen=True, slots=True)
class Attachment:
    """What dockerd does in the sandbox: Join's reply.

    link: the interface's name on the host, "" for none; prefix: of its name inside. gateway4, gateway6: next hops.
    gateway_service: False when the sandbox needs no default gateway of Docker's because of this endpoint.
    """

    link: str
    prefix: str
    gateway4: Address | None
    gateway6: Address | None
    routes: tuple[StaticRoute, ...] = ()
    gateway_service: bool = False
