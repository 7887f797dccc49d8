"""What the other hosts are told of this one: its attached endpoints in cluster networks, by their addresses and names,
and its own addresses in overlays.

Rules: what is told follows from the records, from what the engine calls containers, and from where this host is
reached; nobody who makes or removes something waits for it. Nothing is told, and nothing that was told is taken back,
before it is known where this host is reached; and no names, after a start, before the engine has been heard.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from mooring.core.advertisements import Advertisement, EndpointNames, advertisement_key
from mooring.core.cluster_hosts import Membership
from mooring.core.cluster_networks import HostNetwork
from mooring.core.endpoints import Endpoint, State
from mooring.core.faults import Fault, Unavailable
from mooring.core.ingress import told_ports
from mooring.core.networks import Address
from mooring.core.port_bindings import PortBinding
from mooring.ports import Cluster
from mooring.services.cluster.advertisement_writer import AdvertisementWriter
from mooring.services.networking.host_overlays import HostOverlays
from mooring.services.records.endpoint_index import Records
from mooring.services.records.record_cache import Record


class Naming(Protocol):
    """Who knows what endpoints are called: HostNames."""

    def is_unheard(self, endpoint_id: str) -> bool:
        """Whether the endpoint was there before the start, and may have names that are not known yet."""
        ...

    def listen(self, listener: Callable[[str], None]) -> None:
        """Call it with the id of each endpoint of which these say something else from now on."""
        ...

    def names_of(self, endpoint_id: str) -> EndpointNames:
        """What the endpoint is called."""
        ...


class Advertiser:
    """A Part of the cluster's runtime, after HostOverlays; `run` for as long as the daemon serves. Build it before the
    cache is loaded. complaint: what keeps the others from being told, "" for nothing."""

    def __init__(
        self,
        records: Records,
        overlays: HostOverlays,
        naming: Naming | None = None,
        is_strange: Callable[[], bool] = lambda: False,
    ) -> None:
        """is_strange: of AdvertisementWriter."""
        self._cache, self._index = records.cache, records.endpoint_index
        self._overlays, self._naming = overlays, naming
        self._writer = AdvertisementWriter(records.clock, is_strange)
        self._parts: dict[str, HostNetwork] = {}  # by the network's id here
        self._keys: dict[tuple[str, str], str] = {}  # what is wanted, by network and endpoint here
        self._networks: dict[str, str] = {}  # of each endpoint that is attached in one of them
        self._cluster: Cluster | None = None
        self._host = ""
        self._writing = False
        self._cache.listen(self._follow, HostNetwork, Endpoint)
        overlays.listen(self._tell_all)
        if naming is not None:
            naming.listen(self._named)

    async def entered(self, cluster: Cluster, membership: Membership) -> None:
        """See Part."""
        self._cluster, self._host, self._writing = cluster, membership.host, False
        self._tell_all()
        self._begin()

    async def left(self) -> None:
        """See Part."""
        self._cluster, self._writing = None, False
        await self._writer.leave(remove=self._overlays.leaving_for_good)

    async def forgotten(self) -> None:
        """See Forgettable. It is told again from the turn on in which the cluster has the host, as after a restore."""
        if self._cluster is None or not self._writing:
            return
        try:
            await self._writer.leave(remove=True)
        except Unavailable:
            self._writer.enter(self._cluster, self._host)
            raise
        self._writing = False

    async def turn(self) -> list[Fault]:
        """See Part."""
        self._begin()
        return self._writer.turn()

    def waiting(self) -> Mapping[str, int]:
        """See Waiting. After a start everything waits until the cluster was reached, as nobody knows what it has."""
        words = "endpoint to tell the other hosts of|endpoints to tell the other hosts of"
        return {words: self._writer.waiting if self._cluster is not None else 0}

    def tell_again(self) -> None:
        """What the cluster has of this host is looked at, and put right, soon."""
        self._writer.look_again()

    async def run(self) -> None:
        """Tell, for ever."""
        await self._writer.run()

    async def settle(self) -> None:
        """What was so before this call has been told, if the cluster was reached."""
        await self._writer.settle()

    def _begin(self) -> None:
        """It is told from now on, if it is known where this host is reached."""
        if self._cluster is None or self._writing or self._overlays.underlay is None:
            return
        self._writing = True
        self._writer.enter(self._cluster, self._host)

    def _tell_all(self) -> None:
        for part in list(self._parts.values()):
            self._tell_network(part.network)

    def _tell_network(self, network: str) -> None:
        self._tell_own(network)
        for endpoint in self._index.of_network(network):
            self._tell(endpoint)

    def _tell_own(self, network: str) -> None:
        part, known = self._parts.get(network), self._cache.network(network)
        own = part.own if part is not None else ()
        self._want(network, "", known.mac if known is not None else "", own if known is not None else ())

    def _tell(self, endpoint: Endpoint) -> None:
        if endpoint.network in self._parts:
            self._networks[endpoint.id] = endpoint.network
        attached = endpoint.state is State.ATTACHED
        names = self._naming.names_of(endpoint.id) if attached and self._naming is not None else None
        network = self._cache.network(endpoint.network)
        ports = told_ports(network, endpoint) if network is not None else ()
        self._want(endpoint.network, endpoint.id, endpoint.mac, endpoint.addresses if attached else (), names, ports)

    def _want(
        self, network: str, endpoint: str, mac: str, addresses: tuple[Address, ...], names: EndpointNames | None = None,
        ports: tuple[PortBinding, ...] = (),
    ) -> None:  # fmt: skip
        """The endpoint is advertised so; without addresses, not at all."""
        part, known, names = self._parts.get(network), self._cache.network(network), names or EndpointNames()
        local = self._overlays.local(known) if known is not None else None
        place = (network, endpoint)
        key, told = "", None
        shared = part.shared.id if part is not None and not part.leaving else ""  # "" until the cluster has been asked
        if shared and local is not None and self._host and addresses:
            key = advertisement_key(self._host, shared, endpoint)
            told = Advertisement(
                network=shared, host=self._host, endpoint=endpoint, mac=mac, addresses=addresses,
                underlay=local, container=names.container, names=names.names,
                services=names.services, healthy=names.healthy, ports=ports,
            )  # fmt: skip
        before = self._keys.pop(place, "")
        if before and before != key:
            self._writer.want(before, None)
        if told is not None:
            self._keys[place] = key
            self._writer.want(key, told, nameless=self._naming is not None and self._naming.is_unheard(endpoint))

    def _named(self, endpoint_id: str) -> None:
        network = self._networks.get(endpoint_id, "")
        endpoint = self._cache.endpoint(network, endpoint_id) if network else None
        if endpoint is not None:
            self._tell(endpoint)

    def _follow(self, _key: str, before: Record | None, after: Record | None) -> None:
        if isinstance(before, HostNetwork) and not isinstance(after, HostNetwork):
            self._parts.pop(before.network, None)
            self._tell_network(before.network)
            for network, endpoint in [place for place in self._keys if place[0] == before.network]:
                self._want(network, endpoint, "", ())
        if isinstance(after, HostNetwork):
            self._parts[after.network] = after
            self._tell_network(after.network)
        if isinstance(before, Endpoint) and not isinstance(after, Endpoint):
            self._networks.pop(before.id, None)
            self._want(before.network, before.id, "", ())
        if isinstance(after, Endpoint) and after.network in self._parts:
            self._tell(after)
