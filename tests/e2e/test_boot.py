"""Under a real systemd, with the shipped units: however Mooring fails, at boot or later, Docker goes on."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

import pytest

from tests.e2e.lab import Lab, eventually
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.releases import release, selected
from tests.e2e.lab.systemd_machines import SystemdMachine

pytestmark = pytest.mark.slow

PROXY = ("-H", "unix:///run/mooring/docker.sock")
STORE = "/var/lib/mooring/mooring.db"
QUICK = b"[Service]\nEnvironment=MOORING_RECLAIM_AFTER=3 MOORING_REPAIR_PERIOD=1\n"
WAIT = 120.0  # seconds; a loaded machine is slow


@dataclass(frozen=True)
class Failure:
    """A way to fail. breaks, mends: shell commands. says: what every answer names. gone: the program itself is."""

    breaks: str
    mends: str
    says: str
    gone: bool = False


FILE = "/etc/mooring/mooring.toml"
SAVE = f"cp -a {STORE} /root/good.db"
RESTORE = f"rm -f {STORE}*; cp -a /root/good.db {STORE}"
NEWER = f'/opt/mooring/bin/python -c \'import apsw; apsw.Connection("{STORE}").pragma("user_version", 99)\''
FAILURES = {
    "typo": Failure(f"mkdir -p /etc/mooring; echo coldown=5 >{FILE}", f"rm {FILE}", "coldown"),
    "not TOML": Failure(f"mkdir -p /etc/mooring; echo 'cooldown = soon' >{FILE}", f"rm {FILE}", "is not TOML"),
    "newer store": Failure(f"{SAVE}; {NEWER}", RESTORE, "newer"),
    "corrupt store": Failure(f"{SAVE}; rm -f {STORE}-*; head -c 65536 /dev/urandom >{STORE}", RESTORE, STORE),
    "store unwritable": Failure(
        "cd /var/lib/mooring; mount --bind . .; mount -o remount,bind,ro /var/lib/mooring",
        "umount /var/lib/mooring",
        STORE,
    ),
    "no nft": Failure("mv /usr/sbin/nft /root/", "mv /root/nft /usr/sbin/", "apt-get install nftables"),
    "no program": Failure("mv /opt/mooring /opt/away", "mv /opt/away /opt/mooring", "cannot be started", gone=True),
    "broken program": Failure(
        "mv /opt/mooring/bin/mooring /opt/mooring/bin/away; printf '#!/bin/sh\\nexit 1\\n' >/opt/mooring/bin/mooring;"
        "chmod 755 /opt/mooring/bin/mooring",
        "mv /opt/mooring/bin/away /opt/mooring/bin/mooring",
        "cannot be started",
        gone=True,
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def machine(lab: Lab) -> Iterator[SystemdMachine]:
    """Booted, with a container on Docker's own network and one on Mooring's, both to be restarted always."""
    if selected() != release(""):
        pytest.skip("it has the engine of the machine's own suite only")
    machine = SystemdMachine(lab.folder / "systemd")
    try:
        machine.disk.write("etc/systemd/system/mooring.service.d/quick.conf", QUICK)
        machine.boot()
        machine.load_image()
        machine.docker("network", "create", "-d", "mooring", "--ipam-driver", "mooring", "web")
        machine.docker("run", "-d", "--name", "plain", "--restart", "always", IMAGE, "stay")
        machine.docker("run", "-d", "--name", "ours", "--restart", "always", "--network", "web",
                       "--stop-signal", "KILL", "-p", "80:80", IMAGE, "httpd", "-f", "-h", "/www")  # fmt: skip
        yield machine
    finally:
        machine.close()


@pytest.fixture
def well(machine: SystemdMachine) -> SystemdMachine:
    """The machine, which serves before the test."""
    eventually(lambda: serves(machine), "mooring serves", WAIT, step=0.3)
    if not running(machine, "ours"):
        machine.docker("start", "ours")
    return machine


def serves(machine: SystemdMachine) -> bool:
    """Mooring answers what `mooring status` asks."""
    return machine.answers("/v1/status")


def running(machine: SystemdMachine, name: str) -> bool:
    """The container runs."""
    said = machine.docker("inspect", "-f", "{{.State.Running}}", name, check=False)
    return said.output == "true"


def mended(machine: SystemdMachine, failure: Failure) -> None:
    """It comes back by itself, and so does everything with it."""
    machine.run("sh", "-c", failure.mends)
    eventually(lambda: serves(machine), "mooring serves again, by itself", WAIT, step=0.3)
    assert machine.systemctl("is-active", "mooring-away.socket", check=False).output == "inactive"
    # What dockerd wanted to give up meanwhile, as the published port, is found and taken back.
    eventually(lambda: running(machine, "ours"), "its container runs, by itself", WAIT, step=0.5)
    address = machine.docker("inspect", "-f", "{{.NetworkSettings.Networks.web.IPAddress}}", "ours").output
    assert "hello from a container" in machine.run("busybox", "wget", "-qO-", f"http://{address}/").output
    assert machine.docker(*PROXY, "ps", "-q").output


def docker_goes_on(machine: SystemdMachine, failure: Failure) -> None:
    """The engine serves; what is not Mooring's runs; what is says in a line why it does not; plain traffic passes."""
    assert machine.systemctl("is-active", "docker").output == "active"
    eventually(lambda: running(machine, "plain"), "the container on Docker's own network runs", 20, step=0.2)
    machine.docker("run", "--rm", IMAGE, "true")
    refused = machine.docker("run", "--rm", "--network", "web", IMAGE, "true", check=False)
    assert (refused.ok, failure.says in refused.output) == (False, True), refused.output
    through = machine.docker(*PROXY, "ps", "--format", "{{.Names}}", check=False)
    status = machine.mooring("status", check=False)
    if failure.gone:
        assert "Cannot connect to the Docker daemon" in through.output
        return
    assert "plain" in through.output.split()
    assert machine.docker(*PROXY, "run", "--rm", "--label", "fixed-ip", IMAGE, "echo", "passed").output == "passed"
    assert (status.status, failure.says in status.output) == (6, True), status.output
    doctor = machine.mooring("doctor", "--format", "json", check=False)
    assert (doctor.status, failure.says in json.loads(doctor.output)["findings"][0]["text"]) == (10, True)
    assert failure.says in machine.systemctl("status", "mooring", check=False).output


