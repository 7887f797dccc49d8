"""What hosts advertise in the cluster is in this host's overlays, through outages and lost history."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from ipaddress import ip_address

import pytest

from mooring.core.advertisements import Advertisement, advertisement_key
from mooring.core.networks import Address
from mooring.core.overlays import Overlay
from mooring.core.plumbing import Fact, RemoteFact, RemoteMac
from mooring.ports import Cluster
from mooring.services.networking.overlay_feed import OverlayFeed
from mooring.testing.memory_cluster import MemoryCluster
from mooring.wire import cluster_forms
from tests.services.hosts import MemoryHost

LOCAL, B = ip_address("192.0.2.1"), ip_address("192.0.2.2")


@dataclass
class Rig:
    """A host that is in the network `web`, and the cluster; `other` is another host's way to it."""

    host: MemoryHost
    network: str
    cluster: MemoryCluster
    other: Cluster
    feed: OverlayFeed

    heard: list[tuple[str, str]] = field(default_factory=list)

    async def publish(
        self, ident: str, number: int, network: str = "web", host: str = "B", underlay: Address = B
    ) -> None:
        """The other host has an endpoint whose MAC and address end in the number."""
        mac, addresses = f"02:00:00:00:00:{number:02x}", (ip_address(f"10.32.0.{number}"),)
        told = Advertisement(
            network=network, host=host, endpoint=ident, mac=mac, addresses=addresses, underlay=underlay
        )
        await self.write(cluster_forms.key_of(told), cluster_forms.encode(told))

    async def write(self, key: str, value: bytes | None) -> None:
        """The key has the value, whatever it had."""
        known = await self.other.get(key)
        revision = known.revision if known is not None else 0
        if value is None:
            await self.other.delete(key, revision)
        else:
            await self.other.put(key, value, revision)

    async def withdraw(self, ident: str, network: str = "web") -> None:
        """It is gone."""
        await self.write(advertisement_key("B", network, ident), None)

    def note(self, key: str, told: Advertisement | None) -> None:
        """What the feed says to whoever listens."""
        self.heard.append((key.rpartition("/")[2], told.mac[-2:] if told is not None else ""))

    async def known(self, *numbers: int) -> None:
        """Soon these endpoints are all that the kernel knows of."""
        wanted = {f"02:00:00:00:00:{number:02x}" for number in numbers}
        async with asyncio.timeout(5):
            while self.macs() != wanted:
                await self.host.services.repair.overlays.settle()
                self.cluster.clock.advance(1)
                await asyncio.sleep(0)

    def macs(self) -> set[str]:
        """Of the endpoints that the kernel knows of."""
        return {fact.mac for fact in self.host.facts if isinstance(fact, RemoteMac)}


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """The feed runs."""
    host = await MemoryHost().start()
    network = await host.network("a")
    cluster = MemoryCluster(host.clock)
    feed = OverlayFeed(host.services.repair.overlays, host.clock)
    made = Rig(host, network, cluster, cluster.client("two"), feed)
    feed.listen(made.note)
    await made.publish("first", 11)
    feed.enter(cluster.client("one"), "A")
    feed.open("web", network, Overlay(7, LOCAL, 1500))
    await host.services.repair.once()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(feed.run())
        yield made
        running.cancel()


async def test_what_is_there_and_what_comes_is_known(rig: Rig) -> None:
    """Endpoints come, change, and go; those of networks that are not here are nothing to the kernel."""
    await rig.known(11)
    await rig.publish("second", 12)
    await rig.publish("elsewhere", 13, "db")
    await rig.known(11, 12)
    await rig.publish("first", 14)
    await rig.known(12, 14)
    await rig.withdraw("second")
    await rig.known(14)
    rig.feed.close("web")
    rig.feed.close("web")
    await rig.known()


async def test_who_listens_hears_of_each_change_once(rig: Rig) -> None:
    """Of all networks, and of nothing that is as it was: there is one watch for overlays and names."""
    await rig.known(11)
    await rig.publish("elsewhere", 13, "db")
    await rig.publish("first", 11)
    await rig.publish("first", 14)
    await rig.withdraw("first")
    await rig.known()
    assert rig.heard == [("first", "0b"), ("elsewhere", "0d"), ("first", "0e"), ("first", "")]
    assert rig.feed.advertisement(advertisement_key("B", "db", "elsewhere")) is not None
    assert rig.feed.advertisement(advertisement_key("B", "web", "first")) is None


async def test_what_this_host_advertises_is_nothing_to_it(rig: Rig) -> None:
    """Its own endpoints are in its own records."""
    await rig.publish("mine", 12, host="A")
    await rig.publish("second", 13)
    await rig.known(11, 13)
    assert ("mine", "0c") not in rig.heard


