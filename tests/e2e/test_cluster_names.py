"""Names of containers of other hosts, as containers and hosts of the cluster ask for them."""

from __future__ import annotations

import json
import time
from functools import partial

from tests.e2e.lab import eventually
from tests.e2e.lab.clusters import LabCluster, together
from tests.e2e.lab.fixed import run
from tests.e2e.lab.names import RESOLVER, ask

# Seconds: one is promised; the rest is for a busy machine, and for what is remembered for a second.
SOON = 3.0


def test_names_are_the_same_on_every_host(cluster: LabCluster) -> None:
    """By the network's name there, from a start to an end: alias, PTR, SRV, by the engine's resolver too; replicas on
    two hosts are both told; a host that is cut off from etcd knows what it has heard."""
    one, two, three = cluster.hosts
    options = ("-o", "mode=vxlan", "-o", "dns=on", "--subnet", "10.90.0.0/24")
    together(*(partial(host.create_network, "shared", *options) for host in cluster.hosts))
    run(three, "client", network="shared")
    client = three.container_network("client")
    run(one, "db", "--network-alias", "front", "--expose", "5432", network="shared")
    began = time.monotonic()
    address = one.addresses("db", "shared")[0]
    eventually(lambda: ask(client, "db.shared.mooring") == address, "the name is known on another host", 10, 0.05)
    assert time.monotonic() - began < SOON
    reverse = ".".join(reversed(address.split("."))) + ".in-addr.arpa"
    for name, kind, answer in (
        ("db", "A", address), ("front", "A", address), ("front.shared", "A", address),
        ("_postgresql._tcp.db.shared.mooring", "SRV", "0 0 5432 db.shared.mooring."),
        (reverse, "PTR", "db.shared.mooring."), ("nobody.shared.mooring", "A", "NXDOMAIN"),
    ):  # fmt: skip
        assert ask(client, name, kind) == answer, name
    assert ask(client, "db", "A", RESOLVER) == address
    assert ask(two.network, "front.shared.mooring") == address
    run(two, "other", "--network-alias", "front", network="shared")
    both = {address, two.addresses("other", "shared")[0]}
    eventually(lambda: set(ask(client, "front").split()) == both, "both replicas are told", 10)
    rows = json.loads(three.mooring("dns", "ls", "--filter", "host=one", "--format", "json").output)
    assert [row["names"][0] for row in rows] == ["db"]
    cluster.cut_from_store(one)
    assert ask(client, "db") == address
    assert ask(one.network, "other.shared.mooring") in both
    cluster.mend()
    one.docker("rm", "-f", "db")
    eventually(lambda: ask(client, "db.shared.mooring") == "NXDOMAIN", "the name ends with its container", 30)
