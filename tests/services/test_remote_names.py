"""Names of containers on other hosts of the cluster: who asks what from where, and what he is told."""

from __future__ import annotations

import asyncio
from ipaddress import ip_address
from typing import NamedTuple

import msgspec
import pytest

from mooring.core.advertisements import Advertisement, advertisement_key
from mooring.core.endpoints import Service
from mooring.core.host_names import Asker
from mooring.core.names import AAAA, ANY, PTR, SRV, A, Question
from mooring.core.port_bindings import Protocol
from mooring.services.containers.host_names import HOST
from tests.services.test_host_names import Named

HTTP = Service("http", Protocol.TCP, 80)
HERE = "h0"


def advertised(
    host: str, endpoint: str, names: str, *addresses: str, network: str = "shared", healthy: bool = True
) -> Advertisement:
    """An endpoint of that host's with port 80."""
    return Advertisement(
        network=network, host=host, endpoint=endpoint.ljust(64, "0"), mac="02:00:00:00:00:01",
        addresses=tuple(map(ip_address, addresses)), underlay=ip_address("192.0.2.1"),
        container=endpoint.ljust(64, "c"), names=tuple(names.split()), services=(HTTP,), healthy=healthy,
    )  # fmt: skip


class Cluster:
    """A host that has one network of the cluster, `web`, and another of its own, `back`."""

    def __init__(self, host: Named, web: str, back: str) -> None:
        self.host, self.web, self.back = host, web, back
        self.remote = host.names.remote
        self.remote.begin(HERE, "here")

    def hear(self, advertisement: Advertisement) -> None:
        """It is advertised."""
        key = advertisement_key(advertisement.host, advertisement.network, advertisement.endpoint)
        self.remote.note(key, advertisement)

    def lose(self, advertisement: Advertisement) -> None:
        """It is not any more."""
        key = advertisement_key(advertisement.host, advertisement.network, advertisement.endpoint)
        self.remote.note(key, None)

    async def local(self, endpoint: str, name: str, service: str = "") -> None:
        """A container of this host in the network."""
        await self.host.endpoint(self.web, endpoint)
        self.host.note(self.web, name, endpoint, service=service)

    @property
    def asker(self) -> Asker:
        """Who is in the network."""
        return self.host.names.asker_in(self.web)


async def clustered(*, part: bool = True) -> Cluster:
    """It takes part in the network already."""
    host = Named()
    await host.start()
    web = await host.network("web")
    cluster = Cluster(host, web, await host.network("back"))
    host.names.note_network(web, "web")
    host.names.note_network(cluster.back, "back")
    if part:
        cluster.remote.take_part("shared", web)
    return cluster


class Row(NamedTuple):
    """Who asks for what, and what he is told."""

    who: str
    name: str
    kind: int
    told: list[str]


TABLE = [
    # On another host, one of two there, one on both.
    Row("web", "db", A, ["10.32.0.20"]),
    Row("web", "db", AAAA, ["fd00::20"]),
    Row("web", "db", ANY, ["10.32.0.20", "fd00::20"]),
    Row("web", "db.web", A, ["10.32.0.20"]),
    Row("web", "db.web.mooring", A, ["10.32.0.20"]),
    Row("web", "main.web.mooring", A, ["10.32.0.20"]),
    Row("web", "e20cccccccc", A, ["10.32.0.20"]),
    Row("web", "app", A, ["10.32.0.2", "10.32.0.21", "10.32.0.22"]),
    Row("web", "same", A, ["10.32.0.21", "10.32.0.22"]),
    # Without health: the name is there.
    Row("web", "sick", A, ["empty"]),
    Row("host", "31.0.32.10.in-addr.arpa", PTR, ["absent"]),
    # The host, and others.
    Row("host", "db.web.mooring", A, ["10.32.0.20"]),
    Row("host", "db", A, ["forward"]),
    Row("back", "db", A, ["forward"]),
    Row("back", "db.web", A, ["forward"]),
    Row("back", "db.web.mooring", A, ["absent"]),
    # By the name that the network has here, and not what another network's are called.
    Row("host", "_http._tcp.db.web.mooring", SRV, ["db.web.mooring:80", "db.web.mooring:80"]),
    Row("host", "_80._tcp.same.web.mooring", SRV, ["one.web.mooring:80", "two.web.mooring:80"]),
    Row("web", "20.0.32.10.in-addr.arpa", PTR, ["db.web.mooring"]),
    Row("back", "20.0.32.10.in-addr.arpa", PTR, ["absent"]),
    Row("host", "other.web.mooring", A, ["absent"]),
    Row("host", "nobody.web.mooring", A, ["absent"]),
    # What no name is.
    Row("host", "not a name.web.mooring", A, ["absent"]),
]


