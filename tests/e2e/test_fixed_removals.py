"""Fixed addresses on a real engine: every way in which they are given back, and what gives nothing back."""

from __future__ import annotations

import concurrent.futures
from functools import partial

import pytest

from tests.e2e.lab import DockerError, Host, eventually
from tests.e2e.lab.fixed import DUAL, FIXED, V4, fixed, is_free, run
from tests.e2e.lab.images import IMAGE


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
