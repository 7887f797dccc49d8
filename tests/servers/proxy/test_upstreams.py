"""Spare connections: only to an engine that answers, never dead, never old, and never what wakes one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from mooring.servers.proxy.upstreams import Upstreams
from tests.servers.proxy.rigs import Engine, Script, answer_all, until


@asynccontextmanager
async def pooled(
    folder: Path, script: Script = answer_all, **options: float
) -> AsyncIterator[tuple[Upstreams, Engine]]:
    """A pool in front of an engine."""
    engine = Engine(folder / "engine.sock", script)
    await engine.start()
    pool = Upstreams(str(engine.path), spare=4, **options)
    async with asyncio.TaskGroup() as tasks:
        pool.open(tasks.create_task)
        try:
            yield pool, engine
        finally:
            pool.close()
            await until(lambda: not engine.open)
            await engine.stop()


async def test_nothing_is_dialled_before_the_engine_has_answered(tmp_path: Path) -> None:
    """A spare connection must not be what starts a socket-activated engine."""
    async with pooled(tmp_path) as (pool, engine):
        assert pool.take() is None
        await asyncio.sleep(0.02)
        assert (engine.connections, pool.idle) == (0, 0)
        assert pool.answered()
        assert not pool.answered()
        await until(lambda: pool.idle == 4)


async def test_what_is_taken_is_replaced(tmp_path: Path) -> None:
    """In a batch, when half are gone."""
    async with pooled(tmp_path) as (pool, engine):
        pool.answered()
        await until(lambda: pool.idle == 4)
        taken = [pool.take(), pool.take()]
        await until(lambda: pool.idle == 4)
        await until(lambda: engine.connections == 6)
        for connection in taken:
            assert connection is not None
            connection.close()


async def test_an_engine_that_goes_away_is_left_alone(tmp_path: Path) -> None:
    """Its spare connections end, none is handed out, and none dialled until it answers a client again."""
    async with pooled(tmp_path) as (pool, engine):
        pool.answered()
        await until(lambda: pool.idle == 4)
        await engine.stop()
        await until(lambda: pool.idle == 0)
        await engine.start()
        before = engine.connections
        assert pool.take() is None
        await asyncio.sleep(0.02)
        assert engine.connections == before
        pool.answered()
        await until(lambda: pool.idle == 4)


async def test_a_spare_connection_that_speaks_is_dropped(tmp_path: Path) -> None:
    """Nobody asked."""

    async def engine_(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.02)
        writer.write(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        await reader.read()

    async with pooled(tmp_path, engine_) as (pool, _):
        pool.answered()
        await until(lambda: pool.idle == 4)
        await until(lambda: pool.idle == 0)


async def test_spare_connections_are_renewed(tmp_path: Path) -> None:
    """dockerd would close them after five minutes of silence."""
    async with pooled(tmp_path, life=0.05) as (pool, engine):
        pool.answered()
        await until(lambda: engine.connections >= 12)
        await until(lambda: len(engine.open) <= 8)


async def test_no_engine_is_an_error_of_the_dial(tmp_path: Path) -> None:
    """And an engine that is gone when the pool is filled is noticed."""
    async with pooled(tmp_path) as (pool, engine):
        await engine.stop()
        with pytest.raises(OSError):
            await pool.dial()
        pool.answered()
        await asyncio.sleep(0.02)
        assert pool.idle == 0
        assert pool.answered()


async def test_a_full_backlog_is_waited_for(tmp_path: Path) -> None:
    """A blocking connect would wait too."""
    path = str(tmp_path / "full.sock")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(path)
    listener.listen(0)
    first = socket.socket(socket.AF_UNIX)
    first.connect(path)
    pool = Upstreams(path)
    async with asyncio.TaskGroup() as tasks:
        dialling = tasks.create_task(pool.dial())
        await asyncio.sleep(0.02)
        assert not dialling.done()
        accepted = [listener.accept()[0]]
        engine = await dialling
        engine.close()
    for sock in (*accepted, first, listener):
        sock.close()
    await asyncio.sleep(0.01)
