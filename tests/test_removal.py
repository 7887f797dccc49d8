"""What an uninstall finds and in which order it removes it, with an engine of the test's own."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingMixIn, UnixStreamServer
from typing import Any

import pytest

from mooring import removal
from mooring.adapters.docker.engine_dns_file import MARK, NOTE, EngineDnsFile
from mooring.core.faults import Conflict, Fault
from mooring.removal import STORE_ENDS, Place, steps

OURS, BOTH, OTHER = "a" * 64, "b" * 64, "c" * 64


@dataclass
class Engine:
    """Its networks and containers, and what was removed."""

    path: Path
    networks: list[dict[str, Any]] = field(default_factory=list)
    containers: list[dict[str, Any]] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    refusal: str = ""


class _Server(ThreadingMixIn, UnixStreamServer):
    daemon_threads = True


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    """It answers lists and removals."""
    engine = Engine(tmp_path / "engine.sock")

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._say(200, engine.networks if self.path == "/networks" else engine.containers)

        def do_DELETE(self) -> None:
            if engine.refusal:
                return self._say(403, {"message": engine.refusal})
            engine.removed.append(self.path)
            return self._say(204, {})

        def _say(self, status: int, document: object) -> None:
            body = json.dumps(document).encode() if status != 204 else b""
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def address_string(self) -> str:
            return "unix"

        def log_request(self, code: object = "-", size: object = "-") -> None:
            pass

    with _Server(str(engine.path), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield engine
        server.shutdown()
        thread.join()


@pytest.fixture
def place(engine: Engine, tmp_path: Path) -> Place:
    """A host without systemd: its root is the test's folder."""
    engine.networks = [
        {"Id": OURS, "Name": "web", "Driver": "mooring", "IPAM": {"Driver": "mooring"}},
        {"Id": BOTH, "Name": "half", "Driver": "bridge", "IPAM": {"Driver": "ciao"}},
        {"Id": OTHER, "Name": "bridge", "Driver": "bridge", "IPAM": {"Driver": "default"}},
        {"Id": "d" * 64, "Name": "none", "Driver": "null", "IPAM": None},
    ]
    run = tmp_path / "run/mooring"
    run.mkdir(parents=True)
    store = tmp_path / "var/lib/mooring/mooring.db"
    return Place(("mooring", "ciao"), engine.path, tmp_path / "mooring.sock", run, store, tmp_path)


def test_networks_go_first_and_through_the_engine(place: Place, engine: Engine) -> None:
    """Those of either driver of ours by any of its names, and no others; then what is in the kernel."""
    found = list(steps(place, purge=False))
    assert [step.what for step in found] == [
        "network web (aaaaaaaaaaaa)",
        "network half (bbbbbbbbbbbb)",
        "rules, links and the rule in DOCKER-USER",
    ]
    for step in found[:2]:
        step.carry_out()
    assert engine.removed == [f"/networks/{OURS}", f"/networks/{BOTH}"]


@pytest.mark.parametrize("state", ["running", "created"])
@pytest.mark.parametrize("known", [OURS, ""])
def test_nothing_is_begun_while_containers_use_them(place: Place, engine: Engine, state: str, known: str) -> None:
    """Stopped ones too, also those that never ran, of which 20.10 does not tell the network's id; they are named."""
    engine.containers = [
        {"Id": name * 64, "Names": [f"/{name}"], "State": state, "NetworkSettings": {"Networks": endpoints}}
        for name, endpoints in (("db", {"web": {"NetworkID": known}}), ("x", {"bridge": None}))
    ]
    with pytest.raises(Conflict, match=r"container db in web\)"):
        next(iter(steps(place, purge=True)))
    assert engine.removed == []


def test_a_refusal_of_the_engine_ends_it(place: Place, engine: Engine) -> None:
    """In the engine's words."""
    engine.refusal = "network web has active endpoints"
    with pytest.raises(Conflict, match="network web has active endpoints"):
        next(iter(steps(place, purge=False))).carry_out()


def test_files_go_and_others_stay(place: Place) -> None:
    """Sockets and pages always; store and configuration only when they are to; what is beside them never."""
    kept = [place.store, place.store.with_name("dns-owner"), place.root / "etc/mooring/mooring.toml",
            place.store.with_name("backup.db")]  # fmt: skip
    gone = [place.plugin_socket, place.run_dir / "api.sock", place.root / "usr/share/man/man1/mooring.1"]
    beside = [place.store.with_name(f"{place.store.name}{end}") for end in STORE_ENDS]
    beside += [place.store.with_name(name) for name in ("cluster.json", "cluster.json.new")]  # with a private key
    for path in (*kept, *gone, *beside):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    for purge in (False, True):
        for step in steps(place, purge):
            if step.what.startswith("/"):
                step.carry_out()
        assert [path.exists() for path in gone] == [False] * 3
        assert [path.exists() for path in kept] == ([False] * 3 + [True] if purge else [True] * 4)
        assert any(path.exists() for path in beside) is not purge
    assert not (place.root / "etc/mooring").exists()


