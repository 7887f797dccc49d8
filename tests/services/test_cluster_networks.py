"""Networks that hosts share: made, used, removed, and told to a cluster that is not always there."""

from __future__ import annotations

from ipaddress import ip_interface, ip_network

import pytest

from mooring.core.blocks import HostBlock, SharedSubnet
from mooring.core.cluster_networks import HostNetwork
from mooring.core.containers import EngineNetwork, EngineSubnet
from mooring.core.faults import BadRequest, Conflict, StaleRevision, Unavailable
from mooring.core.networks import Network
from mooring.core.plumbing import Inside
from mooring.core.pools import Pool
from mooring.core.requests import NetworkRequest, PoolRequest, SegmentRequest
from mooring.ports import Transaction
from mooring.services.cluster.shared_values import SharedValues
from mooring.testing.memory_cluster import Step, let_others_run
from mooring.testing.memory_store import MemoryStore, When
from tests.services.member_hosts import MemberHost, members

SUBNET = "10.30.0.0/24"


async def make(host: MemberHost, name: str = "app", subnet: str | None = SUBNET, **raw: str) -> str:
    """As Docker does it; whatever is refused leaves no pool."""
    ident = name.ljust(64, "0")
    wanted = ip_network(subnet) if subnet else None
    grant = await host.services.ipam.request_pool(PoolRequest("default", 4, wanted))
    segment = SegmentRequest("default", grant.subnet, grant.gateway)
    options = raw or {"scope": "cluster"}
    try:
        await host.services.networks.create(NetworkRequest(ident, options, False, (segment,), ()))
    except BaseException:
        await host.services.ipam.release_pool(grant.pool)
        raise
    return ident


async def remove(host: MemberHost, ident: str) -> None:
    """As Docker does it: the pool first."""
    for pool in list(host.services.cache.every(Pool)):
        if pool.network == ident:
            await host.services.ipam.release_pool(pool.id)
    await host.services.networks.delete(ident)


def kept(host: MemberHost) -> list[object]:
    """What the host has on record of networks that it shares."""
    cache = host.services.cache
    return [*cache.every(HostNetwork), *cache.every(SharedSubnet), *cache.every(HostBlock)]


def shared(host: MemberHost) -> dict[str, bytes]:
    """What the cluster has, but for the hosts themselves."""
    return {
        key: value
        for key, value in host.servers.records.items()
        if key.partition("/")[0] not in ("host", "session", "cluster", "mark")
    }


async def test_a_host_whose_tunnels_have_another_port_is_in_no_overlay_of_the_others() -> None:
    """Neither would hear the other: both values are named, and who has the other. Addresses alone can be shared."""
    first, same = await members(2)
    other = await MemberHost(first.servers, 3, vxlan_port=4795).start()
    assert first.membership.membership is not None
    joining = await other.membership.join(first.membership.membership.access, "", "", False)
    assert any("4795 here, but web" in check.text for check in joining.checks)
    await other.turn()
    await make(first, mode="vxlan")
    await make(same, mode="vxlan")
    with pytest.raises(Conflict, match=r"port 4795 here, 4790 on host web.*held by host web., host web.\)"):
        await make(other, mode="vxlan")
    assert kept(other) == []
    await make(other, subnet="10.31.0.0/24", mode="vxlan")
    await make(first, "lan", subnet="10.33.0.0/24")
    await make(other, "lan", subnet="10.33.0.0/24")


async def test_the_same_command_on_each_host_makes_one_network() -> None:
    """One id, one VNI; and no address is given twice."""
    hosts = await members(3)
    for host in hosts:
        await make(host, "app", mode="vxlan")
        await host.turn()
    parts = [next(host.services.cache.every(HostNetwork)) for host in hosts]
    assert [part.shared for part in parts] == [parts[0].shared] * 3
    assert parts[0].shared.vni
    for host in hosts:
        for name in ("a", "b"):
            await host.endpoint("app".ljust(64, "0"), name, attach=False)
    leases = [lease for host in hosts for lease in host.services.ipam.index.leases(pool_of(host).id) if lease.mac]
    assert len({lease.address for lease in leases}) == len(leases) == 9  # each host has one of its own
    assert {pool_of(host).gateway for host in hosts} == {ip_interface("10.30.0.1/24").ip}


