"""Overlays: what other hosts publish is in the kernel, whatever happens to it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, ip_address, ip_interface

import pytest

from mooring.core.faults import Unavailable
from mooring.core.overlays import Overlay, Remote, vxlan_name
from mooring.core.plumbing import (
    Bridge,
    Fact,
    Flood,
    LinkAddress,
    Member,
    Neighbour,
    RemoteFact,
    RemoteMac,
    Veth,
    Vxlan,
)
from mooring.services.networking.overlays import Overlays
from tests.services.hosts import MemoryHost

LOCAL, B, C = (ip_address(f"192.0.2.{number}") for number in (1, 2, 3))
MAC = "02:00:00:00:00:0c"
DB = Remote(MAC, (ip_address("10.32.0.12"),), B)


class Rig:
    """A host with a network that is an overlay."""

    def __init__(self, host: MemoryHost, network: str) -> None:
        self.host = host
        self.network = network

    @property
    def overlays(self) -> Overlays:
        """Of the daemon that runs."""
        return self.host.services.repair.overlays

    async def learn(self, **changes: Remote | None) -> None:
        """The kernel knows, too."""
        self.overlays.learn(self.network, changes)
        await self.overlays.settle()

    def remote(self) -> set[Fact]:
        """What the kernel knows of other hosts."""
        return {
            fact for fact in self.host.facts if isinstance(fact, RemoteFact) or fact.key[:2] == ("member", "tunnels4")
        }

    def expected(self, *remotes: Remote) -> set[Fact]:
        """What it should know of these."""
        network = self.host.services.cache.network(self.network)
        assert network is not None
        facts = set[Fact]()
        for remote in remotes:
            facts |= {RemoteMac(vxlan_name(network), remote.mac, remote.host)}
            facts |= {Neighbour(network.bridge, each, remote.mac) for each in remote.addresses}
            facts |= {Member("tunnels4", f"{remote.host} . 4790")}
        return facts


@pytest.fixture
async def rig() -> Rig:
    """An overlay that knows nobody yet."""
    host = await MemoryHost().start()
    made = Rig(host, await host.network("a"))
    made.overlays.open(made.network, Overlay(7, LOCAL, 1500, (ip_interface("10.32.0.201/24"),)))
    await host.services.repair.once()
    return made


async def test_an_open_network_has_its_device_and_what_comes_with_it(rig: Rig) -> None:
    """MTU, own address, gateway for containers only; a new container has the MTU as well; closed, all is as before."""
    facts = rig.host.facts
    assert {fact.mtu for fact in facts if isinstance(fact, Bridge)} == {1450}
    addresses = {str(fact.interface) for fact in facts if isinstance(fact, LinkAddress)}
    assert addresses == {"10.32.0.1/32", "10.32.0.201/24"}
    await rig.host.endpoint(rig.network, "e1")
    assert {fact.mtu for fact in rig.host.facts if isinstance(fact, Veth)} == {1450}
    assert str(await rig.host.services.repair.once()) == "nothing to repair"
    rig.overlays.close(rig.network)
    await rig.overlays.settle()
    await rig.host.services.repair.once()
    facts = rig.host.facts
    assert {str(fact.interface) for fact in facts if isinstance(fact, LinkAddress)} == {"10.32.0.1/24"}
    assert not [fact for fact in facts if isinstance(fact, Vxlan) or getattr(fact, "container", "") == "tunnel_ports"]


async def test_what_is_published_is_known_and_told(rig: Rig) -> None:
    """Endpoints come, move, and go; neighbours hear of those that come or move; a host may speak while it has one."""
    other = replace(DB, mac="02:00:00:00:00:0d", addresses=(ip_address("10.32.0.13"),))
    await rig.learn(db=DB, web=other)
    assert rig.remote() == rig.expected(DB, other)
    assert {(address, mac) for _, address, mac in rig.host.kernel.announced} == {
        (DB.addresses[0], MAC), (other.addresses[0], other.mac),
    }  # fmt: skip
    rig.host.kernel.announced.clear()
    moved = replace(DB, host=C)
    await rig.learn(db=moved, web=other)
    assert rig.remote() == rig.expected(moved, other)
    assert [mac for _, _, mac in rig.host.kernel.announced] == [MAC]
    await rig.learn(db=None, web=None, never=None)
    assert rig.remote() == set()


async def test_an_address_that_moves_may_come_before_it_goes(rig: Rig) -> None:
    """The new endpoint is told of first, the old one's end afterwards; and the other way round."""
    await rig.learn(old=DB)
    moved = replace(DB, host=C)
    await rig.learn(new=moved)
    await rig.learn(old=None)
    assert rig.remote() == rig.expected(moved)
    await rig.learn(new=None)
    await rig.learn(newest=DB)
    assert rig.remote() == rig.expected(DB)


