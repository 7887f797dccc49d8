"""Who is called what on this host: an index of the records, of what the engine tells, and of operators' DNS records.

Rules: a name is there as long as its endpoint is attached, whatever the engine says meanwhile, and gone with it; what
the engine tells (names, aliases) is in memory only, and is asked for again after a start; a change costs what it is
about, so that a host of a hundred thousand names is no slower than one of ten.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from ipaddress import ip_network

from mooring.core.attached_namespaces import is_namespaces
from mooring.core.containers import Container
from mooring.core.dns_records import DnsRecord
from mooring.core.endpoints import Endpoint, Service, State
from mooring.core.host_names import Asker, Entry, dns_label, lookup
from mooring.core.keys import compose_service
from mooring.core.leases import Lease
from mooring.core.names import Answer, Question, Verdict
from mooring.core.networks import Address, Dns, Network
from mooring.core.port_bindings import Protocol
from mooring.core.subnet_index import Holdings
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

    zone: of all names. changes: how many there were; what was looked up is true as long as it stays the same.
    """

    def __init__(self, cache: RecordCache, endpoint_index: EndpointIndex, zone: str = "mooring") -> None:
        self._cache = cache
        self._endpoint_index = endpoint_index
        self.zone = zone
        self.changes = 0
        self._told: dict[str, _Told] = {}
        self._entries: dict[str, tuple[str, Entry]] = {}
        self._named: dict[tuple[str, str], dict[str, Entry]] = {}
        self._at: dict[Address, dict[str, tuple[str, Entry]]] = {}
        self._names: dict[str, str] = {}
        self._networks: dict[str, dict[str, None]] = {}
        self._subnets = Holdings()
        self._bridges: dict[tuple[int, str], Network] = {}
        # Attached since before a start, and the engine has not told of them since.
        self._unheard: set[str] = set()
        self._listed: float | None = None
        # Containers that only a list has told of, so that their aliases are not known yet.
        self._unasked: dict[str, None] = {}
        self._wake: Callable[[], None] = lambda: None
        cache.listen(self._follow)

    # -- what the engine tells -------------------------------------------------------------------------------------

    def wake_with(self, wake: Callable[[], None]) -> None:
        """Call it when there is somebody to ask for, or a record that may end."""
        self._wake = wake

    def note_loaded(self) -> None:
        """The records are there after a start: until the engine has told of everybody who is attached, with the
        aliases, nobody knows whether a name is missing. Not waited for are those of whom no engine tells: attached
        namespaces, and what is left of a network that is gone."""
        attached = (each for each in self._cache.every(Endpoint) if each.state is State.ATTACHED)
        told = (each for each in attached if not is_namespaces(each.id) and self._cache.network(each.network))
        # What no engine tells of has its name on record; what one asked for by name may have aliases besides.
        self._unheard = {each.id for each in told if not each.name}
        self.changes += 1

    def note_listed(self, now: float) -> None:
        """The engine has told of every container that it has. now: seconds since the boot. Whoever it does not tell of
        for PATIENCE is waited for no more: the record of one that is gone would keep all from being told."""
        if self._listed is None:
            self._listed = now
        if self._unheard and now - self._listed >= PATIENCE:
            self._unheard.clear()
            self.changes += 1

    @property
    def unheard(self) -> bool:
        """Whether somebody may have names that are not known, see note_loaded."""
        return bool(self._unheard)

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
        if not label or self._names.get(network_id) == label:
            return
        self._forget_network(network_id)
        self._names[network_id] = label
        self._networks.setdefault(label, {})[network_id] = None
        for endpoint in self._endpoint_index.of_network(network_id):
            self._put(endpoint)
        for record in self._cache.every(DnsRecord):
            if record.network == network_id:
                self._put_record(record)
        self.changes += 1

    # -- who asks --------------------------------------------------------------------------------------------------

    def asker(self, bridge: str, source: Address, domain: int = 0) -> Asker | None:
        """Who asks from the address by the bridge; None where no network of ours with such an address is behind it: who
        writes another source would have us answer somebody else (RFC 5358). domain: where the bridge is."""
        network = self._bridges.get((domain, bridge))
        if network is None or network.segment_of(source) is None:
            return None
        endpoint = self._endpoint_index.at(network.id, source)
        own = [network.id]
        if endpoint is not None and endpoint.sandbox:
            own += sorted(
                each.network for each in self._endpoint_index.in_sandbox(endpoint.sandbox) if each.network != network.id
            )
        return self._asker(own)

    def asker_in(self, network_id: str) -> Asker:
        """Somebody who is in this network only."""
        return self._asker([network_id])

    def _asker(self, own: Sequence[str]) -> Asker:
        known = [self._cache.network(each) for each in own]
        out = any(network is not None and not network.internal for network in known)
        return Asker(tuple(own), frozenset(self._peers(own)), out)

    def _peers(self, own: Iterable[str]) -> Iterable[str]:
        """Networks that those may reach (option `peers`): in their routing domain."""
        known = [
            network for each in own if (network := self._cache.network(each)) is not None and network.options.peers
        ]
        words = {_peer_word(network) for network in known}
        if not words:
            return ()
        every = self._cache.every(Network)
        return [each.id for each in every if _peer_word(each) in words and not each.internal]

    # -- what is asked ---------------------------------------------------------------------------------------------

    def lookup(self, question: Question, asker: Asker) -> Answer:
        """See core.host_names.lookup; after a start a name that nobody has may be REFUSED instead, see note_loaded."""
        answer = lookup(question, asker, self, self.zone)
        return Answer(Verdict.REFUSED) if answer.verdict is Verdict.ABSENT and self._unheard else answer

    def named(self, network_id: str, name: str) -> Collection[Entry]:
        """See Directory."""
        found = self._named.get((network_id, name))
        return tuple(found.values()) if found else ()

    def networks_named(self, name: str) -> Collection[str]:
        """See Directory."""
        return tuple(self._networks.get(name, ()))

    def at(self, address: Address) -> Collection[tuple[str, Entry]]:
        """See Directory."""
        found = self._at.get(address)
        return tuple(found.values()) if found else ()

    def is_ours(self, address: Address, asker: Asker) -> bool:
        """See Directory."""
        there = self._subnets.overlapping(ip_network(address))
        if asker.open is None:
            return bool(there)
        domains = {self._domain(network_id) for network_id in asker.own}
        return any(self._domain(network_id) in domains for _, network_id in there)

    def _domain(self, network_id: str) -> int:
        network = self._cache.network(network_id)
        return network.domain if network is not None else 0

    def rows(self) -> list[tuple[str, str, Entry]]:
        """Everybody who has a name: a key (an endpoint's id; for a record it has a slash), the full id of the network,
        and the entry."""
        return [(key, network_id, entry) for key, (network_id, entry) in self._entries.items()]

    def network_name(self, network_id: str) -> str:
        """What the network is called in names, "" for no network."""
        return self._names.get(network_id, network_id[:12])

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
            case Network() as network:
                self._follow_network(before, after)
                if after is not None and (network.name or network.id not in self._names):
                    self.note_network(network.id, network.name or network.id[:12])
            case DnsRecord() as record:
                if after is None:
                    self._take(_record_key(record))
                else:
                    self._put_record(record)
            case _:
                pass

    def _hear(self, endpoint_id: str) -> None:
        if endpoint_id in self._unheard:
            self._unheard.discard(endpoint_id)
            self.changes += 1

    def _follow_network(self, before: Record | None, after: Record | None) -> None:
        if isinstance(before, Network):
            self._bridges.pop((before.domain, before.bridge), None)
            for segment in before.segments:
                self._subnets.remove(segment.subnet, before.id)
            if after is None:
                self._forget_network(before.id)
        if isinstance(after, Network):
            for segment in after.segments:
                self._subnets.add(segment.subnet, after.id)
            if after.bridged:
                self._bridges[after.domain, after.bridge] = after
        self.changes += 1

    def _learn_name(self, lease: Lease, before: Record | None) -> None:
        """An engine from 29 on says who asks for an address: nobody has to be asked then."""
        if not lease.name or (isinstance(before, Lease) and before.name == lease.name):
            return
        pool = self._cache.pool(lease.pool)
        endpoint = self._endpoint_index.at(pool.network, lease.address) if pool is not None else None
        if endpoint is not None:
            self._put(endpoint)

    def _forget_network(self, network_id: str) -> None:
        label = self._names.pop(network_id, "")
        same = self._networks.get(label, {})
        same.pop(network_id, None)
        if not same:
            self._networks.pop(label, None)

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
        if self._entries.get(endpoint.id) != (endpoint.network, entry):
            self._take(endpoint.id)
            self._enter(endpoint.id, endpoint.network, entry)

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
        key = _record_key(record)
        self._take(key)
        entry = Entry((record.name,), record.addresses, self.network_name(record.network))
        self._enter(key, record.network, entry)
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

    def _enter(self, key: str, network_id: str, entry: Entry) -> None:
        self._entries[key] = network_id, entry
        for name in entry.names:
            self._named.setdefault((network_id, name), {})[key] = entry
        for address in entry.addresses:
            self._at.setdefault(address, {})[key] = network_id, entry
        self.changes += 1

    def _take(self, key: str) -> None:
        known = self._entries.pop(key, None)
        if known is None:
            return
        network_id, entry = known
        for name in entry.names:
            _drop(self._named, (network_id, name), key)
        for address in entry.addresses:
            _drop(self._at, address, key)
        self.changes += 1


def _peer_word(network: Network) -> tuple[str, int, str]:
    """Networks that have the same reach one another: a word of `peers` means something within one routing."""
    return network.tenant, network.domain, network.options.peers


def _record_key(record: DnsRecord) -> str:
    """Its place among the entries: no id of an endpoint has a slash."""
    return f"{record.network}/{record.name}"


def _drop(index: dict, place: object, key: str) -> None:  # type: ignore[type-arg]
    found = index.get(place, {})
    found.pop(key, None)
    if not found:
        index.pop(place, None)


def _services(endpoint: Endpoint) -> tuple[Service, ...]:
    """What it listens on, as far as it is exposed or published."""
    ports: set[tuple[Protocol, int]] = set(endpoint.exposed) | {
        (each.protocol, each.target_port) for each in endpoint.published
    }
    found = [Service(PORT_NAMES.get(port, ""), protocol, port) for protocol, port in sorted(ports)]
    return (*endpoint.services, *found)
