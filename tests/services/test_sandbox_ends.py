"""How sandboxes change and end, the host's own one, and what is left of a thousand of them."""

from __future__ import annotations

import asyncio

import pytest

from mooring.core.endpoints import Endpoint, State
from mooring.core.faults import BadRequest, Conflict, NotFound, Unavailable
from mooring.core.requests import SandboxSpec
from mooring.core.sandboxes import Kind, Sandbox
from tests.services.sandbox_hosts import WEB, SandboxHost


@pytest.fixture
async def host() -> SandboxHost:
    """A host that has started."""
    return await SandboxHost().start()


async def full(host: SandboxHost) -> tuple[Sandbox, Endpoint, Endpoint]:
    """A sandbox with an endpoint of a bridge, `red`, and one whose driver wants its interface back, `far`."""
    red = await host.endpoint(await host.network("red"), "red")
    far = await host.endpoint(await host.network("far", "far"), "far")
    box = await host.box("box", SandboxSpec("box", ports=WEB))
    await host.join(red, box)
    await host.join(far, box)
    return box, red, far


async def test_a_deleted_sandbox_lets_its_endpoints_go(host: SandboxHost) -> None:
    """They keep their addresses and can join again; interfaces that are wanted back are home; nothing else is left."""
    box, red, far = await full(host)
    await host.sandboxes.delete(box.id)
    for endpoint in (red, far):
        now = host.now(endpoint)
        assert (now.state, now.sandbox, now.interface, now.published) == (State.CREATED, "", "", ())
        assert now.addresses == endpoint.addresses
    assert await host.namespaces.made() == {}
    assert f"md-{far.id[:12]}" in host.namespaces.on_host()
    assert (host.files.texts, host.resolver.served, host.far.joined) == ({}, {}, {})
    assert host.services.cache.count(Sandbox) == 0
    again = await host.box("box")
    await host.join(far, again)
    assert await host.links(again.path) == ["eth0"]


async def test_a_deletion_that_is_cut_off_anywhere_goes_on_later() -> None:
    """Marked first, so that nobody joins meanwhile; then the next attempt, by another process, ends the same way."""
    for number in range(1, 100):
        host = await SandboxHost().start()
        box, red, far = await full(host)
        host.refuse_at = host.steps + number
        try:
            await host.sandboxes.delete(box.id)
        except Unavailable:
            pass
        else:
            assert host.refused is None
            break
        host.relent()
        marked = host.services.cache.sandbox(box.id)
        assert marked is not None
        if marked.deleting:
            with pytest.raises(Conflict, match="sandbox box is being deleted"):
                await host.join(red, box)
        await host.restart()
        await host.sandboxes.apply(box.id)
        await host.sandboxes.delete(box.id)
        assert await host.namespaces.made() == {}
        assert (host.now(red).sandbox, host.now(far).sandbox, host.far.joined) == ("", "", {})
        assert f"md-{far.id[:12]}" in host.namespaces.on_host()
        assert host.services.cache.count(Sandbox) == 0
    assert number > 5


async def test_a_driver_that_does_not_answer_keeps_the_sandbox_and_nobody_else(host: SandboxHost) -> None:
    """The deletion says so, and goes on when it is asked again."""
    box, red, far = await full(host)
    host.far.refusals["leave"] = Unavailable("the plugin does not answer")
    with pytest.raises(Unavailable, match="does not answer"):
        await host.sandboxes.delete(box.id)
    assert host.now(red).sandbox == ""
    assert host.now(far).sandbox == box.path
    host.far.refusals.clear()
    await host.sandboxes.delete(box.id)
    assert host.services.cache.count(Sandbox) == 0


async def test_deletions_and_joins_of_one_sandbox_queue(host: SandboxHost) -> None:
    """A second deletion finds it gone, and a join that came later finds nothing to join."""
    box, red, _ = await full(host)
    other = await host.endpoint(await host.network("other"), "other")
    done = await asyncio.gather(
        host.sandboxes.delete(box.id), host.sandboxes.delete(box.id), host.join(other, box), return_exceptions=True
    )
    assert (done[0], done[1]) == (None, None)
    assert isinstance(done[2], NotFound)
    assert (host.now(other).sandbox, host.now(red).sandbox) == ("", "")


async def test_joins_of_one_sandbox_queue(host: SandboxHost) -> None:
    """Each has a name of its own, whoever was first."""
    box = await host.box("box")
    network = await host.network("red")
    endpoints = [await host.endpoint(network, f"e{number}") for number in range(8)]
    await asyncio.gather(*(host.join(endpoint, box) for endpoint in endpoints))
    assert await host.links(box.path) == [f"eth{number}" for number in range(8)]


async def test_an_endpoint_joins_one_of_two_sandboxes_that_want_it(host: SandboxHost) -> None:
    """The other is refused, and has nothing of it."""
    one, two = await host.box("one"), await host.box("two")
    red = await host.endpoint(await host.network("red"), "red")
    done = await asyncio.gather(host.join(red, one), host.join(red, two), return_exceptions=True)
    assert [isinstance(each, Conflict) for each in done].count(True) == 1
    assert sorted([await host.links(one.path), await host.links(two.path)]) == [[], ["eth0"]]


