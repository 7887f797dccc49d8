"""Fixed addresses on a real engine: who gets them, how long they stay, and every way in which they are given back."""

from __future__ import annotations

import concurrent.futures
import json
from functools import partial
from ipaddress import ip_address, ip_network

import pytest

from tests.e2e.lab import DockerError, Host, eventually
from tests.e2e.lab.images import IMAGE
from tests.e2e.lab.traffic import pings

V4, V6 = "10.77.0.0/24", "fd77:1::/64"
DUAL = ("--ipv6", "--subnet", V4, "--subnet", V6)
FIXED = ("--label", "fixed-ip")


def run(host: Host, name: str, *options: str, network: str = "one") -> str:
    """`docker run -d` through the proxy; the container's id."""
    argv = ("run", "-d", "--name", name, "--network", network, *options, IMAGE, "stay")
    return host.proxy.docker(*argv).output.splitlines()[-1]


def fixed(host: Host, network: str = "") -> dict[str, str]:
    """Address -> state of use of the fixed leases."""
    rows = host.daemon.leases("fixed", network)
    return {str(row["address"]): "in use" if row["endpoint"] else "idle" for row in rows}


def is_free(host: Host, address: str) -> bool:
    """Nobody holds the address: it has no lease, or cools."""
    rows = [row for state in ("dynamic", "fixed", "reserved") for row in host.daemon.leases(state)]
    return address not in {row["address"] for row in rows}


def mac(host: Host, container: str, network: str = "one") -> str:
    """The MAC of the running container."""
    return str(host.engine.inspect(container)["NetworkSettings"]["Networks"][network]["MacAddress"])


def test_a_labelled_container_keeps_address_and_mac_over_stop_and_start(host: Host) -> None:
    """Both families, while two hundred others come in the meantime; the address answers afterwards."""
    host.create_network("one", *DUAL)
    run(host, "db", *FIXED)
    before, ether = host.addresses("db", "one"), mac(host, "db")
    host.proxy.docker("stop", "db")
    assert fixed(host) == dict.fromkeys(before, "idle")
    for number in range(200):
        body = {"Image": IMAGE, "Cmd": ["true"], "HostConfig": {"NetworkMode": "one", "AutoRemove": True}}
        host.engine.api("POST", f"/containers/create?name=other{number}", body)
    for number in range(0, 200, 10):
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


@pytest.mark.parametrize("by", ["name", "full id", "beginning", "force", "volumes", "raw socket", "several"])
def test_every_kind_of_removal_frees_the_address_before_it_answers(host: Host, by: str) -> None:
    """When `docker rm` has returned, the address is free; by the raw socket, at once afterwards."""
    host.create_network("one", *DUAL)
    ident = run(host, "db", *FIXED)
    addresses = host.addresses("db", "one")
    if by not in ("force", "volumes", "several"):
        host.engine.docker("stop", "db")
    argv = {
        "name": ["db"],
        "full id": [ident],
        "beginning": [ident[:6]],
        "force": ["-f", "db"],
        "volumes": ["-f", "-v", "db"],
        "several": ["-f", "db", "no-such-container"],
        "raw socket": ["db"],
    }[by]
    client = host.engine if by == "raw socket" else host.proxy
    client.docker("rm", *argv, check=by != "several")
    if by == "raw socket":
        eventually(lambda: fixed(host) == {}, "the address is free")
    assert all(is_free(host, address) for address in addresses)


def test_what_ends_by_itself_with_rm_frees_its_address(host: Host) -> None:
    """`run --rm` and its end make no removal call at all."""
    host.create_network("one", *DUAL)
    host.proxy.docker("run", "--rm", "--network", "one", *FIXED, IMAGE, "true")
    eventually(lambda: fixed(host) == {}, "the address is free")


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
    assert "claim policy holders" in plain.output
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
    host.engine.docker("network", "disconnect", "two", "db")
    eventually(lambda: fixed(host, second) == {}, "the address of the second network is free")
    assert len(fixed(host)) == 1


def test_connect_that_the_engine_refuses_gives_everything_back(host: Host) -> None:
    """There is no such container; and one that is in the network already."""
    network = host.create_network("one", "--subnet", V4)
    run(host, "db", *FIXED)
    before = fixed(host, network)
    for container in ("nobody", "db"):
        assert not host.proxy.docker("network", "connect", "one", container, check=False).ok
    assert fixed(host, network) == before