async def test_a_rescan_is_all_there_is(rig: Rig) -> None:
    """What it does not name is gone; what was known already is not told again, nor changed in the kernel."""
    other = replace(DB, mac="02:00:00:00:00:0d", addresses=(ip_address("10.32.0.13"),))
    await rig.learn(db=DB, web=other)
    rig.host.kernel.announced.clear()
    before = rig.host.ops
    await rig.overlays.rescan(rig.network, {"db": DB, "web": other})
    await rig.overlays.settle()
    assert (rig.host.ops, rig.host.kernel.announced) == (before, [])
    await rig.overlays.rescan(rig.network, {"web": other})
    await rig.overlays.settle()
    assert rig.remote() == rig.expected(other)


async def test_an_endpoint_of_this_host_comes_before_all_others(rig: Rig) -> None:
    """While it is here nobody else has its address, whatever is published; afterwards the other one has it."""
    await rig.host.endpoint(rig.network, "e1", attach=False)
    (here,) = rig.host.services.endpoint_index.of_network(rig.network)
    elsewhere = Remote(here.mac, here.addresses, B)
    await rig.learn(there=elsewhere)
    assert rig.remote() == {Member("tunnels4", f"{B} . 4790")}
    await rig.host.services.repair.once()
    assert rig.remote() == {Member("tunnels4", f"{B} . 4790")}
    await rig.host.services.endpoints.delete(rig.network, here.id)
    await rig.overlays.settle()
    assert rig.remote() == rig.expected(elsewhere)
    await rig.host.endpoint(rig.network, "e1")  # has the MAC again, and another address
    await rig.overlays.settle()
    assert RemoteMac not in {type(fact) for fact in rig.remote()}


async def test_who_is_reached_follows_from_where_this_host_is_reached(rig: Rig) -> None:
    """Of hosts that change over to the other address family one after another nobody stays cut off."""
    later = Remote("02:00:00:00:00:0d", (ip_address("10.32.0.13"),), ip_address("fd00::2"))
    await rig.learn(db=DB, later=later)
    for local, known in ((ip_address("fd00::1"), later), (LOCAL, DB)):
        rig.overlays.open(rig.network, Overlay(7, local, 1500))
        await rig.overlays.settle()
        await rig.host.services.repair.once()
        assert {fact.mac for fact in rig.host.facts if isinstance(fact, RemoteMac)} == {known.mac}


async def test_a_host_whose_address_this_one_had_is_reached_once_this_one_has_another(rig: Rig) -> None:
    """Two hosts that swap their addresses do so one after another."""
    await rig.learn(db=DB)
    await rig.learn(db=replace(DB, host=LOCAL))
    assert rig.remote() == set()
    rig.overlays.open(rig.network, Overlay(7, B, 1500))
    await rig.overlays.settle()
    await rig.host.services.repair.once()
    assert rig.remote() == rig.expected(replace(DB, host=LOCAL))


