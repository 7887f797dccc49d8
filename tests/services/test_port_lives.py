"""The lives of network ports, over the doubles: used and let go, in networks that go, and through crashes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mooring.core.endpoints import Endpoint
from mooring.core.faults import Conflict, Fault, NotFound
from mooring.core.filters import PortFilter
from mooring.core.leases import Lease
from mooring.core.network_ports import NetworkPort, PortState
from mooring.core.requests import AddressRequest, Role
from mooring.ports import Transaction
from mooring.testing.memory_store import When
from tests.services.port_hosts import SMALL, WEB, PortHost, host_with

# -- use ---------------------------------------------------------------------------------------------------------------


async def test_a_port_is_used_and_stays_when_its_container_goes() -> None:
    """ACTIVE while it runs, DOWN before and after; the next one has the same."""
    host = await host_with(v6=True)
    port = await host.port()
    first = await host.run("c1", mac=port.mac)
    assert (first.addresses, first.mac) == (port.addresses, port.mac)
    row = host.row(port)
    assert (row.state, row.endpoint, row.warning) == ("ACTIVE", first.id, "")
    await host.stop(first)
    assert host.row(port).state == "DOWN"
    assert host.addresses(port) == [str(each) for each in port.addresses]
    again = await host.run("c2", ip=str(port.addresses[0]), ip6=str(port.addresses[1]), mac=port.mac)
    assert again.addresses == port.addresses


async def test_one_family_named_brings_the_other() -> None:
    """dockerd asks for IPv4 first, and then for any IPv6 address with the same MAC."""
    host = await host_with(v6=True)
    port = await host.port()
    running = await host.run("c1", ip=str(port.addresses[0]))
    assert running.addresses == port.addresses
    assert f"its endpoint has MAC {running.mac}" in host.row(port).warning
    await host.stop(running)
    with pytest.raises(Conflict, match=rf"is used as a whole.*no {port.addresses[0]}"):
        await host.run("c2", ip6=str(port.addresses[1]))
    assert host.row(port).state == "DOWN"


async def test_a_port_in_use_is_refused_in_every_way_and_the_user_named() -> None:
    """By address, by MAC, by the driver option."""
    host = await host_with()
    port = await host.port()
    first = await host.run("c1", mac=port.mac)
    for ways in ({"ip": str(port.addresses[0])}, {"mac": port.mac}, {"ip": str(port.addresses[0]), "port": "db"}):
        with pytest.raises(Conflict, match=f"in use.*{first.id[:12]}"):
            await host.run("c2", **ways)  # type: ignore[arg-type]
    await host.stop(first)
    await host.run("c2", mac=port.mac)


async def test_32_containers_at_once_and_one_has_the_port() -> None:
    """Each way by itself; what the others were promised is free again."""
    host = await host_with(v6=True)
    null = PortHost(policy=SMALL)
    await null.start()
    await null.on_demand()
    port, on_demand = await host.port(), await null.port()
    address = str(port.addresses[0])
    ways: list[tuple[PortHost, NetworkPort, Callable[[str], Awaitable[Endpoint]]]] = [
        (host, port, partial(host.run, ip=address)),
        (host, port, partial(host.run, mac=port.mac)),
        (null, on_demand, partial(null.run_null, port="db")),
        (null, on_demand, partial(null.run_null, mac=on_demand.mac)),
    ]
    host.clock.advance(1.0)
    null.clock.advance(1.0)
    for way, (where, mine, run) in enumerate(ways):
        found = await asyncio.gather(*(run(f"{way}-{number}") for number in range(32)), return_exceptions=True)
        won = [each for each in found if isinstance(each, Endpoint)]
        assert [each.addresses for each in won] == [mine.addresses]
        assert all(isinstance(each, Fault) for each in found if each is not won[0])
        assert where.row(mine).state == "ACTIVE"
        await where.stop(won[0])
        assert where.row(mine).state == "DOWN"
        assert where.services.cache.count(Endpoint) == 0


async def test_between_the_address_and_the_endpoint_a_port_is_being_built() -> None:
    """And cannot be removed; an endpoint that is in no sandbox yet leaves it DOWN."""
    host = await host_with()
    port = await host.port()
    pool = host.known(WEB).ipv4[0].pool
    await host.services.ipam.request_address(
        AddressRequest(pool, Role.ENDPOINT, port.addresses[0], "02:00:00:00:00:01")
    )
    assert host.row(port).state == "BUILD"
    with pytest.raises(Conflict, match="being given to a container"):
        await host.operated.network_ports.remove("db", False, False)
    await host.services.endpoints.release(pool, port.addresses[0])
    made = await host.run("c1", mac=port.mac, attach=False)
    assert host.row(port).state == "DOWN"
    with pytest.raises(Conflict, match="is in use"):
        await host.operated.network_ports.remove("db", True, False)
    await host.stop(made)


# -- crashes -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("when", [When.BEFORE, When.AFTER])
@pytest.mark.parametrize("commit", range(8))
async def test_a_store_that_fails_at_any_step_loses_nothing(commit: int, when: When) -> None:
    """Whether that commit took effect or not, and with a death of the daemon after it: the port is there whole or not
    at all, one endpoint has it or none, and what is removed is gone whole."""
    host = await host_with(v6=True)
    left = commit

    def count(_transaction: Transaction) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            host.store.fail_next(when)  # the one after this

    if commit == 0:
        host.store.fail_next(when)
    host.store.on_commit = count
    died = False
    try:
        port = await host.port(mac="02:00:00:00:00:0d")
        running = await host.run("c1", mac=port.mac)
        await host.stop(running)
        await host.operated.network_ports.remove("db", False, False)
    except Fault:
        died = True
    host.store.on_commit = None
    await host.restart()
    ports = list(host.services.cache.every(NetworkPort))
    keys = [lease.key for lease in host.services.cache.every(Lease) if lease.key]
    assert keys == ["port:db"] * len(keys)
    assert len(keys) == 2 * len(ports)
    for endpoint in list(host.services.cache.every(Endpoint)):
        await host.stop(endpoint)
    for port in ports:
        assert died
        assert host.row(port).state == "DOWN"
        again = await host.run("c2", mac=port.mac)
        assert again.addresses == port.addresses


_STEPS = st.lists(
    st.tuples(st.sampled_from(["run", "stop", "restart", "reboot", "remove", "create"]), st.integers(0, 3)), max_size=24
)


@settings(max_examples=3 * settings().max_examples // 5, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=_STEPS)
def test_whatever_happens_a_port_has_its_addresses_and_one_user_at_most(steps: list[tuple[str, int]]) -> None:
    """Containers that come and go, deaths of the daemon and of the host, ports that are removed and made."""
    asyncio.run(_lived(steps))


async def _lived(steps: list[tuple[str, int]]) -> None:
    host = await host_with(v6=True)
    running: dict[str, Endpoint] = {}
    for count, (word, number) in enumerate(steps):
        name = f"p{number}"
        ports = {port.name: port for port in host.services.cache.every(NetworkPort)}
        try:
            if word == "create":
                await host.port(name)
            elif word == "remove":
                await host.operated.network_ports.remove(name, False, False)
                assert name not in running
            elif word == "run" and name in ports:
                ways = ({"mac": ports[name].mac}, {"ip": str(ports[name].addresses[0])})
                endpoint = await host.run(f"c{count}", **ways[count % 2])  # type: ignore[arg-type]
                assert name not in running, "two have one port"
                running[name] = endpoint
            elif word == "stop" and name in running:
                await host.stop(running.pop(name))
            elif word == "restart":
                await host.restart()
            elif word == "reboot":
                for endpoint in running.values():
                    await host.stop(endpoint)
                running.clear()
                await host.reboot()
        except (Conflict, NotFound):
            pass
        for port in host.services.cache.every(NetworkPort):
            assert host.addresses(port) == [str(each) for each in port.addresses]
            assert (host.row(port).state == PortState.ACTIVE.value) is (port.name in running)
    page = await host.operated.network_port_rows.page(PortFilter(state=PortState.ACTIVE))
    assert sorted(row.name for row in page.rows) == sorted(running)
