"""Mooring's processes, begun by one that has all modules imported and forks: an import is a second of processor time.

Rules: what forks has never run anything, so what it forks begins as a new interpreter does that is done with its
imports; namespaces, capabilities, session, and environment are those that nsenter and setpriv would give it; what
forks ends when its socket does, which this process holds. What reads its own environment or modules before that, as
`sitecustomize`, is started cold.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import re
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from select import POLLIN, poll
from typing import IO, Any

from tests.e2e.lab.namespaces import LabError, Namespace, Process, Result, clean_environment, finished

SOURCE = Path(__file__).resolve().parents[3] / "src"
PATHS = [str(SOURCE), str(SOURCE.parent)]
SPACES = {"mnt": 0x00020000, "pid": 0x20000000, "net": 0x40000000}
PR_CAPBSET_DROP = 24
CAPABILITY_VERSION = 0x20080522


class WarmStarts:
    """Begins processes. Nothing runs before the first is wanted, nor after `close`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._forking: subprocess.Popen[bytes] | None = None
        self._socket: socket.socket | None = None

    def takes(self, command: Sequence[str], environment: dict[str, str]) -> bool:
        """Whether the command is a module, at most behind setpriv, that needs nothing before its imports."""
        words = list(command)
        if words[:2] == ["setpriv", "--bounding-set"]:
            words = words[3:]
        paths = environment.get("PYTHONPATH", "").split(":")
        return words[:2] == [sys.executable, "-m"] and set(paths) <= set(PATHS)

    def start(
        self,
        command: Sequence[str],
        output: IO[bytes] | int,
        environment: dict[str, str],
        namespace: Namespace | None = None,
    ) -> Process:
        """Start what `takes` takes; both streams go to the output. Raises LabError."""
        words = list(command)
        bounds = words[2] if words[0] == "setpriv" else ""
        order = {
            "argv": words[words.index("-m") + 1 :],
            "bounds": bounds,
            "environment": clean_environment() | environment,
            "target": namespace.pid if namespace is not None else 0,
        }
        reading, writing = os.pipe()
        out = output if isinstance(output, int) else output.fileno()
        try:
            with self._lock:
                socket.send_fds(self._connected(), [json.dumps(order).encode()], [out, writing])
        finally:
            os.close(writing)
        told = _Told(reading)
        return Process(told, told.pid)

    def run(self, command: Sequence[str], *, timeout: float, check: bool, environment: dict[str, str]) -> Result:
        """Run what `takes` takes to its end, as namespaces.run does."""
        reading, writing = os.pipe()
        try:
            process = self.start(command, writing, environment)
        finally:
            os.close(writing)
        deadline, said = time.monotonic() + timeout, b""
        with open(reading, "rb", buffering=0) as output:
            while _has_said(output.fileno(), max(0.0, deadline - time.monotonic())):
                if not (part := output.read(65536)):
                    return finished(command, process.wait(20), said, check)
                said += part
        process.kill()
        raise LabError(f"{' '.join(command)}: no end after {timeout:g} s\n{said.decode(errors='replace')}")

    def close(self) -> None:
        """Nothing is begun any more. Closing twice is fine."""
        with self._lock:
            if self._socket is not None and self._forking is not None:
                self._socket.close()
                self._forking.wait(20)
            self._socket = self._forking = None

    def _connected(self) -> socket.socket:
        if self._socket is None:
            self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with theirs:
                self._forking = subprocess.Popen(
                    [sys.executable, "-c", f"from {__name__} import main; main()", str(theirs.fileno())],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    pass_fds=[theirs.fileno()],
                    cwd=SOURCE.parent,
                    env=clean_environment() | {"PYTHONPATH": ":".join(PATHS)},
                    start_new_session=True,
                )
        return self._socket


