"""Fixed addresses through crashes: of the daemon at every step, of the engine, of both, and of the machine."""

from __future__ import annotations

import concurrent.futures
import contextlib
import json
import socket
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPException

import pytest

from tests.e2e.conftest import MakeHost
from tests.e2e.lab import DockerError, Host, LabError, eventually
from tests.e2e.lab.engine_relays import EngineRelay
from tests.e2e.lab.halves import steps
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.leaks import leaks
from tests.e2e.lab.relays import Moment
from tests.e2e.lab.releases import selected
from tests.e2e.lab.traffic import pings

V4, V6 = "10.77.0.0/24", "fd77:1::/64"
DUAL = ("--ipv6", "--subnet", V4, "--subnet", V6)
EAGER = {"MOORING_REPAIR_PERIOD": "1", "MOORING_RECLAIM_AFTER": "1", "MOORING_COOLDOWN": "0"}


def create(name: str, *networks: str, address: str = "") -> dict[str, object]:
    """A create's body."""
    config = {"IPAMConfig": {"IPv4Address": address}} if address else {}
    return {
        "Image": IMAGE, "Cmd": ["stay"], "Labels": {"fixed-ip": "", "who": name},
        "HostConfig": {"NetworkMode": networks[0]},
        "NetworkingConfig": {"EndpointsConfig": {networks[0]: config}},
    }  # fmt: skip


def life(host: Host) -> None:
    """Everything that can happen to fixed addresses, once; a step that fails is followed by the next one."""
    api = host.proxy.api
    steps: list[Callable[[], object]] = [
        lambda: api("POST", "/containers/create?name=db", create("db", "one")),
        lambda: api("POST", "/networks/two/connect", {"Container": "db"}),
        lambda: api("POST", "/containers/db/start"),
        lambda: api("POST", "/networks/two/disconnect", {"Container": "db"}),
        lambda: api("POST", "/containers/create?name=bad", create("bad", "one") | {"Image": "no-such-image"}),
        lambda: api("POST", "/containers/db/stop?t=1"),
        lambda: api("POST", "/containers/create?name=heir", create("heir", "one", address=fixed_address(host))),
        lambda: api("DELETE", "/containers/db?force=1"),
        lambda: api("POST", "/containers/heir/start"),
        lambda: api("POST", "/containers/create?name=idle", create("idle", "one")),
        lambda: api("POST", "/containers/prune"),
    ]
    for step in steps:
        eventually(lambda: host.daemon.running and host.proxy.socket.exists(), "the daemon is there")
        with suppress(DockerError, OSError, HTTPException):
            step()


def fixed_address(host: Host) -> str:
    """An IPv4 address that is fixed, "" for none."""
    rows = [row for row in host.daemon.leases("fixed") if ":" not in str(row["address"])]
    return str(rows[0]["address"]) if rows else ""


def held(host: Host) -> set[str]:
    """The fixed addresses."""
    return {str(row["address"]) for row in host.daemon.leases("fixed")}


def named(host: Host) -> set[str]:
    """The addresses that the engine's containers name in their configurations."""
    found = set()
    for row in host.engine.api("GET", "/containers/json?all=1"):
        for endpoint in row["NetworkSettings"]["Networks"].values():
            config = endpoint.get("IPAMConfig") or {}
            found |= {config.get("IPv4Address", ""), config.get("IPv6Address", "")}
    return found - {""}


def is_settled(host: Host) -> bool:
    """The daemon is there, and exactly those addresses are fixed that containers name."""
    with suppress(OSError, HTTPException):
        return held(host) == named(host)
    return False


def die_everywhere(host: Host, moment: Moment, also: int) -> list[str]:
    """A life for each request to the engine, in which the daemon dies at that one; what was wrong afterwards. also: see
    steps."""
    wrong: list[str] = []
    with EngineRelay(host.folder / "run/relay.sock", host.engine.socket, host.daemon) as relay:
        for number in steps(also):
            host.create_network("one", *DUAL)
            host.create_network("two", "--subnet", "10.78.0.0/24")
            relay.arm(number, moment)
            life(host)
            at = relay.killed_at
            relay.arm(0, moment)
            try:
                eventually(lambda: is_settled(host), "what is fixed is what is named", 20)
            except LabError:
                wrong.append(f"{at}: fixed {held(host)}, named {named(host)}")
            host.engine.clear()
            if left := leaks(host, grace=10):
                wrong.append(f"{at}: left {left}")
            if not at:
                break
    return wrong


@pytest.mark.slow
def test_the_daemon_may_die_at_any_request_to_the_engine(make_host: MakeHost) -> None:
    """kill -9 before or after each single request that create, connect, start, disconnect, stop, a successor, remove
    and prune make: afterwards exactly those addresses are fixed that the engine's containers name, and nothing is
    left when they are gone."""
    settings = {"MOORING_DOCKER_SOCKET": "/run/relay.sock", **EAGER}
    hosts = {moment: make_host(settings=settings) for moment in Moment}
    with concurrent.futures.ThreadPoolExecutor() as pool:
        found = pool.map(lambda also, moment: die_everywhere(hosts[moment], moment, also), range(2), Moment)
        assert [trouble for troubles in found for trouble in troubles] == []


def test_a_fix_that_dies_in_the_middle_ends_in_the_network(make_host: MakeHost) -> None:
    """kill -9 when the container is out of it, and when it is in it again: it has its address, and names it. Engines
    from 29 on tell who asks, so that there is nothing to fix."""
    if selected().version >= (29,):
        pytest.skip("this engine tells who asks")
    host = make_host(settings={"MOORING_DOCKER_SOCKET": "/run/relay.sock", **EAGER})
    with EngineRelay(host.folder / "run/relay.sock", host.engine.socket, host.daemon) as relay:
        host.create_network("one", *DUAL)
        for ending in ("/disconnect", "/connect"):
            fix_and_die(host, relay, ending)


