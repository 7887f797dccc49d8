"""What a request of Docker's API asks for, as far as addresses are concerned.

Rule: text is what the request says, unread: what it means, and whether it is right, others judge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

# The first version of the API in which an endpoint has a MAC of its own (moby api/types/network, 1.44).
ENDPOINT_MACS = (1, 44)
# The most networks of a create that are looked at. More than this no container has; each costs questions to the engine.
MOST_NETWORKS = 64
# IPAM options that may be said as options of the driver, since compose from version 2 on drops those of the IPAM driver
# (docker/compose#9330).
EITHER = frozenset({"pool", "pool6", "prefixlen", "prefixlen6"})
# And what both drivers have to be told, of which that is true as well.
BOTH = frozenset({"tenant"})


@dataclass(frozen=True, slots=True)
class EndpointConfig:
    """A network that a container is to be in, as the body names it, and what it asks for there; "" for nothing. port:
    the driver option `mooring.port`."""

    network: str
    ipv4: str = ""
    ipv6: str = ""
    mac: str = ""
    port: str = ""


@dataclass(frozen=True, slots=True)
class ContainerSpec:
    """A container that is to be made. mode: HostConfig.NetworkMode. endpoints: one for each network, that of the mode
    first. mac: of the mode's network, as older versions of the API have it, "" for none. crowd: how many networks it
    names when they are more than MOST_NETWORKS, and then there are no endpoints; else 0. nameservers: its own."""

    labels: dict[str, str]
    mode: str
    endpoints: tuple[EndpointConfig, ...]
    mac: str = ""
    crowd: int = 0
    nameservers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class NetworkSpec:
    """A network that is to be made. ipam: its IPAM driver. options, ipam_options: of the drivers.

    open: the families (4, 6) that it is to have addresses of, and names no subnet for.
    """

    name: str
    driver: str
    ipam: str
    options: Mapping[str, str] = field(default_factory=dict)
    ipam_options: Mapping[str, str] = field(default_factory=dict)
    open: tuple[int, ...] = ()

    @property
    def moved(self) -> dict[str, str]:
        """Options of the driver that the IPAM driver, which is the same, has to be told; those that it is told anyway
        are left out."""
        if self.ipam != self.driver:
            return {}
        words = {name.removeprefix("mooring."): text for name, text in self.options.items()}
        told = {name.removeprefix("mooring.") for name in self.ipam_options}
        return {word: text for word, text in sorted(words.items()) if word in (EITHER | BOTH) - told}