async def test_in_another_cluster_other_things_are_known(rig: Rig) -> None:
    """What the one said counts until the other has spoken; after leaving, nothing does."""
    await rig.known(11)
    other = MemoryCluster(rig.host.clock)
    rig.feed.leave()
    assert rig.macs() == {"02:00:00:00:00:0b"}
    rig.cluster.cut("one")
    rig.feed.enter(other.client("one"), "A")
    rig.cluster, rig.other = other, other.client("two")
    await rig.publish("second", 12)
    await rig.known(12)
    assert rig.heard[-2:] in ([("first", ""), ("second", "0c")], [("second", "0c"), ("first", "")])
    rig.feed.leave()
    rig.feed.forget()
    assert rig.heard[-1] == ("second", "")
    assert not rig.feed.scanned


async def test_a_network_that_is_opened_later_has_all_at_once(rig: Rig) -> None:
    """What was published before is known already."""
    await rig.publish("db", 21, "db")
    await rig.known(11)
    other = await rig.host.network("b")
    rig.feed.open("db", other, Overlay(8, LOCAL, 1500))
    await rig.host.services.repair.once()
    await rig.known(11, 21)


async def test_while_the_cluster_is_away_everything_stays(rig: Rig) -> None:
    """And what happened meanwhile is known afterwards."""
    await rig.known(11)
    rig.cluster.cut("one")
    await rig.publish("second", 12)
    for _ in range(50):
        rig.host.clock.advance(1)
        await asyncio.sleep(0)
    assert rig.macs() == {"02:00:00:00:00:0b"}
    rig.cluster.mend("one")
    await rig.known(11, 12)


async def test_where_the_history_is_gone_there_is_another_scan(rig: Rig) -> None:
    """What went meanwhile is gone."""
    await rig.known(11)
    rig.cluster.cut("one")
    await rig.publish("second", 12)
    await rig.withdraw("first")
    rig.cluster.compact()
    rig.cluster.mend("one")
    await rig.known(12)


async def test_of_two_who_have_one_address_the_later_one_has_it(rig: Rig) -> None:
    """Whatever the hosts are called: the other one is off since its container was moved away."""
    await rig.known(11)
    rig.cluster.cut("one")
    await rig.publish("moved", 12, host="C", underlay=ip_address("192.0.2.3"))
    await rig.publish("moved", 12, host="B")
    rig.cluster.compact()
    rig.cluster.mend("one")
    await rig.known(11, 12)
    assert {fact.host for fact in rig.host.facts if isinstance(fact, RemoteMac)} == {B}


async def test_a_restored_store_is_believed_when_the_hosts_have_put_theirs_into_it_again(rig: Rig) -> None:
    """What it lacks meanwhile is not taken for gone, and this host is told that it may lack its own."""
    told: list[str] = []
    rig.feed.listen_lost(lambda: told.append("lost"))
    await rig.known(11)
    backup = rig.cluster.backup()
    await rig.publish("second", 12)
    await rig.publish("third", 13)
    await rig.known(11, 12, 13)
    rig.cluster.restore(backup)
    for _ in range(300):
        await asyncio.sleep(0)
    assert told == ["lost"]
    await rig.publish("second", 12)
    await rig.known(11, 12)
    assert ("second", "") not in rig.heard


async def test_a_restored_store_whose_history_seems_to_go_on_is_scanned_once_it_is_told(rig: Rig) -> None:
    """As after `etcdutl snapshot restore --bump-revision`."""
    await rig.known(11)
    _, records = rig.cluster.backup()
    await rig.publish("second", 12)
    await rig.known(11, 12)
    rig.cluster.restore((rig.cluster.revision + 1000, records))
    rig.cluster.compacted = 0
    rig.feed.look_again()
    await rig.known(11)


async def test_what_cannot_be_read_is_as_it_was_and_told(rig: Rig) -> None:
    """A host of a newer version is no reason to cut anybody off; read again, there is nothing to tell."""
    await rig.known(11)
    before: set[Fact] = {fact for fact in rig.host.facts if isinstance(fact, RemoteFact)}
    await rig.write("ep/B/web/first", b"?")
    await rig.write("ep/strange", b"?")
    await rig.publish("second", 12)
    await rig.known(11, 12)
    assert before <= rig.host.facts
    assert [words.split()[0] for words in rig.feed.complaints()] == ["ep/B/web/first", "ep/strange"]
    await rig.write("ep/strange", None)
    await rig.publish("first", 14)
    await rig.known(12, 14)
    assert rig.feed.complaints() == []