async def test_sandboxes_of_one_name_or_place_are_made_once(host: SandboxHost) -> None:
    """However many are asked for at once."""
    host.namespaces.external("/ns/1")
    wishes = [SandboxSpec("a"), SandboxSpec("a")]
    wishes += [SandboxSpec("", Kind.EXTERNAL, "/ns/1")] * 2 + [SandboxSpec("", Kind.HOST)] * 2
    done = await asyncio.gather(*map(host.sandboxes.create, wishes), return_exceptions=True)
    assert [isinstance(each, Conflict) for each in done] == [False, True] * 3


async def test_the_sandbox_of_the_host_takes_networks_without_interfaces(host: SandboxHost) -> None:
    """Those of the drivers host and null, and of others when they give none; nothing is done in its namespace."""
    box = await host.box("host", SandboxSpec("host", Kind.HOST, ports=WEB))
    for driver in ("host", "null"):
        await host.join(await host.endpoint(await host.network(driver, driver), driver), box)
    host.far.links = False
    await host.join(await host.endpoint(await host.network("far", "far"), "far"), box)
    assert len(host.sandboxes.members(box)) == 3
    assert box.path == ""
    assert (host.resolver.served, host.publishers()) == ({}, set())
    assert await host.sandboxes.statistics(box.id) == {}
    await host.sandboxes.delete(box.id)
    assert host.far.joined == {}


async def test_the_sandbox_of_the_host_takes_no_interface(host: SandboxHost) -> None:
    """A bridge is refused before anything is asked, another driver when it gives an interface: then it has left."""
    box = await host.box("host", SandboxSpec("host", Kind.HOST))
    red = await host.endpoint(await host.network("red"), "red")
    far = await host.endpoint(await host.network("far", "far"), "far")
    before, steps = await host.picture(), host.steps
    with pytest.raises(Conflict, match="host cannot join network red: its driver bridge gives an interface"):
        await host.join(red, box)
    assert host.steps == steps
    with pytest.raises(Conflict, match="host cannot join network far"):
        await host.join(far, box)
    assert await host.picture() == before


async def test_the_hosts_network_is_for_the_sandbox_of_the_host(host: SandboxHost) -> None:
    """No other can join it; a network of the driver null can be joined by all, and gives nothing."""
    box = await host.box("box")
    with pytest.raises(Conflict, match="only the sandbox of the host can join it"):
        await host.join(await host.endpoint(await host.network("host", "host"), "h"), box)
    await host.join(await host.endpoint(await host.network("none", "null"), "n"), box)
    assert await host.facts(box.path) == frozenset()


async def test_a_refresh_changes_the_settings_and_keeps_kind_name_and_path(host: SandboxHost) -> None:
    """Files, resolver and ports follow; without a wish all is made as it should be."""
    box, _, far = await full(host)
    host.files.texts.clear()
    await host.sandboxes.refresh(box.id)
    assert set(host.files.texts) >= {box.hosts_path, box.resolv_conf_path}
    spec = SandboxSpec("other", Kind.HOST, hostname="web", hosts_path="/c/hosts", resolver=False, labels={"a": "b"})
    await host.sandboxes.refresh(box.id, spec)
    now = host.services.cache.sandbox(box.id)
    assert now is not None
    assert (now.name, now.kind, now.path) == ("box", Kind.OWN, box.path)
    assert (now.hostname, now.labels, now.ports) == ("web", {"a": "b"}, ())
    assert "web" in host.files.texts["/c/hosts"]
    assert box.hosts_path not in host.files.texts
    assert (host.resolver.served, host.publishers(), far.id in host.far.published) == ({}, set(), False)


async def test_a_refresh_that_is_refused_leaves_the_settings_as_they_were(host: SandboxHost) -> None:
    """A port that is taken, or a name that does not fit into a file."""
    box, _, far = await full(host)
    await host.leave(far, box)
    before = await host.picture()
    host.guard.taken = {(WEB[0].protocol, 9090): "nginx"}
    ports = (type(WEB[0])(WEB[0].protocol, 80, first=9090, last=9090),)
    with pytest.raises(Conflict, match="9090"):
        await host.sandboxes.refresh(box.id, SandboxSpec(ports=ports, hostname="x"))
    with pytest.raises(BadRequest, match="hostname"):
        await host.sandboxes.refresh(box.id, SandboxSpec(hostname="a\nb"))
    assert await host.picture() == before


async def test_a_start_settles_what_it_finds(host: SandboxHost) -> None:
    """After a restart names are answered again and files are there; the namespace is as it was."""
    box, _, _ = await full(host)
    before = await host.facts(box.path)
    await host.restart()
    assert host.resolver.served == {}
    await host.sandboxes.apply(box.id)
    assert set(host.resolver.served) == {box.path}
    assert await host.facts(box.path) == before
    with pytest.raises(Conflict, match="sandbox name 'box' is in use"):
        await host.box("box")


async def test_nothing_is_left_of_many_sandboxes(host: SandboxHost) -> None:
    """No lock, no file, no namespace, no note of a name or a place."""
    red = await host.endpoint(await host.network("red"), "red")
    before = await host.picture()
    for number in range(50):
        box = await host.box(f"box{number}")
        await host.join(red, box)
        await host.sandboxes.delete(box.id)
    assert await host.picture() == before
    assert len(host.services.records.locks) == 0
    kept = [value for value in vars(host.sandboxes).values() if isinstance(value, dict | set) and value]
    assert kept == []
