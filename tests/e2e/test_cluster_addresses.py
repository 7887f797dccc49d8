"""Addresses that three hosts give at once: one user at a time, by the records and in the kernels."""

from __future__ import annotations

import contextlib
import json
from functools import partial
from ipaddress import IPv4Network

from mooring.testing.address_history import at_rest
from tests.e2e.lab import Host, eventually
from tests.e2e.lab.clusters import LabCluster, together
from tests.e2e.lab.connections import SocketConnection
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.sightings import Sightings

SUBNET = IPv4Network("10.90.0.0/22")
EACH, BARE = 12, 55
"""Containers a host, and addresses that Docker asks for without one: some two hundred. scripts/chaos goes on."""


def run(host: Host, name: str) -> None:
    """`docker run -d`, without the command's own twentieth of a second."""
    body = {"Image": IMAGE, "Cmd": ["stay"], "HostConfig": {"NetworkMode": "shared"}}
    host.proxy.api("POST", f"/containers/create?name={name}", body)
    host.proxy.api("POST", f"/containers/{name}/start")


def call(host: Host, method: str, **body: object) -> dict[str, str]:
    """What the plugin answers Docker."""
    with contextlib.closing(SocketConnection(str(host.daemon.plugin_socket), 30)) as connection:
        connection.request("POST", f"/IpamDriver.{method}", json.dumps(body))
        reply = connection.getresponse()
        document: dict[str, str] = json.loads(reply.read())
    assert reply.status == 200, document
    return document


def test_hosts_that_give_at_once_give_no_address_twice(cluster: LabCluster) -> None:
    """Three hosts make the network and run containers, all at the same moment: each address is seen with one user,
    on record and in a kernel, and all are given back."""
    options = ("-o", "scope=cluster", "--subnet", str(SUBNET))
    together(*(partial(host.create_network, "shared", *options) for host in cluster.hosts))
    pools = {host.number: str(host.daemon.leases("gateway")[0]["pool"]) for host in cluster.hosts}
    bare: list[tuple[Host, str]] = []

    def ask(host: Host) -> None:
        bare.append((host, call(host, "RequestAddress", PoolID=pools[host.number], Address="", Options={})["Address"]))

    with Sightings(cluster.hosts, SUBNET) as sightings:
        running = [partial(run, host, f"c{number}") for number in range(EACH) for host in cluster.hosts]
        together(*running, *(partial(ask, host) for _ in range(BARE) for host in cluster.hosts))
        look = sightings.look()
        alone = {given.partition("/")[0] for _, given in bare}
        assert len(alone | {address for _, address in look.kernels}) == 3 * (EACH + BARE)
        for host, given in bare:
            call(host, "ReleaseAddress", PoolID=pools[host.number], Address=given.partition("/")[0])
        assert len(look.kernels) == len(look.records) == 3 * EACH
        cluster.clear()
    history = sightings.history()
    assert history.faults() == []
    assert at_rest(history.held(), {}) == []
    eventually(lambda: cluster.left() == [], "the last host has removed the network")
