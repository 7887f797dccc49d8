"""Echo requests in memory: a test says who does not answer, and how long a packet passes.

Rule: asked is what was asked last.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from mooring.core.networks import Address
from mooring.core.overlay_paths import Answer, Echo
from mooring.ports import Echoes


class MemoryEchoes(Echoes):
    """silent: addresses that do not answer. lacking: sources that the host does not have. narrow: the longest packet
    that reaches an address, bytes."""

    def __init__(self) -> None:
        self.silent: set[Address] = set()
        self.lacking: set[Address] = set()
        self.narrow: dict[Address, int] = {}
        self.asked: tuple[Echo, ...] = ()

    async def ask(self, echoes: Collection[Echo]) -> Mapping[Echo, Answer]:
        """See Echoes."""
        self.asked = tuple(echoes)
        return {echo: self._answer(echo) for echo in echoes}

    def _answer(self, echo: Echo) -> Answer:
        if echo.source in self.lacking:
            return Answer.UNASKED
        passes = echo.target not in self.silent and echo.size <= self.narrow.get(echo.target, echo.size)
        return Answer.YES if passes else Answer.NO
