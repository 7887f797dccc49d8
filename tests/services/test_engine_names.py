"""What an engine calls networks and containers."""

from __future__ import annotations

from ipaddress import ip_address

from mooring.core.containers import ContainerEndpoint, EngineNetwork
from mooring.core.filters import NetworkFilter, PoolFilter
from mooring.services.records.engine_names import compose_container_names, compose_network_names, names_told
from mooring.testing.memory_engine import MemoryEngine
from tests.services.samples import ALIEN, DB, WEB, sample


async def test_everything_is_known_by_its_full_id() -> None:
    """Networks of every driver, containers, and which of them has an endpoint."""
    engine = MemoryEngine()
    engine.networks.add("n" * 64)
    engine.names["n" * 64] = "web"
    engine.create("c" * 64, "db", ContainerEndpoint("n" * 64, "web"))
    engine.start("c" * 64, "n" * 64, "e" * 64, "10.32.0.2")
    names = await names_told(engine, {"host-1": "alpha"})
    assert names.heard
    assert names.networks["n" * 64].name == "web"
    found = names.with_endpoint("e" * 64)
    assert found is not None
    assert found.name == "db"
    assert names.with_endpoint("f" * 64) is None
    assert (names.host("host-1"), names.host("f" * 32), names.host("beta")) == ("alpha", "f" * 12, "beta")


async def test_an_engine_that_is_down_leaves_the_reason() -> None:
    """Nothing is raised, and nothing is taken for gone."""
    engine = MemoryEngine()
    engine.up = False
    names = await names_told(engine, {})
    assert (names.why, names.heard, names.containers) == ("the engine does not answer", False, {})
    assert (await names_told(None, {})).heard is False


def test_compose_names_are_read_from_labels() -> None:
    """Of networks the key alone and with the project; of containers the service, too."""
    front = EngineNetwork("x", "shop_front", "mooring", labels={"com.docker.compose.network": "front"})
    assert compose_network_names(front) == ("front",)
    assert compose_network_names(EngineNetwork("x", "web", "mooring")) == ()
    labels = {f"com.docker.compose.{key}": value for key, value in
              (("project", "shop"), ("service", "db"), ("container-number", "1"))}  # fmt: skip
    assert compose_container_names(labels) == ("shop/db/1", "shop/db", "db")
    assert compose_container_names({}) == ()


async def test_rows_and_details_have_the_names() -> None:
    """Networks, pools, leases, endpoints: what the engine says is in them, also where the records have no name."""
    host = await sample()
    host.engine.networks |= {WEB, ALIEN}
    host.engine.names |= {WEB: "web", ALIEN: "alien"}
    host.engine.create("c" * 64, "new-name", ContainerEndpoint(WEB, "web"))
    host.engine.start("c" * 64, WEB, DB, "10.32.0.2", "fd00:32::2")
    names = await host.operations.names()
    looks = host.inspection
    assert [row.name for row in (await looks.networks(NetworkFilter(), names)).rows] == ["web", "alien"]
    detail = looks.network("web", names)
    assert (detail.name, detail.endpoints[0].name, detail.endpoints[0].container) == ("web", "new-name", "c" * 64)
    assert [row.network_name for row in (await looks.pools(PoolFilter(), names)).rows] == ["web", "web", ""]
    (row, _) = looks.lease(ip_address("10.32.0.2"), names)
    assert (row.network_name, row.container, row.name, row.holder) == (
        "web",
        "c" * 64,
        "new-name",
        "container new-name",
    )
