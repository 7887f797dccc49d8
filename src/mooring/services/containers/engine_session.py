"""What the engine says of itself, asked once in each of its runs.

Rule: it is slow to say (it runs `runc --version`), and what it said holds until its events end.
"""

from __future__ import annotations

from mooring.ports import Engine


class EngineSession:
    """Every method raises Unavailable."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._identity = ""
        self._release: tuple[int, int] | None = None
        self._api_version: tuple[int, int] | None = None

    def meet(self, identity: str) -> None:
        """The engine has said who it is; "": it has ended, and is asked when it matters."""
        self._identity = identity
        if not identity:
            self._release = self._api_version = None

    async def identity(self) -> str:
        """Who the engine is, as it said last."""
        if not self._identity:
            # A client's request may start an engine that is stopped, as it would without us; `identity` starts none.
            self._release = await self._engine.release()
            self._identity = await self._engine.identity()
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
