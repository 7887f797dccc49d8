"""Host ports held by sockets; tests/contracts/test_kernel.py holds the promises of the port."""

from __future__ import annotations

import errno
import socket
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

import pytest

from mooring.adapters.port_guard import SocketPortGuard
from mooring.core.faults import BadRequest, Conflict
from mooring.core.publications import Protocol
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


@pytest.mark.parametrize(("bound", "wanted"), [("127.0.0.1", "0.0.0.0"), ("::", "0.0.0.0"), ("::1", "::")])
async def test_the_holder_is_found_however_it_is_bound(guard: SocketPortGuard, bound: str, wanted: str) -> None:
    """At one address, at all of them, at all of both families."""
    family = socket.AF_INET6 if ":" in bound else socket.AF_INET
    with socket.socket(family) as other:
        other.bind((bound, 7001))
        other.listen()
        host = IPv6Address(wanted) if ":" in wanted else IPv4Address(wanted)
        with pytest.raises(Conflict) as refused:
            await guard.hold(Protocol.TCP, host, 7001)
    assert refused.value.holder.startswith("process ")


async def test_an_address_that_the_host_does_not_have_is_a_bad_request(guard: SocketPortGuard) -> None:
    """The text names the address."""
    with pytest.raises(BadRequest, match=r"198\.18\.0\.9"):
        await guard.hold(Protocol.TCP, IPv4Address("198.18.0.9"), 80)


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
