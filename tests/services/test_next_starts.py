"""What the next start does to an address, and what labels do not do."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, ip_network

import msgspec
import pytest

from mooring.core.containers import Container, ContainerEndpoint
from mooring.core.engines import KnownEngine
from mooring.core.faults import Conflict
from mooring.core.filters import LeaseFilter
from mooring.core.leases import Active
from mooring.core.networks import Network
from mooring.core.requests import PoolRequest
from mooring.services.operations.next_starts import label_findings, label_remarks, losses, said_of
from mooring.services.records.record_cache import RecordCache
from mooring.testing.memory_store import MemoryStore
from tests.services.hosts import MemoryHost
from tests.services.operators import DB, WEB, fix, lease_of, operate, run_container
from tests.services.test_holds import E1, MAC, A, chosen, typed
from tests.services.test_kept_networks import ComingHost


async def text(host: MemoryHost, address: str) -> str:
    """What is said of the next start of who holds the address."""
    lease = lease_of(host, address)
    assert lease is not None
    names = await operate(host).names()
    return "; ".join(f"{loss.text}; {loss.remedy}" for loss in losses(lease, host.services.cache, names))


@pytest.mark.parametrize(
    ("make", "address", "remedy"), [(typed, "10.77.0.2", "`mooring fix db`"), (chosen, "10.32.0.2", "recreate it")]
)
async def test_what_nothing_proves_is_said_before_it_is_lost(make: object, address: str, remedy: str) -> None:
    """With what to do: where an address can be named, `fix` does it."""
    host: MemoryHost = await make()  # type: ignore[operator]
    run_container(host, DB, "db", "e1", address)
    await fix(host, address, DB, active=Active(E1, "host", "boot"))
    said = await text(host, address)
    assert f"container db will get a different address than {address} at its next start" in said
    assert remedy in said
    operated = operate(host)
    (row,) = (await operated.inspection.leases(LeaseFilter(fixed=True), await operated.names())).rows
    assert row.warning == said
    explained = " ".join((await operated.lookup.explain("db")).reasons[0].text)
    assert f"will get a different address than {address} at its next start" in explained
    assert remedy in explained


async def test_nothing_is_said_where_nothing_is_lost() -> None:
    """The engine tells names; the configuration names it; a MAC proves it; the engine was not heard."""
    host = await typed()
    run_container(host, DB, "db", "e1", "10.77.0.2")
    await fix(host, "10.77.0.2", DB, active=Active(E1, "host", "boot"))
    host.engine.version = (1, 52)
    assert await text(host, "10.77.0.2") == ""
    host.engine.version = (1, 41)
    assert await text(host, "10.77.0.2") != ""
    host.engine.up = False
    assert await text(host, "10.77.0.2") == ""
    host.engine.up = True
    await fix(host, "10.77.0.2", DB, active=Active(E1, "host", "boot"), mac=MAC)
    assert await text(host, "10.77.0.2") == ""
    host = await typed()
    run_container(host, DB, "db", "e1", "10.77.0.2", wanted=True)
    await fix(host, "10.77.0.2", DB, active=Active(E1, "host", "boot"))
    assert await text(host, "10.77.0.2") == ""


async def test_labels_without_effect_are_said() -> None:
    """Misspelt, in no network of ours, in one whose addresses others give; what works is passed over."""
    host = await typed()
    network = host.services.cache.network(A)
    assert network is not None
    assert label_remarks({"fixed-ip": ""}, [("web", network)]) == []
    assert label_remarks({}, [("bridge", None)]) == []
    assert label_remarks({"fixed-ip": "0"}, [("bridge", None)]) == []
    assert label_remarks({"mooring.key": "db"}, [("bridge", None), ("web", network)]) == []
    assert [remark.text for remark in label_remarks({"fixed-ip": ""}, [("bridge", None)])] == [
        "label fixed-ip has no effect: the container is in no network of Mooring's (bridge)"
    ]
    theirs = replace(network, ipv4=tuple(replace(segment, pool="") for segment in network.ipv4))
    assert [remark.text for remark in label_remarks({"fixed-ip": ""}, [("web", theirs)])] == [
        "label fixed-ip has no effect in network web: another IPAM driver gives its addresses"
    ]
    assert "did you mean mooring.key" in label_remarks({"mooring.kye": "db"}, [("web", network)])[0].text


async def test_each_remedy_fits_its_case() -> None:
    """What is misspelt, empty, an address, in a foreign network, or under another IPAM driver wants another thing."""
    host = await typed()
    network = host.services.cache.network(A)
    assert network is not None
    theirs = replace(network, ipv4=tuple(replace(segment, pool="") for segment in network.ipv4))
    cases: list[tuple[dict[str, str], str, Network | None, str]] = [
        ({"fixed_ip": ""}, "web", network, "with fixed-ip; otherwise"),
        ({"mooring.key": ""}, "web", network, "mooring.key=TEXT"),
        ({"fixed-ip": "10.9.9.9"}, "web", network, "--ip"),
        ({"fixed-ip": "no"}, "web", network, "fixed-ip=false"),
        ({"fixed-ip": ""}, "bridge", None, "`mooring network ls`"),
        ({"fixed-ip": ""}, "web", theirs, "--ipam-driver mooring"),
    ]
    for labels, name, place, word in cases:
        (remark,) = label_remarks(labels, [(name, place)])
        assert word in remark.remedy, labels


async def test_the_doctor_and_explain_say_what_labels_do_not_do() -> None:
    """A finding for each, with the container; and a sentence where somebody asks for the container."""
    host = await typed()
    operated = operate(host)
    host.engine.create(DB, "db", ContainerEndpoint("n" * 64, "bridge"), labels={"mooring.key": "db", "fixed_ip": "1"})
    findings = [finding.text for finding in (await operated.doctor.examine()).findings]
    assert sorted(finding for finding in findings if "label" in finding) == [
        "container db: label fixed_ip has no effect: did you mean fixed-ip?",
        "container db: label mooring.key has no effect: the container is in no network of Mooring's (bridge)",
    ]
    told = " ".join((await operated.lookup.explain("db")).reasons[-1].text)
    assert "Label mooring.key has no effect" in told


def test_of_a_container_what_it_names_counts() -> None:
    """An address in the label that the configuration names, too, needs no word."""
    cache = RecordCache(MemoryStore())
    container = Container(DB, "db", False, 0.0, {"other": "x"}, (ContainerEndpoint("", "bridge"),))
    assert said_of(container, cache) == []
    assert list(label_findings([container], cache, 0.0)) == []


def test_what_is_only_being_made_is_taken_for_no_trouble() -> None:
    """The engine lists a container before it has written down its networks."""
    cache = RecordCache(MemoryStore())
    container = Container(DB, "db", False, 100.0, {"fixed-ip": ""})
    assert list(label_findings([container], cache, 101.0)) == []
    (finding,) = label_findings([container], cache, 200.0)
    assert "is in no network of Mooring's" in finding.text


async def test_an_upgrade_of_the_engine_is_told_beforehand_what_it_costs() -> None:
    """Status counts by the records, explain says it of the address, and nothing where nothing would be lost."""
    host = await chosen()
    operated = operate(host)
    host.engine.networks.add(A)
    host.engine.create(DB, "db", ContainerEndpoint(A, "web"))
    await fix(host, "10.32.0.9", DB, mac=MAC)
    assert operated.notes() == []
    await host.services.cache.commit(put=[KnownEngine(host.engine.id, 0.0, frozenset({A}), (1, 41))])
    (note,) = operated.notes()
    assert "Docker to 25-28 would make 1 container lose the fixed address" in note
    assert operated.inspection.status(operated.notes()).notes == [note]
    explained = " ".join((await operated.lookup.explain("db")).reasons[0].text)
    assert "With Docker 25 to 28, container db would get a different address at its first start" in explained
    host.engine.version = (1, 45)
    await host.services.cache.commit(put=[KnownEngine(host.engine.id, 0.0, frozenset({A}), (1, 45))])
    assert operated.notes() == []
    assert "Docker 25 to 28" not in " ".join((await operated.lookup.explain("db")).reasons[0].text)
    known = host.services.cache.holder(DB)
    assert known is not None
    await host.services.cache.commit(put=[msgspec.structs.replace(known, oldest=(1, 41), newest=(1, 45))])
    (note,) = operated.notes()
    assert "1 container may get a different address at the next start" in note
    assert "will get a different address than 10.32.0.9 at its next start" in await text(host, "10.32.0.9")


async def test_in_a_typed_subnet_an_upgrade_costs_no_address() -> None:
    """Its configuration names it."""
    host = await typed()
    run_container(host, DB, "db", "e1", "10.77.0.2", wanted=True)
    await fix(host, "10.77.0.2", DB, mac=MAC, active=Active(E1, "host", "boot"))
    await host.services.cache.commit(put=[KnownEngine(host.engine.id, 0.0, frozenset({A}), (1, 41))])
    operated = operate(host)
    assert operated.notes() == []
    assert "Docker 25" not in " ".join((await operated.lookup.explain("db")).reasons[0].text)


async def test_a_container_whose_network_was_made_again_is_told_how_it_gets_in() -> None:
    """The engine looks for the network's id; a label that would work there is not said to have no effect."""
    host = ComingHost()
    network = await host.named("n1")
    await host.made("first", host.fixed_spec(network, "key:db"))
    host.engine.create(DB, "db", ContainerEndpoint(network, "web"), labels={"mooring.key": "db"})
    assert list(label_findings(host.engine._containers.values(), host.services.cache, 9e9)) == []
    await host.gone(network)
    (finding,) = label_findings(host.engine._containers.values(), host.services.cache, 9e9)
    assert (
        finding.text
        == "container db: it cannot start: its network web was removed; the addresses of its keys are still kept"
    )
    assert finding.remedy.startswith("create the network again under its name; `docker network disconnect -f web db`")
    await host.named("n2")
    (finding,) = label_findings(host.engine._containers.values(), host.services.cache, 9e9)
    assert "was removed, and the current one has a different ID" in finding.text
    assert finding.remedy.startswith("`docker network disconnect -f web db`, then `docker network connect web db`")
    operated = operate(host)
    with pytest.raises(
        Conflict, match=r"it cannot start: its network web was removed.*docker network disconnect -f web db"
    ):
        await operated.holds.fix("db", False)
    told = " ".join((await operated.lookup.explain("db")).reasons[0].text)
    assert "It cannot start: its network web was removed" in told
    assert "`docker network disconnect -f web db`" in told


