"""Another engine on the same disks: upgrades, and the way back.

Rule: the engines are those that the tests name, so they run once, whatever ENGINE says.
"""

from __future__ import annotations

import json
import os
import shutil
import time
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


def findings(host: Host, kind: str = "findings") -> list[dict[str, Any]]:
    """What the doctor says that is wrong; kind notes: what is good to know."""
    reply = json.loads(host.mooring("doctor", "--format", "json", check=False).output)
    found: list[dict[str, Any]] = reply[kind]
    return found


def about(host: Host, container: str, kind: str = "findings") -> str:
    """What the doctor says of the container, in one text."""
    return "; ".join(each["text"] + each["remedy"] for each in findings(host, kind) if container in each["text"])


def addresses(host: Host, *containers: str) -> dict[str, list[str]]:
    """Container -> its addresses in all its networks, of those that run."""
    found: dict[str, list[str]] = {}
    for container in containers or host.engine.containers():
        document = host.engine.inspect(container)
        endpoints = document["NetworkSettings"]["Networks"].values()
        held = [
            endpoint[field] for endpoint in endpoints for field in ("IPAddress", "GlobalIPv6Address") if endpoint[field]
        ]
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


def upgrade(host: Host, engine: str) -> None:
    """Another engine runs on the same disks, and the firewall that it has made has been looked at."""
    host.change_engine(release(engine))
    eventually(
        lambda: not [each for each in findings(host) if each["subject"].startswith("kernel")], "ours is in it", 8
    )


def well(host: Host) -> None:
    """The doctor finds nothing as soon as the engine's new firewall was looked at, nor later."""
    eventually(lambda: findings(host) == [], "nothing is wrong", timeout=8)
    for _ in range(3):
        assert findings(host) == []


def test_upgrades_keep_what_belongs_to_containers(old: Host) -> None:
    """20.10, 26, 28: after each the same addresses, no alarm, and everything can be given back."""
    before = start_all(old)
    for engine in ("26", "28"):
        ident = identity(old)
        upgrade(old, engine)
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
    upgrade(old, "28")
    old.daemon.stop()
    old.engine.docker("rm", "twin")
    old.daemon.start()
    kept = set(held_by(old, "store")) | set(held_by(old, "cache"))
    eventually(lambda: set(fixed(old)) == kept, "who is gone holds nothing", timeout=60)
    well(old)


def test_what_a_chosen_subnet_loses_is_told_before_and_found_again_by_key_or_mac(make_host: MakeHost) -> None:
    """20.10 keeps one MAC for the whole container, which 25 to 28 do not read, and no configuration names an address
    there. It is told before the upgrade, before the start that loses it, and after; nobody else gets the address."""
    host = make_host(release=release("20"))
    host.create_network("chosen", "--ipv6")
    run(host, "keyed", "--label", "mooring.key=k", network="chosen")
    run(host, "loud", *FIXED, "--restart", "always", network="chosen")
    before = addresses(host) | {"lone": []}
    host.proxy.docker("create", "--name", "lone", "--network", "chosen", *FIXED, IMAGE, "stay")
    before["lone"] = held_by(host, "lone")
    macs = {row["holders"][0]: row["mac"] for row in host.daemon.leases("fixed")}
    assert findings(host) == []
    assert "keyed, lone, loud of network chosen would be lost" in about(host, "lone", "notes")
    upgrade(host, "28")
    eventually(lambda: addresses(host, "loud")["loud"] != [], "it has started by itself")
    assert f"will get a different address than {before['lone'][0]}" in about(host, "lone")
    assert f"although {before['loud'][0]} is fixed for it" in about(host, "loud")
    lost = start_all(host)
    assert all(set(lost[name]).isdisjoint(every) for name in lost for every in before.values())
    assert {address for name in before for address in held_by(host, name)} == set(fixed(host))
    for name in ("lone", "loud"):
        assert f"--mac-address {macs[name]}" in about(host, name)
        host.proxy.docker("rm", "-f", name)
        run(host, name, *FIXED, "--mac-address", macs[name], network="chosen")
    host.proxy.docker("rm", "-f", "keyed")
    run(host, "keyed", "--label", "mooring.key=k", network="chosen")
    assert start_all(host) == before
    well(host)
    assert findings(host, "notes") == []
    for name in before:
        host.proxy.docker("restart", name)
    assert addresses(host) == before
    empty(host)


