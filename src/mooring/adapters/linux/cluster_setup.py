"""What joining a cluster needs of a Linux host: the file of its membership, its underlay, the way to the servers.

Rules: the file has a private key, is root's alone and replaced as a whole; etcd's client is loaded by `connect` and not
before.
"""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Sequence
from contextlib import closing, suppress
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from mooring.adapters.linux.links import Links
from mooring.adapters.netlink.sockets import NetlinkError
from mooring.core.cluster_hosts import ClusterAccess, Membership, Underlay
from mooring.core.faults import BadRequest, Unavailable
from mooring.core.networks import Address
from mooring.ports import Cluster
from mooring.wire.cluster_host_forms import decode_membership, encode_membership

RESOLVE = 3.0
"""Seconds that a nameserver has for the name of an endpoint; a host is heard every four."""


class LinuxClusterSetup:
    """file: where the membership is kept, in a folder that is there."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def kept(self) -> Membership | None:
        """See the port."""
        try:
            return decode_membership(self._file.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(f"{self._file} cannot be read: {error.strerror}") from None

    def keep(self, membership: Membership | None) -> None:
        """See the port."""
        draft = self._file.with_name(f"{self._file.name}.new")
        try:
            if membership is None:
                self._file.unlink(missing_ok=True)
            else:
                draft.unlink(missing_ok=True)
                with os.fdopen(
                    os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb"
                ) as file:
                    file.write(encode_membership(membership))
                    file.flush()
                    os.fsync(file.fileno())
                draft.replace(self._file)
            folder = os.open(self._file.parent, os.O_RDONLY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise Unavailable(f"{self._file} cannot be written: {error.strerror}") from None

    async def underlay(self, given: str, endpoints: Sequence[str]) -> Underlay:
        """See the port."""
        wanted = _address(given) if given else await _source(endpoints[0])
        try:
            with closing(Links()) as links:
                found = [
                    (link, each.ip) for index, each, _ in links.addresses() if (link := links.at(index)) is not None
                ]
        except NetlinkError as error:
            raise Unavailable(f"the addresses of this host cannot be read: {error}") from None
        for link, address in found:
            if address == wanted or (wanted is None and link.name == given):
                if address.is_loopback and given:
                    raise BadRequest(f"{address} is reached by nobody else", hint="name another with --underlay")
                return Underlay(str(address), link.name, link.mtu)
        if given:
            raise BadRequest(f"this host has neither an interface with an address nor an address {given[:64]!r}")
        raise Unavailable(f"{endpoints[0]} cannot be reached from here", hint="say --underlay INTERFACE")

    def connect(self, access: ClusterAccess) -> Cluster:
        """See the port."""
        from mooring.adapters.etcd.etcd_cluster import EtcdCluster
        from mooring.adapters.etcd.member import Credentials

        secrets = access.ca.encode(), access.certificate.encode(), access.key.encode()
        return EtcdCluster(access.endpoints, Credentials(*secrets, access.user, access.password), access.prefix)

    async def offset(self, access: ClusterAccess) -> float | None:
        """See the port."""
        from mooring.adapters.etcd.member_time import offset

        for endpoint in access.endpoints:
            with suppress(OSError, ValueError):
                return await asyncio.to_thread(offset, endpoint, access.ca, access.certificate, access.key)
        return None


def _address(text: str) -> Address | None:
    try:
        return ip_address(text)
    except ValueError:
        return None


async def _source(endpoint: str) -> Address | None:
    """The address of this host that packets to the endpoint bear; nothing is sent. A nameserver is waited for in a
    thread, and not for long: libc's resolver takes up to half a minute (resolv.conf(5)). The thread is none of the
    loop's, which would wait for it at the daemon's end."""
    loop = asyncio.get_running_loop()
    found: asyncio.Future[Address | None] = loop.create_future()

    def tell(address: Address | None) -> None:
        if not found.done():
            found.set_result(address)

    def look() -> None:
        address = _source_now(endpoint)
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(tell, address)

    threading.Thread(target=look, name="resolver", daemon=True).start()
    with suppress(TimeoutError):
        return await asyncio.wait_for(found, RESOLVE)
    return None


def _source_now(endpoint: str) -> Address | None:
    parts = urlsplit(endpoint)
    try:
        where = socket.getaddrinfo(parts.hostname, parts.port or 2379, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError, ValueError):
        return None
    for family, kind, protocol, _, address in where:
        with suppress(OSError), socket.socket(family, kind, protocol) as probe:
            probe.connect(address)
            return ip_address(probe.getsockname()[0].partition("%")[0])
    return None
