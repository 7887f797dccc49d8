"""What the host has and reaches beside what is ours, by rtnetlink and resolv.conf(5).

Rules: a route that is wider than any private network is a part of a default route, as VPNs write it (0.0.0.0/1 and
128.0.0.0/1), and says of no subnet that it is in use; what the host has itself is found by its addresses, of which many
are in no route of the main table; what is ours is not told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path
from socket import AF_INET
from struct import Struct

from mooring.adapters.netlink import Message, Netlink, as_text, as_u32, attributes, u32
from mooring.adapters.ownership import DAEMON, Owner
from mooring.core.addresses import unmapped
from mooring.core.networks import Address, Interface, Subnet
from mooring.ports import HostNet

RESOLV_CONF = Path("/etc/resolv.conf")
# The longest prefix of a part of a default route: the widest private networks are 10.0.0.0/8 and fc00::/7.
_DEFAULT_PART = {4: 7, 6: 6}
_LENGTHS = {4: 32, 6: 128}

_GETLINK, _GETADDR, _GETROUTE = 18, 22, 26
_IFLA_IFNAME, _IFLA_IFALIAS, _IFLA_EXT_MASK, _FILTER_SKIP_STATS = 3, 20, 29, 8
_IFA_ADDRESS, _IFA_LOCAL = 1, 2
_RTA_DST, _RTA_OIF, _RTA_GATEWAY = 1, 4, 5
_RTN_UNICAST, _RTN_LOCAL, _RTN_PROHIBIT = 1, 2, 8
_TABLE_LOCAL = 255
_IFINFO = Struct("=BBHiII")
_IFADDR = Struct("=BBBBi")
_ROUTE = Struct("=BBBBBBBBI")


class Surroundings:
    """Of the network namespace in which it is made. Raises NetlinkError, OSError at its making."""

    def __init__(self, owner: Owner = DAEMON) -> None:
        self._owner = owner
        self._netlink = Netlink()

    def close(self) -> None:
        """Let go of the socket."""
        self._netlink.close()

    def host_net(self) -> HostNet:
        """See Kernel."""
        names: dict[int, str] = {}
        ours: set[int] = set()
        for index, name, mine in self._links():
            names[index] = name
            if mine:
                ours.add(index)
        addresses = self._addresses({index: name for index, name in names.items() if index not in ours})
        occupied, routes = set[Subnet](), dict[Subnet, None]()
        for subnet, link, router in self._routes():
            if subnet is not None:
                occupied.add(subnet)
            if link in ours:
                continue
            if subnet is not None:
                routes[subnet] = None
            if router is not None:
                addresses.setdefault(
                    ip_interface(router), f"a router of this host on {names.get(link, 'no interface')}"
                )
        occupied.update(interface.network for interface in addresses)
        occupied.update(map(ip_network, nameservers()))
        return HostNet(addresses, tuple(routes), tuple(sorted(occupied, key=_place)))

    def _routes(self) -> Iterator[tuple[Subnet | None, int, Address | None]]:
        """Destination, link and next hop of the routes of both families in every table. None for a destination that is
        a default route or a part of one, link-local, multicast or loopback; of the local table there are only whole
        subnets (`ip route add local`)."""
        for _, payload in self._netlink.dump(Message(_GETROUTE, 0, _ROUTE.pack(0, 0, 0, 0, 0, 0, 0, 0, 0))):
            family, prefix, _, _, table, _, _, kind, _ = _ROUTE.unpack_from(payload)
            version = 4 if family == AF_INET else 6
            # Most of what there is, and none of it a subnet: quickly.
            if table == _TABLE_LOCAL and (kind != _RTN_LOCAL or prefix == _LENGTHS[version]):
                continue
            if not _RTN_UNICAST <= kind <= _RTN_PROHIBIT:
                continue
            found = attributes(payload[_ROUTE.size :])
            subnet: Subnet | None = None
            if prefix > _DEFAULT_PART[version] and _RTA_DST in found:
                subnet = ip_network((found[_RTA_DST], prefix), strict=False)
            router = ip_address(found[_RTA_GATEWAY]) if _RTA_GATEWAY in found else None
            yield (
                subnet if subnet is not None and _is_somewhere(subnet.network_address) else None,
                as_u32(found.get(_RTA_OIF)),
                router if router is not None and _is_somewhere(router) else None,
            )

    def _addresses(self, theirs: Mapping[int, str]) -> dict[Interface, str]:
        """Of these links (index -> name) and of the other ends of lines. A prefix that is a part of a default route
        says nothing of a network."""
        found: dict[Interface, str] = {}
        for _, payload in self._netlink.dump(Message(_GETADDR, 0, _IFADDR.pack(0, 0, 0, 0, 0))):
            _, prefix, _, _, index = _IFADDR.unpack_from(payload)
            given = attributes(payload[_IFADDR.size :])
            for packed in (given.get(_IFA_ADDRESS), given.get(_IFA_LOCAL)):
                if packed is None or index not in theirs or not _is_somewhere(address := ip_address(packed)):
                    continue
                length = prefix if prefix > _DEFAULT_PART[address.version] else address.max_prefixlen
                found[ip_interface((packed, length))] = f"interface {theirs[index]} of this host"
        return found

    def _links(self) -> Iterator[tuple[int, str, bool]]:
        """Index and name of every link, and whether it is ours."""
        brief = _IFINFO.pack(0, 0, 0, 0, 0, 0) + u32(_IFLA_EXT_MASK, _FILTER_SKIP_STATS)
        for _, payload in self._netlink.dump(Message(_GETLINK, 0, brief)):
            found = attributes(payload[_IFINFO.size :])
            ours = self._owner.unmarked(as_text(found.get(_IFLA_IFALIAS))) is not None
            yield _IFINFO.unpack_from(payload)[3], as_text(found.get(_IFLA_IFNAME)), ours


def _place(subnet: Subnet) -> tuple[int, int, int]:
    return subnet.version, int(subnet.network_address), subnet.prefixlen


def _is_somewhere(address: Address) -> bool:
    """It is not the same on every host."""
    return not (address.is_link_local or address.is_multicast or address.is_loopback)


def nameservers() -> Iterator[Address]:
    """Those of resolv.conf(5), wherever they are: a container may be one."""
    try:
        lines = RESOLV_CONF.read_text(errors="replace").splitlines()
    except OSError:
        return
    for line in lines:
        words = line.split()
        if len(words) < 2 or words[0] != "nameserver":
            continue
        try:
            address = unmapped(ip_address(words[1].partition("%")[0]))
        except ValueError:
            continue
        if _is_somewhere(address):
            yield address
