"""What hosts publish in the cluster is in this host's overlays, through outages and lost history."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from ipaddress import ip_address

import pytest

from mooring.core.faults import BadRequest
from mooring.core.overlays import Overlay, Remote
from mooring.core.plumbing import Fact, RemoteFact, RemoteMac
from mooring.ports import Cluster
from mooring.services.networking.overlay_feed import OverlayFeed, Published
from mooring.testing.memory_cluster import MemoryCluster
from tests.services.hosts import MemoryHost

LOCAL, B = ip_address("192.0.2.1"), ip_address("192.0.2.2")


def read(_key: str, value: bytes) -> Published:
    """As a test writes it."""
    try:
        network, mac, address, host = json.loads(value)
    except ValueError:
        raise BadRequest("this is of a newer version") from None
    return Published(network, Remote(mac, (ip_address(address),), ip_address(host)))


@dataclass
class Rig:
    """A host that is in the network `web`, and the cluster; `other` is another host's way to it."""

    host: MemoryHost
    network: str
    cluster: MemoryCluster
    other: Cluster
    feed: OverlayFeed

    async def publish(self, key: str, number: int, network: str = "web") -> None:
        """The other host has an endpoint whose MAC and address end in the number."""
        value = [network, f"02:00:00:00:00:{number:02x}", f"10.32.0.{number}", str(B)]
        await self.write(key, json.dumps(value).encode())

    async def write(self, key: str, value: bytes | None) -> None:
        """The key has the value, whatever it had."""
        known = await self.other.get(f"ep/{key}")
        revision = known.revision if known is not None else 0
        if value is None:
            await self.other.delete(f"ep/{key}", revision)
        else:
            await self.other.put(f"ep/{key}", value, revision)

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
    feed = OverlayFeed(cluster.client("one"), host.services.repair.overlays, host.clock, "ep/", read)
    made = Rig(host, network, cluster, cluster.client("two"), feed)
    await made.publish("first", 11)
    await feed.open("web", network, Overlay(7, LOCAL, 1500))
    await host.services.repair.once()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(feed.run())
        yield made
        running.cancel()


async def test_what_is_there_and_what_comes_is_known(rig: Rig) -> None:
    """Endpoints come, change network, and go; those of networks that are not here are nothing to the kernel."""
    await rig.known(11)
    await rig.publish("second", 12)
    await rig.publish("elsewhere", 13, "db")
    await rig.known(11, 12)
    await rig.publish("elsewhere", 13)
    await rig.publish("first", 11, "db")
    await rig.known(12, 13)
    await rig.write("second", None)
    await rig.known(13)
    rig.feed.close("web")
    rig.feed.close("web")
    await rig.known()


async def test_a_network_that_is_opened_later_has_all_at_once(rig: Rig) -> None:
    """What was published before is known already."""
    await rig.publish("db", 21, "db")
    await rig.known(11)
    other = await rig.host.network("b")
    await rig.feed.open("db", other, Overlay(8, LOCAL, 1500))
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
    await rig.write("first", None)
    rig.cluster.compact()
    rig.cluster.mend("one")
    await rig.known(12)


async def test_what_cannot_be_read_is_as_it_was_and_told(rig: Rig) -> None:
    """A host of a newer version is no reason to cut anybody off; read again, there is nothing to tell."""
    await rig.known(11)
    before: set[Fact] = {fact for fact in rig.host.facts if isinstance(fact, RemoteFact)}
    await rig.write("first", b"?")
    await rig.write("strange", b"?")
    await rig.publish("second", 12)
    await rig.known(11, 12)
    assert before <= rig.host.facts
    assert [words.split()[0] for words in rig.feed.complaints()] == ["ep/first", "ep/strange"]
    await rig.write("strange", None)
    await rig.publish("first", 14)
    await rig.known(12, 14)
    assert rig.feed.complaints() == []
