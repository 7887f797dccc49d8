"""Who is called what on this host: an index of the records, of what the engine tells, and of operators' DNS records.

Rules: a name is there as long as its endpoint is attached, whatever the engine says meanwhile, and gone with it; what
the engine tells (names, aliases) is in memory only, and is asked for again after a start; in a network of the cluster
other hosts' names (RemoteNames) are told beside this one's.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from mooring.core.advertisements import EndpointNames
from mooring.core.attached_namespaces import is_namespaces
from mooring.core.cluster_networks import HostNetwork
from mooring.core.containers import Container
from mooring.core.dns_records import DnsRecord
from mooring.core.endpoints import Endpoint, Service, State
from mooring.core.host_names import Asker, Entry, dns_label, lookup
from mooring.core.keys import compose_service
from mooring.core.leases import Lease
from mooring.core.names import Answer, Question, Verdict
from mooring.core.networks import Address, Dns, Network
from mooring.core.port_bindings import Protocol
from mooring.services.containers.askers import Askers
from mooring.services.containers.name_index import NameIndex
from mooring.services.containers.remote_names import RemoteNames
from mooring.services.records.endpoint_index import EndpointIndex
from mooring.services.records.record_cache import Record, RecordCache

# IANA's names of ports that containers often have, for SRV; every port is found by its number, too.
PORT_NAMES = {
    22: "ssh", 25: "smtp", 53: "domain", 80: "http", 389: "ldap", 443: "https", 3306: "mysql", 5432: "postgresql",
    5672: "amqp", 6379: "redis", 8080: "http-alt", 9092: "kafka", 27017: "mongodb",
}  # fmt: skip

HOST = Asker()
# Seconds after the engine's first list in which a container that no engine tells of is waited for.
PATIENCE = 180.0


@dataclass(frozen=True, slots=True)
class _Told:
    """What the engine says of an endpoint's container. whole: by an inspection, with its aliases. healthy: as of
    Container, by the last inspection; a list is older than what events have told meanwhile."""

    container: str
    names: tuple[str, ...]
    whole: bool
    healthy: bool | None


class HostNames:
    """A Directory. Build it before the cache is loaded.

    zone: of all names. local_first: addresses of this host are told before those of other hosts. remote: who has names
    on other hosts.
    """

    def __init__(self, cache: RecordCache, endpoint_index: EndpointIndex, zone: str = "mooring") -> None:
        self._cache = cache
        self._endpoint_index = endpoint_index
        self.zone = zone
        self.local_first = False
        self._told: dict[str, _Told] = {}
        self._index = NameIndex()
        self._askers = Askers(cache, endpoint_index)
        self.remote = RemoteNames(self._count, self.network_name)
        # Attached since before a start, and the engine has not told of them since.
        self._unheard: set[str] = set()
        self._listed: float | None = None
        # Containers that only a list has told of, so that their aliases are not known yet.
        self._unasked: dict[str, None] = {}
        self._wake: Callable[[], None] = lambda: None
        self._listeners: list[Callable[[str], None]] = []
        cache.listen(self._follow, Endpoint, Lease, HostNetwork, Network, DnsRecord)

    @property
    def changes(self) -> int:
        """How many there were; what was looked up is true as long as it stays the same."""
        return self._index.changes

    def _count(self) -> None:
        self._index.changes += 1

    # -- what the engine tells -------------------------------------------------------------------------------------

    def wake_with(self, wake: Callable[[], None]) -> None:
        """Call it when there is somebody to ask for, or a record that may end."""
        self._wake = wake

    def note_loaded(self) -> None:
        """The records are there after a start: until the engine has told of everybody who is attached, with the
        aliases, and the other hosts of the cluster have been heard, nobody knows whether a name is missing. Not waited
        for are those of whom no engine tells: attached namespaces, and what is left of a network that is gone."""
        attached = (each for each in self._cache.every(Endpoint) if each.state is State.ATTACHED)
        told = (each for each in attached if not is_namespaces(each.id) and self._cache.network(each.network))
        # What no engine tells of has its name on record; what one asked for by name may have aliases besides.
        self._unheard = {each.id for each in told if not each.name}
        self.remote.incomplete = any(not each.leaving for each in self._cache.every(HostNetwork))
        self._count()

    def note_listed(self, now: float) -> None:
        """The engine has told of every container that it has. now: seconds since the boot. Whoever it does not tell of
        for PATIENCE is waited for no more: the record of one that is gone would keep all from being told. Nor are other
        hosts of the cluster."""
        if self._listed is None:
            self._listed = now
        if now - self._listed < PATIENCE:
            return
        self.remote.note_scanned()
        for endpoint_id in list(self._unheard):
            self._hear(endpoint_id)

    @property
    def unheard(self) -> bool:
        """Whether somebody on this host may have names that are not known, see note_loaded."""
        return bool(self._unheard)

    def is_unheard(self, endpoint_id: str) -> bool:
        """Whether that may have names that are not known."""
        return endpoint_id in self._unheard

    def unasked(self) -> list[str]:
        """Full ids of containers whose aliases are not known; nobody is told twice."""
        found, self._unasked = list(self._unasked), {}
        return found

    def note(self, container: Container) -> None:
        """The engine tells of the container."""
        first = tuple(
            filter(None, (dns_label(container.name), container.id[:12], dns_label(compose_service(container.labels))))
        )
        for place in container.endpoints:
            if not place.endpoint:
                continue
            endpoint = self._cache.endpoint(place.network, place.endpoint)
            if endpoint is None:
                continue
            self.note_network(place.network, place.name)
            before = self._told.get(place.endpoint)
            aliases = place.aliases
            if aliases is None and before is not None and before.whole and before.names[: len(first)] == first:
                if container.healthy not in (None, before.healthy) and self._goes_by_health(endpoint):
                    self._ask_for(container)
                continue
            names = tuple(dict.fromkeys((*first, *filter(None, map(dns_label, aliases or ())))))
            told = _Told(container.id, names, aliases is not None, container.healthy)
            self._told[place.endpoint] = told
            if aliases is None and container.running:
                self._ask_for(container)
            if before != told:
                self._put(endpoint)
            if aliases is not None or not container.running:
                self._hear(place.endpoint)

    def _ask_for(self, container: Container) -> None:
        self._unasked[container.id] = None
        self._wake()

    def note_network(self, network_id: str, name: str) -> None:
        """The engine calls the network so."""
        label = dns_label(name)
        if not label or not self._index.call(network_id, label):
            return
        for endpoint in self._endpoint_index.of_network(network_id):
            self._put(endpoint)
        for record in self._cache.every(DnsRecord):
            if record.network == network_id:
                self._put_record(record)

    # -- who asks --------------------------------------------------------------------------------------------------

    def asker(self, bridge: str, source: Address, domain: int = 0) -> Asker | None:
        """See Askers."""
        return self._askers.asker(bridge, source, domain)

    def asker_in(self, network_id: str) -> Asker:
        """Somebody who is in this network only."""
        return self._askers.in_networks([network_id])

    # -- what is asked ---------------------------------------------------------------------------------------------

    def lookup(self, question: Question, asker: Asker) -> Answer:
        """See core.host_names.lookup; after a start a name that nobody has may be REFUSED instead, see note_loaded."""
        answer = lookup(question, asker, self, self.zone, local_first=self.local_first)
        unsure = bool(self._unheard) or self.remote.incomplete
        return Answer(Verdict.REFUSED) if answer.verdict is Verdict.ABSENT and unsure else answer

    def named(self, network_id: str, name: str) -> Collection[Entry]:
        """See Directory."""
        found = self._index.named(network_id, name)
        others = self.remote.named(network_id, name, found)
        return (*found, *others) if others else found

    def networks_named(self, name: str) -> Collection[str]:
        """See Directory."""
        return self._index.networks_named(name)

    def at(self, address: Address) -> Collection[tuple[str, Entry]]:
        """See Directory."""
        found = self._index.at(address)
        if not self.remote:
            return found
        own = {network_id for network_id, _ in found}  # this host knows best what it has
        others = [each for each in self._askers.networks_with(address) if each not in own]
        return (*found, *((each, entry) for each in others for entry in self.remote.at(each, address)))

    def is_ours(self, address: Address, asker: Asker) -> bool:
        """See Directory."""
        return self._askers.is_ours(address, asker)

    def rows(self) -> list[tuple[str, str, Entry]]:
        """Everybody on this host who has a name: a key (an endpoint's id; for a record it has a slash), the full id of
        the network, and the entry."""
        return self._index.rows()

    def network_name(self, network_id: str) -> str:
        """What the network is called in names, "" for no network."""
        return self._index.network_name(network_id)

    # -- what other hosts are told ---------------------------------------------------------------------------------

    def listen(self, listener: Callable[[str], None]) -> None:
        """Call it with the id of each endpoint of which names_of or is_unheard say something else from now on."""
        self._listeners.append(listener)

    def names_of(self, endpoint_id: str) -> EndpointNames:
        """What the endpoint of this host is called; nothing while it has no names here."""
        known, told = self._index.get(endpoint_id), self._told.get(endpoint_id)
        if known is None:
            return EndpointNames()
        entry = known[1]
        container = told.container if told is not None else ""
        return EndpointNames(entry.names, container, entry.services, bool(entry.addresses))

    # -- following the records -------------------------------------------------------------------------------------

    def _follow(self, _key: str, before: Record | None, after: Record | None) -> None:
        match after or before:
            case Endpoint() as endpoint:
                if after is None:
                    self._told.pop(endpoint.id, None)
                    self._take(endpoint.id)
                    self._hear(endpoint.id)
                else:
                    self._put(endpoint)
            case Lease() as lease:
                self._learn_name(lease, before)
            case HostNetwork() as part:
                if after is not None and not part.leaving:
                    self.remote.take_part(part.shared.id, part.network)
                else:
                    self.remote.leave(part.network)
            case Network() as network:
                self._follow_network(before, after)
                if after is not None and (network.name or not self._index.is_called(network.id)):
                    self.note_network(network.id, network.name or network.id[:12])
            case DnsRecord() as record:
                if after is None:
                    self._index.take(_record_key(record))
                else:
                    self._put_record(record)
            case _:
                pass

    def _hear(self, endpoint_id: str) -> None:
        if endpoint_id in self._unheard:
            self._unheard.discard(endpoint_id)
            self._count()
            self._tell(endpoint_id)

    def _follow_network(self, before: Record | None, after: Record | None) -> None:
        self._askers.follow(before, after)
        if isinstance(before, Network) and after is None:
            self._index.forget_network(before.id)
        self._count()

    def _learn_name(self, lease: Lease, before: Record | None) -> None:
        """An engine from 29 on says who asks for an address: nobody has to be asked then."""
        if not lease.name or (isinstance(before, Lease) and before.name == lease.name):
            return
        pool = self._cache.pool(lease.pool)
        endpoint = self._endpoint_index.at(pool.network, lease.address) if pool is not None else None
        if endpoint is not None:
            self._put(endpoint)

    def _put(self, endpoint: Endpoint) -> None:
        """The endpoint has the names that it should have, and no other."""
        names = self._names_of(endpoint)
        healthy = self._health(endpoint)
        gone = endpoint.state is not State.ATTACHED or endpoint.pending is not None
        if gone or not names or healthy is None:
            self._take(endpoint.id)
            return
        # Without addresses its names are there all the same, so that nobody else is asked for them.
        addresses = endpoint.addresses if healthy else ()
        entry = Entry(names, addresses, self.network_name(endpoint.network), _services(endpoint))
        if self._index.put(endpoint.id, endpoint.network, entry):
            self._tell(endpoint.id)

    def _take(self, endpoint_id: str) -> None:
        if self._index.take(endpoint_id):
            self._tell(endpoint_id)

    def _tell(self, endpoint_id: str) -> None:
        for listener in self._listeners:
            listener(endpoint_id)

    def _health(self, endpoint: Endpoint) -> bool | None:
        """Whether its names have its addresses; None while that is not known."""
        if not self._goes_by_health(endpoint):
            return True
        told = self._told.get(endpoint.id)
        if told is None and endpoint.name:
            return True  # one that no engine tells of: its name is on record
        return told.healthy if told is not None and told.whole else None

    def _goes_by_health(self, endpoint: Endpoint) -> bool:
        network = self._cache.network(endpoint.network)
        return network is not None and network.options.dns is Dns.HEALTHY

    def _put_record(self, record: DnsRecord) -> None:
        entry = Entry((record.name,), record.addresses, self.network_name(record.network))
        self._index.put(_record_key(record), record.network, entry)
        self._wake()

    def _names_of(self, endpoint: Endpoint) -> tuple[str, ...]:
        told = self._told.get(endpoint.id)
        if told is not None:
            return told.names
        own = (endpoint.name, *endpoint.aliases)
        network = self._cache.network(endpoint.network)
        for address in endpoint.addresses:
            segment = network.segment_of(address) if network is not None else None
            lease = self._cache.lease(segment.space, address) if segment is not None else None
            own += (lease.name if lease is not None else "",)
        return tuple(dict.fromkeys(filter(None, map(dns_label, own))))


def _record_key(record: DnsRecord) -> str:
    """Its place among the entries: no id of an endpoint has a slash."""
    return f"{record.network}/{record.name}"


def _services(endpoint: Endpoint) -> tuple[Service, ...]:
    """What it listens on, as far as it is exposed or published."""
    ports: set[tuple[Protocol, int]] = set(endpoint.exposed) | {
        (each.protocol, each.target_port) for each in endpoint.published
    }
    found = [Service(PORT_NAMES.get(port, ""), protocol, port) for protocol, port in sorted(ports)]
    return (*endpoint.services, *found)
