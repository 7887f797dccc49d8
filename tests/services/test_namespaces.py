"""Namespaces that are not as the records say: interfaces that are missing, keys told later, namespaces that died."""

from __future__ import annotations

import asyncio

import pytest

from mooring.core.endpoints import Attachment, Endpoint
from mooring.core.faults import BadRequest, Conflict, NotFound, Unavailable
from mooring.core.plumbing import Veth
from mooring.core.requests import JoinRequest, SandboxSpec
from mooring.core.sandboxes import Kind, NamespaceAdd, NamespaceLink, NamespaceState, Sandbox
from mooring.services.sandboxes.namespaces import NamespaceReconciler, foreign, had_link, join_request, namer
from mooring.testing.memory_namespaces import MemoryNamespaces
from tests.services.sandbox_hosts import WEB, SandboxHost

EXTERNAL = SandboxSpec("ext", Kind.EXTERNAL, ports=WEB)
KEY, NEXT = "/proc/7/ns/net", "/proc/8/ns/net"
GOING = NamespaceLink("n/e", "eth0", "x", "", ipv6=True, returns=False)
SEEN = NamespaceState(frozenset({GOING}), frozenset({"lo", "eth0", "eth1"}))


@pytest.fixture
async def host() -> SandboxHost:
    """A host that has started, with two namespaces of somebody else's."""
    host = await SandboxHost().start()
    for path in (KEY, NEXT):
        host.namespaces.external(path)
    return host


async def both(host: SandboxHost) -> tuple[Endpoint, Endpoint]:
    """An endpoint `red` of a bridge, and `far`, whose driver wants its interface back."""
    red = await host.endpoint(await host.network("red"), "red")
    return red, await host.endpoint(await host.network("far", "far"), "far")


def test_names_of_interfaces_that_are_going_are_free() -> None:
    """Those of links of others and of members are not."""
    assert foreign(SEEN) == {"lo", "eth1"}
    assert namer(SEEN, list)(Attachment("x", "eth", None, None)) == "eth0"


def test_an_interface_of_before_is_told_by_its_endpoint() -> None:
    """Of any other endpoint it does not matter."""
    known = Endpoint("e", "n", None, None, "", 0.0)
    assert had_link(SEEN, known)
    assert not had_link(SEEN, Endpoint("e", "m", None, None, "", 0.0))


@pytest.mark.parametrize(
    ("kind", "path", "expected"),
    [
        (Kind.OWN, "/ns/1", JoinRequest("/ns/1", inside=True, ports=WEB)),
        (Kind.EXTERNAL, KEY, JoinRequest(KEY, inside=True, ports=WEB)),
        (Kind.EXTERNAL, "", JoinRequest("sandbox:s", inside=False, ports=WEB)),
        (Kind.HOST, "", JoinRequest("sandbox:s", inside=False, ports=WEB)),
    ],
)
def test_drivers_are_told_whether_the_namespace_is_there(kind: Kind, path: str, expected: JoinRequest) -> None:
    """Before an external one is told, and for the host, the interface is left on the host."""
    assert join_request(Sandbox("s", "box", kind, path, 0.0, ports=WEB)) == expected


async def test_an_endpoint_may_join_before_the_namespace_is_told(host: SandboxHost) -> None:
    """Its interface waits on the host; when the key is told it is fetched, addressed, routed and published."""
    red, far = await both(host)
    box = await host.box("ext", EXTERNAL)
    await host.join(red, box)
    await host.join(far, box)
    assert host.now(red).sandbox == f"sandbox:{box.id}"
    assert len(host.namespaces.on_host()) == 2
    assert (host.publishers(), host.resolver.served) == (set(), {})
    await host.sandboxes.set_key(box.id, KEY)
    assert {host.now(red).sandbox, host.now(far).sandbox} == {KEY}
    assert await host.links(KEY) == ["eth0", "eth1"]
    assert await host.routes(KEY) == {"0.0.0.0/0": host.now(far).interface}
    assert host.namespaces.on_host() == set()
    assert set(host.resolver.served) == {KEY}
    assert [member.endpoint.name for member in host.sandboxes.members(await now(host))] == ["far", "red"]


async def now(host: SandboxHost) -> Sandbox:
    """The only sandbox, as it is."""
    (found,) = host.services.cache.every(Sandbox)
    return found


