"""Joining a cluster, being heard in it, leaving it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace

import pytest

from mooring.core.cluster_hosts import ClusterAccess, Underlay, Verdict, session_key
from mooring.core.faults import BadRequest, Conflict, NotFound, Unavailable
from mooring.services.cluster.host_records import HostRecords
from mooring.services.cluster.membership import REFRESH, TTL, ClusterMembership
from mooring.services.cluster.own_record import TELL, HostFacts
from mooring.testing.clocks import ManualClock
from mooring.testing.memory_cluster import MemoryCluster
from mooring.testing.memory_cluster_setup import MemoryClusterSetup
from mooring.testing.memory_store import When

ENDPOINT = "https://etcd:2379"
ACCESS = ClusterAccess(cluster="", endpoints=(ENDPOINT,), key="K")


@dataclass
class Site:
    """Servers, and machines that may be hosts of a cluster."""

    clock: ManualClock = field(default_factory=ManualClock)
    servers: MemoryCluster = field(init=False)
    setups: dict[str, MemoryClusterSetup] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.servers = MemoryCluster(self.clock)

    def machine(self, number: int, boot: str = "b1", machine: str = "") -> ClusterMembership:
        """A daemon on the machine; on the same one again after a restart."""
        name = f"web{number}"
        setup = self.setups.setdefault(name, MemoryClusterSetup({ENDPOINT: self.servers}, f"10.0.0.{number}"))
        return ClusterMembership(setup, self.clock, HostFacts(name, machine or f"m{number}", boot, "1.0"))

    async def heard(self) -> int:
        """How many hosts are."""
        return len(await HostRecords(self.servers.client("test")).heard())


@pytest.fixture
def site() -> Site:
    """Nothing is there yet."""
    return Site()


async def pair(site: Site) -> tuple[ClusterMembership, ClusterMembership]:
    """Two hosts of one cluster, which are heard."""
    first, second = site.machine(1), site.machine(2)
    begun = await first.begin(ACCESS, "", "", False)
    await second.join(begun.membership.access, "", "", False)
    for host in (first, second):
        await host.refresh()
    return first, second


async def test_two_hosts_are_in_one_cluster(site: Site) -> None:
    """Each has an id of its own, a record that says where it is, and a session; the token's access is kept."""
    first, second = await pair(site)
    hosts = await HostRecords(site.servers.client("test")).hosts()
    assert sorted(host.name for host in hosts) == ["web1", "web2"]
    assert len({host.id for host in hosts}) == 2
    assert {host.underlay.address for host in hosts} == {"10.0.0.1", "10.0.0.2"}
    assert await site.heard() == 2
    kept = site.setups["web2"].kept_one
    assert kept is not None
    assert kept.access == first.entered()[0].access
    assert kept == second.membership


async def test_a_dry_run_changes_nothing_and_tells_what_is_in_the_way(site: Site) -> None:
    """Neither in the cluster nor on the host."""
    first = site.machine(1)
    assert (await first.begin(ACCESS, "", "", True)).changed
    assert site.servers.records == {}
    begun = await first.begin(ACCESS, "", "", False)
    before = site.servers.records
    second = site.machine(2)
    told = await second.join(begun.membership.access, "web1", "", True)
    assert [check.what for check in told.checks if check.verdict is Verdict.REFUSED] == ["identity"]
    assert site.servers.records == before
    assert (site.setups["web2"].kept_one, second.membership) == (None, None)
    with pytest.raises(Conflict, match="is called web1 as well"):
        await second.join(begun.membership.access, "web1", "", False)
    assert site.servers.records == before


async def test_a_join_that_was_cut_off_is_finished_by_the_next(site: Site) -> None:
    """Before or after the record was written, and when it is written later yet: one host, one id."""
    begun = await site.machine(1).begin(ACCESS, "", "", False)
    access = begun.membership.access
    site.servers.fail_next(When.AFTER)
    with pytest.raises(Unavailable):
        await site.machine(2).join(access, "", "", False)
    assert site.setups["web2"].kept_one is None
    await site.machine(2).join(access, "", "", False)
    site.servers.fail_next(When.BEFORE)
    with pytest.raises(Unavailable):
        await site.machine(3).join(access, "", "", False)
    await site.machine(3).join(access, "", "", False)
    hosts = await HostRecords(site.servers.client("test")).hosts()
    assert sorted(host.name for host in hosts) == ["web1", "web2", "web3"]


