"""Networks on every host of the cluster, asked for by hand: what is asked is written, and what hosts say is read."""

from __future__ import annotations

from contextlib import suppress

import msgspec

from mooring.core.cluster_views import EverywhereHost, EverywhereView
from mooring.core.everywhere import NetworkEverywhere, alike, checked
from mooring.core.faults import Conflict, NotFound, StaleRevision, Unavailable
from mooring.ports import Clock
from mooring.services.cluster.address_plan import AddressPlan
from mooring.services.cluster.membership import ClusterMembership
from mooring.services.cluster.shared_values import ATTEMPTS, contended
from mooring.services.networking.cluster_runtime import ClusterRuntime


class Everywhere:
    """Where this host is in no cluster, everything raises NotFound."""

    def __init__(self, membership: ClusterMembership, runtime: ClusterRuntime, clock: Clock) -> None:
        self._membership, self._runtime, self._clock = membership, runtime, clock

    async def create(self, wanted: NetworkEverywhere, dry: bool) -> EverywhereView:
        """Every host is to have the network; asked for again, hosts look again. wanted: without an id. Raises
        BadRequest, Conflict where another one of the name is asked for, NotFound, Unavailable."""
        wanted, plan = checked(wanted), self._plan()
        for _ in range(ATTEMPTS):
            seen = await plan.values.everywhere(wanted.name)
            known, revision = seen.networks.get(wanted.name, (None, 0))
            if known is not None and known.ending and not alike(known, wanted):
                raise Conflict(
                    f"network {wanted.name}, which had other options, is not removed on every host yet",
                    hint="`mooring network ls --everywhere` shows where it is",
                )
            if known is not None and not alike(known, wanted):
                raise Conflict(
                    f"network {wanted.name} is asked for on every host already, with other options",
                    holder=f"host {known.by}",
                    hint=f"`mooring network rm --everywhere {wanted.name}` ends it",
                )
            asked = msgspec.structs.replace(
                wanted, id=known.id if known is not None else self._clock.token(), asked=self._clock.now(),
                round=known.round + 1 if known is not None else 1, by=self._membership.entered()[0].name,
            )  # fmt: skip
            with suppress(StaleRevision):
                if not dry:
                    await plan.values.put(asked, revision)
                return await self._view(plan, asked, dry)
        raise contended(f"network {wanted.name} on every host")

    async def remove(self, name: str, dry: bool) -> EverywhereView:
        """No host is to have the network any more. Raises as `view`."""
        plan = self._plan()
        for _ in range(ATTEMPTS):
            known, revision = await self._known(plan, name)
            ending = msgspec.structs.replace(known, ending=True, round=known.round + 1)
            with suppress(StaleRevision):
                if not dry:
                    await plan.values.put(ending, revision)
                return await self._view(plan, ending, dry)
        raise contended(f"network {name} on every host")

    async def view(self, name: str) -> EverywhereView:
        """How far it is. Raises NotFound, Unavailable."""
        plan = self._plan()
        return await self._view(plan, (await self._known(plan, name))[0])

    async def rows(self) -> list[EverywhereView]:
        """All of them, by name. Raises Unavailable."""
        plan = self._plan()
        seen = await plan.values.everywhere()
        return [await self._view(plan, asked) for asked, _ in seen.networks.values()]

    async def _known(self, plan: AddressPlan, name: str) -> tuple[NetworkEverywhere, int]:
        seen = await plan.values.everywhere(name)
        known = seen.networks.get(name)
        if known is None:
            raise NotFound(
                f"network {name[:64]} is not asked for on every host",
                hint="`mooring network ls --everywhere` lists those that are",
            )
        return known

    async def _view(self, plan: AddressPlan, asked: NetworkEverywhere, dry: bool = False) -> EverywhereView:
        answers = (await plan.values.everywhere(asked.name)).answers
        hosts, heard = await plan.values.hosts.hosts(), await plan.values.hosts.heard()
        rows = []
        for host in sorted(hosts, key=lambda host: host.name):
            seen = answers.get((asked.name, host.id))
            answer = seen.value if seen is not None and seen.value.is_to(asked) else None
            state, why = (answer.outcome.value, answer.why) if answer is not None else ("waiting", "")
            rows.append(EverywhereHost(host.id, host.name, host.id in heard, state, why))
        return EverywhereView(
            asked.name, [str(each.subnet) for each in asked.subnets], dict(asked.options), asked.ending, asked.by,
            asked.asked, rows, dry,
        )  # fmt: skip

    def _plan(self) -> AddressPlan:
        self._membership.entered()
        if self._runtime.plan is None:
            raise Unavailable("this host has not entered its cluster yet", hint="try again in a moment")
        return self._runtime.plan
