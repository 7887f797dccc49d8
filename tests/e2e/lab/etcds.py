"""Real etcds of Debian, on 127.0.0.1: one member, or several with TLS and client certificates.

Rules: they end when this process does, however it ends. Their clocks are quick (elections in 0.2 s), so that tests are.
"""

from __future__ import annotations

import contextlib
import platform
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.adapters.certificates import Pair, authority, signed
from tests.e2e.lab.namespaces import LabError
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
            self.process = subprocess.Popen(["setpriv", "--pdeathsig=KILL", *self.argv], stdout=log, stderr=log)

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
def etcds(folder: Path, suite: str, members: int = 1, tls: bool = False, extra: Sequence[str] = ()) -> Iterator[Etcds]:
    """That many members, which accept connections. extra: further flags of each."""
    made = Etcds([])
    secure: list[str] = []
    if tls:
        made.authority = authority(folder)
        server = signed(folder, made.authority, "server")
        made.client = signed(folder, made.authority, "client")
        secure = [f"--cert-file={server.cert}", f"--key-file={server.key}", "--client-cert-auth"]
        secure.append(f"--trusted-ca-file={made.authority.cert}")
    ports = free_ports(2 * members)
    peers = [f"http://127.0.0.1:{port}" for port in ports[members:]]
    everybody = ",".join(f"m{number}={peer}" for number, peer in enumerate(peers))
    for number, peer in enumerate(peers):
        url = f"{'https' if tls else 'http'}://127.0.0.1:{ports[number]}"
        data = folder / f"m{number}"
        argv = [program(suite), f"--name=m{number}", f"--data-dir={data}", *QUICK, *secure, *extra]
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
            accepting(port)
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


def accepting(port: int, seconds: float = 20) -> None:
    """Wait until somebody listens there."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)
    raise LabError(f"nobody listens at port {port}")
