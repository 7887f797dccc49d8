"""What is true of holders and their addresses, whatever happened before."""

from __future__ import annotations

from collections.abc import Mapping

from mooring.core.containers import Container, ContainerEndpoint, Holder, key_of
from mooring.core.intents import Intent, placeholder
from mooring.core.leases import Lease, State
from mooring.core.networks import Address
from mooring.services.containers.admission import Admission
from mooring.wire.docker_bodies import ContainerSpec
from tests.services.holder_houses import HolderHouse


def check_grants(
    house: HolderHouse, name: str, wish: ContainerSpec, custody: Admission | None, before: Mapping[Address, Lease]
) -> None:
    """What was chosen for a container was free, or its key's or its MAC's already; what it names it gets."""
    for plug in wish.plugs if custody is not None else ():
        grant = custody.grants.get(plug.network) if custody is not None else None
        if grant is None or custody is None:
            continue
        sticky = house.known(grant.network).options.sticky
        key = key_of(wish.labels, name, sticky, placeholder(custody.intent.id))
        for address, text in ((grant.ipv4, plug.ipv4), (grant.ipv6, plug.ipv6)):
            assert not text or str(address) == text
            lease = before.get(address) if address is not None and not text else None
            if lease is not None:
                mine = lease.key == key or (bool(plug.mac) and plug.mac == lease.mac)
                assert lease.state is State.COOLING or (lease.state is State.FIXED and mine), (lease, wish)


def check_start(house: HolderHouse, container: Container, held: Mapping[Address, Lease]) -> None:
    """A container that has started has what it names, and who held one address of a family and proved it, has that,
    unless another of the same key runs with it. container: as it was before; held: what it held then."""
    network_of = house.services.ipam.tenures.network_of
    others = [other for other in house.containers if other.running and other.id != container.id]
    in_use = {address for other in others for plug in other.plugs for address in plug.held}
    for now, plug in zip(house.engine._containers[container.id].plugs, container.plugs, strict=True):
        assert now.held
        for address in now.held:
            wanted = [each for each in plug.wanted if each.version == address.version]
            assert not wanted or wanted == [address]
            family = [lease for lease in held.values() if lease.address.version == address.version]
            mine = [lease for lease in family if network_of(lease) == plug.network]
            if len(mine) == 1 and not wanted and plug.wanted_mac and plug.wanted_mac == mine[0].mac:
                assert address == mine[0].address or mine[0].address in in_use, (container, mine)


def check_users(house: HolderHouse) -> None:
    """Whoever runs has its addresses alone, by our records too."""
    users: dict[tuple[str, Address], str] = {}
    for container in house.containers:
        for plug in container.plugs if container.running else ():
            for address in plug.held:
                assert users.setdefault((plug.network, address), container.id) == container.id
                assert house.services.mirror.endpoint(plug.network, plug.endpoint) is not None
                lease = house.lease(address)
                assert lease is not None
                if lease.state is State.FIXED:
                    assert lease.active is not None, lease
                    assert lease.active.endpoint == plug.endpoint, lease
                else:
                    assert lease.state is State.DYNAMIC, lease


def check_one_each(house: HolderHouse) -> None:
    """No container has two fixed addresses of one family in one network."""
    network_of = house.services.ipam.tenures.network_of
    seen: dict[tuple[str, str, int], Lease] = {}
    for lease in house.leases().values():
        for holder in lease.holders:
            before = seen.setdefault((holder, network_of(lease), lease.address.version), lease)
            assert before is lease, (before, lease)


def check_holders(house: HolderHouse) -> None:
    """After some passes: no intent is left, holders of an address are the containers that name it or bear its MAC, and
    those that had it and are to keep it; and nothing counts as in use that nobody uses."""
    assert house.services.mirror.count(Intent) == 0
    refused = _refused(house)
    fixed = [lease for lease in house.leases().values() if lease.state is State.FIXED]
    for lease in fixed:
        here = house.services.ipam.tenures.network_of(lease)
        plugs = [(one, plug) for one in house.containers for plug in one.plugs if plug.network == here]
        naming = {one.id for one, plug in plugs if lease.address in plug.wanted}
        bearing = {one.id for one, plug in plugs if plug.wanted_mac and plug.wanted_mac == lease.mac}
        keeping = {one.id for one, plug in plugs if sticks(house, one, plug)}  # adopted when it ran
        assert naming - lease.holders <= refused, lease
        assert lease.holders <= naming | bearing | keeping, (lease, naming, bearing, keeping)
        assert lease.active is None or lease.active.endpoint in {plug.endpoint for _, plug in plugs}, lease
    holding = {holder for lease in fixed for holder in lease.holders}
    recorded = {holder.id for holder in house.services.mirror.every(Holder)}
    # One whose networks went is forgotten when it has gone itself.
    assert holding <= recorded <= holding | {one.id for one in house.containers}


def check_wishes(house: HolderHouse) -> None:
    """After some passes: whoever is to keep its addresses holds those that it names, or it is told why not."""
    refused = _refused(house)
    used = {address for one in house.containers for plug in one.plugs for address in plug.held}
    for container in house.containers:
        for plug in container.plugs:
            for address in plug.wanted if sticks(house, container, plug) else ():
                lease = house.lease(address)
                holds = lease is not None and container.id in lease.holders
                others = address in used and (lease is None or lease.state is not State.FIXED)
                assert holds or others or container.id in refused, (container, lease)


def sticks(house: HolderHouse, container: Container, plug: ContainerEndpoint) -> bool:
    """Whether the container is to keep its addresses in the network."""
    network = house.network_of(plug)
    sticky = network.options.sticky if network is not None else None
    return sticky is not None and bool(key_of(container.labels, container.name, sticky, container.id))


def _refused(house: HolderHouse) -> set[str]:
    """Containers that cannot hold what they should, by the findings."""
    return {each.subject.split()[1] for each in house.keeping.reconciling.findings if each.subject.startswith("adopt ")}
