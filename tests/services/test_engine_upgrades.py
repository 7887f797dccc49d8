"""What another version of the engine takes from containers, told before the start that does it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import pytest

from mooring.core.faults import Conflict
from mooring.core.findings import Finding
from mooring.core.requests import AddressRequest, Role
from mooring.services.containers.engine_upgrades import NAMED, NAMES
from tests.services.holder_hosts import HolderHost, ident
from tests.services.operators import operate

OLD, NEW = (1, 41), (1, 51)
STRANGE = "02:42:00:00:00:99"  # a MAC that an engine has drawn


async def host_with(
    *containers: str, typed: bool = True, claim: str = "", version: tuple[int, int] = OLD
) -> HolderHost:
    """A host with the network `web` and these containers, made by an engine of the version."""
    host = HolderHost()
    host.typed = typed
    host.engine.version = version
    await host.serve("web")
    if claim:
        await host.set_policy(host.full("web"), claim)
    for name in containers:
        await host.docker_create(name, "web")
    await seen(host)
    return host


async def seen(host: HolderHost) -> None:
    """Repair and the reconciler have looked at the engine."""
    await host.services.repair.once()
    await host.keeping.container_reconciler.once()


async def look(host: HolderHost) -> tuple[tuple[Finding, ...], tuple[Finding, ...]]:
    """Findings and notes of the doctor."""
    found = await operate(host).doctor.examine()
    return found.findings, found.notes


async def ask(host: HolderHost, address: str = "", mac: str = STRANGE, name: str = "") -> str:
    """A container starts: the engine requests an address of the network; which one it gets."""
    pool = host.known(host.full("web")).ipv4[0].pool
    wanted = ip_address(address) if address else None
    return str((await host.services.ipam.request_address(AddressRequest(pool, Role.ENDPOINT, wanted, mac, name))).ip)


@pytest.mark.parametrize(
    ("typed", "claim", "text"),
    [
        (False, "", "Docker 25 to 28, the fixed addresses of containers cache, db of network web would be lost"),
        (True, "", "the MACs of containers cache, db of network web would be lost, but the fixed addresses kept"),
        (True, "holders", "the first start of containers cache, db of network web would be refused (claim=holders)"),
    ],
)
async def test_an_old_engine_is_told_what_an_upgrade_takes(typed: bool, claim: str, text: str) -> None:
    """As a note, which is no finding: nothing is wrong."""
    host = await host_with("db", "cache", typed=typed, claim=claim)
    findings, (note,) = await look(host)
    assert findings == ()
    assert text in note.text
    assert "after such an upgrade" in note.remedy


async def test_many_containers_are_one_line() -> None:
    """With some of their names."""
    host = await host_with(*(f"c{number:02}" for number in range(NAMED + 3)), typed=False)
    _, (note,) = await look(host)
    assert "c00" in note.text
    assert f"c{NAMED:02}" not in note.text
    assert "and 3 more" in note.text


async def test_after_the_upgrade_the_next_start_is_told() -> None:
    """Where the subnet was chosen nothing else than the MAC tells who asks; the remedy names it."""
    host = await host_with("db", typed=False)
    ((address, _),) = host.fixed().items()
    host.engine.version = NEW
    await seen(host)
    (finding,), notes = await look(host)
    assert (finding.fixable, notes) == (False, ())
    assert f"container db will get a different address than {address}" in finding.text
    lease = host.lease(address)
    assert lease is not None
    assert f"--mac-address {lease.mac}" in finding.remedy
    assert await ask(host) != address


async def test_who_has_lost_it_is_told_once() -> None:
    """By what the engine lists: what it will have at the next start is no news."""
    host = await host_with("db", typed=False)
    host.engine.version = NEW
    host.engine.start(ident("db"), host.full("web"), "e1".ljust(64, "0"), await ask(host))
    (finding,), _ = await look(host)
    assert "although" in finding.text
    assert "--mac-address" in finding.text


async def test_an_engine_that_tells_names_loses_nothing() -> None:
    """Its request finds the address by the container's name, although the MAC is another."""
    host = await host_with("db", typed=False)
    host.engine.version = NAMES
    await seen(host)
    assert await look(host) == ((), ())
    assert await ask(host, name="db") in host.fixed()


async def test_what_the_new_engine_has_made_is_as_ever() -> None:
    """Neither note nor finding, and the MAC is the proof, also where the engine tells names."""
    host = await host_with("db", typed=False, version=NEW)
    assert await look(host) == ((), ())
    assert await ask(host, name="db") not in host.fixed()


async def test_a_typed_address_is_kept_and_the_mac_is_a_note() -> None:
    """The configuration names the address."""
    host = await host_with("db")
    ((address, _),) = host.fixed().items()
    host.engine.version = NEW
    await seen(host)
    findings, (note,) = await look(host)
    assert findings == ()
    assert note.text == "the MACs of container db of network web are lost, but the fixed addresses kept"
    assert await ask(host, address) == address


async def test_a_strict_network_asks_nobody_for_a_proof_that_he_cannot_give() -> None:
    """Once Mooring has seen that the engine is a newer one."""
    host = await host_with("db", claim="holders")
    ((address, _),) = host.fixed().items()
    host.engine.version = NEW
    with pytest.raises(Conflict):
        await ask(host, address)
    await seen(host)
    assert (await look(host))[0] == ()
    assert await ask(host, address) == address


async def test_a_strict_network_stays_strict_on_the_engine_of_old() -> None:
    """The MAC is read there, and asked for."""
    host = await host_with("db", claim="holders")
    ((address, _),) = host.fixed().items()
    with pytest.raises(Conflict, match="claim policy is `holders`"):
        await ask(host, address)


async def test_a_downgrade_is_told_where_the_older_engine_has_no_mac() -> None:
    """What was made by the newer one and never looked at has it in its endpoint only; what has it for the whole
    container is found as before."""
    host = await host_with("db", "kept", typed=False, version=NEW)
    container = host.engine._containers[ident("db")]
    endpoints = tuple(replace(endpoint, wanted_mac="") for endpoint in container.endpoints)
    host.engine._containers[ident("db")] = replace(container, endpoints=endpoints)
    host.engine.version = OLD
    await seen(host)
    (finding,), _ = await look(host)
    assert "container db will get a different address" in finding.text


async def test_a_downgraded_strict_network_asks_nobody_either() -> None:
    """The container would never start again."""
    host = await host_with("db", claim="holders", version=NEW)
    ((address, _),) = host.fixed().items()
    host.engine.version = OLD
    await seen(host)
    assert await ask(host, address) == address
