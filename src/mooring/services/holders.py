"""Who holds which fixed address: claimed when a container is made, kept through everything, given up when it is gone.

Rules: all families, all networks and the intent of one container are one commit; who is gone is said by full id; an
address is taken from a holder only by a caller that has proof, and never from an endpoint that has it now; what is not
held is given up with success.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address

import msgspec

from mooring.core.addresses import address_of
from mooring.core.claims import Claim, abandoned, claimed, left, renamed
from mooring.core.containers import Holder
from mooring.core.faults import BadRequest, Conflict, Exhausted, StaleRevision
from mooring.core.intents import Intent, Purpose, placeholder
from mooring.core.leases import Claimant, Lease, State, is_over, may_hold
from mooring.core.networks import Address, Network, stable_mac
from mooring.core.pools import Pool, check_address
from mooring.ports import Clock
from mooring.services.ipam import ATTEMPTS, Ipam, IpamPolicy
from mooring.services.mirror import Mirror, Record
from mooring.services.subnets import contended


@dataclass(frozen=True, slots=True)
class Seat:
    """A place in a network that a container is to have fixed addresses in.

    key: what they belong to. wanted: those that its configuration names. mac: the MAC that it names, "" for none.
    settable: whether a MAC can be put into its configuration; without one nobody can prove at a start who he is.
    """

    network: Network
    key: str
    wanted: tuple[Address, ...] = ()
    mac: str = ""
    settable: bool = True


@dataclass(frozen=True, slots=True)
class Grant:
    """What the container gets in one network: an address for each family of it, and a MAC or ""."""

    network: str
    ipv4: IPv4Address | None
    ipv6: IPv6Address | None
    mac: str


class Holders:
    """Claims, settles and gives up. Build it before the mirror is loaded."""

    def __init__(self, mirror: Mirror, ipam: Ipam, clock: Clock, policy: IpamPolicy) -> None:
        self._mirror = mirror
        self._index = ipam.index
        self._tenures = ipam.tenures
        self._clock = clock
        self._policy = policy

    @property
    def any(self) -> bool:
        """Whether there is any fixed lease at all."""
        return len(self._tenures) > 0

    def holds(self, container: str) -> bool:
        """Whether the container (full id) holds anything."""
        return bool(self._tenures.of_holder(container))

    def held_by(self, holder: str) -> list[tuple[str, Lease]]:
        """What the container (full id) or placeholder holds: id of the network, and the lease."""
        return [(self._tenures.network_of(lease), lease) for lease in self._tenures.of_holder(holder)]

    def begin(
        self, purpose: Purpose, engine: str, container: str = "", name: str = "", network: str = ""
    ) -> Intent:  # fmt: skip
        """An intent, not written yet."""
        return Intent(
            id=self._clock.token(), purpose=purpose, engine=engine, created=self._clock.now(), container=container,
            name=name, network=network,
        )  # fmt: skip

    async def note(self, intent: Intent) -> None:
        """The intent is durable. Raises Unavailable."""
        await self._mirror.commit(put=[intent])

    async def claim(self, intent: Intent, seats: Sequence[Seat], claimant: Claimant) -> list[Grant]:
        """Every seat has its addresses, held by the intent until it is settled or given back.

        claimant: who the container will be; its key is taken from each seat. Raises Conflict when somebody else has an
        address that is named, BadRequest for one that cannot be, Exhausted when there is none left, Unavailable.
        """
        for _ in range(ATTEMPTS):
            held: list[tuple[str, int]] = []
            try:
                puts: dict[tuple[str, Address], Lease] = {}
                gone: list[Lease] = []
                grants = [self._seat(seat, intent, claimant, puts, gone, held) for seat in seats]
                await self._mirror.commit(put=[intent, *puts.values()], delete=gone)
                return grants
            except StaleRevision:
                continue
            finally:
                # From here on only the records count, also when the commit failed or this task was cancelled.
                for pool_id, number in held:
                    self._index.let_go(pool_id, number)
        raise contended("the addresses of a container")

    def _seat(
        self,
        seat: Seat,
        intent: Intent,
        claimant: Claimant,
        puts: dict[tuple[str, Address], Lease],
        gone: list[Lease],
        held: list[tuple[str, int]],
    ) -> Grant:
        """Choose the seat's leases: into puts and gone. held: what was taken out of the choice of others meanwhile."""
        network = seat.network
        mine = self._tenures.of_key(network.id, seat.key)
        named = [self._mirror.lease(s.space, a) for a in seat.wanted if (s := network.segment_of(a)) is not None]
        kept = [lease for lease in (*named, *mine) if lease is not None and lease.state is State.FIXED]
        mac = seat.mac or next((lease.mac for lease in kept if lease.mac), "")
        if not mac and seat.settable:
            mac = stable_mac(f"key:{network.id}:{seat.key}")
        self._check_mac(network, mac, seat, claimant, kept)
        # Only a MAC that the container names proves something: the one chosen above may be the holder's own.
        who = replace(claimant, mac=seat.mac, key=seat.key)
        found: dict[int, Address] = {}
        for version, segments in ((4, network.ipv4), (6, network.ipv6)):
            ours = [pool for segment in segments if (pool := self._index.pool(segment.pool)) is not None]
            if not ours:
                continue
            wanted = next((address for address in seat.wanted if address.version == version), None)
            claim = Claim(key=seat.key, holder=placeholder(intent.id), mac=mac, name=claimant.name)
            before = [lease for lease in mine if lease.address.version == version]
            lease = self._lease(ours, wanted, before, claim, who, held)
            puts[lease.space, lease.address] = lease
            found[version] = lease.address
            for old, rest in self.left_behind(before, lease):
                if rest is None:
                    gone.append(old)
                else:
                    puts[old.space, old.address] = rest
        v4, v6 = found.get(4), found.get(6)
        assert v4 is None or isinstance(v4, IPv4Address)
        assert v6 is None or isinstance(v6, IPv6Address)
        return Grant(network.id, v4, v6, mac)

    def _lease(
        self,
        pools: Sequence[Pool],
        wanted: Address | None,
        before: Sequence[Lease],
        claim: Claim,
        claimant: Claimant,
        held: list[tuple[str, int]],
    ) -> Lease:
        now = self._clock.now()
        if wanted is not None:
            pool = next((pool for pool in pools if wanted in pool.subnet), None)
            if pool is None:
                subnets = ", ".join(str(pool.subnet) for pool in pools)
                raise BadRequest(f"address {wanted} is not in the network, which has {subnets}")
            check_address(pool.subnet, wanted)
            lease = self._known(pool, wanted)
            self._check(pool, wanted, lease, claimant)
            return claimed(lease, pool.space, wanted, pool.id, claim, now)
        usable = [lease for lease in before if self._index.pool(lease.pool) is not None]
        if usable:
            # The one that is held by somebody, or else the newest.
            lease = max(usable, key=lambda each: (bool(each.holders), each.since))
            return claimed(lease, lease.space, lease.address, lease.pool, claim, now)
        chosen = self._index.choose(pools[0])
        if chosen is None:
            raise Exhausted(
                f"no address of {', '.join(str(pool.subnet) for pool in pools)} is free",
                hint=f"see `mooring lease ls --pool {pools[0].id}`",
            )
        pool, number = chosen
        held.append((pool.id, number))
        address = address_of(pool.subnet.version, number)
        return claimed(self._known(pool, address), pool.space, address, pool.id, claim, now)

    def _known(self, pool: Pool, address: Address) -> Lease | None:
        lease = self._mirror.lease(pool.space, address)
        if lease is None or self._index.pool(lease.pool) is None or is_over(lease, self._clock.now()):
            return None
        return lease

    def _check(self, pool: Pool, address: Address, lease: Lease | None, claimant: Claimant) -> None:
        """Raises Conflict unless the container that is being made may become a holder of the address."""
        verdict = may_hold(lease, claimant, self._policy.claim_policy(pool), self._clock.now())
        if not verdict.allowed:
            holder = self.describe(lease) if lease is not None and lease.holders else verdict.holder
            hint = f"{verdict.hint}; `mooring explain {address}` says more"
            raise Conflict(f"address {address} is not free: {verdict.rule}", holder=holder, hint=hint)
        endpoint = self._index.endpoint(pool, address)
        if endpoint and (lease is None or lease.state is not State.FIXED):
            raise Conflict(
                f"address {address} is in use",
                holder=f"endpoint {endpoint[:12]} of network {pool.network[:12]}",
                hint=f"stop that container, or choose another address; see `mooring explain {address}`",
            )

    def _check_mac(
        self, network: Network, mac: str, seat: Seat, claimant: Claimant, kept: Sequence[Lease]
    ) -> None:  # fmt: skip
        """Raises Conflict for a MAC that was named and is another fixed address's, which is its proof of identity."""
        if not seat.mac:
            return
        mine = {(lease.space, lease.address) for lease in kept}
        for lease in self._tenures.with_mac(network.id, mac):
            theirs = lease.key != seat.key and claimant.container not in (lease.holders or {""})
            if theirs and (lease.space, lease.address) not in mine:
                raise Conflict(
                    f"MAC {mac} belongs to the fixed address {lease.address}",
                    holder=self.describe(lease),
                    hint="choose another one, or name that address too",
                )

    def left_behind(self, mine: Sequence[Lease], now_has: Lease) -> list[tuple[Lease, Lease | None]]:
        """The leases of one key that it does not keep, now that it has another address, each with what becomes of it:
        those of the family that nobody holds any more."""
        return [
            (lease, abandoned(lease, self._clock.now(), self._policy.cooldown))
            for lease in mine
            if lease.address != now_has.address
            and lease.address.version == now_has.address.version
            and not lease.holders
            and lease.active is None
        ]

    async def settle(self, intent: Intent, container: str, name: str = "") -> None:
        """The container (full id) holds what the intent held, and the intent is gone. Raises Unavailable."""

        def change() -> tuple[list[Record], list[Record]]:
            leases = [
                renamed(lease, placeholder(intent.id), container)
                for lease in self._tenures.of_holder(placeholder(intent.id))
            ]
            put: list[Record] = [*leases]
            if leases and self._mirror.holder(container) is None:
                put.append(self._holder(intent.engine, container, name or intent.name))
            return put, self._recorded(intent)

        await self.commit(change, f"intent {intent.id}")

    async def give_back(self, intent: Intent) -> None:
        """Nobody holds anything because of the intent, and it is gone. Raises Unavailable."""
        await self._drop(placeholder(intent.id), lambda _: True, intent)

    async def forget(self, container: str, intent: Intent | None = None) -> int:
        """The container (full id) is gone for good: it holds nothing. Returns how many leases it held. Raises
        Unavailable."""
        return await self._drop(container, lambda _: True, intent)

    async def leave(self, container: str, network_id: str, intent: Intent | None = None) -> int:
        """The container holds nothing in the network. Returns how many leases it held there. Raises Unavailable."""
        return await self._drop(container, lambda lease: self._tenures.network_of(lease) == network_id, intent)

    async def end(self, intent: Intent) -> None:
        """The intent is gone, and nothing else has changed. Raises Unavailable."""
        await self.commit(lambda: ([], self._recorded(intent)), f"intent {intent.id}")

    async def rename(self, container: str, name: str) -> None:
        """People see the container under this name. Raises Unavailable."""

        def change() -> tuple[list[Record], list[Record]]:
            known = self._mirror.holder(container)
            if known is None or known.name == name:
                return [], []
            return [msgspec.structs.replace(known, name=name)], []

        await self.commit(change, f"container {container[:12]}")

    async def _drop(self, holder: str, concerns: Callable[[Lease], bool], intent: Intent | None) -> int:
        """The holder holds none of the leases that it concerns, and the intent is gone; how many leases that were."""
        count = 0

        def change() -> tuple[list[Record], list[Record]]:
            nonlocal count
            put: list[Record] = []
            delete = self._recorded(intent)
            mine = self._tenures.of_holder(holder)
            leaving = [lease for lease in mine if concerns(lease)]
            count = len(leaving)
            for lease in leaving:
                after = left(lease, holder, self._clock.now(), self._hold(lease), self._policy.cooldown)
                if after is None:
                    delete.append(lease)
                elif after is not lease:
                    put.append(after)
            known = self._mirror.holder(holder)
            if known is not None and len(leaving) == len(mine):
                delete.append(known)
            return put, delete

        await self.commit(change, "a holder")
        return count

    def _hold(self, lease: Lease) -> float:
        """Seconds that the lease's key keeps it: none when the key has another address of the family by now."""
        network = self._tenures.network_of(lease)
        others = [
            other
            for other in self._tenures.of_key(network, lease.key)
            if other.address != lease.address and other.address.version == lease.address.version
        ]
        return 0.0 if any(other.holders for other in others) else self._policy.hold

    def _recorded(self, intent: Intent | None) -> list[Record]:
        known = self._mirror.intent(intent.id) if intent is not None else None
        return [known] if known is not None else []

    def _holder(self, engine: str, container: str, name: str) -> Holder:
        return Holder(id=container, engine=engine, name=name, since=self._clock.now())

    async def commit(self, change: Callable[[], tuple[list[Record], list[Record]]], subject: str) -> None:
        """Write what the change says, anew when another writer was first. Nothing is written when it says nothing."""
        for _ in range(ATTEMPTS):
            put, delete = change()
            if not put and not delete:
                return
            try:
                await self._mirror.commit(put=put, delete=delete)
                return
            except StaleRevision:
                continue
        raise contended(subject)

    def describe(self, lease: Lease) -> str:
        """The lease's holders for people, by name where one is known."""
        names = []
        for each in sorted(lease.holders):
            known = self._mirror.holder(each)
            names.append(f"container {known.name or each[:12]}" if known is not None else f"container {each[:12]}")
        if not names:
            return f"key {lease.key}" if lease.key else "nobody"
        return ", ".join(names)
