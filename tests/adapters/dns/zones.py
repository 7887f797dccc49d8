"""A named of Debian's on the loopback interface, a key that both sides know, and records to be told."""

from __future__ import annotations

import asyncio
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from mooring.core.host_names import Entry
from mooring.core.zones import Place, Record, Snapshot, next_serial, records_of
from mooring.services.containers.zone_export import ZoneExport

needs_named = pytest.mark.skipif(shutil.which("named") is None, reason="Debian's bind9 is not installed")

HOME = "127.0.0.1"
SECRET = "bm90IGEgc2VjcmV0LCBpdCBpcyBpbiBhIHRlc3QgISEh"
KEY = f'key "mooring" {{\n\talgorithm hmac-sha256;\n\tsecret "{SECRET}";\n}};\n'
OTHER_KEY = KEY.replace(SECRET, SECRET[::-1].replace("=", "A"))


class ToldExport(ZoneExport):
    """What a test says."""

    def __init__(self, zone: str = "mooring") -> None:
        self.zone, self.current, self._listeners = zone, None, []

    async def run(self) -> None:
        """For ever."""
        await asyncio.Event().wait()

    def tell(self, *entries: Entry, whole: bool = True) -> None:
        """Those, and no others, from now on. whole: as of Snapshot."""
        forward: dict[str, set[Record]] = {}
        reverse: dict[str, set[Record]] = {}
        for entry in entries:
            for name, record in records_of(entry, self.zone):
                (reverse if record[0] == "PTR" else forward).setdefault(name, set()).add(record)
        serial = next_serial(self.current.serial if self.current else 0, time.time())
        self.current = Snapshot(serial, forward, reverse, whole)
        for listener in self._listeners:
            listener()


def entry(name: str, *addresses: str, network: str = "web") -> Entry:
    """A container in a network."""
    return Entry((name,), tuple(map(IPv4Address, addresses)), network)


def key_file(folder: Path, text: str = KEY) -> Path:
    """The file with the key, as it should be."""
    path = folder / "dns.keys"
    path.write_text(text)
    path.chmod(0o640)
    return path


def free_place() -> Place:
    """A port of the loopback that nobody has, for both protocols most likely."""
    with socket.socket() as made:
        made.bind((HOME, 0))
        return IPv4Address(HOME), made.getsockname()[1]


@dataclass
class Named:
    """One that runs. log: what it said, so far."""

    place: Place
    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        """All of it."""
        return (self.folder / "log").read_text()

    def stop(self) -> None:
        """It is gone."""
        self.process.terminate()
        self.process.wait(10)


@asynccontextmanager
async def named(folder: Path, config: str, place: Place | None = None) -> AsyncIterator[Named]:
    """Runs with the statements, after options that keep it to itself."""
    place = place or free_place()
    options = (
        f'options {{ directory "{folder}"; pid-file none; session-keyfile none; recursion no; dnssec-validation no;\n'
        f"  listen-on port {place[1]} {{ {place[0]}; }}; listen-on-v6 {{ none; }}; minimal-responses yes;\n"
        f"  notify-delay 0; serial-query-rate 100; }};\ncontrols {{ }};\n{KEY}"
    )
    (folder / "named.conf").write_text(options + config)
    process = start_named(folder)
    made = Named(place, folder, process)
    try:
        await soon(lambda: " running\n" in made.log or process.poll() is not None)
        assert process.poll() is None, made.log
        yield made
    finally:
        made.stop()


def start_named(folder: Path) -> subprocess.Popen[bytes]:
    """By the configuration in the folder, which gets its log."""
    with (folder / "log").open("wb") as log:
        return subprocess.Popen(["named", "-g", "-n1", "-c", str(folder / "named.conf")], stderr=log)


async def soon(true: Callable[[], bool], within: float = 15.0) -> None:
    """It is true within that many seconds; looked at beside the loop, where our side runs."""
    async with asyncio.timeout(within):
        while not await asyncio.to_thread(true):  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def dig(place: Place, *words: str, key: str = f"hmac-sha256:mooring:{SECRET}") -> str:
    """What dig says."""
    command = ["dig", f"@{place[0]}", "-p", str(place[1]), "+tries=1", "+time=5", *(["-y", key] if key else []), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout
