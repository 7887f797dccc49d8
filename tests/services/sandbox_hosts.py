"""A host in memory with sandboxes: bridges, and a driver of somebody else's that wants its interfaces back.

Rule: every commit, op and call of the other driver is a step, so that a test can look in, refuse, or stop there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from mooring.core.endpoints import Endpoint
from mooring.core.faults import Unavailable
from mooring.core.networks import Network
from mooring.core.port_bindings import PortRequest, Protocol
from mooring.core.requests import EndpointSpec, NetworkSpec, SandboxSpec, SubnetSpec
from mooring.core.sandboxes import NamespaceAddress, NamespaceFact, NamespaceLink, NamespaceRoute, Sandbox
from mooring.services.assembly import Services, assemble
from mooring.services.networking.assembly import Others, World
from mooring.services.sandboxes.dns_names import DnsNames
from mooring.services.sandboxes.provisioning import Provisioning
from mooring.services.sandboxes.sandboxes import Sandboxes
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_driver import MemoryDriver
from mooring.testing.memory_files import MemoryFiles
from mooring.testing.memory_kernel import MemoryKernel
from mooring.testing.memory_namespaces import MemoryNamespaces
from mooring.testing.memory_port_guard import MemoryPortGuard
from mooring.testing.memory_resolver import MemoryResolver
from mooring.testing.memory_store import MemoryStore
from tests.services.hosts import POLICY

WEB = (PortRequest(Protocol.TCP, 80, first=8080, last=8080),)
Look = Callable[[object], Awaitable[None]]


class SandboxHost:
    """steps: how many there were. look: awaited at each. refuse_at: the number of the step that is refused, then and
    whenever the same is tried again."""

    def __init__(self) -> None:
        self.steps = 0
        self.refuse_at: int | None = None
        self.refused: object = None
        self.look: Look | None = None
        self.store, self.clock = MemoryStore(self.count), ManualClock()
        self.kernel = MemoryKernel(before=self.step)
        self.namespaces = MemoryNamespaces(self.kernel, before=self.step)
        self.far = MemoryDriver(returns=True, links=True, before=self.step)
        self._new_process()

    def _new_process(self) -> None:
        self.guard, self.files, self.resolver = MemoryPortGuard(), MemoryFiles(), MemoryResolver()
        world = World(self.store, self.kernel, self.guard, None, self.clock)
        s: Services = assemble(world, POLICY, others=Others({"far": self.far}))
        self.services = s
        naming = DnsNames(s.cache, s.endpoint_index, self.files)
        self.sandboxes = Sandboxes(s.records, s.endpoints, self.namespaces, self.resolver, naming, "/run/cnm")
        self.work = Provisioning(s.records, s.drivers, s.networks, s.endpoints)

    async def start(self) -> SandboxHost:
        """Load what the store has."""
        await self.services.cache.load()
        return self

    async def restart(self) -> None:
        """The process died and is back, and has settled nothing yet."""
        self._new_process()
        await self.start()

    def relent(self) -> None:
        """Nothing is refused any more."""
        self.refuse_at = self.refused = None

    async def step(self, what: object) -> None:
        """Count, look, and refuse when it is the one."""
        if self.look is not None:
            await self.look(what)
        self.count(what)

    def count(self, what: object) -> None:
        """As `step`, for commits too."""
        self.steps += 1
        if self.steps == self.refuse_at:
            self.refused = what
        if self.refused is not None and what == self.refused:
            raise Unavailable(f"step {self.steps} is refused: {what}")

    async def network(self, name: str, driver: str = "bridge", *, v6: bool = False, internal: bool = False) -> Network:
        """A network with a subnet of each family; without addresses for drivers that need none."""
        families = (SubnetSpec(4), SubnetSpec(6)) if v6 else (SubnetSpec(4),)
        subnets = families if driver in ("bridge", "far") else ()
        return await self.work.create_network(NetworkSpec(name, driver, subnets, internal=internal))

    async def endpoint(self, network: Network, name: str) -> Endpoint:
        """An endpoint that is nowhere; one of the other driver has an interface on the host."""
        made = await self.work.create_endpoint(EndpointSpec(network.id, name))
        if network.driver == "far":
            self.namespaces.plant(f"md-{made.id[:12]}")
        return made

    async def box(self, name: str, spec: SandboxSpec | None = None) -> Sandbox:
        """A sandbox of our own, or as wished."""
        return await self.sandboxes.create(spec or SandboxSpec(name))

    async def join(self, endpoint: Endpoint, sandbox: Sandbox, priority: int = 0) -> None:
        """See Sandboxes."""
        await self.sandboxes.join(endpoint.network, endpoint.id, sandbox.id, priority)

    async def leave(self, endpoint: Endpoint, sandbox: Sandbox) -> None:
        """See Sandboxes."""
        await self.sandboxes.leave(endpoint.network, endpoint.id, sandbox.id)

    def now(self, endpoint: Endpoint) -> Endpoint:
        """The record as it is."""
        found = self.services.cache.endpoint(endpoint.network, endpoint.id)
        assert found is not None
        return found

    async def facts(self, path: str) -> frozenset[NamespaceFact]:
        """What is in the namespace."""
        return (await self.namespaces.observe(path)).facts

    async def links(self, path: str) -> list[str]:
        """The names of our interfaces in the namespace."""
        return sorted(fact.name for fact in await self.facts(path) if isinstance(fact, NamespaceLink))

    async def addresses(self, path: str) -> list[str]:
        """`interface address` of each of our interfaces."""
        facts = await self.facts(path)
        return sorted(f"{fact.link} {fact.interface}" for fact in facts if isinstance(fact, NamespaceAddress))

    async def routes(self, path: str) -> dict[str, str]:
        """destination -> interface."""
        facts = await self.facts(path)
        return {str(fact.destination): fact.link for fact in facts if isinstance(fact, NamespaceRoute)}

    def publishers(self) -> set[str]:
        """The names of the endpoints that publish something."""
        return {endpoint.name for endpoint in self.services.cache.every(Endpoint) if endpoint.published}

    async def picture(self) -> dict[str, object]:
        """All that can be told apart from outside: records, namespaces, links on the host, ports, files, names."""
        made = await self.namespaces.made()
        return {
            "sandboxes": set(map(str, self.services.cache.every(Sandbox))),
            "endpoints": {
                (each.name, each.state, each.sandbox, each.interface, each.published, each.pending)
                for each in self.services.cache.every(Endpoint)
            },
            "inside": {path: await self.facts(path) for path in made.values()},
            "on the host": self.namespaces.on_host(),
            "kernel": frozenset(self.kernel.facts.values()),
            "told": dict(self.far.joined),
            "files": {path: text for path, text in self.files.texts.items() if not path.endswith(".hash")},
            "names": set(self.resolver.served),
        }
