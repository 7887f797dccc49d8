"""The host's DNS server, over the loopback of wherever the test runs."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator
from ipaddress import IPv4Address, ip_address
from typing import cast

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.adapters.dns.dns_answering import AT_ONCE
from mooring.adapters.dns.host_forwarding import HostForwarding
from mooring.adapters.dns.host_server import MOST_ASKERS, UDP_BYTES, HostAnswers, HostServer, host_sockets
from mooring.adapters.host.descriptor_shares import Shares
from mooring.core.host_names import Asker
from mooring.core.names import AAAA, Answer, Question, Verdict
from mooring.core.networks import Address
from tests.adapters.dns.nameservers import PATIENCE, query, texts

MANY = tuple(IPv4Address("10.9.0.1") + number for number in range(64))
LOCAL = ip_address("127.0.0.1")


class Names:
    """web has one address, `many` 64, `next` is asked elsewhere; who comes by mr-one is in network one. looked: how
    often something was looked up."""

    def __init__(self) -> None:
        self.changes, self.zone, self.looked = 1, "mooring", 0
        self.web = MANY[0]

    def asker(self, bridge: str, source: Address) -> Asker | None:
        """See host_server.Names."""
        return Asker(("one",), frozenset()) if bridge == "mr-one" and source in MANY else None

    def lookup(self, question: Question, asker: Asker) -> Answer:
        """See host_server.Names."""
        self.looked += 1
        if question.name == "next":
            return Answer(Verdict.FORWARD)
        if question.kind == AAAA:
            return Answer(Verdict.EMPTY)
        if question.name == "own" and asker.open is None:
            return Answer(Verdict.ABSENT)
        found = {"web": (self.web,), "own": (MANY[7],), "many": MANY}.get(question.name.partition(".")[0])
        return Answer(Verdict.FOUND, addresses=found) if found else Answer(Verdict.ABSENT)


class Served:
    """A server on the loopback."""

    def __init__(self) -> None:
        self.names, self.forwarded = Names(), list[bytes]()
        self.answers = HostAnswers(self.names, cast(HostForwarding, self), self.interface_name)
        self.server = HostServer(self.answers, Shares(99))
        self.port = 0

    def ask(self, asked: object, client: str, done: object) -> None:
        """What is forwarded is answered with nothing."""
        self.forwarded.append(asked.message)  # type: ignore[attr-defined]
        done(None)  # type: ignore[operator]

    @staticmethod
    def interface_name(index: int) -> str:
        """Of those that there are."""
        if index not in (3, 4):
            raise OSError("no such device")
        return {3: "mr-one", 4: "eth0"}[index]

    async def open(self) -> None:
        """At a free port."""
        probe = socket.create_server(("127.0.0.1", 0))
        self.port = probe.getsockname()[1]
        probe.close()
        await self.server.open(LOCAL, self.port)

    async def query(self, message: dns.message.Message, *, tcp: bool = False) -> dns.message.Message:
        """Of one on the host."""
        client = dns.query.tcp if tcp else dns.query.udp
        return await asyncio.to_thread(client, message, "127.0.0.1", timeout=PATIENCE, port=self.port)

    def answer(self, message: bytes, interface: int = 3, source: str = "10.9.0.2") -> bytes | None:
        """What who is there gets at once."""
        client = self.answers.client(interface, source)
        if client is None:
            return None
        sent: list[bytes] = []
        self.answers.answer(client, message, sent.append, stream=False)
        return sent[0] if sent else None


@pytest.fixture
async def served() -> AsyncIterator[Served]:
    """Being served."""
    made = Served()
    await made.open()
    yield made
    await made.server.close()


@pytest.mark.parametrize("tcp", [False, True])
async def test_names_are_answered_by_udp_and_tcp(served: Served, tcp: bool) -> None:
    """Twice, the second time from memory; what is missing with the SOA that says for how long."""
    for _ in range(2):
        reply = await served.query(query("WEB.one.mooring"), tcp=tcp)
        assert (texts(reply), reply.answer[0].ttl) == (["10.9.0.1"], 1)
    absent = await served.query(query("nobody.mooring"), tcp=tcp)
    assert (absent.rcode(), absent.authority[0].to_text().split()[:4]) == (
        dns.rcode.NXDOMAIN,
        ["mooring.", "1", "IN", "SOA"],
    )
    empty = await served.query(query("web.one.mooring", AAAA), tcp=tcp)
    assert (empty.rcode(), empty.answer, len(empty.authority)) == (dns.rcode.NOERROR, [], 1)


async def test_an_answer_is_told_until_a_name_changes(served: Served) -> None:
    """The next question after the change has the new one."""
    await served.query(query("web"))
    looked = served.names.looked
    await served.query(query("web"))
    assert served.names.looked == looked
    served.names.web, served.names.changes = MANY[5], 2
    assert texts(await served.query(query("web"))) == [str(MANY[5])]


async def test_all_addresses_are_told_in_changing_order(served: Served) -> None:
    """Clients take the first."""
    replies = [texts(await served.query(query("many", use_edns=0, payload=4096))) for _ in range(20)]
    assert {tuple(sorted(each)) for each in replies} == {tuple(sorted(map(str, MANY)))}
    assert len({each[0] for each in replies}) > 5


async def test_a_long_answer_is_cut_and_comes_whole_by_tcp(served: Served) -> None:
    """Without EDNS in 512 bytes, with it in 1232, whatever the client says that it takes: nobody is flooded with much
    more than was asked."""
    plain = await served.query(query("many"))
    assert plain.flags & dns.flags.TC
    assert len(texts(await served.query(query("many"), tcp=True))) == 64
    message = query("many", use_edns=0, payload=65535).to_wire()
    reply = served.answer(message)
    assert reply is not None
    assert len(reply) <= UDP_BYTES


async def test_who_is_in_no_network_of_ours_is_not_answered() -> None:
    """By an interface of the LAN, from an address that the network has not, by an interface that is gone; the host and
    those in the network are, each with what he may see."""
    served, message = Served(), query("own").to_wire()
    for interface, source in ((4, "192.0.2.7"), (3, "192.0.2.7"), (0, "10.9.0.2"), (3, "nonsense")):
        assert served.answers.client(interface, source) is None
    inside, host = served.answer(message), served.answer(message, 1, "127.0.0.1")
    assert inside is not None
    assert host is not None
    assert texts(dns.message.from_wire(inside)) == [str(MANY[7])]
    assert dns.message.from_wire(host).rcode() == dns.rcode.NXDOMAIN


async def test_what_is_remembered_has_a_bound() -> None:
    """Whatever is asked and by whomever."""
    served = Served()
    for number in range(MOST_ASKERS + 10):
        served.answers.client(3, f"192.0.{number >> 8 & 255}.{number & 255}")
    assert len(served.answers._clients) <= MOST_ASKERS


async def test_what_others_have_to_say_is_asked_of_them(served: Served) -> None:
    """And is a failure where they say nothing."""
    reply = await served.query(query("next"))
    assert reply.rcode() == dns.rcode.SERVFAIL
    assert len(served.forwarded) == 1


@given(st.binary(max_size=80), st.booleans())
def test_no_bytes_do_harm(junk: bytes, headed: bool) -> None:
    """Each is answered in a bounded way, or not at all."""
    served = Served()
    message = query("web").to_wire()[:12] + junk if headed else junk
    reply = served.answer(message)
    assert reply is None or (len(reply) <= UDP_BYTES and reply[:2] == message[:2])


async def test_while_somebody_else_goes_first_little_is_read_at_a_time(served: Served) -> None:
    """What comes meanwhile waits in the socket, and all of it is answered."""
    await served.server.close()
    asked, busy = list[int](), True

    def is_busy() -> bool:
        asked.append(served.names.looked)
        return busy

    served.server = HostServer(served.answers, Shares(99), is_busy)
    await served.server.open(LOCAL, served.port)
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as client:
        client.connect(("127.0.0.1", served.port))
        for number in range(40):
            client.send(query(f"web.{number}").to_wire())
        for _ in range(40):
            await asyncio.wait_for(loop.sock_recv(client, 512), PATIENCE)
        assert max(after - before for before, after in itertools.pairwise([0, *asked])) <= AT_ONCE
        busy = False
        client.send(query("web").to_wire())
        await asyncio.wait_for(loop.sock_recv(client, 512), PATIENCE)


async def test_a_port_that_is_taken_is_an_error_and_leaves_nothing(served: Served) -> None:
    """Neither socket is there then."""
    other = HostServer(served.answers, Shares(9))
    with pytest.raises(OSError, match="in use"):
        await other.open(LOCAL, served.port)
    await served.server.close()
    await other.open(LOCAL, served.port)
    await other.close()
    for made in host_sockets(LOCAL, served.port):
        made.close()
