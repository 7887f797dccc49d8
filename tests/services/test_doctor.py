"""The doctor: what is found, with proof and age, and what is put right."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from mooring.core.containers import ContainerEndpoint, EngineEndpoint
from mooring.core.dns_views import DnsServerView
from mooring.core.engines import EngineView
from mooring.core.faults import Unavailable
from mooring.core.findings import Finding
from mooring.core.leases import State
from mooring.core.requests import AddressRequest, Role
from mooring.services.networking.assembly import World
from mooring.services.operations.doctor import Doctor
from mooring.services.operations.inspection import DaemonFacts
from mooring.services.operations.operations import operations
from tests.services.hosts import POLICY, MemoryHost
from tests.services.operators import DB, WEB, fix, lease_of, operate, run_container

A = "a".ljust(64, "0")
E1 = "e1".ljust(64, "0")


@pytest.fixture
async def host() -> MemoryHost:
    """A host where all is well: a network that the engine lists, with a running container in it."""
    host = await MemoryHost().start()
    await host.endpoint(await host.network("a"), "e1")
    run_container(host, WEB, "web", "e1", "10.32.0.2")
    host.engine.subnets.add(host.services.cache.network(A).ipv4[0].subnet)  # type: ignore[union-attr]
    await host.services.repair.once()
    return host


@pytest.fixture
def doctor(host: MemoryHost) -> Doctor:
    """Its doctor."""
    return operate(host).doctor


async def only(doctor: Doctor) -> Finding:
    """The one finding."""
    (finding,) = (await doctor.examine()).findings
    return finding


async def test_a_host_where_all_is_well_has_no_finding(host: MemoryHost, doctor: Doctor) -> None:
    """Looking changes nothing, neither records nor kernel."""
    before = host.services.cache.revision, host.ops
    assert (await doctor.examine()).findings == ()
    assert (await doctor.fix(dry=True)).done == ()
    assert (host.services.cache.revision, host.ops) == before


async def test_others_are_asked_while_the_engine_is(host: MemoryHost, monkeypatch: pytest.MonkeyPatch) -> None:
    """A person waits for the slower of both only: here the engine answers when the others have been asked."""
    asked, view = asyncio.Event(), host.engine.view

    async def others() -> list[Finding]:
        asked.set()
        return [Finding("tunnel", "host two does not answer", "a ping", 0.0)]

    async def slow() -> EngineView:
        await asked.wait()
        return await view()

    monkeypatch.setattr(host.engine, "view", slow)
    doctor = Doctor(host.services, host.engine, host.clock, POLICY.host, others=others)
    assert (await only(doctor)).text == "host two does not answer"


async def test_a_holder_that_is_gone_is_found_then_given_up(host: MemoryHost, doctor: Doctor) -> None:
    """Its age grows; told to fix, it need not be old; what was done is said, and nothing is left."""
    await fix(host, "10.32.0.9", DB)
    began = host.clock.now()
    finding = await only(doctor)
    assert (finding.text, finding.fixable) == ("container name-d no longer exists but still holds addresses", True)
    host.clock.advance(5)
    assert (await only(doctor)).since == began
    dry = await doctor.fix(dry=True)
    assert dry.done == ("container name-d no longer exists but still holds addresses: would be fixed",)
    assert lease_of(host, "10.32.0.9").holders == {DB}  # type: ignore[union-attr]
    fixed = await doctor.fix(dry=False)
    assert fixed.done == ("container name-d no longer exists but still holds addresses: fixed",)
    assert fixed.findings == ()
    assert lease_of(host, "10.32.0.9").holders == frozenset()  # type: ignore[union-attr]


async def test_a_container_that_is_there_is_never_touched(host: MemoryHost, doctor: Doctor) -> None:
    """Its fixed address stays its own, and the live endpoint keeps its lease, whatever is fixed."""
    host.engine.create(DB, "db", ContainerEndpoint(A, "web"))
    before = await fix(host, "10.32.0.9", DB)
    live = lease_of(host, "10.32.0.2")
    host.clock.advance(1000)
    await doctor.fix(dry=False)
    after = lease_of(host, "10.32.0.9")
    assert after is not None
    assert (after.holders, after.key) == (before.holders, before.key)
    assert lease_of(host, "10.32.0.2") == live


async def test_a_kernel_that_differs_is_found_and_put_right(host: MemoryHost, doctor: Doctor) -> None:
    """`nft flush ruleset`: found without a change, and back after the fix."""
    before = host.facts
    host.kernel.flush_ruleset()
    flushed = host.facts
    findings = (await doctor.examine()).findings
    assert {finding.subject for finding in findings} == {
        "kernel host",
        "kernel port security",
        f"kernel network {A[:12]}",
    }
    assert all(finding.fixable and "missing or different" in finding.text for finding in findings)
    assert host.facts == flushed
    fixed = await doctor.fix(dry=False)
    assert any(line.startswith("network a00000000000: ") for line in fixed.done)
    assert fixed.findings == ()
    assert host.facts == before


async def test_leftovers_in_the_kernel_are_found(host: MemoryHost, doctor: Doctor) -> None:
    """The daemon died after the record and before the interface."""
    endpoint = host.services.cache.endpoint(A, E1)
    lease = lease_of(host, "10.32.0.2")
    assert endpoint is not None
    assert lease is not None
    await host.services.cache.commit(delete=[endpoint, lease])
    before = host.facts
    finding = await only(doctor)
    assert (finding.subject, finding.text) == ("kernel leftovers", "2 leftovers without a record")
    assert host.facts == before


async def test_what_docker_forgot_is_found_with_its_age(host: MemoryHost, doctor: Doctor) -> None:
    """Missing since the first pass that saw it; taken when it is old enough, and not before."""
    pool = lease_of(host, "10.32.0.2").pool  # type: ignore[union-attr]
    await host.services.ipam.request_address(AddressRequest(pool, Role.ENDPOINT, mac="02::7"))
    await host.services.repair.once()
    began = host.clock.now()
    host.clock.advance(60)
    finding = await only(doctor)
    assert (finding.text, finding.since) == ("lease 10.32.0.3 was given, but no endpoint has it", began)
    assert (await doctor.fix(dry=False)).findings
    assert lease_of(host, "10.32.0.3").state is State.DYNAMIC  # type: ignore[union-attr]
    host.clock.advance(100)
    fixed = await doctor.fix(dry=False)
    assert fixed.findings == ()
    assert "lease 10.32.0.3 released: no endpoint uses it" in fixed.done


async def test_an_endpoint_of_no_container_is_found_with_the_command(host: MemoryHost, doctor: Doctor) -> None:
    """What makes `docker network rm` say "has active endpoints": nobody but a person removes it."""
    host.engine.strays[A] = (EngineEndpoint("f" * 64, "", "db", IPv4Address("10.32.0.7")),)
    finding = await only(doctor)
    assert finding.text == "network web has an endpoint without a container: db, 10.32.0.7"
    assert finding.remedy == "`docker network disconnect -f web db`"
    assert not finding.fixable
    assert (await doctor.fix(dry=False)).findings == (finding,)


async def test_the_endpoint_of_a_container_that_is_starting_is_never_taken(host: MemoryHost, doctor: Doctor) -> None:
    """dockerd lists it at the end of the start: told to fix twice in a second, the endpoint and its address stay."""
    await host.endpoint(A, "f2")
    for _ in range(3):
        assert (await doctor.fix(dry=False)).findings == ()
    assert host.services.endpoint_index.knows("f2".ljust(64, "0"))
    host.clock.advance(61)
    fixed = await doctor.fix(dry=False)
    assert fixed.findings == ()
    assert not host.services.endpoint_index.knows("f2".ljust(64, "0"))


async def test_an_engine_that_does_not_answer_is_a_finding(host: MemoryHost, doctor: Doctor) -> None:
    """What was not looked at is said; the kernel was."""
    host.engine.up = False
    finding = await only(doctor)
    assert (finding.subject, finding.proof) == ("engine", "the engine does not answer")


async def test_what_repair_could_not_do_is_found(host: MemoryHost, doctor: Doctor) -> None:
    """The last pass's findings are passed on, with the time of that look."""
    host.kernel.flush_ruleset()
    host.refusals = [Unavailable("no nftables")] * 9
    await host.services.repair.once()
    host.refusals = []
    findings = (await doctor.examine()).findings
    assert any("could not be repaired: no nftables" in finding.text for finding in findings)


