"""Whether an endpoint that is asked for may be made: its id, its addresses and its MAC.

Rule: two interfaces with one MAC on one bridge take each other's traffic, so the second is refused while anybody is
behind the first.
"""

from __future__ import annotations

from mooring.core.attached_namespaces import is_namespaces, namespace_name
from mooring.core.endpoints import Endpoint
from mooring.core.faults import BadRequest, Conflict
from mooring.core.networks import Network, Origin
from mooring.core.requests import EndpointGrant, EndpointRequest
from mooring.services.networking.liveness import Liveness
from mooring.services.records.endpoint_containers import EndpointContainers
from mooring.services.records.endpoint_index import EndpointIndex
from mooring.services.records.record_cache import RecordCache


class EndpointAdmission:
    """`check_mac`, of what is not on record yet."""

    def __init__(
        self, cache: RecordCache, endpoint_index: EndpointIndex, liveness: Liveness, containers: EndpointContainers
    ) -> None:
        self._cache = cache
        self._endpoint_index = endpoint_index
        self._liveness = liveness
        self._containers = containers

    async def check_mac(self, network: Network, endpoint: Endpoint) -> None:
        """Raises Conflict for the MAC of another living endpoint or of the bridge. A dead endpoint with the MAC is
        removed. Nobody else may record an endpoint of the network meanwhile."""
        if not endpoint.mac or not network.bridged or network.origin is not Origin.ENGINE:
            return
        what = f"MAC {endpoint.mac} is already in use in network {network.id[:12]}"
        if endpoint.mac == network.mac:
            raise Conflict(what, holder=f"the network's bridge {network.bridge}", hint="choose another MAC")
        other = self._endpoint_index.with_mac(network.id, endpoint.mac)
        # Who has an address that is asked for is dead, or that refuses it.
        if other is None or other.id == endpoint.id or set(other.addresses) & set(endpoint.addresses):
            return
        if await self._liveness.is_alive(other):
            address = other.addresses[0] if other.addresses else ""
            raise Conflict(
                what,
                holder=self._name(network, other),
                hint=f"stop it, or use another MAC or key; see `mooring explain {address or endpoint.mac}`",
            )
        await self._liveness.forget_dead(other)

    def _name(self, network: Network, endpoint: Endpoint) -> str:
        """The container that has it, and those that hold its addresses, where they are known, and what it has."""
        if is_namespaces(endpoint.id):
            return f"{namespace_name(endpoint)} ({', '.join(map(str, endpoint.addresses))})"
        if told := self._containers.name(endpoint.id):  # of several holders of one address it is the one that runs
            return f"container {told} ({', '.join(map(str, endpoint.addresses))})"
        names: set[str] = set()
        for address in endpoint.addresses:
            segment = network.segment_of(address)
            lease = self._cache.lease(segment.space, address) if segment is not None else None
            holders = (self._cache.holder(ident) for ident in (lease.holders if lease is not None else ()))
            names |= {holder.name for holder in holders if holder is not None and holder.name}
        who = f"container {', '.join(sorted(names))}" if names else f"endpoint {endpoint.id[:12]}"
        return f"{who} ({', '.join(map(str, endpoint.addresses))})" if endpoint.addresses else who


def same(known: Endpoint, request: EndpointRequest) -> EndpointGrant:
    """What was granted when the endpoint was made. Raises Conflict when other things are asked for now."""
    asked = (request.ipv4 or known.ipv4, request.ipv6 or known.ipv6, request.mac or known.mac)
    if asked != (known.ipv4, known.ipv6, known.mac):
        raise Conflict(
            f"endpoint {known.id[:12]} already exists with other addresses",
            holder=", ".join(str(address) for address in known.addresses),
            hint="delete it first",
        )
    return granted(known, request)


def granted(endpoint: Endpoint, request: EndpointRequest) -> EndpointGrant:
    """Only what the request left open: dockerd refuses a reply that repeats even the identical value."""
    return EndpointGrant(
        ipv4=None if request.ipv4 else endpoint.ipv4,
        ipv6=None if request.ipv6 else endpoint.ipv6,
        mac="" if request.mac else endpoint.mac,
    )


def must_fit(network: Network, request: EndpointRequest) -> None:
    """Raises BadRequest for an address outside of the network, Conflict for the gateway's."""
    for interface in (request.ipv4, request.ipv6):
        if interface is None or not network.bridged:
            continue
        segment = network.segment_of(interface.ip)
        if segment is None:
            raise BadRequest(
                f"address {interface.ip} is in no subnet of network {network.id[:12]}",
                hint=f"it has {', '.join(str(part.subnet) for part in network.segments) or 'none'}",
            )
        if segment.gateway is not None and segment.gateway.ip == interface.ip:
            raise Conflict(f"address {interface.ip} is taken", holder=f"the gateway of network {network.id[:12]}")
