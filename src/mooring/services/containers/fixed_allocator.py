"""Which addresses a container gets in a network: those that it names, that its key or its MAC has, or new ones.

Rules: what is named is given or refused, never replaced; a family whose addresses no configuration may name (docker
allows it only where the subnet was typed by hand) is found again by the MAC, and needs one; of several that a key has,
the one that is held counts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address

import msgspec

from mooring.core.addresses import address_of
from mooring.core.claims import Claim, claimed, proven, unclaimed
from mooring.core.faults import BadRequest, Conflict, Exhausted, Unavailable
from mooring.core.intents import Intent, placeholder
from mooring.core.keys import is_ports
from mooring.core.leases import Claimant, ClaimPolicy, Lease, Place, State, is_over, may_hold
from mooring.core.networks import Address, Network, stable_mac
from mooring.core.pools import Pool, check_address
from mooring.ports import Clock
from mooring.services.ipam.allocator import Ipam, IpamPolicy
from mooring.services.records.holder_names import way_out_of_use
from mooring.services.records.record_cache import RecordCache


@dataclass(frozen=True, slots=True)
class FixedSpec:
    """A place in a network that a container is to have fixed addresses in.

    key: what they belong to. wanted: those that its configuration names. mac: the MAC that it names, "" for none.
    settable: whether a MAC can be put into its configuration; without one nobody can prove at a start who he is.
    nameable: whether an address can be. anywhere: also one of a subnet that Mooring chose. families:
    those that it gets; a port may have one alone. claimed, claimed_mac: addresses of shared subnets that this host has
    a claim of for it, and their MAC.
    """

    network: Network
    key: str
    wanted: tuple[Address, ...] = ()
    mac: str = ""
    settable: bool = True
    nameable: bool = True
    anywhere: bool = False
    families: tuple[int, ...] = (4, 6)
    claimed: tuple[Address, ...] = ()
    claimed_mac: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """One family of a fixed spec's place. wanted: the address that the container names. sayable: whether its
    configuration may name one. before: what belongs to it already."""

    version: int
    pools: Sequence[Pool]
    wanted: Address | None
    sayable: bool
    before: Sequence[Lease]


@dataclass(frozen=True, slots=True)
class Grant:
    """What the container gets in one network: an address of each family that can be found again, and a MAC or "".

    nameable: those of the addresses that its configuration may name; the others are found again by the MAC.
    """

    network: str
    ipv4: IPv4Address | None
    ipv6: IPv6Address | None
    mac: str
    nameable: frozenset[Address] = frozenset()


@dataclass(slots=True)
class Draft:
    """What one commit will write. held: pool ids and numbers that were taken out of the choice of others meanwhile."""

    puts: dict[tuple[str, Address], Lease]
    held: list[tuple[str, int]]


class FixedAllocator:
    """`choose` for each fixed spec. describe: a lease's holders for people."""

    def __init__(
        self, cache: RecordCache, ipam: Ipam, clock: Clock, policy: IpamPolicy, describe: Callable[[Lease], str]
    ) -> None:
        self._cache = cache
        self._index, self._blocks = ipam.index, ipam.index.blocks
        self._fixed_index = ipam.fixed_index
        self._clock = clock
        self._policy = policy
        self._describe = describe

    def choose(self, fixed_spec: FixedSpec, intent: Intent, claimant: Claimant, draft: Draft) -> Grant:
        """Choose its leases, into the draft.

        Raises Conflict when somebody else has an address that is named, BadRequest for one that cannot be, Exhausted.
        """
        network = fixed_spec.network
        before = self._before(fixed_spec)
        named = [self._cache.lease(s.space, a) for a in fixed_spec.wanted if (s := network.segment_of(a)) is not None]
        self._check_mac(fixed_spec, [lease for lease in (*named, *before) if lease is not None])
        # Only a MAC that the container names proves something: one of the lease's own may be the holder's.
        who = replace(claimant, mac=fixed_spec.mac, key=fixed_spec.key)
        holder = placeholder(intent.id)
        taken: list[Lease] = []
        nameable: set[Address] = set()
        for part in self.parts(fixed_spec, before):
            wanted = next((each for each in fixed_spec.claimed if each.version == part.version), part.wanted)
            shared = any((pool.space, pool.subnet) in self._blocks for pool in part.pools)
            if shared and wanted not in fixed_spec.claimed:
                raise Unavailable(f"no address of {part.pools[0].subnet} is claimed yet", hint="try again")
            claim = Claim(key=fixed_spec.key, holder=holder, name=claimant.name)
            lease = self._lease(part.pools, wanted, part.before, claim, who, draft)
            taken.append(lease)
            if part.sayable:
                nameable.add(lease.address)
        mac = self._mac(fixed_spec, taken)
        for lease in taken:
            draft.puts[lease.space, lease.address] = self._with_mac(lease, mac, holder, lease.address in nameable)
        v4 = next((lease.address for lease in taken if isinstance(lease.address, IPv4Address)), None)
        v6 = next((lease.address for lease in taken if isinstance(lease.address, IPv6Address)), None)
        return Grant(network.id, v4, v6, mac, frozenset(nameable))

    def parts(self, fixed_spec: FixedSpec, before: Sequence[Lease] | None = None) -> Iterator[Part]:
        """The families in which it gets an address. before: what belongs to it already, where that is known."""
        network = fixed_spec.network
        before = self._before(fixed_spec) if before is None else before
        for version, segments in ((4, network.ipv4), (6, network.ipv6)):
            pools = [pool for segment in segments if (pool := self._cache.pool(segment.pool)) is not None]
            wanted = next((address for address in fixed_spec.wanted if address.version == version), None)
            sayable = fixed_spec.nameable and (fixed_spec.anywhere or all(not pool.source for pool in pools))
            if (
                version in fixed_spec.families
                and pools
                and (sayable or fixed_spec.mac or fixed_spec.settable or wanted)
            ):
                mine = [lease for lease in before if lease.address.version == version]
                yield Part(version, pools, wanted, sayable, mine)

    def usable(self, before: Sequence[Lease]) -> Lease | None:
        """Of what belongs to it already the one that is held by somebody, or else the newest."""
        usable = [lease for lease in before if self._cache.pool(lease.pool) is not None]
        return max(usable, key=lambda each: (bool(each.holders), each.since), default=None)

    def _mac(self, fixed_spec: FixedSpec, taken: Sequence[Lease]) -> str:
        """The MAC that the container gets: what it names, what the addresses have, or one that nobody in the network
        has; "" where none can be said."""
        if fixed_spec.mac or not fixed_spec.settable or not taken:
            return fixed_spec.mac
        if fixed_spec.claimed_mac:
            return fixed_spec.claimed_mac
        for lease in taken:
            if lease.mac:
                return lease.mac
        mine = {(lease.space, lease.address) for lease in taken}
        # By the network's name, where it is known: the next network of that name gives the key the same one.
        place = f"key:{fixed_spec.network.name or fixed_spec.network.id}:{fixed_spec.key}"
        mac = stable_mac(place)
        if any(
            (lease.space, lease.address) not in mine for lease in self._fixed_index.with_mac(fixed_spec.network.id, mac)
        ):
            mac = stable_mac(f"{place}:{taken[0].address}")
        return mac

    def _with_mac(self, lease: Lease, mac: str, holder: str, nameable: bool) -> Lease:
        """The lease with that MAC. Raises Conflict when others hold it with another one, and it is the proof."""
        pool = self._cache.pool(lease.pool)
        if is_ports(lease.key):
            return lease  # who asks for another MAC was refused before (containers/port_choice.py)
        if lease.mac == mac or (not mac and not nameable and lease.holders != {holder}):
            return lease  # whoever else holds it needs the MAC that it has
        strict = pool is not None and self._policy.claim_policy(pool) is ClaimPolicy.HOLDERS
        if lease.mac and mac and lease.holders != {holder} and (strict or not nameable):
            raise Conflict(
                f"address {lease.address} is fixed together with MAC {lease.mac}",
                holder=self._describe(lease),
                hint=f"use `--mac-address {lease.mac}`, or remove the other container first",
            )
        if lease.mac and mac and lease.holders != {holder}:
            return lease
        # Where no MAC can be said, nobody can be asked for one.
        return proven(lease, mac)

    def _before(self, fixed_spec: FixedSpec) -> list[Lease]:
        """What the key has already, or else the MAC that the container names, a copy of another one's configuration:
        also one that was removed a moment ago, as tools do that make a container anew."""
        network = fixed_spec.network.id
        mine = self._fixed_index.of_key(network, fixed_spec.key)
        if mine or not fixed_spec.mac:
            return mine
        return self._fixed_index.with_mac(network, fixed_spec.mac) or self._fixed_index.resting(network, fixed_spec.mac)

    def _lease(
        self,
        pools: Sequence[Pool],
        wanted: Address | None,
        before: Sequence[Lease],
        claim: Claim,
        claimant: Claimant,
        draft: Draft,
    ) -> Lease:
        now = self._clock.now()
        if wanted is not None:
            pool = next((pool for pool in pools if wanted in pool.subnet), None)
            if pool is None:
                raise elsewhere(pools, wanted)
            check_address(pool.subnet, wanted)
            lease = self._known(pool, wanted)
            self._check(pool, wanted, lease, claimant)
            fixed = lease is not None and lease.state is State.FIXED
            return claimed(lease, Place(pool.space, wanted, pool.id), _later(claim) if fixed else claim, now)
        if (lease := self.usable(before)) is not None:
            fixed = lease.state is State.FIXED
            return claimed(lease, lease, _later(claim) if fixed else claim, now)
        if is_ports(claim.key):  # it was removed meanwhile, or its network came back without the address
            port = claim.key.partition(":")[2]
            raise Conflict(f"port {port} has no address there any more", hint=f"see `mooring port inspect {port}`")
        chosen = self._index.choose(pools[0])
        if chosen is None:
            raise Exhausted(
                f"{', '.join(str(pool.subnet) for pool in pools)} is full: no address is free",
                hint=f"see `mooring lease ls --pool {pools[0].id}`",
            )
        pool, number = chosen
        draft.held.append((pool.id, number))
        address = address_of(pool.subnet.version, number)
        return claimed(self._known(pool, address), Place(pool.space, address, pool.id), claim, now)

    def _known(self, pool: Pool, address: Address) -> Lease | None:
        lease = self._cache.lease(pool.space, address)
        if lease is None or self._cache.pool(lease.pool) is None or is_over(lease, self._clock.now()):
            return None
        return lease

    def _check(self, pool: Pool, address: Address, lease: Lease | None, claimant: Claimant) -> None:
        """Raises Conflict unless the container that is being made may become a holder of the address."""
        verdict = may_hold(lease, claimant, self._policy.claim_policy(pool), self._clock.now())
        if not verdict.allowed:
            holder = self._describe(lease) if lease is not None and lease.holders else verdict.holder
            hint = f"{verdict.hint}; see `mooring explain {address}`"
            raise Conflict(f"address {address} is not free: {verdict.rule}", holder=holder, hint=hint)
        self._index.check_use(address)
        endpoint = self._index.endpoint(pool, address)
        if endpoint and (lease is None or lease.state is not State.FIXED):
            raise Conflict(
                f"address {address} is in use",
                holder=self._index.called(pool.network, endpoint),
                hint=way_out_of_use(address),
            )

    def _check_mac(self, fixed_spec: FixedSpec, kept: Sequence[Lease]) -> None:
        """Raises Conflict for a MAC that is the proof of another fixed address than those that the container gets."""
        mine = {(lease.space, lease.address) for lease in kept}
        for lease in self._fixed_index.with_mac(fixed_spec.network.id, fixed_spec.mac) if fixed_spec.mac else ():
            if (lease.space, lease.address) not in mine:
                raise Conflict(
                    f"MAC {fixed_spec.mac} belongs to the fixed address {lease.address}",
                    holder=self._describe(lease),
                    hint=f"choose another MAC, or request that address as well (`--ip {lease.address}`)",
                )

    def left_behind(self, mine: Sequence[Lease], now_has: Lease) -> list[tuple[Lease, Lease | None]]:
        """The leases of one key that it does not keep, now that it has another address, each with what becomes of it:
        those of the family that nobody holds any more."""
        return [
            (lease, unclaimed(lease, self._clock.now(), self._policy.cooldown))
            for lease in mine
            if lease.address != now_has.address
            and lease.address.version == now_has.address.version
            and not lease.holders
            and lease.active is None
        ]


def elsewhere(pools: Sequence[Pool], wanted: Address | None) -> BadRequest:
    """The refusal of an address that is in none of the pools."""
    subnets = ", ".join(str(pool.subnet) for pool in pools)
    return BadRequest(f"address {wanted} is not in the network, which has {subnets}")


def _later(claim: Claim) -> Claim:
    """The claim of a fixed address whose key changes when the container is there, and not before."""
    return msgspec.structs.replace(claim, key="")
