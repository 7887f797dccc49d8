"""Records of every kind for Hypothesis, with every field in use."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Interface, IPv4Network, IPv6Address, IPv6Interface, IPv6Network

from hypothesis import strategies as st
from msgspec import structs

from mooring.core.address_claims import AddressClaim, HostClaim, Identity, Phase, Want
from mooring.core.advertisements import Advertisement
from mooring.core.blocks import Block, HostBlock, LeftSubnet, SharedSubnet
from mooring.core.cluster_marks import ClusterMark
from mooring.core.cluster_networks import ClusterNetwork, HostNetwork, NetworkMember, VniHolder
from mooring.core.containers import EngineSubnet, Holder
from mooring.core.deny_entries import DenyEntry
from mooring.core.dns_records import DnsRecord
from mooring.core.endpoints import Attachment, Endpoint, Event, Service
from mooring.core.endpoints import State as EndpointState
from mooring.core.engines import KnownEngine
from mooring.core.everywhere import HostAnswer, NetworkEverywhere, Outcome
from mooring.core.intents import Intent, Purpose
from mooring.core.leases import Active, Lease
from mooring.core.leases import State as LeaseState
from mooring.core.networks import (
    Dns,
    GatewayMode,
    HostOverlap,
    Ingress,
    Mode,
    Network,
    NetworkOptions,
    Origin,
    Pending,
    Scope,
    Segment,
    StaticRoute,
    Sticky,
)
from mooring.core.pools import Pool, SubnetPool
from mooring.core.port_bindings import PortBinding, PortRequest, Protocol
from mooring.core.sandboxes import Kind, Sandbox
from mooring.core.vnics import Vnic

TEXT = st.text(max_size=12)
# What is in a key must not be empty; Docker's ids never are.
IDENT = st.text(min_size=1, max_size=12)
TIME = st.floats(0, 1e12)
V4 = st.integers(0, 2**32 - 1).map(IPv4Address)
V6 = st.integers(0, 2**128 - 1).map(IPv6Address)
ADDRESS = V4 | V6
V4_INTERFACE = st.builds(lambda address, length: IPv4Interface((address, length)), V4, st.integers(0, 32))
V6_INTERFACE = st.builds(lambda address, length: IPv6Interface((address, length)), V6, st.integers(0, 128))
SUBNET: st.SearchStrategy[IPv4Network | IPv6Network] = V4_INTERFACE.map(lambda each: each.network) | V6_INTERFACE.map(
    lambda each: each.network
)
TEXTS = st.lists(TEXT, max_size=2).map(tuple)
WORDS = st.dictionaries(TEXT, TEXT, max_size=3)
PORT = st.integers(0, 65535)

POOLS = st.builds(
    Pool,
    id=IDENT,
    space=TEXT,
    subnet=SUBNET,
    range=st.none() | SUBNET,
    source=TEXT,
    options=WORDS,
    created=TIME,
    gateway=st.none() | ADDRESS,
    network=TEXT,
)
SUBNET_POOLS = st.builds(
    SubnetPool,
    name=IDENT,
    space=TEXT,
    prefixes=st.integers(0, 2**8 - 1).map(lambda n: (IPv4Network((n << 24, 8)), IPv4Network(((n ^ 1) << 24, 9)))),
    length=st.integers(9, 30),
    shortest=st.integers(1, 9),
    longest=st.integers(30, 32),
    position=st.none() | st.integers(1, 9999),
    note=TEXT,
    since=TIME,
    declared=st.just(False),
)
LEASES = st.builds(
    Lease,
    space=IDENT,
    address=ADDRESS,
    pool=TEXT,
    state=st.sampled_from(LeaseState),
    since=TIME,
    owner=TEXT,
    mac=TEXT,
    name=TEXT,
    key=TEXT,
    holders=st.frozensets(TEXT, max_size=3),
    active=st.none() | st.builds(Active, TEXT, TEXT, TEXT),
    hold=TIME,
    until=st.none() | TIME,
    whom=TEXT,
    note=TEXT,
)
SEGMENTS = st.lists(
    st.builds(
        Segment, SUBNET, st.none() | V4_INTERFACE | V6_INTERFACE, TEXT, TEXT, st.dictionaries(TEXT, ADDRESS, max_size=2)
    ),
    max_size=2,
).map(tuple)
ROUTES = st.lists(st.builds(StaticRoute, SUBNET, st.none() | ADDRESS), max_size=2).map(tuple)
OPTIONS = st.builds(
    NetworkOptions,
    mode=st.sampled_from(Mode),
    bridge=TEXT,
    mtu=st.integers(0, 65535),
    interface_prefix=TEXT,
    icc=st.booleans(),
    masquerade=st.booleans(),
    gateway_mode4=st.sampled_from(GatewayMode),
    gateway_mode6=st.sampled_from(GatewayMode),
    source4=st.none() | V4,
    source6=st.none() | V6,
    binding=st.none() | ADDRESS,
    routes=ROUTES,
    peers=TEXT,
    gateway=st.booleans(),
    tenant=TEXT,
    sticky=st.sampled_from(Sticky),
    host_overlap=st.none() | st.sampled_from(HostOverlap),
    port_security=st.booleans(),
    dns=st.sampled_from(Dns),
)
CLUSTER_OPTIONS = st.builds(
    NetworkOptions, scope=st.just(Scope.CLUSTER), overlay=st.booleans(), vni=st.integers(0, 2**24 - 1),
    encrypted=st.booleans(), multicast=st.booleans(), offload=st.booleans(), dns=st.sampled_from(Dns),
    ingress=st.sampled_from(Ingress),
    sticky=st.sampled_from(Sticky),
)  # fmt: skip
NETWORKS = st.builds(
    Network,
    id=IDENT,
    options=OPTIONS | CLUSTER_OPTIONS,
    internal=st.booleans(),
    ipv4=SEGMENTS,
    ipv6=SEGMENTS,
    created=TIME,
    raw=WORDS,
    driver=TEXT,
    origin=st.sampled_from(Origin),
    name=TEXT,
    labels=WORDS,
    attachable=st.booleans(),
    ipam=TEXT,
    pending=st.none() | st.sampled_from(Pending),
)
PROTOCOL = st.sampled_from(Protocol)
PORT_REQUESTS = st.lists(st.builds(PortRequest, PROTOCOL, PORT, st.none() | ADDRESS, PORT, PORT), max_size=2).map(tuple)
SANDBOXES = st.builds(
    Sandbox,
    id=IDENT,
    name=TEXT,
    kind=st.sampled_from(Kind),
    path=TEXT,
    created=TIME,
    hostname=TEXT,
    domain=TEXT,
    dns=st.lists(ADDRESS, max_size=2).map(tuple),
    search=TEXTS,
    dns_options=TEXTS,
    hosts=st.lists(st.tuples(TEXT, ADDRESS), max_size=2).map(tuple),
    hosts_path=TEXT,
    resolv_conf_path=TEXT,
    resolver=st.booleans(),
    exposed=st.lists(st.tuples(PROTOCOL, PORT), max_size=2).map(tuple),
    ports=PORT_REQUESTS,
    labels=WORDS,
    deleting=st.booleans(),
)
ENDPOINTS = st.builds(
    Endpoint,
    id=IDENT,
    network=IDENT,
    ipv4=st.none() | V4_INTERFACE,
    ipv6=st.none() | V6_INTERFACE,
    mac=TEXT,
    created=TIME,
    state=st.sampled_from(EndpointState),
    sandbox=TEXT,
    ports=PORT_REQUESTS,
    published=st.lists(st.builds(PortBinding, PROTOCOL, st.none() | ADDRESS, PORT, ADDRESS, PORT), max_size=2).map(
        tuple
    ),
    options=WORDS,
    name=TEXT,
    aliases=TEXTS,
    links=WORDS,
    services=st.lists(st.builds(Service, TEXT, PROTOCOL, PORT), max_size=2).map(tuple),
    priority=st.integers(-(2**31), 2**31),
    interface=TEXT,
    attachment=st.none()
    | st.builds(Attachment, TEXT, TEXT, st.none() | ADDRESS, st.none() | ADDRESS, ROUTES, st.booleans()),
    pending=st.none() | st.sampled_from(Event),
)
ENGINES = st.builds(KnownEngine, IDENT, TIME, st.frozensets(TEXT, max_size=3))
HOLDERS = st.builds(Holder, id=IDENT, engine=TEXT, name=TEXT, since=TIME)
INTENTS = st.builds(
    Intent,
    id=IDENT,
    purpose=st.sampled_from(Purpose),
    engine=TEXT,
    created=TIME,
    container=TEXT,
    name=TEXT,
    network=TEXT,
    keys=WORDS,
)
DENY_ENTRIES = st.builds(DenyEntry, subnet=SUBNET, note=TEXT, created=TIME)
VNICS = st.builds(
    Vnic, tenant=TEXT, subnet=SUBNET, address=ADDRESS, mac=TEXT, mtu=st.integers(0, 65535), created=TIME,
    gateway=st.none() | ADDRESS, routes=ROUTES, instance=TEXT, adopted=TEXT,
)  # fmt: skip
DNS_RECORDS = st.builds(
    DnsRecord, name=TEXT, addresses=st.lists(ADDRESS, max_size=3).map(tuple), network=TEXT, note=TEXT, created=TIME,
    until=st.none() | TIME,
)  # fmt: skip
CLAIMS = st.builds(
    AddressClaim, space=IDENT, subnet=SUBNET, address=ADDRESS, sequence=TEXT, host=TEXT, key=TEXT, mac=TEXT,
    holders=st.frozensets(TEXT, max_size=2), boot=TEXT, generation=st.integers(1, 99), moves=st.booleans(), since=TIME,
)  # fmt: skip
SHARED_SUBNETS = st.builds(SharedSubnet, space=IDENT, subnet=SUBNET, since=TIME)
LEFT_SUBNETS = st.builds(LeftSubnet, space=IDENT, subnet=SUBNET, since=TIME)
HOST_BLOCKS = st.builds(
    HostBlock, space=IDENT, subnet=SUBNET, index=st.integers(0, 2**56), generation=st.integers(1, 99),
    carved=st.frozensets(ADDRESS, max_size=2), leaving=st.booleans(), boot=TEXT, asked=st.frozensets(TEXT, max_size=2),
)  # fmt: skip
HOST_CLAIMS = st.builds(
    HostClaim, claim=CLAIMS, phase=st.sampled_from(Phase), idle=st.booleans(), known_in=st.sampled_from(["", "boot-1"])
)
CLUSTER_NETWORKS = st.builds(
    ClusterNetwork, id=TEXT, space=IDENT, subnets=st.lists(SUBNET, min_size=1, max_size=2).map(tuple),
    gateways=st.lists(V4_INTERFACE | V6_INTERFACE, max_size=2).map(tuple), options=WORDS,
    vni=st.integers(0, 2**24 - 1), ending=st.booleans(), closed=st.booleans(), since=TIME,
)  # fmt: skip
HOST_NETWORKS = st.builds(
    HostNetwork, network=IDENT, shared=CLUSTER_NETWORKS, own=st.lists(ADDRESS, max_size=2).map(tuple),
    leaving=st.booleans(),
)  # fmt: skip
NETWORK_MEMBERS = st.builds(
    NetworkMember, space=IDENT, subnet=SUBNET, host=IDENT, network=TEXT, name=TEXT, published=TEXT
)
ASKED_SUBNETS = st.builds(
    EngineSubnet, subnet=SUBNET, range=st.none() | SUBNET, gateway=st.none() | ADDRESS,
    auxiliary=st.dictionaries(TEXT, ADDRESS, max_size=2),
)  # fmt: skip
EVERYWHERE = st.builds(
    NetworkEverywhere, name=IDENT, id=TEXT, subnets=st.lists(ASKED_SUBNETS, max_size=2).map(tuple), options=WORDS,
    ipam_options=WORDS, internal=st.booleans(), labels=WORDS, round=st.integers(1, 99), ending=st.booleans(), by=TEXT,
    asked=TIME,
)  # fmt: skip
HOST_ANSWERS = st.builds(
    HostAnswer, name=IDENT, host=IDENT, network=TEXT, round=st.integers(1, 99), outcome=st.sampled_from(Outcome),
    why=TEXT,
)  # fmt: skip
VNI_HOLDERS = st.builds(VniHolder, vni=st.integers(1, 2**24 - 1), network=TEXT, space=IDENT, subnet=SUBNET)
CLUSTER_MARKS = st.builds(ClusterMark, host=TEXT, count=st.integers(0, 2**40), restore=TEXT)


@st.composite
def blocks(draw: st.DrawFn) -> Block:
    """A block, with claims of its own subnet."""
    space, subnet = draw(IDENT), draw(SUBNET)
    carved: dict[IPv4Address | IPv6Address, AddressClaim | None] = {}
    for address in draw(st.lists(ADDRESS, max_size=2, unique=True)):
        claim = draw(st.none() | CLAIMS)
        if claim is not None:
            claim = structs.replace(claim, space=space, subnet=subnet, address=address)
        carved[address] = claim
    index, generation = draw(st.integers(0, 2**56)), draw(st.integers(0, 99))
    return Block(
        space=space, subnet=subnet, index=index, host=draw(TEXT), boot=draw(TEXT), generation=generation, carved=carved
    )


IDENTITIES = st.builds(Identity, space=IDENT, subnet=SUBNET, key=IDENT, address=ADDRESS, sequence=TEXT)
LED = st.integers(1, 65535)
LED_PORTS = st.builds(PortBinding, PROTOCOL, st.none() | ADDRESS, LED, ADDRESS, LED).filter(
    lambda each: each.host is None or each.host.version == each.target.version
)
ADVERTISEMENTS = st.builds(
    Advertisement, network=IDENT, host=IDENT, endpoint=st.text("0123456789abcdef", max_size=64),
    mac=st.binary(min_size=6, max_size=6).map(lambda octets: octets.hex(":")),
    addresses=st.lists(ADDRESS, max_size=2).map(tuple), underlay=ADDRESS, container=TEXT,
    names=st.lists(TEXT, max_size=2).map(tuple), healthy=st.booleans(),
    services=st.lists(st.builds(Service, TEXT, PROTOCOL, PORT), max_size=2).map(tuple),
    ports=st.lists(LED_PORTS, max_size=2).map(tuple),
)  # fmt: skip
WANTS = st.builds(Want, claim=CLAIMS, refusal=TEXT, holder=TEXT)
SHARED_VALUES = (
    blocks() | CLAIMS | IDENTITIES | WANTS | ADVERTISEMENTS | CLUSTER_NETWORKS | NETWORK_MEMBERS | VNI_HOLDERS
    | EVERYWHERE | HOST_ANSWERS
)  # fmt: skip
RECORDS = (
    POOLS
    | SUBNET_POOLS
    | DENY_ENTRIES
    | DNS_RECORDS
    | LEASES
    | NETWORKS
    | SANDBOXES
    | ENDPOINTS
    | ENGINES
    | HOLDERS
    | INTENTS
    | VNICS
    | SHARED_SUBNETS
    | LEFT_SUBNETS
    | HOST_BLOCKS
    | HOST_CLAIMS
    | HOST_NETWORKS
    | CLUSTER_MARKS
)
