"""Names of two tenants with one subnet, one address and one alias on one host, as containers ask for them."""

from __future__ import annotations

import dns.reversename
import pytest

from tests.e2e.conftest import MakeHost
from tests.e2e.lab import Host, eventually
from tests.e2e.lab.fixed import run
from tests.e2e.lab.names import RESOLVER, SERVER, SERVER6, ask, upstream
from tests.e2e.lab.namespaces import LabError
from tests.e2e.test_tenants import SEPARATE, TENANTS, V4, V6, tenant

ELSEWHERE = "203.0.113.7"
BACK4, BACK6 = (str(dns.reversename.from_address(each)) for each in ("10.77.0.2", "fd77:1::2"))


def test_equal_tenants_are_told_their_own_names(make_host: MakeHost) -> None:
    """By the server and by Docker's resolver in front of it, by UDP and TCP, in both families, also from internal
    networks, which have no way out by names either; all other names by the host's nameserver. The addresses come back,
    the daemon's death keeps nobody from others' names, and the last network's end leaves nothing."""
    host = make_host(settings=SEPARATE)
    for name in TENANTS:
        host.create_network(name, "--ipv6", "--subnet", V4, "--subnet", V6, "-o", "dns=on", *tenant(name))
        inner = ("--internal", "--subnet", "10.78.0.0/24", "-o", "dns=on", *tenant(name))
        host.create_network(f"{name}-inner", *inner)
    with pytest.raises(LabError, match="dns=on: the network has no gateway"):
        host.create_network("bare", "--subnet", "10.79.0.0/24", "-o", "dns=on", "-o", "gateway=none", *tenant("red"))
    with upstream(host.outside.network, ELSEWHERE):
        for name in TENANTS:
            aliases = ("--network-alias", "main", "--network-alias", f"{name}-only")
            run(host, f"{name}-web", "--ip", "10.77.0.2", "--ip6", "fd77:1::2", *aliases, network=name)
            run(host, f"{name}-cli", "--ip", "10.77.0.3", network=name)
            run(host, f"{name}-calm", "--ip", "10.78.0.2", "--network-alias", "calm", network=f"{name}-inner")
            assert host.engine.inspect(f"{name}-cli")["HostConfig"]["Dns"] == [SERVER, host.outside.ipv4]
        for name, other in zip(TENANTS, reversed(TENANTS), strict=True):
            _is_told_his_own(host, name, other)
        assert ask(host.outside.network, "main.red.mooring") in ("silence", "refused")
        assert "also in routing domains: 1, 2\n" in host.mooring("dns", "status").output
        told = host.mooring("explain", SERVER).output
        assert "in routing domain 1 of tenant red" in told
        assert "in routing domain 2 of tenant blue" in told
        _names_come_back(host)
    for name in TENANTS:
        host.docker("rm", "-f", *(f"{name}-{which}" for which in ("web", "cli", "calm")))
        host.docker("network", "rm", name, f"{name}-inner")
    eventually(lambda: SERVER not in host.namespace.run("ip", "address", "show", "lo").output, "nothing is left", 10)
    assert "tenants" not in host.namespace.run("ls", "/run/mooring").output


def _is_told_his_own(host: Host, name: str, other: str) -> None:
    """Who is in the tenant's networks, of two that are equal."""
    client, calm = (host.container_network(f"{name}-{which}") for which in ("cli", "calm"))
    eventually(lambda: ask(client, "main") == "10.77.0.2", "names are told", 5)
    for question, kind, answer in (
        ("main", "AAAA", "fd77:1::2"),
        (f"main.{name}.mooring", "A", "10.77.0.2"),
        (f"main.{other}.mooring", "A", "NXDOMAIN"),
        (f"{name}-only", "A", "10.77.0.2"),
        (f"{other}-only", "A", ELSEWHERE),
        (BACK4, "PTR", f"{name}-web.{name}.mooring."),
        (BACK6, "PTR", f"{name}-web.{name}.mooring."),
        ("example.org", "A", ELSEWHERE),
    ):
        assert ask(client, question, kind) == answer, (name, question)
    assert ask(client, f"main.{name}.mooring", server=RESOLVER) == "10.77.0.2"
    for server in (SERVER, SERVER6):
        assert ask(client, "main", "A", server, tcp=True) == "10.77.0.2"
    for server in (SERVER, RESOLVER):
        assert ask(calm, f"calm.{name}-inner.mooring", server=server) == "10.78.0.2"
    assert ask(calm, f"main.{name}.mooring") == "NXDOMAIN"
    assert ask(calm, "example.org") == "SERVFAIL"
    assert ask(host.network, f"{name}-only.{name}.mooring") == "10.77.0.2"


def _names_come_back(host: Host) -> None:
    """After somebody removes the server's address, a container that is made anew, and the daemon's death."""
    red = host.container_network("red-cli")
    domain = "--net=/run/mooring/tenants/1"
    host.namespace.run("nsenter", domain, "ip", "address", "flush", "dev", "lo", "to", f"{SERVER}/32")
    eventually(lambda: ask(red, "main") == "10.77.0.2", "the address is back", 10)
    host.docker("rm", "-f", "red-web")
    run(host, "red-web", "--ip", "10.77.0.9", "--network-alias", "main", network="red")
    eventually(lambda: ask(red, "main") == "10.77.0.9", "names have followed", 5)
    assert ask(host.container_network("blue-cli"), "main") == "10.77.0.2"
    host.daemon.kill9()
    assert ask(red, "example.org", server=RESOLVER) == ELSEWHERE
    host.daemon.start()
    eventually(lambda: ask(red, "main") == "10.77.0.9", "names are told again", 5)
    assert "dns" not in host.mooring("doctor", check=False).output