def pool_of(host: MemberHost) -> Pool:
    """The host's only one."""
    (pool,) = host.services.cache.every(Pool)
    return pool


async def test_the_last_removal_leaves_nothing_anywhere() -> None:
    """Neither in the cluster nor in the hosts' records."""
    hosts = await members(2)
    for host in hosts:
        await make(host)
        await host.turn()
    await remove(hosts[0], "app".ljust(64, "0"))
    await hosts[0].turn()
    assert kept(hosts[0]) == []
    assert any(key.startswith("net/") for key in shared(hosts[1]))
    await remove(hosts[1], "app".ljust(64, "0"))
    await hosts[1].turn()
    assert kept(hosts[1]) == []
    assert shared(hosts[1]) == {}


async def test_without_the_cluster_it_is_removed_at_once_and_made_not_at_all() -> None:
    """The cluster hears of it when it is back; until then the subnet is nobody else's."""
    (host,) = await members(1)
    ident = await make(host)
    await host.turn()
    host.servers.lose_majority()
    await remove(host, ident)
    assert host.services.cache.network(ident) is None
    await host.turn()
    with pytest.raises(Unavailable):
        await make(host, "other", "10.31.0.0/24")
    assert list(host.services.cache.every(Network)) == []
    assert [part.network for part in host.services.cache.every(HostNetwork)] == [ident]
    with pytest.raises(Conflict, match=r"subnet 10.30.0.0/24 is one of the cluster's until"):
        await make(host, "local", mode="bridge")
    host.servers.regain_majority()
    await host.turn(5.0)
    await host.turn()
    assert (shared(host), kept(host)) == ({}, [])
    await make(host, "local", mode="bridge")


async def test_a_removal_outlasts_who_writes_the_hosts_part_meanwhile() -> None:
    """Docker takes the network for gone even if it is refused, and never asks again."""
    (host,) = await members(1)
    ident = await make(host, "app", mode="vxlan")
    await host.turn()
    others = 2

    def write_first(transaction: Transaction) -> None:
        nonlocal others
        if f"network/{ident}" in transaction.delete and others:
            others -= 1
            raise StaleRevision(f"cluster-network/{ident}")

    host.store.on_commit = write_first
    await remove(host, ident)
    await host.turn()
    assert others == 0
    assert (shared(host), kept(host)) == ({}, [])


async def test_a_host_in_no_cluster_makes_none() -> None:
    """It says what to do, and nothing is left."""
    host = await MemberHost((await members(1))[0].servers, 9).start()
    with pytest.raises(Unavailable, match="this host is in no cluster; join one with"):
        await make(host)
    assert host.store.records == {}


async def test_a_network_of_the_cluster_that_is_made_again_at_once_is_the_same_or_a_new_one() -> None:
    """What was left of the first is given back before."""
    (host,) = await members(1)
    await make(host)
    await host.turn()
    first = next(host.services.cache.every(HostNetwork)).shared.id
    await remove(host, "app".ljust(64, "0"))
    await make(host, "app2")
    (part,) = host.services.cache.every(HostNetwork)
    assert (part.network, part.leaving) == ("app2".ljust(64, "0"), False)
    assert part.shared.id != first
    await host.turn()
    await host.endpoint("app2".ljust(64, "0"), "a")


