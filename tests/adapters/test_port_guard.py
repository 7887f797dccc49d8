"""Host ports held by sockets; tests/contracts/test_kernel.py holds the promises of the port."""

from __future__ import annotations

import errno
import os
import socket
import threading
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address, ip_address

import pytest

from mooring.adapters.host import port_guard
from mooring.adapters.host.port_guard import SocketPortGuard
from mooring.core.faults import Conflict, Exhausted, Unavailable
from mooring.core.port_bindings import Protocol
from mooring.core.refused_starts import awaited
from tests.netns.rigs import Namespace, sh

pytestmark = pytest.mark.netns

ANY4, ANY6 = IPv4Address("0.0.0.0"), IPv6Address("::")


@pytest.fixture
def guard(namespace: Namespace) -> Iterator[SocketPortGuard]:
    """A guard in a namespace of its own."""
    made = SocketPortGuard()
    yield made
    made.close()


@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.UDP])
async def test_a_held_port_is_refused_to_other_processes(guard: SocketPortGuard, protocol: Protocol) -> None:
    """Also with SO_REUSEADDR; and a client is refused at once, nothing listens."""
    await guard.hold(protocol, ANY4, 7001)
    kind = socket.SOCK_STREAM if protocol is Protocol.TCP else socket.SOCK_DGRAM
    with socket.socket(socket.AF_INET, kind) as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        with pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", 7001))
    if protocol is Protocol.TCP:
        with socket.socket() as client:
            assert client.connect_ex(("127.0.0.1", 7001)) == errno.ECONNREFUSED


async def test_the_families_are_held_apart(guard: SocketPortGuard) -> None:
    """The IPv6 wildcard does not take the IPv4 port along, and the other way round."""
    await guard.hold(Protocol.TCP, ANY6, 7001)
    await guard.hold(Protocol.TCP, ANY4, 7001)


@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.UDP])
@pytest.mark.parametrize("both", [False, True])
async def test_a_program_that_is_just_started_is_in_nobodys_way(
    guard: SocketPortGuard, protocol: Protocol, both: bool
) -> None:
    """Between fork and exec it has copies of our sockets: what was let go is bound there for a moment longer."""
    await guard.hold(protocol, ANY4, 7001)
    copy = os.dup(guard._held[protocol, ANY4, 7001].fileno())  # type: ignore[union-attr]
    threading.Timer(0.01, os.close, (copy,)).start()
    if both:
        await guard.hold(protocol, ANY6, 7001)
    else:
        await guard.release(protocol, ANY4, 7001)
        await guard.hold(protocol, ANY4, 7001)
    assert (protocol, ANY4, 7001) in guard._held


@pytest.mark.parametrize(("bound", "wanted"), [("127.0.0.1", "0.0.0.0"), ("::", "0.0.0.0"), ("::1", "::")])
async def test_the_holder_is_found_however_it_is_bound(guard: SocketPortGuard, bound: str, wanted: str) -> None:
    """At one address, at all of them, at all of both families; a process of our own is called so, not `python`."""
    family = socket.AF_INET6 if ":" in bound else socket.AF_INET
    with socket.socket(family) as other:
        other.bind((bound, 7001))
        other.listen()
        host = IPv6Address(wanted) if ":" in wanted else IPv4Address(wanted)
        with pytest.raises(Conflict) as raised:
            await guard.hold(Protocol.TCP, host, 7001)
        assert "`-p ADDRESS:7001:...`" in raised.value.hint
        assert await guard.holder(Protocol.TCP, host, 7001) == f"Mooring's own process ({os.getpid()})"


async def test_a_refusal_looks_at_no_process(guard: SocketPortGuard, monkeypatch: pytest.MonkeyPatch) -> None:
    """A range of taken ports is passed over at the speed of the kernel's own answers."""

    def look(*_: object) -> str:
        raise AssertionError("the holder was looked for")

    monkeypatch.setattr(port_guard, "_holder", look)
    with socket.create_server(("127.0.0.1", 7001)), pytest.raises(Conflict):
        await guard.hold(Protocol.TCP, ANY4, 7001)


