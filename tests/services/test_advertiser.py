"""What one host has, the kernels of the others know: the whole way over a cluster, through outages and restarts."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from ipaddress import ip_address, ip_network

import msgspec
import pytest

from mooring.core.advertisements import ADVERTISEMENTS, Advertisement, EndpointNames, host_prefix
from mooring.core.cluster_hosts import Underlay
from mooring.core.cluster_networks import HostNetwork
from mooring.core.containers import Container, ContainerEndpoint
from mooring.services.cluster.shared_values import advertisement_of
from mooring.services.containers.advertiser import Advertiser
from mooring.services.containers.host_names import HostNames
from tests.services.member_hosts import MemberHost, members
from tests.services.overlay_hosts import WEB, following, neighbours, remotes, take_part, turns


@pytest.fixture
async def hosts() -> AsyncIterator[list[MemberHost]]:
    """Two with an overlay in common, which they call otherwise each."""
    made = await members()
    async with following(*made):
        for host, name in zip(made, "ab", strict=True):
            await take_part(host, name)
        await turns(*made)
        yield made


def told(host: MemberHost) -> list[Advertisement]:
    """What the cluster has of the host, its own addresses first."""
    membership = host.setup.kept_one
    prefix = host_prefix(membership.host) if membership is not None else ADVERTISEMENTS
    records = host.servers.records.items()
    return [advertisement_of(key, value) for key, value in records if key.startswith(prefix)]


def host_names(host: MemberHost) -> HostNames:
    """What the host knows of names."""
    assert host.services.keeping is not None
    return host.services.keeping.host_names


def network(host: MemberHost) -> str:
    """The overlay's id there."""
    return next(host.services.cache.every(HostNetwork)).network


async def some_time(times: int = 200) -> None:
    """What is under way goes on, and the clock stands."""
    for _ in range(times):
        await asyncio.sleep(0)


async def test_an_endpoint_is_known_elsewhere_at_once(hosts: list[MemberHost]) -> None:
    """No turn and no second passes: MAC, where it is, and its address; and it is gone with its endpoint."""
    first, second = hosts
    await first.endpoint(network(first), "c1")
    await some_time()
    await second.services.repair.overlays.settle()
    (endpoint,) = first.services.endpoint_index.of_network(network(first))
    assert remotes(second)[endpoint.mac] == "10.0.0.1"
    assert neighbours(second)[endpoint.addresses[0]] == endpoint.mac
    assert endpoint.mac not in remotes(first)
    await first.services.endpoints.detach(network(first), endpoint.id)
    await some_time()
    await second.services.repair.overlays.settle()
    assert endpoint.mac not in remotes(second)


async def test_the_hosts_themselves_are_known(hosts: list[MemberHost]) -> None:
    """By the own addresses that they have in the overlay, and the MACs of their bridges."""
    first, second = hosts
    known = first.services.cache.network(network(first))
    part = next(first.services.cache.every(HostNetwork))
    assert known is not None
    assert remotes(second) == {known.mac: "10.0.0.1"}
    assert neighbours(second) == {part.own[0]: known.mac}
    assert [each.endpoint for each in told(first)] == [""]


async def test_nothing_waits_while_the_cluster_is_away(hosts: list[MemberHost]) -> None:
    """What came and went meanwhile is known afterwards, and not what came and went both."""
    first, second = hosts
    await first.endpoint(network(first), "c1")
    await turns(*hosts)
    first.servers.lose_majority()
    await first.endpoint(network(first), "c2")
    await first.endpoint(network(first), "c3")
    (c1,) = [each for each in first.services.endpoint_index.of_network(network(first)) if each.id.startswith("c1")]
    await first.services.endpoints.delete(network(first), c1.id)
    await turns(*hosts, times=5)
    assert c1.mac in remotes(second)
    first.servers.regain_majority()
    await turns(*hosts, times=5)
    macs = {each.mac for each in first.services.endpoint_index.of_network(network(first))}
    assert len(macs) == 2
    assert macs == {mac for mac in remotes(second) if mac.startswith("02:00:00:")}


async def test_what_was_told_stays_through_a_restart(hosts: list[MemberHost]) -> None:
    """Nothing is written again, and what went while the daemon was away goes."""
    first, second = hosts
    await first.endpoint(network(first), "c1")
    await first.endpoint(network(first), "c2")
    await turns(*hosts)
    before = first.servers.records
    await first.restart()
    async with following(first):
        await turns(first)
        assert {key: value for key, value in first.servers.records.items() if key.startswith(ADVERTISEMENTS)} == {
            key: value for key, value in before.items() if key.startswith(ADVERTISEMENTS)
        }
        await first.services.endpoints.delete(network(first), "c2".ljust(64, "0"))
        await turns(*hosts)
    assert [each.endpoint[:2] for each in told(first)] == ["", "c1"]
    assert len(remotes(second)) == 2