async def _table() -> Cluster:
    cluster = await clustered()
    await cluster.local("e2", "shop-app-1", service="app")
    for advertisement in (
        advertised("h1", "e20", "db e20cccccccc main", "10.32.0.20", "fd00::20"),
        advertised("h1", "e21", "one app same", "10.32.0.21"),
        advertised("h2", "e22", "two app same", "10.32.0.22"),
        advertised("h2", "e31", "sick", "10.32.0.31", healthy=False),
        advertised("h2", "e40", "other", "10.32.1.40", network="another"),
        msgspec.structs.replace(advertised("h1", "", "", "10.32.0.99"), endpoint=""),
        msgspec.structs.replace(advertised("h1", "e50", "", "10.32.0.50"), names=("not a name", "a" * 64)),
    ):
        cluster.hear(advertisement)
    return cluster


@pytest.fixture(scope="module")
def table() -> Cluster:
    """The cluster of the table."""
    return asyncio.run(_table())


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"{row.who} asks for {row.name} {row.kind}")
def test_a_name_is_answered_wherever_its_container_is(table: Cluster, row: Row) -> None:
    """By the same rules as this host's own: who may ask for them may ask for these."""
    asker = {"web": table.asker, "back": table.host.names.asker_in(table.back), "host": HOST}[row.who]
    table.remote.note_scanned()
    assert sorted(table.host.ask(row.name, asker, row.kind)) == row.told


async def test_a_name_follows_its_container_to_another_host() -> None:
    """Whichever host tells first: meanwhile there are both, or none, and never another's."""
    for leaves_first in (True, False):
        cluster = await clustered()
        old, new = (advertised(host, endpoint, "db", "10.32.0.20") for host, endpoint in (("h1", "e1"), ("h2", "e2")))
        cluster.hear(old)
        for step in (cluster.lose, cluster.hear) if leaves_first else (cluster.hear, cluster.lose):
            changes = cluster.host.names.changes
            step(old if step == cluster.lose else new)
            assert cluster.host.names.changes > changes
        assert cluster.host.ask("db", cluster.asker) == ["10.32.0.20"]
        assert [entry.host for _, _, entry in cluster.remote.rows()] == ["h2"]
        cluster.lose(new)
        cluster.lose(new)
        assert cluster.host.ask("db", cluster.asker) == ["forward"]


async def test_an_advertisement_and_its_network_come_and_go_in_any_order() -> None:
    """Before the network is here it is in nobody's sight, and costs no answer; a network made anew has another id."""
    cluster = await clustered(part=False)
    changes = cluster.host.names.changes
    db = advertised("h1", "e1", "db", "10.32.0.20")
    cluster.hear(db)
    assert cluster.host.names.changes == changes
    assert cluster.host.ask("db.web.mooring") == ["absent"]
    cluster.remote.take_part("shared", cluster.web)
    cluster.remote.take_part("shared", cluster.web)
    assert cluster.host.ask("db.web.mooring") == ["10.32.0.20"]
    cluster.host.names.note_network(cluster.web, "shop")
    assert cluster.host.ask("20.0.32.10.in-addr.arpa", kind=PTR) == ["db.shop.mooring"]
    cluster.remote.leave(cluster.web)
    cluster.remote.leave(cluster.web)
    assert cluster.host.ask("db.shop.mooring") == ["absent"]
    assert not cluster.remote
    cluster.remote.take_part("shared", cluster.back)
    assert cluster.host.ask("db.back.mooring") == ["10.32.0.20"]
    cluster.remote.take_part("anew", cluster.back)
    assert cluster.host.ask("db.back.mooring") == ["absent"]
    cluster.lose(db)
    cluster.remote.leave(cluster.back)
    assert cluster.remote.hosts == ()


