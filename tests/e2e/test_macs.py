"""One MAC in a network is one running container's."""

from __future__ import annotations

from tests.e2e.lab import Host
from tests.e2e.lab.images import IMAGE

MAC = "02:42:0a:4d:00:55"


def test_the_second_container_of_one_mac_does_not_start(host: Host) -> None:
    """The first goes on; when it has stopped the second may, and the first may not."""
    host.create_network("one", "--subnet", "10.77.0.0/24")
    asked = ("--network", "one", "--mac-address", MAC, IMAGE, "stay")
    host.docker("run", "-d", "--name", "first", *asked)
    refused = host.docker("run", "-d", "--name", "second", *asked, check=False)
    assert f"MAC {MAC} is already in use in network" in refused.output
    assert host.addresses("first", "one")[0] in refused.output
    host.docker("stop", "-t", "0", "first")
    host.docker("start", "second")
    assert "in use" in host.docker("start", "first", check=False).output
    host.docker("rm", "-f", "second")
    host.docker("start", "first")


def test_the_second_replica_of_a_key_does_not_start(host: Host) -> None:
    """In a subnet that Mooring chose, its MAC is all that says who it is: it would be the first one's twin."""
    host.create_network("one")
    options = ("--network", "one", "--label", "mooring.key=db", IMAGE, "stay")
    host.proxy.docker("run", "-d", "--name", "first", *options)
    refused = host.proxy.docker("run", "-d", "--name", "second", *options, check=False)
    assert "first" in refused.output
    assert host.engine.inspect("first")["State"]["Running"]
    assert not host.engine.inspect("second")["State"]["Running"]
    host.docker("rm", "-f", "first")
    host.docker("start", "second")
