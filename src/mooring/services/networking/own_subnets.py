"""Networks whose subnets are left to the network driver, since Docker's null IPAM driver gives none.

Rules: such a subnet comes as 0.0.0.0/0; it is carved when the network is made or when an endpoint needs it, as the
network's options say; nobody but the network will ever release its pool.
"""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

from mooring.core.faults import BadRequest
from mooring.core.networks import NetworkOptions, Origin, Subnets
from mooring.core.requests import NetworkRequest, SegmentRequest

# Marks a pool that the network asked for itself. An option of the pool, since it says how the pool was asked for.
OWNED = "mooring.owned-by-network"

# What GetDefaultAddressSpaces answers; other IPAM drivers have other names.
OUR_SPACES = frozenset({"default", "global"})

# The subnet that stands for one which is still to come.
EVERYTHING6 = ip_network("::/0")


def with_ipv6(request: NetworkRequest, options: NetworkOptions) -> NetworkRequest:
    """The request as it would be if Docker's null IPAM driver gave IPv6 (libnetwork/ipams/null/null.go)."""
    if not options.ipv6 or request.ipv6:
        return request
    if not any(part.subnet.prefixlen == 0 for part in request.ipv4):
        raise BadRequest("option ipv6=on is for networks with --ipam-driver null", hint="use --ipv6")
    return replace(request, ipv6=(SegmentRequest(request.ipv4[0].space, EVERYTHING6, None),))


def owned_options(options: NetworkOptions, version: int) -> dict[str, str]:
    """The options of a pool that a network asks for itself."""
    word, name = ("pool", options.pool) if version == 4 else ("pool6", options.pool6)
    return {OWNED: "yes"} | ({word: name} if name else {})


def families_on_demand(request: NetworkRequest, options: NetworkOptions) -> tuple[int, ...]:
    """The families (4, 6) of which the network gets subnets when endpoints need them: those that are left to it, or
    that another IPAM driver's addresses come from. Raises BadRequest when it was given the subnets that its options
    speak of."""
    parts = {4: request.ipv4, 6: request.ipv6}
    left = tuple(version for version, given in parts.items() if any(part.subnet.prefixlen == 0 for part in given))
    later = options.subnets is not Subnets.AT_CREATION
    theirs = not left and options.subnets is Subnets.ON_DEMAND and _is_of_others(request)
    if later and not left and not theirs:
        raise BadRequest(
            f"option subnets={options.subnets.value} is for subnets that are left to Mooring's network driver",
            hint="add --ipam-driver null without --subnet",
        )
    if theirs:
        return tuple(version for version, given in parts.items() if given)
    return left if later else ()


def _is_of_others(request: NetworkRequest) -> bool:
    """Whether another IPAM driver gave the subnets. An engine names its address space, and ours are known."""
    parts = request.ipv4 + request.ipv6
    return request.origin is Origin.ENGINE and bool(parts) and not any(part.space in OUR_SPACES for part in parts)