async def test_a_daemon_that_starts_while_the_cluster_is_away_cuts_nobody_off(hosts: list[MemberHost]) -> None:
    """What its kernel knows of the others stays, and is compared when the cluster is back."""
    first, second = hosts
    await first.endpoint(network(first), "c1")
    await turns(*hosts)
    known = remotes(second)
    second.servers.cut(second.setup.address)
    await second.restart()
    async with following(second):
        await turns(second, times=4)
        assert remotes(second) == known
        await first.services.endpoints.delete(network(first), "c1".ljust(64, "0"))
        await turns(first)
        second.servers.mend(second.setup.address)
        await turns(second, times=5)
        assert len(remotes(second)) == 1


async def test_a_history_that_is_gone_costs_a_scan(hosts: list[MemberHost]) -> None:
    """Everything is known that was missed."""
    first, second = hosts
    second.servers.cut(second.setup.address)
    await first.endpoint(network(first), "c1")
    await turns(first)
    first.servers.compact()
    second.servers.mend(second.setup.address)
    await turns(*hosts, times=8)
    assert len(remotes(second)) == 2


async def test_what_somebody_else_wrote_is_put_right(hosts: list[MemberHost]) -> None:
    """A write of an earlier daemon that came late, or of a copy of this machine."""
    first, _ = hosts
    await first.endpoint(network(first), "c1")
    await turns(first)
    before = told(first)
    other = first.servers.client("other")
    for entry in (await other.scan(ADVERTISEMENTS))[0]:
        await other.put(entry.key, b"?", entry.revision)
    await other.put(f"{host_prefix(before[0].host)}n9/e9", b"?", 0)
    await turns(*hosts, times=25)
    assert told(first) == before


async def test_a_network_that_is_left_is_told_of_no_more(hosts: list[MemberHost]) -> None:
    """Its endpoints are known nowhere, those of the others stay."""
    first, second = hosts
    await first.endpoint(network(first), "c1")
    await turns(*hosts)
    part = next(first.services.cache.every(HostNetwork))
    await first.services.cache.commit(put=[msgspec.structs.replace(part, leaving=True)])
    await first.services.networks.delete(part.network)
    await turns(*hosts)
    assert told(first) == []
    assert remotes(second) == {}
    assert len(told(second)) == 1


async def test_who_leaves_the_cluster_takes_what_it_told_along(hosts: list[MemberHost]) -> None:
    """Who joins it anew in another way does not."""
    first, second = hosts
    await first.endpoint(network(first), "c1")
    await turns(*hosts)
    seen = len(first.servers.history)
    await first.membership.join(first.membership.entered()[0].access, "", "eth0", False)
    await turns(*hosts)
    assert len(told(first)) == 2
    assert not [each for each in first.servers.history[seen:] if each.key.startswith(ADVERTISEMENTS)]
    host = told(first)[0].host
    await first.membership.leave(True, False)
    assert not [key for key in first.servers.records if key.startswith(host_prefix(host))]
    await turns(second)
    assert remotes(second) == {}


async def test_another_underlay_is_told(hosts: list[MemberHost]) -> None:
    """Of everything that the host has."""
    first, second = hosts
    await first.endpoint(network(first), "c1")
    await turns(*hosts)
    first.setup.links["eth0"] = Underlay("10.0.9.1", "eth0", 1500)
    await turns(*hosts, times=25)
    assert set(remotes(second).values()) == {"10.0.9.1"}


async def test_a_network_that_the_site_routes_is_told_of_for_its_names(hosts: list[MemberHost]) -> None:
    """Without tunnels, and without addresses of the hosts' own."""
    first, second = hosts
    known = remotes(second)
    plain = msgspec.structs.replace(WEB, id="n2", vni=0, subnets=(ip_network("10.98.0.0/16"),))
    here = await take_part(first, "r", plain)
    await first.endpoint(here, "c1")
    await turns(*hosts)
    assert [each.endpoint[:2] for each in told(first) if each.network == "n2"] == ["c1"]
    assert remotes(second) == known


