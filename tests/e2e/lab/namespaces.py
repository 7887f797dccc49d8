"""A network, mount and pid namespace, and what runs in it.

Rules: the namespace's first process waits for its standard input to end, and this process holds the other end: when
this process ends, however it ends, the kernel ends everything in the namespace; no process changes its own namespaces,
only short-lived threads do.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
import shlex
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol, TypeVar

CLONE_NEWNET = 0x40000000
SELDOM = 0.3  # seconds between two questions about what takes long
T = TypeVar("T")

# bash, because the first process of a pid namespace has to reap what is left to it. The inner loop ends with the input.
INIT = """
set -eu
ip link set lo up
{setup}
echo ready
set +e
while read -r line; do :; done
"""


# What dockerd and its containerd say at every start is nobody's finding.
NOISE = ("module=grpc", "type=io.containerd.", "msg=serving...", "Your kernel does not support cgroup")
# --kill-child: the first process goes also when only unshare is killed.
UNSHARE = ["unshare", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--propagation", "private"]


class LabError(Exception):
    """The lab itself did not do what was asked: not a finding about the product."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a command said. output: both streams in order; status: negative for a signal."""

    argv: tuple[str, ...]
    status: int
    output: str

    @property
    def ok(self) -> bool:
        """The command succeeded."""
        return self.status == 0


def eventually(question: Callable[[], T], what: str, timeout: float = 20.0, step: float = 0.02) -> T:
    """Ask until the answer is true, and return it. Raises LabError that names `what` after `timeout` seconds.

    step: seconds between two questions at first. What takes long is asked for less often, and a question that takes
    long, too: a machine that is kept busy by questions is late with what is asked for.
    """
    begun = time.monotonic()
    while True:
        asked = time.monotonic()
        if answer := question():
            return answer
        now = time.monotonic()
        if now > begun + timeout:
            raise LabError(f"not true after {timeout:g} s: {what}")
        time.sleep(max(step, min(SELDOM, (now - begun) / 10), min(SELDOM, now - asked)))


def children(pid: int) -> list[int]:
    """The processes that the process started and that live."""
    with contextlib.suppress(OSError):
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def in_network(path: str, work: Callable[[], T]) -> T:
    """Do the work on a thread of its own that is in the network namespace of the path, and return what it returns.

    Sockets made by the work stay in that namespace wherever they are used. Raises what the work raises.
    """
    outcome: list[T] = []
    failure: list[BaseException] = []

    def body() -> None:
        try:
            with open(path) as namespace:
                libc = ctypes.CDLL(None, use_errno=True)
                if libc.setns(namespace.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), f"setns {path}")
            outcome.append(work())
        except BaseException as error:  # noqa: BLE001  re-raised by the caller's thread
            failure.append(error)

    thread = threading.Thread(target=body, name=f"in {path}")
    thread.start()
    thread.join()
    if failure:
        raise failure[0]
    return outcome[0]


class Waiting(Protocol):
    """What waits for a process, as subprocess.Popen."""

    def poll(self) -> int | None: ...

    def wait(self, timeout: float | None = None) -> int: ...


class Process:
    """A process, mostly in a namespace; `pid` is its own, as the machine sees it, 0 when it has ended already."""

    def __init__(self, waiting: Waiting, pid: int) -> None:
        self._popen = waiting
        self.pid = pid

    @classmethod
    def entered(cls, popen: subprocess.Popen[bytes]) -> Process:
        """What was started through nsenter, which enters, forks, and waits."""
        born = eventually(lambda: children(popen.pid) or (popen.poll() is not None and [0]), "nsenter has forked")
        return cls(popen, born[0] if born else 0)

    @property
    def running(self) -> bool:
        """It has not ended."""
        return self._popen.poll() is None

    def kill(self, number: signal.Signals = signal.SIGKILL, timeout: float = 40.0) -> int:
        """Send the signal, wait for the end, return the status. Raises LabError when it does not end in time."""
        if self.running and self.pid:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)
        return self.wait(timeout)

    def wait(self, timeout: float) -> int:
        """The status once it has ended. Raises LabError when it does not end in time."""
        try:
            return self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            raise LabError(f"process {self.pid} still runs after {timeout:g} s") from None


