"""kill -9 at every step of a network's first endpoint and of its last one's end, each of which makes or ends its
subnets: no subnet is lost or left over, and what the engine says again works."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing, suppress
from http.client import HTTPException
from itertools import count
from typing import Any, TypeVar

import pytest

from tests.e2e.conftest import MakeHost
from tests.e2e.lab import Host
from tests.e2e.lab.connections import SocketConnection
from tests.e2e.lab.leaks import leaks
from tests.e2e.lab.mortal_daemons import Death

T = TypeVar("T")

SPACE = {"com.docker.network.generic": {"subnets": "on-demand,idle=release", "ipv6": "on"}}
DATA = [{"AddressSpace": "null", "Pool": "0.0.0.0/0", "Gateway": "", "AuxAddresses": {}}]


def asked(host: Host, question: Callable[[], T]) -> T:
    """The answer; asked again, as dockerd does, when the daemon was dead or died of it, and after its restart."""
    with suppress(OSError, HTTPException):
        return question()
    host.daemon.kill9()
    host.daemon.start()
    return question()


def call(host: Host, method: str, **body: object) -> Any:
    """One call of the network driver."""

    def question() -> Any:
        with closing(SocketConnection(str(host.daemon.plugin_socket), 20)) as connection:
            connection.request("POST", f"/NetworkDriver.{method}", json.dumps(body).encode())
            reply = connection.getresponse()
            document = json.loads(reply.read())
            assert reply.status == 200, document
            return document

    return asked(host, question)


def come(host: Host, network: str, endpoint: str) -> str:
    """The address of an endpoint of the network, which is made and joins."""
    ids = {"NetworkID": network, "EndpointID": endpoint}
    blank = {"Address": "", "AddressIPv6": "", "MacAddress": ""}
    made = call(host, "CreateEndpoint", **ids, Interface=blank, Options={})["Interface"]
    call(host, "Join", **ids, SandboxKey=f"/run/docker/netns/{endpoint[:12]}", Options={})
    return str(made["Address"])


def go(host: Host, network: str, endpoint: str) -> None:
    """The endpoint leaves, and is deleted."""
    for method in ("Leave", "DeleteEndpoint"):
        call(host, method, NetworkID=network, EndpointID=endpoint)


def segments(host: Host, network: str) -> list[str]:
    """The subnets that the network has."""
    return [part["subnet"] for part in asked(host, lambda: host.daemon.api(f"/v1/networks/{network}"))["segments"]]


def life(host: Host, network: str, death: Death, at: int, last: bool) -> tuple[str, str]:
    """The network's, in which the daemon dies before the step of that number of the first endpoint's coming, or of the
    last one's going; where that was, and what was wrong."""
    call(host, "CreateNetwork", NetworkID=network, Options=SPACE, IPv4Data=DATA, IPv6Data=[])
    one, two = f"{network[:5]}1".ljust(64, "1"), f"{network[:5]}2".ljust(64, "2")
    wrong: list[str] = []
    death.arm(0 if last else at)
    first = come(host, network, one)
    made = segments(host, network)
    where = death.at
    death.arm(0)
    second = come(host, network, two)
    if len(made) != 2 or segments(host, network) != made or first == second:
        wrong.append(f"{first} and {second} of {made}, then {segments(host, network)}")
    bridge = host.namespace.run("ip", "-br", "address", "show", f"mr-{network[:12]}").output
    if not all(part.partition("/")[0].rstrip("0") in bridge for part in made):
        wrong.append(f"the bridge has {bridge} of {made}")
    go(host, network, one)
    death.arm(at if last else 0)
    go(host, network, two)
    if left := segments(host, network):
        wrong.append(f"left with {left}")
    where = where or death.at
    death.arm(0)
    call(host, "DeleteNetwork", NetworkID=network)
    wrong += asked(host, lambda: leaks(host))
    return where, "; ".join(wrong)


@pytest.mark.slow
def test_the_daemon_may_die_at_any_step_of_the_first_endpoint_and_of_the_last(make_host: MakeHost) -> None:
    """Before each commit, each change of the kernel and each deletion of links: both families' subnets are there once,
    shared by the next endpoint, given back with the last; nothing leaks, and the doctor has nothing to say."""
    host = make_host()
    death = Death(host)
    death.arm(0)
    host.daemon.stop()
    host.daemon.start()
    seen: list[str] = []
    troubles: list[str] = []
    for last in (False, True):
        for at in count(1):
            where, wrong = life(host, f"{last:d}{at:04x}".ljust(64, "0"), death, at, last)
            if wrong:
                troubles.append(f"{where}: {wrong}")
            if not where:
                break
            seen.append(where)
    assert troubles == [], "\n".join(troubles)
    assert len(seen) >= 24, seen
    doctor = host.mooring("doctor", check=False)
    assert doctor.ok, doctor.output
