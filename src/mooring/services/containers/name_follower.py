"""Asking the engine for names that only an inspection tells, and ending DNS records whose time is over.

Rules: one container at a time, and none twice for one reason: a start of the daemon on a host of a thousand containers
is no flood of requests for the engine; an engine that does not answer costs the aliases and nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from mooring.core.faults import Fault
from mooring.ports import Engine
from mooring.services.containers.dns_records import DnsRecords
from mooring.services.containers.host_names import HostNames

log = logging.getLogger(__name__)

# Seconds between two looks at records that end.
PERIOD = 1.0


class NameFollower:
    """`run` for as long as the daemon lives."""

    def __init__(self, names: HostNames, records: DnsRecords, engine: Engine) -> None:
        self._names = names
        self._records = records
        self._engine = engine
        self._wanted = asyncio.Event()
        names.wake_with(self._wanted.set)

    async def run(self) -> None:
        """For ever."""
        while True:
            with contextlib.suppress(TimeoutError):
                # Without a record there is nothing that could end, and a daemon with nothing to do sleeps.
                async with asyncio.timeout(PERIOD if self._records.any else None):
                    await self._wanted.wait()
            self._wanted.clear()
            await self.once()

    async def once(self) -> None:
        """Whoever is to be asked for has been. Raises no Fault."""
        for ident in self._names.unasked():
            try:
                container = await self._engine.container(ident)
            except Fault as fault:
                log.debug("the aliases of container %s are not known: %s", ident[:12], fault)
                continue
            if container is not None:
                self._names.note(container)
        try:
            await self._records.sweep()
        except Fault as fault:
            log.warning("DNS records whose time is over could not be removed yet: %s", fault)
