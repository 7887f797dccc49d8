"""The WireGuard port on Linux: the kernel's, or wireguard-go's, both by the tool `wg`.

Rules: all that waits is done in one thread, in the network namespace in which the object was made; a private key is in
its file, which is root's alone, and goes to `wg` by a pipe, never by a command line; what is right is not touched.
"""

from __future__ import annotations

import asyncio
import errno
import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path
from typing import TypeVar

from mooring.adapters.linux.links import Link, Links
from mooring.adapters.netlink.sockets import NLM_F_CREATE, NLM_F_EXCL, Message, NetlinkError, nest, text, u8, u32
from mooring.core.faults import Conflict, Unavailable
from mooring.core.wireguard import ALIAS, KeyPair, KeyRing, Peer, WireGuardDevice
from mooring.wire.key_rings import decode_ring, encode_ring

T = TypeVar("T")

KERNEL, USERSPACE = "the kernel's WireGuard", "wireguard-go"
# Seconds that one call of a program may take, and within which a device is there that was asked for.
PATIENCE = 5.0
_MISSING = "apt install wireguard-tools wireguard-go"
_TUN = Path("/dev/net/tun")
_SOCKETS = Path("/run/wireguard")
# linux/rtnetlink.h, linux/if_link.h
_NEWLINK, _SETLINK = 16, 19
_IFLA_IFNAME, _IFLA_MTU, _IFLA_LINKINFO, _IFLA_AF_SPEC, _INFO_KIND = 3, 4, 18, 26, 1
_INET6_ADDR_GEN_MODE, _ADDR_GEN_NONE = 8, 1
_IFINFO = struct.Struct("=BBHiII")
_DISCARD = 9  # UDP: RFC 863


