"""An engine in memory that lists what a test says."""

from __future__ import annotations

from mooring.core.engines import EngineView
from mooring.core.faults import Unavailable
from mooring.core.networks import Subnet
from mooring.ports import Engine


class MemoryEngine(Engine):
    """id, networks, subnets, bridges, alone: what it tells. up: whether it answers."""

    def __init__(self, ident: str = "engine-1") -> None:
        self.id = ident
        self.networks: set[str] = set()
        self.subnets: set[Subnet] = set()
        self.bridges: set[str] = set()
        self.alone = False
        self.up = True

    async def view(self) -> EngineView:
        """See Engine."""
        if not self.up:
            raise Unavailable("the engine does not answer")
        return EngineView(
            self.id, frozenset(self.networks), frozenset(self.subnets), frozenset(self.bridges), self.alone
        )
