"""Tools that make a container anew from what the engine says about it keep its addresses.

Rule: each tool is imitated call by call, as its source has it, since its image is not at hand.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from tests.e2e.lab import DockerClient, Host, eventually
from tests.e2e.lab.fixed import DUAL, FIXED, V4, fixed, is_free, mac, run
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.traffic import pings

Inspected = dict[str, Any]


def _create(client: DockerClient, old: Inspected, name: str, endpoints: dict[str, Any]) -> str:
    body = {**old["Config"], "HostConfig": old["HostConfig"], "NetworkingConfig": {"EndpointsConfig": endpoints}}
    return str(client.api("POST", f"/containers/create?name={name}", body)["Id"])


def _connect(client: DockerClient, network: str, container: str, endpoint: Any) -> None:
    client.api("POST", f"/networks/{network}/connect", {"Container": container, "EndpointConfig": endpoint})


def _disconnect(client: DockerClient, network: str, container: str) -> None:
    client.api("POST", f"/networks/{network}/disconnect", {"Container": container, "Force": True})


def watchtower(client: DockerClient, name: str) -> None:
    """pkg/container/client.go: stop and remove; create with one network; leave it, join all; start."""
    old = client.inspect(name)
    client.api("POST", f"/containers/{old['Id']}/stop?t=10")
    client.api("DELETE", f"/containers/{old['Id']}?force=1")
    networks = old["NetworkSettings"]["Networks"]
    for endpoint in networks.values():  # but for the alias that is the old one's short id
        endpoint["Aliases"] = [alias for alias in endpoint["Aliases"] or [] if alias != old["Id"][:12]]
    first = next(iter(networks))
    new = _create(client, old, name, {first: networks[first]})
    _disconnect(client, first, new)
    for network, endpoint in networks.items():
        _connect(client, network, new, endpoint)
    client.api("POST", f"/containers/{new}/start")


def simple(client: DockerClient, name: str) -> None:
    """Scripts, and Watchtower's ancestors: stop, remove; create with one network, join the others; start."""
    old = client.inspect(name)
    client.api("POST", f"/containers/{old['Id']}/stop?t=10")
    client.api("DELETE", f"/containers/{old['Id']}")
    networks = old["NetworkSettings"]["Networks"]
    first = old["HostConfig"]["NetworkMode"]
    new = _create(client, old, name, {first: networks[first]})
    for network in networks.keys() - {first}:
        _connect(client, network, new, networks[network])
    client.api("POST", f"/containers/{new}/start")


def portainer(client: DockerClient, name: str) -> None:
    """api/docker/container.go: stop, rename, leave all networks; create with one, join the others; start; remove."""
    old = client.inspect(name)
    client.api("POST", f"/containers/{old['Id']}/stop")
    client.api("POST", f"/containers/{old['Id']}/rename?name={name}-old")
    networks = old["NetworkSettings"]["Networks"]
    for network in networks.values():
        _disconnect(client, network["NetworkID"], old["Id"])
    first = next(iter(networks))
    new = _create(client, old, name, {first: networks[first]})
    for network in networks.keys() - {first}:
        _connect(client, network, new, networks[network])
    client.api("POST", f"/containers/{new}/start")
    client.api("DELETE", f"/containers/{old['Id']}?v=1&force=1")


def side_by_side(client: DockerClient, name: str) -> None:
    """Portainer before 2.16: rename, create while the old one runs, join, then stop the old and start the new one."""
    old = client.inspect(name)
    client.api("POST", f"/containers/{old['Id']}/rename?name={name}-old")
    networks = old["NetworkSettings"]["Networks"]
    first = old["HostConfig"]["NetworkMode"]
    new = _create(client, old, name, {first: networks[first]})
    for network in networks.keys() - {first}:
        _connect(client, network, new, networks[network])
    client.api("POST", f"/containers/{old['Id']}/stop")
    client.api("POST", f"/containers/{new}/start")
    client.api("DELETE", f"/containers/{old['Id']}")


Tool = Callable[[DockerClient, str], None]
TOOLS = [watchtower, simple, portainer, side_by_side]


