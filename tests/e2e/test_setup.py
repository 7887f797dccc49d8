"""`mooring setup` under a real systemd, on a host with Docker and nothing of Mooring's."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.lab import Lab, eventually
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.releases import release, selected
from tests.e2e.lab.systemd_machines import SystemdMachine
from tests.e2e.lab.systemd_roots import PROJECT

pytestmark = pytest.mark.slow

UNITS = ("mooring.socket", "mooring-api.socket", "mooring-proxy.socket", "mooring.service")
CONFIGURATION = "/etc/mooring/mooring.toml"


@pytest.fixture(scope="module")
def machine(lab: Lab) -> Iterator[SystemdMachine]:
    """Booted, with a user who may use Docker; Mooring's program is there, and nothing else of it."""
    if selected() != release(""):
        pytest.skip("it has the engine of the machine's own suite only")
    machine = SystemdMachine(lab.folder / "setup", units=False)
    try:
        machine.disk.add("systemd-resolved")
        machine.boot()
        machine.load_image()
        machine.run("useradd", "--create-home", "--groups", "docker", "alice")
        yield machine
    finally:
        machine.close()


def contents(machine: SystemdMachine) -> str:
    """All that a setup may touch: names, modes, owners, sums."""
    say = "find /etc /home /root /usr/share /var/lib/mooring -type f ! -name '*.pyc' -exec sha256sum {} +; getent group"
    return machine.run("sh", "-c", f"{{ {say}; }} | grep -v -e '/etc/.*shadow' -e '/etc/group' -e mooring.db").output


def test_one_command_sets_mooring_up(machine: SystemdMachine) -> None:
    """It does what its dry run says, step by step; then networks, addresses and ports work for root and for a user; a
    second run changes nothing; each unit can be restarted alone, while containers run; a reboot brings it back."""
    before = contents(machine)
    planned = machine.mooring("setup", "--dry-run").output.splitlines()
    assert contents(machine) == before
    said = machine.mooring("setup").output.splitlines()
    assert [line.replace("would be ", "") for line in planned] == said[: len(planned)]
    for line in (
        "group mooring: created", "group docker: already exists", f"{CONFIGURATION}: written", "units: enabled",
        "Docker context mooring of root: created", "Docker context mooring of alice: created",
        "mooring.service: serving", "/run/mooring/api.sock: accessible to the group mooring",
        "/run/mooring/docker.sock: accessible to the group docker",
    ):  # fmt: skip
        assert line in said
    assert any(line.endswith("reachable through the proxy") for line in said)
    assert any(line.startswith("ready version=") for line in machine.journal().splitlines())
    assert "ready" not in machine.run("journalctl", "-o", "cat", "-u", "mooring", "-p", "warning").output
    assert machine.run("stat", "-c", "%G %a", "/run/mooring/docker.sock").output == "docker 660"
    assert machine.run("stat", "-c", "%G %a", "/run/mooring/api.sock").output == "mooring 660"

    machine.docker("network", "create", "-d", "mooring", "--ipam-driver", "mooring", "web")
    as_alice = ("runuser", "-u", "alice", "--", "env", "HOME=/home/alice", "docker", "--context", "mooring")
    machine.run(*as_alice, "run", "-d", "--name", "db", "--network", "web", "--restart", "always", "-p", "80:80",
                "--label", "fixed-ip", IMAGE, "stay")  # fmt: skip
    assert "0.0.0.0:80->80/tcp" in machine.run(*as_alice, "ps").output

    again = machine.mooring("setup").output.splitlines()
    assert {line.rsplit(": ", 1)[1] for line in again[: len(planned)]} <= {
        "unchanged", "already exists", "already enabled", "already running",
    }  # fmt: skip
    for unit in UNITS:
        machine.systemctl("restart", unit)
        eventually(lambda: machine.answers("/v1/status"), f"it serves after a restart of {unit}", 30)
        assert "db" in machine.run(*as_alice, "ps").output
        for each in UNITS:
            assert machine.systemctl("is-active", each).output == "active"
    machine.reboot()
    eventually(lambda: machine.answers("/v1/status"), "it serves after a reboot", 60)
    eventually(lambda: "db" in machine.run(*as_alice, "ps").output, "the container runs", 60)


