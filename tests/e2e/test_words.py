"""What a newcomer types and reads: names, refusals, warnings, and what is promised of the next start."""

from __future__ import annotations

import json

from tests.e2e.lab import Host, eventually
from tests.e2e.lab.images import IMAGE

V4 = ("--subnet", "10.77.0.0/24")


def test_networks_and_containers_are_called_as_docker_calls_them(host: Host) -> None:
    """Names are shown and taken, ids by their beginning, and subnets; a container of any engine has its name."""
    ident = host.create_network("web", *V4)
    host.run_container("first", "--network", "web")
    address = host.addresses("first", "web")[0]
    (row,) = host.daemon.document("network", "ls")
    assert (row["id"], row["name"]) == (ident, "web")
    for reference in ("web", ident, ident[:6], "10.77.0.0/24"):
        detail = host.daemon.document("network", "inspect", reference)
        assert (detail["id"], detail["endpoints"][0]["name"]) == (ident, "first"), reference
        listed = host.mooring("lease", "ls", "--network", reference, "--state", "dynamic", "-q").output.split()
        assert listed == [address], reference
        assert host.mooring("lease", "ls", "--pool", reference if "/" in reference else "web", "-q").ok
    table = host.mooring("lease", "ls", address).output
    assert "container first" in table
    assert "web" in table
    assert "It is held by container first, endpoint " in host.mooring("explain", address).output
    host.docker("rename", "first", "other")
    assert address in host.mooring("explain", "other").output
    assert "container other" in host.mooring("lease", "ls", address).output
    assert "Subnet 10.77.0.0/24 of network web" in host.mooring("explain", "web").output


def test_a_name_is_before_the_beginning_of_an_id(host: Host) -> None:
    """A network that is called as another one's id begins (a public report: a network `db` took another's place)."""
    ident = host.create_network("web", *V4)
    other = host.create_network(ident[:4], "--subnet", "10.78.0.0/24")
    for reference, meant in ((ident[:4], other), (ident[:5], ident), (ident, ident), (other[:20], other)):
        assert host.daemon.document("network", "inspect", reference)["id"] == meant
        assert host.mooring("lease", "ls", "-q", "--network", reference).ok


def test_what_there_is_not_is_an_error(host: Host) -> None:
    """Exit code 3, and no empty table; a network of another driver is told so."""
    host.create_network("web", *V4)
    for words in (("lease", "ls", "--network", "wbe"), ("lease", "ls", "--pool", "10.99.0.0/24"),
                  ("network", "inspect", "bridge"), ("pool", "inspect", "nosuch"), ("explain", "nosuch")):  # fmt: skip
        refused = host.mooring(*words, check=False)
        assert refused.status == 3, words
    assert "its driver is bridge" in host.mooring("lease", "ls", "--network", "bridge", check=False).output


def test_our_driver_alone_is_refused_with_the_line_to_use(host: Host) -> None:
    """Docker's own IPAM driver would give the addresses; with the line that it says the network is made."""
    refused = host.docker("network", "create", "-d", "mooring", "web", check=False)
    assert not refused.ok
    assert "add `--ipam-driver mooring`" in refused.output
    assert "web" not in host.docker("network", "ls", "--format", "{{.Name}}").output.split()
    host.docker("network", "create", "-d", "mooring", "--ipam-driver", "mooring", "web")


def test_a_held_address_is_the_containers_after_a_restart(host: Host) -> None:
    """Hold promises what is true: on an engine that does not say who asks, the configuration names the address."""
    host.create_network("web", *V4)
    for number in range(3):
        host.run_container(f"c{number}", "--network", "web", "-p", f"808{number}:80")
    address = host.addresses("c1", "web")[0]
    held = host.mooring("lease", "hold", address).output
    assert "fixed for container c1" in held
    assert host.addresses("c1", "web")[0] == address
    published = host.docker("inspect", "-f", "{{json .HostConfig.PortBindings}}", "c1").output
    assert json.loads(published)
    host.docker("stop", "-t", "0", "c0", "c1", "c2")
    for number in (0, 2, 1):
        host.docker("start", f"c{number}")
    assert host.addresses("c1", "web")[0] == address
    assert "c1" in host.mooring("explain", address).output


def published(host: Host, *networks: str) -> list[str]:
    """What is published by the endpoints of the networks."""
    details = [host.daemon.document("network", "inspect", name) for name in networks]
    return [each for detail in details for endpoint in detail["endpoints"] for each in endpoint["published"]]


