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

Apply = Callable[[Iterable[Fact], str], Awaitable[None]]


class VnicRepair:
    """`restore`, `mend` and `wanted`, in this order, in each pass."""

    def __init__(self, records: Records, vnics: Vnics, kernel: Kernel) -> None:
        self._cache, self._clock = records.cache, records.clock
        self._vnics = vnics
        self._index = vnics.index
        self._kernel = kernel
        self._spared: frozenset[tuple[str, ...]] = frozenset()

    async def restore(self, observed: frozenset[Fact], dry: bool) -> list[str]:
        """VNICs that only the kernel knows are on record again; what was done, a line each. Raises Unavailable."""
        unknown: dict[str, Vnic] = {}
        for fact in observed:
            if isinstance(fact, Veth) and fact.alias.startswith(ALIAS):
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
        for group in self._index.groups():
            made = [vnic for vnic in self._index.of_group(group) if not vnic.adopted]
            if made:
                await apply(bridge_facts(group), f"the bridge of VNICs of {group}")
            for vnic in made:
                if self._index.at(group, vnic.address) != vnic:
                    continue  # ended meanwhile
                died = ("veth", vnic.host_end) not in have
                await apply(
                    vnic_facts(vnic), f"{vnic}, MAC {vnic.mac}" + (", whose interface had died" if died else "")
                )
        return [
            f"{vnic} has adopted interface {vnic.adopted}, which is not on the host: make it again, or "
            f"`mooring vnic rm {vnic.id}`"
            for vnic in self._cache.every(Vnic)
            if vnic.adopted and not self._vnics.user(vnic) and await self._kernel.link(vnic.adopted) is None
        ]

    def wanted(self) -> set[tuple[str, ...]]:
        """The keys of all facts that VNICs need."""
        return {fact.key for fact in all_facts(self._cache.every(Vnic))} | self._spared
