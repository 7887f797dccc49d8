"""The daemon that cannot serve, and says so: the same sockets, one line for every question, until the cause is gone.

Rules: it needs neither configuration nor store; dockerd is answered at once, since a call that waits holds up its start
and everything that its containers need; through the proxy passes what the configuration lets pass, without fixed
addresses, and nothing where that cannot be known; it ends, to be started anew, when a start would succeed.
"""

from __future__ import annotations

import asyncio
import faulthandler
import logging
import os
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from mooring import __version__
from mooring.adapters.host import listeners, systemd
from mooring.adapters.host.logs import start_logging
from mooring.adapters.host.tls import MutualTls
from mooring.config import Config, ConfigurationInvalid, ProxyListener, Sound
from mooring.core.faults import HTTP_STATUS, Fault, Unavailable
from mooring.core.findings import Diagnosis, Finding
from mooring.core.refused_starts import NOT_SERVING
from mooring.daemon import OpenWorld, build, loop_factory, open_host, proxy_server, stop_signals
from mooring.doors import link_names
from mooring.servers.api.door import ApiDoor
from mooring.servers.api.door import refuse as refuse_api
from mooring.servers.api.resources import RESOURCES
from mooring.servers.api.routes import Route, route
from mooring.servers.api.server import ApiServer
from mooring.servers.http import HttpServer, Request, Response
from mooring.servers.plugin.dispatch import fail as refuse_plugin
from mooring.servers.proxy.server import Listener, ProxyServer
from mooring.wire.api import VERSION, FixFindings, LiveReply, VersionReply
from mooring.wire.docker_api import recognise

log = logging.getLogger(__name__)

# Seconds between two looks whether a start would succeed.
LOOK_AGAIN = 5.0
HINT = "`journalctl -u mooring` has more; fix the cause, and mooring starts by itself"

ReadConfiguration = Callable[[], Config]


def run(reason: str, sound: Sound, configuration: ReadConfiguration, manager: systemd.Manager) -> int:
    """Say that nothing is served and why, until told to stop or until a start would succeed; the exit code."""
    faulthandler.enable()
    if not logging.getLogger().handlers:
        start_logging("info", "auto", sys.stderr)
    fault = Unavailable(f"{NOT_SERVING} {reason}", hint=HINT)
    log.error(str(fault))
    with asyncio.Runner(loop_factory=loop_factory()) as runner:
        runner.run(serve(fault, sound, configuration, manager, open_host))
    return 0


async def serve(
    fault: Fault,
    sound: Sound,
    configuration: ReadConfiguration,
    manager: systemd.Manager,
    open_world: OpenWorld,
    every: float = LOOK_AGAIN,
) -> None:
    """The same, on a loop. every: seconds between two looks whether a start would succeed."""
    stop = asyncio.Event()
    plugin, questions = HttpServer(refuse_plugin), ApiServer(refuse_api)
    api = ApiDoor([Trouble(fault, time.time()), *RESOURCES], partial(_refuse_operator, fault))
    proxies: list[ProxyServer] = []
    async with AsyncExitStack() as cleanup, asyncio.TaskGroup() as tasks:
        doors = _Doors(sound, manager.take(), cleanup)
        doors.link_names()
        for sock in doors.opened("plugin", sound.plugin_socket, 0o600):
            tasks.create_task(plugin.serve(sock, partial(_answer_dockerd, fault)))
        for sock in doors.opened("api", sound.run_dir / "api.sock", 0o660):
            tasks.create_task(questions.serve(sock, api))
        for server, sockets in doors.proxies(fault):
            proxies.append(server)
            tasks.create_task(server.serve(sockets))
        with stop_signals(stop):
            manager.notifier.tell("READY=1", f"STATUS={fault}")
            endless = [tasks.create_task(_wait_for_cure(configuration, open_world, every, stop))]
            if manager.watchdog is not None:
                endless.append(tasks.create_task(systemd.keep_alive(manager.notifier, manager.watchdog)))
            await stop.wait()
        manager.notifier.tell("STOPPING=1")
        for task in endless:
            task.cancel()
        plugin.stop()
        questions.stop()
        for server in proxies:
            server.stop()


async def _answer_dockerd(fault: Fault, request: Request) -> Response:
    """Also to what changes nothing: a driver that was activated would have to be told that it is well again."""
    log.info("%s refused", request.path[1:])
    return refuse_plugin(HTTP_STATUS[fault.kind], str(fault))


