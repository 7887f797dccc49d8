"""What the engines of this host can do, for plugin calls: an engine that waits for us cannot be asked.

Rule: the newest release that was met counts, in this life of the daemon or by the store, since an engine starts its
containers before it answers anybody.
"""

from __future__ import annotations

from mooring.core.engines import DST_NAME, KnownEngine
from mooring.services.records.record_cache import RecordCache


class EngineReleases:
    """`meet` a release, as (29, 8), when the engine has said it."""

    def __init__(self, cache: RecordCache) -> None:
        self._cache = cache
        self._met = (0, 0)

    def meet(self, release: tuple[int, int]) -> None:
        """The engine has said what it is."""
        self._met = release

    def take_interface_names(self) -> bool:
        """Whether an interface in a container may be named: engines use what a plugin answers from 29.8 on."""
        return max([self._met, *(known.release for known in self._cache.every(KnownEngine))]) >= DST_NAME
