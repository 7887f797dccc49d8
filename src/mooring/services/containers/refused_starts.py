"""Starting the containers that could not be started for want of us: the engine tries a restart policy once, at its own
start or when a container ends, and never again.

Rules: only whom the engine's own word shows refused by us, for what may pass, and whom it would start anew at its own
next start; nobody while he would be refused again, of which the host's own addresses and interfaces tell as well as the
cluster; each so many times, since what does not pass is not ours to force.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from mooring.core.containers import Container
from mooring.core.faults import Fault
from mooring.core.findings import Finding
from mooring.core.networks import Address, Network
from mooring.core.refused_starts import NO_DAEMON, NOT_SERVING, awaited, follows, is_to_run, was_refused
from mooring.ports import Clock, Engine, Kernel, PortGuard
from mooring.services.records.pacing import Pace
from mooring.services.records.record_cache import RecordCache

log = logging.getLogger(__name__)

# Seconds between two looks at what has to be waited for, and at the engine after a refusal.
PERIOD = 1.0
PAUSES = (1.0, 2.0, 5.0, 10.0, 30.0, 60.0)
# Seconds after the last refusal in which the engine has written down whom it met.
SETTLED = 60.0
# Starts of one container, and of how many at once.
TRIES = 10
AT_ONCE = 4
# Refusals that are remembered; the text of many says for how long something has been away.
MOST = 10_000
PACE = 32


@dataclass(frozen=True, slots=True)
class Refused:
    """A container that is to be started. since: when it was seen first, seconds since the epoch. networks: which of
    ours it is in."""

    container: Container
    since: float
    networks: tuple[str, ...]

    @property
    def awaits(self) -> Address | str | None:
        """What the host lacks for it: an address, or an interface by its name."""
        return awaited(self.container.failure)

    def finding(self) -> Finding:
        """What the doctor tells of it."""
        name, lacks, said = self.container.name, self.awaits, self.container.failure
        subject, by_hand = f"not-started {self.container.id}", f"or `docker start {name}`"
        if lacks is None:
            seen = "Docker's word on its last start"
            text = f"container {name} could not be started: {said}"
            return Finding(subject, text, seen, self.since, f"it is started when that has passed; {by_hand}")
        what = f"{'interface' if isinstance(lacks, str) else 'address'} {lacks}"
        text = f"container {name} is not started: the host does not have {what}"
        return Finding(subject, text, said, self.since, f"it is started when the host has that; {by_hand}")


class HostThings:
    """What containers may wait for that is the host's own."""

    def __init__(self, guard: PortGuard, kernel: Kernel) -> None:
        self._guard, self._kernel = guard, kernel

    async def have(self, thing: Address | str) -> bool:
        """Whether the address, or the interface, is there. What cannot be found out is left to a try."""
        try:
            if isinstance(thing, str):
                return await self._kernel.link(thing) is not None
            return await self._guard.has(thing)
        except Fault:
            return True


