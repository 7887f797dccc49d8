"""Network ports and their networks: those that go and come back, tenants, full ones, and an older store."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from mooring.core.containers import Holder
from mooring.core.docker_requests import EndpointConfig
from mooring.core.faults import BadRequest, Conflict, Exhausted
from mooring.core.filters import LeaseFilter
from mooring.core.leases import Lease
from mooring.core.network_ports import NetworkPort
from mooring.core.plumbing import Inside
from mooring.core.requests import NetworkRequest, PoolRequest, SegmentRequest
from mooring.services.containers.fixed_allocator import FixedSpec
from mooring.services.records.network_ports import port_meant
from tests.services.lost_stores import copied
from tests.services.port_hosts import SMALL, WEB, PortHost, host_with


async def test_a_port_waits_for_a_network_of_the_name() -> None:
    """With its addresses and its MAC, over a restart, whatever the hold time; meanwhile it is not used."""
    host = await host_with(v6=True)
    await host.services.ipam.kept_networks.inherit(WEB, "web")
    port = await host.port()
    known = host.known(WEB)
    await host.network_goes()
    assert "was removed; it waits" in host.row(port).warning
    assert [str(each) for each in port.addresses] == [
        row.address for row in (await host.operated.inspection.leases(LeaseFilter())).rows if row.key == "port:db"
    ]
    with pytest.raises(Conflict, match="belongs to a port"):
        await host.operated.reservations.release(None, port.addresses[0], False, False)
    await host.restart()
    host.clock.advance(1e7)
    again = await host.back("new", known)
    moved = port_meant("db", host.services.cache)
    assert (moved.network, moved.id, moved.mac) == (again, port.id, port.mac)
    assert host.row(moved).warning == ""
    running = await host.run("c1", again, mac=port.mac)
    assert running.addresses == port.addresses
    await host.stop(running)
    assert host.lease(port.addresses[0]).until is None  # type: ignore[union-attr]


async def test_a_port_learns_the_name_of_its_network_when_that_does() -> None:
    """It was made while nobody knew it, and waits for the next one all the same."""
    host = await host_with()
    host.engine.networks.clear()
    port = await host.port()
    assert port.network_name == ""
    await host.services.ipam.kept_networks.inherit(WEB, "web")
    known = host.known(WEB)
    await host.network_goes()
    again = await host.back("new", known)
    assert port_meant("db", host.services.cache).network == again
    assert host.addresses(port_meant("db", host.services.cache)) == [str(port.addresses[0])]


async def test_a_port_that_no_longer_fits_says_so_and_can_be_removed() -> None:
    """So does the doctor."""
    host = await host_with()
    await host.services.ipam.kept_networks.inherit(WEB, "web")
    port = await host.port()
    await host.network_goes()
    other = await host.network("other")
    await host.services.ipam.kept_networks.inherit(other, "web")
    moved = port_meant("db", host.services.cache)
    assert "came back without" in host.row(moved).warning
    # No address that it has lost is named: what asks by MAC is told why it cannot be.
    assert host.operated.network_port_rows.detail("db").options == f"--mac-address {port.mac}"
    found = [each for each in (await host.operated.doctor.examine()).findings if each.subject == f"port {port.id}"]
    assert "cannot be used" in found[0].text
    lost = (
        rf"network web came back without {port.addresses[0]}; `mooring port rm {port.id[:12]}`, then "
        rf"`mooring port create --network web --name db --mac {port.mac}`"
    )
    with pytest.raises(Conflict, match=lost):
        await host.run("c1", other, ip="", port="db")
    host.engine.networks.add(other)
    host.engine.names[other] = "web"
    for named in ({"port": "db"}, {"mac": port.mac}):
        spec = replace(host.spec("web"), endpoints=(EndpointConfig("web", **named),))
        with pytest.raises(Conflict, match=lost):
            await host.keeping.controller.create("c1", spec, (1, 44))
    await host.operated.network_ports.remove("db", False, False)
    assert host.services.cache.count(NetworkPort) == 0
    assert (await host.port("db", other, mac=port.mac)).mac == port.mac


async def test_a_port_that_waits_is_removed_with_its_address() -> None:
    """The next network of the name gives it to nobody."""
    host = await host_with()
    await host.services.ipam.kept_networks.inherit(WEB, "web")
    port = await host.port()
    await host.network_goes()
    await host.operated.network_ports.remove("db", False, False)
    assert not host.services.ipam.kept_networks.keeping(port.addresses[0])


async def test_equal_addresses_in_the_networks_of_two_tenants_are_two_ports() -> None:
    """Each ACTIVE and DOWN by itself, as with Kuryr's overlapping subnets."""
    host = PortHost(separate_tenants=True)
    await host.start()
    networks = []
    for tenant in ("red", "blue"):
        grant = await host.services.ipam.request_pool(
            PoolRequest(tenant, 4, ip_network("10.77.0.0/24"), options={"tenant": tenant})
        )
        part = SegmentRequest(tenant, grant.subnet, grant.gateway)
        ident = tenant.ljust(64, "0")
        await host.services.networks.create(NetworkRequest(ident, {"tenant": tenant}, False, (part,), ()))
        networks.append(ident)
    red, blue = [await host.port(network=each, addresses=["10.77.0.9"]) for each in networks]
    assert (host.row(red).tenant, host.row(blue).tenant) == ("red", "blue")
    with pytest.raises(BadRequest, match="is of tenant red, not blue"):
        await host.port("x", networks[0], tenant="blue")
    running = await host.run("c1", networks[0], mac=red.mac)
    assert (host.row(red).state, host.row(blue).state) == ("ACTIVE", "DOWN")
    other = await host.run("c2", networks[1], mac=blue.mac)
    assert running.addresses == other.addresses == red.addresses
    await host.stop(running)
    assert (host.row(red).state, host.row(blue).state) == ("DOWN", "ACTIVE")


