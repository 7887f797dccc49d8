"""The resolver's double: what a test sees of it beyond the contract."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from mooring.core.faults import NotFound
from mooring.core.names import A, Answer, Question, Verdict
from mooring.testing.memory_resolver import MemoryResolver


async def test_a_test_asks_as_a_client_would() -> None:
    """Names come to the lookup in lower case and without the dot at their end; upstreams are those of the moment."""
    resolver = MemoryResolver()
    asked: list[Question] = []
    upstreams = [IPv4Address("198.18.0.1")]

    def lookup(question: Question) -> Answer:
        asked.append(question)
        return Answer(Verdict.EMPTY)

    await resolver.serve("/a", lookup, lambda: upstreams)
    assert resolver.ask("/a", "Web.Net1.", A) == Answer(Verdict.EMPTY)
    assert asked == [Question("web.net1", A)]
    assert resolver.upstreams("/a") == (IPv4Address("198.18.0.1"),)
    upstreams.clear()
    assert resolver.upstreams("/a") == ()


async def test_where_nothing_is_served_nobody_answers() -> None:
    """Never served, or stopped."""
    resolver = MemoryResolver()
    await resolver.serve("/a", lambda _: Answer(Verdict.EMPTY), tuple)
    await resolver.stop("/a")
    with pytest.raises(NotFound, match="/a"):
        resolver.ask("/a", "web", A)
