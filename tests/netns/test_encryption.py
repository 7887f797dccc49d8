"""Encrypted overlays of two hosts on the real kernel, over its WireGuard or wireguard-go."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from mooring.core.tunnel_places import INNER
from mooring.core.wireguard import AGE, OVERLAP, inner_address
from tests.netns.encrypted_rigs import ENCRYPTED_PORT, Encrypted, encrypted_hosts
from tests.netns.rigs import Namespace, private_namespace, until
from tests.netns.test_overlays import pings, unreached

pytestmark = pytest.mark.netns


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Encrypted]:
    """Two hosts, each with a device that knows the other."""
    if shutil.which("wg") is None:
        pytest.skip("needs wireguard-tools")
    with private_namespace():
        async with encrypted_hosts(tmp_path) as made:
            yield made


class Wire:
    """All that is on the underlay's switch."""

    def __init__(self, switch: Namespace, port: str) -> None:
        with switch.inside():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
            self._socket.bind((port, 0))
        self._socket.setblocking(False)

    def frames(self) -> list[bytes]:
        """Since the last time."""
        found = []
        with suppress(BlockingIOError):
            while True:
                found.append(self._socket.recv(4096))
        return found

    def close(self) -> None:
        """Nothing is listened for."""
        self._socket.close()


async def test_nothing_of_it_is_read_on_the_underlay(two: Encrypted) -> None:
    """Containers and hosts reach each other by both families, and the wire has WireGuard's packets only."""
    a, _ = await two.containers()
    with closing(Wire(two.made.switch, "port1")) as wire:
        assert await unreached(a, "10.9.0.12", "fd00:9::12", "10.9.0.202", "fd00:9::202") == set()
        assert await pings(a, "10.9.0.12", "-p", "5ec4e75ec4e75ec4")
        frames = wire.frames()
    ports = {int.from_bytes(frame[36:38], "big") for frame in frames if frame[12:14] == b"\x08\x00"}
    assert ports == {51821}
    assert not any(bytes.fromhex("5ec4e75ec4e75ec4") in frame for frame in frames)
    assert not any(frame[12:14] == b"\x86\xdd" and frame[20] == 17 for frame in frames)
    assert await pings(a, "10.9.0.12", "-M", "do", "-s", str(1500 - 60 - 70 - 28))
    assert not await pings(a, "10.9.0.12", "-M", "do", "-s", str(1500 - 60 - 70 - 27), patience="0.3")
    for member in (two.one, two.two):
        assert await member.machine.build() == 0


async def test_nothing_of_it_goes_to_who_says_that_he_is_elsewhere(two: Encrypted) -> None:
    """A host that advertises an address of the underlay in an encrypted network gets nothing there in clear."""
    inner = inner_address(two.one.host)
    with closing(Wire(two.made.switch, "port1")) as wire:
        two.one.machine.space.sh(
            "ping -6 -n -c 1 -W 3 fd00:192::254", f"ping -6 -n -c 1 -W 0.3 -I {inner} fd00:192::254 || true"
        )
        assert not any(inner.packed in frame[:54] for frame in wire.frames())


async def test_what_is_lost_is_made_anew(two: Encrypted) -> None:
    """The device, its address, its keys, wireguard-go itself; and meanwhile nothing goes out in clear."""
    a, _ = await two.containers()
    device = two.one.device
    assert await unreached(a, "10.9.0.12") == set()
    for damage in (f"ip link set {device} down", f"ip address flush dev {device}", f"ip link set {device} mtu 1300",
                   f"wg set {device} peer $(wg show {device} peers) remove", f"ip link del {device}"):  # fmt: skip
        two.one.machine.space.sh(damage)
        await two.turns(1)
        assert await unreached(a, "10.9.0.12", patience="3") == set(), damage
    killed = two.one.pids()
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    await until(lambda: not (killed and device in two.one.machine.space.sh("ip -o link")))
    if killed:
        two.one.machine.space.sh("ip -6 route add default via fd00:192::254")
        with closing(Wire(two.made.switch, "port1")) as wire:
            assert await unreached(a, "10.9.0.12", patience="0.3") == {"10.9.0.12"}
            assert not any(INNER.network_address.packed[:8] in frame[:64] for frame in wire.frames())
        await two.turns(1)
        assert await unreached(a, "10.9.0.12", patience="3") == set()


async def test_a_key_is_replaced_while_packets_flow(two: Encrypted) -> None:
    """A ping every 0.1 s through all of it loses next to nothing, and both hosts end with the new key."""
    a, _ = await two.containers()
    assert await unreached(a, "10.9.0.12") == set()
    before = two.one.part.end
    with a.inside():
        pinging = await asyncio.create_subprocess_exec(
            "ping", "-n", "-q", "-i", "0.1", "10.9.0.12", stdout=asyncio.subprocess.PIPE
        )
    two.clock.jump(AGE)
    for _ in range(4):
        await two.turns()
        await asyncio.sleep(0.5)
        two.clock.advance(OVERLAP)
    await two.turns()
    pinging.send_signal(signal.SIGINT)
    assert pinging.stdout is not None
    summary = (await pinging.stdout.read()).decode()
    await pinging.wait()
    sent, received = (int(word.split()[0]) for word in summary.splitlines()[-2].split(", ")[:2])
    assert received >= sent - 5, summary
    assert before is not None
    assert two.one.part.end is not None
    assert not {*before.keys} & {*two.one.part.end.keys}
    assert len(two.one.part.end.keys) == 1
    assert two.one.part.end.keys[0] in two.two.machine.space.sh(f"wg show {two.two.device} peers")


async def test_who_has_no_key_gets_nothing_in(two: Encrypted) -> None:
    """Neither by the device, with another key, nor past it, with the address of a host within."""
    a, _ = await two.containers()
    assert await unreached(a, "10.9.0.12") == set()
    one, other = two.one.machine.space, two.two.machine.space
    other.sh(f"wg genkey >/tmp/{two.two.device}; wg set {two.two.device} private-key /tmp/{two.two.device}")
    os.unlink(f"/tmp/{two.two.device}")
    assert await unreached(a, "10.9.0.12", patience="0.3") == {"10.9.0.12"}
    assert await unreached(other, "10.9.0.11", patience="0.3") == {"10.9.0.11"}
    await two.turns(1)
    assert await unreached(a, "10.9.0.12", patience="3") == set()
    inner = inner_address(two.one.host)
    via = f"ip -6 route add {inner}/128 via fd00:192::1"
    two.made.switch.sh(f"ip -6 address add {inner_address(two.two.host)}/128 dev switch nodad; {via}")
    with closing(_listener(one, ENCRYPTED_PORT + 1)) as ear:
        one.sh(f"nft add element inet mooring tunnel_ports {{ {ENCRYPTED_PORT + 1} }}")
        one.sh(f"nft add element inet mooring tunnels6 {{ {inner_address(two.two.host)} . {ENCRYPTED_PORT + 1} }}")
        say6(two.made.switch, str(inner), ENCRYPTED_PORT + 1)
        await asyncio.sleep(0.1)
        with pytest.raises(BlockingIOError):
            ear.recv(10)
        say6(other, str(inner), ENCRYPTED_PORT + 1)
        await asyncio.sleep(0.2)
        assert ear.recv(10) == b"x"


def _listener(space: Namespace, port: int) -> socket.socket:
    with space.inside():
        made = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
    made.bind(("::", port))
    made.setblocking(False)
    return made


def say6(space: Namespace, address: str, port: int) -> None:
    """A datagram."""
    with space.inside(), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", (address, port))