def test_docker_is_told_no_longer_to_ask_the_dns_server(place: Place) -> None:
    """Also where somebody has changed the value since: what he wrote stays."""
    file = place.root / "etc/docker/daemon.json"
    file.parent.mkdir(parents=True)
    file.write_text('{"debug": true}')
    EngineDnsFile(file, place.store.parent).installed(["192.0.2.1"]).carry_out()
    file.write_text(file.read_text().replace("192.0.2.1", "192.0.2.2"))
    (step,) = [step for step in steps(place, purge=False) if "daemon.json" in step.what]
    step.carry_out()
    assert json.loads(file.read_text()) == {"debug": True, "dns": ["192.0.2.2"]}
    assert not any("daemon.json" in step.what for step in steps(place, purge=False))


@pytest.mark.parametrize(
    ("text", "note"),
    [('{"dns": ["169.254.53.53"], "dns": ["169.254.53.53"]}', ""), ('{"dns": ["169.254.53.53"]}', "{")],
)
def test_nothing_is_begun_while_docker_cannot_be_told(place: Place, engine: Engine, text: str, note: str) -> None:
    """One line says which file is damaged; the networks are still there."""
    file = place.root / "etc/docker/daemon.json"
    for path, written in ((file, text), (place.store.parent / NOTE, note)):
        path.parent.mkdir(parents=True)
        if written:
            path.write_text(written)
    with pytest.raises(Fault, match="is there twice" if not note else "cannot be read"):
        next(steps(place, purge=False))
    assert engine.removed == []


@pytest.mark.parametrize(("conf", "mark", "dropped"), [("", False, True), ("", True, False), ("ours", False, False)])
def test_the_dns_servers_address_stays_while_somebody_asks_there(
    place: Place, monkeypatch: pytest.MonkeyPatch, conf: str, mark: bool, dropped: bool
) -> None:
    """Containers until the next boot, however often a removal runs, and the host itself, which is told in the line."""
    asked: list[bool] = []

    async def clean(_run_dir: Path, stays: bool) -> None:
        asked.append(stays)

    monkeypatch.setattr(removal, "_clean", clean)
    if conf:
        (place.root / "etc").mkdir()
        (place.root / "etc/resolv.conf").write_text("nameserver 169.254.53.53\nnameserver 192.0.2.1\n")
    if mark:
        file = place.root / "etc/docker/daemon.json"
        file.parent.mkdir(parents=True)
        EngineDnsFile(file, place.store.parent).installed(["192.0.2.1"]).carry_out()
    for _ in range(2):
        found = list(steps(place, purge=True))
        for step in found:
            if not step.what.startswith("network "):
                step.carry_out()
        (told,) = [step.what for step in found if "DOCKER-USER" in step.what]
        assert ("/etc/resolv.conf names it" in told) is bool(conf)
    assert asked == [not dropped] * 2
    assert (place.run_dir / MARK).exists() is mark


def test_the_hosts_resolver_is_told_no_longer_to_ask(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """While systemd still knows the unit."""
    told: list[str] = []

    def systemctl(*words: str, check: bool = True) -> bool:
        told.append(" ".join(words))
        return check

    monkeypatch.setattr(removal, "systemctl", systemctl)
    unit = place.root / "etc/systemd/system/mooring-dns.service"
    (place.root / "run/systemd/system").mkdir(parents=True)
    unit.parent.mkdir(parents=True)
    unit.write_text("")
    next(step for step in steps(place, purge=False) if "mooring-dns" in step.what).carry_out()
    assert ("stop mooring-dns.service" in told, unit.exists()) == (True, False)


def test_units_stop_before_their_files_go(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets first, or a call would start the service again; drop-ins too; the manager reads its files anew."""
    said: list[str] = []

    def systemctl(*words: str, check: bool = True) -> bool:
        said.append(" ".join(words))
        return True

    monkeypatch.setattr(removal, "systemctl", systemctl)
    units = place.root / "etc/systemd/system"
    (units / "mooring.service.d").mkdir(parents=True)
    (place.root / "run/systemd/system").mkdir(parents=True)
    for name in (*removal.UNITS, "mooring.service.d/override.conf", "docker.service"):
        (units / name).write_text("")
    for step in steps(place, purge=False):
        if "unit" in step.what:
            step.carry_out()
    stops = [line.split()[1] for line in said if line.startswith("stop")]
    assert stops.index("mooring.socket") < stops.index("mooring.service")
    assert said.index("stop mooring.service") < said.index("daemon-reload")
    assert [path.name for path in units.iterdir()] == ["docker.service"]
