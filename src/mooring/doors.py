"""The sockets at which the daemon listens: those that the service manager handed over, and those that we make.

Rules: no socket of a living process is taken, and none that fails leaves one of the others open; further names of the
driver are links to the plugin socket, and what is in the way of one costs that name alone.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from mooring.adapters.host import listeners
from mooring.adapters.host.descriptors import raise_limit
from mooring.adapters.host.tls import MutualTls
from mooring.config import Config, ProxyListener
from mooring.core.faults import Conflict, Fault
from mooring.core.findings import Finding
from mooring.servers.proxy.server import Listener
from mooring.servers.quotas import Pool, Quota

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ProxyDoor:
    """One listener of the proxy, and what listens for it."""

    listener: ProxyListener
    sockets: tuple[Listener, ...]


@dataclass(frozen=True, slots=True)
class Doors:
    """The listening sockets. made: the files that are ours to remove, with their identity."""

    plugin: tuple[socket.socket, ...]
    api: tuple[socket.socket, ...]
    proxies: tuple[ProxyDoor, ...]
    made: tuple[tuple[Path, tuple[int, int] | None], ...]

    def close(self) -> None:
        """Nothing listens, and the files that we made are gone."""
        for path, identity in self.made:
            listeners.remove(path, identity)
        for listener in (*self.plugin, *self.api, *(one.sock for door in self.proxies for one in door.sockets)):
            listener.close()


def open_doors(config: Config, handed: dict[str, list[socket.socket]]) -> Doors:
    """The sockets that systemd handed over, by name, and those it did not, made by us. All of them listen."""
    made: list[tuple[Path, tuple[int, int] | None]] = []
    proxies: list[ProxyDoor] = []

    def open_door(name: str, path: Path, mode: int, group: str, owner: str = "") -> tuple[socket.socket, ...]:
        if given := handed.pop(name, None):
            return tuple(given)
        listener = listeners.listen(path, mode, group, owner)
        made.append((path, listeners.identity(path)))
        return (listener,)

    # dockerd runs as root and is the only client of the plugin socket.
    plugin = open_door("plugin", config.plugin_socket, 0o600, "")
    links = link_names(config.plugin_socket, config.plugin_names)
    if made:  # what the service manager listens at is there without us, and so are its names
        made += links
    api: tuple[socket.socket, ...] = ()
    try:
        api = open_door("api", config.api_socket, config.api_socket_mode, config.api_socket_group)
        clients = Pool(raise_limit().proxies)
        for proxy in config.proxies:
            quota = proxy_quota(proxy, clients)
            blind = proxy.rules.everything
            if proxy.path is None:
                tls = MutualTls(*proxy.tls).wrap if proxy.tls is not None else None
                sockets = [Listener(listeners.listen_tcp(proxy.host, proxy.port), tls, blind, quota)]
            else:
                # The service manager has one unit for the proxy, and it is the first one's.
                opened = open_door("proxy", proxy.path, proxy.mode, proxy.group, proxy.owner)
                sockets = [Listener(sock, blind=blind, quota=quota) for sock in opened]
            proxies.append(ProxyDoor(proxy, tuple(sockets)))
        _refuse_the_engines_own(config, proxies)
    except Fault:
        Doors(plugin, api, tuple(proxies), tuple(made)).close()
        raise
    for name in handed:
        log.warning("ignoring an unknown socket from the service manager", extra={"socket": name})
    return Doors(plugin, api, tuple(proxies), tuple(made))


def door_findings(proxies: Iterable[ProxyListener], now: float) -> list[Finding]:
    """Proxies that listen where nobody can come. now: the time of day, in seconds."""
    return [
        Finding(
            f"proxy {proxy.name}",
            f"the proxy listens at {proxy.name}, and the host does not have address {proxy.host}",
            "a socket that was to be bound there",
            now,
            "it serves as soon as the host has the address; or change `listen` of that [[proxy]]",
        )
        for proxy in proxies
        if proxy.path is None and not listeners.has_address(proxy.host)
    ]


def link_names(plugin_socket: Path, names: Iterable[str]) -> list[tuple[Path, tuple[int, int] | None]]:
    """dockerd finds the driver by these names too. The links, with their identity; what cannot be made is logged."""
    made: list[tuple[Path, tuple[int, int] | None]] = []
    for name in names:
        path = plugin_socket.with_name(f"{name}.sock")
        if path == plugin_socket:
            continue
        try:
            listeners.link(path, plugin_socket)
            made.append((path, listeners.identity(path)))
        except Fault as fault:
            log.warning("Docker cannot know the driver as %s: %s", name, fault)
    return made


def proxy_quota(proxy: ProxyListener, clients: Pool) -> Quota:
    """What one listener may take of what all of them have: never the last eighth; one peer of it three quarters."""
    most = max(1, clients.most * 7 // 8)
    return Quota(f"the proxy at {proxy.name}", most, max(1, most * 3 // 4), clients)


def api_quota(config: Config) -> Quota:
    """The API's connections. The plugin door has no quota: dockerd alone may connect to it."""
    most = raise_limit().api
    return Quota(f"the API at {config.api_socket}", most, max(1, most * 3 // 4))


def _refuse_the_engines_own(config: Config, doors: Sequence[ProxyDoor]) -> None:
    """A proxy that listens where it connects to would talk to itself. The configuration was checked for that; what the
    service manager hands over, and where links lead by now, was not."""
    engine = os.path.realpath(config.docker_socket)
    for door in doors:
        for listener in door.sockets:
            name = listener.sock.getsockname()
            if isinstance(name, str) and os.path.realpath(name) == engine:
                raise Conflict(f"the proxy listens at {name}, which is docker_socket", hint="give it another path")
