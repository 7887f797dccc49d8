"""Comparing who holds addresses with the containers that the engine has, again and again.

Rules: an intent that nobody waits for is settled by what the engine says; a holder is gone when two lists without it
and the engine's own word for its full id say so, after a minimum age; the word of an engine counts for its own
containers only; whoever is there is never taken anything from, and an endpoint goes when its container has.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from mooring.core.attached_namespaces import is_namespaces
from mooring.core.containers import Container, Holder
from mooring.core.endpoints import Endpoint, State
from mooring.core.engines import KnownEngine
from mooring.core.faults import Fault
from mooring.core.findings import AUTOMATIC, Finding
from mooring.core.intents import Intent
from mooring.core.keys import key_of
from mooring.core.moves import Move
from mooring.core.networks import Network
from mooring.ports import Clock, Engine
from mooring.services.containers.admission import AdmissionController
from mooring.services.containers.adoption import Adoption
from mooring.services.containers.engine_upgrades import NAMES
from mooring.services.containers.fixed_leases import Holders
from mooring.services.containers.reattachment import Reattachment
from mooring.services.networking.endpoints import Endpoints
from mooring.services.networking.engine_identity import note_version, recognise
from mooring.services.records.pacing import Pace
from mooring.services.records.record_cache import RecordCache

log = logging.getLogger(__name__)

# Seconds that an intent must be old before a list of the engine settles it: the request may still be on its way.
INTENT_AGE = 2.0
# Seconds for which a move that did not end is tried again as often; what is refused for longer waits for a pass.
MOVE_AGE = 60.0
# Seconds that an endpoint must be old before its container is looked for: dockerd lists it at the end of a start only.
ENDPOINT_AGE = 60.0
# Seconds between two passes, at least.
FLOOR = 0.2
# Containers that are compared at a stretch: each takes some tenths of a millisecond.
PACE = 32


class _Notes:
    """What one pass finds. first: when the pass before saw each subject first, by the wall and by the boot clock."""

    def __init__(self, first: Mapping[str, tuple[float, float]], clock: Clock) -> None:
        self._first = first
        self._now = clock.now(), clock.boot()
        self.sightings: dict[str, tuple[float, float]] = {}
        self.found: list[Finding] = []

    def before(self, subject: str) -> bool:
        """Whether the pass before saw it."""
        return subject in self._first

    def add(self, subject: str, text: str, proof: str, remedy: str = "", fixable: bool = False) -> float:
        """It is so; for how many seconds, by the boot clock."""
        first = self.sightings[subject] = self._first.get(subject, self._now)
        self.found.append(Finding(subject, text, proof, first[0], remedy, fixable))
        return self._now[1] - first[1]

    @contextlib.contextmanager
    def trying(self, what: str) -> Iterator[None]:
        """What cannot be done for one thing keeps nobody else's from being done: it is a finding."""
        try:
            yield
        except Fault as fault:
            self.add(f"not-compared {what}", f"could not compare {what} with the records: {fault}", "the error above")

    def resolved(self) -> None:
        """The last one was put right."""
        self.found.pop()


@dataclass(frozen=True, slots=True)
class FixedAddresses:
    """What keeps addresses for containers, for those who follow the engine. nudged: a pass is wanted soon."""

    cache: RecordCache
    engine: Engine
    clock: Clock
    holders: Holders
    controller: AdmissionController
    adoption: Adoption
    reattachment: Reattachment
    nudged: asyncio.Event