def test_a_label_beside_another_containers_network_is_that_ones_matter() -> None:
    """compose's network_mode: service:web; who it is, in short."""
    container = Container(DB, "side", False, 0.0, {"fixed-ip": ""}, mode="container:" + WEB)
    (remark,) = said_of(container, RecordCache(MemoryStore()))
    assert (
        remark.text
        == f"its label has no effect: this container shares the network of container {WEB[:12]}; put the label there"
    )


async def test_a_network_of_our_ipam_driver_alone_is_told_from_others() -> None:
    """compose's `ipam: {driver: mooring}` without `driver: mooring`: the addresses are ours, and nobody keeps them."""
    host = await MemoryHost().start()
    await host.services.ipam.request_pool(PoolRequest("default", 4, subnet=ip_network("10.88.0.0/24")))
    cache = host.services.cache
    endpoint = ContainerEndpoint("n" * 64, "half", ipv4=IPv4Address("10.88.0.2"))
    (remark,) = said_of(Container(DB, "db", True, 0.0, {"fixed-ip": ""}, (endpoint,)), cache)
    assert remark.text == "its label has no effect in network half: Mooring is only the IPAM driver there"
    assert "-d mooring --ipam-driver mooring" in remark.remedy
    other = ContainerEndpoint("n" * 64, "bridge", ipv4=IPv4Address("172.17.0.2"))
    (remark,) = said_of(Container(DB, "db", True, 0.0, {"fixed-ip": ""}, (other,)), cache)
    assert "in no network of Mooring's (bridge)" in remark.text


async def test_an_address_that_the_next_start_loses_becomes_free_then() -> None:
    """And not only when its container is removed; a kept one says since when nobody uses it, and not since when it is
    fixed, which no record has."""
    host = await chosen()
    operated = operate(host)
    host.engine.networks.add(A)
    host.engine.create(DB, "db", ContainerEndpoint(A, "web"))
    lease = await fix(host, "10.32.0.9", DB, key=f"container:{DB}")
    told = (await operated.lookup.explain("10.32.0.9")).reasons[0].text
    assert "It becomes free when db starts again, with a different address, or is removed." in told
    await host.services.cache.commit(put=[msgspec.structs.replace(lease, mac=MAC)])
    told = (await operated.lookup.explain("10.32.0.9")).reasons[0].text
    assert "It becomes free when the last container that holds it is removed: db." in told
    assert "It is fixed for container db: a stop or a crash does not free it." in told
    assert any(line.startswith("It has been idle since ") for line in told)
