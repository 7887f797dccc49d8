"""Whether a process runs in the network namespace at the other end of a veth pair, by rtnetlink.

Rules: the kernel is asked, in one write for many processes, which namespace each is in (RTM_GETNSID in
linux/rtnetlink.h), which needs no right to look into other people's processes as /proc/PID/ns does; when it cannot be
found out, somebody is there.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
from collections.abc import Sequence

from mooring.adapters.netlink.sockets import Message, Netlink, NetlinkError, attributes, text, u32

_GETLINK, _GETNSID = 18, 90
_IFLA_IFNAME, _IFLA_LINK_NETNSID = 3, 37
_NETNSA_NSID, _NETNSA_PID = 1, 2
_IFINFO = struct.Struct("=BBHiII")
_RTGEN = struct.pack("=B3x", socket.AF_UNSPEC)
_SIGNED = struct.Struct("=i")
# Answers wait in the socket's buffer, which holds a few hundred.
_AT_ONCE = 64


def is_lived_in(netlink: Netlink, link: str, processes: Sequence[int] | None = None, home: int | None = None) -> bool:
    """A process runs in the namespace, another than the socket's, that the link's other end is in.

    home: what the socket's namespace calls the host's, which does not count either. processes: whom to ask about, all
    that /proc shows unless given; those made last are the likeliest and come first.
    True when it cannot be found out. Raises NetlinkError.
    """
    namespace = _other_namespace(netlink, link)
    if namespace is None or namespace == home:
        return False
    if processes is None:
        processes = sorted((int(name) for name in os.listdir("/proc") if name.isdecimal()), reverse=True)
        if 1 not in processes:
            return True  # proc(5), hidepid: we are shown our own only
    for start in range(0, len(processes), _AT_ONCE):
        some = processes[start : start + _AT_ONCE]
        answers = netlink.ask_each([Message(_GETNSID, 0, _RTGEN + u32(_NETNSA_PID, pid)) for pid in some])
        if any(_number(payload[len(_RTGEN) :], _NETNSA_NSID) == namespace for payload in answers):
            return True
    return False


def _other_namespace(netlink: Netlink, link: str) -> int | None:
    """The id, in the socket's namespace, of the one that the link's other end is in; None when it is the same one."""
    request = _IFINFO.pack(socket.AF_UNSPEC, 0, 0, 0, 0, 0) + text(_IFLA_IFNAME, link)
    try:
        payload = netlink.ask(Message(_GETLINK, 0, request))[1]
    except NetlinkError as error:
        if error.errno == errno.ENODEV:
            return None
        raise
    return _number(payload[_IFINFO.size :], _IFLA_LINK_NETNSID)


def _number(data: bytes, kind: int) -> int | None:
    found = attributes(data).get(kind)
    return int(_SIGNED.unpack(found)[0]) if found is not None and len(found) == _SIGNED.size else None
