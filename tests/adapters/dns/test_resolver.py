"""The resolver in real namespaces, asked by dnspython and by bare sockets in them."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from ipaddress import IPv4Address, IPv6Address

import dns.flags
import dns.rcode
import pytest

from mooring.adapters.dns.resolver import EmbeddedResolver
from mooring.adapters.linux.namespace_files import leave_for_new
from mooring.core.faults import Conflict, NotFound, Unavailable
from mooring.core.names import AAAA, PTR, SRV, A, Answer, Question, Target, Verdict
from tests.adapters.dns.nameservers import ask, nameserver, query, texts, within
from tests.netns.rigs import Namespace, private_namespace, sh

pytestmark = pytest.mark.netns

V4, V6 = IPv4Address("10.9.0.2"), IPv6Address("fd00:9::2")
ZONE = {
    Question("web", A): Answer(Verdict.FOUND, addresses=(V4,)),
    Question("web", AAAA): Answer(Verdict.FOUND, addresses=(V6,)),
    Question("2.0.9.10.in-addr.arpa", PTR): Answer(Verdict.FOUND, names=("web.net1",)),
    Question("_http._tcp.web", SRV): Answer(Verdict.FOUND, targets=(Target(80, "web.net1", V4),)),
    Question("v4only", AAAA): Answer(Verdict.EMPTY),
    Question("secret", A): Answer(Verdict.REFUSED),
    Question("many", A): Answer(Verdict.FOUND, addresses=tuple(V4 + number for number in range(200))),
}
OUTSIDE4, OUTSIDE6, LOCAL = IPv4Address("198.18.0.2"), IPv6Address("fd00:198:18::2"), IPv4Address("127.0.0.53")


def lookup(question: Question) -> Answer:
    """The names of the zone; all else is to be asked elsewhere."""
    return ZONE.get(question, Answer(Verdict.FORWARD))


@pytest.fixture
def home() -> Iterator[Namespace]:
    """The host: where the test is."""
    with private_namespace() as made:
        yield made


@pytest.fixture
def outside(home: Namespace) -> Iterator[Namespace]:
    """A machine elsewhere, at 198.18.0.2 and fd00:198:18::2."""
    made = Namespace.new()
    yield made
    made.close()


@pytest.fixture
def sandbox(home: Namespace, outside: Namespace) -> Iterator[Namespace]:
    """A sandbox with an address and a default route, beyond which the machine elsewhere is."""
    made = Namespace.new()
    made.sh(
        f"ip link add eth0 type veth peer name eth0 netns /proc/{os.getpid()}/fd/{outside.fd}",
        "ip address add 198.18.1.2/24 dev eth0; ip -6 address add fd00:198:19::2/64 dev eth0 nodad",
    )
    # The far end is up first: a first solicitation that nobody hears costs a second.
    outside.sh(
        "ip address add 198.18.1.1/24 dev eth0; ip -6 address add fd00:198:19::1/64 dev eth0 nodad",
        "ip address add 198.18.0.2/32 dev lo; ip -6 address add fd00:198:18::2/128 dev lo; ip link set eth0 up",
    )
    made.sh("ip link set eth0 up; ip route add default via 198.18.1.1; ip -6 route add default via fd00:198:19::1")
    yield made
    made.close()


@pytest.fixture
async def resolver(home: Namespace) -> AsyncIterator[EmbeddedResolver]:
    """Made at home."""
    made = EmbeddedResolver(deadline=99)
    yield made
    await made.close()


def path(space: Namespace) -> str:
    """Where it can be found."""
    return f"/proc/{os.getpid()}/fd/{space.fd}"


async def test_names_of_ours_are_answered(resolver: EmbeddedResolver, sandbox: Namespace) -> None:
    """A, AAAA, PTR and SRV over UDP and TCP, from 127.0.0.11 port 53, in any letters."""
    await resolver.serve(path(sandbox), lookup, tuple)
    for tcp in (False, True):
        assert texts(await ask(sandbox, query("Web"), tcp=tcp)) == ["10.9.0.2"]
        assert texts(await ask(sandbox, query("wEB", AAAA), tcp=tcp)) == ["fd00:9::2"]
        assert texts(await ask(sandbox, query("2.0.9.10.in-addr.arpa", PTR), tcp=tcp)) == ["web.net1."]
        service = await ask(sandbox, query("_http._tcp.web", SRV), tcp=tcp)
        assert texts(service) == ["0 0 80 web.net1."]
        assert [str(rrset) for rrset in service.additional] == ["web.net1. 600 IN A 10.9.0.2"]
        empty = await ask(sandbox, query("v4only", AAAA), tcp=tcp)
        assert (empty.rcode(), texts(empty)) == (dns.rcode.NOERROR, [])
        assert (await ask(sandbox, query("secret"), tcp=tcp)).rcode() == dns.rcode.SERVFAIL


async def test_long_answers_are_cut_short_over_udp_only(resolver: EmbeddedResolver, sandbox: Namespace) -> None:
    """TC without EDNS; all of it with EDNS, and over TCP; in another order each time."""
    await resolver.serve(path(sandbox), lookup, tuple)
    assert (await ask(sandbox, query("many"))).flags & dns.flags.TC
    one, two = (
        await ask(sandbox, query("many", use_edns=0, payload=4096)),
        await ask(sandbox, query("many"), tcp=True),
    )
    assert not one.flags & dns.flags.TC
    assert set(texts(one)) == set(texts(two)) == {str(V4 + number) for number in range(200)}
    assert texts(one) != texts(two)


async def test_a_bare_socket_hears_from_port_53(resolver: EmbeddedResolver, sandbox: Namespace) -> None:
    """A socket that is not connected sees the source; nothing comes for rubbish, FORMERR for what has a header."""
    await resolver.serve(path(sandbox), lookup, tuple)

    def talk() -> list[tuple[bytes, tuple[str, int]]]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(10)
            for message in (
                b"rubbish",
                query("web", id=3).to_wire(),
                b"\0\4" + b"\xff" * 10,
                b"\0\5\1\0\0\1" + b"\xff" * 9,
            ):
                client.sendto(message, ("127.0.0.11", 53))
            return [client.recvfrom(4096) for _ in range(2)]

    heard = await within(sandbox, talk)
    assert [source for _, source in heard] == [("127.0.0.11", 53)] * 2
    assert sorted(reply[1] for reply, _ in heard) == [3, 5]


@pytest.mark.parametrize("tcp", [False, True])
@pytest.mark.parametrize("upstream", [OUTSIDE4, OUTSIDE6])
async def test_other_names_are_asked_of_upstreams(
    resolver: EmbeddedResolver,
    sandbox: Namespace,
    outside: Namespace,
    stack: ExitStack,
    tcp: bool,
    upstream: IPv4Address | IPv6Address,
) -> None:
    """From within the sandbox, over either family, in the way that the client came."""
    server = await nameserver(stack, outside, "203.0.113.7", at=str(upstream))
    await resolver.serve(path(sandbox), lookup, lambda: (upstream,))
    assert texts(await ask(sandbox, query("example.org"), tcp=tcp)) == ["203.0.113.7"]
    assert server.streams == int(tcp)


@pytest.mark.parametrize("tcp", [False, True])
async def test_the_hosts_loopback_is_asked_at_the_host(
    resolver: EmbeddedResolver, sandbox: Namespace, home: Namespace, stack: ExitStack, tcp: bool
) -> None:
    """127.0.0.53 of the sandbox is another one, and is not asked."""
    sh("ip link set lo up")
    await nameserver(stack, home, "203.0.113.8", at=str(LOCAL))
    inner = await nameserver(stack, sandbox, "203.0.113.9", at=str(LOCAL))
    await resolver.serve(path(sandbox), lookup, lambda: (LOCAL,))
    assert texts(await ask(sandbox, query("example.org"), tcp=tcp)) == ["203.0.113.8"]
    assert inner.idents == []


@pytest.mark.parametrize("tcp", [False, True])
async def test_without_an_upstream_that_answers_it_is_a_server_failure(
    resolver: EmbeddedResolver, sandbox: Namespace, tcp: bool
) -> None:
    """None at all, one without a route to it, one where nobody listens."""
    upstreams: list[IPv4Address] = []
    await resolver.serve(path(sandbox), lookup, lambda: upstreams)
    for addresses in ([], ["198.18.1.1"], ["198.18.1.2", "255.255.255.255"]):
        upstreams[:] = map(IPv4Address, addresses)
        assert (await ask(sandbox, query("example.org"), tcp=tcp)).rcode() == dns.rcode.SERVFAIL


async def test_many_queries_at_once_do_not_wait_for_each_other(
    sandbox: Namespace, outside: Namespace, stack: ExitStack
) -> None:
    """200, half of them forwarded, while a mute server is waited for by others."""
    mute = IPv4Address("198.18.1.1")
    await nameserver(stack, outside, "203.0.113.7", at=str(OUTSIDE4))
    await nameserver(stack, outside, "203.0.113.7", "mute", at=str(mute))
    resolver = EmbeddedResolver(deadline=0.5)
    await resolver.serve(path(sandbox), lookup, lambda: (mute, OUTSIDE4))

    def talk() -> set[int]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(10)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            for number in range(200):
                message = query("web" if number % 2 else f"n{number}.example", id=number)
                client.sendto(message.to_wire(), ("127.0.0.11", 53))
            order = [int.from_bytes(client.recv(4096)[:2], "big") for _ in range(200)]
        assert all(number % 2 for number in order[:100])
        return set(order)

    assert await within(sandbox, talk) == set(range(200))
    await resolver.close()


async def test_port_53_stays_free_for_the_sandbox(resolver: EmbeddedResolver, sandbox: Namespace) -> None:
    """A nameserver of its own can have it at all addresses; ours answers at 127.0.0.11 all the same."""
    await resolver.serve(path(sandbox), lookup, tuple)

    def bind() -> list[socket.socket]:
        made = [socket.socket(socket.AF_INET, kind) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)]
        for one in made:
            one.bind(("0.0.0.0", 53))
        made[1].listen()
        return made

    bound = await within(sandbox, bind)
    assert texts(await ask(sandbox, query("web"))) == ["10.9.0.2"]
    assert texts(await ask(sandbox, query("web"), tcp=True)) == ["10.9.0.2"]
    for one in bound:
        one.close()


async def test_serving_again_changes_the_lookup_and_keeps_the_sockets(
    resolver: EmbeddedResolver, sandbox: Namespace
) -> None:
    """And a table that somebody flushed is there again."""
    await resolver.serve(path(sandbox), lookup, tuple)
    before = sandbox.sh("ss -Hlntu")
    sandbox.sh("nft flush ruleset")
    await resolver.serve(path(sandbox), lambda question: Answer(Verdict.FOUND, addresses=(V4 + 1,)), tuple)
    assert texts(await ask(sandbox, query("web"))) == ["10.9.0.3"]
    assert sandbox.sh("ss -Hlntu") == before


async def test_stopping_leaves_nothing(resolver: EmbeddedResolver, sandbox: Namespace) -> None:
    """No socket, and soon no table; twice is fine, also for what was never served; then it can be served again."""
    for _ in range(2):
        await resolver.serve(path(sandbox), lookup, tuple)
        assert texts(await ask(sandbox, query("web"), tcp=True)) == ["10.9.0.2"]
        await resolver.stop(path(sandbox))
        await resolver.stop(path(sandbox))
        assert sandbox.sh("ss -Hlntu") == ""
    await resolver.stop("/nowhere")
    await resolver.close()
    assert sandbox.sh("nft list ruleset") == ""


async def test_queries_under_way_end_with_the_service(
    resolver: EmbeddedResolver, sandbox: Namespace, outside: Namespace, stack: ExitStack
) -> None:
    """Nobody answers them, their sockets are closed, and connections too."""
    server = await nameserver(stack, outside, "203.0.113.7", "mute", at=str(OUTSIDE4))
    await resolver.serve(path(sandbox), lookup, lambda: (OUTSIDE4,))
    with sandbox.inside():
        client, stream = socket.socket(socket.AF_INET, socket.SOCK_DGRAM), socket.socket()
    stream.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(stream, ("127.0.0.11", 53))
    client.sendto(query("example.org").to_wire(), ("127.0.0.11", 53))
    await loop.sock_sendall(stream, len(wire := query("example.org").to_wire()).to_bytes(2, "big") + wire)
    assert [await server.heard.get() for _ in range(2)] == ["example.org"] * 2
    await resolver.close()
    assert await loop.sock_recv(stream, 1) == b""
    client.close()
    stream.close()
    assert sandbox.sh("ss -Hanu") == ""


async def test_a_namespace_that_is_removed_is_no_trouble(resolver: EmbeddedResolver, home: Namespace) -> None:
    """Its path goes while it is served: stopping is fine; and what is there now is served, not what was."""
    spaces = [Namespace.new(), Namespace.new()]
    place = f"/proc/{os.getpid()}/fd/{spaces[0].fd}"
    await resolver.serve(place, lookup, tuple)
    os.dup2(spaces[1].fd, spaces[0].fd)
    await resolver.serve(place, lookup, tuple)
    assert texts(await ask(spaces[1], query("web"))) == ["10.9.0.2"]
    for space in spaces:
        space.close()
    with pytest.raises(NotFound):
        await resolver.serve(place, lookup, tuple)
    await resolver.stop(place)


@pytest.mark.parametrize("wrong", ["/nowhere", "/etc/passwd", "/tmp", "/proc/self/ns/mnt", "/etc/passwd/x", "a\0b", ""])
async def test_what_is_no_namespace_is_not_found(resolver: EmbeddedResolver, wrong: str) -> None:
    """Nothing hangs, nothing stays open."""
    with pytest.raises(NotFound, match="is not a network namespace"):
        await resolver.serve(wrong, lookup, tuple)


async def test_a_loopback_that_is_down_is_raised(resolver: EmbeddedResolver, sandbox: Namespace) -> None:
    """Who made the namespace may have left it as it was born."""
    sandbox.sh("ip link set lo down; ip address flush dev lo")
    await resolver.serve(path(sandbox), lookup, tuple)
    assert "LOOPBACK,UP" in sandbox.sh("ip link show lo")


async def test_a_newborn_namespace_is_answered(resolver: EmbeddedResolver, home: Namespace) -> None:
    """A socket of a namespace that never had a loopback would answer from another address than was asked."""
    with home.inside():
        leave_for_new()
        made = Namespace.current()
    try:
        await resolver.serve(path(made), lookup, tuple)
        assert texts(await ask(made, query("web"))) == ["10.9.0.2"]
        assert texts(await ask(made, query("web"), tcp=True)) == ["10.9.0.2"]
        made.sh("ip link set lo down")
        await resolver.serve(path(made), lookup, tuple)
        assert texts(await ask(made, query("web"))) == ["10.9.0.2"]
    finally:
        made.close()


async def test_another_owner_is_refused(resolver: EmbeddedResolver, sandbox: Namespace) -> None:
    """Nobody could have two at one address; the first one answers on, and when it stops the other may."""
    await resolver.serve(path(sandbox), lookup, tuple)
    other = EmbeddedResolver(owner="other")
    try:
        with pytest.raises(Conflict, match="names are already answered"):
            await other.serve(path(sandbox), lookup, tuple)
        assert texts(await ask(sandbox, query("web"))) == ["10.9.0.2"]
        await resolver.close()
        await other.serve(path(sandbox), lookup, tuple)
        assert texts(await ask(sandbox, query("web"))) == ["10.9.0.2"]
    finally:
        await other.close()


async def test_a_namespace_by_two_paths_is_answered_until_both_stop(
    resolver: EmbeddedResolver, sandbox: Namespace
) -> None:
    """Stopping one does not take the other's table away, nor does serving it again at once."""
    second = f"/proc/self/fd/{sandbox.fd}"
    for _ in range(2):
        await resolver.serve(path(sandbox), lookup, tuple)
        await resolver.serve(second, lookup, tuple)
        await resolver.stop(path(sandbox))
        assert texts(await ask(sandbox, query("web"))) == ["10.9.0.2"]
    await resolver.stop(second)
    await resolver.close()
    assert sandbox.sh("nft list ruleset") == ""


