"""Taking Mooring off a host, in an order in which Docker never misses it.

Rules: nothing is begun while a container, running or not, has a place in one of Mooring's networks; networks go through
the engine and while the daemon still answers it; what was there before Mooring stays, and so do its records and its
configuration unless they are to go as well.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mooring.adapters.dns.host_dns import drop_addresses
from mooring.adapters.dns.host_forwarding import server_asked
from mooring.adapters.docker.engine_dns_file import CONFIGURATION, MARK, Change, EngineDnsFile
from mooring.adapters.docker.engine_requests import EngineRequests
from mooring.adapters.host.host_resolver import UNIT, HostResolver
from mooring.adapters.host.listeners import InstanceLock
from mooring.adapters.host.machine_ids import FIRST_NAME
from mooring.adapters.linux.linux_kernel import LinuxKernel
from mooring.adapters.linux.wireguard import remove_devices
from mooring.config import DEFAULT_PATH
from mooring.core.dns_places import ADDRESS4
from mooring.core.faults import Conflict, Unavailable
from mooring.core.host_files import RESOLV_CONF
from mooring.core.plumbing import DockerAccept, Fact, LinkFact, Remove, domain_of, plan

UNITS = (
    "mooring-again.service", "mooring-away.socket", "mooring.socket", "mooring-api.socket", "mooring-proxy.socket",
    "mooring.service", "mooring-away@.service", "mooring-wireguard@.service",
)  # fmt: skip
# What is beside the store is called after it.
STORE_ENDS = ("", "-wal", "-shm", ".lock", ".time", ".bak")
# The host's place in a cluster, with the private key by which the cluster knows it; beside the store.
MEMBERSHIP = ("cluster.json", "cluster.json.new", "wireguard.json", "wireguard.json.new")
ENABLED = ("mooring.socket", "mooring-api.socket", "mooring-proxy.socket", "mooring.service")
# What packaging/README.md says to install besides.
PAGES = (
    "usr/share/man/man1/mooring.1", "usr/share/bash-completion/completions/mooring",
    "usr/share/zsh/vendor-completions/_mooring", "usr/share/fish/vendor_completions.d/mooring.fish",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """what: is removed, in words. carry_out: does it; done twice is fine."""

    what: str
    carry_out: Callable[[], None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where Mooring is on this host. drivers: its names at the engine. root: "/", or that of a test."""

    drivers: tuple[str, ...]
    docker_socket: Path
    plugin_socket: Path
    run_dir: Path
    store: Path
    root: Path = Path("/")


def steps(place: Place, purge: bool) -> Iterator[Step]:
    """What is there to be removed, in order; each is looked for when its turn comes.

    Raises, before anything is removed: Conflict, naming the containers, when Mooring's networks are in use; BadRequest
    when our DNS server cannot be taken out of the engine's configuration; Unavailable when either cannot be known.
    """
    engine = EngineRequests(str(place.docker_socket)) if place.docker_socket.exists() else None
    if engine is not None:
        networks = _networks(engine, place.drivers)
        _refuse_while_used(engine, networks)
    engine_file = EngineDnsFile.noted(place.store.parent, place.root / CONFIGURATION.relative_to("/"))
    change = engine_file.removed(force=True) if engine_file.names_our_server() else None
    if engine is not None:
        for ident, name in networks.items():
            yield Step(f"network {name} ({ident[:12]})", partial(engine.remove_network, ident))
    if change is not None:
        what = f"the DNS server from {engine_file.path}, which dockerd reads at its start"
        yield Step(what, partial(_tell_engine, change, place.run_dir / MARK))
    if (place.root / "run/systemd/system").is_dir():
        resolver = HostResolver(place.root, systemctl)
        if resolver.installed:
            yield Step(f"{UNIT}, by which the host's resolver asks the DNS server", resolver.remove)
        yield from _units(place.root / "etc/systemd/system")
    asked = f" (not {ADDRESS4}: /etc/resolv.conf names it; correct that before the next boot)"
    stays = asked if _asked_by_host(place) else ""
    yield Step(f"rules, links and the rule in DOCKER-USER{stays}", lambda: _clean_kernel(place))
    sockets = (place.plugin_socket.with_name(f"{name}.sock") for name in place.drivers[1:])
    files = [place.plugin_socket, *sockets, *(place.root / page for page in PAGES)]
    files += [place.run_dir / name for name in ("api.sock", "docker.sock", "mooring.lock", "clock")]
    if purge:
        files += [place.store.with_name(place.store.name + end) for end in STORE_ENDS]
        files += [place.store.with_name(name) for name in (*MEMBERSHIP, FIRST_NAME)]
        files.append(place.root / DEFAULT_PATH.relative_to("/"))
    for path in files:
        if path.exists() or path.is_symlink():
            yield Step(str(path), partial(remove_file, path))


def _tell_engine(change: Change, mark: Path) -> None:
    """Containers that run go on to ask, also where no daemon has seen it since the boot. The mark goes with the next
    boot alone: another removal, or another install, has to know it."""
    with suppress(OSError):
        mark.touch()
    change.carry_out()


