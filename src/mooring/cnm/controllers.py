"""The library's entrance: one controller owns a store, its drivers and what they have made in the kernel.

Rules: it is used as an async context manager, which owns its task and closes what it opened; at its start everything
that was cut off is finished or undone; closing it ends no network and no sandbox, so that the next one finds them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Unpack

from mooring.adapters.plugins.discovery import SOCKETS, SPECS, Places
from mooring.cnm import arguments
from mooring.cnm.directory import Directory
from mooring.cnm.hosts import HostSettings, open_library
from mooring.cnm.objects import Network, Sandbox
from mooring.cnm.values import SandboxSettings, Subnet, SubnetLike
from mooring.core.faults import BadRequest, Fault
from mooring.core.findings import Report
from mooring.core.networks import BRIDGE, HOST, NULL, NULL_IPAM, OUR_IPAM
from mooring.core.pools import SubnetPool
from mooring.core.requests import NetworkSpec, SandboxSpec
from mooring.core.sandboxes import Kind
from mooring.ports import Driver, IpamDriver
from mooring.services.sandboxes.library import Library

log = logging.getLogger(__name__)

STATE_DIRECTORY, RUN_DIRECTORY = "/var/lib/mooring/cnm", "/run/mooring/cnm"
# As the daemon's.
REPAIR_PERIOD = 10.0


class Controller:
    """Networks and sandboxes of one program, or of one name. Made by `open` and `over`.

    restored: what the start finished, undid or removed, one line each.
    """

    def __init__(self, directory: Directory, restored: Sequence[str]) -> None:
        self._directory = directory
        self.restored = tuple(restored)

    def __repr__(self) -> str:
        try:
            return f"<Controller of {len(self.networks())} networks and {len(self.sandboxes())} sandboxes>"
        except Fault:
            return "<Controller, closed>"

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        name: str = "cnm",
        *,
        state_dir: str | Path = "",
        run_dir: str | Path = "",
        drivers: Mapping[str, Driver] | None = None,
        ipam_drivers: Mapping[str, IpamDriver] | None = None,
        subnet_pools: Sequence[SubnetPool] = (),
        deny: Sequence[SubnetLike] = (),
        plugin_sockets: str | Path = SOCKETS,
        plugin_specs: Sequence[str | Path] = SPECS,
        repair_period: float | str = REPAIR_PERIOD,
    ) -> AsyncIterator[Controller]:
        """The controller of the name on this host, in the network namespace of the calling thread.

        name: of letters, digits and hyphens, at most 20; what it makes in the kernel bears it, so that others leave it
        alone. state_dir: where the store is, "" for /var/lib/mooring/cnm/<name>. run_dir: where namespaces and files of
        sandboxes are until a reboot, "" for /run/mooring/cnm/<name>. drivers, ipam_drivers: by name, beside those that
        are built in; any other name is looked for among Docker's plugins, in plugin_sockets and plugin_specs.
        subnet_pools: where subnets are chosen from, () for 10.32.0.0/12 and a ULA prefix of this host. deny: subnets
        that no network may overlap. repair_period: seconds, or such as `15m`, between two looks at the kernel, 0 for
        none.

        Raises Conflict when a controller of the name is open already, BadRequest, Unavailable.
        """
        owner = arguments.name("name", name)
        period = arguments.seconds("repair_period", repair_period)
        settings = HostSettings(
            name=owner,
            state_dir=Path(arguments.path("state_dir", state_dir) or f"{STATE_DIRECTORY}/{owner}"),
            run_dir=Path(arguments.path("run_dir", run_dir) or f"{RUN_DIRECTORY}/{owner}"),
            drivers=arguments.drivers("drivers", drivers, Driver, (BRIDGE, HOST, NULL)),
            ipam_drivers=arguments.drivers("ipam_drivers", ipam_drivers, IpamDriver, (OUR_IPAM, NULL_IPAM)),
            subnet_pools=arguments.every("subnet_pools", subnet_pools, arguments.subnet_pool),
            deny=arguments.every("deny", deny, arguments.subnet),
            repair_period=period,
            plugins=Places(
                Path(arguments.path("plugin_sockets", plugin_sockets)),
                tuple(Path(place) for place in arguments.every("plugin_specs", plugin_specs, arguments.path)),
            ),
        )
        async with AsyncExitStack() as cleanup:
            library = await open_library(settings, cleanup)
            yield await cleanup.enter_async_context(cls.over(library, repairing=period > 0))

    @classmethod
    @asynccontextmanager
    async def over(cls, library: Library, *, repairing: bool = False) -> AsyncIterator[Controller]:
        """The controller over services that somebody else put together and closes; their cache is not loaded yet.

        repairing: look at the kernel again and again. Raises Unavailable.
        """
        directory = Directory(library)
        await library.cache.load()
        controller = cls(directory, await library.restoring.start())
        failure: Exception | None = None
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(library.repair.run(_log_report)) if repairing else None
            try:
                yield controller
            except Exception as error:  # noqa: BLE001 - raised again below: the group would wrap what is the user's
                failure = error
            finally:
                directory.close()
                if task is not None:
                    task.cancel()
        if failure is not None:
            raise failure

    async def create_network(
        self,
        name: str,
        driver: str = BRIDGE,
        *,
        subnets: Sequence[SubnetLike | Subnet] = (),
        ipv4: bool = True,
        ipv6: bool = False,
        internal: bool = False,
        attachable: bool = False,
        labels: Mapping[str, str] | None = None,
        options: Mapping[str, str] | None = None,
        ipam: str = OUR_IPAM,
        ipam_options: Mapping[str, str] | None = None,
    ) -> Network:
        """A network is there. On a fault nothing of it is.

        name: unique. driver, ipam: by name. subnets: `10.9.0.0/24`, or a Subnet to say more of it. ipv4, ipv6: a family
        of which no subnet is given gets one chosen when it is True. internal: there is no way out of it. options: of
        the driver, ipam_options: of the IPAM driver.
        Raises BadRequest, Conflict for a name or a subnet that is taken, NotFound for an unknown driver, Forbidden,
        Exhausted, Unavailable.
        """
        driver, ipam = arguments.name("driver", driver), arguments.name("ipam", ipam)
        spec = NetworkSpec(
            name=arguments.name("name", name),
            driver=driver,
            subnets=arguments.subnets(
                subnets,
                ipv4=arguments.switch("ipv4", ipv4),
                ipv6=arguments.switch("ipv6", ipv6),
                driver=driver,
                ipam=ipam,
            ),
            internal=arguments.switch("internal", internal),
            attachable=arguments.switch("attachable", attachable),
            labels=arguments.texts("labels", {} if labels is None else labels),
            options=arguments.texts("options", {} if options is None else options),
            ipam=ipam,
            ipam_options=arguments.texts("ipam_options", {} if ipam_options is None else ipam_options),
        )
        made = await self._directory.library.provisioning.create_network(spec)
        return Network(self._directory, made.id)

    def networks(self, *, name: str = "", driver: str = "", label: str = "") -> list[Network]:
        """Every network, or those that fit, the oldest first. label: a key, or `key=value`. Raises BadRequest."""
        named = arguments.name("name", name, optional=True)
        made_by = arguments.name("driver", driver, optional=True)
        key, equals, value = arguments.text("label", label).partition("=")
        return [
            Network(self._directory, found.id)
            for found in self._directory.networks()
            if (not named or found.name == named)
            and (not made_by or found.driver == made_by)
            and (not key or (found.labels.get(key) == value if equals else key in found.labels))
        ]

    def network(self, ref: str) -> Network:
        """By id, name, or the only beginning of an id. Raises NotFound, Conflict when it matches several."""
        return Network(self._directory, self._directory.find_network(ref).id)

    async def create_sandbox(
        self,
        name: str = "",
        *,
        host: bool = False,
        path: str = "",
        external: bool = False,
        **settings: Unpack[SandboxSettings],
    ) -> Sandbox:
        """A sandbox is there, with a namespace of its own unless one of three things is said.

        name: "" or unique. host: it is the host's own namespace. path: it is the namespace that somebody else made
        there, `/proc/<pid>/ns/net` or `/run/netns/<name>`. external: as path, which `Sandbox.set_key` tells later.
        settings: see SandboxSettings. Raises BadRequest, Conflict for a name or a namespace that is taken, NotFound for
        no such namespace, Unavailable.
        """
        where = arguments.path("path", path)
        hosts_own, others = arguments.switch("host", host), arguments.switch("external", external)
        if hosts_own and (where or others):
            raise BadRequest("host contradicts path and external")
        kind = Kind.HOST if hosts_own else Kind.EXTERNAL if where or others else Kind.OWN
        spec = SandboxSpec(name=arguments.name("name", name, optional=True), kind=kind, path=where)
        made = await self._directory.library.sandboxes.create(arguments.with_settings(spec, settings))
        return Sandbox(self._directory, made.id)

    def sandboxes(self) -> list[Sandbox]:
        """Every sandbox, the oldest first."""
        return [Sandbox(self._directory, found.id) for found in self._directory.sandboxes()]

    def sandbox(self, ref: str) -> Sandbox:
        """By id, name, or the only beginning of an id. Raises NotFound, Conflict when it matches several."""
        return Sandbox(self._directory, self._directory.find_sandbox(ref).id)

    def drivers(self) -> tuple[str, ...]:
        """Names of the network drivers that are there without looking for plugins."""
        return self._directory.library.drivers.names

    async def repair(self) -> Report:
        """The kernel is what the records say, as far as that can be; returns what was done and what could not be."""
        return await self._directory.library.repair.once()


def _log_report(report: Report) -> None:
    """One line for each thing that was repaired, and for each that could not be."""
    for line in report.repaired:
        log.info("repaired: %s", line)
    for line in report.findings:
        log.warning("finding: %s", line)
