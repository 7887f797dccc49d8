"""What the host's server asks of others: once, of whoever answers, and believed only when it is the answer."""

from __future__ import annotations

import asyncio
import socket
from contextlib import ExitStack
from ipaddress import ip_address
from pathlib import Path

import dns.message
import dns.rcode
import dns.rdatatype
import pytest

from mooring.adapters.dns.dns_forwarding import Asked, Upstream
from mooring.adapters.dns.dns_sockets import upstream_socket
from mooring.adapters.dns.host_forwarding import (
    AVOIDED,
    PERIOD,
    QUERIES_OF_CLIENT,
    HostForwarding,
    HostUpstreams,
    host_nameservers,
    server_asked,
    stub_asked,
)
from mooring.adapters.host.descriptor_shares import Shares
from mooring.core.dns_places import ADDRESSES
from mooring.wire.dns import Query, read_query
from tests.adapters.dns.nameservers import Nameserver, nameserver, texts

ONE, TWO = ip_address("192.0.2.1"), ip_address("192.0.2.2")


class Rig:
    """A forwarding with nameservers that only it knows. time: of its clock."""

    def __init__(self, stack: ExitStack, folder: Path, deadline: float = 99.0) -> None:
        self.stack, self.time = stack, 1000.0
        self.file = folder / "resolv.conf"
        self.ports: dict[Upstream, int] = {}
        self.asked: list[Upstream] = []
        self.sources: set[int] = set()
        self.upstreams = HostUpstreams(lambda: self.time, ADDRESSES, str(self.file))
        self.forwarding = HostForwarding(self.upstreams, lambda: self.time, Shares(2000), deadline, self.connect)
        stack.callback(self.forwarding.close)

    async def add(self, address: Upstream, manner: str = "") -> Nameserver:
        """One more in resolv.conf, behaving so."""
        made = await nameserver(self.stack, None, "203.0.113.7", manner, at="127.0.0.1", port=0)
        self.ports[address] = made.port
        self.file.write_text("".join(f"nameserver {each}\n" for each in self.ports))
        return made

    def connect(self, upstream: Upstream, kind: socket.SocketKind) -> asyncio.Future[socket.socket]:
        """To one of them."""
        self.asked.append(upstream)
        future: asyncio.Future[socket.socket] = asyncio.get_running_loop().create_future()
        made = upstream_socket(ip_address("127.0.0.1"), kind, self.ports[upstream])
        self.sources.add(made.getsockname()[1])
        future.set_result(made)
        return future

    def begin(
        self, name: str, ident: int = 7, client: str = "10.0.0.2", **options: object
    ) -> asyncio.Future[bytes | None]:
        """A question under way."""
        message = dns.message.make_query(name, "A", id=ident, **options).to_wire()  # type: ignore[arg-type]
        query = read_query(message)
        assert isinstance(query, Query)
        answered: asyncio.Future[bytes | None] = asyncio.get_running_loop().create_future()
        self.forwarding.ask(Asked(message, query, stream=False), client, answered.set_result)
        return answered

    async def ask(self, name: str = "example.org", ident: int = 7, **options: object) -> dns.message.Message | None:
        """What comes back."""
        reply = await self.begin(name, ident, "10.0.0.2", **options)
        return dns.message.from_wire(reply) if reply is not None else None


@pytest.fixture
def rig(stack: ExitStack, tmp_path: Path) -> Rig:
    """Nobody in resolv.conf yet."""
    return Rig(stack, tmp_path)


async def test_a_reply_is_remembered_and_grows_old(rig: Rig) -> None:
    """Asked again within its time nobody is asked, with one's own id and letters; after it somebody is."""
    server = await rig.add(ONE)
    first = await rig.ask("Example.org", 7)
    assert first is not None
    assert (texts(first), first.answer[0].ttl) == (["203.0.113.7"], 60)
    rig.time += 50
    second = await rig.ask("eXample.oRG", 8)
    assert second is not None
    assert (second.id, second.question[0].name.to_text(), second.answer[0].ttl) == (8, "eXample.oRG.", 10)
    assert len(server.idents) == 1
    rig.time += 10
    await rig.ask()
    assert len(server.idents) == 2


async def test_other_flags_and_options_are_another_question(rig: Rig) -> None:
    """One with DNSSEC records is no answer for who cannot read them."""
    server = await rig.add(ONE)
    await rig.ask()
    await rig.ask(want_dnssec=True)
    await rig.ask(use_edns=0, payload=4096)
    assert len(server.idents) == 3


async def test_a_question_that_is_as_long_as_may_be_is_not_remembered(rig: Rig) -> None:
    """It could fill our memory with nothing: padding (RFC 7830), each time another one."""
    server = await rig.add(ONE)
    for _ in range(2):
        assert await rig.ask(use_edns=0, payload=4096, pad=4090) is not None
    assert len(server.idents) == 2


