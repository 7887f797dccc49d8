"""Networks that every host makes at its own engine."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import msgspec
import pytest

from mooring.core.cluster_views import EverywhereView
from mooring.core.containers import ContainerEndpoint, EngineSubnet
from mooring.core.everywhere import NetworkEverywhere
from mooring.core.faults import Conflict, NotFound, Unavailable
from mooring.services.operations.everywhere import Everywhere
from tests.services.member_hosts import ACCESS, MemberHost, members
from tests.services.test_cluster_networks import SUBNET as SHARED
from tests.services.test_cluster_networks import make

SUBNET = EngineSubnet(ip_network("10.40.0.0/24"))
APP = NetworkEverywhere(name="app", id="", subnets=(SUBNET,), options={"mode": "vxlan"})


def asking(host: MemberHost) -> Everywhere:
    """What an operator asks there."""
    return Everywhere(host.membership, host.runtime, host.clock)


async def take_up(*hosts: MemberHost) -> None:
    """Each looks what is asked for."""
    for host in hosts:
        keeping = host.services.keeping
        assert keeping is not None
        await keeping.networks_everywhere.once()
        await host.turn()


def states(view: EverywhereView) -> dict[str, str]:
    """What each host says."""
    return {row.name: row.state for row in view.hosts}


def names(host: MemberHost) -> list[str]:
    """The networks that the engine has."""
    return list(host.engine.names.values())


async def test_every_host_makes_it_also_who_comes_later() -> None:
    """One whose engine is away makes it when that is back, and a host that joins has it, too."""
    one, two = await members(2)
    two.engine.go_down()
    assert states(await asking(one).create(APP, dry=True)) == {"web1": "waiting", "web2": "waiting"}
    await take_up(one)
    assert names(one) == []
    await asking(one).create(APP, dry=False)
    await take_up(one, two)
    assert states(await asking(one).view("app")) == {"web1": "made", "web2": "waiting"}
    (made,) = one.engine.described.values()
    assert replace(made, id="") == APP.for_engine("mooring")
    assert ["engine" in str(fault) for fault in two.runtime.faults] == [True]
    two.engine.come_up()
    await take_up(two)
    three = await MemberHost(one.servers, 3).start()
    assert one.membership.membership is not None
    await three.membership.join(one.membership.membership.access, "", "", False)
    await three.turn()
    await take_up(three)
    assert states(await asking(three).view("app")) == dict.fromkeys(("web1", "web2", "web3"), "made")
    assert names(three) == ["app"]
    assert two.runtime.faults == ()
    assert ACCESS.prefix == one.membership.membership.access.prefix


async def test_a_refusal_is_told_everywhere_and_tried_again() -> None:
    """There, and to who asked."""
    one, two = await members(2)
    other = replace(APP.for_engine("mooring"), subnets=(EngineSubnet(ip_network("10.41.0.0/24")),))
    theirs = await two.engine.create_network(other)
    await asking(one).create(APP, dry=False)
    await take_up(one, two)
    view = await asking(one).view("app")
    assert states(view) == {"web1": "made", "web2": "refused"}
    assert "is there already, with subnet 10.41.0.0/24" in view.hosts[1].why
    assert "is not made here" in str(two.runtime.faults[0])
    await two.engine.remove_network(theirs)
    await take_up(two)
    assert names(two) == []
    one.clock.advance(31.0)
    for host in (one, two):
        await host.membership.attempt()
    await take_up(two)
    assert states(await asking(one).view("app"))["web2"] == "made"


async def test_what_somebody_removes_by_hand_stays_away_until_it_is_asked_for_again() -> None:
    """A restart changes nothing in that."""
    (host,) = await members(1)
    await asking(host).create(APP, dry=False)
    await take_up(host)
    await host.engine.remove_network(*host.engine.networks)
    await host.restart()
    await host.turn()
    await take_up(host)
    assert names(host) == []
    await asking(host).create(APP, dry=False)
    await take_up(host)
    assert names(host) == ["app"]
    with pytest.raises(Conflict, match="asked for on every host already, with other options"):
        await asking(host).create(NetworkEverywhere(name="app", id="", subnets=(SUBNET,), options={}), dry=False)


async def test_its_end_is_refused_where_a_container_is_in_it_and_leaves_nothing_in_the_end() -> None:
    """Neither at an engine nor in the cluster; it is not tried again by itself."""
    one, two = await members(2)
    await asking(one).create(APP, dry=False)
    await take_up(one, two)
    (ident,) = two.engine.networks
    two.engine.create("c" * 64, "db", ContainerEndpoint(ident, "app"))
    two.engine.start("c" * 64, ident, "e" * 64, "10.40.0.2")
    await asking(one).remove("app", dry=False)
    await take_up(one, two)
    view = await asking(one).view("app")
    assert (states(view), view.ending) == ({"web1": "removed", "web2": "refused"}, True)
    assert "held by db" in view.hosts[1].why
    two.engine.stop("c" * 64)
    one.clock.advance(61.0)
    await take_up(one, two)
    assert (names(one), names(two)) == ([], ["app"])
    await asking(one).remove("app", dry=False)
    await take_up(one, two, one)
    assert (names(one), names(two)) == ([], [])
    with pytest.raises(NotFound):
        await asking(one).view("app")
    assert not any(key.startswith("everywhere/") for key in one.servers.records)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"options": {"scope": "local"}}, "scope=local"),
        ({"options": {"parent": "eth0"}}, "option parent"),
        ({"options": {"com.docker.network.bridge.name": "docker0"}}, "docker0: this name is reserved"),
        ({"subnets": ()}, "needs a subnet"),
        ({"name": "../app"}, "is no name for a network"),
        ({"name": "app\n\x1b[2J" + "x" * 5000}, "is no name for a network"),
    ],
)
async def test_what_was_written_past_the_checks_is_refused_by_each_host(changes: dict[str, object], text: str) -> None:
    """Its engine does not hear of it."""
    (host,) = await members(1)
    plan = host.runtime.plan
    assert plan is not None
    asked = msgspec.structs.replace(APP, id="1", **changes)
    await plan.values.put(asked, 0)
    await take_up(host)
    (row,) = (await asking(host).view(asked.name)).hosts
    assert (names(host), row.state) == ([], "refused")
    assert text in row.why
    told = str(host.runtime.faults[0])
    assert told.isprintable()
    assert len(told) < 400


async def test_what_cannot_be_read_is_told_and_holds_up_no_other_network() -> None:
    """One of a newer version, and an answer to it; the one whose name is the same but for its end is found as ever."""
    (host,) = await members(1)
    await host.servers.client("x").put("everywhere/app2", b'{"v":9}', 0)
    await host.servers.client("x").put("everywhere/app2/h", b'{"v":9}', 0)
    await asking(host).create(APP, dry=False)
    await take_up(host)
    assert names(host) == ["app"]
    assert [view.name for view in await asking(host).rows()] == ["app"]
    assert "record everywhere/app2 has version 9" in str(host.runtime.faults[0])
    with pytest.raises(Unavailable, match="record everywhere/app2 has version 9"):
        await asking(host).view("app2")


async def test_a_network_that_was_published_is_one_that_is_asked_for() -> None:
    """As the hint of the refusal says; Docker's options of it say nothing of the cluster."""
    (host,) = await members(1)
    app = msgspec.structs.replace(APP, subnets=(EngineSubnet(ip_network(SHARED)),), options={})
    ident = await make(host, "app", SHARED, mode="bridge")
    host.engine.networks.add(ident)
    host.engine.names[ident] = "app"
    host.engine.described[ident] = replace(app.for_engine("mooring"), id=ident, options={"mode": "bridge"})
    await asking(host).create(app, dry=False)
    await take_up(host)
    assert "is there already, with scope none" in (await asking(host).view("app")).hosts[0].why
    await host.services.published_networks.publish(ident)
    host.clock.advance(31.0)
    await host.membership.attempt()
    await take_up(host)
    assert states(await asking(host).view("app")) == {"web1": "made"}
    await asking(host).remove("app", dry=False)
    await take_up(host)
    assert names(host) == []
