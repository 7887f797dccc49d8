"""A VNIC is not made where its Docker network, or the engine's request for one, would be refused."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network

import pytest

from mooring.core.faults import Conflict, Forbidden
from mooring.core.leases import Place, State
from mooring.core.requests import AddressRequest, PoolRequest, Role
from mooring.core.reservations import reserved
from mooring.core.vnics import Vnic
from tests.services.operators import operate
from tests.services.vnic_hosts import V4, LauncherHost

LAN = ip_interface("172.16.5.7/24")


@pytest.fixture
async def host() -> LauncherHost:
    host = LauncherHost()
    await host.start()
    return host


async def pool_of(host: LauncherHost, tenant: str = "red") -> str:
    """That of the tenant's network of mode handoff, made before its VNICs."""
    known = host.services.cache.network(await host.handoff(f"n{tenant}", tenant=tenant, mode="handoff"))
    assert known is not None
    return known.ipv4[0].pool


def nothing(host: LauncherHost) -> bool:
    """Whether there is no VNIC, and nothing of one in the kernel."""
    return not list(host.services.cache.every(Vnic)) and not any("mh-" in str(fact) for fact in host.facts)


async def test_an_address_that_is_somebodys_is_no_vnics(host: LauncherHost) -> None:
    """It names him, and how that ends; another tenant may have it."""
    pool = await pool_of(host)
    place = Place("red", ip_address("172.16.5.2"), pool)
    await host.services.cache.commit(put=[reserved(None, place, "lab-1", "a note", None, host.clock.now())])
    await host.services.ipam.request_address(AddressRequest(pool, Role.AUXILIARY, ip_address("172.16.5.3")))
    for address, words in (
        (
            "172.16.5.2",
            r"held by the reservation for lab-1 \(a note\)\); choose .*`mooring lease release 172.16.5.2` first",
        ),
        ("172.16.5.3", r"not free \(held by auxiliary address\); choose another address$"),
        ("172.16.5.1", r"not free \(held by gateway\)"),
    ):
        with pytest.raises(Conflict, match=words):
            await host.vnic("red", address, gateway="")
    assert nothing(host)
    await host.vnic("blue", "172.16.5.2")
    await operate(host).reservations.release("red", ip_address("172.16.5.2"), False, False)
    await host.vnic("red", "172.16.5.2")


async def test_what_a_container_had_is_no_obstacle(host: LauncherHost) -> None:
    """The VNIC ended and comes back, whatever its last container left of a lease."""
    made = await host.vnic("red", "172.16.5.5")
    network = await host.handoff("n1", bridge=made.group.bridge)
    await host.run(network, "e1", "172.16.5.5", made.mac)
    for state in (State.DYNAMIC, State.COOLING):
        await host.services.vnics.destroy(made, force=True)
        lease = host.services.cache.lease("red", made.address)
        assert lease is not None
        assert lease.state is state
        await host.vnic("red", "172.16.5.5")
        if state is State.DYNAMIC:
            await host.end(network, "e1")


async def test_a_subnet_that_its_network_cannot_have_is_refused_at_once(host: LauncherHost) -> None:
    """For what the making of the network would say; where that is there, nobody asks any more."""
    await operate(host).denials.add(ip_network("10.66.0.0/16"), "the office", False)
    with pytest.raises(Forbidden, match=r"10\.66\.1\.0/24 cannot be used: .*the office.*choose another subnet"):
        await host.vnic("red", "10.66.1.5", subnet="10.66.1.0/24", gateway="")
    await host.network("a")  # 10.32.0.0/24
    for subnet in ("10.32.0.0/24", "10.32.0.0/16"):
        with pytest.raises(Conflict, match=r"overlaps 10\.32\.0\.0/24 .*network a0.*or remove that network"):
            await host.vnic("", "10.32.0.9", subnet=subnet, gateway="")
    host.services.ipam.index.keep_out({ip_address("172.16.5.9"): "container lost"})
    with pytest.raises(Conflict, match=r"in use but missing from the records \(held by container lost\)"):
        await host.vnic("red", "172.16.5.5")
    assert nothing(host)
    await host.vnic("red", "10.32.0.9", subnet="10.32.0.0/24", gateway="")  # spaces of tenants never meet
    host.services.ipam.index.keep_out({})
    await pool_of(host, "blue")
    await operate(host).denials.add(ip_network(V4), "late", False)
    await host.vnic("blue", "172.16.5.5")


async def test_a_network_that_is_just_being_made_is_no_obstacle(host: LauncherHost) -> None:
    """The engine asks for the subnet before it tells what for."""
    await host.services.ipam.request_pool(PoolRequest("default", 4, ip_network(V4), options={"tenant": "red"}))
    await host.vnic("red", "172.16.5.5")


async def test_the_host_may_be_in_the_subnet_and_keeps_its_addresses(host: LauncherHost) -> None:
    """As the VNIC's, and as the gateway of a network that is to be made: it would be refused."""
    host.kernel.own = {LAN: "interface eth0 of this host"}
    host.kernel.routes = [LAN.network]
    for address, gateway in (("172.16.5.7", "172.16.5.1"), ("172.16.5.5", "172.16.5.7")):
        with pytest.raises(Conflict, match=r"address 172\.16\.5\.7 is in use \(held by interface eth0 of this host\)"):
            await host.vnic("red", address, gateway=gateway)
    assert nothing(host)
    made = await host.vnic("red", "172.16.5.5")
    network = await host.handoff("n1", bridge=made.group.bridge)
    await host.run(network, "e1", "172.16.5.5", made.mac)
