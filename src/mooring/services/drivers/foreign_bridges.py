"""The host's own bridges: which of them are a way out like any other, and which may be Docker's.

Rules: a bridge may be Docker's from the moment it is there, long before an engine lists it, so it counts as Docker's
until something proves the contrary: the kernel (it leads somewhere), or an engine that has been asked a while after the
bridge was seen first and does not list it. What an engine lists is Docker's, whatever else may be said of it. What was
proved once holds for as long as the bridge is there: the table has it, also over a restart.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from mooring.core.faults import Fault
from mooring.core.firewall import DOCKER_BRIDGES
from mooring.core.plumbing import Fact, Member
from mooring.ports import Clock, Kernel

# Seconds between making a bridge and listing its network that no engine exceeds by far (20.10 to 29: a few tenths).
SETTLED = 10.0
# How Docker names the bridges of networks that name none themselves.
_DOCKERS_NAME = re.compile(r"br-[0-9a-f]{12}", re.ASCII)


class ForeignBridges:
    """names: the bridges that are a way out, as of the last look. asks: whether there is an engine to be asked; where
    there is none, Docker's are told by their names."""

    def __init__(self, kernel: Kernel, clock: Clock, asks: bool) -> None:
        self._kernel = kernel
        self._clock = clock
        self._asks = asks
        self._first: dict[str, float] = {}
        self._dockers: frozenset[str] = frozenset(DOCKER_BRIDGES)
        self._asked = float("-inf")
        self._looked = False
        self.names: frozenset[str] = frozenset()

    def note_dockers(self, bridges: Iterable[str], asked: float) -> None:
        """The engine lists the networks of these bridges. asked: when, in seconds since the boot."""
        self._dockers = frozenset((*DOCKER_BRIDGES, *bridges))
        self._asked = asked
        self.names -= self._dockers

    async def look(self, observed: Iterable[Fact] = ()) -> frozenset[str]:
        """`names` as of now. observed: what the table has of an earlier life. Raises Unavailable."""
        now = self._clock.boot()
        found = await self._kernel.host_bridges()
        self._looked = True
        self._first = {name: self._first.get(name, now) for name in found}
        told = {
            fact.element.strip('"') for fact in observed if isinstance(fact, Member) and fact.container == "uplinks"
        }
        self.names = frozenset(
            name
            for name, leads in found.items()
            if name not in self._dockers and (leads or name in told or name in self.names or self._is_nobodys(name))
        )
        return self.names

    async def at_once(self) -> frozenset[str]:
        """`names`, looked for where that was never done. Never raises."""
        if not self._looked:
            try:
                await self.look()
            except Fault:
                return self.names  # a pass will look again
        return self.names

    def _is_nobodys(self, name: str) -> bool:
        """Whether the engine was asked long enough after the bridge was seen first. It does not list the bridge."""
        if not self._asks:
            return not _DOCKERS_NAME.fullmatch(name)
        return self._asked - self._first[name] >= SETTLED
