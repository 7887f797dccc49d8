"""What an operator does with addresses by hand: reserve and hold (release: test_releases)."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import msgspec
import pytest

from mooring.core.faults import BadRequest, Conflict, Fault, NotFound, StaleRevision, Unavailable
from mooring.core.leases import Active, Lease, State
from mooring.core.requests import AddressRequest, PoolRequest, Role
from mooring.core.views import Change
from mooring.services.operations.operations import Operations
from tests.services.hosts import MemoryHost
from tests.services.operators import DB, WEB, fix, lease_of, operate, run_container, share

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


async def reserve(
    operated: Operations, first: str, last: str = "", whom: str = "db", note: str = "", until: float | None = None,
    dry: bool = False, space: str | None = None,
) -> list[Change]:  # fmt: skip
    """Reserve from first to last."""
    return await operated.reservations.reserve(
        space, ip_address(first), ip_address(last or first), whom, note, until, dry
    )


async def hold(
    operated: Operations, address: str, key: str = "", kept: float | None = None, dry: bool = False
) -> list[Change]:  # fmt: skip
    """Hold it."""
    return await operated.reservations.hold(None, ip_address(address), key, kept, dry)


# -- reserve -----------------------------------------------------------------------------------------------------------


async def test_a_reserved_address_goes_to_whom_it_is_for_only(host: MemoryHost, operated: Operations) -> None:
    """Automatic choice passes it over, a stranger who names it is refused, and the one it is for gets it."""
    (change,) = await reserve(operated, "10.32.0.3", note="the printer knows it")
    assert (change.before, change.after) == ("free", "reserved for db (the printer knows it)")
    pool = next(iter(host.services.cache.network(A).ipv4)).pool  # type: ignore[union-attr]
    got = await host.services.ipam.request_address(AddressRequest(pool, Role.ENDPOINT, mac="02::7"))
    assert str(got.ip) == "10.32.0.4"
    wanted = ip_address("10.32.0.3")
    with pytest.raises(Conflict, match=r"reserved it for db \(the printer knows it\)"):
        await host.services.ipam.request_address(AddressRequest(pool, Role.ENDPOINT, wanted, "02::8", "web"))
    await host.services.ipam.request_address(AddressRequest(pool, Role.ENDPOINT, wanted, "02::9", "db"))
    lease = lease_of(host, "10.32.0.3")
    assert lease is not None
    assert (lease.state, lease.whom) == (State.DYNAMIC, "db")


async def test_with_dry_nothing_is_written(host: MemoryHost, operated: Operations) -> None:
    """The changes are those that would be made."""
    before = host.services.cache.revision
    assert len(await reserve(operated, "10.32.0.10", "10.32.0.19", dry=True)) == 10
    assert host.services.cache.revision == before


async def test_a_range_is_one_commit(host: MemoryHost, operated: Operations) -> None:
    """All of it or none: the records have one revision."""
    before = host.services.cache.revision
    assert len(await reserve(operated, "10.32.0.10", "10.32.0.59")) == 50
    assert host.services.cache.revision == before + 1


async def test_what_nobody_can_have_is_left_out_of_a_range(operated: Operations) -> None:
    """Network and broadcast address are never given, so a whole subnet can be written."""
    changes = await reserve(operated, "10.32.0.250", "10.32.0.255")
    assert [str(change.address) for change in changes] == [f"10.32.0.{last}" for last in range(250, 255)]


async def test_one_held_address_refuses_the_whole_range(host: MemoryHost, operated: Operations) -> None:
    """Gateway and container are named, and nothing is reserved."""
    with pytest.raises(Conflict) as caught:
        await reserve(operated, "10.32.0.1", "10.32.0.9")
    assert str(caught.value) == (
        "address 10.32.0.1 and 1 more cannot be reserved (held by gateway); nothing was changed; "
        "see `mooring explain 10.32.0.1`"
    )
    with pytest.raises(Conflict, match=r"10\.32\.0\.2 cannot be reserved \(held by endpoint e10000000000\)"):
        await reserve(operated, "10.32.0.2")
    await fix(host, "10.32.0.5", DB)
    with pytest.raises(Conflict, match=r"10\.32\.0\.5 cannot be reserved \(held by container name-d\)"):
        await reserve(operated, "10.32.0.5")
    assert host.services.ipam.index.counts(lease_of(host, "10.32.0.5").pool)[State.RESERVED] == 0  # type: ignore[union-attr]


async def test_a_reservation_is_changed_for_whom_it_is(host: MemoryHost, operated: Operations) -> None:
    """Its end and its note; the same again is no change."""
    until = host.clock.now() + 3600
    await reserve(operated, "10.32.0.8", whom="team=a")
    (change,) = await reserve(operated, "10.32.0.8", whom="team=a", until=until)
    assert change.before == "reserved for team=a"
    assert change.after.startswith("reserved for team=a until 20")
    assert await reserve(operated, "10.32.0.8", whom="team=a", until=until) == []


async def test_what_another_reservation_has_is_refused(host: MemoryHost, operated: Operations) -> None:
    """It is named, with its note; also in the middle of a range, and for nobody. Once it is over it counts no more."""
    await reserve(operated, "10.32.0.8", whom="web-*", note="ask Ann", until=host.clock.now() + 60)
    for first, last, whom in (("10.32.0.8", "", "db"), ("10.32.0.8", "", ""), ("10.32.0.6", "10.32.0.9", "db")):
        with pytest.raises(Conflict, match=r"10\.32\.0\.8 .*held by the reservation for web-\* \(ask Ann\)"):
            await reserve(operated, first, last, whom=whom)
    assert lease_of(host, "10.32.0.6") is None
    host.clock.advance(61)
    (change,) = await reserve(operated, "10.32.0.8", whom="db")
    assert change.after == "reserved for db"


async def test_a_reservation_ends_by_itself(host: MemoryHost, operated: Operations) -> None:
    """After its time the address is free."""
    await reserve(operated, "10.32.0.8", until=host.clock.now() + 60)
    host.clock.advance(61)
    await host.services.repair.once()
    assert lease_of(host, "10.32.0.8") is None


@pytest.mark.parametrize(
    ("given", "fault", "words"),
    [
        ({"first": "10.99.0.1"}, NotFound, "no pool has 10.99.0.1; `mooring pool ls`"),
        ({"first": "10.32.0.5", "space": "other"}, NotFound, "no pool in address space other has 10.32.0.5"),
        ({"first": "10.32.0.9", "last": "10.32.0.3"}, BadRequest, "is not a range"),
        ({"first": "10.32.0.9", "last": "fd00::3"}, BadRequest, "is not a range"),
        ({"first": "10.32.0.9", "last": "10.32.1.3"}, BadRequest, "is not within one pool"),
        ({"first": "10.32.0.0"}, BadRequest, "the network or broadcast address"),
        ({"first": "10.32.0.9", "whom": "a=b,c"}, BadRequest, "is not a label selector"),
        ({"first": "10.32.0.9", "note": "a\nb"}, BadRequest, "a note is one line"),
        ({"first": "10.32.0.9", "until": 1.0}, BadRequest, "is in the past"),
        ({"first": "10.32.0.9", "until": 1e15}, BadRequest, "in no calendar"),
    ],
)
async def test_what_cannot_be_reserved_is_refused(
    operated: Operations, given: dict[str, str], fault: type[Fault], words: str
) -> None:
    """Each mistake has its kind and says what to write."""
    with pytest.raises(fault) as caught:
        await reserve(operated, **given)  # type: ignore[arg-type]
    assert words in str(caught.value)


async def test_an_address_of_several_spaces_needs_the_space(host: MemoryHost, operated: Operations) -> None:
    """The spaces are named; with one of them said, it is reserved there."""
    subnet = host.services.cache.network(A).ipv4[0].subnet  # type: ignore[union-attr]
    await host.services.ipam.request_pool(PoolRequest("tenant", 4, subnet))
    with pytest.raises(Conflict, match=r"in several address spaces: default, tenant; choose one with --space"):
        await reserve(operated, "10.32.0.9")
    (change,) = await reserve(operated, "10.32.0.9", space="tenant")
    assert change.space == "tenant"


async def large(host: MemoryHost) -> str:
    """A pool with room for thousands; its id."""
    return (await host.services.ipam.request_pool(PoolRequest("default", 4, ip_network("10.99.0.0/16")))).pool


async def test_more_than_one_commit_holds_goes_in_batches(host: MemoryHost, operated: Operations) -> None:
    """4096 addresses are the most; a larger range is refused."""
    await large(host)
    before = host.services.cache.revision
    assert len(await reserve(operated, "10.99.1.0", "10.99.5.255")) == 1280
    assert host.services.cache.revision == before + 3
    with pytest.raises(BadRequest, match="more than 4096 addresses"):
        await reserve(operated, "10.99.16.0", "10.99.32.0")


async def test_a_fault_after_the_first_batch_says_how_far_it_came(
    host: MemoryHost, operated: Operations, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody takes an address of the second batch meanwhile: the first one stays, and the text says so."""
    pool = await large(host)
    cache, commit = host.services.cache, host.services.cache.commit
    calls = 0

    async def racing(put: object = (), delete: object = ()) -> int:
        nonlocal calls
        calls += 1
        if calls == 2:
            other = Lease(
                space="default", address=ip_address("10.99.3.9"), pool=pool, state=State.DYNAMIC, since=0.0, name="x"
            )
            await commit(put=[other])
            raise StaleRevision("x")
        return await commit(put=put, delete=delete)  # type: ignore[arg-type]

    monkeypatch.setattr(cache, "commit", racing)
    with pytest.raises(
        Conflict, match=r"500 of 768 addresses were reserved, the others were not: address 10\.99\.3\.9"
    ):
        await reserve(operated, "10.99.1.0", "10.99.3.255")