def test_a_new_user_has_the_context(machine: SystemdMachine) -> None:
    """By the skeleton of a home."""
    machine.run("useradd", "--create-home", "--groups", "docker", "bob")
    said = machine.run("runuser", "-u", "bob", "--", "env", "HOME=/home/bob", "docker", "context", "ls").output
    assert "unix:///run/mooring/docker.sock" in said


def test_the_hosts_own_programs_resolve_names_of_containers(machine: SystemdMachine) -> None:
    """By systemd-resolved, which asks for nothing else there; also after its end."""
    refused = machine.mooring("dns", "install", "--host", check=False)
    assert (refused.status, "systemd-resolved does not run" in refused.output) == (6, True)
    machine.run("sh", "-ec", "systemd-sysusers; ln -sf /run/systemd/resolve/stub-resolv.conf /etc/resolv.conf")
    machine.systemctl("start", "systemd-resolved")
    assert machine.mooring("dns", "install", "--host").output == "mooring-dns.service: written and started"
    assert "wanted by: the host's resolver" in machine.mooring("dns", "status").output
    address = machine.docker("inspect", "-f", "{{.NetworkSettings.Networks.web.IPAddress}}", "db").output

    def resolves() -> bool:
        return machine.run("getent", "ahosts", "db.web.mooring", check=False).output.startswith(f"{address} ")

    eventually(resolves, "the host resolves the name", 10)
    assert not machine.run("getent", "ahosts", "absent.web.mooring", check=False).ok
    told = machine.run("resolvectl", "dns").output.splitlines()
    assert [line for line in told if "169.254.53.53" in line] == [line for line in told if "(mooring-dns):" in line]
    machine.systemctl("kill", "--signal", "KILL", "systemd-resolved")
    eventually(resolves, "the host resolves the name again", 20)
    machine.mooring("dns", "uninstall", "--host")
    assert not machine.run("ip", "link", "show", "mooring-dns", check=False).ok
    machine.mooring("dns", "install", "--host")


def test_an_undo_leaves_nothing(machine: SystemdMachine) -> None:
    """It refuses while containers are there; then all that a setup made is gone but what somebody changed since. The
    store stays."""
    refused = machine.mooring("setup", "--undo", check=False)
    assert (refused.status, "db in web" in refused.output) == (4, True)
    machine.docker("rm", "-f", "db")
    machine.run("sh", "-c", "rm /etc/resolv.conf; echo nameserver 192.0.2.1 >/etc/resolv.conf")
    engine_file = machine.run("cat", "/etc/docker/daemon.json", check=False).output
    machine.mooring("dns", "install")
    assert "169.254.53.53" in machine.run("cat", "/etc/docker/daemon.json").output
    assert "answers at: 169.254.53.53" in machine.mooring("dns", "status").output
    machine.run("sh", "-c", "echo '# mine' >>/usr/share/man/man1/mooring.1 2>/dev/null || true")
    machine.run("gpasswd", "-a", "alice", "mooring")
    planned = machine.mooring("setup", "--undo", "--dry-run").output
    said = machine.mooring("setup", "--undo").output
    assert "unit files:" in planned
    assert "the DNS server from /etc/docker/daemon.json" in planned
    assert "mooring-dns.service, by which the host's resolver asks" in planned
    assert not machine.run("ip", "link", "show", "mooring-dns", check=False).ok
    assert machine.run("cat", "/etc/docker/daemon.json", check=False).output == engine_file
    assert "169.254.53.53" in machine.run("ip", "address", "show", "dev", "lo").output  # until the next boot
    assert "group mooring: has members (alice), left unchanged" in said
    # Containers may go on to ask until the next boot.
    left = machine.run("find", "/etc/systemd/system", "/run", "/etc/skel", "-name", "*mooring*").output
    assert left == "/run/mooring"
    assert machine.run("ls", "-A", "/run/mooring").output == "engine-dns"
    assert not machine.run("test", "-e", CONFIGURATION, check=False).ok
    for home in ("/root", "/home/alice", "/home/bob", "/etc/skel"):
        assert machine.run("sh", "-c", f"find {home}/.docker -name meta.json 2>/dev/null || true").output == ""
    machine.run("test", "-e", "/var/lib/mooring/mooring.db")
    machine.systemctl("restart", "docker")
    machine.docker("run", "--rm", IMAGE, "true")
    machine.run("gpasswd", "-d", "alice", "mooring")
    machine.mooring("setup", "--undo")
    assert not machine.run("getent", "group", "mooring", check=False).ok


