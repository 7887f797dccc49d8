"""Network namespaces that are no container's, and that somebody has attached to a network.

Rules: the endpoint of one bears in its id what it is, and so does its interface on the host: a store that is lost does
not make a container's of it; the id follows from network and namespace, so that attaching twice is once; such an
endpoint lives as long as its interface, and no engine has a say in it.
"""

from __future__ import annotations

from collections.abc import Iterable
from hashlib import sha256
from ipaddress import ip_address, ip_interface, ip_network

from mooring.core.endpoints import Endpoint
from mooring.core.namespace_views import NamespaceInterface, NamespaceView, NamespaceWay
from mooring.core.sandboxes import NamespaceAddress, NamespaceFact, NamespaceLink, NamespaceRoute

# No id of an engine's has a `-`.
_PREFIX = "ns-"


def endpoint_of(network: str, identity: str) -> str:
    """Id of the endpoint by which the namespace is in the network (full id). identity: see ports.Namespaces."""
    return _PREFIX + sha256(f"{network} {identity}".encode()).hexdigest()[:48]


def is_namespaces(endpoint: str) -> bool:
    """Whether the endpoint with the id is an attached namespace's."""
    return endpoint.startswith(_PREFIX)


def sandbox_key(identity: str) -> str:
    """What the endpoints of the namespace have as their sandbox."""
    return f"namespace:{identity}"


def namespace_name(endpoint: Endpoint) -> str:
    """The namespace for a sentence. Its name is not known when a lost store was read from the kernel."""
    return f"namespace {endpoint.name or endpoint.id[:12]}"


def described(facts: Iterable[NamespaceFact]) -> tuple[list[NamespaceInterface], list[NamespaceWay]]:
    """The facts as the API has them."""
    facts = sorted(facts, key=lambda fact: fact.key)
    interfaces = [
        NamespaceInterface(
            link.endpoint, link.name, link.source, link.mac, link.ipv6,
            [str(each.interface) for each in facts if isinstance(each, NamespaceAddress) and each.link == link.name],
        )
        for link in facts
        if isinstance(link, NamespaceLink)
    ]  # fmt: skip
    ways = [
        NamespaceWay(str(route.destination), str(route.via or ""), route.link)
        for route in facts
        if isinstance(route, NamespaceRoute)
    ]
    return interfaces, ways


def facts_of(view: NamespaceView) -> frozenset[NamespaceFact]:
    """What the namespace is to have, as facts."""
    facts: set[NamespaceFact] = set()
    for each in view.interfaces:
        facts.add(NamespaceLink(each.endpoint, each.name, each.source, each.mac, each.ipv6, returns=False))
        facts |= {NamespaceAddress(each.name, ip_interface(text)) for text in each.addresses}
    for way in view.routes:
        facts.add(NamespaceRoute(ip_network(way.destination), ip_address(way.via) if way.via else None, way.link))
    return frozenset(facts)
