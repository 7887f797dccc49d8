"""What there is, as people are shown it: lists, details and explanations.

Rules: addresses and subnets are text, those of an interface with a prefix length; times are seconds since the epoch;
the API sends these values as they are, so one may gain fields, at its end and with a default, but never loses or
changes one.
"""

from __future__ import annotations

import msgspec

from mooring.core.cluster_views import NetworkPart
from mooring.core.findings import Report

# Numbers above it are not exact in every reader (RFC 8259, 6); sizes of IPv6 subnets stop here.
LARGEST = 2**53 - 1


class HostStatus(msgspec.Struct, frozen=True):
    """How the daemon is. since, now: seconds since the epoch. leases: count by state. repair: None before the first.
    notes: what is as it should be, and good to know, one line each. ready: as /v1/ready says. waits: what is waited
    for, one line each, also what holds nothing up."""

    version: str
    since: float
    now: float
    networks: int
    endpoints: int
    attached: int
    pools: int
    leases: dict[str, int]
    store: str
    plugin_socket: str
    api_socket: str
    repair: Report | None
    notes: list[str] = []
    ready: bool = True
    waits: list[str] = []


class SegmentView(msgspec.Struct, frozen=True):
    """One subnet of a network and how full its pool is.

    range: where addresses are chosen automatically. source: the subnet pool it was carved from, "" if typed by hand.
    size: addresses that can be given, LARGEST for more than that; used: those held (gateway and auxiliary ones count);
    cooling: released, but not chosen again yet. pool "": another IPAM driver gives the addresses, and size, used and
    cooling are 0. name: of one that was made on demand.
    """

    subnet: str
    gateway: str | None
    auxiliary: dict[str, str]
    space: str
    pool: str
    range: str | None
    source: str
    size: int
    used: int
    cooling: int
    name: str = ""


class EndpointView(msgspec.Struct, frozen=True):
    """An endpoint. name: the container's, "" if the engine did not say. published: `host:port->address:port/proto`.
    container: full id, "" if the engine did not say."""

    id: str
    state: str
    name: str
    ipv4: str | None
    ipv6: str | None
    mac: str
    published: list[str]
    sandbox: str
    created: float
    container: str = ""


class NetworkRow(msgspec.Struct, frozen=True):
    """A line of the list of networks. name: what the engine calls it, "" if it did not say. tenant: whose it is, "" for
    nobody's in particular. host_access: `published` (ports) or `addresses`, what the host reaches of a network in a
    routing domain; "" for all others. scope: `cluster` for one that other hosts may take part in, or `local`."""

    id: str
    mode: str
    bridge: str
    internal: bool
    subnets: list[str]
    endpoints: int
    created: float
    name: str = ""
    tenant: str = ""
    host_access: str = ""
    scope: str = "local"


class NetworkDetail(msgspec.Struct, frozen=True):
    """Everything about one network. options: as Docker sent them. name, tenant, host_access, scope: as in NetworkRow.
    cluster: this host's part in a network of the cluster; None for another one."""

    id: str
    mode: str
    bridge: str
    mac: str
    mtu: int
    internal: bool
    created: float
    options: dict[str, str]
    segments: list[SegmentView]
    endpoints: list[EndpointView]
    name: str = ""
    tenant: str = ""
    host_access: str = ""
    scope: str = "local"
    cluster: NetworkPart | None = None


class TenantRow(msgspec.Struct, frozen=True):
    """A line of the list of tenants. separate: how many of its networks are in its own routing domain. domain: the
    number of that, 0 for none."""

    name: str
    networks: int
    separate: int
    endpoints: int
    subnets: list[str]
    domain: int


class TenantDetail(msgspec.Struct, frozen=True):
    """Everything about one tenant. namespace: path of its routing domain; link: the end of its line on the host;
    addresses: of the line, there and in the domain; all empty for a tenant without one. published: what leads to its
    containers."""

    tenant: TenantRow
    namespace: str
    link: str
    addresses: list[str]
    networks: list[NetworkRow]
    published: list[str]


class LeaseRow(msgspec.Struct, frozen=True):
    """One address that is not free.

    holder: who has it, in words. network, endpoint: full ids, "" for none. until: when a reservation, a cooldown or the
    hold time of a key without holders ends. key: what a fixed one belongs to. holders: names of the containers whose
    configuration names it, the beginning of the id where no name is known. active: whether an endpoint has it now.
    whom, note: of a reservation. network_name: what the engine calls the network. container: full id of the one that
    uses it now, "" if the engine did not say. warning: what its container's next start does to it, "" for nothing.
    """

    address: str
    space: str
    subnet: str | None
    pool: str
    network: str
    state: str
    holder: str
    mac: str
    name: str
    endpoint: str
    since: float
    until: float | None
    key: str = ""
    holders: list[str] = []
    active: bool = False
    whom: str = ""
    note: str = ""
    network_name: str = ""
    container: str = ""
    warning: str = ""


class Reason(msgspec.Struct, frozen=True):
    """What is true of the address in one place (address space and pool, or a rule).

    verdict: `held`, `free`, `cooling`, `kept`, `never`, `denied`, `carvable`, `elsewhere`, or `none` for somebody who
    holds nothing. text: sentences. address: which one it is about, "" for none.
    """

    verdict: str
    space: str
    subnet: str | None
    network: str
    state: str
    text: list[str]
    address: str = ""


