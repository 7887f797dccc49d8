"""Running containers put into networks and taken out of them, over an engine in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address

import msgspec
import pytest

from mooring.core.containers import ContainerEndpoint
from mooring.core.faults import BadRequest, Conflict, Fault, NotFound, Unavailable
from mooring.core.intents import Intent
from mooring.core.leases import State
from mooring.core.networks import Address
from mooring.core.whom import for_container
from mooring.services.operations.addresses_by_id import Where
from mooring.services.operations.attachments import Attachments
from tests.services.holder_hosts import HolderHost, ident
from tests.services.operators import operate

WEB = "web".ljust(64, "0")
DB = ident("db")


@dataclass
class Walk:
    """A host with a network 10.32.0.0/24 and a running container that is in none."""

    host: HolderHost
    attachments: Attachments

    async def attach(self, *addresses: str) -> tuple[list[str], bool]:
        """`mooring attach db web`; the addresses and whether anything changed."""
        view = await self.attachments.attach("db", "web", [*map(ip_address, addresses)])
        assert (view.container, view.name, view.network, view.network_name) == (DB, "db", WEB, "web")
        return view.addresses, view.changed

    def wanted(self) -> list[str]:
        """What the container's configuration says."""
        endpoints = self.host.engine._containers[DB].endpoints
        return [str(address) for each in endpoints for address in each.wanted]

    async def reserve(self, address: str, whom: str) -> None:
        """Somebody has reserved it."""
        place = ip_address(address)
        await operate(self.host).reservations.reserve(None, place, place, whom, "", None, False)


@pytest.fixture
async def walk() -> Walk:
    """See Walk."""
    host = HolderHost()
    await host.serve("web")
    host.engine.names[WEB] = "web"
    host.engine.create(DB, "db")
    host.engine.start(DB)
    return Walk(host, operate(host).attachments)


async def test_without_an_address_docker_chooses(walk: Walk) -> None:
    """The store knows nothing of it; the second time is no change."""
    revision = walk.host.services.cache.revision
    assert await walk.attach() == ([], True)
    assert await walk.attach() == ([], False)
    assert (walk.wanted(), walk.host.services.cache.revision) == ([], revision)


async def test_a_named_address_is_the_container_s_until_it_is_detached(walk: Walk) -> None:
    """Fixed before the engine is asked, and in its configuration; then it rests."""
    assert await walk.attach("10.32.0.9") == (["10.32.0.9"], True)
    assert await walk.attach("10.32.0.9") == (["10.32.0.9"], False)
    lease = walk.host.lease("10.32.0.9")
    assert lease is not None
    assert (lease.state, lease.key, lease.holders) == (State.FIXED, f"container:{DB}", frozenset({DB}))
    assert not list(walk.host.services.cache.every(Intent))
    with pytest.raises(Conflict, match=r"is in network web already, with 10\.32\.0\.9"):
        await walk.attach("10.32.0.10")
    view = await walk.attachments.detach(DB[:12], WEB[:6])
    assert (view.addresses, view.changed) == (["10.32.0.9"], True)
    assert not (await walk.attachments.detach("db", "web")).changed
    assert (walk.wanted(), walk.host.held("db")) == ([], [])


async def test_a_reserved_address_is_taken(walk: Walk) -> None:
    """What is for a name stays reserved for it after the detach."""
    await walk.reserve("10.32.0.7", "db")
    assert await walk.attach() == (["10.32.0.7"], True)
    assert walk.host.held("db") == ["10.32.0.7"]
    await walk.attachments.detach("db", "web")
    lease = walk.host.lease("10.32.0.7")
    assert lease is not None
    assert (lease.state, lease.whom) == (State.RESERVED, "db")


async def test_what_was_for_the_container_alone_goes_with_the_detach(walk: Walk) -> None:
    """As Weave gave it back. Also where it never was attached."""
    addresses = operate(walk.host).addresses_by_id
    for attached in (True, False):
        got = await addresses.allocate("db", Where(), check_alive=True, wait=0.0, hung_up=asyncio.Event())
        if attached:
            assert await walk.attach() == ([str(got.ip)], True)
        before = walk.host.store.records
        tried = await walk.attachments.detach("db", "web", dry=True)
        assert walk.host.store.records == before
        assert await walk.attachments.detach("db", "web") == tried
        assert tried.changed
        assert walk.host.services.ipam.fixed_index.reserved_for(for_container(DB)) == []
        assert walk.host.held("db") == []


