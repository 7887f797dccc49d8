"""The kernel reconciler's part in VNICs: what a record has and the kernel lacks is made again, with the same MAC; what
the kernel has of a VNIC without a record is taken into the records, for a store may have been lost.

Rules: only what this process itself has ended is a leftover; an adopted link is nobody's to make, so that it is missing
is told.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace

from mooring.core.plumbing import Fact, Veth
from mooring.core.vnics import ALIAS, Vnic, all_facts, bridge_facts, vnic_facts, vnic_of
from mooring.ports import Kernel
from mooring.services.networking.vnics import Vnics
from mooring.services.records.endpoint_index import Records
from mooring.services.records.pacing import Pace

Apply = Callable[[Iterable[Fact], str], Awaitable[None]]


class VnicRepair:
    """`restore`, `mend` and `wanted`, in this order, in each pass."""

    def __init__(self, records: Records, vnics: Vnics, kernel: Kernel) -> None:
        self._cache, self._clock = records.cache, records.clock
        self._vnics = vnics
        self._index = vnics.index
        self._kernel = kernel
        self._spared: frozenset[tuple[str, ...]] = frozenset()
        # Host ends that were on record at the end of the last pass.
        self._links: frozenset[str] = frozenset()
        # Facts of VNICs by their ids, with the records that they follow from.
        self._known: dict[str, tuple[Vnic, frozenset[Fact]]] = {}

    async def restore(self, observed: frozenset[Fact], dry: bool) -> list[str]:
        """VNICs that only the kernel knows are on record again; what was done, a line each. Raises Unavailable."""
        unknown: dict[str, Vnic] = {}
        pace = Pace()
        for fact in observed:
            if isinstance(fact, Veth) and fact.alias.startswith(ALIAS) and fact.name not in self._links:
                await pace.step()
                vnic = vnic_of(fact.alias, fact.mtu, self._clock.now())
                if vnic is not None and vnic.host_end == fact.name and self._is_unknown(vnic):
                    unknown[fact.name] = vnic
        done: list[str] = []
        spared: list[Vnic] = []
        insides = await self._kernel.insides(sorted(unknown)) if unknown else {}
        for name, vnic in sorted(unknown.items()):
            mac = insides[name].mac if name in insides else ""
            if not mac and (seen := await self._kernel.link(vnic.link)) is not None:
                mac = seen.mac
            if dry or not mac:
                spared.append(vnic)
            elif self._is_unknown(vnic):
                await self._cache.commit(put=[replace(vnic, mac=mac)])
                done.append(f"{vnic} was missing from the records: restored, without static routes")
        self._spared = frozenset(fact.key for fact in all_facts(spared))
        return done

    def _is_unknown(self, vnic: Vnic) -> bool:
        return self._index.at(vnic.group, vnic.address) is None and vnic.id not in self._index.ended

    async def mend(self, have: dict[tuple[str, ...], Fact], apply: Apply) -> list[str]:
        """What is missing is made; what cannot be, a line each. apply(wanted, subject): makes what differs, and notes
        it."""
        pace = Pace()
        for group in self._index.groups():
            made = [vnic for vnic in self._index.of_group(group) if not vnic.adopted]
            if made:
                await apply(bridge_facts(group), f"the bridge of VNICs of {group}")
            for vnic in made:
                await pace.step()
                if self._index.at(group, vnic.address) != vnic:
                    continue  # ended meanwhile
                died = ("veth", vnic.host_end) not in have
                await apply(
                    self._facts(vnic), f"{vnic}, MAC {vnic.mac}" + (", whose interface had died" if died else "")
                )
        return [
            f"{vnic} has adopted interface {vnic.adopted}, which is not on the host: make it again, or "
            f"`mooring vnic rm {vnic.id}`"
            for vnic in self._cache.every(Vnic)
            if vnic.adopted and not self._vnics.user(vnic) and await self._kernel.link(vnic.adopted) is None
        ]

    def wanted(self) -> set[tuple[str, ...]]:
        """The keys of all facts that VNICs need."""
        vnics = list(self._cache.every(Vnic))
        found = {fact.key for vnic in vnics for fact in self._facts(vnic)} | self._spared
        for group in {vnic.group for vnic in vnics if not vnic.adopted}:
            found |= {fact.key for fact in bridge_facts(group)}
        ids = {vnic.id for vnic in vnics}
        self._known = {ident: known for ident, known in self._known.items() if ident in ids}
        self._links = frozenset(
            fact.name for _, facts in self._known.values() for fact in facts if isinstance(fact, Veth)
        )
        return found

    def _facts(self, vnic: Vnic) -> frozenset[Fact]:
        known = self._known.get(vnic.id)
        if known is None or known[0] is not vnic:
            known = self._known[vnic.id] = vnic, vnic_facts(vnic)
        return known[1]
