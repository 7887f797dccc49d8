"""A program's own driver: a mistake in it is a fault that says where."""

from __future__ import annotations

from ipaddress import IPv4Address
from typing import Any

import pytest

from mooring.core.endpoints import Attachment
from mooring.core.faults import Conflict, Unavailable
from mooring.core.requests import EndpointGrant, NetworkSpec
from mooring.ports import Driver
from mooring.services.drivers.checked import CheckedDriver
from mooring.testing.memory_driver import MemoryDriver
from tests.contracts.test_drivers import ENDPOINT, NETWORK, REQUEST

CALLS: dict[str, tuple[Any, ...]] = {
    "wants_gateways": (NetworkSpec("web", "mine"),),
    "create_network": (NETWORK,),
    "delete_network": (NETWORK, ()),
    "create_endpoint": (NETWORK, ENDPOINT),
    "delete_endpoint": (NETWORK, ENDPOINT),
    "join": (NETWORK, ENDPOINT, REQUEST),
    "leave": (NETWORK, ENDPOINT),
    "publish": (NETWORK, ENDPOINT),
    "unpublish": (NETWORK, ENDPOINT),
    "info": (NETWORK, ENDPOINT),
}


def answering(method: str, answer: object, *, wait: bool = True) -> CheckedDriver:
    """A driver whose method answers so, or raises it."""

    async def later(*_: object) -> object:
        if isinstance(answer, Exception):
            raise answer
        return answer

    def at_once(*_: object) -> object:
        return answer

    driver = Driver()
    setattr(driver, method, later if wait else at_once)
    return CheckedDriver("mine", driver)


async def call(driver: CheckedDriver, method: str) -> object:
    """With arguments that fit."""
    return await getattr(driver, method)(*CALLS[method])


@pytest.mark.parametrize("method", CALLS)
async def test_an_error_that_is_no_fault_becomes_one(method: str) -> None:
    """It names driver, method and error; a fault stays what it is."""
    with pytest.raises(Unavailable, match=f"driver mine: {method} failed: KeyError: 'x'"):
        await call(answering(method, KeyError("x")), method)
    with pytest.raises(Conflict, match="taken"):
        await call(answering(method, Conflict("taken")), method)
    with pytest.raises(Unavailable, match=f"driver mine: {method} is not a coroutine"):
        await call(answering(method, None, wait=False), method)


@pytest.mark.parametrize(
    ("method", "answer", "text"),
    [
        ("create_endpoint", None, "answered NoneType, not EndpointGrant"),
        ("join", "eth0", "answered str, not Attachment"),
        ("info", None, "answered NoneType, not dict"),
        ("wants_gateways", True, "answered bool, not tuple"),
        ("wants_gateways", (True,), "not two truth values"),
        ("join", Attachment("lo", "eth", None, None), "link 'lo'"),
        ("join", Attachment("a b", "eth", None, None), "link 'a b'"),
        ("join", Attachment("x" * 16, "eth", None, None), "no interface of its own can have"),
        ("join", Attachment("tap0", "", None, None), "prefix ''"),
        ("join", Attachment("tap0", "eth", "10.0.0.1", None), "gateway4 '10.0.0.1', not an IPv4 address"),  # type: ignore[arg-type]
        ("join", Attachment("tap0", "eth", None, IPv4Address("10.0.0.1")), "not an IPv6 address"),
    ],
)
async def test_an_answer_that_is_none_is_refused(method: str, answer: object, text: str) -> None:
    """The fault says what came and what was wanted."""
    with pytest.raises(Unavailable, match="driver mine: ") as caught:
        await call(answering(method, answer), method)
    assert text in str(caught.value)


async def test_what_is_right_is_passed_on() -> None:
    """Answers, and what the driver says of itself."""
    memory = MemoryDriver(returns=True, links=True)
    driver = CheckedDriver("mine", memory)
    assert (driver.remembers, driver.forwards, driver.returns) == (True, False, True)
    assert await driver.wants_gateways(NetworkSpec("web", "mine")) == (True, True)
    await driver.create_network(NETWORK)
    assert await driver.create_endpoint(NETWORK, ENDPOINT) == EndpointGrant()
    assert (await driver.join(NETWORK, ENDPOINT, REQUEST)).link == "md-eeeeeeeeeeee"
    await driver.publish(NETWORK, ENDPOINT)
    assert await driver.info(NETWORK, ENDPOINT) == {"example.joined": REQUEST.key}
    for ending in (driver.unpublish, driver.leave, driver.delete_endpoint):
        await ending(NETWORK, ENDPOINT)
    await driver.delete_network(NETWORK, ())
    assert (memory.networks, memory.endpoints, memory.published) == ({}, {}, {})
