"""What must hold in a house whenever nobody works in it, found out the naive way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from mooring.core.datapath import host_end
from mooring.core.endpoints import Endpoint
from mooring.core.leases import Lease
from mooring.core.leases import State as LeaseState
from mooring.core.networks import OUR_IPAM, Network
from mooring.core.plumbing import Bridge, Veth
from mooring.core.sandboxes import Kind, NamespaceAddress, NamespaceLink, NamespaceRoute, Sandbox
from mooring.services.sandboxes.library import Library
from tests.library.houses import House


def seen_as_model(library: Library) -> object:
    """The names, places and paths of the records, as naive.Model.visible has them."""
    cache = library.cache
    names = {sandbox.key: sandbox.name for sandbox in cache.every(Sandbox)}
    return (
        {network.name for network in cache.every(Network)},
        {e.name: (names.get(e.sandbox, e.sandbox), e.priority) for e in cache.every(Endpoint)},
        {s.name: s.path if s.kind is Kind.EXTERNAL else "" for s in cache.every(Sandbox)},
    )


async def check(house: House) -> list[str]:
    """What is wrong, a line each."""
    wrong = [*_addresses(house), *_leases(house), *_kernel(house), *_far(house), *_ports(house)]
    for sandbox in house.library.cache.every(Sandbox):
        wrong += await _inside(house, sandbox)
    made = {sandbox.path for sandbox in house.library.cache.every(Sandbox) if sandbox.kind is Kind.OWN}
    if set((await house.namespaces.made()).values()) != made:
        wrong.append("there are namespaces without a sandbox, or the other way round")
    if len(house.library.provisioning._locks):
        wrong.append("somebody holds a lock")
    wrong += [f"endpoint {each.name}: {each.pending}" for each in house.library.cache.every(Endpoint) if each.pending]
    wrong += [f"network {each.name}: {each.pending}" for each in house.library.cache.every(Network) if each.pending]
    return wrong


def _network(library: Library, endpoint: Endpoint) -> Network:
    network = library.cache.network(endpoint.network)
    assert network is not None, f"endpoint {endpoint.name} has no network"
    return network


def _addresses(house: House) -> Iterator[str]:
    """Unique in a network, and inside its subnets."""
    given: set[tuple[str, object]] = set()
    for endpoint in house.library.cache.every(Endpoint):
        network = _network(house.library, endpoint)
        gateways = {segment.gateway.ip for segment in network.segments if segment.gateway is not None}
        for address in endpoint.addresses:
            if (network.id, address) in given or address in gateways or network.segment_of(address) is None:
                yield f"endpoint {endpoint.name} has the address {address}, which it must not have"
            given.add((network.id, address))


def _leases(house: House) -> Iterator[str]:
    """Whatever does not cool belongs to a living endpoint or to a gateway."""
    cache = house.library.cache
    networks = [network for network in cache.every(Network) if network.ipam == OUR_IPAM]
    wanted = {("gateway", s.gateway.ip) for network in networks for s in network.segments if s.gateway is not None}
    wanted |= {
        ("dynamic", address)
        for endpoint in cache.every(Endpoint)
        if _network(house.library, endpoint).ipam == OUR_IPAM
        for address in endpoint.addresses
    }
    held = {(each.state.value, each.address) for each in cache.every(Lease) if each.state is not LeaseState.COOLING}
    yield from (f"lease {lease} is not as the endpoints are" for lease in wanted ^ held)


def _kernel(house: House) -> Iterator[str]:
    """A bridge for each network, and a veth pair for each endpoint that is in a sandbox, and no other."""
    cache = house.library.cache
    bridges = {network.bridge for network in cache.every(Network) if network.bridged}
    seen = {fact.name for fact in house.kernel.facts.values() if isinstance(fact, Bridge)}
    yield from (f"bridge {name} is not as the networks are" for name in bridges ^ seen)
    there = {fact.name for fact in house.kernel.facts.values() if isinstance(fact, Veth)}
    told = {sandbox.key for sandbox in cache.every(Sandbox) if sandbox.path}
    connected = {e.id: e for e in cache.every(Endpoint) if e.sandbox and _network(house.library, e).bridged}
    may = {host_end(ident) for ident in connected}
    must = {host_end(ident) for ident, endpoint in connected.items() if endpoint.sandbox in told}
    yield from (f"veth {name} has no endpoint" for name in there - may)
    yield from (f"veth {name} is missing" for name in must - there)


def _far(house: House) -> Iterator[str]:
    """The other driver's books are as ours."""
    cache, far = house.library.cache, house.far
    networks = {network.id for network in cache.every(Network) if network.driver == "far"}
    endpoints = {e.id: e for e in cache.every(Endpoint) if e.network in networks}
    if (set(far.networks), set(far.endpoints)) != (networks, {*endpoints}):
        yield "the far driver has other networks or endpoints"
    told = {sandbox.key for sandbox in cache.every(Sandbox) if sandbox.path}
    joined = {ident: endpoint.sandbox for ident, endpoint in endpoints.items() if endpoint.sandbox}
    # The key that it was told is that of the join: nobody tells it when `set_key` says another.
    if not {ident for ident, key in joined.items() if key in told} <= {*far.joined} <= {*joined}:
        yield f"the far driver has other endpoints in sandboxes: {far.joined}, not {joined}"


