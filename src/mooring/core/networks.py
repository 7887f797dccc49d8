"""Networks as values: what a network is, and the typed form of its driver options.

Rules: options are parsed once, in core/options.py, and never looked up by string afterwards; a segment is one subnet of
the network with the pool that it came from; the bridge's name and MAC follow from the network's id alone, so that a
bridge which was deleted comes back as the same neighbour.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import Enum
from hashlib import sha256
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from mooring.core.states import Mode as Mode

Address = IPv4Address | IPv6Address
Subnet = IPv4Network | IPv6Network
Interface = IPv4Interface | IPv6Interface


class GatewayMode(Enum):
    """Docker's gateway modes: what the outside may do with a network's addresses.

    NAT: outgoing traffic is masqueraded, only published ports are open. NAT_UNPROTECTED: as NAT, but every port of a
    container may be reached at its own address. ROUTED: no address translation, published ports are open at the
    container's own address. ISOLATED: no gateway address on the bridge (internal networks only).
    """

    NAT = "nat"
    NAT_UNPROTECTED = "nat-unprotected"
    ROUTED = "routed"
    ISOLATED = "isolated"


class Sticky(Enum):
    """What a network's addresses belong to when a container says nothing of it.

    OFF: to nobody, they are drawn anew at each start. CONTAINER: to the container, until it is removed. NAME: to the
    container's name, or to project, service and number where compose made it; they outlive the container.
    """

    OFF = "off"
    CONTAINER = "container"
    NAME = "name"


class Subnets(Enum):
    """When a network gets the subnets that nobody named, where its IPAM driver is null.

    AT_CREATION: when it is made. ON_DEMAND: when its first endpoint comes, and one more when those are full; they stay
    as long as the network. RELEASED: as ON_DEMAND, but each goes with its last endpoint.
    """

    AT_CREATION = "at-creation"
    ON_DEMAND = "on-demand"
    RELEASED = "on-demand,idle=release"


class Origin(Enum):
    """Who made a network, and alone says when it and its endpoints end: a container engine, or the library's user."""

    ENGINE = "engine"
    LIBRARY = "library"


class Pending(Enum):
    """What was begun with a network and is not done: a start undoes the one and finishes the other."""

    CREATE = "create"
    DELETE = "delete"


# How the bridges begin that no option names.
BRIDGE_PREFIX = "mr-"
# The most interfaces of a Linux bridge (net/bridge/br_private.h, BR_MAX_PORTS, of which number 0 is not given).
BRIDGE_PORTS = 1023

# The names of the drivers that are built in.
BRIDGE, HOST, NULL, HANDOFF = "bridge", "host", "null", "handoff"

# The name of our own IPAM driver, and of the one that gives no addresses.
OUR_IPAM, NULL_IPAM = "default", "null"


# Address spaces that are no tenant's: ours, and those of Docker's own IPAM drivers, default and null.
DEFAULT_SPACES = frozenset({"", "default", "global", "LocalDefault", "GlobalDefault", "null"})


@dataclass(frozen=True, slots=True)
class StaticRoute:
    """A route that every container of the network gets. via None: on-link."""

    destination: Subnet
    via: Address | None

    def __str__(self) -> str:
        return str(self.destination) if self.via is None else f"{self.destination} via {self.via}"


class Tenants(Enum):
    """Where new networks of tenants are: all in the host's own routing, or each in a routing domain of its tenant's."""

    SHARED = "shared"
    SEPARATE = "separate"


class HostOverlap(Enum):
    """What happens when a network is to be made over a subnet that the host is in already."""

    WARN = "warn"
    REFUSE = "refuse"


class HostAccess(Enum):
    """What of a network in a tenant's routing domain the host's own programs reach.

    PUBLISHED: published ports. ADDRESSES: also every container at its address, as in networks that are in the host's
    own routing; the host then routes to the network's subnets, and to no other network with one of them.
    """

    PUBLISHED = "published"
    ADDRESSES = "addresses"