class LinuxWireGuard:
    """file: where the keys are kept, in a folder that is there. systemd: whether the service manager runs wireguard-go,
    so that it outlives the daemon; else it is a process without a parent."""

    def __init__(self, file: Path, systemd: bool = False) -> None:
        self._file, self._systemd = file, systemd
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="wireguard")
        self._pool.submit(lambda: None).result()  # it is in this namespace from now on
        self._told: dict[str, tuple[str, int]] = {}  # by key: the endpoint that was set

    def close(self) -> None:
        """Let go of the thread."""
        self._pool.shutdown()

    async def check(self) -> str:
        """See the port."""
        return await self._in(_check)

    def kept(self) -> KeyRing | None:
        """See the port."""
        try:
            return decode_ring(self._file.read_bytes())
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(f"{self._file} cannot be read: {error.strerror}") from None

    def keep(self, ring: KeyRing) -> None:
        """See the port."""
        draft = self._file.with_name(f"{self._file.name}.new")
        try:
            draft.unlink(missing_ok=True)
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600), "wb") as file:
                file.write(encode_ring(ring))
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._file)
        except OSError as error:
            raise Unavailable(f"{self._file} cannot be written: {error.strerror}") from None

    async def make_pair(self) -> KeyPair:
        """See the port."""

        def make() -> KeyPair:
            private = _wg("genkey").strip()
            return KeyPair(_wg("pubkey", given=private).strip(), private)

        return await self._in(make)

    async def settle(self, wanted: WireGuardDevice) -> Mapping[str, int]:
        """See the port."""
        return await self._in(lambda: self._settle(wanted))

    async def greet(self, wanted: WireGuardDevice) -> None:
        """See the port."""

        def greet() -> None:
            with suppress(OSError), socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                for peer in wanted.peers:
                    with suppress(OSError):
                        sender.sendto(b"", (str(peer.inner), _DISCARD))

        await self._in(greet)

    async def remove(self, name: str) -> None:
        """See the port."""

        def remove() -> None:
            with closing(Links()) as links:
                link = links.find(name)
                if link is not None and link.ours:
                    links.delete(name)  # with it wireguard-go ends

        await self._in(remove)

    def _settle(self, wanted: WireGuardDevice) -> Mapping[str, int]:
        with closing(Links()) as links:
            link = links.find(wanted.name)
            if link is None:
                self._told.clear()
                _remove_all(links)  # this host's in a cluster that it has left has the port yet
                self._make(links, wanted)
                link = links.find(wanted.name)
            if link is None:
                raise Unavailable(f"interface {wanted.name} has gone", hint="it is made again in a second")
            if not link.ours and (link.alias or link.kind not in ("tun", "wireguard")):
                raise Conflict(f"interface {wanted.name} already exists and is not ours", holder=f"device {link.name}")
            if not (link.ours and link.up and link.mtu == wanted.mtu and link.alias == wanted.alias):
                _set(links, link, wanted)
            links.add_address(link.index, wanted.address, anew=False)
        shown = _Shown(_wg("show", wanted.name, "dump"))
        if shown.differs(wanted) or self._told != {each.key: _endpoint(each) for each in wanted.peers}:
            try:
                _wg("syncconf", wanted.name, "/dev/stdin", given=_configuration(wanted))
            except Unavailable as fault:
                if "Address already in use" in str(fault):
                    raise Conflict(
                        f"UDP port {wanted.port} is in use on this host, so encrypted networks are cut off",
                        holder=f"`ss -ulpn sport = {wanted.port}` shows it", hint="end that process",
                    ) from None  # fmt: skip
                raise
            self._told = {each.key: _endpoint(each) for each in wanted.peers}
        return shown.heard

    def _make(self, links: Links, wanted: WireGuardDevice) -> None:
        """The device is there, without keys."""
        if _check() == KERNEL:
            _add_kernel_device(links, wanted.name)
            return
        if self._systemd:
            _run("systemctl", "restart", f"mooring-wireguard@{wanted.name}.service")
        else:
            _start(wanted.name)
        until = time.monotonic() + PATIENCE
        while links.find(wanted.name) is None or not (_SOCKETS / f"{wanted.name}.sock").exists():
            if time.monotonic() > until:
                raise Unavailable(f"wireguard-go has made no interface {wanted.name}", hint="see its log")
            time.sleep(0.02)

    async def _in(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except NetlinkError as error:
            raise Unavailable(f"the WireGuard device cannot be set: {error.strerror}") from error


def remove_devices() -> None:
    """There is no device of ours in this namespace. Raises Unavailable."""
    try:
        with closing(Links()) as links:
            _remove_all(links)
    except NetlinkError as error:
        raise Unavailable(f"the WireGuard device cannot be removed: {error.strerror}") from error


def _remove_all(links: Links) -> None:
    for link in links.ours():
        if link.alias.startswith(ALIAS):
            links.delete(link.name)


class _Shown:
    """What `wg show NAME dump` prints. heard: by key, seconds since the epoch."""

    def __init__(self, dump: str) -> None:
        first, *rest = [line.split("\t") for line in dump.splitlines()]
        self._private, self._port = first[0], first[2]
        self._allowed = {line[0]: line[3] for line in rest}
        self.heard = {line[0]: int(line[4]) for line in rest}

    def differs(self, wanted: WireGuardDevice) -> bool:
        """Whether anything but endpoints, which follow their peers, is another."""
        allowed = {
            key: f"{peer.inner}/128" if key == peer.key else "(none)" for peer in wanted.peers for key in peer.keys
        }
        return (self._private, self._port, self._allowed) != (wanted.private, str(wanted.port), allowed)


def _configuration(wanted: WireGuardDevice) -> str:
    """As wg(8) reads it. Of a host with two keys the one that has no address comes first, or it would take it away."""
    lines = ["[Interface]", f"PrivateKey = {wanted.private}", f"ListenPort = {wanted.port}"]
    for peer in wanted.peers:
        for key in sorted(peer.keys, key=lambda each: each == peer.key):
            host, port = _endpoint(peer)
            lines += ["[Peer]", f"PublicKey = {key}", f"Endpoint = {f'[{host}]' if ':' in host else host}:{port}"]
            lines += [f"AllowedIPs = {peer.inner}/128"] if key == peer.key else []
    return "\n".join(lines) + "\n"


def _endpoint(peer: Peer) -> tuple[str, int]:
    return str(peer.endpoint), peer.port


def _check() -> str:
    if shutil.which("wg") is None:
        raise Unavailable("encrypted=on needs WireGuard's tool `wg`, which this host does not have", hint=_MISSING)
    with closing(Links()) as links:
        probe = f"mw-{os.getpid():x}"
        try:
            _add_kernel_device(links, probe)
        except NetlinkError as error:
            if error.errno == errno.EEXIST:
                return KERNEL
            if error.errno not in (errno.EOPNOTSUPP, errno.ENODEV):
                raise
        else:
            links.delete(probe)
            return KERNEL
    if shutil.which("wireguard-go") is None:
        raise Unavailable(
            "encrypted=on needs WireGuard: this kernel has none, and there is no wireguard-go", hint=_MISSING
        )
    if not _TUN.exists():
        raise Unavailable(f"encrypted=on needs WireGuard: wireguard-go needs {_TUN}, which this host does not have")
    return USERSPACE


def _add_kernel_device(links: Links, name: str) -> None:
    made = _IFINFO.pack(0, 0, 0, 0, 0, 0) + text(_IFLA_IFNAME, name)
    made += nest(_IFLA_LINKINFO, text(_INFO_KIND, "wireguard"))
    links.netlink.request(Message(_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, made))


def _set(links: Links, link: Link, wanted: WireGuardDevice) -> None:
    """It has our mark, the MTU, no address of its own making, and is up."""
    with suppress(OSError):  # where the host has IPv6 off for new interfaces
        Path(f"/proc/sys/net/ipv6/conf/{link.name}/disable_ipv6").write_text("0")
    head = _IFINFO.pack(0, 0, 0, link.index, 0, 0) + u32(_IFLA_MTU, wanted.mtu) + links.mark(wanted.alias)
    none = nest(_IFLA_AF_SPEC, nest(socket.AF_INET6, u8(_INET6_ADDR_GEN_MODE, _ADDR_GEN_NONE)))
    links.netlink.request(Message(_SETLINK, 0, head + none))
    links.raise_link(link.name)  # afterwards, or it would make an address first


def _wg(*words: str, given: str = "") -> str:
    return _run("wg", *words, given=given)


def _run(program: str, *words: str, given: str = "") -> str:
    """What the program prints. Raises Unavailable when it is not there, fails, or takes too long."""
    command: Sequence[str] = (program, *words)
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, text=True, check=False, timeout=PATIENCE, umask=0o077
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{program} cannot be run: {error}", hint=_MISSING) from None
    if done.returncode:
        raise Unavailable(f"`{' '.join(command[:3])}` failed: {done.stderr.strip() or done.returncode}")
    return done.stdout


def _start(name: str) -> None:
    """wireguard-go, which goes on by itself once the interface is there, and then holds none of our files."""
    told = {key: value for key, value in os.environ.items() if key not in ("LOG_LEVEL", "NOTIFY_SOCKET")}
    until = time.monotonic() + PATIENCE
    while True:
        try:
            done = subprocess.run(
                ["wireguard-go", name], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False, cwd="/",
                timeout=PATIENCE, umask=0o077, start_new_session=True, env=told,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unavailable(f"wireguard-go cannot be run: {error}", hint=_MISSING) from None
        # One whose interface is gone takes a moment to end.
        if "socket in use" not in done.stderr + done.stdout or time.monotonic() > until:
            break
        time.sleep(0.05)
    if done.returncode:
        last = (done.stderr + done.stdout).strip().rpartition("\n")[2]
        raise Unavailable(f"wireguard-go has made no interface {name}: {last[-200:]}")
