"""What was written of a network after that had ended: a host gave the write up, and it happened all the same.

Rules: nobody is asked whose it is, since without the network it is nobody's; it goes when it was seen twice and has not
been written between, so that nothing goes of a network that is being made; nothing goes while a host is not heard: it
may have the network, and writes the record again that somebody has deleted.
"""

from __future__ import annotations

from contextlib import suppress

from mooring.core import cluster_keys as keys
from mooring.core.networks import Subnet
from mooring.ports import Clock, Entry
from mooring.services.cluster.shared_values import SharedValues

# Seconds between two looks, and for how long after the end of a network there is one in each sweep.
LOOK = 300.0
EXPECTED = 120.0


class LateWrites:
    """`sweep` from time to time. Every method may raise Unavailable."""

    def __init__(self, values: SharedValues, clock: Clock, sightings: float) -> None:
        """sightings: seconds between two sightings, at least."""
        self._values, self._clock, self._sightings = values, clock, sightings
        self._seen: dict[tuple[str, int], float] = {}  # key and revision, and since when
        self.silent: tuple[str, ...] = ()
        """Ids of the hosts that were not heard when something was found, which stays for that."""
        self._next = self._until = float("-inf")

    def expect(self) -> None:
        """A network has just ended here: what its hosts had given up may come now."""
        self._until = self._clock.boot() + EXPECTED

    async def sweep(self) -> None:
        """What has been of no network for a while is gone."""
        now = self._clock.boot()
        if self.silent and not await self._silent():
            self._next = now
        if now < self._next and now >= self._until and not self._seen:
            return
        # Before the networks, whose records are written before anything of theirs.
        parts = [entry for kind in keys.PARTS for entry in await self._values.under(kind)]
        vnis = await self._values.vnis()
        seen = await self._values.networks()
        networks = [each.value for each in seen.networks if each.value is not None]
        places = {None, *((network.space, subnet) for network in networks for subnet in network.subnets)}
        ids = {network.id for network in networks}
        stray = [entry for entry in parts if _place(entry) not in places]
        stray += [Entry(keys.vni_key(vni.vni), b"", at) for vni, at in vnis if vni.network not in ids]
        for part, at in seen.members:
            if part is not None and part.network not in ids:
                stray.append(Entry(keys.member_key(part.space, part.subnet, part.host), b"", at))
        self.silent = await self._silent() if stray else ()
        if self.silent:
            stray = []
        self._seen = {(e.key, e.revision): self._seen.get((e.key, e.revision), now) for e in stray}
        await self._values.drop(e for e in stray if now - self._seen[e.key, e.revision] >= self._sightings)
        self._next = now + LOOK

    async def _silent(self) -> tuple[str, ...]:
        """Ids of the hosts that are not heard, in their order."""
        known = {host.id for host in await self._values.hosts.hosts()}
        return tuple(sorted(known - await self._values.hosts.heard()))


def _place(entry: Entry) -> tuple[str, Subnet] | None:
    """Address space and subnet; None for what a newer Mooring has written."""
    with suppress(ValueError):
        return keys.placed(entry.key)[:2]
    return None