class Dns(Enum):
    """Whether the daemon's DNS server is for a network's containers, and true if so. HEALTHY: one that has a health
    check has addresses in it as long as that succeeds."""

    OFF = "off"
    ON = "on"
    HEALTHY = "healthy"

    def __bool__(self) -> bool:
        return self is not Dns.OFF


class Scope(Enum):
    """Who takes part in a network: this host alone, or every host of the cluster that makes it with the same subnet."""

    LOCAL = "local"
    CLUSTER = "cluster"


class Ingress(Enum):
    """Which hosts of an overlay lead to a published port: the container's own, or any that takes part."""

    HOST = "host"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class NetworkOptions:
    """The driver options of a network, parsed.

    bridge: the interface name asked for, "" to derive it. mtu: bytes, 0 for the default of 1500. icc: containers of the
    network reach one another. masquerade: outgoing IPv4 and IPv6 traffic takes the host's address (only in NAT modes).
    source4, source6: the host address that it takes, None to let the kernel choose. binding: host address for published
    ports that name none. peers: a word; networks with the same word reach one another. gateway: False for networks
    that have no gateway in either family. sticky: what its addresses belong to.
    host_overlap: None for the host's own setting. port_security: what containers send is checked to be their own.
    subnets: when those are made that nobody named. pool, pool6: the subnet pool that they are carved from, "" for the
    default ones. ipv6: it gets IPv6 as well, which Docker's null IPAM driver cannot be asked for. host_access: None for
    what is usual where the network is. dns: whether the daemon's DNS server is for its containers.

    scope: who takes part. overlay: `mode=vxlan`, with tunnels between the hosts; of such networks alone: vni: 0 for one
    that is chosen; encrypted: between the hosts; multicast: goes to every host that takes part; offload: checksums of
    what is in the tunnels are the devices' to make; ingress: which hosts lead to a published port.
    """

    mode: Mode = Mode.BRIDGE
    bridge: str = ""
    mtu: int = 0
    interface_prefix: str = "eth"
    icc: bool = True
    masquerade: bool = True
    gateway_mode4: GatewayMode = GatewayMode.NAT
    gateway_mode6: GatewayMode = GatewayMode.NAT
    source4: IPv4Address | None = None
    source6: IPv6Address | None = None
    binding: Address | None = None
    routes: tuple[StaticRoute, ...] = ()
    peers: str = ""
    gateway: bool = True
    tenant: str = ""
    sticky: Sticky = Sticky.OFF
    host_overlap: HostOverlap | None = None
    port_security: bool = True
    subnets: Subnets = Subnets.AT_CREATION
    pool: str = ""
    pool6: str = ""
    ipv6: bool = False
    host_access: HostAccess | None = None
    dns: Dns = Dns.OFF
    scope: Scope = Scope.LOCAL
    overlay: bool = False
    vni: int = 0
    encrypted: bool = False
    multicast: bool = False
    offload: bool = True
    ingress: Ingress = Ingress.HOST


@dataclass(frozen=True, slots=True)
class Segment:
    """One subnet of a network. pool: the PoolID it was granted under, "" when another IPAM driver granted it.

    name: unique in the network, for one that was made on demand.
    """

    subnet: Subnet
    gateway: Interface | None
    space: str
    pool: str
    auxiliary: dict[str, Address] = field(default_factory=dict)
    name: str = ""