@pytest.mark.parametrize("tool", TOOLS)
def test_addresses_and_mac_stay(host: Host, tool: Tool) -> None:
    """Of both families and in two networks, over two recreations; and nothing is held when the last one is removed."""
    host.create_network("one", *DUAL)
    second = host.create_network("two", "--subnet", "10.78.0.0/24")
    run(host, "db", *FIXED)
    host.proxy.docker("network", "connect", "two", "db")
    before = (host.addresses("db", "one"), host.addresses("db", "two"), mac(host, "db"))
    for _ in range(2):
        made = host.engine.inspect("db")["Id"]
        tool(host.proxy, "db")
        assert host.engine.inspect("db")["Id"] != made
        assert (host.addresses("db", "one"), host.addresses("db", "two"), mac(host, "db")) == before
        assert len(host.engine.containers()) == 1
    assert all(pings(host.network, address) for address in before[0])
    assert set(fixed(host)) == {*before[0], before[1][0]}
    host.proxy.docker("rm", "-f", "db")
    assert fixed(host) == {}
    assert fixed(host, second) == {}


@pytest.mark.parametrize("tool", TOOLS)
def test_a_key_and_a_sticky_name_stay_whatever_the_tool(host: Host, tool: Tool) -> None:
    """In networks whose subnet Mooring chose, where no configuration names an address."""
    host.create_network("one")
    host.create_network("two", "-o", "sticky=name")
    run(host, "key", "--label", "mooring.key=k")
    run(host, "name", network="two")
    for name, network in (("key", "one"), ("name", "two")):
        before = (host.addresses(name, network), mac(host, name, network))
        tool(host.proxy, name)
        assert (host.addresses(name, network), mac(host, name, network)) == before


def test_the_mac_finds_the_address_where_the_subnet_was_chosen(host: Host) -> None:
    """No configuration names the address there, but the successor, made beside its predecessor, copies the MAC."""
    host.create_network("one", "--ipv6")
    run(host, "db", *FIXED)
    before = (host.addresses("db", "one"), mac(host, "db"))
    side_by_side(host.proxy, "db")
    assert (host.addresses("db", "one"), mac(host, "db")) == before
    host.proxy.docker("rm", "-f", "db")
    assert fixed(host) == {}


def test_a_hundred_at_once_have_a_hundred_addresses(host: Host) -> None:
    """Created, started and removed by eight threads: no address twice, and none held afterwards."""
    host.create_network("one", "--subnet", V4)

    def create(number: int) -> str:
        body = {"Image": IMAGE, "Cmd": ["true"], "Labels": {"fixed-ip": ""}, "HostConfig": {"NetworkMode": "one"}}
        return str(host.proxy.api("POST", f"/containers/create?name=c{number}", body)["Id"])

    with ThreadPoolExecutor(20) as pool:
        made = list(pool.map(create, range(100)))
        endpoints = [host.engine.inspect(one)["NetworkSettings"]["Networks"]["one"]["IPAMConfig"] for one in made]
        addresses = {endpoint["IPv4Address"] for endpoint in endpoints}
        assert len(addresses) == 100
        assert set(fixed(host)) == addresses
        list(pool.map(lambda one: host.proxy.api("POST", f"/containers/{one}/start"), made[:10]))
        list(pool.map(lambda one: host.proxy.api("DELETE", f"/containers/{one}?force=1"), made))
    assert fixed(host) == {}
    for address in addresses:
        eventually(partial(is_free, host, address), "the address is free")


@pytest.mark.parametrize("tool", [watchtower, simple], ids=lambda tool: tool.__name__)
def test_a_copy_that_comes_after_the_removal_has_the_address_where_the_subnet_was_chosen(
    host: Host, tool: Callable[[DockerClient, str], None]
) -> None:
    """The old one is gone when the new one is made, and no configuration names an address: the MAC finds it again."""
    host.create_network("one", "--ipv6")
    run(host, "db", *FIXED)
    before, ether = host.addresses("db", "one"), mac(host, "db")
    tool(host.proxy, "db")
    assert (host.addresses("db", "one"), mac(host, "db")) == (before, ether)
    assert set(fixed(host)) == set(before)
