"""A controller's library on this host: every adapter, opened here and closed in reverse.

Rules: one process at a time has a name in a network namespace, and a state directory; what a sandbox needs until the
next reboot is in the run directory, what counts for ever is in the state directory.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

from mooring.adapters.dns.resolver import EmbeddedResolver
from mooring.adapters.host.clocks import SystemClock
from mooring.adapters.host.listeners import make_directory
from mooring.adapters.host.machine_ids import machine_id
from mooring.adapters.host.port_guard import SocketPortGuard
from mooring.adapters.host.text_files import LocalFiles
from mooring.adapters.linux.linux_kernel import LinuxKernel
from mooring.adapters.linux.namespaces import LinuxNamespaces
from mooring.adapters.netlink.ownership import Owner, claim
from mooring.adapters.plugins import Plugins
from mooring.adapters.plugins.discovery import Places
from mooring.adapters.sqlite.sqlite_store import open_sqlite_store
from mooring.core.faults import Fault
from mooring.core.networks import Network, Subnet
from mooring.core.plumbing import Remove, Ruleset
from mooring.core.pools import SubnetPool, default_pools
from mooring.ports import Driver, IpamDriver, Kernel
from mooring.services.ipam.pools import IpamPolicy
from mooring.services.networking.assembly import Others
from mooring.services.records.record_cache import RecordCache
from mooring.services.sandboxes.library import Library, LibraryWorld, assemble_library


@dataclass(frozen=True, slots=True)
class HostSettings:
    """What `Controller.open` was told, checked. subnet_pools: () for the default of this host."""

    name: str
    state_dir: Path
    run_dir: Path
    drivers: Mapping[str, Driver]
    ipam_drivers: Mapping[str, IpamDriver]
    subnet_pools: tuple[SubnetPool, ...]
    deny: tuple[Subnet, ...]
    repair_period: float
    plugins: Places


async def open_library(settings: HostSettings, cleanup: AsyncExitStack) -> Library:
    """The services over the adapters of this host, not loaded; the cleanup closes them.

    Raises Conflict when another process has the name or the state directory, BadRequest for what is no owner's name,
    Unavailable.
    """
    owner = Owner(settings.name)
    cleanup.callback(claim(owner.name).close)
    make_directory(settings.state_dir, 0o700)
    make_directory(settings.run_dir, 0o755)
    store = await open_sqlite_store(str(settings.state_dir / "cnm.db"))
    cleanup.push_async_callback(store.close)
    kernel = LinuxKernel(owner.name)
    cleanup.push_async_callback(kernel.close)
    namespaces = LinuxNamespaces(str(settings.run_dir / "netns"), owner.mark.removesuffix(":"))
    cleanup.push_async_callback(namespaces.close)
    resolver = EmbeddedResolver(owner=owner.name)
    cleanup.push_async_callback(resolver.close)
    guard, clock = SocketPortGuard(), SystemClock()
    cleanup.callback(guard.close)
    plugins = Plugins(settings.plugins, clock)
    cleanup.push_async_callback(plugins.close)
    folder = _real(settings.run_dir / "sandboxes")
    world = LibraryWorld(store, kernel, guard, clock, namespaces, resolver, LocalFiles(folder), folder)
    others = Others(settings.drivers, settings.ipam_drivers, plugins)
    library = assemble_library(world, _policy(settings), settings.repair_period, others)
    cleanup.push_async_callback(_clear, library.cache, kernel)
    return library


def _real(folder: Path) -> str:
    """As `LocalFiles` wants it: it follows no symbolic links, and /var/run is one."""
    return str(folder.resolve())


async def _clear(cache: RecordCache, kernel: Kernel) -> None:
    """Without networks there are no rules: the next controller of the name makes them again."""
    if not cache.count(Network):
        with suppress(Fault):
            await kernel.apply([Remove(fact) for fact in await kernel.observe() if isinstance(fact, Ruleset)])


def _policy(settings: HostSettings) -> IpamPolicy:
    pools = settings.subnet_pools or default_pools(machine_id())
    return IpamPolicy(
        subnet_pools4=tuple(pool for pool in pools if pool.prefixes[0].version == 4),
        subnet_pools6=tuple(pool for pool in pools if pool.prefixes[0].version == 6),
        deny=settings.deny,
    )
