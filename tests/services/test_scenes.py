"""Who uses a fixed address at the moment."""

from __future__ import annotations

from mooring.core.containers import Container, ContainerEndpoint
from mooring.core.leases import Active, State
from mooring.services.operations.scenes import Scene, in_use
from mooring.services.records.engine_names import EngineNames
from tests.services.samples import DB, START, WEB, leased, sample

HOLDER = "c" * 64


async def test_an_idle_address_says_what_its_holder_does_by_the_engines_word_only() -> None:
    """Without that nothing is said of who runs."""
    host = await sample()
    lease = leased("10.32.0.5", State.FIXED, key="key:db", holders=frozenset({HOLDER}))
    assert in_use(lease, None, Scene(host.cache, host.endpoint_index, START)) == "It is not in use: no endpoint has it."
    container = Container(HOLDER, "db", False, 0.0, {}, (ContainerEndpoint(WEB, "web"),))
    scene = Scene(host.cache, host.endpoint_index, START, EngineNames(containers={HOLDER: container}, asked=True))
    assert in_use(lease, None, scene) == "It is not in use: container db is not running."


async def test_a_container_that_starts_again_and_again_is_not_called_outside_of_its_network() -> None:
    """It runs by the engine's word, and has no address at the moment."""
    host = await sample()
    lease = leased("10.32.0.5", State.FIXED, key="key:db", holders=frozenset({HOLDER}))
    container = Container(HOLDER, "db", True, 0.0, {}, (ContainerEndpoint(WEB, "web"),))
    scene = Scene(host.cache, host.endpoint_index, START, EngineNames(containers={HOLDER: container}, asked=True))
    assert "has no address in that network at the moment: it is starting" in in_use(lease, None, scene)


async def test_an_address_in_use_names_endpoint_container_and_host() -> None:
    """The host by its name, where that is known."""
    host = await sample()
    lease = leased("10.32.0.2", State.FIXED, key="key:db", active=Active(DB, "f" * 32, "boot"))
    container = Container(HOLDER, "db", True, 0.0, {}, (ContainerEndpoint(WEB, "web", endpoint=DB),))
    names = EngineNames(endpoints={DB: (container, container.endpoints[0])}, asked=True, hosts={"f" * 32: "alpha"})
    scene = Scene(host.cache, host.endpoint_index, START + 300, names)
    endpoint = host.cache.endpoint(WEB, DB)
    assert endpoint is not None
    assert f"in use by container db, endpoint {DB[:12]} (attached) on host alpha" in in_use(lease, endpoint, scene)
    assert "on host alpha" in in_use(lease, None, scene)
