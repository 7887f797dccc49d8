"""The nftables table that leads a namespace's queries to the embedded resolver.

Rules: one transaction each time, in the calling thread's network namespace; spoken to the kernel by ourselves, because
libnftables waits with select(2), and then glibc ends a process that has 1024 files open, as one with some hundred
sandboxes has; a table has its owner in its chain's name, and is nobody else's to change; nobody waits for an RCU grace
period but who takes a table away, by its number, so that this may be done late: a later one of that name stays.
Layouts are those of linux/netfilter/nf_tables.h.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address

from mooring.adapters.netlink.sockets import (
    NETLINK_NETFILTER,
    NLM_F_ACK,
    NLM_F_CREATE,
    NLM_F_EXCL,
    Message,
    Netlink,
    NetlinkError,
    attribute,
    attributes,
    nest,
    text,
)
from mooring.core.faults import Conflict, Unavailable

_TABLE = "mooring_resolver"
_PRIORITY = -100  # where destinations are translated: linux/netfilter_ipv4.h, NF_IP_PRI_NAT_DST

_SUBSYSTEM = 10
_BATCH_BEGIN, _BATCH_END = 16, 17
_NEW_TABLE, _GET_TABLE, _DELETE_TABLE, _NEW_CHAIN, _NEW_RULE, _DELETE_RULE = (
    (_SUBSYSTEM << 8) | number for number in (0, 1, 2, 3, 6, 8)
)
_IPV4, _LOCAL_OUT, _APPEND, _ERROR = 2, 3, 0x800, 2
_IPV4_FAMILY = struct.pack(">BBH", _IPV4, 0, 0)  # struct nfgenmsg
_NAMED = _IPV4_FAMILY + text(1, _TABLE)
_LIST_ELEMENT, _HANDLE = 1, 4
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_META_L4PROTO, _NAT_DNAT = 16, 1

Late = Callable[[Callable[[], None]], object]

# How often it is looked again when the table comes or goes in between.
_TRIES = 3


def lead_queries(
    address: str,
    port: int,
    datagram: int,
    stream: int,
    *,
    owner: str = "",
    anew: bool = False,
    late: Late = lambda work: work(),
) -> int:
    """What is sent to the address and port goes to the port `datagram` (UDP) or `stream` (TCP) there, and replies come
    back from where the query went: the kernel translates both ways. Returns the table's number.

    The rules of a table that was there before are replaced in it. anew: the table as well, for when its number may be
    taken away at any moment. late: is given what waits an RCU grace period after that. Raises Conflict for a table of
    another owner's, Unavailable.
    """
    packed = IPv4Address(address).packed
    chain = text(1, _TABLE) + text(2, _chain_name(owner))
    pairs = ((socket.IPPROTO_UDP, datagram), (socket.IPPROTO_TCP, stream))
    rules = [
        Message(_NEW_RULE, NLM_F_CREATE | _APPEND, _IPV4_FAMILY + chain + _rule(packed, protocol, port, to))
        for protocol, to in pairs
    ]
    new = (
        Message(_NEW_TABLE, NLM_F_CREATE | NLM_F_EXCL, _NAMED),
        Message(_NEW_CHAIN, NLM_F_CREATE, _IPV4_FAMILY + _chain(owner)),
        *rules,
    )
    # Of an unknown chain the rules cannot be deleted: so the kernel says whose the table is.
    empty = Message(_DELETE_RULE, 0, _IPV4_FAMILY + chain)
    again = (empty, Message(_DELETE_TABLE, 0, _NAMED), *new) if anew else (empty, *rules)
    with _netlink(late) as netlink:
        for _ in range(_TRIES):
            # Looked up first, since the kernel also waits to undo what it refuses.
            expected, todo = (errno.ENOENT, again) if netlink.number() else (errno.EEXIST, new)
            if netlink.carry_out_unless(expected, *todo):
                return netlink.number()
    raise Conflict(
        f"names are already answered at {address} in this namespace",
        holder="another owner's resolver",
        hint="leave the resolver out of the sandbox",
    )


def table_number() -> int:
    """The number of the table that is there, 0 for none. Raises Unavailable."""
    with _netlink() as netlink:
        return netlink.number()


def leave_queries(number: int) -> None:
    """The table of that number is not there. It takes an RCU grace period. Raises Unavailable."""
    handle = attribute(_HANDLE, number.to_bytes(8, "big"))
    with _netlink() as netlink:
        try:
            netlink.carry_out(Message(_DELETE_TABLE, 0, _IPV4_FAMILY + handle))
        except NetlinkError as error:
            if error.errno != errno.ENOENT:
                raise


class _Batches(Netlink):
    """nfnetlink's transactions (net/netfilter/nfnetlink.c, nfnetlink_rcv_batch)."""

    def carry_out(self, *messages: Message) -> None:
        """All of them or none. Raises NetlinkError."""
        bound = struct.pack(">BBH", 0, 0, _SUBSYSTEM)
        begin, parts = self._sequence + 1, []
        for message in (Message(_BATCH_BEGIN, 0, bound), *messages, Message(_BATCH_END, 0, bound)):
            self._sequence += 1
            # The bounds are not acknowledged; what is wrong with the whole is said of the first.
            parts.append(self._frame(message, 0 if message.payload == bound else NLM_F_ACK))
        self._socket.send(b"".join(parts))
        waiting = set(range(begin + 1, self._sequence))
        while waiting:
            for kind, _, sequence, payload in self._receive():
                if sequence < begin:
                    continue  # of a batch that was refused already, by an earlier one of its messages
                number = struct.unpack_from("=i", payload)[0]
                if kind == _ERROR and number:
                    raise NetlinkError(-number, os.strerror(-number))
                waiting.discard(sequence)

    def carry_out_unless(self, number: int, *messages: Message) -> bool:
        """As `carry_out`; False when it is refused with that errno. Raises NetlinkError for any other."""
        try:
            self.carry_out(*messages)
        except NetlinkError as error:
            if error.errno != number:
                raise
            return False
        return True

    def number(self) -> int:
        """Our table's number, 0 when it is not there. Raises NetlinkError."""
        try:
            _, payload = self.ask(Message(_GET_TABLE, 0, _NAMED))
        except NetlinkError as error:
            if error.errno != errno.ENOENT:
                raise
            return 0
        return int.from_bytes(attributes(payload[len(_IPV4_FAMILY) :])[_HANDLE], "big")


