"""Networks and endpoints with names, made in one line each."""

from __future__ import annotations

from ipaddress import IPv4Interface, IPv6Interface

from mooring.core.endpoints import Attachment, Endpoint, Service, State
from mooring.core.networks import BRIDGE, Network, NetworkOptions
from mooring.core.port_bindings import Protocol
from mooring.core.sandboxes import Kind, Sandbox

HTTP = Service("http", Protocol.TCP, 80)
KEY = "/run/netns/c1"


def network(name: str, *, internal: bool = False, driver: str = BRIDGE) -> Network:
    """A network whose id is its name in lower case."""
    return Network(name.lower(), NetworkOptions(), internal, (), (), 0.0, name=name, driver=driver)


def endpoint(where: str, name: str, *addresses: str, key: str = KEY, **more: object) -> Endpoint:
    """An endpoint of the network, at most one address of each family; with key "" it is attached to nothing."""
    v4 = next((IPv4Interface(address) for address in addresses if ":" not in address), None)
    v6 = next((IPv6Interface(address) for address in addresses if ":" in address), None)
    fields: dict[str, object] = {
        "id": f"{where}-{name}".lower(),
        "state": State.ATTACHED if key else State.CREATED,
        "attachment": Attachment("veth0", "eth", v4.network[1], None) if key and v4 is not None else None,
        "interface": "eth0" if key else "",
    }
    return Endpoint(
        network=where, ipv4=v4, ipv6=v6, mac="02:00:00:00:00:01", created=0.0, sandbox=key, name=name,
        **fields | more,  # type: ignore[arg-type]
    )  # fmt: skip


def sandbox(ident: str = "c1", **more: object) -> Sandbox:
    """A sandbox of our own at KEY, with files."""
    fields: dict[str, object] = {
        "hostname": "web",
        "hosts_path": f"/files/{ident}/hosts",
        "resolv_conf_path": f"/files/{ident}/resolv.conf",
    }
    return Sandbox(ident, ident, Kind(more.pop("kind", "own")), str(more.pop("path", KEY)), 0.0, **fields | more)  # type: ignore[arg-type]