class Namespace:
    """A private network, mount and pid namespace. setup: shell commands for its first process, before it is ready."""

    def __init__(self, name: str, setup: str = "") -> None:
        self.name = name
        self._started: list[Process] = []
        self._unshare = subprocess.Popen(
            [*UNSHARE, "bash", "-c", INIT.format(setup=setup)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=clean_environment(),
        )
        assert self._unshare.stdout is not None
        lines = []
        while (line := self._unshare.stdout.readline().decode()) and line != "ready\n":
            lines.append(line)
        if not line:
            self._unshare.wait()
            raise LabError(f"namespace {name} was not made: {' '.join(lines).strip()}")
        self.pid = children(self._unshare.pid)[0]

    @property
    def network(self) -> str:
        """The path of its network namespace."""
        return f"/proc/{self.pid}/ns/net"

    def enter(self, argv: Sequence[str], network_only: bool = False) -> list[str]:
        """The command line that runs argv inside."""
        which = ["--net"] if network_only else ["--net", "--mount", "--pid"]
        return ["nsenter", "--target", str(self.pid), *which, "--", *argv]

    def run(self, *argv: str, timeout: float = 60.0, check: bool = True, stdin: str = "") -> Result:
        """Run it inside to its end. Raises LabError when it fails, unless check is False."""
        return run(self.enter(argv), timeout=timeout, check=check, stdin=stdin)

    def start(self, argv: Sequence[str], log: IO[bytes], environment: dict[str, str] | None = None) -> Process:
        """Start it inside, its output going to the log."""
        popen = subprocess.Popen(
            self.enter(argv),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env=clean_environment() | (environment or {}),
            start_new_session=True,
        )
        return self.adopt(Process.entered(popen))

    def adopt(self, process: Process) -> Process:
        """The process was started inside: it has ended when `close` returns."""
        self._started.append(process)
        return process

    def socket(self, family: int = socket.AF_INET, kind: int = socket.SOCK_STREAM, protocol: int = 0) -> socket.socket:
        """A socket of this network namespace."""
        return in_network(self.network, lambda: socket.socket(family, kind, protocol))

    def close(self) -> None:
        """End everything inside; its links, mounts and processes are gone when this returns. Closing twice is fine."""
        assert self._unshare.stdin is not None
        assert self._unshare.stdout is not None
        with contextlib.suppress(ProcessLookupError):
            if self._unshare.poll() is None:
                os.kill(self.pid, signal.SIGKILL)
        self._unshare.stdin.close()
        self._unshare.wait(20)
        for process in self._started:
            process.wait(20)
        self._unshare.stdout.close()


def clean_environment() -> dict[str, str]:
    """This process's environment without what would lead a client or an engine astray."""
    drop = {"http_proxy", "https_proxy", "all_proxy", "no_proxy", "docker_host", "docker_context", "notify_socket"}
    return {
        key: value for key, value in os.environ.items() if key.lower() not in drop and not key.startswith("MOORING_")
    }


def run(
    argv: Sequence[str],
    *,
    timeout: float = 60.0,
    check: bool = True,
    stdin: str = "",
    environment: dict[str, str] | None = None,
) -> Result:
    """Run it to its end. Raises LabError when it fails and check is set, or takes longer than timeout seconds."""
    try:
        done = subprocess.run(
            argv,
            input=stdin.encode(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=timeout,
            env=clean_environment() | (environment or {}),
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        said = (late.stdout or b"").decode(errors="replace")
        raise LabError(f"{shlex.join(argv)}: no end after {timeout:g} s\n{said}") from None
    return finished(argv, done.returncode, done.stdout, check)


def finished(argv: Sequence[str], status: int, output: bytes, check: bool) -> Result:
    """What the command said. Raises LabError when it failed and check is set."""
    result = Result(tuple(argv), status, output.decode(errors="replace").strip())
    if check and not result.ok:
        raise LabError(f"{shlex.join(argv)}: exit {result.status}\n{result.output}")
    return result


def tail(path: Path, lines: int = 40) -> str:
    """The last lines of a log."""
    if not path.exists():
        return "(no log)"
    kept = [line for line in path.read_text(errors="replace").splitlines() if not any(noise in line for noise in NOISE)]
    return "\n".join(re.sub(r"\x1b\[[0-9;]*m", "", line) for line in kept[-lines:])