async def test_a_network_that_is_made_again_with_its_id_has_left_what_it_was_in_before_it_joins() -> None:
    """Else what it still had of the subnet would count for the new one, which may never come to be."""
    (host,) = await members(1)
    ident = await make(host)
    await host.turn()
    host.servers.lose_majority()
    await remove(host, ident)
    host.servers.regain_majority()
    here: list[object] = []

    async def look(step: Step) -> None:
        if (step.method, step.key, step.when) == ("put", "net/default/0a1e0000p24", When.BEFORE):
            here[:] = [*host.services.cache.every(SharedSubnet), *host.services.cache.every(HostBlock)]
            here.append([key for key in shared(host) if key.startswith(("net/", "block/"))])

    host.servers.pause = look
    await host.membership.attempt()
    await make(host)
    assert here == [[]]


async def test_what_cannot_be_shared_is_refused_and_leaves_nothing() -> None:
    """A subnet that Mooring did not give, and one that is not as on the other hosts."""
    one, two = await members(2)
    ident = "x" * 64
    segment = SegmentRequest("LocalDefault", ip_network(SUBNET), ip_interface("10.30.0.1/24"))
    with pytest.raises(BadRequest, match="subnets whose addresses Mooring gives"):
        await two.services.networks.create(NetworkRequest(ident, {"scope": "cluster"}, False, (segment,), ()))
    await make(one)
    with pytest.raises(Conflict, match=r"has icc at its default, not off \(held by host web1\)"):
        await make(two, "app", scope="cluster", icc="off")
    await two.turn()
    assert kept(two) == []
    assert [key for key in shared(two) if key.endswith(two.membership.membership.host)] == []  # type: ignore[union-attr]


async def test_a_subnet_that_was_carved_is_the_first_hosts_and_others_name_it() -> None:
    """Two hosts that carve the same have not meant each other."""
    one, two = await members(2)
    await make(one, subnet=None)
    assert pool_of(one).source
    with pytest.raises(Conflict, match=r"--subnet 10.32.0.0/24"):
        await make(two, subnet=None)
    await make(two, subnet="10.32.0.0/24")


@pytest.mark.parametrize("when", [When.BEFORE, When.AFTER])
async def test_a_host_that_dies_while_it_makes_a_network_leaves_nothing_of_it(when: When) -> None:
    """At each write in the cluster; its next turns take it back."""
    for stop in range(1, 12):
        (host,) = await members(1)
        writes = 0

        async def pause(step: Step, stop: int = stop) -> None:
            nonlocal writes
            if step.method in ("put", "delete") and step.when is when and not step.key.startswith(("session", "host")):
                writes += 1
                if writes == stop:
                    raise Unavailable("it died")

        host.servers.pause = pause
        try:
            await make(host, "app", mode="vxlan")
            done = True
        except Unavailable:
            done = False
        host.servers.pause = let_others_run
        await host.restart()
        for _ in range(3):
            await host.turn(1.0)
        if done:
            return
        assert (kept(host), shared(host)) == ([], {})
        assert list(host.services.cache.every(Network)) == []
    raise AssertionError("it makes too many writes")


async def test_a_driver_that_refuses_ends_the_part_in_the_cluster_too() -> None:
    """The kernel was not able to make the bridge."""
    (host,) = await members(1)
    host.refusals.append(Conflict("no bridge today"))
    with pytest.raises(Conflict, match="no bridge today"):
        await make(host)
    await host.turn()
    assert (kept(host), shared(host)) == ([], {})


async def test_what_the_cluster_has_lost_is_told_again() -> None:
    """Its store came from a backup: the hosts that are there make the network anew."""
    one, two = await members(2)
    for host in (one, two):
        await make(host, "app", mode="vxlan")
    for entry in list(one.servers.records):
        if entry.startswith(("net/", "vni/")):
            one.servers.change(entry, None, one.servers.find(entry).revision, None)  # type: ignore[union-attr]
    for host in (one, two):
        await host.turn(25.0)
    parts = [next(host.services.cache.every(HostNetwork)) for host in (one, two)]
    assert parts[0].shared == parts[1].shared
    assert parts[0].shared.vni
    assert len([key for key in shared(one) if key.startswith("net/")]) == 3


