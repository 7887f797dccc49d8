"""Real etcds of Debian, on 127.0.0.1 or in a namespace: one member, or several with TLS and client certificates.

Rules: they end when this process does, however it ends. Their clocks are quick (elections in 0.2 s), so that tests are.
"""

from __future__ import annotations

import contextlib
import platform
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.adapters.certificates import Pair, authority, signed
from tests.e2e.lab.namespaces import LabError, Namespace, eventually, in_network
from tests.e2e.lab.releases import ETCD, unpacked

ETCDS = ("bookworm", "trixie")
QUICK = ("--heartbeat-interval=20", "--election-timeout=200", "--logger=zap", "--log-level=error")


def program(suite: str) -> str:
    """The path of the suite's etcd: 3.4 of bookworm, 3.5 of trixie. Raises LabError."""
    own = platform.freedesktop_os_release().get("VERSION_CODENAME", "")
    path = "/usr/bin" if suite == own else f"{unpacked(suite, ETCD)}/usr/bin"
    found = shutil.which("etcd", path=path)
    if found is None:
        raise LabError(f"there is no etcd of {suite} (packaging/debian-packages.txt)")
    return found


@dataclass(slots=True)
class Etcd:
    """One member. argv: how it is started."""

    name: str
    endpoint: str
    argv: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Run it; it may not serve yet."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.argv, stdout=log, stderr=log)

    def kill(self) -> None:
        """As a power cut does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None

    def send(self, number: signal.Signals) -> None:
        """A signal: SIGSTOP for a member that does not answer, SIGCONT for it again."""
        assert self.process is not None
        self.process.send_signal(number)


@dataclass(frozen=True, slots=True)
class Place:
    """Where members run: an address, and the namespace that has it, None for this one."""

    address: str = "127.0.0.1"
    namespace: Namespace | None = None

    @property
    def enter(self) -> list[str]:
        """The command before a member's."""
        return self.namespace.enter([], network_only=True) if self.namespace is not None else []

    def accepts(self, port: int) -> None:
        """Wait until somebody listens there."""

        def listened() -> bool:
            with contextlib.suppress(OSError), socket.create_connection((self.address, port), 1):
                return True
            return False

        network = self.namespace.network if self.namespace is not None else None
        eventually(lambda: in_network(network, listened) if network else listened(), f"an etcd listens at {port}", 20)


HERE = Place()


@dataclass(slots=True)
class Etcds:
    """All members of one cluster. authority: who signs, None without TLS. client: the certificate of a client."""

    members: list[Etcd]
    authority: Pair | None = None
    client: Pair | None = None
    extra: Sequence[str] = field(default=())

    @property
    def endpoints(self) -> list[str]:
        """Of all members."""
        return [member.endpoint for member in self.members]


@contextlib.contextmanager
def etcds(
    folder: Path, suite: str, members: int = 1, tls: bool = False, extra: Sequence[str] = (), place: Place = HERE
) -> Iterator[Etcds]:
    """That many members, which accept connections. extra: further flags of each."""
    made = Etcds([])
    secure: list[str] = []
    if tls:
        made.authority = authority(folder)
        server = signed(folder, made.authority, "server", address=place.address)
        made.client = signed(folder, made.authority, "client")
        secure = [f"--cert-file={server.cert}", f"--key-file={server.key}", "--client-cert-auth"]
        secure.append(f"--trusted-ca-file={made.authority.cert}")
    ports = free_ports(2 * members)
    peers = [f"http://{place.address}:{port}" for port in ports[members:]]
    everybody = ",".join(f"m{number}={peer}" for number, peer in enumerate(peers))
    for number, peer in enumerate(peers):
        url = f"{'https' if tls else 'http'}://{place.address}:{ports[number]}"
        data = folder / f"m{number}"
        argv = [
            *place.enter,
            "setpriv",
            "--pdeathsig=KILL",
            program(suite),
            f"--name=m{number}",
            f"--data-dir={data}",
            *QUICK,
            *secure,
            *extra,
        ]
        argv += [f"--listen-client-urls={url}", f"--advertise-client-urls={url}"]
        argv += [
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster={everybody}",
        ]
        made.members.append(Etcd(f"m{number}", url, argv, folder / f"m{number}.log"))
    try:
        for member in made.members:
            member.start()
        for port in ports[:members]:
            place.accepts(port)
        yield made
    finally:
        for member in made.members:
            member.kill()


def free_ports(count: int) -> list[int]:
    """Ports of 127.0.0.1 that nobody has now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
