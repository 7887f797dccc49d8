"""What somebody holds, when one has a name, an id, a key or a MAC and no address.

Rules: everything that may be meant is said, with the address that it is about; the records say who holds what, and the
engine what it is called and what runs; who holds nothing is told so, with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Iterable, Sequence

from mooring.core.addresses import parse_address
from mooring.core.containers import Container, Holder
from mooring.core.endpoints import Endpoint
from mooring.core.faults import BadRequest, Conflict, NotFound, Unavailable
from mooring.core.keys import is_meant
from mooring.core.label_words import Remark, asks
from mooring.core.leases import Lease, State
from mooring.core.networks import Address, Network
from mooring.core.pools import Pool
from mooring.core.views import Explanation, Reason
from mooring.core.whom import for_container
from mooring.services.containers.host_names import HostNames
from mooring.services.ipam.host_addresses import HostAddresses
from mooring.services.ipam.kept_address_rows import kept_for, kept_subnets
from mooring.services.operations.explain import explain_in_pool
from mooring.services.operations.inspection import Inspection
from mooring.services.operations.next_starts import said_of
from mooring.services.operations.other_hosts import OtherHosts
from mooring.services.operations.outside_pools import subnet_by_rule
from mooring.services.operations.references import network_meant, pools_meant, subnet_in
from mooring.services.operations.things_named import of_dns_name, of_lost_port, of_vnics, ports_named
from mooring.services.records.endpoint_index import EndpointIndex
from mooring.services.records.engine_names import UNASKED, EngineNames, compose_container_names
from mooring.services.records.fixed_index import FixedIndex
from mooring.services.records.record_cache import RecordCache

_MAC = re.compile(r"[0-9a-f]{2}([:-][0-9a-f]{2}){5}")
_ID = re.compile(r"[0-9a-f]{4,64}")
# Answers of one question; a key or a name has a handful.
MOST = 50

Place = tuple[str, Address]


class Lookup:
    """Answers `explain`. names: what the engine calls everything. host_names: None where nothing has DNS names.
    others: None for a host that is never in a cluster."""

    def __init__(
        self,
        inspection: Inspection,
        cache: RecordCache,
        endpoint_index: EndpointIndex,
        fixed_index: FixedIndex,
        names: Callable[[], Awaitable[EngineNames]],
        host: HostAddresses,
        host_names: HostNames | None = None,
        others: OtherHosts | None = None,
    ) -> None:
        self._inspection = inspection
        self._cache = cache
        self._endpoint_index = endpoint_index
        self._fixed_index = fixed_index
        self._names = names
        self._host = host
        self._host_names = host_names
        self._others = others

    async def explain(self, what: str) -> Explanation:
        """All that is known of the address, the subnet or the network, or of what the container, the compose service,
        the key, the port, the VNIC, the endpoint, the DNS name or the MAC holds.

        Raises NotFound when nobody is called so, Conflict for the beginning of several ids, BadRequest for what looks
        like an address or a subnet and is none.
        """
        what = what.strip()
        try:
            address = parse_address(what)
        except BadRequest:
            if not what or "%" in what or re.fullmatch(r"[0-9]+(\.[0-9]*)+|::[fF]{4}:.+", what):
                raise
        else:
            found = self._inspection.explain(address, await self._names())
            found = await self._others.explain(found) if self._others is not None else found
            return await self._host.explain(found)
        names = await self._names()
        if subnet_in(what) is not None:
            return self._of_subnet(what, names)
        if _MAC.fullmatch(what.lower()):
            mac = what.lower().replace("-", ":")
            waiting = kept_for(self._cache, self._inspection.scene(names).now, mac)
            if waiting and not self._with_mac(mac):
                return Explanation("", waiting[:MOST], f"MAC {mac}")
            return self._answer(
                f"MAC {mac}", self._with_mac(mac), f"No lease and no endpoint has the MAC {mac}.", names
            )  # fmt: skip
        if self._others is None:
            return self._of_somebody(what, names)
        try:
            found = self._of_somebody(what, names)
        except NotFound as nobody:
            return await self._others.of_key(what, nobody)
        return await self._others.beside(what, found)

    def _of_somebody(self, what: str, names: EngineNames) -> Explanation:
        name = what.lstrip("/")
        network = self._network(what, names)
        containers = _containers_meant(name, names)
        places = self._of_key(what) + self._of_name(name) + self._of_id(what)
        for container in containers:
            places += self._of_container(container)
        about = self._of_network(network, names) if network is not None else []
        besides = self._of_things(what, names, places)
        waiting = kept_for(self._cache, self._inspection.scene(names).now, what)
        if not places and not containers and not about:
            if waiting or besides:
                return Explanation("", (besides + waiting)[:MOST], what)
            raise self._nobody(what, names)
        subject = f"container {containers[0].name}" if len(containers) == 1 else what
        if about and not containers and not places:
            return Explanation("", about + besides, f"network {names.of_network(network) if network else what}")
        nothing = " ".join(_empty_handed(each, self._networks(each)) for each in containers)
        answer = self._answer(subject, places, nothing, names)
        for container in containers:
            who = f"Container {container.name}: " if len(containers) > 1 else ""
            answer.reasons[-1].text.extend(
                f"{who}{remark.text[0].upper()}{remark.text[1:]}." + _to_do(remark)
                for remark in said_of(container, self._cache)
            )
        if names.why:
            answer.reasons[-1].text.append(f"{UNASKED}: {names.why}.")
        if about and network is not None:
            name = names.of_network(network) or network.id[:12]
            answer.reasons[-1].text.append(f"There is also a network {what}: see `mooring network inspect {name}`.")
        answer.reasons.extend((besides + waiting)[:MOST])
        return answer

    def _of_things(self, what: str, names: EngineNames, places: list[Place]) -> list[Reason]:
        """What is true of the port, the VNIC or the DNS name; places that these have are added to those known."""
        reasons = []
        for port in ports_named(what, self._cache):
            places += map(_place, self._fixed_index.of_key(port.network, port.key))
            reasons += of_lost_port(port, self._cache)
        reasons += of_vnics(what, self._inspection.scene(names))
        if self._host_names is not None:
            endpoints, records = of_dns_name(what, self._host_names, self._cache)
            for endpoint in endpoints:
                places += self._of_endpoint(endpoint)
            reasons += records
        return reasons

    def _network(self, what: str, names: EngineNames) -> Network | None:
        """The network that is meant, None when there is none."""
        try:
            return network_meant(what, self._cache, names)
        except (NotFound, Unavailable):
            return None

    def _nobody(self, what: str, names: EngineNames) -> NotFound:
        other = next((told for told in names.networks.values() if told.name == what and told.driver), None)
        if other is not None:
            return NotFound(
                f"{what[:70]!r} is a network of the driver {other.driver}, and nothing of that name holds an address",
                hint="`mooring network ls` lists Mooring's networks",
            )
        return NotFound(
            f"no container, key, port, VNIC, endpoint, DNS name or MAC {what[:70]!r} holds an address"
            + (f"; {UNASKED}: {names.why}" if names.why else ""),
            hint="`mooring lease ls` lists those that do",
        )

    def _of_subnet(self, what: str, names: EngineNames) -> Explanation:
        """Raises NotFound for a subnet that no pool and no network has."""
        subnet = subnet_in(what)
        segments = [
            reason
            for network in self._cache.every(Network)
            if any(segment.subnet == subnet for segment in network.segments)
            for reason in self._of_network(network, names)
            if reason.subnet == str(subnet)
        ]
        if segments:
            return Explanation("", segments, f"subnet {subnet}")
        try:
            pools = pools_meant(what, self._cache, names)
        except NotFound:
            assert subnet is not None  # the caller has looked
            if waiting := kept_subnets(self._cache, self._inspection.scene(names).now, subnet):
                return Explanation("", waiting[:MOST], f"subnet {subnet}")
            if carvable := subnet_by_rule(subnet, self._cache, self._inspection.scene(names).subnet_pools):
                return Explanation("", carvable[:MOST], f"subnet {subnet}")
            first = str(subnet).partition("/")[0]
            raise NotFound(
                f"no network and no pool of Mooring's has the subnet {subnet}",
                hint=f"`mooring network ls` lists those there are, `mooring explain {first}` shows whose that is",
            ) from None
        return Explanation(
            "",
            [
                Reason("network", pool.space, str(pool.subnet), "", "", [
                    f"Subnet {pool.subnet} is the pool {pool.id}, which no network of Mooring's uses now.",
                    f"`mooring lease ls --pool {pool.id}` lists what is held in it.",
                ])
                for pool in pools
            ],
            f"subnet {subnet}",
        )  # fmt: skip

    def _of_network(self, network: Network, names: EngineNames) -> list[Reason]:
        """What is true of the network, a reason for each subnet."""
        detail = self._inspection.network(network.id, names)
        name = detail.name or network.id[:12]
        reasons = []
        for segment in detail.segments:
            place = f"Subnet {segment.subnet} of network {names.place(network)}"
            if segment.pool:
                # No size of an IPv6 subnet is a figure that anybody reads.
                size = f", of {segment.size}" if segment.size < 2**32 else ""
                usage = f"{segment.used} held, {segment.cooling} cooling{size}"
                gateway = f" Its gateway is {segment.gateway.partition('/')[0]}." if segment.gateway else ""
                text = [f"{place}: {usage}.{gateway}", f"`mooring lease ls --network {name}` lists the holders."]
            else:
                text = [f"{place}: another IPAM driver gives its addresses, so Mooring keeps no lease of them.",
                        f"`mooring network inspect {name}` lists its endpoints."]  # fmt: skip
            text.append(f"It becomes free with `docker network rm {name}`.")
            reasons.append(Reason("network", segment.space, segment.subnet, network.id, "", text))
        if not reasons:
            text = [f"Network {names.words(network)} has no subnet.", f"See `mooring network inspect {name}`."]
            reasons.append(Reason("network", "", None, network.id, "", text))
        return reasons

    def _networks(self, container: Container) -> list[Network]:
        found = (self._cache.network(each.network) for each in container.endpoints if each.network)
        return [network for network in found if network is not None]

    def _of_container(self, container: Container) -> list[Place]:
        places = [_place(lease) for lease in self._fixed_index.of_holder(container.id)]
        for container_endpoint in container.endpoints:
            network = self._cache.network(container_endpoint.network) if container_endpoint.network else None
            if network is None:
                continue
            for address in container_endpoint.held:
                segment = network.segment_of(address)
                endpoint = self._endpoint_index.at(network.id, address)
                if segment is not None and endpoint is not None and endpoint.id == container_endpoint.endpoint:
                    places.append((segment.space, address))
        return places

    def _of_key(self, what: str) -> list[Place]:
        fixed = [_place(lease) for lease in self._fixed() if is_meant(lease.key, what)]
        return fixed + [_place(lease) for lease in self._fixed_index.reserved_for(what)]

    def _of_name(self, name: str) -> list[Place]:
        places = [_place(lease) for known in self._fixed_index.holders_named(name) for lease in self._held(known)]
        return places + [
            _place(lease) for lease in self._cache.every(Lease) if lease.state is State.DYNAMIC and lease.name == name
        ]

    def _of_id(self, what: str) -> list[Place]:
        """Of the container or endpoint whose id begins so. Raises Conflict for several containers."""
        if not _ID.fullmatch(what.lower()):
            return []
        holders = [known for known in self._cache.every(Holder) if known.id.startswith(what.lower())]
        if len(holders) > 1:
            some = ", ".join(sorted(f"{known.id[:12]} ({known.name})" for known in holders)[:5])
            raise Conflict(
                f"{len(holders)} containers have ids that begin with {what!r}: {some}", hint="give more of the ID"
            )
        places = [_place(lease) for known in holders for lease in self._held(known)]
        for endpoint in self._cache.every(Endpoint):
            if endpoint.id.startswith(what.lower()):
                places += self._of_endpoint(endpoint)
        return places

    def _with_mac(self, mac: str) -> list[Place]:
        places = [_place(lease) for lease in self._cache.every(Lease) if lease.mac.lower() == mac]
        for endpoint in self._cache.every(Endpoint):
            if endpoint.mac.lower() == mac:
                places += self._of_endpoint(endpoint)
        return places

    def _of_endpoint(self, endpoint: Endpoint) -> list[Place]:
        network = self._cache.network(endpoint.network)
        segments = [(network.segment_of(address), address) for address in endpoint.addresses] if network else []
        return [(segment.space, address) for segment, address in segments if segment is not None]

    def _fixed(self) -> Iterable[Lease]:
        return (lease for lease in self._cache.every(Lease) if lease.state is State.FIXED)

    def _held(self, known: Holder) -> list[Lease]:
        reserved = self._fixed_index.reserved_for(for_container(known.id))
        return [*self._fixed_index.of_holder(known.id), *reserved]

    def _answer(self, subject: str, places: Iterable[Place], nothing: str, names: EngineNames) -> Explanation:
        unique = sorted(set(places), key=lambda place: (place[0], place[1].version, int(place[1])))
        scene = self._inspection.scene(names)
        reasons = [
            explain_in_pool(address, pool, scene)
            for space, address in unique[:MOST]
            for pool in self._cache.every(Pool)
            if pool.space == space and address in pool.subnet
        ]
        if not reasons:
            reasons = [Reason("none", "", None, "", "", [nothing or f"{subject} holds no address of a pool."])]
        return Explanation("", reasons, subject)


def _containers_meant(reference: str, names: EngineNames) -> list[Container]:
    """The container with the id or the name, those of the compose service, or the one whose id begins so.

    Raises Conflict for the beginning of several ids.
    """
    if not reference:
        return []
    containers = names.containers
    if reference in containers:
        return [containers[reference]]
    named = [each for each in containers.values() if each.name == reference]
    found = named or [each for each in containers.values() if reference in compose_container_names(each.labels)]
    found = found or [each for each in containers.values() if each.id.startswith(reference.lower())]
    if len(found) > 1 and not named and all(each.id.startswith(reference.lower()) for each in found):
        some = ", ".join(sorted(f"{each.id[:12]} ({each.name})" for each in found)[:5])
        many = f"{len(found)} containers have ids that begin with {reference!r}"
        raise Conflict(f"{many}: {some}", hint="give more of the ID")
    return sorted(found, key=lambda each: each.name)


def _place(lease: Lease) -> Place:
    return lease.space, lease.address


def _to_do(remark: Remark) -> str:
    """The remedy, for a sentence that does not say it itself."""
    return f" {remark.remedy[0].upper()}{remark.remedy[1:]}." if remark.text.startswith("it cannot start") else ""


def _empty_handed(container: Container, networks: Sequence[Network]) -> str:
    if not networks:
        return f"Container {container.name} is in no network of Mooring's, so it holds no address here."
    if container.running:
        return f"Container {container.name} is running, but none of its current addresses comes from Mooring."
    if asks(container.labels):
        return (
            f"Container {container.name} is not running and has no address yet, because it was not created through the "
            "proxy: the address that it gets at its next start becomes its fixed address."
        )
    return (
        f"Container {container.name} is not running and has no fixed address: it gets an address when it starts. "
        "The label fixed-ip would keep it."
    )
