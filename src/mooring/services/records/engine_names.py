"""What an engine calls networks and containers: asked when a person asks, and never kept.

Rules: an engine that does not answer leaves ids and the reason, and holds nobody up for long; a name says nothing about
who holds what, which is in the records.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from mooring.core.containers import Container, ContainerEndpoint, EngineNetwork
from mooring.core.faults import Fault
from mooring.core.networks import Network
from mooring.ports import Engine

# Seconds that the engine has: the person who asks is answered from the records then.
PATIENCE = 3.0
UNASKED = "Docker cannot be reached, so container names and states are missing here"

_PROJECT, _SERVICE, _NUMBER = (f"com.docker.compose.{each}" for each in ("project", "service", "container-number"))
_NETWORK = "com.docker.compose.network"


@dataclass(frozen=True, slots=True)
class EngineNames:
    """What the engine told at one moment, by full ids. why: why it told nothing, "" when it did; asked: whether there
    is an engine that was asked. version: of its API. hosts: names of hosts by their ids in leases."""

    networks: Mapping[str, EngineNetwork] = field(default_factory=dict)
    containers: Mapping[str, Container] = field(default_factory=dict)
    endpoints: Mapping[str, tuple[Container, ContainerEndpoint]] = field(default_factory=dict)
    why: str = ""
    asked: bool = False
    version: tuple[int, int] = (0, 0)
    hosts: Mapping[str, str] = field(default_factory=dict)

    @property
    def heard(self) -> bool:
        """Whether what is missing here is missing at the engine, too."""
        return self.asked and not self.why

    def of_network(self, network: Network) -> str:
        """The network's name, "" when nobody said it."""
        told = self.networks.get(network.id)
        return network.name or (told.name if told is not None and told.name != network.id else "")

    def words(self, network: Network) -> str:
        """The network for a sentence: its name, and the beginning of its id."""
        name = self.of_network(network)
        return f"{name} ({network.id[:12]})" if name else network.id[:12]

    def place(self, network: Network) -> str:
        """The network for a sentence, with its bridge."""
        name, ident = self.of_network(network), network.id[:12]
        return f"{name} ({ident}, bridge {network.bridge})" if name else f"{ident} (bridge {network.bridge})"

    def with_endpoint(self, endpoint: str) -> Container | None:
        """The container that has the endpoint (full id) now."""
        found = self.endpoints.get(endpoint)
        return found[0] if found is not None else None

    def host(self, ident: str) -> str:
        """The host for a sentence."""
        return self.hosts.get(ident) or (ident[:12] if len(ident) > 20 else ident)


NOBODY_ASKED = EngineNames()


async def names_told(engine: Engine | None, hosts: Mapping[str, str]) -> EngineNames:
    """What the engine calls everything now; engine: None where there is none. Raises no Fault."""
    if engine is None:
        return EngineNames(hosts=hosts)
    try:
        async with asyncio.timeout(PATIENCE) as patience:
            networks = await engine.all_networks()
            _, containers = await engine.containers()
            version = await engine.api_version()
    except Fault as fault:
        return EngineNames(why=str(fault), asked=True, hosts=hosts)
    except TimeoutError:
        if not patience.expired():
            raise
        return EngineNames(why=f"it did not answer within {PATIENCE:g} s", asked=True, hosts=hosts)
    return EngineNames(
        {network.id: network for network in networks},
        {container.id: container for container in containers},
        {
            container_endpoint.endpoint: (each, container_endpoint)
            for each in containers
            for container_endpoint in each.endpoints
            if container_endpoint.endpoint
        },
        asked=True,
        version=version,
        hosts=hosts,
    )


def compose_network_names(network: EngineNetwork) -> tuple[str, ...]:
    """What compose calls the network: its key in the file, alone and with the project; nothing for others."""
    key, project = network.labels.get(_NETWORK, ""), network.labels.get(_PROJECT, "")
    return (key, *((f"{project}/{key}", f"{project}_{key}") if project else ())) if key else ()


def compose_container_names(labels: Mapping[str, str]) -> tuple[str, ...]:
    """What compose calls the container: project/service/number, project/service, service; nothing for others."""
    project, service, number = (labels.get(each, "") for each in (_PROJECT, _SERVICE, _NUMBER))
    if not project or not service:
        return ()
    return (*((f"{project}/{service}/{number}",) if number else ()), f"{project}/{service}", service)
