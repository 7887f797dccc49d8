"""A link's sysctls, as the kernel tells them together with the link: no file is read for them. And the attribute for
one that makes itself no address.

The order is that of linux/ip.h and linux/ipv6.h (IPV4_DEVCONF_*, which begin at 1, and DEVCONF_*), to which is only
ever added at the end.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from socket import AF_INET, AF_INET6
from struct import unpack_from

from mooring.adapters.linux.sysctls import read_setting
from mooring.adapters.netlink.sockets import attributes, nest, u8
from mooring.core.datapath import BRIDGE_SETTINGS
from mooring.core.options import MTU_LEAST

_IFLA_AF_SPEC, _INET6_ADDR_GEN_MODE, _ADDR_GEN_NONE = 26, 8, 1
_IPV6 = Path("/proc/sys/net/ipv6")
_CONF: dict[int, int] = {AF_INET: 1, AF_INET6: 2}  # IFLA_INET_CONF, IFLA_INET6_CONF
_LOCALNET, _DISABLE_IPV6, _ACCEPT_RA, _ACCEPT_DAD, _ARP_IGNORE, _PROMOTE = BRIDGE_SETTINGS
_PLACES: dict[str, tuple[int, int]] = {
    _LOCALNET: (AF_INET, 25),
    _DISABLE_IPV6: (AF_INET6, 26),
    _ACCEPT_RA: (AF_INET6, 3),
    _ACCEPT_DAD: (AF_INET6, 27),
    _ARP_IGNORE: (AF_INET, 18),
    _PROMOTE: (AF_INET, 19),
}


def link_settings(name: str, families: bytes) -> Iterator[tuple[str, str]]:
    """Path and value of each of BRIDGE_SETTINGS that the link of the name has. families: its IFLA_AF_SPEC."""
    told = {family: attributes(data).get(_CONF.get(family, 0), b"") for family, data in attributes(families).items()}
    for pattern, (family, number) in _PLACES.items():
        path, values = pattern.format(name), told.get(family, b"")
        if len(values) >= 4 * number + 4:
            yield path, str(unpack_from("=i", values, 4 * number)[0])
        elif (value := read_setting(path)) is not None:  # as where the kernel has no IPv6
            yield path, value


def no_own_address(mtu: int) -> bytes:
    """The attribute of a message that sets a link of that MTU, by which it makes itself no link-local IPv6 address.
    Nothing where the kernel has no IPv6, or none on that link: it would refuse the message (EAFNOSUPPORT)."""
    if mtu < MTU_LEAST[6] or not _IPV6.exists():
        return b""
    return nest(_IFLA_AF_SPEC, nest(AF_INET6, u8(_INET6_ADDR_GEN_MODE, _ADDR_GEN_NONE)))
