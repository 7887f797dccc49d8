"""What a request asks for a container, and how much of it the engine will use.

Rules: a MAC that the engine ignores proves nothing, and nobody is granted one; an address may be named where the
engine takes one; a network is written the way that every engine can start a container with.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address

from mooring.core.docker_requests import ENDPOINT_MACS, ContainerSpec, EndpointConfig
from mooring.core.keys import FIXED_LABEL, KEY_LABEL, PORT_LABEL
from mooring.core.label_words import asks, concern, remarks
from mooring.core.networks import Address

# How the mode of a container begins that has another one's network (compose: network_mode: service:NAME).
BESIDE = "container:"
# The first version of the API in which a connect may name a MAC (moby daemon/server/router/network, engine 29.3).
CONNECT_MACS = (1, 54)


@dataclass(frozen=True, slots=True)
class Room:
    """How a request is read. version: of the API that it is written in.

    anywhere: whether the engine takes an address by name also where the subnet was chosen. connecting: the container
    is there already. mac: the container-wide one, of the network that the container's mode names.
    """

    version: tuple[int, int]
    anywhere: bool = False
    connecting: bool = False
    mac: str = ""

    def settable(self, main: bool) -> bool:
        """Whether a MAC can be put into the endpoint's configuration. main: in the mode's network."""
        if self.connecting:
            return self.version >= CONNECT_MACS
        return self.version >= ENDPOINT_MACS or main

    def nameable(self, main: bool, alone: bool) -> bool:
        """Whether an address can be. alone: the request has no other network."""
        return self.connecting or self.version >= ENDPOINT_MACS or alone or not main

    def mac_of(self, endpoint: EndpointConfig, main: bool) -> str | None:
        """The MAC that the endpoint will have because its configuration says so, "" for none; None for what is none,
        which the engine refuses."""
        named = parsed_mac(endpoint.mac) if self.settable(main) else ""
        return parsed_mac(self.mac) if main and not named else named


@dataclass(slots=True)
class Spellings:
    """How a create writes its networks, and how it is to write them.

    No engine starts a container whose endpoint is written by the beginning of a network's id ("endpoint with name ...
    already exists"). changed: reference -> network id and name. written: network id -> how its endpoint is written in
    the end. main: the mode's network, as its endpoint is written; "" for none of ours.
    """

    changed: dict[str, tuple[str, str]] = field(default_factory=dict)
    written: dict[str, str] = field(default_factory=dict)
    main: str = ""

    def note(self, network_id: str, reference: str, name: str, main: bool) -> None:
        """The create writes the network so. name: "" where the reference may stay. main: it is the mode."""
        if name and name != reference:
            self.changed[reference] = network_id, name
        # Where the mode and an endpoint are two names of one network, it is the endpoint that has an address.
        main = main or (bool(self.main) and self.written.get(network_id) == self.main)
        self.written[network_id] = self.changed.get(reference, ("", reference))[1]
        if main:
            self.main = self.written[network_id]

    def needed(self, network_ids: Container[str]) -> dict[str, str]:
        """The changes for these networks: what is written otherwise, and how."""
        return {before: name for before, (network, name) in self.changed.items() if network in network_ids}


def beside(mode: str) -> str:
    """Why no label of a container with such a mode has an effect."""
    other = mode.removeprefix(BESIDE)
    other = other[:12] if len(other) == 64 else other
    return f"this container shares the network of container {other}; put the label there"


def unheeded(spec: ContainerSpec, kept: bool) -> tuple[str, ...]:
    """What is to be said of the labels of a container that is being made, a line each.

    kept: whether any address is kept for it. Quick for the usual container, which has no label that looks like ours.
    """
    if not concern(spec.labels):
        return ()
    named = [address for endpoint in spec.endpoints for address in addresses_of(endpoint) or ()]
    said = [remark.text for remark in remarks(spec.labels, named)]
    port = bool(spec.labels.get(PORT_LABEL))
    if not kept and (port or asks(spec.labels)):
        label = PORT_LABEL if port else FIXED_LABEL if FIXED_LABEL in spec.labels else KEY_LABEL
        if spec.mode.startswith(BESIDE):
            return (*said, f"label {label} has no effect: {beside(spec.mode)}")
        where = ", ".join(sorted({endpoint.network for endpoint in spec.endpoints} or {spec.mode or "default"}))
        why = "no such port is" if port else "Mooring manages no addresses"
        said.append(f"label {label} has no effect: {why} in the container's networks ({where})")
    return tuple(said)


def addresses_of(endpoint: EndpointConfig) -> tuple[Address, ...] | None:
    """The addresses that the endpoint names; None for what is no address, which the engine refuses by itself."""
    found: list[Address] = []
    try:
        for version, text in ((4, endpoint.ipv4), (6, endpoint.ipv6)):
            if not text:
                continue
            address: Address = ip_address(text)
            if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
                address = address.ipv4_mapped  # to Go they are one (net.IP)
            if address.version != version:
                return None
            found.append(address)
    except ValueError:
        return None
    return tuple(found)


def parsed_mac(text: str) -> str | None:
    """The MAC as the engine tells it to a plugin, "" for none; None for what is none, which the engine refuses.

    Go's net.ParseMAC takes colons, hyphens, and dots after each four digits.
    """
    digits = "".join(character for character in text if character not in ":-.").lower()
    if not text:
        return ""
    if len(digits) != 12 or not set(digits) <= set("0123456789abcdef"):
        return None
    return ":".join(digits[place : place + 2] for place in range(0, 12, 2))