async def test_what_cannot_be_reached_is_not_learnt_and_a_finding(rig: Rig) -> None:
    """What says to be at this host's address, and what is of the other address family."""
    await rig.learn(near=replace(DB, host=LOCAL), far=replace(DB, host=ip_address("fd00::2")))
    assert rig.remote() == set()
    report = await rig.host.services.repair.once()
    assert [f for f in report.findings if "fd00::2" in f and "other address family" in f]
    assert [f for f in report.findings if f"host {LOCAL} is this one by its address" in f]
    await rig.learn(near=None, far=DB)
    assert (await rig.host.services.repair.once()).findings == ()


@pytest.mark.parametrize("what", ["device", "bridge", "entries", "mtu", "foreign", "flush"])
async def test_what_the_kernel_lost_comes_back_and_what_others_put_there_goes(rig: Rig, what: str) -> None:
    """One pass, or two where the first had to make what the rest stands on."""
    await rig.learn(db=DB)
    kernel = rig.host.kernel
    whole = {fact for fact in rig.host.facts if not isinstance(fact, Veth)}
    device = next(fact for fact in whole if isinstance(fact, Vxlan))
    match what:
        case "device":
            kernel.lose(device.name)
        case "bridge":
            kernel.lose(device.bridge)
        case "entries":
            for fact in rig.expected(DB):
                del kernel.facts[fact.key]
        case "mtu":
            kernel.facts[device.key] = replace(device, mtu=1500)
        case "foreign":
            strange = RemoteMac(device.name, "02:00:00:00:00:99", B)
            kernel.facts[strange.key] = strange
            wrong = RemoteMac(device.name, MAC, C)
            kernel.facts[wrong.key] = wrong
        case "flush":
            kernel.flush_ruleset()
    report = await rig.host.services.repair.once()
    assert report.repaired
    assert report.findings == ()
    assert {fact for fact in rig.host.facts if not isinstance(fact, Veth)} == whole
    assert str(await rig.host.services.repair.once()) == "nothing to repair"


async def test_a_restart_believes_the_kernel_until_somebody_is_asked(rig: Rig) -> None:
    """No entry is lost while the cluster is away; the first scan decides."""
    other = replace(DB, mac="02:00:00:00:00:0d", addresses=(ip_address("10.32.0.13"),))
    await rig.learn(db=DB, web=other)
    before, ops = rig.host.facts, rig.host.ops
    await rig.host.restart()
    known = [rig.overlays.recovered]
    for _ in range(2):
        assert str(await rig.host.services.repair.once()) == "nothing to repair"
    assert (rig.host.facts, rig.host.ops) == (before, ops)
    assert [*known, rig.overlays.recovered] == [False, True]
    assert rig.overlays.of(rig.network) == Overlay(7, LOCAL, 1500, (ip_interface("10.32.0.201/24"),))
    rig.host.kernel.announced.clear()
    await rig.overlays.rescan(rig.network, {"db": DB, "web": other})
    await rig.overlays.settle()
    assert (rig.host.facts, rig.host.ops, rig.host.kernel.announced) == (before, ops, [])
    await rig.overlays.rescan(rig.network, {"db": DB})
    await rig.overlays.settle()
    assert rig.remote() == rig.expected(DB)


async def test_a_preview_decides_nothing(rig: Rig) -> None:
    """Neither what is an overlay, nor its MTU."""
    await rig.learn(db=DB)
    before = rig.host.facts
    await rig.host.restart()
    await rig.host.services.repair.preview()
    assert rig.overlays.of(rig.network) is None
    await rig.host.services.repair.once()
    rig.host.kernel.underlay[B] = 1420
    await rig.host.services.repair.preview()
    await rig.overlays.settle()
    assert rig.overlays.of(rig.network) == Overlay(7, LOCAL, 1500, (ip_interface("10.32.0.201/24"),))
    assert rig.host.facts == before


async def test_of_a_device_that_was_taken_from_its_bridge_the_rest_is_believed(rig: Rig) -> None:
    """After a restart, as of any other; and it is put back."""
    await rig.learn(db=DB)
    before = rig.host.facts
    (device,) = (fact for fact in before if isinstance(fact, Vxlan))
    rig.host.kernel.facts[device.key] = replace(device, bridge="")
    await rig.host.restart()
    await rig.host.services.repair.once()
    assert rig.host.facts == before


