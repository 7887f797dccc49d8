"""Links, addresses and routes by rtnetlink: bridges, veth pairs, their ports, who has which address.

Rules: a message makes a veth pair on its bridge, a second one marks it with its owner's mark, which nobody above sees;
what is decoded is only what facts need. Layouts are those of linux/if_link.h, linux/if_addr.h and linux/rtnetlink.h.
"""

from __future__ import annotations

import errno
import socket
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import ip_interface
from zlib import crc32

from mooring.adapters.linux.link_settings import no_own_address
from mooring.adapters.netlink.ownership import DAEMON, Owner
from mooring.adapters.netlink.sockets import (
    NLM_F_CREATE,
    NLM_F_EXCL,
    NLM_F_REPLACE,
    Message,
    Netlink,
    NetlinkError,
    as_text,
    as_u32,
    attribute,
    attributes,
    nest,
    text,
    u8,
    u32,
)
from mooring.core.networks import Interface
from mooring.core.plumbing import Bridge, Inside, Veth

_NEWLINK, _DELLINK, _GETLINK, _SETLINK = 16, 17, 18, 19
_NEWADDR, _DELADDR, _GETADDR = 20, 21, 22

_IFF_UP = 1
_IFLA_ADDRESS, _IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER = 1, 3, 4, 10
_IFLA_LINKINFO, _IFLA_IFALIAS, _IFLA_GROUP, _IFLA_EXT_MASK = 18, 20, 27, 29
_IFLA_LINK, _IFLA_LINK_NETNSID, _IFLA_TARGET_NETNSID = 5, 37, 46
_IFLA_AF_SPEC, _IFLA_NET_NS_FD = 26, 28
_INFO_KIND, _INFO_DATA, _INFO_SLAVE_KIND, _INFO_SLAVE_DATA = 1, 2, 4, 5
_VETH_INFO_PEER = 1
_BR_FORWARD_DELAY, _BR_STP_STATE, _BR_MCAST_SNOOPING, _BR_MULTI_BOOLOPT = 1, 5, 23, 46
_NO_LL_LEARN = 1 << 0
_BRPORT_MODE, _BRPORT_ISOLATED = 4, 33
_FILTER_SKIP_STATS = 8
_IFA_ADDRESS, _IFA_LOCAL, _IFA_CACHEINFO, _IFA_FLAGS, _IFA_TARGET_NETNSID = 1, 2, 6, 8, 10
_IFA_F_NODAD, _IFA_F_DEPRECATED, _IFA_F_PERMANENT = 0x02, 0x20, 0x80
_DEPRECATED = struct.pack("=IIII", 0, 0xFFFFFFFF, 0, 0)  # struct ifa_cacheinfo: preferred never, valid for ever
_MOST_MTU = 65535  # bytes: ETH_MAX_MTU, linux/if_ether.h

# struct br_boolopt_multi: values, and which of them are meant.
_NO_LEARNING = struct.pack("=II", _NO_LL_LEARN, _NO_LL_LEARN)

_IFINFO = struct.Struct("=BBHiII")
_IFADDR = struct.Struct("=BBBBi")

# Our own device group, for deletion: only links that are about to go are ever in it. "moor" in ASCII. All owners share
# it: one may then delete what another was about to.
DOOMED_GROUP = 0x6D6F6F72


@dataclass(frozen=True, slots=True)
class Link:
    """A network interface as the kernel shows it. master: the index of the bridge that it is a port of, or 0.

    ours: it bears the owner's mark, and then the alias is as facts say it. other: the index of a veth's other end, in
    the namespace that the kernel calls by the number `beyond`; None: in this one. linklocal_learn: it is a bridge and
    learns where a MAC is from frames to the reserved groups (IEEE 802.1D, table 7-10). families, data, port: what the
    kernel tells of IPv4 and IPv6 on it, of what is particular to its kind, and of it as a port of a bridge.
    """

    index: int
    name: str
    kind: str
    alias: str
    ours: bool
    mac: str
    mtu: int
    up: bool
    master: int
    isolated: bool
    other: int = 0
    beyond: int | None = None
    linklocal_learn: bool = False
    families: bytes = b""
    data: bytes = b""
    port: bytes = b""


