"""Ports through the proxy: by label, by driver option, by naming what a port has."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mooring.core.containers import ContainerEndpoint
from mooring.core.docker_requests import ContainerSpec, EndpointConfig
from mooring.core.faults import BadRequest, Conflict, Fault
from mooring.core.intents import Intent
from mooring.core.network_ports import NetworkPort
from mooring.services.containers.admission import Admission
from mooring.services.operations.next_starts import losses, upgrade_costs
from tests.services.holder_hosts import ident
from tests.services.port_hosts import WEB, PortHost

API = (1, 44)
LABEL = "mooring.port"


async def ready(*, typed: bool = True, v6: bool = True) -> tuple[PortHost, NetworkPort]:
    """A network with a port of both families."""
    host = PortHost()
    host.typed = typed
    await host.serve("web", "back", v6=v6)
    return host, await host.port(mac="02:00:00:00:00:0d")


async def create(host: PortHost, spec: ContainerSpec, name: str = "c1") -> Admission | None:
    """A create through the proxy."""
    return await host.keeping.controller.create(name, spec, API)


async def test_each_way_puts_all_of_the_port_into_the_request() -> None:
    """Both addresses and the MAC, and the container holds the port."""
    host, port = await ready()
    plain = host.spec("web", labels={})
    (endpoint,) = plain.endpoints
    ways = (
        host.spec("web", labels={LABEL: "db"}),
        host.spec("web", labels={LABEL: f"x, {port.id}"}),
        replace(plain, endpoints=(replace(endpoint, port="db"),)),
        replace(plain, endpoints=(replace(endpoint, ipv4=str(port.addresses[0])),)),
        replace(plain, endpoints=(replace(endpoint, mac=port.mac.upper()),)),
        replace(plain, mac=port.mac),
    )
    await host.port("x", network="back".ljust(64, "0"))
    for number, spec in enumerate(ways):
        name = f"c{number}"
        admission = await create(host, spec, name)
        assert admission is not None
        grant = admission.grants["web"]
        assert (grant.ipv4, grant.ipv6, grant.mac) == (*port.addresses, port.mac)
        host.engine_creates(name, spec, admission)
        await host.keeping.controller.complete(admission.intent, ident(name))
        assert host.held(name) == [str(each) for each in port.addresses]
        await host.docker_remove(name)
        assert host.held(name) == []
        assert host.addresses(port) == [str(each) for each in port.addresses]
    assert host.services.cache.count(Intent) == 0


@pytest.mark.parametrize(
    ("labels", "endpoint", "fault", "text"),
    [
        ({LABEL: "nope"}, {}, BadRequest, "label mooring.port: there is no port 'nope'"),
        ({}, {"port": "nope"}, BadRequest, "network web has no port 'nope'"),
        ({LABEL: "db"}, {"ipv4": "10.32.0.200"}, Conflict, r"asked for together with 10\.32\.0\.200"),
        ({LABEL: "db"}, {"mac": "02:00:00:00:00:99"}, Conflict, "together with MAC 02:00:00:00:00:99"),
        ({LABEL: "db,two"}, {}, Conflict, "names two ports of network web"),
    ],
)
async def test_what_contradicts_it_is_refused_before_docker_hears_of_it(
    labels: dict[str, str], endpoint: dict[str, str], fault: type[Fault], text: str
) -> None:
    """In one line, and nothing stays."""
    host, _ = await ready()
    await host.port("two")
    before = host.store.records
    spec = replace(host.spec("web", labels=labels), endpoints=(EndpointConfig("web", **endpoint),))
    with pytest.raises(fault, match=text):
        await create(host, spec)
    assert host.store.records == before


async def test_a_port_with_one_family_leaves_the_other_to_docker() -> None:
    """Nothing is kept of that."""
    host, _ = await ready()
    four = await host.port("four", addresses=["10.32.0.44"])
    admission = await create(host, host.spec("web", labels={LABEL: "four"}))
    assert admission is not None
    grant = admission.grants["web"]
    assert (str(grant.ipv4), grant.ipv6, grant.mac) == ("10.32.0.44", None, four.mac)


async def test_a_successor_is_made_while_the_port_is_used_and_starts_after() -> None:
    """As compose recreates a container: the first keeps it until it stops."""
    host, port = await ready()
    await host.docker_create("c1", "web", labels={LABEL: "db"})
    first = await host.run("c1", ip=str(port.addresses[0]), ip6=str(port.addresses[1]), mac=port.mac)
    await host.docker_create("c2", "web", labels={LABEL: "db"})
    with pytest.raises(Conflict, match="in use"):
        await host.run("c2", ip=str(port.addresses[0]), ip6=str(port.addresses[1]), mac=port.mac)
    await host.stop(first)
    await host.docker_remove("c1")
    second = await host.run("c2", ip=str(port.addresses[0]), ip6=str(port.addresses[1]), mac=port.mac)
    assert second.addresses == port.addresses


async def test_where_docker_takes_neither_it_is_refused_at_once() -> None:
    """A connect, in a subnet that Mooring chose, by an old API."""
    host, port = await ready(typed=False)
    host.engine.create(ident("c1"), "c1", ContainerEndpoint("back".ljust(64, "0"), "back"))
    connect = host.keeping.controller.connect
    with pytest.raises(Conflict, match="takes neither its address nor its MAC here"):
        await connect("web", ident("c1"), EndpointConfig("", port="db"), API)
    admission = await connect("web", ident("c1"), EndpointConfig("", port="db"), (1, 54))
    assert admission is not None
    assert next(iter(admission.grants.values())).mac == port.mac


async def test_replicas_of_a_service_cannot_share_a_port() -> None:
    """The second one is told what distinguishes replicas."""
    host, _ = await ready()
    labels = {f"com.docker.compose.{word}": text for word, text in (("project", "p"), ("service", "s"))}
    for number in ("1", "2"):
        mine = {LABEL: "db", "com.docker.compose.container-number": number, **labels}
        if number == "2":
            with pytest.raises(Conflict, match=r"the same mooring\.port as another replica"):
                await host.docker_create("s-2", "web", labels=mine)
        else:
            await host.docker_create("s-1", "web", labels=mine)


async def test_a_host_without_ports_is_asked_nothing() -> None:
    """An address that is named costs the store and the engine no question."""
    host = PortHost()
    await host.serve("web")
    calls = host.engine.calls
    spec = host.spec("web", labels={}, ipv4="10.32.0.9")
    assert await create(host, spec) is None
    assert host.engine.calls == calls
    await host.port(network=WEB)
    assert await create(host, replace(spec, endpoints=(EndpointConfig("web", ipv4="10.32.0.9"),))) is None


async def test_a_container_that_names_its_port_by_option_loses_nothing_at_its_next_start() -> None:
    """Where the IPAM driver is null its configuration has neither address nor MAC, and needs none: no finding."""
    host = PortHost()
    await host.start()
    await host.on_demand()
    host.engine.networks.add(WEB)
    host.engine.version = (1, 41)
    port = await host.port()
    running = await host.run_null("c1", port="db")
    host.engine.create(ident("c1"), "c1", ContainerEndpoint(WEB, "web"))
    host.engine.start(ident("c1"), WEB, running.id, str(running.addresses[0]))
    diagnosis = await host.operated.doctor.examine()
    assert host.held("c1") == [str(port.addresses[0])]
    assert [finding.text for finding in (*diagnosis.findings, *diagnosis.notes)] == []
    assert host.operated.notes() == []
    lease = host.lease(port.addresses[0])
    assert lease is not None
    names = await host.operated.names()
    assert list(losses(lease, host.services.cache, names)) == []
    assert list(upgrade_costs(lease, host.services.cache, names)) == []
