"""Fixed addresses on a real engine: who gets them, and how long they stay."""

from __future__ import annotations

import json
from functools import partial
from ipaddress import ip_address, ip_network

import pytest

from tests.e2e.lab import DockerError, Host, eventually
from tests.e2e.lab.fixed import DUAL, FIXED, V4, fixed, is_free, mac, run
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.traffic import pings


def test_a_labelled_container_keeps_address_and_mac_over_stop_and_start(host: Host) -> None:
    """Both families, while eight others come and go in the meantime; the address answers afterwards."""
    host.create_network("one", *DUAL)
    run(host, "db", *FIXED)
    before, ether = host.addresses("db", "one"), mac(host, "db")
    host.proxy.docker("stop", "db")
    assert fixed(host) == dict.fromkeys(before, "idle")
    for number in range(8):
        body = {"Image": IMAGE, "Cmd": ["true"], "HostConfig": {"NetworkMode": "one", "AutoRemove": True}}
        host.engine.api("POST", f"/containers/create?name=other{number}", body)
        host.engine.api("POST", f"/containers/other{number}/start")
    host.proxy.docker("start", "db")
    assert (host.addresses("db", "one"), mac(host, "db")) == (before, ether)
    host.proxy.docker("restart", "db")
    assert (host.addresses("db", "one"), mac(host, "db")) == (before, ether)
    assert all(pings(host.network, address) for address in before)


def test_a_network_whose_subnet_was_chosen_keeps_addresses_by_the_mac(host: Host) -> None:
    """Docker lets nobody name an address there: the MAC alone tells who asks, over stop, restart, recreation."""
    host.create_network("one", "--ipv6")
    run(host, "db", *FIXED)
    before, ether = host.addresses("db", "one"), mac(host, "db")
    assert set(fixed(host)) == set(before)
    host.proxy.docker("stop", "db")
    for number in range(5):
        host.engine.docker("run", "-d", "--name", f"other{number}", "--network", "one", IMAGE, "stay")
    host.engine.docker("start", "db")
    assert (host.addresses("db", "one"), mac(host, "db")) == (before, ether)
    host.proxy.docker("stop", "db")
    run(host, "heir", *FIXED, "--mac-address", ether)
    host.proxy.docker("rm", "db")
    assert host.addresses("heir", "one") == before
    assert set(fixed(host)) == set(before)
    host.proxy.docker("rm", "-f", "heir")
    assert fixed(host) == {}


@pytest.mark.parametrize("label", ["fixed-ip=", "fixed-ip=1", "fixed-ip=no", "mooring.key=k"])
def test_labels_that_mean_yes(host: Host, label: str) -> None:
    """The empty one and every text but 0 and false, and a key."""
    host.create_network("one", "--subnet", V4)
    run(host, "db", "--label", label)
    assert len(fixed(host)) == 1


@pytest.mark.parametrize("label", ["fixed-ip=0", "fixed-ip=false", "fixed-ip=FALSE", "other=1"])
def test_labels_that_mean_no(host: Host, label: str) -> None:
    """Then the address is an ordinary one."""
    host.create_network("one", "--subnet", V4)
    run(host, "db", "--label", label)
    assert fixed(host) == {}


def test_a_failed_start_keeps_the_address(host: Host) -> None:
    """There is no such program, and the host port is taken: the container is there, and so is its address."""
    host.create_network("one", "--subnet", V4)
    host.proxy.docker("create", "--name", "bad", "--network", "one", *FIXED, IMAGE, "/no/such/program")
    (address,) = fixed(host)
    assert not host.proxy.docker("start", "bad", check=False).ok
    assert fixed(host) == {address: "idle"}
    run(host, "first", "-p", "8080:80")
    host.proxy.docker("create", "--name", "port", "--network", "one", "-p", "8080:80", *FIXED, IMAGE, "stay")
    before = fixed(host)
    assert not host.proxy.docker("start", "port", check=False).ok
    assert fixed(host) == before
    host.engine.docker("rm", "-f", "first")
    host.proxy.docker("start", "port")
    assert host.addresses("port", "one")[0] in before


def test_the_address_goes_to_the_successor(host: Host) -> None:
    """Stop A, create B with A's address, start B, remove A: B has it; remove B: it is free."""
    host.create_network("one", "--subnet", V4)
    run(host, "old", *FIXED)
    address = host.addresses("old", "one")[0]
    host.proxy.docker("stop", "old")
    run(host, "new", *FIXED, "--ip", address)
    host.proxy.docker("rm", "old")
    assert fixed(host) == {address: "in use"}
    assert pings(host.network, address)
    host.proxy.docker("rm", "-f", "new")
    assert is_free(host, address)


