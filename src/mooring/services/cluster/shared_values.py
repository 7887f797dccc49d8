"""Typed access to what the hosts of a cluster agree on.

Rules: a write is one compare-and-swap, and never repeated after an unknown outcome; nothing is remembered here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, TypeVar

from mooring.core import cluster_keys as keys
from mooring.core.address_claims import AddressClaim, Identity, Want
from mooring.core.advertisements import Advertisement
from mooring.core.blocks import Block, Division
from mooring.core.cluster_networks import ClusterNetwork, NetworkMember, VniHolder
from mooring.core.everywhere import HostAnswer, NetworkEverywhere
from mooring.core.faults import StaleRevision, Unavailable
from mooring.core.networks import Address, Subnet
from mooring.ports import Cluster, Entry
from mooring.services.cluster.host_records import HostRecords
from mooring.wire import cluster_forms as forms

# How often a write is tried anew when another host was first.
ATTEMPTS = 8

Value = forms.Value
T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T", Block, AddressClaim, Identity, Want, ClusterNetwork, NetworkMember, VniHolder)


class Seen(NamedTuple, Generic[T_co]):
    """A value as it was read, None where there is none, and its revision, 0 then."""

    value: T_co | None
    revision: int


@dataclass(frozen=True, slots=True)
class Networks:
    """Networks of the cluster and their members, with the revisions that they were read with."""

    networks: list[Seen[ClusterNetwork]] = field(default_factory=list)
    members: list[Seen[NetworkMember]] = field(default_factory=list)

    def at(self, space: str, subnet: Subnet) -> Seen[ClusterNetwork]:
        """The network that has the subnet as its first."""
        found = (
            each for each in self.networks if each.value and (each.value.space, each.value.subnet) == (space, subnet)
        )
        return next(found, Seen(None, 0))

    def of(self, network: ClusterNetwork) -> list[NetworkMember]:
        """Who takes part in that network, in the order of ids; who took part in the one that was there before, and was
        not heard since, does as well: he comes to know of it, and has what he had."""
        place = network.space, network.subnet
        return [m.value for m in self.members if m.value is not None and (m.value.space, m.value.subnet) == place]

    def of_subnet(self, subnet: Subnet) -> list[NetworkMember]:
        """Who takes part in a network that has the subnet as its first, in the order of ids."""
        return [each.value for each in self.members if each.value is not None and each.value.subnet == subnet]

    def part(self, space: str, subnet: Subnet, host: str) -> Seen[NetworkMember]:
        """What says that the host takes part in a network with the subnet."""
        for each in self.members:
            if each.value is not None and (each.value.space, each.value.subnet, each.value.host) == (
                space,
                subnet,
                host,
            ):
                return each
        return Seen(None, 0)


@dataclass(frozen=True, slots=True)
class SeenEverywhere:
    """Networks that every host is to have, by name, with their revisions, and what hosts answered, by name and host.
    unread: why a value under the key says nothing to this version."""

    networks: dict[str, tuple[NetworkEverywhere, int]] = field(default_factory=dict)
    answers: dict[tuple[str, str], Answered] = field(default_factory=dict)
    unread: dict[str, Unavailable] = field(default_factory=dict)


class Answered(NamedTuple):
    """An answer as it was read, and its revision."""

    value: HostAnswer
    revision: int


@dataclass(frozen=True, slots=True)
class Member:
    """This host as the cluster knows it: its id, and that of its present boot."""

    host: str
    boot: str


class SharedValues:
    """Reads and writes values by compare-and-swap. Every method may raise Unavailable, as the Cluster port says."""

    def __init__(
        self,
        cluster: Cluster,
        sure: Callable[[], Awaitable[None]] | None = None,
        written: Callable[[], None] = lambda: None,
    ) -> None:
        """sure: awaited before each request; raises Unavailable while what the store says is not to be relied on.
        written: called after each write."""
        self._cluster, self._sure, self._written = cluster, sure, written
        self.hosts = HostRecords(cluster)

    async def block(self, space: str, subnet: Subnet, index: int) -> Seen[Block]:
        """The block; one that nobody had is made up."""
        seen = await self._get(keys.block_key(space, subnet, index), Block)
        return seen if seen.value is not None else Seen(Block(space=space, subnet=subnet, index=index), 0)

    async def blocks(self, space: str, subnet: Subnet) -> dict[int, Seen[Block]]:
        """Every block that somebody has, or had, by its number."""
        return {block.index: Seen(block, at) for block, at in await self._scan(keys.block_prefix(space, subnet), Block)}

    async def claim(self, space: str, subnet: Subnet, address: Address) -> Seen[AddressClaim]:
        """What the key of the address says."""
        return await self._get(keys.address_key(space, subnet, address), AddressClaim)

    async def claims(self, space: str, subnet: Subnet) -> list[tuple[AddressClaim, int]]:
        """What the keys of all addresses of the subnet say."""
        return await self._scan(keys.address_prefix(space, subnet), AddressClaim)

    async def claims_in(
        self, space: str, subnet: Subnet, divided: Division, index: int
    ) -> dict[Address, Seen[AddressClaim]]:
        """What the keys of the block's addresses say."""
        prefix = keys.addresses_of_block(space, subnet, divided.first(index))
        return {claim.address: Seen(claim, at) for claim, at in await self._scan(prefix, AddressClaim)}

    async def identity(self, space: str, subnet: Subnet, key: str) -> Seen[Identity]:
        """Which address belongs to the key."""
        return await self._get(keys.identity_key(space, subnet, key), Identity)

    async def identities(self, space: str, subnet: Subnet) -> list[tuple[Identity, int]]:
        """Which address belongs to each key."""
        return await self._scan(keys.identity_key(space, subnet, ""), Identity)

    async def want(self, space: str, subnet: Subnet, address: Address) -> Seen[Want]:
        """What the owner of its block is asked about the address, or has answered."""
        return await self._get(keys.want_key(space, subnet, address), Want)

    async def wants(self, space: str, subnet: Subnet) -> list[tuple[Want, int]]:
        """Everything that owners of blocks of the subnet are asked, or have answered."""
        return await self._scan(keys.want_prefix(space, subnet), Want)

    async def networks(self, space: str = "") -> Networks:
        """The networks of the address space ("" for any) and who takes part in them, as of one moment."""
        if self._sure is not None:
            await self._sure()
        entries, _ = await self._cluster.scan(keys.networks_prefix(space))
        found = Networks()
        for entry in entries:
            value = forms.decode(entry.key, entry.value)
            if isinstance(value, ClusterNetwork):
                found.networks.append(Seen(value, entry.revision))
            elif isinstance(value, NetworkMember):
                found.members.append(Seen(value, entry.revision))
        return found

    async def network(self, space: str, subnet: Subnet) -> Seen[ClusterNetwork]:
        """The network that has the subnet as its first."""
        return await self._get(keys.network_key(space, subnet), ClusterNetwork)

    async def vni(self, vni: int) -> Seen[VniHolder]:
        """Which network has the VNI."""
        return await self._get(keys.vni_key(vni), VniHolder)

    async def vnis(self) -> list[tuple[VniHolder, int]]:
        """Which network has each VNI."""
        return await self._scan(keys.VNIS, VniHolder)

    async def everywhere(self, name: str = "") -> SeenEverywhere:
        """The networks that every host is to have, or the one of the name, and what hosts say of them. Raises
        Unavailable, also where that one cannot be read; of all of them, who cannot read one goes on with the others."""
        if self._sure is not None:
            await self._sure()
        found, key = SeenEverywhere(), keys.everywhere_key(name)
        for entry in (await self._cluster.scan(key))[0]:
            if name and entry.key != key and not entry.key.startswith(f"{key}/"):
                continue  # its name only begins so
            try:
                value = forms.decode(entry.key, entry.value)
            except Unavailable as fault:
                if entry.key == key:
                    raise
                found.unread[entry.key] = fault
                continue
            if isinstance(value, NetworkEverywhere):
                found.networks[value.name] = value, entry.revision
            elif isinstance(value, HostAnswer):
                found.answers[value.name, value.host] = Answered(value, entry.revision)
        return found

    async def end_everywhere(self, asked: NetworkEverywhere, expect: int) -> None:
        """Nothing is said of the network any more, if it was still so. Raises Unavailable."""
        with suppress(StaleRevision):
            await self.delete(asked, expect)
            await self.clear(f"{keys.everywhere_key(asked.name)}/")

    async def under(self, prefix: str) -> Sequence[Entry]:
        """Everything under the prefix, whatever it says."""
        if self._sure is not None:
            await self._sure()
        return (await self._cluster.scan(prefix))[0]

    async def drop(self, entries: Iterable[Entry]) -> None:
        """They are gone, but for those that were written meanwhile."""
        for entry in entries:
            with suppress(StaleRevision):
                await self._cluster.delete(entry.key, entry.revision)

    async def clear(self, prefix: str) -> None:
        """No key is under the prefix but what is written meanwhile."""
        await self.drop(await self.under(prefix))

    async def put(self, value: Value, expect: int, ttl: float | None = None) -> int:
        """Write it where its key has the revision; the new one. Raises StaleRevision. ttl: as the port has it."""
        if self._sure is not None:
            await self._sure()
        revision = await self._cluster.put(forms.key_of(value), forms.encode(value), expect, ttl)
        self._written()
        return revision

    async def put_with(self, value: Value, expect: int, new: Sequence[Identity]) -> tuple[int, list[Identity]]:
        """As `put`, and then, if it was done, what of the others has no key yet; the revision, and which were done.
        Raises StaleRevision where nothing was."""
        if not new:
            return await self.put(value, expect), []
        if self._sure is not None:
            await self._sure()
        by_key = {forms.key_of(each): each for each in new}
        others = {key: forms.encode(each) for key, each in by_key.items()}
        revision, done = await self._cluster.put_with(forms.key_of(value), forms.encode(value), expect, others)
        self._written()
        return revision, [by_key[key] for key in done]

    async def delete(self, value: Value, expect: int) -> None:
        """Its key is gone, which had the revision. Raises StaleRevision."""
        if self._sure is not None:
            await self._sure()
        await self._cluster.delete(forms.key_of(value), expect)
        self._written()

    async def _get(self, key: str, kind: type[T]) -> Seen[T]:
        if self._sure is not None:
            await self._sure()
        entry = await self._cluster.get(key)
        if entry is None:
            return Seen(None, 0)
        value = forms.decode(key, entry.value)
        assert isinstance(value, kind)
        return Seen(value, entry.revision)

    async def _scan(self, prefix: str, kind: type[T]) -> list[tuple[T, int]]:
        if self._sure is not None:
            await self._sure()
        entries, _ = await self._cluster.scan(prefix)
        found = [(forms.decode(entry.key, entry.value), entry.revision) for entry in entries]
        return [(value, revision) for value, revision in found if isinstance(value, kind)]


def advertised(advertisement: Advertisement) -> tuple[str, bytes]:
    """Where it is advertised, and what is written there. Raises BadRequest for what is not Unicode text."""
    return forms.key_of(advertisement), forms.encode(advertisement)


def advertisement_of(key: str, value: bytes) -> Advertisement:
    """What a host advertises under the key. Raises Unavailable for what this version cannot read."""
    read = forms.decode(key, value)
    assert isinstance(read, Advertisement)
    return read


def contended(subject: str) -> Unavailable:
    """The fault for what other hosts changed too often meanwhile."""
    return Unavailable(f"{subject} was changed by other hosts {ATTEMPTS} times in a row", hint="try again")
