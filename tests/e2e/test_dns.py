"""Names of containers as containers, the host and others ask for them, while containers come, move and go."""

from __future__ import annotations

import time
from collections.abc import Callable

import dns.message

from tests.e2e.lab import Host, eventually
from tests.e2e.lab.fixed import run
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.names import RESOLVER, SERVER, SERVER6, ask, flood, upstream

SOON = 2.0


def test_names_follow_containers_whoever_asks(host: Host) -> None:
    """By the server and by Docker's resolver in front of it: start, alias, replicas, rename, stop, recreate at another
    address; complete names, SRV and PTR; tenants and networks apart; the rest by the host's nameserver."""
    host.create_network("web", "-o", "dns=on", "--ipv6")
    host.create_network("back", "-o", "dns=on")
    with upstream(host.outside.network, "203.0.113.7"):
        run(host, "app", "--network-alias", "front", "--expose", "5432", network="web")
        run(host, "db", network="back")
        run(host, "client", "--dns", "198.51.100.9", network="web")
        assert host.engine.inspect("app")["HostConfig"]["Dns"] == [SERVER, host.outside.ipv4]
        assert host.engine.inspect("client")["HostConfig"]["Dns"] == [SERVER, "198.51.100.9"]
        four, six = host.addresses("app", "web")
        space = host.container_network("client")
        reverse = ".".join(reversed(four.split("."))) + ".in-addr.arpa"
        for name, kind, answer in (
            ("app", "A", four),
            ("front.web.mooring", "A", four),
            ("front.web.mooring", "AAAA", six),
            ("_postgresql._tcp.app.web.mooring", "SRV", "0 0 5432 app.web.mooring."),
            ("web.mooring", "A", "NOERROR"),
            ("db.back.mooring", "A", "NXDOMAIN"),
            ("example.org", "A", "203.0.113.7"),
        ):
            assert ask(space, name, kind) == answer, name
            if host.release.version >= (26,) or answer != "NXDOMAIN":
                assert ask(space, name, kind, RESOLVER) == answer, name
        assert ask(space, reverse, "PTR") == "app.web.mooring."
        assert ask(space, "app.web.mooring", tcp=True) == four
        assert ask(space, "app.web.mooring", "AAAA", SERVER6) == six
        database = host.addresses("db", "back")[0]
        assert ask(host.network, "db.back.mooring") == database
        assert ask(host.network, "app.web.mooring", tcp=True) == four
        assert ask(host.outside.network, "app.web.mooring") in ("silence", "refused")

        _follows(lambda: host.docker("rename", "app", "app2"), lambda: ask(space, "app2.web.mooring") == four)
        assert ask(space, "app.web.mooring") == "NXDOMAIN"
        _follows(lambda: host.docker("network", "connect", "web", "db"), lambda: ask(space, "db") != "NXDOMAIN")
        assert ask(space, "db.web.mooring") == host.addresses("db", "web")[0]
        assert ask(host.container_network("db"), "front.web") == four
        _follows(lambda: host.docker("rm", "-f", "app2"), lambda: ask(space, "front.web.mooring") == "NXDOMAIN")
        host.docker("run", "-d", "--name", "other", "--network", "web", IMAGE, "stay")
        run(host, "app", "--network-alias", "front", network="web")
        again = host.addresses("app", "web")[0]
        assert again != four
        _follows(lambda: None, lambda: ask(space, "front.web.mooring") == again)


def test_replicas_are_all_told_and_internal_networks_are_served(host: Host) -> None:
    """As many as run; the server is all that an internal network reaches of the host."""
    host.create_network("inner", "--internal", "-o", "dns=on")
    for number in (1, 2, 3):
        run(
            host, f"shop-app-{number}", "--label", "com.docker.compose.project=shop", "--label",
            "com.docker.compose.service=app", "--network-alias", "app", network="inner",
        )  # fmt: skip
    space = host.container_network("shop-app-1")
    addresses = {number: host.addresses(f"shop-app-{number}", "inner")[0] for number in (1, 2, 3)}
    _follows(lambda: None, lambda: ask(space, "app.inner.mooring") == " ".join(sorted(addresses.values())))
    assert ask(space, "app.inner.mooring", server=RESOLVER) == " ".join(sorted(addresses.values()))
    host.docker("kill", "shop-app-2")
    left = " ".join(sorted((addresses[1], addresses[3])))
    _follows(lambda: None, lambda: ask(space, "app.inner.mooring") == left)
    assert ask(space, "example.org", server=host.ipv4) != "203.0.113.7"
    with upstream(host.outside.network, "203.0.113.7"):  # nor is anybody asked for it by DNS (CVE-2024-29018)
        assert ask(host.network, "example.org") == "203.0.113.7"
        assert ask(space, "example.org") == "SERVFAIL"
        assert "203.0.113.7" not in ask(space, "example.org", server=RESOLVER)
    refused = host.docker(
        "network", "create", "-d", "mooring", "--ipam-driver", "mooring", "-o", "dns=on", "-o", "gateway=none", "bare",
        check=False,
    )  # fmt: skip
    assert "the network has no gateway" in refused.output


def test_names_are_there_again_after_a_kill_and_an_engine_that_starts_anew(host: Host) -> None:
    """While the daemon is down, names of others go on by the next nameserver, at once; a flood of questions holds up no
    container's start."""
    host.create_network("web", "-o", "dns=on")
    with upstream(host.outside.network, "203.0.113.7"):
        run(host, "db", "--network-alias", "main", "--restart", "always", network="web")
        run(host, "client", network="web")
        space = host.container_network("client")
        assert ask(space, "main.web.mooring") == host.addresses("db", "web")[0]
        host.daemon.kill9()
        begun = time.monotonic()
        assert ask(space, "example.org", server=RESOLVER) == "203.0.113.7"
        assert time.monotonic() - begun < 3
        host.daemon.start()
        _follows(lambda: None, lambda: ask(space, "main.web.mooring") == host.addresses("db", "web")[0])
        flood(space, dns.message.make_query("db.web.mooring", "A").to_wire(), 20000)
        run(host, "late", network="web")
        assert ask(space, "late.web.mooring") == host.addresses("late", "web")[0]
        host.engine.stop()
        host.engine.start()
        eventually(lambda: host.engine.inspect("db")["State"]["Running"], "db runs again", 20)
        _follows(lambda: None, lambda: ask(host.network, "main.web.mooring") == host.addresses("db", "web")[0], 10)


def _follows(change: Callable[[], object], true: Callable[[], bool], within: float = SOON) -> None:
    """It is true soon after the change."""
    change()
    eventually(true, "names have followed", within)
