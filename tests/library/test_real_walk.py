"""A walk at random over the library on a real kernel, looked at with `ip` from inside of the sandboxes."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Iterator
from contextlib import AsyncExitStack, ExitStack, contextmanager, suppress
from pathlib import Path
from random import Random

import pytest

from mooring.adapters.plugins.discovery import Places
from mooring.cnm.hosts import HostSettings, open_library
from mooring.core.endpoints import Endpoint
from mooring.core.faults import Fault
from mooring.core.sandboxes import Kind, Sandbox
from mooring.services.sandboxes.library import Library
from tests.library.invariants import first, hop, ordered, seen_as_model
from tests.library.lines import Seen, run
from tests.library.naive import ENDPOINTS, LINES, PATHS, SANDBOXES, Model
from tests.netns.rigs import PATIENCE, Namespace, private_namespace, sh

pytestmark = pytest.mark.netns

NETWORKS = ("web", "back", "inner", "bare", "hosts")
STEPS = 30


class Walk:
    """A host whose namespaces of others are at the paths of the model, as the model calls them."""

    def __init__(self, folder: Path, seed: int, paths: dict[str, str]) -> None:
        self.random = Random(seed)
        self.model = Model(there=frozenset(paths))
        self.paths = paths
        self.seen: Seen = {}
        self.told: list[str] = []
        self.settings = HostSettings(
            "walk", folder / "state", folder / "run", {}, {}, (), (), 0, Places(folder / "plugins", ())
        )
        self.cleanup = AsyncExitStack()
        self.library: Library

    async def open(self) -> None:
        """The library has started."""
        self.library = await open_library(self.settings, self.cleanup)
        await self.library.cache.load()
        await self.library.restoring.start()

    async def reopen(self) -> None:
        """Another process of the library."""
        await self.cleanup.aclose()
        await self.open()

    def real(self, line: str) -> str:
        """The line with the paths of this host."""
        return " ".join("=".join(self.paths.get(part, part) for part in word.split("=")) for word in line.split())

    def shown(self) -> object:
        """What the records say, in the model's words."""
        networks, endpoints, sandboxes = self.visible()
        words = {real: path for path, real in self.paths.items()}
        return networks, endpoints, {name: words.get(path, path) for name, path in sandboxes.items()}

    def visible(self) -> tuple[set[str], dict[str, tuple[str, int]], dict[str, str]]:
        """See invariants.seen_as_model."""
        seen = seen_as_model(self.library)
        assert isinstance(seen, tuple)
        networks, endpoints, sandboxes = seen
        return networks, endpoints, sandboxes

    def line(self) -> str:
        """Something to do; half of the time with an endpoint that is somewhere or could be."""
        choose = self.random.choice
        inside = [(name, place.sandbox) for name, place in self.model.endpoints.items() if place.sandbox]
        if inside and self.random.random() < 0.2:
            return "leave {} {}".format(*choose(inside))
        if self.model.endpoints and self.model.sandboxes and self.random.random() < 0.5:
            who, where = choose(sorted(self.model.endpoints)), choose(sorted(self.model.sandboxes))
            return f"join {who} {where} priority={self.random.randint(-1, 2)}"
        here = [name for name in ENDPOINTS if name.partition("-")[0] in NETWORKS]
        return choose(
            [
                choose(lines(NETWORKS)),
                f"no-endpoint {choose(here)}{choose(['', ' force=1'])}",
                f"no-sandbox {choose([*SANDBOXES])}",
                f"refresh {choose([*SANDBOXES])}",
                f"key {choose(['keyless', 'outside'])} {choose(PATHS)}",
                f"no-network {choose(NETWORKS)}",
            ]
        )

    async def do(self, line: str) -> None:
        """The line ends as the model says."""
        self.told.append(line)
        wanted, self.model = self.model.after(line)
        assert await self.outcome(line) == wanted, line
        assert self.shown() == self.model.visible()

    async def interrupt(self, line: str) -> None:
        """The line is cancelled somewhere, and another process goes on."""
        self.told.append(f"cancelled: {line}")
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self.outcome(line))
            for _ in range(self.random.randint(0, 12)):
                await asyncio.sleep(0)
            task.cancel()
        await self.reopen()
        after = self.model.after(line)[1]
        assert self.shown() in (self.model.visible(), after.visible()), line
        self.model = after if self.shown() == after.visible() else self.model

    async def outcome(self, line: str) -> str:
        """`ok`, or the name of the fault."""
        try:
            await run(self.library, self.real(line), self.seen)
        except Fault as fault:
            return type(fault).__name__
        return "ok"

    async def look(self) -> None:
        """Every sandbox has the interfaces, addresses and default routes that its endpoints call for, and no other.

        Soon: links are deleted after the answer, and nobody tells when.
        """
        with suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                while self.differences():  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
        assert self.differences() == [], self.told

    def differences(self) -> list[object]:
        """What is not as it should be now."""
        sandboxes = [s for s in self.library.cache.every(Sandbox) if s.path and s.kind is not Kind.HOST]
        pairs = [(sandbox.name, inside(sandbox.path), wanted(self.library, sandbox)) for sandbox in sandboxes]
        ours = {link["ifname"] for link in json.loads(sh("ip -j link")) if link["ifname"].startswith(("mv-", "mp-"))}
        told = {sandbox.key: sandbox for sandbox in self.library.cache.every(Sandbox)}
        connected = [e for e in self.library.cache.every(Endpoint) if e.attachment is not None and e.attachment.link]
        ends = {f"mv-{e.id[:12]}" for e in connected}
        ends |= {f"mp-{e.id[:12]}" for e in connected if not told[e.sandbox].path}
        return [pair for pair in [*pairs, ("the host", ours, ends)] if pair[1] != pair[2]]

    async def close(self) -> None:
        """Nothing is mounted any more, however the walk ended."""
        await self.cleanup.aclose()
        folder = self.settings.run_dir / "netns"
        sh(f"for place in {folder}/* {folder}; do umount $place 2>/dev/null || true; done")


