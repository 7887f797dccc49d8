"""Names that other hosts of the cluster advertise, in the networks that this host takes part in.

Rules: what a host advertises is kept whether its network is here or not, so that either may come first, and a network's
coming and going costs nothing; a network has here the name that this host's Docker gives it; the addresses of a host
that is not heard are told for as long as no other has the name, since it may only be cut off from the cluster's store.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from mooring.core.advertisements import Advertisement
from mooring.core.host_names import Entry, dns_label
from mooring.core.networks import Address

_Some = dict[str, Advertisement]


@dataclass(slots=True)
class _Shared:
    """A network of the cluster. known: what is advertised in it, by keys; named, at: the same by names and addresses.
    here: the full id of this host's part in it, "" for none."""

    ident: str
    known: _Some = field(default_factory=dict)
    named: dict[str, _Some] = field(default_factory=dict)
    at: dict[Address, _Some] = field(default_factory=dict)
    here: str = ""


class RemoteNames:
    """changed: called when something else is told from now on. called: what this host's network with the full id is
    called. names: of hosts, by their ids, as far as they are known. incomplete: networks of the cluster are here, and
    nobody has said yet what is in them."""

    def __init__(self, changed: Callable[[], None], called: Callable[[str], str]) -> None:
        self._changed = changed
        self._called = called
        self._own = ""
        self._shared: dict[str, _Shared] = {}
        self._here: dict[str, _Shared] = {}
        self._keys: dict[str, Advertisement] = {}
        self._hosts: Counter[str] = Counter()
        self._silent: frozenset[str] = frozenset()
        self.names: Mapping[str, str] = {}
        self.incomplete = False

    # -- what the cluster says ---------------------------------------------------------------------------------------

    def begin(self, host: str, name: str) -> None:
        """This host is in a cluster, with that id and name. Until `note_scanned` others may have names that are not
        known."""
        self._own, self.names = host, {host: name}
        self._silent, self.incomplete = frozenset(), bool(self._here)
        self._changed()

    def end(self) -> None:
        """This host is in no cluster: nobody is waited for. What is advertised stays until `note` takes it."""
        self._own, self.names = "", {}
        self._silent, self.incomplete = frozenset(), False
        self._changed()

    def note(self, key: str, advertisement: Advertisement | None) -> None:
        """What another host advertises under the key, None for nothing. It may come twice, and before its network."""
        before = self._keys.get(key)
        if before is not None:
            if before == advertisement:
                return
            del self._keys[key]
            self._drop(key, before)
        if advertisement is None:
            return
        named = tuple(name for name in advertisement.names if dns_label(name) == name)
        if named != advertisement.names:
            advertisement = msgspec.structs.replace(advertisement, names=named)
        if not named:
            return
        self._keys[key] = advertisement
        self._keep(key, advertisement)

    def note_scanned(self) -> None:
        """Everything that is advertised has been told; or is not waited for any more."""
        if self.incomplete:
            self.incomplete = False
            self._changed()

    @property
    def hosts(self) -> Collection[str]:
        """Ids of the hosts that advertise names."""
        return tuple(self._hosts)

    def note_silent(self, hosts: frozenset[str]) -> None:
        """These hosts, and no others, are not heard."""
        if hosts != self._silent:
            self._silent = hosts
            self._changed()

    def host_name(self, host: str) -> str:
        """What the host with the id is called, this one for ""; "" where this one is in no cluster."""
        ident = host or self._own
        return self.names.get(ident, ident[:12])

    # -- which networks are here -------------------------------------------------------------------------------------

    def take_part(self, shared: str, network_id: str) -> None:
        """The cluster's network with the id `shared` is this host's network."""
        if (known := self._here.get(network_id)) is not None and known.ident == shared:
            return
        self.leave(network_id)
        part = self._part(shared)
        self._here.pop(part.here, None)
        part.here = network_id
        self._here[network_id] = part
        self._changed()

    def leave(self, network_id: str) -> None:
        """This host's network is none of the cluster's. One that is none is fine."""
        part = self._here.pop(network_id, None)
        if part is None:
            return
        part.here = ""
        if not part.known:
            del self._shared[part.ident]
        self.incomplete = self.incomplete and bool(self._here)
        self._changed()

    # -- what is asked -----------------------------------------------------------------------------------------------

    def __bool__(self) -> bool:
        """Whether anybody else has names in a network that is here."""
        return any(part.known for part in self._here.values())

    def named(self, network_id: str, name: str, local: Collection[Entry]) -> Collection[Entry]:
        """Those of other hosts that have the name in this host's network. local: who has it on this host."""
        part = self._here.get(network_id)
        found = part.named.get(name) if part is not None else None
        return self._entries(network_id, found.values(), local) if found else ()

    def at(self, network_id: str, address: Address) -> Collection[Entry]:
        """Those of other hosts that have the address in this host's network."""
        part = self._here.get(network_id)
        found = part.at.get(address) if part is not None else None
        return self._entries(network_id, found.values()) if found else ()

    def rows(self) -> Iterator[tuple[str, str, Entry]]:
        """Everybody of other hosts in the networks that are here: a key, the full id of the network, and the entry."""
        for network_id, part in list(self._here.items()):
            called = self._called(network_id)
            for key, advertisement in list(part.known.items()):
                yield key, network_id, _entry(advertisement, called)

    def is_silent(self, host: str) -> bool:
        """Whether the host with the id is not heard."""
        return host in self._silent

    def _entries(
        self, network_id: str, found: Iterable[Advertisement], local: Collection[Entry] = ()
    ) -> Collection[Entry]:
        called = self._called(network_id)
        entries = [_entry(each, called) for each in found]
        heard = [entry for entry in entries if entry.host not in self._silent] if self._silent else entries
        return heard if any(entry.addresses for entry in (*local, *heard)) else entries

    # -- the index ---------------------------------------------------------------------------------------------------

    def _part(self, shared: str) -> _Shared:
        return self._shared.setdefault(shared, _Shared(shared))

    def _keep(self, key: str, advertisement: Advertisement) -> None:
        part = self._part(advertisement.network)
        part.known[key] = advertisement
        self._hosts[advertisement.host] += 1
        for name in advertisement.names:
            part.named.setdefault(name, {})[key] = advertisement
        for address in _told(advertisement):
            part.at.setdefault(address, {})[key] = advertisement
        if part.here:
            self._changed()

    def _drop(self, key: str, advertisement: Advertisement) -> None:
        part = self._shared[advertisement.network]
        del part.known[key]
        self._hosts[advertisement.host] -= 1
        if not self._hosts[advertisement.host]:
            del self._hosts[advertisement.host]
        for name in advertisement.names:
            _remove(part.named, name, key)
        for address in _told(advertisement):
            _remove(part.at, address, key)
        if part.here:
            self._changed()
        elif not part.known:
            del self._shared[advertisement.network]


def _told(advertisement: Advertisement) -> tuple[Address, ...]:
    return advertisement.addresses if advertisement.healthy else ()


def _entry(advertisement: Advertisement, network: str) -> Entry:
    return Entry(
        advertisement.names, _told(advertisement), network, advertisement.services, advertisement.host
    )  # fmt: skip


def _remove(index: dict, place: object, key: str) -> None:  # type: ignore[type-arg]
    found = index[place]
    del found[key]
    if not found:
        del index[place]
