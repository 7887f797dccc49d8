"""Network ports as people see them."""

from __future__ import annotations

import msgspec
import pytest

from mooring.core.containers import ContainerEndpoint
from mooring.core.faults import BadRequest, NotFound
from mooring.core.filters import PortFilter
from mooring.core.network_ports import PortState
from tests.services.holder_hosts import ident
from tests.services.port_hosts import WEB, PortHost


async def ready() -> PortHost:
    """Networks web and back, with ports a and b in web and c in back; a is in use."""
    host = PortHost()
    await host.serve("web", "back")
    for number, (name, network) in enumerate((("b", "web"), ("a", "web"), ("c", "back"))):
        await host.port(name, network.ljust(64, "0"), mac=f"02:00:00:00:00:0{number}")
    await host.run("c1", mac="02:00:00:00:00:01")
    return host


async def names(host: PortHost, **query: object) -> list[str]:
    """Of those that match."""
    page = await host.operated.network_port_rows.page(PortFilter(**query))  # type: ignore[arg-type]
    return [row.name for row in page.rows]


async def test_filters_and_order() -> None:
    """By network and name."""
    host = await ready()
    assert await names(host) == ["c", "a", "b"]
    assert await names(host, network=WEB) == ["a", "b"]
    assert await names(host, network="back") == ["c"]
    assert await names(host, state=PortState.ACTIVE) == ["a"]
    assert await names(host, state=PortState.DOWN, name="b") == ["b"]
    assert await names(host, mac="02:00:00:00:00:02") == ["c"]
    assert await names(host, tenant="default") == ["c", "a", "b"]
    assert await names(host, tenant="red") == []
    address = host.row(await host.port("d")).addresses[0]
    assert await names(host, address=address) == ["d"]
    with pytest.raises(BadRequest):
        await names(host, address="x")
    await host.serve("empty")
    assert await names(host, network="empty".ljust(64, "0")) == []
    with pytest.raises(NotFound, match="no network 'nope'"):
        await names(host, network="nope")


async def test_a_detail_names_who_has_it_and_who_will() -> None:
    """By the name that the engine has; holders that do not run too."""
    host = await ready()
    await host.docker_create("later", "web", labels={"mooring.port": "a"})
    endpoint = host.services.endpoint_index.of_network(WEB)[0]
    host.engine.create(ident("now"), "now", ContainerEndpoint(WEB, "web"))
    host.engine.start(ident("now"), WEB, endpoint.id, str(endpoint.addresses[0]))
    rows, told = host.operated.network_port_rows, await host.operated.names()
    detail = rows.detail("a", told)
    assert (detail.port.state, detail.port.container) == ("ACTIVE", "now")
    assert detail.holders == ["container later"]
    assert detail.endpoint is not None
    assert (detail.endpoint.id, detail.endpoint.mac) == (endpoint.id, "02:00:00:00:00:01")
    assert detail.options == f"--ip {endpoint.addresses[0]} --mac-address 02:00:00:00:00:01"
    assert rows.detail("b").endpoint is None
    with pytest.raises(NotFound):
        rows.detail("x")


async def test_a_port_of_a_chosen_subnet_is_asked_for_by_its_mac() -> None:
    """Docker before 29.1 takes no address by name there."""
    host = await ready()
    pools = [host.services.cache.pool(each.pool) for each in host.known(WEB).segments]
    chosen = [msgspec.structs.replace(pool, source="default4") for pool in pools if pool is not None]
    await host.services.cache.commit(put=chosen)
    assert host.operated.network_port_rows.detail("a").options == "--mac-address 02:00:00:00:00:01"


async def test_a_label_that_came_past_the_proxy_is_found() -> None:
    """And one that had its effect is not."""
    host = await ready()
    for name, address in (("past", "10.32.0.99"), ("good", host.row(await host.port("e")).addresses[0])):
        label = "b" if name == "past" else "e"
        host.engine.create(ident(name), name, ContainerEndpoint(WEB, "web"), labels={"mooring.port": label})
        host.engine.start(ident(name), WEB, name.ljust(64, "0"), address)
    found = [each for each in (await host.operated.doctor.examine()).findings if each.subject.startswith("port-label")]
    assert len(found) == 1
    assert "container past has the label mooring.port=b, and 10.32.0.99 instead of port b" in found[0].text