def _info(index: int = 0, up: bool | None = None) -> bytes:
    """struct ifinfomsg. up None: leave that flag alone."""
    flags = _IFF_UP if up else 0
    return _IFINFO.pack(socket.AF_UNSPEC, 0, 0, index, flags, 0 if up is None else _IFF_UP)


def _addressed(payload: bytes) -> tuple[int, Interface | None, bool]:
    """Index of the link, its address unless the kernel makes such itself (link-local IPv6), and whether that is a spare
    one. struct ifaddrmsg."""
    _, prefix, _, _, index = _IFADDR.unpack_from(payload)
    found = attributes(payload[_IFADDR.size :])
    packed = found.get(_IFA_LOCAL) or found.get(_IFA_ADDRESS)
    interface = ip_interface((packed, prefix)) if packed is not None else None
    # 169.254.0.0/16 is nobody's but who typed it: networks for what asks a cloud's metadata have such subnets.
    own = interface is not None and interface.version == 6 and interface.ip.is_link_local
    spare = bool(as_u32(found.get(_IFA_FLAGS)) & _IFA_F_DEPRECATED)
    return index, None if own else interface, spare


def _learns_linklocal(bridge: dict[int, bytes]) -> bool:
    """Whether the bridge learns from frames to reserved groups. struct br_boolopt_multi."""
    return not as_u32(bridge.get(_BR_MULTI_BOOLOPT, b"")[:4]) & _NO_LL_LEARN


def _mac(value: str) -> bytes:
    return bytes.fromhex(value.replace(":", ""))


