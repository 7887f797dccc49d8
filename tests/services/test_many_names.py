"""A hundred thousand names cost each question and each change what a hundred do."""

from __future__ import annotations

import gc
from ipaddress import IPv4Address, IPv4Interface, IPv4Network, ip_address
from pathlib import Path

import pytest

from mooring.core.advertisements import Advertisement
from mooring.core.containers import Container, ContainerEndpoint
from mooring.core.endpoints import Endpoint, State
from mooring.core.host_names import Asker
from mooring.core.names import PTR, SRV, A, Question, Verdict
from mooring.core.networks import Network, NetworkOptions, Segment
from mooring.services.containers.host_names import HOST, HostNames
from mooring.services.records.endpoint_index import EndpointIndex
from mooring.services.records.record_cache import RecordCache
from mooring.testing.memory_store import MemoryStore
from tests.counting import counting

NETWORK, FIRST, FEW = "a" * 64, IPv4Address("10.0.0.2"), 100
# Bytes that a name may have of the daemon's memory, with its endpoint's record: twice what it has.
MOST_BYTES = 8000


def endpoint(number: int) -> Endpoint:
    """One of them."""
    address = IPv4Interface(f"{FIRST + number}/8")
    return Endpoint(f"{number:064x}", NETWORK, address, None, "02:00:00:00:00:01", 0.0, State.ATTACHED, f"/n/{number}")


def container(number: int, name: str = "") -> Container:
    """Its container, as the engine tells of it."""
    place = ContainerEndpoint(NETWORK, "web", endpoint=f"{number:064x}", aliases=())
    return Container(f"{number:012x}".ljust(64, "0"), name or f"n{number}", True, 0.0, endpoints=(place,))


class Named:
    """So many names. noted: calls of functions that it took to learn them, for each."""

    def __init__(self) -> None:
        self.cache = RecordCache(MemoryStore())
        self.names = HostNames(self.cache, EndpointIndex(self.cache))

    async def fill(self, count: int) -> Named:
        """They are there."""
        await self.cache.load()
        segment = Segment(IPv4Network("10.0.0.0/8"), IPv4Interface("10.0.0.1/8"), "default", "p4")
        await self.cache.commit(put=[Network(NETWORK, NetworkOptions(), False, (segment,), (), 0.0)])
        for at in range(0, count, 1000):
            await self.cache.commit(put=[endpoint(number) for number in range(at, min(at + 1000, count))])
        for number in range(FEW, count):
            self.names.note(container(number))
        with counting() as calls:
            for number in range(FEW):
                self.names.note(container(number))
        self.noted = calls[0] / FEW
        return self

    def asked(self, count: int) -> float:
        """Calls of functions for a question, of every kind, known and not."""
        asker = self.names.asker(self.bridge, FIRST)
        assert asker is not None
        with counting() as calls:
            for number in (0, FEW // 2, count - 1):
                address = FIRST + number
                for name, kind, who in self._questions(number, address, asker):
                    assert self.names.lookup(Question(name, kind), who).verdict is Verdict.FOUND
            absent = self.names.lookup(Question("nobody.web.mooring", A), HOST)
        assert absent.verdict is Verdict.ABSENT
        return calls[0]

    @property
    def bridge(self) -> str:
        """Of the network."""
        network = self.cache.network(NETWORK)
        assert network is not None
        return network.bridge

    @staticmethod
    def _questions(number: int, address: IPv4Address, asker: Asker) -> list[tuple[str, int, Asker]]:
        return [(f"n{number}", A, asker), (f"n{number}.web.mooring", A, HOST), (address.reverse_pointer, PTR, asker)]

    async def changed(self, number: int) -> int:
        """Calls of functions for one container's rename, stop and start."""
        with counting() as calls:
            self.names.note(container(number, "renamed"))
            await self.cache.commit(delete=[endpoint(number)])
            await self.cache.commit(put=[endpoint(number)])
            self.names.note(container(number))
        return calls[0]


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.mark.parametrize("count", [2000, pytest.param(100_000, marks=pytest.mark.slow)])
async def test_many_names_cost_a_question_and_a_change_what_few_do(count: int) -> None:
    """In calls of functions; one that changes is one that changes, for the others nothing is done; and memory is what
    the names need."""
    few = await Named().fill(FEW)
    before = resident()
    gc.disable()  # as the daemon does while it loads
    try:
        many = await Named().fill(count)
    finally:
        gc.enable()
    assert (resident() - before) / count < MOST_BYTES
    assert many.noted / few.noted < 1.1
    assert many.asked(count) / few.asked(FEW) < 1.1
    for number in (0, FEW - 1):
        assert await many.changed(number) / await few.changed(number) < 1.5  # the store's keys are in order
    assert many.names.lookup(Question(f"n{count - 1}", SRV), HOST).verdict is Verdict.FORWARD
    assert [str(each) for each in many.names.lookup(Question("n7.web.mooring", A), HOST).addresses] == ["10.0.0.9"]
    assert many.names.is_ours(ip_address("10.200.0.1"), HOST)


def advertised(number: int) -> Advertisement:
    """As another host tells of it."""
    return Advertisement(
        network="shared", host=f"h{number % 50}", endpoint=f"{number:064x}", mac="02:00:00:00:00:01",
        addresses=(FIRST + number,), underlay=IPv4Address("192.0.2.1"), container=f"{number:064x}",
        names=(f"n{number}", f"{number:012x}"),
    )  # fmt: skip


async def elsewhere(count: int) -> HostNames:
    """So many names that others have, in a network that is here."""
    cache = RecordCache(MemoryStore())
    names = HostNames(cache, EndpointIndex(cache))
    await cache.load()
    segment = Segment(IPv4Network("10.0.0.0/8"), IPv4Interface("10.0.0.1/8"), "default", "p4")
    await cache.commit(put=[Network(NETWORK, NetworkOptions(), False, (segment,), (), 0.0, name="web")])
    for number in range(count):
        names.remote.note(f"ep/{number}", advertised(number))
    names.remote.take_part("shared", NETWORK)
    return names


def asked_and_changed(names: HostNames, count: int) -> int:
    """Calls of functions for questions, for a name that goes and comes, and for a network that does."""
    with counting() as calls:
        for number in (0, count - 1):
            for name, kind in ((f"n{number}.web.mooring", A), ((FIRST + number).reverse_pointer, PTR)):
                assert names.lookup(Question(name, kind), HOST).verdict is Verdict.FOUND
        names.remote.note("ep/7", None)
        names.remote.note("ep/7", advertised(7))
        names.remote.leave(NETWORK)
        names.remote.take_part("shared", NETWORK)
        names.remote.note_silent(frozenset({"h1"}))
    assert names.lookup(Question("nobody.web.mooring", A), HOST).verdict is Verdict.ABSENT
    return calls[0]


@pytest.mark.parametrize("count", [2000, pytest.param(100_000, marks=pytest.mark.slow)])
async def test_many_names_on_other_hosts_cost_what_few_do(count: int) -> None:
    """Also the coming and going of their network; and less memory than this host's own."""
    few = await elsewhere(FEW)
    before = resident()
    many = await elsewhere(count)
    assert (resident() - before) / count < MOST_BYTES / 2
    assert asked_and_changed(many, count) / asked_and_changed(few, FEW) < 1.1
