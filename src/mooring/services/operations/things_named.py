"""What is told of a name or an id that is not a container's: of ports, VNICs and DNS names.

Rules: whose an address is, is said as of any address; here is only what has none, or another one: a port that lost its
own, and a DNS record, whose addresses may be anybody's.
"""

from __future__ import annotations

from collections.abc import Iterator

from mooring.core.dns_records import DnsRecord
from mooring.core.endpoints import Endpoint
from mooring.core.host_names import splits
from mooring.core.leases import State
from mooring.core.network_ports import NetworkPort
from mooring.core.times import moment
from mooring.core.views import Reason
from mooring.core.vnics import Vnic, group_of
from mooring.services.containers.host_names import HostNames
from mooring.services.operations.explain import explain_address
from mooring.services.operations.scenes import Scene
from mooring.services.records.network_ports import how_to_mend, lost_of
from mooring.services.records.record_cache import RecordCache

# The shortest beginning of a port's id.
_SHORTEST = 4


def ports_named(what: str, cache: RecordCache) -> list[NetworkPort]:
    """Those with the name, or whose id begins so."""
    return [
        port
        for port in cache.every(NetworkPort)
        if what == port.name or (len(what) >= _SHORTEST and port.id.startswith(what.lower()))
    ]


def of_lost_port(port: NetworkPort, cache: RecordCache) -> list[Reason]:
    """What is true of a port whose network came back without its address."""
    lost = lost_of(port, cache)
    if not lost:
        return []
    gone = ", ".join(map(str, lost))
    return [
        Reason("none", port.space, None, port.network, State.FIXED.value, [
            f"Port {port.in_words()}, MAC {port.mac}, cannot be used: network {port.network_name or port.network[:12]} "
            f"came back without {gone}.",
            f"What to do: {how_to_mend(port)}.",
        ])
    ]  # fmt: skip


def of_vnics(what: str, scene: Scene) -> list[Reason]:
    """What is true of the address of the VNIC with the id, or with the interface."""
    return [
        reason
        for vnic in scene.cache.every(Vnic)
        if what in (vnic.id, vnic.link, vnic.host_end)
        for reason in explain_address(vnic.address, scene).reasons
        if _is_of(reason, vnic, scene.cache)
    ]


def _is_of(reason: Reason, vnic: Vnic, cache: RecordCache) -> bool:
    """Another tenant's VNIC may have the address; the address space of a network is Docker's with Docker's IPAM."""
    network = cache.network(reason.network) if reason.network else None
    if network is not None:
        return network.handed_over and group_of(network) == vnic.group
    return (reason.space, reason.subnet) == (vnic.tenant or "default", str(vnic.subnet))


def of_dns_name(what: str, host_names: HostNames, cache: RecordCache) -> tuple[list[Endpoint], list[Reason]]:
    """The endpoints that have the complete name, and what is true of the records of it; of containers on other hosts
    their names alone will do, as no engine here knows them."""
    endpoints, reasons = [], []
    for key, network_id in _named(what.lower().removesuffix("."), host_names):
        record = cache.dns_record(network_id, key.partition("/")[2]) if "/" in key else None
        endpoint = cache.endpoint(network_id, key)
        if record is not None:
            reasons.append(_of_record(record, host_names))
        elif endpoint is not None:
            endpoints.append(endpoint)
    return endpoints, [*reasons, *_elsewhere(what.lower().removesuffix("."), host_names)]


def _named(what: str, host_names: HostNames) -> Iterator[tuple[str, str]]:
    """The key and the network of each entry that has the name, with or without the zone."""
    relative = what.removesuffix(f".{host_names.zone}")
    for key, network_id, entry in host_names.rows():
        place = f".{entry.network}" if entry.network else ""
        if any(relative == f"{name}{place}" for name in entry.names):
            yield key, network_id


def _elsewhere(what: str, host_names: HostNames) -> Iterator[Reason]:
    """What is true of those on other hosts of the cluster that have the name, complete or by itself."""
    remote = host_names.remote
    found = [(network_id, entry) for _, network_id, entry in remote.rows() if what in entry.names]
    for name, network in splits(what.removesuffix(f".{host_names.zone}")):
        for network_id in host_names.networks_named(network):
            found += [(network_id, entry) for entry in remote.named(network_id, name, ())]
    for network_id, entry in found:
        host = remote.host_name(entry.host)
        addresses = ", ".join(map(str, entry.addresses)) or "no address, as it is not healthy"
        heard = ", which is not heard" if remote.is_silent(entry.host) else ""
        more = f"`mooring explain {entry.names[0]}` on host {host} says more."
        yield Reason("none", "", None, network_id, "", [
            f"{entry.full_name(host_names.zone)} is a container of host {host}{heard}, with {addresses}.",
            *((more,) if not heard else ()),
        ])  # fmt: skip


def _of_record(record: DnsRecord, host_names: HostNames) -> Reason:
    place = host_names.network_name(record.network)
    name = ".".join(filter(None, (record.name, place, host_names.zone)))
    whom = f"in network {place}" if place else "for everybody"
    note = f" Note: {record.note}." if record.note else ""
    end = f" It ends at {moment(record.until)}." if record.until is not None else ""
    remove = f"mooring dns rm {record.name}" + (f" --network {place}" if place else "")
    addresses = ", ".join(map(str, record.addresses))
    return Reason("none", "", None, record.network, "", [
        f"{name} is a DNS record {whom}, of {addresses}; an operator added it at {moment(record.created)}.{note}{end}",
        f"`{remove}` ends it; `mooring explain {record.addresses[0]}` says whose the address is.",
    ])  # fmt: skip