async def test_a_name_that_the_namespace_has_already_is_not_taken(host: SandboxHost) -> None:
    """An endpoint that joined before is called otherwise then."""
    red, far = await both(host)
    host.namespaces.plant("eth0", KEY)
    box = await host.box("ext", EXTERNAL)
    await host.join(red, box)
    await host.join(far, box)
    await host.sandboxes.set_key(box.id, KEY)
    assert sorted((host.now(red).interface, host.now(far).interface)) == ["eth1", "eth2"]
    assert await host.links(KEY) == ["eth1", "eth2"]


async def test_another_key_moves_everything(host: SandboxHost) -> None:
    """Interfaces, resolver and records; nothing of ours stays behind, and the same key again changes nothing."""
    red, far = await both(host)
    box = await host.box("ext", EXTERNAL)
    await host.join(red, box)
    await host.join(far, box)
    await host.sandboxes.set_key(box.id, KEY)
    await host.sandboxes.set_key(box.id, NEXT)
    assert (await host.facts(KEY), len(await host.links(NEXT))) == (frozenset(), 2)
    assert set(host.resolver.served) == {NEXT}
    before = await host.facts(NEXT)
    await host.sandboxes.set_key(box.id, NEXT)
    assert await host.facts(NEXT) == before
    await host.leave(red, await now(host))
    assert await host.links(NEXT) == [host.now(far).interface]


async def test_a_key_that_cannot_be_is_refused(host: SandboxHost) -> None:
    """No namespace, another sandbox's, or a sandbox whose namespace is not somebody else's."""
    box, own = await host.box("ext", EXTERNAL), await host.box("own")
    await host.box("other", SandboxSpec("other", Kind.EXTERNAL, KEY))
    with pytest.raises(NotFound, match="no network namespace at /ns/none"):
        await host.sandboxes.set_key(box.id, "/ns/none")
    with pytest.raises(Conflict, match=r"already has a sandbox .held by sandbox other"):
        await host.sandboxes.set_key(box.id, KEY)
    with pytest.raises(Conflict, match="cannot be changed"):
        await host.sandboxes.set_key(own.id, NEXT)
    with pytest.raises(NotFound):
        await host.sandboxes.set_key("f" * 64, NEXT)


async def test_what_a_key_left_undone_is_done_when_it_is_told_again(host: SandboxHost) -> None:
    """A refusal in its middle loses nothing."""
    red, far = await both(host)
    box = await host.box("ext", EXTERNAL)
    await host.join(red, box)
    await host.join(far, box)
    for number in range(1, 100):
        host.relent()
        host.refuse_at = host.steps + number
        try:
            await host.sandboxes.set_key(box.id, KEY)
        except Unavailable:
            continue
        break
    assert host.refused is None
    assert number > 2
    assert await host.links(KEY) == ["eth0", "eth1"]


async def test_an_interface_that_a_crash_took_is_made_anew(host: SandboxHost) -> None:
    """The record says that the endpoint is inside; what is missing in the kernel is asked of its driver."""
    red, far = await both(host)
    box = await host.box("box")
    await host.join(red, box)
    await host.join(far, box)
    before = await host.facts(box.path)
    (name,) = [fact.name for fact in host.kernel.facts.values() if isinstance(fact, Veth)]
    host.kernel.lose(name)
    assert len(await host.links(box.path)) == 1
    await host.restart()
    await host.sandboxes.apply(box.id)
    assert await host.facts(box.path) == before


async def test_a_settled_sandbox_is_not_touched(host: SandboxHost) -> None:
    """A start that finds all as it should be changes nothing in the namespace."""
    red, _ = await both(host)
    box = await host.box("box")
    await host.join(red, box)
    await host.restart()
    steps = host.steps
    await host.sandboxes.apply(box.id)
    assert host.steps == steps
    assert set(host.resolver.served) == {box.path}


async def test_a_namespace_that_died_lets_its_endpoints_go(host: SandboxHost) -> None:
    """It can be left and deleted, but not joined; settling says that it is gone."""
    red, far = await both(host)
    box = await host.box("box")
    await host.join(red, box)
    host.namespaces.reboot()
    with pytest.raises(Conflict, match="the namespace of sandbox box was removed"):
        await host.join(far, box)
    with pytest.raises(NotFound):
        await host.sandboxes.apply(box.id)
    await host.leave(red, box)
    await host.sandboxes.delete(box.id)
    assert host.now(red).sandbox == ""


