"""What is true of an address that no pool of ours has: by a network with another IPAM driver, or by the rules."""

from __future__ import annotations

from ipaddress import IPv4Address

from mooring.core.networks import Address, Network
from mooring.core.views import Reason
from mooring.services.ipam.pools import IpamPolicy
from mooring.services.records.endpoint_index import EndpointIndex
from mooring.services.records.engine_names import EngineNames

LIMITED_BROADCAST = IPv4Address("255.255.255.255")


def in_foreign_segment(address: Address, network: Network, endpoint_index: EndpointIndex, names: EngineNames) -> Reason:
    """What is true of the address in a network whose addresses another IPAM driver gives."""
    segment = network.segment_of(address)
    assert segment is not None  # the caller chose the network by it
    place = f"subnet {segment.subnet} of network {names.place(network)}"
    endpoint = endpoint_index.at(network.id, address)
    if endpoint is not None:
        container = names.with_endpoint(endpoint.id)
        who = f"container {container.name}, " if container is not None else ""
        text = [
            f"{address} is in {place}; {who}endpoint {endpoint.id[:12]} ({endpoint.state.value}) has it, "
            f"MAC {endpoint.mac}."
        ]
    elif segment.gateway is not None and segment.gateway.ip == address:
        text = [f"{address} is the gateway of {place}."]
    else:
        text = [f"{address} is in {place}; no endpoint has it."]
    text.append("The network's addresses come from another IPAM driver, so Mooring keeps no lease of them.")
    held = endpoint is not None or (segment.gateway is not None and segment.gateway.ip == address)
    return Reason("held" if held else "elsewhere", segment.space, str(segment.subnet), network.id, "", text)


def by_rule(address: Address, policy: IpamPolicy) -> Reason:
    """What is true of an address that is in no network of ours."""
    kind = _reserved_by_standard(address)
    if kind:
        return Reason("never", "", None, "", "", [f"{address} is {kind}: no network can give it to a container."])
    wall = next((wall for wall in policy.deny if address in wall), None)
    if wall is not None:
        return Reason("denied", "", str(wall), "", "", [
            f"{address} is in no network of Mooring's, and never will be: the deny list has {wall}.",
            "The deny list is the setting `deny`, or MOORING_DENY in the daemon's environment.",
        ])  # fmt: skip
    for pool in policy.subnet_pools4 if address.version == 4 else policy.subnet_pools6:
        for prefix in pool.prefixes:
            if address in prefix:
                return Reason("carvable", pool.space, str(prefix), "", "", [
                    f"{address} is in no network yet.",
                    f"It lies in the subnet pool {pool.name} ({prefix}), of which networks get a /{pool.length} each:",
                    "`docker network create -d mooring --ipam-driver mooring NAME` may get the part with this address.",
                ])  # fmt: skip
    return Reason("elsewhere", "", None, "", "", [
        f"{address} is not Mooring's: no network and no subnet pool here has it.",
        f"`ip route get {address}` shows where this host looks for it.",
    ])  # fmt: skip


def _reserved_by_standard(address: Address) -> str:
    if address.is_unspecified:
        return "the unspecified address"
    if address == LIMITED_BROADCAST:
        return "the broadcast address of whatever link a host is on (RFC 919)"
    if address.is_loopback:
        return "a loopback address"
    if address.is_multicast:
        return "a multicast address"
    if address.is_link_local:
        return "a link-local address"
    return ""
