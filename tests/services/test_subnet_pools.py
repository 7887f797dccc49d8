"""Subnet pools in the store beside declared ones: made, changed and removed, chosen by networks, and by whom used."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from ipaddress import ip_network

import pytest

from mooring.core.faults import BadRequest, Conflict, Exhausted, Forbidden, NotFound, Unavailable
from mooring.core.networks import Subnet
from mooring.core.pools import SubnetPool
from mooring.core.requests import NetworkRequest, PoolGrant, PoolRequest, SegmentRequest
from mooring.core.subnet_pools import Alteration, covers
from mooring.services.ipam.allocator import IpamPolicy
from mooring.services.ipam.subnet_pools import MOST, users_of
from mooring.testing.memory_store import When
from tests.services.hosts import MemoryHost
from tests.services.ipam_hosts import POLICY, Host

SAME = Alteration()


def nets(*texts: str) -> list[Subnet]:
    """The subnets."""
    return [ip_network(text) for text in texts]


@pytest.fixture
async def host() -> Host:
    """An empty one, with declared subnet pools of both families."""
    return Host()


async def create(host: Host, name: str = "lab", *prefixes: str, space: str = "default", **wish: object) -> None:
    """The subnet pool is there."""
    some = prefixes or ("10.64.0.0/22",)
    await host.ipam.subnet_pools.create(name, space, nets(*some), Alteration(**wish), False)  # type: ignore[arg-type]


async def carve(host: Host, version: int = 4, space: str = "default", **options: str) -> PoolGrant:
    """As `docker network create --ipam-opt ...` asks for one family."""
    return await host.ipam.request_pool(PoolRequest(space, version, options=options))


async def test_a_subnet_pool_is_stored_before_it_is_answered_and_there_after_a_restart(host: Host) -> None:
    """With everything that was said of it; the change names each thing."""
    made = await host.ipam.subnet_pools.create(
        "lab",
        "default",
        nets("10.64.0.0/22", "10.70.0.0/24"),
        Alteration(length=26, note="  tests  ", position=3),
        False,
    )
    assert {(each.what, each.after) for each in made} == {
        ("name", "lab"), ("space", "default"), ("prefixes", "10.64.0.0/22, 10.70.0.0/24"), ("length", "/26"),
        ("min_length", "/1"), ("max_length", "/30"), ("default", "3"), ("note", "tests"),
    }  # fmt: skip
    before = host.cache.subnet_pool("lab")
    await host.restart()
    assert host.cache.subnet_pool("lab") == before
    assert before is not None
    assert (before.declared, before.since, before.note) == (False, host.clock.now(), "tests")


async def test_making_the_same_again_changes_nothing_and_another_of_the_name_is_refused(host: Host) -> None:
    """A command whose answer was lost can be given again."""
    await create(host)
    commits = host.store.commits
    assert await host.ipam.subnet_pools.create("lab", "default", nets("10.64.0.0/22"), SAME, False) == []
    assert host.store.commits == commits
    with pytest.raises(Conflict, match="subnet pool lab of the store has the same name"):
        await create(host, "lab", "10.80.0.0/16")


@pytest.mark.parametrize(
    ("name", "space", "prefix", "text"),
    [
        ("default4", "default", "10.64.0.0/16", "default4 of the configuration has the same name"),
        ("default4", "blue", "10.64.0.0/16", "default4 of the configuration has the same name"),
        ("new", "default", "10.32.0.0/24", "default4 of the configuration has 10.32.0.0/12, which overlaps"),
        ("new", "default", "10.0.0.0/8", "default4 of the configuration has 10.32.0.0/12, which overlaps"),
        ("new", "blue", "10.90.0.0/24", "blue4 of the store has 10.90.0.0/16, which overlaps 10.90.0.0/24"),
    ],
)
async def test_two_subnet_pools_are_never_in_each_others_way(
    host: Host, name: str, space: str, prefix: str, text: str
) -> None:
    """A name is given once on a host, a prefix once in a space: the other one is named."""
    await create(host, "blue4", "10.90.0.0/16", space="blue")
    with pytest.raises(Conflict, match=text):
        await create(host, name, prefix, space=space)
    assert [pool.name for pool in host.cache.every(SubnetPool)] == ["blue4"]
    await create(host, "same-prefix-elsewhere", "10.90.0.0/16")


async def test_nothing_is_changed_by_a_dry_run(host: Host) -> None:
    """It says what would be, and refuses what would be refused."""
    pools = host.ipam.subnet_pools
    assert await pools.create("lab", "default", nets("10.64.0.0/22"), SAME, True)
    await create(host)
    commits = host.store.commits
    assert [each.after for each in await pools.alter("lab", Alteration(length=26), True)] == ["/26"]
    assert await pools.remove("lab", True)
    with pytest.raises(Conflict):
        await pools.create("lab", "default", nets("10.99.0.0/22"), SAME, True)
    assert host.store.commits == commits


async def test_a_declared_one_is_changed_where_it_is_declared(host: Host) -> None:
    """The command says where; an unknown one is answered with those that there are."""
    pools = host.ipam.subnet_pools
    await create(host)
    for call in (pools.alter("default4", Alteration(note="x"), False), pools.remove("default4", False)):
        with pytest.raises(Forbidden, match=r"default4 is declared in the configuration.*\[\[subnet_pools\]\]"):
            await call
    for call in (pools.alter("nope", Alteration(note="x"), False), pools.remove("nope", False)):
        with pytest.raises(NotFound, match="there is no subnet pool 'nope'; there are default4, default6, lab"):
            await call


async def test_it_grows_under_load_and_shrinks_by_what_is_free(host: Host) -> None:
    """Full; a prefix more; then the free half goes, and what a network has does not."""
    await create(host, "lab", "10.64.0.0/24", length=25)
    pools = host.ipam.subnet_pools
    grants = [await carve(host, pool="lab") for _ in range(2)]
    with pytest.raises(Exhausted, match=r"subnet pool lab is full: it has no free /25 \(100% carved, nothing left"):
        await carve(host, pool="lab")
    await pools.alter("lab", Alteration(add=tuple(nets("10.64.1.0/24"))), False)
    assert host.cache.subnet_pool("lab").prefixes == tuple(nets("10.64.0.0/23"))  # type: ignore[union-attr]
    third = await carve(host, pool="lab")
    assert str(third.subnet) == "10.64.1.0/25"
    with pytest.raises(Conflict, match=rf"cannot shrink so far: a network.*{third.pool} \(10.64.1.0/25\)"):
        await pools.alter("lab", Alteration(remove=tuple(nets("10.64.1.0/24"))), False)
    await pools.alter("lab", Alteration(remove=tuple(nets("10.64.1.128/25"))), False)
    with pytest.raises(Exhausted):
        await carve(host, pool="lab")
    for grant in grants:
        await host.ipam.release_pool(grant.pool)
    await pools.alter("lab", Alteration(remove=tuple(nets("10.64.0.0/24"))), False)
    assert host.cache.subnet_pool("lab").prefixes == tuple(nets("10.64.1.0/25"))  # type: ignore[union-attr]
    assert await pools.alter("lab", Alteration(remove=tuple(nets("10.64.0.0/24"))), False) == []


async def test_growing_over_another_one_is_refused(host: Host) -> None:
    """As making one is."""
    await create(host)
    await create(host, "next", "10.65.0.0/16")
    with pytest.raises(Conflict, match=r"subnet pool next of the store has 10.65.0.0/16"):
        await host.ipam.subnet_pools.alter("lab", Alteration(add=tuple(nets("10.65.3.0/24"))), False)
    with pytest.raises(Conflict, match="subnet pool next of the store has the same name"):
        await host.ipam.subnet_pools.alter("lab", Alteration(name="next"), False)


async def test_a_typed_subnet_that_names_no_subnet_pool_is_in_nobodys_way(host: Host) -> None:
    """It is passed over when subnets are carved, and does not hinder a change."""
    await create(host)
    await host.pool("10.64.0.0/24")
    assert str((await carve(host, pool="lab")).subnet) == "10.64.1.0/24"
    assert users_of(host.cache.subnet_pool("lab"), host.cache, ())[0].source == "lab"  # type: ignore[arg-type]
    await host.ipam.subnet_pools.alter("lab", Alteration(remove=tuple(nets("10.64.0.0/24"))), False)


async def test_renaming_and_removing_wait_for_the_networks_and_name_them() -> None:
    """By the name that the engine has for them; the rest can change meanwhile."""
    host = await MemoryHost().start()
    ipam = host.services.ipam
    await ipam.subnet_pools.create("lab", "default", nets("10.64.0.0/22"), SAME, False)
    for number in range(7):
        grant = await ipam.request_pool(PoolRequest("default", 4, options={"pool": "lab", "prefixlen": "28"}))
        part = SegmentRequest("default", grant.subnet, grant.gateway)
        await host.services.networks.create(
            NetworkRequest(f"{number}".ljust(64, "a"), {}, False, (part,), (), name=f"n{number}")
        )
    who = r"7 networks have subnets of it \(held by network n0 \(10.64.0.0/28\), .* and 2 more\); remove those networks"
    with pytest.raises(Conflict, match=f"subnet pool lab cannot be renamed: {who}"):
        await ipam.subnet_pools.alter("lab", Alteration(name="other"), False)
    with pytest.raises(Conflict, match=f"subnet pool lab cannot be removed: {who}"):
        await ipam.subnet_pools.remove("lab", False)
    assert len(await ipam.subnet_pools.alter("lab", Alteration(note="in use", length=27, position=9), False)) == 3
    for number in range(7):
        await host.services.networks.delete(f"{number}".ljust(64, "a"))
    assert [each.what for each in await ipam.subnet_pools.alter("lab", Alteration(name="other"), False)] == ["name"]
    assert [pool.name for pool in host.services.cache.every(SubnetPool)] == ["other"]
    await ipam.subnet_pools.remove("other", False)
    assert host.services.cache.count(SubnetPool) == 0


async def test_an_option_for_a_family_that_the_network_does_not_have_is_refused() -> None:
    """The engine never asks for that family, so that it would be ignored otherwise; nothing is left of the attempt."""
    host = await MemoryHost().start()
    for option in ("pool6", "prefixlen6"):
        value = "default6" if option == "pool6" else "80"
        grant = await host.services.ipam.request_pool(PoolRequest("default", 4, options={option: value}))
        part = SegmentRequest("default", grant.subnet, grant.gateway)
        with pytest.raises(BadRequest, match=f"IPAM option {option} is for IPv6.*add --ipv6, or leave it out"):
            await host.services.networks.create(NetworkRequest("a" * 64, {}, False, (part,), ()))
        assert host.services.cache.network("a" * 64) is None
        await host.services.ipam.release_pool(grant.pool)


@pytest.mark.parametrize("told", [{}, {"pool": "default4"}])
async def test_an_option_of_the_driver_that_the_ipam_driver_was_not_told_is_refused(told: dict[str, str]) -> None:
    """Compose says it so, and the proxy tells both; without the proxy it would be ignored."""
    host = await MemoryHost().start()
    await host.services.ipam.subnet_pools.create("lab", "default", nets("10.64.0.0/22"), SAME, False)
    for options, fine in ((told, False), ({"pool": "lab"}, True)):
        grant = await host.services.ipam.request_pool(PoolRequest("default", 4, options=options))
        part = SegmentRequest("default", grant.subnet, grant.gateway)
        request = NetworkRequest("a" * 64, {"mooring.pool": "lab"}, False, (part,), ())
        if fine:
            await host.services.networks.create(request)
            continue
        with pytest.raises(BadRequest, match=r"mooring.pool=lab has not reached the IPAM driver.*--ipam-opt pool=lab"):
            await host.services.networks.create(request)
        await host.services.ipam.release_pool(grant.pool)


@pytest.mark.parametrize("when", list(When))
async def test_a_commit_whose_answer_is_lost_leaves_all_or_nothing(host: Host, when: When) -> None:
    """Each change is one commit: killed before it or after it, there is the old or the new one, and again is fine."""

    def step(number: int) -> Awaitable[object]:
        pools = host.ipam.subnet_pools
        wish = Alteration(name="labs", add=tuple(nets("10.70.0.0/16")))
        return (
            pools.create("lab", "default", nets("10.64.0.0/22"), SAME, False) if number == 0
            else pools.alter("lab", wish, False) if number == 1
            else pools.remove("labs", False)
        )  # fmt: skip

    seen = []
    for number in range(3):
        host.store.fail_next(when)
        with pytest.raises(Unavailable):
            await step(number)
        await host.restart()
        try:
            await step(number)
        except NotFound:
            assert when is When.AFTER  # renamed or removed already: it says so
        seen.append([(pool.name, len(pool.prefixes)) for pool in host.cache.every(SubnetPool)])
    assert seen == [[("lab", 1)], [("labs", 2)], []]


async def test_one_change_is_one_commit(host: Host) -> None:
    """So a kill between steps finds no step to be between; a rename takes the old name with it."""
    sizes: list[tuple[int, int]] = []
    host.store.on_commit = lambda transaction: sizes.append((len(transaction.put), len(transaction.delete)))
    await create(host)
    await host.ipam.subnet_pools.alter("lab", Alteration(name="labs", length=26), False)
    await host.ipam.subnet_pools.remove("labs", False)
    assert sizes == [(1, 0), (1, 1), (0, 1)]


async def test_many_at_once_make_one_of_a_name_and_never_overlap(host: Host) -> None:
    """Thirty-two of one prefix, thirty-two of one name."""
    pools = host.ipam.subnet_pools
    made = await asyncio.gather(
        *(pools.create(f"p{n}", "default", nets("10.64.0.0/16"), SAME, False) for n in range(32)),
        *(pools.create("same", "default", nets(f"10.{70 + n}.0.0/16"), SAME, False) for n in range(32)),
        return_exceptions=True,
    )
    assert sum(isinstance(each, list) for each in made) == 2
    assert {type(each) for each in made} == {list, Conflict}


async def test_carving_and_shrinking_at_once_never_leaves_a_network_outside(host: Host) -> None:
    """Whoever comes first: the subnet is refused, or the shrinking is."""
    await create(host, "lab", "10.64.0.0/20", length=26)
    pools = host.ipam.subnet_pools
    await asyncio.gather(
        *(carve(host, pool="lab") for _ in range(40)),
        *(pools.alter("lab", Alteration(remove=tuple(nets(f"10.64.{n}.0/24"))), False) for n in range(15)),
        return_exceptions=True,
    )
    lab = host.cache.subnet_pool("lab")
    assert lab is not None
    users = users_of(lab, host.cache, ())
    assert users
    assert all(any(covers(prefix, each.subnet) for prefix in lab.prefixes) for each in users)


async def test_another_writer_is_noticed(host: Host) -> None:
    """A record that changed in the store is read again, and decided upon anew."""
    await create(host)
    other = Host(store=host.store, clock=host.clock)
    await other.cache.load()
    await other.ipam.subnet_pools.alter("lab", Alteration(note="theirs"), False)
    await host.ipam.subnet_pools.alter("lab", Alteration(length=26), False)
    lab = host.cache.subnet_pool("lab")
    assert lab is not None
    assert (lab.note, lab.length) == ("theirs", 26)


async def test_a_configuration_that_comes_later_wins_and_the_stored_one_waits(host: Host) -> None:
    """Same name or overlapping prefix: the daemon starts, the declared one is used, the stored one is kept unused."""
    await create(host)
    await create(host, "name", "10.80.0.0/16")
    grant = await carve(host, pool="lab")
    declared = SubnetPool("wide", "default", (ip_network("10.64.0.0/12"),), 24)
    twin = SubnetPool("name", "default", (ip_network("10.96.0.0/16"),), 24)
    host.policy = IpamPolicy(subnet_pools4=(*POLICY.subnet_pools4, declared, twin))
    await host.restart()
    assert [pool.name for pool in host.ipam.subnet_pools.every()] == ["default4", "wide", "name"]
    with pytest.raises(Conflict, match=r"lab is not used: subnet pool wide of the configuration has 10.64.0.0/12"):
        await carve(host, pool="lab")
    assert str((await carve(host, pool="name")).subnet) == "10.96.0.0/24"
    await host.ipam.subnet_pools.remove("name", False)  # the stored one; the network is the declared one's
    with pytest.raises(Conflict, match="cannot be removed"):
        await host.ipam.subnet_pools.remove("lab", False)
    host.policy = POLICY
    await host.restart()
    assert str((await carve(host, pool="lab")).subnet) == "10.64.1.0/24"
    assert host.known(grant.pool).source == "lab"


async def test_there_is_a_bound_on_them(host: Host) -> None:
    """Each is looked at when a subnet is carved."""
    some = [
        SubnetPool(f"p{n}", "default", (ip_network((0x0B000000 + (n << 8), 24)),), 26, 1, 30, None, declared=False)
        for n in range(MOST)
    ]
    await host.cache.commit(put=some)
    with pytest.raises(Conflict, match=f"there are {MOST} subnet pools in the store, which is the most"):
        await create(host)
    assert await host.ipam.subnet_pools.create("p0", "default", nets("11.0.0.0/24"), Alteration(length=26), False) == []
