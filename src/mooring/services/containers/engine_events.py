"""Following what the engine tells of containers, whoever caused it.

Rules: an event is a reason to look, and only a removal is proof by itself, since ids are never used again; what was
missed while nobody listened comes from the engine's memory or from the reconciler's list; no order of events, and no
event that comes twice, does harm.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import aclosing

from mooring.core.containers import Container, EngineEvent, EventKind
from mooring.core.faults import Fault
from mooring.core.networks import Dns, Network
from mooring.services.containers.container_reconciler import ContainerReconciler, FixedAddresses
from mooring.services.containers.engine_upgrades import NAMES
from mooring.services.ipam.kept_networks import KeptNetworks
from mooring.services.networking.engine_releases import EngineReleases

log = logging.getLogger(__name__)

# Seconds between two attempts to listen: quick after a restart of the engine, patient while there is none.
PAUSES = (0.2, 0.5, 1.0, 2.0, 5.0)

_LOOK = frozenset({EventKind.CREATED, EventKind.STARTED, EventKind.CONNECTED, EventKind.RENAMED})


class EngineEvents:
    """`run` for as long as the daemon lives."""

    def __init__(
        self,
        fixed: FixedAddresses,
        container_reconciler: ContainerReconciler,
        releases: EngineReleases,
        kept_networks: KeptNetworks,
        arrived: Callable[[], None],
    ) -> None:
        """arrived: called when the engine answers, at first or again; by then it has made its firewall anew."""
        self._cache, self._engine, self._clock = fixed.cache, fixed.engine, fixed.clock
        self._holders, self._controller, self._adoption = fixed.holders, fixed.controller, fixed.adoption
        self._reattachment = fixed.reattachment
        self._container_reconciler = container_reconciler
        self._releases = releases
        self._kept_networks = kept_networks
        self._arrived = arrived
        self._last = 0
        self._unproven: dict[str, list[str]] = {}

    async def run(self) -> None:
        """Listen for ever; again after each end of the connection, from where it ended."""
        failures = 0
        while True:
            try:
                self._controller.session.meet(await self._engine.identity())
                self._releases.meet(await self._engine.release())
                self._container_reconciler.nudge()
                self._arrived()
                async with aclosing(self._engine.events(self._last)) as events:
                    async for event in events:
                        failures = 0
                        self._last = max(self._last, event.at)
                        await self._heed(event)
            except Fault as fault:
                log.debug("not listening to the engine: %s", fault)
            self._controller.session.meet("")  # the next one may be another, or the same under another id
            await self._clock.sleep(PAUSES[min(failures, len(PAUSES) - 1)])
            failures += 1

    async def _heed(self, event: EngineEvent) -> None:
        try:
            await self.heed(event)
        except Fault as fault:
            log.warning("%s of container %s: %s", event.what.value, event.container[:12], fault)
            self._container_reconciler.nudge()
        except Exception:
            # One container that nobody thought of must not end the daemon.
            log.exception("internal error after %s of container %s", event.what.value, event.container[:12])
            self._container_reconciler.nudge()

    async def heed(self, event: EngineEvent) -> None:
        """Do what the event asks for. Raises Unavailable: the reconciler will see to it."""
        if event.what is EventKind.DESTROYED:
            self._controller.note_gone(event.container)
            self._unproven.pop(event.container, None)
            if self._holders.holds(event.container):
                await self._holders.release_all(event.container)
        elif not event.container:
            await self._learn_name(event.network)
        elif event.what is EventKind.DISCONNECTED:
            await self._look_after_departure(event)
        elif self._concerns(event):
            departures = self._holders.departures
            container = await self._engine.container(event.container)
            if container is not None:
                engine = await self._controller.session.identity()
                for finding in await self._adoption.adopt(engine, container, departures):
                    log.warning("finding: %s", finding)
                await self._tell_unproven(container)

    def _concerns(self, event: EngineEvent) -> bool:
        """Whether the container is to be looked at. Health is nobody's matter where no name depends on it."""
        if event.what is EventKind.HEALTH:
            return any(network.options.dns is Dns.HEALTHY for network in self._cache.every(Network))
        return event.what in _LOOK and bool(self._cache.count(Network))

    async def _learn_name(self, network_id: str) -> None:
        """A network was made: by somebody at another socket, who gets what the last one of its name left, too."""
        if self._cache.network(network_id) is not None:
            await self._kept_networks.learn(self._engine, frozenset({network_id}))

    async def _tell_unproven(self, container: Container) -> None:
        """Before its next start loses it; said once, whatever else happens to the container."""
        found = [remark.text for remark in self._adoption.unproven(container)]
        if found != self._unproven.get(container.id, []) and await self._engine.api_version() < NAMES:
            self._unproven[container.id] = found
            for finding in found:
                log.warning("finding: %s", finding)

    async def _look_after_departure(self, event: EngineEvent) -> None:
        """A stop looks like this too: it counts only when the configuration has lost the network."""
        held = any(network == event.network for network, _ in self._holders.held_by(event.container))
        if not held or self._reattachment.is_moving(event.container, event.network):
            return
        container = await self._engine.container(event.container)
        if container is None:
            await self._holders.release_all(event.container)
        elif all(endpoint.network != event.network for endpoint in container.endpoints):
            await self._holders.leave(event.container, event.network)
