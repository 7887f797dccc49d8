"""Packets of the lab: servers that answer, clients that ask, from any network namespace.

Rules: sockets are made on a thread in the namespace and used by this process, so no process runs where the packets do;
every wait has an end; a server answers each request with its own name and whom it saw, so a test knows who answered.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from dataclasses import dataclass

from tests.e2e.lab.namespaces import in_network, run

WAIT = 3.0  # seconds for what should work
NEVER = 0.6  # seconds for what should not


def family_of(address: str) -> socket.AddressFamily:
    """AF_INET or AF_INET6."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


@dataclass(frozen=True, slots=True)
class Reply:
    """Who answered, and the address that the server saw the request come from."""

    server: str
    seen: str


class Server:
    """Answers TCP and UDP at one port in a network namespace, on a thread, both families. Use as a context manager."""

    def __init__(self, network: str, name: str, port: int, kinds: str = "tcp,udp") -> None:
        self.name, self.port = name, port
        self._selector = selectors.DefaultSelector()
        self._stop, self._stopped = socket.socketpair()
        self._selector.register(self._stopped, selectors.EVENT_READ)
        for kind in kinds.split(","):
            sock = in_network(network, lambda kind=kind: _listen(kind, port))  # type: ignore[misc]
            self._selector.register(sock, selectors.EVENT_READ, kind)
        self._thread = threading.Thread(target=self._serve, name=f"server {name}")

    def __enter__(self) -> Server:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.send(b"x")
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            assert isinstance(key.fileobj, socket.socket)
            key.fileobj.close()
        self._stop.close()
        self._selector.close()

    def _serve(self) -> None:
        while True:
            for key, _ in self._selector.select():
                sock = key.fileobj
                assert isinstance(sock, socket.socket)
                if sock is self._stopped:
                    return
                with contextlib.suppress(OSError):
                    self._answer(sock, key.data)

    def _answer(self, sock: socket.socket, kind: str) -> None:
        if kind == "tcp":
            stream, peer = sock.accept()
            self._selector.register(stream, selectors.EVENT_READ, "stream")
            return
        if kind == "udp":
            data, peer = sock.recvfrom(2048)
            sock.sendto(self._text(data, peer[0]), peer)
            return
        data = b""
        with contextlib.suppress(OSError):
            data = sock.recv(2048)
        if not data:
            self._selector.unregister(sock)
            sock.close()
            return
        sock.sendall(self._text(data, sock.getpeername()[0]))

    def _text(self, data: bytes, peer: str) -> bytes:
        return b"%s %s %s\n" % (self.name.encode(), peer.removeprefix("::ffff:").encode(), data.strip())


def _listen(kind: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM if kind == "tcp" else socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        # An IPv4 container without IPv6 (disable_ipv6=1) can still bind the wildcard.
    sock.bind(("::" if family == socket.AF_INET6 else "0.0.0.0", port))
    if kind == "tcp":
        sock.listen(64)
    return sock


class Stream:
    """A TCP connection from a network namespace, kept open. Raises OSError when it cannot be made."""

    def __init__(self, network: str, address: str, port: int, timeout: float = WAIT) -> None:
        self._sock = in_network(network, lambda: socket.socket(family_of(address), socket.SOCK_STREAM))
        self._sock.settimeout(timeout)
        try:
            self._sock.connect((address, port))
        except OSError:
            self._sock.close()
            raise

    def ask(self, timeout: float = WAIT) -> Reply:
        """One request and its reply over the connection. Raises OSError when there is none in time."""
        self._sock.settimeout(timeout)
        self._sock.sendall(b"hello\n")
        answer = self._sock.recv(2048)
        if not answer:
            raise ConnectionResetError("the stream has ended")
        return _reply(answer)

    def close(self) -> None:
        """The connection ends."""
        self._sock.close()


def ask_tcp(network: str, address: str, port: int, timeout: float = WAIT) -> Reply:
    """One TCP connection, one request. Raises OSError when there is no answer."""
    stream = Stream(network, address, port, timeout)
    try:
        return stream.ask(timeout)
    finally:
        stream.close()


def ask_udp(network: str, address: str, port: int, timeout: float = WAIT) -> Reply:
    """One datagram, sent up to three times. Raises OSError when there is no answer from where it was sent to."""
    sock = in_network(network, lambda: socket.socket(family_of(address), socket.SOCK_DGRAM))
    with sock:
        sock.settimeout(timeout / 3)
        sock.connect((address, port))  # so that an answer from another address is not taken for one
        for attempt in range(3):
            try:
                sock.send(b"hello\n")
                return _reply(sock.recv(2048))
            except TimeoutError:
                if attempt == 2:
                    raise
    raise AssertionError("not reached")


def reaches(network: str, address: str, port: int, kind: str = "tcp", timeout: float = NEVER) -> bool:
    """A server at the address and port answers. For what should fail: it waits no longer than `timeout` seconds."""
    try:
        (ask_tcp if kind == "tcp" else ask_udp)(network, address, port, timeout)
    except OSError:
        return False
    return True


def pings(network: str, address: str, count: int = 1, wait: int = 2) -> bool:
    """The address answers an echo request that is sent from the network namespace."""
    argv = ["busybox", "ping6" if ":" in address else "ping", "-c", str(count), "-W", str(wait), "-q", address]
    return run(["nsenter", f"--net={network}", "--", *argv], check=False, timeout=20).ok


def _reply(data: bytes) -> Reply:
    server, seen, _ = data.decode().split(" ", 2)
    return Reply(server, seen)
