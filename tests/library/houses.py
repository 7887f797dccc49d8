"""A house: all that outlives a process of the library, in memory, and the process that lives in it now.

Rules: everything that the process changes outside of itself is a step: a commit, an op of the kernel or of a namespace,
a file, a call of somebody else's driver; a test may let the process die at a step, and a dead process does nothing
more, whatever its handlers try.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, ip_network
from typing import TypeVar

from mooring.core.endpoints import Attachment, Endpoint
from mooring.core.faults import Fault, Unavailable
from mooring.core.findings import Report
from mooring.core.networks import Interface, Network
from mooring.core.plumbing import Add, Op, Veth
from mooring.core.pools import SubnetPool
from mooring.core.requests import AddressRequest, JoinRequest, PoolGrant, PoolRequest
from mooring.ports import IpamDriver, Transaction
from mooring.services.assembly import assemble
from mooring.services.ipam.allocator import IpamPolicy
from mooring.services.networking.assembly import Others, World
from mooring.services.sandboxes.library import Library, LibraryWorld, assemble_library
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_driver import MemoryDriver
from mooring.testing.memory_files import MemoryFiles
from mooring.testing.memory_kernel import MemoryKernel
from mooring.testing.memory_namespaces import MemoryNamespaces
from mooring.testing.memory_port_guard import MemoryPortGuard
from mooring.testing.memory_resolver import MemoryResolver
from mooring.testing.memory_store import MemoryStore, When
from tests.library.lines import Seen, run
from tests.services.hosts import POLICY

T = TypeVar("T")
OTHER_POLICY = IpamPolicy(
    subnet_pools4=(SubnetPool(name="other4", space="default", prefixes=(ip_network("172.20.0.0/16"),), length=24),),
    subnet_pools6=(SubnetPool(name="other6", space="default", prefixes=(ip_network("fd00:172::/48"),), length=64),),
)

Look = Callable[[object], Awaitable[None]]


class Killed(BaseException):
    """The process is dead."""


@contextmanager
def killed() -> Iterator[None]:
    """The process may die in the block, by itself or in one of its tasks."""
    try:
        yield
    except* Killed:
        pass


class StepKernel(MemoryKernel):
    """Each op is a step. Links that are discarded go with the next `flush`, as in the real kernel: a death comes
    first."""

    def __init__(self, house: House, *, lazy: bool) -> None:
        super().__init__()
        self._house = house
        self._lazy = lazy
        self._doomed: list[str] = []

    async def apply(self, ops: Sequence[Op]) -> None:
        """As in MemoryKernel, but that death leaves what was done."""
        wanted = {op.fact.name for op in ops if isinstance(op, Add) and isinstance(op.fact, Veth)}
        if wanted.intersection(self._doomed):
            await self.flush()
        earlier = dict(self.facts)
        try:
            for op in ops:
                await self._house.step(op)
                await super().apply([op])
        except Fault:
            self.facts = earlier
            raise

    async def discard(self, links: Sequence[str], domain: int = 0) -> None:
        """See Kernel."""
        for name in links:
            self._house.count(("discard", name), refusable=False)  # the real one never fails
            self._doomed.append(name)
        if not self._lazy:
            await self.flush()

    async def flush(self) -> None:
        """What was discarded is gone."""
        await super().discard(self._doomed)
        self._doomed.clear()

    def forget_discards(self) -> None:
        """Who wanted to delete links died before he came to it."""
        self._doomed.clear()


class StepFiles(MemoryFiles):
    """Each change is a step."""

    def __init__(self, house: House) -> None:
        super().__init__({"/etc/resolv.conf": "nameserver 192.0.2.53\n"})
        self._house = house

    async def write(self, path: str, text: str) -> None:
        """See Files."""
        await self._house.step(("write", path))
        await super().write(path, text)

    async def remove(self, path: str) -> None:
        """See Files."""
        if path in self.texts:
            await self._house.step(("remove", path))
        await super().remove(path)


class FarDriver(MemoryDriver):
    """Somebody else's: its interfaces are there from join to leave, and it wants them back on the host."""

    def __init__(self, house: House) -> None:
        super().__init__(returns=True, links=True, before=house.step)
        self._namespaces = house.namespaces

    async def join(self, network: Network, endpoint: Endpoint, request: JoinRequest) -> Attachment:
        """See Driver."""
        attachment = await super().join(network, endpoint, request)
        if not self._is_anywhere(attachment.link):
            self._namespaces.plant(attachment.link)
        return attachment

    async def leave(self, network: Network, endpoint: Endpoint) -> None:
        """See Driver."""
        await super().leave(network, endpoint)
        self._end(endpoint)

    def _drop(self, endpoint: Endpoint) -> None:
        super()._drop(endpoint)
        self._end(endpoint)

    def _is_anywhere(self, name: str) -> bool:
        return any(name in (link.name, link.fact and link.fact.source) for link in self._namespaces._links)

    def _end(self, endpoint: Endpoint) -> None:
        """It can delete only what is on the host."""
        links = self._namespaces._links
        links[:] = [link for link in links if (link.place, link.name) != ("", f"md-{endpoint.id[:12]}")]


