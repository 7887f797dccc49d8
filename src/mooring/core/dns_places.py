"""Where the daemon's DNS server is, and for whom.

Rule: the addresses are the same on every host and in every routing domain, so that a container's configuration is right
wherever it runs; they are on the loopback interface, and nobody routes them.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from ipaddress import IPv4Address, IPv6Address, ip_network

from mooring.core.faults import BadRequest
from mooring.core.networks import Address, GatewayMode, Network, Origin, StaticRoute

# A link-local address (RFC 3927) apart from those of clouds (169.254.169.254) and of the tenants' lines, and a unique
# local one (RFC 4193), in the prefix that the lines have theirs in.
ADDRESS4, ADDRESS6 = IPv4Address("169.254.53.53"), IPv6Address("fd6d:6f6f:7269:6e67:ffff::53")
ADDRESSES: tuple[Address, ...] = (ADDRESS4, ADDRESS6)
PORT = 53
# The interface by which the host's own resolver asks (adapters.host.host_resolver), and its other end.
LINK, PEER = "mooring-dns", "mooring-dns0"


class Serving(Enum):
    """Whether there is a DNS server. AUTO: while a network has the option dns=on."""

    AUTO = "auto"
    ON = "on"
    OFF = "off"


def served_domains(networks: Iterable[Network], serving: Serving, every_container: bool, host: bool) -> dict[int, bool]:
    """Every routing domain that the networks are in, and 0 for the host, with whether there is to be a server.
    every_container: whether the engine tells all its containers to ask it. host: whether the host's own resolver does.

    The host's is there for all of them, since its own programs ask for every name.
    """
    served = serving is not Serving.OFF
    found = {0: serving is Serving.ON or (served and (every_container or host))}
    for network in networks:
        asked = served and (every_container or bool(network.options.dns))
        found[0] = found[0] or asked
        found[network.domain] = found.get(network.domain, False) or asked
    return found


def served_otherwise(before: Network | None, after: Network | None) -> bool:
    """Whether a network's change (None: it is not there) may change what `served_domains` says."""
    was, becomes = (each and (each.domain, each.options.dns) for each in (before, after))
    return was != becomes


def check_dns(network: Network, served: bool) -> None:
    """Raises BadRequest where the option dns=on could not keep its word. served: whether the daemon may serve."""
    if not network.options.dns:
        return
    said = f"dns={network.options.dns.value}"
    if network.origin is Origin.LIBRARY:
        raise BadRequest(f"{said}: the library's sandboxes have a resolver of their own", hint="leave the option out")
    if not served:
        raise BadRequest(f'{said}: the daemon is set to `dns = "off"`', hint='set it to "auto" and restart the daemon')
    if not reachable_from(network):
        raise BadRequest(
            f"{said}: the network has no gateway on this host, so its containers could not reach the host's DNS server",
            hint="leave the option out, or give the network a gateway",
        )


def reachable_from(network: Network) -> tuple[Address, ...]:
    """The server's addresses that the network's containers reach, as far as it is known already: by their gateway."""
    if not network.options.gateway or not network.bridged:
        return ()
    families = set(network.on_demand)
    for segment in network.segments:
        version = segment.subnet.version
        if segment.gateway is not None and network.gateway_mode(version) is not GatewayMode.ISOLATED:
            families.add(version)
    return tuple(address for address in ADDRESSES if address.version in families)


def dns_routes(network: Network, addresses: Iterable[Address]) -> tuple[StaticRoute, ...]:
    """What an endpoint with the addresses needs to reach the server: nothing where it has a default route. An internal
    network has none, but its bridge has an address."""
    if not (network.options.dns and network.internal):
        return ()
    servers = {server.version: server for server in reachable_from(network)}
    segments = [network.segment_of(address) for address in addresses]
    return tuple(
        StaticRoute(ip_network(server), segment.gateway.ip)
        for segment in segments
        if segment is not None and segment.gateway is not None
        if (server := servers.get(segment.subnet.version)) is not None
    )
