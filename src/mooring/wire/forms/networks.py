"""The forms of networks.

Rules: see mooring.wire.forms.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

from msgspec import field, structs

from mooring.core.networks import (
    Dns,
    GatewayMode,
    HostAccess,
    HostOverlap,
    Ingress,
    Mode,
    Network,
    NetworkOptions,
    Origin,
    Pending,
    Scope,
    Segment,
    Sticky,
    Subnets,
)
from mooring.wire.forms.elements import (
    RouteV1,
    Stored,
    address_of,
    id_of,
    interface_of,
    route_form,
    text_of,
    v4_of,
    v6_of,
)


class OptionsV1(Stored, tag="OptionsV1"):
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
            source4=v4_of(self.source4),
            source6=v6_of(self.source6),
            binding=address_of(self.binding),
            routes=tuple(route.value() for route in self.routes),
            peers=self.peers,
            gateway=self.gateway,
            tenant=self.tenant,
            # What a container of an older network says has been its own so far: keepalived, a VPN's gateway.
            port_security=False,
        )


class OptionsV2(OptionsV1, tag="OptionsV2"):
    """With what the network's addresses belong to."""

    sticky: Sticky = Sticky.OFF
    host_overlap: HostOverlap | None = None
    port_security: bool = False

    def value(self) -> NetworkOptions:
        """The options as core knows them."""
        base = OptionsV1.value(self)
        return replace(base, sticky=self.sticky, host_overlap=self.host_overlap, port_security=self.port_security)


class OptionsV3(OptionsV2, tag="OptionsV3"):
    """With when the network gets its subnets, and where from, what the host reaches of it, and who answers names."""

    subnets: Subnets = Subnets.AT_CREATION
    pool: str = ""
    pool6: str = ""
    ipv6: bool = False
    host_access: HostAccess | None = None
    dns: bool = False

    def value(self) -> NetworkOptions:
        """The options as core knows them."""
        base = OptionsV2.value(self)
        return replace(
            base, subnets=self.subnets, pool=self.pool, pool6=self.pool6, ipv6=self.ipv6, host_access=self.host_access,
            dns=Dns.ON if self.dns else Dns.OFF,
        )  # fmt: skip


class OptionsV4(OptionsV3, tag="OptionsV4"):
    """With a word for who answers names, where there was a switch."""

    dns: Dns = Dns.OFF  # type: ignore[assignment]

    def value(self) -> NetworkOptions:
        """The options as core knows them."""
        return replace(OptionsV3.value(self), dns=self.dns)


class OptionsV5(OptionsV4, tag="OptionsV5"):
    """With who takes part, and what networks of several hosts have."""

    scope: Scope = Scope.LOCAL
    overlay: bool = False
    vni: int = 0
    encrypted: bool = False
    multicast: bool = False
    offload: bool = True
    ingress: Ingress = Ingress.HOST

    def value(self) -> NetworkOptions:
        """The options as core knows them."""
        return replace(
            OptionsV4.value(self), scope=self.scope, overlay=self.overlay, vni=self.vni, encrypted=self.encrypted,
            multicast=self.multicast, offload=self.offload, ingress=self.ingress,
        )  # fmt: skip


class SegmentV1(Stored, tag="SegmentV1"):
    """One subnet of a network."""

    subnet: str
    gateway: str
    space: str
    pool: str
    auxiliary: dict[str, str] = field(default_factory=dict)

    def value(self) -> Segment:
        """The segment as core knows it."""
        auxiliary = {name: ip_address(text) for name, text in self.auxiliary.items()}
        return Segment(ip_network(self.subnet), interface_of(self.gateway), self.space, self.pool, auxiliary)


class SegmentV2(SegmentV1, tag="SegmentV2"):
    """With the name of one that was made on demand."""

    name: str = ""

    def value(self) -> Segment:
        """The segment as core knows it."""
        return replace(SegmentV1.value(self), name=self.name)


class NetworkV1(Stored, tag=1):
    """A network of an engine; the driver follows from the mode."""

    options: OptionsV1
    internal: bool
    ipv4: tuple[SegmentV1, ...]
    ipv6: tuple[SegmentV1, ...]
    created: float
    raw: dict[str, str] = field(default_factory=dict)

    def record(self, key: str) -> Network:
        """The network that is kept under the key."""
        return Network(
            id=id_of(key),
            options=self.options.value(),
            internal=self.internal,
            ipv4=tuple(segment.value() for segment in self.ipv4),
            ipv6=tuple(segment.value() for segment in self.ipv6),
            created=self.created,
            raw=self.raw,
        )