def test_a_strict_network_lets_its_holders_in_on_a_newer_engine(make_host: MakeHost) -> None:
    """claim=holders asks for the MAC, which the newer engine does not read: refused until Mooring has seen the engine,
    and told before."""
    host = make_host(release=release("20"))
    host.create_network("strict", "--subnet", "10.79.0.0/24", "--ipam-opt", "claim=holders")
    run(host, "db", *FIXED, network="strict")
    before = addresses(host)
    assert "first start of container db of network strict would be refused" in about(host, "db", "notes")
    upgrade(host, "28")
    eventually(lambda: host.proxy.docker("start", "db", check=False).ok, "it is let in", timeout=60)
    assert addresses(host) == before
    run(host, "new", *FIXED, network="strict")
    stranger = ("run", "-d", "--network", "strict", *FIXED, "--ip", before["db"][0], IMAGE, "stay")
    assert not host.proxy.docker(*stranger, check=False).ok
    well(host)
    empty(host)


def test_a_downgrade_ends_in_plain_words(make_host: MakeHost) -> None:
    """28 to 20.10 on the same disks: what the older engine finds is as before, what it does not read is told."""
    host = make_host(release=release("28"))
    host.create_network("typed", "--subnet", "10.77.0.0/24", "--ipv6", "--subnet", "fd77:1::/64")
    host.create_network("chosen")
    run(host, "db", *FIXED, "--restart", "always", network="typed")
    host.proxy.docker("create", "--name", "made", "--network", "chosen", *FIXED, IMAGE, "stay")
    before = {name: held_by(host, name) for name in ("db", "made")}
    upgrade(host, "20")
    eventually(lambda: addresses(host, "db")["db"] != [], "it has started by itself")
    assert addresses(host, "db")["db"] == before["db"]
    assert {name: held_by(host, name) for name in before} == before
    (finding,) = findings(host)
    assert f"container made will get a different address than {before['made'][0]} at its next start" in finding["text"]
    mac = finding["remedy"].split("`")[-2].split()[-1]
    host.proxy.docker("rm", "made")
    run(host, "made", *FIXED, "--mac-address", mac, network="chosen")
    assert addresses(host)["made"] == before["made"]
    well(host)
    upgrade(host, "28")
    assert start_all(host)["db"] == before["db"]
    empty(host)


def test_what_runs_through_an_upgrade_is_told_before_its_restart(make_host: MakeHost) -> None:
    """--live-restore: everything keeps its address until it is restarted, and there is time to recreate it."""
    host = make_host(release=release("20"), options=("--live-restore",))
    host.create_network("typed", "--subnet", "10.77.0.0/24")
    host.create_network("chosen")
    run(host, "db", *FIXED, network="typed")
    run(host, "lone", *FIXED, network="chosen")
    before = addresses(host)
    upgrade(host, "28")
    assert addresses(host) == before
    assert set(fixed(host).values()) == {"in use"}
    (finding,) = findings(host)
    assert f"container lone will get a different address than {before['lone'][0]} at its next start" in finding["text"]
    mac = finding["remedy"].split("`")[-2].split()[-1]
    host.proxy.docker("rm", "-f", "lone")
    run(host, "lone", *FIXED, "--mac-address", mac, network="chosen")
    host.proxy.docker("restart", "db", "lone")
    assert addresses(host) == before
    well(host)
    empty(host)


def test_wiped_disks_are_another_engine(make_host: MakeHost) -> None:
    """Nothing that is known is there: nobody is given up because of that, and it is told. When the engine is seen to
    be the one that uses Mooring here, what nobody has any more is taken back as ever."""
    host = make_host(release=release("28"), settings={"MOORING_RECLAIM_AFTER": "3"})
    host.create_network("typed", "--subnet", "10.77.0.0/24")
    run(host, "db", *FIXED, network="typed")
    before = dict.fromkeys(fixed(host), "idle")
    eventually(lambda: _seen(host), "the engine is on record", timeout=30)
    host.engine.stop()
    host.daemon.stop()
    shutil.rmtree(host.folder / "data")
    (host.folder / "data").mkdir()
    host.daemon.start()
    host.engine.start()
    host.engine.load_image()
    time.sleep(15)  # a pass and its minimum age
    (finding,) = [each for each in findings(host) if each["subject"].startswith("engine ")]
    assert "none of that engine's containers and networks" in finding["proof"]
    assert fixed(host) == before
    host.create_network("fresh")
    eventually(lambda: fixed(host) == {}, "what nobody has is taken back", timeout=60)
    well(host)


def _seen(host: Host) -> bool:
    """A repair pass has come round since the network was made."""
    return bool(host.daemon.api("/v1/status")["repair"])
