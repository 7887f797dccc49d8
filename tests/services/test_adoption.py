"""What an engine tells of containers, taken into the records."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address

import msgspec
import pytest

from mooring.core.claims import Claim, claimed, started
from mooring.core.containers import Container, ContainerEndpoint
from mooring.core.leases import Active, Lease, State
from mooring.core.pools import Pool
from tests.services.holder_hosts import ENGINE, HolderHost, ident

LABEL = {"fixed-ip": ""}
COMPOSE = {"project": "shop", "service": "web", "container-number": "1"}


async def host_with(*networks: str, v6: bool = False, **raw: str) -> HolderHost:
    """A host that serves these networks."""
    host = HolderHost()
    await host.serve(*networks, v6=v6, **raw)
    return host


async def adopt(host: HolderHost, name: str) -> list[str]:
    """The watcher or the reconciler looks at the container."""
    container = await host.engine.container(ident(name))
    assert container is not None
    return await host.keeping.adoption.adopt(ENGINE, container)


async def test_a_running_labelled_container_keeps_the_address_that_it_has() -> None:
    """It was dynamic and is fixed and in use, also after the container stopped."""
    host = await host_with("web")
    await host.endpoint(host.full("web"), "db")
    address = str(host.services.endpoint_index.of_network(host.full("web"))[0].addresses[0])
    host.engine.create(ident("db"), "db", ContainerEndpoint(host.full("web"), "web"), labels=LABEL)
    host.engine.start(ident("db"), host.full("web"), "db".ljust(64, "0"), address)
    assert await adopt(host, "db") == []
    lease = host.lease(address)
    assert lease is not None
    assert (lease.state, lease.holders) == (State.FIXED, frozenset({ident("db")}))
    assert lease.active is not None
    await host.services.endpoints.delete(host.full("web"), "db".ljust(64, "0"))
    assert host.fixed() == {address: frozenset({"db"})}
    assert await adopt(host, "db") == []


async def test_an_address_that_a_label_and_a_configuration_name_is_fixed_before_the_first_start() -> None:
    """Made at the raw socket with --ip."""
    host = await host_with("web")
    endpoint = ContainerEndpoint(host.full("web"), "web", wanted4=ip_address("10.32.0.9"))  # type: ignore[arg-type]
    host.engine.create(ident("db"), "db", endpoint, labels=LABEL)
    assert await adopt(host, "db") == []
    assert host.fixed() == {"10.32.0.9": frozenset({"db"})}


async def test_an_unlabelled_container_that_names_a_fixed_address_is_one_of_its_holders() -> None:
    """And one that names another address is not."""
    host = await host_with("web")
    await host.docker_create("db", "web")
    (address,) = host.fixed()
    for name, wanted in (("heir", address), ("other", "10.32.0.200")):
        endpoint = ContainerEndpoint(host.full("web"), "web", wanted4=ip_address(wanted))  # type: ignore[arg-type]
        host.engine.create(ident(name), name, endpoint)
        await adopt(host, name)
    assert host.fixed() == {address: frozenset({"db", "heir"})}


async def test_an_address_of_somebody_else_is_not_taken_and_told() -> None:
    """The finding names container, address and holder, and says what to do."""
    host = await host_with("web")
    await host.endpoint(host.full("web"), "old")
    address = host.services.endpoint_index.of_network(host.full("web"))[0].addresses[0]
    endpoint = ContainerEndpoint(host.full("web"), "web", wanted4=address)  # type: ignore[arg-type]
    host.engine.create(ident("db"), "db", endpoint, labels=LABEL)
    (finding,) = await adopt(host, "db")
    assert "db" in finding
    assert str(address) in finding
    assert host.fixed() == {}


async def test_a_second_address_is_not_fixed_beside_the_one_that_is() -> None:
    """An engine that does not say who asks gave it another one: that is told."""
    host = await host_with("web")
    await host.docker_create("db", "web")
    (fixed,) = host.fixed()
    await host.endpoint(host.full("web"), "ep")
    address = str(host.services.endpoint_index.of_network(host.full("web"))[0].addresses[0])
    assert address != fixed
    container = await host.engine.container(ident("db"))
    assert container is not None
    (endpoint,) = container.endpoints
    there = replace(endpoint, wanted4=None, ipv4=ip_address(address), endpoint="ep".ljust(64, "0"))  # type: ignore[arg-type]
    (finding,) = await host.keeping.adoption.adopt(ENGINE, replace(container, running=True, endpoints=(there,)))
    assert fixed in finding
    assert host.fixed() == {fixed: frozenset({"db"})}


async def given_another(host: HolderHost, mac: str) -> tuple[str, Container]:
    """Container db, which holds an address, runs with another one and this MAC; that address, and the container."""
    await host.endpoint(host.full("web"), "ep")
    address = str(host.services.endpoint_index.of_network(host.full("web"))[0].addresses[0])
    container = await host.engine.container(ident("db"))
    assert container is not None
    (endpoint,) = container.endpoints
    there = replace(endpoint, wanted4=None, ipv4=ip_address(address), endpoint="ep".ljust(64, "0"), mac=mac)  # type: ignore[arg-type]
    return address, replace(container, running=True, endpoints=(there,))


async def test_what_was_really_given_is_fixed_instead_of_what_nobody_can_prove() -> None:
    """No MAC could be said, as in a connect before 1.54: each start gives another address, and one is held."""
    host = await host_with("web")
    await host.docker_create("db", "web")
    (fixed,) = host.fixed()
    lease = host.lease(fixed)
    assert lease is not None
    await host.services.cache.commit(put=[msgspec.structs.replace(lease, mac="")])
    address, running = await given_another(host, "02:42:99:99:99:99")
    assert await host.keeping.adoption.adopt(ENGINE, running) == []
    assert host.fixed() == {address: frozenset({"db"})}
    assert await host.keeping.adoption.adopt(ENGINE, running) == []
    ((told, remedy),) = host.keeping.adoption.unproven(running)
    assert remedy == "`mooring fix db` writes it into the configuration"
    pools = [msgspec.structs.replace(pool, source="default4") for pool in host.services.cache.every(Pool)]
    await host.services.cache.commit(put=pools)
    ((_, remedy),) = host.keeping.adoption.unproven(running)
    assert remedy.startswith("recreate it through the proxy")
    assert "db" in told
    assert address in told


async def test_who_asked_with_the_mac_and_got_another_address_keeps_its_own() -> None:
    """A predecessor used it at that moment."""
    host = await host_with("web")
    await host.docker_create("db", "web")
    (fixed,) = host.fixed()
    lease = host.lease(fixed)
    assert lease is not None
    address, running = await given_another(host, lease.mac)
    (finding,) = await host.keeping.adoption.adopt(ENGINE, running)
    assert address in finding
    assert host.fixed() == {fixed: frozenset({"db"})}
    assert host.keeping.adoption.unproven(running) == []


async def test_two_fixed_addresses_from_an_earlier_version_become_the_one_that_is_used() -> None:
    """Which claimed one at each connect, whatever became of it."""
    host = await host_with("web")
    await host.docker_create("db", "web")
    address, running = await given_another(host, "02:42:99:99:99:99")
    cache = host.services.cache
    lease = host.lease(address)
    assert lease is not None
    claim = Claim(key=f"container:{ident('db')}", holder=ident("db"))
    second = claimed(lease, lease, claim, 1.0)
    await cache.commit(put=[started(second, Active("ep".ljust(64, "0"), "host", "boot"))])
    assert len(host.fixed()) == 2
    assert await host.keeping.adoption.adopt(ENGINE, running) == []
    assert host.fixed() == {address: frozenset({"db"})}


async def test_a_container_that_names_another_address_has_that_one_only() -> None:
    """It was disconnected and connected with --ip while nobody looked."""
    host = await host_with("web")
    await host.docker_create("db", "web")
    container = await host.engine.container(ident("db"))
    assert container is not None
    endpoint = replace(container.endpoints[0], wanted4=ip_address("10.32.0.99"))  # type: ignore[arg-type]
    assert await host.keeping.adoption.adopt(ENGINE, replace(container, endpoints=(endpoint,))) == []
    assert host.fixed() == {"10.32.0.99": frozenset({"db"})}


async def test_a_renamed_container_is_seen_under_its_new_name() -> None:
    """Its key stays: the name belongs to the address."""
    host = await host_with("web", sticky="name")
    await host.docker_create("db", "web", labels={})
    host.engine.rename(ident("db"), "old-db")
    await adopt(host, "db")
    holder = host.services.cache.holder(ident("db"))
    assert holder is not None
    assert holder.name == "old-db"
    (address,) = host.fixed()
    lease = host.lease(address)
    assert lease is not None
    assert lease.key == "name:db"


@pytest.mark.parametrize("labels", [{}, {"fixed-ip": "0"}])
async def test_who_asks_for_nothing_gets_nothing_fixed(labels: dict[str, str]) -> None:
    """Its address stays dynamic."""
    host = await host_with("web")
    await host.endpoint(host.full("web"), "db")
    address = str(host.services.endpoint_index.of_network(host.full("web"))[0].addresses[0])
    host.engine.create(ident("db"), "db", ContainerEndpoint(host.full("web"), "web"), labels=labels)
    host.engine.start(ident("db"), host.full("web"), "db".ljust(64, "0"), address)
    assert await adopt(host, "db") == []
    assert host.fixed() == {}


async def test_what_an_earlier_version_fixed_for_a_container_of_compose_belongs_to_its_service_now() -> None:
    """So that the container which takes its place has the address; not when the service has another one already."""
    host = await host_with("web")
    labels = {f"com.docker.compose.{key}": value for key, value in COMPOSE.items()} | LABEL
    for name, key in (("one", f"container:{ident('one')}"), ("two", f"container:{ident('two')}")):
        (grant,) = await host.made(name, host.fixed_spec(host.full("web"), key))
        assert grant.ipv4 is not None
        endpoint = ContainerEndpoint(host.full("web"), "web", wanted4=grant.ipv4)
        host.engine.create(ident(name), name, endpoint, labels=labels)
        assert await adopt(host, name) == []
    keys = [lease.key for lease in host.services.cache.every(Lease) if lease.state is State.FIXED]
    assert keys == ["compose:shop/web/1", f"container:{ident('two')}"]
