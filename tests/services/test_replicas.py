"""Two replicas of a compose service with one key: refused at create, where nothing else can be meant."""

from __future__ import annotations

import pytest

from mooring.core.containers import ContainerEndpoint
from mooring.core.faults import Conflict
from mooring.core.keys import compose_replica
from mooring.services.containers.replicas import refuse_replicas
from tests.services.holder_hosts import HolderHost, ident


def labels(number: int, service: str = "web", once: str = "False") -> dict[str, str]:
    """As compose writes them."""
    values = {"project": "shop", "service": service, "container-number": str(number), "oneoff": once}
    return {f"com.docker.compose.{name}": value for name, value in values.items()} | {"mooring.key": "k"}


def test_compose_says_which_replica_a_container_is() -> None:
    """Of those that are to stay."""
    assert compose_replica(labels(2)) == ("shop/web", "2")
    assert compose_replica(labels(2, once="True")) == ("", "")
    assert compose_replica({}) == ("", "")


async def test_another_number_is_another_replica_and_the_same_one_a_successor() -> None:
    """A service of another name, or a container that compose did not make, may take over."""
    host = HolderHost()
    await host.start()
    network = await host.network("web")
    fixed_spec = host.fixed_spec(network, "key:k")
    host.engine.create(ident("first"), "shop-web-1", ContainerEndpoint(network, "web"), labels=labels(1))
    (grant,) = await host.made("first", fixed_spec)
    fixed_index = host.services.ipam.fixed_index
    with pytest.raises(Conflict, match=rf"replica 2 of service shop/web.*shop-web-1, which has {grant.ipv4}"):
        await refuse_replicas(host.engine, fixed_index, labels(2), [fixed_spec])
    for others in (labels(1), labels(2, "db"), labels(2, once="True"), {"mooring.key": "k"}):
        await refuse_replicas(host.engine, fixed_index, others, [fixed_spec])
    await host.services.holders.release_all(ident("first"))
    await refuse_replicas(host.engine, fixed_index, labels(2), [fixed_spec])
