"""The encrypted underlay of two hosts: keys are told, devices follow, keys are replaced."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_address

import pytest

from mooring.core.cluster_hosts import ClusterAccess, ClusterHost, Membership, TunnelEnd, Underlay
from mooring.core.faults import Unavailable
from mooring.core.wireguard import AGE, OVERHEAD, OVERLAP, device_name, inner_address
from mooring.services.cluster.host_records import HostRecords
from mooring.services.networking.encrypted_underlay import AGAIN, EXPECTED, EncryptedUnderlay
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_cluster import MemoryCluster
from mooring.testing.memory_kernel import MemoryKernel
from mooring.testing.memory_wireguard import MemoryWireGuard
from tests.services.test_membership import Site, pair


@dataclass
class Host:
    """A host of the cluster, which tells when it is told to."""

    name: str
    address: str
    cluster: MemoryCluster
    clock: ManualClock
    wireguard: MemoryWireGuard = field(init=False)
    kernel: MemoryKernel = field(default_factory=MemoryKernel)
    wanted: bool = True

    def __post_init__(self) -> None:
        self.wireguard = MemoryWireGuard(self.name)
        self.kernel.underlay = {ip_address(f"192.0.2.{number}"): 1500 for number in (1, 2)}
        self.start()

    def start(self) -> None:
        """A daemon."""
        self.part = EncryptedUnderlay(self.wireguard, self.kernel, self.clock, lambda: self.wanted)

    async def enter(self) -> None:
        """It is in the cluster."""
        access = ClusterAccess(cluster="c", endpoints=())
        membership = Membership(access=access, host=self.name, name=self.name, machine="m")
        await self.part.entered(self.cluster.client(self.address), membership)

    async def tell(self) -> None:
        """What the others can read is true."""
        records = HostRecords(self.cluster.client(self.address))
        _, revision = await records.host(self.name)
        host = ClusterHost(
            id=self.name, name=self.name, machine="m", boot="b", underlay=Underlay(self.address, "eth0", 1500),
            version="1", joined=0.0, tunnel=self.part.end,
        )  # fmt: skip
        await records.put_host(host, revision)


@pytest.fixture
async def two() -> tuple[Host, Host]:
    """Both know each other."""
    cluster, clock = MemoryCluster(), ManualClock()
    hosts = Host("one", "192.0.2.1", cluster, clock), Host("two", "192.0.2.2", cluster, clock)
    for host in hosts:
        await host.enter()
        await host.tell()
        assert await host.part.turn() == []
        await host.tell()
    await turns(*hosts)
    return hosts


async def turns(*hosts: Host) -> None:
    """Each has one, and nothing is amiss."""
    for host in hosts:
        assert await host.part.turn() == []


async def test_each_device_knows_the_other_host(two: tuple[Host, Host]) -> None:
    """With its key, at its address, and with room for WireGuard."""
    one, two_ = two
    device = one.wireguard.device
    assert device is not None
    assert (device.name, device.address.ip, device.mtu) == (
        device_name("one"), inner_address("one"), 1500 - OVERHEAD[4],
    )  # fmt: skip
    (peer,) = device.peers
    assert two_.part.end is not None
    assert (peer.keys, str(peer.endpoint), peer.inner) == (two_.part.end.keys, "192.0.2.2", inner_address("two"))
    assert one.wireguard.greeted == 1
    assert one.part.address("two") == peer.inner


async def test_it_is_there_only_while_a_network_wants_it(two: tuple[Host, Host]) -> None:
    """The key is known to the others all the same; and a daemon that starts removes what an earlier one left."""
    one, _ = two
    for wanted, restart in ((False, False), (True, False), (False, True)):
        one.wanted = wanted
        if restart:
            one.start()
            await one.enter()
        await turns(one)
        assert (one.wireguard.device is not None) is wanted
    assert one.part.end is not None


async def test_keys_are_kept(two: tuple[Host, Host]) -> None:
    """Over a restart."""
    one, _ = two
    before = one.part.end
    one.start()
    await one.enter()
    await turns(one)
    assert one.part.end == before
    assert one.wireguard.made == 1


async def test_without_the_cluster_everything_stays(two: tuple[Host, Host]) -> None:
    """The turn says so; a daemon that starts meanwhile touches nothing."""
    one, _ = two
    before = one.wireguard.device
    one.cluster.cut(one.address)
    assert len(await one.part.turn()) == 1
    assert one.wireguard.device == before
    one.start()
    await one.enter()
    assert len(await one.part.turn()) == 1
    assert one.wireguard.device == before


async def test_a_host_without_wireguard_refuses_and_is_passed_over(two: tuple[Host, Host]) -> None:
    """Where no network wants it, that is no fault, and is looked at again now and then."""
    one, _ = two
    third = Host("three", "192.0.2.3", one.cluster, one.clock)
    third.wireguard.missing = "there is none"
    third.wanted = False
    await third.enter()
    await third.tell()
    await turns(third, one)
    assert one.wireguard.device is not None
    assert len(one.wireguard.device.peers) == 1
    with pytest.raises(Unavailable, match="there is none"):
        await third.part.require()
    third.wireguard.missing = ""
    await turns(third)
    assert third.part.end is None
    third.clock.advance(AGAIN)
    await turns(third)
    assert third.part.end is not None


async def test_a_network_that_needs_what_is_missing_says_so(two: tuple[Host, Host]) -> None:
    """In each turn, since somebody may be installing it; without a network that would be no fault."""
    third = Host("three", "192.0.2.3", two[0].cluster, two[0].clock)
    await third.enter()
    await third.tell()
    third.wireguard.missing = "there is none"
    assert [str(fault) for fault in await third.part.turn()] == ["there is none"]


async def test_a_host_that_is_known_again_is_greeted(two: tuple[Host, Host]) -> None:
    """What it had open with this one is over, and it would find out only when it is not answered for a while."""
    one, other = two
    end = other.part.end
    for known in (False, True):
        other.part.end = end if known else None
        await other.tell()
        await turns(one)
    assert one.wireguard.greeted == 2
    await turns(one)
    assert one.wireguard.greeted == 2


async def test_a_key_is_replaced_without_a_pause(two: tuple[Host, Host]) -> None:
    """The other host accepts both while that lasts, and sends to the one that is in use."""
    one, other = two
    one.clock.advance(AGE)
    await turns(one)  # makes the next key
    await turns(one)  # which nobody can read yet
    first, second = one.wireguard.ring.public if one.wireguard.ring is not None else ("", "")
    one.clock.advance(OVERLAP)
    await turns(one)
    assert key_of(one) == f"private {first}"
    await one.tell()
    await turns(one, other)
    one.clock.advance(OVERLAP)
    await turns(one)
    assert key_of(one) == f"private {second}"
    assert one.wireguard.greeted == 2
    assert peer_of(other) == ((first, second), first)
    other.wireguard.heard = {first: 5, second: 9}  # before the record was written
    await turns(other, other)
    assert peer_of(other) == ((first, second), second)
    await one.tell()
    await turns(one, other)
    assert peer_of(other) == ((second, first), second)
    one.clock.advance(OVERLAP)
    await turns(one)
    await one.tell()
    await turns(one, other)
    assert peer_of(other) == ((second,), second)


def key_of(host: Host) -> str:
    """What its device has."""
    assert host.wireguard.device is not None
    return host.wireguard.device.private


def peer_of(host: Host) -> tuple[tuple[str, ...], str]:
    """The keys of the one other host."""
    assert host.wireguard.device is not None
    (peer,) = host.wireguard.device.peers
    return peer.keys, peer.key


async def test_an_mtu_that_changes_is_followed(two: tuple[Host, Host]) -> None:
    """As overlays follow it."""
    one, _ = two
    one.kernel.underlay[ip_address("192.0.2.2")] = 1400
    await turns(one)
    assert one.wireguard.device is not None
    assert one.wireguard.device.mtu == 1400 - OVERHEAD[4]


async def test_the_device_is_there_before_the_network(two: tuple[Host, Host]) -> None:
    """The network's first look at its underlay finds it; where no network comes it goes again."""
    one, _ = two
    one.wanted = False
    await turns(one)
    assert one.wireguard.device is None
    await one.part.require()
    await turns(one)
    assert vars(one.wireguard)["device"] is not None
    one.clock.advance(EXPECTED)
    await turns(one)
    assert vars(one.wireguard)["device"] is None
    await one.part.require()
    one.wanted = True
    await turns(one)
    one.wanted = False
    await turns(one)
    assert vars(one.wireguard)["device"] is None


async def test_a_daemon_that_starts_does_not_make_the_others_forget_its_key() -> None:
    """Its first word to the cluster comes before it knows its keys; their sessions with it would end with the key."""
    site = Site()
    _, second = await pair(site)
    records = HostRecords(site.servers.client("test"))
    ident = second.entered()[0].host
    ends = [TunnelEnd((key,), 51821) for key in ("one", "two")]
    again = site.machine(2)
    for membership, end, told in ((second, ends[0], ends[0]), (again, None, ends[0]), (again, ends[1], ends[1])):
        await membership.enter_kept()
        membership.record.tunnel = partial(_same, end)
        membership.tell_soon()
        await membership.refresh()
        found, _ = await records.host(ident)
        assert found is not None
        assert found.tunnel == told


def _same(end: TunnelEnd | None) -> TunnelEnd | None:
    return end
