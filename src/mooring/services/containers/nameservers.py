"""Which nameservers a container gets that is about to be made: the host's DNS server first, where a network says so.

Rules: a container's own nameservers stay, behind ours; without any the host's come behind it, so that a daemon that is
down costs the names of containers and not all others; an engine that does not say which network is meant holds nobody
up: the container is made as it is.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from mooring.core.dns_places import ADDRESSES, reachable_from
from mooring.core.docker_requests import ContainerSpec
from mooring.core.faults import Fault
from mooring.core.networks import Address, Network
from mooring.ports import Engine
from mooring.services.records.record_cache import RecordCache

log = logging.getLogger(__name__)

# Seconds that the engine has to say which network is meant.
DEADLINE = 3.0


class Nameservers:
    """`of_container` for each create. hosts: the host's nameservers that a container can reach, asked for each time."""

    def __init__(self, cache: RecordCache, engine: Engine, hosts: Callable[[], Sequence[Address]]) -> None:
        self._cache = cache
        self._engine = engine
        self._hosts = hosts

    @property
    def serves(self) -> bool:
        """Whether any network has the option dns=on."""
        return any(network.options.dns for network in self._cache.every(Network))

    async def of_container(self, spec: ContainerSpec) -> Sequence[str]:
        """The nameservers that it is to have, empty to leave it as it is. Raises no Fault."""
        if any(str(server) in spec.nameservers for server in ADDRESSES):
            return ()
        try:
            async with asyncio.timeout(DEADLINE):
                ours = await self._ours(spec)
        except (Fault, TimeoutError) as fault:
            log.warning("a container is made without the host's DNS server: %s", fault or "the engine did not answer")
            return ()
        if ours is None:
            return ()
        return [str(ours), *(spec.nameservers or map(str, self._hosts()))]

    async def _ours(self, spec: ContainerSpec) -> Address | None:
        """The server's address that the container reaches by one of its networks, the first that wants it."""
        for endpoint in spec.endpoints:
            network = self._cache.network(endpoint.network)
            if network is None:
                found = await self._engine.network(endpoint.network)
                network = self._cache.network(found.id) if found is not None else None
            if network is not None and network.options.dns and (reached := reachable_from(network)):
                return reached[0]
        return None