# -- hold --------------------------------------------------------------------------------------------------------------


async def test_a_dynamic_address_becomes_its_containers(host: MemoryHost, operated: Operations) -> None:
    """The container that has it is its holder, and it is in use by that endpoint; a stop does not free it."""
    host.engine.version = (1, 52)  # it tells who asks
    run_container(host, DB, "db", "e1", "10.32.0.2")
    (change,) = await hold(operated, "10.32.0.2")
    assert (change.after, change.note) == ("fixed for container db, held by container db, in use", "")
    lease = lease_of(host, "10.32.0.2")
    assert lease is not None
    assert (lease.key, lease.holders, lease.active) == (f"container:{DB}", frozenset({DB}), Active(E1, "host", "boot"))
    assert lease.mac == ""  # the engine drew one, and will draw another one
    known = host.services.cache.holder(DB)
    assert known is not None
    assert (known.name, known.engine) == ("db", host.engine.id)
    await host.services.endpoints.delete(A, E1)
    await host.services.ipam.release_address(lease.pool, lease.address)
    assert lease_of(host, "10.32.0.2").state is State.FIXED  # type: ignore[union-attr]
    assert await hold(operated, "10.32.0.2") == []


async def test_a_held_address_may_belong_to_a_key_and_be_kept(host: MemoryHost, operated: Operations) -> None:
    """The key is the text of the label, and has the hold time; a configuration that names it needs no note."""
    run_container(host, DB, "db", "e1", "10.32.0.2", wanted=True)
    before = host.services.cache.revision
    (change,) = await hold(operated, "10.32.0.2", "shop", 3600.0, dry=True)
    assert host.services.cache.revision == before
    assert change == (await hold(operated, "10.32.0.2", "shop", 3600.0))[0]
    assert change.note == ""
    lease = lease_of(host, "10.32.0.2")
    assert lease is not None
    assert (lease.key, lease.hold, lease.until) == ("key:shop", 3600.0, None)


