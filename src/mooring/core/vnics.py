"""VNICs: interfaces that a launcher has made, or names, before any container, for networks of mode handoff.

A VNIC is known by its tenant, subnet and address. It is a veth pair: one end is a port of the bridge that all VNICs of
the tenant and subnet share, the other waits on the host until a container has it. Or it is a link that was there
before, adopted, of which nothing is made.

Rules: names of links follow from the key by hash, so that they fit into 15 bytes and are the same after any restart;
the bridge is a layer 2 of the host's and nothing more: no address, no IPv6, no answer to ARP for what the host has
elsewhere, nothing in or out but between its own ports; so equal subnets of two tenants never meet.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256
from ipaddress import ip_address, ip_network
from typing import NamedTuple
from urllib.parse import quote, unquote

from mooring.core.addresses import address_of, usable
from mooring.core.datapath import MARK
from mooring.core.faults import BadRequest, Conflict
from mooring.core.firewall import ruleset
from mooring.core.networks import DEFAULT_SPACES, Address, Network, StaticRoute, Subnet, stable_mac
from mooring.core.options import MTU_LEAST, MTU_MOST, NAME_BYTES, PARSERS
from mooring.core.plumbing import Bridge, DockerAccept, Fact, Member, Setting, Veth
from mooring.core.pools import check_address, check_subnet
from mooring.core.vnic_options import VNIC_BRIDGE

# Bytes; what the bridge itself would send, and it sends nothing.
BRIDGE_MTU = 1500
# What a VNIC has when nobody says: as any network of ours. (ciao's is 1400.)
DEFAULT_MTU = 1500
ALIAS = f"{MARK}vnic:"
_BRIDGE_ALIAS = f"{MARK}vnics:"
# What a launcher calls its instance: with the rest of an alias it fits into 255 bytes (IFALIASZ).
INSTANCE = re.compile(r"[0-9A-Za-z:/._-]{0,64}")
_LINK = re.compile(rf"(?!\.{{1,2}}$)[!-.0-9;-~]{{1,{NAME_BYTES}}}")


class Group(NamedTuple):
    """What VNICs share a bridge and a network by. tenant: "" for nobody's in particular."""

    tenant: str
    subnet: Subnet

    @property
    def bridge(self) -> str:
        """The name of the bridge, and what the network is called when nobody says otherwise."""
        return f"{VNIC_BRIDGE}{_digest(f'{self.tenant}/{self.subnet}')}"

    def __str__(self) -> str:
        return f"subnet {self.subnet} of tenant {self.tenant}" if self.tenant else f"subnet {self.subnet}"


@dataclass(frozen=True, slots=True)
class Vnic:
    """An interface for the container that gets the address.

    mac: of the container's side. mtu: bytes; of an adopted link, what it has. link: the container's side, as it is
    called on the host. gateway: the next hop of the default route, None for no such route. routes: what else the
    container gets. instance: whose it is, as the launcher says. created: seconds since the epoch.
    """

    tenant: str
    subnet: Subnet
    address: Address
    mac: str
    mtu: int
    created: float
    gateway: Address | None = None
    routes: tuple[StaticRoute, ...] = ()
    instance: str = ""
    adopted: str = ""

    @property
    def group(self) -> Group:
        """Its tenant and subnet."""
        return Group(self.tenant, self.subnet)

    @property
    def id(self) -> str:
        """Twelve hexadecimal digits, a function of tenant, subnet and address."""
        return vnic_id(self.group, self.address)

    @property
    def host_end(self) -> str:
        """The port of the bridge; of an adopted link there is none."""
        return f"mh-{self.id}"

    @property
    def link(self) -> str:
        """The container's side, as it is called on the host."""
        return self.adopted or f"mi-{self.id}"

    def must_have(self, mac: str) -> None:
        """Raises Conflict for the MAC of another interface; "" is none."""
        if mac not in ("", self.mac):
            raise Conflict(
                f"{self} has MAC {self.mac}, and the container would have {mac}", hint=f"add --mac-address {self.mac}"
            )

    def __str__(self) -> str:
        return f"VNIC {self.address}" + (f" of tenant {self.tenant}" if self.tenant else "")


def vnic_id(group: Group, address: Address) -> str:
    """The id that the VNIC has."""
    return _digest(f"{group.tenant}/{group.subnet}/{address}")


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()[:12]


def group_of(network: Network) -> Group | None:
    """The VNICs that a network of mode handoff is for, None for one without a subnet."""
    return Group(network.tenant, network.ipv4[0].subnet) if network.ipv4 else None


def check_group(tenant: str, subnet: Subnet) -> Group:
    """The group, if there can be such. Raises BadRequest."""
    if tenant:
        PARSERS["tenant"]("tenant", tenant)
    if subnet.version != 4:
        raise BadRequest(f"subnet {subnet} is not IPv4", hint="VNICs have IPv4 addresses")
    check_subnet(subnet)
    return Group("" if tenant in DEFAULT_SPACES else tenant, subnet)


