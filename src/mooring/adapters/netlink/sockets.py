"""Netlink sockets: messages out, answers in.

Rules: the kernel carries out a request inside the call that sends it, so a socket blocks and belongs to a worker
thread; several requests go in one write, each with its own acknowledgement; a dump that the kernel says was interrupted
is asked again. Layouts are those of linux/netlink.h and linux/rtnetlink.h, in host byte order. A socket stays in the
network namespace of the thread that made it.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

NETLINK_ROUTE = 0
NETLINK_NETFILTER = 12

NLM_F_REQUEST = 0x01
NLM_F_ACK = 0x04
NLM_F_DUMP_INTR = 0x10
NLM_F_REPLACE = 0x100
NLM_F_EXCL = 0x200
NLM_F_DUMP = 0x300
NLM_F_CREATE = 0x400
NLM_F_APPEND = 0x800
_F_CAPPED = 0x100
_F_ACK_TLVS = 0x200

_ERROR = 2
_DONE = 3
_SO_NETNS_COOKIE = 71
_SOL_NETLINK = 270
_EXT_ACK = 11
_GET_STRICT_CHK = 12
_NLA_TYPE_MASK = 0x3FFF
_NLA_NESTED = 0x8000
_NLMSGERR_ATTR_MSG = 1

_HEADER = struct.Struct("=IHHII")
_ATTRIBUTE = struct.Struct("=HH")
_ERRNO = struct.Struct("=i")

_RECEIVE = 1 << 17
_DUMP_TRIES = 10
# Messages in one write, so that the answers fit into the socket's buffer if all of them are refused.
_TOGETHER = 100


class NetlinkError(OSError):
    """The kernel refused a request. strerror: its own words where it gives some."""


@dataclass(frozen=True, slots=True)
class Message:
    """One request: message type, flags beyond REQUEST and ACK, and the payload."""

    kind: int
    flags: int
    payload: bytes


def attribute(kind: int, data: bytes = b"") -> bytes:
    """One attribute, padded to four bytes."""
    return _ATTRIBUTE.pack(len(data) + 4, kind) + data + bytes(-len(data) % 4)


def nest(kind: int, *attributes: bytes) -> bytes:
    """An attribute that holds others."""
    return attribute(kind | _NLA_NESTED, b"".join(attributes))


def text(kind: int, value: str) -> bytes:
    """A zero-terminated text attribute."""
    return attribute(kind, value.encode() + b"\0")


def u32(kind: int, value: int) -> bytes:
    """A 32-bit attribute in host byte order."""
    return attribute(kind, struct.pack("=I", value))


def u8(kind: int, value: int) -> bytes:
    """An 8-bit attribute."""
    return attribute(kind, bytes([value]))


def attributes(data: bytes) -> dict[int, bytes]:
    """The attributes by kind; of several of one kind the last. What is cut short is left out."""
    # Called for every link of the host, fifty attributes each: plain, for speed.
    found: dict[int, bytes] = {}
    unpack = _ATTRIBUTE.unpack_from
    offset, end = 0, len(data) - 3
    while offset < end:
        length, kind = unpack(data, offset)
        if length < 4 or offset + length > end + 3:
            break
        found[kind & _NLA_TYPE_MASK] = data[offset + 4 : offset + length]
        offset += (length + 3) & ~3
    return found


def as_text(data: bytes | None) -> str:
    """A text attribute's value, "" when absent."""
    return data.rstrip(b"\0").decode(errors="replace") if data else ""


def as_u32(data: bytes | None) -> int:
    """A 32-bit attribute's value, 0 when absent."""
    return int(struct.unpack("=I", data)[0]) if data and len(data) == 4 else 0


