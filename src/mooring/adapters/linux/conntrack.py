"""Connection tracking: what belonged to an address is forgotten, and what meant a port before it was published.

The kernel decides once for a flow whether it is translated, with its first packet. A UDP sender with a fixed port never
begins a new one: while its flow is tracked, which each packet prolongs, nothing of it reaches a port that was published
since. TCP begins anew with each connection.

Rules: for IPv4 the kernel searches: it deletes by a filter (ctnetlink, CTA_FILTER, Linux 5.8), so the cost in here does
not grow with the number of connections; for IPv6 we search, because the kernel's filter there takes every address but
the one that is meant (net/netfilter/nf_conntrack_netlink.c, ctnetlink_filter_match_tuple, ipv6_addr_cmp negated).
"""

from __future__ import annotations

import socket
import struct
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address

from mooring.adapters.netlink.sockets import (
    NETLINK_NETFILTER,
    Message,
    Netlink,
    NetlinkError,
    attribute,
    attributes,
    nest,
    u8,
    u32,
)
from mooring.core.port_bindings import PortBinding, Protocol

# linux/netfilter/nfnetlink_conntrack.h and nf_conntrack_netlink.c
_GET, _DELETE = (1 << 8) | 1, (1 << 8) | 2
_TUPLE_ORIG, _TUPLE_REPLY, _ID, _ZONE, _FILTER = 1, 2, 12, 18, 25
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_PROTO_NUM, _PROTO_SRC_PORT, _PROTO_DST_PORT = 1, 2, 3
_IP_V4_SRC, _IP_V4_DST, _IP_V6_SRC, _IP_V6_DST = 1, 2, 3, 4
_FILTER_ORIG_FLAGS, _FILTER_REPLY_FLAGS = 1, 2
_F_IP_SRC, _F_IP_DST, _F_PROTO_NUM, _F_PROTO_DST_PORT = 1, 2, 8, 32
_AF_INET, _AF_INET6 = 2, 10
# linux/rtnetlink.h
_GETROUTE, _RTA_DST, _RTN_LOCAL = 26, 1, 2
_ROUTE = struct.Struct("=BBBBBBBBI")
# What is published is not translated there (core/firewall).
_LOOPBACK6 = IPv6Address("::1")
# So many ports are asked for one by one; for more all flows of the protocol are read.
_FEW = 8

# Where an address can stand: who opened the connection, who was called, and who was called under a published port.
_PLACES = ((_TUPLE_ORIG, _F_IP_SRC), (_TUPLE_ORIG, _F_IP_DST), (_TUPLE_REPLY, _F_IP_SRC))


def flush(address: IPv4Address | IPv6Address) -> None:
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


def forget_misled(opened: Iterable[PortBinding], closed: Iterable[PortBinding] = ()) -> None:
    """No flow to these ports of the host goes elsewhere than the opened port bindings say, nor where the closed ones
    led; flows to the same port of other hosts go on. Best effort, as `flush`."""
    wanted: defaultdict[tuple[int, Protocol], dict[int, list[PortBinding]]] = defaultdict(dict)
    right = {each for each in opened if each.host_port and each.protocol is not Protocol.TCP}
    for each in (*right, *(gone for gone in closed if gone.host_port and gone not in right)):
        wanted[each.target.version, each.protocol].setdefault(each.host_port, []).append(each)
    if not wanted:
        return
    try:
        netlink, routes = Netlink(NETLINK_NETFILTER), Netlink()
    except OSError:
        return
    try:
        for (version, protocol), ports in wanted.items():
            for flow in flows(netlink, version, protocol, ports):
                meant = [p for p in ports.get(flow.port, ()) if p.host in (None, flow.called)]
                misled = any((flow.answers == (p.target, p.target_port)) is not (p in right) for p in meant)
                if misled and flow.called != _LOOPBACK6 and _is_local(routes, flow.called):
                    _delete(netlink, flow)
    except NetlinkError:
        return
    finally:
        netlink.close()
        routes.close()


@dataclass(frozen=True, slots=True)
class Flow:
    """called, port: whom its first packet was for. answers: who answers. same: what names it in a deletion."""

    called: IPv4Address | IPv6Address
    port: int
    answers: tuple[IPv4Address | IPv6Address, int]
    same: bytes


def flows(netlink: Netlink, version: int, protocol: Protocol, ports: Mapping[int, object]) -> Iterator[Flow]:
    """The tracked flows of the protocol, of these ports where they are few."""
    head = struct.pack(">BBH", _AF_INET if version == 4 else _AF_INET6, 0, 0)
    for port in ports if len(ports) <= _FEW else (None,):
        about, flags = u8(_PROTO_NUM, protocol), _F_PROTO_NUM
        if port is not None:
            about, flags = about + attribute(_PROTO_DST_PORT, port.to_bytes(2, "big")), flags | _F_PROTO_DST_PORT
        only = nest(_TUPLE_ORIG, nest(_TUPLE_PROTO, about))
        only += nest(_FILTER, u32(_FILTER_ORIG_FLAGS, flags), u32(_FILTER_REPLY_FLAGS, 0))
        for _, payload in netlink.dump(Message(_GET, 0, head + only)):
            connection = attributes(payload[len(head) :])
            original, reply = (attributes(connection.get(kind, b"")) for kind in (_TUPLE_ORIG, _TUPLE_REPLY))
            names, ends = attributes(original.get(_TUPLE_PROTO, b"")), attributes(original.get(_TUPLE_IP, b""))
            called = ends.get(_IP_V4_DST if version == 4 else _IP_V6_DST)
            back = attributes(reply.get(_TUPLE_IP, b"")).get(_IP_V4_SRC if version == 4 else _IP_V6_SRC)
            port_back = attributes(reply.get(_TUPLE_PROTO, b"")).get(_PROTO_SRC_PORT)
            number = names.get(_PROTO_DST_PORT)
            if called is None or back is None or port_back is None or number is None:
                continue
            same = (attribute(kind, connection[kind]) for kind in (_ID, _ZONE) if kind in connection)
            yield Flow(
                ip_address(called),
                int.from_bytes(number, "big"),
                (ip_address(back), int.from_bytes(port_back, "big")),
                head + nest(_TUPLE_ORIG, connection[_TUPLE_ORIG]) + b"".join(same),
            )


def _is_local(routes: Netlink, address: IPv4Address | IPv6Address) -> bool:
    """Whether the address is the host's own."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    query = _ROUTE.pack(family, address.max_prefixlen, 0, 0, 0, 0, 0, 0, 0) + attribute(_RTA_DST, address.packed)
    try:
        return int(_ROUTE.unpack_from(routes.ask(Message(_GETROUTE, 0, query))[1])[7]) == _RTN_LOCAL
    except NetlinkError:
        return False  # there is no way to it


def _delete(netlink: Netlink, flow: Flow) -> None:
    try:
        netlink.request(Message(_DELETE, 0, flow.same))
    except NetlinkError:
        return  # not there any more
