"""Another engine on the same disks: upgrades, and the way back.

Rule: the engines are those that the tests name, so they run once, whatever ENGINE says.
"""

from __future__ import annotations

import json
import os
import shutil
from typing import Any

import pytest

from tests.e2e.conftest import MakeHost
from tests.e2e.lab import Host, eventually
from tests.e2e.lab.fixed import FIXED, fixed, run
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.releases import release

pytestmark = pytest.mark.skipif(
    os.environ.get("ENGINE", "") not in ("", "20"), reason="the engines are the tests' own: once is enough"
)

MADE_ANEW = ("--label", "mooring.key=store")
# Fixed addresses that every engine finds again, since the configuration names them.
NAMED = ("db", "cache", "store", "twin")


@pytest.fixture
def old(make_host: MakeHost) -> Host:
    """A host with Debian 12's engine: networks with a typed and with a chosen subnet, and containers of every kind."""
    host = make_host(release=release("20"), settings={"MOORING_RECLAIM_AFTER": "3"})
    host.create_network("typed", "--subnet", "10.77.0.0/24", "--ipv6", "--subnet", "fd77:1::/64")
    host.create_network("further", "--subnet", "10.78.0.0/24")
    host.create_network("chosen", "--ipv6")
    run(host, "db", *FIXED, network="typed")
    run(host, "cache", *FIXED, "--restart", "always", network="typed")
    run(host, "store", *MADE_ANEW, network="typed")
    host.proxy.docker("create", "--name", "twin", "--network", "typed", *FIXED, IMAGE, "stay")
    host.proxy.docker("network", "connect", "further", "twin")
    run(host, "plain", "--restart", "always", network="typed")
    run(host, "loose", "--restart", "always", network="chosen")
    return host


def findings(host: Host) -> list[dict[str, Any]]:
    """What the doctor says that is wrong."""
    reply = json.loads(host.mooring("doctor", "--format", "json", check=False).output)
    found: list[dict[str, Any]] = reply["findings"]
    return [each for each in found if not each.get("note")]


def addresses(host: Host, *containers: str) -> dict[str, list[str]]:
    """Container -> its addresses in all its networks, of those that run."""
    found: dict[str, list[str]] = {}
    for container in containers or host.engine.containers():
        document = host.engine.inspect(container)
        plugs = document["NetworkSettings"]["Networks"].values()
        held = [plug[field] for plug in plugs for field in ("IPAddress", "GlobalIPv6Address") if plug[field]]
        found[document["Name"].lstrip("/")] = held
    return found


def start_all(host: Host) -> dict[str, list[str]]:
    """Everything runs, and no two have an address in common; the addresses."""
    for container in host.engine.containers():
        host.proxy.docker("start", container)
    found = addresses(host)
    every = [address for held in found.values() for address in held]
    assert len(every) == len(set(every)), found
    assert all(found.values())
    return found


def held_by(host: Host, container: str) -> list[str]:
    """The fixed addresses that the container holds."""
    return [str(row["address"]) for row in host.daemon.leases("fixed") if container in row["holders"]]


def empty(host: Host) -> None:
    """Everything is removed through the proxy, and holds nothing when that has answered."""
    host.proxy.docker("rm", "-f", *host.engine.containers())
    held = [row for row in host.daemon.leases("fixed") if row["holders"]]
    assert held == []


def identity(host: Host) -> str:
    """What the engine calls itself."""
    return str(host.engine.api("GET", "/info")["ID"])


def well(host: Host) -> None:
    """The doctor finds nothing, at once and after some looks at the engine."""
    for _ in range(3):
        assert findings(host) == []


def test_upgrades_keep_what_belongs_to_containers(old: Host) -> None:
    """20.10, 26, 28: after each the same addresses, no alarm, and everything can be given back."""
    before = start_all(old)
    for engine in ("26", "28"):
        ident = identity(old)
        old.change_engine(release(engine))
        assert engine == "28" or identity(old) != ident  # what all of this is about
        well(old)
        after = start_all(old)
        assert {name: after[name] for name in NAMED} == {name: before[name] for name in NAMED}
        well(old)
    late = run(old, "late", *FIXED, network="chosen")
    assert addresses(old, late)["late"]
    empty(old)


def test_an_upgrade_with_a_reboot_is_one_too(old: Host) -> None:
    """The usual order: packages, then a restart of the machine; what starts by itself has its addresses."""
    before = start_all(old)
    old.power_off()
    old.release = release("28")
    shutil.rmtree(old.folder / "docker-config")
    old.boot()
    eventually(lambda: addresses(old, "cache")["cache"] != [], "it has started by itself")
    assert addresses(old, "cache")["cache"] == before["cache"]
    assert start_all(old).items() >= {name: before[name] for name in NAMED}.items()
    well(old)
    empty(old)


def test_what_is_removed_around_an_upgrade_is_given_back(old: Host) -> None:
    """While Mooring is away, by the engine's own socket: it was the same engine's, and is missing there now."""
    old.proxy.docker("stop", "db")  # who runs not is removed without a call to a plugin that is away
    old.daemon.stop()
    old.engine.docker("rm", "db")
    old.daemon.start()
    old.change_engine(release("28"))
    old.daemon.stop()
    old.engine.docker("rm", "twin")
    old.daemon.start()
    kept = set(held_by(old, "store")) | set(held_by(old, "cache"))
    eventually(lambda: set(fixed(old)) == kept, "who is gone holds nothing", timeout=60)
    well(old)