class Links:
    """What rtnetlink can do for the owner. Raises NetlinkError."""

    def __init__(self, owner: Owner = DAEMON) -> None:
        self._owner = owner
        # A device group for each owner, in which links are until they bear his mark.
        self._newborn = crc32(f"newborn {owner.mark}".encode()) | 0x80000000
        self._netlink = Netlink()

    @property
    def netlink(self) -> Netlink:
        """The socket, for who works in the same thread and namespace."""
        return self._netlink

    def close(self) -> None:
        """Let go of the socket."""
        self._netlink.close()

    def find(self, name: str) -> Link | None:
        """The link of that name, or None."""
        request = _info() + text(_IFLA_IFNAME, name) + u32(_IFLA_EXT_MASK, _FILTER_SKIP_STATS)
        try:
            return self._link(self._netlink.ask(Message(_GETLINK, 0, request))[1])
        except NetlinkError as error:
            if error.errno == errno.ENODEV:
                return None
            raise

    def at(self, index: int) -> Link | None:
        """The link with the index, or None."""
        try:
            return self._link(self._netlink.ask(Message(_GETLINK, 0, _info(index)))[1])
        except NetlinkError as error:
            if error.errno == errno.ENODEV:
                return None
            raise

    def ours(self) -> list[Link]:
        """Every link of the owner in the namespace."""
        request = Message(_GETLINK, 0, _info() + u32(_IFLA_EXT_MASK, _FILTER_SKIP_STATS))
        sign = self._owner.mark.encode()
        found = (self._link(payload) for _, payload in self._netlink.dump(request) if sign in payload)
        return [link for link in found if link.ours]

    def inside(self, link: Link) -> Inside | None:
        """What the other end has, None when it is in this namespace, or gone by now, or cannot be read."""
        if link.beyond is None:
            return None
        asked = _info(link.other) + u32(_IFLA_EXT_MASK, _FILTER_SKIP_STATS) + u32(_IFLA_TARGET_NETNSID, link.beyond)
        found: list[Interface] = []
        try:
            payload = self._netlink.ask(Message(_GETLINK, 0, asked))[1]
            for family in (socket.AF_INET, socket.AF_INET6):
                there = _IFADDR.pack(family, 0, 0, 0, link.other) + u32(_IFA_TARGET_NETNSID, link.beyond)
                for _, each in self._netlink.dump(Message(_GETADDR, 0, there)):
                    index, interface, _ = _addressed(each)
                    if index == link.other and interface is not None:
                        found.append(interface)
        except NetlinkError:
            return None
        mac = attributes(payload[_IFINFO.size :]).get(_IFLA_ADDRESS, b"").hex(":")
        return Inside(mac, tuple(found))

    def add_bridge(self, bridge: Bridge) -> None:
        """The bridge is there and up: ports forward at once, and multicast goes everywhere.

        Snooping would have to be kept from losing neighbour discovery while no querier is there, and a network of
        containers gains nothing by it.
        """
        settings = nest(
            _INFO_DATA,
            u32(_BR_FORWARD_DELAY, 0)
            + u32(_BR_STP_STATE, 0)
            + u8(_BR_MCAST_SNOOPING, 0)
            + attribute(_BR_MULTI_BOOLOPT, _NO_LEARNING),
        )
        made = (
            _info(up=True)
            + text(_IFLA_IFNAME, bridge.name)
            + attribute(_IFLA_ADDRESS, _mac(bridge.mac))
            + u32(_IFLA_MTU, bridge.mtu + 1 if bridge.mtu < _MOST_MTU else bridge.mtu - 1)
            + nest(_IFLA_LINKINFO, text(_INFO_KIND, "bridge"), settings)
        )
        # An MTU given at birth, and one that is set and was so before, would follow those of the ports
        # (net/bridge/br_if.c, br_mtu_auto_adjust).
        marked = _info() + text(_IFLA_IFNAME, bridge.name) + self.mark(bridge.alias) + u32(_IFLA_MTU, bridge.mtu)
        self.make(bridge.name, made, Message(_SETLINK, 0, marked))

    def set_bridge(self, bridge: Bridge) -> None:
        """The bridge, which is there, is as told and up."""
        found = self.find(bridge.name)
        # Where a MAC is set, be it the same, the kernel forgets all neighbours of the link (neigh_changeaddr).
        same = found is not None and found.mac == bridge.mac
        wanted = (
            _info(up=True)
            + text(_IFLA_IFNAME, bridge.name)
            + (b"" if same else attribute(_IFLA_ADDRESS, _mac(bridge.mac)))
            + u32(_IFLA_MTU, bridge.mtu)
            + self.mark(bridge.alias)
            + nest(
                _IFLA_LINKINFO, text(_INFO_KIND, "bridge"), nest(_INFO_DATA, attribute(_BR_MULTI_BOOLOPT, _NO_LEARNING))
            )
        )
        # A change of what is in LINKINFO is asked for as a new link is, without NLM_F_CREATE.
        self._netlink.request(Message(_NEWLINK, 0, wanted))

    def add_veth(self, veth: Veth, bridge: int, inside: int | None = None) -> None:
        """The pair is there, its host end up and a port of the bridge with that index; its peer is down.

        inside: a file descriptor of the namespace that has the peer from the start, which saves moving it.
        """
        peer = (
            _info()
            + text(_IFLA_IFNAME, veth.peer)
            + u32(_IFLA_MTU, veth.mtu)
            + (attribute(_IFLA_ADDRESS, _mac(veth.peer_mac)) if veth.peer_mac else b"")
            + (b"" if inside is None else u32(_IFLA_NET_NS_FD, inside))
        )
        kind = text(_INFO_KIND, "veth") + nest(_INFO_DATA, attribute(_VETH_INFO_PEER, peer))
        made = (
            _info()
            + text(_IFLA_IFNAME, veth.name)
            + u32(_IFLA_MTU, veth.mtu)
            + u32(_IFLA_MASTER, bridge)
            + nest(_IFLA_LINKINFO, kind)
        )
        self.make(veth.name, made, self._port(veth, bridge))

    def add_line(self, name: str, alias: str, far: str, namespace: int) -> None:
        """The pair is there, both ends down: one with the name and the mark, the other in the namespace of the file
        descriptor. What goes by it is as large as the kernel lets it be."""
        peer = _info() + text(_IFLA_IFNAME, far) + u32(_IFLA_MTU, _MOST_MTU) + u32(_IFLA_NET_NS_FD, namespace)
        kind = text(_INFO_KIND, "veth") + nest(_INFO_DATA, attribute(_VETH_INFO_PEER, peer))
        made = _info() + text(_IFLA_IFNAME, name) + u32(_IFLA_MTU, _MOST_MTU) + nest(_IFLA_LINKINFO, kind)
        marked = _info() + text(_IFLA_IFNAME, name) + self.mark(alias)
        self.make(name, made, Message(_SETLINK, 0, marked))

    def raise_link(self, name: str) -> None:
        """The link is up."""
        self._netlink.request(Message(_SETLINK, 0, _info(up=True) + text(_IFLA_IFNAME, name)))

    def set_veth(self, veth: Veth, bridge: int) -> None:
        """The host end, which is there, is up and such a port of the bridge with that index."""
        # A link that is no port yet has no port settings: enslave first.
        enslave = _info() + text(_IFLA_IFNAME, veth.name) + u32(_IFLA_MASTER, bridge)
        self._netlink.request(Message(_SETLINK, 0, enslave), self._port(veth, bridge))

    def make(self, name: str, made: bytes, marking: Message) -> None:
        """The link is there, by the first message, and has its mark by the second; or none is."""
        # One after the other: the mark must not land on somebody else's link of that name. A process that dies in
        # between leaves a link without a mark; by its group the next one knows it.
        newborn, grown = u32(_IFLA_GROUP, self._newborn), u32(_IFLA_GROUP, 0)
        self._netlink.request(Message(_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, made + newborn))
        try:
            self._netlink.request(Message(marking.kind, marking.flags, marking.payload + grown))
        except NetlinkError:
            self.delete(name)
            raise

    def mark(self, alias: str) -> bytes:
        """The attribute that says whose the link is."""
        return text(_IFLA_IFALIAS, self._owner.marked(alias))

    def _port(self, veth: Veth, bridge: int) -> Message:
        # Hairpin: where bridged frames visit the IP firewall (br_netfilter), a container's connection to its own
        # published port never leaves the bridge, and has to go back out of the port that it came in by.
        port = nest(_INFO_SLAVE_DATA, u8(_BRPORT_MODE, 1), u8(_BRPORT_ISOLATED, veth.isolated))
        payload = (
            _info(up=True)
            + text(_IFLA_IFNAME, veth.name)
            + self.mark(veth.alias)
            + u32(_IFLA_MASTER, bridge)
            + nest(_IFLA_LINKINFO, text(_INFO_SLAVE_KIND, "bridge"), port)
            # A port needs no address of its own, nor the neighbour discovery that comes with one.
            + no_own_address(veth.mtu)
        )
        return Message(_NEWLINK, 0, payload)

    def delete(self, name: str) -> None:
        """No link has the name. Takes an RCU grace period."""
        try:
            self._netlink.request(Message(_DELLINK, 0, _info() + text(_IFLA_IFNAME, name)))
        except NetlinkError as error:
            if error.errno != errno.ENODEV:
                raise

    def delete_newborn(self) -> None:
        """No link is there that the owner's last process made and had no time to mark. Not while he makes others."""
        self._delete_group(self._newborn)

    def delete_together(self, indexes: list[int]) -> None:
        """None of the links is there; all of them take hardly longer than one. Those that are gone already are fine."""
        for index in indexes:
            try:
                self._netlink.request(Message(_SETLINK, 0, _info(index) + u32(_IFLA_GROUP, DOOMED_GROUP)))
            except NetlinkError as error:
                if error.errno != errno.ENODEV:
                    raise
        self._delete_group(DOOMED_GROUP)

    def _delete_group(self, group: int) -> None:
        try:
            self._netlink.request(Message(_DELLINK, 0, _info() + u32(_IFLA_GROUP, group)))
        except NetlinkError as error:
            if error.errno != errno.ENODEV:
                raise

    def move(self, name: str, namespace: int) -> None:
        """The link is in the namespace of the file descriptor, as dockerd moves a container's interface."""
        self._netlink.request(
            Message(_SETLINK, 0, _info() + text(_IFLA_IFNAME, name) + u32(_IFLA_NET_NS_FD, namespace))
        )

    def add_address(self, index: int, interface: Interface, spare: bool = False, *, anew: bool = True) -> bool:
        """The link has the address, usable at once; False when it had it before. Not anew: one that it has changes."""
        payload = self._address(index, interface, _IFA_F_PERMANENT | (_IFA_F_NODAD if interface.version == 6 else 0))
        payload += attribute(_IFA_CACHEINFO, _DEPRECATED) if spare else b""
        try:
            self._netlink.request(Message(_NEWADDR, NLM_F_CREATE | (NLM_F_EXCL if anew else NLM_F_REPLACE), payload))
        except NetlinkError as error:
            if error.errno != errno.EEXIST:
                raise
            return False
        return True

    def delete_address(self, index: int, interface: Interface) -> None:
        """The link does not have the address."""
        try:
            self._netlink.request(Message(_DELADDR, 0, self._address(index, interface, 0)))
        except NetlinkError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.ENODEV):
                raise

    def _address(self, index: int, interface: Interface, flags: int) -> bytes:
        family = socket.AF_INET if interface.version == 4 else socket.AF_INET6
        packed = interface.ip.packed
        head = _IFADDR.pack(family, interface.network.prefixlen, 0, 0, index)
        return head + attribute(_IFA_LOCAL, packed) + attribute(_IFA_ADDRESS, packed) + u32(_IFA_FLAGS, flags)

    def addresses(self) -> Iterator[tuple[int, Interface, bool]]:
        """(link index, address, whether spare) of both families; link-local IPv6 ones are left out."""
        for _, payload in self._netlink.dump(Message(_GETADDR, 0, _IFADDR.pack(0, 0, 0, 0, 0))):
            index, interface, spare = _addressed(payload)
            if interface is not None:
                yield index, interface, spare

    def _link(self, payload: bytes) -> Link:
        _, _, _, index, flags, _ = _IFINFO.unpack_from(payload)
        found = attributes(payload[_IFINFO.size :])
        info = attributes(found.get(_IFLA_LINKINFO, b""))
        port = info.get(_INFO_SLAVE_DATA, b"") if as_text(info.get(_INFO_SLAVE_KIND)) == "bridge" else b""
        alias = as_text(found.get(_IFLA_IFALIAS))
        ours = self._owner.unmarked(alias)
        return Link(
            index,
            as_text(found.get(_IFLA_IFNAME)),
            as_text(info.get(_INFO_KIND)),
            alias if ours is None else ours,
            ours is not None,
            found.get(_IFLA_ADDRESS, b"").hex(":"),
            as_u32(found.get(_IFLA_MTU)),
            bool(flags & _IFF_UP),
            as_u32(found.get(_IFLA_MASTER)),
            attributes(port).get(_BRPORT_ISOLATED, b"\0") != b"\0",
            as_u32(found.get(_IFLA_LINK)),
            as_u32(found[_IFLA_LINK_NETNSID]) if _IFLA_LINK_NETNSID in found else None,
            as_text(info.get(_INFO_KIND)) == "bridge" and _learns_linklocal(attributes(info.get(_INFO_DATA, b""))),
            found.get(_IFLA_AF_SPEC, b""),
            info.get(_INFO_DATA, b""),
            port,
        )
