"""Which network or pools a person means."""

from __future__ import annotations

import pytest

from mooring.core.containers import EngineNetwork
from mooring.core.faults import BadRequest, Conflict, Fault, NotFound, Unavailable
from mooring.core.networks import Network, NetworkOptions
from mooring.services.operations.references import check_space, network_meant, pools_meant, subnet_in
from mooring.services.records.engine_names import EngineNames
from tests.services.samples import ALIEN, LAB, START, WEB, Sample, sample

BRIDGE = "b" * 64
COMPOSE = {"com.docker.compose.project": "shop", "com.docker.compose.network": "front"}


async def host() -> Sample:
    """Networks shop_front (web's id), 1f6b (lab's) and alien; one of another driver is called bridge."""
    made = await sample(Network(LAB, NetworkOptions(), False, (), (), START))
    engine = made.engine
    engine.networks |= {WEB, LAB, ALIEN, BRIDGE}
    engine.names |= {LAB: "1f6b", ALIEN: "alien"}
    engine.described[WEB] = EngineNetwork(WEB, "shop_front", "mooring", labels=COMPOSE)
    engine.described[BRIDGE] = EngineNetwork(BRIDGE, "bridge", "bridge")
    return made


@pytest.mark.parametrize(
    ("reference", "found"),
    [
        (WEB, WEB),
        ("shop_front", WEB),
        ("front", WEB),
        ("shop/front", WEB),
        ("1f6b2", WEB),
        ("1F6B2C", WEB),
        ("mr-1f6b2c000000", WEB),
        ("10.32.0.0/24", WEB),
        ("fd00:32::/64", WEB),
        ("fd00:32:0::/64", WEB),
        ("1f6b", LAB),  # a name is before the beginning of an id
        ("alien", ALIEN),
        ("172.30.0.0/24", ALIEN),
    ],
)
async def test_a_network_is_meant_by_all_that_it_is_called(reference: str, found: str) -> None:
    """Id, beginning of it, Docker's name, compose's, bridge and subnet."""
    made = await host()
    assert network_meant(reference, made.cache, await made.operations.names()).id == found


@pytest.mark.parametrize(
    ("reference", "fault", "words"),
    [
        ("nothing", NotFound, "Mooring has no network 'nothing'; `mooring network ls` lists them"),
        ("", NotFound, "has no network ''"),
        ("bridge", NotFound, "network bridge is not Mooring's: its driver is bridge"),
        ("bbbb", NotFound, "has no network 'bbbb'"),
        ("10.99.0.0/24", NotFound, "has no network '10.99.0.0/24'"),
        ("10.32.0.7/24", BadRequest, "is not a subnet"),
        ("1f", Conflict, "2 networks have ids that begin with '1f': shop_front (1f6b2c000000), 1f6b (1fffff000000)"),
    ],
)
async def test_what_means_no_network_or_several_is_refused(reference: str, fault: type[Fault], words: str) -> None:
    """Nobody is guessed, and nothing is empty in silence."""
    made = await host()
    with pytest.raises(fault) as caught:
        network_meant(reference, made.cache, await made.operations.names())
    assert words in str(caught.value)


async def test_networks_of_one_name_are_a_conflict() -> None:
    """Docker lets two networks have one name."""
    made = await host()
    made.engine.names[ALIEN] = made.engine.names[LAB] = "twin"
    with pytest.raises(Conflict, match="2 networks are called 'twin': twin"):
        network_meant("twin", made.cache, await made.operations.names())


async def test_a_name_of_an_engine_that_does_not_answer_cannot_be_known() -> None:
    """That is another thing than a name that nobody has; ids and subnets are known all the same."""
    made = await host()
    made.engine.up = False
    names = await made.operations.names()
    assert network_meant("1f6b2", made.cache, names).id == WEB
    with pytest.raises(Unavailable, match="cannot be reached for names: the engine does not answer"):
        network_meant("shop_front", made.cache, names)


@pytest.mark.parametrize(
    ("which", "found"),
    [
        ("p4", ["p4"]),
        ("t", ["t4"]),
        ("10.32.0.0/24", ["p4", "t4"]),
        ("fd00:32:0::/64", ["p6"]),
        ("shop_front", ["p4", "p6"]),
        ("front", ["p4", "p6"]),
        ("1f6b2", ["p4", "p6"]),
    ],
)
async def test_pools_are_meant_by_id_subnet_and_network(which: str, found: list[str]) -> None:
    """A subnet may be in several spaces, and a network has one for each subnet."""
    made = await host()
    assert [pool.id for pool in pools_meant(which, made.cache, await made.operations.names())] == found


@pytest.mark.parametrize(
    ("which", "fault", "words"),
    [
        ("p", Conflict, "2 pools have ids that begin with 'p': p4 (10.32.0.0/24), p6"),
        ("x", NotFound, "there is no pool 'x'"),
        ("10.99.0.0/24", NotFound, "there is no pool '10.99.0.0/24'"),
        ("alien", NotFound, "network alien (aaaaaa000000) has no pool: another IPAM driver"),
        ("my.net", NotFound, "there is no pool 'my.net'"),
    ],
)
async def test_what_means_no_pool_is_refused(which: str, fault: type[Fault], words: str) -> None:
    """The text says what there is instead."""
    made = await host()
    with pytest.raises(fault) as caught:
        pools_meant(which, made.cache, await made.operations.names())
    assert words in str(caught.value)


async def test_an_address_space_that_is_not_there_is_refused() -> None:
    """Those that are there are named."""
    made = await host()
    check_space("tenant", made.cache)
    check_space("default", made.cache)
    with pytest.raises(NotFound, match="no address space 'x'; there are default, tenant"):
        check_space("x", made.cache)


def test_what_looks_like_no_subnet_is_none() -> None:
    """Names with dots and slashes are names."""
    assert [subnet_in(text) for text in ("shop/front", "a.b", "10.0.0.1", "", "/24", "abc/24")] == [None] * 6
    assert str(subnet_in("10.0.0.0/24")) == "10.0.0.0/24"
    assert EngineNames().heard is False
