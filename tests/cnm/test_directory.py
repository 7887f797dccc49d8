"""References: a full id, a name, the beginning of an id."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mooring.cnm import BadRequest, Conflict, Controller, Network, NetworkRecord, NotFound, Unavailable
from mooring.core.endpoints import Event
from mooring.core.networks import Origin, Pending
from tests.cnm.hosts import MemoryHost


async def put(memory: MemoryHost, network: Network, **changes: object) -> None:
    """The network's record is changed behind the controller's back."""
    assert memory.library is not None
    record = memory.library.cache.network(network.id)
    assert record is not None
    await memory.library.cache.commit(put=[replace(record, **changes)])  # type: ignore[arg-type]


async def test_the_beginning_of_an_id_is_enough_when_it_is_the_only_one(
    memory: MemoryHost, controller: Controller
) -> None:
    """Several matches are a conflict that names them; what has such a name goes before."""
    assert memory.library is not None
    made = await controller.create_network("one", "null")
    record = memory.library.cache.network(made.id)
    assert record is not None
    twins = [replace(record, id=f"abc{digit}" + "0" * 60, name=f"twin{digit}") for digit in range(6)]
    await memory.library.cache.commit(put=twins)
    assert controller.network(made.id[:20]) == made
    assert controller.network("abc3").name == "twin3"
    with pytest.raises(Conflict, match="abc matches several: twin0, twin1, twin2, twin3 and 2 more"):
        controller.network("abc")
    named = await controller.create_network("abc3", "null")
    assert controller.network("abc3") == named
    assert controller.network(twins[3].id).name == "twin3"


@pytest.mark.parametrize("bad", ["", None, b"web", 7, "a\nb", "\ud800"])
async def test_what_is_no_reference_is_refused(controller: Controller, bad: object) -> None:
    """Every look-up names what it was given."""
    network = await controller.create_network("web", "null")
    with pytest.raises(BadRequest, match=r"^network "):
        controller.network(bad)  # type: ignore[arg-type]
    with pytest.raises(BadRequest, match=r"^sandbox "):
        controller.sandbox(bad)  # type: ignore[arg-type]
    with pytest.raises(BadRequest, match=r"^endpoint "):
        network.endpoint(bad)  # type: ignore[arg-type]


async def test_what_is_half_made_is_not_found(memory: MemoryHost, controller: Controller) -> None:
    """A network that is being created is nowhere; one on its way out is in no list, and can be deleted again."""
    network = await controller.create_network("web", "null")
    await put(memory, network, pending=Pending.CREATE)
    assert controller.networks() == []
    with pytest.raises(NotFound):
        controller.network("web")
    await put(memory, network, pending=Pending.DELETE)
    assert controller.networks() == []
    await controller.network("web").delete()


async def test_what_is_half_deleted_can_be_deleted_again(memory: MemoryHost, controller: Controller) -> None:
    """An endpoint whose driver could not be reached is in no list, but found, and goes with the next attempt."""
    network = await controller.create_network("web", "test")
    endpoint = await network.create_endpoint("ep1")
    memory.driver.refusals["delete_endpoint"] = Unavailable("not now")
    with pytest.raises(Unavailable, match="not now"):
        await endpoint.delete()
    assert memory.library is not None
    record = memory.library.cache.endpoint(network.id, endpoint.id)
    assert record is not None
    assert record.pending is Event.DELETE
    assert network.endpoints() == []
    memory.driver.refusals.clear()
    await network.endpoint("ep1").delete()
    assert memory.driver.endpoints == {}


async def test_networks_of_an_engine_are_not_the_library_s(memory: MemoryHost, controller: Controller) -> None:
    """In one store with them, they are neither listed nor found."""
    network = await controller.create_network("web", "null")
    await put(memory, network, origin=Origin.ENGINE)
    assert controller.networks() == []
    for ref in ("web", network.id):
        with pytest.raises(NotFound):
            controller.network(ref)
    with pytest.raises(NotFound):
        _ = network.name


async def test_lists_are_in_the_order_of_making(memory: MemoryHost, controller: Controller) -> None:
    """The oldest comes first, and filters leave out what does not fit."""
    for name, driver in (("c", "null"), ("a", "test"), ("b", "null")):
        await controller.create_network(name, driver, labels={"tier": name, "all": ""})
        memory.clock.advance(1)
    assert [network.name for network in controller.networks()] == ["c", "a", "b"]
    assert [network.name for network in controller.networks(driver="null")] == ["c", "b"]
    assert [network.name for network in controller.networks(name="a")] == ["a"]
    assert [network.name for network in controller.networks(label="tier=b")] == ["b"]
    assert len(controller.networks(label="all")) == 3
    assert controller.networks(label="none") == controller.networks(name="c", driver="test") == []
    with pytest.raises(BadRequest, match=r"^label"):
        controller.networks(label=None)  # type: ignore[arg-type]
    assert isinstance(memory.library and next(memory.library.cache.every(NetworkRecord)), NetworkRecord)
