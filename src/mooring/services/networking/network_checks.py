"""What a network may not be, whoever asks for it.

Rules: everything here is decided by values alone; what depends on other networks, or on the host, is looked at where
the network is made.
"""

from __future__ import annotations

from collections.abc import Sequence

from mooring.core.docker_requests import EITHER
from mooring.core.faults import BadRequest, Conflict
from mooring.core.networks import BRIDGE, HOST, NULL, Mode, Network, NetworkOptions
from mooring.core.options import OWN_PREFIX, parse_network_options
from mooring.core.pools import Pool
from mooring.core.requests import NetworkRequest


def check_families(network: Network, pools: Sequence[Pool]) -> None:
    """Raises BadRequest when a subnet pool or a prefix length was named for a family that the network does not have.
    Docker asks the IPAM driver for one family at a time, and for nothing of the other one."""
    later = {"pool" if version == 4 else "pool6" for version in network.on_demand}  # asked for with the first endpoint
    for name, text in network.raw.items():
        word = name.removeprefix(OWN_PREFIX)
        if word in EITHER - later and not any(pool.options.get(word) == text for pool in pools):
            raise BadRequest(
                f"option {name}={text} has not reached the IPAM driver, or another value has",
                hint=f"create the network through the proxy's socket, or use --ipam-opt {word}={text}",
            )
    for version, words, way in ((4, ("pool", "prefixlen"), "--ipv4=true"), (6, ("pool6", "prefixlen6"), "--ipv6")):
        named = [word for pool in pools for word in words if word in pool.options]
        if named and not any(segment.subnet.version == version for segment in network.segments):
            raise BadRequest(f"IPAM option {named[0]} is for IPv{version}, which the network does not have",
                             hint=f"add {way}, or leave it out")  # fmt: skip


def options_of(request: NetworkRequest) -> NetworkOptions:
    """The options of a driver of ours, parsed; those of others are theirs to read. Raises BadRequest."""
    if request.driver in ("", BRIDGE):
        options = parse_network_options(request.raw, request.internal, ipv6=bool(request.ipv6))
        if request.driver and options.mode.value != request.driver:
            raise BadRequest(f"option mode={options.mode.value} contradicts driver {request.driver}")
        return options
    if request.driver in (HOST, NULL) and request.raw:
        raise BadRequest(f"driver {request.driver} has no options", hint=f"leave out {', '.join(request.raw)}")
    return NetworkOptions()


def must_have_addresses(request: NetworkRequest, options: NetworkOptions) -> None:
    """As the engine's own driver has it. `--ipam-driver null` gives 0.0.0.0/0, which is a subnet here."""
    if options.mode is Mode.BRIDGE and not request.ipv4 and not request.ipv6:
        raise BadRequest("a network needs IPv4 or IPv6", hint="add --ipv6, or leave out --ipv4=false")


def check_routes(network: Network) -> None:
    for route in network.options.routes:
        if route.via is not None and network.segment_of(route.via) is None:
            raise BadRequest(
                f"option routes: next hop {route.via} is in no subnet of the network, so no container could reach it",
                hint=f"the network has {', '.join(str(segment.subnet) for segment in network.segments)}",
            )


def must_match(known: Network, request: NetworkRequest) -> None:
    asked = {part.subnet for part in request.ipv4 + request.ipv6 if part.subnet.prefixlen}
    have = {segment.subnet for segment in known.segments}
    if known.raw != request.raw or known.internal != request.internal or not asked <= have:
        raise Conflict(
            f"network {known.id[:12]} already exists with other settings",
            hint=f"see `mooring network inspect {known.id[:12]}`",
        )
