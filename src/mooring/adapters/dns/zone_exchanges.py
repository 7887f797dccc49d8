"""Asking the site's nameservers: one signed message, one signed reply, or one line that says why there was none."""

from __future__ import annotations

import asyncio
import os
import socket
from collections.abc import Iterator

import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdatatype
import dns.rrset
import dns.tsig

from mooring.core.faults import Unavailable
from mooring.core.networks import Address
from mooring.core.zones import Place
from mooring.wire.dns import framed

# Seconds for an answer.
WAIT = 5.0
_DATAGRAM = 4096

_LATE = "its clock and this host's differ by more than five minutes"
_WORDS = {
    "PeerBadKey": "BADKEY: it does not know the key", "PeerBadSignature": "BADSIG: its secret is another",
    "PeerBadTime": f"BADTIME: {_LATE}", "BadTime": f"BADTIME: {_LATE}", }  # fmt: skip


class NoPrimary(Unavailable):
    """A secondary has refused a notice: it has no such zone from here. `zone_is_unknown`: or not at all."""

    def __init__(self, rcode: dns.rcode.Rcode, zone: str) -> None:
        super().__init__(f"{dns.rcode.to_text(rcode)}: it does not take this host for a primary of {zone}")
        self.zone_is_unknown = rcode == dns.rcode.NOTAUTH


async def ask(
    message: dns.message.Message, place: Place, key: dns.tsig.Key, source: Address | None = None
) -> dns.message.Message:
    """The reply to the message, which is signed with the key and sent over TCP; with a source, from there by UDP.

    Its rcode may be any. Raises Unavailable, which says in one line why there is none. (dns.asyncquery would do, but
    its wait_for can lose a cancellation, until Python 3.12.)
    """
    message.use_tsig(key)
    wire = message.to_wire()
    try:
        async with asyncio.timeout(WAIT):
            answer = await (_by_stream(wire, place) if source is None else _by_datagram(wire, place, source))
        reply = dns.message.from_wire(answer, keyring=key, request_mac=message.mac or b"")
    except (dns.exception.DNSException, OSError, EOFError) as error:
        raise _unavailable(error) from error
    if not (reply.had_tsig and message.is_response(reply)):
        raise Unavailable(f"its reply is not signed ({dns.rcode.to_text(reply.rcode())})")
    return reply


async def _by_stream(wire: bytes, place: Place) -> bytes:
    reader, writer = await asyncio.open_connection(str(place[0]), place[1])
    try:
        writer.write(framed(wire))
        return await reader.readexactly(int.from_bytes(await reader.readexactly(2), "big"))
    finally:
        writer.close()


async def _by_datagram(wire: bytes, place: Place, source: Address) -> bytes:
    loop = asyncio.get_running_loop()
    family = socket.AF_INET if source.version == 4 else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as made:
        made.bind((str(source), 0))
        made.connect((str(place[0]), place[1]))
        await loop.sock_sendall(made, wire)
        return await loop.sock_recv(made, _DATAGRAM)


async def notify(place: Place, source: Address, zone: str, key: dns.tsig.Key) -> None:
    """The secondary has been told that the zone is another (RFC 1996). source: where it takes us to be.

    Raises NoPrimary, or another Unavailable, which says why not.
    """
    message = dns.message.make_query(zone, dns.rdatatype.SOA, flags=dns.flags.AA)
    message.set_opcode(dns.opcode.NOTIFY)
    rcode = (await ask(message, place, key, source)).rcode()
    if rcode != dns.rcode.NOERROR:
        raise NoPrimary(rcode, zone)


def texts_of(place: Place, zone: str, key: dns.tsig.Key) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The names in the zone that have TXT records, with the strings of each, by a transfer. For a thread.

    Messages between may be unsigned, up to the last (RFC 8945, 5.3.1). Raises Unavailable.
    """
    query = dns.message.make_query(zone, dns.rdatatype.AXFR, flags=0)
    query.use_tsig(key)
    try:
        with socket.create_connection((str(place[0]), place[1]), WAIT) as made, made.makefile("rb") as stream:
            made.sendall(framed(query.to_wire()))
            starts, context, signed = 0, None, False
            while starts < 2 or not signed:
                message = stream.read(int.from_bytes(stream.read(2), "big"))
                reply = dns.message.from_wire(
                    message, keyring=key, request_mac=query.mac, xfr=True, tsig_ctx=context, multi=True
                )
                context, signed = reply.tsig_ctx, reply.had_tsig
                if reply.rcode() != dns.rcode.NOERROR:
                    raise Unavailable(f"{dns.rcode.to_text(reply.rcode())}: zone {zone} is not given out to the key")
                for rrset in reply.answer:
                    starts += rrset.rdtype == dns.rdatatype.SOA
                    yield from texts_in(rrset)
    except (dns.exception.DNSException, OSError) as error:
        raise _unavailable(error) from error


def texts_in(rrset: dns.rrset.RRset) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Its name, and the strings of each of its TXT records."""
    if rrset.rdtype == dns.rdatatype.TXT:
        name = rrset.name.to_text(omit_final_dot=True).lower()
        for rdata in rrset:
            yield name, tuple(part.decode("ascii", "replace") for part in rdata.strings)


def _unavailable(error: Exception) -> Unavailable:
    if isinstance(error, OSError):
        return Unavailable(os.strerror(error.errno) if error.errno else f"no answer within {WAIT:g} s")
    if isinstance(error, EOFError):
        return Unavailable("it closed the connection without an answer")
    return Unavailable(_WORDS.get(type(error).__name__, f"its reply cannot be used: {error}"))
