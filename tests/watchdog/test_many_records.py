"""A host with thousands of containers: its start, its passes, the doctor, and every list of the API."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Interface, IPv4Network, ip_address
from typing import Any

import pytest

from mooring.core.containers import Container, ContainerEndpoint, Holder
from mooring.core.datapath import endpoint_facts, host_facts, network_facts
from mooring.core.endpoints import Endpoint, State
from mooring.core.leases import Active, Lease
from mooring.core.leases import State as LeaseState
from mooring.core.networks import Network, NetworkOptions, Segment
from mooring.core.plumbing import plan
from mooring.core.pools import Pool
from mooring.core.port_bindings import PortBinding, Protocol
from mooring.servers.api.door import ApiDoor
from mooring.servers.api.resources import resources
from mooring.services.records.record_cache import RecordCache
from tests.servers.api.asking import ask, ready
from tests.services.samples import START, Sample, sample
from tests.watchdog.probe import assert_short

pytestmark = pytest.mark.slow  # others on the machine would show in what it measures

NETWORKS, EACH = 8, 600
FIRST = int(ip_address("10.64.0.0"))


def full(kind: str, number: int) -> str:
    """An id as Docker's."""
    return f"{kind}{number:08x}".ljust(64, "0")


def networks() -> Iterator[Pool | Network]:
    """Networks with their pools."""
    for where in range(NETWORKS):
        subnet = IPv4Network((FIRST + (where << 12), 20))
        gateway = IPv4Interface((FIRST + (where << 12) + 1, 20))
        yield Pool(
            id=f"x{where}", space="default", subnet=subnet, created=START, network=full("a", where), gateway=gateway.ip
        )
        segments = (Segment(subnet, gateway, "default", f"x{where}"),)
        yield Network(full("a", where), NetworkOptions(), False, segments, (), START)


def containers() -> Iterator[tuple[Container, list[Any]]]:
    """Every container, with its records. Each second one has a fixed address; the first publishes a range for RTP."""
    for number in range(NETWORKS * EACH):
        where, host = divmod(number, EACH)
        ident, endpoint, fixed = full("c", number), full("e", number), number % 2 == 1
        address = IPv4Interface((FIRST + (where << 12) + 2 + host, 20))
        mac = f"02:00:00:{number >> 16:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"
        ports = range(10000, 20001) if number == 0 else range(20001 + number, 20002 + number)
        published = tuple(PortBinding(Protocol.UDP, None, port, address.ip, port) for port in ports)
        lease = Lease(
            space="default", address=address.ip, pool=f"x{where}", since=START, mac=mac, name=f"box{number}",
            state=LeaseState.FIXED if fixed else LeaseState.DYNAMIC, key=f"container:{ident}" if fixed else "",
            holders=frozenset({ident}) if fixed else frozenset(), active=Active(endpoint, "", "") if fixed else None,
        )  # fmt: skip
        place = full("a", where)
        sandbox = f"/run/docker/netns/{number}"
        records: list[Any] = [
            lease, Endpoint(endpoint, place, address, None, mac, START, State.ATTACHED, sandbox, published=published)
        ]  # fmt: skip
        if fixed:
            records.append(Holder(id=ident, engine="engine-1", name=f"box{number}", since=START))
        container_endpoint = ContainerEndpoint(
            place, f"net{where}", address.ip if fixed else None, ipv4=address.ip, mac=mac, endpoint=endpoint
        )
        labels = {"fixed-ip": ""} if fixed else {}
        yield Container(ident, f"box{number}", True, START, labels, (container_endpoint,)), records


async def crowded() -> Sample:
    """The sample host with all of them, in the kernel and the engine, too."""
    made = list(containers())
    host = await sample(*networks(), *(record for _, records in made for record in records))
    for container, _ in made:
        host.engine.create(container.id, container.name, *container.endpoints, labels=container.labels)
        container_endpoint = container.endpoints[0]
        host.engine.start(
            container.id, container_endpoint.network, container_endpoint.endpoint, str(container_endpoint.ipv4)
        )
    host.engine.networks |= {full("a", where) for where in range(NETWORKS)}
    for network in host.cache.every(Network):
        facts = network_facts(network)
        for endpoint in host.endpoint_index.of_network(network.id):
            facts |= endpoint_facts(network, endpoint)
        await host.kernel.apply(plan(facts | host_facts(ipv6=False), ()))
    return host


async def test_a_start_and_its_passes_hold_nothing_up() -> None:
    """Loading, repair on an empty kernel and on a full one, the reconciler, the sweep of leases."""
    host = await crowded()

    async def start() -> None:
        await RecordCache(host.store).load()

    await assert_short(start)
    for work in (host.services.repair.once, host.services.repair.once, host.services.ipam.sweep):
        await assert_short(work)
    assert host.services.keeping is not None
    await assert_short(host.services.keeping.container_reconciler.once)


QUESTIONS = (
    "/v1/status", "/v1/networks", f"/v1/networks/{full('a', 0)}", "/v1/leases", "/v1/leases?fixed=1",
    "/v1/leases?limit=1000", f"/v1/leases?network={full('a', 0)}", "/v1/leases?text=box1", "/v1/leases/10.64.0.2",
    "/v1/explain/10.64.0.2", "/v1/explain/box1", "/v1/explain/nobody", "/v1/pools", "/v1/pools/x0", "/v1/doctor",
)  # fmt: skip


async def test_a_question_to_the_api_holds_nothing_up() -> None:
    """However long its answer is."""
    host = await crowded()
    answering = ApiDoor(resources(host.operations, host.store.backup), ready)()
    for target in QUESTIONS:
        print(target)
        await assert_short(lambda target=target: ask(answering, "GET", target))  # type: ignore[misc]


async def test_a_thousand_networks_hold_nothing_up() -> None:
    """`network ls` and a pass of repair."""
    one = next(record for record in networks() if isinstance(record, Network))
    host = await sample(*(replace(one, id=full("b", number), ipv4=()) for number in range(4000)))

    answering = ApiDoor(resources(host.operations, host.store.backup), ready)()

    async def look() -> None:
        assert (await ask(answering, "GET", "/v1/networks")).status == 200

    await assert_short(look)
    await assert_short(host.services.repair.once)
