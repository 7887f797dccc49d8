"""Who of the other hosts is heard, and what each is called, costs a scan now and then."""

from __future__ import annotations

from ipaddress import ip_address

from mooring.core.advertisements import Advertisement
from mooring.core.cluster_hosts import ClusterAccess, ClusterHost, Membership, Underlay
from mooring.core.sessions import SessionRule
from mooring.services.cluster.host_records import HostRecords
from mooring.services.containers.cluster_names import LOOK, ClusterNames
from mooring.services.containers.remote_names import RemoteNames
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_cluster import MemoryCluster

RULE = SessionRule()


class Host:
    """A host whose cluster has another one, h1, that advertises something."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.servers = MemoryCluster(self.clock)
        self.store = self.servers.client("h0")
        self.remote = RemoteNames(lambda: None, lambda network_id: network_id)
        self.scanned = True
        self.names = ClusterNames(self.remote, self.clock, lambda: self.scanned)
        self.records = HostRecords(self.servers.client("h1"))

    async def start(self) -> Host:
        """It is in the cluster, and both are heard."""
        await self.enter()
        underlay = Underlay("192.0.2.1", "eth0", 1500)
        host = ClusterHost(id="h1", name="web1", machine="m1", boot="b1", underlay=underlay, version="1", joined=0.0)
        await self.records.put_host(host, 0)
        await self.refresh()
        self.remote.note("ep/h1/n/e1", Advertisement(
            network="n", host="h1", endpoint="e1", mac="02:00:00:00:00:01", addresses=(ip_address("10.0.0.1"),),
            underlay=ip_address("192.0.2.1"), names=("db",),
        ))  # fmt: skip
        return self

    async def enter(self) -> None:
        """This host is in the cluster."""
        access = ClusterAccess(cluster="c1", endpoints=("http://127.0.0.1:1",))
        await self.names.entered(self.store, Membership(access=access, host="h0", name="web0", machine="m0"))

    async def refresh(self) -> None:
        """h1 is heard."""
        _, revision = await self.records.session("h1")
        await self.records.put_session("h1", "b1", revision, RULE.ttl)

    async def after(self, seconds: float) -> bool:
        """Whether h1 is silent then. There is a turn each second."""
        while seconds > 0:
            self.clock.advance(min(seconds, 1.0))
            seconds -= 1.0
            assert await self.names.turn() == []
        return self.remote.is_silent("h1")


async def test_hosts_are_called_by_their_names() -> None:
    """This one as well; one that nobody knows, by its id."""
    host = await Host().start()
    assert await host.names.turn() == []
    assert [host.remote.host_name(each) for each in ("", "h0", "h1", "unknown-host-id")] == [
        "web0", "web0", "web1", "unknown-host",
    ]  # fmt: skip


async def test_a_host_without_a_session_is_silent_after_the_grace() -> None:
    """And is heard with its next session."""
    host = await Host().start()
    assert not await host.after(RULE.ttl - 1)
    assert await host.after(1 + RULE.grace + 2 * LOOK)
    await host.refresh()
    assert not await host.after(LOOK)


async def test_a_short_gap_is_no_silence() -> None:
    """As after an outage of the store, when each host has to be heard anew."""
    host = await Host().start()
    _, revision = await host.records.session("h1")
    assert not await host.after(LOOK)
    await host.store.delete("session/h1", revision)
    assert not await host.after(RULE.grace - 1)
    await host.refresh()
    assert not await host.after(2 * LOOK)


async def test_while_the_store_is_away_everything_is_as_it_was() -> None:
    """And what was seen before it counts for nothing after it."""
    host = await Host().start()
    _, revision = await host.records.session("h1")
    await host.store.delete("session/h1", revision)
    assert not await host.after(LOOK)
    host.servers.cut("h0")
    for _ in range(60):
        host.clock.advance(1.0)
        assert len(await host.names.turn()) == 1
    assert not host.remote.is_silent("h1")
    host.servers.mend("h0")
    assert not await host.after(1)
    assert await host.after(RULE.grace + LOOK)


async def test_others_are_waited_for_until_the_first_scan() -> None:
    """Where a network of the cluster is here; and not by a host that has left."""
    host = Host()
    host.remote.take_part("n", "web")
    host.scanned = False
    await host.start()
    assert not await host.after(3)
    assert host.remote.incomplete
    host.scanned = True
    assert [host.remote.incomplete, await host.after(1), host.remote.incomplete] == [True, False, False]
    host.scanned = False
    await host.enter()
    assert host.remote.incomplete
    await host.names.left()
    assert [host.remote.incomplete] == [False]


async def test_a_host_that_has_left_asks_nobody() -> None:
    """Nor one in whose cluster nobody has names. What was known stays for who is about to join anew."""
    host = await Host().start()
    await host.names.left()
    host.servers.cut("h0")
    host.clock.advance(2 * LOOK)
    assert await host.names.turn() == []
    assert host.remote.hosts == ("h1",)
    host.remote.note("ep/h1/n/e1", None)
    await host.enter()
    assert await host.names.turn() == []