def _ports(house: House) -> Iterator[str]:
    """Host ports are held for what is published, and only the gateway of a sandbox publishes."""
    published = [p for endpoint in house.library.cache.every(Endpoint) for p in endpoint.published]
    held = {(port, host.version) for _, host, port in house.guard.held}
    if held != {(p.host_port, p.target.version) for p in published}:
        yield f"ports are held: {held}, for {published}"
    for sandbox in house.library.cache.every(Sandbox):
        members = ordered(house.library, sandbox)
        publisher = first(members, 4) or first(members, 6)
        for endpoint in members:
            network = _network(house.library, endpoint)
            wanted = (
                endpoint is publisher and bool(sandbox.ports) and bool(sandbox.path) and sandbox.kind is not Kind.HOST
            )
            if network.bridged and bool(endpoint.published) != wanted:
                yield f"endpoint {endpoint.name} publishes {endpoint.published}"
            if network.driver == "far" and (endpoint.id in house.far.published) != wanted:
                yield f"the far driver publishes {endpoint.name}, or does not"


async def _inside(house: House, sandbox: Sandbox) -> list[str]:
    """Interfaces and addresses of its endpoints are in the namespace, nobody else's, and the right default routes."""
    if not sandbox.path or sandbox.kind is Kind.HOST:
        return []
    members = [m for m in ordered(house.library, sandbox) if m.attachment is not None and m.attachment.link]
    namespace_state = await house.namespaces.observe(sandbox.path)
    links = {(f.endpoint, f.name) for f in namespace_state.facts if isinstance(f, NamespaceLink)}
    addresses = {(f.link, str(f.interface)) for f in namespace_state.facts if isinstance(f, NamespaceAddress)}
    wanted = {(f"{m.network}/{m.id}", m.interface) for m in members}
    given = {(m.interface, str(each)) for m in members for each in (m.ipv4, m.ipv6) if each is not None}
    wrong = [f"{sandbox.name} has the interfaces {links}, not {wanted}"] if links != wanted else []
    wrong += [f"{sandbox.name} has the addresses {addresses}, not {given}"] if addresses != given else []
    wrong += (
        [f"{sandbox.name} has {namespace_state.names}"]
        if namespace_state.names != {"lo", *(m.interface for m in members)}
        else []
    )
    for version in (4, 6):
        routes = [
            (f.link, f.via)
            for f in namespace_state.facts
            if isinstance(f, NamespaceRoute) and f.destination.prefixlen == 0 and f.destination.version == version
        ]
        way = first(members, version)
        if routes != ([(way.interface, hop(way, version))] if way is not None else []):
            wrong.append(f"{sandbox.name} has the IPv{version} routes {routes}")
    if sandbox.path not in house.resolver.served:
        wrong.append(f"nobody answers names in {sandbox.name}")
    return wrong


def hop(endpoint: Endpoint, version: int) -> object:
    """The way out that the endpoint offers in the family, None for none."""
    return endpoint.attachment.gateway(version) if endpoint.attachment is not None else None


def ordered(library: Library, sandbox: Sandbox) -> Sequence[Endpoint]:
    """The endpoints in the sandbox, that which should be its gateway first."""

    def rank(endpoint: Endpoint) -> tuple[int, bool, int, str, str, str]:
        network = _network(library, endpoint)
        hops = sum(hop(endpoint, version) is not None for version in (4, 6))
        return -endpoint.priority, network.internal, -hops, network.name, network.id, endpoint.id

    every = library.cache.every(Endpoint)
    return sorted((endpoint for endpoint in every if endpoint.sandbox == sandbox.key), key=rank)


def first(members: Sequence[Endpoint], version: int) -> Endpoint | None:
    """Who has the default route."""
    return next((endpoint for endpoint in members if hop(endpoint, version) is not None), None)
