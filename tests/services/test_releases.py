"""What an operator does with addresses by hand: release."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from mooring.core.containers import ContainerEndpoint, Holder
from mooring.core.faults import Conflict, Unavailable
from mooring.core.intents import Intent, Purpose, placeholder
from mooring.core.leases import Active, Lease, State
from mooring.core.views import Change
from mooring.services.operations.operations import Operations
from tests.services.hosts import MemoryHost
from tests.services.operators import DB, WEB, fix, lease_of, operate

A = "a".ljust(64, "0")
E1 = "e1".ljust(64, "0")


@pytest.fixture
async def host() -> MemoryHost:
    """A network 10.32.0.0/24 whose container e1 has 10.32.0.2, and an engine that lists no container."""
    host = await MemoryHost().start()
    await host.endpoint(await host.network("a"), "e1")
    return host


@pytest.fixture
def operated(host: MemoryHost) -> Operations:
    """The operator's use cases on it."""
    return operate(host)


async def release(operated: Operations, address: str, force: bool = False, dry: bool = False) -> list[Change]:
    """Release it."""
    return await operated.reservations.release(None, ip_address(address), force, dry)


async def test_what_nobody_uses_is_free_at_once(host: MemoryHost, operated: Operations) -> None:
    """A reservation and a cooldown end; what is free already is no change."""
    pool = lease_of(host, "10.32.0.2").pool  # type: ignore[union-attr]
    reserved = ip_address("10.32.0.10")
    await operated.reservations.reserve(None, reserved, reserved, "db", "", None, False)
    rest = {"space": "default", "pool": pool, "since": 0.0}
    cooling = Lease(address=ip_address("10.32.0.11"), state=State.COOLING, until=host.clock.now() + 60, **rest)  # type: ignore[arg-type]
    await host.services.cache.commit(put=[cooling])
    for last in (10, 11):
        (change,) = await release(operated, f"10.32.0.{last}")
        assert change.after == "free"
        assert lease_of(host, f"10.32.0.{last}") is None
        assert await release(operated, f"10.32.0.{last}") == []


async def test_the_address_of_containers_that_are_gone_is_given_up(host: MemoryHost, operated: Operations) -> None:
    """The engine does not have them: it cools, and their records go."""
    await fix(host, "10.32.0.9", DB)
    (change,) = await release(operated, "10.32.0.9")
    assert change.before == "fixed for the key db (label mooring.key), held by container name-d, not in use"
    assert change.after.startswith("cooling until")
    assert host.services.cache.holder(DB) is None


async def test_a_kept_key_is_given_up(host: MemoryHost, operated: Operations) -> None:
    """No engine need be asked when nobody holds it."""
    await fix(host, "10.32.0.9", until=host.clock.now() + 3600)
    host.engine.up = False
    (change,) = await release(operated, "10.32.0.9")
    assert change.after.startswith("cooling until")


async def test_a_fixed_address_that_was_reserved_is_reserved_again(host: MemoryHost, operated: Operations) -> None:
    """The reservation is the operator's word, too, and ends with a second release."""
    await fix(host, "10.32.0.9", whom="db", note="n")
    (change,) = await release(operated, "10.32.0.9")
    assert change.after == "reserved for db (n)"
    (change,) = await release(operated, "10.32.0.9")
    assert change.after == "free"


async def test_the_address_of_a_container_that_is_there_needs_force(host: MemoryHost, operated: Operations) -> None:
    """Refused with its name and the way out; forced it goes, with what that means."""
    host.engine.create(DB, "db")
    await fix(host, "10.32.0.9", DB, WEB)
    with pytest.raises(Conflict) as caught:
        await release(operated, "10.32.0.9")
    assert "address 10.32.0.9 is fixed (held by container name-d)" in str(caught.value)
    assert "`docker rm`" in str(caught.value)
    (change,) = await release(operated, "10.32.0.9", force=True, dry=True)
    assert lease_of(host, "10.32.0.9").state is State.FIXED  # type: ignore[union-attr]
    (change,) = await release(operated, "10.32.0.9", force=True)
    assert "it asks for it again" in change.note
    assert lease_of(host, "10.32.0.9").state is State.COOLING  # type: ignore[union-attr]