@contextmanager
def _netlink(late: Late = lambda work: work()) -> Iterator[_Batches]:
    """A socket in the thread's namespace. It is closed by `late`: the kernel waits then for what was deleted
    (net/netfilter/nf_tables_api.c, nft_rcv_nl_event)."""
    try:
        netlink = _Batches(NETLINK_NETFILTER)
        try:
            yield netlink
        finally:
            late(netlink.close)
    except OSError as error:
        raise Unavailable(f"the nftables table ip {_TABLE} cannot be changed: {error.strerror}") from error


def _chain_name(owner: str) -> str:
    return f"output-{owner}" if owner else "output"


def _chain(owner: str) -> bytes:
    hook = nest(4, _number(1, _LOCAL_OUT), _number(2, _PRIORITY))
    return text(1, _TABLE) + text(3, _chain_name(owner)) + hook + text(7, "nat")


def _rule(address: bytes, protocol: int, port: int, to: int) -> bytes:
    """`ip daddr ADDRESS PROTOCOL dport PORT dnat to ADDRESS:TO`. Register 1 holds an address at the end, 2 a port."""
    expressions = (
        _expression("payload", _number(1, 1), _number(2, _NETWORK_HEADER), _number(3, 16), _number(4, 4)),
        _equal(address),
        _expression("meta", _number(1, 1), _number(2, _META_L4PROTO)),
        _equal(bytes([protocol])),
        _expression("payload", _number(1, 1), _number(2, _TRANSPORT_HEADER), _number(3, 2), _number(4, 2)),
        _equal(struct.pack(">H", port)),
        _expression("immediate", _number(1, 1), nest(2, attribute(1, address))),
        _expression("immediate", _number(1, 2), nest(2, attribute(1, struct.pack(">H", to)))),
        _expression("nat", _number(1, _NAT_DNAT), _number(2, _IPV4), _number(3, 1), _number(5, 2)),
    )
    return nest(4, *expressions)


def _equal(value: bytes) -> bytes:
    """What register 1 has is the value."""
    return _expression("cmp", _number(1, 1), _number(2, 0), nest(3, attribute(1, value)))


def _expression(name: str, *parts: bytes) -> bytes:
    return nest(_LIST_ELEMENT, text(1, name), nest(2, *parts))


def _number(kind: int, value: int) -> bytes:
    """A 32-bit attribute in network byte order, as nf_tables wants them."""
    return attribute(kind, struct.pack(">i", value))
