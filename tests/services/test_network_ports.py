"""Making and removing network ports, and their lives between: over the doubles, call by call as dockerd makes them."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import ip_address

import pytest

from mooring.core.faults import BadRequest, Conflict, Exhausted, Fault, NotFound, Unavailable
from mooring.core.leases import Lease, State
from mooring.core.network_ports import NetworkPort
from mooring.core.networks import HANDOFF
from mooring.core.requests import AddressRequest, Role
from mooring.services.records.network_ports import port_at, port_in, port_meant, port_of_lease, ports_of
from tests.services.operators import share
from tests.services.port_hosts import SMALL, WEB, PortHost, host_with

# -- making ------------------------------------------------------------------------------------------------------------


async def test_a_port_has_an_address_of_each_family_and_a_mac_of_its_own() -> None:
    """Nobody is given them by choice, over a restart too, and whoever names no port is in nobody's way."""
    host = await host_with(v6=True)
    port = await host.port(note="the licence")
    assert [each.version for each in port.addresses] == [4, 6]
    assert host.addresses(port) == [str(each) for each in port.addresses]
    await host.restart()
    row = host.row(port)
    assert (row.state, row.name, row.note, row.warning) == ("DOWN", "db", "the licence", "")
    stranger = await host.run("c1")
    assert not set(stranger.addresses) & set(port.addresses)
    assert stranger.mac != port.mac


async def test_addresses_and_subnets_that_are_named_are_what_it_has() -> None:
    """One of a family, and then of that alone."""
    host = await host_with(v6=True)
    v6 = str(host.known(WEB).ipv6[0].subnet)
    four = await host.port("four", addresses=["10.32.0.77"], mac="02:00:00:00:00:77")
    assert (list(map(str, four.addresses)), four.mac) == (["10.32.0.77"], "02:00:00:00:00:77")
    six = await host.port("six", subnets=[v6])
    assert [each.version for each in six.addresses] == [6]
    both = await host.port("both", subnets=[v6], addresses=["10.32.0.78"])
    assert [each.version for each in both.addresses] == [4, 6]
    assert str(both.addresses[0]) == "10.32.0.78"


@pytest.mark.parametrize(
    ("more", "fault", "text"),
    [
        ({"addresses": ["10.32.0.5", "10.32.0.6"]}, BadRequest, "two addresses of IPv4"),
        ({"subnets": ["10.32.0.0/24", "10.32.1.0/24"]}, BadRequest, "two subnets of IPv4"),
        ({"addresses": ["10.99.0.5"]}, BadRequest, "in no subnet of network"),
        ({"subnets": ["10.99.0.0/24"]}, BadRequest, "there is no subnet 10.99.0.0/24"),
        ({"addresses": ["10.32.0.5"], "subnets": ["10.99.0.0/24"]}, BadRequest, "is not in subnet"),
        ({"addresses": ["fd00::1"]}, BadRequest, "in no subnet of network"),
        ({"addresses": ["10.32.0.0"]}, Fault, "10.32.0.0"),
        ({"addresses": ["10.32.0.255"]}, Fault, "10.32.0.255"),
        ({"addresses": ["10.32.0.1"]}, Conflict, "it is gateway"),
        ({"addresses": ["10.32.0.2"]}, Conflict, "10.32.0.2 is in use.*endpoint"),
        ({"name": "no good"}, BadRequest, "cannot be the name"),
        ({"name": "taken"}, Conflict, "has a port taken already.*10.32.0.9"),
        ({"mac": "02:00:00:00:00:09"}, Conflict, "belongs to the fixed address 10.32.0.9.*port taken"),
        ({"addresses": ["10.32.0.9"]}, Conflict, "is fixed for port taken"),
        ({"addresses": ["10.32.0.8"]}, Conflict, "is reserved for printer"),
        ({"network": "else"}, NotFound, "Mooring has no network"),
        ({"tenant": "red"}, BadRequest, "is of tenant default, not red"),
        ({"note": "a\nb"}, BadRequest, "a note is one line"),
    ],
)
async def test_what_cannot_be_is_refused_and_leaves_nothing(
    more: dict[str, object], fault: type[Fault], text: str
) -> None:
    """In one line, that names who has it."""
    host = await host_with()
    await host.port("taken", addresses=["10.32.0.9"], mac="02:00:00:00:00:09")
    eight = ip_address("10.32.0.8")
    await host.operated.reservations.reserve(None, eight, eight, "printer", "", None, False)
    await host.run("c1")
    before = host.store.records
    with pytest.raises(fault, match=text) as refused:
        await host.port(**{"name": "new", **more})  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)
    assert host.store.records == before


