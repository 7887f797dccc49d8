"""What networks leave behind, and giving it to the next one of the same name.

Rules: a kept network is written in the commit that ends its leases, and ended in the one that gives them to the heir;
nobody is waited for to name a network, so an unnamed one leaves nothing and gets nothing until its name is known; a
remembered subnet yields when there is no other, the one that ends first before the others.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

from msgspec.structs import replace as replace_struct

from mooring.core.faults import Fault, StaleRevision, Unavailable
from mooring.core.findings import Finding
from mooring.core.kept_networks import KeptAddress, KeptNetwork, left_by, living
from mooring.core.keys import is_ports
from mooring.core.leases import Event, Lease, Place, State, changed
from mooring.core.network_ports import NetworkPort, left_of
from mooring.core.networks import Address, Network, Origin, Subnet
from mooring.core.pools import Pool, check_address
from mooring.core.times import moment
from mooring.ports import Clock, Engine
from mooring.services.ipam.kept_address_rows import kept
from mooring.services.records.address_index import AddressIndex
from mooring.services.records.fixed_index import FixedIndex
from mooring.services.records.record_cache import Record, RecordCache

log = logging.getLogger(__name__)

# Networks that are remembered, at most: a host on which projects come and go holds a quarter of a /8 of /24s no longer.
MOST = 256
# How often a decision is taken anew when another writer was first.
ATTEMPTS = 8
# Networks whose names are asked for in one pass.
AT_ONCE = 64
# How many addresses a line names.
NAMED = 5


class KeptNetworks:
    """hold: seconds that a key keeps an address without a holder; 0 and only what ports have is left."""

    def __init__(
        self, cache: RecordCache, index: AddressIndex, fixed_index: FixedIndex, clock: Clock, hold: float
    ) -> None:  # fmt: skip
        self._cache = cache
        self._index = index
        self._fixed_index = fixed_index
        self._clock = clock
        self._hold = hold
        self._lost: dict[str, Finding] = {}

    def living(self) -> list[KeptNetwork]:
        """Every kept network without what is over, the one that ends first first."""
        now = self._clock.now()
        found = [left for each in self._cache.every(KeptNetwork) if (left := living(each, now)) is not None]
        return sorted(found, key=lambda each: (each.until, each.id))

    def left(self, pools: Sequence[Pool], network: Network | None = None) -> tuple[list[Record], list[Record]]:
        """What is to be written and deleted with the end of these pools of one network. network: None for the one on
        record."""
        network = network or (self._cache.network(pools[0].network) if pools else None)
        if network is None or network.origin is not Origin.ENGINE or not network.name:
            return [], []
        before = self._cache.kept_network(network.id)
        kept_network = before
        for pool in pools:
            kept_network = left_by(
                kept_network, network, pool, self._index.leases(pool.id), self._clock.now(), self._hold
            )
        if kept_network is None or kept_network is before:
            return [], []
        others = sorted(
            (each for each in self._cache.every(KeptNetwork) if each.id != network.id), key=lambda each: each.until
        )
        return [kept_network], list[Record](others[: max(0, len(others) + 1 - MOST)])

    def tell(self, records: Sequence[Record]) -> None:
        """Say in the log what these kept networks keep, and for how long."""
        for kept_network in records:
            if isinstance(kept_network, KeptNetwork):
                log.info(
                    "network %s was removed; addresses kept for their keys until %s: %s",
                    kept_network.name, moment(kept_network.until), _some(kept_network.kept_addresses),
                )  # fmt: skip

    async def sweep(self) -> None:
        """Kept networks of which nothing is left have ended. Raises Unavailable."""
        now = self._clock.now()
        over = [each for each in self._cache.every(KeptNetwork) if living(each, now) is None]
        if over:
            with suppress(StaleRevision):  # then the next sweep
                await self._cache.commit(delete=over)

    def of_name(self, name: str, space: str) -> list[KeptNetwork]:
        """What networks of the name left in the address space, the newest first."""
        found = [each for each in self.living() if each.name == name and each.space == space]
        return sorted(found, key=lambda each: each.since, reverse=True)

    def keeping(self, address: Address) -> list[KeptNetwork]:
        """The kept networks in which the address waits for its key, and that no pool has."""
        now = self._clock.now()
        idents = {kept_network.id for kept_network, _ in kept(self._cache, now, address)}
        return [kept_network for kept_network in self._cache.every(KeptNetwork) if kept_network.id in idents]

    async def release(self, address: Address, kept_networks: Sequence[KeptNetwork]) -> None:
        """The address waits in none of these. Raises Unavailable."""
        put: list[Record] = []
        gone: list[Record] = []
        for kept_network in kept_networks:
            rest = tuple(each for each in kept_network.kept_addresses if each.address != address)
            left = living(replace_struct(kept_network, kept_addresses=rest), self._clock.now())
            (gone if left is None else put).append(left or kept_network)
        await self._cache.commit(put=put, delete=gone)

    async def inherit(self, network_id: str, name: str) -> None:
        """The network (full id) is called so: its record says it, and it has what the last ones of this name left, as
        far as that fits. Raises Unavailable."""
        for _ in range(ATTEMPTS):
            network = self._cache.network(network_id)
            if network is None or network.origin is not Origin.ENGINE or self._is_going(network):
                return
            spaces = {segment.space for segment in network.segments}
            kept_networks = [each for space in sorted(spaces) for each in self.of_name(name, space)]
            ports = [port for port in self._cache.every(NetworkPort) if self._waits(port, name, spaces)]
            if network.name == name and not kept_networks and not ports:
                return
            left = [*kept_networks, *map(left_of, ports)]
            leases = self._fitting(network, left)
            here = [port for port in self._cache.every(NetworkPort) if port.network == network_id]
            moved = [replace_struct(port, network=network_id, network_name=name) for port in (*ports, *here)]
            try:
                await self._cache.commit(
                    put=[replace(network, name=name), *leases, *moved], delete=self._as_known(kept_networks)
                )
            except StaleRevision:
                continue
            if left:
                every = {each.address: each for kept_network in left for each in kept_network.kept_addresses}
                lost = [every[address] for address in every.keys() - {lease.address for lease in leases}]
                log.info("network %s was recreated; addresses restored to their keys: %d", name, len(leases))
                if lost:
                    log.info("addresses that no longer fit into network %s: %s", name, _some(lost))
                    self._note_lost(network, name, lost)
            return
        raise Unavailable(f"network {network_id[:12]} was changed by other requests", hint="try again")

    def _waits(self, port: NetworkPort, name: str, spaces: set[str]) -> bool:
        """Whether the port's network is gone, and was one of the name in one of the address spaces."""
        return port.network_name == name and port.space in spaces and self._cache.network(port.network) is None

    def _note_lost(self, network: Network, name: str, lost: Sequence[KeptAddress]) -> None:
        """Who typed another subnet wanted it so; who left it to Mooring made the network past the proxy, which alone
        knows its name in time, or something else has its subnet."""
        pools = [self._cache.pool(segment.pool) for segment in network.segments if segment.pool]
        if all(pool is not None and pool.source for pool in pools):
            self._lost[network.id] = Finding(
                f"kept network {network.id}",
                f"network {name} was recreated with another subnet, and its keys lost {_some(lost)}",
                "addresses kept from the previous network; only the proxy learns a network's name in time",
                self._clock.now(),
                "create it through the proxy (`docker context use mooring`), or with the previous --subnet",
            )

    def findings(self) -> list[Finding]:
        """Of networks that are there: what their keys lost since this daemon began."""
        self._lost = {ident: each for ident, each in self._lost.items() if self._cache.network(ident) is not None}
        return list(self._lost.values())

    async def learn(self, engine: Engine, listed: frozenset[str]) -> None:
        """Networks on record have the names that the engine has for them. listed: ids of those that it has. Asks for a
        few at a time. Raises Unavailable."""
        unnamed = [
            network.id
            for network in self._cache.every(Network)
            if not network.name and network.origin is Origin.ENGINE and network.id in listed
        ]
        for ident in unnamed[:AT_ONCE]:
            found = await engine.network(ident)
            if found is not None and found.name and found.name != ident:
                await self.inherit(ident, found.name)

    def _as_known(self, kept_networks: Sequence[KeptNetwork]) -> list[Record]:
        return [known for each in kept_networks if (known := self._cache.kept_network(each.id)) is not None]

    def _is_going(self, network: Network) -> bool:
        """Whether a pool of it was released already."""
        return any(segment.pool and self._cache.pool(segment.pool) is None for segment in network.segments)

    def _fitting(self, network: Network, kept_networks: Sequence[KeptNetwork]) -> list[Lease]:
        """The leases of what fits: one address of each family for a key, and no MAC that another one has."""
        now = self._clock.now()
        taken: set[tuple[str, int]] = set()
        macs: dict[str, str] = {}
        leases: list[Lease] = []
        for kept_network in kept_networks:
            for each in kept_network.kept_addresses:
                place = each.key, each.address.version
                pool, lease = self._room(network, kept_network, each)
                if pool is None or place in taken or each.until <= now:
                    continue
                taken.add(place)
                others = (
                    {lease.key for lease in self._fixed_index.with_mac(network.id, each.mac)} if each.mac else set()
                )
                mac = each.mac if others <= {each.key} and macs.setdefault(each.mac, each.key) == each.key else ""
                leases.append(
                    changed(
                        lease, Event.CLAIM, Place(pool.space, each.address, pool.id), now,
                        mac=mac, name=each.name, key=each.key, hold=each.hold,
                        until=None if is_ports(each.key) else each.until,
                    )
                )  # fmt: skip
        return leases

    def _room(
        self, network: Network, kept_network: KeptNetwork, kept_address: KeptAddress
    ) -> tuple[Pool | None, Lease | None]:
        """The pool in which the address is free for its key, and what it is there: nothing, or cooling."""
        address = kept_address.address
        segment = network.segment_of(address)
        pool = self._cache.pool(segment.pool) if segment is not None else None
        if pool is None or pool.space != kept_network.space:
            return None, None
        try:
            check_address(pool.subnet, address)
        except Fault:
            return None, None
        lease = self._cache.lease(pool.space, address)
        if lease is not None and self._cache.pool(lease.pool) is None:
            lease = None
        free = lease is None or lease.state is State.COOLING
        has = any(
            lease.address.version == address.version for lease in self._fixed_index.of_key(network.id, kept_address.key)
        )  # fmt: skip
        if not free or has or self._index.endpoint(pool, address) or self._index.kept_out(address):
            return None, None
        return pool, lease


def subnets_of(kept_networks: Sequence[KeptNetwork], version: int) -> list[Subnet]:
    """Their subnets of the family, the newest kept network's first."""
    return [subnet for kept_network in kept_networks for subnet in kept_network.subnets if subnet.version == version]


def _some(kept_addresses: Sequence[KeptAddress]) -> str:
    """The first few, for people."""
    ordered = sorted(kept_addresses, key=lambda each: (each.address.version, int(each.address)))
    told = ", ".join(f"{each.address} ({each.key})" for each in ordered[:NAMED])
    return told + (f" and {len(ordered) - NAMED} more" if len(ordered) > NAMED else "")