@pytest.mark.parametrize("force", [False, True])
async def test_an_address_that_an_endpoint_has_is_never_released(
    host: MemoryHost, operated: Operations, force: bool
) -> None:
    """Neither a dynamic one nor a fixed one, nor one in use on another host."""
    with pytest.raises(Conflict, match=r"10\.32\.0\.2 is in use \(held by endpoint e10000000000"):
        await release(operated, "10.32.0.2", force)
    await fix(host, "10.32.0.2", DB, active=Active(E1, "host", "boot"))
    with pytest.raises(Conflict, match=r"10\.32\.0\.2 is in use \(held by container name-d\)"):
        await release(operated, "10.32.0.2", force)
    await fix(host, "10.32.0.9", DB, active=Active("f" * 64, "elsewhere", "boot"))
    with pytest.raises(Conflict, match=r"in use on another host \(held by endpoint ffffffffffff on host elsewhere\)"):
        await release(operated, "10.32.0.9", force)


@pytest.mark.parametrize("force", [False, True])
async def test_a_gateway_goes_with_its_network_only(operated: Operations, force: bool) -> None:
    """The text says so."""
    with pytest.raises(Conflict, match=r"is the gateway of its subnet .*held by network a0000.*`docker network rm`"):
        await release(operated, "10.32.0.1", force)


async def test_an_address_on_its_way_to_a_container_is_not_released(host: MemoryHost, operated: Operations) -> None:
    """Given and not yet taken by an endpoint: Mooring takes back what Docker forgot."""
    await host.services.endpoints.delete(A, E1)
    with pytest.raises(Conflict, match="was given to a container that is starting"):
        await release(operated, "10.32.0.2", force=True)


async def test_an_address_that_is_noted_as_in_use_by_nobody_needs_force(host: MemoryHost, operated: Operations) -> None:
    """After a backup was restored, for instance."""
    await fix(host, "10.32.0.9", active=Active("f" * 64, "host", "boot"))
    with pytest.raises(Conflict, match="recorded as in use by an endpoint that does not exist"):
        await release(operated, "10.32.0.9")
    (change,) = await release(operated, "10.32.0.9", force=True)
    assert change.after.startswith("cooling")


async def test_an_address_of_a_container_that_is_being_made_is_not_released(
    host: MemoryHost, operated: Operations
) -> None:
    """The intent holds it, whatever is forced."""
    intent = Intent(id="i1", purpose=Purpose.CREATE, engine=host.engine.id, created=host.clock.now(), name="db")
    await host.services.cache.commit(put=[intent])
    await fix(host, "10.32.0.9", placeholder("i1"))
    with pytest.raises(Conflict, match=r"assigned to a container that is being created; .* half a minute"):
        await release(operated, "10.32.0.9", force=True)
    host.clock.advance(120)
    (change,) = await release(operated, "10.32.0.9", force=True)
    assert "held by container db that is being created" in change.before


async def test_holders_of_another_engine_are_not_taken_for_gone(host: MemoryHost, operated: Operations) -> None:
    """The engine at the socket cannot know them."""
    await fix(host, "10.32.0.9", DB)
    await host.services.cache.commit(put=[Holder(id=DB, engine="engine-9", name="db", since=0.0)])
    with pytest.raises(Conflict, match="container db of engine engine-9"):
        await release(operated, "10.32.0.9")
    assert len(await release(operated, "10.32.0.9", force=True)) == 1


async def test_a_container_that_is_there_lives_whatever_the_engine_is_called(
    host: MemoryHost, operated: Operations
) -> None:
    """Ids of containers are never used twice, and an upgrade gives the engine another one."""
    await fix(host, "10.32.0.9", DB)
    await host.services.cache.commit(put=[Holder(id=DB, engine="engine-9", name="db", since=0.0)])
    host.engine.create(DB, "db", ContainerEndpoint(A, "web"))
    with pytest.raises(Conflict, match="container db") as refused:
        await release(operated, "10.32.0.9")
    assert "engine-9" not in str(refused.value)


async def test_an_engine_that_is_down_proves_nothing(host: MemoryHost, operated: Operations) -> None:
    """Whether the container is there cannot be asked: nothing is released."""
    await fix(host, "10.32.0.9", DB)
    host.engine.up = False
    with pytest.raises(Unavailable):
        await release(operated, "10.32.0.9")
    assert lease_of(host, "10.32.0.9").state is State.FIXED  # type: ignore[union-attr]