class RefusedStarts:
    """`run` for as long as the daemon lives. waiting: who was refused, at the last look."""

    def __init__(
        self,
        cache: RecordCache,
        engine: Engine,
        clock: Clock,
        would_refuse: Callable[[Network], bool],
        host: HostThings,
    ) -> None:
        """would_refuse: whether a start in the network would be refused again."""
        self._cache, self._engine, self._clock = cache, engine, clock
        self._would_refuse, self._host = would_refuse, host
        self._refusals: dict[str, float] = {}
        self._tries: dict[str, int] = {}
        self._wanted = asyncio.Event()
        self._wanted.set()  # who was refused while this daemon did not serve
        self._rounds, self._next = 0, 0.0
        self._held_up: set[str] = set()
        self.waiting: dict[str, Refused] = {}

    def note(self, refusal: str) -> None:
        """dockerd was refused something with these words, for what may pass."""
        self._refusals.pop(refusal, None)
        self._refusals[refusal] = now = self._clock.boot()
        while len(self._refusals) > MOST:
            del self._refusals[next(iter(self._refusals))]
        self._rounds, self._next = 0, now + PERIOD  # dockerd writes it down after our answer
        self._wanted.set()

    def nudge(self) -> None:
        """The engine answers, at first or again."""
        self._rounds, self._next = 0, 0.0
        self._wanted.set()

    def findings(self) -> list[Finding]:
        """Who waits to be started."""
        return [refused.finding() for refused in self.waiting.values()]

    async def run(self) -> None:
        """For ever; a daemon whom nobody was refused sleeps."""
        while True:
            await self._wanted.wait()
            try:
                await self.once()
            except Exception:
                # One container that nobody thought of must not end the daemon.
                log.exception("a look at refused starts failed with an internal error")
            await self._clock.sleep(PERIOD)

    async def once(self) -> None:
        """Look, if it is time to, and start who can be. Raises no Fault."""
        now = self._clock.boot()
        before, self._held_up = self._held_up, await self._find_held_up()
        if before - self._held_up:
            self.nudge()
        # For the cluster all wait at once; for an address perhaps for days, in which somebody may call one off.
        asleep = bool(self.waiting) and all(self._is_refused(each) for each in self.waiting.values())
        if now < self._next or (asleep and self._rounds > 0):
            return  # who is held up is no reason to ask the engine, but whoever was refused since is
        self._next = now + PAUSES[min(self._rounds, len(PAUSES) - 1)]
        self._rounds += 1
        try:
            await self._look()
        except Fault as fault:
            log.debug("refused starts are not known: %s", fault)
            return
        self._held_up = await self._find_held_up()
        # Tries are for what nobody can see the end of.
        self._tries |= dict.fromkeys(self._held_up & self._tries.keys(), 0)
        given_up = {ident for ident, tries in self._tries.items() if tries >= TRIES}
        await self._start([each for ident, each in self.waiting.items() if ident not in self._held_up | given_up])
        last = max(self._refusals.values(), default=now - SETTLED)
        if not self.waiting and now - last >= SETTLED:
            self._refusals.clear()
            self._tries.clear()
            self._wanted.clear()

    async def _look(self) -> None:
        """waiting is who was refused. Raises Unavailable."""
        refusals, before, pace = (*self._refusals, NOT_SERVING, NO_DAEMON), self.waiting, Pace(PACE)
        _, containers = await self._engine.containers()
        found: dict[str, Refused] = {}
        for listed in containers:
            await pace.step()
            networks = tuple(each.network for each in listed.endpoints if self._cache.network(each.network) is not None)
            if listed.running or not networks:
                continue
            container = await self._engine.container(listed.id)
            # Who is tried may fail of what was left of him, which goes soon.
            begun = container is not None and container.id in self._tries and is_to_run(container)
            if container is not None and (begun or was_refused(container, refusals)):
                since = before[container.id].since if container.id in before else self._clock.now()
                found[container.id] = Refused(container, since, networks)
        self.waiting = found

    async def _find_held_up(self) -> set[str]:
        """Who would be refused again."""
        waiting = self.waiting
        lacking = {lacks for each in waiting.values() if (lacks := each.awaits) is not None}
        lacking = {lacks for lacks in lacking if not await self._host.have(lacks)}
        return {ident for ident, each in waiting.items() if each.awaits in lacking or self._is_refused(each)}

    def _is_refused(self, refused: Refused) -> bool:
        """Whether the cluster that one of the networks is of is not reached."""
        networks = (self._cache.network(each) for each in refused.networks)
        return any(network is not None and self._would_refuse(network) for network in networks)

    async def _start(self, due: Iterable[Refused]) -> None:
        """They run, or have been tried once more."""
        places = asyncio.Semaphore(AT_ONCE)

        async def one(refused: Refused) -> None:
            async with places:
                if await self._try(refused.container):
                    await self._start_followers(refused.container)

        async with asyncio.TaskGroup() as tasks:
            for each in due:
                tasks.create_task(one(each))

    async def _try(self, container: Container) -> bool:
        """Whether it runs now."""
        self._tries[container.id] = tries = self._tries.get(container.id, 0) + 1
        try:
            await self._engine.start_container(container.id)
        except Fault as fault:
            more = "it is tried again" if tries < TRIES else "it is not tried again"
            log.warning("container %s could not be started, %s: %s", container.name, more, fault)
            return False
        del self._tries[container.id]
        log.info("started container %s, which had been refused: %s", container.name, container.failure)
        self.waiting.pop(container.id, None)
        return True

    async def _start_followers(self, started: Container) -> None:
        """Who has the network of the container was refused for want of it."""
        try:
            _, containers = await self._engine.containers()
            for listed in containers:
                if listed.running or not listed.mode.startswith("container:"):
                    continue
                container = await self._engine.container(listed.id)
                if container is not None and follows(container, started):
                    await self._try(container)
        except Fault as fault:
            log.warning("who has the network of container %s could not be started: %s", started.name, fault)