class Trouble:
    """What can be asked of a daemon that cannot serve: its version, and what is wrong."""

    def __init__(self, fault: Fault, since: float) -> None:
        self._fault, self._since = fault, since

    @route("GET", "/v1/version")
    async def version(self) -> VersionReply:
        """What runs."""
        return VersionReply(__version__, [VERSION])

    @route("GET", "/v1/live")
    async def live(self) -> LiveReply:
        """It answers; a restart would find the same."""
        return LiveReply(True)

    @route("GET", "/v1/doctor")
    async def diagnosis(self) -> Diagnosis:
        """Why it did not start."""
        finding = Finding("daemon", self._fault.what, "it did not start", self._since, self._fault.hint, False)
        return Diagnosis(time.time(), (finding,))

    @route("POST", "/v1/doctor")
    async def fix_findings(self, body: FixFindings) -> Diagnosis:
        """The same: nothing is put right by asking."""
        return replace(await self.diagnosis(), dry_run=body.dry_run)


async def _refuse_operator(fault: Fault, asked: Route) -> None:
    if asked.tag not in (Trouble.__name__.lower(), "description"):
        raise fault


class _Doors:
    """The sockets, those that were handed over and those that can be made; what cannot be is logged and left."""

    def __init__(self, sound: Sound, handed: dict[str, list[socket.socket]], cleanup: AsyncExitStack) -> None:
        self._sound, self._handed, self._cleanup = sound, handed, cleanup

    def opened(self, name: str, path: Path, mode: int, group: str = "", owner: str = "") -> Sequence[socket.socket]:
        """What was handed over under the name, or a socket of ours at the path; none when that fails."""
        if given := self._handed.pop(name, None):
            return given
        try:
            made = listeners.listen(path, mode, group, owner)
        except Fault as cause:
            log.warning("nothing listens at %s: %s", path, cause)
            return ()
        self._cleanup.callback(listeners.remove, path, listeners.identity(path))
        return [made]

    def link_names(self) -> None:
        """The driver's further names lead to its socket, and last as long: what was handed over outlives us."""
        for path, identity in link_names(self._sound.plugin_socket, self._sound.plugin_names):
            if "plugin" not in self._handed:
                self._cleanup.callback(listeners.remove, path, identity)

    def proxies(self, fault: Fault) -> list[tuple[ProxyServer, Sequence[Listener]]]:
        """The proxy's servers with what they listen at. Where rules are uncertain, every request is told the fault."""
        engine = self._sound.docker_socket
        found: list[tuple[ProxyServer, Sequence[Listener]]] = []
        for listener in self._sound.proxies or ():
            try:
                sockets = self._proxy_sockets(listener)
                found.append((proxy_server(str(engine), listener, None, self._cleanup), sockets))
            except Fault as cause:
                log.warning("the proxy at %s is not served: %s", listener.name, cause)
        if uncertain := self._handed.pop("proxy", None):
            log.warning(
                "the proxy refuses every request because its access rules could not be read; use unix://%s", engine
            )
            told = Unavailable(
                fault.what, hint=f"the access rules of this socket could not be read; use unix://{engine}, and {HINT}"
            )
            server = ProxyServer(str(engine), recognise, admit=lambda _: told)
            found.append((server, [Listener(sock) for sock in uncertain]))
        return found

    def _proxy_sockets(self, listener: ProxyListener) -> Sequence[Listener]:
        blind = listener.rules.everything
        if listener.path is None:
            files = listener.tls
            tls = MutualTls(*files).wrap if files is not None else None
            return [Listener(listeners.listen_tcp(listener.host, listener.port), tls, blind)]
        made = self.opened("proxy", listener.path, listener.mode, listener.group, listener.owner)
        for sock in made:
            if os.path.realpath(sock.getsockname()) == os.path.realpath(self._sound.docker_socket):
                raise Unavailable(f"{sock.getsockname()} is the engine's own socket")
        return [Listener(sock, blind=blind) for sock in made]


async def _wait_for_cure(
    configuration: ReadConfiguration, open_world: OpenWorld, every: float, stop: asyncio.Event
) -> None:
    """A start would succeed when `stop` is set by this."""
    said = ""
    while True:
        await asyncio.sleep(every)
        try:
            await _rehearse(configuration(), open_world)
        except ConfigurationInvalid:
            continue  # the next start would say so, and nobody waits for it
        except Exception as error:  # noqa: BLE001  whatever it is, it is why nothing is served, and no reason to end
            text = str(error) or type(error).__name__
            if text != said:
                log.info("a start would still fail: %s", text)
            said = text
        else:
            log.info("the cause is gone: exiting so that systemd restarts mooring")
            stop.set()
            return


async def _rehearse(config: Config, open_world: OpenWorld) -> None:
    """Do what a start does, but for the sockets, and undo it."""
    async with AsyncExitStack() as cleanup:
        lock = listeners.InstanceLock(config.lock)
        cleanup.callback(lock.close)
        world = await open_world(config, cleanup)
        await build(config, world, world.clock.now()).services.cache.load()
