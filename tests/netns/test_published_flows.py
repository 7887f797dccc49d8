"""Senders of datagrams that keep their port, and ports that come, go and move meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_address

import pytest

from mooring.core.port_bindings import PortBinding, Protocol
from tests.netns.rigs import PATIENCE, SILENCE, Namespace, Rig, serve, sh

pytestmark = pytest.mark.netns

UDP = Protocol.UDP
HOST = "198.18.0.1"

# Somebody else's rules, which make the kernel track flows while ours are not there.
OTHERS = (
    "add table inet others; add chain inet others c { type filter hook input priority 0; }; "
    "add rule inet others c ct state new accept"
)


def at(port: int, target: str, host: str | None = None) -> PortBinding:
    """The host's port leads to port 80 of the target."""
    return PortBinding(UDP, ip_address(host) if host else None, port, ip_address(target), 80)


@contextmanager
def sender(space: Namespace, address: str, port: int = 8080) -> Iterator[socket.socket]:
    """A socket that sends to there, always from the same port, and has begun to."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with space.inside():
        made = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    with made:
        made.bind(("::" if ":" in address else "0.0.0.0", 5140))
        made.connect((address, port))
        made.send(b"?")
        yield made


async def is_answered(sock: socket.socket, patience: float = PATIENCE) -> bool:
    """Whether the sender, which goes on and on, hears of anybody from now on."""
    loop = asyncio.get_running_loop()
    with contextlib.suppress(OSError):
        while sock.recv(100):
            pass
    end = loop.time() + patience
    while loop.time() < end:
        try:
            sock.send(b"?")
            await asyncio.wait_for(loop.sock_recv(sock, 100), 0.1)
        except (OSError, TimeoutError):  # ECONNREFUSED: told of the datagram before
            await asyncio.sleep(0.02)
        else:
            return True
    return False


def tracked() -> list[str]:
    """Every flow that the host tracks."""
    with open("/proc/thread-self/net/nf_conntrack") as table:
        return table.read().splitlines()


async def publish(world: Rig, name: str, *published: PortBinding) -> None:
    """From now on the container publishes these."""
    world.endpoints[name] = replace(world.endpoints[name], published=published)
    await world.build()


async def test_a_sender_from_before_is_translated_when_the_rules_were_flushed(world: Rig) -> None:
    """What repair puts back counts as published anew, and who was translated all the while is left alone."""
    container = await world.container("a", await world.network("one", 1), 2, at(8080, "10.1.0.2"), at(8081, "10.1.0.2"))
    await serve(world.stack, container, 80)
    with sender(world.outside, HOST, 8081) as steady:
        assert await is_answered(steady)
        sh("nft flush ruleset", f"nft '{OTHERS}'")
        with sender(world.host, HOST) as sock:
            assert not await is_answered(sock, SILENCE)
            await world.build()
            assert await is_answered(sock)
        assert any("dport=8081" in flow and "src=10.1.0.2" in flow for flow in tracked())


async def test_a_port_that_moves_or_goes_takes_its_senders_along(world: Rig) -> None:
    """To the other container, which answers under another name; in the end nobody does."""
    network = await world.network("one", 1)
    for number in (2, 3):
        await serve(world.stack, await world.container(f"c{number}", network, number), 80)
    await publish(world, "c2", at(8080, "10.1.0.2"))
    with sender(world.outside, HOST) as sock:
        assert await is_answered(sock)
        world.endpoints["c2"] = replace(world.endpoints["c2"], published=())
        await publish(world, "c3", at(8080, "10.1.0.3"))
        assert await is_answered(sock)
        assert await is_gone("src=10.1.0.2 ")
        await publish(world, "c3")
        assert await is_gone("src=10.1.0.3 ")
        assert not await is_answered(sock, SILENCE)


async def is_gone(ends: str) -> bool:
    """Whether no flow has these ends any more, soon."""
    for _ in range(int(PATIENCE / 0.05)):
        if not any(ends in flow for flow in tracked()):
            return True
        await asyncio.sleep(0.05)
    return False


async def test_a_sender_of_sctp_from_before_is_translated(world: Rig) -> None:
    """An association that is tried again and again from the same port begins anew, too."""
    sh("echo 0 >/proc/sys/net/netfilter/nf_conntrack_checksum")
    container = await world.container("a", await world.network("one", 1), 2)
    with world.outside.inside():
        caller = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, Protocol.SCTP)
    with container.inside():
        hearer = socket.socket(socket.AF_INET, socket.SOCK_RAW | socket.SOCK_NONBLOCK, Protocol.SCTP)
    init = struct.pack(">HHIIBBHIIHHI", 5140, 8080, 0, 0, 1, 0, 20, 7, 65536, 1, 1, 7)
    with caller, hearer:
        caller.sendto(init, (HOST, 0))
        await asyncio.sleep(SILENCE)
        if not any(" sctp " in flow for flow in tracked()):
            pytest.skip("the kernel does not track SCTP")
        await publish(world, "a", replace(at(8080, "10.1.0.2"), protocol=Protocol.SCTP))
        for _ in range(int(PATIENCE / 0.1)):
            caller.sendto(init, (HOST, 0))
            with contextlib.suppress(BlockingIOError):
                assert hearer.recv(100)[20:24] == struct.pack(">HH", 5140, 80)
                return
            await asyncio.sleep(0.1)
        pytest.fail("nobody hears of the association")
