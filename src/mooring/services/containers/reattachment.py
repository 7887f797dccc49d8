"""Putting a container into its network anew, so that its configuration names its addresses, through every crash.

Rules: what is needed to put it back is on record before it is taken out; who dies in the middle (this daemon, dockerd,
whoever asked) leaves a move that the next pass ends; a container that is in the network, by whomever, is not touched.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from ipaddress import ip_address

from mooring.core.faults import Conflict, Fault, NotFound
from mooring.core.findings import Finding
from mooring.core.moves import Move
from mooring.core.networks import Address
from mooring.ports import Clock, Engine
from mooring.services.records.record_cache import RecordCache

log = logging.getLogger(__name__)


class Reattachment:
    """`reconnect`, and `finish` for what was left in the middle."""

    def __init__(self, cache: RecordCache, engine: Engine, clock: Clock) -> None:
        self._cache = cache
        self._engine = engine
        self._clock = clock
        self._open: set[tuple[str, str]] = set()

    def is_moving(self, container: str, network: str) -> bool:
        """Whether the container (full id) is out of the network (full id) for a moment only."""
        return self._cache.move(container, network) is not None

    async def reconnect(self, container: str, network: str, addresses: Sequence[Address]) -> None:
        """The container is in the network with a configuration that names the addresses. Raises Conflict with the
        engine's words, and then it is in it as it was; NotFound, Unavailable, and then it will be in it."""
        key = container, network
        if key in self._open or self._cache.move(container, network) is not None:
            raise Conflict(
                f"container {container[:12]} is already being connected to network {network[:12]}",
                hint="try again in a few seconds",
            )
        self._open.add(key)
        try:
            move = Move(
                container=container,
                network=network,
                place=await self._engine.place(container, network),
                addresses=tuple(map(str, addresses)),
                since=self._clock.now(),
            )
            await self._cache.commit(put=[move])
            try:
                await self._engine.reconnect(container, network, move.place, addresses)
            except Conflict:
                await self._end_if_there(move)
                raise
            await self._cache.commit(delete=[move])
        finally:
            self._open.discard(key)

    async def finish(self) -> list[Finding]:
        """Every move that nobody is at is ended, and its container is in the network; a finding for each that the
        engine refuses. Raises Unavailable."""
        found: list[Finding] = []
        for move in self._cache.every(Move):
            key = move.container, move.network
            if key in self._open:
                continue
            self._open.add(key)
            try:
                if not await self._end_if_there(move):
                    await self._engine.put_back(
                        move.container, move.network, move.place, [ip_address(each) for each in move.addresses]
                    )
                    await self._cache.commit(delete=[move])
                    log.info("container %s is in network %s again", move.container[:12], move.network[:12])
            except Conflict as fault:
                found.append(self._refused(move, fault))
            except NotFound:
                await self._cache.commit(delete=[move])  # one of the two went this moment
            finally:
                self._open.discard(key)
        return found

    async def _end_if_there(self, move: Move) -> bool:
        """Whether the container is in the network, or never will be: then the move is over."""
        known = await self._engine.container(move.container)
        there = known is None or any(endpoint.network == move.network for endpoint in known.endpoints)
        if not there and await self._engine.network(move.network) is not None:
            return False
        await self._cache.commit(delete=[move])
        return True

    def _refused(self, move: Move, fault: Fault) -> Finding:
        return Finding(
            f"move {move.container} {move.network}",
            f"container {move.container[:12]} cannot be reconnected to network {move.network[:12]}: {fault}",
            "an unfinished `mooring fix` or `lease hold`",
            move.since,
            f"fix the cause, then `docker network connect {move.network[:12]} {move.container[:12]}`",
        )
