"""Routing domains: what a tenant has for itself on a host, so that its subnets may be those of another tenant.

A domain is a network namespace with the bridges of one tenant's networks, and with routes, neighbours, connection
tracking and nftables of its own: what is equal in two domains never meets. It is joined to the host by one
point-to-point line (a veth pair), whose addresses are functions of the domain's number and are all that the host ever
sees of it.

Rules: the host treats the line as it treats the bridge of a network with NAT; a published port is translated twice, on
the host to the line's far end under the same number, and there to the container; where the host is to reach a
network's containers at their addresses, it has a route to its subnets, which is for its own programs, and they are seen
as the network's gateway; number 0 is the host's own namespace, of which nothing here is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_interface

from mooring.core.faults import BadRequest, Exhausted
from mooring.core.firewall import FIREWALL, port_binding_of, prefix_words
from mooring.core.networks import Address, GatewayMode, HostAccess, Interface, Network
from mooring.core.plumbing import Domain, Fact, Member, Route, Setting
from mooring.core.port_bindings import PortBinding, Protocol

# The line's end in the domain.
FAR_END = "uplink"
# Link-local addresses (RFC 3927), since nobody routes them, and not those at which clouds have their services
# (169.254.169.254 and near it); for IPv6 unique local ones (RFC 4193). Two for each domain.
_FIRST: dict[int, Address] = {4: IPv4Address("169.254.64.0"), 6: IPv6Address("fd6d:6f6f:7269:6e67::")}
# As many as these addresses suffice for.
MOST = 8191

FORWARDING = {4: "net/ipv4/ip_forward", 6: "net/ipv6/conf/all/forwarding"}


def near_end(number: int) -> str:
    """The name of the line's end on the host."""
    return f"mt-{number}"


def line(number: int, version: int) -> tuple[Interface, Interface]:
    """The addresses of the line's ends: on the host, and in the domain."""
    first = _FIRST[version]
    length = first.max_prefixlen - 1
    near, far = (ip_interface(f"{first + 2 * number + end}/{length}") for end in (0, 1))
    return near, far


def free_number(networks: Iterable[Network], tenant: str, reserved: Iterable[int] = ()) -> int:
    """The number of the tenant's domain: that of its other networks, or the lowest that no network has and that is not
    reserved. Raises Exhausted."""
    taken: dict[int, str] = {network.domain: network.tenant for network in networks if network.domain}
    for number, whose in taken.items():
        if whose == tenant:
            return number
    kept = {*taken, *reserved}
    for number in range(1, MOST + 1):
        if number not in kept:
            return number
    raise Exhausted(f"{MOST} tenants have networks on this host", hint="remove a tenant's networks")


def check_options(network: Network) -> None:
    """Raises BadRequest for what can only be where the host itself routes to the network's addresses, and where it does
    not."""
    _check_host_access(network)
    if not network.domain or network.internal:
        return
    options, which = network.options, ""
    for version, source in ((4, options.source4), (6, options.source6)):
        mode, used = network.gateway_mode(version), network.ipv4 if version == 4 else network.ipv6
        if used and mode in (GatewayMode.ROUTED, GatewayMode.NAT_UNPROTECTED):
            which = f"gateway_mode{version}={mode.value}"
        elif source is not None:
            which = f"a source address ({source}) for outgoing traffic"
    if not options.masquerade:
        which = "masquerade=off"
    if which:
        raise BadRequest(
            f"tenant {network.tenant} has addresses that this host does not route, so its networks cannot have {which}",
            hint="leave the option out, or use a network of no tenant",
        )


def _check_host_access(network: Network) -> None:
    asked = network.options.host_access
    if asked is HostAccess.PUBLISHED and not network.domain:
        raise BadRequest(
            "host_access=published is for networks in a tenant's routing domain: all others are in the host's routing",
            hint='see docs/tenants.md: the network needs a tenant, and the daemon `tenants = "separate"`',
        )
    lack = "has no gateway" if not network.options.gateway else ""
    if network.internal and network.domain:
        lack = "is internal"
    if asked is HostAccess.ADDRESSES and lack:
        raise BadRequest(
            f"host_access=addresses: the network {lack}, so its containers could not answer the host",
            hint="leave the option out",
        )


def host_access_facts(network: Network) -> Iterator[Fact]:
    """What lets the host's own programs into the network, where that is chosen. A subnet without a gateway is left out:
    the answers would not find back."""
    if not network.domain or network.host_access is not HostAccess.ADDRESSES:
        return
    number, bridge = network.domain, f'"{network.bridge}"'
    for segment in network.segments:
        version = segment.subnet.version
        if segment.gateway is not None:
            yield Route(near_end(number), segment.subnet, line(number, version)[1].ip)
            # Who forwards for others is refused by the host's table: what comes by the line is the host's own.
            yield Member(f"open{version}", bridge, domain=number)
            yield Member("from_host", f'"{FAR_END}" . {bridge}', domain=number)


def domain_facts(number: int, ipv6: bool) -> frozenset[Fact]:
    """What every network of the domain rests on, on the host and in the domain. ipv6: whether any has that family."""
    name = f'"{near_end(number)}"'
    facts: set[Fact] = {
        Domain(number),
        Setting(FORWARDING[4], "1", number),
        replace(FIREWALL.ruleset, domain=number),
        Member("bridges", name),
    }
    if ipv6:
        facts.add(Setting(FORWARDING[6], "1", number))
    for version in (4, 6):
        facts.add(Member(f"masquerade{version}", name))
        # Who calls his own tenant's port at the host comes by the line and goes back by it.
        facts.add(Member(f"hairpin{version}", f"{prefix_words(line(number, version)[0].network)} . {name}"))
    return frozenset(facts)


def domain_port_members(number: int, port_binding: PortBinding) -> Iterator[Member]:
    """The elements that open one published port: the host's, and the domain's."""
    version, protocol, port = port_binding.target.version, int(port_binding.protocol), port_binding.host_port
    far = f"{line(number, version)[1].ip} . {port}"
    if port_binding.host is None:
        yield Member(f"wildcard{version}", f"{protocol} . {port}", far)
    else:
        yield Member(f"published{version}", f"{protocol} . {port_binding.host} . {port}", far)
    target = f"{port_binding.target} . {port_binding.target_port}"
    yield Member(f"wildcard{version}", f"{protocol} . {port}", target, number)


def port_bindings_in(members: Iterable[Member]) -> dict[int, list[PortBinding]]:
    """What is published, by domain: of a domain, what the host leads to it and it leads on."""
    found: dict[int, list[PortBinding]] = {}
    ways: dict[tuple[int, int, Protocol, int], PortBinding] = {}
    for member in members:
        if (port_binding := port_binding_of(member)) is None:
            continue
        if member.domain:
            target = port_binding.target
            ways[member.domain, target.version, port_binding.protocol, port_binding.host_port] = port_binding
        else:
            found.setdefault(domain_at(port_binding.target), []).append(port_binding)
    return {
        number: there if number == 0 else [led for each in there if (led := _led_on(number, each, ways)) is not None]
        for number, there in found.items()
    }


def _led_on(
    number: int, binding: PortBinding, ways: Mapping[tuple[int, int, Protocol, int], PortBinding]
) -> PortBinding | None:
    there = ways.get((number, binding.target.version, binding.protocol, binding.target_port))
    return replace(binding, target=there.target, target_port=there.target_port) if there is not None else None


def domain_at(address: Address) -> int:
    """The number of the domain one of whose line's addresses it is, 0 for none."""
    place = (int(address) - int(_FIRST[address.version])) // 2
    return place if 0 < place <= MOST else 0
