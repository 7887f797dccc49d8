"""Subnets and addresses of networks whose interfaces a launcher makes."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from mooring.core.faults import BadRequest, Conflict, NotFound
from mooring.core.pools import described
from mooring.core.requests import AddressRequest, PoolRequest, Role
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
