"""Which network port a request of Docker's API means: by the driver option or the label `mooring.port`, or by naming an
address or the MAC that a port has.

Rules: a port goes into the body as a fixed address does, and the container becomes one of its holders; what a request
names besides is the port's, or the request is refused; a port that the engine could not be made to ask for is refused
when the container is made, not when it starts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from mooring.core.docker_requests import ContainerSpec, EndpointConfig
from mooring.core.faults import BadRequest, Conflict
from mooring.core.keys import PORT_LABEL, is_ports
from mooring.core.leases import Lease
from mooring.core.network_ports import NetworkPort, references
from mooring.core.networks import Address, Network
from mooring.services.containers.container_specs import addresses_of
from mooring.services.containers.fixed_allocator import FixedSpec
from mooring.services.networking.own_subnets import OWNED
from mooring.services.records.network_ports import check_whole, port_at, port_in, ports_of
from mooring.services.records.record_cache import RecordCache


class PortChoice:
    """`concerns` of a whole request, `meant` and `check` of a container's place in one network."""

    def __init__(self, cache: RecordCache) -> None:
        self._cache = cache

    def concerns(self, spec: ContainerSpec) -> bool:
        """Whether the request may mean a port. Quick for the usual one, of a host without ports."""
        if spec.labels.get(PORT_LABEL) or any(each.port for each in spec.endpoints):
            return True
        if not self._cache.count(NetworkPort):
            return False
        return bool(spec.mac) or any(each.ipv4 or each.ipv6 or each.mac for each in spec.endpoints)

    def meant(
        self, network: Network, endpoint: EndpointConfig, mac: str, labels: Mapping[str, str]
    ) -> NetworkPort | None:
        """The port of the network that is meant, None for none. mac: the one that the endpoint will have, "" for none.

        Raises BadRequest for a driver option that names none, Conflict when something else than the port's is named, or
        when the port has lost an address.
        """
        named = addresses_of(endpoint) or ()
        port = self._asked(network, endpoint, labels) or self._of_what_is_named(network, named, mac)
        if port is None:
            return None
        check_whole(port, self._cache)
        others = [str(each) for each in named if port.address(each.version) not in (None, each)]
        if mac and mac != port.mac:
            others.append(f"MAC {mac}")
        if others:
            raise Conflict(
                f"port {port.in_words()}, MAC {port.mac}, is asked for together with {' and '.join(others)}",
                hint="name the port alone",
            )
        return port

    def _asked(self, network: Network, endpoint: EndpointConfig, labels: Mapping[str, str]) -> NetworkPort | None:
        if endpoint.port:
            port = port_in(network.id, endpoint.port, self._cache)
            if port is None:
                raise BadRequest(
                    f"network {endpoint.network} has no port {endpoint.port[:70]!r}",
                    hint="`mooring port ls` lists them",
                )
            return port
        named = references(labels.get(PORT_LABEL, ""))
        found = [port for each in named if (port := port_in(network.id, each, self._cache)) is not None]
        if len(found) > 1:
            both = " and ".join(port.in_words() for port in found)
            raise Conflict(f"label {PORT_LABEL} names two ports of network {endpoint.network}: {both}")
        return found[0] if found else None

    def _of_what_is_named(self, network: Network, named: Sequence[Address], mac: str) -> NetworkPort | None:
        found = (port_at(network, address, self._cache) for address in named)
        by_mac = (port for port in ports_of(network.id, self._cache) if mac and port.mac == mac)
        return next((port for port in (*found, *by_mac) if port is not None), None)

    def check(self, fixed_spec: FixedSpec, port: NetworkPort) -> None:
        """Raises Conflict when neither the port's MAC nor all of its addresses can be put into the request."""
        pools = [self._cache.pool(segment.pool) for segment in fixed_spec.network.segments]
        typed = all(pool is not None and not pool.source for pool in pools)
        if fixed_spec.settable or fixed_spec.mac or (fixed_spec.nameable and (fixed_spec.anywhere or typed)):
            return
        raise Conflict(
            f"port {port.in_words()} cannot be asked for in this way: this version of Docker takes neither its address "
            "nor its MAC here",
            hint="make the container with this network alone, or give the network a --subnet",
        )

    def check_label(self, labels: Mapping[str, str]) -> None:
        """Raises BadRequest for a port that the label names and that no network has. Of those of other networks nothing
        is said: a container may be connected to them later."""
        for each in references(labels.get(PORT_LABEL, "")):
            if not any(each == port.name or port.id.startswith(each) for port in self._cache.every(NetworkPort)):
                raise BadRequest(
                    f"label {PORT_LABEL}: there is no port {each[:70]!r}", hint="`mooring port ls` lists them"
                )


def is_asked_by_option(lease: Lease, cache: RecordCache) -> bool:
    """Whether the container that holds the lease has no need of an address or a MAC in its configuration: the driver
    option is there, which is all that says a port where Docker's IPAM driver is null."""
    pool = cache.pool(lease.pool) if is_ports(lease.key) else None
    return pool is not None and OWNED in pool.options
