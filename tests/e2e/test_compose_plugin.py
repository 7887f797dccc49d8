"""Compose as a plugin of the docker command, through the proxy: one network a container, so that every engine keeps it.

What compose does when it recreates: it makes the new container beside the old one under another name, and with the old
one still running; then it stops and removes the old one, renames the new one, and starts it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.lab import Host, Result
from tests.e2e.lab.fixed import fixed, mac
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.namespaces import LabError, run
from tests.e2e.lab.traffic import Server, ask_tcp

pytestmark = pytest.mark.needs("compose plugin")
MOORING = {"driver": "mooring", "ipam": {"driver": "mooring"}}
SERVICE = {"image": IMAGE, "command": "stay"}
PROJECT = {
    "services": {
        "keyed": SERVICE | {"labels": {"mooring.key": "theirs"}, "networks": ["shop"], "ports": ["8080:80"]},
        "many": SERVICE | {"networks": ["names"], "depends_on": ["keyed"]},
        "named": SERVICE | {"networks": {"set": {"ipv4_address": "10.79.0.77"}}},
        "plain": SERVICE | {"labels": ["fixed-ip"], "networks": ["set"]},
        "loose": SERVICE | {"networks": ["set"]},
    },
    "networks": {
        "names": MOORING | {"driver_opts": {"sticky": "name"}},
        "set": MOORING | {"ipam": {"driver": "mooring", "config": [{"subnet": "10.79.0.0/24"}]}},
        "shop": {"external": True},
    },
}


class Project:
    """The project `demo` on the host."""

    def __init__(self, host: Host, folder: Path) -> None:
        self._host, self._file = host, folder / "compose.yml"
        self._file.write_text(json.dumps(PROJECT))  # which YAML has too

    def compose(self, *argv: str, check: bool = True) -> Result:
        """`docker compose` through the proxy. Raises LabError when it fails, unless check is False."""
        command = [*self._host.release.compose, "--project-name", "demo", "--file", str(self._file), *argv]
        return run(command, timeout=180, check=check, environment=self._host.proxy.environment)

    def addresses(self) -> dict[str, str]:
        """Of the containers, by service and number; each has one network."""
        found = {}
        for container in self._host.engine.containers():
            inspected = self._host.engine.inspect(container)
            (endpoint,) = inspected["NetworkSettings"]["Networks"].values()
            found[inspected["Name"].removeprefix("/demo-")] = str(endpoint["IPAddress"])
        return found


@pytest.fixture
def project(host: Host, tmp_path: Path) -> Iterator[Project]:
    """A project that is up, two containers of `many`, and down afterwards."""
    host.create_network("shop", "--subnet", "10.81.0.0/24")
    project = Project(host, tmp_path)
    project.compose("up", "--detach", "--scale", "many=2")
    yield project
    project.compose("down", "--timeout", "3", check=False)


def without(addresses: dict[str, str], *services: str) -> dict[str, str]:
    """The others."""
    return {name: address for name, address in addresses.items() if name.rpartition("-")[0] not in services}


def test_recreated_containers_keep_what_does_not_belong_to_the_container(host: Host, project: Project) -> None:
    """By key, by name and by --ip, with MAC and published port; a second `up` changes nothing."""
    before, ether = project.addresses(), mac(host, "demo-keyed-1", "shop")
    assert len(before) == len(set(before.values())) == 6
    assert before["named-1"] == "10.79.0.77"
    project.compose("up", "--detach", "--scale", "many=2")
    assert project.addresses() == before
    for _ in range(3):
        project.compose("up", "--detach", "--force-recreate", "--scale", "many=2")
        after = project.addresses()
        assert without(after, "loose") == without(before, "loose")
        assert len(set(after.values())) == 6
        assert mac(host, "demo-keyed-1", "shop") == ether
        assert set(fixed(host)) == set(without(after, "loose", "named").values())  # --ip is not a label
    with Server(host.container_network("demo-keyed-1"), "keyed", 80):
        assert ask_tcp(host.outside.network, host.ipv4, 8080).server == "keyed"


def test_down_and_up_keeps_what_has_a_key(host: Host, project: Project) -> None:
    """Also in compose's own networks, which go with `down`; twice in a row."""
    before, ether = project.addresses(), mac(host, "demo-keyed-1", "shop")
    for _ in range(2):
        project.compose("down", "--timeout", "3")
        assert host.engine.networks() == ["shop"]
        assert fixed(host) == dict.fromkeys(without(before, "loose", "named").values(), "idle")
        project.compose("up", "--detach", "--scale", "many=2")
        assert without(project.addresses(), "loose") == without(before, "loose")
        assert mac(host, "demo-keyed-1", "shop") == ether


def test_scaling_gives_and_takes_and_moves_nobody(host: Host, project: Project) -> None:
    """Up to five and down to one: the lower numbers stay where they are."""
    before = project.addresses()
    project.compose("up", "--detach", "--scale", "many=5")
    grown = project.addresses()
    assert {name: grown[name] for name in before} == before
    assert len(set(grown.values())) == 9
    project.compose("up", "--detach", "--scale", "many=1")
    assert project.addresses() == {name: before[name] for name in before if name != "many-2"}
    # Their addresses are kept for the names, and found again.
    project.compose("up", "--detach", "--scale", "many=5")
    assert project.addresses() == grown


def test_stop_start_restart_kill_and_a_change_of_the_file(host: Host, project: Project) -> None:
    """Whatever ends the containers, those with a fixed address have it again."""
    before = without(project.addresses(), "loose")
    for ends in (("restart", "--timeout", "3"), ("stop", "--timeout", "3"), ("kill",)):
        project.compose(*ends)
        project.compose("start")
        assert without(project.addresses(), "loose") == before, ends
    changed = json.loads(json.dumps(PROJECT))
    changed["services"]["keyed"]["environment"] = {"NEW": "1"}
    changed["services"]["many"]["environment"] = {"NEW": "1"}
    project._file.write_text(json.dumps(changed))
    project.compose("up", "--detach", "--scale", "many=2")
    assert without(project.addresses(), "loose") == before


def test_what_cannot_be_is_told(host: Host, project: Project) -> None:
    """The engine's one line, with our reason in it; what was up stays up."""
    taken = project.addresses()["plain-1"]
    changed = json.loads(json.dumps(PROJECT))
    changed["services"]["late"] = SERVICE | {"networks": {"set": {"ipv4_address": taken}}}
    project._file.write_text(json.dumps(changed))
    refused = project.compose("up", "--detach", "--scale", "many=2", check=False)
    assert not refused.ok
    assert taken in refused.output
    assert "plain" in refused.output
    assert project.addresses()["plain-1"] == taken
    with pytest.raises(LabError, match="no such service"):
        project.compose("up", "--detach", "none")