async def test_a_label_is_heeded(walk: Walk) -> None:
    """As at `docker network connect` through the proxy: it has its fixed address there."""
    walk.host.engine.create(ident("kv"), "kv", labels={"mooring.key": "kv"})
    walk.host.engine.start(ident("kv"))
    view = await walk.attachments.attach("kv", "web", [])
    assert view.addresses == walk.host.held("kv") != []


@pytest.mark.parametrize(
    ("container", "network", "addresses", "says"),
    [
        ("nobody", "web", [], "Docker has no container 'nobody'"),
        ("db", "nowhere", [], "has no network 'nowhere'"),
        ("db", "web", ["10.99.0.1"], "10.99.0.1 is not in the network"),
        ("db", "web", ["10.32.0.1"], "it is a gateway (held by pool"),
        ("db", "web", ["10.32.0.5"], "reserved it for printer"),
        ("db", "web", ["10.32.0.8", "10.32.0.9"], "at most one address of a family"),
    ],
)
async def test_what_cannot_be_is_refused_and_leaves_nothing(
    walk: Walk, container: str, network: str, addresses: list[str], says: str
) -> None:
    """Who has what, in one line."""
    await walk.reserve("10.32.0.5", "printer")
    revision = walk.host.services.cache.revision
    with pytest.raises(Fault) as caught:
        await walk.attachments.attach(container, network, [*map(ip_address, addresses)])
    assert says in str(caught.value)
    assert isinstance(caught.value, NotFound | BadRequest | Conflict)
    assert (walk.wanted(), walk.host.services.cache.revision) == ([], revision)


async def test_a_chosen_subnet_takes_no_address_by_name_before_29(walk: Walk) -> None:
    """It is said before anything is done, and without an address it works."""
    pools = [walk.host.services.cache.pool(each.pool) for each in walk.host.known(WEB).segments]
    chosen = [msgspec.structs.replace(pool, source="default4") for pool in pools if pool is not None]
    await walk.host.services.cache.commit(put=chosen)
    with pytest.raises(Conflict, match=r"Docker before 29\.1 accepts no address by name in network"):
        await walk.attach("10.32.0.9")
    await walk.reserve("10.32.0.7", "db")
    with pytest.raises(
        Conflict, match=r"or `mooring lease release 10\.32\.0\.7` first: it is reserved for the container"
    ):
        await walk.attach()
    await operate(walk.host).reservations.release(None, ip_address("10.32.0.7"), False, False)
    assert await walk.attach() == ([], True)


async def test_what_the_engine_refuses_is_rolled_back(walk: Walk) -> None:
    """With its words, for an attach and for a detach."""
    walk.host.engine.refuses = "container sharing network namespace"
    with pytest.raises(Conflict, match="Docker refuses: container sharing"):
        await walk.attach("10.32.0.9")
    assert walk.host.lease("10.32.0.9") is None
    walk.host.engine.refuses = ""
    await walk.attach("10.32.0.9")
    walk.host.engine.refuses = "no"
    with pytest.raises(Conflict, match="Docker refuses: no"):
        await walk.attachments.detach("db", "web")
    assert walk.host.held("db") == ["10.32.0.9"]


class Vanishing:
    """The engine does what it is asked, and nobody hears of it."""

    def __init__(self, host: HolderHost) -> None:
        self.host = host

    async def attach(self, container: str, network: str, addresses: Sequence[Address], mac: str = "") -> None:
        """As the engine, and it is gone."""
        v4 = next((each for each in addresses if isinstance(each, IPv4Address)), None)
        self.host.engine.connect(container, ContainerEndpoint(network, "web", wanted4=v4, wanted_mac=mac))
        self.host.engine.go_down()
        raise Unavailable("the engine ended")


async def test_an_outcome_that_nobody_heard_is_settled_by_the_engine_s_word(
    walk: Walk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The container is in the network, so the address is its own."""
    monkeypatch.setattr(walk.host.engine, "attach", Vanishing(walk.host).attach)
    with pytest.raises(Unavailable):
        await walk.attach("10.32.0.9")
    walk.host.engine.come_up()
    walk.host.clock.advance(30)
    await walk.host.keeping.container_reconciler.once()
    assert (walk.host.held("db"), list(walk.host.services.cache.every(Intent))) == (["10.32.0.9"], [])


async def test_without_an_engine_there_is_nothing_to_attach(walk: Walk) -> None:
    """It says so."""
    walk.attachments._engine = None
    with pytest.raises(Conflict, match="no Docker engine"):
        await walk.attach()
