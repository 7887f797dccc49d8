"""A host in memory for the library: everything that outlives a controller, and controllers over it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from ipaddress import ip_network

from mooring.cnm import Controller
from mooring.core.faults import Fault
from mooring.core.plumbing import Op
from mooring.core.pools import SubnetPool
from mooring.ports import PluginFinder
from mooring.services.ipam.allocator import IpamPolicy
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

POLICY = IpamPolicy(
    subnet_pools4=(SubnetPool(name="default4", space="default", prefixes=(ip_network("10.32.0.0/12"),), length=24),),
    subnet_pools6=(SubnetPool(name="default6", space="default", prefixes=(ip_network("fd00:32::/48"),), length=64),),
)


class MemoryHost:
    """store, kernel, namespaces, files: what a restart leaves as it is. driver: named `test`, it keeps its own records.

    refusals: faults that the kernel's next ops raise. library: that of the controller which is open.
    """

    def __init__(self, plugins: PluginFinder | None = None) -> None:
        self.refusals: list[Fault] = []
        self.store = MemoryStore()
        self.kernel = MemoryKernel(before=self._before)
        self.namespaces = MemoryNamespaces(self.kernel)
        self.files = MemoryFiles({"/etc/resolv.conf": "nameserver 192.0.2.53\n"})
        self.resolver = MemoryResolver()
        self.clock = ManualClock()
        self.driver = MemoryDriver()
        self.plugins = plugins
        self.library: Library | None = None

    async def _before(self, _op: Op) -> None:
        if self.refusals:
            raise self.refusals.pop(0)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[Controller]:
        """A controller of a new process: host ports and the resolver are its own."""
        self.resolver = MemoryResolver()
        world = LibraryWorld(
            self.store,
            self.kernel,
            MemoryPortGuard(),
            self.clock,
            self.namespaces,
            self.resolver,
            self.files,
            "/run/cnm",
        )
        self.library = assemble_library(world, POLICY, 0, Others(drivers={"test": self.driver}, plugins=self.plugins))
        async with Controller.over(self.library) as controller:
            yield controller

    def reboot(self) -> None:
        """Nothing in the kernel survives, the store does."""
        self.kernel.reboot()
        self.namespaces.reboot()