def _asked_by_host(place: Place) -> bool:
    return server_asked(str(place.root / RESOLV_CONF.lstrip("/")))


def _networks(engine: EngineRequests, drivers: Collection[str]) -> dict[str, str]:
    """Ids and names of the engine's networks that have a driver of ours."""
    rows: Any = engine.get("/networks")
    ours = [row for row in rows if not {row.get("Driver"), (row.get("IPAM") or {}).get("Driver")}.isdisjoint(drivers)]
    return {row["Id"]: row["Name"] for row in ours}


def _refuse_while_used(engine: EngineRequests, networks: dict[str, str]) -> None:
    rows: Any = engine.get("/containers/json?all=1")
    used: dict[str, list[str]] = {}
    for row in rows:
        endpoints: dict[str, Any] = (row.get("NetworkSettings") or {}).get("Networks") or {}
        found = [
            name
            for name, endpoint in endpoints.items()
            if name in networks.values() or ((endpoint or {}).get("NetworkID") or name) in networks
        ]
        if found:
            used[(row.get("Names") or [row["Id"][:12]])[0].removeprefix("/")] = found
    if used:
        raise Conflict(
            "Mooring's networks are in use, nothing was removed",
            holder="; ".join(f"container {name} in {', '.join(found)}" for name, found in sorted(used.items())),
            hint="remove the containers, or `docker network disconnect -f NETWORK CONTAINER`",
        )


def _units(folder: Path) -> Iterator[Step]:
    """The units stop and are gone; those that a package installed elsewhere only stop."""
    there = [unit for unit in UNITS if (folder / unit).exists() or (folder / unit).is_symlink()]
    known = [unit for unit in ENABLED if systemctl("cat", unit, check=False)]
    if known:
        # The sockets first, or the next call would start the service again; the service last, for what it has begun.
        yield Step("running units: " + " ".join(known), lambda: _stop(known))
    if there:
        yield Step("unit files: " + " ".join(there), lambda: _remove_units(folder, there))


def _stop(known: Sequence[str]) -> None:
    systemctl("disable", *known)
    for unit in UNITS:
        if "@" not in unit:
            systemctl("stop", unit, check=False)
    # systemd makes a slice for the instances of mooring-away@.service (systemd.slice(5)), and leaves it.
    systemctl("stop", r"system-mooring\x2daway.slice", check=False)
    systemctl("stop", "mooring-wireguard@*.service", check=False)
    systemctl("stop", r"system-mooring\x2dwireguard.slice", check=False)


def _remove_units(folder: Path, there: Sequence[str]) -> None:
    for unit in there:
        drop_ins = folder / f"{unit}.d"
        for path in (folder / unit, *(sorted(drop_ins.iterdir()) if drop_ins.is_dir() else ())):
            remove_file(path)
    systemctl("daemon-reload")
    systemctl("reset-failed", "mooring*", check=False)


def systemctl(*words: str, check: bool = True) -> bool:
    """Whether it succeeded. Raises Unavailable when it did not and check is set."""
    try:
        done = subprocess.run(["systemctl", "--quiet", *words], capture_output=True, text=True, check=False)
    except OSError as error:
        raise Unavailable(f"systemctl cannot be run: {error.strerror}") from error
    if check and done.returncode:
        raise Unavailable(f"`systemctl {' '.join(words)}` says: {done.stderr.strip() or done.returncode}")
    return done.returncode == 0


def _clean_kernel(place: Place) -> None:
    """Nothing in the kernel bears our mark. Sysctls stay: dockerd wants forwarding too, and a bridge's went with it."""
    lock = InstanceLock(place.run_dir / "mooring.lock")
    try:
        asyncio.run(_clean(place.run_dir, _asked_by_host(place) or (place.run_dir / MARK).exists()))
    finally:
        lock.close()


async def _clean(run_dir: Path, asked: bool) -> None:
    """asked: whether somebody goes on to ask at the DNS server's addresses. He is refused at once, and asks his next
    one; without them he would wait."""
    kernel = LinuxKernel(folder=str(run_dir / "tenants"))
    try:
        facts: frozenset[Fact] = await kernel.observe()
        removals = [op for op in plan((), facts) if isinstance(op, Remove)]
        removals += [Remove(DockerAccept(version)) for version in (4, 6)]
        # What is in a routing domain goes with it.
        removals = [op for op in removals if domain_of(op.fact) == 0]
        await kernel.discard([op.fact.name for op in removals if isinstance(op.fact, LinkFact)])
        await kernel.apply([op for op in removals if not isinstance(op.fact, LinkFact)])
        remove_devices()
        if not asked:
            drop_addresses()
    finally:
        await kernel.close()


def remove_file(path: Path) -> None:
    """The file is gone, and its folder if it was the last one there and is Mooring's own."""
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise Unavailable(f"cannot remove {path}: {error.strerror}") from error
    if "mooring" in path.parent.name:
        with suppress(OSError):
            os.rmdir(path.parent)