class OtherIpam(IpamDriver):
    """Somebody else's: its books are its own, and each change of them is a step."""

    def __init__(self, house: House) -> None:
        self._house = house
        clock = ManualClock(tokens=1000)  # its ids are not ours
        world = World(MemoryStore(), MemoryKernel(), MemoryPortGuard(), None, clock)
        services = assemble(world, OTHER_POLICY)
        self.cache, self._ipam = services.cache, services.ipam

    @property
    def requires_mac(self) -> bool:
        """See IpamDriver."""
        return False

    async def default_space(self) -> str:
        """See IpamDriver."""
        return await self._ipam.default_space()

    async def request_pool(self, request: PoolRequest) -> PoolGrant:
        """See IpamDriver."""
        await self._house.step("request_pool")
        return await self._ipam.request_pool(request)

    async def release_pool(self, pool_id: str) -> None:
        """See IpamDriver."""
        await self._house.step("release_pool")
        await self._ipam.release_pool(pool_id)

    async def request_address(self, request: AddressRequest) -> Interface:
        """See IpamDriver."""
        await self._house.step("request_address")
        return await self._ipam.request_address(request)

    async def release_address(self, pool_id: str, address: IPv4Address | IPv6Address) -> None:
        """See IpamDriver."""
        await self._house.step("release_address")
        await self._ipam.release_address(pool_id, address)


class House:
    """steps: what was done, in order. dies_at: the number of the step at which the process dies; refuse_at: of the one
    that is refused, once. look: awaited before each step. lazy: see StepKernel. restored: what the start said."""

    def __init__(self, *, lazy: bool = False) -> None:
        self.steps: list[object] = []
        self.dies_at: int | None = None
        self.refuse_at: int | None = None
        self.look: Look | None = None
        self.dead = False
        self.restored: list[str] = []
        self.seen: Seen = {}
        self._late = 0
        self.store, self.clock = MemoryStore(self.count), ManualClock()
        self.kernel = StepKernel(self, lazy=lazy)
        self.namespaces = MemoryNamespaces(self.kernel, before=self.step)
        self.files = StepFiles(self)
        self.far = FarDriver(self)
        self.other = OtherIpam(self)
        self.new_process()

    def count(self, what: object, *, refusable: bool = True) -> None:
        """One step, which is done next, unless the process dies or it is refused."""
        if self.dead or len(self.steps) == self.dies_at:
            self.dead = True
            raise Killed(what)
        self.steps.append(what)
        if refusable and len(self.steps) - 1 == self.refuse_at:
            self.refuse_at = None
            raise Unavailable(f"step {len(self.steps) - 1} is refused: {what}")

        if isinstance(what, Transaction) and self._late > 0:
            self._late -= 1
            self.lose_answer(self._late)

    def lose_answer(self, number: int) -> None:
        """The commit with that number from now, 0 for the next, takes effect and is not answered."""
        self._late = number
        if number == 0:
            self.store.fail_next(When.AFTER)

    def calm(self) -> None:
        """Nothing is refused or lost any more."""
        self.refuse_at, self._late = None, 0
        self.store._faults.clear()

    async def step(self, what: object) -> None:
        """As `count`, where somebody may look in before."""
        if self.look is not None:
            await self.look(what)
        self.count(what)

    def new_process(self) -> None:
        """One that has done nothing yet, after the end of the one before."""
        self.kernel.forget_discards()
        self.dead, self.dies_at, self.steps = False, None, []
        self.calm()
        self.guard, self.resolver = MemoryPortGuard(), MemoryResolver()
        world = LibraryWorld(
            self.store, self.kernel, self.guard, self.clock, self.namespaces, self.resolver, self.files, "/run/cnm"
        )
        others = Others({"far": self.far}, {"other": self.other})
        self.library: Library = assemble_library(world, POLICY, others=others)

    async def start(self) -> House:
        """The process has loaded and restored."""
        await self.library.cache.load()
        self.restored = await self.library.restoring.start()
        await self.kernel.flush()
        return self

    async def restart(self) -> House:
        """A new process in the same house."""
        self.new_process()
        return await self.start()

    async def reboot(self) -> House:
        """A new process after the machine was off: nothing is left in the kernel."""
        self.kernel.reboot()
        self.namespaces.reboot()
        self.far.joined.clear()
        return await self.restart()

    async def mend(self) -> Report:
        """One pass of repair."""
        report = await self.library.repair.once()
        await self.kernel.flush()
        return report

    async def do(self, line: str) -> None:
        """See lines.run; what is gone is found by its last name."""
        try:
            await run(self.library, line, self.seen)
        finally:
            if not self.dead:
                await self.kernel.flush()

    def named(self, name: str) -> str:
        """The beginning of the id that whoever has or had the name is called by in faults, "" for nobody."""
        return next((record.id[:12] for (_, known), record in self.seen.items() if known == name), "")