async def test_a_dns_server_that_cannot_be_is_found_until_it_can(host: MemoryHost) -> None:
    """Who has its port, since when, and what to do; told to fix, the doctor ends nobody's program."""
    trouble = "port 53/udp of 169.254.53.53 is in use by process dnsmasq (7)"
    world = World(host.store, host.kernel, host.guard, host.engine, host.clock)
    facts = DaemonFacts("0", 0.0, "", "", "", policy=POLICY)

    async def look() -> DnsServerView:
        return DnsServerView("auto", "mooring", [], [], trouble, "use `bind-interfaces`")

    doctor = operations(host.services, world, facts, dns_server=look).doctor
    began = host.clock.now()
    finding = await only(doctor)
    assert (finding.subject, finding.text, finding.fixable) == ("dns", f"names are not answered: {trouble}", False)
    assert "`bind-interfaces`" in finding.remedy
    host.clock.advance(30)
    (left,) = (await doctor.fix(dry=False)).findings
    assert left.since == began
    trouble = ""
    assert (await doctor.examine()).findings == ()


async def test_a_cluster_that_is_not_reached_is_found(host: MemoryHost) -> None:
    """With the words of the last try; the same finding, also when they change."""
    world = World(host.store, host.kernel, host.guard, host.engine, host.clock)
    operated = operations(host.services, world, DaemonFacts("0", 0.0, "", "", "", policy=POLICY))
    assert (await operated.doctor.examine()).findings == ()
    operated.cluster.unreached = "etcd at https://e cannot be reached"
    finding = await only(operated.doctor)
    assert (finding.subject, finding.proof) == ("cluster", "etcd at https://e cannot be reached")
    host.clock.advance(5)
    operated.cluster.unreached = "no leader"
    assert (await only(operated.doctor)).since == finding.since


async def test_what_a_person_must_see_to_comes_first(host: MemoryHost, doctor: Doctor) -> None:
    """Then what puts itself right, oldest first; each subject once."""
    host.clock.advance(100)
    await fix(host, "10.32.0.9", DB)
    await host.services.cache.commit(delete=[lease_of(host, "10.32.0.2")])  # type: ignore[list-item]
    findings = (await doctor.examine()).findings
    assert [finding.fixable for finding in findings] == [False, True]
    assert "there is no lease for it" in findings[0].text
    assert len({finding.subject for finding in findings}) == len(findings)


async def test_networks_from_before_port_security_are_good_to_know(host: MemoryHost, doctor: Doctor) -> None:
    """One note for all of them, and none for who chose so."""
    assert (await doctor.examine()).notes == ()
    await host.network("chosen", port_security="off")
    assert (await doctor.examine()).notes == ()
    network = host.services.cache.network(A)
    assert network is not None
    await host.services.cache.commit(put=[replace(network, options=replace(network.options, port_security=False))])
    (note,) = (await doctor.examine()).notes
    assert "port security is off in web" in note.text
    assert "port_security=off" in note.remedy