def test_who_is_put_into_a_network_anew_keeps_all_else_of_his_place(host: Host) -> None:
    """Aliases, published ports, the other network (public reports of `disconnect` and `connect` lose the first two)."""
    host.create_network("web", *V4)
    host.create_network("back", "--subnet", "10.78.0.0/24")
    host.run_container("db", "--network", "web", "--network-alias", "cache", "-p", "18080:80", "-p", "80/udp")
    host.docker("network", "connect", "--alias", "store", "back", "db")
    address, behind = host.addresses("db", "web")[0], host.addresses("db", "back")[0]
    before = published(host, "web", "back")
    host.mooring("lease", "hold", address)
    host.mooring("lease", "hold", behind)
    networks = json.loads(host.docker("inspect", "-f", "{{json .NetworkSettings.Networks}}", "db").output)
    assert "cache" in networks["web"]["Aliases"]
    assert "store" in networks["back"]["Aliases"]
    assert (host.addresses("db", "web")[0], host.addresses("db", "back")[0]) == (address, behind)
    after = published(host, "web", "back")
    assert any(":18080->" in each for each in after), (before, after)
    assert len(after) == len(before)


def test_hold_in_a_chosen_subnet_is_kept_or_refused(host: Host) -> None:
    """Never promised and broken."""
    host.create_network("web")
    for number in range(3):
        host.run_container(f"c{number}", "--network", "web")
    address = host.addresses("c1", "web")[0]
    held = host.mooring("lease", "hold", address, check=False)
    host.docker("stop", "-t", "0", "c0", "c1", "c2")
    for number in (0, 2, 1):
        host.docker("start", f"c{number}")
    kept = host.addresses("c1", "web")[0] == address
    assert kept or (held.status == 4 and "would lose the address at its next start" in held.output)


def test_what_was_set_past_the_proxy_is_said_before_it_is_lost_and_fixed(host: Host) -> None:
    """Doctor, explain and lease ls say it while it runs; `mooring fix` has it ask, and then nobody says it any more."""
    host.create_network("web", *V4)
    host.run_container("other", "--network", "web")
    host.run_container("db", "--network", "web", "--label", "fixed-ip")
    address = host.addresses("db", "web")[0]
    eventually(lambda: host.daemon.document("lease", "ls", "--fixed"), "it is adopted")
    explained = host.mooring("explain", "db").output
    if "at its next start" in explained:  # an engine before 29
        assert "`mooring fix db`" in explained
        assert f"db will get a different address than {address}" in host.mooring("lease", "ls").output
        eventually(lambda: "until it stops" in host.mooring("doctor", check=False).output, "the doctor says it")
    host.mooring("fix", "db")
    assert host.addresses("db", "web")[0] == address
    eventually(lambda: host.daemon.document("lease", "ls", "--fixed"), "it is fixed")
    assert "at its next start" not in host.mooring("explain", "db").output
    host.docker("stop", "-t", "0", "db", "other")
    host.docker("start", "other", "db")
    assert host.addresses("db", "web")[0] == address


def test_labels_without_effect_are_said(host: Host) -> None:
    """Misspelt, and on a network of another driver: the doctor and explain say it."""
    host.create_network("web", *V4)
    host.docker("run", "-d", "--name", "typo", "--network", "web", "--label", "mooring.kye=db", IMAGE, "stay")
    host.docker("run", "-d", "--name", "far", "--network", "none", "--label", "fixed-ip", IMAGE, "stay")
    doctor = host.mooring("doctor", check=False)
    assert doctor.status == 10
    assert "container typo: label mooring.kye has no effect: did you mean mooring.key?" in doctor.output
    assert "container far: label fixed-ip has no effect: the container is in no network of Mooring's" in doctor.output
    assert "Label mooring.kye has no effect" in host.mooring("explain", "typo").output


def test_the_proxy_says_at_once_what_labels_do_not_do(host: Host) -> None:
    """`docker run` prints it as a warning, and the container is made all the same; what works is not spoken of."""
    host.create_network("web", *V4)
    run = ("run", "-d", "--network", "web")
    said = host.proxy.docker(*run, "--name", "typo", "--label", "mooring.kye=db", IMAGE, "stay").output
    assert "WARNING: mooring: label mooring.kye has no effect: did you mean mooring.key?" in said
    said = host.proxy.docker("run", "-d", "--network", "none", "--label", "fixed-ip", IMAGE, "stay").output
    assert "WARNING: mooring: label fixed-ip has no effect: Mooring manages no addresses in the" in said
    said = host.proxy.docker(*run, "--name", "where", "--label", "fixed-ip=10.77.0.9", IMAGE, "stay").output
    assert "WARNING: mooring: label fixed-ip=10.77.0.9 does not request that address" in said
    assert "WARNING" not in host.proxy.docker(*run, "--name", "db", "--label", "fixed-ip", IMAGE, "stay").output
    assert {"typo", "where", "db"} <= set(host.docker("ps", "--format", "{{.Names}}").output.split())
