"""The name of a container is known on every host that takes part in its network: the whole way over a cluster."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from mooring.core.cluster_networks import HostNetwork
from mooring.core.containers import Container, ContainerEndpoint
from mooring.core.names import PTR, A, Question
from mooring.services.containers.host_names import HOST, PATIENCE, HostNames
from tests.services.member_hosts import MemberHost, members
from tests.services.overlay_hosts import WEB, following, take_part, turns


@pytest.fixture
async def hosts() -> AsyncIterator[list[MemberHost]]:
    """Three with a network in common, which they call a, b and c."""
    made = await members(3)
    async with following(*made):
        for host, name in zip(made, "abc", strict=True):
            await take_part(host, name)
            names(host).note_network(network(host), name)
        await turns(*made)
        yield made


def names(host: MemberHost) -> HostNames:
    """What the host is asked."""
    assert host.services.keeping is not None
    return host.services.keeping.host_names


def network(host: MemberHost) -> str:
    """The network's id there."""
    return next(host.services.cache.every(HostNetwork)).network


async def run(host: MemberHost, endpoint: str, name: str, *aliases: str, healthy: bool = True) -> str:
    """A container of the host is in the network; its address."""
    ident = endpoint.ljust(64, "0")
    if host.services.cache.endpoint(network(host), ident) is None:
        await host.endpoint(network(host), endpoint)
    place = ContainerEndpoint(network(host), "", endpoint=ident, aliases=aliases)
    names(host).note(Container(endpoint.ljust(64, "c"), name, True, 0.0, endpoints=(place,), healthy=healthy))
    known = host.services.cache.endpoint(network(host), ident)
    assert known is not None
    return str(known.addresses[0])


async def some_time(times: int = 200) -> None:
    """What is under way goes on, and the clock stands."""
    for _ in range(times):
        await asyncio.sleep(0)


def ask(host: MemberHost, name: str, kind: int = A) -> list[str]:
    """What the host is told."""
    answer = names(host).lookup(Question(name, kind), HOST)
    return [*map(str, answer.addresses), *answer.names] or [answer.verdict.value]


async def test_a_name_is_known_everywhere_from_its_containers_start_until_its_end(hosts: list[MemberHost]) -> None:
    """No second passes; on each host by the name that the network has there, and back from the address."""
    first, second, third = hosts
    address = await run(first, "e1", "db", "main")
    await some_time()
    for host, called in ((first, "a"), (second, "b"), (third, "c")):
        for name in ("db", "main", "e1cccccccccc"):
            assert ask(host, f"{name}.{called}.mooring") == [address]
        reverse = ".".join(reversed(address.split("."))) + ".in-addr.arpa"
        assert ask(host, reverse, PTR) == [f"db.{called}.mooring"]
    await run(first, "e1", "db-old", "main")
    await some_time()
    assert (ask(second, "db.b.mooring"), ask(second, "db-old.b.mooring")) == (["absent"], [address])
    await first.services.endpoints.detach(network(first), "e1".ljust(64, "0"))
    await some_time()
    assert {tuple(ask(host, f"main.{called}.mooring")) for host, called in zip(hosts, "abc", strict=True)} == {
        ("absent",)
    }


async def test_one_name_on_two_hosts_is_both(hosts: list[MemberHost]) -> None:
    """In each one's answers, whoever has them."""
    found = sorted([await run(host, f"e{number}", "app") for number, host in enumerate(hosts[:2])])
    await some_time()
    for host, called in zip(hosts, "abc", strict=True):
        assert sorted(ask(host, f"app.{called}.mooring")) == found


async def test_after_a_start_what_others_have_is_waited_for(hosts: list[MemberHost]) -> None:
    """Until the cluster has been asked, or for so long; a failure meanwhile, and not that there is no such name."""
    first, second, _ = hosts
    address = await run(first, "e1", "db")
    await some_time()
    assert ask(second, "db.b.mooring") == [address]
    second.servers.cut(second.setup.address)
    await second.restart()
    names(second).note_network(network(second), "b")
    names(second).note_loaded()
    assert ask(second, "db.b.mooring") == ["refused"]
    now = second.clock.boot()
    names(second).note_listed(now)
    assert ask(second, "db.b.mooring") == ["refused"]
    names(second).note_listed(now + PATIENCE)
    assert ask(second, "db.b.mooring") == ["absent"]
    second.servers.mend(second.setup.address)
    async with following(second):
        await turns(second)
        assert ask(second, "db.b.mooring") == [address]


async def test_a_host_that_leaves_the_network_knows_its_names_no_more(hosts: list[MemberHost]) -> None:
    """From the moment that its record says so; and again when it takes part again."""
    first, second, _ = hosts
    address = await run(first, "e1", "db")
    await some_time()
    ident = network(second)
    await second.services.cache.commit(put=[HostNetwork(network=ident, shared=WEB, leaving=True)])
    assert ask(second, "db.b.mooring") == ["absent"]
    await second.services.cache.commit(put=[HostNetwork(network=ident, shared=WEB)])
    assert ask(second, "db.b.mooring") == [address]


async def test_a_host_that_is_dead_is_told_of_last(hosts: list[MemberHost]) -> None:
    """Once its session is gone for a while: what it had stays for who has nobody else."""
    first, second, third = hosts
    only, other = await run(first, "e1", "db", "app"), await run(second, "e2", "app")
    await some_time()
    assert sorted(ask(third, "app.c.mooring")) == sorted([only, other])
    await turns(second, third, times=45)
    await some_time()
    assert (ask(third, "app.c.mooring"), ask(third, "db.c.mooring")) == ([other], [only])
    await turns(*hosts, times=10)
    assert sorted(ask(third, "app.c.mooring")) == sorted([only, other])


async def test_a_host_that_leaves_the_cluster_takes_its_names_along(hosts: list[MemberHost]) -> None:
    """And knows none of the others any more."""
    first, second, _ = hosts
    await run(first, "e1", "db")
    await run(second, "e2", "cache")
    await some_time()
    await second.membership.leave(force=True, dry=False)
    await some_time()
    assert ask(second, "db.b.mooring") == ["absent"]
    assert ask(first, "cache.a.mooring") == ["absent"]