async def test_what_a_dead_process_left_is_replaced(resolver: EmbeddedResolver, sandbox: Namespace) -> None:
    """Its table led to ports that nobody has any more."""
    sandbox.sh(
        "nft add table ip mooring_resolver",
        "nft add chain ip mooring_resolver output '{ type nat hook output priority -100; }'",
        "nft add rule ip mooring_resolver output ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:9",
    )
    await resolver.serve(path(sandbox), lookup, tuple)
    assert texts(await ask(sandbox, query("web"))) == ["10.9.0.2"]


async def test_a_cancelled_call_is_finished_first(resolver: EmbeddedResolver, sandbox: Namespace) -> None:
    """Serving and stopping are whole when the caller gives up in the middle; a fault does not hide that he did."""
    steps = [
        (resolver.serve(path(sandbox), lookup, tuple), ["10.9.0.2"]),
        (resolver.serve("/nowhere", lookup, tuple), ["10.9.0.2"]),
        (resolver.stop(path(sandbox)), None),
    ]
    for step, wanted in steps:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(step)
            await asyncio.sleep(0)
            task.cancel()
        if wanted is not None:
            assert task.cancelled()
            assert texts(await ask(sandbox, query("web"))) == wanted
    await resolver.close()
    assert sandbox.sh("nft list ruleset; ss -Hlntu") == ""


async def test_a_closed_resolver_serves_nobody(home: Namespace, sandbox: Namespace) -> None:
    """Closing stops everywhere, and twice is fine; its descriptors are closed."""
    descriptors = []
    for _ in range(3):
        resolver = EmbeddedResolver()
        await resolver.serve(path(sandbox), lookup, tuple)
        await resolver.close()
        await resolver.close()
        await resolver.stop(path(sandbox))
        with pytest.raises(Unavailable, match="closed"):
            await resolver.serve(path(sandbox), lookup, tuple)
        assert sandbox.sh("nft list ruleset; ss -Hlntu") == ""
        descriptors.append(len(os.listdir("/proc/self/fd")))
    assert descriptors[1] == descriptors[2]
