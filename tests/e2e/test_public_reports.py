"""What other people reported of other networks, plugins and engines, tried on Mooring.

Rule: each test names the thread that it was made from; what is asserted is what its reporter wanted.
"""

from __future__ import annotations

import time

import pytest

from tests.e2e.lab import DockerClient, Host, Lab, eventually
from tests.e2e.lab.fixed import mac
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.traffic import Server, ask_tcp, pings, reaches

SUBNET = ("--subnet", "10.77.0.0/24")


def recreate(client: DockerClient, *names: str) -> None:
    """All are removed, then made again with the endpoint that the engine showed, MAC and address settings and all."""
    seen = [client.inspect(name) for name in names]
    for old in seen:
        client.api("DELETE", f"/containers/{old['Id']}?force=1")
    for name, old in zip(names, seen, strict=True):
        endpoints = {"EndpointsConfig": old["NetworkSettings"]["Networks"]}
        body = {**old["Config"], "HostConfig": old["HostConfig"], "NetworkingConfig": endpoints}
        new = client.api("POST", f"/containers/create?name={name}", body)["Id"]
        client.api("POST", f"/containers/{new}/start")


def test_no_mac_is_there_twice_after_containers_were_recreated_in_another_order(host: Host) -> None:
    """https://github.com/nicholas-fedor/watchtower/issues/2104: MACs made from addresses that were swapped."""
    host.create_network("one", *SUBNET)
    for name in ("aa", "bb"):
        host.run_container(name, "--network", "one")
    recreate(host.engine, "bb", "aa")
    host.run_container("cc", "--network", "one")
    assert len({mac(host, name) for name in ("aa", "bb", "cc")}) == 3
    for name in ("bb", "cc"):
        assert pings(host.container_network("aa"), host.addresses(name, "one")[0])


@pytest.mark.parametrize("through", ["engine", "proxy"])
def test_an_address_by_hand_outside_a_range_of_one_survives_recreation(host: Host, through: str) -> None:
    """https://github.com/moby/moby/issues/47441, https://github.com/containrrr/watchtower/issues/1912."""
    client = {"engine": host.engine, "proxy": host.proxy}[through]
    host.create_network("one", *SUBNET, "--ip-range", "10.77.0.252/32")
    for name, number in (("aa", 45), ("bb", 46)):
        ether = f"02:42:c0:a8:29:{number}"
        options = ("--network", "one", "--ip", f"10.77.0.{number}", "--mac-address", ether)
        client.docker("run", "-d", "--name", name, *options, IMAGE, "stay")
    recreate(client, "bb", "aa")
    assert [host.addresses(name, "one")[0] for name in ("aa", "bb")] == ["10.77.0.45", "10.77.0.46"]
    assert [mac(host, name) for name in ("aa", "bb")] == ["02:42:c0:a8:29:45", "02:42:c0:a8:29:46"]


def test_ports_follow_their_container_when_two_leave_and_come_back_in_another_order(host: Host, lab: Lab) -> None:
    """https://github.com/docker/for-mac/issues/7796."""
    host.create_network("one", *SUBNET)
    for number in (1, 2):
        host.run_container(f"n{number}", "--network", "one", "-p", f"808{number}:80")
    with Server(host.container_network("n1"), "n1", 80), Server(host.container_network("n2"), "n2", 80):
        for name in ("n2", "n1"):
            host.docker("network", "disconnect", "one", name)
        host.docker("network", "connect", "one", "n2")
        assert ask_tcp(lab.outside.network, host.ipv4, 8082).server == "n2"
        assert not reaches(lab.outside.network, host.ipv4, 8081)
        host.docker("network", "connect", "one", "n1")
        assert [ask_tcp(lab.outside.network, host.ipv4, 8080 + n).server for n in (1, 2)] == ["n1", "n2"]


