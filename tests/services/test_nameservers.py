"""Which nameservers a container gets that is about to be made."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from mooring.core.docker_requests import ContainerSpec, EndpointConfig
from mooring.core.networks import Address
from mooring.services.containers.nameservers import Nameservers
from tests.services.hosts import MemoryHost

SERVER = "169.254.53.53"
HOSTS: list[Address] = [ip_address("192.0.2.53")]


async def started() -> tuple[MemoryHost, Nameservers]:
    """A host with a network `named` that wants it, and `plain`, which does not."""
    host = await MemoryHost().start()
    for name, dns in (("named", "on"), ("plain", "off")):
        ident = await host.network(name, dns=dns)
        host.engine.networks.add(ident)
        host.engine.names[ident] = name
    return host, Nameservers(host.services.cache, host.engine, lambda: HOSTS)


def spec(*networks: str, own: tuple[str, ...] = ()) -> ContainerSpec:
    """A create."""
    return ContainerSpec({}, networks[0], tuple(map(EndpointConfig, networks)), nameservers=own)


@pytest.mark.parametrize(
    ("asked", "servers"),
    [
        (spec("named"), [SERVER, "192.0.2.53"]),
        (spec("named".ljust(64, "0")), [SERVER, "192.0.2.53"]),
        (spec("plain", "named"), [SERVER, "192.0.2.53"]),
        (spec("named", own=("9.9.9.9", "1.1.1.1")), [SERVER, "9.9.9.9", "1.1.1.1"]),
        # A tool that makes a container again sends what the old one had.
        (spec("named", own=(SERVER, "9.9.9.9")), []),
        (spec("plain"), []),
        (spec("unknown"), []),
    ],
)
async def test_the_server_comes_first_where_a_network_wants_it(asked: ContainerSpec, servers: list[str]) -> None:
    """And the container's own, or else the host's, behind it."""
    _, nameservers = await started()
    assert nameservers.serves
    assert list(await nameservers.of_container(asked)) == servers


async def test_an_engine_that_does_not_answer_leaves_the_container_as_it_is() -> None:
    """Names are no reason to keep a container from being made."""
    host, nameservers = await started()
    host.engine.up = False
    assert list(await nameservers.of_container(spec("named"))) == []
    assert list(await nameservers.of_container(spec("named".ljust(64, "0")))) == [SERVER, "192.0.2.53"]


async def test_an_ipv6_network_gets_the_ipv6_address() -> None:
    """It could not reach the other one."""
    host = await MemoryHost().start()
    ident = await host.network("six", v4=False, v6=True, dns="on")
    nameservers = Nameservers(host.services.cache, host.engine, list)
    assert list(await nameservers.of_container(spec(ident))) == ["fd6d:6f6f:7269:6e67:ffff::53"]
