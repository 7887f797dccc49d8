"""A fixed address of a shared subnet is told to who starts: to one, while it is his, and while the cluster is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import msgspec
import pytest

from mooring.core.address_claims import Spec
from mooring.core.claims import Claim, claimed
from mooring.core.endpoints import Endpoint
from mooring.core.faults import Conflict, Fault
from mooring.core.leases import Lease, State
from mooring.core.requests import AddressRequest, EndpointGrant, EndpointRequest, Role
from mooring.services.records.record_cache import Record, RecordCache
from mooring.testing.memory_cluster import Step
from mooring.testing.memory_store import When
from tests.services.fixed_hosts import WEB, FixedHost, FixedWorld, fixed_world


def asks(host: FixedHost, address: object, mac: str) -> AddressRequest:
    """Docker asks for the address, by name."""
    return AddressRequest(host.pool, Role.ENDPOINT, address, mac=mac)  # type: ignore[arg-type]


async def while_asked(world: FixedWorld, host: FixedHost, meanwhile: list[AddressRequest | Lease]) -> list[str]:
    """What these are answered, all while the cluster is asked for the first."""
    first, said = meanwhile.pop(0), []
    assert isinstance(first, AddressRequest)
    reached, gate = asyncio.Event(), asyncio.Event()

    async def hold(step: Step) -> None:
        if step.client == host.name and step.method == "put" and step.when is When.BEFORE and not reached.is_set():
            reached.set()
            await gate.wait()

    async def answer(request: AddressRequest) -> None:
        try:
            said.append(str((await host.services.ipam.request_address(request)).ip))
        except Fault as fault:
            said.append(str(fault))

    world.servers.pause = hold
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(answer(first))
        await reached.wait()
        for each in meanwhile:
            if isinstance(each, Lease):
                await host.services.cache.commit(delete=[each])
            else:
                await answer(each)
        gate.set()
    return said


async def test_while_the_cluster_is_asked_for_one_the_address_is_promised_to_nobody_else() -> None:
    """Two containers of one key start at a time, as on one host."""
    async with fixed_world() as world:
        one = world.hosts[0]
        grant = await one.create("db", "shop")
        await one.create("db2", "shop")
        lease = one.lease(grant.ipv4)
        assert lease is not None
        await one.services.cache.commit(put=[msgspec.structs.replace(lease, mac="")])  # none of them can prove itself
        said = await while_asked(
            world, one, [asks(one, grant.ipv4, "02:00:00:00:00:01"), asks(one, grant.ipv4, "02:00:00:00:00:02")]
        )
        assert said[1] == str(grant.ipv4)
        assert "is being assigned to another container that is starting" in said[0]


@pytest.mark.parametrize("late", [0.0, 9.5])
async def test_a_turn_while_an_endpoint_is_being_recorded_does_not_call_its_address_idle(
    monkeypatch: pytest.MonkeyPatch, late: float
) -> None:
    """The promise holds until it is on record that the address is in use: what is idle another host takes. Also when
    the engine comes late with it, and the promise is nearly over."""
    async with fixed_world() as world:
        one, two = world.hosts
        grant = await one.create("db", "shop")
        commit = RecordCache.commit
        turned: list[bool] = []

        async def slowly(cache: RecordCache, put: Iterable[Record] = (), delete: Iterable[Record] = ()) -> None:
            put = list(put)
            if cache is one.services.cache and not turned and any(isinstance(each, Endpoint) for each in put):
                turned.append(True)
                world.clock.advance(1.0)
                await one.turn()
            await commit(cache, put=put, delete=delete)

        create = one.services.endpoints.create

        async def comes(request: EndpointRequest) -> EndpointGrant:
            await world.turns(1, late)
            return await create(request)

        monkeypatch.setattr(one.services.endpoints, "create", comes)
        monkeypatch.setattr(RecordCache, "commit", slowly)
        await one.connect("db", one.full(WEB), grant)
        assert turned
        await world.turns()
        kept = one.claim(grant.ipv4)
        assert kept is not None
        assert (kept.idle, kept.claim.boot) == (False, one.plan.member.boot)
        with pytest.raises(Conflict, match="in use on host"):
            await two.create("db", "shop")


async def test_an_address_that_is_given_up_while_the_cluster_is_asked_is_not_told_as_fixed() -> None:
    """Who asks is answered by what is so then."""
    async with fixed_world() as world:
        one = world.hosts[0]
        grant = await one.create("db", "shop")
        lease = one.lease(grant.ipv4)
        assert lease is not None
        (said,) = await while_asked(world, one, [asks(one, grant.ipv4, grant.mac), lease])
        after = one.lease(grant.ipv4)
        assert (said == str(grant.ipv4)) is (after is not None and after.state is State.DYNAMIC), said


async def test_a_cluster_that_says_another_address_is_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a key whose address there is not the one that is being fixed here: data that nobody should have written."""
    async with fixed_world() as world:
        one, two = world.hosts
        other = await two.create("db", "shop")
        await world.turns()
        await one.endpoint(one.full("web"), "e1")
        (lease,) = (each for each in one.services.cache.every(Lease) if each.state is State.DYNAMIC)
        after = claimed(lease, lease, Claim(key="key:shop", holder="d" * 64), 0.0)

        async def none(spec: Spec) -> None:
            assert spec.key == "key:shop"

        monkeypatch.setattr(one.plan.keys, "of_key", none)
        with pytest.raises(Conflict, match=rf"address {other.ipv4} is claimed .held by key shop on host h"):
            async with one.services.ipam.fixed_claims.fixing(after):
                pass