async def test_the_holder_is_looked_for_off_the_loop(guard: SocketPortGuard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading what every process has open does not stop the daemon."""
    threads = []

    def look(*_: object) -> str:
        threads.append(threading.get_ident())
        return "process nginx (7)"

    monkeypatch.setattr(port_guard, "_holder", look)
    assert await guard.holder(Protocol.TCP, ANY4, 7001) == "process nginx (7)"
    assert threads != [threading.get_ident()]


async def test_a_port_that_nobody_has_any_more_has_no_known_holder(guard: SocketPortGuard) -> None:
    """It was let go between the refusal and the question; the answer is words all the same."""
    assert await guard.holder(Protocol.TCP, ANY4, 7001) == port_guard.UNKNOWN_HOLDER
    assert await guard.holder(Protocol.SCTP, ANY4, 7001) == port_guard.UNKNOWN_HOLDER


def ended_connection(port: int, *, reuse: bool) -> None:
    """A server at the port has closed a connection, which stays in TIME_WAIT, and is gone."""
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, int(reuse))
        server.bind(("127.0.0.1", port))
        server.listen()
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            accepted.close()
            assert client.recv(1) == b""


@pytest.mark.parametrize("host", [ANY4, IPv4Address("127.0.0.1")])
async def test_connections_that_have_ended_do_not_keep_a_port(guard: SocketPortGuard, host: IPv4Address) -> None:
    """What was a server's a moment ago can be published; and then it is ours alone, as ever."""
    ended_connection(7001, reuse=True)
    await guard.hold(Protocol.TCP, host, 7001)
    another = SocketPortGuard()
    with pytest.raises(Conflict):
        await another.hold(Protocol.TCP, host, 7001)
    for reuse in (0, 1):
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
            with pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", 7001))


async def test_ended_connections_that_do_keep_a_port_are_named(guard: SocketPortGuard) -> None:
    """Their server did not ask for SO_REUSEADDR, so the kernel makes everybody wait."""
    ended_connection(7001, reuse=False)
    with pytest.raises(Conflict):
        await guard.hold(Protocol.TCP, ANY4, 7001)
    assert "TIME_WAIT" in await guard.holder(Protocol.TCP, ANY4, 7001)


@pytest.mark.parametrize("reuse", [0, 1])
@pytest.mark.parametrize("bound", ["127.0.0.1", "0.0.0.0"])
@pytest.mark.parametrize("wanted", ["127.0.0.1", "0.0.0.0"])
async def test_who_listens_keeps_the_port(guard: SocketPortGuard, reuse: int, bound: str, wanted: str) -> None:
    """Whatever its options and ours."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)
        other.bind((bound, 7001))
        other.listen()
        with pytest.raises(Conflict):
            await guard.hold(Protocol.TCP, IPv4Address(wanted), 7001)


@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.UDP])
async def test_two_guards_never_have_the_same_port(guard: SocketPortGuard, protocol: Protocol) -> None:
    """Neither by the wildcard nor by an address."""
    another = SocketPortGuard()
    await guard.hold(protocol, ANY4, 7001)
    for host in (ANY4, IPv4Address("127.0.0.1")):
        with pytest.raises(Conflict):
            await another.hold(protocol, host, 7001)


@pytest.mark.parametrize(("host", "prefix"), [("198.18.0.9", 24), ("2001:db8::9", 64)])
async def test_an_address_that_the_host_does_not_have_is_refused_until_it_has(
    guard: SocketPortGuard, host: str, prefix: int
) -> None:
    """The text names the address: who reads it may wait for that."""
    address = ip_address(host)
    assert not await guard.has(address)
    with pytest.raises(Unavailable) as refused:
        await guard.hold(Protocol.TCP, address, 80)
    assert awaited(str(refused.value)) == address
    sh(f"ip address add {host}/{prefix} dev lo nodad")
    assert await guard.has(address)
    await guard.hold(Protocol.TCP, address, 80)


async def test_low_ports_and_one_address_can_be_held(guard: SocketPortGuard) -> None:
    """Ports below 1024, and one address of several."""
    sh("ip address add 198.18.0.1/24 dev lo")
    await guard.hold(Protocol.TCP, IPv4Address("198.18.0.1"), 80)
    await guard.hold(Protocol.TCP, IPv4Address("127.0.0.1"), 80)
    guard.close()
    await guard.hold(Protocol.TCP, ANY4, 80)


async def test_the_ephemeral_range_is_the_kernels(guard: SocketPortGuard) -> None:
    """As it is now."""
    sh("echo 40000 40009 >/proc/sys/net/ipv4/ip_local_port_range")
    assert await guard.ephemeral() == (40000, 40009)


async def test_who_is_about_to_listen_cannot_once_the_port_is_ours(guard: SocketPortGuard) -> None:
    """A socket that shares its port (SO_REUSEADDR) and does not listen yet is refused when it does."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 7001))
        await guard.hold(Protocol.TCP, ANY4, 7001)
        with pytest.raises(OSError, match="in use"):
            other.listen()


@pytest.mark.parametrize("protocol", [Protocol.TCP, Protocol.UDP])
@pytest.mark.parametrize("order", [(ANY4, ANY6), (ANY6, ANY4)])
async def test_a_port_of_both_families_costs_one_descriptor(
    guard: SocketPortGuard, protocol: Protocol, order: tuple[IPv4Address | IPv6Address, ...]
) -> None:
    """It is held in both, until both are let go; then anybody may have it."""
    kind = socket.SOCK_STREAM if protocol is Protocol.TCP else socket.SOCK_DGRAM

    def taken(family: socket.AddressFamily, address: str) -> bool:
        with socket.socket(family, kind) as other:
            if family == socket.AF_INET6:
                other.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            return _refused(other, address)

    before = len(os.listdir("/proc/self/fd"))
    for port in range(7100, 7150):
        for host in order:
            await guard.hold(protocol, host, port)
    assert len(os.listdir("/proc/self/fd")) == before + 50
    assert taken(socket.AF_INET, "127.0.0.1")
    assert taken(socket.AF_INET6, "::1")
    await guard.release(protocol, order[0], 7149)
    await guard.hold(protocol, order[0], 7149)
    for port in range(7100, 7150):
        for host in order:
            await guard.release(protocol, host, port)
    assert len(os.listdir("/proc/self/fd")) == before
    assert not taken(socket.AF_INET, "127.0.0.1")
    assert not taken(socket.AF_INET6, "::1")


def _refused(other: socket.socket, address: str) -> bool:
    try:
        other.bind((address, 7149))
    except OSError:
        return True
    return False


@pytest.mark.parametrize(("bound", "first", "second"), [("::1", ANY4, ANY6), ("127.0.0.1", ANY6, ANY4)])
async def test_a_family_that_is_taken_leaves_the_other_held(
    guard: SocketPortGuard, bound: str, first: IPv4Address | IPv6Address, second: IPv4Address | IPv6Address
) -> None:
    """The refusal names the family that was asked for."""
    family = socket.AF_INET6 if ":" in bound else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as other:
        other.bind((bound, 7149))
        await guard.hold(Protocol.UDP, first, 7149)
        with pytest.raises(Conflict, match=f"already in use on {second}"):
            await guard.hold(Protocol.UDP, second, 7149)
    with socket.socket(socket.AF_INET if first == ANY4 else socket.AF_INET6, socket.SOCK_DGRAM) as other:
        assert _refused(other, "127.0.0.1" if first == ANY4 else "::1")


async def test_more_ports_than_open_files_allow_are_refused_in_one_line(namespace: Namespace) -> None:
    """What is held stays, and what is let go makes room."""
    guard = SocketPortGuard(most=2)
    for port in (7001, 7002):
        await guard.hold(Protocol.UDP, ANY4, port)
    with pytest.raises(Exhausted, match="2 host ports are, the most that open files allow"):
        await guard.hold(Protocol.UDP, ANY4, 7003)
    await guard.release(Protocol.UDP, ANY4, 7001)
    await guard.hold(Protocol.UDP, ANY4, 7003)
    guard.close()
