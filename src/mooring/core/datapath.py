"""What a host (forwarding, accept_ra kept on its uplinks, Docker's FORWARD chain), a network, an endpoint and its
published ports look like in the kernel, as facts.

Rules: each function's facts follow from its arguments alone, so any of them can be rebuilt at any time; a network of
mode null has none; interface names are functions of the ids and fit into 15 bytes.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from mooring.core.domains import FORWARDING, domain_facts, domain_port_members, host_access_facts
from mooring.core.endpoints import Endpoint
from mooring.core.firewall import foreign_bridge_members, network_members, port_members, ruleset
from mooring.core.networks import GatewayMode, Interface, Network
from mooring.core.plumbing import Bridge, DockerAccept, Fact, LinkAddress, Member, Setting, Veth
from mooring.core.port_bindings import PortBinding
from mooring.core.port_security import PORT_SECURITY, port_guards

# Every interface of ours bears an alias that starts so.
MARK = "mooring:"

LEAST_MTU6 = 1280  # bytes

HOST_SETTINGS = (FORWARDING[4], FORWARDING[6])
# Of every interface that listens to routers, and of those to come; "2": they go on to. Before forwarding is on, which
# makes the kernel forget the routers that it heard of (net/ipv6/addrconf.c, rt6_purge_dflt_routers).
ROUTERS = "net/ipv6/conf/*/accept_ra"

# Sysctls of a bridge, below /proc/sys, that some network wants.
BRIDGE_SETTINGS = (
    "net/ipv4/conf/{}/route_localnet",
    "net/ipv6/conf/{}/disable_ipv6",
    "net/ipv6/conf/{}/accept_ra",
    "net/ipv6/conf/{}/accept_dad",
    "net/ipv4/conf/{}/arp_ignore",
    "net/ipv4/conf/{}/promote_secondaries",
)


def host_end(endpoint_id: str) -> str:
    """The name of the veth end that stays on the host and is a port of the bridge."""
    return f"mv-{endpoint_id[:12]}"


def sandbox_end(endpoint_id: str) -> str:
    """The name of the veth end that dockerd moves into the container, until it renames it there."""
    return f"mp-{endpoint_id[:12]}"


def host_facts(ipv6: bool, forwarding: bool = True, foreign_bridges: Iterable[str] = ()) -> frozenset[Fact]:
    """What every network of the host rests on.

    ipv6: whether any network has that family. forwarding: whether there is something to forward: dockerd sets the
    policy of FORWARD to DROP only where it finds IPv4 forwarding off (drivers/bridge/setup_ip_forwarding.go), so it
    must not find it on at boot because of us. foreign_bridges: bridges of the host that are none of Docker's.
    """
    facts: set[Fact] = {ruleset(), DockerAccept(4), DockerAccept(6), *foreign_bridge_members(foreign_bridges)}
    if forwarding:
        facts.add(Setting(HOST_SETTINGS[0], "1"))
        if ipv6:
            facts |= {Setting(ROUTERS, "2"), Setting(HOST_SETTINGS[1], "1")}
    return frozenset(facts)


def network_facts(network: Network) -> frozenset[Fact]:
    """The bridge, its gateway addresses, its settings and its place in the firewall, and the domain that it is in."""
    if not network.bridged:
        return frozenset()
    own = own_facts(network)
    return own | domain_facts(network.domain, bool(network.ipv6)) if network.domain else own


def own_facts(network: Network) -> frozenset[Fact]:
    """As `network_facts`, without what it has in common with other networks of its domain."""
    if not network.bridged:
        return frozenset()
    name, domain = network.bridge, network.domain
    facts: set[Fact] = {
        Bridge(name, f"{MARK}network:{network.id}", network.mtu, network.mac, domain=domain),
        *_bridge_settings(network),
        *(replace(member, domain=domain) for member in network_members(network)),
        *host_access_facts(network),
    }
    if domain:
        facts.add(Member("strict", f'"{name}"', domain=domain))
    if network.options.port_security or network.options.multicast:
        facts.add(replace(PORT_SECURITY.ruleset, domain=domain))
    for segment in network.segments:
        version = segment.subnet.version
        if segment.gateway is None or not network.options.gateway:
            continue
        if network.gateway_mode(version) is not GatewayMode.ISOLATED:
            facts.add(LinkAddress(name, segment.gateway, domain))
    return frozenset(facts)


def exposed_facts(network: Network, addresses: Iterable[Interface]) -> frozenset[Fact]:
    """What gives the host the addresses in the network."""
    return frozenset(LinkAddress(network.bridge, each, network.domain) for each in addresses if network.bridged)


def endpoint_facts(network: Network, endpoint: Endpoint) -> frozenset[Fact]:
    """The endpoint's veth pair and what it publishes."""
    if not network.bridged:
        return frozenset()
    veth = Veth(
        host_end(endpoint.id),
        f"{MARK}endpoint:{network.id}/{endpoint.id}",
        network.bridge,
        not network.options.icc,
        peer=sandbox_end(endpoint.id),
        peer_mac=endpoint.mac,
        mtu=network.mtu,
        domain=network.domain,
    )
    facts: set[Fact] = {veth, *port_guards(network, endpoint, veth.name)}
    return port_facts(network, endpoint, endpoint.published) | facts


def port_facts(network: Network, endpoint: Endpoint, published: Iterable[PortBinding]) -> frozenset[Fact]:
    """What opens the published ports of the endpoint."""
    if not network.bridged:
        return frozenset()
    return frozenset(
        member
        for port_binding in published
        if port_binding.target in endpoint.addresses
        for member in _openings(network, port_binding)
    )


def _openings(network: Network, port_binding: PortBinding) -> Iterable[Member]:
    if not network.domain:
        return port_members(network, port_binding)
    isolated = network.gateway_mode(port_binding.target.version) is GatewayMode.ISOLATED
    return () if network.internal or isolated else domain_port_members(network.domain, port_binding)


def _bridge_settings(network: Network) -> set[Setting]:
    """Loopback connections of the host need route_localnet; a router takes no router advertisements.

    The bridge's link-local address is not probed for (its MAC is ours alone): until a probe is over, a second or two,
    the host could not ask for the neighbours of what it forwards.
    """
    localnet, disable_ipv6, accept_ra, accept_dad, *_ = (path.format(network.bridge) for path in BRIDGE_SETTINGS)
    # Below IPv6's least MTU the kernel takes IPv6 from the bridge, and these settings with it (RFC 8200, section 5).
    settings = {disable_ipv6: "0" if network.ipv6 else "1"} if network.mtu >= LEAST_MTU6 else {}
    if network.ipv4 and not network.internal and network.gateway_mode(4) is not GatewayMode.ROUTED:
        settings[localnet] = "1"
    if network.ipv6:
        settings |= {accept_ra: "0", accept_dad: "0"}
    return {Setting(path, value, network.domain) for path, value in settings.items()}
