"""Zones given out to the site's nameservers: SOA, NS, AXFR and IXFR (RFC 5936, RFC 1995), to who signs with a key.

Rules: who proves no key is told that, and costs no more than reading a small message, of which there are so many in a
second and no more; a transfer is made message by message, so that it needs the memory of one and lets others go first;
a secondary that does not read is given up, and of one address there are only so many connections, which end with the
first message that proves no key: who has none cannot keep the secondaries out.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import struct
import time
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import chain

import dns.exception
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rdtypes.ANY.SOA
import dns.tsig

from mooring.adapters.dns.host_sockets import host_sockets
from mooring.adapters.dns.tsig import KeyFile, Signature, Signer, signature_of
from mooring.core.faults import Fault
from mooring.core.networks import Address
from mooring.core.zones import Place, Record, Snapshot, is_in_zone, is_reverse
from mooring.services.containers.zone_export import ZoneExport
from mooring.wire.dns import framed
from mooring.wire.zone_messages import encode_message, encode_start, encode_zone_record, transfer_messages

log = logging.getLogger(__name__)

# Bytes of a question: with the longest names and signature it is shorter.
LONGEST, _HEADER_BYTES = 1024, 12
# Connections at once, and of one address; seconds after each message in which none is read.
CONNECTIONS, OF_ONE, PAUSE = 64, 8, 0.005
# Seconds that a connection may be idle or not read; and before its first message is there, as it has proved no key.
IDLE, FIRST = 30.0, 5.0
# Reverse zones that secondaries have asked for, and are told of from then on.
MOST_REVERSE = 64

_SOA, _NS = dns.rdatatype.SOA, dns.rdatatype.NS
_TRANSFERS = frozenset({dns.rdatatype.AXFR, dns.rdatatype.IXFR})


class ZoneAnswers:
    """What a message is answered with. nameservers: addresses of those who serve the zones, as the NS records say.

    asked: the reverse zones that somebody has asked for.
    """

    def __init__(self, export: ZoneExport, keys: KeyFile, nameservers: tuple[Address, ...]) -> None:
        self._export = export
        self._keys = keys
        zone = export.zone
        self._nameservers = {f"ns{number}.{zone}": address for number, address in enumerate(nameservers, 1)}
        self.asked: dict[str, None] = {}

    def replies(self, message: bytes, *, stream: bool, proved: Callable[[], None] = lambda: None) -> Iterator[bytes]:
        """The replies, made as they are asked for; none to what is no question. proved: is called before the first when
        the message proves a key. Raises nothing."""
        if not _HEADER_BYTES <= len(message) <= LONGEST or message[2] & 0x80:
            return
        try:
            query, signature = dns.message.from_wire(message, question_only=True), signature_of(message)
        except (dns.exception.DNSException, ValueError, struct.error):
            yield message[:2] + bytes((0x80, dns.rcode.FORMERR, 0, 0, 0, 0, 0, 0, 0, 0))
            return
        question = b"" if len(query.question) != 1 else _question(query)
        if not question or query.opcode() != dns.opcode.QUERY:
            yield message[:2] + bytes((0x80 | message[2] & 0x78, dns.rcode.NOTIMP, 0, 0, 0, 0, 0, 0, 0, 0))
        elif signature is None:
            yield encode_message(query.id, question, (), dns.rcode.REFUSED)
        else:
            yield from self._signed(message, signature, question, stream=stream, proved=proved)

    def _signed(
        self, message: bytes, signature: Signature, question: bytes, *, stream: bool, proved: Callable[[], None]
    ) -> Iterator[bytes]:
        """Replies to a message that somebody has signed, with whatever."""
        ident = int.from_bytes(message[:2], "big")
        refusal = encode_message(ident, question, (), dns.rcode.NOTAUTH)
        try:
            query = dns.message.from_wire(message, keyring=dict(self._keys.keys()))
        except Fault as fault:
            log.warning("a zone is not given out: %s", fault)
            yield encode_message(ident, question, (), dns.rcode.SERVFAIL)
        except dns.tsig.BadTime:  # signed, with their time, and ours beside it (RFC 8945, 5.2.3)
            key, theirs = self._keys.keys()[signature.name], signature.rdata
            now = int(time.time()).to_bytes(6, "big")
            yield Signer(key, theirs.mac).sign(refusal, dns.rcode.BADTIME, now, theirs.time_signed)
        except dns.tsig.BadSignature:
            yield signature.refuse(refusal, dns.rcode.BADSIG)
        except (dns.exception.DNSException, ValueError):
            yield signature.refuse(refusal, dns.rcode.BADKEY)
        else:
            assert isinstance(query.keyring, dns.tsig.Key)
            proved()
            signer = Signer(query.keyring, query.mac)
            for reply in self._answered(query, question, stream=stream):
                yield signer.sign(reply)

    def _answered(self, query: dns.message.Message, question: bytes, *, stream: bool) -> Iterator[bytes]:
        """Replies to who has proved a key."""
        asked = query.question[0]
        zone = asked.name.to_text(omit_final_dot=True).lower()
        snapshot = self._export.current
        if zone != self._export.zone and not is_reverse(zone):
            yield encode_message(query.id, question, (), dns.rcode.NOTAUTH)
            return
        if snapshot is None:  # in the first second after a start
            yield encode_message(query.id, question, (), dns.rcode.SERVFAIL)
            return
        if is_reverse(zone) and len(self.asked) < MOST_REVERSE:
            self.asked[zone] = None
        start = encode_start(zone, next(iter(self._nameservers)), snapshot.serial)
        if asked.rdtype == _SOA:
            yield encode_message(query.id, question, [start])
        elif asked.rdtype == _NS:
            yield encode_message(query.id, question, list(self._own_records(zone))[: len(self._nameservers)])
        elif asked.rdtype not in _TRANSFERS or asked.rdclass != dns.rdataclass.IN:
            yield encode_message(query.id, question, (), dns.rcode.REFUSED)
        elif asked.rdtype == dns.rdatatype.IXFR and (not stream or _serial(query) == snapshot.serial):
            yield encode_message(query.id, question, [start])  # nothing new; or: come again over TCP (RFC 1995, 4)
        elif not stream:
            yield encode_message(query.id, question, (), dns.rcode.FORMERR)
        else:
            log.info("zone %s, serial %s, is given out to who has key %s", zone, snapshot.serial, query.keyname)
            every = chain([start], self._own_records(zone), _records_in(zone, snapshot), [start])
            yield from transfer_messages(query.id, question, every)

    def _own_records(self, zone: str) -> Iterator[bytes]:
        """Who serves the zone, and where: the NS records first."""
        for name in self._nameservers:
            yield encode_zone_record(zone, zone, ("NS", name))
        for name, address in self._nameservers.items():
            if is_in_zone(name, zone):
                yield encode_zone_record(zone, name, ("A" if address.version == 4 else "AAAA", str(address)))


class ZoneServer:
    """Serves one address, from `open` until `close`."""

    def __init__(self, answers: ZoneAnswers) -> None:
        self._answers = answers
        self._datagram: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()
        self._of: Counter[str] = Counter()
        self._turn = asyncio.Lock()

    async def open(self, place: Place) -> None:
        """Both sockets are served. Raises OSError, and then neither is."""
        datagram, stream = host_sockets(*place)
        try:
            self._server = await asyncio.start_server(self._serve, sock=stream, limit=LONGEST + 2)
        except BaseException:
            datagram.close()
            raise
        self._datagram = datagram
        self._resume()

    async def close(self) -> None:
        """Nobody is answered any more."""
        if self._datagram is not None:
            asyncio.get_running_loop().remove_reader(self._datagram)
            self._datagram.close()
            self._datagram = None
        if self._server is not None:
            self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    def _resume(self) -> None:
        if self._datagram is not None:
            asyncio.get_running_loop().add_reader(self._datagram, self._read)

    def _read(self) -> None:
        assert self._datagram is not None
        with contextlib.suppress(OSError):  # there is none, or no room for the answer, which is lost as datagrams are
            message, source = self._datagram.recvfrom(LONGEST + 1)
            for reply in self._answers.replies(message, stream=False):
                self._datagram.sendto(reply, source)
        loop = asyncio.get_running_loop()
        loop.remove_reader(self._datagram)
        loop.call_later(PAUSE, self._resume)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, to its end."""
        task, peer = asyncio.current_task(), str((writer.get_extra_info("peername") or ("",))[0])
        assert task is not None
        if len(self._open) >= CONNECTIONS or self._of[peer] >= OF_ONE:
            writer.close()
            return
        self._open.add(task)
        self._of[peer] += 1
        try:
            await self._converse(reader, writer)
        except (TimeoutError, OSError, asyncio.IncompleteReadError):
            writer.transport.abort()
        finally:
            self._open.discard(task)
            self._of -= Counter((peer,))  # without those that have none
            writer.close()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until it is no client of DNS, or proves no key. Raises what a connection raises, TimeoutError for one that
        stands still."""
        proved = asyncio.Event()
        while True:
            async with asyncio.timeout(IDLE if proved.is_set() else FIRST):
                length = int.from_bytes(await reader.readexactly(2), "big")
                if not _HEADER_BYTES <= length <= LONGEST:
                    return
                message = await reader.readexactly(length)
            async with self._turn:
                await asyncio.sleep(PAUSE)
            proved.clear()
            for reply in self._answers.replies(message, stream=True, proved=proved.set):
                writer.write(framed(reply))
                async with asyncio.timeout(IDLE):
                    await writer.drain()
                await asyncio.sleep(0)
            if not proved.is_set():
                return


def in_words(place: Place, error: OSError) -> str:
    """Why it cannot be served, in one line."""
    address, port = place
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {address} is in use by another program"
    return f"{address} port {port}: {error.strerror}"


def _records_in(zone: str, snapshot: Snapshot) -> Iterator[bytes]:
    everybody = snapshot.reverse if is_reverse(zone) else snapshot.forward
    for name, records in everybody.items():
        if is_in_zone(name, zone):
            for record in sorted(records):
                if (encoded := _encoded(zone, name, record)) is not None:
                    yield encoded


def _encoded(zone: str, name: str, record: Record) -> bytes | None:
    try:
        return encode_zone_record(zone, name, record)
    except ValueError:  # too long for DNS
        return None


def _question(query: dns.message.Message) -> bytes:
    """As bytes, without compression."""
    asked = query.question[0]
    name = asked.name.to_wire()
    assert name is not None
    return name + int(asked.rdtype).to_bytes(2, "big") + int(asked.rdclass).to_bytes(2, "big")


def _serial(query: dns.message.Message) -> int | None:
    """What the secondary has already (RFC 1995, 3)."""
    for rrset in query.authority:
        for rdata in rrset:
            if isinstance(rdata, dns.rdtypes.ANY.SOA.SOA):
                return rdata.serial
    return None
