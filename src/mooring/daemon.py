"""The composition root: one process, one loop, every object made here and handed to those that need it.

Rules: the sockets accept before anything else is done, and calls wait for the store instead of being refused; every
task has an owner, and a task that ends by itself ends the daemon with one line; a clean stop finishes what was begun.
"""

from __future__ import annotations

import asyncio
import faulthandler
import gc
import logging
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from contextlib import AsyncExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mooring import __version__
from mooring.adapters.dns.host_dns import HostDns
from mooring.adapters.dns.host_forwarding import host_nameservers
from mooring.adapters.dns.site_zones import SiteZones, site_zones
from mooring.adapters.docker.docker_engine import DockerEngine
from mooring.adapters.host import listeners, systemd
from mooring.adapters.host.clocks import SystemClock
from mooring.adapters.host.descriptors import raise_limit
from mooring.adapters.host.logs import start_logging
from mooring.adapters.host.machine_ids import boot_id, machine_id
from mooring.adapters.host.port_guard import SocketPortGuard
from mooring.adapters.linux.cluster_setup import LinuxClusterSetup
from mooring.adapters.linux.icmp_echoes import IcmpEchoes
from mooring.adapters.linux.linux_kernel import LinuxKernel
from mooring.adapters.linux.namespaces import identity_here
from mooring.adapters.linux.wireguard import LinuxWireGuard
from mooring.adapters.sqlite.store_copies import open_kept_store
from mooring.config import Config, ProxyListener
from mooring.core.dns_places import Serving
from mooring.core.faults import EXIT_CODE, Fault, Unavailable
from mooring.core.findings import Finding
from mooring.core.networks import Tenants
from mooring.dns_server import dns_server, look_at_dns
from mooring.doors import Doors, api_quota, door_findings, open_doors
from mooring.servers.api.door import ApiDoor
from mooring.servers.api.door import refuse as refuse_api
from mooring.servers.api.resources import resources
from mooring.servers.api.routes import Route
from mooring.servers.api.server import ApiServer
from mooring.servers.http import Handler, HttpServer, Limits
from mooring.servers.plugin.dispatch import BODY_LIMIT
from mooring.servers.plugin.dispatch import fail as refuse_plugin
from mooring.servers.plugin.door import PluginDoor
from mooring.servers.proxy.address_hook import AddressHook
from mooring.servers.proxy.audits import AuditLog
from mooring.servers.proxy.server import ProxyServer
from mooring.servers.proxy.shown_ports import PortCompletion
from mooring.services.assembly import Services, assemble
from mooring.services.cluster.membership import ClusterMembership
from mooring.services.containers.nameservers import Nameservers
from mooring.services.ipam.pools import IpamPolicy
from mooring.services.networking.assembly import World
from mooring.services.networking.engine_networks import EngineNetworks
from mooring.services.networking.engine_starts import EngineStarts
from mooring.services.networking.report_log import ReportLog
from mooring.services.operations.inspection import DaemonFacts
from mooring.services.operations.operations import no_dns_server, operations
from mooring.wire.docker_api import recognise

log = logging.getLogger(__name__)

# Operations of the API that say whether the records are read.
AT_ONCE = frozenset({"live", "ready", "status"})


OpenWorld = Callable[[Config, AsyncExitStack], Awaitable[World]]


@dataclass(frozen=True, slots=True)
class Daemon:
    """Everything that is served, made and not yet started.

    plugin: handler of its door. api: makes what answers at its. hook: what the proxy asks. completion: who completes
    replies for it. dns: the DNS server. zones: for the site's nameservers. load: reads the store; calls before it is
    done wait. cluster: keeps this host heard by the others.
    """

    services: Services
    plugin: Handler
    api: ApiDoor
    hook: AddressHook | None
    completion: PortCompletion
    dns: HostDns | None
    zones: SiteZones | None
    load: Callable[[], Coroutine[Any, Any, None]]
    cluster: ClusterMembership