def test_a_label_and_an_address_fix_that_address(host: Host) -> None:
    """What is asked for by hand becomes fixed as it is, in either family; the other family is chosen and fixed too."""
    host.create_network("one", *DUAL)
    run(host, "db", *FIXED, "--ip", "10.77.0.77")
    assert host.addresses("db", "one")[0] == "10.77.0.77"
    assert set(fixed(host)) == set(host.addresses("db", "one"))
    run(host, "six", *FIXED, "--ip6", "fd77:1::77")
    assert host.addresses("six", "one")[1] == "fd77:1::77"
    assert len(fixed(host)) == 4


def test_an_address_of_somebody_else_is_refused_at_create_with_his_name(host: Host) -> None:
    """409, the holder in the text, and neither a container nor a lease is left."""
    host.create_network("one", "--subnet", V4)
    host.run_container("plain", "--network", "one", "--ip", "10.77.0.50")
    body = {
        "Image": IMAGE, "Labels": {"fixed-ip": ""}, "HostConfig": {"NetworkMode": "one"},
        "NetworkingConfig": {"EndpointsConfig": {"one": {"IPAMConfig": {"IPv4Address": "10.77.0.50"}}}},
    }  # fmt: skip
    with pytest.raises(DockerError, match=r"10\.77\.0\.50.*held by") as refused:
        host.proxy.api("POST", "/containers/create?name=thief", body)
    assert refused.value.status == 409
    assert fixed(host) == {}
    assert len(host.engine.containers()) == 1


def test_under_the_policy_holders_only_a_holder_gets_an_idle_address(host: Host) -> None:
    """A stranger with a label is refused at create, one without at start; the holder starts."""
    host.create_network("one", "--subnet", V4, "--ipam-opt", "claim=holders")
    run(host, "db", *FIXED)
    address = host.addresses("db", "one")[0]
    host.proxy.docker("stop", "db")
    labelled = host.proxy.docker(
        "create", "--name", "thief", "--network", "one", *FIXED, "--ip", address, IMAGE, "stay", check=False
    )
    assert not labelled.ok
    assert "container db" in labelled.output
    plain = host.engine.docker(
        "run", "--name", "plain", "--network", "one", "--ip", address, IMAGE, "true", check=False
    )
    assert not plain.ok
    assert "claim policy is `holders`" in plain.output
    host.engine.docker("start", "db")
    assert host.addresses("db", "one")[0] == address


def test_by_default_whoever_names_an_idle_fixed_address_gets_it_and_becomes_a_holder(host: Host) -> None:
    """As Minions does it: the stranger starts with it, and it stays fixed until both are gone."""
    host.create_network("one", "--subnet", V4)
    run(host, "db", *FIXED)
    address = host.addresses("db", "one")[0]
    host.proxy.docker("stop", "db")
    host.engine.docker("run", "-d", "--name", "other", "--network", "one", "--ip", address, IMAGE, "stay")
    eventually(lambda: len(host.daemon.leases("fixed")[0].get("holders", [])) == 2, "both hold it")
    host.engine.docker("rm", "-f", "db")
    eventually(lambda: len(host.daemon.leases("fixed")[0].get("holders", [])) == 1, "one holds it")
    assert fixed(host) == {address: "in use"}
    host.engine.docker("rm", "-f", "other")
    eventually(partial(is_free, host, address), "the address is free")


def test_connect_and_disconnect_fix_and_free_an_address_of_a_second_network(host: Host) -> None:
    """Of a running and of a stopped container; with an address asked for; and the container starts with all of it."""
    host.create_network("one", "--subnet", V4)
    second = host.create_network("two", "--subnet", "10.78.0.0/24")
    run(host, "db", *FIXED)
    host.proxy.docker("network", "connect", "two", "db")
    address = host.addresses("db", "two")[0]
    assert fixed(host, second) == {address: "in use"}
    host.proxy.docker("network", "disconnect", "two", "db")
    assert fixed(host, second) == {}
    host.proxy.docker("stop", "db")
    host.proxy.docker("network", "connect", "--ip", "10.78.0.9", "two", "db")
    assert fixed(host, second) == {"10.78.0.9": "idle"}
    host.proxy.docker("start", "db")
    assert host.addresses("db", "two")[0] == "10.78.0.9"
    assert pings(host.network, "10.78.0.9")
    host.proxy.docker("stop", "db")
    host.proxy.docker("network", "disconnect", "two", "db")
    assert fixed(host, second) == {}
    host.proxy.docker("network", "connect", "--ip", "10.78.0.9", "two", "db")
    assert fixed(host, second) == {"10.78.0.9": "idle"}
    host.engine.docker("network", "disconnect", "two", "db")
    if host.release.version >= (28,):  # it sends no event for a container that does not run
        for _ in range(2):
            host.mooring("doctor", "--fix", check=False)
    eventually(lambda: fixed(host, second) == {}, "the address of the second network is free")
    assert len(fixed(host)) == 1


