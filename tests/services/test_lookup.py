"""What somebody holds: by name, id, key and MAC."""

from __future__ import annotations

from ipaddress import ip_interface

import pytest

from mooring.core.containers import ContainerEndpoint
from mooring.core.faults import BadRequest, Conflict, Fault, NotFound
from mooring.core.leases import Active
from mooring.core.views import Explanation
from mooring.services.operations.operations import Operations
from tests.services.hosts import MemoryHost
from tests.services.operators import DB, WEB, fix, lease_of, operate, run_container

A = "a".ljust(64, "0")


@pytest.fixture
async def host() -> MemoryHost:
    """10.32.0.2 is dynamic and in use by endpoint e1; 10.32.0.9 is fixed for the key db and held by name-d."""
    host = await MemoryHost().start()
    await host.endpoint(await host.network("a", v6=True), "e1")
    await fix(host, "10.32.0.9", DB, mac="02:11:11:11:11:11")
    return host


@pytest.fixture
def operated(host: MemoryHost) -> Operations:
    """The operator's use cases on it."""
    return operate(host)


def addresses(found: Explanation) -> list[str]:
    """Which addresses it is about."""
    return [reason.address for reason in found.reasons]


@pytest.mark.parametrize(
    "what", ["db", "key:db", "name-d", "/name-d", DB, DB[:12], "02:11:11:11:11:11", "02-11-11-11-11-11", " db "]
)
async def test_a_fixed_address_is_found_by_all_that_it_belongs_to(operated: Operations, what: str) -> None:
    """Key with and without its kind, the holder's name and id, and the MAC."""
    found = await operated.lookup.explain(what)
    assert addresses(found) == ["10.32.0.9"]
    assert found.address == ""
    text = " ".join(found.reasons[0].text)
    assert "fixed for the key db (label mooring.key)" in text
    assert "removed: name-d." in text


async def test_what_the_host_has_is_not_called_free(host: MemoryHost, operated: Operations) -> None:
    """From the moment when it has it, and until it has it no more; a container's address is told to be both's."""
    for address, verdict in (("10.32.0.77", "held"), ("10.32.0.2", "held")):
        host.kernel.own = {ip_interface(address): "interface lo of this host"}
        (reason,) = (await operated.lookup.explain(address)).reasons
        assert reason.verdict == verdict
        assert "nterface lo of this host " in " ".join(reason.text)
    (reason,) = (await operated.lookup.explain("10.32.0.77")).reasons
    assert reason.verdict == "free"
    host.kernel.own = {ip_interface("192.168.1.5/24"): "interface eth0 of this host"}
    (reason,) = (await operated.lookup.explain("192.168.1.5")).reasons
    assert reason.text[-1] == "Interface eth0 of this host uses it."


async def test_an_address_is_explained_as_ever(operated: Operations) -> None:
    """The first question that there was has the same answer."""
    found = await operated.lookup.explain("10.32.0.9")
    assert (found.address, addresses(found)) == ("10.32.0.9", ["10.32.0.9"])


async def test_a_container_that_docker_does_not_name_is_found_through_the_engine(
    host: MemoryHost, operated: Operations
) -> None:
    """The records have its endpoint only; both families are explained."""
    lease = lease_of(host, "10.32.0.2")
    assert lease is not None
    run_container(host, WEB, "web", "e1", "10.32.0.2", "fd00:32::2")
    for what in ("web", WEB[:12]):
        found = await operated.lookup.explain(what)
        assert (found.subject, addresses(found)) == ("container web", ["10.32.0.2", "fd00:32::2"])
    assert addresses(await operated.lookup.explain(lease.mac)) == ["10.32.0.2", "fd00:32::2"]


async def test_an_endpoint_is_found_by_the_beginning_of_its_id(operated: Operations) -> None:
    """As dockerd's log has it."""
    assert addresses(await operated.lookup.explain("e1" + "0" * 10)) == ["10.32.0.2", "fd00:32::2"]


async def test_an_engine_that_is_down_leaves_the_records(host: MemoryHost, operated: Operations) -> None:
    """What is on record is said all the same."""
    host.engine.up = False
    assert addresses(await operated.lookup.explain("db")) == ["10.32.0.9"]


async def test_a_container_that_holds_nothing_is_told_why(host: MemoryHost, operated: Operations) -> None:
    """It is in no network of ours, does not run, or runs without an address of ours."""
    host.engine.create(WEB, "web")
    (reason,) = (await operated.lookup.explain("web")).reasons
    assert (reason.verdict, reason.text) == (
        "none", ["Container web is in no network of Mooring's, so it holds no address here."],
    )  # fmt: skip
    host.engine.connect(WEB, ContainerEndpoint(A, "web"))
    (reason,) = (await operated.lookup.explain("web")).reasons
    assert "is not running and has no fixed address" in reason.text[0]
    host.engine.start(WEB)
    (reason,) = (await operated.lookup.explain("web")).reasons
    assert "none of its current addresses comes from Mooring" in reason.text[0]


async def test_a_mac_that_nobody_has_is_told(operated: Operations) -> None:
    """That is an answer, not a refusal."""
    (reason,) = (await operated.lookup.explain("02:99:99:99:99:99")).reasons
    assert reason.text == ["No lease and no endpoint has the MAC 02:99:99:99:99:99."]