class ContainerReconciler:
    """Passes over the engine's list. findings: of the last pass. listed: told of each list whose containers all have
    been looked at, with the seconds since the boot."""

    def __init__(
        self,
        fixed: FixedAddresses,
        endpoints: Endpoints,
        period: float,
        minimum_age: float,
        listed: Callable[[float], None] = lambda _: None,
    ) -> None:
        self._cache, self._engine, self._clock = fixed.cache, fixed.engine, fixed.clock
        self._holders, self._controller, self._adoption = fixed.holders, fixed.controller, fixed.adoption
        self._reattachment, self._nudged = fixed.reattachment, fixed.nudged
        self._endpoints, self._listed = endpoints, listed
        self._period = period
        self._minimum_age = minimum_age
        self._alone = asyncio.Lock()
        self._first: dict[str, tuple[float, float]] = {}
        self.findings: tuple[Finding, ...] = ()

    async def run(self) -> None:
        """Pass after pass, for ever."""
        while True:
            try:
                await self.once()
            except Exception:
                # One container that nobody thought of must not end the daemon.
                log.exception("a pass over Docker's containers failed with an internal error")
            pause = self._period
            open_ends = any(not self._controller.is_open(intent) for intent in self._cache.every(Intent))
            now = self._clock.now()
            if open_ends or any(now - move.since < MOVE_AGE for move in self._cache.every(Move)):
                pause = min(pause, INTENT_AGE)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._nudged.wait()
            self._nudged.clear()
            await self._clock.sleep(FLOOR)  # several nudges are one pass

    def nudge(self) -> None:
        """The engine is another one than before, or something was left undone: a pass soon."""
        self._nudged.set()

    async def once(self, eager: bool = False) -> tuple[Finding, ...]:
        """One pass; what it found and could not or would not put right.

        eager: a person asks for it: what is missing now and was missing before need not be old. Raises no Fault.
        """
        async with self._alone:
            return await self._once(eager)

    async def _once(self, eager: bool) -> tuple[Finding, ...]:
        if not self._concerned():
            self.findings = ()
            return self.findings
        began, departures = self._clock.now(), self._holders.departures
        try:
            engine, containers = await self._engine.containers()
        except Fault:
            return self.findings  # an engine that is down is Docker's matter
        self._controller.session.meet(engine)
        notes = _Notes(self._first, self._clock)
        try:
            await self._recognise(engine, containers)
            await self._replay(engine, containers, began, notes)
            for finding in await self._reattachment.finish():
                notes.add(finding.subject, finding.text, finding.proof, finding.remedy)
            await self._adopt(engine, containers, notes, departures)
            self._listed(self._clock.boot())
            await self._missing(engine, containers, notes, eager)
            await self._endpoints_of_nobody(engine, containers, notes, eager)
        except Fault as fault:
            notes.add("reconcile", f"could not compare the containers with the records: {fault}", "the error above")
        self._first = notes.sightings
        self.findings = tuple(notes.found)
        return self.findings

    def _concerned(self) -> bool:
        held = self._cache.count(Network) or self._cache.count(Holder)
        return bool(held or self._cache.count(Intent) or self._cache.count(Move))

    async def _recognise(self, engine: str, containers: Sequence[Container]) -> None:
        """The engine is known again under whatever id, by its containers, or else by its networks."""
        there = {container.id for container in containers}
        connected = {each.network for container in containers for each in container.endpoints}
        if await recognise(self._cache, engine, there, connected):
            view = await self._engine.view()
            await recognise(self._cache, view.id, (), view.networks)
        await note_version(self._cache, engine, await self._engine.api_version(), there)

    async def _replay(self, engine: str, containers: Sequence[Container], began: float, notes: _Notes) -> None:
        for intent in self._cache.every(Intent):
            if (
                intent.engine == engine
                and began - intent.created >= INTENT_AGE
                and not self._controller.is_open(intent)
            ):
                with notes.trying(f"intent {intent.id}"):
                    await self._controller.replay(intent, containers)

    async def _adopt(
        self, engine: str, containers: Sequence[Container], notes: _Notes, departures: int
    ) -> None:  # fmt: skip
        told: bool | None = None  # whether the engine says who asks for an address
        pace = Pace(PACE)
        for container in containers:
            await pace.step()
            if not any(each.network and self._cache.network(each.network) for each in container.endpoints):
                continue
            texts: list[str] = []
            with notes.trying(f"container {container.name}"):
                asked = container
                if self._is_keyed(container) and self._cache.holder(container.id) is None:
                    # Only the container itself tells the MAC that its configuration has (a rebuilt record needs it).
                    asked = await self._engine.container(container.id) or container
                texts = await self._adoption.adopt(engine, asked, departures)
            for text in texts:
                notes.add(f"refused-address {container.id} {text}", text, "Docker's list of containers, and the lease")
            for remark in self._adoption.unproven(container):
                if told is None:
                    told = await self._engine.api_version() >= NAMES
                if not told:
                    notes.add(
                        f"proof {container.id} {remark.text}", remark.text,
                        "its configuration, and Docker's version", remark.remedy,
                    )  # fmt: skip

    def _is_keyed(self, container: Container) -> bool:
        networks = [
            network for each in container.endpoints if (network := self._cache.network(each.network)) is not None
        ]
        return container.running and any(
            key_of(container.labels, container.name, network.options.sticky, container.id) for network in networks
        )

    async def _missing(self, engine: str, containers: Sequence[Container], notes: _Notes, eager: bool) -> None:
        there = {container.id: container for container in containers}
        pace = Pace(PACE)
        for holder in self._cache.every(Holder):
            await pace.step()
            if holder.engine != engine:
                if not self._holders.holds(holder.id):
                    await self._holders.release_all(holder.id)  # its networks went first
                    continue
                notes.add(
                    f"engine {holder.engine}", f"addresses belong to containers of another engine ({holder.engine})",
                    f"the engine at the socket is {engine} and has none of that engine's containers and networks",
                    "if that engine is gone for good, `mooring lease release ADDRESS --force` frees them",
                )  # fmt: skip
                continue
            container = there.get(holder.id)
            with notes.trying(f"container {holder.name}"):
                if container is None:
                    await self._gone(holder, notes, eager)
                else:
                    await self._disconnected(holder, container, notes, eager)

    async def _gone(self, holder: Holder, notes: _Notes, eager: bool) -> None:
        subject = f"holder {holder.id}"
        before = notes.before(subject)
        age = notes.add(
            subject, f"container {holder.name or holder.id[:12]} no longer exists but still holds addresses",
            f"Docker does not list {holder.id[:12]}", AUTOMATIC, fixable=True,
        )  # fmt: skip
        if not self._holders.holds(holder.id):
            await self._holders.release_all(holder.id)  # its networks went first
        elif before and (eager or age >= self._minimum_age):
            if await self._engine.container(holder.id) is not None:
                return
            await self._holders.release_all(holder.id)
            log.info("released the addresses of container %s: Docker no longer has it", holder.name or holder.id[:12])
        else:
            return
        notes.resolved()

    async def _disconnected(self, holder: Holder, container: Container, notes: _Notes, eager: bool) -> None:
        connected = {each.network for each in container.endpoints}
        unknown = any(not each.network for each in container.endpoints)  # a name that the engine cannot tell: wait
        for network in {network for network, _ in self._holders.held_by(holder.id)} - connected:
            subject = f"holder {holder.id} in {network}"
            before = notes.before(subject)
            age = notes.add(
                subject, f"container {container.name} holds addresses of network {network[:12]} but is not in it",
                f"Docker lists {holder.id[:12]} without that network",
                AUTOMATIC, fixable=True,
            )  # fmt: skip
            reattachment = self._reattachment.is_moving(holder.id, network)
            if before and not unknown and not reattachment and (eager or age >= self._minimum_age):
                asked = await self._engine.container(holder.id)
                if asked is None or any(each.network in (network, "") for each in asked.endpoints):
                    continue
                await self._holders.leave(holder.id, network)
                notes.resolved()

    async def _endpoints_of_nobody(
        self, engine: str, containers: Sequence[Container], notes: _Notes, eager: bool
    ) -> None:
        """An engine that removed a container while nobody listened moved its interface back to the host, so that it
        looks attached: but no container of the engine has the endpoint."""
        known = next((each for each in self._cache.every(KnownEngine) if each.id == engine), None)
        if known is None:
            return
        has = {each.endpoint for container in containers for each in container.endpoints}
        pace = Pace(PACE)
        for endpoint in self._cache.every(Endpoint):
            await pace.step()
            if endpoint.state is not State.ATTACHED or endpoint.network not in known.networks or endpoint.id in has:
                continue
            if is_namespaces(endpoint.id):
                continue
            if self._clock.now() - endpoint.created < min(ENDPOINT_AGE, self._minimum_age):
                continue
            subject = f"endpoint {endpoint.id}"
            before = notes.before(subject)
            age = notes.add(
                subject, f"endpoint {endpoint.id[:12]} of network {endpoint.network[:12]} belongs to no container",
                "no Docker container has it", AUTOMATIC, fixable=True,
            )  # fmt: skip
            if before and (eager or age >= self._minimum_age):
                asked = await self._engine.network(endpoint.network)
                if asked is None or any(each.id == endpoint.id for each in asked.endpoints):
                    continue  # a start that takes long
                network = self._cache.network(endpoint.network)
                for address in endpoint.addresses:
                    segment = network.segment_of(address) if network is not None else None
                    if segment is not None:
                        await self._endpoints.release(segment.pool, address)
                await self._endpoints.delete(endpoint.network, endpoint.id)
                log.info("endpoint %s removed: no Docker container has it", endpoint.id[:12])
                notes.resolved()