@pytest.mark.parametrize(
    ("reference", "running", "force"),
    [
        ("name", True, False),
        ("name", True, True),
        ("name", False, False),
        ("name", False, True),
        ("id", True, False),
        ("short id", False, False),
    ],
)
def test_a_disconnect_through_the_proxy_frees_the_address_before_it_answers(
    host: Host, reference: str, running: bool, force: bool
) -> None:
    """Whatever the engine tells of it (28 tells nothing of a container that does not run), and however it is called."""
    host.create_network("one", "--subnet", V4)
    second = host.create_network("two", "--subnet", "10.78.0.0/24")
    run(host, "db", *FIXED)
    host.proxy.docker("network", "connect", "two", "db")
    if not running:
        host.proxy.docker("stop", "-t", "1", "db")
    network = {"name": "two", "id": second, "short id": second[:12]}[reference]
    host.proxy.api("POST", f"/networks/{network}/disconnect", {"Container": "db", "Force": force})
    assert fixed(host, second) == {}
    assert len(fixed(host)) == 1


def test_several_networks_at_create_and_dual_stack(host: Host) -> None:
    """Every address of every network is fixed, and all of them come back after a restart."""
    host.create_network("one", *DUAL)
    host.create_network("two", "--subnet", "10.78.0.0/24")
    run(host, "db", *FIXED)
    host.proxy.docker("network", "connect", "two", "db")
    before = (*host.addresses("db", "one"), host.addresses("db", "two")[0])
    assert set(fixed(host)) == set(before)
    host.proxy.docker("restart", "db")
    assert (*host.addresses("db", "one"), host.addresses("db", "two")[0]) == before


def test_a_key_keeps_the_address_over_rm_and_run(host: Host) -> None:
    """The next container with the key gets address and MAC, though others came between."""
    host.create_network("one", *DUAL)
    run(host, "db", "--label", "mooring.key=database")
    before, ether = host.addresses("db", "one"), mac(host, "db")
    host.proxy.docker("rm", "-f", "db")
    assert fixed(host) == dict.fromkeys(before, "idle")
    for name in ("x1", "x2", "x3"):
        run(host, name)
    run(host, "db2", "--label", "mooring.key=database")
    assert (host.addresses("db2", "one"), mac(host, "db2")) == (before, ether)
    host.engine.clear()


def test_a_sticky_network_needs_no_labels(host: Host) -> None:
    """`-o sticky=name`: the name has the address, also after the container was made anew."""
    host.create_network("one", "--subnet", V4, "-o", "sticky=name")
    run(host, "db")
    before = host.addresses("db", "one")
    host.proxy.docker("rm", "-f", "db")
    run(host, "other")
    run(host, "db")
    assert host.addresses("db", "one") == before
    run(host, "loose", "--label", "fixed-ip=0")
    assert host.addresses("loose", "one")[0] not in fixed(host)


def test_what_the_proxy_never_saw_is_adopted(host: Host) -> None:
    """A labelled container that was made at the raw socket: with an address at create, without one when it starts."""
    host.create_network("one", "--subnet", V4)
    host.run_container("plain", "--network", "one", *FIXED)
    eventually(lambda: len(fixed(host)) == 1, "the running one is adopted")
    address = host.addresses("plain", "one")[0]
    assert fixed(host) == {address: "in use"}
    host.engine.docker("stop", "plain")
    assert fixed(host) == {address: "idle"}
    host.engine.docker("create", "--name", "made", "--network", "one", *FIXED, "--ip", "10.77.0.99", IMAGE, "stay")
    eventually(lambda: "10.77.0.99" in fixed(host), "the one that was only made is adopted")
    host.engine.docker("rm", "made", "plain")
    eventually(lambda: fixed(host) == {}, "both are given up")


def test_an_inspected_create_is_what_was_sent_plus_the_address(host: Host) -> None:
    """Nothing else of the configuration differs from what the engine makes of the same body without the proxy."""
    host.create_network("one", "--subnet", V4)
    options = (
        "--network", "one", *FIXED, "--env", "A=ü\n1", "--memory", "64m", "--cpus", "0.3", "--sysctl",
        "net.ipv4.ip_forward=1", "--ulimit", "nofile=64:128", "--tmpfs", "/x:size=1m", "--health-cmd", "true",
        "--health-interval", "7s", IMAGE, "sh", "-c", "echo '<>&'",
    )  # fmt: skip
    host.proxy.docker("create", "--name", "ours", *options)
    host.engine.docker("create", "--name", "theirs", *options)
    ours, theirs = (dict(host.engine.inspect(name)) for name in ("ours", "theirs"))
    endpoint = ours["NetworkSettings"]["Networks"]["one"]
    assert ip_address(endpoint["IPAMConfig"]["IPv4Address"]) in ip_network(V4)
    assert ours["Config"].pop("MacAddress") == host.daemon.leases("fixed")[0]["mac"]
    theirs["Config"].pop("MacAddress", None)
    for part in ("Config", "HostConfig"):
        assert _without(ours[part], "Hostname") == _without(theirs[part], "Hostname")


def _without(document: dict[str, object], key: str) -> str:
    return json.dumps({name: value for name, value in document.items() if name != key}, sort_keys=True)
