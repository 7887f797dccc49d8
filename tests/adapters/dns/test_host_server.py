"""The host's DNS server, over the loopback of wherever the test runs."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import ExitStack
from ipaddress import IPv4Address, ip_address
from typing import cast

import dns.flags
import dns.message
import dns.query
import dns.rcode
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.adapters.dns import host_server
from mooring.adapters.dns.dns_answering import AT_ONCE, CONNECTIONS
from mooring.adapters.dns.dns_forwarding import Asked
from mooring.adapters.dns.host_forwarding import HostForwarding
from mooring.adapters.dns.host_server import MOST_ASKERS, UDP_BYTES, HostAnswers, HostServer, Place
from mooring.adapters.dns.host_sockets import host_sockets
from mooring.adapters.host.descriptor_shares import Shares
from mooring.core.host_names import Asker
from mooring.core.names import AAAA, Answer, Question, Verdict
from mooring.core.networks import Address
from mooring.wire.dns import framed
from tests.adapters.dns.nameservers import PATIENCE, query, texts

MANY = tuple(IPv4Address("10.9.0.1") + number for number in range(64))
LOCAL = ip_address("127.0.0.1")


class Names:
    """web has one address, `many` 64, `next` is asked elsewhere; who comes by mr-one or mr-two is in a network. near:
    so many of an answer's are. looked: how often something was looked up."""

    def __init__(self) -> None:
        self.changes, self.zone, self.looked, self.near, self.web = 1, "mooring", 0, 0, MANY[0]

    def asker(self, bridge: str, source: Address, domain: int = 0) -> Asker | None:
        """See host_server.Names. Each domain has bridges of the same names, with networks of its own."""
        network = f"{bridge} {('', 'red', 'blue')[domain]}".strip()
        return Asker((network,), frozenset()) if bridge.startswith("mr-") and source in MANY else None

    def lookup(self, question: Question, asker: Asker) -> Answer:
        """See host_server.Names."""
        self.looked += 1
        if question.name == "next":
            return Answer(Verdict.FORWARD)
        if question.kind == AAAA:
            return Answer(Verdict.EMPTY)
        if question.name == "own" and asker.open is None:
            return Answer(Verdict.ABSENT)
        if asker.own[:1] in (("mr-one red",), ("mr-one blue",)):
            return Answer(Verdict.FOUND, addresses=(MANY[10 if asker.own == ("mr-one red",) else 11],))
        found = {"web": (self.web,), "own": (MANY[7],), "many": MANY}.get(question.name.partition(".")[0], ())
        return Answer(Verdict.FOUND if found else Verdict.ABSENT, addresses=found, near=self.near)


class Served:
    """A server on the loopback."""

    def __init__(self) -> None:
        self.names, self.forwarded, self.askers = Names(), list[bytes](), list[str]()
        self.elsewhere: bytes | None = None
        self.containers = {(6, "172.17.0.2")}
        self.answers = HostAnswers(
            self.names, cast(HostForwarding, self), lambda index, source: (index, str(source)) in self.containers
        )
        self.place = Place(0, self.interface_name)
        self.server = HostServer(self.answers, Shares(99))
        self.port = 0

    def ask(self, asked: Asked, client: str, done: Callable[[bytes | None], None]) -> None:
        """What is forwarded is answered with `elsewhere`."""
        self.forwarded.append(asked.message)
        self.askers.append(client)
        done(self.elsewhere)

    @staticmethod
    def interface_name(index: int) -> str:
        """Of those that there are."""
        if index not in (3, 4, 5, 6, 7):
            raise OSError("no such device")
        return {3: "mr-one", 4: "eth0", 5: "mr-two", 6: "docker0", 7: "mooring-dns"}[index]

    async def open(self) -> None:
        """At a free port."""
        probe = socket.create_server(("127.0.0.1", 0))
        self.port = probe.getsockname()[1]
        probe.close()
        await self.server.open(*host_sockets(LOCAL, self.port))

    async def query(self, message: dns.message.Message, *, tcp: bool = False) -> dns.message.Message:
        """Of one on the host."""
        client = dns.query.tcp if tcp else dns.query.udp
        return await asyncio.to_thread(client, message, "127.0.0.1", timeout=PATIENCE, port=self.port)

    def answer(
        self,
        message: bytes,
        interface: int = 3,
        source: str = "10.9.0.2",
        place: Place | None = None,
        *,
        stream: bool = False,
    ) -> bytes | None:
        """What who is there gets at once."""
        client = self.answers.client(place or self.place, interface, source)
        if client is None:
            return None
        sent: list[bytes] = []
        self.answers.answer(client, message, sent.append, stream=stream)
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


