"""Entries by their names and addresses, and networks by theirs: what a question needs, at once.

Rules: a change costs what it is about, so that a host of a hundred thousand names is no slower than one of ten; each
change is counted, so that whoever remembers an answer knows whether it is still true.
"""

from __future__ import annotations

from collections.abc import Collection

from mooring.core.host_names import Entry
from mooring.core.networks import Address


class NameIndex:
    """changes: how many there were, those that others have counted here among them."""

    def __init__(self) -> None:
        self.changes = 0
        self._entries: dict[str, tuple[str, Entry]] = {}
        self._named: dict[tuple[str, str], dict[str, Entry]] = {}
        self._at: dict[Address, dict[str, tuple[str, Entry]]] = {}
        self._names: dict[str, str] = {}
        self._networks: dict[str, dict[str, None]] = {}

    def get(self, key: str) -> tuple[str, Entry] | None:
        """The full id of the network and the entry that has the key."""
        return self._entries.get(key)

    def put(self, key: str, network_id: str, entry: Entry) -> bool:
        """The key has this entry and no other; whether it had another."""
        if self._entries.get(key) == (network_id, entry):
            return False
        self.take(key)
        self._entries[key] = network_id, entry
        for name in entry.names:
            self._named.setdefault((network_id, name), {})[key] = entry
        for address in entry.addresses:
            self._at.setdefault(address, {})[key] = network_id, entry
        self.changes += 1
        return True

    def take(self, key: str) -> bool:
        """The key has no entry; whether it had one."""
        known = self._entries.pop(key, None)
        if known is None:
            return False
        network_id, entry = known
        for name in entry.names:
            _drop(self._named, (network_id, name), key)
        for address in entry.addresses:
            _drop(self._at, address, key)
        self.changes += 1
        return True

    def named(self, network_id: str, name: str) -> Collection[Entry]:
        """See Directory."""
        found = self._named.get((network_id, name))
        return tuple(found.values()) if found else ()

    def at(self, address: Address) -> Collection[tuple[str, Entry]]:
        """See Directory."""
        found = self._at.get(address)
        return tuple(found.values()) if found else ()

    def rows(self) -> list[tuple[str, str, Entry]]:
        """Every entry, with its key before it, and the full id of its network."""
        return [(key, network_id, entry) for key, (network_id, entry) in self._entries.items()]

    def call(self, network_id: str, label: str) -> bool:
        """The network is called so, and not as before; whether that is new."""
        if self._names.get(network_id) == label:
            return False
        self.forget_network(network_id)
        self._names[network_id] = label
        self._networks.setdefault(label, {})[network_id] = None
        self.changes += 1
        return True

    def forget_network(self, network_id: str) -> None:
        """The network is called nothing."""
        label = self._names.pop(network_id, "")
        if label:
            _drop(self._networks, label, network_id)
            self.changes += 1

    def is_called(self, network_id: str) -> bool:
        """Whether the network has a name here."""
        return network_id in self._names

    def network_name(self, network_id: str) -> str:
        """What the network is called in names, "" for no network."""
        return self._names.get(network_id, network_id[:12])

    def networks_named(self, name: str) -> Collection[str]:
        """See Directory."""
        return tuple(self._networks.get(name, ()))


def _drop(index: dict, place: object, key: str) -> None:  # type: ignore[type-arg]
    found = index.get(place, {})
    found.pop(key, None)
    if not found:
        index.pop(place, None)