def test_what_is_there_already_stays(machine: SystemdMachine) -> None:
    """A configuration of the administrator's, which is checked first, a context of a user's that points elsewhere."""
    machine.run("sh", "-c", f"mkdir -p /etc/mooring; echo 'coldown = 5' >{CONFIGURATION}")
    refused = machine.mooring("setup", check=False)
    assert (refused.ok, "coldown" in refused.output) == (False, True)
    assert not machine.run("test", "-e", "/etc/systemd/system/mooring.service", check=False).ok
    machine.run("sh", "-c", f"echo 'cooldown = 5' >{CONFIGURATION}")
    as_alice = ("runuser", "-u", "alice", "--", "env", "HOME=/home/alice", "docker", "context")
    machine.run(*as_alice, "create", "mooring", "--docker", "host=tcp://192.0.2.1:2376")
    said = machine.mooring("setup").output
    assert f"{CONFIGURATION}: already exists, left unchanged" in said
    assert "Docker context mooring of alice: (points at tcp://192.0.2.1:2376, left unchanged)" in said
    machine.mooring("setup", "--undo")
    assert machine.run("cat", CONFIGURATION).output == "cooldown = 5"
    assert "192.0.2.1" in machine.run(*as_alice, "ls").output


def scripts(title: str) -> list[str]:
    """The shell scripts of a recipe, in order."""
    page = (PROJECT / "docs/recipes.md").read_text()
    recipe = page.split(f"\n## {title}\n")[1].split("\n## ")[0]
    return [part.split("```")[0] for part in recipe.split("```sh\n")[1:]]


def test_the_proxy_takes_the_place_of_the_engines_socket_and_gives_it_back(machine: SystemdMachine) -> None:
    """As docs/recipes.md has it, word for word; also over a reboot."""
    there, back = scripts("In the place of /var/run/docker.sock")
    path = "export PATH=$PATH:/opt/mooring/bin\n"
    machine.mooring("setup")
    machine.run("sh", "-euc", path + there, timeout=120)
    machine.docker("network", "create", "-d", "mooring", "--ipam-driver", "mooring", "apps")
    machine.docker("run", "-d", "--name", "app", "--network", "apps", "--restart", "always", "--stop-signal", "KILL",
                   "-p", "81:80", "--label", "fixed-ip", IMAGE, "stay")  # fmt: skip
    told = machine.docker("inspect", "-f", "{{.NetworkSettings.Networks.apps.IPAddress}}", "app").output
    assert "0.0.0.0:81->80/tcp" in machine.docker("ps").output
    assert "->80/tcp" not in machine.docker("-H", "unix:///run/docker-engine.sock", "ps").output
    machine.reboot()
    eventually(lambda: "0.0.0.0:81->80/tcp" in machine.docker("ps", check=False).output, "it is there again", 60)
    assert machine.docker("inspect", "-f", "{{.NetworkSettings.Networks.apps.IPAddress}}", "app").output == told
    machine.run("sh", "-euc", path + back, timeout=120)
    assert "->80/tcp" not in machine.docker("ps").output
    assert "app" in machine.docker("-H", "unix:///run/mooring/docker.sock", "ps").output
    machine.docker("rm", "-f", "app")
    machine.mooring("setup", "--undo")
    machine.docker("run", "--rm", IMAGE, "true")