async def test_a_container_in_no_network_of_ours_is_no_host_and_nobody_else_is_answered(served: Served) -> None:
    """It is forwarded as the others are; once its bridge leads elsewhere it is answered no more, soon."""
    message = query("next").to_wire()
    assert served.answer(query("own").to_wire(), 6, "172.17.0.2") is not None
    assert texts(dns.message.from_wire(served.answer(query("own").to_wire(), 6, "172.17.0.2") or b"")) == [str(MANY[7])]
    assert served.answer(message, 6, "172.17.0.2") is not None
    assert served.forwarded == [message]
    for interface, source in ((6, "172.17.0.3"), (4, "172.17.0.2"), (9, "172.17.0.2")):
        assert served.answer(message, interface, source) is None
    served.containers.clear()
    served.answers.look_again()
    assert served.answer(message, 6, "172.17.0.2") is None
    assert served.answer(message) is not None


async def test_what_the_hosts_resolver_asks_the_host_asks(served: Served) -> None:
    """The kernel shows what leaves by that link and is for the host as come in by it."""
    reply = served.answer(query("own").to_wire(), 7, "169.254.53.53")
    assert reply is not None
    assert dns.message.from_wire(reply).rcode() == dns.rcode.NXDOMAIN
    # Behind a bridge of that name is a container, and from another address nobody.
    served.containers = {(7, "172.18.0.2")}
    assert texts(dns.message.from_wire(served.answer(query("own").to_wire(), 7, "172.18.0.2") or b"")) == [str(MANY[7])]
    assert served.answer(query("own").to_wire(), 7, "172.18.0.3") is None


@pytest.mark.parametrize("near", [0, 32])
async def test_all_addresses_are_told_in_changing_order(served: Served, near: int) -> None:
    """Clients take the first. Those that are near come first."""
    served.names.near = near
    replies = [texts(await served.query(query("many", use_edns=0, payload=4096))) for _ in range(20)]
    assert {frozenset(each) for each in replies} == {frozenset(map(str, MANY))}
    assert {frozenset(each[:near]) for each in replies} == {frozenset(map(str, MANY[:near]))}
    assert min(len({each[place] for each in replies}) for place in (0, near)) > 5


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
        assert served.answers.client(served.place, interface, source) is None
    inside, host = served.answer(message), served.answer(message, 1, "127.0.0.1")
    assert inside is not None
    assert host is not None
    assert texts(dns.message.from_wire(inside)) == [str(MANY[7])]
    assert dns.message.from_wire(host).rcode() == dns.rcode.NXDOMAIN


async def test_what_is_remembered_has_a_bound() -> None:
    """Whatever is asked and by whomever."""
    served = Served()
    for number in range(MOST_ASKERS + 10):
        served.answers.client(served.place, 3, f"192.0.{number >> 8 & 255}.{number & 255}")
    assert len(served.answers._clients) <= MOST_ASKERS


