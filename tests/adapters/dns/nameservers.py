"""A little nameserver for tests, and clients, in any namespace.

Rules: every name has the address that the server was made with; how it misbehaves is its `manner`; it remembers what
it was asked.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import ExitStack, nullcontext
from ipaddress import ip_address
from typing import TypeVar, cast

import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset

from mooring.core.names import A
from tests.netns.rigs import Namespace

T = TypeVar("T")
# Seconds that a client waits for a reply that must come.
PATIENCE = 10.0


def query(name: str, kind: int = A, **options: object) -> dns.message.Message:
    """A question."""
    return dns.message.make_query(name, dns.rdatatype.RdataType(kind), **options)  # type: ignore[arg-type]


def texts(reply: dns.message.Message) -> list[str]:
    """Its answers, without owner."""
    return [str(record) for rrset in reply.answer for record in rrset]


async def within(space: Namespace | None, work: Callable[[], T]) -> T:
    """Do what blocks in a thread, in the namespace."""

    def go() -> T:
        with space.inside() if space is not None else nullcontext():
            return work()

    return await asyncio.to_thread(go)


async def ask(
    space: Namespace | None, message: dns.message.Message, *, tcp: bool = False, port: int = 53
) -> dns.message.Message:
    """The resolver's reply to a dnspython client in the namespace, which checks id, question and source address."""
    client = dns.query.tcp if tcp else dns.query.udp
    where = "127.0.0.11" if port == 53 else "127.0.0.1"
    return await within(space, lambda: client(message, where, timeout=PATIENCE, port=port))


async def ask_anybody(space: Namespace, message: dns.message.Message) -> dns.message.Message | None:
    """As `ask`; None when the kernel says that nobody answers there."""

    def go() -> bytes | None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(PATIENCE)
            client.connect(("127.0.0.11", 53))
            try:
                client.send(message.to_wire())
                return client.recv(4096)
            except ConnectionRefusedError:
                return None

    reply = await within(space, go)
    return dns.message.from_wire(reply) if reply is not None else None


class Nameserver(asyncio.DatagramProtocol):
    """manner: "" as it should be; "mute" to UDP and TCP; "servfail"; "refused"; "forged": answers with a wrong id and
    with a wrong question come first; "lying": only those come; "short": TC over UDP; "bare": FORMERR, header only."""

    def __init__(self, address: str, manner: str = "") -> None:
        self.address = address
        self.manner = manner
        self.idents: list[int] = []
        self.heard: asyncio.Queue[str] = asyncio.Queue()
        self.streams = 0
        self.port = 0
        self.writers: list[asyncio.StreamWriter] = []

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.DatagramProtocol."""
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        """See asyncio.DatagramProtocol."""
        for reply in self._replies(data, udp=True):
            self._transport.sendto(reply, address)

    async def on_stream(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One TCP client."""
        self.writers.append(writer)
        self.streams += 1
        try:
            while True:
                size = int.from_bytes(await reader.readexactly(2), "big")
                for reply in self._replies(await reader.readexactly(size), udp=False):
                    # In two parts, as a network may deliver it.
                    framed = len(reply).to_bytes(2, "big") + reply
                    writer.write(framed[:5])
                    await asyncio.sleep(0)
                    writer.write(framed[5:])
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def hang_up(self) -> None:
        """Close what clients have opened."""
        for writer in self.writers:
            writer.close()

    def _replies(self, data: bytes, *, udp: bool) -> list[bytes]:
        asked = dns.message.from_wire(data)
        self.idents.append(asked.id)
        self.heard.put_nowait(asked.question[0].name.to_text(omit_final_dot=True))
        reply = dns.message.make_response(asked)
        kind = asked.question[0].rdtype
        if self.manner == "mute":
            return []
        if self.manner in ("servfail", "refused"):
            reply.set_rcode(dns.rcode.SERVFAIL if self.manner == "servfail" else dns.rcode.REFUSED)
        elif self.manner == "short" and udp:
            reply.flags |= dns.flags.TC
        elif self.manner == "bare":
            return [data[:2] + b"\x81\x81" + b"\0" * 8]
        else:
            name = asked.question[0].name
            reply.answer.append(dns.rrset.from_text(name, 60, "IN", dns.rdatatype.to_text(kind), self.address))
        right = reply.to_wire()
        forged = [(asked.id ^ 1).to_bytes(2, "big") + right[2:]]
        forged.append(dns.message.make_response(query("elsewhere", id=asked.id)).to_wire())
        return {"forged": [*forged, right], "lying": forged}.get(self.manner, [right])


async def nameserver(
    stack: ExitStack, space: Namespace | None, address: str, manner: str = "", *, at: str = "", port: int = 53
) -> Nameserver:
    """A server for UDP and TCP at the address, which all names have, or at another one."""
    where = at or address
    family = socket.AF_INET if ip_address(where).version == 4 else socket.AF_INET6
    made = Nameserver(address, manner)
    with space.inside() if space is not None else nullcontext():
        datagram, stream = (
            socket.socket(family, kind | socket.SOCK_NONBLOCK) for kind in (socket.SOCK_DGRAM, socket.SOCK_STREAM)
        )
    stream.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    stream.bind((where, port))
    datagram.bind((where, port or stream.getsockname()[1]))
    datagram.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: made, sock=datagram)
    stack.callback(transport.close)
    server = await asyncio.start_server(made.on_stream, sock=stream)
    stack.callback(made.hang_up)
    stack.callback(server.close)
    made.port = stream.getsockname()[1]
    return made