def test_an_interface_that_was_renamed_inside_leaves_and_comes_back(host: Host) -> None:
    """https://github.com/distribution/distribution/issues/3216: its neighbour, a disconnect after the renaming."""
    host.create_network("one", *SUBNET)
    host.create_network("two", "--subnet", "10.78.0.0/24")
    host.run_container("web", "--network", "one")
    for _ in range(2):
        host.docker("network", "connect", "two", "web")
        links = host.in_container("web", "ip", "-br", "link").output
        name = next(word for word in ("eth1", "eth2") if word in links)
        for change in (("down",), ("name", "lan0"), ("up",)):
            host.in_container("web", "ip", "link", "set", "lan0" if change == ("up",) else name, *change)
        host.docker("network", "disconnect", "two", "web")
    host.docker("network", "connect", "two", "web")
    assert pings(host.container_network("web"), "10.78.0.1")


def test_a_published_port_is_free_again_at_every_restart(host: Host, lab: Lab) -> None:
    """https://github.com/moby/moby/issues/33756: "port is already allocated" by the container's own former life."""
    host.create_network("one", *SUBNET)
    host.run_container("web", "--network", "one", "-p", "8080:80")
    for _ in range(5):
        host.docker("restart", "-t", "3", "web")
    host.docker("kill", "web")
    host.docker("start", "web")
    with Server(host.container_network("web"), "web", 80):
        assert ask_tcp(lab.outside.network, host.ipv4, 8080).server == "web"


def test_a_network_can_be_removed_as_soon_as_its_killed_containers_are(host: Host) -> None:
    """https://github.com/moby/moby/issues/23302: "has active endpoints" with nobody there."""
    for _ in range(3):
        host.create_network("one", *SUBNET)
        for number in range(4):
            host.run_container(f"n{number}", "--network", "one")
        names = [f"n{number}" for number in range(4)]
        host.docker("kill", *names)
        host.docker("rm", *names)
        host.docker("network", "rm", "one")
    assert host.daemon.held() == []


def test_commands_that_are_not_about_networks_do_not_wait_for_us(host: Host) -> None:
    """https://github.com/moby/moby/issues/22653: `docker volume ls` asks every plugin's socket what it is for."""
    host.create_network("one", *SUBNET)
    began = time.monotonic()
    assert host.docker("volume", "ls", "-q").output == ""
    host.docker("volume", "create", "data")
    host.docker("volume", "rm", "data")
    assert time.monotonic() - began < 15.0  # what the engine waits for a plugin that does not answer


def test_a_dead_engine_leaves_no_name_behind(host: Host) -> None:
    """https://github.com/moby/libnetwork/issues/1108: "service endpoint with name ... already exists"."""
    host.create_network("one", *SUBNET)
    host.run_container("web", "--network", "one")
    host.engine.kill9()
    host.engine.start()
    host.docker("rm", "-f", "web")
    host.run_container("web", "--network", "one")
    eventually(lambda: len(host.daemon.held()) == 1, "one address is held")


def test_who_publishes_at_an_address_that_the_host_gets_later_is_started_then(host: Host) -> None:
    """https://github.com/moby/moby/issues/39559: as of a VPN that starts after Docker."""
    late = "198.51.100.7"
    host.namespace.run("ip", "address", "add", f"{late}/32", "dev", "lo")
    host.create_network("one", *SUBNET)
    host.run_container("web", "--network", "one", "-p", f"{late}:8080:80", "--restart", "always")
    host.namespace.run("ip", "address", "del", f"{late}/32", "dev", "lo")
    assert not host.engine.docker("restart", "-t", "0", "web", check=False).ok
    eventually(
        lambda: f"the host does not have address {late}" in host.mooring("doctor", check=False).output, "it is told"
    )
    assert not host.engine.inspect("web")["State"]["Running"]
    host.namespace.run("ip", "address", "add", f"{late}/32", "dev", "lo")
    eventually(lambda: host.engine.inspect("web")["State"]["Running"], "web runs")
    host.namespace.run("ip", "address", "del", f"{late}/32", "dev", "lo")