async def test_a_network_of_which_the_cluster_has_not_been_asked_is_told_of_later(hosts: list[MemberHost]) -> None:
    """One that was taken in again from Docker has no id yet."""
    first, _ = hosts
    await first.endpoint(network(first), "c1")
    cache = first.services.cache
    part = next(cache.every(HostNetwork))
    await cache.commit(put=[msgspec.structs.replace(part, shared=msgspec.structs.replace(part.shared, id=""))])
    await some_time()
    assert told(first) == []
    await turns(first)
    assert [each.endpoint[:2] for each in told(first)] == ["", "c1"]


class Names:
    """What an engine tells of containers, as a test wants it."""

    def __init__(self) -> None:
        self.unheard: set[str] = set()
        self.names: dict[str, EndpointNames] = {}
        self.listener: Callable[[str], None] = lambda _: None

    def listen(self, listener: Callable[[str], None]) -> None:
        """See Naming."""
        self.listener = listener

    def is_unheard(self, endpoint_id: str) -> bool:
        """See Naming."""
        return endpoint_id in self.unheard

    def names_of(self, endpoint_id: str) -> EndpointNames:
        """See Naming."""
        return self.names.get(endpoint_id, EndpointNames())


async def test_names_are_told_with_the_addresses() -> None:
    """Those that are known later, too."""
    (host,) = await members(1)
    names = Names()
    telling = Advertiser(host.services.records, host.services.host_overlays, names)
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(telling.run())
        network_id = await take_part(host, "a")
        ident = "c1".ljust(64, "0")
        await host.endpoint(network_id, "c1")
        membership, cluster = host.membership.entered()
        await telling.entered(cluster, membership)
        await some_time()
        assert [each.names for each in told(host)] == [()]
        names.names[ident] = EndpointNames(("db",), "k1")
        names.listener(ident)
        await telling.turn()
        await some_time()
        assert [(each.names, each.container) for each in told(host)] == [(("db",), "k1")]
        names.names[ident] = EndpointNames(("db", "sql"), "k1", healthy=False)
        names.listener(ident)
        names.listener("another")
        await some_time()
        assert [(each.names, each.healthy) for each in told(host)] == [(("db", "sql"), False)]
        running.cancel()


async def test_a_silent_engine_takes_no_names_away(hosts: list[MemberHost]) -> None:
    """After a start nobody knows for a while what containers are called: what was told of them stays, however long the
    engine takes, but not where they are; and what it says then is told."""
    first, _ = hosts
    await first.endpoint(network(first), "c1")
    (endpoint,) = first.services.endpoint_index.of_network(network(first))
    place = ContainerEndpoint(network(first), "a", endpoint=endpoint.id, aliases=("sql",))
    container = Container("k1".ljust(64, "0"), "db", True, 0.0, endpoints=(place,))
    host_names(first).note(container)
    await turns(*hosts)
    before = told(first)[1]
    assert {"db", "sql"} < set(before.names)
    await first.restart()
    host_names(first).note_loaded()
    async with following(first):
        await turns(first, times=15)
        assert told(first)[1] == before
        first.setup.links["eth0"] = Underlay("10.0.9.1", "eth0", 1500)
        await turns(first, times=25)
        assert told(first)[1] == msgspec.structs.replace(before, underlay=ip_address("10.0.9.1"))
        host_names(first).note(replace(container, name="pg"))
        await turns(first)
        assert "pg" in told(first)[1].names
        assert "db" not in told(first)[1].names


async def test_a_container_of_which_the_engine_does_not_tell_loses_its_names(hosts: list[MemberHost]) -> None:
    """Once that has told of all others, and some time has gone by: it is not there any more."""
    first, _ = hosts
    await first.endpoint(network(first), "c1")
    (endpoint,) = first.services.endpoint_index.of_network(network(first))
    place = ContainerEndpoint(network(first), "a", endpoint=endpoint.id, aliases=("sql",))
    host_names(first).note(Container("k1".ljust(64, "0"), "db", True, 0.0, endpoints=(place,)))
    await turns(*hosts)
    await first.restart()
    host_names(first).note_loaded()
    async with following(first):
        host_names(first).note_listed(0.0)
        await turns(first)
        assert told(first)[1].names
        host_names(first).note_listed(1000.0)
        await turns(first)
        assert told(first)[1].names == ()


async def test_a_store_that_is_restored_cuts_nobody_off(hosts: list[MemberHost]) -> None:
    """What came after the backup stays known all the while, and is in it again within seconds."""
    first, second = hosts
    backup = first.servers.backup()
    await first.endpoint(network(first), "c1")
    await turns(*hosts)
    (c1,) = first.services.endpoint_index.of_network(network(first))
    first.servers.restore(backup)
    for _ in range(12):
        await turns(*hosts, times=1)
        assert c1.mac in remotes(second)
    assert c1.id in {each.endpoint for each in told(first)}
