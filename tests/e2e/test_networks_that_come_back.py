"""Networks that go and come again under their name: `compose down` and `up`, `network rm` and `create`, prune."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.lab import Host, Result, eventually
from tests.e2e.lab.fixed import fixed, mac, run
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.namespaces import run as execute

KEY = ("--label", "mooring.key=db")
MOORING = {"driver": "mooring", "ipam": {"driver": "mooring"}}
SERVICE = {"image": IMAGE, "command": "stay"}
PROJECT = {
    "services": {
        "keyed": SERVICE | {"labels": {"mooring.key": "theirs"}, "networks": ["chosen"]},
        "many": SERVICE | {"networks": ["names"]},
        "both": SERVICE | {"labels": ["fixed-ip"], "networks": ["chosen", "names"]},
    },
    "networks": {"chosen": MOORING, "names": MOORING | {"driver_opts": {"sticky": "name"}, "enable_ipv6": True}},
}


class Project:
    """The project `back` on the host."""

    def __init__(self, host: Host, folder: Path) -> None:
        self._host, self.file = host, folder / "compose.yml"
        self.write(PROJECT)

    def write(self, project: object) -> None:
        """Another compose file."""
        self.file.write_text(json.dumps(project))  # which YAML has too

    def compose(self, *argv: str, check: bool = True) -> Result:
        """`docker compose` through the proxy."""
        command = [*self._host.release.compose, "--project-name", "back", "--file", str(self.file), *argv]
        return execute(command, timeout=180, check=check, environment=self._host.proxy.environment)

    def up(self, *argv: str) -> dict[str, tuple[str, str, str]]:
        """`up` with two of `many`; each container and network -> addresses and MAC."""
        return self.up_as_written("--scale", "many=2", *argv)

    def up_as_written(self, *argv: str) -> dict[str, tuple[str, str, str]]:
        """`up`; what `up` says."""
        self.compose("up", "--detach", *argv)
        found: dict[str, tuple[str, str, str]] = {}
        for container in self._host.engine.containers():
            inspected = self._host.engine.inspect(container)
            for network, place in inspected["NetworkSettings"]["Networks"].items():
                name = inspected["Name"].removeprefix("/back-")
                found[f"{name} {network}"] = (place["IPAddress"], place["GlobalIPv6Address"], place["MacAddress"])
        return found


@pytest.fixture
def project(host: Host, tmp_path: Path) -> Iterator[Project]:
    """A project that is not up."""
    project = Project(host, tmp_path)
    yield project
    project.compose("down", "--timeout", "1", "--volumes", check=False)


def create(host: Host, name: str, *options: str) -> None:
    """`docker network create` through the proxy."""
    host.proxy.docker("network", "create", "-d", "mooring", "--ipam-driver", "mooring", *options, name)


def held(host: Host, container: str) -> list[str]:
    """The container's addresses in the network `one`."""
    return [address for address in host.addresses(container, "one") if address]


def subnets(host: Host, name: str) -> list[str]:
    """Those of the network, as the engine tells them."""
    (found,) = json.loads(host.engine.docker("network", "inspect", name).output)
    return [config["Subnet"] for config in found["IPAM"]["Config"]]


@pytest.mark.needs("compose plugin")
def test_compose_finds_every_kept_address_after_down_and_up(host: Host, project: Project) -> None:
    """In both networks, both families, MACs too; by key, by name, and by the label alone, which is compose's identity;
    whoever makes networks in between gets other subnets; twice, and over a restart of ours."""
    before = project.up()
    assert len(before) == 5
    assert project.up("--force-recreate") == before
    for argv in (("down", "--timeout", "1"), ("down", "--timeout", "1", "--volumes")):
        project.compose(*argv)
        host.daemon.stop()
        host.daemon.start()
        create(host, "other", "--ipv6")
        assert project.up() == before
        host.engine.docker("network", "rm", "other")
    assert project.up("--force-recreate") == before


