"""Echo requests (RFC 792, RFC 4443), many at once, by raw sockets: ping sockets are the site's to allow, by group.

Rules: a request is sent up to three times, and all is over in under a second; sockets are made where the source is, a
thread waits for the answers; what could not be sent proves nothing.
"""

from __future__ import annotations

import asyncio
import errno
import os
import selectors
import socket
import struct
import time
from collections.abc import Collection, Mapping
from contextlib import ExitStack, suppress
from functools import partial

from mooring.core.faults import Fault
from mooring.core.networks import Address
from mooring.core.overlay_paths import Answer, Echo
from mooring.ports import Echoes, Kernel

# Seconds after which what was not answered is sent again, and after which all is over.
SENT = (0.0, 0.2, 0.4)
LAST = 0.8
# Requests after which answers are read, so that they find room.
BURST = 32
# Bytes of answers that one socket may have unread.
UNREAD = 1 << 20

# linux/icmp.h, linux/in.h, linux/icmpv6.h, linux/in6.h
_SOL_RAW, _ICMP_FILTER, _ICMPV6_FILTER = 255, 1, 1
_IP_MTU_DISCOVER, _IPV6_MTU_DISCOVER, _IPV6_DONTFRAG, _PROBE = 10, 23, 62, 3
_REQUEST, _REPLY = {4: 8, 6: 128}, {4: 0, 6: 129}
_HEAD = struct.Struct(">BBHHH")
_IP_HEADER = {4: 20, 6: 40}
_TOKEN = 8
# One datagram, and the largest.
_LARGEST = 65535

_Place = tuple[int, Address]


class IcmpEchoes(Echoes):
    """Asks from the namespaces that the kernel's adapter is in."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel

    async def ask(self, echoes: Collection[Echo]) -> Mapping[Echo, Answer]:
        """See Echoes."""
        places: dict[int, set[Address]] = {}
        for echo in echoes:
            places.setdefault(echo.domain, set()).add(echo.source)
        with ExitStack() as opened:
            sockets: dict[_Place, socket.socket] = {}
            for domain, sources in places.items():
                with suppress(Fault):  # what is asked from there is unasked
                    for source, made in (await self._kernel.in_domain(domain, partial(_open, sources))).items():
                        sockets[domain, source] = opened.enter_context(made)
            asking = opened.pop_all()  # the thread may outlive who waits for it
        return await asyncio.to_thread(_ask, [*echoes], sockets, asking)


def _open(sources: Collection[Address]) -> dict[Address, socket.socket]:
    """A socket for each of the addresses that this namespace has, as far as we may."""
    found: dict[Address, socket.socket] = {}
    for source in sources:
        with suppress(OSError):
            found[source] = _opened(source)
    return found


def _opened(source: Address) -> socket.socket:
    """Hears answers alone, and sends in no fragments. Raises OSError."""
    four = source.version == 4
    family, protocol = (
        (socket.AF_INET, socket.IPPROTO_ICMP) if four else (socket.AF_INET6, socket.IPPROTO_ICMPV6)
    )  # fmt: skip
    made = socket.socket(family, socket.SOCK_RAW | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK, protocol)
    try:
        if four:
            made.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", ~(1 << _REPLY[4]) & 0xFFFFFFFF))
            made.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PROBE)
        else:
            words = [0xFFFFFFFF] * 8
            words[_REPLY[6] // 32] &= ~(1 << _REPLY[6] % 32)
            made.setsockopt(socket.IPPROTO_ICMPV6, _ICMPV6_FILTER, struct.pack("=8I", *words))
            made.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PROBE)
            made.setsockopt(socket.IPPROTO_IPV6, _IPV6_DONTFRAG, 1)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, UNREAD)
        made.bind((str(source), 0))
    except OSError:
        made.close()
        raise
    return made


class _Asking:
    """One round of questions. token: what our requests, and so their answers, have in them."""

    def __init__(self, echoes: list[Echo], sockets: dict[_Place, socket.socket]) -> None:
        self._echoes, self._sockets = echoes, sockets
        self._token, self._ident = os.urandom(_TOKEN), int.from_bytes(os.urandom(2), "big")
        self._sent: set[int] = set()
        self.open = {n for n, echo in enumerate(echoes) if (echo.domain, echo.source) in sockets}
        self.answered: set[int] = set()

    def send(self) -> None:
        """All that is open, once more."""
        for count, number in enumerate(sorted(self.open), 1):
            echo = self._echoes[number]
            try:
                self._sockets[echo.domain, echo.source].sendto(self._request(number, echo), (str(echo.target), 0))
                self._sent.add(number)
            except OSError as error:
                if error.errno == errno.ENOBUFS:  # it went, and the interface has dropped it (ip(7))
                    self._sent.add(number)
            if count % BURST == 0:
                for place in self._sockets:
                    self.read(place)

    def read(self, place: _Place) -> None:
        """What one socket has."""
        with suppress(OSError):
            while True:
                data, (sender, *_) = self._sockets[place].recvfrom(_LARGEST)
                if place[1].version == 4:
                    data = data[(data[0] & 15) * 4 :]
                number = self._answer_to(place[1].version, data)
                if number is not None and str(self._echoes[number].target) == sender.partition("%")[0]:
                    self.answered.add(number)
                    self.open.discard(number)

    def result(self) -> dict[Echo, Answer]:
        """What became of each."""
        unanswered = {
            echo: Answer.NO if number in self._sent else Answer.UNASKED for number, echo in enumerate(self._echoes)
        }
        return unanswered | {self._echoes[number]: Answer.YES for number in self.answered}

    def _request(self, number: int, echo: Echo) -> bytes:
        version = echo.source.version
        head, said = (_REQUEST[version], 0), self._token + struct.pack(">I", number)
        rest = self._ident, number & 0xFFFF
        # The kernel's for IPv6; what follows is zeros, which add nothing.
        checksum = _checksum(_HEAD.pack(*head, 0, *rest) + said) if version == 4 else 0
        return (_HEAD.pack(*head, checksum, *rest) + said).ljust(echo.size - _IP_HEADER[version], b"\0")

    def _answer_to(self, version: int, data: bytes) -> int | None:
        """The request that this is the answer to."""
        if len(data) < _HEAD.size + _TOKEN + 4 or data[0] != _REPLY[version]:
            return None
        if data[_HEAD.size : _HEAD.size + _TOKEN] != self._token:
            return None
        number = int.from_bytes(data[_HEAD.size + _TOKEN : _HEAD.size + _TOKEN + 4], "big")
        return number if number < len(self._echoes) else None


def _ask(echoes: list[Echo], sockets: dict[_Place, socket.socket], opened: ExitStack) -> dict[Echo, Answer]:
    """Ask and wait; the sockets are closed then."""
    asking = _Asking(echoes, sockets)
    with opened, selectors.DefaultSelector() as selector:
        for place, each in sockets.items():
            selector.register(each, selectors.EVENT_READ, place)
        began = time.monotonic()
        for until in (*SENT[1:], LAST):
            asking.send()
            while asking.open and (left := began + until - time.monotonic()) > 0:
                for key, _ in selector.select(left):
                    asking.read(key.data)
        for place in sockets:
            asking.read(place)  # a busy machine's last moment is one of its answers
    return asking.result()


def _checksum(data: bytes) -> int:
    """RFC 1071. data has an even length."""
    total: int = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
