"""The forms in which records are stored: one struct a kind and version, of text, numbers and lists only.

Rules: a form never changes once released, not even by a field: a change is a new struct with the next number, and the
old one stays and still makes today's record; what identifies a record is in its key, and is not repeated in the form.
"""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Address, IPv4Interface, IPv6Address, IPv6Interface, ip_address, ip_interface, ip_network
from urllib.parse import unquote

import msgspec

from mooring.core.endpoints import Endpoint
from mooring.core.endpoints import State as EndpointState
from mooring.core.engines import KnownEngine
from mooring.core.leases import Active, Lease
from mooring.core.leases import State as LeaseState
from mooring.core.networks import Address, GatewayMode, Interface, Mode, Network, NetworkOptions, Segment, StaticRoute
from mooring.core.pools import Pool
from mooring.core.publications import PortRequest, Protocol, Publication


@lru_cache(maxsize=1024)
def _lease_space(prefix: str) -> str:
    return unquote(prefix.split("/")[1])


def _id_of(key: str) -> str:
    return unquote(key.rpartition("/")[2])


def _text(value: object | None) -> str:
    return "" if value is None else str(value)


def _address(text: str) -> Address | None:
    return ip_address(text) if text else None


def _v4(text: str) -> IPv4Address | None:
    return IPv4Address(text) if text else None


def _v6(text: str) -> IPv6Address | None:
    return IPv6Address(text) if text else None


def _interface(text: str) -> Interface | None:
    return ip_interface(text) if text else None


class Stored(msgspec.Struct, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, tag_field="v"):
    """Text, numbers and lists only. A field more or less is a new version."""


class PoolV1(Stored, tag=1):
    """A pool."""

    space: str
    subnet: str
    range: str = ""
    source: str = ""
    options: dict[str, str] = {}
    created: float = 0.0
    gateway: str = ""
    network: str = ""

    def record(self, key: str) -> Pool:
        """The pool that is kept under the key."""
        return Pool(
            id=_id_of(key),
            space=self.space,
            subnet=ip_network(self.subnet),
            range=ip_network(self.range) if self.range else None,
            source=self.source,
            options=self.options,
            created=self.created,
            gateway=_address(self.gateway),
            network=self.network,
        )


def pool_form(pool: Pool) -> PoolV1:
    return PoolV1(
        space=pool.space,
        subnet=str(pool.subnet),
        range=_text(pool.range),
        source=pool.source,
        options=pool.options,
        created=pool.created,
        gateway=_text(pool.gateway),
        network=pool.network,
    )


class ActiveV1(Stored):
    """Where a fixed lease is in use."""

    endpoint: str
    host: str
    boot: str


# A hundred thousand leases are read at a start; this and gc=False save a third of that time.
_NOBODY: frozenset[str] = frozenset()


class LeaseV1(Stored, tag=1, gc=False):
    """A lease; its space and address are in the key."""

    pool: str
    state: LeaseState
    since: float
    owner: str = ""
    mac: str = ""
    name: str = ""
    key: str = ""
    holders: tuple[str, ...] = ()
    active: ActiveV1 | None = None
    hold: float = 0.0
    until: float | None = None
    whom: str = ""
    note: str = ""
    seen: str = ""

    def record(self, key: str) -> Lease:
        """The lease that is kept under the key."""
        prefix, _, digits = key.rpartition("/")
        number = int(digits, 16)
        active = self.active
        return Lease(
            space=_lease_space(prefix),
            address=IPv4Address(number) if prefix[-1] == "4" else IPv6Address(number),
            pool=self.pool,
            state=self.state,
            since=self.since,
            owner=self.owner,
            mac=self.mac,
            name=self.name,
            key=self.key,
            holders=frozenset(self.holders) if self.holders else _NOBODY,
            active=Active(active.endpoint, active.host, active.boot) if active is not None else None,
            hold=self.hold,
            until=self.until,
            whom=self.whom,
            note=self.note,
            seen=self.seen,
        )


def lease_form(lease: Lease) -> LeaseV1:
    active = lease.active
    return LeaseV1(
        pool=lease.pool,
        state=lease.state,
        since=lease.since,
        owner=lease.owner,
        mac=lease.mac,
        name=lease.name,
        key=lease.key,
        holders=tuple(sorted(lease.holders)),
        active=ActiveV1(endpoint=active.endpoint, host=active.host, boot=active.boot) if active is not None else None,
        hold=lease.hold,
        until=lease.until,
        whom=lease.whom,
        note=lease.note,
        seen=lease.seen,
    )


class RouteV1(Stored):
    """A static route; via "" is on-link."""

    destination: str
    via: str = ""


class OptionsV1(Stored):
    """The parsed driver options; addresses as text, "" for none."""

    mode: Mode = Mode.BRIDGE
    bridge: str = ""
    mtu: int = 0
    interface_prefix: str = "eth"
    icc: bool = True
    masquerade: bool = True
    gateway_mode4: GatewayMode = GatewayMode.NAT
    gateway_mode6: GatewayMode = GatewayMode.NAT
    source4: str = ""
    source6: str = ""
    binding: str = ""
    routes: tuple[RouteV1, ...] = ()
    peers: str = ""
    gateway: bool = True
    tenant: str = ""

    def value(self) -> NetworkOptions:
        """The options as core knows them."""
        return NetworkOptions(
            mode=self.mode,
            bridge=self.bridge,
            mtu=self.mtu,
            interface_prefix=self.interface_prefix,
            icc=self.icc,
            masquerade=self.masquerade,
            gateway_mode4=self.gateway_mode4,
            gateway_mode6=self.gateway_mode6,
            source4=_v4(self.source4),
            source6=_v6(self.source6),
            binding=_address(self.binding),
            routes=tuple(StaticRoute(ip_network(route.destination), _address(route.via)) for route in self.routes),
            peers=self.peers,
            gateway=self.gateway,
            tenant=self.tenant,
        )


