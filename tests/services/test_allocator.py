"""ipam/allocator: addresses as dockerd asks for them, over the store in memory."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from mooring.core.addresses import parse_interface
from mooring.core.faults import BadRequest, Conflict, Exhausted, NotFound
from mooring.core.leases import Active, State
from mooring.core.requests import AddressRequest, Role
from tests.services.ipam_hosts import Host, state


@pytest.fixture
def host() -> Host:
    """Nothing there yet."""
    return Host()


@pytest.mark.parametrize(
    ("subnet", "expected"),
    [
        ("10.0.0.0/29", ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4", "10.0.0.5", "10.0.0.6"]),
        ("10.0.0.0/31", ["10.0.0.0", "10.0.0.1"]),
        ("10.0.0.1/32", ["10.0.0.1"]),
        ("fd00::/126", ["fd00::1", "fd00::2", "fd00::3"]),
        ("fd00::/127", ["fd00::", "fd00::1"]),
        ("fd00::7/128", ["fd00::7"]),
    ],
)
async def test_a_pool_gives_each_usable_address_once_and_then_says_who_has_them(
    host: Host, subnet: str, expected: list[str]
) -> None:
    """Network, broadcast and anycast addresses never; the error names the pool, its subnet, counts and a command."""
    pool = await host.bare(subnet)
    length = subnet.partition("/")[2]
    assert [await host.ask(pool) for _ in expected] == [f"{each}/{length}" for each in expected]
    with pytest.raises(Exhausted) as caught:
        await host.ask(pool)
    for part in (pool, subnet, f"{len(expected)} dynamic", f"mooring lease ls --pool {pool}"):
        assert part in str(caught.value)


async def test_a_range_limits_the_choice_but_not_the_prefix_length_nor_what_is_named(host: Host) -> None:
    """Endpoints without a wish come from the range, with the subnet's length; wishes and aux may be outside of it."""
    grant = await host.pool("10.0.0.0/24", "10.0.0.64/30")
    assert [await host.ask(grant.pool) for _ in range(4)] == [f"10.0.0.{n}/24" for n in (64, 65, 66, 67)]
    with pytest.raises(Exhausted) as caught:
        await host.ask(grant.pool)
    assert "range 10.0.0.64/30 of subnet 10.0.0.0/24 is full: 4 of 4 addresses of pool" in str(caught.value)
    assert await host.ask(grant.pool, "10.0.0.200") == "10.0.0.200/24"
    aux = await host.ipam.request_address(AddressRequest(grant.pool, Role.AUXILIARY, ip_address("10.0.0.9")))
    assert str(aux) == "10.0.0.9/24"


async def test_an_unknown_pool_is_not_found(host: Host) -> None:
    """Never an empty address."""
    with pytest.raises(NotFound):
        await host.ask("nonsense")


@pytest.mark.parametrize("address", ["10.0.0.0", "10.0.0.255", "10.0.1.1", "fd00::1"])
@pytest.mark.parametrize("role", list(Role))
async def test_addresses_that_cannot_be_are_refused_in_every_role(host: Host, address: str, role: Role) -> None:
    """Network, broadcast, outside, other family: BadRequest, and nothing is written."""
    grant = await host.pool()
    with pytest.raises(BadRequest):
        await host.ipam.request_address(AddressRequest(grant.pool, role, ip_address(address)))
    assert host.store.commits == 1


async def test_an_auxiliary_address_is_kept_from_endpoints(host: Host) -> None:
    """Asked for twice it is one; it is neither chosen nor given to a wish, and not chosen without a name."""
    grant = await host.pool("10.0.0.0/29")
    request = AddressRequest(grant.pool, Role.AUXILIARY, ip_address("10.0.0.2"))
    assert await host.ipam.request_address(request) == await host.ipam.request_address(request)
    assert await host.ask(grant.pool) == "10.0.0.3/29"
    with pytest.raises(Conflict, match="auxiliary"):
        await host.ask(grant.pool, "10.0.0.2")
    with pytest.raises(Conflict, match="gateway"):
        await host.ask(grant.pool, "10.0.0.1")
    with pytest.raises(BadRequest):
        await host.ipam.request_address(AddressRequest(grant.pool, Role.AUXILIARY))


