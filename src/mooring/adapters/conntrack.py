"""Connection tracking: what belonged to an address is forgotten.

Rule: the kernel searches, not we: it deletes by a filter (ctnetlink, CTA_FILTER, Linux 5.8), so the cost in here does
not grow with the number of connections.
"""

from __future__ import annotations

import struct
from ipaddress import IPv4Address, IPv6Address

from mooring.adapters.netlink import NETLINK_NETFILTER, Message, Netlink, NetlinkError, attribute, nest

# linux/netfilter/nfnetlink_conntrack.h and nf_conntrack_netlink.c
_DELETE = (1 << 8) | 2
_TUPLE_ORIG, _TUPLE_REPLY, _FILTER = 1, 2, 25
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
        for place, flag in _PLACES:
            try:
                netlink.request(Message(_DELETE, 0, _filter(address, place, flag)))
            except NetlinkError:
                continue  # ENOENT: nothing there
    finally:
        netlink.close()


def _filter(address: IPv4Address | IPv6Address, place: int, flag: int) -> bytes:
    if address.version == 4:
        family, kind = _AF_INET, _IP_V4_SRC if flag == _F_IP_SRC else _IP_V4_DST
    else:
        family, kind = _AF_INET6, _IP_V6_SRC if flag == _F_IP_SRC else _IP_V6_DST
    flags = {_TUPLE_ORIG: 0, _TUPLE_REPLY: 0} | {place: flag}
    return (
        struct.pack(">BBH", family, 0, 0)
        + nest(place, nest(_TUPLE_IP, attribute(kind, address.packed)))
        + nest(
            _FILTER,
            attribute(_FILTER_ORIG_FLAGS, struct.pack("=I", flags[_TUPLE_ORIG])),
            attribute(_FILTER_REPLY_FLAGS, struct.pack("=I", flags[_TUPLE_REPLY])),
        )
    )