async def test_making_a_cluster_is_done_once(site: Site) -> None:
    """Again on the same host it is as before; on another it is refused; an empty one is taken."""
    first = site.machine(1)
    made = await first.begin(ACCESS, "", "", False)
    again = await first.begin(ACCESS, "", "", False)
    assert (made.changed, again.changed) == (True, False)
    assert again.membership == made.membership
    with pytest.raises(Conflict, match="join it with the token"):
        await site.machine(2).begin(ACCESS, "", "", False)
    await first.leave(False, False)
    taken = await site.machine(2).begin(ACCESS, "", "", False)
    assert taken.membership.access.cluster == made.membership.access.cluster


async def test_a_cluster_that_is_not_there_or_another_is_refused(site: Site) -> None:
    """A token of an etcd that was made anew; endpoints that nobody is at; a host that is in a cluster already."""
    with pytest.raises(NotFound, match="no cluster is there"):
        await site.machine(1).join(replace(ACCESS, cluster="c9"), "", "", False)
    first, _ = await pair(site)
    with pytest.raises(NotFound, match="cluster c9 is not at these endpoints"):
        await site.machine(3).join(replace(ACCESS, cluster="c9"), "", "", False)
    with pytest.raises(Unavailable):
        await site.machine(3).join(replace(ACCESS, endpoints=("https://gone:1",)), "", "", False)
    other = MemoryCluster(site.clock)
    site.setups["web1"].servers["https://other:2379"] = other
    with pytest.raises(Conflict, match="this host is in cluster"):
        await first.begin(replace(ACCESS, endpoints=("https://other:2379",)), "", "", False)
    assert other.records == {}
    with pytest.raises(BadRequest, match="neither an interface nor an address"):
        await site.machine(3).join(first.entered()[0].access, "", "wg9", False)


async def test_new_certificates_are_taken_over_by_joining_again(site: Site) -> None:
    """The host stays who it is."""
    first, second = await pair(site)
    access = replace(first.entered()[0].access, key="NEW")
    host = second.entered()[0].host
    assert (await second.join(access, "", "", True)).changed
    assert second.entered()[0].access.key == "K"
    assert (await second.join(access, "", "", False)).changed
    assert not (await second.join(access, "", "", False)).changed
    assert (second.entered()[0].access.key, second.entered()[0].host) == ("NEW", host)
    await second.refresh()
    assert await site.heard() == 2


async def test_a_session_ends_by_itself_and_begins_again(site: Site) -> None:
    """While the host does not reach the servers it knows since when; a restarted daemon goes on with it."""
    _, second = await pair(site)
    confirmed = second.confirmed
    site.servers.cut("10.0.0.2")
    site.clock.advance(TTL)
    with pytest.raises(Unavailable):
        await second.refresh()
    assert second.confirmed == confirmed
    assert await site.heard() == 0
    site.servers.mend()
    await second.refresh()
    assert second.confirmed == site.clock.boot()
    assert await site.heard() == 1


async def test_the_daemon_keeps_a_host_heard(site: Site) -> None:
    """From its start on, for hosts that were in before, as from a join; the outage is told while it lasts."""
    await pair(site)
    again = site.machine(2, boot="b2")
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(again.run())
        await settle()
        site.clock.advance(TTL)  # of the boot before
        await settle()
        assert again.confirmed == site.clock.boot()
        host = again.entered()[0].host
        found, _ = await HostRecords(site.servers.client("test")).host(host)
        assert found is not None
        assert found.boot == "b2"
        site.servers.lose_majority()
        site.clock.advance(REFRESH)
        await settle()
        assert "no leader" in again.unreached
        site.servers.regain_majority()
        site.clock.advance(REFRESH)
        await settle()
        assert again.unreached == ""
        running.cancel()


