"""A host of a simulated cluster: real services over a store that outlives the daemon, a kernel and containers."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol

from mooring.core.address_claims import AddressClaim, HostClaim, Spec
from mooring.core.cluster_hosts import ClusterHost, Underlay
from mooring.core.faults import Conflict, Exhausted, Fault, NotFound, StaleRevision, Unavailable
from mooring.core.leases import Lease, State
from mooring.core.networks import Address, Subnet
from mooring.core.pools import Pool
from mooring.core.requests import AddressRequest, PoolRequest, Role
from mooring.core.sessions import SessionRule
from mooring.core.subnet_index import Holdings
from mooring.ports import HostNet
from mooring.services.cluster.address_plan import AddressPlan
from mooring.services.cluster.host_records import HostRecords
from mooring.services.cluster.shared_values import Member
from mooring.services.ipam.allocator import Ipam, IpamPolicy
from mooring.services.records.record_cache import RecordCache
from mooring.testing.address_history import What
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_cluster import MemoryCluster
from mooring.testing.memory_store import MemoryStore
from tests.services.cluster_machines import Disk, HostClock

RULE = SessionRule(ttl=15.0, margin=5.0, grace=5.0, refresh=4.0)
SPACE = "default"


class Surroundings(Protocol):
    """What a host is in: see World."""

    clock: ManualClock
    servers: MemoryCluster
    subnet: Subnet
    cooldown: float
    sightings: float
    notes: Counter[str]
    refusals: Counter[str]
    crashes: list[Exception]

    def note(self, what: What, host: str, address: Address, user: str) -> None:
        """For the history."""
        ...

    def work(self) -> int:
        """How many steps a commit takes."""
        ...


@dataclass
class Fixed:
    """A container that is configured for a fixed address."""

    key: str
    address: Address
    running: bool = False


class Host:
    """A host. dynamic: running containers by address. fixed: configured ones by key. kernel: addresses that it has."""

    def __init__(self, world: Surroundings, name: str) -> None:
        self.world, self.name = world, name
        self.clock = HostClock(world.clock, name)
        self.store = MemoryStore()
        self.boots = 0
        self.dynamic: dict[Address, str] = {}
        self.fixed: dict[str, Fixed] = {}
        self.kernel: dict[Address, str] = {}
        self.tasks: set[asyncio.Task[None]] = set()
        self.busy: set[str] = set()
        self.on = True
        self.ready = self.forgotten = False
        self.dead = 0.0
        self.build()

    def build(self) -> None:
        """A new process of the daemon."""
        self.disk = Disk(self.store, self.world.work)
        self.client = self.world.servers.client(self.name)
        self.cache = RecordCache(self.disk)
        member = Member(self.name, f"boot{self.boots}")
        self.ipam = Ipam(self.cache, self.clock, IpamPolicy(cooldown=self.world.cooldown), self)
        self.plan = AddressPlan(
            self.cache, self.ipam.index, self.client, self.clock, member, RULE, self.world.sightings
        )
        self.plan.restored.again.append(self.join)
        self.ipam.shared.plan = self.plan

    async def host_net(self) -> HostNet:
        """See HostNetworks."""
        return HostNet({}, Holdings(), Holdings())

    def host_moved(self) -> bool:
        """See HostNetworks."""
        return False

    async def start(self, turning: bool = True) -> None:
        """The daemon starts; what was given to nobody who lives is released, as the garbage collector does."""
        await self.cache.load()
        await self.plan.begin()
        await self.join()
        if not list(self.cache.every(Pool)):
            options = {"gateway": "none"}
            request = PoolRequest(SPACE, self.world.subnet.version, self.world.subnet, options=options)
            await self.ipam.request_pool(request)
            await self.plan.share(SPACE, self.world.subnet)
        for address in list(self.dynamic):
            if self.cache.lease(SPACE, address) is None:  # it was lost, and the daemon died before it could tell
                self.stop_dynamic(address)
        for lease in list(self.cache.every(Lease)):
            if lease.state is State.DYNAMIC and lease.address not in self.dynamic:
                await self.ipam.release_address(lease.pool, lease.address)
        configured = {*self.dynamic, *(fixed.address for fixed in self.fixed.values())}
        for kept in list(self.cache.every(HostClaim)):
            if not kept.claim.key:
                continue  # the plan itself sees whether its lease is there
            if kept.claim.address not in configured:
                await self.plan.claims.release(SPACE, self.world.subnet, kept.claim.address)
            elif kept.claim.address not in self.kernel:
                await self.plan.claims.leave(SPACE, self.world.subnet, kept.claim.address)
        self.ready = True
        if turning:
            self.spawn(self.turns())

    async def join(self) -> None:
        """It has a record in the cluster."""
        records = HostRecords(self.client)
        with suppress(StaleRevision, Unavailable):
            underlay = Underlay("192.0.2.1", "eth0", 1500)
            host = ClusterHost(
                id=self.name, name=self.name, machine=self.name, boot="", underlay=underlay, version="", joined=0.0
            )
            await records.put_host(host, 0)

    @property
    def pool(self) -> Pool:
        """The shared one."""
        return next(iter(self.cache.every(Pool)))

    def spawn(self, work: Coroutine[None, None, None]) -> None:
        """Do it beside everything else; it ends with the daemon."""

        async def guarded() -> None:
            disk = self.disk
            try:
                await work
            except Fault as fault:
                self.world.refusals[type(fault).__name__] += 1
                if not isinstance(fault, Unavailable | Conflict | Exhausted | NotFound):
                    raise
            except Exception as error:  # noqa: BLE001 - whatever it is, the world stops at it
                if not disk.dead:
                    self.world.crashes.append(error)

        task = asyncio.get_running_loop().create_task(guarded())
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        task.add_done_callback(lambda _: work.close())  # it may have been killed before it began

    async def turns(self) -> None:
        """The plan's turns, over and over."""
        while True:
            await self.turn()
            await self.clock.sleep(1.0)

    async def turn(self) -> None:
        """One turn; who has lost something stops using it."""
        turn = await self.plan.turn()
        await self.ipam.sweep()
        for lease in turn.leases:
            self.world.notes["lost blocks"] += 1
            if self.dynamic.get(lease.address) == lease.mac:  # it may have been given again before the turn was over
                self.stop_dynamic(lease.address)
        for claim in turn.claims:
            self.stop_using(claim)
        self.watch()

    def watch(self) -> None:
        """Who may not go on stops."""
        if self.ready:
            for claim in self.plan.overdue():
                self.world.notes["overdue"] += 1
                self.stop_using(claim)

    def stop_using(self, claim: AddressClaim) -> None:
        """The address is not used here any more."""
        if not claim.key and self.dynamic.get(claim.address) == claim.mac:
            self.stop_dynamic(claim.address)
        fixed = next((each for each in self.fixed.values() if each.address == claim.address and each.running), None)
        if fixed is not None:
            fixed.running = False
            self.remove(fixed.address)

    def note(self, what: What, address: Address, user: str) -> None:
        """For the history."""
        self.world.note(what, self.name, address, user)

    def add(self, address: Address, user: str) -> None:
        """The answer was given, and the kernel has the address."""
        self.note(What.GRANTED, address, user)
        self.note(What.SIGHTED, address, user)
        self.kernel[address] = user

    def remove(self, address: Address) -> None:
        """The kernel has it no more, and its release is asked for."""
        user = self.kernel.pop(address)
        self.note(What.GONE, address, user)
        self.note(What.RELEASED, address, user)

    def stop_dynamic(self, address: Address) -> None:
        """The container is gone."""
        del self.dynamic[address]
        self.remove(address)

    # What containers do.

    async def run(self, wanted: Address | None = None) -> None:
        """`docker run` of a container with a dynamic address, which may be named."""
        disk, mac = self.disk, self.clock.token()
        request = AddressRequest(self.pool.id, Role.ENDPOINT, wanted, mac)
        answer = await self.ipam.request_address(request)
        if not disk.dead:
            self.dynamic[answer.ip] = mac
            self.add(answer.ip, mac)
            mine = self.cache.host_claim(SPACE, self.world.subnet, answer.ip) is not None
            self.world.notes["claimed" if mine else "dynamic"] += 1

    async def stop(self, address: Address) -> None:
        """`docker rm -f` of it."""
        if address not in self.dynamic:
            return
        self.stop_dynamic(address)
        await self.ipam.release_address(self.pool.id, address)

    async def create(self, key: str, wanted: Address | None = None) -> None:
        """`docker create` of a container with a key."""
        if key in self.busy or key in self.fixed:
            return
        self.busy.add(key)
        try:
            disk, world = self.disk, self.world
            spec = Spec(SPACE, world.subnet, self.clock.token(), key=key, holder=key, moves=key.endswith(("0", "2")))
            claim = await self.plan.claim(spec, wanted)
            if not disk.dead:
                self.fixed[key] = Fixed(key, claim.address)
                world.notes["fixed" if wanted is None else "named"] += 1
        finally:
            self.busy.discard(key)
        if wanted is not None:
            await self.use(key)

    async def use(self, key: str) -> None:
        """`docker start` of it: where the address is elsewhere by now, it is asked for again."""
        if key in self.busy:
            return
        self.busy.add(key)
        try:
            disk, fixed = self.disk, self.fixed.get(key)
            if fixed is None or fixed.running:
                return
            try:
                await self.plan.claims.use(SPACE, self.world.subnet, fixed.address, key)
            except (Conflict, NotFound):
                spec = Spec(
                    SPACE, self.world.subnet, self.clock.token(), key=key, holder=key, moves=key.endswith(("0", "2"))
                )
                before = fixed.address
                fixed.address = (await self.plan.claim(spec)).address
                if before != fixed.address:
                    await self.plan.claims.release(SPACE, self.world.subnet, before)
                self.world.notes["claimed again"] += 1
                await self.plan.claims.use(SPACE, self.world.subnet, fixed.address, key)
            # The promise of `use` is of the moment; it is not added later than that.
            if not disk.dead and self.fixed.get(key) is fixed and not fixed.running:
                fixed.running = True
                self.add(fixed.address, f"{key}@{self.name}")
                self.world.notes["used"] += 1
        finally:
            self.busy.discard(key)

    async def leave(self, key: str) -> None:
        """`docker stop` of it."""
        if key in self.busy:
            return
        if (fixed := self.fixed.get(key)) is None or not fixed.running:
            return  # it was stopped meanwhile
        fixed.running = False
        self.remove(fixed.address)
        await self.plan.claims.leave(SPACE, self.world.subnet, fixed.address)

    async def drop(self, key: str) -> None:
        """`docker rm` of it."""
        if key in self.busy or key not in self.fixed:
            return
        self.busy.add(key)
        try:
            fixed = self.fixed.pop(key)
            if fixed.running:
                self.remove(fixed.address)
            await self.plan.claims.leave(SPACE, self.world.subnet, fixed.address)
            await self.plan.claims.release(SPACE, self.world.subnet, fixed.address)
        finally:
            self.busy.discard(key)

    # What befalls hosts.

    def kill(self) -> None:
        """kill -9 of the daemon: nothing that it was about to do happens, but what is under way at the servers may."""
        self.disk.dead, self.ready = True, False
        self.dead = self.world.clock.boot()
        for task in list(self.tasks):
            task.cancel()
        self.busy.clear()

    def off(self) -> None:
        """The power fails."""
        self.kill()
        self.on = False
        for address in list(self.kernel):
            self.remove(address)
        self.dynamic.clear()
        for fixed in self.fixed.values():
            fixed.running = False

    def wake(self) -> None:
        """Somebody switches it on."""
        if not self.on and not self.tasks:
            self.spawn(self.back())

    async def back(self, turning: bool = True) -> None:
        """The daemon is started again, after a boot where the power had failed."""
        if not self.on:
            self.boots += 1
            self.clock.boots()
        self.on = True
        self.build()
        await self.start(turning)