class NetworkV2(NetworkV1, kw_only=True, tag=2):
    """A network with its driver, and with what an engine would keep to itself."""

    driver: str
    origin: Origin = Origin.ENGINE
    name: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    attachable: bool = False
    ipam: str = "default"
    pending: Pending | None = None

    def record(self, key: str) -> Network:
        """The network that is kept under the key."""
        return replace(
            NetworkV1.record(self, key),
            driver=self.driver,
            origin=self.origin,
            name=self.name,
            labels=self.labels,
            attachable=self.attachable,
            ipam=self.ipam,
            pending=self.pending,
        )


class NetworkV3(NetworkV2, kw_only=True, tag=3):
    """A network whose addresses may be sticky."""

    options: OptionsV2


class NetworkV4(NetworkV3, kw_only=True, tag=4):
    """A network that may get subnets on demand, and that may be in a routing domain of its tenant's."""

    options: OptionsV3
    ipv4: tuple[SegmentV2, ...]
    ipv6: tuple[SegmentV2, ...]
    domain: int = 0
    on_demand: tuple[int, ...] = ()

    def record(self, key: str) -> Network:
        """The network that is kept under the key."""
        return replace(NetworkV3.record(self, key), domain=self.domain, on_demand=self.on_demand)


class NetworkV5(NetworkV4, kw_only=True, tag=5):
    """A network whose containers may have names only while they are healthy."""

    options: OptionsV4


class NetworkV6(NetworkV5, kw_only=True, tag=6):
    """A network that other hosts may take part in."""

    options: OptionsV5


def _options_form(options: NetworkOptions) -> OptionsV3:
    return OptionsV3(
        mode=options.mode,
        bridge=options.bridge,
        mtu=options.mtu,
        interface_prefix=options.interface_prefix,
        icc=options.icc,
        masquerade=options.masquerade,
        gateway_mode4=options.gateway_mode4,
        gateway_mode6=options.gateway_mode6,
        source4=text_of(options.source4),
        source6=text_of(options.source6),
        binding=text_of(options.binding),
        routes=tuple(map(route_form, options.routes)),
        peers=options.peers,
        gateway=options.gateway,
        tenant=options.tenant,
        sticky=options.sticky,
        host_overlap=options.host_overlap,
        port_security=options.port_security,
        subnets=options.subnets,
        pool=options.pool,
        pool6=options.pool6,
        ipv6=options.ipv6,
        host_access=options.host_access,
        dns=options.dns is not Dns.OFF,
    )


def _segment_form(segment: Segment) -> SegmentV2:
    return SegmentV2(
        subnet=str(segment.subnet),
        gateway=text_of(segment.gateway),
        space=segment.space,
        pool=segment.pool,
        auxiliary={name: str(address) for name, address in segment.auxiliary.items()},
        name=segment.name,
    )


def network_form(network: Network) -> NetworkV4:
    """The oldest form that has all of the network: a Mooring from before `dns=healthy`, or before networks of the
    cluster, reads every other one."""
    form, options = _form_before_health(network), network.options
    if options.scope is Scope.CLUSTER:
        latest = OptionsV5(
            **structs.asdict(form.options) | {"dns": options.dns}, scope=options.scope, overlay=options.overlay,
            vni=options.vni, encrypted=options.encrypted, multicast=options.multicast, offload=options.offload,
            ingress=options.ingress,
        )  # fmt: skip
        return NetworkV6(**structs.asdict(form) | {"options": latest})
    if options.dns is not Dns.HEALTHY:
        return form
    return NetworkV5(
        **structs.asdict(form) | {"options": OptionsV4(**structs.asdict(form.options) | {"dns": options.dns})}
    )


def _form_before_health(network: Network) -> NetworkV4:
    return NetworkV4(
        options=_options_form(network.options),
        internal=network.internal,
        ipv4=tuple(map(_segment_form, network.ipv4)),
        ipv6=tuple(map(_segment_form, network.ipv6)),
        created=network.created,
        raw=network.raw,
        driver=network.driver,
        origin=network.origin,
        name=network.name,
        labels=network.labels,
        attachable=network.attachable,
        ipam=network.ipam,
        pending=network.pending,
        domain=network.domain,
        on_demand=network.on_demand,
    )
