"""A store or a kernel that fails in the middle: nothing is left over, and the same again succeeds."""

from __future__ import annotations

import pytest

from mooring.core.faults import Unavailable
from mooring.core.plumbing import Member, Remove, Veth
from tests.library.houses import House
from tests.library.invariants import check
from tests.library.pictures import difference, picture


@pytest.fixture
async def house() -> House:
    """With a network."""
    house = await House().start()
    await house.do("network web")
    return house


async def fails_late(house: House, line: str, number: int) -> bool:
    """Whether the line failed because that commit of it took effect and was not answered."""
    house.lose_answer(number)
    try:
        await house.do(line)
    except Unavailable:
        return True
    finally:
        house.calm()
    return False


@pytest.mark.parametrize("line", ["network back", "network other ipam=other", "network far driver=far"])
async def test_a_network_whose_commit_is_not_answered_is_no_network(house: House, line: str) -> None:
    """Each commit of its creation in turn takes effect and fails: no subnet, record or bridge is left, and the next
    attempt makes the network."""
    before = await picture(house)
    for number in range(10):
        if not await fails_late(house, line, number):
            break
        assert difference(before, await picture(house)) == []
    assert number > 0
    assert await check(house) == []


async def test_an_endpoint_whose_commit_is_not_answered_is_no_endpoint(house: House) -> None:
    """Neither its leases nor its record are left, and the next attempt with the same name makes the endpoint."""
    before = await picture(house)
    for number in range(10):
        if not await fails_late(house, "endpoint web a", number):
            break
        assert difference(before, await picture(house)) == []
    assert number == 3
    assert await check(house) == []


async def test_rules_that_cannot_be_removed_keep_no_interface_in_the_sandbox(house: House) -> None:
    """A leave that fails in the kernel after it was recorded takes the interface all the same; repair does the rest."""
    for line in ("endpoint web a", "sandbox box ports=8080:80", "join a box"):
        await house.do(line)
    rule = next(fact for fact in house.kernel.facts.values() if isinstance(fact, Member) and "8080" in fact.element)
    house.kernel.fail_on = [Remove(rule)]
    with pytest.raises(Unavailable):
        await house.do("leave a box")
    house.kernel.fail_on = []
    assert not [fact for fact in house.kernel.facts.values() if isinstance(fact, Veth)]
    await house.mend()
    assert await check(house) == []


async def test_a_leave_that_is_not_recorded_changes_nothing(house: House) -> None:
    """When the store refuses, the endpoint stays where it is, with its interface."""
    for line in ("endpoint web a", "sandbox box ports=8080:80", "join a box"):
        await house.do(line)
    before = await picture(house)
    house.store.fail_next()
    with pytest.raises(Unavailable):
        await house.do("leave a box")
    assert difference(before, await picture(house)) == []


async def test_a_refresh_that_fails_leaves_somebody_to_answer_names(house: House) -> None:
    """The resolver of a sandbox is not silent because its files could not be written."""
    await house.do("sandbox box")
    house.files.failing = {path for path in house.files.texts if path.endswith("/hosts")}
    with pytest.raises(Unavailable):
        await house.do("refresh box hostname=new")
    assert await check(house) == []
