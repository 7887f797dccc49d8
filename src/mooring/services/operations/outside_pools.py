"""What is true of an address that no pool of ours has: by a network with another IPAM driver, or by the rules."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address

from mooring.core.deny_entries import CONFIGURATION, DenyEntry
from mooring.core.networks import Address, Network, Subnet, overlap
from mooring.core.pools import Pool, SubnetPool
from mooring.core.subnet_pools import covers
from mooring.core.views import Reason
from mooring.services.ipam.pools import IpamPolicy
from mooring.services.ipam.subnet_pools import users_in_words
from mooring.services.records.endpoint_index import EndpointIndex
from mooring.services.records.engine_names import NOBODY_ASKED, EngineNames
from mooring.services.records.record_cache import RecordCache

# Networks that are named as those of which somebody asks for names.
_MOST_ASKING = 10
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


def denied(address: Address, policy: IpamPolicy, entries: Iterable[DenyEntry]) -> DenyEntry | None:
    """The deny entry that the address is in, the configuration's first. entries: those of operators."""
    every = (*(DenyEntry(subnet=subnet, origin=CONFIGURATION) for subnet in policy.deny), *entries)
    return next((entry for entry in every if address in entry.subnet), None)


def by_rule(
    address: Address, policy: IpamPolicy, subnet_pools: Sequence[SubnetPool], entries: Iterable[DenyEntry] = ()
) -> Reason:
    """What is true of an address that is in no network of ours. subnet_pools: all that are used. entries: of the deny
    list, those of operators."""
    kind = _reserved_by_standard(address)
    if kind:
        return Reason("never", "", None, "", "", [f"{address} is {kind}: no network can give it to a container."])
    if (entry := denied(address, policy, entries)) is not None:
        return Reason("denied", "", str(entry.subnet), "", "", [
            f"{address} is in no network of Mooring's, and none can get it: {entry.in_words()}.",
            f"To allow it, {entry.way_out()}.",
        ])  # fmt: skip
    for pool in subnet_pools:
        for prefix in pool.prefixes:
            if address in prefix:
                return Reason("carvable", pool.space, str(prefix), "", "", [
                    f"{address} is in no network yet.",
                    f"It lies in the subnet pool {pool.name} ({prefix}), of which networks get a /{pool.length} each:",
                    f"`{create_command(pool)}` may get the part with this address.",
                ])  # fmt: skip
    return Reason("elsewhere", "", None, "", "", [
        f"{address} is not Mooring's: no network and no subnet pool here has it.",
        f"`ip route get {address}` shows where this host looks for it.",
    ])  # fmt: skip


def of_dns_server(address: Address, networks: Iterable[Network], names: EngineNames) -> Reason:
    """What is true of one of the addresses at which the daemon's DNS server is."""
    asking = [network for network in networks if network.options.dns]
    text = [f"{address} is that of Mooring's DNS server, the same on every host: no network gives it to a container."]
    if not asking:
        text.append("No network has the option dns=on, so unless the setting `dns` is on nobody is there.")
    for network in sorted(asking, key=lambda network: (network.domain, network.id))[:_MOST_ASKING]:
        where = f", in routing domain {network.domain} of tenant {network.tenant}" if network.domain else ""
        text.append(f"It is asked by containers of network {names.place(network)}{where}.")
    if len(asking) > _MOST_ASKING:
        text.append(f"And by those of {len(asking) - _MOST_ASKING} other networks with dns=on.")
    if any(network.domain for network in asking):
        text.append("In each of these routing domains there is one of its own, which knows the tenant's names alone.")
    return Reason("never", "", None, "", "", text)


def create_command(pool: SubnetPool) -> str:
    """What makes a network with a subnet of the subnet pool."""
    option = "pool" if pool.version == 4 else "pool6"
    words = [f" --ipam-opt tenant={pool.space}"] if pool.space != "default" else []
    words += [f" --ipam-opt {option}={pool.name}"] if pool.position is None else []
    six = " --ipv6" if pool.version == 6 else ""
    return f"docker network create -d mooring --ipam-driver mooring{six}{''.join(words)} NAME"


def subnet_by_rule(subnet: Subnet, cache: RecordCache, subnet_pools: Sequence[SubnetPool]) -> list[Reason]:
    """What is true of a subnet that no network and no pool has: a reason for each subnet pool that it meets."""
    found = []
    users = [pool for pool in cache.every(Pool) if overlap(pool.subnet, subnet)]
    for pool in subnet_pools:
        meets = [prefix for prefix in pool.prefixes if overlap(prefix, subnet)]
        if not meets:
            continue
        whole = covers(meets[0], subnet)
        text = [f"Subnet {subnet} is in no network yet." if not users else
                f"Part of subnet {subnet} is in use: {users_in_words(users, cache, NOBODY_ASKED)}."]  # fmt: skip
        text.append(
            f"It lies in the subnet pool {pool.name} ({meets[0]}), of which networks get a /{pool.length} each:"
            if whole
            else f"The subnet pool {pool.name} has {', '.join(map(str, meets[:5]))} of it, and gives networks a "
            f"/{pool.length} each:"
        )
        text.append(
            f"`{create_command(pool)}` may get a part of it; "
            f"`mooring subnet-pool inspect {pool.name}` shows what is left."
        )
        found.append(Reason("carvable", pool.space, str(subnet), "", "", text))
    return found


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
