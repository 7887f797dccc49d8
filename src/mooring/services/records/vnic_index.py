"""VNICs found by what they share, and the networks that are for them: an index of the cache.

Rules: nothing in here is a record; it is rebuilt from the cache's changes, so it can never disagree with them. VNICs
are announced while they have no network yet.
"""

from __future__ import annotations

from mooring.core.networks import Address, Network, Subnet
from mooring.core.vnics import Group, Vnic, group_of
from mooring.services.records.record_cache import Record, RecordCache

# How many ids of VNICs that ended are remembered: more than can end while a look at the kernel lasts.
REMEMBERED = 4096


class VnicIndex:
    """Build it before the cache is loaded. ended: ids of VNICs that this process ended."""

    def __init__(self, cache: RecordCache) -> None:
        self._cache = cache
        self._by_group: dict[Group, dict[Address, Vnic]] = {}
        self._by_mac: dict[tuple[Group, str], Vnic] = {}
        self._by_subnet: dict[Subnet, dict[Group, None]] = {}
        self._by_bridge: dict[str, Group] = {}
        self._adopted: dict[str, Vnic] = {}
        self._networks: dict[Group, Network] = {}
        self.ended: dict[str, None] = {}
        cache.listen(self._follow, Vnic, Network)

    def groups(self) -> list[Group]:
        """Those that have VNICs."""
        return list(self._by_group)

    def of_group(self, group: Group) -> list[Vnic]:
        """Its VNICs."""
        return list(self._by_group.get(group, {}).values())

    def at(self, group: Group, address: Address) -> Vnic | None:
        """The VNIC of the group that has the address."""
        return self._by_group.get(group, {}).get(address)

    def with_mac(self, group: Group, mac: str) -> Vnic | None:
        """A VNIC of the group with the MAC."""
        return self._by_mac.get((group, mac))

    def with_bridge(self, name: str) -> Group | None:
        """The group whose VNICs share the bridge."""
        return self._by_bridge.get(name)

    def that_adopted(self, link: str) -> Vnic | None:
        """The VNIC that is the adopted link."""
        return self._adopted.get(link)

    def network(self, group: Group) -> Network | None:
        """The network for the group's VNICs."""
        return self._networks.get(group)

    def of_network(self, network: Network, address: Address) -> Vnic | None:
        """The VNIC with the address in a network of mode handoff."""
        group = group_of(network)
        return self.at(group, address) if group is not None else None

    def announced(self, subnet: Subnet) -> list[Group]:
        """Groups of exactly the subnet that have VNICs, and no network yet."""
        return [group for group in self._by_subnet.get(subnet, {}) if group not in self._networks]

    def _follow(self, _key: str, before: Record | None, after: Record | None) -> None:
        if isinstance(before, Vnic):
            self._drop(before)
            if after is None:
                self.ended[before.id] = None
                if len(self.ended) > REMEMBERED:
                    del self.ended[next(iter(self.ended))]
        if isinstance(after, Vnic):
            self._note(after)
        if isinstance(before, Network) and before.handed_over and (group := group_of(before)) is not None:
            self._networks.pop(group, None)
        if isinstance(after, Network) and after.handed_over and (group := group_of(after)) is not None:
            self._networks[group] = after

    def _note(self, vnic: Vnic) -> None:
        group = vnic.group
        self.ended.pop(vnic.id, None)
        self._by_group.setdefault(group, {})[vnic.address] = vnic
        self._by_mac[group, vnic.mac] = vnic
        self._by_subnet.setdefault(group.subnet, {})[group] = None
        self._by_bridge[group.bridge] = group
        if vnic.adopted:
            self._adopted[vnic.adopted] = vnic

    def _drop(self, vnic: Vnic) -> None:
        group = vnic.group
        mine = self._by_group.get(group, {})
        mine.pop(vnic.address, None)
        if self._by_mac.get((group, vnic.mac)) is vnic:
            del self._by_mac[group, vnic.mac]
        if vnic.adopted:
            self._adopted.pop(vnic.adopted, None)
        if mine:
            return
        self._by_group.pop(group, None)
        self._by_bridge.pop(group.bridge, None)
        there = self._by_subnet.get(group.subnet, {})
        there.pop(group, None)
        if not there:
            self._by_subnet.pop(group.subnet, None)
