"""Network and IPAM plugins that others made, spoken to as dockerd speaks to them.

Rules: a plugin is found, activated and asked for its capabilities when its driver is first wanted, once for each name;
who wants the same at the same time waits for the same attempt; what failed is tried anew at the next use.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from mooring.adapters.plugins.client import TIMEOUT, PluginClient, Unreachable
from mooring.adapters.plugins.discovery import Places, PluginAddress, find
from mooring.adapters.plugins.ipam_driver import RemoteIpam
from mooring.adapters.plugins.network_driver import RemoteDriver
from mooring.core.faults import Fault, NotFound, Unavailable
from mooring.ports import Clock, PluginFinder
from mooring.wire import remote_api as api

__all__ = ["Places", "PluginAddress", "PluginClient", "Plugins", "RemoteDriver", "RemoteIpam", "Unreachable"]

NETWORK, IPAM = api.IMPLEMENTS
SCOPES = ("local", "global")

T = TypeVar("T")


class _Attempt:
    """Something that is being made. fault: why it failed; None also when who made it was cancelled."""

    def __init__(self) -> None:
        self.over = asyncio.Event()
        self.fault: Fault | None = None


class Plugins(PluginFinder):
    """The plugins of this host, by name. places: where they are looked for. timeout: seconds, see PluginClient."""

    def __init__(self, places: Places, clock: Clock, timeout: float = TIMEOUT) -> None:
        self._places = places
        self._clock = clock
        self._timeout = timeout
        self._made: dict[str, Any] = {}
        self._attempts: dict[str, _Attempt] = {}
        self._clients: set[PluginClient] = set()
        self._closed = False

    async def network_driver(self, name: str) -> RemoteDriver:
        """See PluginFinder. NotFound also for a plugin that is none for networks."""
        return await self._once(f"network {name}", lambda: self._network_driver(name))

    async def ipam_driver(self, name: str) -> RemoteIpam:
        """See PluginFinder. NotFound also for a plugin that is none for IPAM."""
        return await self._once(f"ipam {name}", lambda: self._ipam_driver(name))

    async def close(self) -> None:
        """Every connection is closed; the drivers that were given out raise Unreachable from now on."""
        self._closed = True
        for client in list(self._clients):
            await client.close()

    async def _network_driver(self, name: str) -> RemoteDriver:
        client = await self._activated(name, NETWORK)
        reply = await client.call("NetworkDriver.GetCapabilities")
        assert isinstance(reply, api.NetworkCapabilities)
        for what, scope in (("Scope", reply.scope), ("ConnectivityScope", reply.connectivity_scope or reply.scope)):
            if scope not in SCOPES:
                raise Unavailable(f"plugin {name}: {what} {api.shown(scope)!r} is neither local nor global")
        return RemoteDriver(client, reply.gw_alloc_checker)

    async def _ipam_driver(self, name: str) -> RemoteIpam:
        client = await self._activated(name, IPAM)
        try:
            reply = await client.call("IpamDriver.GetCapabilities")
        except Unreachable:
            raise
        except Fault:
            return RemoteIpam(client)  # the method is younger than the protocol: no capabilities
        assert isinstance(reply, api.IpamCapabilities)
        return RemoteIpam(client, reply.requires_mac_address)

    async def _activated(self, name: str, kind: str) -> PluginClient:
        client, implements = await self._once(f"plugin {name}", lambda: self._activate(name))
        if kind not in implements:
            told = ", ".join(api.shown(one) for one in implements[:10]) or "nothing"
            raise NotFound(f"plugin {name} is not a {kind}; it implements {told}")
        return client

    async def _activate(self, name: str) -> tuple[PluginClient, tuple[str, ...]]:
        address = await asyncio.to_thread(find, name, self._places)
        self._must_be_open()
        client = PluginClient(address, self._clock, self._timeout)
        self._clients.add(client)
        try:
            return client, await client.activate()
        except BaseException:
            self._clients.discard(client)
            await client.close()
            raise

    async def _once(self, key: str, make: Callable[[], Awaitable[T]]) -> T:
        """What `make` makes, from whoever came first. Raises its fault to all who waited for that attempt."""
        while key not in self._made:
            self._must_be_open()
            attempt = self._attempts.get(key)
            if attempt is not None:
                await attempt.over.wait()
                if attempt.fault is not None:
                    raise attempt.fault
                continue  # it is made, or who made it was cancelled
            attempt = self._attempts[key] = _Attempt()
            try:
                self._made[key] = await make()
            except Fault as fault:
                attempt.fault = fault
                raise
            finally:
                del self._attempts[key]
                attempt.over.set()
        made: T = self._made[key]
        return made

    def _must_be_open(self) -> None:
        if self._closed:
            raise Unavailable("plugins cannot be found any more: their finder was closed")