async def test_what_is_for_all_goes_to_the_hosts_that_take_part(rig: Rig) -> None:
    """Where the overlay says so: each host that has something in it, also after a restart, and no more after that."""
    device = {Flood(fact.name, B) for fact in rig.host.facts if isinstance(fact, Vxlan)}
    other = replace(DB, mac="02:00:00:00:00:0d", addresses=(ip_address("10.32.0.13"),))
    await rig.learn(db=DB)
    assert floods(rig) == set()
    overlay = rig.overlays.of(rig.network)
    assert overlay is not None
    rig.overlays.open(rig.network, replace(overlay, multicast=True))
    await rig.overlays.settle()
    assert floods(rig) == device
    assert str(await rig.host.services.repair.once()) == "nothing to repair"
    await rig.learn(web=replace(other, host=C))
    assert {each.host for each in floods(rig)} == {B, C}
    before = rig.host.facts
    await rig.host.restart()
    assert str(await rig.host.services.repair.once()) == "nothing to repair"
    assert rig.host.facts == before
    assert rig.overlays.of(rig.network) == replace(overlay, multicast=True)
    await rig.overlays.rescan(rig.network, {"db": DB})
    await rig.overlays.settle()
    assert floods(rig) == device
    await rig.learn(db=None)
    assert floods(rig) == set()
    await rig.learn(db=DB)
    rig.overlays.open(rig.network, overlay)
    await rig.overlays.settle()
    assert floods(rig) == set()


def floods(rig: Rig) -> set[Flood]:
    """Where what is for all goes."""
    return {fact for fact in rig.host.facts if isinstance(fact, Flood)}


async def test_the_mtu_follows_the_underlay(rig: Rig) -> None:
    """The least of the routes to the hosts that are known; while it cannot be told it stays, and that is a finding."""
    await rig.learn(db=DB)
    rig.host.kernel.underlay[B] = 1420
    report = await rig.host.services.repair.once()
    assert {fact.mtu for fact in rig.host.facts if isinstance(fact, Bridge)} == {1370}
    assert report.findings == ()
    rig.host.kernel.underlay[LOCAL] = None
    (finding,) = (await rig.host.services.repair.once()).findings
    assert "192.0.2.1" in finding
    assert {fact.mtu for fact in rig.host.facts if isinstance(fact, Bridge)} == {1370}


async def test_what_the_kernel_refuses_is_repaired(rig: Rig) -> None:
    """Nobody waits for it, and nothing is forgotten."""
    rig.host.refusals.append(Unavailable("not now"))
    await rig.learn(db=DB)
    assert rig.remote() != rig.expected(DB)
    await rig.host.services.repair.once()
    assert rig.remote() == rig.expected(DB)


async def test_a_network_that_goes_takes_its_overlay_along(rig: Rig) -> None:
    """Device, entries, and who may speak."""
    await rig.learn(db=DB)
    await rig.host.services.networks.delete(rig.network)
    await rig.overlays.settle()
    left = [fact for fact in rig.host.facts if isinstance(fact, Vxlan | RemoteFact | LinkAddress)]
    assert left == []
    assert not [fact for fact in rig.host.facts if isinstance(fact, Member) and fact.container.startswith("tunnel")]
    await rig.learn(db=DB)
    assert rig.remote() == set()


async def test_many_are_told_to_the_kernel_in_few_calls(rig: Rig) -> None:
    """And as many of them to the neighbours as they can bear at a time."""
    first = IPv4Address("10.32.0.0")
    many = {f"e{n}": Remote(f"02:00:00:01:{n >> 8:02x}:{n & 255:02x}", (first + n,), B) for n in range(1, 801)}
    await rig.learn(**many)
    assert rig.remote() == rig.expected(*many.values())
    assert len(rig.host.kernel.announced) == 200
