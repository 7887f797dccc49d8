"""Sandboxes over the doubles: who is in one, who is its gateway, and what is left after a refusal at any step."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from mooring.core.endpoints import Endpoint, State
from mooring.core.faults import BadRequest, Conflict, NotFound, Unavailable
from mooring.core.names import A, Verdict
from mooring.core.port_bindings import Protocol
from mooring.core.requests import SandboxSpec
from mooring.core.sandboxes import Kind, NamespaceAdd, NamespaceRemove, NamespaceRoute, Sandbox
from mooring.testing.memory_namespaces import MemoryNamespaces
from tests.services.sandbox_hosts import WEB, SandboxHost

EXTERNAL = SandboxSpec("ext", Kind.EXTERNAL)


@pytest.fixture
async def host() -> SandboxHost:
    """A host that has started."""
    return await SandboxHost().start()


async def pair(host: SandboxHost, **spec: object) -> tuple[Endpoint, Endpoint, Sandbox]:
    """Endpoints `red` and `blue` of dual-stack bridges, and a sandbox of our own that nobody has joined."""
    red, blue = [await host.endpoint(await host.network(name, v6=True), name) for name in ("red", "blue")]
    return red, blue, await host.box("box", SandboxSpec("box", **spec))  # type: ignore[arg-type]


async def test_a_sandbox_of_our_own_has_a_namespace_files_and_a_resolver(host: SandboxHost) -> None:
    """Its id is 64 hexadecimal digits, and without a name it gets one that nobody else has."""
    made = await host.box("")
    assert len(made.id) == 64
    assert made.name == made.id[:12]
    assert await host.namespaces.made() == {made.id: made.path}
    assert (made.hosts_path, made.resolv_conf_path) == (f"/run/cnm/{made.id}/hosts", f"/run/cnm/{made.id}/resolv.conf")
    assert {made.hosts_path, made.resolv_conf_path} <= set(host.files.texts)
    assert set(host.resolver.served) == {made.path}


async def test_a_sandbox_may_do_without_a_resolver_and_have_its_files_elsewhere(host: SandboxHost) -> None:
    """As the wish says."""
    made = await host.box("a", SandboxSpec("a", hosts_path="/c/hosts", resolv_conf_path="/c/resolv", resolver=False))
    assert {"/c/hosts", "/c/resolv"} <= set(host.files.texts)
    assert host.resolver.served == {}
    assert made.name == "a"


@pytest.mark.parametrize(
    ("spec", "fault", "text"),
    [
        (SandboxSpec("taken"), Conflict, "sandbox name 'taken' is in use .held by sandbox taken"),
        (SandboxSpec("x", Kind.EXTERNAL, "/ns/1"), Conflict, "/ns/1 already has a sandbox .held by sandbox first"),
        (SandboxSpec("x", Kind.HOST), Conflict, "the host already has a sandbox .held by sandbox host"),
        (SandboxSpec("x", Kind.EXTERNAL, "/ns/none"), NotFound, "no network namespace at /ns/none"),
        (SandboxSpec("x", Kind.OWN, "/ns/2"), BadRequest, "only an external sandbox has a path"),
        (SandboxSpec("x", Kind.HOST, "/ns/2"), BadRequest, "only an external sandbox has a path"),
        (SandboxSpec("x", hostname="a b"), BadRequest, "hostname"),
    ],
)
async def test_a_sandbox_that_cannot_be_is_refused(
    host: SandboxHost, spec: SandboxSpec, fault: type[Exception], text: str
) -> None:
    """The fault names who has the name or the place, and nothing is left."""
    for path in ("/ns/1", "/ns/2"):
        host.namespaces.external(path)
    await host.box("taken")
    await host.box("first", SandboxSpec("first", Kind.EXTERNAL, "/ns/1"))
    await host.box("host", SandboxSpec("host", Kind.HOST))
    before = await host.picture()
    with pytest.raises(fault, match=text):
        await host.sandboxes.create(spec)
    assert await host.picture() == before


async def test_a_name_is_free_again_after_deletion(host: SandboxHost) -> None:
    """And so is a namespace of somebody else's, which stays."""
    host.namespaces.external("/ns/1")
    for _ in range(2):
        made = await host.box("a", SandboxSpec("a", Kind.EXTERNAL, "/ns/1"))
        await host.sandboxes.delete(made.id)
    assert await host.namespaces.exists("/ns/1")


async def test_an_endpoint_brings_its_interface_addresses_and_way_out(host: SandboxHost) -> None:
    """Named eth0, both families, default routes, and the files know its addresses."""
    red, _, box = await pair(host, hostname="web")
    await host.join(red, box)
    assert host.now(red).state is State.ATTACHED
    assert (host.now(red).sandbox, host.now(red).interface) == (box.path, "eth0")
    assert await host.addresses(box.path) == ["eth0 10.32.0.2/24", "eth0 fd00:32::2/64"]
    assert await host.routes(box.path) == {"0.0.0.0/0": "eth0", "::/0": "eth0"}
    assert "10.32.0.2\tweb" in host.files.texts[box.hosts_path]
    assert host.resolver.ask(box.path, "red", A).verdict is Verdict.FOUND
    assert list(await host.sandboxes.statistics(box.id)) == ["eth0"]