def lines(networks: tuple[str, ...]) -> list[str]:
    """What can be made with those networks alone."""
    return [line for line in LINES if line.startswith("sandbox ") or line.split()[1] in networks]


def inside(path: str) -> object:
    """Addresses by interface, and default routes, as `ip` sees them in the namespace."""
    shown = sh(f"nsenter --net={path} sh -ec 'ip -j addr; ip -j -4 route show default; ip -j -6 route show default'")
    links, *routes = [json.loads(line) for line in shown.splitlines() if line.strip()]
    addresses = {
        link["ifname"]: sorted(f"{a['local']}/{a['prefixlen']}" for a in link["addr_info"] if a["scope"] == "global")
        for link in links
        if link["ifname"] != "lo"
    }
    return addresses, [[(route["dev"], route["gateway"]) for route in family] for family in routes]


def wanted(library: Library, sandbox: Sandbox) -> object:
    """The same by the records, the naive way."""
    members = [e for e in ordered(library, sandbox) if e.attachment is not None and e.attachment.link]
    addresses = {e.interface: sorted(str(each) for each in (e.ipv4, e.ipv6) if each is not None) for e in members}
    ways = [(first(members, version), version) for version in (4, 6)]
    return addresses, [[(e.interface, str(hop(e, version)))] if e is not None else [] for e, version in ways]


@contextmanager
def namespaces_of_others() -> Iterator[dict[str, str]]:
    """Path of the model -> path of this host."""
    with ExitStack() as stack:
        paths = {}
        for path in PATHS:
            made = Namespace.new()
            stack.callback(made.close)
            paths[path] = f"/proc/{os.getpid()}/fd/{made.fd}"
        yield paths


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_walk_at_random(tmp_path: Path, seed: int) -> None:
    """Thirty operations, of which some are cancelled in the middle, with new processes in between: inside of the
    sandboxes all is as the records say, and at the end nothing is left."""
    with private_namespace(), namespaces_of_others() as paths:
        walk = Walk(tmp_path, seed, paths)
        try:
            await walk.open()
            for line in lines(NETWORKS):
                if "again" not in line and "host2" not in line:
                    await walk.do(line)
            for number in range(STEPS):
                line = walk.line()
                if number % 6 == 5:
                    await walk.interrupt(line)
                else:
                    await walk.do(line)
                await walk.look()
            for name in sorted(walk.model.sandboxes):
                await walk.do(f"no-sandbox {name}")
            for name in sorted(walk.model.endpoints):
                await walk.do(f"no-endpoint {name}")
            for name in sorted(walk.model.networks):
                await walk.do(f"no-network {name}")
            await walk.reopen()
            await walk.look()
            assert "mr-" not in sh("ip link")
        finally:
            await walk.close()
