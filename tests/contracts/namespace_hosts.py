"""Hosts for the contract of Namespaces: a bridge, veth pairs, links of others, and what an endpoint has inside."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address, ip_interface, ip_network
from pathlib import Path

from mooring.core.plumbing import Add, Bridge, Veth
from mooring.core.sandboxes import (
    NamespaceAdd,
    NamespaceAddress,
    NamespaceFact,
    NamespaceLink,
    NamespaceOp,
    NamespaceRoute,
)
from mooring.ports import Kernel, Namespaces
from mooring.testing.memory_namespaces import MemoryNamespaces
from tests.netns.rigs import sh

BRIDGE = Bridge("mr-one", "mooring:network:one", 1500, "02:00:00:00:00:01")
MACS = ("02:00:00:00:00:0a", "02:00:00:00:00:0b")
EVERYWHERE4, EVERYWHERE6 = ip_network("0.0.0.0/0"), ip_network("::/0")


@dataclass
class Host:
    """A host with a bridge, and what is to be tested on it."""

    kernel: Kernel
    namespaces: Namespaces

    async def pair(self, number: int, inside: str = "") -> None:
        """A veth pair is there whose other end, `mp-<number>`, is inside, or on the host."""
        await self.kernel.apply([Add(veth(number, inside))])

    def plant(self, name: str, path: str = "", *, sign: str = "") -> None:
        """There is a link of somebody else's, which claims to be that endpoint's."""
        if isinstance(self.namespaces, MemoryNamespaces):
            self.namespaces.plant(name, path, sign=sign)
        elif path:
            alias = f" alias mooring:endpoint:{sign}" if sign else ""
            sh(f"nsenter --net={path} sh -c 'ip link add {name} type veth && ip link set {name}{alias} up'")
        else:
            sh(f"ip link add {name} type veth")

    def on_host(self, name: str) -> bool:
        """Whether there is a link of that name on the host."""
        if isinstance(self.namespaces, MemoryNamespaces):
            return name in self.namespaces.on_host()
        return Path(f"/proc/thread-self/net/dev_snmp6/{name}").exists()


def veth(number: int, inside: str = "") -> Veth:
    """A pair of an endpoint."""
    return Veth(
        f"mv-{number}",
        f"mooring:endpoint:one/e{number}",
        "mr-one",
        False,
        peer=f"mp-{number}",
        peer_mac=MACS[number % 2],
        mtu=1500,
        inside=inside,
    )


def link(number: int, name: str = "", *, ipv6: bool = True, returns: bool = False) -> NamespaceLink:
    """The interface of the endpoint `e<number>`, by default `eth<number>`."""
    return NamespaceLink(
        f"one/e{number}",
        name or f"eth{number}",
        source=f"mp-{number}",
        mac=MACS[number % 2],
        ipv6=ipv6,
        returns=returns,
    )


def equipment(number: int, name: str = "eth1", net: int = 1) -> list[NamespaceFact]:
    """The interface, so named, with an address and a default route of each family, in that network."""
    return [
        link(number, name),
        NamespaceAddress(name, ip_interface(f"10.{net}.0.2/24")),
        NamespaceAddress(name, ip_interface(f"fd00:{net}::2/64")),
        *defaults(net, name),
    ]


def defaults(net: int, name: str) -> list[NamespaceRoute]:
    """The default routes by that network and interface."""
    return [
        NamespaceRoute(EVERYWHERE4, ip_address(f"10.{net}.0.1"), name),
        NamespaceRoute(EVERYWHERE6, ip_address(f"fd00:{net}::1"), name),
    ]


ONE, TWO = equipment(1), equipment(2, "eth2", net=2)
DEFAULTS = {1: defaults(1, "eth1"), 2: defaults(2, "eth2")}


def adds(*facts: NamespaceFact) -> list[NamespaceOp]:
    """Ops that add them in this order."""
    return [NamespaceAdd(fact) for fact in facts]


async def equip(host: Host, path: str) -> None:
    """ONE is in the namespace."""
    await host.pair(1, path)
    await host.namespaces.apply(path, adds(*ONE))


async def facts(host: Host, path: str) -> frozenset[NamespaceFact]:
    """What is ours in the namespace."""
    return (await host.namespaces.observe(path)).facts


def routes(found: Iterable[NamespaceFact]) -> set[NamespaceRoute]:
    """The routes among the facts."""
    return {fact for fact in found if isinstance(fact, NamespaceRoute)}