async def test_the_default_route_follows_the_gateway(host: SandboxHost) -> None:
    """A higher priority takes it over at a join, and it is handed back at the leave, in both families."""
    red, blue, box = await pair(host)
    await host.join(red, box)
    await host.join(blue, box, priority=5)
    assert await host.routes(box.path) == {"0.0.0.0/0": "eth1", "::/0": "eth1"}
    assert [member.endpoint.name for member in host.sandboxes.members(box)] == ["blue", "red"]
    await host.leave(blue, box)
    assert await host.routes(box.path) == {"0.0.0.0/0": "eth0", "::/0": "eth0"}
    assert await host.links(box.path) == ["eth0"]
    assert host.now(blue).state is State.CREATED
    assert host.now(blue).addresses == blue.addresses


async def test_families_have_gateways_of_their_own(host: SandboxHost) -> None:
    """An IPv4 network of a higher priority takes IPv4 only."""
    red, _, box = await pair(host)
    four = await host.endpoint(await host.network("four"), "four")
    await host.join(red, box)
    await host.join(four, box, priority=1)
    assert await host.routes(box.path) == {"0.0.0.0/0": "eth1", "::/0": "eth0"}


async def test_a_name_that_is_free_again_is_given_again(host: SandboxHost) -> None:
    """The lowest number, and never that of a link of somebody else's."""
    red, blue, box = await pair(host)
    host.namespaces.plant("eth1", box.path)
    await host.join(red, box)
    await host.join(blue, box)
    assert (host.now(red).interface, host.now(blue).interface) == ("eth0", "eth2")
    await host.leave(red, box)
    await host.join(red, box)
    assert host.now(red).interface == "eth0"


async def test_joining_again_is_fine_and_elsewhere_is_refused(host: SandboxHost) -> None:
    """The sandbox that has it is named; leaving what one is not in is refused, too."""
    red, blue, box = await pair(host)
    other = await host.box("other")
    await host.join(red, box)
    before = await host.picture()
    await host.join(red, box)
    with pytest.raises(Conflict, match=r"red is in another sandbox .held by sandbox box"):
        await host.join(red, other)
    with pytest.raises(Conflict, match=r"red is not in sandbox other .held by sandbox box"):
        await host.leave(red, other)
    with pytest.raises(Conflict, match="blue is not in sandbox box"):
        await host.leave(blue, box)
    assert await host.picture() == before


async def test_what_is_not_known_is_not_found(host: SandboxHost) -> None:
    """Sandboxes and endpoints; a deletion of what is gone is fine."""
    red, _, box = await pair(host)
    with pytest.raises(NotFound):
        await host.sandboxes.join(red.network, red.id, "f" * 64)
    with pytest.raises(NotFound):
        await host.sandboxes.join(red.network, "f" * 64, box.id)
    for work in (host.sandboxes.refresh, host.sandboxes.statistics):
        with pytest.raises(NotFound):
            await work("f" * 64)
    await host.sandboxes.delete("f" * 64)
    await host.sandboxes.apply("f" * 64)


async def test_an_interface_that_is_wanted_back_is_home_before_its_driver_hears(host: SandboxHost) -> None:
    """And the next gateway's route is there before it goes."""
    red, _, box = await pair(host)
    far = await host.endpoint(await host.network("far", "far"), "far")
    await host.join(red, box)
    await host.join(far, box, priority=9)
    assert await host.routes(box.path) == {"0.0.0.0/0": "eth1", "::/0": "eth0"}
    steps: list[object] = []

    async def look(what: object) -> None:
        steps.append(what)

    host.look = look
    await host.leave(far, box)
    names = [
        "route" if isinstance(what, NamespaceAdd) and isinstance(what.fact, NamespaceRoute)
        else "home" if isinstance(what, NamespaceRemove) else what
        for what in steps
    ]  # fmt: skip
    assert names == ["route", "home", "leave"]
    assert await host.links(box.path) == ["eth0"]
    assert f"md-{far.id[:12]}" in host.namespaces.on_host()


async def test_published_ports_lead_to_the_gateway_and_change_hands(host: SandboxHost) -> None:
    """Nobody else of the sandbox publishes."""
    red, blue, box = await pair(host, ports=WEB)
    await host.join(red, box)
    assert host.publishers() == {"red"}
    await host.join(blue, box, priority=1)
    assert host.publishers() == {"blue"}
    assert host.now(blue).published[0].target == blue.addresses[0]
    await host.leave(blue, box)
    assert host.publishers() == {"red"}
    await host.leave(red, box)
    assert host.publishers() == set()