async def test_an_idle_address_gets_another_key_and_time(host: MemoryHost, operated: Operations) -> None:
    """Kept from now on; the same again is a later end."""
    await fix(host, "10.32.0.9", until=host.clock.now() + 60)
    (change,) = await hold(operated, "10.32.0.9", "name:web", 7200.0)
    assert change.after.startswith("fixed for the container named web until")
    lease = lease_of(host, "10.32.0.9")
    assert lease is not None
    assert (lease.key, lease.until) == ("name:web", host.clock.now() + 7200)


async def test_a_key_has_one_address_of_a_family(host: MemoryHost, operated: Operations) -> None:
    """Another one that is held is a conflict; one that only waits is given up."""
    await fix(host, "10.32.0.9", DB, key="key:shop")
    await fix(host, "10.32.0.10", WEB, key="key:web")
    with pytest.raises(Conflict, match=r"the key key:shop has 10\.32\.0\.9 .*held by container name-d"):
        await hold(operated, "10.32.0.10", "shop")
    await fix(host, "10.32.0.9", key="key:shop", until=host.clock.now() + 60)
    run_container(host, DB, "db", "e1", "10.32.0.2")
    await hold(operated, "10.32.0.2", "shop")
    assert lease_of(host, "10.32.0.9").state is State.COOLING  # type: ignore[union-attr]


