"""A driver of several names, as scripts that were written for another plugin use it."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import MakeHost
from tests.e2e.lab import Host
from tests.e2e.lab.images import IMAGE


@pytest.fixture
def host(make_host: MakeHost) -> Host:
    """Its scripts say ciao."""
    return make_host(settings={"MOORING_PLUGIN_NAMES": "ciao"})


def test_networks_of_either_name_are_ours(host: Host) -> None:
    """In one plan of addresses, and still so when both sides were killed."""
    one, other = ("-d", "ciao", "--ipam-driver", "ciao"), ("-d", "mooring", "--ipam-driver", "mooring")
    host.docker("network", "create", *one, "--subnet", "10.81.0.0/24", "theirs")
    host.docker("network", "create", *other, "--subnet", "10.82.0.0/24", "ours")
    taken = host.docker("network", "create", *other, "--subnet", "10.81.0.0/24", "more", check=False)
    assert "overlaps 10.81.0.0/24" in taken.output
    for number, name in ((1, "theirs"), (2, "ours")):
        host.docker("run", "-d", "--name", name, "--restart", "always", "--network", name,
                    "--ip", f"10.8{number}.0.9", IMAGE, "stay")  # fmt: skip
    host.daemon.kill9()
    host.engine.kill9()
    host.daemon.start()
    host.engine.start()
    for number, name in ((1, "theirs"), (2, "ours")):
        assert host.in_container(name, "ping", "-c", "1", "-W", "5", f"10.8{number}.0.1").ok
    assert host.mooring("doctor").ok
    shown = host.mooring("network", "ls").output
    assert "theirs" in shown
    assert "ours" in shown
