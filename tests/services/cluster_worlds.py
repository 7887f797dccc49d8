"""Many hosts over one cluster in memory, by seeded schedules: who comes first, what fails and when the clock moves is
decided by a number. The services are the real ones; a daemon that is killed leaves its store and its kernel behind.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address, ip_network
from random import Random
from typing import Any

import msgspec

from mooring.core.blocks import SharedSubnet
from mooring.core.cluster_marks import mark_key
from mooring.core.networks import Address
from mooring.ports import Entry
from mooring.services.cluster.forgetting import Forgetting
from mooring.testing.address_history import AddressHistory, What
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_cluster import MemoryCluster, Step
from mooring.testing.memory_store import When
from tests.services.cluster_hosts import RULE, SPACE, Host
from tests.services.cluster_verdicts import wrong_at_rest

FATES = ("kill", "kill", "off", "off", "cut", "cut", "majority", "fail", "fail", "delay", "delay", "jump",
         "forget", "forget", "forget")  # fmt: skip


@dataclass(frozen=True)
class Profile:
    """What a world is about. weights: of run, stop, a named address, a key, and what becomes of fixed ones.
    named: how many of those that are run name their address."""

    size: int = 4
    text: str = "10.0.0.0/25"
    keys: int = 5
    cooldown: float = 5.0
    sightings: float = 30.0
    weights: tuple[float, ...] = (0.30, 0.25, 0.07, 0.13, 0.25)
    fates: tuple[str, ...] = FATES
    fate: float = 0.015
    named: float = 0.15


PROFILES = {
    "mixed": Profile(),
    # Blocks come and go all the time, and addresses in nobody's block are claimed.
    "blocks": Profile(
        size=3, text="10.0.0.0/26", keys=1, cooldown=0.0, sightings=1.0, weights=(0.25, 0.35, 0.2, 0.02, 0.18)
    ),
    # Few addresses that move about, in outages.
    "moves": Profile(
        size=3, keys=2, weights=(0.04, 0.04, 0.02, 0.2, 0.7), fate=0.03,
        fates=("cut", "cut", "cut", "majority", "delay", "delay", "fail", "kill", "off"),
    ),
    # Hosts are forgotten, and come back.
    "forgotten": Profile(
        size=3, text="10.0.0.0/26", sightings=3.0, fate=0.03, fates=("off", "off", "forget", "forget", "kill", "delay")
    ),
    # Hosts are forgotten that are only cut off: until they are told, two may have an address, and nobody after that.
    "wronged": Profile(
        size=3, text="10.0.0.0/26", sightings=3.0, weights=(0.4, 0.1, 0.1, 0.1, 0.3), fate=0.02, named=0.7,
        fates=("wrong", "wrong", "kill", "off", "delay", "fail"),
    ),
    # The servers are restored from backups.
    "restored": Profile(
        size=3, text="10.0.0.0/26", sightings=3.0, cooldown=1.0, weights=(0.3, 0.25, 0.1, 0.15, 0.2), fate=0.03,
        fates=("backup", "backup", "restore", "kill", "off", "cut"),
    ),
    # Single claims only.
    "small": Profile(size=3, text="10.0.0.0/28", keys=3, weights=(0.2, 0.15, 0.2, 0.1, 0.35)),
}  # fmt: skip


@dataclass
class World:
    """Hosts, servers, time and chance. notes: how often what happened. crashes: what was raised that is no Fault."""

    seed: int
    profile: Profile = PROFILES["mixed"]
    history: AddressHistory = field(default_factory=AddressHistory)
    notes: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    crashes: list[Exception] = field(default_factory=list)
    steps: int = 0

    def __post_init__(self) -> None:
        self.random = Random(self.seed)
        self.subnet = ip_network(self.profile.text)
        self.clock = ManualClock()
        self.cooldown, self.sightings = self.profile.cooldown, self.profile.sightings
        self.waiting: list[asyncio.Future[None]] = []
        self.calm, self.restoring = True, False
        self.servers = MemoryCluster(self.clock, self.pause)
        self.backups: list[tuple[float, Any]] = []
        self.ends: list[tuple[float, Callable[[], object]]] = []
        self.hosts = [Host(self, f"h{number}") for number in range(self.profile.size)]

    def note(self, what: What, host: str, address: Address, user: str) -> None:
        """For the history."""
        self.history.note(self.clock.boot(), what, host, str(address), user)

    def work(self) -> int:
        """How many steps a commit takes: as many as a request from elsewhere may come in between."""
        return 1 if self.calm else self.random.choice((1, 1, 1, 4, 12))

    async def pause(self, step: Step) -> None:
        """Whose call goes on is decided by chance."""
        if self.calm:
            await asyncio.sleep(0)
            return
        turn = asyncio.get_running_loop().create_future()
        self.waiting.append(turn)
        await turn

    def complain(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Nobody has asked how something ended: what a dead daemon still tried to write is nothing to tell."""
        if "the daemon is dead" not in str(context.get("exception")):
            loop.default_exception_handler(context)

    async def begin(self) -> None:
        """All hosts have joined."""
        for host in self.hosts:
            await host.start()
        await self.settle(3)
        self.calm = False

    async def play(self, steps: int) -> None:
        """So many steps: of somebody's call, of a container, of the clock, or of fate."""
        for _ in range(steps):
            self.steps += 1
            self.step()
            for _ in range(self.random.choice((1, 2, 4, 8))):
                await asyncio.sleep(0)
            if self.crashes:
                raise self.crashes[0]

    def step(self) -> None:
        """One of them."""
        chance = self.random.random()
        self.waiting = [turn for turn in self.waiting if not turn.done()]
        if self.waiting and chance < 0.72:
            turn = self.waiting.pop(self.random.randrange(len(self.waiting)))
            turn.set_result(None)
        elif chance < 0.90:
            host = self.random.choice(self.hosts)
            if host.ready and len(host.tasks) < 5:
                self.act(host)
        elif chance < 1 - self.profile.fate:
            self.advance(self.random.choice((0.05, 0.2, 0.5, 1.0, 2.0)))
        else:
            self.fate()

    def advance(self, seconds: float) -> None:
        """Time passes everywhere."""
        self.clock.advance(seconds)
        due = [work for at, work in self.ends if at <= self.clock.boot()]
        self.ends = [each for each in self.ends if each[0] > self.clock.boot()]
        for work in due:
            work()
        for host in self.hosts:
            host.watch()
            if host.on and not host.ready and not host.tasks and self.clock.boot() - host.dead > 1.0:
                self.notes["restarts"] += 1
                host.spawn(host.back())  # systemd

    def act(self, host: Host) -> None:
        """A container is made, started, stopped or removed."""
        (kind,) = self.random.choices(("run", "stop", "named", "key", "fixed"), self.profile.weights)
        key = f"key:app{self.random.randrange(self.profile.keys)}"
        if kind == "run":
            host.spawn(host.run(self.some_address() if self.random.random() < self.profile.named else None))
        elif kind == "stop" and host.dynamic:
            host.spawn(host.stop(self.random.choice(sorted(host.dynamic))))
        elif kind == "named" and len(host.fixed) < 6:
            host.spawn(host.create(f"container:{host.name}-{self.random.randrange(3)}", self.some_address()))
        elif kind == "key":
            host.spawn(host.create(key))
        elif kind == "fixed" and host.fixed:
            fixed = self.random.choice(sorted(host.fixed.values(), key=lambda each: each.key))
            if not fixed.running and self.random.random() < 0.6:
                host.spawn(host.use(fixed.key))
            elif fixed.running and self.random.random() < 0.6:
                host.spawn(host.leave(fixed.key))
            elif self.random.random() < 0.5:
                host.spawn(host.drop(fixed.key))

    def some_address(self) -> Address:
        """One of those that are given first in their block."""
        number = 16 * self.random.randrange(self.subnet.num_addresses // 16) + self.random.randrange(1, 6)
        return ip_address(int(self.subnet.network_address) + number)

    def later(self, least: float, most: float, work: Callable[[], object]) -> None:
        """Do it after a while."""
        self.ends.append((self.clock.boot() + self.random.uniform(least, most), work))

    def fate(self) -> None:
        """Something breaks, and is mended after a while."""
        host = self.random.choice(self.hosts)
        kind = self.random.choice(self.profile.fates)
        self.notes[kind] += 1
        match kind:
            case "kill" if host.ready:
                host.kill()
            case "off" if host.on and sum(each.on for each in self.hosts) > 1:
                host.off()
                self.later(5.0, 80.0, host.wake)
            case "cut":
                self.servers.cut(host.name)
                self.later(0.5, 30.0, lambda: self.servers.mend(host.name))
            case "majority":
                self.servers.lose_majority()
                self.later(0.5, 20.0, self.servers.regain_majority)
            case "fail":
                self.servers.fail_next(self.random.choice((When.BEFORE, When.AFTER)))
            case "delay":
                self.servers.delay_next()
                self.later(0.0, 20.0, self.servers.deliver)
            case "jump" if host.ready:
                host.clock.off += self.random.choice((-7200.0, -60.0, 60.0, 7200.0))
            case "backup":
                self.backups.append((self.clock.boot(), self.servers.backup()))
            case "restore":
                self.restore()
            case "wrong" if host.ready:
                # An operator takes a host for off which is only cut off; it is told when it is heard again.
                other = self.random.choice([each for each in self.hosts if each is not host])
                self.servers.cut(other.name)
                host.spawn(self.forget_wrongly(host, other))
            case "forget" if host.ready:
                for other in self.hosts:
                    if not other.on and not other.tasks:
                        host.spawn(self.forget(host, other))
            case _:
                pass

    def restore(self) -> None:
        """All servers are off for a while, and come back as they were at a backup of before. What a host wrote in the
        last second it looks for itself, so it is there when they come back (ADR 52), and so is one of those that know
        of the restore, before the others (docs/cluster-operations.md). One at a time: servers that serve
        are not as of before from one moment to the next."""
        old = [backup for at, backup in self.backups if self.clock.boot() - at > 12.0]
        if not old or self.restoring:
            return
        self.restoring = True
        backup = self.random.choice(old)
        self.backups = [(at, each) for at, each in self.backups if each[0] <= backup[0]]
        self.notes["restored"] += 1
        self.servers.lose_majority()
        looking = [host for host in self.hosts if host.plan.restored.has_written]
        knowing = [host for host in self.hosts if _count(host.store.records, host) > _count(backup[1], host)]

        def back() -> None:
            there = [host for host in knowing if host.ready]
            if not all(host.ready for host in looking) or (knowing and not there):
                self.ends.append((self.clock.boot() + 1.0, back))
                return
            self.restoring = False
            self.servers.mend(*(host.name for host in (*looking, *there)))
            for host in self.hosts if there else ():
                if host not in there and host not in looking:
                    self.servers.cut(host.name)
                    self.later(2.0, 2.0, partial(self.servers.mend, host.name))
            self.servers.restore(backup)
            self.servers.regain_majority()

        self.later(6.0, 40.0, back)

    async def forget(self, host: Host, other: Host) -> None:
        """An operator says that a host is gone for good; he may be wrong about that, but it is off."""
        plan = host.plan
        while (await plan.sessions.standing(other.name)).silent < RULE.grace and not other.on:
            await host.clock.sleep(2.0)
        if other.on:
            return
        shared = SharedSubnet(space=SPACE, subnet=self.subnet, since=0.0)
        other.forgotten = True
        await Forgetting(plan.values, plan.sessions, plan.blocks, plan.claims).forget(other.name, shared)
        self.notes["forgotten"] += 1

    async def forget_wrongly(self, host: Host, other: Host) -> None:
        """The host, which is cut off, is forgotten all the same, and heard again after a while."""
        plan = host.plan
        self.later(30.0, 90.0, lambda: self.servers.mend(other.name))
        for _ in range(20):
            await host.clock.sleep(2.0)
            if (await plan.sessions.standing(other.name)).silent >= RULE.grace:
                break
        shared = SharedSubnet(space=SPACE, subnet=self.subnet, since=0.0)
        other.forgotten = True
        await Forgetting(plan.values, plan.sessions, plan.blocks, plan.claims).forget(other.name, shared)
        self.notes["forgotten wrongly"] += 1

    async def settle(self, rounds: int = 20) -> None:
        """All faults are over, and everybody has his turns, in peace."""
        self.calm = True
        self.ends.clear()
        self.servers.mend()
        self.servers.regain_majority()
        self.servers._faults.clear()
        self.servers._delays = 0
        self.servers.deliver()
        for turn in self.waiting:
            if not turn.done():
                turn.set_result(None)
        self.waiting.clear()
        for _ in range(rounds):
            for host in self.hosts:
                if not host.ready and not host.tasks:
                    host.spawn(host.back())
            for _ in range(8):
                self.clock.advance(1.0)
                for _ in range(120):
                    await asyncio.sleep(0)
                for host in self.hosts:
                    host.watch()
            if self.crashes:
                raise self.crashes[0]
            if all(host.ready for host in self.hosts) and not await wrong_at_rest(self.hosts, self.subnet):
                return

    async def close(self) -> None:
        """All daemons are dead."""
        for host in self.hosts:
            host.kill()
        for _ in range(5):
            await asyncio.sleep(0)


def _count(records: Mapping[str, Any], host: Host) -> int:
    """The number that a store, or the cluster's, has of the host."""
    found = records.get(mark_key(host.name))
    text = found.value if isinstance(found, Entry) else found or b"0"
    return int(text) if text.isdigit() else int(msgspec.json.decode(text)["count"])


def play(seed: int, steps: int, profile: str = "mixed") -> World:
    """A world of the seed after so many steps and a rest. Raises AssertionError with what is wrong; whatever is raised
    says which world it was."""

    async def lived() -> World:
        world = World(seed, PROFILES[profile])
        asyncio.get_running_loop().set_exception_handler(world.complain)
        await world.begin()
        await world.play(steps)
        await world.settle()
        wrong = await wrong_at_rest(world.hosts, world.subnet)
        if "wrong" not in world.profile.fates:
            wrong += world.history.faults()
        await world.close()
        assert not wrong, f"seed {seed} of {profile}: " + "\n".join(wrong[:10])
        return world

    try:
        return asyncio.run(lived())
    except BaseException as error:  # also a crash, and the end of a test's time
        error.add_note(f"play({seed}, {steps}, {profile!r})")
        raise
