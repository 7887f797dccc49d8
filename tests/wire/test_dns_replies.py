"""Replies that are kept: for as long as they say, within bounds, and as they were but for their age."""

from __future__ import annotations

import itertools

import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mooring.wire.dns_replies import LONGEST, LONGEST_NEGATIVE, aged, kept_for, with_question

SOA = "ns.example.org. root.example.org. 1 3600 600 86400 {}"


def reply(*answers: tuple[str, int, str, str], negative: int | None = None, **more: object) -> bytes:
    """To a question for www.example.org. answers: owner, TTL, type, data. negative: the minimum of a SOA."""
    made = dns.message.make_response(dns.message.make_query("www.example.org", "A", use_edns=True, id=7))
    for owner, ttl, kind, data in answers:
        made.answer.append(dns.rrset.from_text(owner, ttl, "IN", kind, data))
    if negative is not None:
        made.authority.append(dns.rrset.from_text("example.org.", 300, "IN", "SOA", SOA.format(negative)))
    made.set_rcode(more.pop("rcode", dns.rcode.NOERROR))  # type: ignore[arg-type]
    made.flags |= int(more.pop("flags", 0))  # type: ignore[call-overload]
    return made.to_wire()


A, CNAME = ("www.example.org.", 60, "A", "192.0.2.1"), ("www.example.org.", 20, "CNAME", "web.example.org.")


@pytest.mark.parametrize(
    ("message", "seconds"),
    [
        (reply(A), 60),
        (reply(CNAME, ("web.example.org.", 60, "A", "192.0.2.1")), 20),
        (reply(("www.example.org.", 1 << 30, "A", "192.0.2.1")), LONGEST),
        (reply(("www.example.org.", 0, "A", "192.0.2.1")), None),
        # Nothing there: as long as the zone says, and never long.
        (reply(negative=7), 7),
        (reply(negative=86400), LONGEST_NEGATIVE),
        (reply(negative=7, rcode=dns.rcode.NXDOMAIN), 7),
        (reply(rcode=dns.rcode.NXDOMAIN), None),
        (reply(), None),
        # What is no answer, or not all of one.
        (reply(A, rcode=dns.rcode.SERVFAIL), None),
        (reply(A, rcode=dns.rcode.REFUSED), None),
        (reply(A, flags=dns.flags.TC), None),
        (reply(A)[:-1], None),
        (reply(A)[:20], None),
    ],
    ids=itertools.count(),
)
def test_a_reply_is_kept_for_as_long_as_it_says(message: bytes, seconds: int | None) -> None:
    """The shortest time of its records, within bounds (RFC 2308, RFC 2181)."""
    told = kept_for(message)
    assert (told[0] if told is not None else None) == seconds


def test_what_is_kept_grows_old() -> None:
    """Every record's time is less, none below zero, the EDNS flags stay, and nothing else changes."""
    message = reply(CNAME, ("web.example.org.", 60, "A", "192.0.2.1"))
    told = kept_for(message)
    assert told is not None
    old = dns.message.from_wire(aged(message, told[1], 30))
    assert [rrset.ttl for rrset in old.answer] == [0, 30]
    assert old.edns == 0
    assert aged(message, told[1], 0) is message


def test_a_client_gets_its_own_letters_back() -> None:
    """Who mixes cases to be safe from forgers (0x20) must see the same ones."""
    asked = dns.message.make_query("WwW.eXample.ORG", "A").to_wire()
    section = asked[12:]
    got = dns.message.from_wire(with_question(reply(A), section))
    assert got.question[0].name.to_text() == "WwW.eXample.ORG."
    assert got.answer[0].to_text() == "WwW.eXample.ORG. 60 IN A 192.0.2.1"


@given(st.binary(max_size=120))
def test_no_bytes_do_harm(junk: bytes) -> None:
    """What cannot be read is not kept."""
    message = reply(A)
    for made in (message[:12] + junk, message[: 12 + len(junk)] + junk):
        told = kept_for(made)
        if told is not None:
            assert len(aged(made, told[1], 5)) == len(made)
