"""Names while everybody dies: a compose project that is scaled, renamed and recreated, daemon and engine killed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from tests.e2e.lab import Host, eventually
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.names import SERVER6, ask
from tests.e2e.lab.namespaces import run

PROJECT = f"""
version: "3.7"
services:
  app:
    image: {IMAGE}
    command: stay
    restart: always
    networks: {{own: {{aliases: [front]}}}}
  keeper:
    image: {IMAGE}
    command: stay
    restart: always
    labels: [fixed-ip]
    networks: [own]
networks:
  own: {{driver: mooring, driver_opts: {{dns: "on"}}, ipam: {{driver: mooring}}}}
"""
APP, KEEPER = "app.demo_own.mooring", "keeper.demo_own.mooring"


@contextmanager
def watched(host: Host, name: str) -> Iterator[set[str]]:
    """All that the host is told about the name meanwhile."""
    seen, over = set[str](), threading.Event()

    def watch() -> None:
        while not over.wait(0.01):
            seen.add(ask(host.network, name, wait=0.1))

    thread = threading.Thread(target=watch, name="watch")
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def of_service(host: Host, service: str) -> list[str]:
    """Its containers that run, whatever they are called."""
    found = {each: host.engine.inspect(each) for each in host.engine.containers()}
    return [
        ident
        for ident, told in sorted(found.items())
        if told["State"]["Running"] and told["Config"]["Labels"]["com.docker.compose.service"] == service
    ]


def addresses(host: Host) -> str:
    """What everybody should be told about app."""
    found = [
        host.engine.inspect(each)["NetworkSettings"]["Networks"]["demo_own"]["IPAddress"]
        for each in of_service(host, "app")
    ]
    return " ".join(sorted(found))


def reverse(address: str) -> str:
    """The name that PTR is asked for."""
    return ".".join(reversed(address.split("."))) + ".in-addr.arpa"


@dataclass
class Project:
    """The project, on a host. folder: of its file."""

    host: Host
    folder: Path

    def compose(self, *argv: str) -> None:
        """The command."""
        command = [*self.host.release.compose, "-p", "demo", "-f", str(self.folder / "docker-compose.yml"), *argv]
        run(command, timeout=120, environment=self.host.proxy.environment)

    def follow(self, count: int, within: float = 3.0) -> None:
        """So many replicas run, and names have followed so many seconds later."""
        eventually(lambda: len(of_service(self.host, "app")) == count, f"{count} replicas run", 30)
        for name in (APP, "front.demo_own.mooring"):
            _told(partial(ask, self.host.network, name), partial(addresses, self.host), within)


@pytest.fixture
def project(host: Host, tmp_path: Path) -> Project:
    """Not up yet."""
    (tmp_path / "docker-compose.yml").write_text(PROJECT)
    return Project(host, tmp_path)


@pytest.mark.needs("compose")
def test_names_follow_a_project_through_every_death(project: Project) -> None:
    """Scaled up and down, renamed and stopped while the daemon is dead, the engine killed, both killed, recreated: what
    is told is what runs, within seconds; and who lives all the time is never told wrong or missing."""
    host, compose, follow = project.host, project.compose, project.follow
    compose("up", "-d", "--scale", "app=3")
    follow(3)
    kept = host.addresses(of_service(host, "keeper")[0], "demo_own")[0]
    inside = host.container_network(of_service(host, "keeper")[0])
    assert ask(inside, "app") == addresses(host)
    assert ask(inside, "app", server=SERVER6) == "refused"  # no network of IPv6 leads there
    assert ask(host.network, reverse(kept), "PTR").rstrip(".").endswith(".demo_own.mooring")
    compose("up", "-d", "--scale", "app=1")
    follow(1)
    compose("up", "-d", "--scale", "app=2")
    follow(2)

    with watched(host, KEEPER) as seen:
        host.daemon.kill9()
        renamed, killed = of_service(host, "app")
        host.docker("rename", renamed, "other")
        host.docker("update", "--restart", "no", killed)
        killing = threading.Thread(target=host.docker, args=("kill", killed), name="kill")
        killing.start()  # the engine tries its calls again and again: it ends when the daemon is back
        time.sleep(0.5)
        host.daemon.start()
        killing.join()
        follow(1)
        four = addresses(host)
        _told(lambda: ask(host.network, "other.demo_own.mooring"), lambda: four, 3)
    assert kept in seen
    assert seen <= {kept, "refused", "silence", "SERVFAIL"}
    host.docker("rm", "-f", killed)

    with watched(host, KEEPER) as seen:
        host.engine.kill9()
        host.engine.start()
        follow(1, 10)
    assert seen <= {kept, "NXDOMAIN", "SERVFAIL"}  # the engine ends its containers before it starts them again
    host.daemon.kill9()
    host.engine.kill9()
    host.daemon.start()
    _told(lambda: ask(host.network, KEEPER), lambda: "SERVFAIL", 3)  # nobody has said yet whose name is whose
    host.engine.start()
    follow(1, 10)
    _told(lambda: ask(host.network, KEEPER), lambda: kept, 10)
    compose("up", "-d", "--force-recreate", "--scale", "app=2")
    follow(2)
    assert ask(host.network, KEEPER) == kept
    compose("stop", "-t", "1")
    _told(lambda: ask(host.network, KEEPER), lambda: "NXDOMAIN", 3)
    assert ask(host.network, reverse(kept), "PTR") == "NXDOMAIN"
    assert kept in host.mooring("explain", kept).output
    compose("down", "-t", "1")


def _told(asked: Callable[[], str], wanted: Callable[[], str], within: float) -> None:
    eventually(lambda: asked() == wanted(), f"names have followed: {asked()}, not {wanted()}", within)
