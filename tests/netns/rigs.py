"""Network namespaces for tests: a host, an outside machine and containers, all in one process.

Rules: the test's thread lives in a namespace of its own, so nothing of the machine is touched; a socket stays in the
namespace in which it was made, so one event loop serves them all; containers are plugged as dockerd plugs them.
"""

from __future__ import annotations

import asyncio
import ctypes
import json
import os
import re
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ipaddress import IPv4Interface, IPv6Interface, ip_address, ip_interface, ip_network
from tempfile import TemporaryDirectory
from typing import cast

import pytest

from mooring.adapters.linux.linux_kernel import LinuxKernel
from mooring.core.datapath import endpoint_facts, host_facts, network_facts, sandbox_end
from mooring.core.endpoints import Endpoint
from mooring.core.firewall import foreign_bridge_members
from mooring.core.networks import Network, NetworkOptions, Segment
from mooring.core.plumbing import Domain, Fact, Remove, plan
from mooring.core.port_bindings import PortBinding, Protocol

_ADDS_IPV6 = re.compile(r"\baddr(ess)? add [0-9a-f]*:")
_CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)

# How long a packet may take that is expected to come, and how long we wait for one that is not.
PATIENCE = 3.0
SILENCE = 0.25


def _check(status: int) -> None:
    if status:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def sh(*lines: str) -> str:
    """Run the lines in a shell, in the current namespace, and return what they print. An IPv6 address that they add is
    there by then."""
    done = subprocess.run(["sh", "-ec", "\n".join(lines)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{lines}: {done.stderr}"
    if any(_ADDS_IPV6.search(line) for line in lines):
        _wait_for_addresses()
    return done.stdout


def _wait_for_addresses() -> None:
    """The kernel makes the route to an IPv6 address of its own, and tells of it, in a queue, also where it is not to
    look for duplicates (net/ipv6/addrconf.c, addrconf_dad_work): until then what is sent there is lost."""
    for _ in range(int(PATIENCE * 200)):
        links = json.loads(_shown("address"))
        wanted = {
            each["local"]
            for link in links
            for each in link["addr_info"]
            if "UP" in link["flags"] and ("LOOPBACK" in link["flags"] or each.get("nodad"))
        }
        if wanted <= {route["dst"] for route in json.loads(_shown("route", "show", "table", "all", "type", "local"))}:
            return
        time.sleep(0.005)


def _shown(*words: str) -> str:
    done = subprocess.run(["ip", "-6", "-json", *words], capture_output=True, text=True, check=True)
    return done.stdout or "[]"


class Namespace:
    """A network namespace, by an open file descriptor."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    @classmethod
    def current(cls) -> Namespace:
        """The one in which the calling thread is."""
        return cls(os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC))

    @classmethod
    def new(cls) -> Namespace:
        """A new one with its loopback up; the caller stays where it is."""
        before = cls.current()
        _check(_libc.unshare(_CLONE_NEWNET))
        made = cls.current()
        sh("ip link set lo up")
        _check(_libc.setns(before.fd, _CLONE_NEWNET))
        before.close()
        return made

    @contextmanager
    def inside(self) -> Iterator[None]:
        """The calling thread is in this namespace for the length of the block, which must not await."""
        before = Namespace.current()
        _check(_libc.setns(self.fd, _CLONE_NEWNET))
        try:
            yield
        finally:
            _check(_libc.setns(before.fd, _CLONE_NEWNET))
            before.close()

    def sh(self, *lines: str) -> str:
        """Run the lines in a shell in this namespace."""
        with self.inside():
            return sh(*lines)

    def close(self) -> None:
        """Let go of it; it ends when nothing is left in it."""
        os.close(self.fd)


async def until(true: Callable[[], bool]) -> None:
    """It is true at last; the kernel ends namespaces one after another, on a busy machine in seconds."""
    for _ in range(int(PATIENCE * 1000)):
        if true():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("it did not come true")


@contextmanager
def private_namespace() -> Iterator[Namespace]:
    """The calling thread is in a new namespace for the length of the block; skips where that is not allowed."""
    if os.geteuid() != 0:
        pytest.skip("network namespaces need root")
    with ExitStack() as stack:
        made = Namespace.new()
        stack.callback(made.close)
        stack.enter_context(made.inside())
        yield made


@dataclass
class Rig:
    """A host (where the test is), an outside machine at 198.18.0.2 and fd00:198:18::2, networks with containers, and
    the host's bridges that are a way out."""

    host: Namespace
    outside: Namespace
    kernel: LinuxKernel
    folder: str = ""
    networks: dict[str, Network] = field(default_factory=dict)
    endpoints: dict[str, Endpoint] = field(default_factory=dict)
    containers: dict[str, Namespace] = field(default_factory=dict)
    foreign_bridges: set[str] = field(default_factory=set)
    stack: ExitStack = field(default_factory=ExitStack)

    def desired(self) -> frozenset[Fact]:
        """Everything that should be in the kernel."""
        facts = {*host_facts(ipv6=True), *foreign_bridge_members(self.foreign_bridges)}
        for network in self.networks.values():
            facts |= network_facts(network)
        for endpoint in self.endpoints.values():
            facts |= endpoint_facts(self.networks[endpoint.network], endpoint)
        return frozenset(facts)

    async def build(self) -> None:
        """The kernel is as desired, with the fewest changes."""
        await self.kernel.apply(plan(self.desired(), await self.kernel.observe()))

    async def network(
        self,
        name: str,
        number: int,
        options: NetworkOptions | None = None,
        *,
        internal: bool = False,
        domain: int = 0,
        gateway: int = 1,
    ) -> Network:
        """A network with 10.<number>.0.0/24 and fd00:<number>::/64 is there."""
        space = f"tenant{domain}" if domain else ""
        ipv4 = Segment(ip_network(f"10.{number}.0.0/24"), ip_interface(f"10.{number}.0.{gateway}/24"), space, "")
        ipv6 = Segment(ip_network(f"fd00:{number}::/64"), ip_interface(f"fd00:{number}::{gateway}/64"), space, "")
        network = Network(
            f"{name}{number:04}" + "0" * 20, options or NetworkOptions(), internal, (ipv4,), (ipv6,), created=0.0,
            domain=domain,
        )  # fmt: skip
        self.networks[network.id] = network
        for subnet, via in ((ipv4.subnet, "198.18.0.1"), (ipv6.subnet, "fd00:198:18::1")):
            self.outside.sh(f"ip route replace {subnet} via {via}")
        await self.build()
        return network

    async def container(self, name: str, network: Network, number: int, *published: PortBinding) -> Namespace:
        """A container with the addresses .<number> and ::<number> of the network is plugged."""
        ipv4 = IPv4Interface((int(network.ipv4[0].subnet.network_address) + number, 24))
        ipv6 = IPv6Interface((int(network.ipv6[0].subnet.network_address) + number, 64))
        endpoint = Endpoint(
            f"{name}{number:04}" + "0" * 20,
            network.id,
            ipv4,
            ipv6,
            f"02:00:00:00:{network.ipv4[0].subnet.network_address.packed[1]:02x}:{number:02x}",
            created=0.0,
            published=published,
        )
        self.endpoints[name] = endpoint
        await self.build()
        space = Namespace.new()
        self.stack.callback(space.close)
        self.containers[name] = space
        plug(endpoint, network, self.host, space)
        return space

    async def close(self) -> None:
        """Nothing is left."""
        if any(network.domain for network in self.networks.values()):
            await self.kernel.apply([Remove(fact) for fact in await self.kernel.observe() if isinstance(fact, Domain)])
        await self.kernel.close()
        self.stack.close()


def plug(endpoint: Endpoint, network: Network, host: Namespace, space: Namespace) -> None:
    """What dockerd does with the interface that Join names."""
    end = sandbox_end(endpoint.id)
    with host.inside():
        sh(f"ip link set {end} netns /proc/{os.getpid()}/fd/{space.fd}")
    lines = [f"ip link set {end} name eth0", "ip link set eth0 up"]
    for interface, segments in ((endpoint.ipv4, network.ipv4), (endpoint.ipv6, network.ipv6)):
        if interface is not None:
            lines.append(f"ip address add {interface} dev eth0 {'nodad' if interface.version == 6 else ''}")
            if segments[0].gateway is not None:
                lines.append(f"ip -{interface.version} route add default via {segments[0].gateway.ip}")
    space.sh(*lines)


def rig(host: Namespace) -> Rig:
    """A rig whose host is the current namespace."""
    outside = Namespace.new()
    sh(
        f"ip link add up0 type veth peer name eth0 netns /proc/{os.getpid()}/fd/{outside.fd}",
        "ip address add 198.18.0.1/24 dev up0; ip -6 address add fd00:198:18::1/64 dev up0 nodad; ip link set up0 up",
    )
    outside.sh(
        "ip address add 198.18.0.2/24 dev eth0; ip -6 address add fd00:198:18::2/64 dev eth0 nodad; ip link set eth0 up"
    )
    stack = ExitStack()
    folder = stack.enter_context(TemporaryDirectory(prefix="mooring-rig-"))
    made = Rig(host, outside, LinuxKernel(folder=f"{folder}/tenants"), folder=folder, stack=stack)
    made.stack.callback(outside.close)
    return made


def _socket(space: Namespace, family: int, kind: int) -> socket.socket:
    with space.inside():
        made = socket.socket(family, kind | socket.SOCK_NONBLOCK)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return made


async def _tell_stream(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(str(writer.get_extra_info("peername")[0]).encode())
    await writer.drain()
    writer.close()


class _TellDatagram(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self._transport.sendto(address[0].encode(), address)


async def serve(stack: ExitStack, space: Namespace, port: int) -> None:
    """Whoever connects to the port, by TCP or UDP over either family, is told the address that it comes from."""
    for family, every in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        stream = _socket(space, family, socket.SOCK_STREAM)
        stream.bind((every, port))
        server = await asyncio.start_server(_tell_stream, sock=stream)
        stack.callback(server.close)
        datagram = _socket(space, family, socket.SOCK_DGRAM)
        datagram.bind((every, port))
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(_TellDatagram, sock=datagram)
        stack.callback(transport.close)


async def reach(
    space: Namespace, address: str, port: int, protocol: Protocol = Protocol.TCP, patience: float = PATIENCE
) -> str | None:
    """The address under which a service sees a client in the namespace; None when it cannot be reached."""
    family = socket.AF_INET if ip_address(address).version == 4 else socket.AF_INET6
    loop = asyncio.get_running_loop()
    with _socket(space, family, socket.SOCK_STREAM if protocol is Protocol.TCP else socket.SOCK_DGRAM) as client:
        try:
            async with asyncio.timeout(patience):
                await loop.sock_connect(client, (address, port))
                if protocol is Protocol.UDP:
                    await loop.sock_sendall(client, b"?")
                return (await loop.sock_recv(client, 100)).decode() or None
        except (OSError, TimeoutError):
            return None


async def is_cut_off(space: Namespace, address: str, port: int, protocol: Protocol = Protocol.TCP) -> bool:
    """Whether nothing answers at the address and port."""
    return await reach(space, address, port, protocol, SILENCE) is None
