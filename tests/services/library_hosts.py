"""The library in memory: everything that outlives a process, and the process over it."""

from __future__ import annotations

from mooring.core.endpoints import Endpoint
from mooring.core.networks import Network
from mooring.core.requests import EndpointSpec, NetworkSpec, SandboxSpec, SubnetSpec
from mooring.core.sandboxes import Sandbox
from mooring.services.networking.assembly import Others
from mooring.services.sandboxes.library import Library, LibraryWorld, assemble_library
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_driver import MemoryDriver
from mooring.testing.memory_files import MemoryFiles
from mooring.testing.memory_kernel import MemoryKernel
from mooring.testing.memory_namespaces import MemoryNamespaces
from mooring.testing.memory_port_guard import MemoryPortGuard
from mooring.testing.memory_resolver import MemoryResolver
from mooring.testing.memory_store import MemoryStore
from tests.services.hosts import POLICY


class LibraryHost:
    """far: a driver of somebody else's, by that name. lines: what the last start said."""

    def __init__(self) -> None:
        self.store, self.clock, self.kernel, self.far = MemoryStore(), ManualClock(), MemoryKernel(), MemoryDriver()
        self.namespaces = MemoryNamespaces(self.kernel)
        self.resolver = MemoryResolver()
        self.library = self._assemble()
        self.lines: list[str] = []

    def _assemble(self) -> Library:
        world = LibraryWorld(
            self.store, self.kernel, MemoryPortGuard(), self.clock, self.namespaces, self.resolver, MemoryFiles(),
            "/run/cnm",
        )  # fmt: skip
        return assemble_library(world, POLICY, others=Others({"far": self.far}))

    async def start(self) -> LibraryHost:
        """A new process, which looks at what there is."""
        self.resolver = MemoryResolver()
        self.library = self._assemble()
        await self.library.cache.load()
        self.lines = await self.library.restoring.start()
        return self

    async def network(self, name: str, driver: str = "bridge") -> Network:
        """A network with an IPv4 subnet."""
        return await self.library.provisioning.create_network(NetworkSpec(name, driver, (SubnetSpec(4),)))

    async def endpoint(self, network: Network, name: str) -> Endpoint:
        """An endpoint that is nowhere."""
        return await self.library.provisioning.create_endpoint(EndpointSpec(network.id, name))

    async def sandbox(self, name: str) -> Sandbox:
        """One of our own."""
        return await self.library.sandboxes.create(SandboxSpec(name))