class _Told:
    """A process that another one waits for, and tells of in a pipe: its id, and its status at its end."""

    def __init__(self, pipe: int) -> None:
        self._pipe = pipe  # -1 after the end
        self._said = b""
        self.pid = 0
        self._status: int | None = None
        self._lock = threading.Lock()
        while not self._said.count(b"\n"):
            if not self._read():
                self._end()
                raise LabError("nothing was started")
        self.pid = int(self._said.split(b"\n")[0])

    def poll(self) -> int | None:
        """The status, negative for a signal; None while it runs."""
        with self._lock:
            while self._pipe >= 0 and _has_said(self._pipe, 0):
                if not self._read():
                    self._end()
            return self._status

    def wait(self, timeout: float | None = None) -> int:
        """The status once it has ended. Raises subprocess.TimeoutExpired."""
        deadline = time.monotonic() + timeout if timeout is not None else None
        while True:
            with self._lock:
                if self._status is not None:
                    return self._status
                left = 1.0 if deadline is None else deadline - time.monotonic()
                if left <= 0:
                    raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
                if _has_said(self._pipe, min(left, 0.1)) and not self._read():
                    self._end()

    def _read(self) -> bytes:
        part = os.read(self._pipe, 64)
        self._said += part
        return part

    def _end(self) -> None:
        os.close(self._pipe)
        self._pipe = -1
        words = self._said.split()
        self._status = int(words[1]) if len(words) > 1 else -signal.SIGKILL


def _has_said(pipe: int, seconds: float) -> bool:
    """Something can be read from the pipe, or it has ended; as long is waited for it."""
    waiting = poll()
    waiting.register(pipe, POLLIN)
    return bool(waiting.poll(seconds * 1000))


# -- in the process that forks -----------------------------------------------------------------------------------------


def main() -> None:
    """Import everything, fork for each order, and be what was ordered."""
    gc.disable()  # as Mooring's own beginning does
    for module in pkgutil.walk_packages(importlib.import_module("mooring").__path__, "mooring."):
        if not module.name.startswith("mooring.testing") and not module.name.endswith("__main__"):
            with contextlib.suppress(ImportError):
                importlib.import_module(module.name)
    gc.collect()
    gc.freeze()
    capabilities = subprocess.run(["setpriv", "--list-caps"], capture_output=True, text=True, check=True)
    argv = _serve(socket.socket(fileno=int(sys.argv[1])), capabilities.stdout.split())
    if argv:
        sys.argv = argv
        runpy.run_module(argv[0], run_name="__main__", alter_sys=True)


def _serve(orders: socket.socket, capabilities: list[str]) -> list[str]:
    """What a process that was forked is to be; [] in the one that forks, at the end."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    while True:
        data, files, _, _ = socket.recv_fds(orders, 1 << 20, 2)
        if not data:
            return []
        if os.fork() == 0:
            orders.close()
            return _begun(json.loads(data), files, capabilities)
        for file in files:
            os.close(file)


def _begun(order: dict[str, Any], files: Sequence[int], capabilities: list[str]) -> list[str]:
    """Waits where it was forked, and returns where its own child is. files: for output, and where it is told of."""
    output, told = files
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setsid()
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    libc = ctypes.CDLL(None, use_errno=True)
    if order["target"]:
        folder = f"/proc/{order['target']}/ns"  # all are looked up before one is entered
        spaces = [(os.open(f"{folder}/{name}", os.O_RDONLY), kind) for name, kind in SPACES.items()]
        for space, kind in spaces:
            _succeeds(libc.setns(space, kind), "setns")
            os.close(space)
    if child := os.fork():
        os.write(told, b"%d\n" % child)
        os.write(told, b"%d\n" % os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        os._exit(0)
    os.close(told)
    if order["bounds"]:
        kept = set(re.findall(r"\+(\w+)", order["bounds"]))
        _keep(libc, [number for number, name in enumerate(capabilities) if name in kept], len(capabilities))
    os.environ.clear()
    os.environ.update(order["environment"])
    return [str(word) for word in order["argv"]]


def _keep(libc: ctypes.CDLL, kept: Sequence[int], count: int) -> None:
    """What a program of root's has that begins with such a bounding set."""
    for number in range(count):
        if number not in kept:
            _succeeds(libc.prctl(PR_CAPBSET_DROP, number, 0, 0, 0), "prctl")
    mask = sum(1 << number for number in kept)
    header = (ctypes.c_uint32 * 2)(CAPABILITY_VERSION, 0)
    # Effective, permitted, inheritable: of the first 32, and of the others.
    sets = (ctypes.c_uint32 * 6)(*[mask & 0xFFFFFFFF] * 2, 0, *[mask >> 32] * 2, 0)
    _succeeds(libc.capset(header, sets), "capset")


def _succeeds(result: int, what: str) -> None:
    if result != 0:
        raise OSError(ctypes.get_errno(), what)