class NotServing(Exception):
    """The daemon ended before it served. text: why, in one line. code: for the exit."""

    def __init__(self, text: str, code: int) -> None:
        super().__init__(text)
        self.text, self.code = text, code


def run(config: Config, manager: systemd.Manager) -> int:
    """Serve until told to stop; the exit code. Errors are one log line, with a traceback only for our own mistakes.

    Raises NotServing, logged as well, when it ends before it was ready.
    """
    # A watchdog kills by SIGABRT: then the log has the place where the loop stood still.
    faulthandler.enable()
    start_logging(config.log_level, config.log_format.value, sys.stderr)
    raise_limit()
    for warning in config.warnings:
        log.warning(warning)
    try:
        with asyncio.Runner(loop_factory=loop_factory()) as runner:
            runner.run(serve(config, open_host, manager))
        return 0
    except Fault as fault:
        text, code = str(fault), EXIT_CODE[fault.kind]
        log.error(text)
    except ExceptionGroup as group:
        _, mistakes = group.split(Fault)
        text, code = "; ".join(_texts(group)), 1
        log.error("stopped: " + text, exc_info=mistakes)
    except Exception as error:
        text, code = f"internal error ({type(error).__name__}: {error}); see the log", 1
        log.exception("stopped by an internal error")
    if not manager.notifier.ready:
        raise NotServing(text, code)
    return code


def _texts(group: BaseExceptionGroup[BaseException]) -> list[str]:
    """What every exception in the group says, in one line each."""
    found: list[str] = []
    for error in group.exceptions:
        found += _texts(error) if isinstance(error, BaseExceptionGroup) else [str(error) or type(error).__name__]
    return found


def policy_of(config: Config) -> IpamPolicy:
    """The configuration's part in decisions, and where they are taken."""
    return IpamPolicy(
        subnet_pools4=tuple(pool for pool in config.subnet_pools if pool.version == 4),
        subnet_pools6=tuple(pool for pool in config.subnet_pools if pool.version == 6),
        deny=config.deny,
        cooldown=config.cooldown,
        on_host_overlap=config.host_overlap,
        separate_tenants=config.tenants is Tenants.SEPARATE,
        serves_dns=config.dns is not Serving.OFF,
        hold=config.hold_time,
        claim=config.claim_policy,
        host=machine_id(),
        boot=boot_id(),
        vxlan_port=config.vxlan_port,
    )


def build(config: Config, world: World, since: float) -> Daemon:
    """Put the services and doors together. Nothing is read or started here."""
    policy = policy_of(config)
    services = assemble(
        world, policy, config.repair_period, config.reclaim_after, names=config.driver_names, zone=config.dns_zone
    )
    places = str(config.store), str(config.plugin_socket), str(config.api_socket)
    facts = DaemonFacts(__version__, since, *places, policy, os.uname().nodename, partial(identity_here, policy.boot))
    zones = site_zones(config.zones, services.keeping, services.cache, world.clock, config.state_dir)
    loaded = asyncio.Event()

    async def wait_until_loaded(*_: object) -> None:
        await loaded.wait()

    async def wait_unless_told(route: Route) -> None:
        if route.name not in AT_ONCE:
            await loaded.wait()

    async def load() -> None:
        # Records live as long as the daemon: looking for garbage among them only costs, now and in every later round.
        gc.disable()
        await services.cache.load()
        await operated.cluster.enter_kept()  # or what is given of the cluster's subnets would be refused for a while
        gc.freeze()
        gc.enable()
        if services.restored_store is not None:
            await services.restored_store.at_start()
        if services.keeping is not None:
            services.keeping.host_names.note_loaded()
        operated.readiness.note_loaded()
        loaded.set()

    plugin = PluginDoor(
        services.ipam,
        EngineNetworks(services.networks, services.cache, services.endpoint_index, config.plugin_socket.stem),
        services.endpoints,
        before_call=wait_until_loaded,
        on_activate=EngineStarts(len(config.driver_names), partial(_engine_started, services)).activated,
        on_unavailable=services.keeping.refused_starts.note if services.keeping is not None else lambda _: None,
    )
    dns = dns_server(config, services, world, plugin.is_busy)
    look = partial(look_at_dns, config, services, dns) if dns is not None else no_dns_server

    def findings() -> list[Finding]:
        return [*door_findings(config.proxies, world.clock.now()), *(zones.findings() if zones is not None else ())]

    operated = operations(services, world, facts, dns_server=look, found_elsewhere=findings)
    api = ApiDoor(resources(operated, world.store.backup), wait_unless_told)
    hook = None
    if (kept := services.keeping) is not None and world.engine is not None:
        nameservers = Nameservers(services.cache, world.engine, host_nameservers)
        hook = AddressHook(kept.controller, wait_until_loaded, kept.networks, nameservers)
    completion = PortCompletion(services.cache, services.endpoint_index)
    return Daemon(services, plugin, api, hook, completion, dns, zones, load, operated.cluster)


