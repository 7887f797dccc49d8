"""Fixed addresses of a subnet that three hosts share: one address and MAC for a key, wherever its container is."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from tests.e2e.lab import Host, eventually
from tests.e2e.lab.clusters import LabCluster, together
from tests.e2e.lab.fixed import mac, run
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.names import ask
from tests.e2e.lab.traffic import Server, ask_tcp, reaches

OPTIONS = ("-o", "mode=vxlan", "-o", "dns=on", "--subnet", "10.90.0.0/24")
KEY = ("--label", "mooring.key=db")
NAME = "db.shared.mooring"


@contextmanager
def asking(network: str) -> Iterator[set[str]]:
    """All that somebody in the namespace is told meanwhile, who keeps asking for the database's name."""
    seen, over = set[str](), threading.Event()

    def watch() -> None:
        while not over.wait(0.05):
            seen.add(ask(network, NAME, wait=0.5))

    thread = threading.Thread(target=watch, name="asking")
    thread.start()
    try:
        yield seen
    finally:
        over.set()
        thread.join()


def place(host: Host) -> tuple[str, str]:
    """Address and MAC of the database."""
    return host.addresses("db", "shared")[0], mac(host, "db", "shared")


def answers(client: str, address: str, server: str) -> None:
    """The client reaches that server at the address, soon."""

    def asked() -> bool:
        try:
            return ask_tcp(client, address, 80, timeout=1).server == server
        except (OSError, AssertionError):
            return False

    eventually(asked, f"{server} answers at {address}", 15)


def test_an_address_moves_under_a_client_that_keeps_asking(cluster: LabCluster) -> None:
    """With its MAC, from one host to another, while a third host's container asks for its name; in use it moves to
    nobody, and whoever tries is told where it is."""
    one, two, three = cluster.hosts
    together(*(partial(host.create_network, "shared", *OPTIONS) for host in cluster.hosts))
    three.run_container("client", "--network", "shared")
    client = three.container_network("client")
    run(one, "db", *KEY, network="shared")
    before = place(one)
    eventually(lambda: ask(client, NAME) == before[0], "the name is known on the other host", 10)
    with Server(one.container_network("db"), "one", 80):
        answers(client, before[0], "one")
    refused = two.proxy.docker("create", "--name", "db", "--network", "shared", *KEY, IMAGE, "stay", check=False)
    assert not refused.ok
    assert "in use on host " in refused.output
    with asking(client) as seen:
        for source, target, name in ((one, two, "two"), (two, one, "again")):
            source.proxy.docker("rm", "-f", "db")
            eventually(partial(moved, target), "the address is idle where it was", 15)
            assert place(target) == before
            with Server(target.container_network("db"), name, 80):
                answers(client, before[0], name)
    assert seen <= {before[0], "NXDOMAIN"}
    assert not reaches(client, before[0], 81)


def moved(host: Host) -> bool:
    """The database runs there; before that it may not be known yet that nobody else has its address in use."""
    argv = ("run", "-d", "--name", "db", "--network", "shared", *KEY, IMAGE, "stay")
    if (result := host.proxy.docker(*argv, check=False)).ok:
        return True
    assert "host " in result.output
    host.proxy.docker("rm", "-f", "db", check=False)
    return False
