"""Connection tracking: what belonged to an address is forgotten.

Rules: for IPv4 the kernel searches: it deletes by a filter (ctnetlink, CTA_FILTER, Linux 5.8), so the cost in here does
not grow with the number of connections; for IPv6 we search, because the kernel's filter there takes every address but
the one that is meant (net/netfilter/nf_conntrack_netlink.c, ctnetlink_filter_match_tuple, ipv6_addr_cmp negated).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import IPv4Address, IPv6Address

from mooring.adapters.netlink import NETLINK_NETFILTER, Message, Netlink, NetlinkError, attribute, attributes, nest, u32

# linux/netfilter/nfnetlink_conntrack.h and nf_conntrack_netlink.c
_GET, _DELETE = (1 << 8) | 1, (1 << 8) | 2
_TUPLE_ORIG, _TUPLE_REPLY, _ID, _ZONE, _FILTER = 1, 2, 12, 18, 25
_TUPLE_IP = 1
_IP_V4_SRC, _IP_V4_DST, _IP_V6_SRC, _IP_V6_DST = 1, 2, 3, 4
_FILTER_ORIG_FLAGS, _FILTER_REPLY_FLAGS = 1, 2
_F_IP_SRC, _F_IP_DST = 1, 2
_AF_INET, _AF_INET6 = 2, 10

# Where an address can stand: who opened the connection, who was called, and who was called under a published port.
_PLACES = ((_TUPLE_ORIG, _F_IP_SRC), (_TUPLE_ORIG, _F_IP_DST), (_TUPLE_REPLY, _F_IP_SRC))


def forget(address: IPv4Address | IPv6Address) -> None:
    """No tracked connection is to or from the address. Best effort: a kernel that cannot is left alone."""
    try:
        netlink = Netlink(NETLINK_NETFILTER)
    except OSError:
        return
    try:
        messages = _filters(address) if address.version == 4 else _found(netlink, address)
        for message in messages:
            try:
                netlink.request(message)
            except NetlinkError:
                continue  # ENOENT: nothing there, or not any more
    except NetlinkError:
        return
    finally:
        netlink.close()


def _filters(address: IPv4Address | IPv6Address) -> Iterator[Message]:
    """Deletions of whatever has the IPv4 address in one of the places."""
    for place, flag in _PLACES:
        kind = _IP_V4_SRC if flag == _F_IP_SRC else _IP_V4_DST
        flags = {_TUPLE_ORIG: 0, _TUPLE_REPLY: 0} | {place: flag}
        yield Message(
            _DELETE,
            0,
            struct.pack(">BBH", _AF_INET, 0, 0)
            + nest(place, nest(_TUPLE_IP, attribute(kind, address.packed)))
            + nest(_FILTER, u32(_FILTER_ORIG_FLAGS, flags[_TUPLE_ORIG]), u32(_FILTER_REPLY_FLAGS, flags[_TUPLE_REPLY])),
        )


def _found(netlink: Netlink, address: IPv4Address | IPv6Address) -> Iterator[Message]:
    """Deletions, one by one, of the connections that have the IPv6 address in one of the places."""
    head = struct.pack(">BBH", _AF_INET6, 0, 0)
    # A busy host tracks hundreds of thousands; of most we do not even read the attributes.
    for _, payload in netlink.dump(Message(_GET, 0, head), lambda payload: address.packed in payload):
        connection = attributes(payload[len(head) :])
        for place, flag in _PLACES:
            ends = attributes(attributes(connection.get(place, b"")).get(_TUPLE_IP, b""))
            if ends.get(_IP_V6_SRC if flag == _F_IP_SRC else _IP_V6_DST) == address.packed:
                # The id too: the next connection with the same ports is another one.
                same = (attribute(kind, connection[kind]) for kind in (_ID, _ZONE) if kind in connection)
                yield Message(_DELETE, 0, head + nest(_TUPLE_ORIG, connection[_TUPLE_ORIG]) + b"".join(same))
                break