async def test_without_an_ipv4_gateway_the_ipv6_one_publishes(host: SandboxHost) -> None:
    """A member that is no gateway in either family never does."""
    inner = await host.endpoint(await host.network("inner", internal=True), "inner")
    red, _, box = await pair(host, ports=WEB)
    await host.join(inner, box, priority=9)
    assert host.publishers() == set()
    await host.join(red, box)
    assert host.publishers() == {"red"}


async def test_a_port_that_is_taken_refuses_the_join(host: SandboxHost) -> None:
    """The endpoint is where it was, and the sandbox as before."""
    red, _, box = await pair(host, ports=WEB)
    host.guard.taken = {(Protocol.TCP, 8080): "nginx"}
    before = await host.picture()
    with pytest.raises(Conflict, match="8080"):
        await host.join(red, box)
    assert await host.picture() == before


async def each_refusal(
    prepare: Callable[[SandboxHost], Awaitable[None]], work: Callable[[SandboxHost], Awaitable[object]]
) -> list[tuple[dict[str, object], dict[str, object]]]:
    """Pictures before and after the work, refused at its first step, its second, until none is left to refuse."""
    pictures: list[tuple[dict[str, object], dict[str, object]]] = []
    for number in range(1, 200):
        host = await SandboxHost().start()
        await prepare(host)
        before = await host.picture()
        host.refuse_at = host.steps + number
        try:
            await work(host)
        except Unavailable:
            pass
        else:
            assert host.refused is None
            return pictures
        pictures.append((before, await host.picture()))
    raise AssertionError("there are ever more steps")


def find(host: SandboxHost, name: str) -> Endpoint:
    """The endpoint with the name."""
    return next(each for each in host.services.cache.every(Endpoint) if each.name == name)


def only(host: SandboxHost) -> Sandbox:
    """The only sandbox."""
    (found,) = host.services.cache.every(Sandbox)
    return found


@pytest.mark.parametrize("name", ["blue", "far"])
async def test_a_join_that_is_refused_at_any_step_leaves_all_as_it_was(name: str) -> None:
    """Records, routes, ports, interfaces on the host, and what the other driver was told."""

    async def prepare(host: SandboxHost) -> None:
        red, _, box = await pair(host, ports=WEB)
        await host.endpoint(await host.network("far", "far"), "far")
        await host.join(red, box)

    pictures = await each_refusal(prepare, lambda host: host.join(find(host, name), only(host), priority=1))
    assert len(pictures) > 5
    for before, after in pictures:
        assert after == before


async def test_a_creation_that_is_refused_at_any_step_leaves_nothing() -> None:
    """No namespace, no record, no files."""

    async def prepare(host: SandboxHost) -> None:
        await host.network("red")

    pictures = await each_refusal(prepare, lambda host: host.box("box"))
    assert len(pictures) == 2
    for before, after in pictures:
        assert after == before


async def test_a_cancelled_join_leaves_all_as_it_was(host: SandboxHost) -> None:
    """At whichever step it is cut off."""
    red, blue, box = await pair(host, ports=WEB)
    await host.join(red, box)
    before = await host.picture()
    for number in range(1, 100):
        left = number

        async def look(_: object) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise asyncio.CancelledError

        host.look = look
        try:
            await host.join(blue, box, priority=1)
        except asyncio.CancelledError:
            host.look = None
            assert await host.picture() == before
        else:
            break
    assert number > 3
    assert host.publishers() == {"blue"}


async def test_joining_again_with_another_priority_moves_the_gateway(host: SandboxHost) -> None:
    """It is the same join, and the priority counts from now on."""
    box = await host.box("box")
    red, blue = [await host.endpoint(await host.network(name), "a") for name in ("blue", "red")]
    await host.join(red, box, priority=1)
    await host.join(blue, box)
    assert (await host.routes(box.path))["0.0.0.0/0"] == host.now(red).interface
    await host.join(blue, box, priority=2)
    assert (await host.routes(box.path))["0.0.0.0/0"] == host.now(blue).interface


async def test_a_namespace_has_one_sandbox_whatever_its_path(host: SandboxHost) -> None:
    """Two paths may lead to one namespace, and two sandboxes would take each other's interfaces away."""

    class Twins(MemoryNamespaces):
        async def identify(self, path: str) -> str:
            return "one" if path else "host"

    host.namespaces = Twins(host.kernel)
    for path in ("/ns/a", "/ns/b"):
        host.namespaces.external(path)
    host._new_process()
    await host.start()
    await host.box("a", SandboxSpec("a", Kind.EXTERNAL, "/ns/a"))
    with pytest.raises(Conflict, match="held by sandbox a"):
        await host.box("b", SandboxSpec("b", Kind.EXTERNAL, "/ns/b"))
    late = await host.box("c", SandboxSpec("c", Kind.EXTERNAL))
    with pytest.raises(Conflict, match="held by sandbox a"):
        await host.sandboxes.set_key(late.id, "/ns/b")
