"""The conformance table of the host's DNS server: who asks what from where gets what, as bytes, with flags.

The real names over a host in memory; each row is asked by UDP, once more (from memory) and by TCP, and all three agree.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import ip_address
from typing import cast

import dns.edns
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import pytest

from mooring.adapters.dns.dns_forwarding import Asked
from mooring.adapters.dns.host_forwarding import HostForwarding
from mooring.adapters.dns.host_server import UDP_BYTES, HostAnswers, Place
from mooring.core.containers import Container, ContainerEndpoint
from mooring.core.port_bindings import PortRequest, Protocol
from tests.services.hosts import MemoryHost, separate_network

# What a reply that came from another nameserver looks like here.
ELSEWHERE = b"from elsewhere"
# As many addresses as a record can have.
MANY = 64


@dataclass
class House:
    """A host with containers. places: of who asks, where his question comes in, by which interface and address."""

    answers: HostAnswers
    places: dict[str, tuple[Place, int, str]]

    def ask(self, who: str, message: bytes, *, stream: bool = False) -> bytes | None:
        """The reply; None for silence."""
        client = self.answers.client(*self.places[who])
        sent: list[bytes] = []
        if client is not None:
            self.answers.answer(client, message, sent.append, stream=stream)
        return sent[0] if sent else None


class Interfaces(dict[int, str]):
    """Names by index."""

    def __missing__(self, index: int) -> str:
        raise OSError("no such device")


class Elsewhere:
    """What is forwarded is answered at once."""

    def ask(self, asked: Asked, client: str, done: Callable[[bytes | None], None]) -> None:
        """See HostForwarding."""
        done(asked.message[:2] + ELSEWHERE)


async def _built() -> House:
    host = await MemoryHost(separate_tenants=True).start()
    web = await host.network("web", v6=True, peers="shop")
    back = await host.network("back")
    inner = await host.network("inner", internal=True)
    peer = await host.network("peer", peers="shop")
    blue = (await separate_network(host, "b", "blue", "10.32.4.0/24", peers="shop")).id
    gold = (await separate_network(host, "d", "gold", "10.32.0.0/24", peers="shop")).id  # all as web's
    assert host.services.keeping is not None
    names = host.services.keeping.host_names
    port = (PortRequest(Protocol.TCP, 5432, None, 15432, 15432),)
    for network, endpoint, name, words in (
        (web, "e1", "shop-db-1", "main"),
        (web, "e2", "shop-app-1", "app"),
        (web, "e3", "shop-app-2", "app"),
        (back, "e4", "cache", ""),
        (inner, "e5", "job", ""),
        (peer, "e6", "log", ""),
        (blue, "e7", "shop-db-1", "main"),
        (gold, "e8", "shop-db-1", "main"),
        (gold, "e9", "shop-own-1", "own"),
    ):
        await host.endpoint(network, endpoint)
        called = {blue: "blue", gold: "web"}.get(network, network.rstrip("0"))
        place = ContainerEndpoint(network, called, endpoint=endpoint.ljust(64, "0"), aliases=(words,))
        names.note(Container(endpoint.ljust(64, "c"), name, True, 0.0, endpoints=(place,)))
    await host.services.endpoints.publish(web, "e1".ljust(64, "0"), port)
    await host.endpoint(web, "stopped", attach=False)
    for network in (inner, web):
        await host.endpoint(network, f"both{network[0]}", attach=False)
        await host.attach_to(network, f"both{network[0]}".ljust(64, "0"), "/run/docker/netns/both")
    records = host.services.keeping.dns_records
    await records.add("nas", "", [ip_address("192.0.2.9")], note="", until=None, dry=False)
    many = [ip_address("2001:db8::1") + number for number in range(MANY)]
    await records.add("many", web, many, note="", until=None, dry=False)
    bridges = [_bridge(host, network) for network in (web, back, inner, peer, blue, gold)]
    here = _place(0, dict(enumerate(bridges[:4], 3)) | {9: "eth0"})
    in_blue, in_gold = _place(1, {3: bridges[4], 4: "uplink"}), _place(2, {3: bridges[5], 4: "uplink"})
    places = {
        "web": (here, 3, "10.32.0.3"),  # a container
        "web6": (here, 3, "fd00:32::3"),
        "back": (here, 4, "10.32.1.2"),
        "inner": (here, 5, "10.32.2.2"),
        "peer": (here, 6, "10.32.3.2"),
        "inner and web": (here, 5, "10.32.2.3"),
        "blue": (in_blue, 3, "10.32.4.2"),
        "gold": (in_gold, 3, "10.32.0.3"),
        "host": (here, 1, "169.254.53.53"),
        "host at its own address": (here, 1, "192.0.2.1"),
        "LAN": (here, 9, "192.0.2.7"),
        "LAN with a container's address": (here, 9, "10.32.0.3"),
        "web with an address of back": (here, 3, "10.32.1.2"),
        "back with an address of web": (here, 4, "10.32.0.3"),
        "web with an address of the LAN": (here, 3, "192.0.2.7"),
        "nobody's interface": (here, 77, "10.32.0.3"),
        "gold's domain itself": (in_gold, 1, "127.0.0.1"),
        "gold by its line": (in_gold, 4, "10.32.0.3"),
        "blue with an address of gold": (in_blue, 3, "10.32.0.3"),
    }
    return House(HostAnswers(names, cast(HostForwarding, Elsewhere())), places)


def _bridge(host: MemoryHost, network: str) -> str:
    known = host.services.cache.network(network)
    assert known is not None
    return known.bridge


def _place(domain: int, interfaces: dict[int, str]) -> Place:
    known = Interfaces(interfaces)
    return Place(domain, lambda index: known[index])


@pytest.fixture(scope="module")
def house() -> House:
    """Built once: rows change nothing."""
    return asyncio.run(_built())


def words(reply: bytes | None) -> str:
    """A reply for the table: records in order, or what it says without any; `(SOA)` where it says for how long."""
    if reply is None:
        return "silence"
    if reply[2:] == ELSEWHERE:
        return "elsewhere"
    read = dns.message.from_wire(reply)
    found = sorted(str(record) for rrset in read.answer for record in rrset)
    told = " ".join(found) or ("NODATA" if read.rcode() == dns.rcode.NOERROR else dns.rcode.to_text(read.rcode()))
    return f"{told} (SOA)" if read.authority else told


DB, DB6, APP = "10.32.0.2", "fd00:32::2", "10.32.0.3 10.32.0.4"
ABSENT, NODATA = "NXDOMAIN (SOA)", "NODATA (SOA)"
SRV_DB = "0 0 5432 shop-db-1.web.mooring."
PTR_DB, PTR_APP = "2.0.32.10.in-addr.arpa", "3.0.32.10.in-addr.arpa"

ROWS = [
    # Short names: those of one's own network (and nobody else's: RFC 8499 would call it a view).
    ("web", "shop-db-1", "A", DB),
    ("web", "SHOP-db-1", "A", DB),  # RFC 4343: in any case
    ("web", "e1cccccccccc", "A", DB),  # the container's id
    ("web", "main", "AAAA", DB6),  # an alias
    ("web6", "main", "A", DB),  # asked by IPv6
    ("web", "app", "A", APP),  # two of one name
    ("web", "main.web", "A", DB),
    ("back", "main", "A", "elsewhere"),
    ("back", "main.web", "A", "elsewhere"),
    ("inner", "job", "A", "10.32.2.2"),
    ("host", "main", "A", "elsewhere"),
    # Complete names: by network, `peers`, tenant, and for the host all.
    ("web", "main.web.mooring", "A", DB),
    ("web", "main.mooring", "A", DB),
    ("back", "main.web.mooring", "A", ABSENT),
    ("inner", "cache.back.mooring", "A", ABSENT),
    ("peer", "main.web.mooring", "A", DB),
    ("peer", "main.web", "A", "elsewhere"),
    ("web", "log.peer.mooring", "A", "10.32.3.2"),
    ("blue", "main", "A", "10.32.4.2"),
    ("blue", "main.web.mooring", "A", ABSENT),  # the same word of `peers`, another tenant
    ("web", "main.blue.mooring", "A", ABSENT),
    # A tenant whose subnet, addresses, names, and even network's name are those of web.
    ("gold", "main", "A", DB),
    ("gold", "main.web.mooring", "A", DB),
    ("gold", "main.web.mooring", "AAAA", NODATA),
    ("gold", "own.web.mooring", "A", "10.32.0.3"),
    ("gold", "app", "A", "elsewhere"),
    ("gold", "app.web.mooring", "A", ABSENT),
    ("gold", "main.blue.mooring", "A", ABSENT),
    ("gold", PTR_DB, "PTR", "shop-db-1.web.mooring."),
    ("gold", PTR_APP, "PTR", "shop-own-1.web.mooring."),
    ("gold", "_5432._tcp.main", "SRV", NODATA),  # web's alone is published
    ("gold", "250.0.32.10.in-addr.arpa", "PTR", "NXDOMAIN"),
    ("gold", "2.4.32.10.in-addr.arpa", "PTR", "elsewhere"),
    ("web", "own.web.mooring", "A", ABSENT),
    ("web", PTR_APP, "PTR", "shop-app-1.web.mooring."),
    ("host", "main.web.mooring", "A", DB),
    ("host", "main.blue.mooring", "A", "10.32.4.2"),
    ("host", "job.inner.mooring", "A", "10.32.2.2"),
    ("host at its own address", "main.web.mooring", "A", DB),
    # Names that are there without the type: NODATA and never NXDOMAIN (RFC 2308, 2.2; musl gives up at the latter).
    ("back", "cache", "AAAA", "NODATA (SOA)"),
    ("web", "main", "TXT", NODATA),
    ("web", "main", "CNAME", NODATA),
    ("web", "main", "MX", NODATA),
    ("web", "main", "HTTPS", NODATA),  # RFC 9460: browsers ask for it first
    ("web", "main", "TYPE65280", NODATA),  # RFC 3597: a type that nobody knows
    ("web", "main", "ANY", f"{DB} {DB6}"),  # RFC 8482
    ("web", "mooring", "A", NODATA),  # RFC 8020: what is above names is there
    ("web", "mooring", "NS", NODATA),
    ("web", "web.mooring", "A", NODATA),
    ("back", "web.mooring", "A", ABSENT),
    ("host", "web.mooring", "A", NODATA),
    # What nobody has, in the zone: RFC 2308, with the SOA; it never leaves the host.
    ("web", "nobody.web.mooring", "A", ABSENT),
    ("web", "x.main.web.mooring", "A", ABSENT),
    ("host", "nobody.mooring", "AAAA", ABSENT),
    # Records of operators.
    ("web", "nas", "A", "192.0.2.9"),
    ("blue", "nas.mooring", "A", "192.0.2.9"),
    # PTR: one's own, those of others, unknown ones (RFC 1035, 3.5).
    ("web", PTR_DB, "PTR", "shop-db-1.web.mooring."),
    ("peer", PTR_DB, "PTR", "shop-db-1.web.mooring."),
    ("host", PTR_DB, "PTR", "shop-db-1.web.mooring."),
    ("back", PTR_DB, "PTR", "NXDOMAIN"),
    ("blue", PTR_DB, "PTR", "elsewhere"),  # in his routing domain that is anybody's
    ("blue", "2.4.32.10.in-addr.arpa", "PTR", "shop-db-1.blue.mooring."),
    ("web", "1.0.32.10.in-addr.arpa", "PTR", "NXDOMAIN"),  # the gateway
    ("web", "5.0.32.10.in-addr.arpa", "PTR", "NXDOMAIN"),  # the address is kept, nobody runs
    ("web", "250.0.32.10.in-addr.arpa", "PTR", "NXDOMAIN"),
    ("web", "8.8.8.8.in-addr.arpa", "PTR", "elsewhere"),
    ("web", "9.2.0.192.in-addr.arpa", "PTR", "nas.mooring."),
    ("web", PTR_DB, "A", "NODATA"),
    ("web", PTR_DB, "ANY", "shop-db-1.web.mooring."),
    ("web", ip_address("fd00:32::2").reverse_pointer, "PTR", "shop-db-1.web.mooring."),
    ("back", ip_address("fd00:32::2").reverse_pointer, "PTR", "NXDOMAIN"),
    # SRV (RFC 2782): by the port's usual name and by its number.
    ("web", "_postgresql._tcp.main", "SRV", SRV_DB),
    ("web", "_5432._tcp.main.web.mooring", "SRV", SRV_DB),
    ("host", "_5432._tcp.main.web.mooring", "SRV", SRV_DB),
    ("web", "_5432._udp.main", "SRV", NODATA),
    ("web", "_5432._tcp.main", "A", NODATA),
    ("back", "_5432._tcp.main.web.mooring", "SRV", ABSENT),
    # Other people's names, and ones that only look like ours.
    ("web", "example.org", "A", "elsewhere"),
    # Nobody is asked for who has no way out of the host, by DNS either (CVE-2024-29018, aardvark-dns#447).
    ("inner", "example.org", "A", "SERVFAIL"),
    ("inner", "main", "A", "SERVFAIL"),
    ("inner", "8.8.8.8.in-addr.arpa", "PTR", "SERVFAIL"),
    ("inner and web", "example.org", "A", "elsewhere"),
    ("inner and web", "job", "A", "10.32.2.2"),
    ("host", "example.org", "MX", "elsewhere"),
    ("web", "notmooring", "A", "elsewhere"),
    ("web", "main.web.mooring.example.org", "A", "elsewhere"),
    ("web", ".", "NS", "elsewhere"),
    # Who is nobody's client is not answered, whatever he asks; nor who writes another's address as his own.
    *(
        (who, name, "A", "silence")
        for who in (
            "LAN", "LAN with a container's address", "web with an address of back", "back with an address of web",
            "web with an address of the LAN", "nobody's interface", "gold's domain itself", "gold by its line",
            "blue with an address of gold",
        )
        for name in ("main.web.mooring", "example.org", "nobody.mooring")
    ),
]  # fmt: skip


@pytest.mark.parametrize(("who", "name", "kind", "told"), ROWS)
def test_who_asks_what_from_where_gets_what(house: House, who: str, name: str, kind: str, told: str) -> None:
    """The same by UDP, again and by TCP; id and question come back as they were, RA is set and AA is not, RD is as it
    was, and nobody may remember a name of ours for longer than a second."""
    message = dns.message.make_query(name, kind, id=0x0707).to_wire()
    replies = [house.ask(who, message, stream=stream) for stream in (False, False, True)]
    assert [words(reply) for reply in replies] == [told] * 3
    for reply in replies:
        if reply is None or told == "elsewhere":
            continue
        read = dns.message.from_wire(reply)
        assert reply[12 : len(message)] == message[12:]
        assert dns.flags.to_text(read.flags) == "QR RD RA"
        assert read.id == 0x0707
        assert {rrset.ttl for rrset in (*read.answer, *read.authority, *read.additional)} <= {1}


HEADER = struct.Struct(">6H")


def query(name: str = "main.web.mooring", kind: str = "A", **options: object) -> bytes:
    """As bytes."""
    return dns.message.make_query(name, kind, id=0x0707, **options).to_wire()  # type: ignore[arg-type]


def raw(question: bytes, *, flags: int = 0x0100, counts: tuple[int, int, int, int] = (1, 0, 0, 0)) -> bytes:
    """A header, and what comes after it."""
    return HEADER.pack(0x0707, flags, *counts) + question


def asked_with(flags: int) -> bytes:
    """The query with other flags."""
    return query()[:2] + flags.to_bytes(2, "big") + query()[4:]


QUESTION = query()[12:]
LONG = (b"\x3f" + b"x" * 63) * 4 + b"\0\0\1\0\1"
OPT = b"\0" + struct.pack(">HHIH", 41, 1232, 0, 0)
COOKIE = dns.edns.GenericOption(dns.edns.OptionType.COOKIE, b"12345678")
NSID = dns.edns.GenericOption(dns.edns.OptionType.NSID, b"")

# What is asked, the message, flags of the reply, what it says, its EDNS.
FORMS = [
    ("plain", query(), "QR RD RA", DB, "none"),
    ("RFC 1035, 4.1.1: RD comes back as it was", asked_with(0), "QR RA", DB, "none"),
    ("RFC 4035, 3.2.2: CD comes back as it was", asked_with(0x0110), "QR RD RA CD", DB, "none"),
    ("RFC 6840, 5.8: AD is for what was validated", asked_with(0x0120), "QR RD RA", DB, "none"),
    ("RFC 1035, 4.1.1: AA, RA and Z of a query are nothing", asked_with(0x05C0), "QR RD RA", DB, "none"),
    ("RFC 6891, 6.1.1: an OPT for an OPT", query(use_edns=0), "QR RD RA", DB, "0"),
    ("RFC 3225, 3: DO comes back as it was", query(use_edns=0, want_dnssec=True), "QR RD RA", DB, "0 DO"),
    ("RFC 7873, 5.2, RFC 5001: cookies and NSID", query(use_edns=0, options=[COOKIE, NSID]), "QR RD RA", DB, "0"),
    ("RFC 6891, 6.2.3: takes 0 octets", query(use_edns=0, payload=0), "QR RD RA", DB, "0"),
    ("RFC 6891, 6.1.3: version 1", query(use_edns=1), "QR RD RA", "BADVERS", "0"),
    ("RFC 6891, 6.1.3: version 255", query(use_edns=255, want_dnssec=True), "QR RD RA", "BADVERS", "0 DO"),
    ("RFC 6891, 6.1.1: two OPTs", raw(QUESTION + OPT * 2, counts=(1, 0, 0, 2)), "QR RD RA", "FORMERR", "none"),
    ("RFC 9619: two questions", raw(QUESTION * 2, counts=(2, 0, 0, 0)), "QR RD RA", "FORMERR", "none"),
    ("RFC 9619: no question", raw(b"", counts=(0, 0, 0, 0)), "QR RD RA", "FORMERR", "none"),
    ("counts without records", raw(b"", counts=(65535,) * 4), "QR RD RA", "FORMERR", "none"),
    ("RFC 9267: a name that points to itself", raw(b"\xc0\x0c\0\1\0\1"), "QR RD RA", "FORMERR", "none"),
    ("RFC 9267: and one that ends so", raw(b"\1x\xc0\x0c\0\1\0\1"), "QR RD RA", "FORMERR", "none"),
    ("RFC 1035, 4.1.4: a label of 64 octets", raw(b"\x40x\0\0\1\0\1"), "QR RD RA", "FORMERR", "none"),
    ("RFC 1035, 2.3.4: a name of 257 octets", raw(LONG), "QR RD RA", "FORMERR", "none"),
    ("cut off", query()[:-1], "QR RD RA", "FORMERR", "none"),
    ("more than it says", query() + b"junk", "QR RD RA", DB, "none"),
    *((f"RFC 1035, 4.1.1: opcode {code}", asked_with(code << 11 | 0x0100), "QR RD RA", "NOTIMP", "none")
      for code in (1, 2, 4, 5, 6, 15)),
    *((f"a reply ({flags:x}): two servers would never end", asked_with(flags), "", "silence", "")
      for flags in (0x8000, 0x8180, 0xFFFF)),
    *((f"{size} octets", query()[:size], "", "silence", "") for size in (0, 1, 11)),
    ("another class", query(rdclass="CH"), "QR RD RA", NODATA, "none"),
    ("RFC 4892: version.bind", query("version.bind", "TXT", rdclass="CH"), "", "elsewhere", ""),
]  # fmt: skip


@pytest.mark.parametrize(("message", "flags", "told", "edns"), [pytest.param(*row, id=what) for what, *row in FORMS])
def test_each_form_of_a_query_has_its_reply(house: House, message: bytes, flags: str, told: str, edns: str) -> None:
    """The id and the opcode come back; what is refused is told in no more bytes than it had, or in a header."""
    for stream in (False, True):
        reply = house.ask("web", message, stream=stream)
        assert words(reply) == told
        if reply is None or told == "elsewhere":
            continue
        read = dns.message.from_wire(reply)
        assert dns.flags.to_text(read.flags) == flags
        assert (reply[:2], reply[2] & 0x78) == (message[:2], message[2] & 0x78)
        extended = f"{read.edns}{' DO' if read.ednsflags & dns.flags.DO else ''}" if read.edns >= 0 else "none"
        assert (extended, read.options) == (edns, ())
        if told in ("FORMERR", "NOTIMP", "BADVERS"):
            assert len(reply) <= max(len(message), HEADER.size)


@pytest.mark.parametrize(
    ("options", "limit"),
    [
        ({}, 512),  # RFC 1035, 4.2.1
        ({"use_edns": 0, "payload": 100}, 512),  # RFC 6891, 6.2.3
        ({"use_edns": 0, "payload": 900}, 900),
        ({"use_edns": 0, "payload": 4096}, UDP_BYTES),  # dnsflagday.net, 2020
        ({"use_edns": 0, "payload": 65535}, UDP_BYTES),
    ],
)
def test_what_does_not_fit_is_cut_by_udp_and_whole_by_tcp(house: House, options: dict[str, int], limit: int) -> None:
    """TC, and never more than the client takes or the net carries in one piece (RFC 2181, 9); by TCP all of it."""
    message = query("many.web.mooring", "AAAA", **options)
    cut, whole = house.ask("web", message), house.ask("web", message, stream=True)
    assert cut is not None
    assert whole is not None
    assert dns.message.from_wire(cut).flags & dns.flags.TC
    assert limit - 28 < len(cut) <= limit
    read = dns.message.from_wire(whole)
    assert (read.flags & dns.flags.TC, len(read.answer[0])) == (0, MANY)


def test_an_answer_is_not_much_more_than_its_question(house: House) -> None:
    """By UDP: four times for the rows of the table, and at the very most what goes in one piece. So much could somebody
    have sent to another whose address he writes as his own; and only addresses of his own network are answered."""
    most = 0.0
    for _, name, kind, _ in ROWS:
        message = query(name, kind, use_edns=0, payload=65535)
        reply = house.ask("web", message)
        assert reply is not None
        most = max(most, len(reply) / len(message))
    assert most < 4
    reply = house.ask("web", query("many.web.mooring", "AAAA", use_edns=0, payload=65535))
    assert reply is not None
    assert len(reply) <= UDP_BYTES