def quicken(machine: SystemdMachine) -> None:
    """What is tried again each minute is tried each three seconds; dockerd may be restarted in each test."""
    machine.run("sed", "-i", "s/sleep 60/sleep 3/", "/etc/systemd/system/mooring-again.service")
    machine.systemctl("daemon-reload")
    machine.systemctl("reset-failed", "docker.service")


@pytest.mark.parametrize("name", FAILURES)
def test_docker_restarts_while_mooring_fails(well: SystemdMachine, name: str) -> None:
    """dockerd's start does not wait, and when the cause is gone Mooring comes back without anybody."""
    failure = FAILURES[name]
    quicken(well)
    well.systemctl("stop", "mooring.service")
    well.run("sh", "-c", failure.breaks)
    well.systemctl("start", "--no-block", "mooring.service", "mooring.socket")
    well.systemctl("restart", "docker", timeout=WAIT)
    docker_goes_on(well, failure)
    mended(well, failure)


@pytest.mark.parametrize("name", ["typo", "newer store", "corrupt store", "no program"])
def test_the_machine_boots_while_mooring_fails(well: SystemdMachine, name: str) -> None:
    """Every job of the boot ends."""
    failure = FAILURES[name]
    quicken(well)
    well.systemctl("stop", "mooring.service")
    well.run("sh", "-c", failure.breaks)
    well.power_off()
    well.boot(WAIT)
    docker_goes_on(well, failure)
    mended(well, failure)


def test_a_wrong_configuration_does_not_restart_for_ever(well: SystemdMachine) -> None:
    """It is started once, fails, and says so; nothing is restarted until the file is right."""
    failure = FAILURES["typo"]
    well.run("sh", "-c", failure.breaks)
    well.systemctl("restart", "mooring")
    before = well.systemctl("show", "-p", "NRestarts,MainPID", "mooring").output
    eventually(lambda: "coldown" in well.mooring("status", check=False).output, "it says why", 20)
    well.run("sleep", "7")
    assert well.systemctl("show", "-p", "NRestarts,MainPID", "mooring").output == before
    mended(well, failure)


