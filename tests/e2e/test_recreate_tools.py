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


def keeps_mac(host: Host, tool: Tool) -> bool:
    """Watchtower connects every network anew: engines before 25 keep the container's own MAC with the container, from
    29.3 on a connect has one, and in between there is no way to say it."""
    return tool is not watchtower or not (25,) <= host.release.version < (29, 3)


def keeps_all(host: Host, tool: Tool) -> bool:
    """Where Mooring chose the subnet: by the MAC, or by the address from 29.1 on."""
    return keeps_mac(host, tool) or host.release.version >= (29, 1)


def holds_what_it_uses(host: Host, name: str, network: str) -> set[str]:
    """The container's addresses in the network are the fixed ones there, once the engine's events were heard."""
    has = {address for address in host.addresses(name, network) if address}
    ident = str(host.engine.api("GET", f"/networks/{network}")["Id"])
    eventually(lambda: set(fixed(host, ident)) == has, "it holds what it uses")
    return has


def is_told(host: Host, name: str, network: str = "one") -> None:
    """The container has one fixed address of each family in the network, those that it uses; and that it cannot ask
    for them again is said before the next start loses them."""
    has = holds_what_it_uses(host, name, network)
    eventually(lambda: f"container {name} keeps" in host.mooring("doctor", check=False).output, "doctor says so")
    assert "Docker before 29 does not tell" in host.mooring("explain", min(has)).output


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
        assert (host.addresses("db", "one"), host.addresses("db", "two")) == before[:2]
        assert mac(host, "db") == before[2] or not keeps_mac(host, tool)
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
        if keeps_all(host, tool):
            assert host.addresses(name, network) == before[0]
            assert mac(host, name, network) == before[1] or not keeps_mac(host, tool)
        else:
            is_told(host, name, network)


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
    if not keeps_all(host, tool):
        is_told(host, "db")
        return
    assert host.addresses("db", "one") == before
    assert mac(host, "db") == ether or not keeps_mac(host, tool)
    assert set(fixed(host)) == set(before)


def test_who_is_connected_later_has_one_fixed_address_there_at_every_start(host: Host) -> None:
    """Where Mooring chose the subnet, a container that runs and one that does not; with a MAC in the request, which is
    ignored below API 1.54, and without. Before 29 nothing proves whose the address is: that is said, before it goes."""
    host.create_network("one")
    second = host.create_network("two", "--ipv6")
    for name, running in (("runs", True), ("waits", False)):
        host.proxy.docker("run" if running else "create", *(["-d"] if running else []), "--name", name, "--network",
                          "one", *FIXED, IMAGE, "stay")  # fmt: skip
        first = set(fixed(host)) - set(fixed(host, second))
        body = {"Container": name, "EndpointConfig": {"MacAddress": "02:42:0a:00:00:99"}}
        host.proxy.api("POST", "/v1.41/networks/two/connect", body if running else {"Container": name})
        for _ in range(3):
            host.proxy.docker("start", name)
            has = holds_what_it_uses(host, name, "two")
            assert len(has) == 2
            assert set(fixed(host)) - set(fixed(host, second)) == first
            if host.release.version < (29,):
                is_told(host, name, "two")
            host.proxy.docker("stop", "-t", "1", name)
            assert set(fixed(host, second)) == has
        host.proxy.docker("network", "disconnect", "two", name)
        assert fixed(host, second) == {}
        host.proxy.docker("rm", "-f", name)
        assert fixed(host) == {}
