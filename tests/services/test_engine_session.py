"""What an engine says of itself is asked once in each of its runs."""

from __future__ import annotations

from mooring.services.containers.engine_session import EngineSession
from mooring.testing.memory_engine import MemoryEngine


async def told(session: EngineSession) -> tuple[str, tuple[int, int], tuple[int, int]]:
    """All of it."""
    return await session.identity(), await session.release(), await session.api_version()


async def test_the_engine_is_asked_once_until_its_events_end() -> None:
    """Another engine at the same socket is another one only when the first one has ended."""
    engine = MemoryEngine()
    session = EngineSession(engine, lambda: 5.0)
    first = await told(session)
    engine.id, engine.edition, engine.version = "engine-2", (99, 1), (9, 99)
    assert await told(session) == first
    session.meet("")
    assert await told(session) == ("engine-2", (99, 1), (9, 99))


async def test_who_has_said_who_it_is_is_not_asked_again() -> None:
    """Its release is, when it matters."""
    session = EngineSession(MemoryEngine(), lambda: 5.0)
    session.meet("engine-3")
    assert await session.identity() == "engine-3"
    assert await session.release() == await MemoryEngine().release()