async def test_after_it_has_left_its_cluster_by_force_nothing_waits_for_one() -> None:
    """What is removed then is gone, and the subnet may be used again."""
    (host,) = await members(1)
    ident = await make(host)
    await host.membership.leave(True, False)
    await remove(host, ident)
    assert kept(host) == []
    await make(host, "local", mode="bridge")


async def test_a_host_whose_store_is_lost_is_in_its_networks_again() -> None:
    """Docker still has the network, and the cluster this host's blocks: addresses that live stay whose they are."""
    one, two = await members(2)
    for host in (one, two):
        await make(host, "app", mode="vxlan")
        await host.turn()
    ident = "app".ljust(64, "0")
    await one.endpoint(ident, "e1")
    (endpoint,) = one.services.endpoint_index.of_network(ident)
    assert endpoint.ipv4 is not None
    (before,) = one.services.cache.every(HostNetwork)
    subnet = EngineSubnet(ip_network(SUBNET), gateway=ip_interface("10.30.0.1/24").ip)
    one.engine.networks.add(ident)
    one.engine.described[ident] = EngineNetwork(
        ident, "app", "mooring", ipam="mooring", subnets=(subnet,), options={"mode": "vxlan"}
    )
    one.kernel.inside[f"mv-{endpoint.id[:12]}"] = Inside(endpoint.mac, (endpoint.ipv4,))
    one.store = MemoryStore()
    await one.restart()
    report = await one.services.repair.once()
    assert report.findings == ()
    await one.turn(1.0)
    await one.services.repair.once()
    await one.turn(25.0)
    (after,) = one.services.cache.every(HostNetwork)
    assert (after.shared, after.leaving) == (before.shared, False)
    blocks = list(one.services.cache.every(HostBlock))
    assert any(endpoint.ipv4.ip in block for block in blocks)
    assert one.services.cache.lease("default", endpoint.ipv4.ip) is not None
    await one.endpoint(ident, "e2", attach=False)
    assert one.runtime.faults == ()


async def test_a_forgotten_host_is_in_no_network() -> None:
    """Nor advertises anything; a network of which it was the last host ends."""
    one, two = await members(2)
    for host in (one, two):
        await make(host)
    await make(two, "own", "10.31.0.0/24")
    here, gone = (host.membership.entered()[0].host for host in (one, two))
    await one.servers.client("x").put(f"ep/{gone}/n/e", b"{}", 0)
    plan = one.runtime.plan
    assert plan is not None
    one.clock.advance(20.0)
    await plan.sessions.standing(gone)
    one.clock.advance(5.0)
    await one.membership.attempt()
    await plan.forget(gone)
    assert [key for key, value in shared(one).items() if gone in key or gone.encode() in value] == []
    networks = [key for key in shared(one) if key.startswith("net/")]
    assert networks == ["net/default/0a1e0000p24", f"net/default/0a1e0000p24/{here}"]


async def test_a_host_that_is_cut_off_keeps_what_it_has_of_a_network_whose_record_somebody_deletes() -> None:
    """The others say why that stays; when it is back, it writes the record again, and its block is its own."""
    one, two = await members()
    await make(two)
    await two.turn()
    block = next(each for each in two.services.cache.every(HostBlock))
    values = SharedValues(one.servers.client("operator"))
    ours = await values.network("default", ip_network(SUBNET))
    assert ours.value is not None
    for _ in range(2):
        await one.turn(20.0)
    await values.delete(ours.value, ours.revision)
    for _ in range(30):  # without the other's turns
        await one.turn(20.0)
    (fault,) = one.runtime.faults
    assert "of a network that is not in the cluster any more stays there" in str(fault)
    assert f"host {two.name}" in fault.holder
    for _ in range(4):
        await two.turn(10.0)
        await one.turn(10.0)
    assert one.runtime.faults == ()
    assert list(two.services.cache.every(HostBlock)) == [block]
    assert any(key.startswith("block/") for key in shared(one))
    assert (await values.network("default", ip_network(SUBNET))).value is not None