@pytest.mark.parametrize(
    ("what", "fault", "words"),
    [
        (
            "nobody",
            NotFound,
            "no container, key, port, VNIC, endpoint, DNS name or MAC 'nobody' holds an address; `mooring lease ls`",
        ),
        ("10.32.0.1/24", BadRequest, "is not a subnet"),
        ("fd00::/64", NotFound, "no network and no pool of Mooring's has the subnet fd00::/64"),
        ("fe80::1%eth0", BadRequest, "has a zone"),
        ("", BadRequest, "is not an IP address"),
        ("::ffff:127.0.0.1", BadRequest, "is IPv4-mapped; write 127.0.0.1"),
    ],
)
async def test_what_means_nothing_is_refused(
    operated: Operations, what: str, fault: type[Fault], words: str
) -> None:  # fmt: skip
    """The text says what to do instead."""
    with pytest.raises(fault) as caught:
        await operated.lookup.explain(what)
    assert words.partition(";")[0].split(" holds")[0] in str(caught.value)


async def test_the_beginning_of_several_ids_is_a_conflict(host: MemoryHost, operated: Operations) -> None:
    """They are named."""
    await fix(host, "10.32.0.10", "d" * 63 + "e", active=Active("e" * 64, "host", "boot"))
    with pytest.raises(Conflict, match=r"2 containers have ids that begin with 'dddd'"):
        await operated.lookup.explain("dddd")


async def test_who_runs_is_said_as_the_engine_has_it(host: MemoryHost, operated: Operations) -> None:
    """The holder does not run, runs with another address, runs outside of the network, or is gone: never guessed."""

    async def told() -> str:
        return " ".join((await operated.lookup.explain("10.32.0.9")).reasons[0].text)

    host.engine.create(DB, "renamed", ContainerEndpoint(A, "web"))
    assert "It is not in use: container renamed is not running." in await told()
    host.engine.start(DB, A, "e7", "10.32.0.44")
    assert "It is not in use: container renamed is running with 10.32.0.44 instead." in await told()
    host.engine.disconnect(DB, A)
    assert "It is not in use: container renamed is running but not connected to that network." in await told()
    host.engine.remove(DB)
    assert "Docker no longer has a container name-d" in await told()
    host.engine.up = False
    text = await told()
    assert "It is not in use: no endpoint has it." in text
    assert "Docker no longer has" not in text


async def test_a_key_says_how_long_it_keeps_the_address(host: MemoryHost, operated: Operations) -> None:
    """It does not become free with the removal; what belongs to its container does."""
    host.engine.create(DB, "db")
    text = " ".join((await operated.lookup.explain("10.32.0.9")).reasons[0].text)
    assert "It becomes free 1 day after the last container that holds it is removed: db." in text
    await fix(host, "10.32.0.10", WEB, key=f"container:{WEB}")
    text = " ".join((await operated.lookup.explain("10.32.0.10")).reasons[0].text)
    assert "It becomes free when the last container that holds it is removed: name-e." in text


async def test_a_dynamic_address_names_its_container(host: MemoryHost, operated: Operations) -> None:
    """Engines before 29 tell a driver no names: the engine is asked for it; one that it lists for nobody is told so."""
    run_container(host, WEB, "web", "e1", "10.32.0.2")
    text = " ".join((await operated.lookup.explain("10.32.0.2")).reasons[0].text)
    assert "It is held by container web, endpoint e1" in text
    assert "`docker stop web`" in text
    assert "of network web (a" in text
    assert "lease hold" not in text  # this engine could not keep the promise in a subnet that Mooring chose
    host.engine.version = (1, 52)
    text = " ".join((await operated.lookup.explain("10.32.0.2")).reasons[0].text)
    assert "may get a different address. `mooring lease hold 10.32.0.2` fixes it." in text
    host.engine.remove(WEB)
    run_container(host, WEB, "web", "e1", "10.32.0.2", wanted=True)
    text = " ".join((await operated.lookup.explain("10.32.0.2")).reasons[0].text)
    assert "The container's configuration has it (--ip), so each start requests it" in text
    host.engine.remove(WEB)
    text = " ".join((await operated.lookup.explain("10.32.0.2")).reasons[0].text)
    assert "Docker lists no container with that endpoint" in text
    assert "docker stop" not in text


async def test_a_network_is_explained_by_its_name_and_its_subnet(host: MemoryHost, operated: Operations) -> None:
    """How full it is, for each of its subnets; a container of the name comes first, and the network is mentioned."""
    run_container(host, WEB, "db-1", "e1", "10.32.0.2")
    found = await operated.lookup.explain("web")
    assert (found.subject, [reason.verdict for reason in found.reasons]) == ("network web", ["network", "network"])
    assert "Subnet 10.32.0.0/24 of network web" in found.reasons[0].text[0]
    assert "`mooring lease ls --network web`" in found.reasons[0].text[1]
    (reason,) = (await operated.lookup.explain("10.32.0.0/24")).reasons
    assert reason.subnet == "10.32.0.0/24"
    host.engine.rename(WEB, "web")
    found = await operated.lookup.explain("web")
    assert found.subject == "container web"
    assert "see `mooring network inspect web`" in found.reasons[-1].text[-1]


async def test_compose_names_mean_its_containers(host: MemoryHost, operated: Operations) -> None:
    """Project, service and number, and shorter."""
    labels = {f"com.docker.compose.{key}": value for key, value in
              (("project", "shop"), ("service", "cache"), ("container-number", "1"))}  # fmt: skip
    host.engine.networks.add(A)
    host.engine.create(WEB, "shop-cache-1", ContainerEndpoint(A, "web"), labels=labels)
    host.engine.start(WEB, A, "e1".ljust(64, "0"), "10.32.0.2")
    for what in ("shop/cache/1", "shop/cache", "cache", "shop-cache-1"):
        found = await operated.lookup.explain(what)
        assert (found.subject, addresses(found)) == ("container shop-cache-1", ["10.32.0.2"]), what