async def test_a_full_subnet_stops_nobody_elsewhere() -> None:
    """Ports and containers of other networks go on (openshift/kuryr-kubernetes#559)."""
    host = PortHost(policy=SMALL)
    await host.serve("web", "back")
    for number in range(5):
        await host.port(f"p{number}")
    with pytest.raises(Exhausted):
        await host.port("more")
    with pytest.raises(Exhausted):
        await host.run("c1")
    await host.port("db", "back".ljust(64, "0"))
    await host.run("c2", "back".ljust(64, "0"))


async def test_a_container_that_is_being_made_finds_no_other_address_for_a_port_that_went() -> None:
    """Between the choice and the commit, the port is removed by force."""
    host = await host_with()
    port = await host.port()
    network = host.known(WEB)
    await host.operated.network_ports.remove("db", False, False)
    with pytest.raises(Conflict, match="port db has no address there any more"):
        await host.begin("c1", FixedSpec(network, port.key))
    assert not [lease for lease in host.services.cache.every(Lease) if lease.key]


async def test_what_holds_a_port_that_is_removed_by_force_holds_nothing() -> None:
    """No record of the container is left, unless it holds something else."""
    host = await host_with("web", "back")
    await host.port()
    await host.docker_create("one", "web", labels={"mooring.port": "db"})
    await host.docker_create("two", "web", "back", labels={"mooring.port": "db", "fixed-ip": ""})
    await host.operated.network_ports.remove("db", True, False)
    assert [each.name for each in host.services.cache.every(Holder)] == ["two"]
    assert len(host.held("two")) == 1


async def test_what_has_a_port_is_taken_back_by_an_older_store() -> None:
    """A backup from before the container, which runs: the port is in use, and nobody else gets it."""
    host = await host_with()
    port = await host.port()
    backup = await copied(host.store)
    running = await host.run("c1", mac=port.mac)
    assert running.ipv4 is not None
    host.kernel.inside[f"mv-{running.id[:12]}"] = Inside(port.mac, (running.ipv4,))
    host.store = backup
    await host.restart()
    await host.services.repair.once()
    row = host.row(port)
    assert (row.state, row.endpoint) == ("ACTIVE", running.id)
    with pytest.raises(Conflict, match="in use"):
        await host.run("c2", ip=str(port.addresses[0]))