def test_create_that_the_engine_refuses_gives_everything_back(host: Host) -> None:
    """There is no such image; the name is taken; the body is nonsense to the engine."""
    host.create_network("one", *DUAL)
    run(host, "db", *FIXED)
    before = fixed(host)
    bad: list[dict[str, object]] = [
        {"Image": "no-such-image"},
        {"Image": IMAGE, "Cmd": ["true"], "WorkingDir": "not/absolute"},
    ]
    for body in bad:
        body |= {"Labels": {"fixed-ip": ""}, "HostConfig": {"NetworkMode": "one"}}
        with pytest.raises(DockerError):
            host.proxy.api("POST", "/containers/create?name=bad", body)
        assert fixed(host) == before
    taken = {"Image": IMAGE, "Cmd": ["true"], "Labels": {"fixed-ip": ""}, "HostConfig": {"NetworkMode": "one"}}
    with pytest.raises(DockerError, match="Conflict"):
        host.proxy.api("POST", "/containers/create?name=db", taken)
    assert fixed(host) == before


def test_prune_frees_the_addresses_of_what_it_removed_and_no_others(host: Host) -> None:
    """With a filter, without one, and as part of `system prune`."""
    host.create_network("one", "--subnet", V4)
    for name in ("c1", "c2", "c3", "c4"):
        run(host, name, *FIXED, "--label", f"which={name}")
    kept = host.addresses("c4", "one")[0]
    host.engine.docker("stop", "c1", "c2", "c3")
    host.proxy.docker("container", "prune", "-f", "--filter", "label=which=c1")
    assert len(fixed(host)) == 3
    host.proxy.docker("container", "prune", "-f")
    assert fixed(host) == {kept: "in use"}
    host.proxy.docker("stop", "c4")
    host.proxy.docker("system", "prune", "-f")
    assert fixed(host) == {}
    assert host.engine.networks() == []


def test_two_removals_at_once_free_the_address_once(host: Host) -> None:
    """One gets 204, the other 404 or 409, and the next container may have the address."""
    host.create_network("one", "--subnet", V4)
    for _ in range(5):
        run(host, "db", *FIXED)
        address = host.addresses("db", "one")[0]

        def remove(_: int) -> int:
            try:
                host.proxy.api("DELETE", "/containers/db?force=1")
            except DockerError as error:
                return error.status
            return 204

        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            statuses = sorted(pool.map(remove, range(3)))
        assert statuses[0] == 204
        assert set(statuses[1:]) <= {204, 404, 409}
        eventually(partial(is_free, host, address), "the address is free")


def test_removing_a_link_frees_nothing(host: Host) -> None:
    """`docker rm --link` leaves both containers."""
    host.create_network("one", "--subnet", V4)
    run(host, "web", *FIXED)
    before = fixed(host)
    host.engine.docker("run", "-d", "--name", "db", IMAGE, "stay")
    host.engine.docker("run", "-d", "--name", "front", "--link", "db:alias", IMAGE, "stay")
    host.proxy.docker("rm", "--link", "front/alias")
    assert fixed(host) == before
    assert not host.proxy.docker("rm", "--link", "web/alias", check=False).ok
    assert fixed(host) == before


@pytest.mark.parametrize("name", ["created-app", "pruner", "prune", "create.x", "json"])
def test_odd_names_are_names(host: Host, name: str) -> None:
    """A container that is called like a call starts, keeps its address, and frees it."""
    host.create_network("one", "--subnet", V4)
    run(host, name, *FIXED)
    (address,) = fixed(host)
    host.proxy.docker("restart", name)
    assert host.addresses(name, "one")[0] == address
    host.proxy.docker("rm", "-f", name)
    assert is_free(host, address)


def test_paths_without_a_version_are_recognised(host: Host) -> None:
    """Create, connect, disconnect and remove by clients that name none."""
    host.create_network("one", "--subnet", V4)
    second = host.create_network("two", "--subnet", "10.78.0.0/24")
    body = {"Image": IMAGE, "Cmd": ["stay"], "Labels": {"fixed-ip": ""}, "HostConfig": {"NetworkMode": "one"}}
    ident = host.proxy.api("POST", "/containers/create?name=db", body)["Id"]
    assert len(fixed(host)) == 1
    host.proxy.api("POST", "/networks/two/connect", {"Container": ident[:10]})
    assert len(fixed(host, second)) == 1
    host.proxy.api("POST", "/networks/two/disconnect", {"Container": "db"})
    assert fixed(host, second) == {}
    host.proxy.api("DELETE", f"/containers/{ident[:8]}")
    assert fixed(host) == {}


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