async def test_an_address_of_this_host_is_not_anothers() -> None:
    """A host that has not heard of the move yet still tells of it."""
    cluster = await clustered()
    await cluster.local("e2", "db")
    cluster.hear(advertised("h1", "e1", "old", "10.32.0.2"))
    assert cluster.host.ask("2.0.32.10.in-addr.arpa", kind=PTR) == ["db.web.mooring"]


async def test_a_host_that_is_not_heard_is_told_of_when_nobody_else_has_the_name() -> None:
    """It may only be cut off from the store: its containers run on."""
    cluster = await clustered()
    cluster.hear(advertised("h1", "e1", "one app", "10.32.0.21"))
    cluster.hear(advertised("h2", "e2", "two app", "10.32.0.22"))
    both = ["10.32.0.21", "10.32.0.22"]
    assert cluster.host.ask("app", cluster.asker) == both
    cluster.remote.note_silent(frozenset({"h1"}))
    assert cluster.host.ask("app", cluster.asker) == ["10.32.0.22"]
    assert cluster.host.ask("one", cluster.asker) == ["10.32.0.21"]
    cluster.hear(advertised("h2", "e2", "two app", "10.32.0.22", healthy=False))
    assert cluster.host.ask("app", cluster.asker) == ["10.32.0.21"]
    await cluster.local("e3", "shop-app-3", service="app")
    assert cluster.host.ask("app", cluster.asker) == ["10.32.0.2"]
    cluster.remote.note_silent(frozenset())
    assert cluster.host.ask("app", cluster.asker) == ["10.32.0.2", "10.32.0.21"]


async def test_an_address_that_a_silent_host_had_is_called_as_its_new_host_says() -> None:
    """The old one cannot take its word back."""
    cluster = await clustered()
    for host, endpoint, name in (("h1", "e1", "old"), ("h2", "e2", "new")):
        cluster.hear(advertised(host, endpoint, name, "10.32.0.20"))
    cluster.remote.note_silent(frozenset({"h1"}))
    assert cluster.host.ask("20.0.32.10.in-addr.arpa", kind=PTR) == ["new.web.mooring"]


async def test_local_first_tells_this_hosts_addresses_before_all_others() -> None:
    """Only where both have the name; without the setting they are one set."""
    cluster = await clustered()
    await cluster.local("e2", "shop-app-1", service="app")
    cluster.hear(advertised("h1", "e1", "app db", "10.32.0.1"))
    names = cluster.host.names
    assert [names.lookup(Question(name, A), cluster.asker).near for name in ("app", "db", "shop-app-1")] == [0, 0, 0]
    names.local_first = True
    assert [names.lookup(Question(name, A), cluster.asker).near for name in ("app", "db", "shop-app-1")] == [1, 0, 0]
    assert cluster.host.ask("app", cluster.asker) == ["10.32.0.2", "10.32.0.1"]


async def test_a_name_that_nobody_has_is_no_answer_until_the_others_have_been_heard() -> None:
    """After a start, and after joining anew; not where none of the cluster's networks is here."""
    cluster = await clustered()
    assert cluster.host.ask("db.web.mooring") == ["absent"]
    cluster.remote.begin(HERE, "here")
    assert cluster.host.ask("db.web.mooring") == ["refused"]
    cluster.hear(advertised("h1", "e1", "db", "10.32.0.20"))
    assert cluster.host.ask("db.web.mooring") == ["10.32.0.20"]
    changes = cluster.host.names.changes
    cluster.remote.note_scanned()
    assert cluster.host.names.changes > changes
    assert cluster.host.ask("nobody.web.mooring") == ["absent"]
    cluster.remote.leave(cluster.web)
    cluster.remote.begin(HERE, "here")
    assert cluster.host.ask("nobody.web.mooring") == ["absent"]


async def test_this_host_waits_for_nobody_after_it_has_left() -> None:
    """What others had stays until their advertisements are taken: it may join anew."""
    cluster = await clustered()
    db = advertised("h1", "e1", "db", "10.32.0.20")
    cluster.hear(db)
    assert cluster.remote.host_name("") == "here"
    cluster.remote.begin(HERE, "here")
    cluster.remote.end()
    assert cluster.host.ask("nobody.web.mooring") == ["absent"]
    assert cluster.host.ask("db.web.mooring") == ["10.32.0.20"]
    cluster.lose(db)
    assert cluster.host.ask("db.web.mooring") == ["absent"]
    assert (cluster.remote.host_name(""), cluster.remote.host_name("h1")) == ("", "h1")