async def test_macs_of_a_bridge_or_a_container_are_no_ports() -> None:
    """Two interfaces with one MAC would take each other's traffic."""
    host = await host_with()
    running = await host.run("c1")
    with pytest.raises(Conflict, match="the bridge of network"):
        await host.port(mac=host.known(WEB).mac)
    with pytest.raises(Conflict, match=r"is in use.*endpoint"):
        await host.port(mac=running.mac)


async def test_a_full_subnet_is_said_and_a_dry_run_changes_nothing() -> None:
    """Exhausted, with what looks closer."""
    host = PortHost(policy=SMALL)
    await host.serve("web")
    before = host.store.records
    assert str((await host.port(dry=True)).addresses[0]) == "10.50.0.2"
    assert host.store.records == before
    for number in range(5):
        await host.port(f"p{number}")
    with pytest.raises(Exhausted, match=r"10\.50\.0\.0/29 is full"):
        await host.port("more")


async def test_32_at_once_get_32_addresses_and_one_name_is_one_ports() -> None:
    """Nothing twice, nothing lost."""
    host = await host_with()
    found = await asyncio.gather(*(host.port(f"p{number}") for number in range(32)))
    assert len({port.addresses for port in found}) == len({port.mac for port in found}) == 32
    same = await asyncio.gather(*(host.port("same") for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(each, NetworkPort) for each in same) == 1
    assert host.services.cache.count(NetworkPort) == 33
    assert sum(lease.key.startswith("port:") for lease in host.services.cache.every(Lease)) == 33


async def test_an_address_that_a_container_is_about_to_have_is_no_ports() -> None:
    """With the null IPAM driver it is on record with the endpoint only."""
    host = PortHost(policy=SMALL)
    await host.start()
    await host.on_demand()
    await host.port("first")
    pool = host.known(WEB).ipv4[0].pool
    async with host.services.ipam.held_address(AddressRequest(pool, Role.ENDPOINT)) as held:
        with pytest.raises(Conflict, match="is being given to somebody"):
            await host.port("second", addresses=[str(held.ip)])
    await host.port("second", addresses=[str(held.ip)])


async def test_networks_that_cannot_keep_an_address_have_no_ports() -> None:
    """Those of another IPAM driver: it knows nothing of ports."""
    host = await host_with()
    known = host.known(WEB)
    foreign = replace(known, id="f" * 64, ipv4=(replace(known.ipv4[0], pool=""),))
    bare = replace(known, id="d" * 64, ipv4=())
    handed = replace(known, id="e" * 64, driver=HANDOFF)
    await host.services.cache.commit(put=[foreign, bare, handed])
    with pytest.raises(BadRequest, match="the addresses of VNICs alone"):
        await host.port(network=handed.id)
    with pytest.raises(BadRequest, match="another IPAM driver"):
        await host.port(network=foreign.id)
    with pytest.raises(BadRequest, match="has no addresses"):
        await host.port(network=bare.id)


# -- a network that gets subnets on demand -----------------------------------------------------------------------------


async def test_a_port_makes_the_subnet_that_its_network_lacks_and_keeps_it() -> None:
    """As an endpoint does; a subnet with a port in it does not go when the last container does."""
    host = PortHost(policy=SMALL)
    await host.start()
    await host.on_demand(v6=True, subnets="on-demand,idle=release")
    port = await host.port()
    assert [str(each) for each in port.addresses] == ["10.50.0.2", "fd00:50::2"]
    running = await host.run_null("c1", port="db")
    assert (running.addresses, running.mac) == (port.addresses, port.mac)
    await host.stop(running)
    assert [str(each.subnet) for each in host.known(WEB).ipv4] == ["10.50.0.0/29"]
    for number in range(4):
        await host.port(f"more-{number}", subnets=["10.50.0.0/29"])
    other = await host.port("other")
    assert str(other.addresses[0]) == "10.50.0.10"
    with pytest.raises(Exhausted):
        await host.port("last", subnets=["10.50.0.0/29"])


async def test_a_subnet_made_for_a_port_that_fails_goes_again() -> None:
    """Nothing is left of it."""
    host = PortHost(policy=SMALL)
    await host.start()
    await host.on_demand()
    with pytest.raises(Conflict, match="has no subnet of IPv4 yet"):
        await host.port(dry=True)
    host.store.on_commit = lambda transaction: _refuse_ports(transaction.put)
    with pytest.raises(Unavailable):
        await host.port()
    host.store.on_commit = None
    assert host.known(WEB).segments == ()
    assert host.services.cache.count(NetworkPort) == 0


def _refuse_ports(put: object) -> None:
    if any(key.startswith("port/") for key in put):  # type: ignore[attr-defined]
        raise Unavailable("no")


async def test_a_port_is_named_by_id_by_the_beginning_of_it_and_by_name() -> None:
    """An id before a name, a name in its network alone."""
    host = await host_with("web", "back")
    back = "back".ljust(64, "0")
    mine, theirs = await host.port(), await host.port(network=back)
    cache = host.services.cache
    assert port_in(WEB, "db", cache) == mine
    assert port_in(back, "db", cache) == theirs
    assert port_in(WEB, theirs.id, cache) is None
    assert port_meant(theirs.id, cache) == theirs
    assert port_in(WEB, mine.id[:8], cache) in (mine, None)
    with pytest.raises(Conflict, match="2 ports are called 'db'"):
        port_meant("db", cache)
    with pytest.raises(NotFound, match="there is no port 'x'"):
        port_meant("x", cache)
    assert ports_of(WEB, cache) == [mine]
    assert port_at(host.known(WEB), mine.addresses[0], cache) == mine
    lease = host.lease(host.known(WEB).segments[0].gateway.ip)  # type: ignore[union-attr]
    assert lease is not None
    assert port_of_lease(lease, WEB, cache) is None


# -- the end -----------------------------------------------------------------------------------------------------------


async def test_a_port_that_is_removed_leaves_a_cooling_address() -> None:
    """While it is used it stays; with a holder that does not run only by force."""
    host = await host_with()
    port = await host.port()
    running = await host.run("c1", mac=port.mac)
    remove = host.operated.network_ports.remove
    with pytest.raises(Conflict, match=f"is in use.*{running.id[:12]}"):
        await remove("db", True, False)
    await host.stop(running)
    await host.docker_create("holder", "web", labels={"mooring.port": "db"})
    with pytest.raises(Conflict, match=r"in the configuration of containers.*container holder"):
        await remove("db", False, False)
    assert await remove("db", True, True) == port
    assert host.addresses(port)
    await remove("db", True, False)
    lease = host.lease(port.addresses[0])
    assert lease is not None
    assert lease.state is State.COOLING
    with pytest.raises(NotFound):
        await remove("db", False, False)


async def test_notes_change_and_what_a_port_is_does_not() -> None:
    """Dry, nothing does."""
    host = await host_with()
    port = await host.port()
    note = host.operated.network_ports.note
    assert (await note("db", "x", True)).note == "x"
    assert host.services.cache.every(NetworkPort).__next__() == port
    after = await note("db", "x", False)
    assert (after.note, after.addresses, after.mac) == ("x", port.addresses, port.mac)
    with pytest.raises(NotFound):
        await note("web", "x", False)


async def test_leases_of_a_port_are_not_an_operators_to_give_away() -> None:
    """`lease release`, `lease hold` and `lease reserve` name the port."""
    host = await host_with()
    port = await host.port()
    reservations, address = host.operated.reservations, port.addresses[0]
    with pytest.raises(Conflict, match=rf"belongs to a port.*port db .*mooring port rm {port.id[:12]}"):
        await reservations.release(None, address, True, False)
    with pytest.raises(Conflict, match="belongs to port db already"):
        await reservations.hold(None, address, "key:x", None, False)
    with pytest.raises(Conflict, match=r"cannot be reserved.*port"):
        await reservations.reserve(None, address, address, "x", "", None, False)
    text = " ".join(host.operated.inspection.explain(address).reasons[0].text)
    assert "It belongs to port db" in text
    assert "mooring port rm db" in text
    lookup = host.operated.lookup
    assert [each.address for each in (await lookup.explain("db")).reasons] == [str(address)]
    await host.services.ipam.kept_networks.inherit(WEB, "web")
    await host.network_goes()
    assert "belongs to port db of the removed network web" in " ".join((await lookup.explain("db")).reasons[0].text)


async def test_a_subnet_that_is_shared_with_other_hosts_has_no_ports_without_their_cluster() -> None:
    """The records of one host do not bind the others (with it: test_new_claims)."""
    host = await host_with()
    await share(host)
    with pytest.raises(Unavailable, match="is shared with other hosts"):
        await host.port()
