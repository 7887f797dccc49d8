"""A container's place in a network as Docker's API writes it, to be written again with addresses in it.

Rules: what the user asked for stays, what the engine filled in is left out, since it would be asked for then; a field
that nobody here knows stays as it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

import msgspec

# What an engine fills in while the container is in the network (moby api/types/network, EndpointSettings).
_FILLED_IN = (
    "NetworkID", "EndpointID", "Gateway", "IPAddress", "IPPrefixLen", "IPv6Gateway", "GlobalIPv6Address",
    "GlobalIPv6PrefixLen", "MacAddress", "DNSNames",
)  # fmt: skip


class _Settings(msgspec.Struct, rename="pascal"):
    networks: dict[str, dict[str, object] | None] | None = None


class _Inspected(msgspec.Struct, rename="pascal"):
    id: str
    network_settings: _Settings | None = None


def place_in(body: bytes, network: str) -> dict[str, object] | None:
    """The place of an inspected container in the network (full id), as a connect takes it; None when it has none.

    Raises msgspec.MsgspecError for what is no container.
    """
    container = msgspec.json.decode(body, type=_Inspected)
    for place in ((container.network_settings or _Settings()).networks or {}).values():
        if place is None or place.get("NetworkID") != network:
            continue
        kept = {name: value for name, value in place.items() if name not in _FILLED_IN and value is not None}
        aliases = kept.get("Aliases")
        if isinstance(aliases, list):  # engines before 25 add the beginning of the id, and add it again
            kept["Aliases"] = [alias for alias in aliases if alias != container.id[:12]]
        return kept
    return None


def naming(place: dict[str, object], addresses: Sequence[IPv4Address | IPv6Address]) -> dict[str, object]:
    """The place with the addresses named; what it named of another family stays."""
    given = place.get("IPAMConfig")
    wanted = dict(given) if isinstance(given, dict) else {}
    for address in addresses:
        wanted["IPv4Address" if address.version == 4 else "IPv6Address"] = str(address)
    return {**place, "IPAMConfig": wanted}