def test_a_typo_opens_no_listener(well: SystemdMachine) -> None:
    """A read-only listener stays so while the configuration is wrong; where that is not certain nothing passes."""
    rules = "[[proxy]]\nlisten = 'unix:///run/mooring/docker.sock'\nread_only = true\n"
    for text, reads in ((f"coldown = 5\n{rules}", True), (f"{rules}read_onyl = true\n", False)):
        well.run("sh", "-c", f'cat >/etc/mooring/mooring.toml <<"E"\n{text}E\n')
        well.systemctl("restart", "mooring")
        assert well.docker(*PROXY, "ps", check=False).ok is reads
        assert not well.docker(*PROXY, "run", "--rm", IMAGE, "true", check=False).ok
    mended(well, FAILURES["typo"])


def test_the_unit_has_what_it_needs_and_no_more(well: SystemdMachine) -> None:
    """A published port below 1024 works with the unit's capabilities and filters."""
    wanted = {"cap_net_admin", "cap_net_raw", "cap_net_bind_service", "cap_chown", "cap_fowner"}
    held = well.systemctl("show", "-p", "CapabilityBoundingSet", "--value", "mooring").output.split()
    assert wanted <= set(held) <= wanted | {"cap_sys_ptrace", "cap_dac_read_search"}
    well.docker("rm", "-f", "ours")
    well.docker("run", "-d", "--name", "ours", "--restart", "always", "--network", "web", "--network-alias", "x",
                "--stop-signal", "KILL", "-p", "80:80", IMAGE, "httpd", "-f", "-h", "/www")  # fmt: skip
    well.run("ip", "addr", "replace", "198.18.0.1/32", "dev", "lo")
    assert "hello from a container" in well.run("busybox", "wget", "-qO-", "http://198.18.0.1/").output
    # What the container before had may be just on its way out.
    eventually(lambda: well.mooring("doctor", check=False).status == 0, "doctor tells nothing", 20)
    exposure = well.run("systemd-analyze", "security", "--no-pager", "mooring.service").output.splitlines()[-1]
    assert float(exposure.split(":")[1].split()[0]) <= 5.0, exposure


def test_an_uninstall_leaves_a_docker_without_a_trace(well: SystemdMachine) -> None:
    """The last test, since nothing is left for another: it refuses while it is used, and Docker starts without it."""
    well.mooring("context", "install")
    well.docker("create", "--name", "asleep", "--network", "web", IMAGE, "stay")
    refused = well.mooring("uninstall", check=False)
    assert refused.status == 4
    assert "asleep in web" in refused.output
    assert "ours in web" in refused.output
    assert serves(well)
    well.docker("rm", "-f", "ours", "asleep")
    units = well.run("sh", "-c", "ls /etc/systemd/system/").output
    said = well.mooring("uninstall", "--dry-run").output
    assert "network web" in said
    assert serves(well)
    assert well.run("sh", "-c", "ls /etc/systemd/system/").output == units

    assert well.mooring("uninstall").output == said.replace("would be removed", "removed")
    assert well.run("find", "/etc/systemd/system", "/run", "-name", "*mooring*").output == ""
    assert "mooring" not in well.docker("network", "ls").output + well.docker("context", "ls").output
    assert "mooring" not in well.run("ip", "link").output + well.run("nft", "list", "tables").output
    assert "mark" not in well.run("iptables-save").output + well.run("ip6tables-save").output
    assert "mooring" not in well.systemctl("list-units", "--all", "--no-legend").output
    well.run("test", "-e", STORE)
    for again in (partial(well.systemctl, "restart", "docker"), well.reboot):
        since = well.run("date", "+%Y-%m-%d %H:%M:%S").output
        again()
        eventually(lambda: running(well, "plain"), "its containers run", 20)
        logged = well.run("journalctl", "--no-pager", "-o", "cat", "-u", "docker", "--since", since).output
        assert "mooring" not in logged
        assert "mooring" not in well.run("ip", "link").output + well.run("nft", "list", "tables").output
    well.mooring("uninstall", "--purge")
    assert not well.run("test", "-e", STORE, check=False).ok
