"""A house: all that outlives a process of the library, in memory, and the process that lives in it now.

Rules: everything that the process changes outside of itself is a step: a commit, an op of the kernel or of a namespace,
a file, a call of somebody else's driver; a test may let the process die at a step, and a dead process does nothing
more, whatever its handlers try; what is said to the house is a line of words, so that tests read like a session.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TypeVar

from mooring.core.endpoints import Attachment, Endpoint
from mooring.core.faults import Fault, NotFound, Unavailable
from mooring.core.networks import Interface, Network
from mooring.core.plumbing import Add, Op, Veth
from mooring.core.pools import SubnetPool
from mooring.core.publications import PortRequest, Protocol
from mooring.core.requests import (
    AddressRequest,
    EndpointWish,
    JoinRequest,
    NetworkWish,
    PoolGrant,
    PoolRequest,
    SandboxWish,
    SubnetWish,
)
from mooring.core.sandboxes import Kind, Sandbox
from mooring.ports import IpamDriver
from mooring.services.assembly import Others, World, assemble
from mooring.services.ipam import IpamPolicy
from mooring.services.library import Library, LibraryWorld, assemble_library
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_driver import MemoryDriver
from mooring.testing.memory_files import MemoryFiles
from mooring.testing.memory_kernel import MemoryKernel, MemoryPortGuard
from mooring.testing.memory_namespaces import MemoryNamespaces
from mooring.testing.memory_resolver import MemoryResolver
from mooring.testing.memory_store import MemoryStore
from tests.services.hosts import POLICY

T = TypeVar("T")
OTHER_POLICY = IpamPolicy(
    subnet_pools4=(SubnetPool(name="other4", space="default", prefixes=(ip_network("172.20.0.0/16"),), length=24),),
    subnet_pools6=(SubnetPool(name="other6", space="default", prefixes=(ip_network("fd00:172::/48"),), length=64),),
)

Look = Callable[[object], Awaitable[None]]


class Killed(BaseException):
    """The process is dead."""


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

    async def discard(self, links: Sequence[str]) -> None:
        """See Kernel."""
        for name in links:
            await self._house.step(("discard", name))
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
        clock = ManualClock()
        for _ in range(1000):
            clock.token()  # its ids are not ours
        world = World(MemoryStore(), MemoryKernel(), MemoryPortGuard(), None, clock)
        services = assemble(world, OTHER_POLICY)
        self.mirror, self._ipam = services.mirror, services.ipam

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
        self.store, self.clock = MemoryStore(self.count), ManualClock()
        self.kernel = StepKernel(self, lazy=lazy)
        self.namespaces = MemoryNamespaces(self.kernel, before=self.step)
        self.files = StepFiles(self)
        self.far = FarDriver(self)
        self.other = OtherIpam(self)
        self.new_process()

    def count(self, what: object) -> None:
        """One step, which is done next, unless the process dies or is refused."""
        if self.dead or len(self.steps) == self.dies_at:
            self.dead = True
            raise Killed(what)
        self.steps.append(what)
        if len(self.steps) - 1 == self.refuse_at:
            self.refuse_at = None
            raise Unavailable(f"step {len(self.steps) - 1} is refused: {what}")

    async def step(self, what: object) -> None:
        """As `count`, where somebody may look in before."""
        if self.look is not None:
            await self.look(what)
        self.count(what)

    def new_process(self) -> None:
        """One that has done nothing yet, after the end of the one before."""
        self.kernel.forget_discards()
        self.dead, self.dies_at, self.steps = False, None, []
        self.guard, self.resolver = MemoryPortGuard(), MemoryResolver()
        world = LibraryWorld(
            self.store, self.kernel, self.guard, self.clock, self.namespaces, self.resolver, self.files, "/run/cnm"
        )
        others = Others({"far": self.far}, {"other": self.other})
        self.library: Library = assemble_library(world, POLICY, others=others)

    async def start(self) -> House:
        """The process has loaded and restored."""
        await self.library.mirror.load()
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

    async def do(self, line: str) -> None:
        """See `run`."""
        await run(self.library, line)
        await self.kernel.flush()

    def network(self, name: str) -> Network:
        """By name. Raises NotFound."""
        return network_of(self.library, name)

    def endpoint(self, name: str) -> Endpoint:
        """By name. Raises NotFound."""
        return endpoint_of(self.library, name)

    def sandbox(self, name: str) -> Sandbox:
        """By name. Raises NotFound."""
        return sandbox_of(self.library, name)


async def run(library: Library, line: str) -> None:
    """Carry out one line: a verb, names, and options as `key=value`. Names of endpoints are unique here.

    `network NAME`, `endpoint NETWORK NAME`, `sandbox NAME`, `join ENDPOINT SANDBOX`, `leave ENDPOINT SANDBOX`,
    `refresh SANDBOX`, `key SANDBOX PATH`, `no-network NAME`, `no-endpoint NAME`, `no-sandbox NAME`.
    """
    verb, *words = line.split()
    names = [word for word in words if "=" not in word]
    options = dict(word.split("=", 1) for word in words if "=" in word)
    if verb in ("network", "endpoint", "sandbox"):
        await _create(library, verb, names, options)
        return
    sandboxes = library.sandboxes
    if verb == "no-network":
        await library.provisioning.delete_network(network_of(library, names[0]).id)
        return
    if verb in ("no-sandbox", "refresh", "key"):
        sandbox = sandbox_of(library, names[0])
        if verb == "no-sandbox":
            await sandboxes.delete(sandbox.id)
        elif verb == "refresh":
            await sandboxes.refresh(sandbox.id, _sandbox_wish(sandbox.name, sandbox.kind, options) if options else None)
        else:
            await sandboxes.set_key(sandbox.id, names[1])
        return
    endpoint = endpoint_of(library, names[0])
    if verb == "no-endpoint":
        await library.provisioning.delete_endpoint(endpoint.network, endpoint.id, force="force" in options)
    elif verb == "join":
        place = sandbox_of(library, names[1])
        await sandboxes.join(endpoint.network, endpoint.id, place.id, int(options.get("priority", "0")))
    else:
        assert verb == "leave"
        await sandboxes.leave(endpoint.network, endpoint.id, sandbox_of(library, names[1]).id)


async def _create(library: Library, verb: str, names: list[str], options: dict[str, str]) -> None:
    if verb == "network":
        driver = options.get("driver", "bridge")
        families = options.get("families", "46" if driver in ("bridge", "far") else "")
        subnets = tuple(SubnetWish(int(family)) for family in families)
        ipam, internal = options.get("ipam", "default"), "internal" in options
        await library.provisioning.create_network(NetworkWish(names[0], driver, subnets, internal=internal, ipam=ipam))
    elif verb == "endpoint":
        addresses = tuple(ip_address(text) for text in options.get("at", "").split(",") if text)
        wish = EndpointWish(network_of(library, names[0]).id, names[1], addresses)
        await library.provisioning.create_endpoint(wish)
    else:
        kind = Kind(options.get("kind", "own"))
        await library.sandboxes.create(replace(_sandbox_wish(names[0], kind, options), path=options.get("path", "")))


def _sandbox_wish(name: str, kind: Kind, options: dict[str, str]) -> SandboxWish:
    """ports: `8080:80`. hostname."""
    pairs = [text.split(":") for text in options.get("ports", "").split(",") if text]
    ports = tuple(PortRequest(Protocol.TCP, int(port), first=int(at), last=int(at)) for at, port in pairs)
    return SandboxWish(name, kind, ports=ports, hostname=options.get("hostname", ""))


def network_of(library: Library, name: str) -> Network:
    """By name. Raises NotFound."""
    return _only([each for each in library.mirror.every(Network) if each.name == name], f"network {name}")


def endpoint_of(library: Library, name: str) -> Endpoint:
    """By name. Raises NotFound."""
    return _only([each for each in library.mirror.every(Endpoint) if each.name == name], f"endpoint {name}")


def sandbox_of(library: Library, name: str) -> Sandbox:
    """By name. Raises NotFound."""
    return _only([each for each in library.mirror.every(Sandbox) if each.name == name], f"sandbox {name}")


def _only(found: list[T], what: str) -> T:
    if not found:
        raise NotFound(f"there is no {what}")
    assert len(found) == 1, f"two have the name of {what}"
    return found[0]
