"""Which endpoint publishes which family, as engines move gateways between networks."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mooring.core.endpoints import Endpoint
from mooring.core.faults import Conflict
from mooring.core.port_bindings import PortRequest, Protocol, gateway_families
from tests.services.gateway_engines import Container, Kind, Member
from tests.services.hosts import MemoryHost

WEB = (
    PortRequest(Protocol.TCP, 80, first=8114, last=8114),
    PortRequest(Protocol.UDP, 53, first=8115, last=8115),
    PortRequest(Protocol.TCP, 443),
    PortRequest(Protocol.TCP, 444, first=9000, last=9010),
)


async def member(host: MemoryHost, name: str, priority: int, versions: str) -> Member:
    """A network with these families."""
    ident = await host.network(name, v4="4" in versions, v6="6" in versions)
    network = host.services.cache.network(ident)
    assert network is not None
    return Member(name, network, priority)


def published(host: MemoryHost) -> dict[int, dict[str, int]]:
    """How many ports each endpoint publishes of each family."""
    found: dict[int, dict[str, int]] = {4: {}, 6: {}}
    for endpoint in host.services.cache.every(Endpoint):
        for port_binding in endpoint.published:
            there = found[port_binding.target.version]
            there[endpoint.id] = there.get(endpoint.id, 0) + 1
    return found


def expected(container: Container) -> dict[int, dict[str, int]]:
    """All of them at the gateway of the family, and nowhere else."""
    found: dict[int, dict[str, int]] = {}
    for version in (4, 6):
        gateway = container.gateway(version)
        found[version] = {gateway.endpoint: len(WEB)} if gateway is not None and gateway.has(version) else {}
    return found


def host_ports(host: MemoryHost) -> dict[int, set[int]]:
    """The host ports of each family."""
    found: dict[int, set[int]] = {4: set(), 6: set()}
    for endpoint in host.services.cache.every(Endpoint):
        for port_binding in endpoint.published:
            found[port_binding.target.version].add(port_binding.host_port)
    return found


@pytest.mark.parametrize("kind", [Kind.E28, Kind.E29])
@pytest.mark.parametrize("order", ["46", "64"])
@pytest.mark.parametrize("second", ["46", "6"])
async def test_each_family_is_published_at_its_own_gateway(kind: Kind, order: str, second: str) -> None:
    """A network with IPv4 only and the higher priority beside one with IPv6, or with both: whichever comes first."""
    host = await MemoryHost().start()
    container = Container(host, kind, WEB)
    nets = {"4": await member(host, "a4", 5, "4"), "6": await member(host, "b6", 1, second)}
    for name in order:
        await container.join(nets[name])
    assert published(host) == expected(container)


@pytest.mark.parametrize("kind", list(Kind))
async def test_a_gateway_that_goes_and_comes_back_takes_its_ports_with_it(kind: Kind) -> None:
    """The family's ports are open all the while, at the same numbers, also those that the engine did not choose."""
    host = await MemoryHost().start()
    container = Container(host, kind, WEB)
    first, second = await member(host, "a", 5, "46"), await member(host, "b", 1, "46")
    await container.join(first)
    await container.join(second)
    for _ in range(2):
        await container.leave("a")
        assert published(host) == expected(container)
        await container.join(first)
        assert published(host) == expected(container)


@pytest.mark.parametrize("kind", [Kind.E28, Kind.E29])
async def test_one_family_moves_and_the_other_stays(kind: Kind) -> None:
    """IPv4 moves to another network and back; nothing happens to the numbers of IPv6, nor to chosen ones of IPv4."""
    host = await MemoryHost().start()
    container = Container(host, kind, WEB)
    only4, six = await member(host, "a4", 5, "4"), await member(host, "b6", 1, "46")
    await container.join(only4)
    await container.join(six)
    before = host_ports(host)
    await container.leave("a4")
    assert published(host) == expected(container)
    assert host_ports(host)[6] == before[6]
    await container.join(only4)
    assert published(host) == expected(container)
    if kind is Kind.E29:  # 28 takes all from the old gateway before it tells the new one
        assert host_ports(host)[6] == before[6]
    facts = "\n".join(map(str, host.facts))
    await host.restart()
    assert "\n".join(map(str, host.facts)) == facts


@settings(deadline=None)
@given(
    st.sampled_from(Kind),
    st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["4", "6", "46"]), st.integers(0, 2)), max_size=9),
)
async def test_every_engine_is_followed_wherever_it_moves_a_gateway(
    kind: Kind, steps: list[tuple[str, str, int]]
) -> None:
    """Any sequence of connects and disconnects: every port at the gateway of its family and nowhere else, and no host
    port held that nobody publishes."""
    host = await MemoryHost().start()
    container = Container(host, kind, WEB)
    nets: dict[str, Member] = {}
    for name, versions, priority in steps:
        if name in {each.name for each in container.members}:
            await container.leave(name)
        else:
            key = f"{name}{versions}"
            if key not in nets:
                nets[key] = await member(host, key, 0, versions)
            await container.join(Member(name, nets[key].network, priority))
        assert published(host) == expected(container)
    assert len(host.guard.held) == sum(sum(each.values()) for each in published(host).values())


async def test_a_request_for_a_family_that_another_network_has_is_no_mistake() -> None:
    """`-p [2001:db8::1]:80:80` of a container whose IPv4 gateway has no IPv6."""
    host = await MemoryHost().start()
    container = Container(host, Kind.E29, (PortRequest(Protocol.TCP, 80, first=80, last=80),))
    await container.join(await member(host, "b6", 1, "46"))
    await container.join(await member(host, "a4", 5, "4"))
    assert published(host) == {4: {"ea4".ljust(64, "0"): 1}, 6: {"eb6".ljust(64, "0"): 1}}


async def test_what_cannot_be_published_leaves_what_was() -> None:
    """A family that comes back finds its port taken: the other family goes on."""
    host = await MemoryHost().start()
    container = Container(host, Kind.E29, WEB[:1])
    await container.join(await member(host, "a4", 5, "4"))
    await container.join(await member(host, "b6", 1, "46"))

    async def taken(*_: object) -> None:
        raise Conflict("host port 8114/tcp is taken")

    host.guard.taken[Protocol.TCP, 8114] = "nginx (42)"
    with pytest.raises(Conflict, match="nginx"):
        await container.leave("a4")
    assert published(host) == {4: {}, 6: {"eb6".ljust(64, "0"): 1}}


FOUR, SIX, BOTH = frozenset({4}), frozenset({6}), frozenset({4, 6})


@pytest.mark.parametrize(
    ("own", "served", "elsewhere", "families"),
    [
        (FOUR, [BOTH], False, FOUR),
        (FOUR, [BOTH], True, FOUR),
        (SIX, [FOUR], True, SIX),
        (BOTH, [], False, BOTH),
        (BOTH, [SIX], False, BOTH),
        (BOTH, [FOUR], False, SIX),
        (BOTH, [], True, FOUR),
        (BOTH, [BOTH], True, FOUR),
        (BOTH, [SIX], True, FOUR),
        (BOTH, [FOUR], True, SIX),
    ],
)
def test_families_of_a_gateway(
    own: frozenset[int], served: list[frozenset[int]], elsewhere: bool, families: frozenset[int]
) -> None:
    """What each engine may mean by what it says."""
    assert gateway_families(own, served, elsewhere) == families
