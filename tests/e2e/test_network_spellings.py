"""A network may be called by its name, its id or the beginning of that: whoever has a fixed address there starts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.e2e.lab import Host
from tests.e2e.lab.fixed import FIXED, V4, fixed, mac
from tests.e2e.lab.images import IMAGE

Spelling = Callable[[str, str], str]
SPELLINGS: dict[str, Spelling] = {
    "name": lambda name, _ident: name,
    "id": lambda _name, ident: ident,
    "short id": lambda _name, ident: ident[:12],
    "prefix": lambda _name, ident: ident[:7],
}
each_spelling = pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=[*SPELLINGS])


def _keeps(host: Host, name: str, *networks: str) -> None:
    """The container runs, and has one fixed address in each network, which is the same after a stop and a start."""
    before = [(host.addresses(name, network), mac(host, name, network)) for network in networks]
    held = {address for addresses, _ in before for address in addresses if address}
    assert len(held) == len(networks)
    assert set(fixed(host)) == held
    for _ in range(2):
        host.proxy.docker("stop", "-t", "1", name)
        host.run_container(f"between-{name}", *(word for network in networks[:1] for word in ("--network", network)))
        host.proxy.docker("start", name)
        host.engine.docker("rm", "-f", f"between-{name}")
        assert [(host.addresses(name, network), mac(host, name, network)) for network in networks] == before
        assert set(fixed(host)) == held
    host.proxy.docker("rm", "-f", name)
    assert fixed(host) == {}


@each_spelling
@pytest.mark.parametrize("subnet", [(), ("--subnet", V4)], ids=["chosen", "typed"])
def test_the_docker_command_with_one_network(host: Host, spelling: Spelling, subnet: tuple[str, ...]) -> None:
    """`docker run --network X`."""
    ident = host.create_network("one", *subnet)
    host.proxy.docker("run", "-d", "--name", "db", "--network", spelling("one", ident), *FIXED, IMAGE, "stay")
    _keeps(host, "db", "one")


@each_spelling
def test_the_docker_command_with_two_networks(host: Host, spelling: Spelling) -> None:
    """`docker run --network X --network Y`, which an old docker command has not: there the second one is joined."""
    first, second = host.create_network("one"), host.create_network("two", "--subnet", "10.78.0.0/24")
    argv = ["--name", "db", "--network", spelling("one", first)]
    if host.release.version >= (25,):
        host.proxy.docker("run", "-d", *argv, "--network", spelling("two", second), *FIXED, IMAGE, "stay")
    else:
        host.proxy.docker("create", *argv, *FIXED, IMAGE, "stay")
        host.proxy.docker("network", "connect", spelling("two", second), "db")
        host.proxy.docker("start", "db")
        host.proxy.docker("network", "disconnect", spelling("two", second), "db")
        assert len(fixed(host)) == 1
        host.proxy.docker("network", "connect", spelling("two", second), "db")
    host.engine.api("GET", "/containers/db/json")
    before = (host.addresses("db", "one"), host.addresses("db", "two"))
    host.proxy.docker("restart", "-t", "1", "db")
    assert (host.addresses("db", "one"), host.addresses("db", "two")) == before
    assert set(fixed(host)) == {before[0][0], before[1][0]}


@each_spelling
@pytest.mark.parametrize("as_mode", SPELLINGS.values(), ids=[f"mode by {name}" for name in SPELLINGS])
@pytest.mark.parametrize("version", ["", "/v1.41"], ids=["own version", "1.41"])
def test_the_api_with_mode_and_endpoint_in_two_spellings(
    host: Host, as_mode: Spelling, spelling: Spelling, version: str
) -> None:
    """HostConfig.NetworkMode has one, and EndpointsConfig another one, with something that has to stay."""
    ident = host.create_network("one")
    endpoints: dict[str, Any] = {spelling("one", ident): {"Aliases": ["other"]}}
    body = {
        "Image": IMAGE,
        "Cmd": ["stay"],
        "Labels": {"fixed-ip": ""},
        "HostConfig": {"NetworkMode": as_mode("one", ident)},
        "NetworkingConfig": {"EndpointsConfig": endpoints},
    }
    made = host.proxy.api("POST", f"{version}/containers/create?name=db", body)["Id"]
    host.proxy.api("POST", f"{version}/containers/{made}/start")
    networks = host.engine.inspect("db")["NetworkSettings"]["Networks"]
    assert [*networks] == ["one"]
    assert "other" in networks["one"]["Aliases"]
    _keeps(host, "db", "one")
