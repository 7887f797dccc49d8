"""VXLAN devices and where they lead: facts of overlays, read and made true in one network namespace, in one thread.

Rules: a device has no lower link, as the kernel would delete it together with that; its packets go by the host's
routing, also those of a device in a routing domain; what cannot be changed in a device, a new one has, with the entries
of the old one. Layouts are those of linux/if_link.h.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import socket
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from ipaddress import ip_address

from mooring.adapters.linux.domain_links import DomainLinks
from mooring.adapters.linux.link_settings import no_own_address
from mooring.adapters.linux.links import Link, Links
from mooring.adapters.linux.neighbours import Neighbours, remote_of
from mooring.adapters.netlink.sockets import (
    Message,
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
from mooring.core.faults import Conflict, Unavailable
from mooring.core.networks import Address
from mooring.core.plumbing import Add, Op, RemoteFact, Remove, Vxlan

_NEWLINK, _GETLINK, _SETLINK = 16, 18, 19
_IFLA_IFNAME, _IFLA_MTU, _IFLA_MASTER, _IFLA_LINKINFO, _IFLA_LINK_NETNSID = 3, 4, 10, 18, 37
_INFO_KIND, _INFO_DATA, _INFO_SLAVE_KIND, _INFO_SLAVE_DATA = 1, 2, 4, 5
_VXLAN_ID, _VXLAN_LOCAL, _VXLAN_LEARNING, _VXLAN_PORT, _VXLAN_LOCAL6 = 1, 4, 7, 15, 17
_BRPORT_LEARNING, _BRPORT_UNICAST_FLOOD, _BRPORT_MCAST_FLOOD, _BRPORT_BCAST_FLOOD = 8, 9, 27, 30
_BRPORT_NEIGH_SUPPRESS, _BRPORT_ISOLATED = 32, 33
_IFINFO = struct.Struct("=BBHiII")
# What the device is as a port of the bridge, whatever the fact says.
_PORT = {
    _BRPORT_LEARNING: 0, _BRPORT_UNICAST_FLOOD: 0, _BRPORT_NEIGH_SUPPRESS: 1,
}  # fmt: skip
_FLOODS = (_BRPORT_MCAST_FLOOD, _BRPORT_BCAST_FLOOD)
# linux/sockios.h, linux/ethtool.h: struct ethtool_value behind a struct ifreq's pointer.
_SIOCETHTOOL, _GTXCSUM, _STXCSUM = 0x8946, 0x16, 0x17

Undo = Callable[[], object]


def _info() -> bytes:
    return _IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0, 0)


class Tunnels:
    """In the namespace of the links, by their socket. Raises NetlinkError."""

    def __init__(self, links: Links) -> None:
        self._links = links
        self._netlink = links.netlink
        self.neighbours = Neighbours(links.netlink)

    def facts(self, links: Sequence[Link]) -> Iterator[Vxlan | RemoteFact]:
        """Of the links of ours those that are such devices, and all that they lead to."""
        names = {link.index: link.name for link in links}
        devices = [link for link in links if link.kind == "vxlan"]
        for link in devices:
            yield self._device(link, names)
            yield from self.neighbours.remote_macs(link.index, link.name)
        if devices:
            bridges = {link.index: link.name for link in links if link.kind == "bridge"}
            yield from self.neighbours.neighbours(bridges)

    def add(self, wanted: Vxlan, bridge: int) -> Iterator[Undo]:
        """The device is there, up, and a port of the bridge with that index; yields what undoes it. Raises Conflict,
        Unavailable."""
        try:
            self._make(wanted, bridge)
        except NetlinkError as error:
            if error.errno == errno.EADDRINUSE:
                raise Conflict(
                    f"UDP port {wanted.port} is in use on this host, so there can be no tunnel",
                    holder=f"`ss -ulpn sport = {wanted.port}` shows it, or it is another tunnel's",
                    hint="end that process, or give Mooring's tunnels another port",
                ) from error
            if error.errno != errno.EEXIST:
                raise Unavailable(f"interface {wanted.name} cannot be created: {error.strerror}") from error
        else:
            yield lambda: self._links.delete(wanted.name)
            return
        link = self._links.find(wanted.name)
        if link is None:
            raise Conflict(
                f"VNI {wanted.vni} at UDP port {wanted.port} is in use by another interface of this host",
                holder=self._holder(wanted),
                hint="remove that interface, or give Mooring's tunnels another port",
            )
        if not link.ours:
            raise Conflict(f"interface {wanted.name} already exists and is not ours", holder=f"device {wanted.name}")
        if self._device(link, {bridge: wanted.bridge}) != wanted:
            raise Conflict(
                f"interface {link.name} already exists and is different", holder=link.alias,
                hint="try again in a few seconds",
            )  # fmt: skip

    def alter(self, before: Vxlan, after: Vxlan, bridge: int) -> Iterator[Undo]:
        """The device, which is there, is as told; yields what undoes it. Raises NetlinkError."""
        if (before.vni, before.port, before.local.version) == (after.vni, after.port, after.local.version):
            self._set(after, bridge)
        else:
            index = self._links.find(after.name)
            entries = list(self.neighbours.remote_macs(index.index, after.name)) if index is not None else []
            self._links.delete(after.name)
            self._make(after, bridge)
            family = after.local.version
            self.change([Add(each) for each in entries if each.host is not None and each.host.version == family])
        if before.bridge and before.mtu:
            yield lambda: list(self.alter(after, before, bridge))

    def change(self, ops: Sequence[Op]) -> list[Op]:
        """All of the ops, which are about where the devices lead, are carried out, or none; what undoes them. Raises
        Unavailable when something is to be added to a link that is not there, Conflict when that is not ours."""
        index: dict[str, int] = {}
        wanted = {remote_of(op).link for op in ops if not isinstance(op, Remove)}
        for name in {remote_of(op).link for op in ops}:
            link = self._links.find(name)
            if link is not None and link.ours:
                index[name] = link.index
            elif name in wanted:
                if link is not None:
                    raise Conflict(f"interface {name} already exists and is not ours", holder=f"device {name}")
                raise Unavailable(f"interface {name} is missing", hint="try again in a few seconds")
        return self.neighbours.change(ops, index)

    def _make(self, wanted: Vxlan, bridge: int) -> None:
        local = attribute(_VXLAN_LOCAL if wanted.local.version == 4 else _VXLAN_LOCAL6, wanted.local.packed)
        data = (
            u32(_VXLAN_ID, wanted.vni)
            + local
            + u8(_VXLAN_LEARNING, 0)
            + attribute(_VXLAN_PORT, wanted.port.to_bytes(2, "big"))
        )
        made = (
            _info()
            + text(_IFLA_IFNAME, wanted.name)
            + u32(_IFLA_MTU, wanted.mtu)
            + u32(_IFLA_MASTER, bridge)
            + self._underlay()
            + nest(_IFLA_LINKINFO, text(_INFO_KIND, "vxlan"), nest(_INFO_DATA, data))
        )
        self._links.make(wanted.name, made, self._port(wanted, bridge))
        try:
            self._set_offload(wanted)
            self._links.raise_link(wanted.name)
        except NetlinkError:
            self._links.delete(wanted.name)
            raise

    def _underlay(self) -> bytes:
        """Where the device's own packets are routed: on the host."""
        if not isinstance(self._links, DomainLinks):
            return b""
        host = self._links.home()
        if host is None:
            raise Unavailable("the routing domain has no way out", hint="try again in a few seconds")
        return u32(_IFLA_LINK_NETNSID, host)

    def _set(self, wanted: Vxlan, bridge: int) -> None:
        local = attribute(_VXLAN_LOCAL if wanted.local.version == 4 else _VXLAN_LOCAL6, wanted.local.packed)
        name, kind = text(_IFLA_IFNAME, wanted.name), text(_INFO_KIND, "vxlan")
        data = nest(_IFLA_LINKINFO, kind, nest(_INFO_DATA, local + u8(_VXLAN_LEARNING, 0)))
        self._netlink.request(Message(_NEWLINK, 0, _info() + name + data))
        # A link that is no port yet has no port settings: enslave first.
        self._netlink.request(Message(_SETLINK, 0, _info() + name + u32(_IFLA_MASTER, bridge)))
        self._netlink.request(self._port(wanted, bridge))
        self._set_offload(wanted)
        self._links.raise_link(wanted.name)

    def _port(self, wanted: Vxlan, bridge: int) -> Message:
        values = {**_PORT, _BRPORT_ISOLATED: wanted.isolated, **dict.fromkeys(_FLOODS, wanted.floods)}
        settings = b"".join(u8(kind, value) for kind, value in values.items())
        # Before it is up: it has a carrier at once, and would have an address of its own.
        payload = (
            _info()
            + text(_IFLA_IFNAME, wanted.name)
            + self._links.mark(wanted.alias)
            + u32(_IFLA_MTU, wanted.mtu)
            + u32(_IFLA_MASTER, bridge)
            + nest(_IFLA_LINKINFO, text(_INFO_SLAVE_KIND, "bridge"), nest(_INFO_SLAVE_DATA, settings))
            + no_own_address(wanted.mtu)
        )
        return Message(_NEWLINK, 0, payload)

    def _device(self, link: Link, names: Mapping[int, str]) -> Vxlan:
        """As the kernel shows it: no bridge when it is down, or none of such a port as it should be."""
        data, port = attributes(link.data), attributes(link.port)
        flags = {port.get(kind) for kind in _FLOODS}
        right = link.up and all(port.get(kind) == bytes([value]) for kind, value in _PORT.items()) and len(flags) == 1
        vni, local, number = _told(data)
        learns = data.get(_VXLAN_LEARNING, b"\0") != b"\0"
        return Vxlan(
            link.name, link.alias, names.get(link.master, "") if right and not learns else "", vni, local, number,
            link.mtu, link.isolated, self._offloads(link.name), floods=flags == {b"\1"},
        )  # fmt: skip

    def _holder(self, wanted: Vxlan) -> str:
        """The other device of the namespace with the VNI and port."""
        for _, payload in self._netlink.dump(Message(_GETLINK, 0, _info())):
            found = attributes(payload[_IFINFO.size :])
            told = attributes(found.get(_IFLA_LINKINFO, b""))
            if as_text(told.get(_INFO_KIND)) == "vxlan":
                vni, _, port = _told(attributes(told.get(_INFO_DATA, b"")))
                if (vni, port) == (wanted.vni, wanted.port):
                    return f"device {as_text(found.get(_IFLA_IFNAME))}"
        return "a device in another network namespace"

    def _offloads(self, name: str) -> bool:
        """Whether it does; of a device that has gone since it was listed it does not matter."""
        try:
            return self._ask_ethtool(name, _GTXCSUM, 0) != 0
        except NetlinkError as error:
            if error.errno != errno.ENODEV:
                raise
            return True

    def _set_offload(self, wanted: Vxlan) -> None:
        if self._offloads(wanted.name) != wanted.offload:
            self._ask_ethtool(wanted.name, _STXCSUM, int(wanted.offload))

    def _ask_ethtool(self, name: str, command: int, value: int) -> int:
        asked = ctypes.create_string_buffer(struct.pack("=II", command, value), 8)
        request = struct.pack("16sP16x", name.encode(), ctypes.addressof(asked))
        try:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as any_socket:
                fcntl.ioctl(any_socket, _SIOCETHTOOL, request)
        except OSError as error:
            raise NetlinkError(error.errno or 0, f"offload of {name}: {error.strerror}") from error
        return int(struct.unpack_from("=I", asked.raw, 4)[0])


def _told(data: Mapping[int, bytes]) -> tuple[int, Address, int]:
    """VNI, local address and port."""
    local = data.get(_VXLAN_LOCAL) or data.get(_VXLAN_LOCAL6) or bytes(4)
    return as_u32(data.get(_VXLAN_ID)), ip_address(local), int.from_bytes(data.get(_VXLAN_PORT, b"\0"), "big")