@dataclass(frozen=True, slots=True)
class Network:
    """A group of endpoints that may reach each other.

    raw: the driver options as they were given, kept so that a later version can parse them anew.
    created: seconds since the epoch. driver: what makes it real; for an engine's network that is its mode.

    What an engine keeps to itself and the library keeps here: name, unique; labels; attachable; ipam: the IPAM driver
    that granted the segments. pending: what was begun and not done.

    domain: the number of the routing domain that it is in (core/domains), 0 for the host's own, in which are the
    networks of all tenants that have none of their own.
    on_demand: the address families (4, 6) of which it gets subnets when endpoints need them.
    """

    id: str
    options: NetworkOptions
    internal: bool
    ipv4: tuple[Segment, ...]
    ipv6: tuple[Segment, ...]
    created: float
    raw: dict[str, str] = field(default_factory=dict)
    driver: str = ""
    origin: Origin = Origin.ENGINE
    name: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    attachable: bool = False
    ipam: str = OUR_IPAM
    pending: Pending | None = None
    domain: int = 0
    on_demand: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        if not self.driver:
            object.__setattr__(self, "driver", self.options.mode.value)

    @property
    def mode_word(self) -> str:
        """How it is built, as `-o mode=` says it."""
        return "vxlan" if self.options.overlay else self.options.mode.value

    @property
    def bridged(self) -> bool:
        """Whether it is a bridge of ours in the kernel."""
        return self.driver == BRIDGE

    @property
    def handed_over(self) -> bool:
        """Whether its interfaces are VNICs, which a launcher makes."""
        return self.driver == HANDOFF

    @property
    def segments(self) -> tuple[Segment, ...]:
        """Every segment, IPv4 first."""
        return self.ipv4 + self.ipv6

    @property
    def tenant(self) -> str:
        """Whose it is: the address space that subnets of ours are in; "" for the default. Spaces of other IPAM drivers
        are theirs to name."""
        spaces = (part.space for part in self.segments if part.pool and part.space not in DEFAULT_SPACES)
        return next(spaces, self.options.tenant)

    @property
    def host_access(self) -> HostAccess:
        """What the host reaches of it: in its own routing it has an address on each bridge with a gateway."""
        if not self.domain:
            return HostAccess.ADDRESSES
        return self.options.host_access or HostAccess.PUBLISHED

    @property
    def bridge(self) -> str:
        """The bridge's interface name, at most 15 bytes (IFNAMSIZ - 1)."""
        return self.options.bridge or f"{BRIDGE_PREFIX}{self.id[:12]}"

    @property
    def mac(self) -> str:
        """The bridge's MAC: locally administered, a function of the network's id."""
        return stable_mac(f"network:{self.id}")

    @property
    def mtu(self) -> int:
        """Bytes."""
        return self.options.mtu or 1500

    def gateway_mode(self, version: int) -> GatewayMode:
        """The gateway mode of the family (4 or 6)."""
        return self.options.gateway_mode4 if version == 4 else self.options.gateway_mode6

    def segments_of(self, version: int) -> tuple[Segment, ...]:
        """Those of the family (4 or 6)."""
        return self.ipv4 if version == 4 else self.ipv6

    def with_segments(self, segments: Iterable[Segment]) -> Network:
        """The same with these and no others."""
        found = tuple(segments)
        ipv4 = tuple(segment for segment in found if segment.subnet.version == 4)
        return replace(self, ipv4=ipv4, ipv6=tuple(segment for segment in found if segment.subnet.version == 6))

    def without_pool(self, pool_id: str) -> Network:
        """The same without the subnet of the pool."""
        return self.with_segments(segment for segment in self.segments if segment.pool != pool_id)

    def segment_of(self, address: Address) -> Segment | None:
        """The segment whose subnet holds the address, or None."""
        for segment in self.segments_of(address.version):
            if address in segment.subnet:
                return segment
        return None


def stable_mac(key: str) -> str:
    """A locally administered unicast MAC, always the same for the key (IEEE 802-2014, 8.4: U/L bit 1, I/G bit 0)."""
    octets = bytearray(sha256(key.encode()).digest()[:6])
    octets[0] = (octets[0] & 0xFC) | 0x02
    return ":".join(f"{octet:02x}" for octet in octets)


def overlap(one: Subnet, other: Subnet) -> bool:
    """Whether the subnets share an address; subnets of different families never do."""
    if one.version != other.version:
        return False
    first, second = int(one.network_address), int(other.network_address)
    return first < second + other.num_addresses and second < first + one.num_addresses
