"""An engine that accepts and does not answer: who asks Mooring is answered all the same, and told what is missing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from mooring.adapters.docker.docker_engine import DockerEngine
from mooring.core.faults import NotFound
from mooring.core.leases import State
from mooring.services.assembly import assemble
from mooring.services.ipam.allocator import IpamPolicy
from mooring.services.networking.assembly import World
from mooring.services.operations import doctor
from mooring.services.operations.inspection import DaemonFacts
from mooring.services.operations.operations import Operations, operations
from mooring.services.records import engine_names
from mooring.services.records.record_cache import RecordCache
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_kernel import MemoryKernel
from mooring.testing.memory_port_guard import MemoryPortGuard
from mooring.testing.memory_store import MemoryStore
from tests.services.samples import DENY, START, SUBNET_POOLS, leased, records


@pytest.fixture
async def operated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Operations]:
    """What the API asks, with an engine that hangs for as long as anybody lets it."""
    monkeypatch.setattr(doctor, "PATIENCE", 0.3)
    monkeypatch.setattr(engine_names, "PATIENCE", 0.3)
    path = tmp_path / "docker.sock"

    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    server = await asyncio.start_unix_server(hang, str(path))
    store = MemoryStore()
    await RecordCache(store).commit(put=[*records(), leased("10.32.0.30", State.RESERVED, until=START - 9.0)])
    engine = DockerEngine(str(path), deadline=3600, running=lambda: 1)
    world = World(store, MemoryKernel(), MemoryPortGuard(), engine, ManualClock(START + 300))
    policy = IpamPolicy(SUBNET_POOLS, deny=DENY)
    services = assemble(world, policy)
    daemon = DaemonFacts("0.0.1", START, "/s.db", "/p.sock", "/a.sock", policy)
    await services.cache.load()
    yield operations(services, world, daemon)
    server.close()


async def test_the_doctor_says_that_the_engine_was_not_looked_at_and_finds_the_rest(operated: Operations) -> None:
    """One finding names the part that is missing and why; what the records and the kernel tell is there."""
    found = {finding.subject: finding for finding in (await operated.doctor.examine()).findings}
    assert "not checked" in found["engine"].text
    assert found["engine"].proof == "it did not answer within 0.3 s"
    assert "overdue default 10.32.0.30" in found
    assert any(subject.startswith("kernel ") for subject in found)


async def test_what_the_records_know_is_explained_with_a_word_on_the_engine(operated: Operations) -> None:
    """And who is not in them is told that the engine might know more."""
    answer = await operated.lookup.explain("db")
    assert "did not answer within 0.3 s" in answer.reasons[-1].text[-1]
    with pytest.raises(
        NotFound, match=r"MAC 'nobody' holds an address; Docker cannot be .*here: it did not answer within 0.3 s"
    ):
        await operated.lookup.explain("nobody")


async def test_a_pass_of_the_reconciler_that_hangs_holds_no_doctor_up(operated: Operations) -> None:
    """Its own patience with the engine is longer than a person's."""
    async with asyncio.TaskGroup() as tasks:
        passing = tasks.create_task(operated.doctor.examine())
        assert "engine" in {finding.subject for finding in (await operated.doctor.examine()).findings}
        assert "engine" in {finding.subject for finding in (await passing).findings}
