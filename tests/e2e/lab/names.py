"""Names asked for from any network namespace, and a nameserver of the world outside.

Rules: as in traffic: sockets are made on a thread in the namespace; what is told is short enough to be compared.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.e2e.lab.namespaces import in_network

WAIT = 5.0  # seconds for what should be answered
# A question goes out by UDP once a second, as a resolver's would: one that was lost, or was sent before anybody
# listened, is never answered.
AGAIN = 1.0

# Docker's resolver in a container, and the daemon's server on the host.
RESOLVER, SERVER, SERVER6 = "127.0.0.11", "169.254.53.53", "fd6d:6f6f:7269:6e67:ffff::53"


def ask(
    network: str, name: str, kind: str = "A", server: str = SERVER, *, tcp: bool = False, wait: float = WAIT
) -> str:
    """What the server says to one who asks in the namespace: records in order, or else the rcode, or `silence` when it
    says nothing for so many seconds; `refused` when nobody listens."""
    message = dns.message.make_query(name, kind)
    client = dns.query.tcp if tcp else dns.query.udp

    def once(seconds: float) -> dns.message.Message | str:
        try:
            return client(message, server, timeout=seconds)
        except dns.exception.Timeout:
            return "silence"
        except OSError:
            return "refused"

    def work() -> str:
        tries = 1 if tcp else max(1, int(wait / AGAIN))
        replies = (once(wait / tries) for _ in range(tries))
        reply = next((each for each in replies if each != "silence"), "silence")
        if isinstance(reply, str):
            return reply
        found = [str(each) for rrset in reply.answer for each in rrset if rrset.rdtype == dns.rdatatype.from_text(kind)]
        return " ".join(sorted(found)) or dns.rcode.to_text(reply.rcode())

    return in_network(network, work)


def flood(network: str, message: bytes, count: int) -> None:
    """So many datagrams to the server, as fast as they go, and no look at what comes back."""

    def work() -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
            made.connect((SERVER, 53))
            for _ in range(count):
                made.send(message)

    in_network(network, work)


@contextlib.contextmanager
def upstream(network: str, address: str) -> Iterator[None]:
    """A nameserver at port 53 of the namespace, by UDP, which has the address for every name."""

    def listen() -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind(("0.0.0.0", 53))
        made.settimeout(0.1)
        return made

    def serve() -> None:
        while not over.is_set():
            with contextlib.suppress(TimeoutError):
                data, client = served.recvfrom(4096)
                reply = dns.message.make_response(dns.message.from_wire(data))
                if reply.question[0].rdtype == dns.rdatatype.A:
                    reply.answer.append(dns.rrset.from_text(reply.question[0].name, 60, "IN", "A", address))
                served.sendto(reply.to_wire(), client)

    over, served = threading.Event(), in_network(network, listen)
    thread = threading.Thread(target=serve, name="upstream")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        served.close()
