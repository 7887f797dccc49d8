"""Two containers that want one MAC, or one address by one key: the second is refused, and the first is named."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.lab import Host
from tests.e2e.lab.fixed import run
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.namespaces import run as execute

MAC = "02:00:00:00:00:77"


@pytest.mark.parametrize("subnet", [(), ("--subnet", "10.77.0.0/24")], ids=["chosen", "typed"])
@pytest.mark.parametrize("what", [("--mac-address", MAC), ("--label", "mooring.key=db")], ids=["mac", "key"])
def test_the_second_of_two_is_refused_and_the_first_is_named(
    host: Host, subnet: tuple[str, ...], what: tuple[str, str]
) -> None:
    """At its start; it starts when the first has stopped, which then is refused."""
    host.create_network("one", *subnet)
    run(host, "first", *what)
    argv = ("create", "--name", "second", "--network", "one", *what, IMAGE, "stay")
    host.proxy.docker(*argv)
    refused = host.proxy.docker("start", "second", check=False)
    assert not refused.ok
    assert "container first" in refused.output
    host.engine.docker("stop", "-t", "1", "first")
    host.engine.docker("start", "second")
    assert not host.engine.docker("start", "first", check=False).ok
    host.engine.docker("rm", "-f", "second")
    host.engine.docker("start", "first")


@pytest.mark.needs("compose plugin")
def test_a_replica_with_its_siblings_key_is_refused(host: Host, tmp_path: Path) -> None:
    """When it is made, or at its start, in a subnet that was chosen; with `fixed-ip` each has its own address."""
    network = {"driver": "mooring", "ipam": {"driver": "mooring"}}
    file = tmp_path / "compose.yml"

    def compose(label: str, *argv: str, check: bool = True) -> str:
        service = {"image": IMAGE, "command": "stay", "labels": [label], "networks": ["one"]}
        file.write_text(json.dumps({"services": {"web": service}, "networks": {"one": network}}))
        command = [*host.release.compose, "--project-name", "twins", "--file", str(file), *argv]
        return execute(command, timeout=180, check=check, environment=host.proxy.environment).output

    compose("mooring.key=k", "up", "--detach")
    said = compose("mooring.key=k", "up", "--detach", "--scale", "web=2", check=False)
    assert "replica 2 of service twins/web has the same mooring.key as another replica" in said
    assert "twins-web-1" in said
    compose("fixed-ip", "up", "--detach", "--scale", "web=2")
    assert len(host.engine.containers()) == 2
    compose("fixed-ip", "down", "--timeout", "1")