async def test_the_same_question_is_asked_once_however_many_wait(rig: Rig) -> None:
    """Everybody gets the answer: who forges has one id and one port to guess, and not one of many (RFC 5452, 5)."""
    server = await rig.add(ONE)
    waiting = [rig.begin("example.org", ident, f"10.0.0.{ident}") for ident in range(100)]
    assert len(rig.forwarding) == 1
    replies = [await each for each in waiting]
    assert len(server.idents) == 1
    assert [int.from_bytes(reply[:2], "big") for reply in replies if reply is not None] == list(range(100))


@pytest.mark.parametrize("manner", ["forged", "lying"])
async def test_a_forged_answer_is_not_believed_and_not_remembered(
    stack: ExitStack, tmp_path: Path, manner: str
) -> None:
    """Wrong id, or another question: the right answer is waited for, and without one there is none."""
    rig = Rig(stack, tmp_path, 0.2 if manner == "lying" else 99.0)
    server = await rig.add(ONE, manner)
    reply = await rig.ask()
    assert (texts(reply) if reply is not None else None) == (["203.0.113.7"] if manner == "forged" else None)
    again = await rig.ask()
    assert (again is None, len(server.idents)) == ((True, 4) if manner == "lying" else (False, 1))


async def test_ids_and_ports_differ_from_question_to_question(rig: Rig) -> None:
    """So that neither can be guessed."""
    server = await rig.add(ONE)
    for number in range(40):
        await rig.ask(f"n{number}.example.org")
    assert len(set(server.idents)) > 30
    assert len(rig.sources) > 30


async def test_a_server_that_does_not_answer_is_asked_last_for_a_while(stack: ExitStack, tmp_path: Path) -> None:
    """The first question waits for it, the next ones do not; later it has another chance."""
    rig = Rig(stack, tmp_path, 0.2)
    await rig.add(ONE, "mute")
    await rig.add(TWO)
    rig.time += PERIOD
    assert await rig.ask() is not None
    assert rig.asked == [ONE, TWO]
    assert await rig.ask("other.example.org") is not None
    assert rig.asked[2:] == [TWO]
    rig.time += AVOIDED
    assert await rig.ask("third.example.org") is not None
    assert rig.asked[3:] == [ONE, TWO]


@pytest.mark.parametrize("manner", ["servfail", "refused"])
async def test_a_server_that_will_not_is_followed_by_the_next(rig: Rig, manner: str) -> None:
    """And what it said is not remembered."""
    await rig.add(ONE, manner)
    await rig.add(TWO)
    reply = await rig.ask()
    assert reply is not None
    assert reply.rcode() == dns.rcode.NOERROR


async def test_without_a_nameserver_there_is_no_answer(rig: Rig) -> None:
    """Neither with an empty file nor without one; when it has one again, it is asked within seconds."""
    assert await rig.ask() is None
    rig.time += PERIOD
    await rig.add(ONE)
    assert await rig.ask() is not None


async def test_one_client_cannot_have_all_questions(stack: ExitStack, tmp_path: Path) -> None:
    """Whoever floods is told that there is no answer, and others still get theirs."""
    rig = Rig(stack, tmp_path)
    await rig.add(ONE, "mute")
    begun = [rig.begin(f"n{number}.example.org") for number in range(QUERIES_OF_CLIENT + 10)]
    assert [each.done() for each in begun].count(True) == 10
    assert not rig.begin("example.org", client="10.0.0.3").done()


def test_we_are_not_asked_by_ourselves(rig: Rig) -> None:
    """A resolv.conf that has the server's own address leads to nobody twice; one alone is tried twice."""
    rig.file.write_text("nameserver 169.254.53.53\nnameserver 192.0.2.1\nnameserver fd6d:6f6f:7269:6e67:ffff::53\n")
    assert list(rig.upstreams()) == [ONE, ONE]


def test_containers_get_nameservers_that_they_can_reach(tmp_path: Path) -> None:
    """Not a stub on the host's loopback, nor ourselves, nor one of a link: then those that the stub itself asks."""
    stub, behind = tmp_path / "stub", tmp_path / "behind"
    stub.write_text("nameserver 127.0.0.53\nnameserver fe80::1%eth0\nnameserver 169.254.53.53\n")
    behind.write_text("nameserver 192.0.2.1\nnameserver 192.0.2.1\nnameserver ::ffff:192.0.2.2\n")
    assert host_nameservers([str(stub), str(behind)]) == (ONE, TWO)
    assert host_nameservers([str(behind), str(stub)]) == (ONE, TWO)
    assert host_nameservers([str(stub), str(tmp_path / "none")]) == ()


def test_programs_that_ask_the_stub_are_known_by_the_hosts_file(tmp_path: Path) -> None:
    """And so are those that ask us. Without a file nobody asks anybody."""
    conf = tmp_path / "resolv.conf"
    assert not stub_asked(str(conf))
    assert not server_asked(str(conf))
    for text, asked in (("nameserver 127.0.0.53\noptions edns0\n", True), ("nameserver 192.0.2.1\n", False)):
        conf.write_text(text)
        assert stub_asked(str(conf)) is asked
        assert not server_asked(str(conf))
    conf.write_text("nameserver 169.254.53.53\nnameserver 192.0.2.1\n")
    assert server_asked(str(conf))