def test_what_is_remembered_has_a_bound_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also of questions that are as long as may be, each another one: a container has not all of our memory."""
    monkeypatch.setattr(host_server, "MOST_BYTES", 50_000)
    served, most = Served(), 0
    for number in range(100):
        assert served.answer(query(f"web.{number}").to_wire() + b"x" * 4000) is not None
        kept = next(iter(served.answers._answers.values()))
        most = max(most, sum(len(asked) + len(told) for asked, told in kept.items()))
    assert 40_000 < most < 50_000 + 4500


def test_an_answer_of_others_that_is_too_long_is_cut() -> None:
    """By UDP, where the client has said what it takes; by TCP it is passed on as it is."""
    served, message = Served(), query("next").to_wire()
    served.elsewhere = message[:2] + b"\x81\x80" + b"\0" * 509
    reply = served.answer(message)
    assert reply is not None
    assert dns.message.from_wire(reply).flags & dns.flags.TC
    assert served.answer(message, stream=True) == served.elsewhere
    served.elsewhere = served.elsewhere[:512]
    assert served.answer(message) == served.elsewhere


def test_equal_addresses_of_two_networks_are_two_askers() -> None:
    """So that what one has under way is not counted for the other (tenants may have equal subnets)."""
    served, message = Served(), query("next").to_wire()
    for interface in (3, 5):
        served.answer(message, interface)
    assert len(set(served.askers)) == 2


async def test_connections_of_one_client_leave_room_for_others(served: Served) -> None:
    """He has as many as he may, each of which is answered, and one more is closed; somebody else is answered."""
    loop, question = asyncio.get_running_loop(), framed(query("web").to_wire())
    with ExitStack() as stack:

        async def connected(source: str) -> socket.socket:
            made = stack.enter_context(socket.socket())
            made.setblocking(False)
            made.bind((source, 0))
            await loop.sock_connect(made, ("127.0.0.1", served.port))
            await loop.sock_sendall(made, question)
            return made

        for count in range(CONNECTIONS + 2):
            one = await connected("127.0.0.1")
            reply = b""
            with contextlib.suppress(ConnectionResetError):
                reply = await asyncio.wait_for(loop.sock_recv(one, 512), PATIENCE)
            assert bool(reply) is (count < CONNECTIONS)
        other = await connected("127.0.0.2")
        assert await asyncio.wait_for(loop.sock_recv(other, 512), PATIENCE)


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


HEADERS = st.tuples(st.integers(0, 0xFFFF), *[st.sampled_from([0, 1, 1, 1, 2, 9, 0xFFFF])] * 4)
LABELS = st.sampled_from([b"\3web", b"\3own", b"\4next", b"\x3f" + b"x" * 63, b"\x40y", b"\xc0\x0c", b"\1.", b"\0"])
NAMES = st.lists(LABELS, max_size=5).map(lambda labels: b"".join(labels) + b"\0")
KINDS = st.sampled_from([b"\0\1\0\1", b"\0\x1c\0\1", b"\0\xff\0\1", b"\0\x29\0\1", b"\0\1\0\3"])
RECORDS = st.sampled_from(
    [b"\0\0\x29\x10\0\0\0\x80\0\0\0", b"\0\0\x29\0\1\0\1\0\0\0\0", b"\1x\0\1", b"\xc0\x0c\0\1\0\1"]
)


@given(HEADERS, st.tuples(NAMES, KINDS, st.lists(RECORDS, max_size=3)), st.booleans())
def test_every_message_has_the_reply_of_its_form(
    header: tuple[int, ...], parts: tuple[bytes, bytes, list[bytes]], stream: bool
) -> None:
    """None for a reply, whatever else it is, NOTIMP for other operations, and else one that dnspython reads, with the
    id and the operation that it had; from memory it is the same."""
    served = Served()
    flags = header[0]
    message = struct.pack(">6H", 7, *header) + parts[0] + parts[1] + b"".join(parts[2])
    replies = [served.answer(message, stream=stream) for _ in range(2)]
    assert replies[0] == replies[1]
    if flags & 0x8000:
        assert replies == [None, None]
        assert served.forwarded == []
        return
    assert replies[0] is not None
    read = dns.message.from_wire(replies[0])
    assert (read.id, read.opcode(), bool(read.flags & dns.flags.QR)) == (7, flags >> 11 & 15, True)
    assert (read.rcode() == dns.rcode.NOTIMP) is bool(flags & 0x7800)
    assert len(replies[0]) <= UDP_BYTES


async def test_while_somebody_else_goes_first_little_is_read_at_a_time(served: Served) -> None:
    """What comes meanwhile waits in the socket, and all of it is answered."""
    await served.server.close()
    asked, busy = list[int](), True

    def is_busy() -> bool:
        asked.append(served.names.looked)
        return busy

    served.server = HostServer(served.answers, Shares(99), is_busy)
    await served.server.open(*host_sockets(LOCAL, served.port))
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


async def test_what_is_remembered_is_told_so_many_times_in_a_turn(served: Served) -> None:
    """A flood of questions with the same answer leaves turns to others as well."""
    await served.server.close()
    turns = list[int]()

    def is_busy() -> bool:
        turns.append(1)
        return False

    served.server = HostServer(served.answers, Shares(99), is_busy)
    await served.server.open(*host_sockets(LOCAL, served.port))
    loop, question = asyncio.get_running_loop(), query("web").to_wire()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as client:
        client.connect(("127.0.0.1", served.port))
        for _ in range(3 * AT_ONCE + 1):
            client.send(question)
        for _ in range(3 * AT_ONCE + 1):
            await asyncio.wait_for(loop.sock_recv(client, 512), PATIENCE)
    assert len(turns) >= 3


async def test_a_port_that_is_taken_is_an_error_and_leaves_nothing(served: Served) -> None:
    """Neither socket is there then."""
    with pytest.raises(OSError, match="in use"):
        host_sockets(LOCAL, served.port)
    await served.server.close()
    other = HostServer(served.answers, Shares(9))
    await other.open(*host_sockets(LOCAL, served.port))
    await other.close()
    for made in host_sockets(LOCAL, served.port):
        made.close()


def test_what_is_equal_in_two_places_is_told_apart_by_the_place(served: Served) -> None:
    """The same index, bridge and address; also a domain that was made again has nothing of the one before. What is
    forwarded counts for each asker alone; nobody asks from a domain's own loopback, and no stranger lives there."""
    red, blue = (Place(domain, served.interface_name) for domain in (1, 2))
    for _ in range(2):
        for place, answer in ((served.place, MANY[0]), (red, MANY[10]), (blue, MANY[11])):
            reply = served.answer(query("web").to_wire(), place=place)
            assert texts(dns.message.from_wire(reply or b"")) == [str(answer)]
    for place in (served.place, red, blue):
        served.answer(query("next").to_wire(), place=place)
        for interface, source in ((1, "127.0.0.1"), (6, "172.17.0.2")):
            there = served.answer(query("web").to_wire(), interface, source, place) is not None
            assert there == (place is served.place)
    assert len(set(served.askers)) == 3
    again = Place(1, lambda _: "eth0")
    assert served.answer(query("web").to_wire(), place=again) is None