def _engine_started(services: Services) -> None:
    """dockerd talks to us for the first time since it started: what was under way with the one before is over."""
    services.ipam.pending_allocations.end_all()
    services.endpoints.takeovers.engine_started()
    services.repair.nudge()
    if services.keeping is not None:
        services.keeping.container_reconciler.nudge()


async def serve(config: Config, open_world: OpenWorld, manager: systemd.Manager) -> None:
    """Be the daemon until SIGTERM or SIGINT, then stop cleanly.

    Raises Conflict when another instance serves the run directory or a socket, Unavailable when something needed cannot
    be had, an exception group when a task ended that must not.
    """
    stop = asyncio.Event()
    async with AsyncExitStack() as cleanup:
        lock = listeners.InstanceLock(config.lock)
        cleanup.callback(lock.close)
        doors = open_doors(config, manager.take())
        cleanup.callback(doors.close)
        with stop_signals(stop):
            world = await open_world(config, cleanup)
            daemon = build(config, world, world.clock.now())
            await _run_tasks(config, daemon, doors, manager, stop)
    log.info("stopped")


async def open_host(config: Config, cleanup: AsyncExitStack) -> World:
    """The adapters of this host, opened; the cleanup closes them in reverse."""
    listeners.make_directory(config.state_dir, 0o700)
    store = await open_kept_store(str(config.store), cleanup)
    kernel = LinuxKernel(folder=str(config.run_dir / "tenants"))
    cleanup.push_async_callback(kernel.close)
    clock = SystemClock(config.lock.with_name("clock"), Path(f"{config.store}.time"))
    guard, engine = SocketPortGuard(raise_limit().ports), DockerEngine(str(config.docker_socket))
    wireguard = LinuxWireGuard(config.state_dir / "wireguard.json", systemd.is_service(os.environ))
    cleanup.callback(wireguard.close)
    cluster = LinuxClusterSetup(config.state_dir / "cluster.json")
    return World(store, kernel, guard, engine, clock, cluster, wireguard, IcmpEchoes(kernel))


