"""overlay-converge: how soon a container on one host is answered by another host's endpoint once its own host is told.

The client has asked for the address every few milliseconds since before, in vain: its ARP is somewhere between two
tries. Then its host is told where the endpoint is, as a watch of a cluster would tell it, while it knows of a thousand
others; the time from there to the first answer is what counts. The peer is the same without the announcement to the
neighbours, which waits for the kernel's own timer. Needs root.

    scripts/bench overlay-converge
"""

from __future__ import annotations

import asyncio
import random
import socket
import statistics
import time
from contextlib import closing, suppress
from ipaddress import IPv4Address
from typing import cast

from mooring.core.networks import Address, NetworkOptions
from mooring.core.overlays import Remote
from tests.netns.overlay_rigs import Machine, site
from tests.netns.rigs import Namespace, private_namespace

ROUNDS = 25  # of each
KNOWN = 1000
EVERY, PORT = 0.005, 7000
FIRST = IPv4Address("10.9.0.20")


class Echo(asyncio.DatagramProtocol):
    """Answers from the address that was asked."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See DatagramProtocol."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        """See DatagramProtocol."""
        self._transport.sendto(data, address)


async def listen(server: Namespace, address: IPv4Address, bare: bool = False) -> None:
    """The container has the address, and answers there. bare: it has it already."""
    if not bare:
        server.sh(f"ip address add {address}/24 dev eth0")
    with server.inside():
        listening = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    listening.bind((str(address), PORT))
    await asyncio.get_running_loop().create_datagram_endpoint(Echo, sock=listening)


async def ask(asking: socket.socket, answered: asyncio.Event) -> float:
    """Ask every few milliseconds; when the first answer came."""
    loop = asyncio.get_running_loop()

    async def go_on() -> None:
        while not answered.is_set():
            with suppress(OSError):  # nobody is there, says the kernel
                asking.send(b"?")
            await asyncio.sleep(EVERY)

    asker = loop.create_task(go_on())
    while True:
        try:
            await loop.sock_recv(asking, 100)
        except OSError:
            continue
        answered.set()
        await asker
        return time.perf_counter()


async def first_answer(host: Machine, client: Namespace, address: IPv4Address, remote: Remote) -> float:
    """Seconds from when the host was told."""
    with client.inside():
        asking = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    network = host.networks["web"].id
    with closing(asking):
        asking.connect((str(address), PORT))
        waiting = asyncio.get_running_loop().create_task(ask(asking, asyncio.Event()))
        await asyncio.sleep(random.uniform(0.5, 1.5))
        told = time.perf_counter()
        host.overlays.learn(network, {str(address): remote})
        await host.overlays.settle()
        return await waiting - told


async def measure() -> tuple[list[float], list[float]]:
    """With the announcement, and without, in turn."""
    made = site()
    one, two = await made.machine(), await made.machine()
    await made.network("web", 9, 100, NetworkOptions(port_security=False))
    client, server = await made.container(one, "web", 11), await made.container(two, "web", 12)
    await made.publish()
    there = made.published["web"]["web12x2".ljust(24, "0")]
    many = {f"e{n}": Remote(f"02:00:01:00:{n >> 8:02x}:{n & 255:02x}", (), there.host) for n in range(KNOWN)}
    one.overlays.learn(one.networks["web"].id, many)
    await one.overlays.settle()
    tell = one.kernel.announce

    async def silent(link: str, address: Address, mac: str, domain: int = 0) -> None:  # noqa: ARG001
        return

    figures: dict[bool, list[float]] = {True: [], False: []}
    for number in range(2 * ROUNDS):
        address, announced = FIRST + number, number % 2 == 0
        await listen(server, address)
        one.kernel.announce = tell if announced else silent  # type: ignore[method-assign]
        remote = Remote(there.mac, (address,), there.host)
        figures[announced].append(await first_answer(one, client, address, remote))
    await made.close()
    return figures[True], figures[False]


def main() -> None:
    """Measure and print."""
    with private_namespace():
        announced, silent = asyncio.run(measure())
    for name, each in (("announced", announced), ("not announced", silent)):
        ordered = sorted(each)
        p99 = ordered[-(-99 * len(ordered) // 100) - 1]
        print(f"{name}: median {statistics.median(each) * 1000:.1f} ms, p99 {p99 * 1000:.1f} ms")
    ratio = statistics.median(announced) / statistics.median(silent)
    print(f"overlay-converge ratio={ratio:.3f} peer=without-announcement n={ROUNDS}")


if __name__ == "__main__":
    main()