async def test_the_gateway_moves_in_one_commit_when_another_is_named(host: Host) -> None:
    """The old one is free then; without a name the present one is answered; what is in use cannot become gateway."""
    grant = await host.pool("10.0.0.0/29")
    moved = await host.ipam.request_address(AddressRequest(grant.pool, Role.GATEWAY, ip_address("10.0.0.6")))
    assert str(moved) == "10.0.0.6/29"
    assert host.store.commits == 2
    assert host.lease("10.0.0.1") is None
    assert await host.ipam.request_address(AddressRequest(grant.pool, Role.GATEWAY)) == moved
    assert await host.ipam.request_address(AddressRequest(grant.pool, Role.GATEWAY, ip_address("10.0.0.6"))) == moved
    assert await host.ask(grant.pool) == "10.0.0.1/29"
    with pytest.raises(Conflict, match=f"10.0.0.1 of pool {grant.pool} is not free: it is in use"):
        await host.ipam.request_address(AddressRequest(grant.pool, Role.GATEWAY, ip_address("10.0.0.1")))
    assert host.known(grant.pool).gateway == ip_address("10.0.0.6")


async def test_asking_twice_is_one_allocation_until_an_endpoint_has_the_address(host: Host) -> None:
    """The same MAC gets the same answer without a commit; when the address is in use, another one."""
    grant = await host.pool()
    await host.bind(grant.pool)
    first = await host.ask(grant.pool, mac="02:00:00:00:00:07")
    commits = host.store.commits
    assert await host.ask(grant.pool, mac="02:00:00:00:00:07") == first
    assert host.store.commits == commits
    assert await host.ask(grant.pool, mac="02:00:00:00:00:08") != first
    lease = host.lease(first.partition("/")[0])
    assert lease is not None
    await host.endpoint("e1", parse_interface(first))
    assert await host.ask(grant.pool, mac="02:00:00:00:00:07") != first


async def test_a_container_that_lost_its_endpoint_gets_its_address_again_by_name(host: Host) -> None:
    """With another MAC, in a network of ours; where endpoints are not seen, the name alone proves nothing."""
    grant = await host.pool()
    other = await host.pool("10.0.1.0/24")
    await host.bind(grant.pool)
    first = await host.ask(grant.pool, mac="02:00:00:00:00:07", name="web")
    assert await host.ask(grant.pool, mac="02:00:00:00:00:09", name="web") == first
    unseen = await host.ask(other.pool, mac="02:00:00:00:00:07", name="web")
    assert await host.ask(other.pool, mac="02:00:00:00:00:09", name="web") != unseen
    assert await host.ask(other.pool, mac="02:00:00:00:00:07", name="web") == unseen


async def test_an_address_by_name_is_given_once_and_the_holder_is_named(host: Host) -> None:
    """Again to the same owner while no endpoint has it; to others never."""
    grant = await host.pool()
    await host.bind(grant.pool)
    assert await host.ask(grant.pool, "10.0.0.9", name="web", mac="02:00:00:00:00:07") == "10.0.0.9/24"
    assert await host.ask(grant.pool, "10.0.0.9", name="web", mac="02:00:00:00:00:07") == "10.0.0.9/24"
    with pytest.raises(Conflict, match="web"):
        await host.ask(grant.pool, "10.0.0.9", name="db", mac="02:00:00:00:00:08")
    with pytest.raises(Conflict):
        await host.ask(grant.pool, "10.0.0.9")
    await host.endpoint("e1", parse_interface("10.0.0.9/24"))
    with pytest.raises(Conflict, match="endpoint e1"):
        await host.ask(grant.pool, "10.0.0.9", name="web", mac="02:00:00:00:00:07")


async def test_an_endpoint_elsewhere_with_the_same_address_is_not_in_the_way(host: Host) -> None:
    """Networks of other spaces may use the same subnet."""
    grant = await host.pool(space="one")
    other = await host.pool(space="two")
    await host.bind(grant.pool)
    await host.endpoint("e1", parse_interface("10.0.0.9/24"))
    assert await host.ask(other.pool, "10.0.0.9") == "10.0.0.9/24"