def fix_and_die(host: Host, relay: EngineRelay, ending: str) -> None:
    """A container that was made past the proxy is fixed, and the daemon dies after that request of it."""
    host.run_container("db", "--network", "one", "--network-alias", "data", "--label", "fixed-ip")
    before = host.addresses("db", "one")
    eventually(lambda: held(host) == set(before), "it is adopted")
    relay.arm(0, Moment.AFTER, ending)
    host.mooring("fix", "db", check=False)
    assert ending in relay.killed_at

    def places() -> dict[str, dict[str, object]]:
        found = host.engine.inspect("db")["NetworkSettings"]["Networks"]
        assert isinstance(found, dict)
        return found

    eventually(lambda: bool(places().get("one", {}).get("IPAddress")), "it is in the network")
    assert host.addresses("db", "one") == before
    eventually(lambda: is_settled(host) and held(host) == set(before), "its addresses are named, and fixed")
    assert "data" in str(places()["one"]["Aliases"])
    host.engine.docker("rm", "-f", "db")
    eventually(lambda: held(host) == set(), "they are given back")


def start_fixed(host: Host) -> tuple[str, str]:
    """A running container with a fixed address and a restart policy."""
    host.create_network("one", *DUAL)
    options = ("--name", "db", "--restart", "always", "--network", "one", "--label", "fixed-ip")
    host.proxy.docker("run", "-d", *options, IMAGE, "stay")
    return host.addresses("db", "one")


def kill_daemon(host: Host) -> None:
    """kill -9 of mooring, and its restart."""
    host.daemon.kill9()
    host.daemon.start()


def kill_engine(host: Host) -> None:
    """kill -9 of dockerd, and its restart."""
    host.engine.kill9()
    host.engine.start()


def kill_both(host: Host) -> None:
    """Both, and the daemon is back first, as its unit says."""
    host.engine.kill9()
    host.daemon.kill9()
    host.daemon.start()
    host.engine.start()


@pytest.mark.parametrize("crash", [kill_daemon, kill_engine, kill_both, Host.reboot], ids=lambda crash: crash.__name__)
def test_a_fixed_address_survives(make_host: MakeHost, crash: Callable[[Host], None]) -> None:
    """The container has the same addresses and answers, after it came back by itself and after a restart."""
    host = make_host()
    before = start_fixed(host)
    crash(host)
    host.wait_state("db", running=True, timeout=40)
    assert host.addresses("db", "one") == before
    assert held(host) == set(before)
    eventually(lambda: all(pings(host.network, address) for address in before), "it answers")
    host.proxy.docker("restart", "db")
    assert host.addresses("db", "one") == before


def test_what_was_removed_while_the_daemon_was_away_is_given_back(make_host: MakeHost) -> None:
    """By the engine's memory of it, at once; and when the engine has forgotten, by its list."""
    host = make_host(settings=EAGER)
    for forgets in (False, True):
        before = start_fixed(host)
        host.engine.docker("stop", "db")
        host.daemon.kill9()
        host.engine.docker("rm", "db")
        if forgets:
            host.engine.stop()
        host.daemon.start()
        if forgets:
            host.engine.start()
        eventually(lambda: held(host) == set(), f"{before} are given back", 30)
        host.engine.clear()


def test_the_store_is_down(make_host: MakeHost) -> None:
    """Somebody else has it locked: a labelled create is refused with 503 within five seconds, what needs no address
    works, a removal goes through, and its addresses are given back when the store is there again."""
    host = make_host(settings=EAGER)
    start_fixed(host)
    host.engine.docker("stop", "db")
    with contextlib.closing(sqlite3.connect(host.folder / "state/mooring.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        with pytest.raises(DockerError) as refused:
            host.proxy.api("POST", "/containers/create?name=new", create("new", "one"))
        assert refused.value.status == 503
        assert time.monotonic() - began < 8  # five seconds are promised; the rest is for a busy machine
        host.proxy.docker("run", "--rm", "--network", "none", IMAGE, "true")
        host.proxy.docker("rm", "db")
        other.rollback()
    eventually(lambda: held(host) == set(), "what was removed is given back", 30)


def test_a_client_that_hangs_up_during_a_create_loses_no_address(host: Host) -> None:
    """Whether the engine made the container or not, its addresses are fixed exactly when it is there."""
    host.create_network("one", *DUAL)
    for number in range(12):
        body = json.dumps(create(f"gone{number}", "one")).encode()
        head = f"POST /containers/create?name=gone{number} HTTP/1.1\r\nHost: docker\r\nContent-Length: {len(body)}\r\n"
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as client:
            client.connect(str(host.proxy.socket))
            client.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + body)
            time.sleep(number * 0.002)  # at another step of the engine's each time
    eventually(lambda: is_settled(host), "what is fixed is what is named", 40)


def test_the_engine_is_down(make_host: MakeHost) -> None:
    """503 in Docker's form for everybody; nothing is taken from anybody; when it is back, so is everything."""
    host = make_host(settings=EAGER)
    before = start_fixed(host)
    host.engine.kill9()
    for method, path in (("GET", "/info"), ("POST", "/containers/create"), ("DELETE", "/containers/db")):
        with pytest.raises(DockerError, match="Cannot connect to the Docker daemon") as refused:
            host.proxy.api(method, path, create("x", "one") if method == "POST" else None)
        assert refused.value.status == 503
    host.engine.start()
    host.wait_state("db", running=True, timeout=40)
    assert held(host) == set(before)
    assert host.proxy.api("GET", "/_ping") == "OK"
