"""Drivers by name: those that are built in or given, else plugins, found when they are first wanted."""

from __future__ import annotations

from collections.abc import Mapping

from mooring.core.faults import NotFound
from mooring.core.networks import NULL_IPAM
from mooring.ports import Driver, IpamDriver, PluginFinder


class Drivers:
    """builtin, ipams: by name; they go before plugins of the same name. plugins: where to look for others."""

    def __init__(
        self, builtin: Mapping[str, Driver], ipams: Mapping[str, IpamDriver], plugins: PluginFinder | None = None
    ) -> None:
        self._builtin = dict(builtin)
        self._ipams = dict(ipams)
        self._plugins = plugins

    @property
    def names(self) -> tuple[str, ...]:
        """Of the network drivers that are there without looking for plugins."""
        return tuple(sorted(self._builtin))

    async def network_driver(self, name: str) -> Driver:
        """Raises NotFound, Unavailable when the plugin does not answer, BadRequest when it says what it must not."""
        known = self._builtin.get(name)
        if known is not None:
            return known
        if self._plugins is None:
            raise NotFound(f"there is no network driver {name!r}", hint=f"there are {', '.join(self.names)}")
        return await self._plugins.network_driver(name)

    async def ipam_driver(self, name: str) -> IpamDriver:
        """As `network_driver`."""
        known = self._ipams.get(name)
        if known is not None:
            return known
        if self._plugins is None:
            names = ", ".join(sorted({*self._ipams, NULL_IPAM}))
            raise NotFound(f"there is no IPAM driver {name!r}", hint=f"there are {names}")
        return await self._plugins.ipam_driver(name)
