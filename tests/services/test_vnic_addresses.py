"""Subnets and addresses of networks whose interfaces a launcher makes."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address, ip_interface, ip_network

import pytest

from mooring.core.faults import BadRequest, Conflict, NotFound
from mooring.core.pools import described
from mooring.core.requests import AddressRequest, PoolRequest, Role
from mooring.services.operations.addresses_by_id import Where
from tests.services.operators import operate
from tests.services.vnic_hosts import V4, LauncherHost


@pytest.fixture
async def host() -> LauncherHost:
    host = LauncherHost()
    await host.start()
    return host


async def test_who_names_no_tenant_asks_for_the_announced_one(host: LauncherHost) -> None:
    """Once its network is there, for nobody's again."""
    one = await host.vnic("red", "172.16.5.5")
    network = host.services.cache.network(await host.handoff("n1", bridge=one.group.bridge))
    assert network is not None
    assert described(network.ipv4[0].pool) == ("red", ip_network(V4))
    grant = await host.services.ipam.request_pool(PoolRequest("default", 4, ip_network(V4)))
    assert described(grant.pool) == ("default", ip_network(V4))


async def test_a_tenant_that_is_named_is_believed(host: LauncherHost) -> None:
    """Also when it is `default`, and when another one is announced."""
    await host.vnic("red", "172.16.5.5")
    for tenant in ("default", "blue"):
        grant = await host.services.ipam.request_pool(
            PoolRequest("default", 4, ip_network(V4), options={"tenant": tenant})
        )
        assert described(grant.pool) == (tenant, ip_network(V4))


async def test_of_several_announced_ones_none_is_guessed(host: LauncherHost) -> None:
    """As when their networks were removed, and their VNICs were not."""
    networks = []
    for tenant in ("red", "blue"):
        made = await host.vnic(tenant, "172.16.5.5")
        networks.append(await host.handoff(f"n{tenant}", bridge=made.group.bridge))
    for network in networks:
        await host.services.networks.delete(network)
    with pytest.raises(Conflict, match=r"announced for VNICs of several tenants: blue, red; .*--ipam-opt tenant="):
        await host.services.ipam.request_pool(PoolRequest("default", 4, ip_network(V4)))


async def test_only_addresses_of_vnics_are_given(host: LauncherHost) -> None:
    """By the address, or by the MAC; others are refused with what makes them."""
    made = await host.vnic("red", "172.16.5.5")
    known = host.services.cache.network(await host.handoff("n1", bridge=made.group.bridge))
    assert known is not None
    pool, ask = known.ipv4[0].pool, host.services.ipam.request_address
    with pytest.raises(
        NotFound, match=r"no VNIC of subnet 172.16.5.0/24 of tenant red has address 172.16.5.9; make it"
    ):
        await ask(AddressRequest(pool, Role.ENDPOINT, ip_address("172.16.5.9"), made.mac))
    with pytest.raises(BadRequest, match="no addresses but those of VNICs; give one of them with --ip"):
        await ask(AddressRequest(pool, Role.ENDPOINT, None, "02:00:00:00:00:99"))
    assert str(await ask(AddressRequest(pool, Role.ENDPOINT, None, made.mac))) == "172.16.5.5/24"
    assert str(await ask(AddressRequest(pool, Role.ENDPOINT, made.address, made.mac))) == "172.16.5.5/24"


async def test_by_hand_nothing_is_taken_where_vnics_are(host: LauncherHost) -> None:
    """Neither reserved, allocated, claimed nor exposed; who names no network gets an address of another one."""
    made = await host.vnic("", "172.16.5.5")
    ident = await host.handoff("n1", bridge=made.group.bridge)
    operations, address = operate(host), ip_address("172.16.5.2")
    by_id, here = operations.addresses_by_id, asyncio.Event()
    words = "network n1.* gives the addresses of VNICs alone; `mooring vnic create` makes one"
    with pytest.raises(BadRequest, match=words):
        await operations.reservations.reserve(None, address, address, "lab-1", "", None, True)
    for where in (Where(network=ident), Where(ip_network(V4)), Where()):
        with pytest.raises(BadRequest, match=words):
            await by_id.allocate("lab-1", where, check_alive=False, wait=0.0, hung_up=here)
    with pytest.raises(BadRequest, match=words):
        await by_id.claim("lab-1", ip_interface("172.16.5.2/24"), Where(), check_alive=False, no_error_on_unknown=True)
    with pytest.raises(Conflict, match="has no bridge on this host"):
        await operations.exposing.expose(ident, [address])
    await host.network("a")
    got = await by_id.allocate("lab-1", Where(), check_alive=False, wait=0.0, hung_up=here)
    assert str(got) == "10.32.0.2/24"


async def test_what_is_a_vnics_is_not_set_aside(host: LauncherHost) -> None:
    """`docker network create --aux-address`, which Docker asks for before it makes the network."""
    made = await host.vnic("red", "172.16.5.5")
    grant = await host.services.ipam.request_pool(PoolRequest("default", 4, ip_network(V4)))
    ask = host.services.ipam.request_address
    with pytest.raises(
        Conflict, match=rf"172.16.5.5 is not free \(held by VNIC 172.16.5.5 .*`mooring vnic rm {made.id}"
    ):
        await ask(AddressRequest(grant.pool, Role.AUXILIARY, made.address))
    await ask(AddressRequest(grant.pool, Role.AUXILIARY, ip_address("172.16.5.6")))
