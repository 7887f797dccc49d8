"""The start of a controller: what was begun and not ended is finished or undone, and what is stale goes.

Rules: a creation that was cut off is undone, a deletion is finished; a join is undone unless it was recorded, and then
the sandbox is made to look so; an endpoint outlives its sandbox, and keeps its addresses; what cannot be done now,
since a plugin does not answer, stays noted and is told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterator

from mooring.core.endpoints import Endpoint, Event, State
from mooring.core.faults import Fault
from mooring.core.networks import Network, Origin, Pending
from mooring.core.pools import Pool
from mooring.core.sandboxes import Sandbox
from mooring.ports import Namespaces
from mooring.services.ipam.allocator import Ipam
from mooring.services.networking.endpoints import Endpoints
from mooring.services.networking.kernel_reconciler import KernelReconciler
from mooring.services.networking.networks import Networks
from mooring.services.networking.own_subnets import OWNED
from mooring.services.records.endpoint_index import Records
from mooring.services.sandboxes.provisioning import FOR_NETWORK
from mooring.services.sandboxes.sandboxes import Sandboxes

# How many sandboxes are settled at the same time.
AT_ONCE = 16


class Recovery:
    """One `start`, after the cache is loaded and before anybody else changes anything."""

    def __init__(
        self,
        records: Records,
        ipam: Ipam,
        networks: Networks,
        endpoints: Endpoints,
        sandboxes: Sandboxes,
        repair: KernelReconciler,
        namespaces: Namespaces,
    ) -> None:
        self._cache, self._endpoint_index = records.cache, records.endpoint_index
        self._ipam = ipam
        self._networks = networks
        self._endpoints = endpoints
        self._sandboxes = sandboxes
        self._repair = repair
        self._namespaces = namespaces

    async def start(self) -> list[str]:
        """Store, kernel and namespaces agree. Returns what was done and what could not be, a line each."""
        lines: list[str] = []
        for network in self._ours():
            if network.pending is not None:
                done = "undone" if network.pending is Pending.CREATE else "finished"
                what = f"{network.pending.value} of network {network.name}"
                await _try(lines, self._networks.delete(network.id), what, done)
        for network in self._ours():
            for endpoint in self._endpoint_index.of_network(network.id):
                await self._settle_endpoint(endpoint, lines)
        await self._release_unused(lines)
        await self._sandboxes_that_are_gone(lines)
        report = await self._repair.once(alone=True)
        lines += [*report.repaired, *report.findings]
        await self._undo_joins(lines)
        await self._settle_sandboxes(lines)
        return lines

    async def _undo_joins(self, lines: list[str]) -> None:
        """Joins that were recorded and not yet known to be good: interfaces that go back have to be inside for it."""
        sandboxes = {sandbox.key: sandbox for sandbox in self._cache.every(Sandbox)}
        for endpoint in self._cache.every(Endpoint):
            sandbox = sandboxes.get(endpoint.sandbox)
            if endpoint.pending is Event.ATTACH and sandbox is not None:
                leaving = self._sandboxes.leave(endpoint.network, endpoint.id, sandbox.id)
                what = f"attach of endpoint {endpoint.name or endpoint.id[:12]}"
                await _try(lines, leaving, what, "ended: it is in no sandbox")

    async def _settle_sandboxes(self, lines: list[str]) -> None:
        """Several at once: of a thousand, each waits for a few threads."""
        waiting = self._cache.every(Sandbox)

        async def work() -> None:
            for sandbox in waiting:
                await _try(lines, self._sandboxes.apply(sandbox.id), f"sandbox {sandbox.name}", "")

        async with asyncio.TaskGroup() as tasks:
            for _ in range(AT_ONCE):
                tasks.create_task(work())

    def _ours(self) -> Iterator[Network]:
        return (network for network in self._cache.every(Network) if network.origin is Origin.LIBRARY)

    async def _settle_endpoint(self, endpoint: Endpoint, lines: list[str]) -> None:
        subject = f"endpoint {endpoint.name or endpoint.id[:12]}"
        if endpoint.pending in (Event.CREATE, Event.DELETE):
            done = "undone" if endpoint.pending is Event.CREATE else "finished"
            what = f"{endpoint.pending.value} of {subject}"
            await _try(lines, self._endpoints.delete(endpoint.network, endpoint.id), what, done)
        elif endpoint.pending is not None and not (endpoint.pending is Event.ATTACH and endpoint.sandbox):
            what = f"{endpoint.pending.value} of {subject}"
            await _try(lines, self._endpoints.detach(endpoint.network, endpoint.id), what, "ended: it is in no sandbox")

    async def _release_unused(self, lines: list[str]) -> None:
        """Subnets and addresses that were granted to what never came to be."""
        for pool in self._cache.every(Pool):
            wanted_for = pool.options.get(FOR_NETWORK, "")
            unbound = OWNED in pool.options and not pool.network
            if unbound or (wanted_for and self._cache.network(wanted_for) is None):
                await _try(lines, self._ipam.release_pool(pool.id), f"subnet {pool.subnet}", "released")
        for lease in self._endpoint_index.unattached():
            origin = self._cache.pool(lease.pool)
            network = self._cache.network(origin.network) if origin is not None else None
            if network is not None and network.origin is Origin.LIBRARY:
                await _try(
                    lines, self._ipam.release_address(lease.pool, lease.address), f"address {lease.address}", "released"
                )

    async def _sandboxes_that_are_gone(self, lines: list[str]) -> None:
        keys: set[str] = set()
        for sandbox in self._cache.every(Sandbox):
            if sandbox.deleting:
                await _try(lines, self._sandboxes.delete(sandbox.id), f"delete of sandbox {sandbox.name}", "finished")
            else:
                await _try(lines, self._remove_gone(sandbox, lines), f"look at sandbox {sandbox.name}", "")
            if self._cache.sandbox(sandbox.id) is not None:
                keys.add(sandbox.path or f"sandbox:{sandbox.id}")
        for endpoint in self._cache.every(Endpoint):
            network = self._cache.network(endpoint.network)
            ours = network is not None and network.origin is Origin.LIBRARY
            if ours and endpoint.state is State.ATTACHED and endpoint.sandbox not in keys:
                await _try(
                    lines,
                    self._endpoints.detach(endpoint.network, endpoint.id),
                    f"endpoint {endpoint.name or endpoint.id[:12]}",
                    "taken out of a removed sandbox",
                )
        await _try(lines, self._remove_leftovers(lines), "leftover namespaces", "")

    async def _remove_gone(self, sandbox: Sandbox, lines: list[str]) -> None:
        if await self._sandboxes.is_gone(sandbox):
            deleting = self._sandboxes.delete(sandbox.id)
            await _try(lines, deleting, f"sandbox {sandbox.name}", "removed: its namespace was removed")

    async def _remove_leftovers(self, lines: list[str]) -> None:
        paths = {sandbox.path for sandbox in self._cache.every(Sandbox)}
        for ident, path in (await self._namespaces.made()).items():
            if path not in paths:
                removing = self._namespaces.remove(path)
                await _try(lines, removing, f"namespace {ident[:12]}", "removed: it has no sandbox")


async def _try(lines: list[str], work: Awaitable[object], subject: str, done: str) -> None:
    """Do it, and note what was done with the subject, unless done is "", or why it could not be."""
    try:
        await work
    except Fault as fault:
        lines.append(f"{subject} not restored: {fault}")
    else:
        if done:
            lines.append(f"{subject} {done}")
