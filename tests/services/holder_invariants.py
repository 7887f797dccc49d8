"""What is true of holders and their addresses, whatever happened before."""

from __future__ import annotations

from collections.abc import Mapping

from mooring.core.containers import Container, ContainerEndpoint, Holder
from mooring.core.docker_requests import ContainerSpec
from mooring.core.intents import Intent, placeholder
from mooring.core.keys import key_of
from mooring.core.leases import Lease, State
from mooring.core.networks import Address
from mooring.services.containers.admission import Admission
from tests.services.holder_houses import HolderHouse


def check_grants(
    house: HolderHouse, name: str, spec: ContainerSpec, admission: Admission | None, before: Mapping[Address, Lease]
) -> None:
    """What was chosen for a container was free, or its key's or its MAC's already; what it names it gets."""
    for endpoint in spec.endpoints if admission is not None else ():
        grant = admission.grants.get(endpoint.network) if admission is not None else None
        if grant is None or admission is None:
            continue
        sticky = house.known(grant.network).options.sticky
        key = key_of(spec.labels, name, sticky, placeholder(admission.intent.id))
        for address, text in ((grant.ipv4, endpoint.ipv4), (grant.ipv6, endpoint.ipv6)):
            assert not text or str(address) == text
            lease = before.get(address) if address is not None and not text else None
            if lease is not None:
                mine = lease.key == key or (bool(endpoint.mac) and endpoint.mac == lease.mac)
                assert lease.state is State.COOLING or (lease.state is State.FIXED and mine), (lease, spec)


def check_start(house: HolderHouse, container: Container, held: Mapping[Address, Lease]) -> None:
    """A container that has started has what it names, and who held one address of a family and proved it, has that,
    unless another of the same key runs with it. container: as it was before; held: what it held then."""
    network_of = house.services.ipam.fixed_index.network_of
    others = [other for other in house.containers if other.running and other.id != container.id]
    in_use = {address for other in others for endpoint in other.endpoints for address in endpoint.held}
    for now, endpoint in zip(house.engine._containers[container.id].endpoints, container.endpoints, strict=True):
        assert now.held
        for address in now.held:
            wanted = [each for each in endpoint.wanted if each.version == address.version]
            assert not wanted or wanted == [address]
            family = [lease for lease in held.values() if lease.address.version == address.version]
            mine = [lease for lease in family if network_of(lease) == endpoint.network]
            if len(mine) == 1 and not wanted and endpoint.wanted_mac and endpoint.wanted_mac == mine[0].mac:
                assert address == mine[0].address or mine[0].address in in_use, (container, mine)


def check_users(house: HolderHouse) -> None:
    """Whoever runs has its addresses alone, by our records too."""
    users: dict[tuple[str, Address], str] = {}
    for container in house.containers:
        for endpoint in container.endpoints if container.running else ():
            for address in endpoint.held:
                assert users.setdefault((endpoint.network, address), container.id) == container.id
                assert house.services.cache.endpoint(endpoint.network, endpoint.endpoint) is not None
                lease = house.lease(address)
                assert lease is not None
                if lease.state is State.FIXED:
                    assert lease.active is not None, lease
                    assert lease.active.endpoint == endpoint.endpoint, lease
                else:
                    assert lease.state is State.DYNAMIC, lease


def check_one_each(house: HolderHouse) -> None:
    """No container has two fixed addresses of one family in one network."""
    network_of = house.services.ipam.fixed_index.network_of
    seen: dict[tuple[str, str, int], Lease] = {}
    for lease in house.leases().values():
        for holder in lease.holders:
            before = seen.setdefault((holder, network_of(lease), lease.address.version), lease)
            assert before is lease, (before, lease)


def check_holders(house: HolderHouse) -> None:
    """After some passes: no intent is left, holders of an address are the containers that name it or bear its MAC, and
    those that had it and are to keep it; and nothing counts as in use that nobody uses."""
    assert house.services.cache.count(Intent) == 0
    refused = _refused(house)
    fixed = [lease for lease in house.leases().values() if lease.state is State.FIXED]
    for lease in fixed:
        here = house.services.ipam.fixed_index.network_of(lease)
        endpoints = [
            (one, endpoint) for one in house.containers for endpoint in one.endpoints if endpoint.network == here
        ]
        naming = {one.id for one, endpoint in endpoints if lease.address in endpoint.wanted}
        bearing = {one.id for one, endpoint in endpoints if endpoint.wanted_mac and endpoint.wanted_mac == lease.mac}
        keeping = {one.id for one, endpoint in endpoints if sticks(house, one, endpoint)}  # adopted when it ran
        assert naming - lease.holders <= refused, lease
        assert lease.holders <= naming | bearing | keeping, (lease, naming, bearing, keeping)
        assert lease.active is None or lease.active.endpoint in {endpoint.endpoint for _, endpoint in endpoints}, lease
    holding = {holder for lease in fixed for holder in lease.holders}
    recorded = {holder.id for holder in house.services.cache.every(Holder)}
    # One whose networks went is forgotten when it has gone itself.
    assert holding <= recorded <= holding | {one.id for one in house.containers}


def check_wishes(house: HolderHouse) -> None:
    """After some passes: whoever is to keep its addresses holds those that it names, or it is told why not."""
    refused = _refused(house)
    used = {address for one in house.containers for endpoint in one.endpoints for address in endpoint.held}
    for container in house.containers:
        for endpoint in container.endpoints:
            for address in endpoint.wanted if sticks(house, container, endpoint) else ():
                lease = house.lease(address)
                holds = lease is not None and container.id in lease.holders
                others = address in used and (lease is None or lease.state is not State.FIXED)
                assert holds or others or container.id in refused, (container, lease)


def sticks(house: HolderHouse, container: Container, endpoint: ContainerEndpoint) -> bool:
    """Whether the container is to keep its addresses in the network."""
    network = house.network_of(endpoint)
    sticky = network.options.sticky if network is not None else None
    return sticky is not None and bool(key_of(container.labels, container.name, sticky, container.id))


def _refused(house: HolderHouse) -> set[str]:
    """Containers that cannot hold what they should, by the findings."""
    return {
        each.subject.split()[1]
        for each in house.keeping.container_reconciler.findings
        if each.subject.startswith("refused-address ")
    }