class Explanation(msgspec.Struct, frozen=True):
    """All that is known of an address, or of everything that somebody holds.

    address: "" when something else was asked for. subject: what was asked for, in words.
    """

    address: str
    reasons: list[Reason]
    subject: str = ""


class AttachmentView(msgspec.Struct, frozen=True):
    """A container in a network, or out of it. container, network: full ids. addresses: those it has there, or had.
    changed: False when it was so already."""

    container: str
    name: str
    network: str
    network_name: str
    addresses: list[str]
    changed: bool


class ExposureView(msgspec.Struct, frozen=True):
    """What the host has in a network (full id): addresses with prefix lengths, the network's own gateways among them.
    changed: False when all was so already."""

    network: str
    addresses: list[str]
    changed: bool


class AddressOwner(msgspec.Struct, frozen=True):
    """Who has addresses by an id. containerid: a container's full id, or the id that they were asked for with. addrs:
    with the prefix lengths of their subnets. name: of the container, as it was called then; "" for other ids.

    (The first two are called as Weave Net calls them.)
    """

    containerid: str
    addrs: list[str]
    name: str = ""


class PoolRow(msgspec.Struct, frozen=True):
    """A line of the list of pools.

    size: addresses that can be given, LARGEST for more than that; used: those held (gateway and auxiliary ones count);
    cooling: released, but not chosen again yet. range: where addresses are chosen automatically. network: full id, ""
    for none of ours. source: the subnet pool it was carved from, "" if typed by hand. network_name: what the
    engine calls the network. percent: used of size.
    """

    id: str
    space: str
    subnet: str
    range: str | None
    gateway: str | None
    network: str
    source: str
    size: int
    used: int
    cooling: int
    created: float
    network_name: str = ""
    percent: float = 0.0


class PoolDetail(msgspec.Struct, frozen=True):
    """Everything about one pool. leases: count by state. options: as Docker sent them (`--ipam-opt`). claim: who gets
    an idle fixed address by naming it, `explicit` (whoever does) or `holders` (who holds it already)."""

    pool: PoolRow
    leases: dict[str, int]
    options: dict[str, str]
    claim: str


class Change(msgspec.Struct, frozen=True):
    """What became, or would become, of one address. before, after: in words. note: what else to know, "" for none."""

    space: str
    address: str
    before: str
    after: str
    note: str = ""


class SubnetPoolChange(msgspec.Struct, frozen=True):
    """What became, or would become, of one thing of a subnet pool. what: which. before, after: in words, "" where it
    was not, or is not, there."""

    name: str
    what: str
    before: str
    after: str


class SizeLeft(msgspec.Struct, frozen=True):
    """How many subnets of the prefix length there is room for, when all are of that length; LARGEST for more."""

    length: int
    number: int


class SubnetPoolRow(msgspec.Struct, frozen=True):
    """A line of the list of subnet pools.

    origin: `configuration`, `stored`, or `dropped` for one that is neither any more and that networks were carved from.
    default: its turn among the default ones of its space and family, first 1, 0 for one that is used by name only.
    length, min_length, max_length: prefix lengths of what is carved. size: addresses, LARGEST for more than that;
    percent: of them, how much networks have; blocked: percent that something else is in the way of (a route or address
    of the host, another driver's network, the deny list). largest: the largest free block, None for none. left: of the
    larger sizes, and of `length`. networks: how many were carved from it. since: when it was made, None for a declared
    one. warning: why it is not used, or what is odd, "" for nothing.
    """

    name: str
    space: str
    family: int
    origin: str
    default: int
    prefixes: list[str]
    length: int
    min_length: int
    max_length: int
    size: int
    percent: float
    blocked: float
    largest: str | None
    left: list[SizeLeft]
    networks: int
    note: str = ""
    since: float | None = None
    warning: str = ""
    position: int = 0


class SubnetPoolUser(msgspec.Struct, frozen=True):
    """What was carved from a subnet pool. network: full id, "" for a pool that no network uses yet. outside: it lies in
    no prefix of the subnet pool any more."""

    subnet: str
    pool: str
    network: str
    network_name: str
    created: float
    outside: bool = False


class SubnetPoolDetail(msgspec.Struct, frozen=True):
    """Everything about one subnet pool. users: by address. others: what else is in its prefixes, in words."""

    subnet_pool: SubnetPoolRow
    users: list[SubnetPoolUser]
    others: list[str]


class DenyRow(msgspec.Struct, frozen=True):
    """A line of the deny list. origin: `configuration` or `stored`. created: None for the configuration's. networks:
    those that are in it all the same, by name or the beginning of the id, with the subnet."""

    subnet: str
    origin: str
    note: str
    created: float | None
    networks: list[str]


class PortRow(msgspec.Struct, frozen=True):
    """A line of the list of network ports.

    state: `ACTIVE`, `DOWN` or `BUILD`. network: full id; network_name: "" if nobody said it. tenant: whose network it
    is, "" for nobody's in particular. endpoint: full id of the one that has it, "" for none; container: its name, "" if
    the engine did not say. warning: what is odd about it, "" for nothing.
    """

    id: str
    name: str
    state: str
    network: str
    network_name: str
    tenant: str
    mac: str
    addresses: list[str]
    endpoint: str
    container: str
    note: str
    created: float
    warning: str = ""


class PortDetail(msgspec.Struct, frozen=True):
    """Everything about one network port. holders: containers whose configuration names it, running or not. options: of
    `docker run`, that ask for it. endpoint: the one that has it, None for none."""

    port: PortRow
    holders: list[str]
    options: str
    endpoint: EndpointView | None
