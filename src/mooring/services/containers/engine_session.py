"""What the engine says of itself, asked once in each of its runs.

Rule: it is slow to say (it runs `runc --version`), and what it said holds until its events end.
"""

from __future__ import annotations

from collections.abc import Callable

from mooring.ports import Engine


class EngineSession:
    """Its questions raise Unavailable. now: the time. since: when `met` became what it is, None before the first."""

    def __init__(self, engine: Engine, now: Callable[[], float]) -> None:
        self._engine = engine
        self._now = now
        self._identity = ""
        self.since: float | None = None
        self._release: tuple[int, int] | None = None
        self._api_version: tuple[int, int] | None = None

    def meet(self, identity: str) -> None:
        """The engine has said who it is; "": it has ended, and is asked when it matters."""
        if bool(identity) != self.met:
            self.since = self._now()
        self._identity = identity
        if not identity:
            self._release = self._api_version = None

    @property
    def met(self) -> bool:
        """The engine has said who it is, and has not ended since."""
        return bool(self._identity)

    async def identity(self) -> str:
        """Who the engine is, as it said last."""
        if not self._identity:
            # A client's request may start an engine that is stopped, as it would without us; `identity` starts none.
            self._release = await self._engine.release()
            self.meet(await self._engine.identity())
        return self._identity

    async def release(self) -> tuple[int, int]:
        """Which release it is."""
        if self._release is None:
            self._release = await self._engine.release()
        return self._release

    async def api_version(self) -> tuple[int, int]:
        """The version of the API that it speaks where a request names none."""
        if self._api_version is None:
            self._api_version = await self._engine.api_version()
        return self._api_version
