"""Networks that every host of the cluster is to have: this host makes and removes its own, at its engine.

Rules: nothing waits for it, and the cluster's other turns do not either; what an engine that is away was asked for is
done when it is back; a network in which somebody lives stays, and so does one that is another than was meant; what
others wrote is checked here as what is asked for here, and no engine hears of what no host may have.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace

import msgspec

from mooring.core.cluster_hosts import Membership
from mooring.core.cluster_keys import everywhere_key
from mooring.core.cluster_options import SCOPE_OPTIONS, published
from mooring.core.containers import EngineNetwork
from mooring.core.everywhere import HostAnswer, NetworkEverywhere, Outcome, check_alike, checked, unlike
from mooring.core.faults import Conflict, Fault, StaleRevision, Unavailable
from mooring.core.networks import Scope
from mooring.core.options import shown
from mooring.ports import Clock, Cluster, Engine
from mooring.services.cluster.address_plan import AddressPlan
from mooring.services.ipam.shared_pools import SharedPools
from mooring.services.records.record_cache import RecordCache

# Seconds between two looks, and before what was refused is tried again.
PERIOD = 2.0
AGAIN = 30.0


class NetworksEverywhere:
    """A Part of the cluster's runtime, whose work is done by `run`, for an engine may take long. names: those that
    dockerd has for us; networks are made with the first."""

    def __init__(
        self, cache: RecordCache, shared: SharedPools, engine: Engine, clock: Clock, names: Sequence[str]
    ) -> None:  # fmt: skip
        self._cache, self._shared, self._engine = cache, shared, engine
        self._clock, self._names = clock, tuple(names)
        self._faults: dict[str, Fault] = {}  # by name of the network, or key of what cannot be read
        self._tried: dict[str, float] = {}

    async def entered(self, _cluster: Cluster, _membership: Membership) -> None:
        """See Part."""
        self._faults.clear()
        self._tried.clear()

    async def left(self) -> None:
        """See Part."""
        self._faults.clear()

    async def turn(self) -> list[Fault]:
        """See Part: what could not be done when it was tried last."""
        return list(self._faults.values())

    async def run(self) -> None:
        """Take up what is asked for, for ever."""
        while True:
            await self.once()
            await self._clock.sleep(PERIOD)

    async def once(self) -> None:
        """Everything that is asked for and was not taken up yet is done, or noted. Raises no Fault."""
        plan = self._shared.plan
        if plan is None or plan.unreached is not None or plan.forgotten:
            return
        with suppress(Unavailable):  # the cluster's turns tell of that
            seen = await plan.values.everywhere()
            self._faults = {name: fault for name, fault in self._faults.items() if name in seen.networks}
            self._faults |= seen.unread
            for name, (asked, revision) in seen.networks.items():
                answer = seen.answers.get((name, plan.member.host))
                mine = answer.value if answer is not None else None
                if self._is_due(asked, mine):
                    self._tried[name] = self._clock.boot()
                    await self._take_up(plan, asked, answer.revision if answer is not None else 0)
                elif asked.ending:
                    hosts = {host.id for host in await plan.values.hosts.hosts()}
                    told = [each.value for each in seen.answers.values() if each.value.name == name]
                    gone = {each.host for each in told if each.is_to(asked) and each.outcome is Outcome.REMOVED}
                    if hosts <= gone:
                        await plan.values.end_everywhere(asked, revision)
            for (name, _), (told_of, at) in seen.answers.items():
                if name not in seen.networks and everywhere_key(name) not in seen.unread:
                    with suppress(StaleRevision):  # whoever ended it has died before its answers went
                        await plan.values.delete(told_of, at)

    def _is_due(self, asked: NetworkEverywhere, mine: HostAnswer | None) -> bool:
        since = self._clock.boot() - self._tried.get(asked.name, float("-inf"))
        if mine is None or not mine.is_to(asked):
            return True
        return mine.outcome is Outcome.REFUSED and not asked.ending and since >= AGAIN

    async def _take_up(self, plan: AddressPlan, asked: NetworkEverywhere, revision: int) -> None:
        """It is done or refused, and the cluster knows. Raises Unavailable where the cluster is away."""
        answer = HostAnswer(
            name=asked.name, host=plan.member.host, network=asked.id, round=asked.round,
            outcome=Outcome.REMOVED if asked.ending else Outcome.MADE,
        )  # fmt: skip
        try:
            await (self._remove(asked) if asked.ending else self._make(checked(asked)))
            self._faults.pop(asked.name, None)
        except Unavailable as fault:  # the engine is away: it is done when that is back
            self._note(asked, fault)
            return
        except Fault as fault:
            self._note(asked, fault)
            answer = msgspec.structs.replace(answer, outcome=Outcome.REFUSED, why=str(fault))
        with suppress(StaleRevision):  # a copy of this machine has answered
            await plan.values.put(answer, revision)

    def _note(self, asked: NetworkEverywhere, fault: Fault) -> None:
        what = f"network {shown(asked.name)}, which is asked for on every host, is not made here: {fault.what}"
        if asked.ending:
            what = f"network {shown(asked.name)}, which no host is to have any more, is not removed here: {fault.what}"
        self._faults[asked.name] = type(fault)(what, holder=fault.holder, hint=fault.hint)

    async def _find(self, asked: NetworkEverywhere) -> EngineNetwork | None:
        found = await self._engine.network(asked.name)
        if found is None or found.name != asked.name:  # its id begins so
            return None
        known = self._cache.network(found.id)
        if known is None or not published(known):
            return found
        return replace(found, options={**found.options, SCOPE_OPTIONS[0]: Scope.CLUSTER.value})

    async def _make(self, asked: NetworkEverywhere) -> None:
        """Raises Conflict, Unavailable."""
        found = await self._find(asked)
        if found is None:
            await self._engine.create_network(asked.for_engine(self._names[0]))
        else:
            check_alike(found, asked, self._names)

    async def _remove(self, asked: NetworkEverywhere) -> None:
        """Raises BadRequest, Conflict, Unavailable."""
        found = await self._find(asked)
        if found is None or next(unlike(found, checked(asked), self._names), None) is not None:
            return  # what is there is somebody else's
        if found.endpoints:
            who = sorted(each.name or each.container[:12] for each in found.endpoints)
            raise Conflict(f"containers are in network {asked.name}", holder=", ".join(who[:5]),
                           hint="stop them, and ask for its end again")  # fmt: skip
        await self._engine.remove_network(found.id)
