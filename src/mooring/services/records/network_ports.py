"""Network ports found: by what a person or a container calls them, by their leases, by MAC.

Rules: an id is before a name; a name is somebody's in one network, and may be another's in the next.
"""

from __future__ import annotations

from collections.abc import Iterable

from mooring.core.faults import Conflict, NotFound
from mooring.core.keys import is_ports
from mooring.core.leases import Lease
from mooring.core.network_ports import NetworkPort
from mooring.core.networks import Address, Network
from mooring.services.records.record_cache import RecordCache

# What is taken for the beginning of an id.
_SHORTEST = 4


def ports_of(network_id: str, cache: RecordCache) -> list[NetworkPort]:
    """Those of the network, by name."""
    found = [port for port in cache.every(NetworkPort) if port.network == network_id]
    return sorted(found, key=lambda port: port.name)


def port_in(network_id: str, reference: str, cache: RecordCache) -> NetworkPort | None:
    """The network's port with the id, or a beginning of it that no other has, or the name."""
    return _meant(reference, ports_of(network_id, cache))


def port_meant(reference: str, cache: RecordCache) -> NetworkPort:
    """The one port of all networks. Raises NotFound, Conflict for the name of several, naming their networks."""
    ports = sorted(cache.every(NetworkPort), key=lambda port: port.id)
    named = [port for port in ports if port.name == reference]
    found = _meant(reference, ports)
    if found is None:
        raise NotFound(f"there is no port {reference[:70]!r}", hint="`mooring port ls` lists them")
    if found.id != reference and len(named) > 1:
        places = ", ".join(f"{port.id[:12]} in network {port.network_name or port.network[:12]}" for port in named[:5])
        raise Conflict(f"{len(named)} ports are called {reference!r}: {places}", hint="give the ID")
    return found


def port_of_lease(lease: Lease, network_id: str, cache: RecordCache) -> NetworkPort | None:
    """Whose the lease in the network is, None when it is no port's."""
    if not is_ports(lease.key):
        return None
    return next((port for port in ports_of(network_id, cache) if port.key == lease.key), None)


def port_at(network: Network, address: Address, cache: RecordCache) -> NetworkPort | None:
    """Which port of the network has the address."""
    segment = network.segment_of(address)
    lease = cache.lease(segment.space, address) if segment is not None else None
    return port_of_lease(lease, network.id, cache) if lease is not None else None


def lost_of(port: NetworkPort, cache: RecordCache) -> list[Address]:
    """What the port has no longer: its network came back with another subnet, or somebody had the address before.
    Nothing while it waits for its network."""
    network = cache.network(port.network)
    if network is None:
        return []
    return [each for each in port.addresses if (found := port_at(network, each, cache)) is None or found.id != port.id]


def check_whole(port: NetworkPort, cache: RecordCache) -> None:
    """Raises Conflict for a port that has lost an address: no option of Docker's can ask for it."""
    if lost := lost_of(port, cache):
        place = port.network_name or port.network[:12]
        raise Conflict(
            f"port {port.in_words()} cannot be used: network {place} came back without {', '.join(map(str, lost))}",
            hint=how_to_mend(port),
        )


def how_to_mend(port: NetworkPort) -> str:
    """What becomes of a port that has lost an address."""
    place = port.network_name or port.network[:12]
    return (
        f"`mooring port rm {port.id[:12]}`, then `mooring port create --network {place} --name {port.name} "
        f"--mac {port.mac}`, or create the network again with its old subnet"
    )


def _meant(reference: str, ports: Iterable[NetworkPort]) -> NetworkPort | None:
    ports = list(ports)
    begun = [port for port in ports if len(reference) >= _SHORTEST and port.id.startswith(reference)]
    for found in ([port for port in ports if port.id == reference], [port for port in ports if port.name == reference]):
        if found:
            return found[0]
    return begun[0] if len(begun) == 1 else None


def how_to_ask(port: NetworkPort, cache: RecordCache) -> str:
    """The options of `docker run` that ask for the port: without addresses where Docker before 29.1 takes none by name,
    which is in subnets that Mooring chose; and where it has lost one: who asks by the MAC is told so."""
    network = cache.network(port.network)
    pools = [cache.pool(segment.pool) for segment in network.segments] if network is not None else []
    chosen = any(pool is not None and pool.source for pool in pools)
    return port.how(by_address=not chosen and not lost_of(port, cache))