async def test_a_container_has_one_fixed_address_of_a_family(host: MemoryHost, operated: Operations) -> None:
    """Otherwise it would get the other one at its next start."""
    await fix(host, "10.32.0.9", DB)
    run_container(host, DB, "db", "e1", "10.32.0.2")
    with pytest.raises(Conflict, match=r"container db already has a fixed address in that network: 10\.32\.0\.9"):
        await hold(operated, "10.32.0.2", "other")


async def test_what_no_container_uses_cannot_be_held(host: MemoryHost, operated: Operations) -> None:
    """Free, reserved or a gateway: the text says what it is, and how to keep it."""
    with pytest.raises(Conflict, match=r"it is free; start the container, or keep .*reserve 10\.32\.0\.77 --for NAME"):
        await hold(operated, "10.32.0.77")
    with pytest.raises(Conflict, match="it is gateway"):
        await hold(operated, "10.32.0.1")
    with pytest.raises(Conflict, match=r"Docker lists no container that has 10\.32\.0\.2"):
        await hold(operated, "10.32.0.2")


async def test_a_hold_time_needs_a_key_that_outlives_the_container(host: MemoryHost, operated: Operations) -> None:
    """A container's own key ends with it."""
    run_container(host, DB, "db", "e1", "10.32.0.2")
    with pytest.raises(BadRequest, match="give one with --key"):
        await hold(operated, "10.32.0.2", "", 60.0)


async def test_another_writer_is_first_and_it_is_decided_anew(
    host: MemoryHost, operated: Operations, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stale revision costs a turn, and what the other one did counts."""
    fixed = await fix(host, "10.32.0.9", key="key:a")
    cache, commit = host.services.cache, host.services.cache.commit
    calls = 0

    async def racing(put: object = (), delete: object = ()) -> int:
        nonlocal calls
        calls += 1
        if calls == 1:
            await commit(put=[msgspec.structs.replace(fixed, note="new")])
            raise StaleRevision("x")
        return await commit(put=put, delete=delete)  # type: ignore[arg-type]

    monkeypatch.setattr(cache, "commit", racing)
    assert len(await hold(operated, "10.32.0.9", "b")) == 1
    lease = lease_of(host, "10.32.0.9")
    assert lease is not None
    assert (lease.key, lease.note) == ("key:b", "new")


async def test_in_a_subnet_that_is_shared_with_other_hosts_nothing_is_reserved_without_their_cluster(
    host: MemoryHost, operated: Operations
) -> None:
    """The records of one host do not bind the others (with it: test_new_claims)."""
    await share(host)
    with pytest.raises(
        Unavailable, match=r"10\.32\.0\.0/24 is shared with other hosts, and this host is in no cluster"
    ):
        await reserve(operated, "10.32.0.9")
    assert [lease.state for lease in host.services.cache.every(Lease)] == [State.GATEWAY, State.DYNAMIC]
