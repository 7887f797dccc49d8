"""The DNS server's addresses and sockets: there when they are wanted, and one line when they cannot be."""

from __future__ import annotations

import asyncio
import logging
import socket
import struct
from collections.abc import AsyncIterator

import dns.rcode
import pytest

from mooring.adapters.dns.host_dns import HostDns
from mooring.adapters.dns.host_server import Names
from mooring.core.dns_places import ADDRESS4, ADDRESSES
from mooring.core.host_names import Asker
from mooring.core.names import Answer, Question, Verdict
from mooring.core.networks import Address
from mooring.core.port_bindings import Protocol
from mooring.testing.memory_kernel import MemoryKernel
from tests.netns.rigs import private_namespace, sh

pytestmark = pytest.mark.netns


class Nobody(Names):
    """Nobody has a name."""

    changes = 1
    zone = "mooring"

    def asker(self, bridge: str, source: Address, domain: int = 0) -> Asker | None:
        """See Names."""
        return None

    def lookup(self, question: Question, asker: Asker) -> Answer:
        """See Names."""
        return Answer(Verdict.ABSENT)


class Rig:
    """A server in a namespace of its own. wanted: whether it is, by domain."""

    def __init__(self) -> None:
        self.wanted, self.missed = {0: False}, ""
        wanted = lambda: dict(self.wanted)  # noqa: E731
        self.dns = HostDns(Nobody(), MemoryKernel(), wanted, self.holder, 0.05, missed=lambda: self.missed)

    async def holder(self, protocol: Protocol, _address: Address, _port: int) -> str:
        """Who has the port."""
        return f"dnsmasq ({protocol.label})"

    @staticmethod
    def addresses() -> set[str]:
        """What the loopback has besides its own."""
        return {word for word in sh("ip -br address show lo").split()[2:] if not word.startswith(("127.", "::1"))}


@pytest.fixture
async def rig() -> AsyncIterator[Rig]:
    """Not wanted, not started."""
    with private_namespace():
        sh("ip link set lo up")
        made = Rig()
        yield made
        await made.dns.close()


def client() -> socket.socket:
    """Of the server, on the host."""
    made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    made.connect((str(ADDRESS4), 53))
    return made


async def test_a_host_that_wants_no_names_has_nothing_of_it(rig: Rig) -> None:
    """Not even what an earlier run has left; wanted, it is there, and not wanted any more, gone."""
    await rig.dns.once()
    assert (rig.dns.serving(), rig.addresses()) == ((), set())
    rig.wanted[0] = True
    await rig.dns.once()
    assert rig.dns.serving() == ADDRESSES
    assert rig.addresses() == {"169.254.53.53/32", "fd6d:6f6f:7269:6e67:ffff::53/128"}
    rig.wanted[0] = False
    await rig.dns.once()
    assert (rig.dns.serving(), rig.addresses()) == ((), set())


async def test_one_that_is_missed_is_trouble(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    """One line, and what to do; until it is there, or missed no more."""
    rig.missed = "Docker asks"
    for _ in range(2):
        await rig.dns.once()
    assert (rig.dns.trouble, len(caplog.records)) == ("Docker asks", 1)
    assert "mooring dns uninstall" in rig.dns.remedy
    rig.missed = ""
    await rig.dns.once()
    assert (rig.dns.trouble, rig.dns.serving()) == ("", ())


async def test_the_address_of_one_that_is_missed_stays(rig: Rig) -> None:
    """Without a server behind it whoever asks is refused at once; without the address he would wait. It goes when
    nobody asks any more."""
    rig.wanted[0] = True
    await rig.dns.once()
    rig.wanted[0], rig.missed = False, "Docker asks"
    for _ in range(2):
        await rig.dns.once()
    assert rig.dns.serving() == ()
    assert str(ADDRESS4) in "".join(rig.addresses())
    with client() as asking:
        asking.send(b"?")
        with pytest.raises(ConnectionRefusedError):
            asking.recv(1)
    rig.missed = ""
    await rig.dns.once()
    assert rig.addresses() == set()


async def test_an_address_that_somebody_took_away_comes_back(rig: Rig) -> None:
    """Within a period; and one that was there before is no trouble."""
    sh("ip address add 169.254.53.53/32 dev lo")
    rig.wanted[0] = True
    await rig.dns.once()
    sh("ip address flush dev lo to 169.254.53.53/32")
    await rig.dns.once()
    assert "169.254.53.53/32" in rig.addresses()
    assert rig.dns.trouble == ""


@pytest.mark.parametrize("protocol", [Protocol.UDP, Protocol.TCP])
async def test_a_port_that_is_taken_is_one_line_until_it_is_free(
    rig: Rig, caplog: pytest.LogCaptureFixture, protocol: Protocol
) -> None:
    """It names who has it by which protocol; everything else goes on, and names are answered once he has gone."""
    caplog.set_level(logging.INFO)
    rig.wanted[0] = True
    udp = protocol is Protocol.UDP
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM if udp else socket.SOCK_STREAM) as other:
        other.bind(("0.0.0.0", 53))
        if not udp:
            other.listen()
        for _ in range(3):
            await rig.dns.once()
        label = protocol.label
        assert rig.dns.trouble == f"port 53/{label} of 169.254.53.53 is in use by dnsmasq ({label})"
    await rig.dns.once()
    assert rig.dns.trouble == ""
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_a_question_from_port_0_is_not_answered_and_stops_nobody(rig: Rig) -> None:
    """Nobody can be sent anything at port 0 (RFC 8085, 5.1): neither what is found out nor what is remembered."""
    rig.wanted[0] = True
    await rig.dns.once()
    question = b"\0\7\1\0\0\1\0\0\0\0\0\0\1x\7mooring\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_UDP) as forging, client() as asking:
        for source in (0, 0, 0, 7):
            forging.sendto(struct.pack(">4H", source, 53, 8 + len(question), 0) + question, (str(ADDRESS4), 0))
            asking.send(question)
            reply = await asyncio.wait_for(asyncio.get_running_loop().sock_recv(asking, 512), 10)
            assert reply[3] & 15 == dns.rcode.NXDOMAIN


async def test_it_is_there_soon_after_it_is_wanted_and_the_address_stays_when_the_daemon_ends(rig: Rig) -> None:
    """Who asks then is refused at once, and does not wait."""
    rig.wanted[0] = True
    loop = asyncio.get_running_loop()
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(rig.dns.run())
        await asyncio.sleep(0)
        await rig.dns.settle()
        assert rig.dns.serving() == ADDRESSES
        with client() as asking:
            await loop.sock_sendall(asking, b"\0\7\1\0\0\1\0\0\0\0\0\0\1x\7mooring\0\0\1\0\1")
            assert (await loop.sock_recv(asking, 512))[3] & 15 == dns.rcode.NXDOMAIN
        running.cancel()
    await rig.dns.settle()
    assert "169.254.53.53/32" in rig.addresses()
    with client() as asking:
        asking.send(b"\0" * 12)
        with pytest.raises(ConnectionRefusedError):
            await asyncio.get_running_loop().sock_recv(asking, 512)
