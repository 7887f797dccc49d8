"""What every Resolver promises: the real one, in namespaces of the test's own, and that in memory."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from ipaddress import IPv4Address

import pytest

from mooring.adapters.dns.resolver import EmbeddedResolver
from mooring.core.faults import NotFound, Unavailable
from mooring.core.names import A, Answer, Question, Verdict
from mooring.ports import Lookup, Resolver
from mooring.testing.memory_resolver import MemoryResolver
from tests.adapters.dns.nameservers import ask_anybody, query, texts
from tests.netns.rigs import Namespace, private_namespace


@dataclass
class World:
    """A resolver, two namespaces, a path that is none, and how a client in one of them asks for an address; None when
    nobody answers."""

    resolver: Resolver
    paths: tuple[str, str]
    nowhere: str
    ask: Callable[[str, str], Awaitable[list[str] | None]]


@pytest.fixture(params=["memory", pytest.param("linux", marks=pytest.mark.netns)])
def spaces(request: pytest.FixtureRequest) -> Iterator[dict[str, Namespace]]:
    """Two real ones by their paths; none for the double."""
    with ExitStack() as stack:
        if request.param == "memory":
            yield {}
            return
        stack.enter_context(private_namespace())
        made = [Namespace.new(), Namespace.new()]
        for one in made:
            stack.callback(one.close)
        yield {f"/proc/{os.getpid()}/fd/{one.fd}": one for one in made}


@pytest.fixture
async def world(spaces: dict[str, Namespace]) -> AsyncIterator[World]:
    """The resolver serves nobody yet."""
    resolver: Resolver
    if spaces:
        resolver = EmbeddedResolver()

        async def ask_there(path: str, name: str) -> list[str] | None:
            reply = await ask_anybody(spaces[path], query(name))
            return texts(reply) if reply is not None else None

        first, second = spaces
        made = World(resolver, (first, second), "/nowhere", ask_there)
    else:
        resolver = double = MemoryResolver()
        double.absent.add("/nowhere")

        async def ask_double(path: str, name: str) -> list[str] | None:
            try:
                return [str(address) for address in double.ask(path, name, A).addresses]
            except NotFound:
                return None

        made = World(resolver, ("/first", "/second"), "/nowhere", ask_double)
    yield made
    await resolver.close()


def always(address: str) -> Lookup:
    """Every name has the address."""
    return lambda _: Answer(Verdict.FOUND, addresses=(IPv4Address(address),))


async def test_each_namespace_has_its_own_answers(world: World) -> None:
    """Two at the same time; one that is not served has none."""
    first, second = world.paths
    await world.resolver.serve(first, always("10.0.0.1"), tuple)
    assert await world.ask(first, "web") == ["10.0.0.1"]
    assert await world.ask(second, "web") is None
    await world.resolver.serve(second, always("10.0.0.2"), tuple)
    assert await world.ask(first, "web") == ["10.0.0.1"]
    assert await world.ask(second, "web") == ["10.0.0.2"]


async def test_names_come_in_lower_case(world: World) -> None:
    """And without the dot at the end, whatever the client wrote."""
    asked: list[Question] = []

    def lookup(question: Question) -> Answer:
        asked.append(question)
        return Answer(Verdict.EMPTY)

    await world.resolver.serve(world.paths[0], lookup, tuple)
    assert await world.ask(world.paths[0], "Web.Net1.") == []
    assert asked == [Question("web.net1", A)]


async def test_serving_again_makes_the_new_lookup_count(world: World) -> None:
    """For the same path."""
    for address in ("10.0.0.1", "10.0.0.2"):
        await world.resolver.serve(world.paths[0], always(address), tuple)
        assert await world.ask(world.paths[0], "web") == [address]


async def test_after_stop_nothing_answers(world: World) -> None:
    """Twice is fine, and so is what was never served; others are answered as before."""
    first, second = world.paths
    for path in world.paths:
        await world.resolver.serve(path, always("10.0.0.1"), tuple)
    await world.resolver.stop(first)
    await world.resolver.stop(first)
    await world.resolver.stop(world.nowhere)
    assert await world.ask(first, "web") is None
    assert await world.ask(second, "web") == ["10.0.0.1"]


async def test_what_is_no_namespace_is_not_found(world: World) -> None:
    """The fault names the path."""
    with pytest.raises(NotFound, match=world.nowhere):
        await world.resolver.serve(world.nowhere, always("10.0.0.1"), tuple)


async def test_closing_stops_everywhere(world: World) -> None:
    """Twice is fine; then it serves nobody any more."""
    for path in world.paths:
        await world.resolver.serve(path, always("10.0.0.1"), tuple)
    await world.resolver.close()
    await world.resolver.close()
    for path in world.paths:
        assert await world.ask(path, "web") is None
        with pytest.raises(Unavailable):
            await world.resolver.serve(path, always("10.0.0.1"), tuple)