class Netlink:
    """A socket of one netlink family. Raises OSError when there can be none."""

    def __init__(self, family: int = NETLINK_ROUTE) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, family)
        self._sequence = 0
        try:
            self._socket.bind((0, 0))
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
            for option in (_EXT_ACK, _GET_STRICT_CHK):
                try:
                    self._socket.setsockopt(_SOL_NETLINK, option, 1)
                except OSError:
                    continue  # an older kernel: its errors are just less wordy
        except OSError:
            self._socket.close()
            raise

    def cookie(self) -> int | None:
        """SO_NETNS_COOKIE of the socket's namespace (socket(7)); None where the kernel has none."""
        try:
            return int.from_bytes(self._socket.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8), sys.byteorder)
        except OSError:
            return None

    def close(self) -> None:
        """Let go of the socket."""
        self._socket.close()

    def request(self, *messages: Message) -> None:
        """Carry out the messages in order, in one write. Raises NetlinkError for the first that was refused.

        Those after a refused one are carried out all the same: send together only what may be.
        """
        first = self._sequence + 1
        parts = []
        for message in messages:
            self._sequence += 1
            parts.append(self._frame(message, NLM_F_ACK))
        self._socket.send(b"".join(parts))
        refused: NetlinkError | None = None
        waiting = set(range(first, self._sequence + 1))
        while waiting:
            for kind, flags, sequence, payload in self._receive():
                if kind == _ERROR and sequence in waiting:
                    waiting.discard(sequence)
                    refused = refused or _refusal(flags, payload)
        if refused is not None:
            raise refused

    def request_each(self, messages: Sequence[Message]) -> list[NetlinkError | None]:
        """Carry out the messages in order, however many, as few writes as may be; of each, why it was refused."""
        outcome: list[NetlinkError | None] = []
        for begin in range(0, len(messages), _TOGETHER):
            part = messages[begin : begin + _TOGETHER]
            first = self._sequence + 1
            self._sequence += len(part)
            # Who is refused is told without asking, and the last answer comes last.
            frames = [
                self._frame(message, 0 if number < self._sequence else NLM_F_ACK, number)
                for number, message in enumerate(part, first)
            ]
            self._socket.send(b"".join(frames))
            told: list[NetlinkError | None] = [None] * len(part)
            last = 0
            while last < self._sequence:
                for kind, flags, sequence, payload in self._receive():
                    if kind == _ERROR and first <= sequence <= self._sequence:
                        last, told[sequence - first] = sequence, _refusal(flags, payload)
            outcome += told
        return outcome

    def ask(self, message: Message) -> tuple[int, bytes]:
        """The one answer to a message: its type and payload. Raises NetlinkError."""
        self._sequence += 1
        self._socket.send(self._frame(message, 0))
        while True:
            for kind, flags, sequence, payload in self._receive():
                if sequence != self._sequence:
                    continue
                if kind == _ERROR:
                    raise _refusal(flags, payload) or NetlinkError(0, "no answer")
                return kind, payload

    def ask_each(self, messages: Sequence[Message]) -> list[bytes]:
        """The payloads of the answers to those of the messages that were not refused, asked in one write.

        The socket's buffer must hold all answers: some hundred at most.
        """
        first = self._sequence + 1
        parts = []
        for message in messages:
            self._sequence += 1
            parts.append(self._frame(message, 0))
        self._socket.send(b"".join(parts))
        waiting = set(range(first, self._sequence + 1))
        found = []
        while waiting:
            for kind, _, sequence, payload in self._receive():
                if sequence in waiting:
                    waiting.discard(sequence)
                    if kind != _ERROR:
                        found.append(payload)
        return found

    def dump(self, message: Message, wanted: Callable[[bytes], bool] | None = None) -> list[tuple[int, bytes]]:
        """Every answer to a dump, of one moment; only those whose payload is wanted are kept, as they come in. Raises
        NetlinkError, also when it is interrupted ten times."""
        for _ in range(_DUMP_TRIES):
            self._sequence += 1
            self._socket.send(self._frame(message, NLM_F_DUMP))
            found = self._collect(wanted)
            if found is not None:
                return found
        raise NetlinkError(errno.EINTR, "the kernel's tables change faster than they can be read")

    def _collect(self, wanted: Callable[[bytes], bool] | None) -> list[tuple[int, bytes]] | None:
        found: list[tuple[int, bytes]] = []
        interrupted = False
        while True:
            for kind, flags, sequence, payload in self._receive():
                if sequence != self._sequence:
                    continue
                interrupted = interrupted or bool(flags & NLM_F_DUMP_INTR)
                if kind == _DONE:
                    return None if interrupted else found
                if kind == _ERROR:
                    refusal = _refusal(flags, payload)
                    if refusal is not None:
                        raise refusal
                    continue
                if wanted is None or wanted(payload):
                    found.append((kind, payload))

    def _frame(self, message: Message, flags: int, sequence: int | None = None) -> bytes:
        length = len(message.payload) + _HEADER.size
        number = self._sequence if sequence is None else sequence
        header = _HEADER.pack(length, message.kind, NLM_F_REQUEST | message.flags | flags, number, 0)
        return header + message.payload + bytes(-length % 4)

    def _receive(self) -> Sequence[tuple[int, int, int, bytes]]:
        data = self._socket.recv(_RECEIVE)
        found = []
        offset = 0
        while offset + _HEADER.size <= len(data):
            length, kind, flags, sequence, _ = _HEADER.unpack_from(data, offset)
            if length < _HEADER.size:
                break
            found.append((kind, flags, sequence, data[offset + _HEADER.size : offset + length]))
            offset += length + (-length % 4)
        return found


def _refusal(flags: int, payload: bytes) -> NetlinkError | None:
    """The error of an NLMSG_ERROR, None for an acknowledgement. include/uapi/linux/netlink.h, nlmsgerr."""
    number = -_ERRNO.unpack_from(payload)[0]
    if number == 0:
        return None
    words = ""
    if flags & _F_ACK_TLVS:
        echoed = _HEADER.unpack_from(payload, 4)[0]
        start = 4 + (_HEADER.size if flags & _F_CAPPED else echoed + (-echoed % 4))
        told: Mapping[int, bytes] = attributes(payload[start:])
        words = as_text(told.get(_NLMSGERR_ATTR_MSG))
    return NetlinkError(number, words or os.strerror(number))