async def _run_tasks(
    config: Config, daemon: Daemon, doors: Doors, manager: systemd.Manager, stop: asyncio.Event
) -> None:
    """Serve, load, repair, and tell the service manager; return when told to stop and everything has ended."""
    notifier, watchdog = manager.notifier, manager.watchdog
    plugin_server = HttpServer(refuse_plugin, Limits(body=BODY_LIMIT))
    api_server = ApiServer(refuse_api)
    proxy_servers: list[ProxyServer] = []
    async with AsyncExitStack() as audits, asyncio.TaskGroup() as tasks:

        def start(name: str, work: Callable[[], Coroutine[Any, Any, None]]) -> asyncio.Task[None]:
            return tasks.create_task(_until_stopped(name, work, stop), name=name)

        for door in doors.plugin:
            start("plugin door", partial(plugin_server.serve, door, daemon.plugin))
        for door in doors.api:
            start("API door", partial(api_server.serve, door, daemon.api, api_quota(config)))
        for proxy in doors.proxies:
            shows = daemon.completion if proxy.listener.show_ports else None
            server = proxy_server(str(config.docker_socket), proxy.listener, daemon.hook, audits, shows)
            proxy_servers.append(server)
            start(f"proxy at {proxy.listener.name}", partial(server.serve, proxy.sockets))
        await daemon.load()
        endless = [start("repair", partial(daemon.services.repair.run, ReportLog().tell))]
        endless.append(start("host follower", daemon.services.host_follower.run))
        endless.append(start("overlays", daemon.services.repair.overlays.run))
        endless.append(start("overlay feed", daemon.services.overlay_feed.run))
        endless.append(start("ingress", daemon.services.ingress_ports.run))
        endless.append(start("cluster", daemon.cluster.run))
        endless.append(start("cluster's turns", daemon.services.cluster_runtime.run))
        if (keeping := daemon.services.keeping) is not None:
            endless += [start("reconciler", keeping.container_reconciler.run), start("watcher", keeping.watching.run)]
            endless.append(start("name follower", keeping.name_follower.run))
            endless.append(start("advertiser", keeping.advertiser.run))
            endless.append(start("networks everywhere", keeping.networks_everywhere.run))
            endless.append(start("refused starts", keeping.refused_starts.run))
        if daemon.dns is not None:
            endless.append(start("DNS server", daemon.dns.run))
        if daemon.zones is not None:
            endless.append(start("site's zones", daemon.zones.run))
        if watchdog is not None:
            endless.append(start("watchdog", partial(systemd.keep_alive, notifier, watchdog)))
        notifier.tell("READY=1", "STATUS=serving")
        log.info("ready", extra={"version": __version__, "revision": daemon.services.cache.revision})
        await stop.wait()
        notifier.tell("STOPPING=1", "STATUS=finishing what was begun")
        log.info("stopping")
        for task in endless:
            task.cancel()
        # They accept nothing more, and end when the requests under way have their answers or the drain time is over.
        plugin_server.stop()
        api_server.stop()
        for server in proxy_servers:
            server.stop()


def proxy_server(
    engine: str,
    listener: ProxyListener,
    hook: AddressHook | None,
    cleanup: AsyncExitStack,
    completion: PortCompletion | None = None,
) -> ProxyServer:
    """What serves the listener, in front of the engine's socket. Its audit log ends with the cleanup."""
    audit = None
    if listener.audit is not None:
        audit = AuditLog(listener.audit, listener.name)
        cleanup.callback(audit.close)
    return ProxyServer(
        engine,
        recognise,
        hook=hook,
        admit=None if listener.rules.everything else listener.rules.remembering(),
        audit=audit.record if audit is not None else None,
        completion=completion,
    )


async def _until_stopped(name: str, work: Callable[[], Coroutine[Any, Any, None]], stop: asyncio.Event) -> None:
    await work()
    if not stop.is_set():
        raise Unavailable(f"the {name} ended by itself")


@contextmanager
def stop_signals(stop: asyncio.Event) -> Iterator[None]:
    """SIGTERM and SIGINT ask for a clean stop. SIGHUP, which a closing terminal or a habit sends, changes nothing."""
    loop = asyncio.get_running_loop()

    def hang_up() -> None:
        log.info("SIGHUP ignored: the configuration is only read at start, use `systemctl restart mooring`")

    loop.add_signal_handler(signal.SIGTERM, stop.set)
    loop.add_signal_handler(signal.SIGINT, stop.set)
    loop.add_signal_handler(signal.SIGHUP, hang_up)
    try:
        yield
    finally:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            loop.remove_signal_handler(number)


def loop_factory() -> Callable[[], asyncio.AbstractEventLoop]:
    """uvloop's, or asyncio's when that is missing or MOORING_LOOP=asyncio asks for it."""
    if os.environ.get("MOORING_LOOP", "uvloop") != "asyncio":
        try:
            import uvloop
        except ImportError:
            log.warning("uvloop is not installed, using the slower asyncio loop")
        else:
            return uvloop.new_event_loop
    return asyncio.new_event_loop
