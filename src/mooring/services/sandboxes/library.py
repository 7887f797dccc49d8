"""The services of the library's users, put together: those of a host, and sandboxes, names and the start besides."""

from __future__ import annotations

from dataclasses import dataclass

from mooring.ports import Clock, Files, Kernel, Namespaces, PortGuard, Resolver, Store
from mooring.services.drivers.registry import Drivers
from mooring.services.ipam.allocator import IpamPolicy
from mooring.services.networking.assembly import Others, World, assemble_networking
from mooring.services.networking.endpoints import Endpoints
from mooring.services.networking.kernel_reconciler import KernelReconciler
from mooring.services.records.endpoint_index import EndpointIndex
from mooring.services.records.record_cache import RecordCache
from mooring.services.sandboxes.dns_names import DnsNames
from mooring.services.sandboxes.provisioning import Provisioning
from mooring.services.sandboxes.recovery import Recovery
from mooring.services.sandboxes.sandboxes import Sandboxes


@dataclass(frozen=True, slots=True)
class LibraryWorld:
    """What the library stands on. folder: where it keeps the files of sandboxes."""

    store: Store
    kernel: Kernel
    guard: PortGuard
    clock: Clock
    namespaces: Namespaces
    resolver: Resolver
    files: Files
    folder: str


@dataclass(frozen=True, slots=True)
class Library:
    """The use cases of the library's users."""

    cache: RecordCache
    endpoint_index: EndpointIndex
    drivers: Drivers
    provisioning: Provisioning
    endpoints: Endpoints
    sandboxes: Sandboxes
    repair: KernelReconciler
    restoring: Recovery


def assemble_library(
    world: LibraryWorld, policy: IpamPolicy, repair_period: float = 10.0, others: Others | None = None
) -> Library:
    """With sandboxes and names: `await library.cache.load()` and `library.restoring.start()` follow."""
    host = assemble_networking(
        World(world.store, world.kernel, world.guard, None, world.clock), policy, repair_period, others=others
    )
    records, networks, endpoints = host.records, host.networks, host.endpoints
    naming = DnsNames(host.cache, host.endpoint_index, world.files)
    sandboxes = Sandboxes(records, endpoints, world.namespaces, world.resolver, naming, world.folder)
    provisioning = Provisioning(records, host.drivers, networks, endpoints)
    restoring = Recovery(records, host.ipam, networks, endpoints, sandboxes, host.repair, world.namespaces)
    return Library(
        host.cache, host.endpoint_index, host.drivers, provisioning, endpoints, sandboxes, host.repair, restoring
    )
