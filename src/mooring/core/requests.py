"""What the doors ask of the services, and what they get, as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Interface, IPv6Interface

from mooring.core.endpoints import Service
from mooring.core.networks import OUR_IPAM, Address, Interface, Origin, Subnet
from mooring.core.port_bindings import PortRequest, Protocol
from mooring.core.sandboxes import Kind as SandboxKind


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
    """An address is wanted. address None: choose one. mac, name: of the endpoint, "" if Docker did not say.

    exact: from this very pool; otherwise one that is full is passed over for another one of its network.
    """

    pool: str
    role: Role
    address: Address | None = None
    mac: str = ""
    name: str = ""
    exact: bool = False


@dataclass(frozen=True, slots=True)
class SegmentRequest:
    """One element of CreateNetwork's IPv4Data or IPv6Data. pool: its PoolID, "" where the caller does not say it."""

    space: str
    subnet: Subnet
    gateway: Interface | None
    auxiliary: dict[str, Address] = field(default_factory=dict)
    pool: str = ""


@dataclass(frozen=True, slots=True)
class NetworkRequest:
    """CreateNetwork. raw: the driver options (`-o`), not yet parsed. driver "": as the option `mode` says.

    The other fields: see core.networks.Network.
    """

    id: str
    raw: dict[str, str]
    internal: bool
    ipv4: tuple[SegmentRequest, ...]
    ipv6: tuple[SegmentRequest, ...]
    driver: str = ""
    origin: Origin = Origin.ENGINE
    name: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    attachable: bool = False
    ipam: str = OUR_IPAM


@dataclass(frozen=True, slots=True)
class EndpointRequest:
    """CreateEndpoint. What is None or "" was not given and is chosen by the driver.

    subnets: where its addresses shall be from, at most one of each family. allocate: False to have no addresses but
    those that are given. The others: core.endpoints.
    """

    network: str
    id: str
    ipv4: IPv4Interface | None
    ipv6: IPv6Interface | None
    mac: str
    ports: tuple[PortRequest, ...] = ()
    options: dict[str, str] = field(default_factory=dict)
    name: str = ""
    aliases: tuple[str, ...] = ()
    links: dict[str, str] = field(default_factory=dict)
    services: tuple[Service, ...] = ()
    exposed: tuple[tuple[Protocol, int], ...] = ()
    subnets: tuple[Subnet, ...] = ()
    allocate: bool = True


@dataclass(frozen=True, slots=True)
class EndpointGrant:
    """What the driver chose: only what the request left open. None and "" otherwise."""

    ipv4: IPv4Interface | None = None
    ipv6: IPv6Interface | None = None
    mac: str = ""


@dataclass(frozen=True, slots=True)
class JoinRequest:
    """What a driver is told of the sandbox that an endpoint joins.

    key: path of the sandbox's namespace; it may not exist yet when an engine says it. inside: the namespace is there,
    and the interface may be made in it at once; False: it is left on the host, for the engine to take. ports: what the
    sandbox wants published; exposed: what it listens on.
    """

    key: str
    inside: bool = False
    ports: tuple[PortRequest, ...] = ()
    exposed: tuple[tuple[Protocol, int], ...] = ()


@dataclass(frozen=True, slots=True)
class SubnetSpec:
    """A subnet that a network of the library should have. subnet None: choose one of the family (version 4 or 6).

    range: where addresses are chosen automatically. gateway: its own address, None to choose. auxiliary: set aside.
    """

    version: int
    subnet: Subnet | None = None
    range: Subnet | None = None
    gateway: Address | None = None
    auxiliary: dict[str, Address] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """A network that the library's user wants. subnets: at least one, but for drivers without addresses.

    name: unique. driver, ipam: by name. options: of the driver; ipam_options: of the IPAM driver.
    """

    name: str
    driver: str
    subnets: tuple[SubnetSpec, ...] = ()
    internal: bool = False
    attachable: bool = False
    labels: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)
    ipam: str = OUR_IPAM
    ipam_options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EndpointSpec:
    """An endpoint that the library's user wants in the network (full id). name: "" or unique in it.

    addresses: at most one of each family, those that are left out are allocated. subnets: where from, at most one of
    each family; a network that gets subnets on demand gets these. mac: "" to choose one. allocate: False to have no
    addresses but those. The others: see core.endpoints.Endpoint.
    """

    network: str
    name: str = ""
    addresses: tuple[Address, ...] = ()
    mac: str = ""
    allocate: bool = True
    aliases: tuple[str, ...] = ()
    links: dict[str, str] = field(default_factory=dict)
    services: tuple[Service, ...] = ()
    options: dict[str, str] = field(default_factory=dict)
    subnets: tuple[Subnet, ...] = ()


@dataclass(frozen=True, slots=True)
class SandboxSpec:
    """A sandbox that the library's user wants; see core.sandboxes.Sandbox for the fields.

    name: "" for one that nobody else has. path: of an external namespace, "" when it is told later. hosts_path,
    resolv_conf_path: "" for files in the controller's own folder.
    """

    name: str = ""
    kind: SandboxKind = SandboxKind.OWN
    path: str = ""
    hostname: str = ""
    domain: str = ""
    dns: tuple[Address, ...] = ()
    search: tuple[str, ...] = ()
    dns_options: tuple[str, ...] = ()
    hosts: tuple[tuple[str, Address], ...] = ()
    hosts_path: str = ""
    resolv_conf_path: str = ""
    resolver: bool = True
    exposed: tuple[tuple[Protocol, int], ...] = ()
    ports: tuple[PortRequest, ...] = ()
    labels: dict[str, str] = field(default_factory=dict)
