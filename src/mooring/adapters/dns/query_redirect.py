"""The nftables table that leads a namespace's queries to the embedded resolver.

Rules: one transaction each time, in the calling thread's network namespace; a table has its owner in its
chain's name, and is nobody else's to change; nobody waits for an RCU grace period but who takes a table away, by its
number, so that this may be done late: a later one of that name stays.
Layouts are those of linux/netfilter/nf_tables.h.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address

from mooring.adapters.netlink.batches import (
    DELETE_RULE,
    DELETE_TABLE,
    GET_TABLE,
    HEAD,
    NEW_CHAIN,
    NEW_RULE,
    NEW_TABLE,
    Batches,
    expression,
    family,
    number,
)
from mooring.adapters.netlink.sockets import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    Message,
    NetlinkError,
    attribute,
    attributes,
    nest,
    text,
)
from mooring.core.faults import Conflict, Unavailable

_TABLE = "mooring_resolver"
_PRIORITY = -100  # where destinations are translated: linux/netfilter_ipv4.h, NF_IP_PRI_NAT_DST

_IPV4, _LOCAL_OUT, _APPEND = 2, 3, 0x800
_IPV4_FAMILY = family("ip")
_NAMED = _IPV4_FAMILY + text(1, _TABLE)
_HANDLE = 4
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
        Message(NEW_RULE, NLM_F_CREATE | _APPEND, _IPV4_FAMILY + chain + _rule(packed, protocol, port, to))
        for protocol, to in pairs
    ]
    new = (
        Message(NEW_TABLE, NLM_F_CREATE | NLM_F_EXCL, _NAMED),
        Message(NEW_CHAIN, NLM_F_CREATE, _IPV4_FAMILY + _chain(owner)),
        *rules,
    )
    # Of an unknown chain the rules cannot be deleted: so the kernel says whose the table is.
    empty = Message(DELETE_RULE, 0, _IPV4_FAMILY + chain)
    again = (empty, Message(DELETE_TABLE, 0, _NAMED), *new) if anew else (empty, *rules)
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
            netlink.carry_out(Message(DELETE_TABLE, 0, _IPV4_FAMILY + handle))
        except NetlinkError as error:
            if error.errno != errno.ENOENT:
                raise


class _Resolver(Batches):
    """Our table in the thread's namespace."""

    def number(self) -> int:
        """Our table's number, 0 when it is not there. Raises NetlinkError."""
        try:
            _, payload = self.ask(Message(GET_TABLE, 0, _NAMED))
        except NetlinkError as error:
            if error.errno != errno.ENOENT:
                raise
            return 0
        return int.from_bytes(attributes(payload[HEAD:])[_HANDLE], "big")


@contextmanager
def _netlink(late: Late = lambda work: work()) -> Iterator[_Resolver]:
    """A socket in the thread's namespace. It is closed by `late`: the kernel waits then for what was deleted
    (net/netfilter/nf_tables_api.c, nft_rcv_nl_event)."""
    try:
        netlink = _Resolver()
        try:
            yield netlink
        finally:
            late(netlink.close)
    except OSError as error:
        raise Unavailable(f"the nftables table ip {_TABLE} cannot be changed: {error.strerror}") from error


def _chain_name(owner: str) -> str:
    return f"output-{owner}" if owner else "output"


def _chain(owner: str) -> bytes:
    hook = nest(4, number(1, _LOCAL_OUT), number(2, _PRIORITY))
    return text(1, _TABLE) + text(3, _chain_name(owner)) + hook + text(7, "nat")


def _rule(address: bytes, protocol: int, port: int, to: int) -> bytes:
    """`ip daddr ADDRESS PROTOCOL dport PORT dnat to ADDRESS:TO`. Register 1 holds an address at the end, 2 a port."""
    expressions = (
        expression("payload", number(1, 1), number(2, _NETWORK_HEADER), number(3, 16), number(4, 4)),
        _equal(address),
        expression("meta", number(1, 1), number(2, _META_L4PROTO)),
        _equal(bytes([protocol])),
        expression("payload", number(1, 1), number(2, _TRANSPORT_HEADER), number(3, 2), number(4, 2)),
        _equal(struct.pack(">H", port)),
        expression("immediate", number(1, 1), nest(2, attribute(1, address))),
        expression("immediate", number(1, 2), nest(2, attribute(1, struct.pack(">H", to)))),
        expression("nat", number(1, _NAT_DNAT), number(2, _IPV4), number(3, 1), number(5, 2)),
    )
    return nest(4, *expressions)


def _equal(value: bytes) -> bytes:
    """What register 1 has is the value."""
    return expression("cmp", number(1, 1), number(2, 0), nest(3, attribute(1, value)))
