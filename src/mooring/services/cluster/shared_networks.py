"""Networks that several hosts take part in: made by the first, ended by the last, and finished by anybody.

Rules: each step is a write of one key, and whoever finds a step half done goes on with it. The record comes before the
VNI, so that a VNI whose network is not there is nobody's; a host says that it takes part, and then looks whether the
network is still the same; who leaves says that it ends, and then looks whether somebody has come: either sees the
other. Nothing of a network is removed before it is closed, and then nobody brings it back; nor what was not seen while
its record was there, as that may be the next one's.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress

import msgspec

from mooring.core import cluster_keys as keys
from mooring.core.address_claims import without
from mooring.core.advertisements import host_prefix, network_prefix
from mooring.core.cluster_networks import DRAWN, ClusterNetwork, NetworkMember, VniHolder, disagreements
from mooring.core.faults import Conflict, Exhausted, StaleRevision
from mooring.core.networks import Subnet, overlap
from mooring.ports import Clock
from mooring.services.cluster.host_blocks import SIGHTINGS
from mooring.services.cluster.late_writes import LateWrites
from mooring.services.cluster.shared_values import ATTEMPTS, Member, Networks, Seen, SharedValues, contended
from mooring.services.cluster.unknown_hosts import UnknownHosts

# How many VNIs are tried, from one that is drawn.
VNIS = 256
# What hosts keep of a subnet.
PARTS = (keys.block_prefix, keys.want_prefix, keys.address_prefix, keys.identity_prefix)


class SharedNetworks:
    """The networks of a cluster as one host takes part in them. Every method may raise Unavailable, after which the
    outcome is unknown; done again, it finds out."""

    def __init__(self, values: SharedValues, member: Member, clock: Clock, sightings: float = SIGHTINGS) -> None:
        """sightings: seconds for which a network has to be seen without a host before it is ended."""
        self._values, self._member, self._clock, self._sightings = values, member, clock, sightings
        self._empty: dict[str, float] = {}  # ids of networks without a host, and since when
        self._strays: dict[tuple[int, str, Subnet], float] = {}  # what says so of this host, and since when
        self._late = LateWrites(values, clock, sightings)
        self._unknown = UnknownHosts(values.hosts, member.host, clock, sightings)

    @property
    def silent(self) -> tuple[str, ...]:
        """Ids of hosts that are not heard, because of which what came late of a network stays."""
        return self._late.silent

    async def networks(self, space: str = "") -> Networks:
        """The networks of the address space ("" for any) and who takes part in them."""
        return await self._values.networks(space)

    async def join(
        self, wanted: ClusterNetwork, vni: int = 0, name: str = "", alone: bool = False, published: str = ""
    ) -> ClusterNetwork:  # fmt: skip
        """This host takes part in the network that has the subnets, which is made where it is not there; the network.

        wanted: without an id. vni: the one that an overlay is to have, 0 for any. name, published: of NetworkMember.
        alone: no other host may be in it already. Raises Conflict where it is another one there, or another network has
        one of its subnets, or the VNI: it names the hosts; Exhausted where no VNI is free.
        """
        part = NetworkMember(
            space=wanted.space, subnet=wanted.subnet, host=self._member.host, network="", name=name, published=published
        )
        for _ in range(ATTEMPTS):
            with suppress(StaleRevision):
                if (joined := await self._join(wanted, vni, part, alone)) is not None:
                    return joined
        raise contended(f"network {wanted.subnet} of the cluster")

    async def check(self, wanted: ClusterNetwork, alone: bool = False) -> Networks:
        """Raises Conflict as `join` would at this moment; what there is. Nothing is written."""
        seen = await self._values.networks(wanted.space)
        for each in seen.networks:
            if each.value is not None and not each.value.ending and _overlap(each.value, wanted):
                await self._must_go(seen, each.value, wanted, 0, alone)
        return seen

    async def _join(
        self, wanted: ClusterNetwork, vni: int, part: NetworkMember, alone: bool
    ) -> ClusterNetwork | None:  # fmt: skip
        """None where it has to be begun anew."""
        space, subnet = wanted.space, wanted.subnet
        seen = await self._values.networks(space)
        for each in seen.networks:
            other = each.value
            if other is None or not _overlap(other, wanted):
                continue
            if other.ending or await self._must_go(seen, other, wanted, vni, alone):
                await self._end(other)
                return None
        known = seen.at(space, subnet)
        if known.value is None:
            made = msgspec.structs.replace(wanted, id=self._clock.token(), vni=0, ending=False, closed=False)
            known = Seen(made, await self._values.put(made, 0))
        assert known.value is not None
        if known.value.overlay and not known.value.vni:
            known = await self._number(known.value, known.revision, vni)
        assert known.value is not None
        part = msgspec.structs.replace(part, network=known.value.id)
        mine = seen.part(space, subnet, self._member.host)
        if mine.value != part:
            await self._values.put(part, mine.revision)
        again = mine.value is not None and mine.value.network == known.value.id
        return await self._looked(known.value, wanted, again)

    async def _looked(self, joined: ClusterNetwork, wanted: ClusterNetwork, again: bool) -> ClusterNetwork | None:
        """The network, where this host is in it now; else it is not any more. again: it was before, so that whoever
        overlaps it has come later. Raises Conflict."""
        seen = await self._values.networks(joined.space)
        now = seen.at(joined.space, joined.subnet).value
        mine = seen.part(joined.space, joined.subnet, self._member.host).value
        rival = None if again else next(_rivals(seen, wanted), None)
        if rival is None and now is not None and now.id == joined.id and not now.ending and mine is not None:
            return now if mine.network == joined.id else None
        await self.leave(joined)
        if rival is not None:
            raise await self._in_the_way(seen, rival, wanted)
        return None

    async def confirm(
        self, known: ClusterNetwork, vni: int = 0, name: str = "", published: str = ""
    ) -> ClusterNetwork:  # fmt: skip
        """This host is in the network that it was in, or in the one that is there instead; which. Raises as `join`."""
        seen = await self._values.networks(known.space)
        now, mine = seen.at(known.space, known.subnet).value, seen.part(known.space, known.subnet, self._member.host)
        if now is None and known.id and mine.value is not None and mine.value.network == known.id:
            # No network ends while this host is in it: somebody has deleted the record by hand.
            now = msgspec.structs.replace(known, ending=False, closed=False)
            await self._values.put(now, 0)
            with suppress(StaleRevision):
                if now.vni:
                    await self._values.put(
                        VniHolder(vni=now.vni, network=now.id, space=now.space, subnet=now.subnet), 0
                    )
        if now is None or mine.value is None or now.closed or not now.id == mine.value.network == known.id:
            wanted = msgspec.structs.replace(known, id="", vni=0, ending=False, closed=False)
            return await self.join(wanted, vni, name, published=published)
        part = msgspec.structs.replace(mine.value, name=name or mine.value.name, published=published)
        if part != mine.value:
            with suppress(StaleRevision):
                await self._values.put(part, mine.revision)
        return now

    async def _must_go(
        self, seen: Networks, other: ClusterNetwork, wanted: ClusterNetwork, vni: int, alone: bool
    ) -> bool:
        """Whether the network, which overlaps the wanted one, cannot be that, and has no host. Raises Conflict where it
        has some."""
        fault: Conflict | None = None
        here = other.subnet == wanted.subnet
        hosts = [member.host for member in seen.of(other)]
        if here and alone and set(hosts) - {self._member.host}:
            fault = Conflict(
                f"subnet {wanted.subnet}, which was chosen here, is that of {_called(seen, other)} of the cluster",
                holder=await self._hosts(seen, other),
                hint=f"to take part in that network, name the subnet: --subnet {wanted.subnet}; or choose another",
            )
        elif here and (unlike := next(disagreements(other, wanted, vni), None)) is not None:
            what, theirs, ours = unlike
            called = f" ({', '.join(names)})" if (names := _names(seen, other)) else ""
            fault = Conflict(
                f"network {wanted.subnet}{called} of the cluster has {what} {theirs}, not {ours}",
                holder=await self._hosts(seen, other),
                hint=f"make it with the same {what} on each host, or choose another subnet",
            )
        elif not here:
            fault = await self._in_the_way(seen, other, wanted)
        if fault is not None and hosts:
            raise fault
        return fault is not None

    async def _in_the_way(self, seen: Networks, other: ClusterNetwork, wanted: ClusterNetwork) -> Conflict:
        return Conflict(
            f"subnet {', '.join(map(str, wanted.subnets))} overlaps {', '.join(map(str, other.subnets))}, "
            f"{_called(seen, other)} of the cluster",
            holder=await self._hosts(seen, other),
            hint="choose another subnet, or give the network the same subnets on each host",
        )

    async def _hosts(self, seen: Networks, network: ClusterNetwork) -> str:
        """Who takes part in it, for a person."""
        names = {host.id: host.name for host in await self._values.hosts.hosts()}
        members = [names.get(member.host, member.host) for member in _taking_part(seen, network)]
        return ", ".join(f"host {each}" for each in members[:5]) or "no host any more"

    async def _number(self, network: ClusterNetwork, revision: int, vni: int) -> Seen[ClusterNetwork]:
        """The network with a VNI that no other has. Raises Conflict, Exhausted, StaleRevision."""
        for number in (vni,) if vni else self._drawn():
            seen = await self._values.vni(number)
            if seen.value is not None and seen.value.network != network.id and await self._is_there(seen.value):
                if vni:
                    other = f"network {seen.value.subnet} of address space {seen.value.space}"
                    raise Conflict(f"VNI {vni} is in use", holder=other, hint="choose another, or leave it out")
                continue
            holder = VniHolder(vni=number, network=network.id, space=network.space, subnet=network.subnet)
            if seen.value != holder:
                await self._values.put(holder, seen.revision)
            numbered = msgspec.structs.replace(network, vni=number)
            try:
                return Seen(numbered, await self._values.put(numbered, revision))
            except StaleRevision:
                await self._drop(holder)
                raise
        raise Exhausted(f"no VNI is free among {VNIS} that were tried", hint="choose one: -o vni=NUMBER")

    def _drawn(self) -> Iterator[int]:
        low, high = DRAWN
        start = int(self._clock.token(), 16)
        return (low + (start + turn) % (high - low) for turn in range(VNIS))

    async def _is_there(self, holder: VniHolder) -> bool:
        """Whether the network is there that has the VNI: its record is written before, so that it never comes later."""
        known = (await self._values.network(holder.space, holder.subnet)).value
        return known is not None and known.id == holder.network

    async def _drop(self, holder: VniHolder) -> None:
        """The VNI is nobody's, unless its network has it."""
        seen = await self._values.vni(holder.vni)
        known = (await self._values.network(holder.space, holder.subnet)).value
        has = known is not None and (known.id, known.vni) == (holder.network, holder.vni)
        if seen.value == holder and not has:
            with suppress(StaleRevision):
                await self._values.delete(holder, seen.revision)

    async def leave(self, network: ClusterNetwork, host: str = "") -> None:
        """The host ("": this one) does not take part in a network with the subnet any more, nor advertises anything of
        this one; what is left of it is removed where it was the last. network: as the host knew it."""
        host = host or self._member.host
        self._late.expect()
        if network.id:
            await self._values.clear(network_prefix(host, network.id))
        for _ in range(ATTEMPTS):
            mine = (await self._values.networks(network.space)).part(network.space, network.subnet, host)
            if mine.value is None:
                break
            with suppress(StaleRevision):
                await self._values.delete(mine.value, mine.revision)
        else:
            raise contended(f"the part of host {host} in network {network.subnet}")
        await self._end(network)

    async def _end(self, network: ClusterNetwork) -> None:
        """The network with the subnet is gone where no host is in it."""
        for _ in range(ATTEMPTS):
            seen = await self._values.networks(network.space)
            known = seen.at(network.space, network.subnet)
            if known.value is None:
                return
            with suppress(StaleRevision):
                if not known.value.ending:
                    if seen.of(known.value):
                        return
                    ending = msgspec.structs.replace(known.value, ending=True)
                    await self._values.put(ending, known.revision)
                elif not known.value.closed:
                    await self._close(seen, known.value, known.revision)
                else:
                    await self._remove(known.value, known.revision)
                    await self._values.delete(known.value, known.revision)
                    self._late.expect()
        raise contended(f"network {network.subnet} of the cluster")

    async def _close(self, seen: Networks, network: ClusterNetwork, revision: int) -> None:
        """Whoever took part when it was said to end is seen now: then it goes on. Raises StaleRevision."""
        came = bool(seen.of(network))
        await self._values.put(msgspec.structs.replace(network, ending=not came, closed=not came), revision)

    async def _remove(self, network: ClusterNetwork, revision: int) -> None:
        """Nothing is left of the network, which is closed, but its record, which has the revision. Raises
        StaleRevision where that has not: somebody else has ended it, and what is there may be the next one's."""
        for _ in range(ATTEMPTS):
            found = [
                entry
                for subnet in network.subnets
                for prefix in PARTS
                for entry in await self._values.under(prefix(network.space, subnet))
            ]
            if not found:
                break
            if (await self._values.network(network.space, network.subnet)).revision != revision:
                raise StaleRevision(keys.network_key(network.space, network.subnet))
            await self._values.drop(found)
        else:
            raise contended(f"network {network.subnet} of the cluster, which has ended,")
        for holder, at in await self._values.vnis():
            if holder.network == network.id:
                with suppress(StaleRevision):
                    await self._values.delete(holder, at)

    async def sweep(self) -> None:
        """What others began to end is ended, and so are networks that have been without a host for a while. What came
        after a network had ended goes, and so does the part in one of a host that was forgotten."""
        seen, now = await self._values.networks(), self._clock.boot()
        hosts = {member.value.host for member in seen.members if member.value is not None}
        for host in await self._unknown.among("", hosts):
            await self.forget(host)
        found = [each.value for each in seen.networks if each.value is not None]
        empty = [network for network in found if not seen.of(network)]
        self._empty = {network.id: self._empty.get(network.id, now) for network in empty}
        for network in found:
            if network.ending or now - self._empty.get(network.id, now) >= self._sightings:
                await self._end(network)
        await self._late.sweep()

    async def strays(self, mine: Collection[tuple[str, Subnet]]) -> list[ClusterNetwork]:
        """Networks of which the cluster has said for a while that this host takes part, while it does not and has
        nothing there: that was written late. mine: address spaces and first subnets of those in which it does."""
        seen, now = await self._values.networks(), self._clock.boot()
        found = {
            (each.revision, each.value.space, each.value.subnet): each.value
            for each in seen.members
            if each.value is not None
            and each.value.host == self._member.host
            and (each.value.space, each.value.subnet) not in mine
        }
        self._strays = {which: self._strays.get(which, now) for which in found}
        old = [part for which, part in found.items() if now - self._strays[which] >= self._sightings]
        networks = [seen.at(part.space, part.subnet).value or _nothing(part.space, part.subnet) for part in old]
        return [network for network in networks if not await self._has_something(network)]

    async def _has_something(self, network: ClusterNetwork) -> bool:
        """Whether a block or a claim there is this host's: one whose store was lost has some, and takes part again."""
        host = self._member.host
        for subnet in network.subnets:
            blocks = await self._values.blocks(network.space, subnet)
            if any(seen.value is not None and seen.value.host == host for seen in blocks.values()):
                return True
            claims = await self._values.claims(network.space, subnet)
            if any(claim.host == host or without(claim, host) != claim for claim, _ in claims):
                return True
        return False

    async def forget(self, host: str) -> None:
        """The host, which is gone for good, takes part in nothing, and advertises nothing."""
        seen = await self._values.networks()
        await self._values.clear(host_prefix(host))
        for each in seen.members:
            if each.value is not None and each.value.host == host:
                known = seen.at(each.value.space, each.value.subnet).value
                await self.leave(known or _nothing(each.value.space, each.value.subnet), host)


def _taking_part(seen: Networks, network: ClusterNetwork) -> Sequence[NetworkMember]:
    """Those of the network, or, where there is none, of one before it."""
    there = seen.of(network)
    return [member for member in there if member.network == network.id] or there


def _names(seen: Networks, network: ClusterNetwork) -> list[str]:
    """What the hosts call it, as far as that is known."""
    return sorted({member.name for member in _taking_part(seen, network) if member.name})[:5]


def _called(seen: Networks, network: ClusterNetwork) -> str:
    names = _names(seen, network)
    return f"network {' or '.join(names)}" if names else "a network"


def _nothing(space: str, subnet: Subnet) -> ClusterNetwork:
    """Stands for a network that is not there, whose members may be."""
    return ClusterNetwork(id="", space=space, subnets=(subnet,))


def _rivals(seen: Networks, wanted: ClusterNetwork) -> Iterator[ClusterNetwork]:
    """Other networks that overlap the wanted one."""
    for each in seen.networks:
        if each.value is not None and each.value.subnet != wanted.subnet and _overlap(each.value, wanted):
            yield each.value


def _overlap(other: ClusterNetwork, wanted: ClusterNetwork) -> bool:
    return any(overlap(one, two) for one in other.subnets for two in wanted.subnets)
