"""What somebody holds, when one has a name, an id, a key or a MAC and no address.

Rules: everything that may be meant is said, with the address that it is about; the records answer, and the engine is
asked only for what they cannot know; who holds nothing is told so, with the reason.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable

from mooring.core.containers import Container, Holder
from mooring.core.endpoints import Endpoint
from mooring.core.faults import BadRequest, Conflict, Fault, NotFound
from mooring.core.leases import Lease, State
from mooring.core.networks import Address, Network
from mooring.core.pools import Pool
from mooring.ports import Clock, Engine
from mooring.services.explanations import explain_in_pool
from mooring.services.inspection import Inspection
from mooring.services.mirror import Mirror
from mooring.services.roster import Roster
from mooring.services.tenures import Tenures
from mooring.wire.api import Explanation, Reason, parse_address

_MAC = re.compile(r"[0-9a-f]{2}([:-][0-9a-f]{2}){5}")
_ID = re.compile(r"[0-9a-f]{4,64}")
# Answers of one question; a key or a name has a handful.
MOST = 50
# Seconds that the engine has: the person who asks is answered from the records then.
PATIENCE = 3.0
UNASKED = "The engine cannot be asked, so what only it knows was not looked at"

Place = tuple[str, Address]


class Inquiries:
    """Answers `explain`. engine: None where there is none."""

    def __init__(
        self,
        inspection: Inspection,
        mirror: Mirror,
        roster: Roster,
        tenures: Tenures,
        engine: Engine | None,
        clock: Clock,
    ) -> None:
        self._inspection = inspection
        self._mirror = mirror
        self._roster = roster
        self._tenures = tenures
        self._engine = engine
        self._clock = clock

    async def explain(self, what: str) -> Explanation:
        """All that is known of the address, or of what the container, the key, the endpoint or the MAC holds.

        Raises NotFound when nobody is called so, Conflict for the beginning of several ids, BadRequest for a subnet and
        for what looks like an address.
        """
        what = what.strip()
        try:
            return self._inspection.explain(parse_address(what))
        except BadRequest:
            if not what or "%" in what or re.fullmatch(r"[0-9a-fA-F.:]+/[0-9]+|[0-9]+(\.[0-9]*)+|::[fF]{4}:.+", what):
                raise
        if _MAC.fullmatch(what.lower()):
            mac = what.lower().replace("-", ":")
            return self._answer(f"MAC {mac}", self._with_mac(mac), f"No lease and no endpoint has the MAC {mac}.")
        return await self._of_somebody(what)

    async def _of_somebody(self, what: str) -> Explanation:
        name = what.lstrip("/")
        places = self._of_key(what) + self._of_name(name) + self._of_id(what)
        container, why = await self._container(name)
        if container is not None:
            places += self._of_container(container)
        if places:
            answer = self._answer(f"container {container.name}" if container else what, places, "")
            if why:
                answer.reasons[-1].text.append(f"{UNASKED}: {why}.")
            return answer
        if container is None:
            raise NotFound(
                f"nobody who is called {what[:70]!r} holds an address: no container, key, endpoint or MAC"
                + (f"; {UNASKED[0].lower()}{UNASKED[1:]}: {why}" if why else ""),
                hint="`mooring lease ls` lists who does",
            )
        return self._answer(f"container {container.name}", [], _empty_handed(container, self._networks(container)))

    async def _container(self, reference: str) -> tuple[Container | None, str]:
        """The container as the engine has it, None when it has none or cannot be asked; why it cannot, else ""."""
        if self._engine is None:
            return None, ""
        try:
            async with asyncio.timeout(PATIENCE) as patience:
                return await self._engine.container(reference), ""
        except Conflict:
            raise
        except Fault as fault:
            return None, str(fault)
        except TimeoutError:
            if not patience.expired():
                raise
            return None, f"it did not answer within {PATIENCE:g} s"

    def _networks(self, container: Container) -> list[Network]:
        found = (self._mirror.network(plug.network) for plug in container.plugs if plug.network)
        return [network for network in found if network is not None]

    def _of_container(self, container: Container) -> list[Place]:
        places = [_place(lease) for lease in self._tenures.of_holder(container.id)]
        for plug in container.plugs:
            network = self._mirror.network(plug.network) if plug.network else None
            if network is None:
                continue
            for address in plug.held:
                segment = network.segment_of(address)
                endpoint = self._roster.at(network.id, address)
                if segment is not None and endpoint is not None and endpoint.id == plug.endpoint:
                    places.append((segment.space, address))
        return places

    def _of_key(self, what: str) -> list[Place]:
        keys = {what, f"key:{what}", f"name:{what}", f"compose:{what}"}
        return [_place(lease) for lease in self._fixed() if lease.key in keys]

    def _of_name(self, name: str) -> list[Place]:
        places = [_place(lease) for known in self._tenures.holders_named(name) for lease in self._held(known)]
        return places + [
            _place(lease) for lease in self._mirror.every(Lease) if lease.state is State.DYNAMIC and lease.name == name
        ]

    def _of_id(self, what: str) -> list[Place]:
        """Of the container or endpoint whose id begins so. Raises Conflict for several containers."""
        if not _ID.fullmatch(what.lower()):
            return []
        holders = [known for known in self._mirror.every(Holder) if known.id.startswith(what.lower())]
        if len(holders) > 1:
            some = ", ".join(sorted(f"{known.id[:12]} ({known.name})" for known in holders)[:5])
            raise Conflict(
                f"{len(holders)} containers have ids that begin with {what!r}: {some}", hint="give more of it"
            )
        places = [_place(lease) for known in holders for lease in self._held(known)]
        for endpoint in self._mirror.every(Endpoint):
            if endpoint.id.startswith(what.lower()):
                places += self._of_endpoint(endpoint)
        return places

    def _with_mac(self, mac: str) -> list[Place]:
        places = [
            _place(lease) for lease in self._mirror.every(Lease) if mac in (lease.mac.lower(), lease.seen.lower())
        ]
        for endpoint in self._mirror.every(Endpoint):
            if endpoint.mac.lower() == mac:
                places += self._of_endpoint(endpoint)
        return places

    def _of_endpoint(self, endpoint: Endpoint) -> list[Place]:
        network = self._mirror.network(endpoint.network)
        segments = [(network.segment_of(address), address) for address in endpoint.addresses] if network else []
        return [(segment.space, address) for segment, address in segments if segment is not None]

    def _fixed(self) -> Iterable[Lease]:
        return (lease for lease in self._mirror.every(Lease) if lease.state is State.FIXED)

    def _held(self, known: Holder) -> list[Lease]:
        return self._tenures.of_holder(known.id)

    def _answer(self, subject: str, places: Iterable[Place], nothing: str) -> Explanation:
        unique = sorted(set(places), key=lambda place: (place[0], place[1].version, int(place[1])))
        reasons = [
            explain_in_pool(address, pool, self._mirror, self._roster, self._clock.now())
            for space, address in unique[:MOST]
            for pool in self._mirror.every(Pool)
            if pool.space == space and address in pool.subnet
        ]
        if not reasons:
            reasons = [Reason("none", "", None, "", "", [nothing or f"{subject} holds no address of a pool."])]
        return Explanation("", reasons, subject)


def _place(lease: Lease) -> Place:
    return lease.space, lease.address


def _empty_handed(container: Container, networks: list[Network]) -> str:
    if not networks:
        return f"Container {container.name} is in no network of Mooring's, so it holds no address here."
    if container.running:
        return f"Container {container.name} runs, but Mooring has given it no address that it has now."
    return (
        f"Container {container.name} does not run and has no fixed address: it gets one when it starts. "
        "The label fixed-ip would keep it."
    )
