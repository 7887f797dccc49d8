"""A running container leaves a network and comes back, again and again: nothing about it is another than before."""

from __future__ import annotations

import json

from tests.e2e.conftest import MakeHost
from tests.e2e.lab import Host, eventually
from tests.e2e.lab.relays import Moment, Relay
from tests.e2e.lab.traffic import pings


def interfaces(host: Host, container: str) -> list[str]:
    """The names of its interfaces but loopback."""
    shown = json.loads(host.in_container(container, "ip", "-j", "link").output)
    return sorted(link["ifname"] for link in shown if link["ifname"] != "lo")


def statistics(host: Host, container: str) -> list[str]:
    """The interfaces that the engine counts traffic of. Raises DockerError when it cannot."""
    seen = host.engine.api("GET", f"/containers/{container}/stats?stream=0&one-shot=1")
    return sorted(seen.get("networks", ()))


def two_networks(host: Host) -> None:
    """`web` is in network one, beside which there is a network two."""
    for number, name in enumerate(("one", "two")):
        host.create_network(name, "--subnet", f"10.7{number}.0.0/24")
    host.run_container("web", "--network", "one")


def twins(host: Host) -> None:
    """`twin` is the same in the engine's own networks: before 28 its interfaces have a higher number each time."""
    for name in ("own-one", "own-two"):
        host.docker("network", "create", name)
    host.run_container("twin", "--network", "own-one")


def test_the_engine_goes_on_counting_what_a_container_sends(host: Host) -> None:
    """`docker stats` after `network disconnect` of a running container; names are as in the engine's own networks."""
    two_networks(host)
    twins(host)
    for _ in range(3):
        for change in ("connect", "disconnect"):
            host.docker("network", change, "two", "web")
            host.docker("network", change, "own-two", "twin")
            assert interfaces(host, "web") == statistics(host, "web") == interfaces(host, "twin")
            assert change == "disconnect" or pings(host.container_network("web"), "10.71.0.1")
    assert "web" in host.docker("stats", "--no-stream", "web").output


def test_the_first_network_may_be_left_and_joined_too(host: Host) -> None:
    """The one that the container was made with; its default route comes back with it."""
    two_networks(host)
    twins(host)
    for _ in range(3):
        for change in ("disconnect", "connect"):
            host.docker("network", change, "one", "web")
            host.docker("network", change, "own-one", "twin")
            assert interfaces(host, "web") == statistics(host, "web") == interfaces(host, "twin")
            assert "web" in host.docker("stats", "--no-stream", "web").output
        assert "via 10.70.0.1" in host.in_container("web", "ip", "route").output


def test_a_shared_sandbox_keeps_what_lives_in_it(host: Host) -> None:
    """`--network container:web`: the other goes on, and both leave nothing."""
    two_networks(host)
    host.run_container("beside", "--network", "container:web")
    host.docker("network", "connect", "two", "web")
    host.docker("network", "disconnect", "two", "web")
    assert interfaces(host, "beside") == ["eth0"]
    host.docker("rm", "-f", "web")
    host.docker("rm", "-f", "beside")
    eventually(lambda: "mv-" not in host.namespace.run("ip", "-br", "link").output, "no interface is left")


def test_the_daemon_may_die_between_leaving_and_deleting(make_host: MakeHost) -> None:
    """Before and after each plugin call of a disconnect: the container is out, and nothing of it is left."""
    host = make_host(settings={"MOORING_PLUGIN_SOCKET": "/run/mooring/plugin.sock", "MOORING_REPAIR_PERIOD": "1"})
    with Relay(host.folder / "run/docker/plugins/mooring.sock", host.daemon.plugin_socket, host.daemon) as relay:
        two_networks(host)
        for moment in Moment:
            for number in (1, 2, 3):
                host.docker("network", "connect", "two", "web")
                relay.arm(number, moment)
                host.docker("network", "disconnect", "two", "web")
                relay.arm(0, moment)
                assert interfaces(host, "web") == statistics(host, "web")
                assert pings(host.container_network("web"), "10.70.0.1")
        host.engine.clear()  # while the relay is there for the engine to speak to