class SegmentV1(Stored):
    """One subnet of a network."""

    subnet: str
    gateway: str
    space: str
    pool: str
    auxiliary: dict[str, str] = {}

    def value(self) -> Segment:
        """The segment as core knows it."""
        auxiliary = {name: ip_address(text) for name, text in self.auxiliary.items()}
        return Segment(ip_network(self.subnet), _interface(self.gateway), self.space, self.pool, auxiliary)


class NetworkV1(Stored, tag=1):
    """A network."""

    options: OptionsV1
    internal: bool
    ipv4: tuple[SegmentV1, ...]
    ipv6: tuple[SegmentV1, ...]
    created: float
    raw: dict[str, str] = {}

    def record(self, key: str) -> Network:
        """The network that is kept under the key."""
        return Network(
            id=_id_of(key),
            options=self.options.value(),
            internal=self.internal,
            ipv4=tuple(segment.value() for segment in self.ipv4),
            ipv6=tuple(segment.value() for segment in self.ipv6),
            created=self.created,
            raw=self.raw,
        )


def _options_form(options: NetworkOptions) -> OptionsV1:
    return OptionsV1(
        mode=options.mode,
        bridge=options.bridge,
        mtu=options.mtu,
        interface_prefix=options.interface_prefix,
        icc=options.icc,
        masquerade=options.masquerade,
        gateway_mode4=options.gateway_mode4,
        gateway_mode6=options.gateway_mode6,
        source4=_text(options.source4),
        source6=_text(options.source6),
        binding=_text(options.binding),
        routes=tuple(RouteV1(destination=str(route.destination), via=_text(route.via)) for route in options.routes),
        peers=options.peers,
        gateway=options.gateway,
        tenant=options.tenant,
    )


def _segment_form(segment: Segment) -> SegmentV1:
    return SegmentV1(
        subnet=str(segment.subnet),
        gateway=_text(segment.gateway),
        space=segment.space,
        pool=segment.pool,
        auxiliary={name: str(address) for name, address in segment.auxiliary.items()},
    )


def network_form(network: Network) -> NetworkV1:
    return NetworkV1(
        options=_options_form(network.options),
        internal=network.internal,
        ipv4=tuple(map(_segment_form, network.ipv4)),
        ipv6=tuple(map(_segment_form, network.ipv6)),
        created=network.created,
        raw=network.raw,
    )


class PortRequestV1(Stored):
    """A port that a container asked for; host "" is every address of the host."""

    protocol: Protocol
    port: int
    host: str = ""
    first: int = 0
    last: int = 0


class PublicationV1(Stored):
    """A port that is published."""

    protocol: Protocol
    host_port: int
    target: str
    target_port: int
    host: str = ""


class EndpointV1(Stored, tag=1):
    """An endpoint; its id and its network's are in the key."""

    mac: str
    created: float
    state: EndpointState
    ipv4: str = ""
    ipv6: str = ""
    sandbox: str = ""
    ports: tuple[PortRequestV1, ...] = ()
    published: tuple[PublicationV1, ...] = ()
    options: dict[str, str] = {}

    def record(self, key: str) -> Endpoint:
        """The endpoint that is kept under the key."""
        _, network, ident = key.split("/")
        return Endpoint(
            id=unquote(ident),
            network=unquote(network),
            ipv4=IPv4Interface(self.ipv4) if self.ipv4 else None,
            ipv6=IPv6Interface(self.ipv6) if self.ipv6 else None,
            mac=self.mac,
            created=self.created,
            state=self.state,
            sandbox=self.sandbox,
            ports=tuple(
                PortRequest(each.protocol, each.port, _address(each.host), each.first, each.last) for each in self.ports
            ),
            published=tuple(
                Publication(
                    each.protocol, _address(each.host), each.host_port, ip_address(each.target), each.target_port
                )
                for each in self.published
            ),
            options=self.options,
        )


def endpoint_form(endpoint: Endpoint) -> EndpointV1:
    return EndpointV1(
        mac=endpoint.mac,
        created=endpoint.created,
        state=endpoint.state,
        ipv4=_text(endpoint.ipv4),
        ipv6=_text(endpoint.ipv6),
        sandbox=endpoint.sandbox,
        ports=tuple(
            PortRequestV1(
                protocol=each.protocol, port=each.port, host=_text(each.host), first=each.first, last=each.last
            )
            for each in endpoint.ports
        ),
        published=tuple(
            PublicationV1(
                protocol=each.protocol,
                host=_text(each.host),
                host_port=each.host_port,
                target=str(each.target),
                target_port=each.target_port,
            )
            for each in endpoint.published
        ),
        options=endpoint.options,
    )


class EngineV1(Stored, tag=1):
    """An engine of ours."""

    since: float
    networks: list[str] = []

    def record(self, key: str) -> KnownEngine:
        """See stored.Form."""
        return KnownEngine(_id_of(key), self.since, frozenset(self.networks))


def engine_form(engine: KnownEngine) -> EngineV1:
    """The newest form of an engine."""
    return EngineV1(since=engine.since, networks=sorted(engine.networks))