async def test_a_plugin_that_is_gone_does_not_hold_the_others(host: SandboxHost) -> None:
    """The endpoint of a driver that does not answer stays noted; the others have a way out."""
    red, far = await both(host)
    box = await host.box("box")
    await host.join(red, box)
    await host.join(far, box, priority=1)
    host.far.refusals["leave"] = Unavailable("the plugin does not answer")
    with pytest.raises(Unavailable, match="does not answer"):
        await host.leave(far, box)
    assert await host.routes(box.path) == {"0.0.0.0/0": "eth0"}
    assert [member.endpoint.name for member in host.sandboxes.members(box)] == ["red"]
    host.far.refusals.clear()
    await host.leave(far, box)
    assert host.now(far).sandbox == ""


async def test_no_step_waits_for_anybody_while_a_link_is_made(host: SandboxHost) -> None:
    """Another sandbox is joined while the first one's namespace does not answer."""
    red, far = await both(host)
    one, two = await host.box("one"), await host.box("two")
    stuck, free = asyncio.Event(), asyncio.Event()

    async def look(what: object) -> None:
        if isinstance(what, NamespaceAdd) and isinstance(what.fact, NamespaceLink) and red.id in what.fact.endpoint:
            stuck.set()
            await free.wait()

    host.look = look
    async with asyncio.TaskGroup() as group:
        group.create_task(host.join(red, one))
        await stuck.wait()
        await host.join(far, two)
        assert await host.links(two.path) == ["eth0"]
        free.set()
    assert await host.links(one.path) == ["eth0"]


@pytest.mark.parametrize("restart", [False, True])
async def test_signs_that_somebody_forges_are_foreign(host: SandboxHost, restart: bool) -> None:
    """A link that claims an endpoint which is not there, one of nobody's or one that is elsewhere, goes nowhere and
    keeps nobody from joining, leaving or the name that is next; one that claims a member's is a foreign one, too."""
    red, far = await both(host)
    box = await host.box("box")
    await host.join(red, box)
    if restart:
        await host.restart()
        await host.sandboxes.apply(box.id)
    away = host.namespaces.on_host()
    signs = ("x/y", f"{far.network}/{far.id}", f"{red.network}/{red.id}")
    for number, sign in enumerate(signs, 1):
        host.namespaces.plant(f"eth{number}", box.path, sign=sign)
    await host.sandboxes.refresh(box.id)
    assert host.namespaces.on_host() == away
    await host.join(far, box)
    assert host.now(far).interface not in ("eth0", "eth1")
    assert host.namespaces.on_host() == set()
    await host.leave(far, box)
    assert host.namespaces.on_host() == away
    await host.leave(red, box)
    await host.sandboxes.delete(box.id)
    assert host.namespaces.on_host() == away


async def test_a_path_that_means_another_namespace_by_now_is_left_alone(host: SandboxHost) -> None:
    """A process id is another process's later: nothing is put there, and the sandbox counts as gone until it is told
    where it is now."""
    endpoint = await host.endpoint(await host.network("web"), "a")
    box = await host.box("ext", SandboxSpec("ext", Kind.EXTERNAL, KEY))
    assert not await host.sandboxes.is_gone(box)
    host.namespaces.external(KEY)
    assert await host.sandboxes.is_gone(box)
    with pytest.raises(Conflict, match="now a different namespace"):
        await host.join(endpoint, box)
    assert await host.facts(KEY) == frozenset()
    with pytest.raises(NotFound, match="was removed"):
        await host.sandboxes.statistics(box.id)
    await host.sandboxes.set_key(box.id, KEY)
    await host.join(endpoint, box)
    assert await host.links(KEY) == ["eth0"]


async def test_the_hosts_own_namespace_is_nobodys_sandbox(host: SandboxHost) -> None:
    """A path that leads to it would have its routes changed."""

    class Everywhere(MemoryNamespaces):
        async def identify(self, path: str) -> str:
            return "host"

    namespace_reconciler = NamespaceReconciler(Everywhere(host.kernel), host.services.endpoints)
    with pytest.raises(BadRequest, match="the host's own namespace"):
        await namespace_reconciler.identify(KEY)