async def test_an_error_of_our_own_does_not_end_the_daemon(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told, and tried again; a stop ends it, whatever a group of tasks makes of that, and closes the store."""
    await pair(site)
    again = site.machine(2)
    wrong: list[Exception] = [ValueError("of ours")]
    refresh = again.refresh

    async def broken() -> None:
        if wrong:
            raise wrong[0]
        await refresh()

    async def cancelled() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ExceptionGroup("stopped", [ValueError()]) from None

    monkeypatch.setattr(again, "refresh", broken)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(again.run())
        await settle()
        assert again.unreached == "being heard failed with an internal error; see the log"
        wrong.clear()
        site.clock.advance(REFRESH)
        await settle()
        assert (again.unreached, again.confirmed) == ("", site.clock.boot())
        _, store = again.entered()
        monkeypatch.setattr(again, "refresh", cancelled)
        site.clock.advance(REFRESH)
        await settle()
        running.cancel()
    assert running.cancelled()
    with pytest.raises(Unavailable, match="closed"):
        await store.get("a")


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(60):
        await asyncio.sleep(0)


async def test_a_host_tells_when_its_address_changes(site: Site) -> None:
    """Within a minute, the others can read it."""
    _, second = await pair(site)
    site.setups["web2"].links["eth0"] = Underlay("10.0.0.22", "eth0", 1400)
    await second.refresh()
    site.clock.advance(TELL)
    await second.refresh()
    found, _ = await HostRecords(site.servers.client("test")).host(second.entered()[0].host)
    assert found is not None
    assert found.underlay == Underlay("10.0.0.22", "eth0", 1400)


async def test_a_host_is_heard_while_no_name_can_be_resolved(site: Site) -> None:
    """Its record stays as it was, is looked at once a minute, and is mended after the outage."""
    _, second = await pair(site)
    links, access = dict(site.setups["web2"].links), second.entered()[0].access
    site.setups["web2"].links.clear()
    site.clock.advance(TELL)
    await second.refresh()
    assert second.confirmed == site.clock.boot()
    site.setups["web2"].links |= {name: replace(link, mtu=1400) for name, link in links.items()}
    for mtu in (1500, 1400):
        found, _ = await HostRecords(site.servers.client("test")).host(second.entered()[0].host)
        assert found is not None
        assert found.underlay.mtu == mtu
        await second.refresh()
        site.clock.advance(TELL)
        await second.refresh()
    site.setups["web2"].links.clear()
    with pytest.raises(Unavailable, match="cannot be resolved"):  # who joins is told
        await site.machine(2).join(access, "", "", False)


async def test_a_copy_of_a_machine_is_found_out(site: Site) -> None:
    """Of two machines with one membership one is heard, and the other says so; one copied before is refused."""
    one, second = await pair(site)
    original = site.setups["web2"]
    site.setups["web2"] = MemoryClusterSetup({ENDPOINT: site.servers}, "10.0.0.9")
    site.setups["web2"].kept_one = second.membership
    copy = site.machine(2, boot="b9")
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(copy.run())
        await settle()
        assert "another machine is host web2" in copy.unreached
        await second.refresh()
        with pytest.raises(Conflict, match="another machine is heard as host web2"):
            await copy.leave(False, False)
        site.clock.advance(TTL)  # the original is silent, and comes back to find that the copy is heard
        await settle()
        assert copy.confirmed == site.clock.boot()
        with pytest.raises(Conflict, match="another machine is host web2"):
            await second.refresh()
        assert second.confirmed is None
        with pytest.raises(Conflict, match="another machine is host web2"):
            await second.refresh()
        await second.leave(True, False)
        assert original.kept_one is None
        await copy.refresh()  # it has kept record and session
        running.cancel()
    await one.refresh()
    first, access = site.machine(1), copy.entered()[0].access
    for boot in ("b3", "b1"):  # b1: it was copied while it ran
        with pytest.raises(Conflict, match="the same machine id"):
            await site.machine(3, machine="m1", boot=boot).join(access, "", "", False)
    with pytest.raises(Conflict, match="is there already"):
        await first.begin(ACCESS, "", "", False)


async def test_a_copy_with_a_machine_id_of_its_own_is_not_the_host(site: Site) -> None:
    """It leaves without a word to the cluster, where the original stays; then it is a host of its own."""
    _, second = await pair(site)
    site.setups["web2"] = MemoryClusterSetup({ENDPOINT: site.servers}, "10.0.0.9")
    site.setups["web2"].kept_one = second.membership
    copy = site.machine(2, machine="m9", boot="b9")
    before = site.servers.records
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(copy.run())
        await settle()
        assert "is a copy of host web2" in copy.unreached
        with pytest.raises(NotFound, match="in no cluster"):
            copy.entered()
        assert (await copy.leave(False, True)) == site.setups["web2"].kept() == second.membership
        await copy.leave(False, False)
        assert (site.setups["web2"].kept(), copy.unreached) == (None, "")
        assert site.servers.records == before
        await copy.join(second.entered()[0].access, "web9", "", False)
        await settle()
        assert await site.heard() == 3
        running.cancel()


async def test_leaving_ends_what_joining_began(site: Site) -> None:
    """Record, session and file; refused while the host has something in the cluster."""
    first, second = await pair(site)
    host = second.entered()[0].host
    holder = site.servers.client("test")
    block = await holder.put("block/default/0a000000p24/1", f'{{"host":"{host}"}}'.encode(), 0)
    with pytest.raises(Conflict, match=r"networks of the cluster, or did just now: 10\.0\.0\.0/24; remove"):
        await second.leave(False, False)
    await holder.delete("block/default/0a000000p24/1", block)
    assert (await second.leave(False, True)).host == host
    assert await site.heard() == 2
    assert (await second.leave(False, False)).host == host
    assert (site.setups["web2"].kept_one, second.membership) == (None, None)
    assert await site.heard() == 1
    assert session_key(host) not in site.servers.records
    with pytest.raises(NotFound, match="in no cluster"):
        await second.leave(False, False)
    assert first.membership is not None


async def test_a_host_that_leaves_while_it_is_refreshed_is_not_heard_again(site: Site) -> None:
    """Whatever the order in which both come to the servers; and nothing is told of a cluster that it is not in."""
    await pair(site)
    for turns in range(24):
        second = site.machine(2)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(second.run())
            await settle()
            access, host = second.entered()[0].access, second.entered()[0].host
            leaving = tasks.create_task(second.leave(False, False))
            for _ in range(turns):
                await asyncio.sleep(0)
            site.clock.advance(REFRESH)
            await leaving
            await settle()
            assert host not in await HostRecords(site.servers.client("test")).heard()
            assert second.unreached == ""
            await second.join(access, "", "", False)
            running.cancel()


async def test_leaving_without_the_cluster_is_said_to_be_wanted(site: Site) -> None:
    """Then the record stays until it is forgotten, and the host is told so if it comes back."""
    _, second = await pair(site)
    site.servers.lose_majority()
    with pytest.raises(Unavailable, match="; `mooring cluster leave --force` goes without it"):
        await second.leave(False, False)
    await second.leave(True, False)
    assert site.setups["web2"].kept_one is None


async def test_a_host_that_was_forgotten_says_so(site: Site) -> None:
    """It is not heard again by itself."""
    _, second = await pair(site)
    records = HostRecords(site.servers.client("test"))
    _, revision = await records.host(second.entered()[0].host)
    await records.delete_host(second.entered()[0].host, revision)
    site.clock.advance(TELL)
    with pytest.raises(NotFound, match="has forgotten this host"):
        await second.refresh()
    assert await site.heard() == 0


async def test_where_no_cluster_can_be_joined_that_is_said(site: Site) -> None:
    """In the library's own services."""
    alone = ClusterMembership(None, site.clock, HostFacts("x", "m", "b", "1"))
    with pytest.raises(Unavailable, match="can be in no cluster"):
        await alone.join(ACCESS, "", "", False)