async def test_releasing_what_is_not_held_is_success(host: Host) -> None:
    """Unknown pool, free address, outside, another pool's, twice: nothing changes, nothing is raised."""
    grant = await host.pool()
    other = await host.pool("10.0.1.0/24")
    address = parse_interface(await host.ask(other.pool)).ip
    before = host.store.records
    await host.ipam.release_address("nonsense", address)
    await host.ipam.release_pool("nonsense")
    await host.ipam.release_address(grant.pool, address)
    await host.ipam.release_address(grant.pool, ip_address("10.0.0.77"))
    await host.ipam.release_address(grant.pool, ip_address("fd00::1"))
    assert host.store.records == before
    await host.ipam.release_address(other.pool, address)
    cooling = host.store.records
    await host.ipam.release_address(other.pool, address)
    assert host.store.records == cooling


async def test_a_late_release_does_not_take_an_address_from_an_endpoint(host: Host) -> None:
    """While an endpoint has it, it stays leased."""
    grant = await host.pool()
    await host.bind(grant.pool)
    address = parse_interface(await host.ask(grant.pool))
    endpoint = await host.endpoint("e1", address)
    await host.ipam.release_address(grant.pool, address.ip)
    assert state(host, address.ip) is State.DYNAMIC
    await host.cache.commit(delete=[endpoint])
    await host.ipam.release_address(grant.pool, address.ip)
    assert state(host, address.ip) is State.COOLING


async def test_a_fixed_address_outlives_its_release(host: Host) -> None:
    """It is idle then, is never chosen, and who names it gets it (claim policy explicit)."""
    pool = await host.bare("10.0.0.0/31")
    await host.put(pool, "10.0.0.0", State.FIXED, key="web", active=Active("e", "h", "b"))
    with pytest.raises(Conflict, match="key web"):
        await host.ask(pool, "10.0.0.0")
    await host.ipam.release_address(pool, ip_address("10.0.0.0"))
    lease = host.lease("10.0.0.0")
    assert lease is not None
    assert (lease.state, lease.key, lease.active) == (State.FIXED, "web", None)
    assert await host.ask(pool) == "10.0.0.1/31"
    with pytest.raises(Exhausted):
        await host.ask(pool)
    assert await host.ask(pool, "10.0.0.0") == "10.0.0.0/31"
    assert state(host, ip_address("10.0.0.0")) is State.FIXED


async def test_a_reserved_address_is_for_whom_it_was_reserved_and_returns_to_them(host: Host) -> None:
    """Others are refused with the note; after a release it is reserved again."""
    grant = await host.pool()
    await host.put(grant.pool, "10.0.0.9", State.RESERVED, whom="web-*", note="moving house")
    with pytest.raises(Conflict, match=r"web-\* \(moving house\)"):
        await host.ask(grant.pool, "10.0.0.9", name="db")
    assert await host.ask(grant.pool, "10.0.0.9", name="web-1") == "10.0.0.9/24"
    await host.ipam.release_address(grant.pool, ip_address("10.0.0.9"))
    lease = host.lease("10.0.0.9")
    assert lease is not None
    assert (lease.state, lease.whom, lease.name) == (State.RESERVED, "web-*", "")


async def test_a_full_pool_is_passed_over_for_another_of_its_network(host: Host) -> None:
    """The answer has the other pool's prefix length, and its release finds it; other networks are left alone."""
    first, second, stranger = (
        await host.pool("10.0.0.0/30"),
        await host.pool("10.0.1.0/29"),
        await host.pool("10.9.0.0/24"),
    )
    v6 = await host.pool("fd00::/64")
    await host.bind(first.pool, second.pool, v6.pool)
    assert await host.ask(first.pool) == "10.0.0.2/30"
    passed_over = await host.ask(first.pool, mac="02:00:00:00:00:07")
    assert passed_over == "10.0.1.2/29"
    assert await host.ask(first.pool, mac="02:00:00:00:00:07") == passed_over
    await host.ipam.release_address(first.pool, ip_address("10.0.1.2"))
    assert state(host, ip_address("10.0.1.2")) is State.COOLING
    for _ in range(5):
        await host.ask(first.pool)
    with pytest.raises(Exhausted):
        await host.ask(first.pool)
    assert host.ipam.index.counts(stranger.pool).total() == 1
