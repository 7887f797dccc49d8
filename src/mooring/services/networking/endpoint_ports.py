"""Which network port an endpoint that is asked for is to have, and whether it may.

Rules: an endpoint has all that a port has, or nothing of it; what Docker has chosen is never replaced, it is refused
with what has to be said to Docker; whether somebody else has the port is the allocator's to say.
"""

from __future__ import annotations

from mooring.core.endpoint_options import PORT
from mooring.core.endpoints import Endpoint
from mooring.core.faults import BadRequest, Conflict, NotFound
from mooring.core.network_ports import NetworkPort
from mooring.core.networks import Network
from mooring.core.requests import EndpointRequest
from mooring.services.records.address_index import AddressIndex
from mooring.services.records.fixed_index import FixedIndex
from mooring.services.records.network_ports import check_whole, how_to_ask, port_at, port_in, port_of_lease, ports_of
from mooring.services.records.record_cache import RecordCache


class EndpointPorts:
    """`asked` before the addresses of an endpoint are complete, `check` after."""

    def __init__(self, cache: RecordCache, index: AddressIndex, fixed_index: FixedIndex) -> None:
        self._cache = cache
        self._index = index
        self._fixed_index = fixed_index

    def asked(self, network: Network, request: EndpointRequest) -> NetworkPort | None:
        """The port that the endpoint's options name, or whose MAC it brings; None for an endpoint without one.

        Raises NotFound for a port that the network has not, BadRequest for options that contradict it, Conflict when
        Docker has given other addresses already, or the port has lost one of its own.
        """
        if not self._cache.count(NetworkPort):
            if PORT in request.options:
                raise self._unknown(network, request.options[PORT])
            return None
        reference = request.options.get(PORT, "")
        port = port_in(network.id, reference, self._cache) if reference else self._with_mac(network, request.mac)
        if port is None:
            if reference:
                raise self._unknown(network, reference)
            return None
        check_whole(port, self._cache)
        for subnet in request.subnets:
            address = port.address(subnet.version)
            if address is not None and address not in subnet:
                raise BadRequest(f"port {port.in_words()} is not in subnet {subnet}", hint="name one of the two")
        given = [each.ip for each in (request.ipv4, request.ipv6) if each is not None]
        for each in given:
            mine = port.address(each.version)
            if reference and mine is not None and mine != each:
                self._check_user(network, port)
                raise Conflict(
                    f"port {port.in_words()} was asked for, and Docker has given the container {each}: it lets no "
                    "driver choose",
                    hint=f"add `{how_to_ask(port, self._cache)}`, or make the container at the proxy's socket, which "
                    "adds it",
                )
        if not given and request.mac not in ("", port.mac):
            raise Conflict(f"port {port.in_words()} has MAC {port.mac}, not {request.mac}", hint="leave out the MAC")
        return port

    def check(self, network: Network, endpoint: Endpoint, asked: NetworkPort | None) -> None:
        """Raises Conflict for an endpoint that has a part of a port, things of two, or a port's MAC without it."""
        if not self._cache.count(NetworkPort):
            return
        found = {port.id: port for each in endpoint.addresses if (port := port_at(network, each, self._cache))}
        if asked is not None:
            found[asked.id] = asked
        if len(found) > 1:
            both = " and ".join(port.in_words() for port in found.values())
            raise Conflict(f"the addresses are of several ports: {both}", hint="choose one of them")
        for port in found.values():
            check_whole(port, self._cache)
            missing = [str(each) for each in port.addresses if each not in endpoint.addresses]
            if missing:
                self._check_user(network, port)
                raise Conflict(
                    f"port {port.in_words()} is used as a whole, and the container is to have no {', '.join(missing)}",
                    hint=f"add `{how_to_ask(port, self._cache)}`",
                )
        owner = self._with_mac(network, endpoint.mac)
        if owner is not None and owner.id not in found:
            self._check_user(network, owner)
            raise Conflict(
                f"MAC {endpoint.mac} is that of port {owner.in_words()}",
                hint=f"choose another MAC, or add `{owner.how()}`",
            )

    def _check_user(self, network: Network, port: NetworkPort) -> None:
        """Raises Conflict when an endpoint has the port."""
        users = (self._index.endpoints.at(network.id, address) for address in port.addresses)
        if (user := next((each for each in users if each is not None), None)) is not None:
            raise Conflict(
                f"port {port.in_words()}, MAC {port.mac}, is in use",
                holder=self._index.called(network.id, user.id),
                hint="stop that container, or use another port",
            )

    def _with_mac(self, network: Network, mac: str) -> NetworkPort | None:
        leases = self._fixed_index.with_mac(network.id, mac) if mac else []
        found = (port_of_lease(lease, network.id, self._cache) for lease in leases)
        return next((port for port in found if port is not None), None)

    def _unknown(self, network: Network, reference: str) -> NotFound:
        names = ", ".join(port.name for port in ports_of(network.id, self._cache)[:5])
        place = network.name or network.id[:12]
        return NotFound(
            f"network {place} has no port {reference[:70]!r}",
            hint=f"it has {names}" if names else f"`mooring port create --network {place} --name NAME` makes one",
        )
