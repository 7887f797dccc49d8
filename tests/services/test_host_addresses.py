"""What the host has itself is in no network of ours: not carved over, no gateway, given to nobody."""

from __future__ import annotations

from ipaddress import ip_address, ip_interface, ip_network

import pytest

from mooring.core.endpoints import Endpoint
from mooring.core.faults import Conflict, Unavailable
from mooring.core.pools import Pool
from mooring.core.requests import AddressRequest, PoolRequest, Role
from mooring.ports import HostNet
from tests.services.holder_hosts import HolderHost
from tests.services.hosts import MemoryHost
from tests.services.ipam_hosts import Host

LO = "interface lo of this host"


async def started(*own: str) -> Host:
    """An Ipam on a host that has these addresses."""
    host = Host(own={ip_interface(address): LO for address in own})
    await host.cache.load()
    return host


@pytest.mark.parametrize(("version", "first", "second"), [(4, "10.32.0.0/24", "10.32.1.0/24")])
async def test_a_subnet_is_not_carved_over_it(version: int, first: str, second: str) -> None:
    """The next one is taken."""
    request = PoolRequest("default", version, length=24)
    assert (await (await started()).ipam.request_pool(request)).subnet == ip_network(first)
    assert (await (await started("10.32.0.2")).ipam.request_pool(request)).subnet == ip_network(second)


async def test_it_is_no_gateway_and_no_endpoints_address() -> None:
    """Of those that are chosen it is passed over."""
    host = await started("10.0.0.1", "10.0.0.3", "10.0.0.4")
    grant = await host.pool("10.0.0.0/29")
    assert str(grant.gateway) == "10.0.0.2/29"
    given = [await host.ask(grant.pool, mac=f"02:00:00:00:00:0{number}") for number in (1, 2)]
    assert given == ["10.0.0.5/29", "10.0.0.6/29"]


async def test_who_names_it_is_refused_with_the_holder() -> None:
    """As an endpoint's address and as a gateway; set aside, it is given to nobody, as it should be."""
    host = await started("10.0.0.9")
    pool = (await host.pool("10.0.0.0/24")).pool
    for role in (Role.ENDPOINT, Role.GATEWAY):
        with pytest.raises(Conflict, match=LO):
            await host.ipam.request_address(AddressRequest(pool, role, ip_address("10.0.0.9"), "02:00:00:00:00:01"))
    aside = AddressRequest(pool, Role.AUXILIARY, ip_address("10.0.0.9"))
    assert str(await host.ipam.request_address(aside)) == "10.0.0.9/24"


async def test_what_the_host_gets_later_is_given_out_no_more() -> None:
    """A pass notices, and notices when it has gone again; whoever has it keeps it."""
    host = await MemoryHost().start()
    network = await host.network("a")
    await host.endpoint(network, "old")
    host.kernel.own = {ip_interface("10.32.0.2"): LO, ip_interface("10.32.0.3"): LO}
    await host.services.repair.once()
    await host.endpoint(network, "new")
    addresses = {str(endpoint.ipv4) for endpoint in host.services.cache.every(Endpoint)}
    assert addresses == {"10.32.0.2/24", "10.32.0.4/24"}
    (pool, *_) = (each.id for each in host.services.cache.every(Pool))
    spec = AddressRequest(pool, Role.ENDPOINT, ip_address("10.32.0.3"), "02:00:00:00:00:03")
    with pytest.raises(Conflict, match=LO):
        await host.services.ipam.request_address(spec)
    host.kernel.own = {}
    await host.services.repair.once()
    assert str(await host.services.ipam.request_address(spec)) == "10.32.0.3/24"


async def test_what_came_a_moment_ago_is_given_to_nobody() -> None:
    """No pass in between: neither chosen, nor said again to who had asked for it, nor given to who names it; and what
    has gone again is free at once."""
    host = await MemoryHost().start()
    network = await host.network("a")
    pool = next(host.services.cache.every(Pool)).id
    mine = AddressRequest(pool, Role.ENDPOINT, None, "02:00:00:00:00:01")
    asked = await host.services.ipam.request_address(mine)
    host.kernel.own = {ip_interface("10.32.0.2"): LO, ip_interface("10.32.0.3"): LO}
    host.kernel.routes = [ip_network("10.32.0.4/32")]
    assert str(asked.ip) == "10.32.0.2"
    assert str(await host.services.ipam.request_address(mine)) == "10.32.0.5/24"
    await host.endpoint(network, "new")
    assert {str(endpoint.ipv4) for endpoint in host.services.cache.every(Endpoint)} == {"10.32.0.6/24"}
    spec = AddressRequest(pool, Role.ENDPOINT, ip_address("10.32.0.3"), "02:00:00:00:00:03")
    with pytest.raises(Conflict, match=LO):
        await host.services.ipam.request_address(spec)
    host.kernel.own = {}
    assert str(await host.services.ipam.request_address(spec)) == "10.32.0.3/24"


async def test_who_names_an_address_that_a_route_leads_away_from_has_it() -> None:
    """Its neighbours reach it: what worked before the route came goes on to."""
    host = Host(routes=[ip_network("10.0.0.3/32")])
    await host.cache.load()
    pool = (await host.pool("10.0.0.0/29")).pool
    assert await host.ask(pool, mac="02:00:00:00:00:01") == "10.0.0.2/29"
    assert await host.ask(pool, mac="02:00:00:00:00:02") == "10.0.0.4/29"
    assert await host.ask(pool, "10.0.0.3", mac="02:00:00:00:00:03") == "10.0.0.3/29"


async def test_a_kernel_that_cannot_be_read_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was known last holds, and the next request asks again."""
    host = await started("10.0.0.2")
    pool = (await host.pool("10.0.0.0/29")).pool

    async def fail() -> HostNet:
        raise Unavailable("no netlink")

    with monkeypatch.context() as patch:
        patch.setattr(host, "host_net", fail)
        assert await host.ask(pool, mac="02:00:00:00:00:01") == "10.0.0.3/29"
    host.own = {ip_interface("10.0.0.4"): LO}
    assert await host.ask(pool, mac="02:00:00:00:00:02") == "10.0.0.5/29"


async def test_a_container_is_not_created_with_what_came_a_moment_ago() -> None:
    """By name it is refused; otherwise it gets another one."""
    host = HolderHost()
    host.typed = True
    await host.serve("web")
    host.kernel.own = {ip_interface("10.32.0.2"): LO, ip_interface("10.32.0.9"): LO}
    with pytest.raises(Conflict, match=LO):
        await host.keeping.controller.create("db", host.spec("web", ipv4="10.32.0.9"), (1, 44))
    made = await host.keeping.controller.create("db", host.spec("web"), (1, 44))
    assert made is not None
    assert {str(grant.ipv4) for grant in made.grants.values()} == {"10.32.0.3"}


async def test_a_container_cannot_hold_it() -> None:
    """Refused at create, not at the start."""
    host = HolderHost()
    host.typed = True
    await host.serve("web")
    host.kernel.own = {ip_interface("10.32.0.9"): LO}
    await host.services.repair.once()
    with pytest.raises(Conflict, match=LO):
        await host.keeping.controller.create("db", host.spec("web", ipv4="10.32.0.9"), (1, 44))
