"""What a program says to the library and hears from it, beside the objects themselves.

Rules: what is said may be text, as people write it, or the value that it stands for; what is heard is always a value;
nothing in here is checked, that is done once, by mooring.cnm.arguments.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
from typing import TypedDict

from mooring.core.endpoints import State
from mooring.core.networks import Address, Interface, StaticRoute
from mooring.core.port_bindings import PortBinding, PortRequest

AddressLike = str | IPv4Address | IPv6Address
SubnetLike = str | IPv4Network | IPv6Network


@dataclass(frozen=True, slots=True)
class Subnet:
    """A subnet that a network should have, with what is special in it.

    range: where addresses are chosen automatically, None for all of it. gateway: the network's own address, None to
    choose. auxiliary: addresses that no endpoint gets, by a name for people.
    """

    subnet: SubnetLike
    range: SubnetLike | None = None
    gateway: AddressLike | None = None
    auxiliary: Mapping[str, AddressLike] = field(default_factory=dict)

    def __str__(self) -> str:
        words = [str(self.subnet)]
        words += [f"{what} {value}" for what, value in (("range", self.range), ("gateway", self.gateway)) if value]
        words += [f"{name} {address}" for name, address in self.auxiliary.items()]
        return ", ".join(words)


class SandboxSettings(TypedDict, total=False):
    """What can be said of a sandbox at its creation and changed by a refresh.

    hostname, domain: its name in its own hosts file. dns: nameservers that questions are forwarded to, () for the
    host's. search, dns_options: as in resolv.conf(5). extra_hosts: more lines of the hosts file, `name:address`.
    hosts_path, resolv_conf_path: the files that are kept in step, "" for files in the controller's own folder.
    resolver: names are answered at 127.0.0.11 inside. exposed: what it listens on, `80/tcp`. publish: what the host
    leads to it, in Docker's form: `80`, `8080:80/tcp`, `127.0.0.1:8000-8010:80`, `[::1]:53:53/udp`.
    """

    hostname: str
    domain: str
    dns: Sequence[AddressLike]
    search: Sequence[str]
    dns_options: Sequence[str]
    extra_hosts: Sequence[str]
    hosts_path: str
    resolv_conf_path: str
    resolver: bool
    exposed: Sequence[str]
    publish: Sequence[str | PortRequest]
    labels: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class EndpointInfo:
    """An endpoint as it is at one moment.

    addresses: with prefix lengths, IPv4 first. gateways: the next hops that its network has for it, routes: the static
    ones, interface: its name inside; all three empty while it is in no sandbox. sandbox: the id, "" for none.
    published: host ports that lead to it now. priority: the sandbox's gateway is the endpoint with the highest.
    """

    addresses: tuple[Interface, ...]
    mac: str
    state: State
    gateways: tuple[Address, ...] = ()
    routes: tuple[StaticRoute, ...] = ()
    interface: str = ""
    sandbox: str = ""
    published: tuple[PortBinding, ...] = ()
    priority: int = 0

    def __str__(self) -> str:
        where = (
            f"{self.interface or 'no interface'} in sandbox {self.sandbox[:12]}" if self.sandbox else str(self.state)
        )
        words = [" ".join(map(str, self.addresses)) or "no address", self.mac, where]
        for what, values in (("via", self.gateways), ("routes", self.routes), ("published", self.published)):
            if values:
                words.append(f"{what} {', '.join(map(str, values))}")
        return ", ".join(word for word in words if word)
