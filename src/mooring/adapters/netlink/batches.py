"""nf_tables spoken to by ourselves: transactions, and lists of what is there.

Rules: a batch is carried out whole or not at all; numbers are in network byte order, as nf_tables wants them. Layouts
are those of linux/netfilter/nfnetlink.h and nf_tables.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from mooring.adapters.netlink.sockets import (
    NETLINK_NETFILTER,
    NLM_F_ACK,
    Message,
    Netlink,
    NetlinkError,
    attribute,
    attributes,
    nest,
    text,
)

T = TypeVar("T")

_SUBSYSTEM = 10
_BATCH_BEGIN, _BATCH_END = 16, 17
NEW_TABLE, GET_TABLE, DELETE_TABLE, NEW_CHAIN, GET_CHAIN = ((_SUBSYSTEM << 8) | number for number in range(5))
NEW_RULE, GET_RULE, DELETE_RULE = ((_SUBSYSTEM << 8) | number for number in (6, 7, 8))
GET_SET, NEW_ELEMENTS, GET_ELEMENTS, DELETE_ELEMENTS = ((_SUBSYSTEM << 8) | number for number in (10, 12, 13, 14))
_GET_GENERATION, _GENERATION_ID = (_SUBSYSTEM << 8) | 16, 1

LIST_ELEMENT = 1
_ERROR = 2
# What a dump is of begins with its family: struct nfgenmsg.
HEAD = 4
_SO_SNDBUFFORCE, _SOL_NETLINK, _NO_ENOBUFS, _CAP_ACK = 32, 270, 5, 10
# How often what is there is read again, when somebody changes it meanwhile.
_TRIES = 100
_ATTRIBUTE = struct.Struct("=HH")


def family(name: str) -> bytes:
    """What a message about something of the family begins with."""
    return struct.pack(">BBH", {"inet": 1, "ip": 2, "bridge": 7, "ip6": 10}[name], 0, 0)


def number(kind: int, value: int) -> bytes:
    """A 32-bit attribute."""
    return attribute(kind, struct.pack(">i", value))


def expression(name: str, *parts: bytes) -> bytes:
    """One of those that a rule is made of."""
    return nest(LIST_ELEMENT, text(1, name), nest(2, *parts))


def listed(data: bytes) -> Iterator[bytes]:
    """What a list attribute holds."""
    offset = 0
    while offset + 4 <= len(data):
        length = _ATTRIBUTE.unpack_from(data, offset)[0]
        if length < 4:
            return
        yield data[offset + 4 : offset + length]
        offset += (length + 3) & ~3


class Batches(Netlink):
    """A socket for nf_tables. Raises OSError when there can be none."""

    def __init__(self) -> None:
        super().__init__(NETLINK_NETFILTER)
        # Refusals of a long batch do not fit into the buffer: less so with the messages in them, and of all but the
        # first nobody needs to know.
        for option in (_CAP_ACK, _NO_ENOBUFS):
            self._socket.setsockopt(_SOL_NETLINK, option, 1)

    def carry_out(self, *messages: Message) -> None:
        """All of them or none (net/netfilter/nfnetlink.c, nfnetlink_rcv_batch). Raises NetlinkError."""
        bound = Message(_BATCH_BEGIN, 0, struct.pack(">BBH", 0, 0, _SUBSYSTEM))
        begin, parts = self._sequence + 1, []
        for message in (bound, *messages, replace(bound, kind=_BATCH_END)):
            self._sequence += 1
            parts.append(self._frame(message, NLM_F_ACK if message is messages[-1] else 0))
        self._send(b"".join(parts))
        # What is refused is said of each, what is wrong with the whole of its beginning; all of it by now.
        while True:
            for kind, _, sequence, payload in self._receive():
                if kind != _ERROR or sequence < begin:
                    continue
                refused = -struct.unpack_from("=i", payload)[0]
                if refused:
                    self._drain()
                    raise NetlinkError(refused, os.strerror(refused))
                if sequence == self._sequence - 1:
                    return

    def carry_out_unless(self, refusal: int, *messages: Message) -> bool:
        """As `carry_out`; False when it is refused with that errno. Raises NetlinkError for any other."""
        try:
            self.carry_out(*messages)
        except NetlinkError as error:
            if error.errno != refusal:
                raise
            return False
        return True

    def list(self, message: Message) -> list[bytes]:
        """The attributes of each that a dump tells of. Raises NetlinkError."""
        return [payload[HEAD:] for _, payload in self.dump(message)]

    def unchanged(self, read: Callable[[], T]) -> T:
        """What `read` gives, of one moment. Raises NetlinkError, also when it is never the same for long enough."""
        for _ in range(_TRIES):
            before = self.generation()
            try:
                found = read()
            except NetlinkError as error:
                if error.errno != errno.EINTR:
                    raise
                continue
            if self.generation() == before:
                return found
        raise NetlinkError(errno.EINTR, "the rules change faster than they can be read")

    def generation(self) -> bytes:
        """Another after each transaction of anybody's in the namespace. Raises NetlinkError."""
        _, payload = self.ask(Message(_GET_GENERATION, 0, bytes(HEAD)))
        return attributes(payload[HEAD:])[_GENERATION_ID]

    def _drain(self) -> None:
        """What the kernel has said is passed over, so that there is room for more."""
        with suppress(BlockingIOError):
            while True:
                self._socket.recv(1, socket.MSG_DONTWAIT)

    def _send(self, data: bytes) -> None:
        """A batch goes in one write, and the kernel takes none that is longer than the buffer."""
        try:
            if len(data) > self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // 2:
                self._socket.setsockopt(socket.SOL_SOCKET, _SO_SNDBUFFORCE, len(data))
            self._socket.send(data)
        except OSError as error:
            raise NetlinkError(error.errno or errno.EIO, error.strerror or str(error)) from error