def check_vnic(vnic: Vnic) -> Vnic:
    """The VNIC, if there can be such. Raises BadRequest."""
    check_address(vnic.subnet, vnic.address)
    if vnic.gateway is not None:
        if vnic.gateway not in vnic.subnet:
            raise BadRequest(f"gateway {vnic.gateway} is not in subnet {vnic.subnet}")
        if vnic.gateway == vnic.address:
            raise BadRequest(f"address {vnic.address} is the gateway's", hint="name another with --gateway, or none")
    if not MTU_LEAST[4] <= vnic.mtu <= MTU_MOST:
        raise BadRequest(f"MTU {vnic.mtu} is not a number from {MTU_LEAST[4]} to {MTU_MOST}")
    if not INSTANCE.fullmatch(vnic.instance):
        raise BadRequest("instance: must be at most 64 letters, digits, `:`, `/`, `.`, `_` or `-`")
    if vnic.adopted and not _LINK.fullmatch(vnic.adopted):
        raise BadRequest(f"link {vnic.adopted[:40]!r} is not the name of an interface", hint="1 to 15 characters")
    for route in vnic.routes:
        if route.destination.version != 4 or (route.via is not None and route.via not in vnic.subnet):
            raise BadRequest(f"route {route}: its next hop is not in subnet {vnic.subnet}")
    return vnic


def usual_gateway(subnet: Subnet) -> Address:
    """The first address of the subnet that an interface can have."""
    return address_of(subnet.version, usable(subnet)[0])


def usual_mac(group: Group, address: Address) -> str:
    """The MAC of a VNIC that was given none: always the same for it."""
    return stable_mac(f"vnic:{group.tenant}/{group.subnet}/{address}")


def bridge_facts(group: Group) -> frozenset[Fact]:
    """The bridge that the group's VNICs share, and its place in the firewall: its ports reach each other, nothing else
    goes in or out by way of the host."""
    name = group.bridge
    return frozenset(
        {
            ruleset(),
            DockerAccept(4),
            DockerAccept(6),
            Bridge(name, f"{_BRIDGE_ALIAS}{group.tenant}/{group.subnet}", BRIDGE_MTU, stable_mac(f"vnics:{name}")),
            Setting(f"net/ipv6/conf/{name}/disable_ipv6", "1"),
            # The host may have an address of the same subnet elsewhere, and would answer for it here.
            Setting(f"net/ipv4/conf/{name}/arp_ignore", "1"),
            *bridge_members(group),
        }
    )


def bridge_members(group: Group) -> frozenset[Member]:
    """What the firewall knows the bridge by."""
    name = f'"{group.bridge}"'
    return frozenset({Member("bridges", name), Member("internal", name), Member("within", f"{name} . {name}")})


def vnic_facts(vnic: Vnic) -> frozenset[Fact]:
    """The pair of a VNIC that was made; nothing for an adopted link."""
    if vnic.adopted:
        return frozenset()
    alias = alias_of(vnic)
    bridge = vnic.group.bridge
    return frozenset({Veth(vnic.host_end, alias, bridge, False, peer=vnic.link, peer_mac=vnic.mac, mtu=vnic.mtu)})


def all_facts(vnics: Iterable[Vnic]) -> frozenset[Fact]:
    """Everything that the VNICs need in the kernel."""
    made = [vnic for vnic in vnics if not vnic.adopted]
    groups = {vnic.group for vnic in made}
    parts = [*map(bridge_facts, groups), *map(vnic_facts, made)]
    return frozenset[Fact]().union(*parts)


def alias_of(vnic: Vnic) -> str:
    """The alias of its host end: enough to know it again when the store is lost. Routes are not in it."""
    words = (vnic.tenant, str(vnic.subnet), str(vnic.address), str(vnic.gateway or ""), vnic.instance)
    return ALIAS + "|".join(quote(word, safe=":/.-_") for word in words)


def vnic_of(alias: str, mtu: int, created: float) -> Vnic | None:
    """The VNIC that the alias tells of, without MAC and routes; None for what is no such alias."""
    if not alias.startswith(ALIAS):
        return None
    try:
        tenant, subnet, address, gateway, instance = map(unquote, alias.removeprefix(ALIAS).split("|"))
        return check_vnic(
            Vnic(
                check_group(tenant, ip_network(subnet)).tenant,
                ip_network(subnet),
                ip_address(address),
                "",
                mtu,
                created,
                ip_address(gateway) if gateway else None,
                instance=instance,
            )
        )
    except (ValueError, BadRequest):
        return None


@dataclass(frozen=True, slots=True)
class VnicSpec:
    """A VNIC that a launcher wants.

    mac: "" for the usual one, or the adopted link's; mtu: None likewise. adopt: name of the link to adopt, "" to make
    one. The others: see Vnic.
    """

    group: Group
    address: Address
    mac: str = ""
    mtu: int | None = None
    gateway: Address | None = None
    routes: tuple[StaticRoute, ...] = ()
    instance: str = ""
    adopt: str = ""

    def vnic(self, created: float, mac: str = "", mtu: int = DEFAULT_MTU) -> Vnic:
        """As it is on record. mac, mtu: what it gets when it asks for none. Raises BadRequest."""
        return check_vnic(
            Vnic(
                self.group.tenant,
                self.group.subnet,
                self.address,
                self.mac or mac or usual_mac(self.group, self.address),
                mtu if self.mtu is None else self.mtu,
                created,
                self.gateway,
                self.routes,
                self.instance,
                self.adopt,
            )
        )

    def differences(self, known: Vnic) -> list[str]:
        """What the VNIC on record is otherwise, in words; nothing when it is the one that is wanted."""
        same = self.vnic(known.created, known.mac, known.mtu)
        return [
            f"{word} {_shown(getattr(known, word))}"
            for word in ("mac", "mtu", "gateway", "routes", "instance", "adopted")
            if getattr(same, word) != getattr(known, word)
        ]


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, tuple) else str(value or "none")