@pytest.mark.needs("compose plugin")
def test_an_edit_of_the_network_keeps_what_fits(host: Host, project: Project) -> None:
    """Other options: everything. Another subnet: the MACs, and new addresses in it, from then on."""
    before = project.up()
    changed = json.loads(json.dumps(PROJECT))
    changed["networks"]["chosen"]["driver_opts"] = {"mtu": "1400"}
    project.write(changed)
    project.compose("down", "--timeout", "1")
    assert project.up() == before
    changed["networks"]["chosen"]["ipam"]["config"] = [{"subnet": "10.79.0.0/24"}]
    project.write(changed)
    project.compose("down", "--timeout", "1")
    moved = project.up()
    assert moved["keyed-1 back_chosen"][0].startswith("10.79.0.")
    assert moved["keyed-1 back_chosen"][2] == before["keyed-1 back_chosen"][2]
    assert {name: each for name, each in moved.items() if name.endswith("names")} == {
        name: each for name, each in before.items() if name.endswith("names")
    }
    assert project.up("--force-recreate") == moved


@pytest.mark.parametrize("options", [(), ("--subnet", "10.79.0.0/24"), ("--ipv6",)], ids=["chosen", "typed", "both"])
def test_a_network_made_again_gives_its_keys_their_addresses(host: Host, options: tuple[str, ...]) -> None:
    """Its subnets too, where none is typed; `prune` says what is kept."""
    create(host, "one", *options)
    run(host, "web", *KEY)
    run(host, "first", "--label", "mooring.key=other")
    before, ether, had = held(host, "web"), mac(host, "web"), subnets(host, "one")
    host.engine.docker("rm", "-f", "web", "first")
    host.engine.docker("network", "prune", "-f")
    eventually(lambda: host.engine.networks() == [], "pruned")
    assert "kept for their keys" in host.daemon.log.read_text()
    assert set(fixed(host)) >= set(before)
    create(host, "else")
    create(host, "one", *options)
    assert subnets(host, "one") == had
    run(host, "stranger")
    run(host, "second", *KEY)
    assert (held(host, "second"), mac(host, "second")) == (before, ether)
    assert not set(held(host, "stranger")) & set(before)


def test_past_the_proxy_a_typed_subnet_is_enough(host: Host) -> None:
    """The engine's events tell the name."""
    typed = ("-d", "mooring", "--ipam-driver", "mooring", "--subnet", "10.79.0.0/24", "one")
    host.engine.docker("network", "create", *typed)
    eventually(lambda: "one" in json.dumps(host.daemon.api("/v1/networks")), "its name is known")
    run(host, "first", "--label", "mooring.key=other")
    run(host, "web", *KEY)
    before = held(host, "web")
    host.engine.docker("rm", "-f", "web", "first")
    host.engine.docker("network", "rm", "one")
    host.engine.docker("network", "create", *typed)
    eventually(lambda: set(before) <= set(fixed(host)), "the heir has them")
    run(host, "second", *KEY)
    assert held(host, "second") == before


@pytest.mark.needs("compose plugin")
def test_the_compose_file_of_the_documentation_keeps_what_it_promises(host: Host, project: Project) -> None:
    """Its first page, word for word but for the images, which the lab does not have."""
    text = (Path(__file__).parents[2] / "docs" / "fixed-addresses.md").read_text()
    file = text.split("```yaml\n", 1)[1].split("```", 1)[0]
    project.file.write_text(re.sub(r"image: .*", f"image: {IMAGE}\n    command: stay", file))
    before = project.up_as_written()
    assert len(before) == 3
    for argv in (("up", "--detach", "--force-recreate"), ("down",), ("down", "--volumes"), ("restart",)):
        project.compose(*argv, "--timeout", "1")
        assert project.up_as_written() == before
    project.compose("up", "--detach", "--scale", "web=1")
    assert project.up_as_written() == before


def test_a_stopped_container_gets_into_the_next_network_as_the_doctor_says(host: Host) -> None:
    """No engine starts it there by itself; with what explain says it has its key's address again."""
    create(host, "one")
    run(host, "web", *KEY)
    before = held(host, "web")
    host.proxy.docker("stop", "-t", "0", "web")
    host.proxy.docker("network", "rm", "one")
    assert "It cannot start: its network one was removed" in host.mooring("explain", "web").output
    create(host, "one")
    assert not host.proxy.docker("start", "web", check=False).ok
    said = host.mooring("doctor", check=False).output
    assert "it cannot start: its network one was removed" in said
    for line in ("docker network disconnect -f one web", "docker network connect one web"):
        assert line in said
        host.proxy.docker(*line.split()[1:])
    host.proxy.docker("start", "web")
    assert held(host, "web") == before
    assert "cannot start" not in host.mooring("doctor", check=False).output
